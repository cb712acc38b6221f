"""Control charts of daily rates: limits, alarms, alerts, and how often they ring for nothing."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from funnel_lib.config import Rules
from funnel_lib.conversion.movement.control import WIDTH, alerts, chart
from funnel_lib.errors import DataError

RULES = Rules()
FIRST = pd.Timestamp("2026-01-05")  # a Monday


def series(days: int, *, units: int = 1000, rate: float = 0.3, seed: int = 0) -> pd.DataFrame:
    """Binomial days of one rate."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "day": pd.date_range(FIRST, periods=days), "numerator": rng.binomial(units, rate, days), "denominator": units,
    })  # fmt: skip


def day(number: int) -> date:
    return (FIRST + pd.Timedelta(days=number)).date()


def test_limits_are_laneys_wider_by_what_learning_them_adds():
    """Equal weekdays: expected is the mean, and sigma the largest of 1, the moving range's and the plain one."""
    counts = series(56)
    counts["numerator"] = np.where(np.arange(56) % 2, 340, 260)  # p = 0.3, far more variation than a binomial's
    found = chart(counts, learnt_until=day(55), rules=RULES)
    error = np.sqrt(0.3 * 0.7 / 1000)
    z = (counts["numerator"] / 1000 - 0.3) / error
    ranged = z.diff().abs().mean() / 1.128379
    plain = np.sqrt((z**2).sum() / 49)
    assert found.sigma == pytest.approx(max(ranged, plain), rel=1e-3)
    reach = found.sigma * t.isf(norm.sf(WIDTH), 49) * np.sqrt(1 + 7 / 56)
    assert found.frame["expected"].to_numpy() == pytest.approx(0.3, abs=0.005)
    assert (found.frame["high"] - found.frame["expected"]).to_numpy() == pytest.approx(reach * error, rel=0.02)


def test_a_weekday_on_which_nobody_passed_yet_is_not_sure_to_stay_so():
    """Eight people a day at 4 %: on eight Saturdays nobody passes by chance (0.96^64 = 7 %), so 0 is not expected."""
    counts = series(70, units=8, rate=0.04, seed=3)
    saturdays = counts["day"].dt.day_of_week == 5
    counts.loc[saturdays & (counts.index < 56), "numerator"] = 0
    frame = chart(counts, learnt_until=day(55), rules=RULES).frame
    common = counts.loc[:55, "numerator"].sum() / (8 * 56)
    assert (frame.loc[saturdays, "expected"] > common / 2).all()
    assert not frame["outside"].any()


def test_a_day_of_two_people_says_little():
    """Two people a day at 90 %: that neither passes has a chance of 1 %, more than the limits stand for."""
    counts = series(86, units=2, rate=0.9, seed=4)
    counts.loc[70, "numerator"] = 0
    frame = chart(counts, learnt_until=day(55), rules=RULES).frame
    assert not frame["outside"].any()
    assert (frame["low"] == 0).all()
    rang = 0
    for seed in range(150):
        watched = chart(series(86, units=3, rate=0.9, seed=seed), learnt_until=day(55), rules=RULES).frame
        rang += bool(watched["outside"].any())
    assert rang / 150 <= 0.10


def test_a_fault_rings_on_its_days_and_only_there():
    counts = series(84)
    counts.loc[70:72, "numerator"] = 180  # 18 % instead of 30 %
    frame = chart(counts, learnt_until=day(55), rules=RULES).frame
    assert list(frame.index[frame["outside"]]) == [70, 71, 72]
    assert not frame.loc[:55, ["outside", "drifting"]].any().any()


def test_a_small_lasting_shift_rings_the_moving_average_before_any_single_day():
    counts = series(84)
    counts.loc[56:, "numerator"] += 35  # 3.5 points: 2.4 standard deviations of a day, below the limit of 3.6
    frame = chart(counts, learnt_until=day(55), rules=RULES).frame
    drifting = frame.index[frame["drifting"]]
    assert len(drifting) > 10
    assert drifting[0] <= 65


def test_weekends_are_expected_to_differ():
    counts = series(84)
    weekend = counts["day"].dt.day_of_week >= 5
    counts.loc[weekend, "numerator"] = np.random.default_rng(3).binomial(1000, 0.2, weekend.sum())
    frame = chart(counts, learnt_until=day(55), rules=RULES).frame
    assert not frame["outside"].any()
    assert frame.loc[weekend, "expected"].to_numpy() == pytest.approx(0.2, abs=0.02)


def test_days_without_units_have_no_rate_and_do_not_ring():
    counts = series(84).drop(index=[60, 61])
    frame = chart(counts, learnt_until=day(55), rules=RULES).frame
    assert len(frame) == 84
    assert frame.loc[60:61, "rate"].isna().all()
    assert not frame.loc[60:61, "outside"].any()


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        (series(27), "too_short"),
        (series(0), "too_short"),
        (series(56, units=0), "too_short"),
        (series(56).assign(numerator=0), "too_few"),
        (series(56).assign(numerator=1000), "no_variation"),
    ],
)
def test_what_cannot_be_judged_says_why(counts, reason):
    found = chart(counts, learnt_until=day(55), rules=RULES)
    assert found.reason == reason
    assert found.frame.empty
    assert alerts({"a": found}).empty


def test_counts_without_a_column_are_refused_and_left_as_they_are():
    with pytest.raises(DataError, match="lack a column"):
        chart(series(56).drop(columns="numerator"), learnt_until=day(55), rules=RULES)
    counts = series(84)
    before = counts.copy()
    chart(counts, learnt_until=day(55), rules=RULES)
    pd.testing.assert_frame_equal(counts, before)


def test_alerts_are_given_once_closed_after_calm_days_and_held_while_data_fails():
    counts = series(90)
    counts.loc[[60, 62, 70, 89], "numerator"] = [150, 150, 450, 150]
    charts = {"pay": chart(counts, learnt_until=day(55), rules=RULES)}
    # 60 and 62 belong together (one calm day between), 70 is the other way, 89 is the last day: still open.
    found = alerts(charts, faulty=[day(70)])
    day_alerts = found[found["kind"] == "day"].sort_values("opened")
    assert [d.date() for d in day_alerts["opened"]] == [day(60), day(70), day(89)]
    assert list(day_alerts["direction"]) == ["down", "up", "down"]
    assert list(day_alerts["held"]) == [False, True, False]
    first = day_alerts.iloc[0]
    assert first["last"].date() >= day(62)
    assert first["closed"].date() == first["last"].date() + pd.Timedelta(days=3)
    assert pd.isna(day_alerts.iloc[-1]["closed"])
    assert day_alerts.iloc[-1]["rate"] == pytest.approx(0.15)


@pytest.mark.parametrize(("noise", "memory"), [(0.0, 0.0), (0.01, 0.0), (0.01, 0.3)])
def test_a_month_of_nothing_rings_for_at_most_a_tenth(noise, memory):
    """56 days learnt, 30 watched; real variation from day to day, alone and with memory (benchmarks has more)."""
    rng, rang, runs = np.random.default_rng(11), 0, 150
    for _ in range(runs):
        real = rng.normal(size=86)
        for place in range(1, 86):
            real[place] = memory * real[place - 1] + np.sqrt(1 - memory**2) * real[place]
        passed = rng.binomial(2000, 0.3 + noise * real)
        counts = pd.DataFrame({
            "day": pd.date_range(FIRST, periods=86), "numerator": passed, "denominator": 2000,
        })  # fmt: skip
        frame = chart(counts, learnt_until=day(55), rules=RULES).frame
        rang += bool(frame["outside"].any() or frame["drifting"].any())
    assert rang / runs <= 0.10 + 2 * np.sqrt(0.1 * 0.9 / runs)
