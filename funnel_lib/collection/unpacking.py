"""Exports that come as archives of several files: each member read like a file of its own.

Members are unpacked one at a time into a temporary folder, within the limits of `archives`; in counts and
messages they are called ``ARCHIVE/MEMBER``.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Self

from funnel_lib.collection.archives import members, names_in_zip
from funnel_lib.collection.batch import LINE, REASONS, Batch, rejected
from funnel_lib.collection.files import Export
from funnel_lib.errors import DataError

Accept = Callable[[str], bool]
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_OFFICE = frozenset(["[Content_Types].xml", "content.xml"])


@dataclass(frozen=True)
class Inside(Export):
    """The exports of a source, of which one file is being read that is called `member`."""

    member: str = ""

    def relative(self, path: Path) -> str:  # noqa: ARG002 - every path is the member
        """Return the member's name as the tally and the quarantine hold it."""
        return self.member

    @classmethod
    def of(cls, export: Export, member: str) -> Self:
        """Return `export` with every path called `member`."""
        return cls(export.name, export.source, export.workbook, member)


@dataclass(frozen=True)
class Member:
    """One file of an archive: its name there, its bytes on disk, and how it is called in counts and messages."""

    name: str
    path: Path
    export: Export
    cut_off: bool = False


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip or tar archive (also packed once more) and no office document.

    Raises
    ------
    DataError : it is a zip archive, and damaged.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head in (_ZIP, _EMPTY_ZIP):
        return _OFFICE.isdisjoint(names_in_zip(path))
    try:
        return tarfile.is_tarfile(path)
    except (OSError, EOFError):  # a gzip file that is cut off
        return False


def unpacked(path: Path, export: Export, accept: Accept = lambda _: True, *, perhaps: bool = False) -> Iterator[Member]:
    """Yield the members of an archive whose names `accept` takes, or the file itself where it is none.

    A member can be read until the next is asked for.

    Parameters
    ----------
    perhaps : an archive without an accepted member is none the worse.

    Raises
    ------
    DataError : the archive is damaged, suspicious or too large, or holds no member that is accepted.
    """
    if not is_archive(path):
        yield Member(path.name, path, export)
        return
    found = False
    with TemporaryDirectory(prefix="funnel-") as folder:
        for name, stream in members(path):
            if accept(name):
                found = True
                target = Path(folder) / ("member" + "".join(PurePosixPath(name).suffixes[-1:])[:20])
                with target.open("wb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
                yield Member(name, target, Inside.of(export, f"{export.relative(path)}/{name}"), bool(stream.cut_off))
                target.unlink()
    if not (found or perhaps):
        raise DataError(
            "The archive holds none of the files of this system.", where=path,
            found="no file, or files of other names", allowed="the archive as the system makes it",
            do="Export it again, or narrow the source's files.",
        )  # fmt: skip


def each(
    paths: Sequence[Path],
    export: Export,
    read: Callable[[Path, Export], Iterator[Batch]],
    accept: Accept = lambda _: True,
) -> Iterator[Batch]:
    """Read every file, and every accepted member of every archive, with `read`.

    Of a member that ends too early the readable rows are taken, and one row is set aside that says so.

    Raises
    ------
    DataError : as `read` and `unpacked` do; members are named after their archive.
    """
    for path in paths:
        for member in unpacked(path, export, accept):
            yield from _read(path, member, read)


def _read(path: Path, member: Member, read: Callable[[Path, Export], Iterator[Batch]]) -> Iterator[Batch]:
    last: Batch | None = None
    try:
        for last in read(member.path, member.export):
            yield last
    except DataError as error:
        if error.where == member.path and member.path != path:
            error.where = f"{path}/{member.name}"
        raise
    if member.cut_off and last is not None:
        file = member.export.relative(member.path)
        line = max([0, *last.rows[LINE], *last.rejected[LINE]]) + 1
        end = rejected([(file, line, "cut_off", REASONS["cut_off"], "")])
        yield replace(last, rows=last.rows.iloc[:0], rejected=end, read={file: 1}, merged={}, derived={}, remarks={})
