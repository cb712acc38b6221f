"""What the simulations of movement and credit judge is what reports show."""

import numpy as np
import pytest

from benchmarks import attribution
from funnel_lib.config import Rules
from funnel_lib.conversion.movement.decomposition import decompose, redrawn, split

SHARES, RATES = np.array([0.5, 0.3, 0.2]), np.array([0.3, 0.2, 0.1])


def test_the_parts_that_are_drawn_from_counts_are_those_of_decompose():
    rng = np.random.default_rng(1)
    before, now = (attribution._units(SHARES.tolist(), rates, 900, rng) for rates in (RATES.tolist(), [0.2, 0.2, 0.2]))
    found = decompose(now, before, "group", step=2, rules=Rules(), rng=np.random.default_rng(2), draws=200)
    table = found.frame.sort_values("group")
    k0, n0, k1, n1 = (
        table[name].to_numpy(dtype=float)
        for name in ("numerator_before", "denominator_before", "numerator_now", "denominator_now")
    )
    again = np.random.default_rng(2)
    drawn = split(*redrawn(k0, n0, again, 200), *redrawn(k1, n1, again, 200), n0 < 0)
    low, high = np.quantile(drawn[:2].sum(axis=2), [0.025, 0.975], axis=1)
    assert (found.mix.low, found.rate.low) == pytest.approx(tuple(low))
    assert (found.mix.high, found.rate.high) == pytest.approx(tuple(high))
    for middle, inside in ((found.mix.low + 1e-6, 1.0), (found.mix.low - 1e-6, 0.0)):
        assert attribution._inside(drawn[:1].sum(axis=2), np.array([middle])).tolist() == [inside]


def test_counts_have_the_shares_and_rates_of_their_groups():
    passed, units = attribution._counts(SHARES, RATES, 1_000_000, np.random.default_rng(3))
    assert units.sum() == 1_000_000
    assert units / units.sum() == pytest.approx(SHARES, abs=0.003)
    assert passed / units == pytest.approx(RATES, abs=0.005)


def test_paths_walk_as_their_chain_says():
    # From the start always to a; from a one half to b, else nothing; from b 0.4 back to a, else a conversion. So a is
    # met 1 / (1 - 0.5 * 0.4) = 1.25 times, b half as often, and 0.625 * 0.6 = 0.375 of the paths convert.
    chain = np.array([[0.0, 0.5, 0.0, 0.0, 0.5], [0.4, 0.0, 0.0, 0.6, 0.0], [0, 0, 0, 0, 1.0], [1.0, 0, 0, 0, 0]])
    found = attribution._walk(chain, 40_000, np.random.default_rng(4))
    assert np.bincount(found.touches, minlength=3) / 40_000 == pytest.approx([1.25, 0.625, 0], abs=0.02)
    assert found.conversions.mean() == pytest.approx(0.375, abs=0.01)
    assert (found.touches[found.bounds[:-1]] == 0).all()
    assert set(found.touches[found.bounds[1:] - 1][found.conversions == 1]) == {1}
