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
    drawn = found.drawn(np.random.default_rng(1), 4000)
    assert drawn.std(axis=0) == pytest.approx([2, 3], rel=0.05)


@pytest.mark.parametrize("way", [lambda at: float(at.sum()), lambda at: -float(at[0] ** 2), lambda _: float("nan")])
def test_no_maximum_within_reach(way: object):
    assert maximum(way, np.zeros(2)) is None  # type: ignore[arg-type]
