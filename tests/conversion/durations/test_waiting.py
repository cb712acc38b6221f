"""Dwell times with those still waiting, and the histogram of the time to convert."""

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.survival import by_day, half_of_conversions, median_time
from funnel_lib.conversion.durations.waiting import dwell, histogram
from funnel_lib.conversion.journeys import Journeys, journeys
from funnel_lib.definition import Funnel, Step

EASY = Rules(min_units=1, min_events=1)
START = pd.Timestamp("2026-01-01 01:00", tz="UTC")
ABC = [Step("A", event="A"), Step("B", event="B"), Step("C", event="C")]


def log(*walks):
    """One unit per walk: the days on which it took the steps A, B, C as far as it went."""
    rows = [(unit, step, day) for unit, walk in enumerate(walks) for step, day in zip("ABC", walk, strict=False)]
    frame = pd.DataFrame(rows, columns=["user_id", "event", "day"])
    return frame.assign(ts=START + pd.to_timedelta(frame.pop("day"), unit="D").dt.round("us"))


def at(days):
    return (START + pd.Timedelta(days=days)).to_pydatetime()


def waits(taken, followed, *, window=None):
    taken, followed = np.asarray(taken, dtype=float), np.broadcast_to(np.asarray(followed, dtype=float), len(taken))
    seen = taken <= followed
    end = START + pd.Timedelta(days=400)
    first = end - pd.to_timedelta(followed, unit="D").round("us")
    last = (first + pd.to_timedelta(np.where(seen, taken, 0), unit="D").round("us")).where(seen)
    depth = np.where(seen, 2, 1).astype(np.int8)
    frame = pd.DataFrame({"unit": range(len(taken)), "depth": depth, "t_1": first, "t_2": last})
    frame = frame.assign(first_entry=first, last_entry=first, mature_depth=depth, first_depth=depth)
    return Journeys(Funnel(steps=ABC[:2], window=window), frame, None, end.to_pydatetime(), window is not None)


def test_how_long_units_stay_at_each_step():
    # A to B: 1, 2, 4 days, and one waits since day 6 (4 days). B to C: 3 days, and two wait since days 2 and 4.
    events = log([0, 1, 4], [0, 2], [0, 4], [6])
    found = dwell(journeys(events, Funnel(steps=ABC), as_of=at(10)), rules=EASY)
    assert found["name"].tolist() == ["A", "B"]
    assert found["next"].tolist() == ["B", "C"]
    assert found["n"].tolist() == [4, 3]
    assert found["moved_on"].tolist() == [3, 1]
    assert found["still_waiting"].tolist() == [1, 2]
    assert found["waiting_median"].tolist() == pytest.approx([4, 7])
    # A: 3/4 and 2/4 stay after 1 and 2 days; 2/4 is exactly one half until the next end, at 4 days: (2 + 4) / 2.
    assert found["median"].iloc[0] == pytest.approx(3)
    assert found["reason"].tolist() == ["", "not_half"]
    assert found["half_moved"].tolist() == pytest.approx([2, 3])


def test_who_ran_out_of_time_does_not_wait():
    events = log([0, 1], [0], [5])
    found = dwell(journeys(events, Funnel(steps=ABC[:2], window="6d"), as_of=at(10)), rules=EASY)
    assert found["n"].tolist() == [3]
    assert found["still_waiting"].tolist() == [1]  # entered on day 5; the window of the one of day 0 has closed
    assert found["waiting_median"].tolist() == pytest.approx([5])


def test_a_step_with_its_own_time_limit():
    steps = [ABC[0], Step("B", event="B", within="2d")]
    found = dwell(journeys(log([0, 1], [0], [9]), Funnel(steps=steps), as_of=at(10)), rules=EASY)
    assert found["still_waiting"].tolist() == [1]  # the one of day 9; that of day 0 had two days


def test_dwell_tells_the_same_as_the_functions_for_one_step():
    rng = np.random.default_rng(2)
    walks = np.cumsum(rng.exponential(3, (200, 3)), axis=1)
    found = journeys(log(*walks), Funnel(steps=ABC), as_of=at(9))
    table = dwell(found, rules=Rules())
    for step in (1, 2):
        row = table.iloc[step - 1]
        whole = median_time(found, start=step, end=step + 1, rules=Rules()).iloc[0]
        half = half_of_conversions(found, start=step, end=step + 1, rules=Rules()).iloc[0]
        assert row["n"] == whole["entered"]
        for ours, theirs in (("median", whole["median"]), ("low", whole["low"]), ("half_moved", half["half"])):
            assert row[ours] == pytest.approx(theirs, nan_ok=True)


def test_one_step_has_no_next():
    found = dwell(journeys(log([0], [1]), Funnel(steps=ABC[:1]), as_of=at(10)), rules=EASY)
    assert found.empty
    assert "half_moved" in found


def test_too_few_to_tell_but_counted():
    found = dwell(journeys(log([0, 1], [0]), Funnel(steps=ABC[:2]), as_of=at(10)), rules=Rules()).iloc[0]
    assert (found["reason"], found["half_reason"], found["n"], found["still_waiting"]) == ("too_few", "too_few", 2, 1)
    assert np.isnan(found["median"])


def test_bins_are_of_a_width_that_reads_well():
    # 99 of 100 conversions come within 10 days: 12 hours are the smallest listed width with at most 20 bins.
    taken = [*np.linspace(0.01, 9.9, 99), 35.0]
    found = histogram(waits(taken, 50), rules=Rules())
    assert found["to_days"].iloc[0] == 0.5
    assert found["units"].sum() == 100
    assert found["to_days"].iloc[-1] == 35  # all that took longer
    assert found["units"].iloc[-1] == 1
    assert (found["from_days"].iloc[1:].to_numpy() == found["to_days"].iloc[:-1].to_numpy()).all()
    assert len(found) == 21


def test_a_bin_holds_its_end():
    found = histogram(waits([0.0, 1.0, 1.5, 2.0] * 10, 90), rules=EASY)
    two = found[(found["from_days"] >= 0.9) & (found["to_days"] <= 2.01)]
    assert found["units"].sum() == 40
    assert found[np.isclose(found["to_days"], 1.0)]["units"].tolist() == [10]
    assert two["units"].sum() == 20
    assert found["units"].iloc[0] == 10  # the one at the same instant


def test_the_same_bins_whatever_the_order_of_units():
    rng = np.random.default_rng(3)
    taken, followed = rng.exponential(5, 300), rng.random(300) * 40
    order = rng.permutation(300)
    first, second = (
        histogram(waits(t, f), rules=Rules()) for t, f in ((taken, followed), (taken[order], followed[order]))
    )
    pd.testing.assert_frame_equal(first, second)


def test_shares_add_up_to_the_curve_and_recent_entries_do_not_bend_them():
    rng = np.random.default_rng(4)
    found = waits(
        np.where(rng.random(3000) < 0.5, rng.uniform(0, 10, 3000), np.nan), rng.random(3000) * 20, window="10d"
    )
    bins = histogram(found, rules=Rules())
    assert bins["share"].sum() == pytest.approx(by_day(found, rules=Rules())["rate"].iloc[-1])
    thirds = np.array_split(bins["share"].to_numpy(), 2)
    assert thirds[0].sum() == pytest.approx(thirds[1].sum(), abs=0.03)  # uniform
    halves = np.array_split(bins["units"].to_numpy(), 2)
    assert halves[0].sum() > 1.2 * halves[1].sum()  # as seen


def test_nobody_converted():
    assert histogram(waits([np.nan] * 50, 9), rules=Rules()).empty
    few = histogram(waits([1.0] * 3 + [np.nan] * 50, 9), rules=Rules())
    assert set(few["reason"]) == {"too_few"}
    assert few["units"].sum() == 3
    assert few["share"].isna().all()


def test_seconds_are_told_in_seconds():
    second = 1 / 86_400
    found = histogram(waits(np.arange(1, 41) * second / 4, 1), rules=Rules())
    assert found["to_days"].iloc[0] == pytest.approx(second)
    assert found["units"].tolist() == [4] * 10
