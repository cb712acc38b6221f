"""Which encoding a text file is in, told by its bytes."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from funnel_lib.collection.files import opened
from funnel_lib.errors import ConfigError, DataError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_BLOCK = 1 << 20
_MARKS = "\r\n\t,;|\"'{}0aZ"


@dataclass
class _Survey:
    """What the lines with more than ASCII in them are like: how many read as UTF-8, as GB18030 only, as neither."""

    utf8: int = 0
    chinese: int = 0
    neither: int = 0
    usual: int = 0
    rare: int = 0
    fault: int | None = None


def encoding_of(path: Path, forced: str | None) -> str:
    """Return the encoding of a text file: by its byte order mark, else the one that most of its lines are in.

    Those are UTF-8 and, where they read as usual Chinese, GB18030 (and so GBK, GB2312). Lines that are in another
    encoding than the rest are for the reader to set aside.

    Parameters
    ----------
    forced : the encoding that the workbook names; nothing else is tried.

    Raises
    ------
    DataError : the first line beyond ASCII is not text in `forced`, or most lines are text in none of these; says
        at which byte.
    ConfigError : `forced` is no encoding.
    """
    if forced is not None:
        return _forced(path, forced)
    with opened(path, part=True) as file:
        head = file.read(4096)
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None)
    if marked is None and len(head) > 3 and head.count(0) > len(head) // 4 and len({*head}) > 1:
        marked = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    if marked is not None:
        return marked
    found = _survey(path)
    if found.utf8 > found.chinese + found.neither or found.fault is None:
        return "utf-8"
    if found.chinese > found.neither and found.usual > found.rare:
        return "gb18030"
    raise _unreadable(path, f"utf-8 at byte {found.fault}, gb18030 (gives no usual Chinese text)")


def first_character(path: Path, encoding: str) -> str:
    """Return the first character of a text that is no white space; empty where there is none in the first block."""
    with opened(path, part=True) as file:
        return codecs.getincrementaldecoder(encoding)("replace").decode(file.read(4096)).lstrip("\ufeff \t\r\n")[:1]


def has_plain_line_ends(encoding: str) -> bool:
    """Tell whether line ends, quotation marks and delimiters are the same bytes in `encoding` as in ASCII."""
    return _MARKS.encode(encoding, "replace") == _MARKS.encode()


def _forced(path: Path, encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ConfigError(
            "There is no such encoding.", where=path, found=encoding,
            allowed="utf-8, gb18030, utf-16, latin-1, cp1252, …",
            do="Correct the source's encoding.",
        ) from error  # fmt: skip
    if has_plain_line_ends(encoding):
        for start, line in _unusual(path):
            try:
                line.decode(encoding)
            except UnicodeError as error:
                fault = start + int(getattr(error, "start", 0))
                raise _unreadable(path, f"{encoding} at byte {fault}") from error
            break
    return encoding


def _survey(path: Path) -> _Survey:
    found = _Survey()
    for start, line in _unusual(path):
        try:
            line.decode()
            found.utf8 += 1
            continue
        except UnicodeDecodeError as error:
            if found.fault is None:
                found.fault = start + error.start
        try:
            beyond = "".join(c for c in line.decode("gb18030") if c > "\x7f")
        except UnicodeDecodeError:
            found.neither += 1
            continue
        found.chinese += 1
        # What is usual stands in GB2312; Latin-1 read as GB18030 gives rare characters.
        usual = len(beyond.encode("gb2312", "ignore")) // 2
        found.usual, found.rare = found.usual + usual, found.rare + len(beyond) - usual
    return found


def _unusual(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not pure ASCII, with the place of their first byte.

    Of UTF-8, which is told at a glance, a whole block counts as one line.
    """
    done, rest = 0, b""
    with opened(path, part=True) as file:
        while block := file.read(_BLOCK):
            whole, mark, tail = (rest + block).rpartition(b"\n")
            if not mark and len(tail) < 4 * _BLOCK:
                rest = tail
                continue
            part = whole + mark or tail  # of a line without end, pieces
            yield from _lines(part, done)
            done, rest = done + len(part), tail if mark else b""
    yield from _lines(rest, done)


def _lines(part: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    if part.isascii():
        return
    try:
        part.decode()
        yield start, part
    except UnicodeDecodeError:
        for line in io.BytesIO(part):
            if not line.isascii():
                yield start, line
            start += len(line)


def _unreadable(path: Path, tried: str) -> DataError:
    return DataError(
        "The file's encoding is not known.", where=path, found=f"not readable as {tried}",
        allowed="UTF-8, UTF-16 with a byte order mark, GB18030; or the one that the source's encoding names",
        do="Set the source's encoding (such as latin-1 or cp1252), or export the file as UTF-8.",
    )  # fmt: skip
