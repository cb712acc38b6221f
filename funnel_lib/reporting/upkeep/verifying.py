"""Whether the files of published reports are those that were published."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funnel_lib.errors import DataError
from funnel_lib.reporting import manifest


@dataclass(frozen=True)
class Verified:
    """What was found in a folder: how many reports and files, and what is wrong with which file."""

    reports: int
    files: int
    faults: tuple[tuple[str, str], ...]

    def plain(self) -> dict[str, Any]:
        """Return what was found as plain values for JSON."""
        faults = [{"file": file, "fault": fault} for file, fault in self.faults]
        return {"reports": self.reports, "files": self.files, "faults": faults}


def verify(folder: Path) -> Verified:
    """Compare all files of the reports in and below `folder` with the hashes in their manifests.

    Raises
    ------
    DataError : there is no report.
    """
    records = records_in(folder, "*.manifest.json", "*.failed.json")
    if not records:
        raise DataError(
            "There is no report in this folder.", where=folder, found="no manifest", allowed="a folder of reports",
            do="Name a folder such as reports/NAME.",
        )  # fmt: skip
    files, faults = 0, []
    for path in records:
        record = manifest.read(path)
        if record is None:
            faults.append((path.relative_to(folder).as_posix(), "the manifest cannot be read"))
            continue
        for output in record["outputs"]:
            files += 1
            file = path.parent / str(output["path"])
            fault = _fault(file, str(output["sha256"]))
            if fault:
                faults.append((file.relative_to(folder).as_posix(), fault))
    return Verified(len(records), files, tuple(faults))


def records_in(folder: Path, *patterns: str) -> list[Path]:
    """Return the published manifests in and below a folder whose names match, by pattern and name."""
    found = [path for pattern in patterns for path in sorted(folder.rglob(pattern))]
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _fault(file: Path, digest: str) -> str | None:
    try:
        same = hashlib.sha256(file.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if same else "is not the one that was published"
