"""Intervals of means and other ratios of sums, by drawing the units again."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
MOST_UNITS, AT_ONCE = 2_000, 100


class Interval(NamedTuple):
    """A number with its limits."""

    value: float
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def ratio_interval(
    upper: npt.ArrayLike, lower: npt.ArrayLike | None = None, *, level: float, rng: Rng, draws: int = 1000
) -> Interval:
    """Return the ratio of two sums over units, with the interval of the studentised bootstrap.

    With `lower` left out it is the mean of `upper`. Units are drawn again; of each draw, the distance from the ratio
    found is divided by that draw's own (linearised) standard error, and the quantiles of these t values replace
    Student's (Efron and Tibshirani 1993, section 12.5). It follows the skewness of amounts of money, which the plain
    percentiles do not. Assumes independent units; beyond 2,000 of them, as many random bags of units are drawn.

    Parameters
    ----------
    upper, lower : each unit's part of both sums, such as its amounts and its number of orders.

    Returns
    -------
    Value, low, high; NaN where the lower sum is 0, the limits also where all units have the same ratio unknown.
    """
    above = np.asarray(upper, dtype=np.float64)
    below = np.ones(len(above)) if lower is None else np.asarray(lower, dtype=np.float64)
    if not below.sum() > 0:
        return UNKNOWN
    above, below = bagged(np.column_stack([above, below]), rng).T
    value = float(above.sum() / below.sum())
    moments = np.column_stack([above, below, above**2, above * below, below**2])
    error = float(_error(moments.sum(axis=0)[None])[0])
    if len(above) < 2 or not error > 0:
        same = len(above) > 1 and error == 0
        return Interval(value, value, value) if same else Interval(value, math.nan, math.nan)
    sums = redrawn(moments, rng, draws)
    drawn, errors = sums[:, 0] / sums[:, 1], _error(sums)
    usable = errors > 1e-9 * error
    tails = [(1 - level) / 2, (1 + level) / 2]
    t = np.quantile((drawn[usable] - value) / errors[usable], tails)
    return Interval(value, value - float(t[1]) * error, value - float(t[0]) * error)


def _error(sums: Floats) -> Floats:
    """Return the linearised standard error of the ratio, from sums of a, b, a², ab and b² (one row each)."""
    a, b, aa, ab, bb = sums.T
    ratio = a / b
    rest = np.maximum(aa - 2 * ratio * ab + ratio**2 * bb, 0)
    return np.asarray(np.sqrt(np.where(rest > 1e-12 * aa, rest, 0.0)) / b, dtype=np.float64)


def redrawn(table: Floats, rng: Rng, draws: int = 1000) -> Floats:
    """Return the column sums of `table` when its rows are drawn again, one row per draw.

    Each row may be drawn several times, as many rows as there are.
    """
    count = len(table)
    parts = []
    for start in range(0, draws, AT_ONCE):
        size = min(AT_ONCE, draws - start)
        places = rng.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        weights = np.bincount(places.ravel(), minlength=size * count).reshape(size, count)
        parts.append(weights.astype(np.float64) @ table)
    return np.concatenate(parts)


def bagged(table: Floats, rng: Rng) -> Floats:
    """Return the rows as they are; beyond `MOST_UNITS`, the sums of so many random bags of them."""
    if len(table) <= MOST_UNITS:
        return table
    bag = rng.permutation(len(table)) % MOST_UNITS
    return np.column_stack([np.bincount(bag, column, minlength=MOST_UNITS) for column in table.T]).astype(np.float64)


def poisson_interval(count: float, level: float) -> tuple[float, float]:
    """Return the exact interval of a Poisson mean of which `count` were seen (Garwood 1936)."""
    from scipy.stats import chi2

    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count > 0 else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


def z_of(level: float) -> float:
    """Return the two-sided quantile of the normal distribution."""
    return NormalDist().inv_cdf((1 + level) / 2)
