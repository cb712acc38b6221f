from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.conversion.keeping import arranging
from funnel_lib.conversion.keeping.arranging import arranged, compiled, in_order, meet, told
from funnel_lib.errors import DataError

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
DAY_US = 86_400_000_000


def write(path, rows, **columns):
    """Write rows `(user, event, day)`; a day may be missing."""
    frame = pd.DataFrame(rows, columns=["user_id", "event", "day"])
    days = pd.to_timedelta(frame.pop("day").astype("float64"), unit="D").dt.round("us")
    frame = frame.assign(ts=(pd.Timestamp(BEGIN) + days).astype("datetime64[us, UTC]"), **columns)
    frame.astype({"user_id": "str", "event": "str"}).to_parquet(path)
    return path


def test_rows_stand_by_person_then_time_then_as_in_the_file(tmp_path):
    rows = [
        ("bo", "view", 3), ("al", "buy", 2), ("bo", "buy", 1), ("al", "view", 2), (None, "view", 1), ("al", None, 1),
        ("bo", "view", None),
    ]  # fmt: skip
    units, names, found = arranged(write(tmp_path / "events.parquet", rows), "user_id")
    assert units.to_pylist() == ["al", "bo"]
    assert names == ("buy", "view")
    # al: the nameless row of day 1, then of day 2 buy before view, as in the file; bo: buy on day 1, view on day 3.
    assert found["row"].tolist() == [5, 1, 3, 2, 0]
    assert found["event"].tolist() == [-1, 0, 1, 0, 1]
    assert found["person"].tolist() == [0, 0, 0, 1, 1]
    assert found["starts"].tolist() == [0, 3, 5]
    begin = int(BEGIN.timestamp() * 1_000_000)
    assert ((found["at"] - begin) // DAY_US).tolist() == [1, 2, 2, 1, 3]
    # By event: the nameless one, both buys, both views.
    assert found["order"].tolist() == [0, 1, 3, 2, 4]
    assert found["sizes"].tolist() == [2, 2]


def test_a_log_without_rows(tmp_path):
    units, names, found = arranged(write(tmp_path / "events.parquet", []), "user_id")
    assert (len(units), names, found["starts"].tolist(), len(found["at"])) == (0, (), [0], 0)


def test_numbers_and_texts_name_persons_alike(tmp_path):
    frame = pd.DataFrame({"user_id": [10, 9], "event": ["a", "b"], "ts": pd.Series([BEGIN] * 2)})
    frame.to_parquet(tmp_path / "events.parquet")
    units, _, _ = arranged(tmp_path / "events.parquet", "user_id")
    assert units.to_pylist() == ["10", "9"]  # in the order of their bytes


def test_what_cannot_be_read_is_said(tmp_path):
    path = write(tmp_path / "events.parquet", [("al", "buy", 1)])
    with pytest.raises(DataError, match="cannot be read"):
        arranged(path, "account")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        arranged(tmp_path / "torn.parquet", "user_id")


@pytest.mark.parametrize("sort", [in_order, compiled()["in_order"]], ids=["plain", "compiled"])
@given(data=st.data())
def test_rows_are_ordered_as_a_sort_by_all_three_orders_them(sort, data):
    people = data.draw(st.integers(1, 4))
    # Many rows of one person are sorted in another way than few.
    person = np.array(data.draw(st.lists(st.integers(0, people - 1), max_size=150)), dtype=np.int32)
    at = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(person), max_size=len(person))), dtype=np.int64)
    row = np.array(data.draw(st.permutations(range(len(person)))), dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(np.bincount(person, minlength=people))])
    order = np.empty(len(person), dtype=np.int64)
    sort(person, at, row, starts, order)
    assert order.tolist() == np.lexsort((row, at, person)).tolist()


@pytest.mark.parametrize("search", [meet, compiled()["meet"]], ids=["plain", "compiled"])
@given(st.lists(st.text(max_size=3)), st.sets(st.text(max_size=3)))
def test_texts_are_found_among_ascending_ones(search, asked, held):
    held = sorted(held, key=str.encode)
    for wanted in (asked, sorted(asked, key=str.encode)):
        found = np.full(len(wanted), -1)
        ascending = search(*joined(wanted), *joined(held), found)
        assert ascending or wanted != sorted(wanted, key=str.encode)
        if ascending:
            assert found.tolist() == [held.index(text) if text in held else -1 for text in wanted]


def joined(texts):
    """Return where the bytes of each text begin and end, and all bytes."""
    parts = [text.encode() for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return starts, np.frombuffer(b"".join(parts), dtype=np.uint8)


def test_columns_and_properties_are_told(tmp_path):
    rows = [("al", "buy", 1), ("al", "view", 2), ("bo", "buy", 3)]
    properties = ['{"plan": "pro", "a \\"b": [1]}', None, '{"plan": 2, "off": null}']
    path = write(tmp_path / "events.parquet", rows, device=["phone", None, "desk"], properties=properties)
    assert [list(map(str, part)) for part in told(path, "device", None)[:2]] == [["0", "2"], ["phone", "desk"]]
    row, values, as_json = told(path, "plan", ["buy"])
    assert (row.tolist(), values.to_pylist(), as_json) == ([0, 2], ['"pro"', "2"], True)
    assert told(path, 'a "b', None)[1].to_pylist() == ["[1]"]
    assert told(path, "plan", [])[0].tolist() == []


def test_no_such_column_and_broken_properties_are_said(tmp_path):
    rows = [("al", "buy", 1)]
    with pytest.raises(DataError, match="no column 'plan'"):
        told(write(tmp_path / "bare.parquet", rows), "plan", None)
    with pytest.raises(DataError, match="JSON"):
        told(write(tmp_path / "events.parquet", rows, properties=["{plan: pro"]), "plan", None)


def test_many_batches_are_one_log(tmp_path, monkeypatch):
    rows = [(f"u{number % 7}", "ab"[number % 2], 20 - number) for number in range(20)]
    path = write(tmp_path / "events.parquet", rows)
    whole = arranged(path, "user_id")
    monkeypatch.setattr(arranging, "_BATCH", 3)
    again = arranged(path, "user_id")
    assert whole[1] == again[1]
    for name, values in whole[2].items():
        np.testing.assert_array_equal(values, again[2][name])
    assert timedelta(microseconds=int(np.diff(whole[2]["at"][:2])[0])) == timedelta(days=7)
