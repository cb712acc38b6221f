"""Adobe's data feeds as files: hits without a header, lookups that name their columns, manifests, and escapes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from funnel_lib.collection.encodings import encoding_of
from funnel_lib.collection.files import Export
from funnel_lib.collection.lines import lines
from funnel_lib.collection.pages import Record
from funnel_lib.collection.unpacking import is_archive, unpacked
from funnel_lib.errors import DataError

_HITS = re.compile(r"(^|/)(hit_data|[0-9]+-[^/]+_[0-9]{4}-?[0-9]{2}-?[0-9]{2}(-[0-9]{6})?)\.tsv(\.gz)?$")
_LOOKUP = re.compile(
    r"lookup_data|(^|[/_])(column_headers|event|browser|browser_type|color_depth|connection_type|country|"
    r"javascript_version|languages|operating_systems|plugins|resolution|referrer_type|search_engines)\.tsv"
)
_BESIDE = (".txt", ".fin")
_NAMED = re.compile(r"^(?:Data|Lookup)-File:\s*(\S+)\s*\n\s*MD5-Digest:\s*([0-9a-fA-F]{32})", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LONGEST = 1 << 20
_MEANT = {"t": "\t", "n": "\n"}


@dataclass(frozen=True)
class Lookups:
    """What the columns of hits are called, and the names of success events by their number."""

    columns: tuple[str, ...] = ()
    events: Mapping[str, str] = field(default_factory=dict)

    def over(self, other: Lookups) -> Lookups:
        """Return these lookups, and those of `other` where there are none."""
        return Lookups(self.columns or other.columns, self.events or other.events)


def is_hits(name: str) -> bool:
    """Tell whether a member of an archive holds hits."""
    return _HITS.search(name) is not None


def feeds(paths: Sequence[Path], export: Export) -> Iterator[tuple[Path, Lookups]]:
    """Yield each file of hits, or archive with hits, with its own lookups, else those beside it.

    Raises
    ------
    DataError : a file differs from its manifest or is not there, or no lookup names the columns.
    """
    for path in paths:
        if path.suffix in _BESIDE:
            _check_manifest(path)
    beside = Lookups()
    for path in paths:
        if _LOOKUP.search(path.name):
            beside = _lookups(path, export).over(beside)
    for path in paths:
        if path.suffix in _BESIDE or _LOOKUP.search(path.name):
            continue
        known = (_lookups(path, export) if is_archive(path) else Lookups()).over(beside)
        if not known.columns:
            raise DataError(
                "Nothing names the columns of the hits.", where=path, found="no column_headers.tsv",
                allowed="the lookups in the same archive, or beside it among the source's files",
                do="Put the lookup archive of the feed there too.",
            )  # fmt: skip
        yield path, known


def _lookups(path: Path, export: Export) -> Lookups:
    """Return the lookups in an archive, or in a file that is one; none where there are none."""
    found = Lookups()
    if not is_archive(path):
        return _looked_up(path.name, path, found)
    for member in unpacked(path, export, lambda name: _LOOKUP.search(name) is not None, perhaps=True):
        found = _looked_up(member.name, member.path, found)
    return found


def _looked_up(name: str, path: Path, known: Lookups) -> Lookups:
    stem = PurePosixPath(name).name.removesuffix(".gz").removesuffix(".tsv")
    if not stem.endswith(("column_headers", "event")):
        return known
    rows = [record.cells for record in records(path, encoding(path, None)) if record.cells]
    if stem.endswith("column_headers"):
        return Lookups(tuple(str(cell) for cell in rows[0]) if rows else (), known.events)
    return Lookups(known.columns, {str(row[0]): str(row[1]) for row in rows if len(row) > 1 and row[1]})


def _check_manifest(path: Path) -> None:
    """Check that every file that a manifest names is there and unchanged."""
    named = _NAMED.findall(path.read_text(encoding="iso-8859-1").replace("\r", ""))
    for name, digest in named:
        file = path.parent / PurePosixPath(name).name
        if not file.is_file():
            raise _incomplete(path, f"{file.name} is not there")
        with file.open("rb") as data:
            if hashlib.file_digest(data, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() != digest.lower():
                raise _incomplete(path, f"{file.name} is not the file that was sent")


def _incomplete(path: Path, found: str) -> DataError:
    return DataError(
        "The feed is not as its manifest says.", where=path, found=found,
        allowed="all files of the manifest, unchanged", do="Transfer the feed again.",
    )  # fmt: skip


def encoding(path: Path, forced: str | None) -> str:
    """Return the encoding: UTF-8, as feeds of several alphabets are, else ISO-8859-1, as the reference says."""
    if forced is not None:
        return encoding_of(path, forced)
    broken = any(rule == "bad_encoding" for _, _, rule in lines(path, "utf-8", universal=False))
    return "iso-8859-1" if broken else "utf-8"


def records(path: Path, encoding: str) -> Iterator[Record]:
    """Yield the rows of a feed's file; a line or column end with a backslash before it is a part of the text."""
    waiting = ""
    start = 0
    for number, text, rule in lines(path, encoding, universal=False):
        start = start if waiting else number
        whole = waiting + text
        if not rule and _continues(text) and len(whole) < _LONGEST:
            waiting = whole
            continue
        waiting = ""
        if whole.strip("\r\n"):
            row = whole.removesuffix("\n").removesuffix("\r")
            yield Record(start, None if rule else cells(row), row, rule)
    if waiting:
        yield Record(start, cells(waiting.removesuffix("\n")), waiting)


def _continues(text: str) -> bool:
    """Tell whether the line end is a part of the text: an odd number of backslashes stands before it."""
    return text.endswith("\\\n") and _is_open(text[:-1])


def _is_open(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def cells(row: str) -> list[str | None]:
    r"""Return the cells of a row.

    >>> cells("a\t\tb\\\tc")
    ['a', None, 'b\tc']
    """
    if "\\" not in row:
        return [cell or None for cell in row.split("\t")]
    found: list[str] = []
    waiting = ""
    parts = row.split("\t")
    for place, part in enumerate(parts, 1):
        waiting += part
        if place < len(parts) and _is_open(part):
            waiting += "\t"
            continue
        found.append(waiting)
        waiting = ""
    return [_plain(cell) or None for cell in found]


def _plain(cell: str) -> str:
    return _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), cell) if "\\" in cell else cell
