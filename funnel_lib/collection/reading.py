"""Tables as they come - CSV, JSON lines, Excel, Parquet - as pages of text cells with their line numbers.

Every reader looks for the columns that it is asked for, wherever the header row stands, and sets aside what
is not a row of this table. Nothing is converted here, but dates are written year first where only their whole file
can tell how to read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from funnel_lib.collection.dates import Order, is_untold, orders, told
from funnel_lib.collection.delimited import delimited
from funnel_lib.collection.encodings import first_character
from funnel_lib.collection.files import Export, format_of, opened
from funnel_lib.collection.grid import PAGE_ROWS, headed, paged
from funnel_lib.collection.lines import lines
from funnel_lib.collection.pages import Cells, Page, Record, Shape, Wanted
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
        yield from _json_lines(path, export, wanted)
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


# JSON lines.


def _json_lines(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    shape = Shape.of(list(wanted.names.values()), wanted, export.relative(path), ",")
    seen: set[str] = set()
    encoding = export.source.encoding or "utf-8-sig"
    rows = (line for line in lines(path, encoding, universal=False) if line[2] or line[1].strip())
    part = list(islice(rows, PAGE_ROWS))
    while True:
        page = shape.page([Record(line, None, text.strip(), rule) if rule else _object(line, text, wanted, seen)
                           for line, text, rule in part])  # fmt: skip
        part = list(islice(rows, PAGE_ROWS))
        yield page
        if not part:
            break
    if seen:
        absent = frozenset(wanted.names) - wanted.keys
        tops = {name: text if text in seen else text.split(".")[0] for name, text in wanted.names.items()}
        replace(wanted, names=tops, optional=absent).require(sorted(seen), path)


def _object(line: int, row: str, wanted: Wanted, seen: set[str]) -> Record:
    """Return the wanted cells of one JSON object; the member names that it has go into `seen`."""
    raw = row.strip()
    broken = Record(line, None, raw, "broken_json")
    try:
        # Numbers stay as they are written: an id must not be rounded.
        value = json.loads(raw, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return broken
    if not isinstance(value, dict):
        return broken
    seen.update(value)
    members = {name: _member(value, name) for name in wanted.names.values()}
    try:
        if any(isinstance(member, dict | list) for member in members.values()):
            # Within objects, numbers are numbers: they are handed on as JSON.
            plain = json.loads(raw, parse_constant=lambda _: None)
            members = {name: _member(plain, name) if isinstance(m, dict | list) else m for name, m in members.items()}
        cells: Cells = [cell_text(members[name]) for name in wanted.names.values()]
    except (ValueError, RecursionError):  # a number of thousands of digits, a thousand objects in one another
        return broken
    return Record(line, cells, raw) if all(cell is None or _is_text(cell) for cell in cells) else broken


def _member(value: dict[str, object], name: str) -> object:
    """Return `value[name]`; a dotted name looks into objects within objects."""
    if name in value:
        return value[name]
    if "." not in name:
        return None
    found: object = value
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
