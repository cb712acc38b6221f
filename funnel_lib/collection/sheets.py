"""Spreadsheets (xlsx, xlsm, xlsb, xls, ods) as rows of cells: values only, no formula and no macro is ever run."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from funnel_lib.collection.archives import members
from funnel_lib.collection.pages import Record
from funnel_lib.collection.values import cell_text
from funnel_lib.errors import DataError, choices

LARGEST = 2 << 30
"""Bytes of XML that a spreadsheet may unpack to: it is read as a whole."""
MOST_CELLS = 60_000_000
"""Cells between the first and the last that hold anything; they take memory even where they are empty."""
_FAR = re.compile(rb"\br\s*=\s*[\"'](?:([A-Za-z]{2,12})([0-9]{1,30})|([A-Za-z]?)([0-9]{6,30}))[\"']")
_OVERLAP = 64
_Grid = list[list[Any]]


def sheet(path: Path, name: str | None) -> Iterator[Record]:
    """Yield the rows of a sheet (the first one by default), with the numbers that the program shows.

    A merged cell has its value in each place that it covers. Dates are read by the spreadsheet's own epoch.

    Raises
    ------
    DataError : the file is no spreadsheet, locked, damaged or far too large, or has no such sheet.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    _bounded(path)
    try:
        with path.open("rb") as file:
            book = CalamineWorkbook.from_filelike(file)
        wanted = name if name is not None else next(iter(book.sheet_names), "")
        if wanted not in book.sheet_names:
            raise DataError(
                "The workbook has no such sheet.", where=path, found=wanted,
                allowed=choices(book.sheet_names, wanted), do="Correct the source's sheet.",
            )  # fmt: skip
        found = book.get_sheet_by_name(wanted)
        # Empty rows and columns in front count, so that line numbers are those that Excel shows.
        grid = found.to_python(skip_empty_area=False)
        _fill(grid, found.merged_cell_ranges or [])
    except (CalamineError, OSError, ValueError) as error:
        raise DataError(
            "The spreadsheet cannot be read.", where=path, found=error,
            allowed="an .xlsx or .xls file without a password",
            do="Open it and save it again as .xlsx, or export it as CSV.",
        ) from error  # fmt: skip
    rows = [[cell_text(cell) for cell in row] for row in grid]
    while rows and not any(rows[-1]):
        rows.pop()
    return (Record(line, cells, ",".join(cell or "" for cell in cells)) for line, cells in enumerate(rows, 1))


def _fill(grid: _Grid, merged: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    for (top, left), (bottom, right) in merged:
        if top >= len(grid) or left >= len(grid[top]):
            continue
        value = grid[top][left]
        for row in grid[top : bottom + 1]:
            row[left : right + 1] = [value] * len(row[left : right + 1])


def _bounded(path: Path) -> None:
    """Refuse what would not fit into memory, before it is read as a whole."""
    if not zipfile.is_zipfile(path):
        return
    size = 0
    for name, stream in members(path):
        last, rows, columns = b"", 0, 1
        counted = name.endswith(".xml")  # a sheet may be called whatever the document says
        while block := stream.read(1 << 20):
            size += len(block)
            if counted:
                rows, columns = _extent(last + block, rows, columns)
                last = block[-_OVERLAP:]
            if size > LARGEST or rows * columns > MOST_CELLS:
                extent = f"{name} with {rows:,} rows and {columns:,} columns"
                raise DataError(
                    "The spreadsheet is too large.", where=path,
                    found=extent if size <= LARGEST else f"{size:,} bytes",
                    allowed=f"{MOST_CELLS:,} cells from the first to the last, {LARGEST:,} bytes unpacked",
                    do="Delete what stands far below or beside the table, or export it as CSV.",
                )  # fmt: skip


def _extent(text: bytes, rows: int, columns: int) -> tuple[int, int]:
    """Return the largest row and column of cells so far; few sheets have cells beyond column Z."""
    for wide, row, narrow, far in set(_FAR.findall(text)):
        number = 0
        for letter in (wide or narrow).upper():
            number = number * 26 + letter - 64
        rows, columns = max(rows, int(row or far)), max(columns, number)
    return rows, columns
