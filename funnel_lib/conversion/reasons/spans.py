"""What people did in a span of time of their own, looked up in the log of events as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.definition import Step

Bools = npt.NDArray[np.bool_]
_SEARCH = 4
"""Rows of a person that are looked at to find where a span begins and ends, about."""


class Spans(NamedTuple):
    """Rows of a log, some of one person in each span: those of span k are at the places `low[k]:high[k]`."""

    low: Ints
    high: Ints


class Met(NamedTuple):
    """What was met in spans, once for each span and thing: the span, the thing, and the place of its first row."""

    span: Ints
    thing: Ints
    row: Ints


def persons_of(log: EventLog, journeys: Journeys) -> Ints:
    """Return the place in the log of each journey's unit, -1 for those that are not in it; looked up once."""

    def found() -> Ints:
        return log.persons(journeys.frame["unit"])

    return found() if log.folder is None else journeys.once(("persons", log.folder), found)


def spans(log: EventLog, persons: Ints, after: Ints, until: Ints) -> Spans:
    """Return each person's rows strictly later than `after` and not later than `until`.

    Parameters
    ----------
    persons : places in the log's `units`; those of -1 have no rows. One may stand there several times.
    after, until : of each, in microseconds since 1970, UTC.
    """
    low, high = np.zeros(len(persons), dtype=np.int64), np.zeros(len(persons), dtype=np.int64)
    _work("bound", _SEARCH * len(persons))(log.starts, log.at, persons, after, until, low, high)
    return Spans(low, high)


def rows_of(found: Spans) -> tuple[Ints, Ints]:
    """Return all rows of the spans, one span after the other: the span of each, and its place in the log."""
    sizes = found.high - found.low
    span = np.repeat(np.arange(len(sizes)), sizes)
    return span, np.arange(len(span)) + (found.low - np.cumsum(sizes) + sizes)[span]


def matching(log: EventLog, step: Step, rows: Ints) -> Bools:
    """Return which of some rows of the log are events of a step."""
    if not step.where:
        named = [not step.events or name in step.events for name in log.names]
        return np.asarray(np.array([*named, not step.events])[log.event[rows]])
    places = log.find(step.events or None, where=step.where).places
    if not len(places):
        return np.zeros(len(rows), dtype=bool)
    return np.asarray(places[np.minimum(np.searchsorted(places, rows), len(places) - 1)] == rows)


def first_met(log: EventLog, found: Spans, things: Ints, count: int, without: Iterable[str]) -> Met:
    """Return what was met in each span, each thing once, in order of time within a span.

    Parameters
    ----------
    things : what each row of the log is about, from 0 to `count` - 1; -1: nothing.
    without : rows of these events do not count, nor do those without an event.
    """
    most = int((found.high - found.low).sum())
    met, seen = np.empty((len(Met._fields), most), dtype=np.int64), np.full(count, -1, dtype=np.int64)
    size = _work("meet_first", most)(*found, log.event, left_out(log, without), things, seen, met)
    return Met(*met[:, :size])


def ways(log: EventLog, found: Spans, things: Ints, without: Iterable[str], *, most: int) -> Ints:
    """Return the first things of each span one after the other, one row per span and `most` columns; -1: no more.

    What follows itself counts once; of several at one instant the smaller number comes first. `things` and `without`
    are those of `first_met`.
    """
    stops = np.full((len(found.low), most), -1, dtype=np.int64)
    _work("walk", int((found.high - found.low).sum()))(*found, log.at, log.event, left_out(log, without), things, stops)
    return stops


def left_out(log: EventLog, without: Iterable[str]) -> Bools:
    """Return for each event of the log, and last for rows without one, whether it does not count."""
    names = set(without)
    return np.array([*(name in names for name in log.names), True])


def kinds(columns: Sequence[Ints], size: int) -> tuple[Ints, Ints]:
    """Return the kind of each row (rows alike in all columns are of one), and the place of the first of each kind.

    Parameters
    ----------
    columns : whole numbers from 0 on.
    size : the number of rows.
    """
    code, count = np.zeros(size, dtype=np.int64), 1
    for column in columns:  # numbered anew where it grows, so that codes stay small however many columns there are
        width = int(column.max(initial=0)) + 1
        if count * width > max(size, 1):
            code = np.asarray(pd.factorize(code)[0], dtype=np.int64)
            count = int(code.max(initial=0)) + 1
        code, count = code * width + column, count * width
    code = np.asarray(pd.factorize(code)[0], dtype=np.int64)
    places = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
    places[code[::-1]] = np.arange(size)[::-1]
    return code, places


def bound(starts: Ints, at: Ints, persons: Ints, after: Ints, until: Ints, low: Ints, high: Ints) -> None:
    """Fill in where each person's rows later than `after` begin, and those later than `until` (numba compiles it)."""
    for span in range(len(persons)):
        if persons[span] < 0:
            continue
        begin, end = starts[persons[span]], starts[persons[span] + 1]
        for limit, found in ((after[span], low), (until[span], high)):
            first, last = begin, end
            while first < last:
                middle = (first + last) // 2
                if at[middle] <= limit:
                    first = middle + 1
                else:
                    last = middle
            found[span] = first
            begin = first


def meet_first(low: Ints, high: Ints, events: Ints, out: Bools, things: Ints, seen: Ints, met: Ints) -> int:
    """Fill in what is met in each span, each thing once; return how many there are (numba compiles it)."""
    size = 0
    for place in range(len(low)):
        for one in range(low[place], high[place]):
            thing = things[one]
            if thing >= 0 and not out[events[one]] and seen[thing] != place:
                seen[thing] = place
                met[0, size], met[1, size], met[2, size] = place, thing, one
                size += 1
    return size


def walk(low: Ints, high: Ints, at: Ints, events: Ints, out: Bools, things: Ints, stops: Ints) -> None:
    """Fill in the first things of each span, one after the other (numba compiles it)."""
    most = stops.shape[1]
    for place in range(len(low)):
        begin, count, before = low[place], 0, -1
        while begin < high[place] and count < most:
            end = begin + 1
            while end < high[place] and at[end] == at[begin]:
                end += 1
            last = -1
            while count < most:
                least = -1
                for row in range(begin, end):
                    met = things[row]
                    if met > last and not out[events[row]] and (least < 0 or met < least):
                        least = met
                if least < 0:
                    break
                if least != before:
                    stops[place, count] = least
                    count += 1
                last, before = least, least
            begin = end


def _work(name: str, rows: int) -> Callable[..., Any]:
    """Return a function that goes through rows, compiled where there are many."""
    plain: dict[str, Callable[..., Any]] = {"bound": bound, "meet_first": meet_first, "walk": walk}
    return (_compiled() if worth_compiling(rows) else plain)[name]


@cache
def _compiled() -> dict[str, Callable[..., Any]]:
    return jit(bound, meet_first, walk, names=globals())
