"""The columns of the exports themselves: what each file holds, and how new files differ from those before.

An export changes without notice: a column is renamed, or its amounts become texts. What the tables hold of it then
empties, or is what it was only by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal

from funnel_lib.collection.values import halfwidth

Kind = Literal["number", "time", "text", ""]
"""What the cells of a column look like; empty where too few of them are filled."""
Headings = Mapping[str, Kind]
"""The columns of a file, in their order."""
Sheet = tuple[Headings, Sequence[str]]
"""Columns, and the files that have these."""
LOOKED_AT = 500
"""Rows of a file that its kinds are told from."""
_ENOUGH = 10
_MOST = 0.9
_ALIKE = 0.6
_TIME = re.compile(r"(\d{4}[-/.年]\d{1,2}([-/.月]\d{1,2}日?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ,].*)?")
_NUMBER = re.compile(r"[-+(]?\s*[¥￥$€£]?\s*[-+]?(\d[\d,.' ]*|\.\d+)([eE][-+]?\d+)?\s*[%万亿元)]*")


def kind(cells: Iterable[str | None]) -> Kind:
    """Return what the cells of a column look like: nine tenths of at least ten filled ones have to agree."""
    filled = [cell.strip() for cell in cells if cell and cell.strip()]
    if len(filled) < _ENOUGH:
        return ""
    texts = [text if text.isascii() else halfwidth(text) for text in filled]
    times = sum(_TIME.fullmatch(text) is not None for text in texts)
    if times >= _MOST * len(texts):
        return "time"
    numbers = sum(_NUMBER.fullmatch(text) is not None for text in texts)
    return "number" if numbers >= _MOST * len(texts) else "text"


def sheets(files: Mapping[str, Headings]) -> list[dict[str, Any]]:
    """Return the files by their columns, as facts hold them: `columns` (names and kinds) and `files`."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for file, columns in files.items():
        found.setdefault(tuple(columns.items()), []).append(file)
    return [{"columns": [list(column) for column in columns], "files": names} for columns, names in found.items()]


def changes(
    before: Mapping[str, Sequence[Mapping[str, Any]]],
    now: Mapping[str, Sequence[Mapping[str, Any]]],
    changed: frozenset[str],
) -> list[dict[str, str]]:
    """Return how files that are new or have changed differ in their columns from the files of the last collection.

    A file is held against the one that had its name, otherwise against the one with most columns in common, the
    latest of several. So a column that few of the older files had is not missed, and a source of several kinds of
    files is compared kind by kind.

    Parameters
    ----------
    before, now : place (source and table) -> `sheets`; a place that only one of the two has is no change.
    changed : the names of the files to look at.

    Returns
    -------
    For each change once: `place`, `column`, `change` (new, lost, renamed, kind), `to` (the new name, or both kinds),
    `file` (the first that has it).
    """
    found: dict[tuple[str, str, str, str], str] = {}
    for place in sorted(before.keys() & now.keys()):
        older = _sheets(before[place])
        for columns, files in _sheets(now[place]):
            for file in files:
                if file in changed and older:
                    for change in _differences(_baseline(file, columns, older), columns):
                        found.setdefault((place, *change), file)
    names = ("place", "column", "change", "to", "file")
    return [dict(zip(names, (*key, file), strict=True)) for key, file in found.items()]


def _sheets(told: Sequence[Mapping[str, Any]]) -> list[Sheet]:
    return [(dict(one["columns"]), one["files"]) for one in told]


def _baseline(file: str, columns: Headings, older: Sequence[Sheet]) -> Headings:
    same = next((known for known, files in older if file in files), None)
    if same is not None:
        return same
    return max(reversed(older), key=lambda sheet: len(sheet[0].keys() & columns.keys()) / len({*sheet[0], *columns}))[0]


def _differences(before: Headings, now: Headings) -> list[tuple[str, str, str]]:
    """Return column, change and what it became for each difference."""
    new = [name for name in now if name not in before]
    found: list[tuple[str, str, str]] = []
    for lost in (name for name in before if name not in now):
        other = next((name for name in new if _renamed(lost, name, before, now)), None)
        if other is None:
            found.append((lost, "lost", ""))
        else:
            new.remove(other)
            found.append((lost, "renamed", other))
    found += [(name, "new", "") for name in new]
    both = ((name, before[name], now[name]) for name in before if name in now)
    return found + [(name, "kind", f"{old} → {young}") for name, old, young in both if old and young and old != young]


def _renamed(lost: str, new: str, before: Headings, now: Headings) -> bool:
    """Tell whether a column looks like a lost one under another name: spelled alike, or of the same kind and place."""
    if before[lost] and now[new] and before[lost] != now[new]:
        return False
    one, two = (re.sub(r"[\W_]+", "", halfwidth(name).casefold()) for name in (lost, new))
    if one == two or SequenceMatcher(None, one, two).ratio() >= _ALIKE:
        return True
    return (
        bool(before[lost])
        and before[lost] == now[new]
        and [*before].index(lost) == [*now].index(new)
        and (len(before) == len(now))
    )
