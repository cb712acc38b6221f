"""Times to convert: quantiles, their intervals, and the curve of conversion."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.timing import curve, quantile_interval, time_to_convert
from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.rates import rates, wilson
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="10d")
EASY = Rules(min_units=1, min_events=1)
START = pd.Timestamp("2026-01-01", tz="UTC")


def log(taken, *, entered=0.0, end=60.0, **columns):
    """One unit per time taken: A, and B so many days later (NaN: never); the log ends after `end` days."""
    first = pd.DataFrame({"user_id": range(len(taken)), "event": "A", "days": entered, **columns})
    second = first.assign(event="B", days=entered + np.asarray(taken, dtype=float))
    last = pd.DataFrame({"user_id": [-1], "event": ["end"], "days": [end]})
    rows = pd.concat([first, second, last])
    rows = rows[rows["days"] <= end]  # NaN is not
    return rows.assign(ts=START + pd.to_timedelta(rows.pop("days"), unit="D"))


def test_quantiles_of_known_times():
    found = time_to_convert(journeys(log([1, 2, 3, 4, 5, np.nan]), AB), rules=EASY).iloc[0]
    assert found["n"] == 5
    assert found[["q25", "median", "q75"]].tolist() == [2, 3, 4]
    assert found["reason"] == ""


def test_a_step_dated_before_the_one_before_it_takes_no_time():
    """Only the day of B is known: 0:00, before the A of that day, which the funnel's grace allows."""
    late = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="10d", matching={"grace": "1d"})
    made = journeys(log([-0.6, -0.3, 2], entered=1.0), late)
    found = time_to_convert(made, rules=EASY).iloc[0]
    assert found["n"] == 3
    assert found[["q25", "median", "q75"]].tolist() == [0, 0, 1]  # of 0, 0 and 2 days
    day_0 = curve(made, rules=EASY).set_index("day")["numerator"]
    assert day_0[0] == 2


@pytest.mark.parametrize("q", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("n", [5, 6, 9, 30, 841])
def test_ranks_are_those_of_the_binomial_distribution(n, q):
    low, high = quantile_interval(np.arange(1, n + 1), q)  # values are their ranks
    # The ranks hold the quantile at least 95 times in 100, and no narrower pair with tails of 2.5 % does.
    below = 0 if np.isnan(low) else low
    above = n + 1 if np.isnan(high) else high
    assert binom.cdf(below - 1, n, q) <= 0.025 < binom.cdf(below, n, q)
    assert binom.sf(above - 1, n, q) <= 0.025 < binom.sf(above - 2, n, q)


def test_the_median_interval_of_ten_is_ranks_2_and_9():
    assert quantile_interval(range(1, 11), 0.5) == (2, 9)  # as in tables of the sign test


def test_five_values_cannot_bound_a_median():
    assert np.isnan(quantile_interval([1, 2, 3, 4, 5], 0.5)).all()
    assert np.isnan(quantile_interval([], 0.5)).all()


def test_the_interval_covers_the_median_of_a_skewed_distribution():
    rng = np.random.default_rng(5)
    held = [
        low <= np.exp(0) <= high
        for low, high in (quantile_interval(rng.lognormal(0, 1.5, 40), 0.5) for _ in range(2000))
    ]
    # Exact coverage of these ranks: P(14 <= Bin(40, .5) <= 26) = 96.2 %; 2000 draws: +- 1.3 points.
    assert np.mean(held) == pytest.approx(binom.cdf(26, 40, 0.5) - binom.cdf(13, 40, 0.5), abs=0.013)


def test_recent_conversions_do_not_shorten_the_time():
    """Everybody takes 1 or 9 days. Of those who entered 5 days ago, only the fast have arrived."""
    taken = [1, 9] * 50
    old, young = log(taken, entered=0, end=20), log(taken, entered=15, end=20)
    young["user_id"] += 1000
    found = journeys(pd.concat([old, young]), AB)
    assert time_to_convert(found, rules=EASY)["median"].iloc[0] == 5  # (1 + 9) / 2, the old ones only
    assert time_to_convert(found, rules=Rules(mature_only=False))["median"].iloc[0] == 1


def test_groups_and_steps():
    funnel = Funnel(steps=[*AB.steps, Step("C", event="C")], window="30d")
    events = log([1] * 6 + [3] * 6, group=["x"] * 6 + ["y"] * 6)
    more = events[events["event"] == "B"].assign(event="C", ts=lambda rows: rows["ts"] + 2 * pd.Timedelta(days=1))
    found = journeys(pd.concat([events, more]), funnel, by=["group"])
    assert time_to_convert(found, "group", rules=EASY)["median"].tolist() == [3, 5]
    assert time_to_convert(found, "group", start=2, rules=EASY)["median"].tolist() == [2, 2]
    assert time_to_convert(found, "group", end=2, rules=EASY)["median"].tolist() == [1, 3]


@pytest.mark.parametrize(("start", "end"), [(2, 2), (0, 1), (1, 3), (2, 1)])
def test_impossible_steps_are_refused(start, end):
    with pytest.raises(ConfigError, match="cannot be told"):
        time_to_convert(journeys(log([1]), AB), start=start, end=end, rules=EASY)


def test_too_few_are_not_summarised():
    found = time_to_convert(journeys(log([1] * 4 + [np.nan] * 96), AB), rules=Rules()).iloc[0]
    assert (found["n"], found["reason"]) == (4, "too_few")
    assert np.isnan(found["median"])


def test_a_snapshot_without_times_says_so():
    funnel = Funnel(steps=[Step("lead"), Step("won", column="won")], snapshot="users", unit="id")
    rows = pd.DataFrame({"id": range(60), "won": ["yes", "no"] * 30})
    found = snapshot_journeys(rows, funnel)
    assert time_to_convert(found, rules=Rules()).iloc[0]["reason"] == "no_times"
    lines = curve(found, rules=Rules())
    assert set(lines["reason"]) == {"no_times"}
    assert lines["rate"].isna().all()


def test_the_curve_ends_at_the_rate():
    found = journeys(log([0, 0.5, 1, 1.01, 10, 10.1] * 10 + [np.nan] * 40), AB)
    lines = curve(found, rules=Rules())
    assert lines["day"].tolist() == list(range(11))
    # Day 0: at the same instant only. 10.1 days is outside the window of 10.
    assert lines["numerator"].tolist() == [10, 30, 40, 40, 40, 40, 40, 40, 40, 40, 50]
    assert (lines["denominator"] == 100).all()
    total = rates(found, rules=Rules()).iloc[-1]
    assert lines["rate"].iloc[-1] == total["rate"]
    assert (lines["low"].iloc[2], lines["high"].iloc[2]) == wilson(40, 100)


def test_the_curve_by_group_never_falls_and_adds_up():
    rng = np.random.default_rng(8)
    taken = np.where(rng.random(300) < 0.5, rng.exponential(3, 300), np.nan)
    found = journeys(log(taken, group=rng.choice(list("xyz"), 300)), AB, by=["group"])
    lines = curve(found, "group", rules=Rules(), days=5)
    for _, line in lines.groupby("group"):
        assert line["numerator"].is_monotonic_increasing
        assert line["rate"].between(0, 1).all()
    whole = curve(found, rules=Rules(), days=5)
    assert lines.groupby("day")["numerator"].sum().tolist() == whole["numerator"].tolist()


def test_a_curve_of_too_few_is_not_drawn():
    lines = curve(journeys(log([1] * 4 + [np.nan] * 96), AB), rules=Rules())
    assert set(lines["reason"]) == {"too_few"}
    assert lines["rate"].isna().all()


@pytest.mark.real
def test_real_deals_take_a_median_of_14_days(real_data):
    """8,000 leads of a marketplace; 842 became sellers, one of them before its first contact: 841 count."""
    folder = real_data / "olist_funnel"
    leads = pd.read_csv(folder / "olist_marketing_qualified_leads_dataset.csv")
    deals = pd.read_csv(folder / "olist_closed_deals_dataset.csv")[["mql_id", "won_date"]]
    rows = leads.merge(deals, how="left", on="mql_id")
    steps = [Step("lead"), Step("won", column="won_date")]
    funnel = Funnel(steps=steps, snapshot="deals", unit="mql_id", entered="first_contact_date")
    found = snapshot_journeys(rows, funnel)
    assert found.set_aside == {"no_unit": 0, "no_entry": 0, "out_of_order": 1}
    assert found.counts()["units"].tolist() == [7999, 841]
    row = time_to_convert(found, rules=Rules()).iloc[0]
    assert row["n"] == 841
    assert int(row["median"]) == 14
    assert row["median_low"] <= row["median"] <= row["median_high"]
