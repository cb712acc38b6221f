"""Batches on disk: what a reader found in some files, written so that it need not be read again.

What is written holds no personal data: the text of a row that was kept is dropped, that of a row set aside is
masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from funnel_lib.collection.batch import FILE, LINE, RAW, REASONS, ROW, Batch
from funnel_lib.collection.headings import Headings
from funnel_lib.collection.store import save
from funnel_lib.collection.values import mask

_SHEET, _ASIDE = "batch.json", "aside.parquet"


@dataclass(frozen=True)
class Part:
    """Rows of one table: a Parquet file with the columns FILE, LINE and ROW; `derived` rows are counted elsewhere."""

    path: Path
    table: str
    derived: bool


@dataclass(frozen=True)
class Written:
    """A batch on disk, below `folder`.

    Parameters
    ----------
    table : the canonical table of the rows.
    parts : the rows, and those of further tables that follow from them.
    read : rows found in each file.
    merged : rows that went into others while reading, by (file, rule).
    remarks : rows worth a remark, by (file, rule).
    unclassified : rows of visits that no channel is known for, by (source, medium).
    columns : the columns of each file itself, where its reader tells them.
    """

    folder: Path
    table: str
    parts: tuple[Part, ...]
    read: Mapping[str, int]
    merged: Mapping[tuple[str, str], int]
    remarks: Mapping[tuple[str, str], int]
    unclassified: Mapping[tuple[str, str], int]
    columns: Mapping[str, Headings]

    def aside(self) -> pd.DataFrame:
        """Return the rows set aside while reading: FILE, LINE, `rule`, `reason`, RAW, AT."""
        return pd.read_parquet(self.folder / _ASIDE)


def write(batch: Batch, folder: Path) -> Written:
    """Write a batch into the new folder `folder`."""
    folder.mkdir(parents=True)
    frames = [(batch.table, False, batch.rows.drop(columns=RAW))]
    last = list(batch.read)[-1] if batch.read else ""
    for name, rows in batch.derived.items():
        origin: dict[str, Any] = {FILE: rows.get(FILE, last), LINE: 0, ROW: 0}
        frames.append((name, True, rows.assign(**origin)))
    parts = []
    for table, derived, rows in frames:
        if len(rows):
            parts.append(Part(folder / f"{'derived-' * derived}{table}.parquet", table, derived))
            save(rows, parts[-1].path)
    reason = batch.rejected["reason"].fillna(batch.rejected["rule"].map(REASONS))
    save(batch.rejected.assign(reason=reason.map(mask), **{RAW: batch.rejected[RAW].map(mask)}), folder / _ASIDE)
    told = (batch.read, batch.merged, batch.remarks, batch.unclassified, batch.columns)
    written = Written(folder, batch.table, tuple(parts), *told)
    (folder / _SHEET).write_text(json.dumps(_sheet(written), ensure_ascii=False, sort_keys=True), encoding="utf-8")
    return written


def read(folder: Path) -> Written:
    """Return the batch that `write` has left in `folder`."""
    sheet = json.loads((folder / _SHEET).read_text(encoding="utf-8"))
    parts = tuple(Part(folder / name, table, derived) for name, table, derived in sheet["parts"])
    merged, remarks, unclassified = (
        {(one, two): rows for one, two, rows in sheet[name]} for name in ("merged", "remarks", "unclassified")
    )
    columns: dict[str, Headings] = {file: dict(told) for file, told in sheet["columns"]}
    return Written(folder, sheet["table"], parts, dict(sheet["read"]), merged, remarks, unclassified, columns)


def whole(folder: Path) -> bool:
    """Tell whether everything that `write` has left in `folder` is still there and can be opened."""
    try:
        written = read(folder)
        for path in [folder / _ASIDE, *(part.path for part in written.parts)]:
            pq.read_metadata(path)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _sheet(written: Written) -> dict[str, Any]:
    return {
        "table": written.table,
        "parts": [[part.path.name, part.table, part.derived] for part in written.parts],
        "read": [[file, int(rows)] for file, rows in written.read.items()],
        "merged": [[file, rule, int(rows)] for (file, rule), rows in written.merged.items()],
        "remarks": [[file, rule, int(rows)] for (file, rule), rows in written.remarks.items()],
        "unclassified": [[source, medium, int(rows)] for (source, medium), rows in written.unclassified.items()],
        "columns": [[file, [list(column) for column in told.items()]] for file, told in written.columns.items()],
    }
