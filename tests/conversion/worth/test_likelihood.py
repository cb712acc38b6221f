from __future__ import annotations

import numpy as np
import pytest

from funnel_lib.conversion.worth.likelihood import maximum


def test_place_value_and_covariance_of_a_bell():
    # -(x-1)²/2/4 - (y+2)²/2/9: the maximum 7 at (1, -2), variances 4 and 9.
    found = maximum(lambda at: 7 - (at[0] - 1) ** 2 / 8 - (at[1] + 2) ** 2 / 18, np.zeros(2))
    assert found is not None
    assert found.place == pytest.approx([1, -2], abs=1e-3)
    assert found.value == pytest.approx(7)
    assert found.covariance == pytest.approx(np.diag([4, 9]), abs=0.01)


def test_units_move_a_mean_as_they_lie_apart_from_it():
    # Normal amounts of variance 1, maximum at their mean 4: each moves it by (amount - 4) / 4; squares: 20 / 16.
    amounts = np.array([1.0, 3, 5, 7])
    found = maximum(lambda at: float(-((amounts - at[0]) ** 2).sum() / 2), np.zeros(1))
    assert found is not None
    moved = found.moved(lambda at: -((amounts - at[0]) ** 2) / 2)
    assert moved.ravel() == pytest.approx([-0.75, -0.25, 0.25, 0.75], abs=1e-4)


@pytest.mark.parametrize("way", [lambda at: float(at.sum()), lambda at: -float(at[0] ** 2), lambda _: float("nan")])
def test_no_maximum_within_reach(way: object):
    assert maximum(way, np.zeros(2)) is None  # type: ignore[arg-type]
