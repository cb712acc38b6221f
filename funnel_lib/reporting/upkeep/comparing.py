"""Which numbers of two reports differ, and what else differs that can have moved them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from funnel_lib.reporting.values import Number

Cause = Literal["data", "definition", "code"]
EXACT = 1e-9
# Where a manifest says what a report was made from, by what a change of it means to a reader.
CAUSES: Mapping[Cause, tuple[tuple[str, ...], ...]] = {
    "data": (("slice", "tables"),),
    "definition": (
        ("report",), ("period",), ("params", "segment"), ("params", "as_of"), ("config_sha256",), ("benchmarks",)
    ),
    "code": (
        ("code", "package_sha256"), ("code", "notebook_sha256"), ("env", "lock_sha256"), ("env", "packages"),
        ("env", "python"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Move:
    """A number of a report, as it was and as it is; None where the report did not state it or could not."""

    number: str
    old: Number
    new: Number

    def plain(self) -> dict[str, Number | str]:
        """Return the move as plain values for JSON."""
        return {"number": self.number, "old": self.old, "new": self.new}


def moves(old: Mapping[str, Number], new: Mapping[str, Number], tolerance: float = EXACT) -> list[Move]:
    """Return the numbers that differ by more than `tolerance` (a share of the larger one), by name.

    A number that only one of the two states has moved; one that neither could compute has not.
    """
    names = sorted({*old, *new})
    pairs = ((name, _known(old.get(name)), _known(new.get(name))) for name in names)
    return [Move(name, before, now) for name, before, now in pairs if not _equal(before, now, tolerance)]


def causes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[Cause, list[str]]:
    """Return what differs in two manifests, by cause: the names of the manifests' entries; no cause without any."""
    found: dict[Cause, list[str]] = {}
    for cause, places in CAUSES.items():
        for place in places:
            before, now = _at(old, place), _at(new, place)
            if before != now:
                found.setdefault(cause, []).extend(_differing(".".join(place), before, now))
    return found


def metrics_of(path: Path) -> dict[str, Number] | None:
    """Return the numbers of a report's `metrics.json`; None where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _known(number: Number) -> Number:
    return None if number is None or (isinstance(number, float) and math.isnan(number)) else number


def _equal(old: Number, new: Number, tolerance: float) -> bool:
    if old is None or new is None:
        return old == new
    return old == new or abs(old - new) <= tolerance * max(abs(old), abs(new))


def _at(manifest: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    found: Any = manifest
    for name in place:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _differing(name: str, old: Any, new: Any) -> list[str]:
    """Name the entries of two mappings that differ; of anything else, the place itself."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [f"{name}.{key}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return [name]
