"""Spreadsheets (xlsx, xlsm, xlsb, xls, ods) as rows of cells: values only, no formula and no macro is ever run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from funnel_lib.collection import compound
from funnel_lib.collection.archives import members, names_in_zip
from funnel_lib.collection.compound import MAGIC
from funnel_lib.collection.extents import Extent, follow
from funnel_lib.collection.pages import Record
from funnel_lib.collection.values import cell_text
from funnel_lib.errors import DataError, choices

LARGEST = 2 << 30
"""Bytes of XML that a spreadsheet may unpack to: it is read as a whole."""
MOST_CELLS = 60_000_000
"""Cells between the first and the last that hold anything; they take memory even where they are empty."""
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
        raise _unreadable(path, error) from error
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
    try:
        if zipfile.is_zipfile(path):
            _bounded_parts(path)
        elif path.stat().st_size > LARGEST:
            raise _too_large(path, "", path.stat().st_size, (0, 0))
        elif (data := path.read_bytes()).startswith(MAGIC):
            _check(path, "a sheet", 0, compound.extent(data))
    except ValueError as error:
        raise _unreadable(path, error) from error


def _bounded_parts(path: Path) -> None:
    size, binary = 0, any(name.endswith("workbook.bin") for name in names_in_zip(path))
    for name, stream in members(path):
        extent = follow(name, binary=binary)
        block = b"-"
        while block:
            block = stream.read(1 << 20)
            size += len(block)
            _check(path, name, size, extent(block))


def _check(path: Path, name: str, size: int, extent: Extent) -> None:
    if size > LARGEST or extent[0] * extent[1] > MOST_CELLS:
        raise _too_large(path, name, size, extent)


def _too_large(path: Path, name: str, size: int, extent: Extent) -> DataError:
    reach = f"{name} with {extent[0]:,} rows and {extent[1]:,} columns"
    return DataError(
        "The spreadsheet is too large.", where=path, found=reach if size <= LARGEST else f"{size:,} bytes",
        allowed=f"{MOST_CELLS:,} cells from the first to the last, {LARGEST:,} bytes unpacked",
        do="Delete what stands far below or beside the table, or export it as CSV.",
    )  # fmt: skip


def _unreadable(path: Path, error: object) -> DataError:
    return DataError(
        "The spreadsheet cannot be read.", where=path, found=error,
        allowed="an .xlsx, .xlsb, .xls or .ods file without a password",
        do="Open it and save it again as .xlsx, or export it as CSV.",
    )  # fmt: skip
