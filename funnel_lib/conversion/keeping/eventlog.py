"""The log of all events in numbers, person by person: what tables ask of events without reading them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funnel_lib.collection.scope import Scope
from funnel_lib.conditions import meets
from funnel_lib.conversion.engine.arrow import numbers, places
from funnel_lib.conversion.engine.compiling import worth_compiling
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.keeping import logfiles
from funnel_lib.conversion.keeping.arranging import Ints, arranged, compiled, told
from funnel_lib.conversion.keeping.selecting import FIRST, LAST, lying, selected
from funnel_lib.notation import Where

_MAPPED = 2
"""Logs that a process keeps open."""


class Told(NamedTuple):
    """What rows tell of a column: a place among the distinct `values` for each row, -1 where it tells nothing."""

    codes: Ints
    values: pa.Array
    json: bool

    def distinct(self) -> pd.Series[Any]:
        """Return the distinct values, and after them a missing one: `distinct()[code]` is what a row tells."""
        if not self.json:
            kept: pd.Series[Any] = pa.chunked_array([self.values, pa.nulls(1, self.values.type)]).to_pandas()
            return kept
        return pd.Series([*map(json.loads, self.values.to_pylist()), None], dtype=object)

    def numbers(self) -> npt.NDArray[np.float64]:
        """Return what each row tells as a number, NaN where it is none."""
        found = pd.to_numeric(self.distinct(), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(found[self.codes])

    def meets(self, condition: Any) -> npt.NDArray[np.bool_]:
        """Return for each row whether it meets a condition of a `where`."""
        held = meets(self.distinct().to_frame("told"), {"told": condition})
        return np.asarray(held[self.codes])


class Found(NamedTuple):
    """Rows of a log: their places, ascending, and what they tell of the columns that were asked for."""

    places: Ints
    told: dict[str, Told]


@dataclass(frozen=True)
class EventLog:
    """All rows with a person and a time, person by person (in the order of `units`), each person's in order of time.

    Each row has a place; `at` (microseconds since 1970, UTC), `event` (place in `names`, -1: none) and `person` (place
    in `units`) have one entry per row. The rows of person p are `starts[p]:starts[p + 1]`. Rows of one instant stand as
    in the file. The arrays are mapped files: only what is looked at takes memory, and they cannot be written to.

    `events`, `unit` : the Parquet file that it was made from, and its column of persons.
    """

    events: Path
    unit: str
    units: pa.Array
    names: tuple[str, ...]
    arrays: dict[str, Ints] = field(repr=False)
    folder: Path | None = None
    _kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, scope: Scope, unit: str | None = None) -> EventLog | None:
        """Return the log of a scope's collected events, of all periods and people; None where there are no such events.

        It is made once for the same events and kept beside the tables; where nothing can be written, in memory.

        Parameters
        ----------
        unit : the column that says whose rows are; None: the funnel's unit. Events without this column have no log.

        Raises
        ------
        DataError : the events cannot be read.
        """
        whose = unit or scope.funnel.unit
        if not scope.events.exists() or whose not in pq.read_schema(scope.events).names:
            return None
        data = scope.store.facts()["tables"].get("events", {}).get("sha256")
        if data is None:
            return cls.made(scope.events, whose)
        return _known(scope.events, whose, scope.store.folder / "counted" / _named(data, whose))

    @classmethod
    def made(cls, events: Path, unit: str) -> Self:
        """Return the log of a Parquet file of events, in memory.

        Raises
        ------
        DataError : the events cannot be read.
        """
        return cls(events, unit, *arranged(events, unit))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.at)

    @property
    def at(self) -> Ints:
        """When each row happened: microseconds since 1970, UTC."""
        return self.arrays["at"]

    @property
    def event(self) -> Ints:
        """The event of each row, as a place in `names`."""
        return self.arrays["event"]

    @property
    def person(self) -> Ints:
        """Whose each row is, as a place in `units`."""
        return self.arrays["person"]

    @property
    def starts(self) -> Ints:
        """The place of each person's first row, and the number of rows."""
        return self.arrays["starts"]

    @property
    def columns(self) -> list[str]:
        """The columns of the events."""
        return [str(name) for name in pq.read_schema(self.events).names]

    def told(self, name: str) -> Told:
        """Return what each row of the log tells of a column or property.

        Raises
        ------
        DataError : there is neither such a column nor properties.
        """
        return self._told(name, None)

    def tells(self, names: Iterable[str] | None, name: str) -> bool:
        """Return whether any row of some events (None: of all) tells of a column or property.

        Raises
        ------
        DataError : there is neither such a column nor properties.
        """
        return len(self._told(name, self._chosen(names)).values) > 0

    def persons(self, units: pd.Series[Any]) -> Ints:
        """Return the person of each unit, as a place in `units`; -1 for those without an event."""
        asked = pa.array(units.astype("str"), type=pa.large_string())
        if isinstance(asked, pa.ChunkedArray):
            asked = asked.combine_chunks()
        if worth_compiling(len(self.units)) and asked.null_count == 0:
            found = np.full(len(asked), -1, dtype=np.int64)
            if compiled()["meet"](*_bytes(asked), *_bytes(self.units), found):
                return found
        return np.asarray(places(pc.index_in(asked, value_set=self.units)), dtype=np.int64)

    def find(
        self,
        names: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        until: datetime | None = None,
        tell: Iterable[str] = (),
    ) -> Found:
        """Return the rows of some events.

        Parameters
        ----------
        names : of events; None: all rows.
        where : conditions that they meet, as in a workbook.
        since, before, until : the first moment, the one before which they lie, and the last one.
        tell : columns or properties to bring along.

        Raises
        ------
        DataError : there is neither such a column nor properties.
        """
        chosen = self._chosen(names)
        low, high = _between(since, before, until)
        tell = [*tell]
        if chosen is not None and not where and not tell:
            codes = [self.names.index(name) for name in chosen]
            return Found(selected(self.arrays, self._ends, codes, low, high), {})
        rows = self._rows(chosen)
        held: slice | Ints = lying(self.at, rows, low, high) if (low, high) != (FIRST, LAST) else slice(None)
        for name, condition in (where or {}).items():
            told = self._told(name, chosen)
            met = np.flatnonzero(told._replace(codes=told.codes[held]).meets(condition))
            held = met if isinstance(held, slice) else held[met]
        kept = {name: self._told(name, chosen) for name in tell}
        return Found(rows[held], {name: one._replace(codes=one.codes[held]) for name, one in kept.items()})

    def _chosen(self, names: Iterable[str] | None) -> tuple[str, ...] | None:
        """Return which of these names there are, in order."""
        return None if names is None else tuple(sorted({*names} & {*self.names}))

    def _rows(self, chosen: tuple[str, ...] | None) -> Ints:
        """Return the places of the rows of some events."""
        if chosen is None:
            return np.arange(len(self), dtype=self.arrays["order"].dtype)
        return selected(self.arrays, self._ends, [self.names.index(name) for name in chosen], FIRST, LAST)

    @property
    def _ends(self) -> Ints:
        """Where each event's rows begin among those by event, and the number of rows."""
        if "ends" not in self._kept:
            unnamed = len(self) - int(self._sizes.sum())
            self._kept["ends"] = np.concatenate([[unnamed], unnamed + np.cumsum(self._sizes)])
        found: Ints = self._kept["ends"]
        return found

    @property
    def _sizes(self) -> Ints:
        return self.arrays["sizes"]

    def _told(self, name: str, chosen: tuple[str, ...] | None) -> Told:
        """Return what the rows of some events tell of a column, worked out once."""
        key = f"told {name} {chosen}"
        if key not in self._kept:
            parts = logfiles.told(self.folder, key, lambda: self._asked(name, chosen))
            self._kept[key] = Told(*parts)
        found: Told = self._kept[key]
        return found

    def _asked(self, name: str, chosen: tuple[str, ...] | None) -> tuple[Ints, pa.Array, bool]:
        row, tells, as_json = told(self.events, name, chosen)
        encoded = tells.dictionary_encode()
        most = int(max(self.arrays["row"].max(initial=-1), row.max(initial=-1))) + 1
        codes = np.full(most, -1, dtype=np.int32)
        codes[row] = numbers(encoded.indices)
        return codes[self.arrays["row"][self._rows(chosen)]], encoded.dictionary, as_json


def _between(since: datetime | None, before: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the first moment, and the one before which rows lie, in microseconds."""
    ends = [*([] if before is None else [microseconds(before)]), *([] if until is None else [microseconds(until) + 1])]
    return FIRST if since is None else microseconds(since), min(ends, default=LAST)


@lru_cache(maxsize=_MAPPED)
def _known(events: Path, unit: str, folder: Path) -> EventLog:
    """Return the log kept in a folder; where there is none, it is made and kept there."""
    kept = logfiles.kept(folder, lambda: arranged(events, unit))
    return EventLog(events, unit, *kept, folder)


def _bytes(texts: pa.Array) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Return where the bytes of each text begin and end, and all bytes."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data or b"", dtype=np.uint8)


def _named(data: str, unit: str) -> str:
    """Return the name of the folder that holds the log of these events."""
    return "log-" + hashlib.sha256(f"{data}\n{unit}".encode()).hexdigest()[:16]
