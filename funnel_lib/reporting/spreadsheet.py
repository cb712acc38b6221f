"""The tables of a report as one Excel file, with a first sheet that says what they are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)
LARGEST = 32_767  # characters in a cell


def write_xlsx(path: Path, tables: Mapping[str, str], about: Sequence[tuple[str, str]]) -> None:
    """Write an Excel file.

    Parameters
    ----------
    tables : name to CSV text, as `render.tables` gives it; formulas are defused in it already.
    about : lines of the first sheet, each a term and its value.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    first = book.create_sheet("README")
    first.column_dimensions["A"].width, first.column_dimensions["B"].width = 28, 90
    for term, value in about:
        cells = [WriteOnlyCell(first, term), WriteOnlyCell(first, _text(value))]
        cells[0].font, cells[1].alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
        first.append(cells)
    titles: list[str] = ["README"]
    for name, text in tables.items():
        rows = list(csv.reader(io.StringIO(text)))
        titles.append(_sheet_name(name, titles))
        sheet = book.create_sheet(titles[-1])
        sheet.freeze_panes = "B2"
        for index, width in enumerate(_widths(rows), start=1):
            sheet.column_dimensions[get_column_letter(index)].width = width
        for number, row in enumerate(rows):
            cells = [WriteOnlyCell(sheet, _text(cell) if number == 0 else _value(cell)) for cell in row]
            for cell in cells if number == 0 else ():
                cell.font = Font(bold=True)
            sheet.append(cells)
    book.save(path)


def _value(cell: str) -> str | float | int | None:
    if not cell:
        return None
    if NUMBER.fullmatch(cell) and len(cell) < 25:
        return int(cell) if cell.lstrip("-").isdigit() else float(cell)
    return _text(cell)


def _text(cell: str) -> str:
    """Return a text that a cell may hold: no formula, none of the characters that Excel's files must not have."""
    plain = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", cell)[:LARGEST]
    return f"'{plain}" if plain.startswith("=") else plain


def _sheet_name(name: str, taken: Sequence[str]) -> str:
    plain = re.sub(r"[\[\]:*?/\\']", " ", name).strip()[:28] or "table"
    lower = [title.lower() for title in taken]
    return next(t for t in (plain, *(f"{plain} {n}" for n in range(2, 1000))) if t.lower() not in lower)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return a width for each column, in characters; Chinese characters are two wide."""
    longest = [
        max((sum(2 if ord(c) > 0x2E80 else 1 for c in cell[:60]) for cell in column), default=0)
        for column in zip(*rows, strict=False)
    ]
    return [min(48, max(9, width + 2)) for width in longest]
