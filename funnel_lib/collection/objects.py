"""Files of JSON objects, one per line, as pages of text cells.

Whole columns are taken out of many lines at once. What is not plain - a line that is no object, a number that must not
be rounded, a row that may be a total - is read line by line, and both find the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from funnel_lib.collection.batch import ROW
from funnel_lib.collection.blocks import Block, Piece, gathered, pieces, side_by_side
from funnel_lib.collection.files import Export
from funnel_lib.collection.grid import PAGE_ROWS
from funnel_lib.collection.lines import Line, lines
from funnel_lib.collection.pages import Cells, Page, Record, Shape, Wanted, joined
from funnel_lib.collection.stage import text
from funnel_lib.collection.values import cell_text

_BLOCK_BYTES = 16 << 20
_UTF8 = ("utf-8", "utf-8-sig", "utf8", "ascii")
# Numbers that would not come back as they are written, or are none.
_ODD = r""""\s*:\s*-?(?:[0-9]+(?:\.[0-9]*0[^0-9]|\.[0-9]{7}|[0-9.]*[eE])|NaN|Inf)|NaN"""
_KEYS = """
SELECT name, count(*) AS rows FROM (SELECT unnest(json_keys(text)) AS name FROM objects JOIN plain USING (line))
GROUP BY name
"""
_Seen = Counter[str]


def pages(path: Path, export: Export, wanted: Wanted) -> Iterator[Page]:
    """Read the file in pages; at least one page, perhaps without rows.

    Raises
    ------
    DataError : the file is damaged, or no object has a wanted member.
    """
    shape = Shape.of(list(wanted.names.values()), wanted, export.relative(path), ",")
    encoding = export.source.encoding or "utf-8-sig"
    rows = lines(path, encoding, universal=False)
    found = _in_columns(path, wanted, shape) if encoding.lower() in _UTF8 else _row_by_row(rows, wanted, shape)
    seen: _Seen = Counter()
    for page, names in found:
        seen += names
        usual = (name for name, rows in seen.items() if 2 * rows >= page.read)  # others come and go from row to row
        yield replace(page, columns={name: page.columns.get(name, "") for name in usual})
    if seen:
        absent = frozenset(wanted.names) - wanted.keys
        tops = {name: text if text in seen else text.split(".")[0] for name, text in wanted.names.items()}
        replace(wanted, names=tops, optional=absent).require(sorted(seen), path)


# Row by row.


def _row_by_row(found: Iterable[Line], wanted: Wanted, shape: Shape) -> Iterator[tuple[Page, _Seen]]:
    rows = (line for line in found if line[2] or line[1].strip())
    part = list(islice(rows, PAGE_ROWS))
    while True:
        seen: _Seen = Counter()
        page = _page(part, wanted, shape, seen)
        part = list(islice(rows, PAGE_ROWS))
        yield page, seen
        if not part:
            break


def _page(found: Iterable[Line], wanted: Wanted, shape: Shape, seen: _Seen) -> Page:
    return shape.page([
        Record(line, None, text.strip(), rule) if rule else _object(line, text, wanted, seen)
        for line, text, rule in found
    ])  # fmt: skip


def _object(line: int, row: str, wanted: Wanted, seen: Counter[str]) -> Record:
    """Return the wanted cells of one JSON object; the member names that it has are counted in `seen`."""
    raw = row.strip()
    broken = Record(line, None, raw, "broken_json")
    try:
        # Numbers stay as they are written: an id must not be rounded.
        value = json.loads(raw, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return broken
    if not isinstance(value, dict):
        return broken
    seen.update(value.keys())
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


# In columns.


def _in_columns(path: Path, wanted: Wanted, shape: Shape) -> Iterator[tuple[Page, _Seen]]:
    # The threads are ours, one for each page: each asks in a session of its own.
    with duckdb.connect(config={"threads": 1}) as database:

        def work(found: Sequence[Piece]) -> tuple[Page, _Seen]:
            with database.cursor() as connection:
                return _columns(Block.of(found), wanted, shape, connection)

        yield from side_by_side(work, gathered(pieces(path, shape.file), _BLOCK_BYTES))


def _columns(block: Block, wanted: Wanted, shape: Shape, connection: duckdb.DuckDBPyConnection) -> tuple[Page, _Seen]:
    found = block.objects(connection, _query(list(wanted.names.values())))
    cells = found.drop_columns(["line", "row"])
    doubtful = shape.doubtful(cells)
    places, row = (found[name].to_numpy()[~doubtful] for name in ("line", "row"))
    connection.register("plain", pa.table({"line": places}))
    seen: _Seen = Counter(dict(connection.sql(_KEYS).fetchall()))
    rest = np.delete(np.arange(len(block.rule)), places)
    page = shape.whole(cells.filter(pa.array(~doubtful)), block.origin(places).assign(**{ROW: row}))
    if len(rest):
        page = joined(page, _page(block.lines(rest), wanted, shape, seen))
    return page, seen


def _query(names: Sequence[str]) -> str:
    """Return a query for the text of each member; a dotted name is looked for as it is, then in objects in objects."""
    paths, cells = list[str](), list[str]()
    for name in names:
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        own = [pointer, pointer.replace(".", "/")] if "." in name else [pointer]
        here = [f"found[{len(paths) + i}]" for i in range(1, len(own) + 1)]
        cells.append(f"nullif(coalesce({', '.join(here)}), '') AS c{len(cells)}")
        paths += own
    listed = ", ".join(map(text, paths))
    return (
        f"SELECT line, hash(text) AS row, {', '.join(cells)} FROM ("  # noqa: S608 - names are quoted
        f"SELECT *, json_extract_string(text, [{listed}]) AS found FROM objects "
        f"WHERE NOT regexp_matches(text, {text(_ODD)}))"
    )
