"""A grid of cells: where its header stands - one row, or two below each other - and the rows behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Cells, Page, Record, Shape, Wanted
from funnel_lib.errors import DataError

PAGE_ROWS = 100_000
HEAD = 60
"""Rows among which the header is looked for."""
_JOINED = "/"


@dataclass(frozen=True)
class Header:
    """The texts of a header, and the last of the rows that it stands in."""

    texts: list[str]
    last: Record


def headed(path: Path, records: Iterable[Record], wanted: Wanted) -> tuple[Header, Iterator[Record]]:
    """Return the header and the records behind it.

    It is the first of the rows with the most wanted columns, or two rows below each other that have more of them
    than any single one: there a group stands above its columns, and ``group/column`` names a column as well.

    Raises
    ------
    DataError : there is no row, or a wanted column is missing or stands there twice.
    """
    stream = iter(records)
    head = list(islice(stream, HEAD))
    filled = [i for i, (_, cells, *_) in enumerate(head) if cells and any(cell and cell.strip() for cell in cells)]
    if not filled:
        raise DataError(
            "The file holds no row.", where=path, found="no readable text", allowed="a header row and rows",
            do="Export it again, or remove the file.",
        )  # fmt: skip
    single = {i: _texts(head[i].cells) for i in filled}
    double = {i: _together(single[i - 1], single[i], wanted) for i in filled if i - 1 in single}
    best = max(single, key=lambda i: len(wanted.places(single[i])))
    texts = single[best]
    if double:
        lower = max(double, key=lambda i: len(wanted.places(double[i])))
        if len(wanted.places(double[lower])) > len(wanted.places(texts)):
            best, texts = lower, double[lower]
    wanted.require(texts, path)
    return Header(texts, head[best]), chain(head[best + 1 :], stream)


def paged(
    path: Path, export: Export, wanted: Wanted, header: Sequence[str], records: Iterator[Record], delimiter: str = ","
) -> Iterator[Page]:
    """Yield the records below a header in pages of at most `PAGE_ROWS`; at least one page, perhaps without rows."""
    shape = Shape.of(header, wanted, export.relative(path), delimiter)
    part = list(islice(records, PAGE_ROWS))
    while True:
        yield shape.page(part)
        if not (part := list(islice(records, PAGE_ROWS))):
            return


def _texts(cells: Cells | None) -> list[str]:
    return [cell or "" for cell in cells or []]


def _together(upper: Sequence[str], lower: Sequence[str], wanted: Wanted) -> list[str]:
    """Return one text per column of two header rows; a group reaches over the empty cells to its right."""
    width = max(len(upper), len(lower))
    above, below = ([cell.strip() for cell in row] + [""] * (width - len(row)) for row in (upper, lower))
    again = {text for text, times in Counter(below).items() if times > 1}
    found, group = [], ""
    for top, bottom in zip(above, below, strict=True):
        group = top or (group if bottom else "")
        joined = f"{group}{_JOINED}{bottom}"
        if not bottom or not group or group == bottom:
            found.append(bottom or top)
        else:
            found.append(joined if bottom in again or wanted.places([joined]) else bottom)
    return found
