"""Cohorts: those who entered in one week or month, by age; and what the young ones will come to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.delays import NOTHING_MATURE, Delays, forecast
from funnel_lib.conversion.durations.lifetable import Floats, Ints
from funnel_lib.conversion.durations.spells import DAY_US, Clock, Spells, enough, moment, spells, zone_of
from funnel_lib.conversion.durations.timing import NO_TIMES
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.change import Every
from funnel_lib.conversion.rates import TOO_FEW, with_rates
from funnel_lib.errors import ConfigError, choices

OPEN = "open"
AGE_DAYS: dict[Every, int] = {"day": 1, "week": 7, "month": 30}
_MOST: dict[Every, int] = {"day": 31, "week": 26, "month": 24}
_COHORTS, _LIKELY, _CLOSE = 3, 0.3, 1e-9
_LADDER = ("entered", "observed", "converted", "earlier", "seen")
_TRIANGLE = [
    "cohort", "age", "entered", "observed", "converted", "earlier", "seen", "rate", "low", "high", "level", "closes",
    "finished", "reason",
]  # fmt: skip


def triangle(
    journeys: Journeys, *, every: Every = "week", zone: tzinfo | None = None, ages: int | None = None, rules: Rules
) -> pd.DataFrame:
    """Return the share of each cohort that converted by each age.

    A cohort is who first entered in one week (or day, or month) of the calendar. Age is each unit's own: within
    `age` times 7 (1, 30) days of its entry. Of a cohort that is not all of that age yet, only the units count
    that are: so every rate can be compared with those of the same age.

    Parameters
    ----------
    journeys : see `Journeys`.
    every : `day`, `week` (from Monday) or `month`.
    zone : business zone; by default the period's, else UTC.
    ages : the greatest age; by default that of the window (rounded up), else as far as any cohort has come, at
        most 31 days, 26 weeks or 24 months.
    rules : level and least numbers.

    Returns
    -------
    Frame `cohort, age, entered, observed, converted, earlier, seen, rate, low, high, level, closes, finished,
    reason`, one row per cohort and age (from 1): `cohort` is its first day in the zone; `entered` all its units;
    `observed` those that have been followed for this age; of these `converted` did so by this age and `earlier`
    by the age before; `rate` is `converted` of `observed` with Wilson's interval. `seen` are all conversions
    seen by that age. `closes` (UTC) is when the last unit reaches the age; `finished` says that it is over.
    `reason` is `too_few`, or `open`: no unit is so old. One row with the reason `no_times` where entries have
    no time.

    Raises
    ------
    ConfigError : no such `every`.
    """
    if every not in AGE_DAYS:
        raise ConfigError(
            "There is no such stretch of time.", where="every", found=every, allowed=choices(list(AGE_DAYS), every)
        )
    found = spells(journeys, None, keep=False)
    if len(found.length) == 0 or found.untimed.any():
        row = {"entered": len(journeys.frame), "level": rules.level, "finished": False, "reason": NO_TIMES}
        return pd.DataFrame([row], columns=_TRIANGLE).astype({"cohort": "datetime64[us]", "reason": "str"})
    length = AGE_DAYS[every] * found.ticks_per_day
    last = _greatest(found, length, _MOST[every]) if ages is None else ages
    begun = found.known - found.followed
    starts, bounds = stretches(begun, found.clock, every, zone or zone_of(journeys))
    cells = _cells(found, stretch_of(begun, bounds, found.ticks_per_day), length, last, len(starts))
    steps = np.arange(1, last + 1) * length
    if found.horizon is not None:
        steps = np.minimum(steps, found.horizon)
    over = (
        bounds[1:]
        if journeys.period is None
        else np.minimum(bounds[1:], int(found.clock.ticks(moment(journeys.period.end))))
    )
    closes = over[:, None] + steps - 1 + found.gap  # the last unit came in the last tick before the end
    table = pd.DataFrame(
        {
            "cohort": np.repeat(starts, last),
            "age": np.tile(np.arange(1, last + 1), len(starts)),
            **{name: values.ravel() for name, values in cells.items()},
            "closes": pd.DatetimeIndex((closes * found.tick).ravel().astype("datetime64[us]")).tz_localize(UTC),
            "finished": (closes <= found.known).ravel(),
        }
    )
    judged = with_rates(table.assign(numerator=table["converted"], denominator=table["observed"]), rules)
    judged.loc[judged["observed"] == 0, "reason"] = OPEN
    return judged[_TRIANGLE]


def _greatest(found: Spells, length: int, most: int) -> int:
    """Return the greatest age to show."""
    if found.horizon is not None:
        return max(1, -(-found.horizon // length))
    return int(np.clip(found.fully.max() // length, 1, most))


def stretches(moments: Ints, clock: Clock, every: Every, zone: tzinfo) -> tuple[pd.DatetimeIndex, Ints]:
    """Return the first day of each stretch that the moments lie in, and the beginnings and the last end in ticks."""
    ends = pd.DatetimeIndex(np.array([moments.min(), moments.max()]) * clock.tick, dtype="datetime64[us]")
    if clock.dates is None:
        ends = ends.tz_localize(UTC).tz_convert(zone).tz_localize(None)
    frequency = {"day": "D", "week": "W-MON", "month": "MS"}[every]
    first = ends[0].normalize()
    first -= pd.Timedelta(days=first.day_of_week if every == "week" else first.day - 1 if every == "month" else 0)
    starts = pd.date_range(first, ends[1] + pd.Timedelta(days=32), freq=frequency).as_unit("us")
    bounds = np.asarray(starts.asi8) // DAY_US
    if clock.dates is None:
        clocks = np.ones(len(starts), dtype=bool)  # a midnight that comes twice: the first one
        aware = starts.tz_localize(zone, ambiguous=clocks, nonexistent="shift_forward").tz_convert(UTC)
        bounds = np.asarray(aware.as_unit("us").asi8)
    kept = int(np.searchsorted(bounds, moments.max(), side="right")) + 1
    return starts[: kept - 1], bounds[:kept]


def stretch_of(moments: Ints, bounds: Ints, day: int) -> Ints:
    """Return the stretch of each moment; between ends that are whole days apart it is told by its day."""
    since = bounds - bounds[0]
    if (since % day).any():
        return np.asarray(np.searchsorted(bounds, moments, side="right") - 1)
    of_day = np.repeat(np.arange(len(bounds) - 1), np.diff(since) // day)
    return np.asarray(of_day[(moments - bounds[0]) // day])


def _cells(found: Spells, place: Ints, length: int, last: int, cohorts: int) -> dict[str, Ints]:
    """Count each cohort's units by age; arrays of one row per cohort and one column per age."""
    old = np.clip(found.fully // length, 0, last)
    if found.horizon is not None:
        old[found.fully >= found.horizon] = last  # nothing more can come
    age = np.maximum(-(-found.length[found.ended] // length), 1)
    inside = age <= last
    where, age, grown = place[found.ended][inside], age[inside], old[found.ended][inside]
    size = (cohorts, last + 1)

    def count(rows: Ints, columns: Ints) -> Ints:
        return np.bincount(rows * size[1] + columns, minlength=size[0] * size[1]).reshape(size)

    units, seen, young = count(place, old), count(where, age).cumsum(axis=1), count(where, grown)
    partly = age == grown + 1  # seen before the unit was so old
    entered = units.sum(axis=1, keepdims=True)
    observed = entered - units.cumsum(axis=1)[:, :-1]  # older than the age before
    younger = young.cumsum(axis=1)[:, :-1]  # conversions of units that are not so old: all by this age
    converted = seen[:, 1:] - younger
    earlier = seen[:, :-1] - younger + count(where[partly], age[partly])[:, 1:]
    return {
        "entered": np.broadcast_to(entered, converted.shape), "observed": observed, "converted": converted,
        "earlier": earlier, "seen": seen[:, 1:],
    }  # fmt: skip


def nowcast(triangle: pd.DataFrame, *, rules: Rules) -> pd.DataFrame:
    """Return what share of each cohort will have converted in the end, with a prediction interval.

    The chain ladder on the triangle: of the conversions by each age, the share that had come by the age before
    is the same for all cohorts; how many convert is each cohort's own. See `forecast` for the interval; where
    finished cohorts' shares by an age vary more than chance explains, it is widened by that (`dispersion`, at the
    ages of the cohort's open units), and once more for being known from so few cohorts where chance alone would
    not easily vary so much (Student's t instead of the normal quantile). What came in an age that has only begun
    counts where it is more than was expected of the whole age.

    Parameters
    ----------
    triangle : see `triangle`.
    rules : level and least numbers.

    Returns
    -------
    Frame `cohort, entered, seen, expected, low, high, level, until_age, dispersion, p, finished, reason`: the
    conversions seen so far; the share of those who entered that will have converted by the age `until_age`, the
    greatest at which `enough` units and `min_events` conversions have been observed. Of a cohort that is
    still open, only those count who have entered. A finished cohort's limits are what came. `p` (of all cohorts
    together) is the chance of delays as different as theirs if they were the same: chi-squared. `reason` is
    `too_few` conversions so far, `open`: no unit has reached the first age, `nothing_mature`, or `no_times`.
    """
    if triangle["cohort"].isna().any():
        return _unknown(triangle, rules, NO_TIMES)
    cohorts, places = np.unique(triangle["cohort"], return_inverse=True)
    wide = {name: np.zeros((len(cohorts), int(triangle["age"].max())), dtype=np.int64) for name in _LADDER}
    for name, cells in wide.items():
        cells[places, triangle["age"].to_numpy(dtype=np.int64) - 1] = triangle[name].to_numpy()
    needed = enough(rules.min_units, int(wide["entered"].max(axis=1).sum()))
    came = wide["converted"].sum(axis=0)
    grown = (wide["observed"].sum(axis=0) >= needed) & (came >= max(1, rules.min_events))
    if not grown.any():
        return _unknown(triangle, rules, NOTHING_MATURE)
    last = int(np.flatnonzero(grown)[-1]) + 1
    observed, converted, earlier, seen = (wide[name][:, :last] for name in _LADDER[1:])
    delays = Delays.of(np.arange(1, last + 1), (converted - earlier).sum(axis=0), came[:last])
    varied, p = _varied({name: cells[:, :last] for name, cells in wide.items()}, delays, rules.level)
    rows = []
    for place, entered in enumerate(wide["entered"].max(axis=1)):
        ladder = (observed[place], converted[place], earlier[place], seen[place])
        told = _of_cohort(int(entered), ladder, delays, varied, rules)
        rows.append((entered, seen[place, -1], *told))
    frame = pd.DataFrame(rows, columns=["entered", "seen", "expected", "low", "high", "dispersion"])
    finished = triangle[(triangle["age"] == last) & triangle["finished"]]["cohort"]
    reason = np.where(frame["expected"].notna(), "", np.where(observed[:, 0] == 0, OPEN, TOO_FEW))
    frame = frame.assign(
        cohort=pd.DatetimeIndex(cohorts), level=rules.level, until_age=last, p=p,
        finished=np.isin(cohorts, finished.to_numpy()), reason=pd.Series(reason, dtype="str"),
    )  # fmt: skip
    return frame[_NOWCAST]


_NOWCAST = [
    "cohort", "entered", "seen", "expected", "low", "high", "level", "until_age", "dispersion", "p", "finished",
    "reason",
]  # fmt: skip


def _unknown(triangle: pd.DataFrame, rules: Rules, reason: str) -> pd.DataFrame:
    grouped = triangle.groupby("cohort", dropna=False)
    frame = pd.DataFrame({"entered": grouped["entered"].first(), "seen": grouped["seen"].max()}).reset_index()
    return frame.assign(level=rules.level, finished=False, reason=pd.Series(reason, index=frame.index, dtype="str")
    ).reindex(columns=_NOWCAST)  # fmt: skip


def _of_cohort(
    entered: int, ladder: tuple[Ints, Ints, Ints, Ints], delays: Delays, varied: Floats, rules: Rules
) -> tuple[float, float, float, float]:
    """Return the share of one cohort that is expected in the end, its limits, and its dispersion."""
    observed, converted, earlier, seen = ladder
    known = int((converted - earlier).sum())  # conversions by an age that their unit has completed
    if known < max(1, rules.min_events):
        return math.nan, math.nan, math.nan, math.nan
    units = np.append(entered, observed) - np.append(observed, 0)  # by the number of ages completed
    waiting = units - np.append(0, converted) + np.append(earlier, 0)
    ahead = waiting[:-1] * (1 - delays.share[:-1])  # units by what their age leaves to come
    spread = float(ahead @ varied / ahead.sum()) if ahead.any() else 1.0
    told = forecast(known, waiting, delays, rules.level, spread)
    # What came in an age that has only begun is in none of this. Where it is more than the whole age was expected to
    # bring, it is expected to be all of that age; but units are only half-way through it, on average.
    rest = waiting - np.append(np.diff(seen, prepend=0) - converted + earlier, 0)
    older = np.append(0, rest[:-1])
    older[-1] += rest[-1]
    expected, high = told.expected, told.high
    least = forecast(int(seen[-1]), older, delays, rules.level, spread).expected
    if least > expected + _CLOSE:
        expected, high = least, forecast(int(seen[-1]), (rest + older) / 2, delays, rules.level, spread).high
    return expected / entered, max(told.low, seen[-1]) / entered, high / entered, spread


def _varied(wide: Mapping[str, Ints], delays: Delays, level: float) -> tuple[Floats, float]:
    """Return by how much cohorts' shares by each age vary more than by chance (1: no more), and the p of “not at all”.

    What made a cohort slow by one age keeps it slow by the next, so its share by an age, of all that came in the end,
    says how far a forecast from that age is off: Pearson's chi-squared of the finished cohorts by its degrees of
    freedom. That of the steps between ages where too few cohorts are finished. Place i: i ages are completed.
    """
    from scipy.special import chdtrc, ndtri, stdtrit

    converted, last = wide["converted"], len(delays.times)
    squares, freedom = _steps(converted, wide["earlier"])
    p = float(chdtrc(freedom, squares)) if freedom else math.nan
    done = (wide["observed"][:, -1] == wide["entered"][:, 0]) & (converted[:, -1] > 0)
    varied = np.full(last, squares / freedom if freedom else 1.0)
    for age in range(1, last):
        came, share = converted[done, -1], delays.share[age]
        spread = came * share * (1 - share)
        judged = spread >= 1
        if judged.sum() >= _COHORTS:
            few = judged.sum() - 1
            gaps = (converted[done, age - 1] - came * share)[judged]
            wider = stdtrit(few, (1 + level) / 2) / ndtri((1 + level) / 2) if p < _LIKELY else 1.0
            varied[age] = float((gaps**2 / spread[judged]).sum()) / few * wider**2
    varied[0] = varied[min(1, last - 1)]
    return np.maximum(varied, 1.0), p


def _steps(converted: Ints, earlier: Ints) -> tuple[float, int]:
    """Return chi-squared of “the share that had come by the age before is that of all cohorts”, and its freedom."""
    total = converted.sum(axis=0)
    share: Floats = np.divide(earlier.sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)
    spread = converted * share * (1 - share)
    judged = spread >= 1
    squares = np.where(judged, (earlier - converted * share) ** 2 / np.where(judged, spread, 1), 0.0)
    return float(squares.sum()), int(np.maximum(judged.sum(axis=0) - 1, 0).sum())


@dataclass(frozen=True)
class BackTest:
    """What past nowcasts said, against what came.

    `table`: see `back_test`. `nowcasts` of them; `held` the share whose interval held what came; `error` and
    `absolute_error` the mean of `expected - came` as it is and without its sign, in shares of those who
    entered. NaN with a `reason` where there were none.
    """

    table: pd.DataFrame
    nowcasts: int
    held: float
    error: float
    absolute_error: float
    reason: str


def back_test(triangle: pd.DataFrame, *, rules: Rules) -> BackTest:
    """Repeat the nowcasts of the past with what was known then, and compare them with what came.

    Whenever a cohort had completed its first age, the triangle is cut back to the cells that were finished then,
    and each cohort that was young then and is finished now gives one nowcast. They are not independent: one
    cohort is told several times, and one odd week spoils several. A nowcast fails where the past is no guide:
    where delays change, or where early conversions were not recorded.

    Parameters
    ----------
    triangle : see `triangle`.
    rules : level and least numbers.

    Returns
    -------
    `BackTest`; its `table` is `told_at, cohort, age, until_age, expected, low, high, came, error, held`: when it was
    told, the cohort's age then, what was expected by which age, and what came; shares of those who entered.
    """
    done = triangle[triangle["finished"]].sort_values(["cohort", "age"])
    parts = [_told(done, told_at, rules) for told_at in done.loc[done["age"] == 1, "closes"]]
    columns = ["told_at", "cohort", "age", "until_age", "expected", "low", "high", "came", "error", "held"]
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    if table.empty:
        return BackTest(table, 0, math.nan, math.nan, math.nan, NOTHING_MATURE)
    error = table["error"]
    return BackTest(table, len(table), float(table["held"].mean()), float(error.mean()), float(error.abs().mean()), "")


def _told(done: pd.DataFrame, told_at: pd.Timestamp, rules: Rules) -> pd.DataFrame:
    """Return the nowcasts of one day, with what came."""
    past = done[done["closes"] <= told_at]
    before = past.groupby("cohort")["converted"].shift(1, fill_value=0)
    told = nowcast(past.assign(observed=past["entered"], earlier=before, seen=past["converted"]), rules=rules)
    told["age"] = told["cohort"].map(past.groupby("cohort")["age"].max())
    later = done[["cohort", "age", "converted"]].rename(columns={"age": "until_age", "converted": "came"})
    young = told[(told["reason"] == "") & (told["age"] < told["until_age"])]
    joined = young.merge(later, on=["cohort", "until_age"])
    came = joined["came"] / joined["entered"]
    held = (joined["low"] <= came + 1e-9) & (came <= joined["high"] + 1e-9)
    return joined.assign(told_at=told_at, came=came, error=joined["expected"] - came, held=held)
