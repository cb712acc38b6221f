from datetime import UTC, datetime

import pandas as pd
import pytest

from funnel_lib.conversion.keeping.shelves import Shelf, code_hash
from funnel_lib.conversion.sensitivity import sensitivity
from funnel_lib.definition import Funnel, Step

FUNNEL = Funnel(steps=[Step("a"), Step("b")], window="7d")


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "counted", "the data")


def _maker(values):
    calls = []

    def make():
        calls.append(1)
        return {"frame": pd.DataFrame({"name": pd.Series(["x", "y"], dtype="str"), "value": values})}

    return make, calls


def test_tables_are_made_once_and_come_back_bit_by_bit(shelf):
    make, calls = _maker([0.1 + 0.2, float("nan")])
    first, second = (shelf.tables(FUNNEL, make, as_of=1)["frame"] for _ in range(2))
    assert len(calls) == 1
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_another_fact_funnel_or_data_is_another_table(shelf):
    make, calls = _maker([1.0, 2.0])
    shelf.tables(FUNNEL, make, as_of=1)
    shelf.tables(FUNNEL, make, as_of=2)
    shelf.tables(Funnel(steps=[Step("a")]), make, as_of=1)
    Shelf(shelf.folder, "other data").tables(FUNNEL, make, as_of=1)
    assert len(calls) == 4


def test_categories_and_times_come_back_as_they_were(shelf):
    kinds = pd.Series(pd.Categorical(["b", None, "a"], categories=["b", "a", "c"]))
    at = pd.Series(pd.to_datetime(["2026-05-01", None, "2026-05-02"], utc=True)).dt.as_unit("us")
    made = {"frame": pd.DataFrame({"kind": kinds, "at": at})}
    for _ in range(2):
        found = shelf.tables(FUNNEL, lambda: made, as_of=2)["frame"]
        pd.testing.assert_frame_equal(found, made["frame"], check_exact=True)


def test_what_cannot_be_read_is_made_again(shelf):
    make, calls = _maker([1.0, 2.0])
    shelf.tables(FUNNEL, make)
    kept = next(shelf.folder.glob("*/frame.arrow"))
    kept.write_bytes(b"damaged")
    shelf.tables(FUNNEL, make)
    assert len(calls) == 2
    shelf.tables(FUNNEL, make)
    assert len(calls) == 2


def test_what_cannot_be_kept_is_returned_all_the_same(tmp_path):
    (tmp_path / "file").write_text("in the way")
    make, _ = _maker([1.0, 2.0])
    assert Shelf(tmp_path / "file", "x").tables(FUNNEL, make)["frame"]["value"].tolist() == [1.0, 2.0]


def test_the_code_has_one_hash():
    assert code_hash() == code_hash()
    assert len(code_hash()) == 64


def test_kept_sensitivity_is_that_which_was_counted(shelf):
    at = datetime(2026, 5, 1, tzinfo=UTC)
    rows = [(f"u{n}", event, at + pd.Timedelta(hours=n)) for n in range(40) for event in ("a", "b")[: 1 + n % 2]]
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(device="mobile")
    found = [sensitivity(events, FUNNEL, by="device", orders=["any"], presets=[], shelf=one) for one in (None, shelf)]
    found.append(sensitivity(events.head(0), FUNNEL, by="device", orders=["any"], presets=[], shelf=shelf))
    for again in found[1:]:  # the last one from what was kept: its events are not looked at
        pd.testing.assert_frame_equal(again.frame, found[0].frame, check_exact=True)
        pd.testing.assert_frame_equal(again.groups, found[0].groups, check_exact=True)
        assert (again.variants, again.conclusion) == (found[0].variants, found[0].conclusion)
