"""Arrow arrays and numpy arrays over the same memory.

pyarrow's own ways between the two load pandas, which takes longer than counting a million events does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_KINDS: dict[np.dtype[Any], pa.DataType] = {
    np.dtype(np.int8): pa.int8(), np.dtype(np.uint8): pa.uint8(), np.dtype(np.int16): pa.int16(),
    np.dtype(np.int32): pa.int32(), np.dtype(np.int64): pa.int64(), np.dtype(np.uint64): pa.uint64(),
}  # fmt: skip
_TYPES: dict[pa.DataType, np.dtype[Any]] = {
    **{kind: dtype for dtype, kind in _KINDS.items()},
    pa.uint16(): np.dtype(np.uint16), pa.uint32(): np.dtype(np.uint32),
}  # fmt: skip
MISSING = np.iinfo(np.int64).min


def numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return whole numbers without nulls as a numpy array."""
    if isinstance(column, pa.ChunkedArray):
        parts = [numbers(chunk) for chunk in column.chunks]
        empty = np.zeros(0, dtype=_TYPES[column.type])
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [empty])
    found = np.frombuffer(column.buffers()[1] or b"", dtype=_TYPES[column.type])
    return np.asarray(found[column.offset : column.offset + len(column)])


def places(column: pa.Array) -> npt.NDArray[Any]:
    """Return whole numbers as a numpy array, -1 for nulls."""
    found = numbers(column)
    return np.where(flags(column.is_null()), -1, found) if column.null_count else found


def flags(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Return yes/no values without nulls as a numpy array."""
    bits = np.frombuffer(column.buffers()[1] or b"", dtype=np.uint8)
    return np.unpackbits(bits, count=column.offset + len(column), bitorder="little")[column.offset :].astype(bool)


def array(values: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Return whole numbers, or yes/no values, as an Arrow array."""
    valid = None if missing is None or not missing.any() else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    if values.dtype == bool:
        kind, data = pa.bool_(), np.packbits(values, bitorder="little")
    else:
        kind, data = _KINDS[values.dtype], np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)])


def moments(values: npt.NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    """Return times, where the smallest integer is a missing one, as an Arrow array of this type."""
    return array(values, values == MISSING).view(kind)
