"""What the open entries will still bring: delays seen only where they are short, and forecasts from them."""

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.delays import Delays, eventually, forecast, observed_delays
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel, Step

EASY = Rules(min_units=1, min_events=1)
END = pd.Timestamp("2026-06-01 01:00", tz="UTC")


def waits(taken, followed, *, window=None, **columns):
    """Units that convert after `taken` days (NaN: never), seen for `followed` days until the data ends."""
    taken, followed = np.asarray(taken, dtype=float), np.broadcast_to(np.asarray(followed, dtype=float), len(taken))
    seen = taken <= followed
    first = END - pd.to_timedelta(followed, unit="D").round("us")
    last = (first + pd.to_timedelta(np.where(seen, taken, 0), unit="D").round("us")).where(seen)
    depth = np.where(seen, 2, 1).astype(np.int8)
    frame = pd.DataFrame({"unit": range(len(taken)), "depth": depth, "t_1": first, "t_2": last, **columns})
    frame = frame.assign(first_entry=first, last_entry=first, mature_depth=depth, first_depth=depth)
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window=window)
    return Journeys(funnel, frame, None, END.to_pydatetime(), window is not None)


def test_delays_are_the_chain_ladder():
    """Conversions of an old cohort: 10 by day 1, 16 by day 2, 20 by day 3; of a young one: 15 by day 1, 24 by day 2.

    By day 2 of those by day 3: 16/20. By day 1 of those by day 2: 25/40. So by day 1: 25/40 * 16/20 = 1/2.
    """
    delay = np.repeat([1, 2, 3, 1, 2], [10, 6, 4, 15, 9])
    followed = np.repeat([3, 3, 3, 2, 2], [10, 6, 4, 15, 9])
    found = observed_delays(delay, followed, 3)
    assert found.times.tolist() == [1, 2, 3]
    assert found.share == pytest.approx([0, 25 / 40 * 16 / 20, 16 / 20, 1])
    assert found.noise[1:] == pytest.approx([15 / (40 * 25), 4 / (20 * 16)])


def test_where_all_are_old_the_delays_are_those_seen():
    delay = np.array([4, 1, 1, 2, 9])
    found = observed_delays(delay, np.full(5, 30), 30)
    assert found.share == pytest.approx([0, 0.4, 0.6, 0.8, 1, 1])  # the last time is day 30, when nothing came
    assert found.settled == 5


def test_no_conversions_have_no_delays():
    found = observed_delays(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 30)
    assert (found.share.tolist(), found.settled) == ([1, 1], 0)


def test_delays_cut_short_by_the_datas_end_are_not_shortened():
    rng = np.random.default_rng(3)
    delay, followed = (rng.random(20_000) * 10_000).astype(np.int64), (rng.random(20_000) * 20_000).astype(np.int64)
    seen = delay <= followed
    found = observed_delays(delay[seen], followed[seen], 10_000)
    by_5000 = found.share[np.searchsorted(found.times, 5000, side="right")]
    assert by_5000 == pytest.approx(0.5, abs=0.02)
    assert (delay[seen] <= 5000).mean() > 0.55  # what a plain look at those who came would say


def test_for_units_of_one_age_the_forecast_is_the_chain_ladders():
    """30 of 100 units converted, as half of those do who ever will: 60, give or take the 30 to come."""
    certain = Delays(np.array([1, 2]), np.array([0, 0.5, 1]), np.zeros(2))
    found = forecast(30, np.array([0, 70, 0]), certain, 0.95)
    assert found.expected == pytest.approx(60)
    # The variance of what is to come is 30 (1 - 1/2) / (1/2)^2 = 60; of a gamma distribution of mean 30 and this
    # variance, 2.5 % lie below 16.7 and 2.5 % above 47.0.
    assert (found.low, found.high) == (47, 77)


def test_units_that_cannot_convert_any_more_add_nothing():
    certain = Delays(np.array([1]), np.array([0, 1]), np.zeros(1))
    found = forecast(30, np.array([0, 70]), certain, 0.95)
    assert (found.expected, found.low, found.high) == (pytest.approx(30), 30, 30)


def test_what_never_came_so_late_may_come_once():
    """21 of 102 converted in 5 days; of 200 conversions followed for 10 days none came later than on day 5.

    If half of one in 200 does, 21 / 200 / 2 = 0.05 are to come. Of a Poisson number whose mean is gamma distributed
    with shape 1/2 and that mean, (200 / 221) ** (1/2) = 0.951 are 0, and 0.5 * 21 / 221 * 0.951 = 0.045 are 1: with
    97.5 % there is at most one. If none came later of 6,000, 0.998 are 0.
    """
    waiting = np.array([0, 81, 0])
    few, many = (Delays.of(np.array([5, 10]), np.array([size, 0]), np.array([size, size])) for size in (200, 6000))
    found = forecast(21, waiting, few, 0.95)
    assert (found.expected, found.low, found.high) == (pytest.approx(21), 21, 22)
    assert forecast(21, waiting, many, 0.95).high == 21


def test_less_is_known_where_the_delays_are_not_known_well():
    times, share, waiting = np.array([1, 2]), np.array([0, 0.5, 1]), np.array([0, 700, 0])
    sure, unsure = (Delays(times, share, np.array([0, noise])) for noise in (0.0, 0.01))
    narrow, wide = forecast(300, waiting, sure, 0.95), forecast(300, waiting, unsure, 0.95)
    assert narrow.expected == wide.expected
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    dispersed = forecast(300, waiting, sure, 0.95, dispersion=4.0)
    assert dispersed.high - dispersed.low == pytest.approx(2 * (narrow.high - narrow.low), rel=0.05)


def test_nobody_converts_more_often_than_there_are_units():
    doubtful = Delays(np.array([1, 2]), np.array([0, 0.05, 1]), np.array([0.0, 0.5]))
    found = forecast(9, np.array([0, 3, 0]), doubtful, 0.95)
    assert 9 <= found.low <= found.expected <= found.high <= 12


def test_a_finished_group_is_certain():
    found = eventually(waits([1.0] * 20 + [np.nan] * 80, 30, window="10d"), rules=Rules()).iloc[0]
    assert (found["expected"], found["low"], found["high"]) == pytest.approx((0.2, 0.2, 0.2))
    assert (found["closed"], found["converted_so_far"], found["until"]) == (100, 20, 10)


def test_open_entries_are_given_their_chance():
    """Half of the old convert, on days 1 and 9 alike. Of 100 that entered 5 days ago, 25 have: 50 are expected."""
    old, young = [1.0, 9.0, np.nan, np.nan] * 100, [1.0] * 25 + [np.nan] * 75
    journeys = waits(old + young, [20] * 400 + [5] * 100, window="10d", who=["old"] * 400 + ["young"] * 100)
    found = eventually(journeys, "who", rules=Rules()).set_index("group")
    # All delays: 100 of 225 by day 1 were ... by day 9 of those followed so long: 200, of which 100 by day 1.
    assert found.loc["young", "expected"] == pytest.approx(0.5)
    assert found.loc["young", "low"] < 0.5 < found.loc["young", "high"]
    assert found.loc["young", "delays"] == "all"
    assert found.loc["old", ["expected", "low", "high"]].tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert found.loc["old", "delays"] == "own"


def test_groups_with_enough_conversions_use_their_own_delays():
    """The slow group takes 9 days, the fast one 1 day; of those that entered 5 days ago all fast ones have come."""
    taken = ([1.0] * 30 + [np.nan] * 30) * 2 + ([9.0] * 30 + [np.nan] * 30) * 2
    journeys = waits(taken, ([20] * 60 + [5] * 60) * 2, window="10d", who=["fast"] * 120 + ["slow"] * 120)
    found = eventually(journeys, "who", rules=Rules()).set_index("group")
    assert found.loc["fast", ["delays", "expected"]].tolist() == ["own", pytest.approx(0.5)]
    assert found.loc["slow", ["delays", "expected"]].tolist() == ["own", pytest.approx(0.5)]


def test_with_dates_the_last_day_is_left_out_but_never_forgotten():
    """Entered on 1 to 5 May, the data ends at noon of the 6th; each converts on the next day, half of them."""
    days = np.repeat([1, 2, 3, 4, 5], 40)
    rows = pd.DataFrame({"id": range(200), "entered": pd.to_datetime([f"2026-05-0{day}" for day in days])})
    rows["won"] = (rows["entered"] + pd.Timedelta(days=1)).where(rows["id"] % 2 == 0)
    steps = [Step("lead"), Step("won", column="won")]
    funnel = Funnel(steps=steps, snapshot="users", unit="id", entered="entered", window="2d")
    noon = pd.Timestamp("2026-05-06 12:00", tz="UTC").to_pydatetime()
    found = eventually(snapshot_journeys(rows, funnel, as_of=noon), rules=Rules()).iloc[0]
    assert found["converted_so_far"] == 100  # all that will convert, as it happens
    assert found["low"] == 0.5
    assert found["expected"] >= 0.5


@pytest.mark.parametrize(
    ("taken", "followed", "reason"),
    [
        ([1.0] * 50 + [np.nan] * 50, 5, "nothing_mature"),  # no window has closed
        ([np.nan] * 100, 20, "no_conversions"),
        ([1.0], 20, "too_few"),
        ([], 20, "too_few"),
    ],
)
def test_what_cannot_be_told_has_a_reason(taken, followed, reason):
    found = eventually(waits(taken, followed, window="10d"), rules=Rules()).iloc[0]
    assert found["reason"] == reason
    assert np.isnan(found["expected"])


def test_without_a_window_the_end_is_as_far_as_conversions_were_followed():
    rng = np.random.default_rng(4)
    taken = np.where(rng.random(500) < 0.5, rng.exponential(3, 500), np.nan)
    found = eventually(waits(taken, rng.random(500) * 40), rules=Rules()).iloc[0]
    assert 30 < found["until"] < 40
    assert found["low"] <= np.isfinite(taken).mean() <= found["high"] + 0.01


def test_the_interval_holds_what_comes():
    """300 units over 30 days, of which 30 % convert: how often does the interval hold their share?"""
    rng, held = np.random.default_rng(5), []
    for _ in range(200):
        taken = np.where(rng.random(300) < 0.3, rng.uniform(0, 12, 300), np.nan)
        found = eventually(waits(taken, rng.random(300) * 30, window="14d"), rules=Rules()).iloc[0]
        held.append(found["low"] - 1e-9 <= np.isfinite(taken).mean() <= found["high"] + 1e-9)
    assert np.mean(held) == pytest.approx(0.95, abs=0.045)  # 200 draws: three standard errors


@pytest.mark.real
def test_what_was_expected_of_real_leads_in_july_is_close_to_what_came(real_data):
    """Leads since January 2018 (earlier deals were not recorded), as known on 1 July 2018, within 90 days.

    11.3 % came in the end; 11.0 % had been seen. The chances of a market that cools down are overestimated a little.
    """
    folder = real_data / "olist_funnel"
    leads = pd.read_csv(folder / "olist_marketing_qualified_leads_dataset.csv")
    deals = pd.read_csv(folder / "olist_closed_deals_dataset.csv")[["mql_id", "won_date"]]
    rows = leads[leads["first_contact_date"] >= "2018-01-01"].merge(deals, how="left", on="mql_id")
    steps = [Step("lead"), Step("won", column="won_date")]
    funnel = Funnel(steps=steps, snapshot="deals", unit="mql_id", entered="first_contact_date", window="90d")
    came = snapshot_journeys(rows, funnel).counts()["units"]
    known = pd.Timestamp("2018-07-01", tz="UTC").to_pydatetime()
    told = eventually(snapshot_journeys(rows, funnel, as_of=known), rules=Rules()).iloc[0]
    assert told["entered"] == came[0]
    assert told["converted_so_far"] < came[1]
    assert told["expected"] == pytest.approx(came[1] / came[0], abs=0.002)
    assert told["low"] <= came[1] / came[0] <= told["high"]
