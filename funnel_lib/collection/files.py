"""Export files as bytes: finding them, opening them packed or not, telling their kind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import BinaryIO, Literal, cast
from zoneinfo import ZoneInfo

from funnel_lib.collection.archives import Unpacked, damaged, members, names_in_zip, unzipped
from funnel_lib.config import Source, Workbook
from funnel_lib.errors import ConfigError, DataError

Format = Literal["text", "excel", "parquet"]
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"PAR1", "parquet"), (b"PK\x03\x04", "excel"), (b"\xd0\xcf\x11\xe0", "excel"),
)  # fmt: skip


@dataclass(frozen=True)
class Export:
    """The exports of one source of a workbook."""

    name: str
    source: Source
    workbook: Workbook

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times that name none."""
        return ZoneInfo(self.source.timezone or self.workbook.timezone)

    @property
    def where(self) -> str:
        """The key path of the source in the workbook, for messages."""
        return f"sources.{self.name}"

    @cached_property
    def _raw(self) -> Path:
        return self.workbook.raw

    def relative(self, path: Path) -> str:
        """Return the file's name as the tally and the quarantine hold it: relative to the raw folder."""
        return Path(os.path.relpath(path, self._raw)).as_posix()

    def files(self) -> list[Path]:
        """Return the files that the source's pattern matches, in the order of their names.

        Raises
        ------
        ConfigError : the pattern is not relative to the raw folder.
        DataError : nothing matches, and the source is not optional; or a file is empty.
        """
        raw = self.workbook.raw
        if Path(self.source.files).is_absolute():
            raise ConfigError(
                "The pattern of a source's files starts at the root of the disk.", where=f"{self.where}.files",
                found=self.source.files, allowed=f"a pattern below {raw}",
                do="Move the files there, or link the folder.",
            )  # fmt: skip
        names = sorted(set(glob(self.source.files, root_dir=raw, recursive=True)))
        found = [raw / name for name in names if (raw / name).is_file() and not Path(name).name.startswith("~$")]
        if not found and not self.source.optional:
            raise DataError(
                f"The source {self.name!r} has no file.", where=raw,
                found="nothing matches the pattern " + self.source.files,
                allowed=_near(raw, self.source.files),
                do=f"Put the exports there, correct {self.where}.files, or set optional: true.",
            )  # fmt: skip
        empty = next((path for path in found if path.stat().st_size == 0), None)
        if empty is not None:
            raise DataError(
                "The file is empty.", where=empty, found="0 bytes", allowed="an export with a header or rows",
                do="Export it again, or remove the file.",
            )  # fmt: skip
        return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(path: Path, *, part: bool = False) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked where it is gzip, or zip with one file, whatever its name says.

    Parameters
    ----------
    part : a packed file that ends too early is read up to there; its `cut_off` tells. Otherwise that is an error.

    Raises
    ------
    DataError : the packed file is damaged, unpacks to more than the limits allow, or is cut off (without `part`).
    """
    with path.open("rb") as file, ExitStack() as held:
        head = file.read(4)
        file.seek(0)
        if head[:2] == _GZIP:
            unpacked = unzipped(file, path, path.stat().st_size)
        elif head == _ZIP and not _is_office(path):
            unpacked = next(held.enter_context(closing(_only_member(path))))
        else:
            yield file
            return
        yield cast(BinaryIO, unpacked)
        if unpacked.cut_off and not part:
            raise damaged(path, unpacked.cut_off)


def format_of(path: Path) -> Format:
    """Tell by its first bytes whether a file is a spreadsheet, Parquet or text; those of a zip with one file count."""
    with opened(path, part=True) as file:
        head = file.read(8)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "text")


def claimed_once(files: Iterable[tuple[Export, Sequence[Path]]]) -> None:
    """Check that no file belongs to two sources: its rows would count twice.

    Raises
    ------
    ConfigError : two sources' patterns match the same file.
    """
    owners: dict[Path, Export] = {}
    for export, paths in files:
        for path in paths:
            other = owners.setdefault(path.resolve(), export)
            if other.name != export.name and not _may_share(other, export):
                raise ConfigError(
                    "Two sources claim the same file.", where=f"{export.where}.files",
                    found=f"{export.relative(path)} belongs to {other.name} and to {export.name}",
                    allowed="each file in one source (or in sources of system table that fill different tables)",
                    do=f"Narrow one of the patterns: {other.source.files} and {export.source.files}.",
                )  # fmt: skip


def _may_share(one: Export, other: Export) -> bool:
    """Tell whether both sources take different tables from a file, as the workbook says."""
    tables = {one.source.table, other.source.table}
    sheets = {one.source.sheet, other.source.sheet}
    return None not in tables and (len(tables) == 2 or (len(sheets) == 2 and None not in sheets))


def _is_office(path: Path) -> bool:
    """Tell whether a zip archive is a document of an office program (xlsx, xlsm, xlsb, ods), as far as it can be read.

    A damaged one is taken for what its name says.
    """
    try:
        return not {"[Content_Types].xml", "content.xml"}.isdisjoint(names_in_zip(path))
    except DataError:
        if path.suffix.lower() == ".zip":
            raise
        return True


def _only_member(path: Path) -> Generator[Unpacked]:
    names = names_in_zip(path)
    if len(names) != 1:
        raise DataError(
            "The zip archive does not hold exactly one file.", where=path, found=", ".join(names[:5]) or "no file",
            allowed="one table", do="Unpack it, and name the files with the source's pattern.",
        )  # fmt: skip
    yield from (stream for _, stream in members(path))


def _near(raw: Path, pattern: str) -> str:
    if not raw.is_dir():
        return f"files below {raw} (this folder does not exist)"
    names = sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())
    near = get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
    return "a pattern for what is there: " + ", ".join(near) if near else "files (the folder is empty)"
