"""What the feeder reads: only what matters, whatever the names and types."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.definition import Funnel, Step

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def read(events, funnel, extra=(), since=None, until=None) -> pa.Table:
    return LocalSource(events, funnel, extra).rows(Plan(funnel, tuple(extra)), since, until)


def test_masks_say_which_steps_a_row_matches():
    steps = [
        Step("any"),
        Step("ab", event=["A", "B"]),
        Step("b", event="B"),
        Step("rich", event="A", where={"n": {"gt": 1}}),
    ]
    events = pd.DataFrame({"user_id": 1, "event": ["A", "B", "C", "A"], "ts": [NOON] * 4, "n": [1, 2, 3, 4]})
    source = LocalSource(events, funnel := Funnel(steps=steps))
    assert source.rows(Plan(funnel), None, None)["mask"].to_pylist() == [0b0011, 0b0111, 0b0001, 0b1011]
    assert source.facts.matched == [4, 3, 1, 1]


def test_rows_that_match_nothing_are_not_read():
    events = pd.DataFrame({"user_id": [1, 1], "event": ["A", "C"], "ts": [NOON] * 2})
    assert read(events, Funnel(steps=[Step("a", event="A")])).num_rows == 1


def test_both_ends_of_the_span_are_included():
    times = pd.date_range(NOON, periods=5, freq="h")
    for kind in (times, times.tz_localize(None), times.strftime("%Y-%m-%dT%H:%M:%SZ")):
        events = pd.DataFrame({"user_id": 1, "event": "A", "ts": kind})
        rows = read(events, Funnel(steps=[Step("a", event="A")]), since=times[1], until=times[3])
        assert rows["at_us"].to_pylist() == [microseconds(moment) for moment in times[1:4]]


def test_names_with_quotes_are_only_names():
    steps = [Step("a", event='it\'s "A"; DROP TABLE x --')]
    events = pd.DataFrame({'the "id"': [1], "event": steps[0].event, "ts": [NOON], "a'b\"c": ["v"]})
    rows = read(events, Funnel(steps=steps, unit='the "id"'), ["a'b\"c"])
    assert rows["mask"].to_pylist() == [1]
    assert rows["extra a'b\"c"].to_pylist() == ["v"]


def test_events_that_are_numbers_or_categories_are_compared_as_text():
    steps = [Step("a", event="1")]
    for column in ([1, 2], pd.Categorical(["1", "2"])):
        events = pd.DataFrame({"user_id": [1, 1], "event": column, "ts": [NOON] * 2})
        assert read(events, Funnel(steps=steps))["mask"].to_pylist() == [1]


def test_a_funnel_of_any_event_needs_no_event_column():
    events = pd.DataFrame({"user_id": [1], "ts": [NOON]})
    funnel = Funnel(steps=[Step("seen")])
    assert read(events, funnel)["mask"].to_pylist() == [1]
    assert LocalSource(events, funnel).names == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Shanghai"])
def test_times_of_every_precision_become_microseconds(unit, zone):
    ts = pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")).cast(pa.timestamp(unit, zone))
    events, funnel = pa.table({"user_id": [1], "event": ["A"], "ts": ts}), Funnel(steps=[Step("a", event="A")])
    assert read(events, funnel, since=NOON, until=NOON)["at_us"].to_pylist() == [microseconds(NOON)]
    assert LocalSource(events, funnel).newest == NOON


def test_microseconds_of_a_time_without_zone_are_those_of_utc():
    assert microseconds(NOON.replace(tzinfo=None)) == microseconds(NOON) == 1_777_636_800_000_000


def test_categories_as_units_are_texts():
    events = pd.DataFrame({"user_id": pd.Categorical(["b", "a"]), "event": "A", "ts": [NOON] * 2})
    assert read(events, Funnel(steps=[Step("a", event="A")]))["unit"].to_pylist() == ["b", "a"]


def test_many_steps_need_wider_masks():
    steps = [Step(f"s{n}", event=f"e{n}") for n in range(9)]
    events = pd.DataFrame({"user_id": 1, "event": ["e0", "e8"], "ts": [NOON] * 2})
    assert read(events, Funnel(steps=steps))["mask"].to_pylist() == [1, 256]
    assert read(events, Funnel(steps=steps[:8]))["mask"].type == pa.uint8()
