"""A trial says what happened, how sure that is, and whether it may be read at all."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare, fisher_exact
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportion_effectsize,
    proportions_ztest,
)

from funnel_lib.errors import ConfigError
from funnel_lib.optimisation.experiments import (
    detectable,
    read_arm,
    read_trial,
    required,
    sample_ratio,
    significance,
)

HALVES = {"control": 0.5, "treatment": 0.5}


@pytest.mark.parametrize(
    ("counts", "p", "ok"),
    [
        ((10_000, 10_400), 0.005, True),
        ((5_000, 5_200), 0.048, True),
        ((10_000, 10_600), 0.00003, False),
        ((500, 500), 1.0, True),
    ],
)
def test_sample_ratio_against_the_plan(counts: tuple[int, int], p: float, ok: bool):
    found = sample_ratio(dict(zip(HALVES, counts, strict=True)), HALVES)
    assert found.p == pytest.approx(p, abs=0.0006)
    assert found.ok is ok
    reference = chisquare(counts)
    assert found.statistic == pytest.approx(reference.statistic)
    assert found.p == pytest.approx(reference.pvalue)


def test_sample_ratio_of_three_unequal_arms():
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    found = sample_ratio({"a": 480, "b": 330, "c": 190}, shares)
    assert found.expected == pytest.approx({"a": 500, "b": 300, "c": 200})
    assert found.p == pytest.approx(chisquare([480, 330, 190], [500, 300, 200]).pvalue)


def test_without_units_nothing_is_fine():
    found = sample_ratio({"control": 0, "treatment": 0}, HALVES)
    assert math.isnan(found.p)
    assert not found.ok
    assert found.reason == "no_units"


@pytest.mark.parametrize(
    "shares", [{"control": 0.5, "treatment": 0.4}, {"control": 1.0}, {"control": 1, "treatment": 0}]
)
def test_shares_that_do_not_fit_the_arms_are_refused(shares: dict[str, float]):
    with pytest.raises(ConfigError, match="planned shares"):
        sample_ratio({"control": 10, "treatment": 10}, shares)


def test_a_trial_worked_out_by_hand_and_by_statsmodels():
    # 48 of 80 against 56 of 70: 0.8 - 0.6 = 0.2; Newcombe's published interval is 0.0524 to 0.3339
    found = read_trial((48, 80), (56, 70))
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert (found.low, found.high) == pytest.approx(confint_proportions_2indep(56, 70, 48, 80, method="newcomb"))
    assert (found.control.low, found.control.high) == pytest.approx(proportion_confint(48, 80, method="wilson"))
    assert found.p == pytest.approx(proportions_ztest([48, 56], [80, 70])[1])
    assert found.test == "z"
    assert found.clear
    assert found.relative == pytest.approx(0.8 / 0.6 - 1)
    assert found.relative_low < found.relative < found.relative_high
    assert found.reason is None


def test_the_relative_change_is_close_to_the_score_interval_of_a_ratio():
    found = read_trial((500, 5000), (600, 5000))
    low, high = confint_proportions_2indep(600, 5000, 500, 5000, compare="ratio", method="score")
    assert (found.relative_low + 1, found.relative_high + 1) == pytest.approx((low, high), abs=0.003)


@pytest.mark.parametrize(
    ("k1", "n1", "k2", "n2"),
    [(5, 1000, 18, 1000), (5, 1000, 15, 1000), (40, 400, 58, 410), (300, 301, 310, 312)],
)
def test_difference_and_ratio_exclude_no_effect_together(k1: int, n1: int, k2: int, n2: int):
    for lower, upper in (((k1, n1), (k2, n2)), ((k2, n2), (k1, n1))):
        found = read_trial(lower, upper)
        assert (found.low > 0) == (found.relative_low > 0)
        assert (found.high < 0) == (found.relative_high < 0)
        assert found.relative_low <= found.relative <= found.relative_high


def test_a_small_trial_is_tested_exactly():
    # of 20 conversions in 400 units 9.75 and 10.25 are expected: z; of 8 non-conversions 3.9: Fisher
    assert significance((8, 195), (12, 205))[1] == "z"
    p, test = significance((190, 195), (202, 205))
    assert test == "fisher"
    assert p == pytest.approx(fisher_exact([[190, 5], [202, 3]]).pvalue)


def test_nobody_or_everybody_converting_is_no_difference():
    assert significance((0, 50), (0, 60)) == (pytest.approx(1.0), "fisher")
    assert significance((50, 50), (60, 60))[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [((10, 29), (20, 400)), ((20, 400), (10, 29)), ((4, 400), (20, 400)), ((0, 0), (20, 400))],
)
def test_too_few_units_or_conversions_withhold_the_effect(control: tuple[int, int], treatment: tuple[int, int]):
    found = read_trial(control, treatment)
    assert found.reason == "too_few"
    assert not found.clear
    for number in (found.difference, found.low, found.high, found.relative, found.p):
        assert math.isnan(number)
    no_limits = read_trial(control, treatment, min_units=0, min_events=0)
    assert no_limits.reason == ("too_few" if control[1] == 0 else None)


def test_without_limits_an_arm_may_have_no_conversion():
    found = read_trial((0, 100), (10, 100), min_events=0)
    assert found.difference == pytest.approx(0.1)
    assert math.isnan(found.relative)  # ten times nothing
    lost = read_trial((10, 100), (0, 100), min_events=0)
    assert (lost.relative, lost.relative_low) == (-1, -1)
    assert -1 < lost.relative_high < 0


def test_a_broken_split_withholds_the_effect_but_not_the_counts():
    ratio = sample_ratio({"control": 1000, "treatment": 1300}, HALVES)
    found = read_trial((100, 1000), (200, 1300), names=("old", "new"), ratio=ratio)
    assert found.reason == "sample_ratio"
    assert math.isnan(found.difference)
    assert math.isnan(found.p)
    assert (found.treatment.name, found.treatment.converted, found.treatment.units) == ("new", 200, 1300)
    fair = sample_ratio({"control": 1000, "treatment": 1010}, HALVES)
    assert read_trial((100, 1000), (150, 1010), ratio=fair).reason is None


def test_the_level_widens_the_interval_and_tightens_clear():
    wide, narrow = (
        read_trial((100, 1000), (129, 1000), level=0.99),
        read_trial((100, 1000), (129, 1000), level=0.9),
    )
    assert wide.low < narrow.low < narrow.difference < narrow.high < wide.high
    assert narrow.clear
    assert not wide.clear


@pytest.mark.parametrize("counts", [(5, 4), (-1, 4)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]):
    with pytest.raises(ConfigError, match="cannot be"):
        read_arm("control", *counts)


@pytest.mark.parametrize(
    ("baseline", "lift", "units"),
    [
        (0.02, 0.1, 80_638),
        (0.02, 0.2, 21_067),
        (0.05, 0.1, 31_218),
        (0.1, 0.3, 1_769),
        (0.2, 0.2, 1_681),
        (0.3, 0.3, 437),
    ],
)
def test_required_units_are_those_of_the_published_formula(baseline: float, lift: float, units: int):
    assert required(baseline, lift) == units
    size = proportion_effectsize(baseline * (1 + lift), baseline)
    assert NormalIndPower().power(size, units, 0.05) >= 0.8 > NormalIndPower().power(size, units - 1, 0.05)


def test_a_fall_needs_about_as_many_units_as_a_rise():
    assert required(0.1, -0.2) == pytest.approx(required(0.1, 0.2), rel=0.2)
    assert required(0.1, 0.2, power=0.9) > required(0.1, 0.2)


@pytest.mark.parametrize(("baseline", "lift"), [(0, 0.1), (1, -0.1), (0.5, 1.0), (0.5, -1.0), (0.5, 0.0), (-0.1, 0.1)])
def test_a_lift_that_no_trial_can_show_is_refused(baseline: float, lift: float):
    with pytest.raises(ConfigError, match="no trial"):
        required(baseline, lift)


def test_what_is_detectable_and_what_is_required_are_each_others_inverse():
    units = required(0.1, 0.3)
    assert detectable(0.1, units, units) == pytest.approx(0.03, abs=2e-5)
    assert detectable(0.1, 500, 5000) == pytest.approx(detectable(0.1, 5000, 500))
    assert detectable(0.02, 1000, 1000) == pytest.approx(0.02 * 1.06, rel=0.02)  # a rise of 106 % at 2 %


def test_what_no_rise_can_show_is_not_detectable():
    assert math.isnan(detectable(0.99, 20, 20))
    assert math.isnan(detectable(0.5, 0, 20))
    assert math.isnan(detectable(float("nan"), 20, 20))


def test_noise_is_rarely_clear_and_the_interval_mostly_holds_the_truth():
    rng = np.random.default_rng(7)
    runs = 250
    null = rng.binomial(1000, 0.1, size=(runs, 2))
    clear = sum(read_trial((int(a), 1000), (int(b), 1000)).clear for a, b in null)
    assert clear / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    real = zip(rng.binomial(800, 0.1, runs), rng.binomial(1000, 0.14, runs), strict=True)
    trials = [read_trial((int(a), 800), (int(b), 1000)) for a, b in real]
    holds = sum(trial.low <= 0.04 <= trial.high for trial in trials)
    relative = sum(trial.relative_low <= 0.4 <= trial.relative_high for trial in trials)
    for count in (holds, relative):
        assert abs(count / runs - 0.95) < 3 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.real
def test_a_published_trial_of_an_online_school_gives_its_published_numbers(real_data: Path):
    def arm(name: str) -> pd.DataFrame:
        rows = pd.read_csv(real_data / "udacity_free_trial" / f"{name}.csv", usecols=range(1, 6), nrows=37)
        return rows.astype({"Clicks": int})

    control, treatment = arm("control"), arm("experiment")
    seen = {"control": int(control["Clicks"].sum()), "treatment": int(treatment["Clicks"].sum())}
    assert seen == {"control": 28_378, "treatment": 28_325}
    ratio = sample_ratio(seen, HALVES)
    assert ratio.ok
    # outcomes are known for the first 23 days
    first = [rows.head(23)[["Clicks", "Enrollments", "Payments"]].sum().astype(int) for rows in (control, treatment)]
    enrolled, paid = (
        read_trial(*((int(sums[name]), int(sums["Clicks"])) for sums in first), ratio=ratio)
        for name in ("Enrollments", "Payments")
    )
    assert enrolled.difference == pytest.approx(-0.020554874)
    assert (enrolled.low, enrolled.high) == pytest.approx((-0.0291, -0.0120), abs=6e-5)
    assert enrolled.clear
    assert paid.difference == pytest.approx(-0.004873723)
    assert (paid.low, paid.high) == pytest.approx((-0.0116, 0.0018), abs=7e-5)
    assert paid.p == pytest.approx(0.156, abs=5e-4)
    assert not paid.clear
