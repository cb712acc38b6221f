"""The collected tables on disk: Parquet beside the tally and the facts, replaced as a whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from funnel_lib.collection.files import sha256
from funnel_lib.collection.trends import DAILY
from funnel_lib.errors import DataError
from funnel_lib.schema import TableName, empty

ROW_GROUP = 131_072
_PATIENCE = 600
Facts = dict[str, Any]
_NO_DAYS = pd.DataFrame({"source": [], "day": [], "rows": []}).astype(
    {"source": "str", "day": "datetime64[us]", "rows": "int64"}
)
_NO_MEASURES = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in DAILY.items()})


@dataclass(frozen=True)
class Store:
    """The canonical tables of one workbook, collected into `folder`."""

    folder: Path

    def path(self, table: TableName) -> Path:
        """Return the Parquet file of `table`; it exists only where the table was collected."""
        return self.folder / f"{table}.parquet"

    def read(self, table: TableName, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return `table`, or the columns asked for; without rows where it was not collected.

        Raises
        ------
        DataError : nothing was collected yet.
        """
        self._collected()
        if self.path(table).is_file():
            return pd.read_parquet(self.path(table), columns=None if columns is None else list(columns))
        none = empty(table)
        return none if columns is None else none.reindex(columns=list(columns))

    @property
    def shelf(self) -> Path:
        """Where what was read is kept for the next collection."""
        return self.folder.parent / f".{self.folder.name}-read"

    def holds(self, state: str) -> bool:
        """Tell whether the tables were collected from this `state` of files and workbook, and are all there."""
        try:
            facts = self.facts()
        except DataError:
            return False
        whole = all((self.folder / f"{name}.parquet").is_file() for name in facts["tables"])
        return whole and facts.get("state") == state

    def tally(self) -> pd.DataFrame:
        """Return how many rows had which fate: `source, file, table, outcome, rule, rows`.

        The outcomes are read, kept, merged and quarantined; in each source and file the first is the sum of
        the others.

        Raises
        ------
        DataError : nothing was collected yet.
        """
        self._collected()
        return pd.read_parquet(self.folder / "tally.parquet")

    def facts(self) -> Facts:
        """Return what was collected.

        `first_day`, `last_day` (ISO dates of the business zone, None without times), `data_through` (ISO instant
        of the newest event or row), `inputs` (source, file, sha256, bytes, rows), `tables` (rows, sha256),
        `workbook_sha256`, `remarks` (source, file, rule, rows), `newest` (per source the day of its newest row),
        `people` (registered, with_record, oversize: the ids that were refused, as too many people had them),
        `refused` (kind, rule, values, links: which ids join nobody), `overlap` (source, other, people in both),
        `channels` (version of the rules, own_rules, unclassified_rows and the largest groups of them), `hashed`
        (whether there are addresses or numbers), `key` (own, or demo: the secret key that they are hashed with),
        `schema` and `schema_before` (source and table -> columns, now and in the collection before), `drift` (place,
        column, change: new, lost), `headings` (source and table -> the files by the columns that they have themselves),
        `changes` (how those of new files differ: see `headings.changes`), `arrived` (rows that came in since the
        collection before, the late ones among them, and these by source and day), `collected` (a hash of all that the
        tables follow from), `state` (the same; None where not all of it lies in files).

        Raises
        ------
        DataError : nothing was collected yet.
        """
        self._collected()
        facts: Facts = json.loads((self.folder / "facts.json").read_text(encoding="utf-8"))
        return facts

    def coverage(self) -> pd.DataFrame:
        """Return the rows kept per `source` and `day` (naive, business zone): `rows`; days without rows are absent.

        Raises
        ------
        DataError : nothing was collected yet.
        """
        self._collected()
        return pd.read_parquet(self.folder / "coverage.parquet")

    def daily(self) -> pd.DataFrame:
        """Return what was measured of the events per day and week: `trends.DAILY`; without rows where there are none.

        Raises
        ------
        DataError : nothing was collected yet.
        """
        self._collected()
        measured = self.folder / "daily.parquet"
        return pd.read_parquet(measured) if measured.is_file() else _NO_MEASURES

    def write(
        self,
        tables: Mapping[TableName, pd.DataFrame | Path],
        tally: pd.DataFrame,
        facts: Mapping[str, Any],
        coverage: pd.DataFrame | None = None,
        daily: pd.DataFrame | None = None,
    ) -> None:
        """Replace the whole folder: all is written elsewhere first, then renamed into place.

        `tables` holds frames, or finished Parquet files, which are moved. `facts` gets the tables' rows and hashes.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=self._prefix))
        try:
            for name, content in tables.items():
                _place(content, new / f"{name}.parquet")
            save(tally, new / "tally.parquet")
            save(_NO_DAYS if coverage is None else coverage, new / "coverage.parquet")
            save(_NO_MEASURES if daily is None else daily, new / "daily.parquet")
            told = {name: _describe(new / f"{name}.parquet") for name in sorted(tables)}
            text = json.dumps({**facts, "tables": told}, ensure_ascii=False, indent=1, sort_keys=True)
            (new / "facts.json").write_text(text + "\n", encoding="utf-8")
            new.chmod(0o755)
            self._swap(new)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """Give a folder for work in progress, to one collection at a time; nothing of it is left afterwards.

        Raises
        ------
        DataError : another collection of this workbook has been running for ten minutes.
        """
        from filelock import FileLock, Timeout

        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder.parent / f".{self.folder.name}.lock", timeout=_PATIENCE)
        try:
            with lock:
                for left in self.folder.parent.glob(f"{self._prefix}*"):  # of a collection that was killed
                    shutil.rmtree(left, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=self._prefix) as folder:
                    yield Path(folder)
        except Timeout as error:
            raise DataError(
                "Another collection of this workbook is running.", where=lock.lock_file,
                found=f"locked for {_PATIENCE} seconds", allowed="one at a time",
                do="Wait for it to end, or end it, and try again.",
            ) from error  # fmt: skip

    @property
    def _prefix(self) -> str:
        return f".{self.folder.name}-making-"

    def _swap(self, new: Path) -> None:
        """Put `new` where the folder is; if that fails, the old one is back in its place."""
        old = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=self._prefix))
        try:
            if self.folder.exists():
                os.replace(self.folder, old / "tables")
            os.replace(new, self.folder)
        except OSError:
            if (old / "tables").exists():
                os.replace(old / "tables", self.folder)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)

    def write_quarantine(self, quarantine: pd.DataFrame) -> Path:
        """Write only the quarantine, where the rest is not good enough to be published; return its file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.path("quarantine")
        part = target.with_suffix(".part")
        save(quarantine, part)
        os.replace(part, target)
        return target

    def _collected(self) -> None:
        if not (self.folder / "facts.json").is_file():
            raise DataError(
                "Nothing was collected yet.", where=self.folder, found="no tables", allowed="a finished collection",
                do="Collect first: funnel collect WORKBOOK",
            )  # fmt: skip


def save(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet; equal frames give equal bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd", row_group_size=ROW_GROUP)


def _place(content: pd.DataFrame | Path, target: Path) -> None:
    if isinstance(content, Path):
        shutil.move(content, target)
    else:
        save(content, target)


def _describe(path: Path) -> dict[str, int | str]:
    return {"rows": pq.read_metadata(path).num_rows, "sha256": sha256(path)}
