"""A small version of the simulations of intervals: 60 draws each, of which 95 % should hold."""

import pytest

from benchmarks.intervals import ORDERS, QUICK, SLOW, simulated


@pytest.mark.parametrize("kind", QUICK)
def test_intervals_hold_the_truth(kind):
    """Fewer than 83 % of 60 would be four standard errors below 95 %."""
    found = simulated(kind, 60)
    assert (found["covered"] >= 0.83).all(), found.to_string()
    assert (found["shown"] > 0.5).all()


def test_the_same_draws_in_every_run():
    kind = next(iter(QUICK))
    assert simulated(kind, 20).equals(simulated(kind, 20))


@pytest.mark.slow
@pytest.mark.parametrize("kind", {**ORDERS, **SLOW})
def test_intervals_of_orders_and_bootstraps_hold_the_truth(kind):
    """Fewer than 80 % of 60 would be five standard errors below 95 %."""
    found = simulated(kind, 60)
    assert (found["covered"] >= 0.8).all(), found.to_string()
