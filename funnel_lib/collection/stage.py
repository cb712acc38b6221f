"""Batches on their way to the tables: rows wait on disk, counts and rows set aside in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from funnel_lib.collection.batch import FILE, LINE, RAW, REASONS, ROW, Batch, balance, tally
from funnel_lib.collection.files import Export
from funnel_lib.collection.store import save
from funnel_lib.collection.values import mask
from funnel_lib.schema import SOURCE

SEQ, ORIGIN, DERIVED = "_seq", "_source", "_derived"
"""Position of the row's file in reading order; the source's name; whether the row only follows from rows that
are counted elsewhere."""
Entry = tuple[str, str, str, str, str, int]


@dataclass
class Stage:
    """Everything that was read so far, below `folder`, which is thrown away at the end.

    Rows stay in the order (SEQ, LINE), so that “first” and “last” mean what a person means by them.
    """

    folder: Path
    files: list[tuple[str, str, str]] = field(default_factory=list)
    parts: dict[str, list[Path]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    aside: list[pd.DataFrame] = field(default_factory=list)
    remarks: dict[tuple[str, str, str], int] = field(default_factory=dict)
    covered: list[pd.DataFrame] = field(default_factory=list)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, export: Export, batch: Batch) -> None:
        """Take in a batch of one source."""
        name, table = export.name, batch.table
        for file in batch.read:
            if (name, file) not in self._places:
                self._places[name, file] = len(self.files)
                self.files.append((name, file, table))
        self.entries += [(name, file, table, "read", "", rows) for file, rows in batch.read.items()]
        self.entries += [(name, f, table, "merged", rule, rows) for (f, rule), rows in batch.merged.items()]
        for (file, rule), rows in batch.remarks.items():
            self.remarks[name, file, rule] = self.remarks.get((name, file, rule), 0) + rows
        places = {file: self._places[name, file] for file in batch.read}
        own: dict[str, Any] = {SEQ: batch.rows[FILE].map(places).astype("int64"), DERIVED: False}
        self._write(table, batch.rows.drop(columns=FILE).assign(**own))
        last = max(places.values(), default=0)
        for other, derived in batch.derived.items():
            origin: dict[str, Any] = {SEQ: last, DERIVED: True, LINE: 0, RAW: "", ROW: 0}
            self._write(other, derived.assign(**origin))
        self.set_aside(batch.rejected.assign(**{SEQ: batch.rejected[FILE].map(places).astype("int64")}))

    def set_aside(self, rows: pd.DataFrame) -> None:
        """Quarantine rows: SEQ, LINE, `rule`, RAW, and `reason` (its rule's usual one where missing)."""
        if rows.empty:
            return
        files = pd.DataFrame(self.files, columns=[SOURCE, "file", "table"])
        known = files.loc[rows[SEQ]].reset_index(drop=True)
        rest = rows[[LINE, "rule", RAW]].reset_index(drop=True).rename(columns={LINE: "line", RAW: "raw"})
        usual = rest["rule"].map(REASONS)
        reason = rows["reason"].reset_index(drop=True).fillna(usual) if "reason" in rows else usual
        # Here all rows that are set aside come by, so that no address or number of a person gets past.
        self.aside.append(known.join(rest).assign(reason=reason.map(mask), raw=rest["raw"].map(mask)))

    def merge(self, rows: pd.DataFrame) -> None:
        """Count rows (SEQ, `rule`) that went into others."""
        for seq, rule, count in rows.groupby([SEQ, "rule"]).size().reset_index().itertuples(index=False, name=None):
            source, file, table = self.files[seq]
            self.entries.append((source, file, table, "merged", rule, count))

    def keep(self, rows: pd.Series[Any]) -> None:
        """Count rows that are in the final tables: SEQ -> how many."""
        for seq, count in rows.items():
            source, file, table = self.files[int(str(seq))]
            self.entries.append((source, file, table, "kept", "", int(count)))

    def read(self, table: str) -> pd.DataFrame:
        """Return the staged rows of a table, with ORIGIN, in the order in which they were read."""
        if table not in self.parts:
            return pd.DataFrame()
        rows = pd.concat([pd.read_parquet(part) for part in self.parts[table]], ignore_index=True)
        rows = rows.sort_values([SEQ, DERIVED, LINE], kind="stable", ignore_index=True)
        names = dict(enumerate(name for name, *_ in self.files))
        return rows.assign(**{ORIGIN: rows[SEQ].map(names).astype("str")})

    def view(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        """Make the staged rows of a table visible to DuckDB as the view `staged`."""
        parts = [str(part) for part in self.parts[table]]
        connection.read_parquet(parts, union_by_name=True).create_view("staged")

    def coverage(self) -> pd.DataFrame:
        """Return `source`, `day` (naive, business zone), `rows` of all kept rows that have a time."""
        columns = {SOURCE: "str", "day": "datetime64[us]", "rows": "int64"}
        known = [part.astype(columns) for part in self.covered if len(part)]
        found = pd.concat(known) if known else pd.DataFrame(columns=list(columns)).astype(columns)
        return found.groupby([SOURCE, "day"]).agg({"rows": "sum"}).reset_index()

    def quarantine(self) -> pd.DataFrame:
        """Return all rows set aside, with the table that they were for, sorted by file and line."""
        columns = [SOURCE, "file", "table", "line", "rule", "reason", "raw"]
        rows = pd.concat(self.aside, ignore_index=True) if self.aside else pd.DataFrame(columns=columns)
        typed = rows[columns].astype({**dict.fromkeys(columns, "str"), "line": "int64"})
        return typed.sort_values([SOURCE, "file", "line", "rule"], kind="stable", ignore_index=True)

    def tally(self) -> pd.DataFrame:
        """Return the tally of everything so far.

        Raises
        ------
        DataError : in some file read is not kept + merged + quarantined.
        """
        fates = self.quarantine().groupby([SOURCE, "file", "table", "rule"]).size().reset_index(name="rows")
        lost = [(*row[:3], "quarantined", *row[3:]) for row in fates.itertuples(index=False, name=None)]
        frame = tally([*self.entries, *lost])
        balance(frame)
        return frame

    def _write(self, table: str, rows: pd.DataFrame) -> None:
        if rows.empty:
            return
        parts = self.parts.setdefault(table, [])
        parts.append(self.folder / f"{table}-{len(parts):06}.parquet")
        save(rows, parts[-1])
