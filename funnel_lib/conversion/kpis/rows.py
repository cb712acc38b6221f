"""Events of one kind as places in a log: whose they are, by group, and how long until others follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conditions import plain
from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.journeys import UNKNOWN
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog, Found, Told

Chosen = slice | npt.NDArray[np.bool_] | Ints
ALL = slice(None)
NEVER = -1
"""Microseconds until something that did not happen."""


@dataclass(frozen=True)
class Rows:
    """Rows of a log: their `places`, ascending (so person by person, in order of time), and what they tell."""

    log: EventLog
    places: Ints
    person: Ints
    told: Mapping[str, Told]

    @classmethod
    def of(cls, log: EventLog, found: Found) -> Rows:
        """Return the rows that were found in a log."""
        return cls(log, found.places, log.person[found.places], found.told)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.places)

    @cached_property
    def at(self) -> Ints:
        """When each row happened: microseconds since 1970, UTC."""
        at = self.log.at
        return at[self.places]

    @cached_property
    def begins(self) -> Ints:
        """Where among the rows each person's begin."""
        changes = np.flatnonzero(self.person[1:] != self.person[:-1]) + 1
        return np.concatenate([np.zeros(min(len(self), 1), dtype=np.int64), changes])

    @property
    def people(self) -> int:
        """How many people the rows are of."""
        return len(self.begins)

    def take(self, chosen: Chosen) -> Rows:
        """Return the rows for which a mask is true, or those at these places among them, ascending."""
        if isinstance(chosen, slice) and chosen == ALL:
            return self
        told = {name: one._replace(codes=one.codes[chosen]) for name, one in self.told.items()}
        return Rows(self.log, self.places[chosen], self.person[chosen], told)

    def firsts(self) -> Rows:
        """Return each person's first row."""
        return self.take(self.begins)

    def tells(self, name: str) -> bool:
        """Return whether a row tells anything of a column."""
        told = self.told[name]
        return bool(told.distinct().notna().to_numpy(dtype=bool)[told.codes].any())

    def groups(self, by: str | None) -> Iterator[tuple[str, Chosen]]:
        """Yield which rows tell the same of a column, written as text; the largest group first, then by name.

        All rows are one group without a name where there is no column, or no row.
        """
        if by is None or not len(self):
            yield "", ALL
            return
        yield from grouped(self.told[by].distinct(), self.told[by].codes)

    def per_person(self, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], Ints]:
        """Return the sum of the rows' values, and the number of rows, of each person."""
        if not len(self):
            return np.zeros(0), np.zeros(0, dtype=np.int64)
        return np.add.reduceat(values, self.begins), np.diff(self.begins, append=len(self))

    def waits(self, then: Ints, *, later: bool) -> Ints:
        """Return the microseconds from each row to its person's next row among `then`; NEVER where none follows.

        Rows of one instant are in no order: one of the same instant follows at once.

        Parameters
        ----------
        then : places of the log, ascending.
        later : only what happens at a later instant follows.
        """
        waits = np.full(len(self), NEVER, dtype=np.int64)
        run = compiled()["follow"] if worth_compiling(len(then)) else follow
        run(self.places, then, self.log.person, self.log.at, later, waits)
        return waits


def follow(places: Ints, then: Ints, person: Ints, at: Ints, later: bool, waits: Ints) -> None:
    """Write how long after each row the next one of `then` comes, both ascending places (numba compiles it).

    Parameters
    ----------
    person, at : whose each row of the log is, and when it happened.
    later : only what happens at a later instant follows.
    waits : gets the microseconds; it is left as it is where none follows.
    """
    near = 0
    for row in range(len(places)):
        place = places[row]
        while near < len(then) and then[near] < place:
            near += 1
        if not later and near > 0:  # what stands before a row may be of its instant all the same
            before = then[near - 1]
            if person[before] == person[place] and at[before] == at[place]:
                waits[row] = 0
                continue
        step = near
        while step < len(then) and person[then[step]] == person[place]:
            gap = at[then[step]] - at[place]
            if gap > 0 or not later:
                waits[row] = gap
                break
            step += 1


@cache
def compiled() -> dict[str, Callable[..., Any]]:
    """Return `follow`, compiled."""
    return jit(follow, names=globals())


def grouped(values: pd.Series[Any], codes: Ints) -> Iterator[tuple[str, Ints]]:
    """Yield the rows that have the same value, written as text; the largest group first, then by name.

    Parameters
    ----------
    values : distinct ones, and after them a missing one. `codes` : the place of each row's value; -1: missing.
    """
    texts = values.map(plain, na_action="ignore").astype("str").fillna("").replace("", UNKNOWN)
    places, found = pd.factorize(texts)
    names, group = [str(name) for name in found], places[codes]
    sizes = np.bincount(group, minlength=len(names))
    rows, ends = np.argsort(group, kind="stable"), np.cumsum(sizes)
    for place in sorted(np.flatnonzero(sizes).tolist(), key=lambda place: (-sizes[place], names[place])):
        yield names[place], rows[ends[place] - sizes[place] : ends[place]]
