"""Which rows are wanted: those that match something, have a unit, and a possible time inside the span. Others count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conditions import meets
from funnel_lib.conversion.engine.arrow import array, flags, numbers
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.notation import Where
from funnel_lib.schema import PROPERTIES

Ints = npt.NDArray[np.int64]
Masks = npt.NDArray[np.integer[Any]]
EARLIEST = microseconds(datetime(2000, 1, 1, tzinfo=UTC))
LATEST = microseconds(datetime(2201, 1, 1, tzinfo=UTC)) - 1
"""Times outside of these are mistakes: they are counted and kept out."""


class Raw(NamedTuple):
    """Rows as they were read.

    `at` is microseconds since 1970, UTC; `event` the names, or `masks` what they may match;
    `asked` the columns that conditions look at, `parting` those that part a unit's rows into logs, `parts` the part
    that each unit is put into.
    """

    units: pa.Array
    at: pa.Array
    event: pa.Array | None
    extras: tuple[pa.Array, ...] = ()
    asked: Mapping[str, pa.Array] = {}
    masks: Masks | None = None
    parting: Mapping[str, pa.Array] = {}
    parts: npt.NDArray[np.int32] | None = None


class Extra(NamedTuple):
    """A column to bring along: each row's place in a table of codes (-1: missing)."""

    places: npt.NDArray[np.integer[Any]]
    table: npt.NDArray[np.int32]


class Sifted(NamedTuple):
    """What a row matches, whether it is wanted (None: all that match anything), and its time."""

    masks: Masks
    unwanted: npt.NDArray[np.bool_] | None
    at: Ints


class Sieve:
    """The conditions of a plan for rows from `since` to `until` (both included; None: unbounded).

    `set_aside` counts rows that match something but have no unit, no time or an impossible one.
    """

    def __init__(self, plan: Plan, since: datetime | None, until: datetime | None) -> None:
        self.plan = plan
        self.since = max(EARLIEST, EARLIEST if since is None else microseconds(since))
        self.until = min(LATEST, LATEST if until is None else microseconds(until))
        self.things = plan.funnel.things
        self.dtype = np.dtype(np.uint8 if plan.bits <= 8 else np.int64)
        self._counts: Counter[str] = Counter()
        self._lock = Lock()
        self.by_names = lru_cache(maxsize=64)(self._masks_of)

    @property
    def set_aside(self) -> dict[str, int]:
        """How many rows were set aside, by reason."""
        names = ["no_unit", "no_time", "impossible_time"]
        names += ["no_held_value"] if self.plan.funnel.hold_constant else []
        return {name: self._counts[name] for name in names}

    @property
    def anything(self) -> int:
        """What a row of any event may match."""
        return sum(1 << place for place, thing in enumerate(self.things) if not thing.events)

    @property
    def by_name(self) -> dict[str, int]:
        """What rows of each named event may match."""
        masks: dict[str, int] = {}
        for place, thing in enumerate(self.things):
            for name in thing.events:
                masks[name] = masks.get(name, self.anything) | 1 << place
        return masks

    @property
    def wheres(self) -> list[tuple[int, Where]]:
        """The conditions, each with the bit that it decides on."""
        return [(place, thing.where) for place, thing in enumerate(self.things) if thing.where]

    def possible(self) -> Masks:
        """Return all masks that a row can have, ascending; with 0 only if such rows are wanted."""
        found = {self.anything, *self.by_name.values()}
        for place, _ in self.wheres:
            found |= {mask & ~(1 << place) for mask in found}
            if len(found) > 1 << 10:
                break
        return np.array(sorted(found if self.plan.whole_logs else found - {0}), dtype=self.dtype)

    def is_clean(self, raw: Raw) -> bool:
        """Return whether the names of events alone decide which of the rows are wanted."""
        if raw.asked or raw.event is None or not pa.types.is_dictionary(raw.event.type) or raw.event.indices.null_count:
            return False
        if raw.at.null_count or len(raw.at) == 0:
            return False
        times = numbers(raw.at)
        return bool(times.min() >= self.since and times.max() <= self.until) and without(raw.units) is None

    def sift(self, raw: Raw) -> Sifted:
        """Return what the rows match, and which are not wanted."""
        masks = self._candidates(raw)
        if raw.asked:
            masks = self._held(masks, raw.asked)
        at = raw.at
        untimed = flags(at.is_null()) if at.null_count else None
        times = numbers(at.fill_null(self.since) if at.null_count else at)
        unwanted = untimed
        if untimed is not None:
            self._count("no_time", masks, untimed)
        if len(times) and (times.min() < self.since or times.max() > self.until):
            impossible = (times < EARLIEST) | (times > LATEST)
            self._count("impossible_time", masks, impossible)
            outside = (times < self.since) | (times > self.until)
            unwanted = outside if unwanted is None else unwanted | outside
        missing = without(raw.units)
        if missing is not None:
            self._count("no_unit", masks, missing if unwanted is None else missing & ~unwanted)
            unwanted = missing if unwanted is None else unwanted | missing
        return Sifted(masks, unwanted, times)

    def clear(self) -> None:
        """Forget what was counted."""
        self._counts.clear()

    def count(self, reason: str, rows: int) -> None:
        """Note that so many rows were set aside."""
        with self._lock:
            self._counts[reason] += rows

    def _count(self, reason: str, masks: Masks, rows: npt.NDArray[np.bool_]) -> None:
        self.count(reason, int(np.count_nonzero(masks[rows])))

    def _candidates(self, raw: Raw) -> Masks:
        """Return what the rows may match by the names of their events."""
        if raw.masks is not None:
            return raw.masks
        if raw.event is None:
            return np.full(len(raw.at), self.anything, dtype=self.dtype)
        event = raw.event if pa.types.is_dictionary(raw.event.type) else raw.event.dictionary_encode()
        table = self.by_names(tuple(event.dictionary.to_pylist()))
        indices = event.indices
        if indices.null_count:
            indices = indices.cast(pa.int64()).fill_null(len(table) - 1)
        return table.take(numbers(indices))

    def _masks_of(self, names: tuple[str | None, ...]) -> Masks:
        """Return what rows of each event may match; last, those without a name."""
        masks, anything = self.by_name, self.anything
        found = [anything if name is None else masks.get(name, anything) for name in names]
        return np.array([*found, anything], dtype=self.dtype)

    def _held(self, masks: Masks, asked: Mapping[str, pa.Array]) -> Masks:
        """Return the masks without the steps whose conditions do not hold."""
        masks = masks.copy()
        for place, where in self.wheres:
            rows = np.flatnonzero(masks & self.dtype.type(1 << place))
            if len(rows):
                failed = rows[~holds(where, asked, rows)]
                masks[failed] &= self.dtype.type(~(1 << place) & np.iinfo(np.dtype(self.dtype).type).max)
        return masks


def holds(where: Where, columns: Mapping[str, pa.Array], rows: Ints) -> npt.NDArray[np.bool_]:
    """Return for each of the rows whether the conditions hold: what `conditions.meets` says, once for each value."""
    held = np.ones(len(rows), dtype=bool)
    for name, condition in where.items():
        column = name if name in columns else PROPERTIES
        values = columns[column].take(array(rows))
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        try:
            encoded = values.dictionary_encode()
        except pa.ArrowNotImplementedError:  # values that are lists or structures
            held &= meets(pa.table({column: values}).to_pandas(), {name: condition})
            continue
        # The missing value apart, since numbers beside it would lose digits.
        parts = [part for part in (encoded.dictionary, pa.nulls(1, values.type)) if len(part)]
        found = [meets(pa.table({column: part}).to_pandas(), {name: condition}) for part in parts]
        places = encoded.indices.cast(pa.int64()).fill_null(len(encoded.dictionary))
        held &= np.concatenate(found)[numbers(places)]
    return held


def without(units: pa.Array) -> npt.NDArray[np.bool_] | None:
    """Return which units are missing or an empty text; None if none is."""
    missing: pa.Array | None = None
    if units.null_count:
        missing = units.is_null()
    kind = units.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        width = np.dtype(np.int32 if pa.types.is_string(kind) else np.int64)
        ends = np.frombuffer(units.buffers()[1], dtype=width)[units.offset : units.offset + len(units) + 1]
        if len(units) and (ends[1:] == ends[:-1]).any():
            empty = pc.fill_null(pc.equal(pc.binary_length(units), 0), True)
            missing = empty if missing is None else pc.or_(missing, empty)
    return None if missing is None else flags(missing)


class Coder:
    """Numbers for the values of a column to bring along, in the sequence in which they come; -1: missing."""

    def __init__(self) -> None:
        self._places: dict[Any, int] = {}
        self._lock = Lock()
        self._kind: pa.DataType = pa.null()
        self._spare = 1

    def codes(self, column: pa.Array) -> Extra:
        """Return the number of each value."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        table = self._table(column.dictionary)
        indices = column.indices
        if indices.null_count:
            indices = indices.cast(pa.int64()).fill_null(len(table) - 1)
        return Extra(numbers(indices), table)

    def _table(self, values: pa.Array) -> npt.NDArray[np.int32]:
        with self._lock:
            self._kind = values.type
            # A value that is not equal to itself is no number.
            places = [
                -1 if value is None or value != value else self._places.setdefault(value, len(self._places))
                for value in values.to_pylist()
            ]
        return np.array([*places, -1], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def expected(self) -> int:
        """How many values there may be."""
        return len(self._places) * self._spare

    def expect_more(self) -> None:
        """Expect several times as many values as there are."""
        self._spare *= 8

    def ranked(self, bits: int) -> tuple[pa.Array, npt.NDArray[np.int32]]:
        """Return the values, ascending, and for each code plus one its value's place among them."""
        values = pa.array(list(self._places), self._kind)
        order = numbers(pc.sort_indices(values)).astype(np.int64)
        ranks = np.full(max(1 << bits, len(values) + 1), -1, dtype=np.int32)
        ranks[order + 1] = np.arange(len(order))
        return values.take(array(order)), ranks
