"""The lines of a text file, each with its number and what is wrong with it; an endless line takes no memory."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from funnel_lib.collection.batch import LONGEST_RAW
from funnel_lib.collection.encodings import has_plain_line_ends
from funnel_lib.collection.files import opened

LONGEST = 4 << 20
"""Bytes that a line may have."""
_BLOCK = 1 << 20
Line = tuple[int, str, str]
"""Number, text with its line end, and the rule that the line breaks as text; empty for none."""


def lines(path: Path, encoding: str, *, universal: bool = True) -> Iterator[Line]:
    """Yield the lines of a text file, packed or not.

    A line that is not text in `encoding`, holds null bytes or is longer than `LONGEST` breaks ``bad_encoding``,
    ``null_bytes`` or ``too_long``; of a long one only the beginning comes. Where a packed file stops too early,
    its last piece comes with the rule ``cut_off``.

    Parameters
    ----------
    universal : a carriage return alone ends a line too (as in CSV, not in JSON lines).
    """
    number = 1
    plain = has_plain_line_ends(encoding)
    codec = "utf-8" if encoding == "utf-8-sig" or not plain else encoding
    with opened(path, part=True) as file:
        source = file if plain else _Recoded(file, encoding)
        for part, rule in _parts(source, universal=universal):
            if number == 1:
                part = part.removeprefix(codecs.BOM_UTF8)
            found = [(part, rule)] if rule else _texts(part, codec, universal=universal, recoded=not plain)
            for text, broken in found:
                yield number, text if isinstance(text, str) else text.decode(codec, "replace"), broken
                number += 1


def parts(file: BinaryIO) -> Iterator[tuple[bytes, str]]:
    """Yield the bytes of a text in pieces of whole lines (ended by a line feed), and faulty lines with their rule.

    The rule is empty for whole lines, ``too_long`` for a line of more than `LONGEST` bytes, of which the beginning
    comes, and ``cut_off`` for what comes last in a packed file that stops too early.
    """
    return _parts(file, universal=False)


class _Recoded:
    """A text in an encoding of its own kind (UTF-16 above all) as UTF-8; what is no text becomes U+FFFD."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._decoder = file, codecs.getincrementaldecoder(encoding)("replace")
        self._ended = False

    @property
    def cut_off(self) -> str:
        """Why the packed file ended too early; empty where it did not."""
        return str(getattr(self._file, "cut_off", ""))

    def read(self, size: int) -> bytes:
        """Return some bytes, none at the end."""
        while not self._ended:
            block = self._file.read(size)
            self._ended = not block
            found = self._decoder.decode(block, final=self._ended).encode("utf-8", "replace")
            if found:
                return found
        return b""


def _parts(file: BinaryIO | _Recoded, *, universal: bool) -> Iterator[tuple[bytes, str]]:
    rest, skipping = b"", False
    while block := file.read(_BLOCK):
        if skipping:
            end = _first_end(block, universal=universal)
            skipping, block = end < 0, block[end:] if end >= 0 else b""
        text = rest + block
        end = _first_end(text, universal=universal) if len(text) > LONGEST else len(text)
        if not 0 <= end <= LONGEST:
            # Longer than that within one block more: the first line, as later ones lie within one block.
            yield text[: LONGEST_RAW * 4], "too_long"
            skipping, text = end < 0, text[end:] if end >= 0 else b""
        cut = _last_end(text, universal=universal)
        if cut:
            yield text[:cut], ""
        rest = text[cut:]
    cut_off = bool(getattr(file, "cut_off", ""))
    if rest or cut_off:
        yield rest[: LONGEST_RAW * 4] if cut_off else rest, "cut_off" if cut_off else ""


def _last_end(text: bytes, *, universal: bool) -> int:
    """Return where the last complete line ends; a carriage return at the very end may be half of a line end."""
    end = text.rfind(b"\n") + 1
    return max(end, text.rfind(b"\r", 0, -1) + 1) if universal else end


def _first_end(text: bytes, *, universal: bool) -> int:
    """Return where the first line ends, -1 where it does not."""
    end = text.find(b"\n") + 1
    if universal:
        lone = text.find(b"\r") + 1
        if lone and (not end or lone < end - 1):
            end = lone
    return end or -1


def _texts(part: bytes, codec: str, *, universal: bool, recoded: bool) -> Iterator[tuple[str | bytes, str]]:
    newline = "" if universal else "\n"
    try:
        text = part.decode(codec)
    except UnicodeDecodeError:
        for line in part.splitlines(keepends=True) if universal else io.BytesIO(part):
            yield _text(line, codec)
        return
    if "\x00" not in text and not (recoded and "\ufffd" in text):
        yield from ((line, "") for line in io.StringIO(text, newline=newline))
        return
    for row in io.StringIO(text, newline=newline):
        broken = "null_bytes" if "\x00" in row else "bad_encoding" if recoded and "\ufffd" in row else ""
        yield row, broken


def _text(line: bytes, codec: str) -> tuple[str | bytes, str]:
    try:
        text = line.decode(codec)
    except UnicodeDecodeError:
        return line, "bad_encoding"
    return text, "null_bytes" if "\x00" in text else ""
