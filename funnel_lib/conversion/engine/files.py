"""Files of events: which there are, what format they have, and whether they stay the same while they are read."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from funnel_lib.errors import DataError

PARQUET = ".parquet"
_READERS = {
    PARQUET: "read_parquet", ".csv": "read_csv", ".tsv": "read_csv", ".jsonl": "read_json",
    ".ndjson": "read_json", ".json": "read_json",
}  # fmt: skip
_PACKED = 8
"""How many times as large a compressed text file may be when it is unpacked."""


class Stamp(NamedTuple):
    """What changes when a file is written to."""

    size: int
    changed: int


class Files:
    """Files of one format.

    Parameters
    ----------
    events : a path, a pattern such as `events/*.parquet`, or a list of these.

    Raises
    ------
    DataError : there is no such file, or the format is not known, or there are several formats.
    """

    def __init__(self, events: str | Path | Sequence[str | Path]) -> None:
        asked = [events] if isinstance(events, str | Path) else list(events)
        kinds = {suffix_of(Path(name)) for name in asked}
        if len(kinds) != 1:
            raise DataError(
                "The events are files of several formats." if kinds else "No files of events were named.",
                found=", ".join(sorted(kinds)) or "an empty list", allowed="one or more files of one format",
                do="Read them one format at a time, or convert some.",
            )  # fmt: skip
        self.kind = kinds.pop()
        self.paths = list(dict.fromkeys(path for name in asked for path in _found(str(name))))
        self._stamps = self._now()
        self.columns: list[str] = []
        """The names of all columns, known once they are read as a `relation`."""

    @property
    def bytes(self) -> int:
        """How much there is to read, unpacked, at most."""
        return sum(stamp.size * (_PACKED if path.endswith(".gz") else 1) for path, stamp in self._stamps.items())

    def check(self) -> None:
        """Refuse files that were written to since they were opened: what was read of them is no one state."""
        now = self._now()
        changed = next((path for path, stamp in self._stamps.items() if now.get(path) != stamp), None)
        if changed is not None:
            raise DataError(
                "A file of events changed while it was read.", where=changed,
                found=f"{now[changed].size} bytes" if changed in now else "no such file",
                allowed=f"{self._stamps[changed].size} bytes, as at the beginning",
                do="Read a copy that nobody writes to, or run it again.",
            )  # fmt: skip

    def _now(self) -> dict[str, Stamp]:
        stamps = {}
        for path in self.paths:
            try:
                facts = Path(path).stat()
            except OSError:
                continue
            stamps[path] = Stamp(facts.st_size, facts.st_mtime_ns)
        return stamps

    def relation(self, connection: Any, needed: Collection[str], texts: Collection[str]) -> Any:
        """Return the files as a relation of DuckDB; in text files, the columns `texts` stay text.

        Raises
        ------
        DataError : they cannot be read.
        """
        import duckdb

        reader = getattr(connection, _READERS[self.kind])
        try:
            log = reader(self.paths)
            self.columns = list(log.columns)
            if self.kind == PARQUET:
                return log
            if _READERS[self.kind] == "read_csv":
                log = reader(self.paths, dtype={name: "VARCHAR" for name in texts if name in log.columns})
            kept = ", ".join(quoted(name) for name in log.columns if name in needed)
            return log.project(kept) if kept else log
        except duckdb.Error as error:
            raise unreadable(", ".join(self.paths[:3]), error) from error


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the format: the last that is known, so that `.csv.gz` is `.csv`.

    Raises
    ------
    DataError : none is known.
    """
    kind = next((suffix for suffix in reversed(path.suffixes) if suffix in _READERS), None)
    if kind is None:
        raise DataError(
            "The format of this file is not known.", where=path, found=path.suffix or "no suffix",
            allowed=", ".join(_READERS), do="Name files, or a pattern such as events/*.parquet.",
        )  # fmt: skip
    return kind


def unreadable(where: object, error: object) -> DataError:
    """Return what to say of events that cannot be read."""
    return DataError(
        "The events cannot be read.", where=where, found=str(error).split("\n")[0], do="Check the path and the file."
    )


def quoted(name: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when nobody holds it any more, at the latest when the process ends."""
    return tempfile.TemporaryDirectory(prefix="funnel-", ignore_cleanup_errors=True)


def _found(name: str) -> list[str]:
    paths = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))
    if not paths:
        raise unreadable(name, "no such file")
    return paths
