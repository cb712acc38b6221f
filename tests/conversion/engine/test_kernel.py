"""The kernel against a definition by brute force, and the sequences that its semantics were written for."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.engine import compiling, kernel
from funnel_lib.conversion.engine.kernel import FOREVER, MISSING, Settings

W = 10
MANY = 3000 if "CI" in os.environ else 800  # random logs for each property


def chains(log, size, window, lower, upper):
    """Yield the times of every chain: distinct events for steps 1..k, in order, within the window."""
    for k in range(1, size + 1):
        for picked in itertools.permutations(log, k):
            times = [at for at, _ in picked]
            if (
                all(mask >> step & 1 for step, (_, mask) in enumerate(picked))
                and times == sorted(times)
                and (window < 0 or times[-1] - times[0] <= window)
                and lower <= times[0] < upper
            ):
                yield times


def oracle(log, size, window, lower=MISSING, upper=FOREVER):
    """Return the times of the chain that counts: deepest, completed first, entered last, earliest between."""
    return min(chains(log, size, window, lower, upper), key=lambda t: (-len(t), t[-1], -t[0], t), default=[])


def measured(log, s):
    """Run the kernel on one unit's log."""
    log = sorted(log, key=lambda row: row[0])  # stable: rows of one instant keep the sequence they were given in
    at, masks = np.array([r[0] for r in log], dtype=np.int64), np.array([r[1] for r in log], dtype=np.int64)
    return kernel.measure(np.array([0, len(log)]), at, masks, s)


def agree(log, s):
    result = measured(log, s)
    best = oracle(log, s.size, s.window, s.entry_from, s.entry_until)
    entries = [at for at, mask in log if mask & 1 and s.entry_from <= at < s.entry_until]
    assert result.depth[0] == len(best)
    assert result.times[:, 0].tolist() == best + [MISSING] * (s.size - len(best))
    assert result.first_entry[0] == min(entries, default=MISSING)
    assert result.last_entry[0] == max(entries, default=MISSING)
    mature = oracle(log, s.size, s.window, s.entry_from, min(s.entry_until, s.mature_until))
    assert result.mature_depth[0] == len(mature)
    first = min(entries, default=0)
    assert result.first_depth[0] == (len(oracle(log, s.size, s.window, first, first + 1)) if entries else 0)


INSTANTS = st.sampled_from([0, 1, 2, 3, W - 1, W, W + 1, W + 2, 2 * W])
LIMITS = st.sampled_from([MISSING, 0, 1, 2, 3, W, W + 1, FOREVER])


@st.composite
def cases(draw, overlapping):
    size = draw(st.integers(1, 4))
    masks = st.integers(0, 2**size - 1) if overlapping else st.integers(0, size - 1).map(lambda bit: 1 << bit)
    log = draw(st.lists(st.tuples(INSTANTS, masks), max_size=7))
    return log, Settings(size, draw(st.sampled_from([-1, 0, 1, W])), draw(LIMITS), draw(LIMITS), draw(LIMITS))


@settings(max_examples=MANY, deadline=None)
@given(cases(overlapping=False))
def test_equals_the_definition_when_every_event_is_one_step(case):
    agree(*case)


@settings(max_examples=MANY, deadline=None)
@given(cases(overlapping=True))
def test_equals_the_definition_when_events_match_several_steps(case):
    agree(*case)


@settings(max_examples=MANY // 4, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(0, 15)), max_size=7))
def test_equals_the_definition_within_crowded_instants(log):
    agree(log, Settings(4, W))


@settings(max_examples=300, deadline=None)
@given(cases(overlapping=True), st.randoms(use_true_random=False))
def test_the_sequence_of_rows_makes_no_difference(case, shuffler):
    log, s = case
    shuffled = list(log)
    shuffler.shuffle(shuffled)
    for one, other in zip(measured(log, s), measured(shuffled, s), strict=True):
        np.testing.assert_array_equal(one, other)


def logs(text):
    """Read `A0 B5`: step letters with their time."""
    return [(int(word[1:]), 1 << "ABCD".index(word[0])) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "size", "times"),
    [
        ("A1 A2 B3", 2, [2, 3]),  # timed from the later entry
        ("A0 A9 B15", 2, [9, 15]),  # the first entry has expired, the second has not
        ("A1 B2 A3 B4", 2, [1, 2]),  # completed first
        ("A0 B10", 2, [0, 10]),  # the window is inclusive
        ("A0 B11", 2, [0]),
        ("B1 A2", 2, [2]),
        ("B1 A1", 2, [1, 1]),  # one instant: in order, whatever the sequence
        ("A1 B2 B3 C4", 3, [1, 2, 4]),  # the earliest steps between
        ("A1 B2 A3 C4", 3, [1, 2, 4]),  # the later entry has no B
        ("A1 A5", 2, [1]),  # depth 1: completed first is the first entry
        ("A1 B2 A3 B4 C5", 3, [3, 4, 5]),
        ("", 2, []),
    ],
)
def test_known_sequences(text, size, times):
    result = measured(logs(text), Settings(size, W))
    assert result.depth[0] == len(times)
    assert [t for t in result.times[:, 0] if t != MISSING] == times


def test_one_event_serves_one_step_only():
    both = 0b11  # the same event is step 1 and step 2
    assert measured([(1, both)], Settings(2)).depth[0] == 1
    assert measured([(1, both), (1, both)], Settings(2)).depth[0] == 2
    # Steps A, B, A-or-B at one instant: rows {A}, {A,B}, {B}; the assignment has to be found.
    assert measured([(1, 0b101), (1, 0b111), (1, 0b010)], Settings(3)).depth[0] == 3


def test_window_of_zero_is_one_instant_and_none_is_unbounded():
    assert measured(logs("A1 B1"), Settings(2, 0)).depth[0] == 2
    assert measured(logs("A1 B2"), Settings(2, 0)).depth[0] == 1
    assert measured(logs("A1 B999999"), Settings(2, -1)).depth[0] == 2


def test_entries_are_restricted_but_later_steps_are_not():
    # Only A5 may start a chain; B12 lies after the range of entries. A5's window closes at 15.
    result = measured(logs("A1 A5 B12 A20"), Settings(2, W, 2, 6, 6))
    assert (result.depth[0], result.mature_depth[0]) == (2, 2)
    assert (result.first_entry[0], result.last_entry[0]) == (5, 5)
    assert measured(logs("A1 A5 B12"), Settings(2, W, 2, 6, 5)).mature_depth[0] == 0


def test_mature_depth_leaves_out_entries_whose_window_is_open():
    # Only A1 is mature. With a window of 10 it reaches B9 too; with one of 5 it does not.
    assert measured(logs("A1 A8 B9"), Settings(2, W, mature_until=5)).mature_depth[0] == 2
    assert measured(logs("A1 A8 B9"), Settings(2, 5, mature_until=5)).mature_depth[0] == 1


def test_first_depth_is_what_the_first_entry_reached():
    # A0 reaches B2 within 10; A20 B21 C22 is the deepest chain.
    result = measured(logs("A0 B2 A20 B21 C22"), Settings(3, W))
    assert (result.depth[0], result.first_depth[0]) == (3, 2)


def test_units_do_not_see_each_other():
    at, masks = np.array([1, 2, 0, 3]), np.array([1, 2, 2, 1])  # A1 B2 | B0 A3
    result = kernel.measure(np.array([0, 2, 2, 4]), at, masks, Settings(2, W))
    assert result.depth.tolist() == [2, 0, 1]


def test_no_units():
    assert kernel.measure(np.array([0]), np.array([], dtype=int), np.array([], dtype=int), Settings(2)).depth.size == 0


@pytest.mark.parametrize("size", [0, 63])
def test_refuses_impossible_sizes(size):
    with pytest.raises(ValueError, match="1 to 62 steps"):
        kernel.measure(np.array([0]), np.array([]), np.array([]), Settings(size))


def crowd(seed, units=3000):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 9, units)
    bounds = np.concatenate([[0], np.cumsum(rows)])
    unit = np.repeat(np.arange(units), rows)
    at = rng.integers(0, 40, bounds[-1])
    at = at[np.lexsort((at, unit))]
    masks = np.where(rng.random(bounds[-1]) < 0.7, 1 << rng.integers(0, 5, bounds[-1]), rng.integers(0, 32, bounds[-1]))
    return bounds, at, masks.astype(np.int64)


def test_compiled_and_plain_give_the_same(monkeypatch):
    rows, s = crowd(1), Settings(5, 12, 3, 35, 25)
    monkeypatch.setattr(compiling, "_loaded", set())
    monkeypatch.setattr(compiling, "COMPILE_ABOVE", FOREVER)
    plain = kernel.measure(*rows, s)
    monkeypatch.setattr(compiling, "COMPILE_ABOVE", 0)
    monkeypatch.setattr(kernel, "ROWS_PER_THREAD", 100)  # in as many threads as there are processors
    fast = kernel.measure(*rows, s)
    assert fast.depth.max() == 5
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(one, other)
