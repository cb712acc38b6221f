"""The Kaplan-Meier estimate, its interval and its quantiles: by hand, as published, and as statsmodels has it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from funnel_lib.conversion.durations.lifetable import LifeTable
from funnel_lib.conversion.rates import wilson

# Weeks in remission of 21 patients on 6-MP (Freireich et al. 1963), in nearly every textbook; 1: it ended.
WEEKS = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
ENDED = [1] * 9 + [0] * 12


def table(length, ended, last_day=1.0):
    return LifeTable.of(np.array(length, dtype=np.int64), np.array(ended, dtype=bool), last_day)


def drawn(seed, units=200, longest=30):
    rng = np.random.default_rng(seed)
    return rng.integers(0, longest, units), rng.random(units) < 0.4


def test_a_table_worked_by_hand():
    # 1: 8 at risk, 1 ends: 7/8. 2: one went out of sight at 1, so 6 at risk, 2 end: 7/8 * 4/6. 4: 3 at risk, 1 ends.
    found = table([1, 1, 2, 2, 2, 4, 5, 9], [1, 0, 1, 1, 0, 1, 0, 0])
    assert found.times.tolist() == [1, 2, 4]
    assert found.events.tolist() == [1, 2, 1]
    assert found.at_risk.tolist() == [8, 6, 3]
    assert found.survival == pytest.approx([7 / 8, 7 / 8 * 4 / 6, 7 / 8 * 4 / 6 * 2 / 3])
    assert found.spread == pytest.approx(np.cumsum([1 / (8 * 7), 2 / (6 * 4), 1 / (3 * 2)]))
    assert found.share([0, 1, 3, 100]) == pytest.approx([0, 1 / 8, 1 - 7 / 12, 1 - 7 / 18])
    assert found.remaining([0, 1, 2, 3, 10]).tolist() == [8, 8, 6, 3, 0]


def test_the_published_curve_of_6_mp():
    found = table(WEEKS, ENDED)
    assert found.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.survival.round(3).tolist() == [0.857, 0.807, 0.753, 0.69, 0.627, 0.538, 0.448]
    assert (found.survival * np.sqrt(found.spread)).round(3).tolist() == [
        0.076,
        0.087,
        0.096,
        0.107,
        0.114,
        0.128,
        0.135,
    ]
    assert found.when(0.5, 35) == 23


@pytest.mark.parametrize("seed", range(5))
def test_the_same_as_statsmodels(seed):
    length, ended = drawn(seed)
    found, theirs = table(length, ended), SurvfuncRight(length, ended)
    assert found.times.tolist() == theirs.surv_times.tolist()
    assert found.at_risk == pytest.approx(theirs.n_risk)
    assert found.survival == pytest.approx(theirs.surv_prob, abs=1e-12)
    inner = found.survival > 0
    assert (found.survival * np.sqrt(found.spread))[inner] == pytest.approx(theirs.surv_prob_se[inner], abs=1e-12)


def test_counts_tell_the_same_as_one_row_per_unit():
    """statsmodels with frequency weights on the distinct (time, ended) pairs gives the same curve."""
    length, ended = drawn(9, units=5000)
    pairs, weights = np.unique(np.stack([length, ended]), axis=1, return_counts=True)
    theirs = SurvfuncRight(pairs[0], pairs[1], freq_weights=weights)
    found = table(length, ended)
    assert found.times.tolist() == theirs.surv_times.tolist()
    assert found.survival == pytest.approx(theirs.surv_prob, abs=1e-12)


def test_the_life_tables_correction_by_hand():
    # Day 1: 10 at risk, 4 of them last seen on that day, for half of it: 2 end of 10 - 4/2 = 8.
    found = table([1, 1, 1, 1, 1, 1, 3, 3, 3, 3], [1, 1, 0, 0, 0, 0, 1, 0, 0, 0], last_day=0.5)
    assert found.at_risk.tolist() == [8, 4 - 3 / 2]
    assert found.survival == pytest.approx([6 / 8, 6 / 8 * (1 - 1 / 2.5)])


def test_where_all_are_seen_to_the_end_the_interval_is_wilsons():
    found = table([1, 2, 2, 5, 5, 5, 8, 30, 30, 30], [1] * 7 + [0] * 3)
    counts = np.array([1, 3, 6, 7])
    low, high = found.limits([1, 2, 5, 8], 0.95)
    expected = wilson(counts, np.full(4, 10))
    assert low == pytest.approx(expected[0])
    assert high == pytest.approx(expected[1])


def test_before_the_first_end_the_interval_is_that_of_none_at_risk():
    found = table([3, 5, 5, 9], [0, 1, 0, 0])
    low, high = found.limits(4, 0.95)
    assert (low, high) == (0, pytest.approx(wilson(0, 3)[1]))  # three were seen for four ticks


def test_where_everybody_has_ended_the_interval_reaches_one():
    found = table([1, 2, 3, 3], [1, 1, 1, 1])
    assert found.share(3) == 1
    low, high = found.limits(3, 0.95)
    assert (low, high) == (pytest.approx(wilson(4, 4)[0]), 1)


@pytest.mark.parametrize("values", [[4], [1, 2, 3], [1, 2, 7, 9], [5, 5, 5, 6, 9, 9]])
def test_of_ended_units_the_median_is_the_plain_one(values):
    assert table(values, [1] * len(values)).when(0.5, 100) == np.median(values)


def test_a_median_that_is_not_reached_is_not_told():
    found = table([1, 2, 9, 9, 9], [1, 1, 0, 0, 0])
    assert np.isnan(found.when(0.5, 9))
    assert np.isnan(table([1, 8], [1, 1]).when(1.0, 5))  # reached at 8, but known only until 5
    assert np.isnan(found.when_limits(0.5, 0.95, 9)[1])


def test_the_medians_interval_holds_the_times_at_which_the_curves_interval_holds_one_half():
    length, ended = drawn(4, units=300)
    found = table(length, ended)
    low, high = found.when_limits(0.5, 0.95, 30)
    for time in found.times:
        inside = found.limits(time, 0.95)
        assert (inside[0] <= 0.5 <= inside[1]) == (low <= time < (high if high == high else np.inf))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40), st.floats(0.05, 1.0))
def test_shares_never_fall_and_stay_between_0_and_1(units, last_day):
    length, ended = zip(*units, strict=True)
    found = table(length, ended, last_day)
    shares = found.share(np.arange(11))
    assert (np.diff(shares) >= -1e-12).all()
    assert (shares >= -1e-12).all()
    assert (shares <= 1 + 1e-12).all()
    low, high = found.limits(np.arange(10)[found.remaining(np.arange(10)) > 0], 0.95)
    assert (low <= high + 1e-12).all()
    again = table(length[::-1], ended[::-1], last_day)
    assert again.share(np.arange(11)).tolist() == shares.tolist()
