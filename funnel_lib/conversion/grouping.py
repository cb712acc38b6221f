"""Rows in any sequence, grouped by unit and ordered by time within it: what the kernel reads.

Units are told apart by their exact value, never by a hash alone. Small inputs are sorted by numpy; large ones by a
counting sort (compiled), after which only units whose rows are not in order of time are sorted: a log is usually
written in order, so there are few.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conversion.compiling import jit, worth_compiling

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.integer[Any]]
Masks = npt.NDArray[np.integer[Any]]
# Whole numbers that fill at least this share of their range are their own numbers: no table is needed.
_DENSE = 0.25


class Grouped(NamedTuple):
    """Units in ascending order; the rows of unit u are `bounds[u]:bounds[u + 1]` of `at` and `masks`.

    Where units are whole numbers that lie close together, those between that have no rows are listed too.
    """

    units: pa.Array
    bounds: Ints
    at: Ints
    masks: Masks


def group(rows: pa.Table) -> Grouped:
    """Return the rows grouped by unit and ordered by time.

    Parameters
    ----------
    rows : `unit` (of any type that can be sorted), `at_us` (int64) and `mask` (uint8 or int64), without nulls.
    """
    parts, low, names = _numbered(rows)
    if worth_compiling(len(rows)):
        return _spread(rows, parts, low, names)
    codes = np.concatenate(parts or [np.zeros(0, dtype=np.int64)]) - low
    at, masks = rows["at_us"].to_numpy(), rows["mask"].to_numpy()
    bounds = np.zeros(len(names) + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=len(names)), out=bounds[1:])
    sequence = np.lexsort((at, codes))
    return Grouped(names, bounds, at[sequence], masks[sequence])


def load() -> None:
    """Compile what `group` needs for large inputs, so that it lies in numba's cache."""
    for unit in ([1, 2], ["a", "b"]):
        for kind in (pa.uint8(), pa.int64()):
            rows = pa.table({"unit": unit, "at_us": [1, 2], "mask": pa.array([1, 1], kind)})
            _spread(rows, *_numbered(rows))


def _numbered(rows: pa.Table) -> tuple[list[Codes], int, pa.Array]:
    """Return the number of each row's unit, batch by batch; the lowest number; and the units in ascending order."""
    kind = rows.schema.field("unit").type
    units = pa.chunked_array([batch["unit"] for batch in rows.to_batches()], kind)
    if len(units) and pa.types.is_signed_integer(kind):
        low, high = (bound.as_py() for bound in pc.min_max(units).values())
        if (high - low) * _DENSE < len(units):
            numbers = [chunk.cast(pa.int64()).to_numpy() for chunk in units.chunks]
            return numbers, low, pa.array(np.arange(low, high + 1), kind)
    encoded = units.dictionary_encode()  # all chunks share one dictionary
    names = encoded.chunk(encoded.num_chunks - 1).dictionary if encoded.num_chunks else pa.array([], kind)
    order = pc.sort_indices(names)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order.to_numpy()] = np.arange(len(order))
    return [rank[chunk.indices.to_numpy()] for chunk in encoded.chunks], 0, names.take(order)


def _spread(rows: pa.Table, parts: list[Codes], low: int, names: pa.Array) -> Grouped:
    """Sort by counting; part by part, so that nothing is copied that need not be."""
    code = compiled()
    bounds = np.zeros(len(names) + 1, dtype=np.int64)
    for part in parts:
        code["tally"](part, low, bounds)
    np.cumsum(bounds, out=bounds)
    free = bounds[:-1].copy()
    at, masks = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=rows["mask"].type.to_pandas_dtype())
    for part, batch in zip(parts, rows.to_batches(), strict=True):
        code["place"](part, low, batch["at_us"].to_numpy(), batch["mask"].to_numpy(), free, at, masks)
    code["settle"](bounds, at, masks)
    return Grouped(names, bounds, at, masks)


@cache
def compiled() -> dict[str, Callable[..., None]]:
    """Return the functions below, compiled by numba."""
    return jit(tally, place, settle, names=globals())


def tally(units: Codes, low: int, bounds: Ints) -> None:
    """Count the rows of each unit, one place after its own."""
    for row in range(len(units)):
        bounds[units[row] - low + 1] += 1


def place(units: Codes, low: int, at: Ints, masks: Masks, free: Ints, new_at: Ints, new_masks: Any) -> None:
    """Put each row at the first free place of its unit."""
    for row in range(len(units)):
        spot = free[units[row] - low]
        free[units[row] - low] = spot + 1
        new_at[spot], new_masks[spot] = at[row], masks[row]


def settle(bounds: Ints, at: Ints, masks: Any) -> None:
    """Order the rows of each unit by time, where they are not."""
    for unit in range(len(bounds) - 1):
        low, high = bounds[unit], bounds[unit + 1]
        for row in range(low + 1, high):
            if at[row] < at[row - 1]:
                order = np.argsort(at[low:high])
                at[low:high] = at[low:high][order]
                masks[low:high] = masks[low:high][order]
                break
