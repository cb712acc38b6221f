"""Export files as bytes: finding them, unpacking gzip, telling their kind and their encoding."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import BinaryIO, Literal, cast
from zoneinfo import ZoneInfo

from funnel_lib.config import Source, Workbook
from funnel_lib.errors import ConfigError, DataError

Format = Literal["text", "excel", "parquet"]
_BLOCK = 1 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
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
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked where it is gzip, whatever its name says.

    Raises
    ------
    DataError : the packed file is damaged or cut off.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                "The gzip file is damaged or ends too early.", where=path, found=str(error),
                allowed="a whole gzip file", do="Download or export the file again.",
            ) from error  # fmt: skip


def format_of(path: Path) -> Format:
    """Tell by its first bytes whether a file is a spreadsheet, Parquet or text."""
    with opened(path) as file:
        head = file.read(8)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "text")


def first_character(path: Path, encoding: str) -> str:
    """Return the first character of a text that is no white space; empty where there is none in the first block."""
    with opened(path) as file:
        return codecs.getincrementaldecoder(encoding)("replace").decode(file.read(4096)).lstrip("\ufeff \t\r\n")[:1]


def encoding_of(path: Path, forced: str | None) -> str:
    """Return the encoding of a text file: by its byte order mark, else UTF-8, else GB18030 where it reads as Chinese.

    Raises
    ------
    DataError : the file is not text in `forced`, or in any of these; says at which byte.
    ConfigError : `forced` is no encoding.
    """
    with opened(path) as file:
        head = file.read(4096)
    if forced is not None:
        return _forced(path, forced)
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None)
    if marked is None and len(head) > 3 and head.count(0) > len(head) // 4:
        marked = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    if marked is not None:
        fault = _undecodable(path, marked)
        if fault is None:
            return marked
        raise _unreadable(path, f"{marked} at byte {fault}")
    fault = _undecodable(path, "utf-8")
    if fault is None:
        return "utf-8"
    if _undecodable(path, "gb18030") is None and _reads_as_chinese(path):
        return "gb18030"
    raise _unreadable(path, f"utf-8 at byte {fault}, gb18030 (gives no usual Chinese text)")


def _forced(path: Path, encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ConfigError(
            "There is no such encoding.", where=path, found=encoding,
            allowed="utf-8, gb18030, utf-16, latin-1, cp1252, …",
            do="Correct the source's encoding.",
        ) from error  # fmt: skip
    fault = _undecodable(path, encoding)
    if fault is not None:
        raise _unreadable(path, f"{encoding} at byte {fault}")
    return encoding


def _undecodable(path: Path, encoding: str) -> int | None:
    """Return the offset of the first byte that is not text in `encoding`, None where all are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    done = 0
    with opened(path) as file:
        while True:
            block = file.read(_BLOCK)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeError as error:
                return done - held + getattr(error, "start", 0)
            if not block:
                return None
            done += len(block)


def _reads_as_chinese(path: Path) -> bool:
    """Tell whether most characters beyond ASCII are usual Chinese; Latin-1 read as GB18030 gives rare ones."""
    usual = other = 0
    decoder = codecs.getincrementaldecoder("gb18030")()
    with opened(path) as file:
        while block := file.read(_BLOCK):
            beyond = "".join(c for c in decoder.decode(block) if c > "\x7f")
            inside = len(beyond.encode("gb2312", "ignore")) // 2
            usual, other = usual + inside, other + len(beyond) - inside
    return usual > other


def _unreadable(path: Path, tried: str) -> DataError:
    return DataError(
        "The file's encoding is not known.", where=path, found=f"not readable as {tried}",
        allowed="UTF-8, UTF-16 with a byte order mark, GB18030; or the one that the source's encoding names",
        do="Set the source's encoding (such as latin-1 or cp1252), or export the file as UTF-8.",
    )  # fmt: skip


def _near(raw: Path, pattern: str) -> str:
    if not raw.is_dir():
        return f"files below {raw} (this folder does not exist)"
    names = sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())
    near = get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
    return "a pattern for what is there: " + ", ".join(near) if near else "files (the folder is empty)"
