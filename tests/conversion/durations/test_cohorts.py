"""Cohorts by age, what the young ones will come to, and whether such nowcasts held in the past."""

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm, t

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.cohorts import back_test, nowcast, stretch_of, triangle
from funnel_lib.conversion.durations.delays import eventually
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.change import trend
from funnel_lib.conversion.rates import wilson
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError
from funnel_lib.periods import period

EASY = Rules(min_units=1, min_events=1)
MONDAY = pd.Timestamp("2026-01-05", tz="UTC")


def entered(days, taken, *, end, window="14d", start=MONDAY, within=None):
    """Units that entered `days` after a Monday and convert `taken` days later, as known after `end` days."""
    days, taken = np.asarray(days, dtype=float), np.asarray(taken, dtype=float)
    seen = days + taken <= end
    first = start + pd.to_timedelta(days, unit="D").round("us")
    last = (first + pd.to_timedelta(np.where(seen, taken, 0), unit="D").round("us")).where(seen)
    depth = np.where(seen, 2, 1).astype(np.int8)
    frame = pd.DataFrame({"unit": range(len(days)), "depth": depth, "t_1": first, "t_2": last})
    frame = frame.assign(first_entry=first, last_entry=first, mature_depth=depth, first_depth=depth)
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window=window)
    known = (start + pd.Timedelta(days=end)).to_pydatetime()
    return Journeys(funnel, frame, within, known, window is not None)


def drawn(seed, weeks=8, per_week=200, rate=0.4, window="21d"):
    rng = np.random.default_rng(seed)
    days = rng.random(weeks * per_week) * weeks * 7
    taken = np.where(rng.random(len(days)) < rate, np.minimum(rng.exponential(5, len(days)), 20.9), np.nan)
    return entered(days, taken, end=weeks * 7, window=window), np.isfinite(taken), (days // 7).astype(int)


def test_a_triangle_worked_by_hand():
    # Cohort 1: four units of day 1.5; one converts after 3 days, one after 10. Cohort 2: two of day 8.5 (one after
    # 2 days) and one of day 12.5 (after 1 day). The data ends on day 17: the units are 15.5, 8.5 and 4.5 days old.
    found = triangle(entered([1.5] * 4 + [8.5, 8.5, 12.5], [3, 10, np.nan, np.nan, 2, np.nan, 1], end=17), rules=EASY)
    assert found["cohort"].tolist() == [pd.Timestamp("2026-01-05")] * 2 + [pd.Timestamp("2026-01-12")] * 2
    assert found["age"].tolist() == [1, 2, 1, 2]
    assert found["entered"].tolist() == [4, 4, 3, 3]
    assert found["observed"].tolist() == [4, 4, 2, 0]
    assert found["converted"].tolist() == [1, 2, 1, 0]
    assert found["earlier"].tolist() == [0, 1, 0, 0]
    assert found["seen"].tolist() == [1, 2, 2, 2]
    assert found["rate"].tolist() == pytest.approx([0.25, 0.5, 0.5, np.nan], nan_ok=True)
    assert found["reason"].tolist() == ["", "", "", "open"]
    # The last moment of cohort 1 (the end of 11 January) is a week old on 19 January at 0:00, day 14.
    assert found["finished"].tolist() == [True, False, False, False]
    assert (found["low"].iloc[0], found["high"].iloc[0]) == wilson(1, 4)


def test_a_unit_seen_to_convert_before_it_is_a_week_old_is_not_counted_yet():
    found = triangle(entered([0.5, 8.5, 8.5], [2, 1, np.nan], end=12), rules=EASY)
    young = found[(found["cohort"] == pd.Timestamp("2026-01-12")) & (found["age"] == 1)].iloc[0]
    assert (young["observed"], young["converted"], young["seen"]) == (0, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_triangle_counts_what_plain_counting_does(seed):
    journeys, _, week = drawn(seed)
    found = triangle(journeys, rules=EASY).set_index(["cohort", "age"])
    frame, end = journeys.frame, pd.Timestamp(journeys.as_of)
    days = (frame["t_2"] - frame["first_entry"]) / pd.Timedelta(days=1)
    old = (end - frame["first_entry"]) / pd.Timedelta(days=1)
    for (cohort, age), row in found.iterrows():
        own = week == (cohort - pd.Timestamp("2026-01-05")).days // 7
        grown = own & (old >= 7 * age)
        assert row["entered"] == own.sum()
        assert row["observed"] == grown.sum()
        assert row["converted"] == (grown & (days <= 7 * age)).sum()
        assert row["earlier"] == (grown & (days <= 7 * (age - 1))).sum()
        assert row["seen"] == (own & (days <= 7 * age)).sum()


def test_finished_cohorts_have_the_rates_of_the_trend():
    journeys, _, _ = drawn(4)
    found = triangle(journeys, rules=Rules())
    last = found[(found["age"] == 3) & found["finished"]].set_index("cohort")
    weeks = trend(journeys, step=2, rules=Rules()).set_index("start")
    assert len(last) == 5
    for cohort, row in last.iterrows():
        assert row["rate"] == weeks.loc[cohort, "rate"]
        assert weeks.loc[cohort, "final"]


def test_cohorts_begin_in_the_business_zone():
    """16:30 UTC on Sunday is Monday in Shanghai; the period names the zone and ends the last cohort."""
    shanghai = ZoneInfo("Asia/Shanghai")
    sunday = MONDAY - pd.Timedelta(hours=7.5)
    found = triangle(entered([0, 1], [1, np.nan], end=20, start=sunday, window="7d"), rules=EASY, zone=shanghai)
    assert found["cohort"].tolist() == [pd.Timestamp("2026-01-05")]
    january = period("2026-01", shanghai)
    late = pd.Timestamp("2026-01-31 03:00", tz="UTC")
    cut = triangle(entered([0], [1], end=9, start=late, window="7d", within=january), rules=EASY)
    assert cut["cohort"].tolist() == [pd.Timestamp("2026-01-26")]
    assert cut["closes"].iloc[0] == pd.Timestamp("2026-02-07 16:00", tz="UTC") - pd.Timedelta(1, unit="us")
    assert cut["finished"].tolist() == [True]


def test_months_and_days():
    journeys = entered([0.5, 30.5], [3, np.nan], end=95, window="60d")
    months = triangle(journeys, every="month", rules=EASY)
    assert months["cohort"].unique().tolist() == [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-02-01")]
    assert months["age"].max() == 2
    days = triangle(entered([0.5, 2.5], [3, np.nan], end=6, window="5d"), every="day", rules=EASY)
    assert days["cohort"].nunique() == 3  # also the one between, in which nobody entered
    assert days["age"].max() == 5


def test_dates_leave_out_the_day_that_is_known_in_part():
    """Entered on Monday the 5th; at noon of the 12th seven days are over, at noon of the 11th they are not."""
    steps = [Step("lead"), Step("won", column="won")]
    funnel = Funnel(steps=steps, snapshot="users", unit="id", entered="entered", window="7d")
    rows = pd.DataFrame(
        {"id": range(4), "entered": pd.Timestamp("2026-01-05"), "won": [pd.Timestamp("2026-01-09"), *[None] * 3]}
    )
    for end, observed in (("2026-01-12 12:00", 0), ("2026-01-13 12:00", 4)):
        known = pd.Timestamp(end, tz="UTC").to_pydatetime()
        found = triangle(snapshot_journeys(rows, funnel, as_of=known), rules=EASY)
        assert found["observed"].tolist() == [observed]
        assert found["seen"].tolist() == [1]


def test_without_a_window_ages_go_as_far_as_anybody_has_come():
    found = triangle(entered([0.5, 20.5], [3, 1], end=31, window=None), rules=EASY)
    assert found["age"].max() == 4
    assert triangle(entered([0.5], [3], end=900, window=None), rules=EASY)["age"].max() == 26
    assert triangle(entered([0.5], [3], end=900, window=None), rules=EASY, ages=3)["age"].tolist() == [1, 2, 3]


def test_nobody_and_no_times():
    nobody = triangle(entered([], [], end=9), rules=EASY)
    assert nobody["reason"].tolist() == ["no_times"]
    assert nowcast(nobody, rules=EASY)["reason"].tolist() == ["no_times"]
    assert back_test(nobody, rules=EASY).reason == "nothing_mature"
    funnel = Funnel(steps=[Step("lead"), Step("won", column="won")], snapshot="users", unit="id")
    untimed = snapshot_journeys(pd.DataFrame({"id": range(60), "won": ["yes", "no"] * 30}), funnel)
    assert triangle(untimed, rules=Rules())["reason"].tolist() == ["no_times"]


def test_an_unknown_stretch_is_refused():
    with pytest.raises(ConfigError, match="stretch"):
        triangle(entered([1], [1], end=9), every="year", rules=EASY)


def test_a_nowcast_by_hand():
    # Two old cohorts: 40 by week 1 and 60 by week 2, of 100 each. A young one: 20 of 100 by week 1, so 30 by week 2.
    days = np.repeat([0.5, 7.5, 14.5], 100)
    taken = [*([3] * 40 + [10] * 20 + [np.nan] * 40) * 2, *[3] * 20, *[10] * 10, *[np.nan] * 70]
    found = nowcast(triangle(entered(days, taken, end=24), rules=Rules()), rules=Rules())
    assert found["seen"].tolist() == [60, 60, 20]
    assert found["expected"].tolist() == pytest.approx([0.6, 0.6, 0.3])
    assert found["low"].iloc[0] == found["high"].iloc[0] == pytest.approx(0.6)
    assert found["low"].iloc[2] < 0.3 < found["high"].iloc[2]
    assert found["finished"].tolist() == [True, False, False]  # the second could still have had younger units
    assert (found["until_age"] == 2).all()
    assert (found["dispersion"] == 1).all()


def test_the_nowcast_of_units_of_one_age_is_eventually():
    """With the delays of all groups, and ages that are whole weeks, both tell the same."""
    days = np.repeat([0.0, 7.0, 14.0], 200)
    rng = np.random.default_rng(8)
    taken = np.where(rng.random(600) < 0.5, rng.choice([7.0, 14.0], 600), np.nan)
    journeys = entered(days, taken, end=21, start=MONDAY + pd.Timedelta(hours=1))
    told = nowcast(triangle(journeys, rules=Rules()), rules=Rules()).iloc[-1]
    journeys = Journeys(
        journeys.funnel, journeys.frame.assign(who=np.repeat(["a", "b", "c"], 200)), None, journeys.as_of, True
    )
    other = eventually(journeys, "who", rules=Rules()).set_index("group").loc["c"]
    assert other["delays"] == "all"
    assert told["expected"] == pytest.approx(other["expected"])
    assert told["dispersion"] == pytest.approx(1)
    assert (told["low"], told["high"]) == pytest.approx((other["low"], other["high"]))


def test_one_more_may_come_where_the_begun_age_has_brought_more_than_was_expected():
    """Of 60 old conversions none took more than a week; of a young cohort 21 of 102 did not, but one took 9 days.

    So the old ones let expect 21, and 22 have come. Half-way through the second week, half of the 80 units that wait
    may still convert as late, as half of one in 60 did: 11 / 60 / 2 = 0.09 to come. Of a Poisson number whose mean is
    gamma distributed with shape 1/2 and that mean, (60 / 71) ** (1/2) = 0.919 are 0, and 0.919 * 0.5 * 11 / 71 = 0.071
    are 1.
    """
    days, never = [1.5] * 200 + [8.5] * 102, np.nan
    taken = [3.0] * 60 + [never] * 140 + [2.0] * 21 + [9.0] + [never] * 80
    found = nowcast(triangle(entered(days, taken, end=18.5), rules=Rules()), rules=Rules()).iloc[1]
    assert (found["entered"], found["seen"], found["finished"]) == (102, 22, False)
    assert found[["expected", "low", "high"]].tolist() == pytest.approx([22 / 102, 22 / 102, 23 / 102])


def test_a_cohort_that_is_too_young_or_too_small_is_not_told():
    days = np.repeat([0.5, 7.5, 20.5, 20.6], [100, 100, 100, 1])
    found = nowcast(triangle(entered(days, [3.0] * 50 + [9.0] * 251, end=23), rules=Rules()), rules=Rules())
    assert found["reason"].tolist() == ["", "", "open"]
    assert np.isnan(found["expected"].iloc[2])
    none = nowcast(triangle(entered([1.0] * 50, [np.nan] * 50, end=30), rules=Rules()), rules=Rules())
    assert none["reason"].tolist() == ["nothing_mature"]


def test_cohorts_that_vary_more_than_chance_widen_the_interval():
    calm, _, _ = drawn(2, weeks=10, per_week=500)
    rng = np.random.default_rng(2)
    days = rng.random(5000) * 70
    slow = (days // 7).astype(int) % 2 == 0
    taken = np.where(rng.random(5000) < 0.4, np.where(slow, rng.uniform(5, 20, 5000), rng.uniform(0, 10, 5000)), np.nan)
    wild = entered(days, taken, end=70, window="21d")
    told = [nowcast(triangle(journeys, rules=Rules()), rules=Rules()) for journeys in (calm, wild)]
    assert told[0]["dispersion"].max() < 2
    assert told[1]["dispersion"].max() > 5


def ladder(early, final, *, young):
    """Finished cohorts of two ages with these conversions, and one of which only the first age is known."""
    rows = [(age, 200, 200, came, 0 if age == 1 else first, True) for first, last in zip(early, final, strict=True)
            for age, came in ((1, first), (2, last))]  # fmt: skip
    rows += [(1, 200, 200, young, 0, True), (2, 200, 0, 0, 0, False)]
    frame = pd.DataFrame(rows, columns=["age", "entered", "observed", "converted", "earlier", "finished"])
    cohort = pd.Timestamp("2026-01-05") + pd.to_timedelta(np.arange(len(frame)) // 2 * 7, unit="D")
    return frame.assign(cohort=cohort, seen=frame["converted"].where(frame["observed"] > 0, young))


def test_how_much_cohorts_vary_by_hand():
    # By age 1, of 100 conversions each: 40, 60, 40, 60; 50 are expected, with variance 100 / 4. Chi-squared is
    # 4 * 10² / 25 = 16 with 3 degrees of freedom, p = 0.0011; that is plain, so 16 / 3 times (3.182 / 1.960)² = 14.06.
    found = nowcast(ladder([40, 60, 40, 60], [100] * 4, young=50), rules=EASY)
    assert found["p"].tolist() == pytest.approx([chi2.sf(16, 3)] * 5)
    wider = (t.ppf(0.975, 3) / norm.ppf(0.975)) ** 2
    assert found["dispersion"].tolist() == pytest.approx([1, 1, 1, 1, 16 / 3 * wider])
    # 45, 55, 46, 54: chi-squared (2 * 25 + 2 * 16) / 25 = 3.28, p = 0.35: as chance easily has it, not made more of.
    mild = nowcast(ladder([45, 55, 46, 54], [100] * 4, young=50), rules=EASY)
    assert mild["dispersion"].iloc[-1] == pytest.approx(3.28 / 3)
    assert mild["p"].iloc[0] == pytest.approx(chi2.sf(3.28, 3))
    even = nowcast(ladder([50] * 4, [100] * 4, young=50), rules=EASY)
    assert even["dispersion"].tolist() == [1.0] * 5
    assert (even["expected"].iloc[-1], even["expected"].iloc[0]) == (pytest.approx(0.5), 0.5)


def test_nowcasts_hold_what_comes_where_delays_drift():
    """Each week its own speed (a spread of 15 %): a step's variation alone would hold 83 % of the ends."""
    held, warned = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        days = rng.random(24_000) * 84
        mean = 5 * np.exp(0.15 * rng.standard_normal(12))[(days // 7).astype(int)]
        taken = np.where(rng.random(len(days)) < 0.3, np.minimum(rng.exponential(mean), 27.9), np.nan)
        told = nowcast(triangle(entered(days, taken, end=84, window="28d"), rules=Rules()), rules=Rules())
        came = pd.Series(np.isfinite(taken)).groupby((days // 7).astype(int)).mean().to_numpy()[: len(told)]
        young = ((told["reason"] == "") & ~told["finished"]).to_numpy()
        held.extend(((told["low"] <= came + 1e-9) & (came <= told["high"] + 1e-9))[young])
        warned += told["p"].iloc[0] < 0.05
    assert np.mean(held) == pytest.approx(0.95, abs=0.05)
    assert warned >= 38


def test_nowcasts_hold_what_comes():
    held = []
    for seed in range(60):
        journeys, converted, week = drawn(seed, per_week=150)
        told = nowcast(triangle(journeys, rules=Rules()), rules=Rules())
        came = pd.Series(converted).groupby(week).mean().to_numpy()
        open_ones = ((told["reason"] == "") & ~told["finished"]).to_numpy()
        held.extend(((told["low"] <= came + 1e-9) & (came <= told["high"] + 1e-9))[open_ones])
    assert len(held) > 100
    assert np.mean(held) == pytest.approx(0.95, abs=0.045)


def test_a_back_test_repeats_the_past():
    journeys, converted, week = drawn(3, weeks=10)
    made = triangle(journeys, rules=Rules())
    found = back_test(made, rules=Rules())
    assert found.reason == ""
    assert found.nowcasts == len(found.table) > 5
    assert found.held == found.table["held"].mean()
    assert found.held > 0.8
    assert abs(found.error) < found.absolute_error < 0.05
    row = found.table[found.table["until_age"] == 3].iloc[0]
    number = (row["cohort"] - pd.Timestamp("2026-01-05")).days // 7
    assert row["came"] == pytest.approx(converted[week == number].mean())
    # What was told then needs nothing that came later: the same triangle, made from what was known then.
    then = (row["told_at"] + pd.Timedelta(1, unit="us")).to_pydatetime()
    frame = journeys.frame[journeys.frame["first_entry"] < then]
    late = (frame["t_2"] > then).to_numpy()
    known = frame.assign(t_2=frame["t_2"].where(~late), depth=np.where(late, 1, frame["depth"]).astype(np.int8))
    past = triangle(Journeys(journeys.funnel, known.reset_index(drop=True), None, then, True), rules=Rules())
    told = nowcast(past[past["finished"]], rules=Rules()).set_index("cohort")
    assert told.loc[row["cohort"], ["expected", "low", "high"]].tolist() == pytest.approx(
        row[["expected", "low", "high"]].tolist()
    )


def test_too_little_past_to_test():
    found = back_test(triangle(entered([0.5] * 50, [3.0] * 50, end=9), rules=Rules()), rules=Rules())
    assert (found.nowcasts, found.reason) == (0, "nothing_mature")
    assert np.isnan(found.held)
    assert found.table.columns.tolist() == [
        "told_at", "cohort", "age", "until_age", "expected", "low", "high", "came", "error", "held"
    ]  # fmt: skip


@pytest.mark.real
def test_a_back_test_on_real_leads_shows_where_the_past_was_no_guide(real_data):
    """Deals were recorded from December 2017 on, leads from June: delays of the old leads are far too long.

    Nowcasts from them were wrong by ten points on average; those from the leads of 2018 alone by one.
    """
    folder = real_data / "olist_funnel"
    leads = pd.read_csv(folder / "olist_marketing_qualified_leads_dataset.csv")
    deals = pd.read_csv(folder / "olist_closed_deals_dataset.csv")[["mql_id", "won_date"]]
    rows = leads.merge(deals, how="left", on="mql_id")
    steps = [Step("lead"), Step("won", column="won_date")]
    funnel = Funnel(steps=steps, snapshot="deals", unit="mql_id", entered="first_contact_date")
    every, young = (
        back_test(triangle(snapshot_journeys(part, funnel), rules=Rules()), rules=Rules())
        for part in (rows, rows[rows["first_contact_date"] >= "2018-01-01"])
    )
    assert every.held < 0.6
    assert every.error > 0.05
    assert young.held > 0.8
    assert young.absolute_error < 0.02


def test_the_stretch_of_a_moment_begins_with_its_bound_also_where_days_are_of_unequal_length():
    even, uneven = np.array([100, 120, 150]), np.array([100, 121, 150])  # days of 10; one of them longer
    moments = np.array([100, 119, 120, 121, 149])
    assert stretch_of(moments, even, 10).tolist() == [0, 0, 1, 1, 1]
    assert stretch_of(moments, uneven, 10).tolist() == [0, 0, 0, 1, 1]
