"""Batches of rows that come in the order of their units, cut where a unit ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc


def whole_units(batches: Iterable[pa.RecordBatch], rows_at_once: int) -> Iterator[pa.Table]:
    """Yield tables of at least `rows_at_once` rows (the last one: fewer), cut only between two units.

    `batches` have the unit in their first column, equal ones together. A table ends with the first unit that ends
    after so many rows, in the batch that completes them at the earliest.
    """
    held: list[pa.RecordBatch] = []
    size, before = 0, None  # the last unit of the batch before
    for batch in batches:
        if batch.num_rows == 0:
            continue
        units = batch.column(0)
        last = units[-1]
        size += batch.num_rows
        if size < rows_at_once or last.equals(units[0] if before is None else before):
            held.append(batch)
        else:
            cut = pc.index(pc.equal(units, last), True).as_py()
            yield pa.Table.from_batches([*held, batch.slice(0, cut)][: len(held) + (cut > 0)])
            held, size = [batch.slice(cut)], batch.num_rows - cut
        before = last
    if held:
        yield pa.Table.from_batches(held)
