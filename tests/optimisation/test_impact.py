"""Comparisons over time: difference in differences, a false date, and a mere before and after."""

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.proportion import confint_proportions_2indep

from funnel_lib.optimisation.impact import before_after, difference_in_differences, placebo, pretrend

SHANGHAI = ZoneInfo("Asia/Shanghai")
# cell: (group, after) -> (converted, units); rates 10 %, 25 %, 20 %, 24 %
CELLS = {
    ("student", False): (20, 200),
    ("student", True): (75, 300),
    ("working", False): (80, 400),
    ("working", True): (60, 250),
}


def units(cells: dict[tuple[str, bool], tuple[int, int]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"group": group, "after": after, "converted": np.arange(n) < k})
        for (group, after), (k, n) in cells.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_difference_in_differences_worked_out_by_hand():
    found = difference_in_differences(units(CELLS), "student")
    # (25 % - 10 %) - (24 % - 20 %) = 11 points
    assert found.estimate == pytest.approx(0.11)
    assert found.cells["units"].tolist() == [200, 300, 400, 250]
    assert found.cells["rate"].tolist() == pytest.approx([0.10, 0.25, 0.20, 0.24])
    assert found.cells["group"].tolist() == ["treated", "treated", "control", "control"]
    # HC1 in this saturated model: sum of p (1 - p) / n of the cells, times N / (N - 4)
    variance = sum((k / n) * (1 - k / n) / n for k, n in CELLS.values()) * 1150 / 1146
    half = 1.959964 * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((0.11 - half, 0.11 + half), abs=1e-6)
    assert found.clear
    assert found.p < 0.05


def test_the_difference_in_differences_equals_the_formula_of_statsmodels():
    frame = units(CELLS).sample(frac=1, random_state=3)
    plain = frame.assign(y=frame["converted"].astype(float), g=(frame["group"] == "student") * 1, t=frame["after"] * 1)
    fit = smf.ols("y ~ g * t", plain).fit(cov_type="HC1")
    found = difference_in_differences(frame, "student", level=0.9)
    assert found.estimate == pytest.approx(fit.params["g:t"])
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int(0.1).loc["g:t"]))
    assert found.p == pytest.approx(fit.pvalues["g:t"])


def test_all_other_groups_are_the_control_and_the_frame_is_left_alone():
    frame = units({**CELLS, ("retired", False): (40, 200), ("retired", True): (48, 200)})
    before = frame.copy()
    found = difference_in_differences(frame, "student")
    pd.testing.assert_frame_equal(frame, before)
    assert found.cells["units"].tolist() == [200, 300, 600, 450]


@pytest.mark.parametrize(
    "cell",
    [
        (3, 200),
        (10, 29),
        (0, 0),
        (197, 200),
    ],  # few conversions, few units, none at all, few that did not convert
)
def test_a_cell_that_is_too_small_withholds_the_estimate(cell: tuple[int, int]):
    found = difference_in_differences(units({**CELLS, ("student", False): cell}), "student")
    assert found.reason == "too_few"
    assert math.isnan(found.estimate)
    assert math.isnan(found.p)
    assert not found.clear
    assert len(found.cells) == 4


def dated(per_week: dict[str, list[tuple[int, int]]], first: datetime) -> pd.DataFrame:
    """Units of each group that enter at the start of each week from `first` on."""
    parts = []
    for group, weeks in per_week.items():
        for week, (k, n) in enumerate(weeks):
            entered = pd.Series([first + timedelta(weeks=week)] * n).dt.as_unit("us")
            parts.append(pd.DataFrame({"group": group, "entered": entered, "converted": np.arange(n) < k}))
    return pd.concat(parts, ignore_index=True)


MONDAY = datetime(2026, 1, 5, tzinfo=SHANGHAI).astimezone(UTC)
WEEKS = dated({"a": [(10, 100), (10, 100), (30, 100)], "b": [(20, 100), (20, 100), (20, 100)]}, MONDAY)


def test_the_placebo_reads_only_what_entered_before_the_true_date():
    second, third = MONDAY + timedelta(weeks=1), MONDAY + timedelta(weeks=2)
    found = placebo(WEEKS, "a", at=second, until=third)
    assert found.estimate == pytest.approx(0)
    assert found.cells["units"].sum() == 400
    assert not found.clear
    # were the third week let in, the false date would find (20 % - 10 %) - 0
    assert placebo(WEEKS, "a", at=second, until=third + timedelta(days=1)).estimate == pytest.approx(0.1)


def test_a_placebo_with_nothing_on_one_side_is_withheld():
    assert placebo(WEEKS, "a", at=MONDAY, until=MONDAY + timedelta(weeks=2)).reason == "too_few"


def test_the_trend_before_is_counted_by_week_of_the_zone():
    found = pretrend(WEEKS, until=MONDAY + timedelta(weeks=2), zone=SHANGHAI)
    assert found["group"].tolist() == ["a", "a", "b", "b"]
    # the first instant of Monday in Shanghai is still Sunday in UTC
    assert found["week"].tolist() == [date(2026, 1, 5), date(2026, 1, 12)] * 2
    assert found["rate"].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert found["units"].tolist() == [100] * 4
    assert found["reason"].isna().all()
    assert pretrend(WEEKS, until=MONDAY, zone=SHANGHAI).empty


def test_before_and_after_worked_out_and_compared_with_statsmodels():
    found = before_after((48, 80), (56, 70))
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx(confint_proportions_2indep(56, 70, 48, 80, method="newcomb"))
    assert found.clear
    assert (found.before.rate, found.after.rate) == pytest.approx((0.6, 0.8))
    assert found.after_dip is None


def test_a_change_that_followed_a_dip_says_so():
    assert before_after((48, 800), (80, 800), earlier=(80, 800)).after_dip is True
    assert before_after((80, 800), (90, 800), earlier=(80, 800)).after_dip is False
    assert before_after((80, 800), (90, 800), earlier=(8, 10)).after_dip is None


def test_too_few_before_withhold_the_difference():
    found = before_after((2, 80), (56, 70))
    assert found.reason == "too_few"
    assert math.isnan(found.difference)
    assert not found.clear


def test_without_an_effect_the_comparison_is_rarely_clear_and_it_mostly_holds_the_truth():
    rng, runs = np.random.default_rng(5), 200
    clear = holds = 0
    for _ in range(runs):
        # both groups move by 5 points together; in the second set the treated one by 4 more
        counts = {key: (int(rng.binomial(400, p)), 400) for key, p in zip(CELLS, (0.10, 0.15, 0.20, 0.25), strict=True)}
        clear += difference_in_differences(units(counts), "student").clear
        lifted = {**counts, ("student", True): (int(rng.binomial(400, 0.19)), 400)}
        found = difference_in_differences(units(lifted), "student")
        holds += found.low <= 0.04 <= found.high
    assert clear / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert abs(holds / runs - 0.95) < 3.5 * math.sqrt(0.05 * 0.95 / runs)
