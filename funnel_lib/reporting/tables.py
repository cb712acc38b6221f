"""Tables for readers: a frame and column specs become a semantic HTML table, and the same numbers as CSV.

>>> import pandas as pd
>>> from funnel_lib.reporting.estimates import Rate
>>> rates = pd.DataFrame({"group": ["a"], "rate": [Rate(0.25, 0.2, 0.31)]})
>>> shown = Table(rates, [Column("group", "Group"), Column("rate", "Rate")], caption="Rates")
>>> [(str(cell.text), cell.range) for cell in shown.rows("en")[0].cells]
[('a', ''), ('25.0%', '20.0–31.0%')]
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import pandas as pd

from funnel_lib.errors import ConfigError, choices
from funnel_lib.notation import Language, guarded
from funnel_lib.reporting.wording import Count, Day, Name, Ratio, Sentence, Text, Value, plain

Tone = Literal["", "good", "bad", "noise", "open", "nil"]
Look = Literal["", "seg", "heat"]
Show = Callable[..., "Text | Cell"]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """What one cell shows: a text, the interval below it, a mark before it, a link.

    Parameters
    ----------
    text, range : what is shown, and the interval in small type.
    symbol, tone : ▲ ▼ ●, and whether that is `good`, `bad` or within `noise`; `open` is not final yet.
    level : step 1 to 6 of the colour ramp, 0 for none.
    whole : the text does not break, as days do not.

    """

    text: Text
    range: str = ""
    symbol: str = ""
    tone: Tone = ""
    href: str = ""
    level: int = 0
    left: bool = False
    wide: int = 1
    whole: bool = False


@dataclass(frozen=True)
class Row:
    """The cells of one row; kind `few` is a row with too few units, `tot` the total."""

    cells: tuple[Cell, ...]
    kind: Literal["", "few", "tot"] = ""


@dataclass(frozen=True)
class Column:
    """How a column of the frame is shown.

    Parameters
    ----------
    key : the frame's column; its cells are values, texts, `Cell`s, numbers or days.
    title : heading.
    show : makes what is shown from a plain number (and from `low` and `high`, where these name the columns of
        its interval), such as `Rate`; by default whole numbers are counts, days ISO dates and texts names.
    left : set the text to the left; the first column always is.
    sorted : the table is sorted by this column.
    shade : colour the cells by their value, together with all other shaded columns.
    open : the column that says which cells are not final.

    """

    key: str
    title: Text
    show: Show | None = None
    low: str | None = None
    high: str | None = None
    left: bool = False
    sorted: Literal["ascending", "descending"] | None = None
    shade: bool = False
    open: str | None = None

    @property
    def keys(self) -> list[str]:
        """The frame's columns with its numbers: the value and the ends of its interval."""
        return [key for key in (self.key, self.low, self.high) if key is not None]


@dataclass(frozen=True)
class Table:
    """A frame as readers see it; its first column holds the rows' headings.

    Parameters
    ----------
    name : name among the downloads, such as `funnel`; without one, the table is not offered.
    few : gets a row as a mapping and says why it has too few units, or None; the sentence then stands in
        place of all cells but the first two.
    total : the last row is the total.
    look : `seg` for a table that is a section's main content, `heat` for a heat map.

    Raises
    ------
    ConfigError : a column is not in the frame.

    """

    frame: pd.DataFrame
    columns: Sequence[Column]
    caption: Text
    name: str = ""
    few: Callable[[Record], Text | None] | None = None
    total: bool = False
    look: Look = ""
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        asked = [key for column in self.columns for key in (*column.keys, column.open) if key is not None]
        if absent := next((key for key in asked if key not in self.frame), None):
            allowed = choices(map(str, self.frame), absent)
            raise ConfigError("The table's frame lacks a column.", where=self.name, found=absent, allowed=allowed)

    def rows(self, language: Language) -> list[Row]:
        """Return what is shown, row by row."""
        records = [{str(key): value for key, value in r.items()} for r in self.frame.to_dict("records")]
        ramp = _ramp(records, self.columns)
        found = []
        for record in records:
            few = self.few(record) if self.few else None
            shown = self.columns if few is None else self.columns[:2]
            cells = [_cell(record, column, language, ramp) for column in shown]
            if few is not None:
                cells.append(Cell(few, left=True, wide=len(self.columns) - len(cells)))
            found.append(Row(tuple(cells), "" if few is None else "few"))
        if self.total and found:
            found[-1] = replace(found[-1], kind="tot")
        return found

    def csv(self, language: Language) -> str:
        """Return the table as CSV text with full precision, intervals in columns of their own.

        Missing values are empty. A text that a spreadsheet would take for a formula gets an apostrophe in
        front. Write it with encoding `utf-8-sig`, so that Excel reads Chinese.
        """
        columns: dict[str, list[str]] = {}
        for column in self.columns:
            title = plain(column.title, language)
            cells = [
                _numbers(values, language) for values in zip(*(self.frame[key] for key in column.keys), strict=True)
            ]
            for part in ("", "low", "high"):
                if not part or any(part in cell for cell in cells):
                    name = title if not part else f"{title} ({part})"
                    columns[name if name not in columns else f"{name} [{column.key}]"] = [
                        c.get(part, "") for c in cells
                    ]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([guarded(title) for title in columns])
        writer.writerows(zip(*columns.values(), strict=True))
        return text.getvalue()


def _cell(record: Record, column: Column, language: Language, ramp: tuple[float, float] | None) -> Cell:
    value, *ends = (record[key] for key in column.keys)
    if _missing(value):
        return Cell("·" if column.shade else "–", tone="nil", left=column.left)
    made = value if isinstance(value, Value | Sentence | Cell) else (column.show or _default)(value, *ends)
    cell = made if isinstance(made, Cell) else Cell(made)
    if isinstance(cell.text, Value):
        value_text = cell.text.format(language, "value")
        bounds = cell.range or cell.text.range(language, span=True)
        cell = replace(cell, text=value_text, range=bounds, whole=isinstance(cell.text, Day))
    cell = replace(cell, left=cell.left or column.left)
    if column.open is not None and bool(record[column.open]):
        return replace(cell, tone="open")
    number = _number(value)
    return replace(cell, level=_level(number, ramp)) if column.shade and ramp and number is not None else cell


def _default(value: object) -> Value:
    if isinstance(value, bool | str):
        return Name(str(value))
    if isinstance(value, Integral):
        return Count(int(value))
    if isinstance(value, Real):
        return Ratio(float(value))
    if isinstance(value, date):
        return Day(value.date() if isinstance(value, datetime) else value)
    return Name(str(value))


def _ramp(records: Sequence[Record], columns: Sequence[Column]) -> tuple[float, float] | None:
    """Return the least and the greatest shaded value, None where nothing is shaded."""
    numbers = [_number(record[column.key]) for column in columns if column.shade for record in records]
    shaded = [number for number in numbers if number is not None]
    return (min(shaded), max(shaded)) if shaded else None


def _level(value: float, ramp: tuple[float, float]) -> int:
    low, high = ramp
    return 1 if high <= low else min(6, 1 + int(6 * (value - low) / (high - low)))


def _number(value: object) -> float | None:
    """Return the number that a cell's colour stands for, None where there is none."""
    if isinstance(value, Value):
        return value.numbers().get("")
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None


def _missing(value: object) -> bool:
    # NaN and NaT are the values that differ from themselves; pandas.NA cannot be compared at all.
    return value is None or type(value).__name__ == "NAType" or value != value


def _numbers(values: Sequence[object], language: Language) -> dict[str, str]:
    """Return what a cell writes to CSV: its value, and the ends of its interval where it has one."""
    value = values[0].text if isinstance(values[0], Cell) else values[0]
    if isinstance(value, Value) and (numbers := value.numbers()):
        return {part: _plain(number) for part, number in numbers.items() if part in ("", "low", "high")}
    if isinstance(value, Value | Sentence):
        return {"": guarded(plain(value, language))}
    return {part: _plain(number) for part, number in zip(("", "low", "high"), (value, *values[1:]), strict=False)}


def _plain(value: object) -> str:
    if _missing(value):
        return ""
    if isinstance(value, bool | str):
        return guarded(str(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value)) if math.isfinite(value) else ""
    return value.isoformat() if isinstance(value, date) else guarded(str(value))
