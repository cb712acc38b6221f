"""How far the cells of a spreadsheet reach, told from its packed parts before any of it is read as a whole.

A sheet takes memory for all cells between its first and its last, and a few bytes can place the last one anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers import expat

Extent = tuple[int, int]
"""Rows and columns from the first cell to the last."""
Follow = Callable[[bytes], Extent]
"""Takes the next bytes of a part (none at its end); returns the largest extent of its sheets so far."""
_FAR = re.compile(rb"\br\s*=\s*[\"'](?:([A-Za-z]{2,12})([0-9]{1,30})|([A-Za-z]?)([0-9]{6,30}))[\"']")
_OVERLAP = 64
_BEGIN_SHEET_DATA, _ROW, _CELLS = 145, 0, range(2, 12)
"""Records of a binary sheet: before its rows, of a row, of cells that are not blank (MS-XLSB, 2.4)."""
_LONGEST_HEAD = 6
_NO_SHEETS = (".xml", ".rels", ".png", ".jpg", ".jpeg", ".gif", ".emf", ".wmf")
_VALUES = frozenset(["value-type", "value", "string-value", "date-value", "time-value", "boolean-value", "formula"])


def follow(name: str, *, binary: bool) -> Follow:
    """Return what follows the part `name` of a spreadsheet's archive.

    A sheet may be called whatever the document says, so that every part counts as one.

    Parameters
    ----------
    binary : the document is an .xlsb.

    Raises
    ------
    ValueError : when it follows a part that no program would have written.
    """
    if name == "content.xml":
        return _Open().take
    return _Binary().take if binary and not name.endswith(_NO_SHEETS) else _Xml().take


class _Xml:
    """Sheets of .xlsx: the places of cells stand in attributes; few sheets have cells beyond column Z."""

    def __init__(self) -> None:
        self._last, self._rows, self._columns = b"", 0, 1

    def take(self, block: bytes) -> Extent:
        for wide, row, narrow, far in set(_FAR.findall(self._last + block)):
            number = 0
            for letter in (wide or narrow).upper():
                number = number * 26 + letter - 64
            self._rows, self._columns = max(self._rows, int(row or far)), max(self._columns, number)
        self._last = block[-_OVERLAP:]
        return self._rows, self._columns


class _Binary:
    """Sheets of .xlsb: records of a number, a length and bytes, of which rows and cells tell their place."""

    def __init__(self) -> None:
        self._rest, self._skip, self._inside = b"", 0, False
        self._rows, self._columns = 0, 1

    def take(self, block: bytes) -> Extent:
        data, at = self._rest + (block or bytes(_LONGEST_HEAD + 4)), self._skip
        end = len(data) - _LONGEST_HEAD - 4
        while at <= end:
            at = self._record(data, at)
        self._rest, self._skip = data[at:], max(0, at - len(data))
        return self._rows, self._columns

    def _record(self, data: bytes, at: int) -> int:
        """Look at the record that begins at `at`; return where the next one does."""
        kind = data[at]
        at += 1
        if kind & 0x80:
            kind = (kind & 0x7F) | (data[at] & 0x7F) << 7
            at += 1
        size = 0
        for place in range(4):
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << (7 * place)
            if not byte & 0x80:
                break
        self._inside |= kind == _BEGIN_SHEET_DATA
        if self._inside and size >= 4 and (kind == _ROW or kind in _CELLS):
            number = int.from_bytes(data[at : at + 4], "little") + 1
            if kind == _ROW:
                self._rows = max(self._rows, number)
            else:
                self._columns = max(self._columns, number)
        return at + size


class _Open:
    """Sheets of .ods: rows and cells follow one another, and say how many times they are repeated."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.EntityDeclHandler = self._entity
        self._largest: Extent = (0, 1)
        self._row = self._repeated = self._column = self._cells = self._filled = 0
        self._rows = self._columns = 0
        self._in_cell = False

    def take(self, block: bytes) -> Extent:
        try:
            self._parser.Parse(block, False)
        except expat.ExpatError as error:
            raise ValueError(str(error)) from error
        return self._largest

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if local == "table":
            self._row = self._rows = self._columns = 0
        elif local == "table-row":
            self._row += self._repeated
            self._repeated, self._column, self._cells, self._filled = _times(attributes, "rows"), 0, 0, 0
        elif local in ("table-cell", "covered-table-cell"):
            self._column += self._cells
            self._cells, self._in_cell = _times(attributes, "columns"), True
            if not _VALUES.isdisjoint(key.rpartition(" ")[2] for key in attributes):
                self._fill()

    def _text(self, text: str) -> None:
        if self._in_cell and text.strip():
            self._fill()

    def _fill(self) -> None:
        self._rows = max(self._rows, self._row + self._repeated)
        self._columns = max(self._columns, self._column + self._cells)
        self._largest = max(self._largest, (self._rows, self._columns), key=lambda extent: extent[0] * extent[1])

    def _end(self, name: str) -> None:
        local = name.rpartition(" ")[2]
        if local in ("table-cell", "covered-table-cell"):
            self._in_cell = False
        elif local == "table":
            self._repeated = 0

    def _entity(self, *_: Any) -> None:
        raise ValueError("the document defines entities of its own")


def _times(attributes: Mapping[str, str], what: str) -> int:
    """Return how many times a row or a cell is repeated; what cannot be read counts once."""
    found = next((value for key, value in attributes.items() if key.endswith(f"number-{what}-repeated")), "1").strip()
    return int(found) if found.isdecimal() and len(found) <= 18 else 1
