"""How long units have been under way: clocks, dates, windows, and what is set aside."""

from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conversion.durations.spells import DAY_US, Clock, Group, enough, spells
from funnel_lib.conversion.journeys import Journeys, journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError
from funnel_lib.periods import period

AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="10d")
HOUR = DAY_US // 24


def log(*rows):
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(ts=lambda frame: pd.to_datetime(frame["ts"]))


def made(rows, *, window=None, as_of="2026-01-31 12:00", **columns):
    """Journeys of (start, end) pairs; no end: not converted."""
    first, last = (
        pd.to_datetime(pd.Series(list(part), dtype="object"), format="ISO8601", utc=True)
        for part in zip(*rows, strict=True)
    )
    depth = np.where(last.notna(), 2, 1).astype(np.int8)
    frame = pd.DataFrame({"unit": range(len(rows)), "depth": depth, "t_1": first, "t_2": last, **columns})
    frame = frame.assign(first_entry=first, last_entry=first, mature_depth=depth, first_depth=depth)
    funnel = Funnel(steps=AB.steps, window=window)
    return Journeys(funnel, frame, None, pd.Timestamp(as_of, tz="UTC").to_pydatetime(), window is not None)


def test_the_clock_starts_at_the_first_entry():
    """Entered on days 1 and 4, converted on day 6: five days after the first entry, not two."""
    events = log(("u", "A", "2026-01-01 01:00"), ("u", "A", "2026-01-04 01:00"), ("u", "B", "2026-01-06 01:00"))
    found = spells(journeys(events, AB), None)
    assert (found.length / DAY_US).tolist() == [5]
    assert found.ended.tolist() == [True]


def test_what_comes_later_than_a_window_after_the_first_entry_does_not_count():
    """The second entry converts, twelve days after the first one."""
    events = log(
        ("u", "A", "2026-01-01 01:00"), ("u", "A", "2026-01-11 01:00"), ("u", "B", "2026-01-13 01:00"),
        ("v", "A", "2026-01-20 01:00"),
    )  # fmt: skip
    found = spells(journeys(events, AB), None)
    assert found.ended.tolist() == [False, False]
    assert (found.length / DAY_US).tolist() == [19, 0]
    assert found.horizon == 10 * DAY_US


def test_units_without_an_end_are_followed_until_the_data_ends():
    found = spells(made([("2026-01-01 06:00", "2026-01-03 06:00"), ("2026-01-21 12:30", None)]), None)
    assert (found.length / HOUR).tolist() == [48, 9 * 24 + 23.5]
    assert (found.followed / HOUR).tolist() == [30 * 24 + 6, 9 * 24 + 23.5]
    assert (found.tick, found.last_day, found.gap, found.method) == (1, 1, 0, "kaplan_meier")


def test_dates_are_counted_in_days():
    found = spells(made([("2026-01-01", "2026-01-03"), ("2026-01-30", None)]), None)
    assert found.length.tolist() == [2, 1]
    assert (found.tick, found.last_day, found.method) == (DAY_US, 0.5, "life_table")  # the data ends at noon
    assert found.fully.tolist() == [29, 0]


def test_if_only_one_side_is_dates_both_are_counted_in_days():
    found = spells(made([("2026-01-01", "2026-01-03 17:00"), ("2026-01-30", "2026-01-30 00:01")]), None)
    assert found.length.tolist() == [2, 0]


@pytest.mark.parametrize(("end", "share"), [("06:00", 0.25), ("00:00", 0.5), ("23:59:59.999", 1)])
def test_how_much_of_the_last_day_is_known(end, share):
    found = spells(made([("2026-01-01", None)], as_of=f"2026-01-31 {end}"), None)
    assert found.last_day == pytest.approx(share, abs=1e-4)
    assert found.gap == (share < 1)


def test_local_midnights_are_dates_too_across_the_change_of_the_clock():
    """Midnight in Berlin is 23:00 UTC in winter and 22:00 in summer."""
    starts = pd.DatetimeIndex(["2026-03-28", "2026-03-30"]).tz_localize("Europe/Berlin").tz_convert(UTC)
    moments = np.asarray(starts.as_unit("us").asi8)
    berlin = ZoneInfo("Europe/Berlin")
    assert Clock.of(moments, moments[:0], berlin).dates == berlin
    assert np.diff(Clock(berlin).ticks(moments)).tolist() == [2]  # 47 hours, two days
    assert Clock.of(moments, moments[:0], UTC).dates is None


def test_the_period_gives_the_zone():
    shanghai = ZoneInfo("Asia/Shanghai")
    found = made([("2025-12-31 16:00", "2026-01-02 16:00"), ("2026-01-04 16:00", None)])
    assert spells(found, None).tick == 1
    dated = Journeys(found.funnel, found.frame, period("2026-01", shanghai), found.as_of)
    assert spells(dated, None).length.tolist() == [2, 26]  # 5 to 31 January in Shanghai


def test_the_question_of_dates_can_be_answered_by_hand():
    dates = made([("2026-01-01", "2026-01-03")])
    assert spells(dates, None, whole_days=False).tick == 1
    exact = made([("2026-01-01 23:00", "2026-01-02 01:00")])
    assert spells(exact, None, whole_days=True).length.tolist() == [1]


def test_an_end_before_the_start_is_set_aside_and_counted():
    rows = [("2026-01-05 01:00", "2026-01-04"), ("2026-01-05 01:00", "2026-01-06 02:00"), ("2026-02-05 01:00", None)]
    found = spells(made(rows, g=["x", "y", "x"]), "g")
    assert dict(zip(found.names, found.set_aside, strict=True)) == {"x": 2, "y": 0}  # the last one starts too late
    assert found.length.tolist() == [25 * HOUR]


def test_a_date_on_the_day_of_the_start_is_not_before_it():
    found = spells(made([("2026-01-05 14:00", "2026-01-05"), ("2026-01-05 14:00", "2026-01-06")]), None)
    assert (found.length.tolist(), found.set_aside.tolist()) == ([0, 1], [0])


def test_an_end_after_the_data_has_not_come():
    found = spells(made([("2026-01-05 01:00", "2026-02-04")]), None)
    assert found.ended.tolist() == [False]


def test_unknown_times_are_counted():
    known = made([("2026-01-05 01:00", "2026-01-06"), ("2026-01-05 01:00", None)])
    frame = known.frame.assign(depth=np.array([2, 2], dtype=np.int8))
    assert spells(Journeys(known.funnel, frame, None, known.as_of), None).untimed.tolist() == [1]
    assert spells(Journeys(known.funnel, known.frame, None, None), None).untimed.tolist() == [2]


def test_steps_in_any_order_are_reached_once_all_before_are():
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B"), Step("C", event="C")], window="10d", order="any")
    rows = [("u", event, f"2026-01-0{day} 01:00") for event, day in (("C", 1), ("A", 3), ("B", 6))]
    found = spells(journeys(log(*rows), funnel), None)
    assert (found.length / DAY_US).tolist() == [5]  # all three were there on the sixth
    assert (spells(journeys(log(*rows), funnel), None, start=2).length / DAY_US).tolist() == [0]


def test_groups_come_one_by_one():
    rows = [(f"2026-01-0{day} 01:00", f"2026-01-0{day + 1} 01:00") for day in range(1, 6)]
    found = spells(made(rows, g=list("abbab"), h=list("xxyxy")), "g")
    assert [(group.name, len(group.length)) for group in found.groups()] == [("b", 3), ("a", 2)]
    both = spells(made(rows, g=list("abbab"), h=list("xxyxy")), ["g", "h"])
    assert sum(len(group.length) for group in both.groups()) == 5
    assert len(both.names) == 3


def test_how_long_enough_units_were_followed():
    found = spells(made([(f"2026-01-{day} 12:00", None) for day in (11, 21, 30, 31)], window="30d"), None)
    group = next(found.groups())
    assert [group.observed_until(units) / DAY_US for units in (1, 2, 4)] == [20, 10, 0]
    assert group.observed_until(5) == -1
    short = spells(made([("2026-01-11 12:00", None)], window="5d"), None)
    assert next(short.groups()).observed_until(1) == 5 * DAY_US


def test_the_more_units_there_are_the_more_have_to_be_followed():
    assert [enough(30, total) for total in (10, 100, 101, 10_000, 1_000_000)] == [30, 30, 31, 300, 3000]
    assert enough(1, 50) == 1


@pytest.mark.parametrize(("start", "end"), [(2, 2), (0, 1), (1, 3)])
def test_impossible_steps_are_refused(start, end):
    with pytest.raises(ConfigError, match="cannot be told"):
        spells(made([("2026-01-05", None)]), None, start=start, end=end)


def test_the_journeys_are_left_as_they_were():
    found = made([("2026-01-05", "2026-01-04"), ("2026-01-05", None)])
    before = found.frame.copy()
    spells(found, None)
    pd.testing.assert_frame_equal(found.frame, before)


def test_spells_are_counted_once_and_so_are_their_tables():
    found = made([("2026-01-01", "2026-01-03 06:00"), ("2026-01-02 01:00", None)], group=["a", "b"])
    first = spells(found, "group")
    assert spells(found, "group") is first
    assert spells(found, "group", keep=False) is not first
    tables = [group.table for group in first.groups()]
    assert [group.table for group in first.groups()] == tables
    assert [table.units for table in tables] == [1, 1]
    # All groups together, as one that stands at the first one's place.
    assert Group("", first, first.length, first.ended, first.followed, 0).table.units == 2
