"""What a reader hands on: canonical rows, rows set aside with their reason, and a count that adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.collection.headings import Headings
from funnel_lib.errors import DataError

FILE, LINE, RAW, ROW, AT = "_file", "_line", "_raw", "_row", "_at"
"""Columns beside the canonical ones until the tables are written: the row's file and line (as a person counts
them), its text (shortened) and a hash of the whole text; of rows set aside, also when they happened (missing where
that cannot be read)."""
INTERNAL = (FILE, LINE, RAW, ROW)
REJECTED = [FILE, LINE, "rule", "reason", RAW, AT]
_TIMES = ("ts", "first_seen", "created", "entered_at", "date")
"""The column that says when a row happened: the first of these that it has."""
TALLY = ["source", "file", "table", "outcome", "rule", "rows"]
LONGEST_RAW = 500
_INSTANT: Literal["datetime64[us, UTC]"] = "datetime64[us, UTC]"

REASONS: Mapping[str, str] = {
    "broken_json": "The line is not one complete JSON object.",
    "bad_encoding": "The line holds bytes that are no text in the encoding of the file.",
    "null_bytes": "The line holds null bytes: the file was damaged or copied badly.",
    "too_long": "The line is longer than any row can be.",
    "no_log_line": "The line is none of a web server's log.",
    "other_request": "The request carries no event, or the server refused it.",
    "cut_off": "The packed file ends too early, within this row or before it: all rows behind are missing.",
    "wrong_fields": "The row has another number of fields than the header.",
    "broken_quotes": "The quotation marks of the row do not match.",
    "blank_row": "The row is empty.",
    "repeated_header": "The row repeats the header.",
    "missing_value": "A column is empty that must not be.",
    "rounded_id": "The id was rounded by a spreadsheet.",
    "unreadable_time": "A time cannot be read without guessing.",
    "unreadable_number": "A number cannot be read.",
    "unknown_status": "The status is none of open, won, lost.",
    "score_range": "The score lies outside 0 to 10.",
    "ancient": "A time lies before the first plausible day.",
    "future": "A time lies beyond the export.",
    "not_before": "A time lies before another that it must not precede.",
    "duplicate_key": "Another row has the same key and says something else.",
    "excluded_hit": "The system itself leaves the row out of its reports.",
    "bot": "The browser is that of a machine.",
    "internal": "The business's own people did this.",
    "unknown_event": "The event is none of those that the workbook knows.",
    "clock_skew": "The event lies after its own arrival: the clock was wrong.",
    "test_account": "The row belongs to a test account.",
}
"""Every rule that sets rows aside, with what it means; the quarantine tells the values."""
NO_FAULT = frozenset(
    ["blank_row", "other_request", "repeated_header", "excluded_hit", "bot", "internal", "test_account"]
)
"""Rules whose rows are set aside as intended: they do not make a file worse."""


@dataclass(frozen=True)
class Batch:
    """Rows of one source that were read together.

    Parameters
    ----------
    table : the canonical table of the rows.
    rows : canonical columns and those of `INTERNAL`.
    rejected : rows set aside, columns `REJECTED`.
    read : rows found in each file.
    merged : rows that went into others while reading, by (file, rule).
    derived : rows of further tables that follow from these rows; they are not counted.
    remarks : rows worth a remark, by (file, rule); they are among the kept ones.
    unclassified : rows of visits that no channel is known for, by (source, medium).
    columns : the columns of each file itself, where its reader tells them.

    Raises
    ------
    DataError : read is not kept + merged + quarantined in every file.
    """

    table: str
    rows: pd.DataFrame
    rejected: pd.DataFrame
    read: Mapping[str, int]
    merged: Mapping[tuple[str, str], int] = field(default_factory=dict)
    derived: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    remarks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unclassified: Mapping[tuple[str, str], int] = field(default_factory=dict)
    columns: Mapping[str, Headings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = Counter([*self.rows[FILE].tolist(), *self.rejected[FILE].tolist()])
        found.update(dict.fromkeys(self.read, 0))
        for (file, _), rows in self.merged.items():
            found[file] += rows
        for file in found:
            _balanced(file, self.read.get(file, 0), found[file])


class Sieve:
    """Sets rows of a batch aside: the first rule that a row breaks names its reason.

    Parameters
    ----------
    rows : frame with the columns of `INTERNAL`; it is not changed.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.rule = np.full(len(rows), "", dtype=object)
        self.reason = np.full(len(rows), "", dtype=object)

    @property
    def open(self) -> npt.NDArray[np.bool_]:
        """Which rows no rule has set aside so far."""
        return np.asarray(self.rule == "", dtype=bool)

    def reject(
        self, mask: npt.ArrayLike, rule: str, reason: str | None = None, values: pd.Series[Any] | None = None
    ) -> None:
        """Set aside the rows of `mask` that are still open; `values` follow the reason, shortened."""
        new = np.asarray(mask, dtype=bool) & self.open
        if not new.any():
            return
        self.rule[new] = rule
        text = reason or REASONS[rule]
        self.reason[new] = (
            text if values is None else [f"{text}: {str(value)[:60]}" for value in values.to_numpy()[new]]
        )

    def split(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the rows that stay, and those set aside with the columns `REJECTED`."""
        open_ = self.open
        broken = self.rows.loc[~open_]
        aside = broken[[FILE, LINE, RAW]].assign(rule=self.rule[~open_], reason=self.reason[~open_])
        aside[AT] = happened(broken)
        return self.rows[open_].reset_index(drop=True), rejected(aside)


def happened(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return when rows of a canonical table happened; a day counts as its noon, which lies in it in every zone."""
    name = next((name for name in _TIMES if name in rows), None)
    if name is None or not pd.api.types.is_datetime64_any_dtype(rows[name]):
        return pd.Series(pd.NaT, index=rows.index, dtype=_INSTANT)
    at = rows[name]
    noon = at if at.dt.tz is not None else (at + pd.Timedelta(hours=12)).dt.tz_localize("UTC")
    return noon.astype(_INSTANT)


def rejected(rows: pd.DataFrame | Iterable[tuple[str, int, str, str, str]] = ()) -> pd.DataFrame:
    """Return rows set aside, given as a frame or as (file, line, rule, reason, raw), with typed columns."""
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows), columns=REJECTED[:-1])
    if AT not in frame:
        frame = frame.assign(**{AT: pd.Series(pd.NaT, index=frame.index, dtype=_INSTANT)})
    kinds = {FILE: "str", LINE: "int64", "rule": "str", "reason": "str", RAW: "str", AT: _INSTANT}
    return frame[REJECTED].astype(kinds).reset_index(drop=True)


def tally(entries: Iterable[tuple[str, str, str, str, str, int]]) -> pd.DataFrame:
    """Add up entries (source, file, table, outcome, rule, rows) into one row per combination, sorted."""
    frame = pd.DataFrame(list(entries), columns=TALLY)
    frame = frame.astype({**dict.fromkeys(TALLY[:-1], "str"), "rows": "int64"})
    return frame.groupby(TALLY[:-1], sort=True).agg({"rows": "sum"}).reset_index()


def balance(frame: pd.DataFrame) -> None:
    """Check that in each source and file read = kept + merged + quarantined.

    Raises
    ------
    DataError : it is not so; this is a fault of the program, never of the data.
    """
    sign = frame["rows"].where(frame["outcome"] == "read", -frame["rows"])
    off = sign.groupby([frame["source"], frame["file"]]).sum().rename("rows").reset_index()
    for _, file, rows in off.itertuples(index=False, name=None):
        _balanced(file, rows, 0)


def _balanced(file: str, read: int, found: int) -> None:
    if read != found:
        raise DataError(
            "The rows of a file do not add up.", where=file, allowed="equal counts",
            found=f"{read:,} rows read and {found:,} kept, merged or set aside",
            do="This is a fault of the program, not of the data: please report it.",
        )  # fmt: skip
