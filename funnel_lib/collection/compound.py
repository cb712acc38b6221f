"""How far the cells of an .xls reach: its stream of records, found within the file that it is a part of.

Such a file is a small file system of its own (MS-CFB): sectors, a table of which sector follows which, folders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENTRY, _SMALL = 128, 64
_LAST = 0xFFFFFFFA
"""Numbers of sectors from here on stand for the end, or for nothing."""
_BOOKS = ("workbook", "book")
_BEGIN = frozenset([0x0009, 0x0209, 0x0409, 0x0809])
_CELLS = frozenset([
    0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0203, 0x0204, 0x0205, 0x0206, 0x0406, 0x027E, 0x00BD, 0x00D6, 0x00FD,
])  # fmt: skip
"""Records of cells that are not blank, each with its row and column first; of several cells, the last column last."""
_SEVERAL = 0x00BD


def extent(data: bytes) -> tuple[int, int]:
    """Return the rows and columns of the sheet that reaches farthest.

    Raises
    ------
    ValueError : the file is not built as such files are.
    """
    try:
        return _reach(b"".join(_book(data)))
    except (struct.error, IndexError) as error:
        raise ValueError(f"its inner folders are damaged ({error})") from error


def _book(data: bytes) -> Iterator[bytes]:
    """Yield the pieces of the stream that holds the sheets."""
    size = 1 << min(struct.unpack_from("<H", data, 30)[0], 16)
    first, cutoff, small_first = (struct.unpack_from("<I", data, at)[0] for at in (48, 56, 60))
    table = _table(data, size)
    entries = b"".join(_sectors(data, table, first, size))
    root, book = None, None
    for at in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        length = struct.unpack_from("<H", entries, at + 64)[0]
        name = entries[at : at + max(min(length, 64) - 2, 0)].decode("utf-16-le", "replace").lower()
        start, bytes_ = struct.unpack_from("<II", entries, at + 116)
        if at == 0:
            root = start
        elif name in _BOOKS and book is None:
            book = start, bytes_
    if root is None or book is None:
        raise ValueError("it holds no sheets")
    if book[1] >= cutoff:
        yield from _sectors(data, table, book[0], size)
        return
    small = b"".join(_sectors(data, table, root, size))
    order = _numbers(b"".join(_sectors(data, table, small_first, size)))
    yield from (small[n * _SMALL : (n + 1) * _SMALL] for n in _chain(order, book[0]))


def _table(data: bytes, size: int) -> list[int]:
    """Return which sector follows each sector."""
    parts = list(struct.unpack_from("<109I", data, 76))
    further, seen = struct.unpack_from("<I", data, 68)[0], 0
    while further < _LAST and seen < len(data) // size + 1:
        block = _numbers(_sector(data, further, size))
        parts, further, seen = parts + block[:-1], block[-1], seen + 1
    return list(chain.from_iterable(_numbers(_sector(data, n, size)) for n in parts if n < _LAST))


def _sector(data: bytes, number: int, size: int) -> bytes:
    return data[(number + 1) * size : (number + 2) * size]


def _sectors(data: bytes, table: list[int], first: int, size: int) -> Iterator[bytes]:
    return (_sector(data, number, size) for number in _chain(table, first))


def _chain(table: list[int], first: int) -> Iterator[int]:
    number, steps = first, 0
    while number < _LAST and steps <= len(table):
        yield number
        number, steps = table[number], steps + 1


def _numbers(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))


def _reach(stream: bytes) -> tuple[int, int]:
    largest, rows, columns, at = (0, 1), 0, 1, 0
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        at += 4
        if kind in _BEGIN:
            rows, columns = 0, 1
        elif kind in _CELLS and size >= 4 and at + size <= len(stream):
            row, column = struct.unpack_from("<HH", stream, at)
            last = struct.unpack_from("<H", stream, at + size - 2)[0] if kind == _SEVERAL else column
            rows, columns = max(rows, row + 1), max(columns, column + 1, last + 1)
            if rows * columns > largest[0] * largest[1]:
                largest = rows, columns
        at += size
    return largest
