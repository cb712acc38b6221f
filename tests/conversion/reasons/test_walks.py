"""Large logs are walked by compiled code, in blocks: the same paths as small ones."""

import numpy as np
import pytest

from funnel_lib.conversion.reasons import walks
from funnel_lib.conversion.reasons.walks import Limits, Rows, Sold, reached, walked

LIMITS = Limits(first=5, last=80, known=90, lookback=20, horizon=15, pause=3)


@pytest.fixture(scope="module")
def given():
    """Forty people with up to thirty rows each, many at one instant, and some conversions."""
    rng = np.random.default_rng(3)
    sizes, sales = rng.integers(0, 30, 40), rng.integers(0, 3, 40)
    starts, begin = (np.append(0, counts.cumsum()) for counts in (sizes, sales))
    at = np.concatenate([np.sort(rng.integers(0, 100, size)) for size in sizes])
    sold = np.concatenate([np.sort(rng.integers(0, 90, size)) for size in sales])
    kind = rng.integers(-1, 5, len(at)).astype(np.int32)
    rows = Rows(at, kind, np.array([0, 1, -1, 2, 1, -1]), starts[:-1], starts[1:])
    return rows, Sold(sold, rng.random(len(sold)), begin)


def test_compiled_code_in_blocks_cuts_the_same_paths(given, monkeypatch):
    plain = walked(*given, LIMITS)
    assert len(plain.length) > 40
    assert plain.open[0] > 0
    assert plain.untouched[0] > 0
    monkeypatch.setattr(walks, "worth_compiling", lambda rows: True)
    monkeypatch.setattr(walks, "_ROWS_AT_ONCE", 100)
    for one, other in zip(plain, walked(*given, LIMITS), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_people_by_kind_are_counted_in_time_and_once_each(given, monkeypatch):
    rows = given[0]
    expected = [
        sum(
            any(rows.kind[row] == kind and 5 <= rows.at[row] <= 80 for row in range(low, high))
            for low, high in zip(rows.low, rows.high, strict=True)
        )
        for kind in range(5)
    ]  # fmt: skip
    assert reached(rows, 5, 80).tolist() == [*expected, 0]
    monkeypatch.setattr(walks, "worth_compiling", lambda rows: True)
    assert reached(rows, 5, 80).tolist() == [*expected, 0]


def test_nobody_makes_no_paths():
    nothing = np.zeros(0, dtype=np.int64)
    rows, sold = Rows(nothing, nothing, np.array([-1]), nothing, nothing), Sold(nothing, np.zeros(0), np.zeros(1, int))
    found = walked(rows, sold, LIMITS)
    assert (len(found.length), found.open.tolist(), found.untouched.tolist()) == (0, [0], [0, 0])
