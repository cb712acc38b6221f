"""What was read stays on a shelf: collecting again reads only files that are new or have changed.

Beside the tables of a workbook lies a hidden folder with the batches of every file, by the content of the file and
by everything that its reading depends on. Nothing on it is the only copy of anything: it may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from funnel_lib.collection import keys, parts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.parts import Written
from funnel_lib.collection.stage import archive_of

_LABEL = "group.json"
File = tuple[str, str]
"""A file as the tally names it, and the SHA-256 of its bytes."""


@dataclass(frozen=True)
class Group:
    """Files that were read together, and their batches in the order in which they were read.

    Parameters
    ----------
    files : the files with rows.
    beside : files that have no rows of their own but say how to read the others, such as lookups.
    """

    files: tuple[File, ...]
    beside: tuple[File, ...]
    batches: tuple[Written, ...]


@dataclass
class Shelf:
    """The shelf in `folder`."""

    folder: Path
    _used: set[str] = field(default_factory=set)
    _rounds: int = 0

    def find(self, recipe: str, files: Iterable[File]) -> list[Group]:
        """Return the groups that were read by the same recipe from files that are all still there, unchanged."""
        there, covered = set(files), set[str]()
        found = []
        for label in sorted(self.folder.glob(f"*/{_LABEL}")):
            group = _labelled(label, recipe)
            if group is None or not {*group.files, *group.beside} <= there:
                continue
            names = {name for name, _ in group.files}
            if not names & covered and all(parts.whole(batch.folder) for batch in group.batches):
                covered |= names
                self._used.add(label.parent.name)
                found.append(group)
        return found

    def fill(
        self, recipe: str, files: Sequence[File], batches: Iterable[Batch], tell: Callable[[Batch], None]
    ) -> list[Group]:
        """Write the batches read from `files` and put them on the shelf once all are read.

        Batches that come from no file are written too, but will be read again the next time.

        Parameters
        ----------
        tell : is told of each batch.
        """
        self._rounds += 1
        making = self.folder / f".making-{self._rounds}"
        shutil.rmtree(making, ignore_errors=True)
        groups: list[tuple[set[str], list[Written]]] = []
        known = {name for name, _ in files}
        for number, batch in enumerate(batches):
            written = parts.write(batch, making / f"{number:06}")
            names = {archive_of(file, known.__contains__) for file in batch.read}
            joined = next((group for group in groups if group[0] & names), None)
            if joined is not None:
                joined[0].update(names)
                joined[1].append(written)
            else:
                groups.append((names, [written]))
            tell(batch)
        told = set[str]().union(*(names for names, _ in groups))
        beside = tuple(file for file in files if file[0] not in told)
        made = [Group(tuple(f for f in files if f[0] in names), beside, tuple(held)) for names, held in groups]
        return [self._put(recipe, group) if group.files else group for group in made]

    def sweep(self) -> None:
        """Throw away what the last collection did not use."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name not in self._used:
                shutil.rmtree(path, ignore_errors=True)

    def _put(self, recipe: str, group: Group) -> Group:
        making = group.batches[0].folder.parent
        names = [batch.folder.name for batch in group.batches]
        label = {"recipe": recipe, "files": group.files, "beside": group.beside, "batches": names}
        text = json.dumps(label, ensure_ascii=False)
        place = hashlib.sha256(text.encode()).hexdigest()[:32]
        (making / place).mkdir()
        for batch in group.batches:
            os.replace(batch.folder, making / place / batch.folder.name)
        (making / place / _LABEL).write_text(text, encoding="utf-8")
        shutil.rmtree(self.folder / place, ignore_errors=True)
        os.replace(making / place, self.folder / place)
        self._used.add(place)
        return Group(group.files, group.beside, tuple(parts.read(self.folder / place / name) for name in names))


def recipe(export: Export) -> str:
    """Return a hash of all that decides how the files of a source are read, beside their bytes.

    That is: what the workbook says of the source, of cleaning, channels and identity, the secret key, and this code.
    """
    book = export.workbook
    told = book.model_dump_json(include={"timezone", "currency", "cleaning", "identity", "channels"})
    text = "|".join([export.name, export.source.model_dump_json(), told, keys.fingerprint(), code()])
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code() -> str:
    """Return a hash of the code that collects."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for kind in ("*.py", "*.yml") for path in here.rglob(kind)):
        digest.update(path.relative_to(here).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _labelled(label: Path, recipe: str) -> Group | None:
    try:
        told = json.loads(label.read_text(encoding="utf-8"))
        if told["recipe"] != recipe:
            return None
        batches = tuple(parts.read(label.parent / name) for name in told["batches"])
        files, beside = (tuple((name, digest) for name, digest in told[key]) for key in ("files", "beside"))
    except (OSError, ValueError, KeyError):
        return None
    return Group(files, beside, batches)
