from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson, skew, t

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.intervals import (
    UNKNOWN,
    Interval,
    least_amounts,
    poisson_interval,
    product,
    quotient,
    ratio_interval,
    skewed_interval,
    z_of,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_of_symmetric_values_it_is_students_interval():
    values = np.array([8.0, 9, 10, 11, 12])  # kurtosis 1.7: four degrees of freedom, as many as there are
    found = ratio_interval(values, level=0.95)
    half = t.ppf(0.975, 4) * values.std(ddof=1) / math.sqrt(5)
    assert tuple(found) == pytest.approx((10, 10 - half, 10 + half))


def test_the_limits_are_those_at_which_halls_statistic_is_at_the_quantile_of_student():
    values = rng().lognormal(0, 1, 60)
    low, high = ratio_interval(values, level=0.9)[1:]
    error, lean = values.std(ddof=1) / math.sqrt(60), skew(values, bias=False) / math.sqrt(60)
    kurtosis = ((values - values.mean()) ** 4).mean() / values.var() ** 2
    far = t.ppf(0.95, 2 * 60 / (kurtosis - 1))
    for limit, quantile in ((low, far), (high, -far)):
        away = (values.mean() - limit) / error
        assert away + lean * away**2 / 3 + lean**2 * away**3 / 27 + lean / 6 == pytest.approx(quantile)


def test_it_leans_to_the_side_of_the_long_tail():
    values = rng().lognormal(0, 1.2, 200)
    found = ratio_interval(values, level=0.95)
    assert found.high - found.value > 1.2 * (found.value - found.low)
    mirrored = skewed_interval(-found.value, -(values - values.mean()) / 199, level=0.95)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_the_ratio_of_two_sums_and_its_degenerate_cases():
    # 30 of 10 units: 3 for each; without any spread there is nothing to doubt.
    assert ratio_interval([10, 20], [3, 7], level=0.95).value == 3
    assert tuple(ratio_interval([6, 3, 9], [2, 1, 3], level=0.95)) == (3, 3, 3)
    for one in (ratio_interval([5], level=0.95), ratio_interval([5, 1], [2, 0], level=0.95)):
        assert not math.isnan(one.value)
        assert np.isnan([one.low, one.high]).all()
    assert np.isnan(ratio_interval([], level=0.95)).all()
    assert np.isnan(ratio_interval([1, 2], [0, 0], level=0.95)).all()
    assert ratio_interval([0] * 9 + [100], level=0.95).low == 0  # amounts that are not negative have no such mean
    assert ratio_interval([-1, 0, 1], level=0.95).low < 0


def test_it_does_not_depend_on_the_unit_of_money_nor_on_the_order_of_rows():
    values, lots = rng().gamma(0.5, 9, 50), rng().integers(1, 4, 50)
    one = ratio_interval(values, lots, level=0.95)
    assert tuple(ratio_interval(1e6 * values[::-1], lots[::-1], level=0.95)) == pytest.approx([1e6 * v for v in one])


@pytest.mark.parametrize(("sigma", "count"), [(0.5, 30), (1.0, 50), (1.5, 300)])
def test_means_of_skewed_amounts_lie_inside_as_often_as_promised(sigma: float, count: int):
    held, truth, draws = 0, math.exp(sigma**2 / 2), rng()
    for _ in range(1500):
        found = ratio_interval(draws.lognormal(0, sigma, count), level=0.95)
        held += found.low <= truth <= found.high
    assert 0.925 <= held / 1500 <= 0.965  # Student's own interval holds 0.93, 0.91 and 0.89 of them


def test_a_quotient_adds_both_doubts_on_the_logarithmic_scale():
    # log 2 down by log 2 above and by log 3 below: hypot(0.693, 1.099) = 1.299; up by log 3 and log 2: the same.
    found = quotient(Interval(4, 2, 12), Interval(2, 1, 6))
    assert tuple(found) == pytest.approx((2, 2 * math.exp(-1.2990), 2 * math.exp(1.2990)), rel=1e-3)
    assert tuple(quotient(Interval(6, 3, 9), Interval(2, 2, 2))) == pytest.approx((3, 1.5, 4.5))
    assert quotient(Interval(6, 0, 9), Interval(2, 1, 3)).low == 0
    assert tuple(product(Interval(6, 3, 9), Interval(2, 2, 2))) == pytest.approx((12, 6, 18))
    assert tuple(product(Interval(0, 0, 0), Interval(2, 1, 3))) == (0, 0, 0)
    assert np.isnan(product(UNKNOWN, Interval(2, 1, 3))).all()


def test_a_mean_of_amounts_needs_twenty_or_what_all_units_need():
    assert [least_amounts(Rules(min_units=units)) for units in (100, 30, 10, 1)] == [20, 20, 10, 2]


@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_poisson_interval_is_exact(count: int):
    low, high = poisson_interval(count, 0.95)
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    assert (poisson.sf(count - 1, low) == pytest.approx(0.025)) if count else low == 0
    assert z_of(0.95) == pytest.approx(1.959964)
