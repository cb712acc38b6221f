"""Tables as they come - CSV, JSON lines, Excel, Parquet - as pages of text cells with their line numbers.

Every reader looks for the columns that it is asked for, wherever the header row stands, and sets aside what
is not a row of this table. Nothing is converted here, but dates are written year first where only their whole file
can tell how to read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from funnel_lib.collection import objects
from funnel_lib.collection.dates import Order, is_untold, orders, told
from funnel_lib.collection.delimited import delimited
from funnel_lib.collection.encodings import first_character
from funnel_lib.collection.files import Export, format_of, opened
from funnel_lib.collection.grid import PAGE_ROWS, headed, paged
from funnel_lib.collection.pages import Page, Record, Shape, Wanted
from funnel_lib.collection.sheets import sheet
from funnel_lib.collection.values import cell_text
from funnel_lib.errors import DataError

_MARKUP = re.compile(r"\s*<(!doctype|html|head|body|table|meta|\?xml|!--)", re.IGNORECASE)


def pages(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    """Read the file in pages of at most `PAGE_ROWS` rows; at least one page, perhaps without rows.

    Raises
    ------
    DataError : the file is damaged, in an unknown encoding, or lacks a wanted column.
    """
    date_format = export.source.date_format
    known: Mapping[str, Order] | None = None
    for page in _pages(path, export, wanted):
        if known is None and wanted.times and is_untold(page, wanted.times):
            known = orders(_pages(path, export, wanted), wanted.times)
        yield page if known is None else told(page, known, date_format)


def is_json_lines(path: Path, encoding: str | None = None) -> bool:
    """Tell whether a text file holds JSON objects, one per line, by its first character.

    Raises
    ------
    DataError : a file called .json holds one JSON array.
    """
    start = first_character(path, encoding or "utf-8")
    if start == "[" and any(suffix.startswith(".json") for suffix in path.suffixes):
        raise DataError(
            "The file is one JSON array.", where=path, found="[ at its start",
            allowed="JSON lines: one object per line",
            do="Export it as newline-delimited JSON (with jq: jq -c '.[]' FILE).",
        )  # fmt: skip
    return start == "{"


def _pages(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    kind = format_of(path)
    if kind == "excel":
        header, records = headed(path, sheet(path, export.source.sheet), wanted)
        yield from paged(path, export, wanted, header.texts, records)
    elif kind == "parquet":
        yield from _parquet(path, export, wanted)
    elif is_json_lines(path, export.source.encoding):
        yield from objects.pages(path, export, wanted)
    else:
        _not_markup(path)
        yield from delimited(path, export, wanted)


def _not_markup(path: Path) -> None:
    with opened(path, part=True) as file:
        head = file.read(512).decode("utf-8", "replace").lstrip("\ufeff")
    if match := _MARKUP.match(head):
        raise DataError(
            "The file is a web page or XML, whatever its name says.", where=path, found=match[0].strip(),
            allowed="CSV, JSON lines, Excel or Parquet", do="Open it with a spreadsheet program and save it as .xlsx.",
        )  # fmt: skip


# Parquet.


def _parquet(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        wanted.require(names, path)
        shape = Shape.of(names, wanted, export.relative(path), ",")
        line, empty = 0, True
        for batch in file.iter_batches(batch_size=PAGE_ROWS):
            columns = [[cell_text(value) for value in column] for column in batch.to_pydict().values()]
            rows = [list(cells) for cells in zip(*columns, strict=True)]
            yield shape.page([Record(line + i, row, ",".join(c or "" for c in row)) for i, row in enumerate(rows, 1)])
            line, empty = line + len(rows), False
        if empty:
            yield shape.page([])
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "The Parquet file cannot be read.", where=path, found=error, allowed="a whole Parquet file",
            do="Export it again.",
        ) from error  # fmt: skip
