"""Pages of text cells: which columns are wanted, which rows belong to the table, what may be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.collection.batch import FILE, LINE, LONGEST_RAW, RAW, REASONS, ROW, rejected
from funnel_lib.collection.headings import LOOKED_AT, Headings, kind
from funnel_lib.collection.values import PERSONAL, halfwidth, mask
from funnel_lib.errors import DataError, nearest

FURTHER = "+"
"""Stands before the header text of a column that nobody asked for by name."""
Cells = list[str | None]


class Record(NamedTuple):
    """A row: its line, its cells (None where they cannot be told apart), its text, and the rule that it breaks."""

    line: int
    cells: Cells | None
    text: str
    rule: str = ""


_PRIVATE_HEADER = re.compile(
    r"e-?mail|phone|mobile|\btel\b|(first|last|full|given|family)[ _]?name|surname|^name$|address"
    r"|姓名|手机|电话|邮箱|地址|身份证",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"((grand |sub-? ?)?totals?|(zwischen|gesamt)?summe|gesamt|(本页)?(合计|小计|总计|总和|汇总|累计))"
    r"\s*[:：]?\s*[(（]?\s*[\d,]*\s*[条行笔项个]?\s*[)）]?",
    re.IGNORECASE,
)

_MAYBE_TOTAL = r"(?i)^(grand|sub|total|zwischen|gesamt|summe|本页|合计|小计|总计|总和|汇总|累计)"
"""What every total begins with; most rows do not, and are not looked at more closely."""
_IDS = frozenset(["user_id", "event_id", "record_id", "response_id", "unit_id"])
_UNIT = re.compile(r"\s*[(（](?:单位[:：]\s*)?(?:人民币)?(?P<scale>[千万亿]?)元?[)）]$")


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
    further : whether all other columns of a header are read too, as FURTHER and their text. A column without a
        text, or with that of an earlier one, is numbered: it continues the column to its left.
    """

    names: Mapping[str, str]
    spellings: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    advice: str = "Correct the source's columns in the workbook, or export the file with these columns."
    times: frozenset[str] = frozenset()
    totals: bool = False
    further: bool = False

    def places(self, header: Sequence[str | None]) -> dict[str, int]:
        """Return for each name that the header has the place of its column."""
        texts = [_UNIT.sub("", _trimmed(cell)) or _trimmed(cell) for cell in header]
        found: dict[str, int] = {}
        for name, text in self.names.items():
            asked = _UNIT.sub("", _trimmed(text)) or _trimmed(text)
            if asked in texts:
                found[name] = texts.index(asked)
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
    merged : rows that are already in the others, by (file, rule): rows of totals.
    columns : all columns of the file, wanted or not, and what their cells look like.
    """

    file: str
    read: int
    rows: pd.DataFrame
    aside: pd.DataFrame
    header: Mapping[str, str]
    merged: Mapping[tuple[str, str], int] = field(default_factory=dict)
    columns: Headings = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """The header of one file: what its rows have to look like, and what of them must not be kept."""

    file: str
    header: list[str]
    places: Mapping[str, int]
    hidden: frozenset[int]
    delimiter: str
    totals: bool = False

    @classmethod
    def of(cls, header: Sequence[str], wanted: Wanted, file: str, delimiter: str) -> Shape:
        """Take the shape from the header of `file` (its name as the tally holds it)."""
        places = wanted.places(header)
        if wanted.further:
            places |= _further(header, set(places.values()))
        looks = {i for i, text in enumerate(header) if _PRIVATE_HEADER.search(text)}
        mapped = {place for name, place in places.items() if name.rpartition(".")[2] in PERSONAL}
        return cls(file, list(header), places, frozenset(looks | mapped), delimiter, wanted.totals)

    def page(self, records: Sequence[Record]) -> Page:
        """Sort records into rows of the table, rows of totals and rows aside."""
        good: list[tuple[int, Cells, str]] = []
        aside = []
        totals = 0
        for line, cells, text, known in records:
            rule, reason = (known, REASONS[known]) if known else self._fault(cells)
            if rule == "total_row":
                totals += 1
            elif rule or cells is None:
                aside.append((self.file, line, rule, reason, mask(text[:LONGEST_RAW], strict=bool(self.hidden))))
            else:
                good.append((line, cells, text))
        columns = {name: self._column(name, [cells[i] for _, cells, _ in good]) for name, i in self.places.items()}
        header = {name: _trimmed(self.header[i]) for name, i in self.places.items()}
        rows = pd.DataFrame({**columns, **self._origin(good)})
        merged = {(self.file, "total_row"): totals} if totals else {}
        return Page(self.file, len(records), rows, rejected(aside), header, merged, self._kinds(good))

    def doubtful(self, cells: pa.Table) -> npt.NDArray[np.bool_]:
        """Tell which rows may be none of the table - empty ones, totals, repeated headers - and need a closer look.

        Parameters
        ----------
        cells : a text column for each place of the header, empty texts missing.
        """
        first = pc.coalesce(*cells.columns)
        trimmed = pc.utf8_trim_whitespace(first)
        known = pa.array(sorted({text for text in self.header if text}), pa.string())
        found = pc.or_(pc.equal(trimmed, ""), pc.is_in(first, value_set=known))
        if self.totals:
            found = pc.or_(found, pc.match_substring_regex(trimmed, _MAYBE_TOTAL))
        return np.asarray(pc.fill_null(found, True))

    def whole(self, cells: pa.Table, origin: pd.DataFrame) -> Page:
        """Return a page of rows that are all of the table.

        Parameters
        ----------
        cells : a text column for each place of the header, empty texts missing.
        origin : FILE, LINE, RAW and ROW of the rows.
        """
        taken = {name: cells.column(place).to_pandas().astype("str") for name, place in self.places.items()}
        columns = {name: self._column(name, column) for name, column in taken.items()}
        header = {name: _trimmed(self.header[i]) for name, i in self.places.items()}
        looked = cells.slice(0, LOOKED_AT)
        named = ((i, _trimmed(text)) for i, text in enumerate(self.header))
        kinds = {text: kind(looked.column(i).to_pylist()) for i, text in named if text}
        own = origin.assign(**{RAW: self._covered(cells)}) if self.hidden else origin
        return Page(self.file, len(own), pd.DataFrame(columns).join(own), rejected(), header, columns=kinds)

    def _covered(self, cells: pa.Table) -> pd.Series[Any]:
        """Return the text of the rows with what must not be kept covered."""
        private = pa.scalar("[private]")
        shown = [
            pc.if_else(pc.is_valid(column), private, "") if i in self.hidden else pc.fill_null(column, "")
            for i, column in enumerate(cells.columns)
        ]
        joined_ = pc.binary_join_element_wise(*shown, self.delimiter)
        text: pd.Series[Any] = pc.utf8_slice_codeunits(joined_, 0, LONGEST_RAW).to_pandas().astype("str")
        return text

    def _kinds(self, rows: Sequence[tuple[int, Cells, str]]) -> Headings:
        looked = [cells for _, cells, _ in rows[:LOOKED_AT]]
        named = ((i, _trimmed(text)) for i, text in enumerate(self.header))
        return {text: kind(cells[i] for cells in looked) for i, text in named if text}

    def _column(self, name: str, cells: Cells | pd.Series[Any]) -> pd.Series[Any]:
        """Return a column; amounts below a header such as 金额（万元） get their unit, ids their usual width."""
        unit = _UNIT.search(_trimmed(self.header[self.places[name]]))
        scale = unit["scale"] if unit else ""
        column = pd.Series(cells, dtype="str")
        if name.rpartition(".")[2] in _IDS and not column.str.isascii().fillna(value=True).all():
            column = column.map(halfwidth, na_action="ignore").astype("str")
        bare = ~column.str.contains(r"(?:^|[千万亿元%])\s*$").fillna(value=True)  # a cell's own unit counts
        return column.mask(bare, column + scale) if scale else column

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
        if self.totals and self._is_total(cells):
            return "total_row", ""
        width = len(self.header)
        # A delimiter at the end of every row is harmless; a cell too many or too few is not.
        if len(cells) < width or any(cell and cell.strip() for cell in cells[width:]):
            fields = f"{len(cells)} field{'s' if len(cells) != 1 else ''}"
            return "wrong_fields", f"The row has {fields} where the header has {width}."
        return "", ""

    def _is_total(self, cells: Cells) -> bool:
        """Tell whether the row begins with a word for a total and lacks something that its other rows have."""
        first = next(cell for cell in cells if cell and cell.strip())
        if not _TOTAL.fullmatch(first.strip()):
            return False
        wanted = [cells[place] if place < len(cells) else None for place in self.places.values()]
        return not all(cell and cell.strip() for cell in wanted)

    def _shown(self, cells: Cells, text: str) -> str:
        if not self.hidden:
            return text[:LONGEST_RAW]
        shown = ("[private]" if i in self.hidden and cell else cell or "" for i, cell in enumerate(cells))
        return self.delimiter.join(shown)[:LONGEST_RAW]


def joined(one: Page, other: Page) -> Page:
    """Return two pages of the same rows of a file as one, its rows by line."""
    rows = pd.concat([one.rows, other.rows]) if len(other.rows) else one.rows
    return replace(
        one, read=one.read + other.read, rows=rows.sort_values(LINE, kind="stable", ignore_index=True),
        aside=rejected(pd.concat([one.aside, other.aside])), merged={**one.merged, **other.merged},
        columns=one.columns if one.read else other.columns,
    )  # fmt: skip


def _further(header: Sequence[str], taken: set[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    text = ""
    for place, cell in enumerate(header):
        text = _trimmed(cell) or text
        if place in taken or not text:
            text = ""
            continue
        name = FURTHER + text
        count = 2
        while name in found:
            name, count = f"{FURTHER}{text} ({count})", count + 1
        found[name] = place
    return found


def is_private(header: str) -> bool:
    """Tell whether a column of this header likely holds what identifies a person."""
    return _PRIVATE_HEADER.search(header) is not None


def _trimmed(cell: str | None) -> str:
    """Return a header text without what nobody sees: space around it, line breaks, full-width letters and digits."""
    text = (cell or "").strip().removeprefix("\ufeff").strip()
    return halfwidth(" ".join(text.split())) if text and not text.isascii() else text
