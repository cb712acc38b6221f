"""Outcomes that exclude each other: won, lost, or still open."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.lifetable import Floats, Ints, LifeTable
from funnel_lib.conversion.durations.spells import DAY_US, NOT_KNOWN, Clock, enough, followed_by, moment
from funnel_lib.conversion.durations.survival import NO_CONVERSIONS, NOT_OBSERVED
from funnel_lib.conversion.durations.timing import NO_TIMES
from funnel_lib.conversion.rates import TOO_FEW, wilson
from funnel_lib.conversion.snapshots import moments
from funnel_lib.errors import DataError

OPEN, NAMELESS = "open", "unknown"
Times = pd.Series  # of datetimes; without a zone they are UTC
_LONGEST = 366


@dataclass(frozen=True)
class _Records:
    """Lengths in ticks, until the outcome or the end of the data; `kind` is the outcome's place, -1: open."""

    names: list[str]
    kind: Ints
    length: Ints
    followed: Ints
    clock: Clock
    last_day: float
    set_aside: int

    def observed_until(self, units: int) -> int:
        return followed_by(self.followed, enough(units, len(self.followed)))

    @property
    def method(self) -> str:
        return "aalen_johansen" if self.clock.dates is None else "life_table"


@dataclass(frozen=True)
class _Incidence:
    """Shares of one outcome after each time at which anything ended, and what their variance is worth."""

    share: Floats
    size: Floats


def outcomes(
    started: Times[Any],
    ended: Times[Any],
    kind: Times[Any],
    *,
    as_of: datetime,
    rules: Rules,
    days: int | None = None,
    zone: tzinfo = UTC,
    whole_days: bool | None = None,
) -> pd.DataFrame:
    """Return the share of records with each outcome by each day after their start, the open ones included.

    The cumulative incidence of competing outcomes (Aalen and Johansen 1978). Taking losses for mere ends of
    observation (one less Kaplan-Meier) would tell what were won if nothing could be lost; counting closed
    records only favours the outcome that comes fast. Assumes that when a record started tells nothing of it.

    Parameters
    ----------
    started, ended : times of each record, such as `created` and `closed` of deals; no end: still open.
    kind : outcome of each record, such as `status`; of a record without an end it must be missing or `open`.
    as_of : what is known: an end later than that has not come yet.
    rules : level and least numbers.
    days : last day to show; by default as far as is known, at most 366.
    zone : zone of times that are dates; see `whole_days`.
    whole_days : whether the times are dates only; None: they are where all starts, or all ends, are midnights.

    Returns
    -------
    Frame `outcome, day, records, share, low, high, level, at_risk, set_aside, method, reason`: outcomes from
    the most frequent to the rarest, then `open`; the shares of a day add up to 1. `records` are those
    seen to end so by the day; intervals are Wilson's with the size that the variance of the estimate is worth
    (Marubini and Valsecchi 1995). `set_aside` are records without a start, with an outcome at an unknown
    time, with an end before the start, or with a start after `as_of`. `reason` is `no_times`, `too_few`
    records or outcomes altogether, `no_conversions`: nothing has ended, or, for a day, `not_observed`.

    Raises
    ------
    DataError : the three columns are not of one length.
    """
    found = _records(started, ended, kind, moment(as_of), zone, whole_days)
    table, parts = _estimated(found)
    until, reason = found.observed_until(rules.min_units), _why_not(found, rules)
    per_day = DAY_US // found.clock.tick
    shown = np.arange((min(_LONGEST, max(1, math.ceil(until / per_day))) if days is None else days) + 1)
    ticks = shown * per_day
    known = (ticks <= until) & (reason == "")
    place = np.searchsorted(table.times, ticks, side="right")
    frames = []
    for number, name in enumerate([*found.names, OPEN]):
        if name == OPEN:
            share, (most, least) = 1 - table.share(ticks), table.limits(ticks, rules.level)
            low, high, seen = 1 - least, 1 - most, np.zeros(len(ticks), dtype=np.int64)
        else:
            share = np.append(0.0, parts[number].share)[place]
            size = np.where(share == 0, table.remaining(ticks), np.append(1.0, parts[number].size)[place])
            low, high = wilson(share * size, size, rules.level)
            seen = np.searchsorted(np.sort(found.length[found.kind == number]), ticks, side="right")
        frames.append(
            pd.DataFrame(
                {
                    "outcome": pd.Series([name] * len(shown), dtype="str"),
                    "day": shown,
                    "records": seen,
                    **{
                        column: np.where(known, values, np.nan)
                        for column, values in (("share", share), ("low", low), ("high", high))
                    },
                    "level": rules.level,
                    "at_risk": table.remaining(ticks),
                    "set_aside": found.set_aside,
                    "method": found.method,
                    "reason": pd.Series(np.where(known, "", reason or NOT_OBSERVED), dtype="str"),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def beside_closed(
    started: Times[Any],
    ended: Times[Any],
    kind: Times[Any],
    *,
    as_of: datetime,
    rules: Rules,
    zone: tzinfo = UTC,
    whole_days: bool | None = None,
) -> pd.DataFrame:
    """Return each outcome's share of the closed records beside its share of all, as far as time tells.

    The first is what a CRM shows: of those closed so far. It favours what comes fast, and whoever closes
    losses late has a good rate.

    Parameters
    ----------
    started, ended, kind, as_of, rules, zone, whole_days : as in `outcomes`.

    Returns
    -------
    Frame `outcome, records, of_closed, of_closed_low, of_closed_high, share, low, high, of_ended, until, level,
    reason`: `records` that ended so; their share of all that have ended, with Wilson's interval; the share of
    all records by day `until`, the last that is known (see `outcomes`), and that share of all that will have
    ended by then (`of_ended`).

    Raises
    ------
    DataError : the three columns are not of one length.
    """
    found = _records(started, ended, kind, moment(as_of), zone, whole_days)
    table, parts = _estimated(found)
    until, reason = found.observed_until(rules.min_units), _why_not(found, rules)
    last = int(np.searchsorted(table.times, until, side="right")) - 1
    counts = np.bincount(found.kind[found.kind >= 0], minlength=len(found.names))
    rows = []
    for number, name in enumerate(found.names):
        share = low = high = total = math.nan
        if not reason and last >= 0:
            share, size = float(parts[number].share[last]), float(parts[number].size[last])
            size = size if share > 0 else float(table.remaining(until))
            low, high = wilson(share * size, size, rules.level)
            total = share / float(table.share(until))
        closed = (math.nan,) * 3 if reason else _closed(int(counts[number]), int(counts.sum()), rules.level)
        rows.append((name, int(counts[number]), *closed, share, low, high, total, until * found.clock.tick / DAY_US))
    names = "outcome records of_closed of_closed_low of_closed_high share low high of_ended until"
    frame = pd.DataFrame(rows, columns=names.split()).assign(level=rules.level, reason=reason)
    return frame.astype({"outcome": "str", "reason": "str"})


def _closed(part: int, whole: int, level: float) -> tuple[float, float, float]:
    low, high = wilson(float(part), float(whole), level)
    return part / whole, low, high


def _records(
    started: Times[Any], ended: Times[Any], kind: Times[Any], known: int, zone: tzinfo, whole_days: bool | None
) -> _Records:
    if not len(started) == len(ended) == len(kind):
        raise DataError(
            "The records' columns differ in length.", found=f"{len(started)}, {len(ended)}, {len(kind)}",
            allowed="one start, end and kind per record",
        )  # fmt: skip
    begun, over = moments(started), moments(ended)
    label = pd.Series(kind).astype("str").where(pd.Series(kind).notna(), "").to_numpy(dtype=object)
    closed = (over != NOT_KNOWN) & (over <= known)
    vague = (over == NOT_KNOWN) & (label != "") & (label != OPEN)
    kept = (begun != NOT_KNOWN) & ~vague
    label = np.where((label == "") | (label == OPEN), NAMELESS, label)
    timed = (begun[kept], over[kept & closed])
    clock = Clock.of(*timed, zone) if whole_days is None else Clock(zone if whole_days else None)
    first, last, now = (clock.ticks(part) for part in (begun, np.where(closed, over, known), known))
    kept &= last >= first  # and not begun after the end of the data
    first, last, closed, label = first[kept], last[kept], closed[kept], label[kept]
    counts = pd.Series(label[closed], dtype="str").value_counts()
    names = sorted(map(str, counts.index), key=lambda name: (-int(counts[name]), name))
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place[name] if done else -1 for name, done in zip(label, closed, strict=True)], dtype=np.int64)
    return _Records(names, codes, last - first, now - first, clock, clock.last_day(known), int((~kept).sum()))


def _estimated(found: _Records) -> tuple[LifeTable, list[_Incidence]]:
    """Return the life table of all outcomes together, and the cumulative incidence of each."""
    table = LifeTable.of(found.length, found.kind >= 0, found.last_day)
    risk = table.at_risk
    before = np.append(1.0, table.survival[:-1])[: len(risk)]
    with np.errstate(divide="ignore"):
        hazard = np.where(risk > table.events, table.events / (risk * (risk - table.events)), 0.0)
    parts = []
    for number in range(len(found.names)):
        ends = np.searchsorted(table.times, found.length[found.kind == number])
        events = np.bincount(ends, minlength=len(table.times))
        share = np.cumsum(before * events / risk)
        step = before * events / risk**2
        variance = (
            share**2 * hazard.cumsum() - 2 * share * (share * hazard).cumsum() + (share**2 * hazard).cumsum()
            + (before**2 * (risk - events) * events / risk**3).cumsum()
            - 2 * share * step.cumsum() + 2 * (share * step).cumsum()
        )  # fmt: skip
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.where((share < 1) & (variance > 0), share * (1 - share) / variance, risk / before)
        parts.append(_Incidence(share, size))
    return table, parts


def _why_not(found: _Records, rules: Rules) -> str:
    if len(found.kind) == 0 and found.set_aside:
        return NO_TIMES
    if len(found.kind) < rules.min_units:
        return TOO_FEW
    if not found.names:
        return NO_CONVERSIONS
    return TOO_FEW if (found.kind >= 0).sum() < rules.min_events else ""
