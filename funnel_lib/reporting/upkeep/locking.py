"""One run at a time in a folder of reports: whoever waits is told who works, and a dead run keeps nobody out."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from funnel_lib.errors import FunnelError

LOCK, HOLDER = ".lock", ".lock.json"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what writing to an open file says, without the file's name


@dataclass(frozen=True)
class Holder:
    """The run that works, or has worked, on a folder: its machine, its process, when it began."""

    host: str
    pid: int
    since: str

    @classmethod
    def of(cls, folder: Path) -> Holder | None:
        """Return who has signed a folder; a run that ends in order takes its name away again."""
        try:
            return cls(**json.loads((folder / HOLDER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def __str__(self) -> str:
        """Say who it is."""
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def locked(
    folder: Path, *, start: datetime, wait: float, tell: Callable[[str, float], None]
) -> Iterator[Holder | None]:
    """Keep the folder of reports for this run alone; wait for another run, and say whose it is.

    The system frees the lock of a process that dies, so a stale one stops nobody; gives the run that left its name
    behind, which was killed.

    Parameters
    ----------
    start : when this run began.
    wait : seconds to wait for another run.

    Raises
    ------
    FunnelError : the folder cannot be written, or another run still works on it after `wait` seconds.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell(f"waiting for another run in this folder ({Holder.of(folder) or 'unknown'})", 0.0)
            lock.acquire(timeout=wait)
    except Timeout as error:
        raise FunnelError(
            "Another run is still working on these reports.", where=folder.name,
            found=f"locked for {wait:g} seconds by {Holder.of(folder) or 'an unknown process'}",
            do="Wait until it has ended, then run again.",
        ) from error  # fmt: skip
    except OSError as error:
        raise cannot_write(folder, error) from error
    left = Holder.of(folder)
    try:
        me = Holder(socket.gethostname(), os.getpid(), start.isoformat(timespec="seconds"))
        with suppress(OSError):  # a full disk; the lock itself holds
            (folder / HOLDER).write_text(json.dumps(asdict(me)), encoding="utf-8")
        yield left
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink()
        lock.release()


def stopped(folder: Path, error: OSError) -> FunnelError:
    """Return the error that says what stopped a run: the reports' folder, or whatever else it was about."""
    files = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    place = Path(os.path.abspath(folder))
    # What clears a folder away names what lies in it without the way to it.
    if any(len(file.parts) < 2 or Path(os.path.abspath(file)).is_relative_to(place) for file in files):
        return cannot_write(folder, error)
    if not files and error.errno in NO_ROOM:
        return cannot_write(folder, error)
    return FunnelError(
        "The run could not go on: the system refused something.", where=files[0] if files else None,
        found=f"{type(error).__name__}: {error.strerror or error}",
        do="Mend what it says, then run again; the reports that were made are published.",
    )  # fmt: skip


def cannot_write(folder: Path, error: OSError) -> FunnelError:
    """Return the error that says that reports cannot be written to `folder`, and why."""
    return FunnelError(
        "The reports' folder cannot be written.", where=folder,
        found=f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error,
        allowed="a folder that you may write to, with room for the reports",
        do="Change its permissions, make room, or remove what is in the way.",
    )  # fmt: skip
