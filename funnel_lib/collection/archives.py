"""Packed exports: gzip, zip and tar, unpacked as a stream within limits. Nothing is ever written beside them."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from funnel_lib.errors import DataError

LARGEST = 256 << 30
"""Bytes that one file may unpack to. Exports come as streams: the limit is for time, not for memory."""
STEEPEST = 300
"""How many times its size a file may unpack to, beyond the first `MODEST` bytes; exports stay below 100."""
MODEST = 64 << 20
MOST_MEMBERS = 100_000
_FAULTS = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError, NotImplementedError)
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_BESIDE = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|\._)")


class Unpacked(io.RawIOBase):
    """The bytes of a packed stream, as far as they can be had.

    A stream that stops before its end is read up to there, and `cut_off` says so: who reads decides whether the
    part is of use. Reads may return fewer bytes than asked for; no bytes mean the end.

    Parameters
    ----------
    stream : gives unpacked bytes.
    where : names the stream in messages.
    packed : its size before unpacking.

    Raises
    ------
    DataError : on reading, where the stream is damaged, or unpacks to more than the limits allow.
    """

    def __init__(self, stream: IO[bytes], where: object, packed: int) -> None:
        super().__init__()
        self._stream, self._where = cast(io.BufferedIOBase, stream), where
        self._read, self._limit, self._ahead = 0, min(max(packed * STEEPEST, MODEST), LARGEST), b""
        self.cut_off = ""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` unpacked bytes; all that are left where it is negative."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        if self._ahead:
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found
        if self.cut_off:
            return b""
        try:
            found = self._stream.read1(size)
        except EOFError as error:
            self.cut_off = str(error)
            return b""
        except (*_FAULTS, RuntimeError, OSError) as error:
            raise damaged(self._where, error) from error
        self._read += len(found)
        if self._read > self._limit:
            raise DataError(
                "The file unpacks to far more than its size.", where=self._where,
                found=f"more than {self._limit:,} bytes",
                allowed=f"{STEEPEST} times the packed size, and {LARGEST:,} bytes in all",
                do="Check where the file comes from; if it is what it should be, unpack it first.",
            )  # fmt: skip
        return found

    def peek(self, size: int) -> bytes:
        """Return the first bytes that would be read, `size` of them where there are so many."""
        while len(self._ahead) < size:
            ahead, self._ahead = self._ahead, b""
            more = self.read(size)
            self._ahead = ahead + more
            if not more:
                break
        return self._ahead[:size]

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the base takes any buffer
        """Fill `buffer` as far as bytes are at hand; return how many."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def unzipped(file: BinaryIO, where: object, packed: int) -> Unpacked:
    """Return the bytes of a gzip stream, its size `packed` bytes."""
    return Unpacked(cast(IO[bytes], gzip.GzipFile(fileobj=file)), where, packed)


def members(path: Path) -> Iterator[tuple[str, Unpacked]]:
    """Yield name and bytes of each file in a zip or tar archive; a member that is gzip comes unpacked.

    Zip members come in the order of their names, those of a tar as they lie. A member is read before the next is
    asked for. What operating systems leave beside the data is passed over; members within members are not opened.

    Raises
    ------
    DataError : the archive is damaged, encrypted or cut off, a member's name leads out of it (``..``, or from the
        root of the disk), is a link, or unpacks to more than the limits allow.
    """
    with path.open("rb") as file:
        packed = file.read(len(_ZIP)) == _ZIP
    try:
        yield from _of_zip(path) if packed else _of_tar(path)
    except (*_FAULTS, OSError) as error:
        raise damaged(path, error) from error


def names_in_zip(path: Path) -> list[str]:
    """Return the names of the files in a zip archive, without what operating systems leave there.

    Raises
    ------
    DataError : the archive is damaged or cut off.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(entry.filename for entry in archive.infolist() if _is_data(entry.filename, entry.is_dir()))
    except (*_FAULTS, OSError, ValueError) as error:
        raise damaged(path, error) from error


def damaged(where: object, error: object) -> DataError:
    """Return the error for packed data that cannot be unpacked."""
    return DataError(
        "The packed file is damaged or ends too early.", where=where, found=error,
        allowed="a whole gzip, zip or tar file without a password", do="Download or export the file again.",
    )  # fmt: skip


def _of_zip(path: Path) -> Iterator[tuple[str, Unpacked]]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if _is_data(entry.filename, entry.is_dir())]
        _check(path, [entry.filename for entry in entries])
        for entry in sorted(entries, key=lambda entry: entry.filename):
            where = f"{path}: {entry.filename}"
            try:
                stream = archive.open(entry)
            except (RuntimeError, *_FAULTS) as error:  # a password, or a way of packing that is not known
                raise damaged(where, error) from error
            with stream:
                yield entry.filename, _member(stream, where, entry.compress_size)


def _of_tar(path: Path) -> Iterator[tuple[str, Unpacked]]:
    # As a stream ("|"): the archive is read once, from its beginning to its end.
    with tarfile.open(path, "r|*") as archive:
        for count, entry in enumerate(archive):
            if not _is_data(entry.name, entry.isdir()):
                continue
            _check(path, [entry.name], count)
            stream = archive.extractfile(entry) if entry.isreg() else None
            if stream is None:
                raise _suspicious(path, f"{entry.name} (a link or a device)")
            yield entry.name, _member(stream, f"{path}: {entry.name}", path.stat().st_size)


def _member(stream: IO[bytes], where: str, packed: int) -> Unpacked:
    plain = Unpacked(stream, where, packed)
    return unzipped(cast(BinaryIO, plain), where, packed) if plain.peek(2) == _GZIP else plain


def _is_data(name: str, folder: bool) -> bool:
    return not folder and not _BESIDE.search(name)


def _check(path: Path, names: list[str], count: int = 0) -> None:
    bad = next((name for name in names if _leads_out(name)), None)
    if bad is not None:
        raise _suspicious(path, bad)
    if max(count, len(names)) > MOST_MEMBERS:
        raise DataError(
            "The archive holds too many files.", where=path, found=f"{max(count, len(names)):,}",
            allowed=f"{MOST_MEMBERS:,}", do="Check where it comes from; unpack it and name the files one by one.",
        )  # fmt: skip


def _leads_out(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or re.match(r"[A-Za-z]:", name) is not None or "\x00" in name


def _suspicious(path: Path, name: str) -> DataError:
    return DataError(
        "The archive holds a file that leads out of it.", where=path, found=name,
        allowed="names below the archive's own folder", do="Do not use this file; find out who made it.",
    )  # fmt: skip
