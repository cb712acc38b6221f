"""Life tables: how long until something happens, where for some units it has not happened yet."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.rates import wilson

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_CLOSE = 1e-9
_COARSE = 1000


@dataclass(frozen=True)
class LifeTable:
    """The Kaplan-Meier estimate of one group, in ticks.

    - `times`: the distinct times of ends; `events`: the ends then; `at_risk`: the units that could have ended
      then. With dates only, a unit last seen on a day was seen for a part of that day: the life table's
      correction counts it by that part.
    - `survival`: the share that has not ended after each time, the product of `1 - events / at_risk` (Kaplan
      and Meier 1958); `spread`: Greenwood's sum of `events / (at_risk (at_risk - events))`, so that
      `survival² · spread` is the estimate's variance.
    """

    times: Ints
    events: Ints
    at_risk: Floats
    ends: Ints
    lasting: Ints
    survival: Floats
    spread: Floats

    @classmethod
    def of(cls, length: Ints, ended: Bools, last_day: float = 1.0) -> LifeTable:
        """Return the table of these spells; an end at the same tick as a last sight comes before it."""
        ends, lasting = np.sort(length[ended]), np.sort(length[~ended])
        first = np.flatnonzero(np.diff(ends, prepend=-1))
        times, events = ends[first], np.diff(first, append=len(ends))
        before = np.searchsorted(lasting, times, side="left")
        at_risk = (len(length) - first - before).astype(float)
        if last_day < 1:
            at_risk -= (np.searchsorted(lasting, times, side="right") - before) * (1 - last_day)
        survival = np.cumprod(1 - events / at_risk)
        with np.errstate(divide="ignore"):
            spread = np.cumsum(events / (at_risk * (at_risk - events)))
        return cls(times, events, at_risk, ends, lasting, survival, spread)

    @property
    def units(self) -> int:
        """The number of units."""
        return len(self.ends) + len(self.lasting)

    def remaining(self, ticks: npt.ArrayLike) -> Ints:
        """Return how many units had neither ended nor gone out of sight before each time."""
        return self.units - np.searchsorted(self.ends, ticks) - np.searchsorted(self.lasting, ticks)

    def share(self, ticks: npt.ArrayLike) -> Floats:
        """Return the estimated share that ends within each time."""
        return 1 - np.concatenate([[1.0], self.survival])[np.searchsorted(self.times, ticks, side="right")]

    def limits(self, ticks: npt.ArrayLike, level: float) -> tuple[Floats, Floats]:
        """Return the interval of `share`: Wilson's, with the size that the estimate's variance is worth.

        A rate of `size` units that were all seen to the end would have the variance that Greenwood's formula
        gives: `size = share (1 - share) / variance` (Cutler and Ederer 1958; Rothman 1978). Where everybody
        was seen to the end, that is the number of units, and the interval is Wilson's own. Before the first
        end it is the number still at risk. Assumes that how long a unit is followed tells nothing of it.
        """
        place = np.searchsorted(self.times, ticks, side="right")
        size = np.where(place == 0, self.remaining(ticks), np.concatenate([[1.0], self._sizes])[place])
        rate = self.share(ticks)
        return wilson(rate * size, size, level)

    @cached_property
    def _sizes(self) -> Floats:
        before = np.concatenate([[1.0], self.survival[:-1]])
        with np.errstate(divide="ignore", invalid="ignore"):
            sizes = (1 - self.survival) / (self.survival * self.spread)
        return np.where(self.survival > 0, sizes, self.at_risk / before)  # the limit of both at survival 0

    def when(self, share: float, until: int) -> float:
        """Return the ticks within which `share` of the units end; NaN where that is not so by `until`.

        Where the curve stays at exactly `share` for a while, the middle of that while (as the median of an
        even number of values).
        """
        reached = 1 - self.survival[: int(np.searchsorted(self.times, until, side="right"))]
        first = int(np.searchsorted(reached, share - _CLOSE))
        if first == len(reached):
            return math.nan
        if reached[first] <= share + _CLOSE and first + 1 < len(self.times) and self.times[first + 1] <= until:
            return float(self.times[first] + self.times[first + 1]) / 2
        return float(self.times[first])

    def when_limits(self, share: float, level: float, until: int) -> tuple[float, float]:
        """Return the times at which `share` may be reached: where the curve's interval holds it.

        From the first time whose upper limit reaches `share` to the first whose lower limit exceeds it
        (Brookmeyer and Crowley 1982); NaN where that has not come by `until`.
        """
        seen = self.times[: int(np.searchsorted(self.times, until, side="right"))]
        first = first_time(seen, lambda places: self.limits(seen[places], level)[1] >= share)
        return first, first_time(seen, lambda places: self.limits(seen[places], level)[0] > share)


def first_time(times: Ints, true: Callable[[Ints], Bools]) -> float:
    """Return the first of the times of which something is true, asked by their places; NaN where it never is.

    Of many times only every so-manieth is asked first, and then those between: what is asked must not change its
    answer more than once on that scale.
    """
    step = max(1, len(times) // _COARSE)
    coarse = np.arange(step - 1, len(times) + step - 1, step).clip(max=len(times) - 1)
    found = np.flatnonzero(true(coarse)) if len(times) else coarse
    if len(found) == 0:
        return math.nan
    last = int(coarse[found[0]])
    fine = np.arange(max(0, last - step + 1), last + 1)
    return float(times[fine[np.argmax(true(fine))]])
