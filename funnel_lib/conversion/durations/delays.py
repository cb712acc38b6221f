"""What the open entries will still bring: the delays of those who converted, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.lifetable import Bools, Floats, Ints
from funnel_lib.conversion.durations.spells import By, Group, enough, followed_by, spells
from funnel_lib.conversion.durations.survival import why_not
from funnel_lib.conversion.journeys import Journeys

NOTHING_MATURE, OWN, ALL_GROUPS = "nothing_mature", "own", "all"
_HALVINGS = 60
_COLUMNS = [
    "group", "entered", "closed", "converted_so_far", "expected", "low", "high", "level", "until", "delays",
    "set_aside", "reason",
]  # fmt: skip
_NOTHING = (math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Delays:
    """Of those who convert within the horizon, the share that has converted by each time.

    `times` are the distinct delays. `share` has one more value: place i is the share with a delay of
    `times[i - 1]` or less; the first is 0 and the last 1. `noise` belongs to `times`: `noise[i:].sum()` is the
    variance of the logarithm of `share[i]`. `settled`: conversions that were followed to the last of the times,
    so that nothing of them can have been missed; infinity: the delays are known for certain.
    """

    times: Ints
    share: Floats
    noise: Floats
    settled: float = math.inf

    @classmethod
    def of(cls, times: Ints, events: Ints, seen: Ints) -> Delays:
        """Return the distribution of delays that are seen only where they are shorter than the time followed.

        `events` are the conversions with each delay, `seen` those with that delay or less among the units
        that were followed for so long. The product-limit estimate in reversed time (Lagakos, Barraj and
        De Gruttola 1988; on a triangle, the chain ladder): no assumption on how many convert, nor on
        whether that changes from one entry to the next.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            kept = np.where(events > 0, 1 - events / seen, 1.0)
            noise = events / (seen * (seen - events))
        share = np.append(np.cumprod(kept[::-1])[::-1], 1.0)
        settled = float(seen[-1]) if len(times) else 0.0
        return cls(times, share, np.nan_to_num(noise, nan=0.0, posinf=0.0), settled)


@dataclass(frozen=True)
class Forecast:
    """Conversions in the end: expected, and the limits between which they will lie; NaN where not known."""

    expected: float
    low: float
    high: float


def eventually(
    journeys: Journeys, by: By = None, *, rules: Rules, start: int = 1, end: int | None = None
) -> pd.DataFrame:
    """Return the share of units that will have converted in the end, recent ones and all.

    What has been seen so far, and what the open entries are expected to bring: see `forecast`. The interval
    is one of prediction: it holds what will be counted for these very units, once all have had their time.

    Parameters
    ----------
    journeys : see `Journeys`.
    by : column to group by, or several; None: one group, `all`.
    rules : level and least numbers.
    start, end : the two steps, counted from 1; `end` is the last step unless given.

    Returns
    -------
    Frame `group, entered, closed, converted_so_far, expected, low, high, level, until, delays, set_aside,
    reason`. “In the end” is `until` days after the unit's start: the window, or where there is none the
    longest time for which `enough` of the units that converted have been followed. `closed` units were
    followed that long, `converted_so_far` are counts; `expected, low, high` are shares of `entered`. `delays`
    says whose delays were used: the group's `own` where at least `min_units` of its closed units converted,
    else those of `all` units together, as if all groups took equally long. `reason` is that of `by_day`, or
    `nothing_mature`: too few units (see `enough`), or fewer than `min_events` conversions, were followed that
    long.

    Raises
    ------
    ConfigError : there is no such column, or the steps are not two of the funnel in order.
    """
    found = spells(journeys, by, start=start, end=end)
    whole = Group("", found, found.length, found.ended, found.followed, 0)
    until = _grown_up(whole, rules) if found.horizon is None else found.horizon
    settled, common = _delays(whole, until)
    grown = settled[0] >= enough(rules.min_units, len(found.length)) and settled[1] >= max(1, rules.min_events)
    rows: list[dict[str, object]] = []
    for group in found.groups():
        (closed, conversions), own = (settled, common) if len(found.names) == 1 else _delays(group, until)
        reason = why_not(group, rules) or ("" if grown else NOTHING_MATURE)
        has_own = len(found.names) == 1 or conversions >= rules.min_units
        told = _in_the_end(group, until, own if has_own else common, rules.level) if not reason else _NOTHING
        rows.append(
            {
                "group": group.name,
                "entered": len(group.length),
                "closed": closed,
                "converted_so_far": int((group.ended & (group.length <= until)).sum()),
                **dict(zip(("expected", "low", "high"), told, strict=True)),
                "level": rules.level,
                "until": math.nan if reason else until / found.ticks_per_day,
                "delays": "" if reason else OWN if has_own else ALL_GROUPS,
                "set_aside": group.set_aside,
                "reason": reason,
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"group": "str", "delays": "str", "reason": "str"})


def _grown_up(group: Group, rules: Rules) -> int:
    """Return the ticks for which enough of the units that converted have been followed; -1: never."""
    return followed_by(group.fully[group.ended], enough(rules.min_units, int(group.ended.sum())))


def _delays(group: Group, until: int) -> tuple[tuple[int, int], Delays]:
    """Return the units followed until the end and the conversions among them, and the delays of all."""
    followed, converted = group.fully, group.ended & (group.length <= until)
    closed = followed >= until
    counted = converted & (group.length <= followed)
    delays = observed_delays(group.length[counted], followed[counted], until)
    return (int(closed.sum()), int((closed & converted).sum())), delays


def _in_the_end(group: Group, until: int, delays: Delays, level: float) -> tuple[float, float, float]:
    """Return the share expected in the end, and its limits."""
    followed, units = group.fully, len(group.length)
    seen: Bools = group.ended & (group.length <= until)
    counted = seen & (group.length <= followed)
    followed = followed[~counted]
    places = np.searchsorted(delays.times, np.sort(followed[followed < until]), side="right")
    waiting = np.bincount(places, minlength=len(delays.share))
    waiting[-1] += int((followed >= until).sum())
    if not counted.any():
        return _NOTHING
    told = forecast(int(counted.sum()), waiting, delays, level)
    least = int(seen.sum())  # what was seen on the last day is certain, too
    return tuple(max(value, least) / units for value in (told.expected, told.low, told.high))  # type: ignore[return-value]


def observed_delays(delay: Ints, followed: Ints, until: int) -> Delays:
    """Return the distribution of the delays of conversions, each with the time that its unit was followed.

    `until` is the longest delay there can be; it is one of the times, also where none was so long.
    """
    delay, followed = np.sort(delay), np.sort(followed)
    first = np.flatnonzero(np.diff(delay, prepend=-1))
    times, events = delay[first], np.diff(first, append=len(delay))
    if len(times) == 0 or times[-1] < until:
        first, times, events = np.append(first, len(delay)), np.append(times, until), np.append(events, 0)
    return Delays.of(times, events, first + events - np.searchsorted(followed, times, side="left"))


def forecast(converted: int, waiting: Ints | Floats, delays: Delays, level: float, dispersion: float = 1.0) -> Forecast:
    """Return how many of some units will have converted in the end, with a prediction interval.

    One share of the units converts, each after a delay of the distribution `delays`: the share of the
    greatest likelihood gives each open unit its chance (for units of one age: the chain ladder's
    `converted / share`). The variance adds up the open units' chance, that of the share and that of the
    delays (delta method); the limits are those of a gamma distribution of the conversions to come, rounded to
    whole numbers. That none of the `settled` conversions came so late as is still to come does not mean that
    none can: the upper limit takes half of one more to have done so (Jeffreys' prior of the share still to come,
    a gamma distribution of shape one half), and is one at least where one has a chance of more than its tail's.

    Parameters
    ----------
    converted : units that have converted; at least 1.
    waiting : number of other units by place in `delays.share`: how long each has been followed.
    dispersion : by how much the delays vary more than chance: multiplies the variance.
    """
    held = np.flatnonzero(waiting)
    units, share = waiting[held].astype(float), delays.share[held]
    rate = _rate(converted, units, share)
    left = np.maximum(1 - rate * share, 1e-12)  # the chance not to have converted yet
    chance = rate * (1 - share) / left
    coming = float(units @ chance)
    information = converted / rate**2 + float(units @ (share / left) ** 2)
    slope = float(units @ ((1 - share) / left**2))
    weight = np.zeros(len(delays.share))
    weight[held] = units * (rate * (1 - rate) + slope / information) / left**2  # what a lower `share` adds
    late = float(delays.noise @ np.cumsum(weight * delays.share)[:-1] ** 2)
    variance = dispersion * (float(units @ (chance * (1 - chance))) + slope**2 / information + late)
    unseen = 0.5 * float(weight[:-1].sum()) / max(delays.settled, 1.0)
    low = _limit(coming, variance, (1 - level) / 2)
    most = _limit(coming + unseen, variance + dispersion * (unseen + 2 * unseen**2), (1 + level) / 2)
    high = max(most, float(math.exp(-coming - unseen) < (1 + level) / 2))
    return Forecast(converted + coming, converted + low, converted + min(high, float(units.sum())))


def _rate(converted: int, units: Floats, share: Floats) -> float:
    """Return the share of units that convert in the end which makes what was seen most likely."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if converted / middle > units @ (share / (1 - middle * share)):
            low = middle
        else:
            high = middle
    return high


def _limit(mean: float, variance: float, chance: float) -> float:
    """Return the count that is not exceeded with so much chance."""
    from scipy.special import gammaincinv

    if mean <= 0:
        return 0.0
    return float(round(float(gammaincinv(mean**2 / variance, chance)) * variance / mean))
