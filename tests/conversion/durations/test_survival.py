"""Conversion over time from all entries: by day, medians, halves, and whether groups differ."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.survival import by_day, half_of_conversions, log_rank, median_time
from funnel_lib.conversion.durations.timing import curve
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import wilson
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

EASY = Rules(min_units=1, min_events=1)
END = pd.Timestamp("2026-06-01 01:00", tz="UTC")
# Weeks in remission on 6-MP and on placebo (Freireich et al. 1963): those that ended, and those that had not yet.
DRUG = ([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
PLACEBO = ([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], [])


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


def trial():
    """The published trial, in days; those who ended were followed for longer than all others."""
    taken = [days for ended, lasting in (DRUG, PLACEBO) for days in (*ended, *[np.nan] * len(lasting))]
    followed = [days for ended, lasting in (DRUG, PLACEBO) for days in (*[99] * len(ended), *lasting)]
    return waits(taken, followed, arm=["drug"] * 21 + ["placebo"] * 21)


def drawn(seed, units=300, *, span=30.0, **columns):
    rng = np.random.default_rng(seed)
    taken = np.where(rng.random(units) < 0.4, rng.exponential(5, units), np.nan)
    return waits(taken, rng.random(units) * span, **columns)


def columns_of(journeys):
    """Times and whether they ended, as statsmodels wants them."""
    frame = journeys.frame
    last = frame["t_2"].fillna(END)
    return ((last - frame["first_entry"]) / pd.Timedelta(days=1)).to_numpy(), frame["t_2"].notna().to_numpy()


def test_recent_entries_count_for_as_long_as_they_were_followed():
    # 10 units, followed for 10 days; 2 convert on day 1, 1 on day 5. 10 more, followed for 2 days; 1 converts on day 1.
    # Day 1: 3 of 20. Day 5: 10 - 2 = 8 at risk, 1 converts: 1 - 17/20 * 7/8.
    journeys = waits([0.9, 0.9, 4.9] + [np.nan] * 7 + [0.9] + [np.nan] * 9, [10] * 10 + [2] * 10)
    found = by_day(journeys, rules=EASY, days=5)
    assert found["rate"].tolist() == pytest.approx([0, 0.15, 0.15, 0.15, 0.15, 1 - 0.85 * 7 / 8])
    assert found["converted"].tolist() == [0, 3, 3, 3, 3, 4]
    assert found["at_risk"].tolist() == [20, 17, 17, 8, 8, 7]
    assert set(found["method"]) == {"kaplan_meier"}
    assert set(found["reason"]) == {""}


@pytest.mark.parametrize("seed", range(3))
def test_the_same_curve_as_statsmodels(seed):
    journeys = drawn(seed)
    found = by_day(journeys, rules=EASY, days=20).set_index("day")
    theirs = SurvfuncRight(*columns_of(journeys))
    for day in (1, 5, 20):
        place = np.searchsorted(theirs.surv_times, day, side="right") - 1
        assert found.loc[day, "rate"] == pytest.approx(1 - theirs.surv_prob[place], abs=1e-9)


def test_where_all_are_mature_it_is_the_plain_curve():
    """The same rates and the same Wilson intervals as `curve` has for entries whose window has closed."""
    rng = np.random.default_rng(1)
    taken = np.where(rng.random(200) < 0.5, rng.uniform(0, 9, 200), np.nan)
    journeys = waits(taken, 30, window="10d")
    found, plain = by_day(journeys, rules=Rules()), curve(journeys, rules=Rules())
    for name in ("rate", "low", "high"):
        assert found[name].to_numpy() == pytest.approx(plain[name].to_numpy(), abs=1e-12)
    assert found["converted"].tolist() == plain["numerator"].tolist()


def test_dates_are_corrected_for_the_day_that_is_known_in_part():
    # 8 entered on 1 January, 8 on the 9th; the data ends at noon of the 10th. One of each converts on the next day.
    # Day 1: 16 at risk, the 7 young ones that have not converted for half of the day: 2 of 16 - 7/2.
    starts = pd.to_datetime(["2026-01-01"] * 8 + ["2026-01-09"] * 8, utc=True)
    ends = pd.to_datetime(pd.Series(["2026-01-02", *[None] * 7, "2026-01-10", *[None] * 7]), utc=True)
    depth = np.where(ends.notna(), 2, 1).astype(np.int8)
    frame = pd.DataFrame({"unit": range(16), "depth": depth, "first_entry": starts, "t_1": starts, "t_2": ends})
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")])
    noon = pd.Timestamp("2026-01-10 12:00", tz="UTC").to_pydatetime()
    found = by_day(Journeys(funnel, frame, None, noon), rules=EASY, days=2)
    assert found["rate"].tolist() == pytest.approx([0, 2 / 12.5, 2 / 12.5])
    assert set(found["method"]) == {"life_table"}


def test_nothing_is_told_beyond_what_enough_units_were_followed_for():
    journeys = drawn(5, span=20)
    found = by_day(journeys, rules=Rules(), days=40)
    known = found[found["reason"] == ""]["day"].max()
    followed = (END - journeys.frame["first_entry"]) / pd.Timedelta(days=1)
    # Of 300 units 3 times the root: 52.
    assert (followed >= known).sum() >= 52 > (followed >= known + 1).sum()
    beyond = found[found["day"] > known]
    assert set(beyond["reason"]) == {"not_observed"}
    assert beyond[["rate", "low", "high"]].isna().all(axis=None)


def test_groups_are_told_each_for_itself():
    journeys = drawn(6, who=["x", "y"] * 150)
    found = by_day(journeys, "who", rules=EASY, days=10)
    alone = by_day(journeys.select(journeys.frame["who"] == "x"), rules=EASY, days=10)
    assert found[found["group"] == "x"]["rate"].tolist() == alone["rate"].tolist()


@pytest.mark.parametrize(
    ("taken", "followed", "rules", "reason"),
    [
        ([np.nan] * 40, 9, Rules(), "no_conversions"),
        ([1.0], 9, Rules(), "too_few"),
        ([1.0] * 4 + [np.nan] * 96, 9, Rules(), "too_few"),
        ([np.nan], 9, EASY, "no_conversions"),
    ],
)
def test_what_cannot_be_told_has_a_reason(taken, followed, rules, reason):
    journeys = waits(taken, followed, window="9d")
    found = by_day(journeys, rules=rules)
    assert set(found["reason"]) == {reason}
    assert found["rate"].isna().all()
    for row in (median_time(journeys, rules=rules).iloc[0], half_of_conversions(journeys, rules=rules).iloc[0]):
        assert row["reason"] == reason
        assert np.isnan(row["low"])


def test_one_unit_that_converts_is_an_answer_if_one_is_enough():
    found = by_day(waits([1.0], 9, window="9d"), rules=EASY)
    assert found["rate"].tolist() == [0] + [1] * 9
    assert median_time(waits([1.0], 9), rules=EASY)["median"].tolist() == pytest.approx([1])


def test_if_all_convert_the_rate_is_one():
    journeys = waits([0.5, 1.5, 2.5, 3.5] * 10, 20, window="9d")
    found = by_day(journeys, rules=Rules()).iloc[-1]
    assert (found["rate"], found["high"]) == (1, 1)
    assert found["low"] == pytest.approx(wilson(40, 40)[0])
    assert half_of_conversions(journeys, rules=Rules())["half"].iloc[0] == pytest.approx(2)


def test_a_snapshot_without_times_says_so():
    funnel = Funnel(steps=[Step("lead"), Step("won", column="won")], snapshot="users", unit="id")
    found = snapshot_journeys(pd.DataFrame({"id": range(60), "won": ["yes", "no"] * 30}), funnel)
    assert set(by_day(found, rules=Rules())["reason"]) == {"no_times"}
    assert median_time(found, rules=Rules())["reason"].tolist() == ["no_times"]
    assert half_of_conversions(found, rules=Rules())["reason"].tolist() == ["no_times"]


def test_nobody_at_all():
    empty = waits([], [], who=[])
    assert set(by_day(empty, rules=Rules())["reason"]) == {"too_few"}
    assert by_day(empty, "who", rules=Rules()).empty
    assert median_time(empty, "who", rules=Rules()).empty
    assert log_rank(empty, "who", rules=Rules()).reason == "one_group"


def test_the_published_medians():
    """23 weeks on 6-MP, 8 on placebo."""
    found = median_time(trial(), "arm", rules=EASY)
    assert found.set_index("group")["median"].to_dict() == pytest.approx({"drug": 23, "placebo": 8})
    row = found.set_index("group").loc["drug"]
    assert row["low"] == pytest.approx(13)  # as with the log-log interval; there is no upper limit
    assert np.isnan(row["high"])


def test_a_median_is_told_only_where_the_curve_reaches_one_half():
    journeys = drawn(7)
    found = median_time(journeys, rules=Rules()).iloc[0]
    assert found["reason"] == "not_half"
    assert np.isnan(found["median"])
    assert found["converted"] == journeys.frame["t_2"].notna().sum()


def test_half_of_the_conversions_by_hand():
    # All followed for 20 days: 40 convert, on days 1 to 40 tenths; half of them by 2.0 (the 20th; the middle to 2.1).
    journeys = waits([*(np.arange(1, 41) / 10), *[np.nan] * 60], 20, window="9d")
    found = half_of_conversions(journeys, rules=Rules()).iloc[0]
    assert found["half"] == pytest.approx(2.05)
    assert found["until"] == 9
    # The score test of a median of 40: ranks 14 and 27, as Wilson's interval of 13/40 ends below one half.
    assert (found["low"], found["high"]) == pytest.approx((1.4, 2.7))
    low, high = wilson(np.array([13, 14, 26, 27]), np.full(4, 40))
    assert (high[0] < 0.5 <= high[1], low[2] <= 0.5 < low[3]) == (True, True)


def test_half_of_the_conversions_is_not_bent_by_recent_entries():
    """Everybody takes 1 or 9 days. Of those who entered 5 days ago only the fast have come: their median is 1."""
    taken = [1.0, 9.0, 9.0] * 30
    journeys = waits(taken * 2, [20] * 90 + [5] * 90, window="10d")
    seen = journeys.frame["t_2"] - journeys.frame["t_1"]
    assert seen.dropna().dt.days.value_counts().to_dict() == {9: 60, 1: 60}
    assert half_of_conversions(journeys, rules=Rules())["half"].iloc[0] == pytest.approx(9)


def test_half_needs_the_whole_window_observed():
    found = half_of_conversions(waits([1.0] * 50 + [np.nan] * 50, 5, window="10d"), rules=Rules()).iloc[0]
    assert found["reason"] == "not_observed"
    assert np.isnan(found["half"])


def test_the_published_log_rank_test():
    """6-MP against placebo: chi-squared 16.79 with one degree of freedom; expected 19.25 and 10.75."""
    found = log_rank(trial(), "arm", rules=EASY)
    assert found.statistic == pytest.approx(16.79, abs=0.005)
    assert found.degrees == 1
    table = found.table.set_index("group")
    assert table["expected"].round(2).to_dict() == {"drug": 19.25, "placebo": 10.75}
    assert table["converted"].to_dict() == {"drug": 9, "placebo": 21}
    assert table["p_adjusted"].tolist() == pytest.approx([found.p, found.p])  # one comparison
    assert table["clear"].tolist() == [True, True]


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_the_same_log_rank_as_statsmodels(groups):
    names = np.random.default_rng(groups).choice(list("abcde")[:groups], 300)
    journeys = drawn(groups, who=names)
    found = log_rank(journeys, "who", rules=EASY)
    times, ended = columns_of(journeys)
    statistic, p = survdiff(times, ended, names)
    assert (found.statistic, found.p) == pytest.approx((statistic, p), rel=1e-6)
    single = found.table.set_index("group")
    for name in set(names):
        assert single.loc[name, "p"] == pytest.approx(survdiff(times, ended, names == name)[1], rel=1e-6)
    assert single["converted"].sum() == pytest.approx(single["expected"].sum())
    if groups > 2:  # Holm: the smallest p-value counts for all comparisons
        assert single["p_adjusted"].min() == pytest.approx(min(1, single["p"].min() * groups))


def test_small_groups_are_not_compared():
    names = ["big"] * 150 + ["other"] * 146 + ["tiny"] * 4
    found = log_rank(drawn(2, who=names), "who", rules=Rules())
    table = found.table.set_index("group")
    assert table.loc["tiny", "reason"] == "too_few"
    assert np.isnan(table.loc["tiny", "p"])
    assert not np.isnan(table.loc["big", "p"])
    alone = log_rank(drawn(2, who=["all"] * 300), "who", rules=Rules())
    assert (alone.reason, alone.table["reason"].tolist()) == ("one_group", ["one_group"])
    assert np.isnan(alone.statistic)


def test_an_unknown_column_is_refused():
    with pytest.raises(ConfigError, match="no column"):
        by_day(waits([1.0], 9), "colour", rules=EASY)


@pytest.mark.real
def test_real_deals_from_all_leads(real_data):
    """8,000 leads of a marketplace, 841 usable deals; the dates of the leads are days, so the life table is used.

    Seen from its end the data is old (the last lead 167 days), so that by day 90 nothing is left to correct.
    """
    folder = real_data / "olist_funnel"
    leads = pd.read_csv(folder / "olist_marketing_qualified_leads_dataset.csv")
    deals = pd.read_csv(folder / "olist_closed_deals_dataset.csv")[["mql_id", "won_date"]]
    funnel = Funnel(
        steps=[Step("lead"), Step("won", column="won_date")],
        snapshot="deals",
        unit="mql_id",
        entered="first_contact_date",
    )
    found = snapshot_journeys(leads.merge(deals, how="left", on="mql_id"), funnel, by=["origin"])
    days = by_day(found, rules=Rules()).set_index("day")
    assert set(days["method"]) == {"life_table"}
    assert days.loc[90, "rate"] == pytest.approx(days.loc[90, "converted"] / 7999)
    assert (days.loc[90, "low"], days.loc[90, "high"]) == pytest.approx(wilson(days.loc[90, "converted"], 7999))
    assert days.loc[366, "rate"] > days.loc[366, "converted"] / 7999  # the young leads may still be won
    half = half_of_conversions(found, rules=Rules()).iloc[0]
    assert half["low"] <= half["half"] <= half["high"]
    assert half["half"] >= 14  # the median of the deals seen is 14 days
    tested = log_rank(found, "origin", rules=Rules()).table.set_index("group")
    assert tested.loc["social", "clear"]
    assert tested.loc["social", "ratio"] < 1 < tested.loc["unknown", "ratio"]


def test_more_rows_for_each_day_lie_on_the_same_curve():
    made = drawn(3)
    daily, hourly = by_day(made, rules=EASY), by_day(made, per_day=24, rules=EASY)
    whole = hourly[hourly["day"] % 1 == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole.astype({"day": "int64"}), daily)
    assert len(hourly) == 24 * (len(daily) - 1) + 1
    assert hourly["rate"].dropna().is_monotonic_increasing
