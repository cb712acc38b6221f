from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson, t

from funnel_lib.conversion.worth.resampling import MOST_UNITS, bagged, poisson_interval, ratio_interval, redrawn, z_of


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_of_a_plain_mean_it_is_about_students_interval():
    values = rng().normal(100, 20, 400)
    found = ratio_interval(values, level=0.95, rng=rng(), draws=4000)
    half = t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_it_leans_to_the_side_of_the_long_tail():
    values = rng().lognormal(0, 1.2, 200)
    found = ratio_interval(values, level=0.95, rng=rng())
    assert found.high - found.value > 1.2 * (found.value - found.low)


def test_the_ratio_of_two_sums_and_its_degenerate_cases():
    # 30 of 10 units: 3 for each; without any spread there is nothing to doubt.
    assert ratio_interval([10, 20], [3, 7], level=0.95, rng=rng()).value == 3
    assert tuple(ratio_interval([6, 3, 9], [2, 1, 3], level=0.95, rng=rng())) == (3, 3, 3)
    one = ratio_interval([5], level=0.95, rng=rng())
    assert one.value == 5
    assert np.isnan([one.low, one.high]).all()
    assert np.isnan(ratio_interval([], level=0.95, rng=rng())).all()
    assert np.isnan(ratio_interval([1, 2], [0, 0], level=0.95, rng=rng())).all()


def test_many_units_are_put_into_bags_that_keep_sums_and_interval():
    values = rng().exponential(10, 3 * MOST_UNITS)
    assert bagged(values[:, None], rng()).shape == (MOST_UNITS, 1)
    assert bagged(values[:, None], rng()).sum() == pytest.approx(values.sum())
    found = ratio_interval(values, level=0.95, rng=rng(), draws=4000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.06)


def test_draws_have_the_mean_and_variance_of_a_sum_of_n():
    sums = redrawn(np.array([[0.0], [1.0]]), rng(), 20_000)[:, 0]
    assert sums.mean() == pytest.approx(1, abs=0.02)
    assert sums.var() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_poisson_interval_is_exact(count: int):
    low, high = poisson_interval(count, 0.95)
    assert poisson.cdf(count, high) == pytest.approx(0.025)
    assert (poisson.sf(count - 1, low) == pytest.approx(0.025)) if count else low == 0
    assert z_of(0.95) == pytest.approx(1.959964)
