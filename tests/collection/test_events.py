from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import duckdb
import pandas as pd
import pytest

from funnel_lib.collection import events
from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.files import Export
from funnel_lib.collection.parts import write as write_batch
from funnel_lib.collection.stage import Stage
from funnel_lib.collection.who import Resolved
from funnel_lib.schema import table

SOURCE = {"system": "table", "table": "events", "files": "*", "columns": {"user_id": "i", "event": "e", "ts": "t"}}
IDS = pd.DataFrame({"value": ["b1"], "user_id": ["U1"], "kind": ["anonymous"]}).astype("str")


def rows(file: str, *hits: tuple[str, str, str]) -> pd.DataFrame:
    """Events (id, person, time) of one file, one per line."""
    frame = pd.DataFrame(hits, columns=["event_id", "user_id", "ts"]).astype({"event_id": "str", "user_id": "str"})
    lines = range(2, len(hits) + 2)
    times = pd.to_datetime(frame["ts"], utc=True).astype("datetime64[us, UTC]")
    return frame.assign(event="e", source="s", ts=times, **{FILE: file, LINE: lines, RAW: "x", ROW: 0})


@pytest.fixture
def write(tmp_path: Path, export: Callable[..., Export]) -> Callable[..., Any]:
    def made(
        *parts: pd.DataFrame, tests: frozenset[str] = frozenset(), **more: Any
    ) -> tuple[pd.DataFrame, Stage, pd.DataFrame]:
        one = export(SOURCE, timezone="Asia/Shanghai", **more)
        stage = Stage(tmp_path)
        for part in parts:
            folder = Path(mkdtemp(dir=tmp_path)) / "it's"
            stage.take("s", write_batch(Batch("events", part, rejected(), {part[FILE].iloc[0]: len(part)}), folder))
        target = tmp_path / "it's.parquet"
        IDS.to_parquet(tmp_path / "ids.parquet")
        days = events.write(stage, Resolved(one.workbook, tmp_path / "ids.parquet", tests), None, target)
        stage.tally()
        return pd.read_parquet(target), stage, days

    return made


def test_events_are_sorted_and_their_people_resolved(write: Callable[..., Any]):
    found, _, days = write(
        rows("a", ("2", "b2", "2026-03-01T16:00Z"), ("1", "b1", "2026-03-01T15:59Z"), ("0", "U1", "2026-03-01T15:59Z"))
    )
    assert found[["event_id", "user_id"]].to_numpy().tolist() == [["0", "U1"], ["1", "U1"], ["2", "b2"]]
    assert list(found) == list(table("events").columns)
    assert found["ts"].dtype == "datetime64[us, UTC]"
    # Shanghai's March 2 begins at 16:00 UTC.
    assert days.to_numpy().tolist() == [["s", pd.Timestamp("2026-03-01"), 2], ["s", pd.Timestamp("2026-03-02"), 1]]


def test_of_equal_keys_the_first_that_was_read_stays(write: Callable[..., Any]):
    one = rows("a", ("1", "b1", "2026-03-01T10:00Z"), ("1", "b1", "2026-03-01T11:00Z"))
    found, stage, _ = write(one, rows("b", ("1", "b9", "2026-03-01T09:00Z")))
    assert found["ts"].dt.hour.tolist() == [10]
    assert stage.tally().query("outcome == 'merged'")[["file", "rows"]].to_numpy().tolist() == [["a", 1], ["b", 1]]


def test_test_accounts_and_the_far_future_are_set_aside(write: Callable[..., Any]):
    usual = [(str(i), "b2", f"2026-03-0{i}T10:00Z") for i in range(1, 10)]
    found, stage, _ = write(
        rows("a", *usual, ("x", "b7", "2026-03-01T10:00Z"), ("y", "b2", "2031-03-01T10:00Z")), tests=frozenset(["b7"])
    )
    assert len(found) == 9
    assert stage.quarantine()[["line", "rule"]].to_numpy().tolist() == [[11, "test_account"], [12, "future"]]


def test_the_table_is_the_same_for_any_number_of_threads(
    write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    many = rows(
        "a", *((f"{i * 7919 % 5000:05}", f"u{i % 97}", f"2026-03-{1 + i % 28:02}T{i % 24:02}:00Z") for i in range(5000))
    )
    tables = []
    connect = duckdb.connect
    for threads in (1, 4):
        monkeypatch.setattr(duckdb, "connect", lambda n=threads: connect(config={"threads": n}))
        write(many)
        tables.append((tmp_path / "it's.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_when_the_last_event_was(write: Callable[..., Any], tmp_path: Path):
    write(
        rows("a", ("1", "b2", "2026-03-01T10:00Z"), ("2", "b2", "2026-03-01T09:00Z"), ("3", "b1", "2026-03-02T09:00Z"))
    )
    assert str(events.newest(tmp_path / "it's.parquet")) == "2026-03-02 09:00:00+00:00"


def hits(*rows_: tuple[str, str, str, str]) -> pd.DataFrame:
    """Events (id, person, event, time) without ids of the system's own where the id is empty."""
    frame = rows("a", *((name, who, at) for name, who, _, at in rows_)).assign(event=[what for _, _, what, _ in rows_])
    texts = pd.Series(range(1, len(rows_) + 1), dtype="uint64")
    made = "s-" + texts.map("{:016x}".format)
    return frame.assign(event_id=frame["event_id"].mask(frame["event_id"] == "", made).astype("str"), **{ROW: texts})


TWICE = hits(
    ("", "u1", "buy", "2026-03-01T10:00:00Z"), ("", "u1", "buy", "2026-03-01T10:00:01Z"),  # the same again
    ("", "u1", "buy", "2026-03-01T10:00:03Z"), ("", "u2", "buy", "2026-03-01T10:00:01Z"),  # later, another person
    ("", "u1", "scroll", "2026-03-01T10:00:00Z"), ("", "u1", "scroll", "2026-03-01T10:00:01Z"),
    ("7", "u3", "buy", "2026-03-01T10:00:00Z"), ("8", "u3", "buy", "2026-03-01T10:00:00Z"),  # ids tell them apart
    ("", "u3", "buy", "2026-03-01T10:00:00Z"), ("", "b1", "buy", "2026-03-01T10:00:00Z"),
)  # fmt: skip


def test_what_was_sent_twice_is_merged_within_the_workbook_s_limit(write: Callable[..., Any]):
    found, stage, _ = write(TWICE, cleaning={"near_duplicates": "1s", "repeated": ["scro*"]})
    assert stage.tally().query("outcome == 'merged'")[["rule", "rows"]].to_numpy().tolist() == [["near_duplicate", 1]]
    assert found.query("user_id == 'u1' and event == 'buy'")["ts"].dt.second.tolist() == [0, 3]
    assert {"7", "8"} <= {*found["event_id"]}
    assert stage.remarks == {}
    assert len(write(TWICE, cleaning={"near_duplicates": "1s"})[0]) == 8  # scrolling counts like the rest
    assert len(write(TWICE, cleaning={"near_duplicates": "2s", "repeated": ["scroll"]})[0]) == 8


def test_what_looks_like_it_is_counted_otherwise_and_stays(write: Callable[..., Any]):
    found, stage, _ = write(TWICE)
    assert len(found) == 10
    assert stage.remarks == {("s", "a", "near_duplicate"): 2}
    assert write(TWICE, cleaning={"repeated": ["scroll", "buy"]})[1].remarks == {}
    by_minute = TWICE.assign(ts=TWICE["ts"].dt.floor("min"))  # such times cannot tell
    assert write(by_minute)[1].remarks == {}
    assert len(write(by_minute, cleaning={"near_duplicates": "1h"})[0]) == 10
