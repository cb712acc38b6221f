"""Files of events as they are named on a command line: found, told apart by kind, and with columns of any names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import duckdb

from funnel_lib.errors import DataError, choices, nearest
from funnel_lib.schema import EVENT, PROPERTIES, TS, USER_ID

READERS = {
    ".parquet": "read_parquet", ".csv": "read_csv", ".tsv": "read_csv", ".jsonl": "read_json",
    ".ndjson": "read_json", ".json": "read_json",
}  # fmt: skip


def find(
    files: Sequence[str],
    *,
    unit: str = USER_ID,
    event: str | None = EVENT,
    ts: str = TS,
    more: Mapping[str, str] | None = None,
) -> Any:
    """Return what `journeys` can read: the files, or a view of them in which event and time have their usual names.

    Parameters
    ----------
    files : paths and patterns.
    unit, event, ts : how the files call these columns; the unit keeps its name. No `event`: it is not needed.
    more : further columns or properties that are needed, each with the option that asks for it.

    Raises
    ------
    DataError : there is no such file, files of several kinds are named, or a column is missing.
    """
    paths = _paths(files)
    kind = _kind(paths)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    try:
        reader: Any = getattr(connection, READERS[kind])
        rows = reader([str(path) for path in paths])
        _check(rows.columns, {unit: "--unit", ts: "--ts"} | ({} if event is None else {event: "--event"}))
        if PROPERTIES not in rows.columns:
            _check([*rows.columns, EVENT, TS], more or {})
        if (event or EVENT, ts) == (EVENT, TS):
            return paths[0] if len(paths) == 1 else paths
        if READERS[kind] == "read_csv":  # ids such as 007 stay as they are
            rows = reader([str(path) for path in paths], dtype={unit: "VARCHAR", event or unit: "VARCHAR"})
        return _renamed(rows, event, ts, text=kind != ".parquet")
    except duckdb.Error as error:
        said = " ".join(str(error).split("\n")[:3]).strip()
        raise DataError(
            "The events cannot be read.", where=", ".join(map(str, paths[:3])), found=said,
            do="Check the files; texts are to be UTF-8.",
        ) from error  # fmt: skip


def _check(columns: Sequence[str], asked: Mapping[str, str]) -> None:
    for name, option in asked.items():
        if name not in columns:
            raise DataError(
                f"The events have no column {name!r}.", where=option, found=", ".join(columns),
                allowed=choices(columns, name), do=f"Name a column of your files with {option}.",
            )  # fmt: skip


def _renamed(rows: duckdb.DuckDBPyRelation, event: str | None, ts: str, *, text: bool) -> Any:
    """Return a view in which event and time have their usual names; other columns are kept under theirs."""
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    kept = [_quoted(name) for name in types if name not in (EVENT, TS)]
    time = f"TRY_CAST({_quoted(ts)} AS TIMESTAMPTZ)" if types[ts] == "VARCHAR" else _quoted(ts)
    named = [] if event is None else [f"{_quoted(event)} AS {EVENT}"]
    view = rows.project(", ".join([*kept, *named, f"{time} AS {TS}"]))
    return view.to_arrow_table() if text else view  # texts are parsed once, not once per question


def _paths(files: Sequence[str]) -> list[Path]:
    """Return the files that are named, each once, patterns followed."""
    found: dict[Path, None] = {}
    for name in files:
        path = Path(name)
        matching = [path] if path.is_file() else [Path(one) for one in sorted(glob(name, recursive=True))]
        matching = [one for one in matching if one.is_file()]
        if not matching:
            known = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            near = nearest(path.name, known)
            raise DataError(
                "There is no such file.", where=name, found="a folder" if path.is_dir() else "nothing",
                allowed=f"a file, or a pattern such as '{path if path.is_dir() else path.parent}/*.parquet'"
                + (f" (did you mean {near}?)" if near else ""),
                do="Correct the path.",
            )  # fmt: skip
        found |= dict.fromkeys(matching)
    return list(found)


def _kind(paths: Sequence[Path]) -> str:
    """Return the suffix that tells how all the files are to be read."""
    kinds: dict[str, Path] = {}
    for path in paths:
        suffix = next((one.lower() for one in reversed(path.suffixes) if one.lower() in READERS), None)
        if suffix is None:
            raise DataError(
                "The format of this file is not known.", where=path, found=path.suffix or "no suffix",
                allowed=", ".join(READERS), do="Name files of events; text files may end in .gz.",
            )  # fmt: skip
        if path.stat().st_size == 0:
            raise DataError(
                "This file is empty.", where=path, found="0 bytes", allowed="events, under a line of column names",
                do="Export it again, or leave it out.",
            )  # fmt: skip
        kinds.setdefault(suffix, path)
    if len({kind if kind == ".tsv" else READERS[kind] for kind in kinds}) > 1:
        raise DataError(
            "Files of several kinds are named.", where=", ".join(map(str, kinds.values())), found=", ".join(kinds),
            allowed="one kind at a time", do="Count each kind for itself, or convert them to one.",
        )  # fmt: skip
    return next(iter(kinds))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
