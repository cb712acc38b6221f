"""Tables as they come - CSV, JSON lines, Excel, Parquet - as pages of text cells with their line numbers.

Every reader looks for the columns that it is asked for, wherever the header row stands, and sets aside what
is not a row of this table. Nothing is converted here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from funnel_lib.collection.files import Export, encoding_of, first_character, format_of, opened
from funnel_lib.collection.pages import Cells, Page, Record, Shape, Wanted
from funnel_lib.collection.values import cell_text
from funnel_lib.errors import DataError, choices

DELIMITERS = ",;\t|"
PAGE_ROWS = 100_000
_HEAD = 60
_LONGEST_RECORD = 200


def pages(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    """Read the file in pages of at most `PAGE_ROWS` rows; at least one page, perhaps without rows.

    Raises
    ------
    DataError : the file is damaged, in an unknown encoding, or lacks a wanted column.
    """
    kind = format_of(path)
    if kind == "excel":
        yield from _paged(path, export, wanted, *_headed(path, _sheet(path, export.source.sheet), wanted))
    elif kind == "parquet":
        yield from _parquet(path, export, wanted)
    elif is_json_lines(path, export.source.encoding):
        yield from _json_lines(path, export, wanted)
    else:
        yield from _delimited(path, export, wanted)


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


# Delimited text.


def _delimited(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    encoding = encoding_of(path, export.source.encoding)
    with opened(path) as file:
        # newline="" keeps the line ends as they are, so that a quoted line break stays what it was.
        lines = iter(io.TextIOWrapper(file, encoding=encoding, newline=""))
        head = list(islice(lines, _HEAD))
        delimiter = export.source.delimiter or _delimiter(head, wanted)
        header, _ = _headed(path, _records(iter(enumerate(head, 1)), delimiter, 0), wanted)
        numbered = enumerate(chain(head, lines), 1)
        behind = islice(numbered, header[0] - 1 + _height(header), None)
        yield from _paged(path, export, wanted, header, _records(behind, delimiter, len(header[1] or [])), delimiter)


def _height(record: Record) -> int:
    """Return how many physical lines the text of a record takes."""
    return len(re.split("\r\n|\r|\n", record[2]))


def _delimiter(head: Sequence[str], wanted: Wanted) -> str:
    def found(delimiter: str) -> tuple[int, int]:
        rows = [_fields(line, delimiter) or [] for line in head]
        return max((len(wanted.places(row)) for row in rows), default=0), max((len(row) for row in rows), default=0)

    return max(DELIMITERS, key=found)


def _fields(text: str, delimiter: str) -> Cells | None:
    """Return the cells of one record; None where a quotation mark stays open or does not match."""
    if '"' not in text:
        return list(text.rstrip("\r\n").split(delimiter))
    try:
        return list(next(csv.reader([text], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return None


def _records(lines: Iterator[tuple[int, str]], delimiter: str, width: int) -> Iterator[Record]:
    """Yield every record; its cells are None where its quotation marks do not match.

    A quotation mark that never closes, or closes in a later row, must not swallow the rows between: lines
    are joined only into a record of at least `width` cells.
    """
    waiting: deque[tuple[int, str]] = deque()

    def following() -> tuple[int, str] | None:
        return waiting.popleft() if waiting else next(lines, None)

    while item := following():
        line, text = item
        cells = _fields(text, delimiter)
        if cells is None:
            cells, text, unused = _joined(text, following, delimiter, width)
            waiting.extendleft(reversed(unused))
        if text.strip():
            yield line, cells, text.rstrip("\r\n")


def _joined(
    text: str, following: Callable[[], tuple[int, str] | None], delimiter: str, width: int
) -> tuple[Cells | None, str, list[tuple[int, str]]]:
    """Return cells and text of a record of several lines; or no cells, its first line and the lines to read again."""
    taken: list[tuple[int, str]] = []
    joined = [text]
    while len(taken) < _LONGEST_RECORD and (more := following()):
        taken.append(more)
        joined.append(more[1])
        if '"' in more[1] and (cells := _fields("".join(joined), delimiter)) is not None:
            if len(cells) < width:
                break
            return cells, "".join(joined), []
    return None, text, taken


# Any grid of cells, its header among the first rows.


def _headed(path: Path, records: Iterable[Record], wanted: Wanted) -> tuple[Record, Iterator[Record]]:
    """Return the header (the first of the rows with the most wanted columns) and the records behind it."""
    stream = iter(records)
    head = list(islice(stream, _HEAD))
    filled = [i for i, (_, cells, _) in enumerate(head) if cells and any(cell and cell.strip() for cell in cells)]
    if not filled:
        raise DataError(
            "The file holds no row.", where=path, found="no readable text", allowed="a header row and rows",
            do="Export it again, or remove the file.",
        )  # fmt: skip
    best = max(filled, key=lambda i: len(wanted.places(head[i][1] or [])))
    wanted.require([cell or "" for cell in head[best][1] or []], path)
    return head[best], chain(head[best + 1 :], stream)


def _paged(
    path: Path,
    export: Export,
    wanted: Wanted,
    header: Record,
    records: Iterator[Record],
    delimiter: str = ",",
) -> Iterator[Page]:
    shape = Shape.of([cell or "" for cell in header[1] or []], wanted, export.relative(path), delimiter)
    part = list(islice(records, PAGE_ROWS))
    while True:
        yield shape.page(part)
        if not (part := list(islice(records, PAGE_ROWS))):
            return


# Excel.


def _sheet(path: Path, sheet: str | None) -> Iterator[Record]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(path)
        name = sheet if sheet is not None else next(iter(book.sheet_names), "")
        if name not in book.sheet_names:
            raise DataError(
                "The workbook has no such sheet.", where=path, found=name, allowed=choices(book.sheet_names, name),
                do="Correct the source's sheet.",
            )  # fmt: skip
        # Empty rows and columns in front count, so that line numbers are those that Excel shows.
        grid = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise DataError(
            "The spreadsheet cannot be read.", where=path, found=error,
            allowed="an .xlsx or .xls file without a password",
            do="Open it and save it again as .xlsx, or export it as CSV.",
        ) from error  # fmt: skip
    rows = [[cell_text(cell) for cell in row] for row in grid]
    while rows and not any(rows[-1]):
        rows.pop()
    return ((line, cells, ",".join(cell or "" for cell in cells)) for line, cells in enumerate(rows, 1))


# JSON lines.


def _json_lines(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    shape = Shape.of(list(wanted.names.values()), wanted, export.relative(path), ",")
    seen: set[str] = set()
    with opened(path) as file:
        # Bytes that are no text become lone surrogates, which no row may hold: the line alone is set aside.
        text = io.TextIOWrapper(
            file, encoding=export.source.encoding or "utf-8-sig", errors="surrogateescape", newline="\n"
        )
        lines = ((line, row) for line, row in enumerate(text, 1) if row.strip())
        part = list(islice(lines, PAGE_ROWS))
        while True:
            records = [(line, *_object(row, wanted, seen)) for line, row in part]
            page = shape.page([(line, cells, raw) for line, cells, raw, _ in records], [rule for *_, rule in records])
            part = list(islice(lines, PAGE_ROWS))
            yield page
            if not part:
                break
    if seen:
        absent = frozenset(wanted.names) - wanted.keys
        tops = {name: text if text in seen else text.split(".")[0] for name, text in wanted.names.items()}
        replace(wanted, names=tops, optional=absent).require(sorted(seen), path)


def _object(row: str, wanted: Wanted, seen: set[str]) -> tuple[Cells | None, str, str]:
    """Return the wanted cells of one JSON object, its text, and the rule that it breaks."""
    raw = row.strip()
    if not _is_text(raw):
        return None, raw.encode("utf-8", "replace").decode(), "bad_encoding"
    try:
        # Numbers stay as they are written: an id must not be rounded.
        value = json.loads(raw, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None, raw, "broken_json"
    if not isinstance(value, dict):
        return None, raw, "broken_json"
    seen.update(value)
    cells = [cell_text(_member(value, name)) for name in wanted.names.values()]
    if not all(cell is None or _is_text(cell) for cell in cells):
        return None, raw, "broken_json"
    return cells, raw, ""


def _member(value: dict[str, object], name: str) -> object:
    """Return `value[name]`; a dotted name looks into objects within objects."""
    if name in value:
        return value[name]
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
            yield shape.page([(line + i, row, ",".join(c or "" for c in row)) for i, row in enumerate(rows, 1)])
            line, empty = line + len(rows), False
        if empty:
            yield shape.page([])
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            "The Parquet file cannot be read.", where=path, found=error, allowed="a whole Parquet file",
            do="Export it again.",
        ) from error  # fmt: skip
