from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

import funnel_lib as fl
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.reasons.precursors import before_entry, driver_table, fair_lookback
from funnel_lib.definition import Funnel, Step

FUNNEL = Funnel(steps=[Step("visit", event="view"), Step("buy", event="pay")], window=timedelta(days=7))


def test_only_what_came_before_the_entry_and_not_too_long_before(tmp_path: Path):
    # a: demo one second before; b: at the very instant and after; c: 10 days before, exactly; d: longer ago.
    rows = [
        ("a", "demo", "2026-02-01T11:59:59"), ("a", "view", "2026-01-31"), ("b", "demo", "2026-02-01T12:00:00"),
        ("b", "demo", "2026-02-02"), ("c", "demo", "2026-01-22T12:00:00"), ("d", "demo", "2026-01-22T11:59:59"),
        ("a", "rare", "2026-01-31"),
    ]  # fmt: skip
    log = pd.DataFrame(rows, columns=["user_id", "event", "ts"])
    log["ts"] = pd.to_datetime(log["ts"], utc=True, format="ISO8601").dt.as_unit("us")
    log.to_parquet(tmp_path / "events.parquet")
    noon = pd.Timestamp("2026-02-01T12:00:00", tz="UTC")
    frame = pd.DataFrame({"unit": list("abcd"), "first_entry": pd.array([noon] * 4, dtype="datetime64[us, UTC]")})
    made = Journeys(FUNNEL, frame, None, datetime(2026, 3, 1, tzinfo=UTC))
    found = before_entry(tmp_path / "events.parquet", made, timedelta(days=10))
    assert list(found) == ["before: demo", "before: rare"]  # the funnel's own events are not among them
    assert found["before: demo"].tolist() == [True, False, True, False]
    few = before_entry(tmp_path / "events.parquet", made, timedelta(days=10), least=2)
    assert list(few) == ["before: demo"]
    assert list(before_entry(tmp_path / "events.parquet", made, timedelta(days=10), most=1)) == ["before: demo"]


def test_everybody_is_looked_at_for_the_same_time(demo: Path):
    book = demo / "params" / "education.yml"
    june, january = (fl.Scope.open(book, period=name) for name in ("2026-05", "2026-01"))
    assert fair_lookback(june, fl.cohort(june)) == timedelta(days=30)
    assert fair_lookback(january, fl.cohort(january)) < timedelta(hours=1)


def test_who_converted_with_splits_and_earlier_events(demo: Path):
    may = fl.Scope.open(demo / "params" / "education.yml", period="2026-05")
    people = fl.cohort(may)
    table, names, lookback = driver_table(may, people)
    assert lookback == timedelta(days=30)
    assert names[:3] == ["audience", "channel", "device"]
    assert all(name.startswith("before: ") for name in names[3:])
    assert table[names].notna().all().all()
    counts = people.counts(mature_only=True)["units"]
    assert (len(table), table["converted"].sum()) == (counts.iloc[0], counts.iloc[-1])


def test_a_segment_is_not_divided_by_itself(demo: Path):
    scope = fl.Scope.open(demo / "params" / "education.yml", period="2026-05", segment="audience=student")
    assert "audience" not in driver_table(scope, fl.cohort(scope))[1]
