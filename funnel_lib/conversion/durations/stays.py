"""In which stretches since their first act people were there again: one pass over a log of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from funnel_lib.conversion.durations.lifetable import Bools, Ints
from funnel_lib.conversion.durations.spells import Clock, moment
from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.keeping.eventlog import EventLog

_SOME = 1000
"""Rows that tell whether times may be dates, before all are looked at."""


@dataclass(frozen=True)
class Lives:
    """What people did, in ticks of the clock: rows `starts[p]:starts[p + 1]` are those of person p, in order of time.

    `first` : each one's first row. `counted` : who counts. `now` : the tick of what is known; later rows do not count.
    `set_aside` : rows that could not be used.
    """

    at: Ints
    starts: Ints
    first: Ints
    counted: Bools
    clock: Clock
    now: int
    set_aside: int

    @classmethod
    def of(cls, log: EventLog, as_of: datetime, zone: tzinfo, since: datetime | None) -> Lives:
        """Return the lives of the people whose first event lies up to `as_of`, and not before `since`."""
        known, rows, times = moment(as_of), pq.read_metadata(log.events).num_rows, np.asarray(log.at, dtype=np.int64)
        clock = Clock.of(times[:_SOME], times[:_SOME], zone)
        clock = clock if clock.dates is None else Clock.of(times, times, zone)
        first = np.asarray(times[log.starts[:-1]])
        counted = first <= known
        if since is not None:
            counted &= first >= moment(since)
        last = times[log.starts[1:] - 1].max(initial=known)
        later = int(np.count_nonzero(times > known)) if last > known else 0
        aside = rows - len(log) + later
        now = int(clock.ticks(known))
        return cls(clock.ticks(times), np.asarray(log.starts), clock.ticks(first), counted, clock, now, aside)

    def there(self, cohort: Ints, limit: Ints, size: tuple[int, int], length: int, *, later: bool) -> Ints:
        """Count the people of each cohort (row) who did something in each stretch (column) since their first act.

        Parameters
        ----------
        cohort : of each person, from 0; -1: does not count.
        limit : the last stretch of each person that is looked at; the first one is 0.
        size : how many cohorts and stretches there are.
        length : of a stretch, in ticks.
        later : count everybody in the last stretch alone up to which they were seen.
        """
        counts, given = np.zeros(size, dtype=np.int64), (self.at, self.starts, cohort, limit)
        if worth_compiling(len(self.at)):
            _compiled()["stay"](*map(_still, given), length, self.now, later, counts)
            return counts
        lists: list[Any] = [values.tolist() for values in given]  # Python reads them several times faster than arrays
        stay(lists[0], lists[1], lists[2], lists[3], length, self.now, later, counts)
        return counts


def stay(at: Ints, starts: Ints, cohort: Ints, limit: Ints, length: int, now: int, later: bool, counts: Ints) -> None:
    """Count the people who were there in each stretch (numba compiles it)."""
    for person in range(len(starts) - 1):
        if cohort[person] < 0:
            continue
        age, edge = 0, at[starts[person]] + length
        for row in range(starts[person] + 1, starts[person + 1]):
            if at[row] < edge:
                continue
            if at[row] > now:
                break
            steps = (at[row] - edge) // length + 1
            if age + steps > limit[person]:
                age = limit[person]
                break
            age, edge = age + steps, edge + steps * length
            if not later:
                counts[cohort[person], age] += 1
        if later:
            counts[cohort[person], age] += 1


def _still(values: Ints) -> Ints:
    """Return the values as numba has them compiled: mapped files cannot be written to, so nothing is."""
    seen = values.astype(np.int64, copy=False).view()
    seen.flags.writeable = False
    return seen


@cache
def _compiled() -> dict[str, Callable[..., Any]]:
    return jit(stay, names=globals())
