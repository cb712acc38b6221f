"""Who comes back: retention of cohorts, second orders, and churn, each with its definition."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.cohorts import AGE_DAYS, OPEN, stretches
from funnel_lib.conversion.durations.lifetable import Bools, Ints
from funnel_lib.conversion.durations.spells import ALL_BUT, DAY_US, NOT_KNOWN, Clock, moment, spells
from funnel_lib.conversion.durations.stays import Lives
from funnel_lib.conversion.durations.survival import NOT_OBSERVED, why_not
from funnel_lib.conversion.durations.timing import NO_TIMES
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.movement.change import Every
from funnel_lib.conversion.rates import with_rates
from funnel_lib.conversion.snapshots import moments
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.schema import TS, USER_ID

_MOST: dict[Every, int] = {"day": 31, "week": 26, "month": 24}
_RETENTION = [
    "cohort", "age", "entered", "observed", "active", "rate", "low", "high", "level", "finished", "set_aside", "reason",
]  # fmt: skip
_REPURCHASE = [
    "method", "customers", "repeated", "rate", "low", "high", "level", "within_days", "set_aside", "reason",
]  # fmt: skip
_CHURN = [
    "start", "active", "lost", "rate", "low", "high", "level", "finished", "definition", "set_aside", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class _Acts:
    """What people did, by user and time, each instant once.

    `user` numbers their `names`; `times` and each user's `first` are in ticks; so is `known`, the end of the data, and
    `over`: all ticks before it are known in full.
    """

    names: pd.Index
    user: Ints
    times: Ints
    first: Ints
    clock: Clock
    known: int
    over: int
    set_aside: int


def retention(
    events: pd.DataFrame | EventLog,
    *,
    every: Every = "week",
    kind: Literal["in", "from"] = "in",
    as_of: datetime,
    rules: Rules,
    zone: tzinfo = UTC,
    since: datetime | None = None,
) -> pd.DataFrame:
    """Return the share of each cohort that was active again at each age.

    A cohort is who was first seen in one week (or day, or month) of the calendar; age is each person's own, in
    stretches of 7 (1, 30) days since then: age 1 is the second stretch (in the first one everybody is active).
    Only people count whose stretch is over.

    Parameters
    ----------
    events : what counts as being active: `user_id`, `ts`; or a log: all of its rows.
    every : `day`, `week` (from Monday) or `month`.
    kind : active `in` that stretch, or in it or later (`from` it on: recent cohorts have had less time to return).
    as_of : what is known; later events are not looked at.
    rules : level and least numbers.
    zone : business zone.
    since : people with an earlier event are not new, and are left out; default: the first event of all.

    Returns
    -------
    Frame `cohort, age, entered, observed, active, rate, low, high, level, finished, set_aside, reason`, ages up
    to the oldest cohort's, at most 31 days, 26 weeks or 24 months: `rate` is `active` of `observed` with
    Wilson's interval. `finished`: all have been observed for so long. `set_aside` events have no user, no time,
    or lie after `as_of`. `reason` is `too_few`, or `open`: nobody is so old. One row with `no_times` where
    there is no event.

    Raises
    ------
    ConfigError : no such `every` or `kind`.
    DataError : a column is missing.
    """
    for name, value, allowed in (("every", every, list(AGE_DAYS)), ("kind", kind, ["in", "from"])):
        if value not in allowed:
            raise ConfigError(
                "This is not one of the choices.", where=name, found=value, allowed=choices(allowed, value)
            )
    lives = Lives.of(events, as_of, zone, since) if isinstance(events, EventLog) else _lives(events, as_of, zone, since)
    if not lives.counted.any():
        row = {"entered": 0, "level": rules.level, "set_aside": lives.set_aside, "reason": NO_TIMES}
        return pd.DataFrame([row], columns=_RETENTION).astype({"cohort": "datetime64[us]", "reason": "str"})
    length, over = AGE_DAYS[every] * (DAY_US // lives.clock.tick), _over(lives.clock, moment(as_of))
    done = (over - lives.first) // length - 1  # the last stretch that is over, from 0
    last = int(np.clip(done[lives.counted].max(), 1, _MOST[every]))
    starts, bounds = stretches(lives.first[lives.counted], lives.clock, every, zone)
    place = np.where(lives.counted, np.searchsorted(bounds, lives.first, side="right") - 1, -1)
    limit = np.clip(done, 0, last)
    size = (len(starts), last + 1)
    active = lives.there(place, limit, size, length, later=kind == "from")
    followed = np.bincount((place * size[1] + limit)[lives.counted], minlength=size[0] * size[1]).reshape(size)
    observed = _from_then_on(followed)
    if kind == "from":
        active = _from_then_on(active)
    frame = pd.DataFrame(
        {
            "cohort": np.repeat(starts, last), "age": np.tile(np.arange(1, last + 1), len(starts)),
            "entered": np.repeat(observed[:, 0], last), "observed": observed[:, 1:].ravel(),
            "active": active[:, 1:].ravel(), "set_aside": lives.set_aside,
        }
    )  # fmt: skip
    judged = with_rates(frame.assign(numerator=frame["active"], denominator=frame["observed"]), rules)
    judged["finished"] = (judged["observed"] == judged["entered"]) & np.repeat(bounds[1:] <= over, last)
    judged.loc[judged["observed"] == 0, "reason"] = OPEN
    return judged[_RETENTION]


def _from_then_on(counts: Ints) -> Ints:
    """Return the sums of each column and all later ones."""
    return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1])


def _lives(events: pd.DataFrame, as_of: datetime, zone: tzinfo, since: datetime | None) -> Lives:
    acts = _acts(events, as_of, zone, since)
    starts = np.append(0, np.bincount(acts.user, minlength=len(acts.first)).cumsum())
    everybody = np.ones(len(acts.first), dtype=bool)
    return Lives(acts.times, starts, acts.first, everybody, acts.clock, acts.known, acts.set_aside)


def reorders(orders: pd.DataFrame, *, within_days: float, as_of: datetime) -> Journeys:
    """Return journeys from each customer's first order to the second: `by_day`, `triangle`, `eventually` take them.

    Orders at one instant (with dates only: on one day) are one order. Assumes that the first order in the data
    is the customer's first.

    Parameters
    ----------
    orders : `user_id, ts`.
    within_days : longest time until the second order.
    as_of : what is known; later orders are not looked at.

    Raises
    ------
    DataError : a column is missing.
    """
    acts = _acts(orders, as_of, UTC, None, exact=True)
    new = np.flatnonzero(np.diff(acts.user, prepend=-1))
    has_more = np.diff(new, append=len(acts.user)) > 1
    first, second = acts.times[new], np.full(len(new), NOT_KNOWN)
    second[has_more] = acts.times[new[has_more] + 1]
    window = round(within_days * DAY_US)
    depth = np.where(has_more & (np.where(has_more, second, first) - first <= window), 2, 1).astype(np.int8)
    closed = first + window <= acts.known
    times = pd.array(first, dtype="datetime64[us, UTC]")
    frame = pd.DataFrame(
        {
            "unit": acts.names,
            "depth": depth, "mature_depth": np.where(closed, depth, 0).astype(np.int8), "first_depth": depth,
            "t_1": times, "t_2": pd.array(np.where(depth == 2, second, NOT_KNOWN), dtype="datetime64[us, UTC]"),
            "first_entry": times, "last_entry": times, "matured": closed | (depth == 2),
        }
    )  # fmt: skip
    steps = [Step("first order", event="order"), Step("second order", event="order")]
    funnel = Funnel(steps=steps, window=timedelta(days=within_days), unit=USER_ID)
    return Journeys(funnel, frame, None, as_of, True, {"unusable": acts.set_aside})


def repurchase(orders: pd.DataFrame, *, within_days: float, as_of: datetime, rules: Rules) -> pd.DataFrame:
    """Return the share of customers with a second order within some days of the first, in two ways.

    Parameters
    ----------
    orders, within_days, as_of : see `reorders`.
    rules : level and least numbers.

    Returns
    -------
    Frame `method, customers, repeated, rate, low, high, level, within_days, set_aside, reason`, two rows:
    `mature` counts only customers whose first order is at least `within_days` old (Wilson's interval);
    `kaplan_meier` (with dates only: `life_table`) counts all, each for as long as it has been followed: see
    `by_day`. `reason` is that of `by_day`; `set_aside` orders have no user, no time, or lie after `as_of`.

    Raises
    ------
    DataError : a column is missing.
    """
    made = reorders(orders, within_days=within_days, as_of=as_of)
    found = spells(made, None)
    group, until = next(found.groups()), round(within_days * found.ticks_per_day)
    mature, again = group.fully >= until, group.ended & (group.length <= until)
    counts = pd.DataFrame({"numerator": [int((mature & again).sum())], "denominator": [int(mature.sum())]})
    first = with_rates(counts, rules).rename(columns={"numerator": "repeated", "denominator": "customers"})
    if not mature.any():
        first["reason"] = NOT_OBSERVED
    reason = why_not(group, rules)
    known = not reason and group.observed_until(rules.min_units) >= until
    low, high = group.table.limits(until, rules.level)
    second = pd.DataFrame(
        {
            "customers": [len(group.length)],
            "repeated": int(again.sum()),
            "rate": float(group.table.share(until)) if known else np.nan,
            "low": float(low) if known else np.nan,
            "high": float(high) if known else np.nan,
            "level": rules.level,
            "reason": "" if known else reason or NOT_OBSERVED,
        }
    )
    both = pd.concat([first, second], ignore_index=True)
    both = both.assign(method=["mature", found.method], within_days=within_days, set_aside=made.set_aside["unusable"])
    return both[_REPURCHASE].astype({"method": "str", "reason": "str"})


def churn(
    events: pd.DataFrame,
    *,
    idle_days: int,
    every: Literal["week", "month"] = "month",
    as_of: datetime,
    rules: Rules,
    zone: tzinfo = UTC,
) -> pd.DataFrame:
    """Return the share of active people who fell silent, at the beginning of each week or month.

    Active at a moment is who did something in the `idle_days` days before it; lost is who of them does nothing
    in the `idle_days` days after it. Of somebody without a contract nobody knows whether he has left: another
    length gives another churn, and the `definition` belongs beside the number.

    Parameters
    ----------
    events : what counts as being active: `user_id`, `ts`.
    idle_days : days of silence that count as being lost; at least 1.
    every : `week` (from Monday) or `month`.
    as_of : what is known; later events are not looked at.
    rules : level and least numbers.
    zone : business zone.

    Returns
    -------
    Frame `start, active, lost, rate, low, high, level, finished, definition, set_aside, reason`: `start` is the
    moment's day in the zone, from the first one with `idle_days` days of data before it. `rate` has Wilson's
    interval. `reason` is `too_few`, or `open` (not `finished`): the days after it are not over, and `lost` are silent
    so far. One row with
    `no_times` where there is no such moment.

    Raises
    ------
    ConfigError : no such `every`, or `idle_days` is below 1.
    DataError : a column is missing.
    """
    if every not in ("week", "month") or idle_days < 1:
        raise ConfigError(
            "Churn cannot be told so.", where="every, idle_days", found=f"{every}, {idle_days}",
            allowed="week or month; 1 or more",
        )  # fmt: skip
    acts, definition = _acts(events, as_of, zone, None), f"active_{idle_days}_days_before_silent_{idle_days}_days_after"
    length, rows = idle_days * (DAY_US // acts.clock.tick), []
    order = np.argsort(acts.times, kind="stable")
    at, user = acts.times[order], acts.user[order]
    moments = stretches(at, acts.clock, every, zone) if len(at) else (pd.DatetimeIndex([]), at)
    for start, begin in zip(*moments, strict=False):
        if begin - length < at[0]:
            continue
        limits = np.searchsorted(at, [begin - length, begin, begin + length])
        active, after = (np.zeros(len(acts.first), dtype=bool) for _ in range(2))
        active[user[limits[0] : limits[1]]] = True
        after[user[limits[1] : limits[2]]] = True
        lost = int((active & ~after).sum())
        rows.append((start, int(active.sum()), lost, bool(begin + length <= acts.over)))
    if not rows:
        row = {"level": rules.level, "definition": definition, "set_aside": acts.set_aside, "reason": NO_TIMES}
        return pd.DataFrame([row], columns=_CHURN).astype({"start": "datetime64[us]", "reason": "str"})
    frame = pd.DataFrame(rows, columns=["start", "active", "lost", "finished"])
    judged = with_rates(frame.assign(numerator=frame["lost"], denominator=frame["active"]), rules)
    judged.loc[~judged["finished"], ["rate", "low", "high"]] = np.nan
    judged.loc[~judged["finished"], "reason"] = OPEN
    return judged.assign(definition=definition, set_aside=acts.set_aside)[_CHURN]


def _usable(events: pd.DataFrame, known: int) -> Bools:
    missing = next((name for name in (USER_ID, TS) if name not in events), None)
    if missing is not None:
        raise DataError(
            f"There is no column {missing!r}.", found=", ".join(map(str, events)), allowed=f"{USER_ID}, {TS}",
            do="Rename the column.",
        )  # fmt: skip
    at = moments(events[TS])
    named: Bools = events[USER_ID].notna().to_numpy(dtype=bool)
    usable: Bools = named & (at != NOT_KNOWN) & (at <= known)
    return usable


def _ordered(user: Ints, at: Ints) -> bool:
    """Return whether rows stand by user and time already, as what a database has put together does."""
    later = np.diff(user)
    return bool(((later > 0) | ((later == 0) & (np.diff(at) >= 0))).all())


def _acts(events: pd.DataFrame, as_of: datetime, zone: tzinfo, since: datetime | None, *, exact: bool = False) -> _Acts:
    known = moment(as_of)
    usable = _usable(events, known)
    at = moments(events[TS])[usable]
    codes, names = pd.factorize(events[USER_ID][usable], sort=True)
    user = np.asarray(codes, dtype=np.int64)
    if not _ordered(user, at):
        order = np.lexsort((at, user))
        at, user = at[order], user[order]
    again = np.append(False, (np.diff(user) == 0) & (np.diff(at) == 0)) if len(at) else np.zeros(0, dtype=bool)
    at, user = at[~again], user[~again]
    first = at[np.flatnonzero(np.diff(user, prepend=-1))]
    if since is not None:
        new = first >= moment(since)
        kept = new[user]
        at, user = at[kept], (new.cumsum() - 1)[user[kept]]
        first, names = first[new], names[new]
    clock = Clock(None) if exact else Clock.of(at, at, zone)
    now, over = int(clock.ticks(known)), _over(clock, known)
    return _Acts(names, user, clock.ticks(at), clock.ticks(first), clock, now, over, int((~usable).sum()))


def _over(clock: Clock, known: int) -> int:
    """Return the tick before which all are known in full."""
    now = int(clock.ticks(known))
    return now if clock.last_day(known) < ALL_BUT else now + 1
