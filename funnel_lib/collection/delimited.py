"""Delimited text (CSV and its kin) as rows of cells: a fault in one row stays in that row."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from funnel_lib.collection.encodings import encoding_of
from funnel_lib.collection.files import Export
from funnel_lib.collection.grid import HEAD, headed, paged
from funnel_lib.collection.lines import Line, lines
from funnel_lib.collection.pages import Cells, Page, Record, Wanted
from funnel_lib.errors import DataError

DELIMITERS = ",;\t|"
_LONGEST_RECORD = 200
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


def delimited(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    """Yield the pages of a delimited text; see `reading.pages`."""
    stream = lines(path, encoding_of(path, export.source.encoding))
    head = list(islice(stream, HEAD))
    delimiter = _delimiter(path, [text for _, text, rule in head if not rule], export.source.delimiter, wanted)
    header, _ = headed(path, records(iter(head), delimiter, 0), wanted)
    first = header.last.line + len(re.split("\r\n|\r|\n", header.last.text))
    behind = (line for line in chain(head, stream) if line[0] >= first)
    yield from paged(path, export, wanted, header.texts, records(behind, delimiter, len(header.texts)), delimiter)


def records(stream: Iterator[Line], delimiter: str, width: int) -> Iterator[Record]:
    """Yield every record; its cells are None where its quotation marks do not match or its line is faulty.

    A quotation mark that never closes, or closes in a later row, must not swallow the rows between: lines
    are joined only into a record of at least `width` cells.
    """
    waiting: deque[Line] = deque()

    def following() -> Line | None:
        return waiting.popleft() if waiting else next(stream, None)

    while item := following():
        line, text, rule = item
        if rule:
            yield Record(line, None, text.rstrip("\r\n"), rule)
            continue
        cells = fields(text, delimiter)
        if cells is None:
            cells, text, unused = _joined(text, following, delimiter, width)
            waiting.extendleft(reversed(unused))
        if text.strip():
            yield Record(line, cells, text.rstrip("\r\n"))


def fields(text: str, delimiter: str) -> Cells | None:
    """Return the cells of one record; None where a quotation mark stays open or does not match."""
    if '"' not in text:
        return list(text.rstrip("\r\n").split(delimiter))
    try:
        return list(next(csv.reader([text], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return None


def _joined(
    text: str, following: Callable[[], Line | None], delimiter: str, width: int
) -> tuple[Cells | None, str, list[Line]]:
    """Return cells and text of a record of several lines; or no cells, its first line and the lines to read again."""
    taken: list[Line] = []
    joined = [text]
    while len(taken) < _LONGEST_RECORD and (more := following()):
        taken.append(more)
        if more[2]:
            break
        joined.append(more[1])
        if '"' in more[1] and (cells := fields("".join(joined), delimiter)) is not None:
            if len(cells) < width:
                break
            return cells, "".join(joined), []
    return None, text, taken


def _delimiter(path: Path, head: Sequence[str], named: str | None, wanted: Wanted) -> str:
    def found(delimiter: str) -> tuple[int, int]:
        rows = [fields(line, delimiter) or [] for line in head]
        return max((len(wanted.places(row)) for row in rows), default=0), max(map(len, rows), default=0)

    best = max(_candidates(named), key=found)
    if named is not None and best != named and not found(named)[0] and found(best)[0]:
        raise DataError(
            "The file is not delimited as the workbook says.", where=path,
            found=f"the wanted columns with {_NAMES[best]} between them", allowed=repr(named),
            do="Correct the source's delimiter, or leave it out.",
        )  # fmt: skip
    return named or best


def _candidates(named: str | None) -> Iterable[str]:
    return DELIMITERS if named is None else dict.fromkeys([named, *DELIMITERS])
