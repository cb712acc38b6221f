"""Raw files of fetched rows: written whole or not at all, never changed, and the only memory of what was fetched.

Each stream has a folder::

    2026-11-01_2026-11-01.20261122T100000.000000Z.jsonl.gz   a day (or month), and when it was fetched
    20261122T100000.000000Z.jsonl.gz                         all rows, or the newest version of each
    .past/      what was replaced, and what came in each fetch of changes
    .empty/     days (or months) that hold no row
    .part/      what is being written

Readers find the files that count with a pattern such as ``crm/api/**/*.jsonl.gz``: names that begin with a dot are
passed over. Because the names say what was fetched and when, a fetch that was killed goes on where it stopped.
"""

from __future__ import annotations

import calendar
import gzip
import json
import os
import re
import shutil
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from filelock import FileLock, Timeout

from funnel_lib.collection.rest.calls import Row, member
from funnel_lib.errors import DataError

PAST, EMPTY, PART = ".past", ".empty", ".part"
LINES = ".jsonl.gz"
_INSTANT = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"(?:\d{4}-\d\d-\d\d_\d{4}-\d\d-\d\d\.)?\d{8}T\d{6}\.\d{6}Z")
Slice = tuple[date, date]


@dataclass(frozen=True)
class Landing:
    """The files of one stream.

    Parameters
    ----------
    folder : where they lie.
    now : the instant (UTC) of this fetch; it names the files.
    suffix : the ending of the files.
    """

    folder: Path
    now: datetime
    suffix: str = LINES

    @property
    def part(self) -> Path:
        """Where a file lies while it is being written."""
        path = self.folder / PART / f"rows{self.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def recover(self) -> None:
        """Tidy up after a fetch that was killed: half files go, of two versions the older one counts as past."""
        shutil.rmtree(self.folder / PART, ignore_errors=True)
        seen: dict[str, Path] = {}
        for path in sorted(self.files(), key=_fetched):
            days = path.name.split(".")[0]
            begin = days.split("_")[0] if "_" in days else ""
            if begin in seen:
                self._retire(seen[begin])
            seen[begin] = path

    def files(self) -> list[Path]:
        """Return the files that count, by name: within a slice the oldest fetch first."""
        return _named(self.folder, self.suffix)

    def versions(self) -> list[tuple[datetime, Path]]:
        """Return every file with rows as they came, oldest fetch first, and when it was fetched."""
        past = _named(self.folder / PAST, self.suffix)
        seen = {path.name for path in past}
        return sorted((_fetched(path), path) for path in [*past, *(p for p in self.files() if p.name not in seen)])

    def since(self) -> datetime | None:
        """Return the instant of the newest fetch; None where there was none."""
        files = self.files()
        return _fetched(files[-1]) if files else None

    def due(self, every: str, first: date, last: date, *, overlap: timedelta, zone: ZoneInfo) -> list[Slice]:
        """Return the days or months to fetch: those never fetched, or fetched before their late rows had come.

        Parameters
        ----------
        every : ``day`` or ``month``.
        first, last : days that are wanted; a month is fetched until `last`.
        overlap : how long after its end a slice may still change.
        zone : whose days they are.
        """
        known: dict[date, tuple[date, datetime]] = {}
        for path in [*self.files(), *_named(self.folder / EMPTY, "")]:
            begin, end = (date.fromisoformat(day) for day in path.name.split(".")[0].split("_"))
            known[begin] = max(known.get(begin, (end, _fetched(path))), (end, _fetched(path)))
        found = []
        for begin, end in slices(every, first, last):
            until, fetched = known.get(begin, (date.min, datetime.min.replace(tzinfo=UTC)))
            closed = datetime.combine(end + timedelta(days=1), time.min, tzinfo=zone)
            if until < min(end, last) or fetched < closed + overlap:
                found.append((begin, min(end, last)))
        return found

    def write(self, pages: Iterable[list[Row]]) -> int:
        """Write rows into the file in the making; return their number."""
        count = 0
        with _written(self.part) as file:
            for rows in pages:
                for row in rows:
                    file.write(_line(row))
                    count += 1
        return count

    def keep_slice(self, days: Slice, rows: int) -> Path | None:
        """Let the file in the making count for its days, in place of an older one; None where it holds nothing."""
        name = f"{days[0]}_{days[1]}.{self.now.strftime(_INSTANT)}"
        older = [path for path in self.files() if path.name.startswith(f"{days[0]}_")]
        if rows:
            kept: Path | None = self._arrive(self.folder / f"{name}{self.suffix}")
        else:
            kept = None
            self.part.unlink(missing_ok=True)
            (self.folder / EMPTY).mkdir(exist_ok=True)
            (self.folder / EMPTY / name).touch()
        for path in [*(self.folder / EMPTY).glob(f"{days[0]}_*")]:
            if path.name != name:
                path.unlink()
        for path in older:
            self._retire(path)
        return kept

    def keep_whole(self, rows: int) -> Path | None:
        """Let the file in the making count as all rows, in place of the last one; no file counts where none came."""
        older = self.files()
        kept = self._arrive(self.folder / f"{self.now.strftime(_INSTANT)}{self.suffix}") if rows else None
        for path in older:
            self._retire(path)
        return kept

    def keep_changes(self, key: str, parents: Collection[str] | None = None) -> Path:
        """Keep the rows in the making as they came, and bring the newest version of each into the file that counts.

        `key` tells rows apart. Of a stream that belongs to another, it names the parent, and all rows of the
        `parents` that were asked about are replaced.
        """
        name = f"{self.now.strftime(_INSTANT)}{self.suffix}"
        older = self.files()
        came = self._arrive(self.folder / PAST / name)
        with _written(self.part) as file:
            file.writelines(newest([*older[-1:], came], key, parents))
        kept = self._arrive(self.folder / name)
        for path in older:
            path.unlink()  # made of files in .past, all of which stay
        return kept

    def _arrive(self, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise DataError(
                "A raw file would be overwritten.", where=target, found="a fetch of the same instant",
                do="Fetch again: raw files are never changed.",
            )  # fmt: skip
        os.replace(self.part, target)
        return target

    def _retire(self, path: Path) -> None:
        target = self.folder / PAST / path.name
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let only one fetch write below `folder`.

    Raises
    ------
    DataError : another one is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise DataError(
            "Another fetch of this source is running.", where=folder, do="Wait until it has ended."
        ) from None


def slices(every: str, first: date, last: date) -> list[Slice]:
    """Return the days, or the whole months, that the days `first` to `last` touch.

    >>> slices("month", date(2026, 1, 31), date(2026, 2, 1))[1]
    (datetime.date(2026, 2, 1), datetime.date(2026, 2, 28))
    """
    found, day = [], first
    while day <= last:
        end = day if every == "day" else day.replace(day=calendar.monthrange(day.year, day.month)[1])
        found.append((day if every == "day" else day.replace(day=1), end))
        day = end + timedelta(days=1)
    return found


def newest(paths: Iterable[Path], key: str, parents: Collection[str] | None = None) -> Iterator[bytes]:
    """Yield the lines of several files, older ones first, of each key only the last; in memory are only the keys.

    With `parents`, these keys' lines stay only where they are in the last file, however many they are.
    """
    files = list(paths)
    last: dict[str, tuple[int, int]] = {}
    for place, path in enumerate(files):
        for number, line in enumerate(lines(path)):
            last[_key(path, line, key)] = place, number
    for place, path in enumerate(files):
        for number, line in enumerate(lines(path)):
            name = _key(path, line, key)
            current = (
                last[name] == (place, number) if parents is None else place == len(files) - 1 or name not in parents
            )
            if current:
                yield line


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file of rows.

    Raises
    ------
    DataError : the file is damaged.
    """
    try:
        with gzip.open(path, "rb") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, str(error)) from error


def _named(folder: Path, ending: str) -> list[Path]:
    """Return the files that were named here, by name; what else lies there is none of ours."""
    return sorted(path for path in folder.glob(f"*{ending}") if _NAME.fullmatch(path.name.removesuffix(ending)))


def _damaged(path: Path, found: str) -> DataError:
    return DataError(
        "A file of fetched rows is damaged.", where=path, found=found, allowed="the file as it was written",
        do="Bring it back from a copy; or remove it, which fetches its rows again.",
    )  # fmt: skip


def _key(path: Path, line: bytes, key: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise _damaged(path, "a line that is no JSON object")
    name = member(row, key)
    if name is None:
        raise DataError(
            "A fetched row has no id, so its versions cannot be told apart.", where=path, found=", ".join(row)[:200],
            allowed=f"rows with {key}", do="Fetch again; if it stays so, the interface is not as documented.",
        )  # fmt: skip
    return str(name)


def _line(row: Row) -> bytes:
    try:
        return f"{json.dumps(row, ensure_ascii=False, separators=(',', ':'))}\n".encode()
    except UnicodeEncodeError:  # half of a character, as a cut text ends; the reader judges it
        return f"{json.dumps(row, separators=(',', ':'))}\n".encode()


def _fetched(path: Path) -> datetime:
    """Return the instant in a file's name."""
    parts = path.name.split(".")
    place = 1 if "_" in parts[0] else 0
    return datetime.strptime(f"{parts[place]}.{parts[place + 1]}", _INSTANT).replace(tzinfo=UTC)


@contextmanager
def _written(path: Path) -> Iterator[gzip.GzipFile]:
    with path.open("wb") as file:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
            yield packed
        file.flush()
        os.fsync(file.fileno())
