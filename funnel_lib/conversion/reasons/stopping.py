"""Who stopped at a step, and the time in which they could still have gone on.

Who stopped is told as in mature rates: by chains whose window has closed (without a window: all units that have come no
further so far). Whether a unit came back later, or entered anew, makes no difference.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from funnel_lib.conversion.engine.arrow import array
from funnel_lib.conversion.engine.following import follow, is_plain
from funnel_lib.conversion.engine.grouping import group, parted_by
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.sieve import LATEST
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import Journeys, UnmatchedStep
from funnel_lib.conversion.journeys import journeys as made
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.spans import matching, persons_of, rows_of, spans
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError
from funnel_lib.periods import Period

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
FOREVER, MISSING = 2**63 - 1, -(2**63)
_MICRO = timedelta(microseconds=1)


class Stopped(NamedTuple):
    """Who stopped at a step, one entry for each journey; their further events lie in (`last_us`, `until_us`].

    `unit` : as in the journeys. `person` : its place in the log, where one was asked. Times in microseconds since 1970,
    UTC.
    """

    unit: pd.Series[Any]
    person: Places | None
    last_us: Ints
    until_us: Ints


def check_step(journeys: Journeys, step: int, least: int) -> None:
    """Refuse a step at which nobody can stop.

    Raises
    ------
    ConfigError : it is not in the funnel, comes before step `least`, or is the last one.
    """
    last = len(journeys.funnel.steps) - 1
    if not least <= step <= last:
        raise ConfigError(
            "Nobody can stop at this step.", where="step", found=step,
            allowed=f"{least} to {last}" if last >= least else "none: the funnel has too few steps",
            do="Count steps from 1; who is at the last one has not stopped.",
        )  # fmt: skip


def closed(journeys: Journeys) -> Bools:
    """Return whether the window of each journey has closed; everywhere where nothing can be said about that."""
    if journeys.closed_until is None:
        return np.ones(len(journeys.frame), dtype=bool)
    return np.asarray(_entered(journeys) <= microseconds(journeys.closed_until))


def stopped(events: Any, journeys: Journeys, step: int) -> Stopped:
    """Return who stopped at a step, and until when they could still have gone on.

    Parameters
    ----------
    events : what the journeys were made from, or its log in numbers (`EventLog`).
    step : the step, counted from 1; not the last.

    Raises
    ------
    ConfigError : there is no such step, or the journeys come from a snapshot.
    DataError : the events cannot be read.
    """
    funnel = journeys.funnel
    check_step(journeys, step, 1)
    if funnel.snapshot:
        raise ConfigError(
            "A snapshot does not tell what came after.", found=f"snapshot: {funnel.snapshot}",
            allowed="journeys of events", do="Use the raw events, where there are any.",
        )  # fmt: skip
    those = (journeys.frame["mature_depth"] == step).to_numpy(dtype=bool)
    found = _chosen(journeys, those)
    person = persons_of(events, journeys)[those] if isinstance(events, EventLog) else None
    told = closed(found) & (found.frame["depth"] == step).to_numpy(dtype=bool)
    if not told.all():
        found = _when_closed(events, found, told, person)
        person = None if person is None else person[found.frame.index]
    times = np.array([found.moments(f"t_{number}") for number in range(1, step + 1)])
    newest = FOREVER if found.as_of is None else microseconds(found.as_of)
    until = np.full(times.shape[1], newest)
    if funnel.window_us is not None:
        until = np.minimum(_entered(found) + funnel.window_us, newest)
    return Stopped(found.frame["unit"], person, times.max(axis=0, initial=MISSING), until)


def _chosen(journeys: Journeys, mask: Bools) -> Journeys:
    """Return some of the journeys with the columns of who they are of and of their times only."""
    times = [f"t_{number + 1}" for number in range(len(journeys.funnel.steps))]
    kept = [name for name in ("unit", "session", "entry", "depth", *times, "first_entry") if name in journeys.frame]
    return replace(journeys, frame=journeys.frame[kept]).select(mask)


def _entered(journeys: Journeys) -> Ints:
    """Return when each journey began."""
    in_order = journeys.funnel.order != "any" and not journeys.funnel.open  # elsewhere a later step may have been first
    if in_order:
        entered = journeys.moments("t_1")
        return np.where(entered == MISSING, FOREVER, entered)
    times = np.array([journeys.moments(f"t_{number + 1}") for number in range(len(journeys.funnel.steps))])
    return np.asarray(np.where(times == MISSING, FOREVER, times).min(axis=0))


def _when_closed(events: Any, found: Journeys, told: Bools, person: Places | None) -> Journeys:
    """Return the journeys of the same units by the entries whose window has closed: later ones have replaced them.

    The index of their frame tells the place of each among those found.

    Parameters
    ----------
    told : journeys that are such ones already.
    person : of each journey, its place in `events`, where these are a log.
    """
    begin = found.period.start if found.period else found.frame["first_entry"].min()
    end = cast(datetime, found.closed_until) + _MICRO
    period = Period("closed", "custom", begin, min(end, found.period.end) if found.period else end)
    if isinstance(events, EventLog) and person is not None and is_plain(found.funnel) and not _parted(found.funnel):
        # The fast kernel's journey is the best of a unit's chains: where that one is closed, it is the best of those.
        again = _by_log(events, found, np.flatnonzero(~told), person, period)
        return replace(found, frame=pd.concat([found.frame[told], again]).sort_index())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)  # said when the journeys were made
        rows = events.events if isinstance(events, EventLog) else events
        anew = made(rows, found.funnel, period=period, as_of=found.as_of).frame
    keys = [name for name in ("unit", "session", "entry") if name in found.frame]
    place = found.frame[keys].assign(place=np.arange(len(found.frame)))
    return replace(found, frame=place.merge(anew, on=keys).set_index("place"))


def _parted(funnel: Funnel) -> bool:
    """Return whether a unit's rows are parted into several logs."""
    return bool(parted_by(Plan(funnel))) or funnel.session_gap is not None


def _by_log(log: EventLog, found: Journeys, chosen: Ints, person: Places, period: Period) -> pd.DataFrame:
    """Return the chosen journeys by the entries of a period, followed anew in the log."""
    newest = LATEST if found.as_of is None else min(microseconds(found.as_of), LATEST)
    limits = (np.full(len(chosen), limit) for limit in (microseconds(period.start) - 1, newest))
    span = spans(log, person[chosen], *limits)
    owner, rows = rows_of(span)
    masks = np.zeros(len(rows), dtype=np.int64)
    for place, step in enumerate(found.funnel.steps):
        masks |= matching(log, step, rows).astype(np.int64) << place
    kept = masks > 0
    plan = Plan(found.funnel, entry_from=microseconds(period.start), entry_until=microseconds(period.end))
    at = log.at
    columns = {"unit": owner[kept], "at_us": at[rows[kept]], "mask": masks[kept]}
    table = pa.table({name: array(values) for name, values in columns.items()})
    again: pd.DataFrame = follow(group(table, plan), plan).to_pandas()
    place = chosen[again["unit"].to_numpy()]
    again["unit"] = found.frame["unit"].array.take(place)
    return again.set_index(place)[[*found.frame]]
