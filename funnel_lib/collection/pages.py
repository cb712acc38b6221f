"""Pages of text cells: which columns are wanted, which rows belong to the table, what may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import FILE, LINE, LONGEST_RAW, RAW, REASONS, ROW, rejected
from funnel_lib.collection.values import PERSONAL, mask
from funnel_lib.errors import DataError, nearest

Cells = list[str | None]
Record = tuple[int, Cells | None, str]
"""Line, cells (None where they cannot be told apart) and text of a row."""
_PRIVATE_HEADER = re.compile(
    r"e-?mail|phone|mobile|\btel\b|(first|last|full|given|family)[ _]?name|surname|^name$|address"
    r"|姓名|手机|电话|邮箱|地址|身份证",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Wanted:
    """The columns to look for.

    Parameters
    ----------
    names : canonical name -> the file's name of the column.
    spellings : further texts that may stand in the header instead, the best first.
    optional : canonical names that may be absent.
    keys : canonical names that some JSON object of a file must have (JSON leaves out what is empty).
    advice : what to do when a column is missing.
    """

    names: Mapping[str, str]
    spellings: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    advice: str = "Correct the source's columns in the workbook, or export the file with these columns."

    def places(self, header: Sequence[str | None]) -> dict[str, int]:
        """Return for each name that the header has the place of its column."""
        texts = [_trimmed(cell) for cell in header]
        found: dict[str, int] = {}
        for name, text in self.names.items():
            if _trimmed(text) in texts:
                found[name] = texts.index(_trimmed(text))
                continue
            hits = (
                i for pattern in self.spellings.get(name, ()) for i, cell in enumerate(texts) if pattern.fullmatch(cell)
            )
            place = next(hits, None)
            if place is not None:
                found[name] = place
        return found

    def require(self, header: Sequence[str], path: Path) -> None:
        """Check that the header has every column that must be there, once.

        Raises
        ------
        DataError : a column is missing (names what was found and the nearest), or is there twice.
        """
        places = self.places(header)
        texts = [_trimmed(cell) for cell in header]
        missing = [text for name, text in self.names.items() if name not in places and name not in self.optional]
        if missing:
            shown = ", ".join([text for text in texts if text][:30])
            near = {text: nearest(text, texts) for text in missing}
            raise DataError(
                f"The file lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}.",
                where=path, found=shown, do=self.advice,
                allowed="; ".join(f"{a!r} may be {b!r}" for a, b in near.items() if b) or "these columns",
            )  # fmt: skip
        twice = next((texts[place] for place in places.values() if texts.count(texts[place]) > 1), None)
        if twice is not None:
            raise DataError(
                f"The file has two columns called {twice!r}.", where=path, found=", ".join(texts[:30]),
                allowed="one column of this name", do="Rename one of them in the export.",
            )  # fmt: skip


@dataclass(frozen=True)
class Page:
    """Some rows of one file.

    Parameters
    ----------
    file : its name as the tally holds it.
    read : how many rows of it the page stands for.
    rows : a text column per wanted name that the file has, then FILE, LINE, RAW and ROW.
    aside : the rows that are none of this table, columns `REJECTED`.
    header : the file's own name of each wanted column.
    """

    file: str
    read: int
    rows: pd.DataFrame
    aside: pd.DataFrame
    header: Mapping[str, str]


@dataclass(frozen=True)
class Shape:
    """The header of one file: what its rows have to look like, and what of them must not be kept."""

    file: str
    header: list[str]
    places: Mapping[str, int]
    hidden: frozenset[int]
    delimiter: str

    @classmethod
    def of(cls, header: Sequence[str], wanted: Wanted, file: str, delimiter: str) -> Shape:
        """Take the shape from the header of `file` (its name as the tally holds it)."""
        places = wanted.places(header)
        looks = {i for i, text in enumerate(header) if _PRIVATE_HEADER.search(text)}
        mapped = {place for name, place in places.items() if name in PERSONAL}
        return cls(file, list(header), places, frozenset(looks | mapped), delimiter)

    def page(self, records: Sequence[Record], rules: Sequence[str] | None = None) -> Page:
        """Sort records into rows of the table and rows aside; `rules` names what the reader found already."""
        good: list[tuple[int, Cells, str]] = []
        aside = []
        for i, (line, cells, text) in enumerate(records):
            rule, reason = (rules[i], REASONS[rules[i]]) if rules and rules[i] else self._fault(cells)
            if rule or cells is None:
                aside.append((self.file, line, rule, reason, mask(text[:LONGEST_RAW], strict=bool(self.hidden))))
            else:
                good.append((line, cells, text))
        columns = {name: pd.Series([cells[i] for _, cells, _ in good], dtype="str") for name, i in self.places.items()}
        header = {name: _trimmed(self.header[i]) for name, i in self.places.items()}
        return Page(self.file, len(records), pd.DataFrame({**columns, **self._origin(good)}), rejected(aside), header)

    def _origin(self, rows: Sequence[tuple[int, Cells, str]]) -> dict[str, pd.Series[Any]]:
        texts = pd.Series([text for _, _, text in rows], dtype=object)
        return {
            FILE: pd.Series([self.file] * len(rows), dtype="str"),
            LINE: pd.Series([line for line, _, _ in rows], dtype="int64"),
            RAW: pd.Series([self._shown(cells, text) for _, cells, text in rows], dtype="str"),
            ROW: pd.Series(pd.util.hash_array(texts.to_numpy(), categorize=False), dtype="uint64"),
        }

    def _fault(self, cells: Cells | None) -> tuple[str, str]:
        if cells is None:
            return "broken_quotes", REASONS["broken_quotes"]
        if not any(cell and cell.strip() for cell in cells):
            return "blank_row", REASONS["blank_row"]
        if cells == self.header:  # of files that were put together
            return "repeated_header", REASONS["repeated_header"]
        width = len(self.header)
        # A delimiter at the end of every row is harmless; a cell too many or too few is not.
        if len(cells) < width or any(cell and cell.strip() for cell in cells[width:]):
            fields = f"{len(cells)} field{'s' if len(cells) != 1 else ''}"
            return "wrong_fields", f"The row has {fields} where the header has {width}."
        return "", ""

    def _shown(self, cells: Cells, text: str) -> str:
        if not self.hidden:
            return text[:LONGEST_RAW]
        shown = ("[private]" if i in self.hidden and cell else cell or "" for i, cell in enumerate(cells))
        return self.delimiter.join(shown)[:LONGEST_RAW]


def _trimmed(cell: str | None) -> str:
    return (cell or "").strip().removeprefix("\ufeff").strip()
