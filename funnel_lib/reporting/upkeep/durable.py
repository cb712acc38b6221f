"""What is published lies on the disk itself before it is called published: a power cut takes none of it back.

The system may write a renamed file's name before its content. So the contents are written out first, then the rename,
then the folder that holds the name.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def renamed(old: Path, new: Path) -> None:
    """Give a file, or a folder with its files, another name, each on the disk before its name is.

    Raises
    ------
    OSError : it cannot be written or renamed; then it has the old name still.
    """
    for path in sorted(old.iterdir()) if old.is_dir() else [old]:
        if path.is_file():
            _written(path)
    names(old)
    old.replace(new)
    names(new.parent)


def names(folder: Path) -> None:
    """Write a folder's list of names to the disk, where the system can do so; nothing happens for a file."""
    if folder.is_dir() and sys.platform != "win32":
        with suppress(OSError):  # some file systems write names at once and refuse
            _written(folder)


def _written(path: Path) -> None:
    number = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(number)
    finally:
        os.close(number)
