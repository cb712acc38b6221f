"""Batches on their way to the tables: rows wait on disk, counts and rows set aside in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from funnel_lib.collection.batch import AT, FILE, LINE, LONGEST_RAW, RAW, REASONS, balance, happened, tally
from funnel_lib.collection.headings import Headings
from funnel_lib.collection.parts import Part, Written
from funnel_lib.collection.values import mask
from funnel_lib.schema import SOURCE, TS

SEQ, ORIGIN, DERIVED, POS = "_seq", "_source", "_derived", "_pos"
"""Position of the row's file in reading order; the source's name; whether the row only follows from rows that
are counted elsewhere; the row's place within its table, which no other row has."""
MEMORY = "900MB"
"""What the database may take before it uses the disk."""
PARQUET = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
"""How the database writes a table."""
Entry = tuple[str, str, str, str, str, int]
_MEMBERS = 1 << 20
_ORDER = f"{SEQ}, {DERIVED}, {LINE}, {POS}"
_STAGED = f"""
CREATE OR REPLACE TEMP VIEW {{name}} AS
SELECT rows.* EXCLUDE (filename, file_row_number, {FILE}), places.{SEQ}, parts.{ORIGIN}, parts.{DERIVED},
    parts._part * 4294967296 + rows.file_row_number AS {POS}
FROM read_parquet({{files}}, union_by_name = true, filename = true, file_row_number = true) AS rows
JOIN {{name}}_parts AS parts USING (filename)
JOIN {{name}}_places AS places ON places.{ORIGIN} = parts.{ORIGIN} AND places.{FILE} = rows.{FILE}
"""  # noqa: S608 - made of constants


@dataclass
class Stage:
    """Everything that was read so far; `folder` is for work in progress and thrown away at the end.

    Rows stay in the order (SEQ, DERIVED, LINE), so that “first” and “last” mean what a person means by them.
    """

    folder: Path
    files: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    parts: dict[str, list[tuple[str, Part]]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    aside: list[pd.DataFrame] = field(default_factory=list)
    remarks: dict[tuple[str, str, str], int] = field(default_factory=dict)
    unclassified: dict[tuple[str, str, str], int] = field(default_factory=dict)
    covered: list[pd.DataFrame] = field(default_factory=list)
    headings: dict[str, dict[str, Headings]] = field(default_factory=dict)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)

    def expect(self, source: str, files: Sequence[str]) -> None:
        """Fix the order of the files before they are taken, in whatever order that may be.

        What is read from a member of an archive (``ARCHIVE/MEMBER``) comes where the archive does.
        """
        for file in files:
            if (source, file) not in self._places:
                archive = self._places.get((source, archive_of(file, lambda name: (source, name) in self._places)))
                place = len(self.files) * _MEMBERS if archive is None else archive + 1
                while place in self.files:
                    place += 1
                self._places[source, file] = place
                self.files[place] = (source, file, "")

    def take(self, source: str, batch: Written) -> None:
        """Take in a batch of one source."""
        self.expect(source, list(batch.read))
        for file in batch.read:
            place = self._places[source, file]
            self.files[place] = (source, file, self.files[place][2] or batch.table)
        name, table = source, batch.table
        self.entries += [(name, file, table, "read", "", rows) for file, rows in batch.read.items()]
        self.entries += [(name, file, table, "merged", rule, rows) for (file, rule), rows in batch.merged.items()]
        for (file, rule), rows in batch.remarks.items():
            self.remarks[name, file, rule] = self.remarks.get((name, file, rule), 0) + rows
        for pair, rows in batch.unclassified.items():
            self.unclassified[name, *pair] = self.unclassified.get((name, *pair), 0) + rows
        for file, columns in batch.columns.items():  # the first page of a file tells them
            self.headings.setdefault(f"{name}: {table}", {}).setdefault(file, columns)
        for part in batch.parts:
            self.parts.setdefault(part.table, []).append((source, part))
        aside = batch.aside()
        if len(aside):
            places = {file: self._places[source, file] for file in aside[FILE].unique()}
            self._quarantine(aside.assign(**{SEQ: aside[FILE].map(places).astype("int64")}))

    def set_aside(self, rows: pd.DataFrame) -> None:
        """Quarantine rows that a rule over all files refuses: SEQ, LINE, `rule`, and what was read of them.

        `reason` is that of the rule where it is missing.
        """
        if rows.empty:
            return
        usual = rows["rule"].map(REASONS)
        reason = rows["reason"].fillna(usual) if "reason" in rows else usual
        shown = [name for name in rows if not str(name).startswith("_") and name not in ("rule", "reason")]
        texts = [_shown(shown, row) for row in rows[shown].itertuples(index=False, name=None)]
        told = rows[[SEQ, LINE, "rule"]].assign(reason=reason.map(mask), **{RAW: texts})
        self._quarantine(told.assign(**{AT: happened(rows)}))

    def _quarantine(self, rows: pd.DataFrame) -> None:
        files = pd.DataFrame.from_dict(self.files, orient="index", columns=[SOURCE, "file", "table"])
        known = files.loc[rows[SEQ]].reset_index(drop=True)
        rest = rows[[LINE, "rule", "reason", RAW, AT]].reset_index(drop=True)
        self.aside.append(known.join(rest.rename(columns={LINE: "line", RAW: "raw", AT: TS})))

    def merge(self, rows: pd.DataFrame) -> None:
        """Count rows (SEQ, `rule`) that went into others."""
        for seq, rule, count in rows.groupby([SEQ, "rule"]).size().reset_index().itertuples(index=False, name=None):
            self.merge_count(seq, rule, count)

    def merge_count(self, seq: int, rule: str, rows: int) -> None:
        """Count `rows` rows of the file `seq` that went into others by a rule."""
        source, file, table = self.files[seq]
        self.entries.append((source, file, table, "merged", rule, rows))

    def keep(self, rows: pd.Series[Any]) -> None:
        """Count rows that are in the final tables: SEQ -> how many."""
        for seq, count in rows.items():
            source, file, table = self.files[int(str(seq))]
            self.entries.append((source, file, table, "kept", "", int(count)))

    def read(self, table: str) -> pd.DataFrame:
        """Return the staged rows of a table, with ORIGIN, in the order in which they were read."""
        if table not in self.parts:
            return pd.DataFrame()
        with self.connected() as connection:
            self.view(connection, table)
            rows: pd.DataFrame = connection.sql(f"SELECT * FROM staged ORDER BY {_ORDER}").to_arrow_table().to_pandas()  # noqa: S608
        return rows

    def view(self, connection: duckdb.DuckDBPyConnection, table: str, name: str = "staged") -> None:
        """Make the staged rows of a table visible to DuckDB as a view, with SEQ, ORIGIN, DERIVED and POS."""
        held = self.parts[table]
        paths = [str(part.path) for _, part in held]
        parts = {
            "filename": paths, ORIGIN: [source for source, _ in held], DERIVED: [part.derived for _, part in held],
            "_part": pa.array(range(len(held)), pa.int64()),
        }  # fmt: skip
        places = {
            ORIGIN: [source for source, _ in self._places], FILE: [file for _, file in self._places],
            SEQ: pa.array(self._places.values(), pa.int64()),
        }  # fmt: skip
        connection.register(f"{name}_parts", pa.table(parts))
        connection.register(f"{name}_places", pa.table(places))
        listed = f"[{', '.join(map(text, paths))}]"
        connection.execute(_STAGED.format(name=name, files=listed))

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a database in memory that uses the stage's folder beyond `MEMORY`; its clock is UTC."""
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET temp_directory = ?", [str(self.folder)])
            connection.execute("SET memory_limit = ?", [MEMORY])
            connection.execute("SET preserve_insertion_order = false")
            connection.execute("SET python_enable_replacements = false")
            yield connection

    def columns(self) -> dict[str, list[str]]:
        """Return for each source and table (``crm: users``) the columns that were read."""
        found: dict[str, set[str]] = {}
        for table, held in self.parts.items():
            for source, part in held:
                if not part.derived:
                    names = pq.read_schema(part.path).names
                    found.setdefault(f"{source}: {table}", set()).update(n for n in names if not n.startswith("_"))
        return {place: sorted(names) for place, names in sorted(found.items())}

    def coverage(self) -> pd.DataFrame:
        """Return `source`, `day` (naive, business zone), `rows` of all kept rows that have a time."""
        columns = {SOURCE: "str", "day": "datetime64[us]", "rows": "int64"}
        known = [part.astype(columns) for part in self.covered if len(part)]
        found = pd.concat(known) if known else pd.DataFrame(columns=list(columns)).astype(columns)
        return found.groupby([SOURCE, "day"]).agg({"rows": "sum"}).reset_index()

    def quarantine(self) -> pd.DataFrame:
        """Return all rows set aside, with the table that they were for, sorted by file and line."""
        columns = [SOURCE, "file", "table", "line", "rule", "reason", "raw"]
        rows = pd.concat(self.aside, ignore_index=True) if self.aside else pd.DataFrame(columns=[*columns, TS])
        kinds = {**dict.fromkeys(columns, "str"), "line": "int64", TS: "datetime64[us, UTC]"}
        typed = rows[[*columns, TS]].astype(kinds)
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


def archive_of(file: str, known: Callable[[str], bool]) -> str:
    """Return the known file that `file` is, or that it is a member of (``ARCHIVE/MEMBER``); itself where none is.

    >>> archive_of("a/b.zip/c.csv", {"a/b.zip"}.__contains__)
    'a/b.zip'
    """
    outer = file
    while not known(outer):
        outer, inside, _ = outer.rpartition("/")
        if not inside:
            return file
    return outer


def quoted(name: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: object) -> str:
    """Return a text (or a path) as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"


def _shown(names: Sequence[object], row: Sequence[Any]) -> str:
    """Return what was read of a row, as text that people can read."""
    cells = (f"{name}: {value}" for name, value in zip(names, row, strict=True) if not pd.isna(value))
    return mask("; ".join(cells)[:LONGEST_RAW])
