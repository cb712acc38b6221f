"""Temporary files for what does not fit into memory: nameless where the system allows it, so that nothing stays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from funnel_lib.errors import ConfigError, DataError

Numbers = npt.NDArray[np.integer[Any]]


class Spill:
    """A file that grows at its end and disappears when it is closed, however the process ends."""

    def __init__(self) -> None:
        self._file: Any = None
        self._turn = Lock()
        self.bytes = 0

    def write(self, pieces: Iterable[Numbers]) -> int:
        """Append the pieces and return where they begin.

        Raises
        ------
        DataError : there is no room, or the folder for temporary files cannot be written to.
        """
        begins = self.bytes
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="funnel-", buffering=0)  # noqa: SIM115 - see close
            self._file.seek(begins)
            for piece in pieces:
                view = memoryview(piece.data).cast("B")
                while len(view):
                    view = view[self._file.write(view) :]
                self.bytes += piece.nbytes
        except OSError as error:
            self.close()
            raise no_room(error) from error
        return begins

    def read(self, begins: int, found: Numbers) -> None:
        """Fill `found` with what stands at `begins`; several threads may read, one after the other."""
        view = memoryview(found.data).cast("B")
        with self._turn:
            self._file.seek(begins)
            while len(view) and (count := self._file.readinto(view)):
                view = view[count:]
        if len(view):
            raise DataError("A temporary file was cut short.", found=f"{len(view)} bytes too few", do="Run it again.")

    def close(self) -> None:
        """Remove the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def no_room(error: OSError) -> DataError:
    """Return what to say where temporary files cannot be written."""
    folder = tempfile.gettempdir()
    return DataError(
        "Rows that do not fit into memory cannot be written to temporary files.", where=folder, found=error,
        allowed="a folder with room for about 24 bytes a row",
        do="Name another folder in TMPDIR, make room there, or allow more memory (memory=...).",
    )  # fmt: skip


def in_bytes(memory: str | int | None, otherwise: int) -> int:
    """Read an amount of memory such as `2GB` or `500MB`; a plain number is bytes.

    Raises
    ------
    ConfigError : it cannot be read.
    """
    if memory is None:
        return otherwise
    text = str(memory).strip().upper().removesuffix("B")
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
    unit = next((unit for unit in ("KI", "MI", "GI", "K", "M", "G") if text.endswith(unit)), "")
    try:
        amount = int(float(text.removesuffix(unit)) * factor.get(unit, 1))
    except ValueError:
        amount = -1
    if amount < 1:
        raise ConfigError(
            "This is not an amount of memory.", where="memory", found=memory, allowed="500MB, 2GB, or bytes",
            do="Write a number with its unit.",
        )  # fmt: skip
    return amount
