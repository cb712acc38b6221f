"""What the simulations of time judge is what reports show."""

import numpy as np
import pytest

from benchmarks import survival
from funnel_lib.conversion.durations.survival import by_day, half_of, half_of_conversions, median_of, median_time


def test_a_group_without_journeys_is_that_of_its_journeys():
    rng = np.random.default_rng(1)
    entered, wait = survival._drawn(300, 0.7, 20, rng)
    group, made = survival._group(entered, wait, 20.0), survival._journeys(entered, wait, 20.0)
    shown = by_day(made, rules=survival.RULES)
    low, high = group.table.limits(shown["day"].to_numpy() * survival.DAY_US, 0.95)
    known = (shown["reason"] == "").to_numpy()
    assert known.sum() > 10
    assert shown["low"].to_numpy()[known] == pytest.approx(low[known], abs=1e-12)
    assert shown["high"].to_numpy()[known] == pytest.approx(high[known], abs=1e-12)
    for judged, table in ((median_of, median_time), (half_of, half_of_conversions)):
        reason, told = judged(group, survival.RULES)
        row = table(made, rules=survival.RULES).iloc[0]
        assert row["reason"] == reason == ""
        for name, value in told.items():
            assert row[name] == pytest.approx(value / survival.DAY_US, nan_ok=True)


def test_the_delays_that_are_drawn_have_the_share_that_is_called_true():
    wait = survival._drawn(200_000, 0.3, 30, np.random.default_rng(2))[1]
    assert np.isfinite(wait).mean() == pytest.approx(0.3, abs=0.005)
    assert (wait <= 3).mean() == pytest.approx(0.3 * survival._arrived(3.0), abs=0.005)
