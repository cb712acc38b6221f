"""Tables that took long to count, kept under all that they follow from, so that they are counted once."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.keeping.stored import key_of
from funnel_lib.definition import Funnel


@dataclass(frozen=True)
class Shelf:
    """Where tables are kept that follow from the same collected data.

    `folder` : where each set of tables has a folder of its own. `data` : what names the data, such as its hash.
    """

    folder: Path
    data: str

    @classmethod
    def of(cls, scope: Scope) -> Shelf | None:
        """Return the shelf beside a scope's collected tables; None where its events have no hash to be known by."""
        data = scope.store.facts()["tables"].get("events", {}).get("sha256")
        return None if data is None else cls(scope.store.folder / "counted", data)

    def tables(
        self, funnel: Funnel, make: Callable[[], Mapping[str, pd.DataFrame]], **facts: object
    ) -> Mapping[str, pd.DataFrame]:
        """Return the tables kept for these facts; where there are none, `make` them and keep them.

        A cache: what cannot be read is made again, and what cannot be kept is returned all the same.

        Parameters
        ----------
        funnel, facts : all that the tables follow from beside the data, and the code, which need not be named.
        """
        folder = self.folder / key_of(funnel, data=self.data, code=code_hash(), **facts)
        try:
            if found := {path.stem: pd.read_feather(path) for path in sorted(folder.glob("*.arrow"))}:
                return found
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
        made = make()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".making-") as workshop:
                new = Path(workshop) / "new"
                new.mkdir()
                for name, table in made.items():
                    table.to_feather(new / f"{name}.arrow", compression="lz4")
                new.rename(folder)
        except OSError:
            pass
        return made


@cache
def code_hash() -> str:
    """Return the hash of the code that tables are counted by: this room, the one that divides, what all rooms share."""
    package = Path(str(resources.files("funnel_lib")))
    code = [*package.glob("*.py"), *(package / "segmentation").glob("*.py"), *(package / "conversion").rglob("*.py")]
    told = hashlib.sha256()
    for path in sorted(code):
        told.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return told.hexdigest()
