"""Rows in any sequence, grouped into logs and ordered by time within them: what the kernel reads.

A log is what one unit did; with held values or sessions, what it did with one value, or in one session. Units are
told apart by their exact value, never by a hash alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conversion.engine.arrow import array, numbers, places
from funnel_lib.conversion.engine.plan import Plan

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Masks = npt.NDArray[np.integer[Any]]
MISSING = -1
SEPARATOR = "\x1f"
"""Stands between several held values in the name of a log."""
_WORD = 63
"""Bits of a number that is sorted instead of its parts."""


class Grouped(NamedTuple):
    """The rows of log u are `bounds[u]:bounds[u + 1]` of `at` (ascending), `masks` and each of `codes`.

    `units` has one entry per log, ascending; the logs of one unit stand in consecutive places. `codes` has, per
    column to bring along, the row's value as its place in `values` (ascending), -1 where it is missing. `logs` names
    each log of its unit: its session, then its held values, joined by `SEPARATOR`; None means one log per unit.
    """

    units: pa.Array
    bounds: Ints
    at: Ints
    masks: Masks
    codes: tuple[Codes, ...] = ()
    values: tuple[pa.Array, ...] = ()
    logs: pa.Array | None = None


def group(rows: pa.Table, plan: Plan) -> Grouped:
    """Return the rows grouped into logs and ordered by time; rows without a held value or session belong to none.

    Parameters
    ----------
    rows : `unit` (of any type that can be sorted), `at_us` (int64) and `mask` (uint8 or int64), without nulls;
        `hold NAME`, `session` and `extra NAME` as the plan asks for.
    """
    parting = parted_by(plan)
    for name in parting:
        if rows[name].null_count:
            rows = rows.filter(pc.is_valid(rows[name]))
    log, units = numbered(rows["unit"])
    names: pa.Array | None = None
    if parting:
        log, units, names = _parted(rows, parting, log, units)
    at, masks = numbers(rows["at_us"]), numbers(rows["mask"])
    extras = [coded(rows[f"extra {name}"]) for name in plan.by]
    log, at, masks, order = arranged(log, at, masks, carrying=bool(extras))
    begins = np.flatnonzero(np.diff(log, prepend=-1))
    bounds = np.append(begins, len(log))
    found = log[begins]
    codes, values = tuple(code[order] for code, _ in extras), tuple(value for _, value in extras)
    named = None if names is None else taken(names, found)
    return Grouped(taken(units, found), bounds, at, masks, codes, values, named)


def parted_by(plan: Plan) -> list[str]:
    """Return the columns of rows that part a unit's rows into logs: the session first."""
    funnel = plan.funnel
    sessions = funnel.counting == "sessions" and funnel.session_gap is None
    return ["session"] * sessions + [f"hold {name}" for name in funnel.hold_constant]


class Numbers(NamedTuple):
    """Whole numbers that are their own places: the unit at place p is `low` + p."""

    low: int
    kind: pa.DataType

    def take(self, places: Ints) -> pa.Array:
        """Return the units at these places."""
        return array(places + self.low).cast(self.kind)


def taken(source: Any, places: Ints) -> pa.Array:
    """Return what stands at these places."""
    return source.take(places if isinstance(source, Numbers) else array(places))


def numbered(units: pa.ChunkedArray) -> tuple[Ints, Any]:
    """Return each row's unit as a place in their ascending order, and what takes units from places."""
    kind = units.type
    if pa.types.is_integer(kind) and kind != pa.uint64() and len(units):
        found = numbers(units.cast(pa.int64()))
        low, high = int(found.min()), int(found.max())
        if (high - low).bit_length() < _WORD:
            return found - low, Numbers(low, kind)
    code, names = coded(units)
    return code.astype(np.int64), names


def coded(column: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Return each row's value as its place among the values (ascending), -1 where it is missing; and the values."""
    known = pa.types.is_dictionary(column.type)
    kind = column.type.value_type if known else column.type
    encoded = (column if known else column.dictionary_encode()).unify_dictionaries()
    names = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], kind)
    order = pc.sort_indices(names)
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[numbers(order)] = np.arange(len(order))
    rank[-1] = MISSING
    found = [places(chunk.indices) for chunk in encoded.chunks]
    return rank.take(np.concatenate(found or [np.zeros(0, dtype=np.int32)])), names.take(order)


def arranged(
    log: Ints, at: Ints, masks: Masks, *, carrying: bool
) -> tuple[Ints, Ints, Masks, npt.NDArray[np.intp] | None]:
    """Return the rows ordered by log, time and mask, and their order (only if something else is to be `carried`).

    One number that holds log, time and mask is sorted several times faster than three are.
    """
    if len(log) == 0:
        return log, at, masks, np.arange(0)
    low, most = int(at.min()), int(masks.max())
    times, bits = (int(at.max()) - low).bit_length(), most.bit_length()
    width = int(log.max()).bit_length() + times
    if width + bits <= _WORD and not carrying:
        words = (log << times | (at - low)) << bits | masks
        words.sort()
        masks = (words & (1 << bits) - 1).astype(masks.dtype)
        words >>= bits
        return words >> times, (words & (1 << times) - 1) + low, masks, None
    if width + bits <= _WORD:
        order = np.argsort((log << times | (at - low)) << bits | masks)
    elif width <= _WORD:
        order = np.argsort(log << times | (at - low))
    else:
        order = np.lexsort((at, log))
    return log[order], at[order], masks[order], order


def _parted(rows: pa.Table, parting: list[str], log: Ints, units: Any) -> tuple[Ints, Any, pa.Array]:
    """Return each row's log, and what gives the unit and the name of each log."""
    owner, log = np.unique(log, return_inverse=True)
    texts: list[pa.Array] = []
    for name in parting:
        code, values = coded(rows[name])
        size = max(len(values), 1)
        both, log = np.unique(log * size + code, return_inverse=True)
        owner = owner[both // size]
        texts = [text.take(both // size) for text in texts]
        texts.append(values.cast(pa.string()).take(both % size))
    return log, units.take(owner), pc.binary_join_element_wise(*texts, SEPARATOR)
