"""Exports whose columns are known by their header texts: which table a file is for, and its rows as that table.

A system's module gives an alias table: canonical table -> canonical column -> the texts that the header may
hold, in any language. The workbook can add to it (`aliases:` of a source), so a text that nobody has confirmed
never has to stand in code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import INTERNAL, Batch
from funnel_lib.collection.clean import TEST, batch, kind_of
from funnel_lib.collection.files import Export, format_of
from funnel_lib.collection.pages import FURTHER, Page, Wanted
from funnel_lib.collection.reading import is_json_lines, pages
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.schema import TABLES, TableName

Columns = Mapping[str, Sequence[str]]
Aliases = Mapping[str, Columns]
Shaping = Callable[[pd.DataFrame, Export], pd.DataFrame]
Deriving = Callable[[pd.DataFrame, Export], Mapping[str, pd.DataFrame]]
_SEPARATOR = re.compile(r"[\s_-]+")
_ALIAS = "#"
_CODE = r"(?: ?[(（][A-Za-z]{3}[)）])?"


@dataclass(frozen=True)
class Layout:
    """How the rows of one canonical table look in the exports of a system.

    Parameters
    ----------
    table : the canonical table.
    columns : canonical column (or attribute) -> the texts that the header may hold, the best first.
    needs : columns without which a file is not of this layout; of several layouts that a file fits, the first
        counts, so the more special one stands first.
    further : whether `shape` is handed all other columns too, as FURTHER and their header text.
    shape : makes the text columns of a page what the table needs (a status out of a stage, say); it must not
        drop or add rows.
    derive : rows of further tables that follow from the rows that were kept. Columns that `shape` has made for
        it are called `_…`, and dropped afterwards.
    """

    table: TableName
    columns: Columns
    needs: Collection[str]
    further: bool = False
    shape: Shaping | None = None
    derive: Deriving | None = None


def spelling(text: str) -> re.Pattern[str]:
    """Return what a header may hold for `text`: capitals, spaces, ``_`` and ``-`` do not matter.

    A currency in brackets may follow, as in ``Amount (EUR)``.

    >>> bool(spelling("Deal Name").fullmatch("deal_name")), bool(spelling("Amount").fullmatch("Amount (EUR)"))
    (True, True)
    """
    parts = [re.escape(part) for part in _SEPARATOR.split(text.strip()) if part]
    return re.compile(r"[\s_-]*".join(parts) + _CODE, re.IGNORECASE)


def extended(columns: Columns, table: str, export: Export) -> dict[str, list[str]]:
    """Return the alias table of one canonical table with the header texts of the workbook put in front.

    An alias without a table in front belongs to every table that has the column.
    """
    found = {name: list(texts) for name, texts in columns.items()}
    for key, texts in export.source.aliases.items():
        prefix, _, name = key.rpartition(".")
        if prefix not in ("", table):
            continue
        open_ = TABLES[table].open or table == "events"
        if name not in found and name not in TABLES[table].columns and not (open_ and prefix):
            continue
        found[name] = [*texts, *found.get(name, [])]
    return found


def aliases(layouts: Sequence[Layout]) -> Aliases:
    """Return the alias tables of several layouts: table -> column -> header texts."""
    found: dict[str, dict[str, Sequence[str]]] = {}
    for layout in layouts:
        known = found.setdefault(layout.table, {})
        known.update({name: [*dict.fromkeys([*known.get(name, ()), *texts])] for name, texts in layout.columns.items()})
    return found


def check_aliases(export: Export, known_aliases: Aliases) -> None:
    """Check that every alias of the workbook names a column that one of the tables has.

    Raises
    ------
    ConfigError : it does not; names the nearest.
    """
    known = {name for table, columns in known_aliases.items() for name in [*columns, *TABLES[table].columns]}
    for key in export.source.aliases:
        prefix, _, name = key.rpartition(".")
        if prefix and prefix not in known_aliases:
            raise ConfigError(
                f"The system {export.source.system} fills no table {prefix!r}.", where=f"{export.where}.aliases",
                found=key, allowed=choices(known_aliases, prefix) or "no aliases",
                do="Correct the table before the dot, or leave it out.",
            )  # fmt: skip
        if not prefix and name not in known:
            raise ConfigError(
                f"The system {export.source.system} has no column {name!r}.", where=f"{export.where}.aliases",
                found=key, allowed=choices(sorted(known), name) or "no aliases",
                do="Correct its name; a further attribute is written as users.NAME or deals.NAME.",
            )  # fmt: skip


def read(paths: Sequence[Path], export: Export, layouts: Sequence[Layout], *, advice: str) -> Iterator[Batch]:
    """Read each file as the layout that its header (or the members of its JSON objects) fits; see `fitted`."""
    for layout, page in fitted(paths, export, layouts, advice=advice):
        yield finished(page, layout, export)


def finished(page: Page, layout: Layout, export: Export) -> Batch:
    """Return a page under canonical names as a checked batch, with what follows from its rows."""
    if layout.shape is not None:
        page = replace(page, rows=layout.shape(page.rows, export))
    made = batch(page, layout.table, export)
    more = layout.derive(made.rows, export) if layout.derive else {}
    both = {
        name: pd.concat([part for part in (made.derived.get(name), more.get(name)) if part is not None])
        for name in {**made.derived, **more}
    }
    work = [name for name in map(str, made.rows) if name.startswith("_") and name not in (*INTERNAL, TEST)]
    return replace(made, rows=made.rows.drop(columns=work), derived=both)


def wanted(layout: Layout, export: Export, *, advice: str) -> Wanted:
    """Return what to look for in a header that lies apart from its rows."""
    columns = extended(layout.columns, layout.table, export)
    spellings = {name: tuple(spelling(text) for text in texts) for name, texts in columns.items()}
    optional = frozenset(columns) - frozenset(layout.needs)
    return Wanted({name: texts[0] for name, texts in columns.items()}, spellings, optional, advice=advice)


def fitted(
    paths: Sequence[Path], export: Export, layouts: Sequence[Layout], *, advice: str
) -> Iterator[tuple[Layout, Page]]:
    """Yield the pages of each file under canonical names, with the layout that the file fits.

    Parameters
    ----------
    advice : what to export, for the message when no layout fits.

    Raises
    ------
    DataError : a file is damaged, or fits no layout; names the columns that it lacks.
    """
    known = [extended(layout.columns, layout.table, export) for layout in layouts]
    for path in paths:
        json = is_json_lines(path, export.source.encoding) if format_of(path) == "text" else False
        asked = _asked(layouts, known, json=json)
        chosen: int | None = None
        for page in pages(path, export, asked):
            page = _gathered(page) if json else page
            if chosen is None:
                chosen = _fitting(page, layouts, known)
            if chosen is None:
                whole = page if json else next(pages(path, export, replace(asked, further=True)))
                raise _unfit(whole, layouts, known, path, advice=advice)
            yield layouts[chosen], _part(page, chosen, further=layouts[chosen].further)


def _asked(layouts: Sequence[Layout], known: Sequence[Columns], *, json: bool) -> Wanted:
    """Return the columns of all layouts as “place of the layout.name”; in JSON, which has no header, each alias."""
    every = {f"{i}.{name}": texts for i, columns in enumerate(known) for name, texts in columns.items()}
    if json:
        every = {f"{name}{_ALIAS}{k}": [text] for name, texts in every.items() for k, text in enumerate(_keys(texts))}
    names = {name: texts[0] for name, texts in every.items()}
    spellings = {name: tuple(spelling(text) for text in texts) for name, texts in every.items()}
    timed = {f"{i}.{name}" for i, columns in enumerate(known) for name in columns if _is_time(layouts[i].table, name)}
    further = any(layout.further for layout in layouts)
    return Wanted(names, spellings, frozenset(names), times=frozenset(timed & set(names)), totals=True, further=further)


def _is_time(table: str, name: str) -> bool:
    return kind_of(table, name) in ("time", "date")


def _keys(texts: Sequence[str]) -> list[str]:
    """Return how the members of JSON objects may be called: as a header, joined by ``_``, or in small letters.

    Members of members come first: beside ``owner.name``, ``owner`` is not the name but all that is known of it.
    """
    joined = [_SEPARATOR.sub("_", text.strip()) for text in texts]
    return sorted(dict.fromkeys([*texts, *joined, *(text.lower() for text in joined)]), key=lambda key: "." not in key)


def _gathered(page: Page) -> Page:
    """Return a page of JSON objects with one column for all aliases of a name; those of no value are left out."""
    columns: dict[str, pd.Series[Any]] = {}
    for alias in page.header:
        name = alias.rpartition(_ALIAS)[0]
        columns[name] = columns[name].fillna(page.rows[alias]) if name in columns else page.rows[alias]
    there = {name: column for name, column in columns.items() if column.notna().any()}
    rows = pd.DataFrame({**there, **{name: page.rows[name] for name in INTERNAL}})
    return replace(page, rows=rows, header={name: name.partition(".")[2] for name in there})


def _fitting(page: Page, layouts: Sequence[Layout], known: Sequence[Columns]) -> int | None:
    """Return the place of the first layout that the page fits; None where it fits none."""
    found = _found(page, known)
    return next((i for i, layout in enumerate(layouts) if found[i] >= set(layout.needs)), None)


def _found(page: Page, known: Sequence[Columns]) -> list[set[str]]:
    return [{name for name in columns if f"{i}.{name}" in page.header} for i, columns in enumerate(known)]


def _unfit(page: Page, layouts: Sequence[Layout], known: Sequence[Columns], path: Path, *, advice: str) -> DataError:
    found = _found(page, known)
    near = min(range(len(layouts)), key=lambda i: (len(set(layouts[i].needs) - found[i]), -len(found[i])))
    lacking = [list(known[near][name]) for name in layouts[near].needs if name not in found[near]]
    also = [f"{first!r} may be called {', '.join(others[:5])}" for first, *others in lacking if others]
    return DataError(
        f"The file lacks the column{'s' * (len(lacking) > 1)} {', '.join(repr(texts[0]) for texts in lacking)}.",
        where=path, found=", ".join(list(dict.fromkeys(page.header.values()))[:30]) or "none of the known columns",
        allowed="; ".join(also) or "these columns",
        do=f"{advice} A column of another name: add it to the source's aliases.",
    )  # fmt: skip


def _part(page: Page, place: int, *, further: bool) -> Page:
    """Return the page with the columns of one layout under their canonical names, on request also the further ones."""
    own = (f"{place}.", FURTHER) if further else f"{place}."
    names = {name: name.removeprefix(f"{place}.") for name in page.header if name.startswith(own)}
    rows = page.rows[[*names, *INTERNAL]].rename(columns=names)
    return replace(page, rows=rows, header={names[name]: text for name, text in page.header.items() if name in names})
