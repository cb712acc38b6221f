"""The visits by which people came: the rows of the log of events that name a channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.walks import Rows, reached
from funnel_lib.schema import CHANNEL

OTHER = "other"


@dataclass(frozen=True)
class Touches:
    """Rows that name a channel, person by person.

    `channels` : their names, in order. `rows` : what people did; a row's channel is a place among the names.
    `people` : who they are, ascending; None: all, numbered as they stand. `first, last` : only rows between these two
    moments count (microseconds since 1970, both included).
    """

    channels: tuple[str, ...]
    rows: Rows
    people: Ints | None
    first: int
    last: int

    @property
    def newest(self) -> int:
        """When the newest row was, whether it names a channel or not."""
        there = self.rows.high > self.rows.low
        return min(int(self.rows.at[self.rows.high[there] - 1].max(initial=self.first)), self.last)

    def places(self, people: Ints) -> Ints:
        """Return where each of these people stands among the rows; -1: nowhere."""
        if self.people is None:
            return people
        if not len(self.people):
            return np.full(len(people), -1)
        found = np.minimum(np.searchsorted(self.people, people), len(self.people) - 1)
        return np.where(self.people[found] == people, found, -1)


def touches(
    log: EventLog,
    *,
    since: datetime,
    before: datetime | None = None,
    until: datetime | None = None,
    people: Ints | None = None,
    least: int = 0,
) -> Touches | None:
    """Return the events with a channel, from `since` on; None where events name no channels.

    Parameters
    ----------
    log : of all events.
    since, before, until : the first moment, the one before which they lie, and the last one that is known.
    people : only those of these, as places in the log's `units` (-1: not in the log); None: of everybody.
    least : a channel by which fewer people came is called `other`: it is not published.
    """
    if CHANNEL not in log.columns:
        return None
    told = log.told(CHANNEL)
    names = [str(name) for name in told.distinct()[:-1]]
    chosen = None if people is None else _once(people[people >= 0])
    low, high = (log.starts[:-1], log.starts[1:]) if chosen is None else (log.starts[chosen], log.starts[chosen + 1])
    last = int(np.iinfo(np.int64).max)
    last = min(last if before is None else microseconds(before) - 1, last if until is None else microseconds(until))
    rows, first = Rows(log.at, told.codes, np.full(len(names) + 1, -1), low, high), microseconds(since)
    came = reached(rows, first, last)
    titles = [name if count >= least else OTHER for name, count in zip(names, came, strict=False)]
    channels = sorted({title for title, count in zip(titles, came, strict=False) if count})
    meaning = [channels.index(title) if count else -1 for title, count in zip(titles, came, strict=False)]
    return Touches(tuple(channels), rows._replace(meaning=np.array([*meaning, -1])), chosen, first, last)


def _once(people: Ints) -> Ints:
    """Return each of them once, in order; they mostly stand in order."""
    ordered = people if (people[1:] >= people[:-1]).all() else np.sort(people)
    return np.asarray(ordered[np.append(True, ordered[1:] > ordered[:-1])[: len(ordered)]])
