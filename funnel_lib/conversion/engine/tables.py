"""Rows as tables: all in one where they fit into memory, else put apart by a hash of their unit and spilled.

The general road: for small inputs, for rows that a unit's held values or sessions part, and for what does not fit
into records.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine.arrow import array, flags
from funnel_lib.conversion.engine.grouping import Grouped, group
from funnel_lib.conversion.engine.sieve import Raw, Sieve
from funnel_lib.conversion.engine.spill import Spill


class Tables:
    """The wanted rows of one reading, in one or several parts.

    Parameters
    ----------
    sieve : says which rows are wanted.
    parts : how many parts there are. At least one batch has to be added, be it empty.
    most_bytes : memory for rows, altogether; what does not fit is spilled (if there are several parts).
    """

    def __init__(self, sieve: Sieve, parts: int, most_bytes: int) -> None:
        self._sieve, self._most = sieve, most_bytes
        self._held: list[list[pa.Table]] = [[] for _ in range(parts)]
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(parts)]
        self._spill = Spill()
        self._bytes = 0
        self._schema = pa.schema([])
        self._matched = np.zeros(len(sieve.plan.funnel.steps), dtype=np.int64)

    def add(self, raw: Raw) -> None:
        """Add the rows of a batch."""
        rows, part = self._wanted(raw)
        if not rows.num_rows:  # its texts may be no dictionaries, unlike those of others
            self._schema = self._schema if len(self._schema) else rows.schema
            return
        self._schema = rows.schema
        if part is None:
            self._held[0].append(rows)
            return
        order = np.argsort(part, kind="stable")
        rows = rows.take(array(order))
        ends = np.searchsorted(part[order], np.arange(len(self._held) + 1))
        for number in np.flatnonzero(np.diff(ends)):
            self._held[number].append(rows.slice(ends[number], ends[number + 1] - ends[number]))
        self._bytes += rows.nbytes
        if self._bytes > self._most:
            self._empty()

    def _wanted(self, raw: Raw) -> tuple[pa.Table, npt.NDArray[np.int32] | None]:
        """Return the rows that are wanted, as `group` wants them, and the part of each."""
        sieve, plan = self._sieve, self._sieve.plan
        masks, unwanted, at = sieve.sift(raw)
        kept = np.ones(len(masks), dtype=bool) if plan.whole_logs else masks != 0
        if unwanted is not None:
            kept &= ~unwanted
        lacking = [flags(column.is_null()) for column in raw.parting.values()]
        held = [gone for name, gone in zip(raw.parting, lacking, strict=True) if name != "session"]
        if held:
            sieve.count("no_held_value", int(np.count_nonzero(np.logical_or.reduce(held) & kept & (masks != 0))))
        units = raw.units.cast(pa.string()) if pa.types.is_large_string(raw.units.type) else raw.units
        columns = {"unit": units, "at_us": array(at), "mask": array(masks)}
        columns |= dict(raw.parting)
        columns |= {f"extra {name}": column for name, column in zip(plan.by, raw.extras, strict=True)}
        rows = pa.table(columns)
        if not kept.all():
            rows = rows.filter(array(kept))
        for place in range(len(self._matched)):
            self._matched[place] += np.count_nonzero(masks[kept] & masks.dtype.type(1 << place))
        return rows, None if raw.parts is None else raw.parts[kept]

    def _empty(self) -> None:
        """Write all rows to the temporary file."""
        for number, tables in enumerate(self._held):
            if tables:
                sink = pa.BufferOutputStream()
                rows = pa.concat_tables(tables).combine_chunks()
                with pa.ipc.new_stream(sink, rows.schema) as writer:
                    writer.write_table(rows)
                octets = np.frombuffer(sink.getvalue(), dtype=np.uint8)
                self._spilled[number].append((self._spill.write([octets]), len(octets)))
        self._held = [[] for _ in self._held]
        self._bytes = 0

    @property
    def matched(self) -> list[int]:
        """How many rows matched each step."""
        return [int(rows) for rows in self._matched]

    @property
    def spilled(self) -> int:
        """How many bytes were written to temporary files."""
        return self._spill.bytes

    def keys(self) -> list[int]:
        """Return the parts that hold any rows; the first if none does."""
        found = [number for number, held in enumerate(self._held) if held or self._spilled[number]]
        return found or [0]

    def rows(self) -> pa.Table:
        """Return all rows of the first part."""
        return pa.concat_tables(self._held[0]) if self._held[0] else self._schema.empty_table()

    def grouped(self, key: int) -> Grouped:
        """Return the rows of a part."""
        tables, self._held[key] = self._held[key], []
        for begins, size in self._spilled[key]:
            octets = np.empty(size, dtype=np.uint8)
            self._spill.read(begins, octets)
            tables.append(pa.ipc.open_stream(pa.py_buffer(octets)).read_all())
        rows = pa.concat_tables(tables) if tables else self._schema.empty_table()
        return group(rows, self._sieve.plan)

    def close(self) -> None:
        """Remove the temporary file."""
        self._spill.close()
