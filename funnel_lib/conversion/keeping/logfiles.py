"""A log in numbers on disk: arrays that are mapped, and what rows tell of their columns."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from funnel_lib.conversion.keeping.arranging import Ints

ARRAYS = ("starts", "at", "event", "person", "row", "order", "sizes")
_ABOUT, _UNITS = "about.json", "units.arrow"
_CODES, _VALUES = "codes.npy", "values.parquet"
_PATIENCE = 600
_MADE_BY = ("arranging.py", "eventlog.py", "logfiles.py")

_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError)
"""What is raised where a file is missing, cut short, empty or of another kind."""

Log = tuple[pa.Array, tuple[str, ...], dict[str, Ints]]
Column = tuple[Ints, pa.Array, bool]


def kept(folder: Path, make: Callable[[], Log]) -> Log:
    """Return the log that a folder holds, mapped; where there is none, `make` it and keep it there.

    A cache: what cannot be opened is made again, and what cannot be kept is returned all the same. One process makes
    it; others wait for that.
    """
    from filelock import FileLock, Timeout

    if (found := _opened(folder)) is not None:
        return found
    made = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock", timeout=_PATIENCE):
            if (found := _opened(folder)) is None:
                made = make()
                with _new(folder) as new:
                    _write(made, new)
                found = _opened(folder)
    except (OSError, Timeout):
        pass
    return found or made or make()


def told(folder: Path | None, key: str, make: Callable[[], Column]) -> Column:
    """Return what rows tell, as it was kept under `key` in a log's folder; else `make` it and keep it."""
    if folder is None:
        return make()
    own = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        table = pq.read_table(own / _VALUES)
        as_json = (table.schema.metadata or {}).get(b"json") == b"True"
        return np.load(own / _CODES, mmap_mode="r"), table["told"].combine_chunks(), as_json
    except _DAMAGED:
        made = make()
    try:
        with _new(own) as new:
            codes, values, as_json = made
            np.save(new / _CODES, codes)
            pq.write_table(pa.table({"told": values}).replace_schema_metadata({"json": str(as_json)}), new / _VALUES)
    except OSError:
        pass
    return made


def _opened(folder: Path) -> Log | None:
    """Open the log in a folder without reading it; None where there is none, or it cannot be opened."""
    try:
        about = json.loads((folder / _ABOUT).read_text("utf-8"))
        if about["code"] != code():
            return None
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        with pa.memory_map(str(folder / _UNITS)) as file:
            units = pa.ipc.open_file(file).read_all()["unit"].combine_chunks()
    except _DAMAGED:
        return None
    return units, tuple(about["names"]), arrays


def _write(made: Log, folder: Path) -> None:
    units, names, arrays = made
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", arrays[name])
    table = pa.table({"unit": units})
    with pa.ipc.new_file(str(folder / _UNITS), table.schema) as file:
        file.write_table(table)
    (folder / _ABOUT).write_text(json.dumps({"names": names, "code": code()}, ensure_ascii=False), "utf-8")


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """Give a folder elsewhere to write into; then put it in place of what is there."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as workshop:
        new = Path(workshop) / "new"
        new.mkdir()
        yield new
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


@cache
def code() -> str:
    """Return the hash of the code that makes logs."""
    room = resources.files("funnel_lib.conversion.keeping")
    return hashlib.sha256(b"".join((room / name).read_bytes() for name in _MADE_BY)).hexdigest()
