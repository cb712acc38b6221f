"""Intervals of means and other ratios of sums that follow the skewness of amounts; of counts; of quotients of both."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from funnel_lib.config import Rules

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator


LEAST_AMOUNTS = 20
"""So many amounts of the usual spread (a sigma of 1) are needed for their mean's interval to hold 93 % (simulated)."""


class Interval(NamedTuple):
    """A number with its limits."""

    value: float
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def ratio_interval(upper: npt.ArrayLike, lower: npt.ArrayLike | None = None, *, level: float) -> Interval:
    """Return the ratio of two sums over units, with the interval of `skewed_interval`.

    With `lower` left out it is the mean of `upper`. A unit's part of the ratio is what the ratio falls by when the unit
    is left out (the jackknife's). Assumes independent units.

    Parameters
    ----------
    upper, lower : each unit's part of both sums, such as its amounts and its number of orders.

    Returns
    -------
    Value, low, high; NaN where the lower sum is 0, the limits also where one unit makes all of the lower sum. Where all
    units have the same ratio, it is also both limits. No limit of amounts that are not negative is below 0.
    """
    above = np.asarray(upper, dtype=np.float64)
    below = np.ones(len(above)) if lower is None else np.asarray(lower, dtype=np.float64)
    if not below.sum() > 0:
        return UNKNOWN
    value, others = float(above.sum() / below.sum()), below.sum() - below
    if not (others > 0).all():
        return Interval(value, math.nan, math.nan)
    found = skewed_interval(value, (above - value * below) / others, level=level)
    return Interval(value, max(found.low, 0.0), found.high) if above.min() >= 0 else found


def skewed_interval(value: float, parts: npt.ArrayLike, *, level: float) -> Interval:
    """Return an estimate with an interval that leans to the side of the long tail, from each unit's part of it.

    The studentised estimate of skewed amounts is itself skewed; Hall's monotone transformation takes that away, with
    the skewness of the parts (Hall 1992, "On the removal of skewness by transformation"; for means of costs: Zhou and
    Dinh 2005). Its quantiles are Student's, with as many degrees of freedom as the estimated variance has where tails
    are heavy, `2n / (kurtosis - 1)` (Satterthwaite 1946, with the variance of a variance), at most n - 1. There is no
    resampling, so the same data give the same limits. Simulations: docs/statistics.md.

    Parameters
    ----------
    value : the estimate.
    parts : of each unit, what the estimate falls by when the unit is left out; about zero in sum.
    """
    own = np.asarray(parts, dtype=np.float64)
    count = len(own)
    if count < 2:
        return Interval(value, math.nan, math.nan)
    own = own - own.mean()
    square = own**2
    spread = float(square.mean())
    if not spread > 1e-24 * max(value * value, 1e-300):
        return Interval(value, value, value)
    error, lean = math.sqrt((count - 1) * spread), 0.0
    if count > 2:
        lean = float((square * own).mean()) / spread**1.5 * math.sqrt(count - 1) / (count - 2)
    kurtosis = float((square**2).mean()) / spread**2
    far = student(level, min(count - 1.0, 2 * count / max(kurtosis - 1, 1e-9)))
    return Interval(value, value - error * _unskewed(far, lean), value - error * _unskewed(-far, lean))


def _unskewed(quantile: float, lean: float) -> float:
    """Return the inverse of Hall's `g(t) = t + a t^2 / 3 + a^2 t^3 / 27 + a / 6`; `a` is the skewness by root n."""
    if abs(lean) < 1e-9:
        return quantile
    return float(3 / lean * (np.cbrt(1 + lean * (quantile - lean / 6)) - 1))


def student(level: float, freedom: float) -> float:
    """Return the two-sided quantile of Student's distribution; of infinite freedom, that of the normal one."""
    from scipy.special import stdtrit

    return z_of(level) if math.isinf(freedom) else float(stdtrit(freedom, (1 + level) / 2))


def quotient(upper: Interval, lower: Interval) -> Interval:
    """Return the quotient of two independent estimates, the lower one above 0; see `product`."""
    low = math.inf if lower.low <= 0 else 1 / lower.low
    return product(upper, Interval(1 / lower.value, 1 / lower.high, low))


def product(one: Interval, other: Interval) -> Interval:
    """Return the product of two independent estimates of nothing negative, from their intervals of the same level.

    The distances of the limits are added in squares on the logarithmic scale (MOVER; Zou and Donner 2008), so that
    lopsided intervals stay so. A lower limit of 0 gives one of 0; where an estimate is 0 (or NaN), all of the product
    is.
    """
    value = one.value * other.value
    down = math.hypot(*(_log(each.value, each.low) for each in (one, other)))
    up = math.hypot(*(_log(each.high, each.value) for each in (one, other)))
    return (
        Interval(value, value * math.exp(-down), value * math.exp(up)) if value > 0 else Interval(value, value, value)
    )


def _log(more: float, less: float) -> float:
    return math.log(more / less) if less > 0 else math.inf


def least_amounts(rules: Rules) -> int:
    """Return how many amounts a mean needs to be shown: `LEAST_AMOUNTS`, or what the rules ask of all units if less."""
    return max(min(LEAST_AMOUNTS, rules.min_units), 2)


def poisson_interval(count: float, level: float) -> tuple[float, float]:
    """Return the exact interval of a Poisson mean of which `count` were seen (Garwood 1936)."""
    from scipy.stats import chi2

    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count > 0 else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2


def z_of(level: float) -> float:
    """Return the two-sided quantile of the normal distribution."""
    return NormalDist().inv_cdf((1 + level) / 2)
