"""Days that resemble their neighbours: what that adds to long sums, and how likely chance is to look like a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rng = np.random.Generator
Scan = Callable[[Floats, Floats], Floats]
SLOWEST = 0.9
"""The greatest autocorrelation from one day to the next that is believed."""


def memory(residuals: Floats, levels: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the autocorrelation of days (last axis) at lag 1, and by which factor it falls from lag 1 to 2.

    Both lags are corrected for the `levels` that were fitted. 0 where the first lies in its noise, `1 / sqrt(days)`.
    """
    days = residuals.shape[-1]
    power = np.maximum((residuals**2).sum(axis=-1), 0.5 * days)  # far below a binomial's there is nothing to remember
    one, two = ((residuals[..., lag:] * residuals[..., :-lag]).sum(axis=-1) / power for lag in (1, 2))
    bias = (np.asarray(levels) + 0.5) / days
    first = np.minimum(one + bias * (1 + 2 * np.maximum(one, 0)), SLOWEST)
    first = np.where(first < 1 / np.sqrt(days), 0.0, first)
    fall = np.divide(two + bias, first, out=np.zeros_like(first), where=first > 0)
    return first, np.clip(np.maximum(fall, first), 0, SLOWEST)


def lasting(first: Floats, fall: Floats) -> Floats:
    """Return by how much the variance of long sums exceeds that of independent days: `1 + 2 first / (1 - fall)`."""
    return np.asarray(1 + 2 * first / (1 - fall), dtype=np.float64)


def beside(gap: Floats, variance: Floats, cuts: Ints, shortest: int) -> tuple[Floats, Ints]:
    """Return the standardised residuals of days beside the levels that the cuts separate, and the number of levels.

    Beside a single cut, also the best one on each side of it is made: more changes are no memory.

    Parameters
    ----------
    gap, variance : of each day's passed units from one level; one row per series.
    cuts : first day of each further level, in order; one row per series.
    """
    series, days = gap.shape
    ends = np.column_stack([np.zeros(series, dtype=np.int64), cuts, np.full(series, days)])
    if cuts.shape[1] == 1:
        sides = [_best(gap, variance, ends[:, side], ends[:, side + 1], shortest) for side in (0, 1)]
        ends = np.sort(np.column_stack([ends, *sides]), axis=1)
    sums, spread = (np.pad(part.cumsum(axis=1), ((0, 0), (1, 0))) for part in (gap, variance))
    total, weight = (np.diff(np.take_along_axis(part, ends, axis=1), axis=1) for part in (sums, spread))
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-9)
    level = (np.arange(days) >= ends[:, 1:-1, None]).sum(axis=1)
    rest = gap - variance * np.take_along_axis(mean, level, axis=1)
    standard = np.divide(rest, np.sqrt(variance), out=np.zeros_like(rest), where=variance > 1e-9)
    return standard, (np.diff(ends, axis=1) > 0).sum(axis=1)


def _best(gap: Floats, variance: Floats, left: Ints, right: Ints, shortest: int) -> Ints:
    """Return the day that best separates two levels between two days, by the score; the left one where none can."""
    sums, spread = (np.pad(part.cumsum(axis=1), ((0, 0), (1, 0))) for part in (gap, variance))
    low, high = left[:, None], right[:, None]
    begin, end = (np.take_along_axis(part, low, axis=1) for part in (sums, spread))
    whole, weight = (np.take_along_axis(part, high, axis=1) for part in (sums, spread))
    before, after = spread - end, weight - spread
    off = (sums - begin) * (weight - end) - (whole - begin) * before
    day = np.arange(gap.shape[1] + 1)
    allowed = (day >= low + shortest) & (day <= high - shortest) & (before > 1e-9) & (after > 1e-9)
    score = np.where(allowed, off**2 / np.where(allowed, before * after, 1), -1.0)
    return np.where(allowed.any(axis=1), score.argmax(axis=1), left)


def arranged(weekday: Ints, rank: Floats, like: tuple[float, float], size: int, rng: Rng) -> Ints:
    """Return so many arrangements of the days that keep each day's weekday and resemble their neighbours alike.

    A series of normal numbers of the same memory is drawn, and of each weekday the days take its order: the largest
    where it is largest. Without memory that is every arrangement with the same chance.

    Parameters
    ----------
    rank : what the days are ordered by.
    like : the autocorrelation at lag 1 and its factor, as of `memory`.
    """
    first, fall = like
    drawn = rng.normal(size=(size, len(weekday)))
    if first > 0:
        slow = rng.normal(size=drawn.shape)
        for day in range(1, len(weekday)):
            slow[:, day] = fall * slow[:, day - 1] + np.sqrt(1 - fall**2) * slow[:, day]
        drawn = np.sqrt(1 - first / fall) * drawn + np.sqrt(first / fall) * slow
    order = np.empty(drawn.shape, dtype=np.int64)
    for one in np.unique(weekday):
        places = np.flatnonzero(weekday == one)
        ranked = places[np.argsort(rank[places] + 1e-9 * rng.random(len(places)))]
        order[:, places] = ranked[np.argsort(np.argsort(drawn[:, places], axis=1), axis=1)]
    return order


class Rated(NamedTuple):
    """The best cuts of some series (one row each): their statistic, how far it is beyond memory, and the memory."""

    best: Floats
    beyond: Floats
    cuts: Ints
    first: Floats
    fall: Floats


def rated(k: Floats, n: Floats, *, score: Scan, expected: Floats, shortest: int) -> Rated:
    """Return the best cuts of series (one row each), and how far their statistic is beyond what memory explains.

    Parameters
    ----------
    k, n : passed and all units by day.
    score : the statistic of every change (last axis: after each day but the last), or of every spell (last axes: its
        first day, its length less `shortest`).
    expected : each day's rate at one level.
    """
    ratio = score(k, n)
    flat = ratio.reshape(len(k), -1)
    place, wide = flat.argmax(axis=1), ratio.shape[-1] if ratio.ndim == 3 else 1
    cuts = place[:, None] + 1
    if ratio.ndim == 3:
        cuts = np.column_stack([place // wide, place // wide + place % wide + shortest])
    residuals, levels = beside(k - n * expected, n * expected * (1 - expected), cuts, shortest)
    first, fall = memory(residuals, levels)
    best = flat.max(axis=1)
    return Rated(best, best / lasting(first, fall), cuts, first, fall)


def chance(
    found: Rated, rate: Callable[[Floats, Floats], Rated], counts: Floats, weekday: Ints, off: Floats, draws: int,
    rng: Rng,
) -> float:  # fmt: skip
    """Return the share of arrangements that score as much; stops once ten did (Besag and Clifford 1991).

    `counts` are passed and all units, `off` by how much each day is off one level, in standard errors. Arrangements get
    half a standard error more memory than was seen: what short series show of it is too little.
    """
    more = 0.5 / np.sqrt(len(weekday))
    first = min(float(found.first[0]) + more, SLOWEST)
    like, larger, done = (first, max(float(found.fall[0]), first)), 0, 0
    while done < draws and larger < 10:
        size = min(100, draws - done)
        order = arranged(weekday, off, like, size, rng)
        scored = rate(*counts[:, order]).beyond
        larger, done = larger + int((scored >= found.beyond[0] - 1e-9).sum()), done + size
    return (1 + larger) / (1 + done)
