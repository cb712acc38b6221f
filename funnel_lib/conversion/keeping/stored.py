"""Journeys kept on disk beside their definition, so that another look at them does not read the events again."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from funnel_lib.conversion.journeys import OWN, Journeys, Reading
from funnel_lib.conversion.keeping.storing import COUNTS, FORMAT, ROWS, write
from funnel_lib.conversion.keeping.tallies import UNITS, Tally, kinds
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.periods import Period

_PATIENCE = 600
_ABOUT = "about.json"


@dataclass(frozen=True)
class Stored:
    """Journeys in `folder`; made by `store` or `Stored.open`.

    It answers `counts`, `passages`, `window_closed` and `funnel` as `Journeys` do; that is what rates are made of.
    """

    folder: Path
    about: Mapping[str, Any] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, funnel: Funnel | None = None) -> Stored:
        """Open stored journeys; with `funnel`, only if they were counted by that definition.

        Raises
        ------
        DataError : there are none, or they cannot be read.
        ConfigError : they were counted by another definition.
        """
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            known = about["format"] == FORMAT and (folder / ROWS).is_file()
        except FileNotFoundError:
            raise DataError(
                "No journeys are stored here.", where=folder, found="nothing", allowed=f"a folder with {_ABOUT}",
                do="Store them first: store(journeys(events, funnel), folder)",
            ) from None  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise DataError(
                "These stored journeys cannot be read.", where=folder, found="damaged, or of another version",
                do="Remove the folder and store them again.",
            )  # fmt: skip
        if funnel is not None and funnel.fingerprint != about["fingerprint"]:
            raise ConfigError(
                "These journeys were counted by another definition.", where=folder,
                found=f"{about['fingerprint']} ({', '.join(step['name'] for step in about['funnel']['steps'])})",
                allowed=f"{funnel.fingerprint} ({', '.join(funnel.names)})",
                do="Store the journeys of this funnel, in a folder of their own.",
            )  # fmt: skip
        return cls(folder, about)

    @cached_property
    def funnel(self) -> Funnel:
        """The funnel by which they were counted."""
        return TypeAdapter(Funnel).validate_python(self.about["funnel"])

    @property
    def by(self) -> list[str]:
        """The columns that were brought along."""
        return list(self.about["by"])

    @property
    def columns(self) -> list[str]:
        """The names of all columns.

        Raises
        ------
        DataError : they cannot be read.
        """
        with _reading(self.folder):
            return list(pq.read_schema(self.folder / ROWS).names)

    @property
    def window_closed(self) -> bool:
        """As that of `Journeys`."""
        return bool(self.about["window_closed"])

    def __len__(self) -> int:
        """Return the number of journeys."""
        return int(self.about["rows"])

    def counts(
        self, by: str | Sequence[str] | None = None, mature_only: bool = False, *, top: int | None = None
    ) -> pd.DataFrame:
        """Return how many units reached each step, as `Journeys.counts` does.

        Raises
        ------
        ConfigError : there is no such column.
        """
        return self.tally(by).counts(by, mature_only, top=top)

    def passages(
        self, by: str | Sequence[str] | None = None, mature_only: bool = False, *, top: int | None = None
    ) -> pd.DataFrame:
        """Return how many units went on to each step, as `Journeys.passages` does.

        Raises
        ------
        ConfigError : there is no such column.
        """
        return self.tally(by).passages(by, mature_only, top=top)

    def tally(self, by: str | Sequence[str] | None = None) -> Tally:
        """Return the counts by kind, for breakdowns by some of `by`; only the columns needed are read.

        Raises
        ------
        ConfigError : there is no such column.
        """
        asked = [by] if isinstance(by, str) else list(by or [])
        self._check(asked, self.by)
        names = kinds(self.funnel, asked)
        quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        summed = (self.folder / COUNTS).is_file()
        units = f"sum({UNITS})" if summed else "count(*)"
        with _reading(self.folder), duckdb.connect() as connection:
            rows = connection.read_parquet(str(self.folder / (COUNTS if summed else ROWS)))
            found = rows.aggregate(f"{quoted}, CAST({units} AS BIGINT) AS {UNITS}", quoted).order(quoted)
            return Tally(self.funnel, found.to_arrow_table(), self.window_closed)

    def journeys(self, columns: Sequence[str] | None = None) -> Journeys:
        """Return the journeys themselves.

        Parameters
        ----------
        columns : those wanted beside `depth` and `mature_depth` (and the masks of steps, where there are any); None:
            all. Without `unit` the sequence of rows means nothing.

        Raises
        ------
        ConfigError : there is no such column.
        """
        wanted = self.columns
        if columns is not None:
            self._check(columns, wanted)
            wanted = [name for name in wanted if name in {*columns, *kinds(self.funnel, ())}]
        with _reading(self.folder):
            table = pq.read_table(self.folder / ROWS, columns=wanted)
        if not self.about["ordered"] and "unit" in table.column_names:
            table = table.sort_by([(name, "ascending") for name in OWN[:3] if name in table.column_names])
        as_of = self.about["as_of"]
        return Journeys(
            self.funnel,
            table.to_pandas(split_blocks=True, self_destruct=True),
            _period(self.about["period"]),
            None if as_of is None else datetime.fromisoformat(as_of),
            self.window_closed,
            self.about["set_aside"],
            self.about["absent"],
            self.about["implied"],
        )

    def _check(self, asked: Iterable[str], names: Sequence[str]) -> None:
        for name in asked:
            if name not in names:
                raise ConfigError(
                    f"The stored journeys have no column {name!r}.", where=self.folder, found=name,
                    allowed=choices(names, name) or "none: the journeys were made without by",
                    do="Store them anew, with this column in by.",
                )  # fmt: skip


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Say of files that cannot be read that they are damaged."""
    try:
        yield
    except (OSError, pa.ArrowException, duckdb.Error) as fault:
        raise DataError(
            "These stored journeys cannot be read.", where=folder, found=str(fault).split("\n")[0],
            do="Remove the folder and store them again.",
        ) from fault  # fmt: skip


def store(made: Journeys | Reading, folder: Path) -> Stored:
    """Store journeys in `folder`, in place of what is there; all is written elsewhere first, then renamed.

    Equal journeys in equal parts give equal bytes.

    Parameters
    ----------
    made : journeys; or a reading of events, whose journeys are written part by part, so that memory stays bounded.

    Raises
    ------
    DataError : the folder cannot be written, or another process has been storing there for ten minutes.
    """
    from filelock import FileLock, Timeout

    prefix = f".{folder.name}-making-"
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=_PATIENCE)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock:
            for left in folder.parent.glob(f"{prefix}*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as workshop:
                new = Path(workshop) / "new"
                new.mkdir()
                about = write(made, new)
                (new / _ABOUT).write_text(
                    json.dumps(about, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8"
                )
                if folder.exists():
                    folder.rename(Path(workshop) / "old")
                new.rename(folder)
    except Timeout as fault:
        raise DataError(
            "Another process is storing these journeys.", where=lock.lock_file,
            found=f"locked for {_PATIENCE} seconds", allowed="one at a time", do="Wait for it to end, or end it.",
        ) from fault  # fmt: skip
    except OSError as fault:
        raise DataError(
            "The journeys cannot be stored.", where=folder, found=fault.strerror or str(fault),
            do="Make room on the disk, or choose a folder that you may write to.",
        ) from fault  # fmt: skip
    return Stored.open(folder)


def remembered(
    folder: Path, key: str, make: Callable[[], Journeys], *, columns: Collection[str] | None = None
) -> Journeys:
    """Return the journeys stored under `key` in `folder`; where there are none, `make` them and store them.

    A cache: what cannot be read is made again, and what cannot be stored is returned all the same.

    Parameters
    ----------
    key : see `key_of`; it must name everything that the journeys depend on.
    columns : those wanted, as far as there are any, beside those of `Stored.journeys`; None: all.
    """
    try:
        kept = Stored.open(folder / key)
        return kept.journeys(None if columns is None else [name for name in kept.columns if name in columns])
    except DataError:
        found = make()
    with suppress(DataError):
        store(found, folder / key)
    if columns is None:
        return found
    wanted = {*columns, *kinds(found.funnel, ())}
    return replace(found, frame=found.frame[[name for name in found.frame if name in wanted]])


def key_of(funnel: Funnel, **facts: object) -> str:
    """Return a folder's name for journeys: the funnel's fingerprint and a hash of all else that they depend on.

    Parameters
    ----------
    facts : such as the events' own hash, the period, `as_of`, `by` and `touch`. The engine that counts is one of
        them, too, and need not be named.
    """
    named = {"engine": engine_hash(), **facts}
    told = json.dumps({name: str(value) for name, value in named.items()}, sort_keys=True)
    return f"{funnel.fingerprint}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


@cache
def engine_hash() -> str:
    """Return the hash of the code that turns events into journeys."""
    room = resources.files("funnel_lib.conversion")
    code = [room / "journeys.py", *sorted((room / "engine").iterdir(), key=lambda one: one.name)]
    return hashlib.sha256(b"".join(one.read_bytes() for one in code if one.name.endswith(".py"))).hexdigest()


def _period(told: Mapping[str, Any] | None) -> Period | None:
    if told is None:
        return None
    start, end = datetime.fromisoformat(told["start"]), datetime.fromisoformat(told["end"])
    try:
        zone = ZoneInfo(told["zone"])
        start, end = start.astimezone(zone), end.astimezone(zone)
    except (ZoneInfoNotFoundError, ValueError):
        pass  # a fixed offset has no name
    return Period(told["name"], told["kind"], start, end)
