"""Memory from day to day: known processes, cuts by hand, and arrangements that keep what they promise."""

import numpy as np
import pytest

from funnel_lib.conversion.movement.noise import arranged, beside, lasting, memory


def drift(fall, days, seed, size=1):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(size, days))
    for day in range(1, days):
        made[:, day] = fall * made[:, day - 1] + np.sqrt(1 - fall**2) * made[:, day]
    return made


def test_independent_days_have_no_memory_and_drift_has_its_own():
    first, fall = memory(np.random.default_rng(1).normal(size=(1, 20_000)), 1)
    assert lasting(first, fall)[0] == 1
    first, fall = memory(drift(0.5, 40_000, 2), 1)
    assert (first[0], fall[0]) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.5, abs=0.03))
    assert lasting(first, fall)[0] == pytest.approx(3, rel=0.1)  # (1 + 0.5) / (1 - 0.5)
    # Drift and as much noise: lag 1 is halved, what follows falls as before; 1 + 2 x 0.25 / 0.5 = 2.
    mixed = (drift(0.5, 80_000, 3) + np.random.default_rng(4).normal(size=(1, 80_000))) / np.sqrt(2)
    assert lasting(*memory(mixed, 1))[0] == pytest.approx(2, rel=0.1)


def test_days_that_never_vary_have_no_memory():
    assert lasting(*memory(np.zeros((1, 30)), 1))[0] == 1


def test_levels_are_removed_beside_the_cuts():
    # Two levels, 2 before the third day and -1 from it on: nothing is left. The single cut is joined by the best ones
    # on both sides, of which there is none where fewer than twice the shortest days are left.
    gap = np.array([[2.0, 2, -1, -1, -1, -1]])
    residuals, levels = beside(gap, np.ones((1, 6)), np.array([[2]]), 3)
    assert residuals == pytest.approx(np.zeros((1, 6)))
    assert levels.tolist() == [2]
    # 0 0 0 | 6 6 6 | 0 0 0 cut after the third day only: the cut after the sixth is found beside it.
    gap = np.array([[0.0] * 3 + [6.0] * 3 + [0.0] * 3])
    residuals, levels = beside(gap, np.full((1, 9), 4.0), np.array([[3]]), 2)
    assert residuals == pytest.approx(np.zeros((1, 9)))
    assert levels.tolist() == [3]
    # A spell's two cuts stay alone: its days are 2, 4 off, standardised by 2.
    residuals, levels = beside(np.array([[0.0, 0, 2, 6, 0, 0]]), np.full((1, 6), 4.0), np.array([[2, 4]]), 2)
    assert residuals == pytest.approx(np.array([[0, 0, -1, 1, 0, 0]]))
    assert levels.tolist() == [3]


def test_arrangements_keep_every_weekday_and_every_day():
    weekday = np.arange(28) % 7
    found = arranged(weekday, np.arange(28.0), (0.4, 0.5), 50, np.random.default_rng(5))
    assert (np.sort(found, axis=1) == np.arange(28)).all()
    assert (weekday[found] == weekday).all()


def test_without_memory_every_arrangement_is_as_likely():
    # Three days have 6 arrangements; of 6,000 each comes 1,000 times, give or take 3.5 standard errors (29).
    found = arranged(np.zeros(3, dtype=np.int64), np.arange(3.0), (0.0, 0.0), 6000, np.random.default_rng(6))
    _, times = np.unique(found, axis=0, return_counts=True)
    assert len(times) == 6
    assert np.abs(times - 1000).max() < 102


def test_arrangements_resemble_their_neighbours_as_asked():
    values = np.random.default_rng(7).normal(size=400)
    found = values[arranged(np.zeros(400, dtype=np.int64), values, (0.3, 0.6), 300, np.random.default_rng(8))]
    one, two = ((found[:, lag:] * found[:, :-lag]).mean() / (values**2).mean() for lag in (1, 2))
    assert one == pytest.approx(0.3, abs=0.03)
    assert two == pytest.approx(0.18, abs=0.03)
