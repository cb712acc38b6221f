from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import funnel_lib as fl
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.precursors import before_entry, driver_table, fair_lookback
from funnel_lib.definition import Funnel, Step
from funnel_lib.reporting.sections import drops, surroundings
from tests.conversion.keeping.test_arranging import BEGIN, write

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
    events = EventLog.made(tmp_path / "events.parquet", "user_id")
    found = before_entry(events, made, timedelta(days=10))
    assert list(found) == ["before: demo", "before: rare"]  # the funnel's own events are not among them
    assert found["before: demo"].tolist() == [True, False, True, False]
    few = before_entry(events, made, timedelta(days=10), least=2)
    assert list(few) == ["before: demo"]
    assert list(before_entry(events, made, timedelta(days=10), most=1)) == ["before: demo"]


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


def test_deals_have_no_events_of_their_own(demo: Path):
    may = fl.Scope.open(demo / "params" / "education.yml", period="2026-05")
    steps = [Step("created"), Step("closed", column="closed")]
    funnel = Funnel(steps=steps, snapshot="deals", unit="record_id", entered="created")
    scope = replace(may, workbook=may.workbook.model_copy(update={"funnel": funnel, "segments": {}}))
    deals = fl.cohort(scope)
    assert fair_lookback(scope, deals) == timedelta(days=30)
    table, names, lookback = driver_table(scope, deals)
    assert (len(table), lookback) == (len(deals.frame), timedelta(0))
    assert not any(name.startswith("before: ") for name in names)
    shown = drops.instead(scope, deals, fl.rates(deals, rules=may.workbook.rules))
    assert "This source does not tell what people did next" in shown.html
    assert surroundings.contents(scope, deals, fl.rates(deals, rules=may.workbook.rules)) is None


CELLS = st.tuples(
    st.sampled_from(["al", "bo", "cy", None]), st.sampled_from(["view", "a", "b", "c", None]),
    st.one_of(st.none(), st.integers(0, 9)),
)  # fmt: skip


@settings(max_examples=30)
@given(rows=st.lists(CELLS, min_size=1, max_size=30), days=st.integers(1, 5), least=st.integers(1, 2))
def test_the_same_as_a_search_by_hand(tmp_path_factory, rows, days, least):
    log = EventLog.made(write(tmp_path_factory.mktemp("log") / "events.parquet", rows), "user_id")
    entered = {"al": 5, "bo": 3, "cy": 7, "never seen": 4}
    first = [pd.Timestamp(BEGIN) + timedelta(days=day) for day in entered.values()]
    frame = pd.DataFrame({"unit": [*entered], "first_entry": pd.array(first, dtype="datetime64[us, UTC]")})
    made = Journeys(FUNNEL, frame, None, datetime(2026, 6, 1, tzinfo=UTC))
    had = {
        name: [any(row[:2] == (who, name) and row[2] is not None and day - days <= row[2] < day for row in rows)
               for who, day in entered.items()]
        for name in "abc"
    }  # fmt: skip
    expected = {f"before: {name}": some for name, some in had.items() if least <= sum(some) <= 4 - least}
    assert before_entry(log, made, timedelta(days=days), least=least).to_dict("list") == expected
    some = np.array([True, False, True, False])
    among = before_entry(log, made, timedelta(days=days), some, least=1).to_dict("list")
    chosen = {f"before: {name}": [one for one, kept in zip(had[name], some, strict=True) if kept] for name in "abc"}
    assert among == {name: told for name, told in chosen.items() if 1 <= sum(told) <= 1}
