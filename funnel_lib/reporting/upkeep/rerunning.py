"""Make a published report again from its manifest, and compare it with what was published."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from funnel_lib import config
from funnel_lib.errors import ConfigError
from funnel_lib.reporting import execute, kernels
from funnel_lib.reporting.execute import Limits
from funnel_lib.reporting.manifest import Manifest
from funnel_lib.reporting.plan import Job, find_notebook
from funnel_lib.reporting.publish import Desk
from funnel_lib.reporting.upkeep.comparing import Cause, Move, causes, metrics_of, moves
from funnel_lib.reporting.upkeep.restating import Published

MANIFEST = ".manifest.json"


@dataclass(frozen=True)
class Difference:
    """How two reports differ.

    Parameters
    ----------
    old, new : which reports, as their files are called.
    moves : the numbers that differ.
    causes : what else differs and can have moved them: entries of the manifests, by data, definition and code.
    same_page : whether the pages agree in every byte but those of the footer; None where they were not compared.
    reason : why the report could not be made again.
    """

    old: str
    new: str
    moves: tuple[Move, ...]
    causes: Mapping[Cause, Sequence[str]]
    same_page: bool | None = None
    reason: str | None = None

    @property
    def unexplained(self) -> bool:
        """Whether numbers moved although nothing that they are made from did, or the report could not be made."""
        return self.reason is not None or bool(self.moves and not self.causes)

    def plain(self) -> dict[str, Any]:
        """Return the difference as plain values for JSON."""
        return {
            "old": self.old, "new": self.new, "moves": [move.plain() for move in self.moves],
            "causes": {cause: list(names) for cause, names in self.causes.items()}, "same_page": self.same_page,
            "reason": self.reason,
        }  # fmt: skip


def rerun(path: Path, *, workbook: Path | None = None, limits: Limits | None = None) -> Difference:
    """Make the report of a manifest again, aside, from the data and the code as they are now, and compare it.

    Nothing is published. The report is made as of the same time, for the same segment and language.

    Parameters
    ----------
    path : the manifest, or another file of the report.
    workbook : the workbook's file, where it is not the one that the manifest names beside the reports.

    Raises
    ------
    ConfigError : this is no manifest of a report, or its workbook is not found.
    DataError : nothing was collected.
    """
    published = read(path)
    record = published.manifest
    desk, job = _desk(record, path, workbook)
    desk = replace(desk, limits=limits or Limits()).judged()
    with (
        TemporaryDirectory(prefix="funnel-", ignore_cleanup_errors=True) as where,
        desk.making([job], Path(where)) as orders,
    ):
        order = replace(orders[0], before=published)
        ended = execute.make_all([order], kernels.start_warm(), workers=1, started=lambda _order: None)
        [(_, outcome)] = list(ended)
        metrics = metrics_of(order.folder / f"{job.stem}.metrics.json")
        differing = causes(record, order.manifest)
        if outcome.status != "ok" or metrics is None:
            return Difference(job.path, "made again", (), differing, None, outcome.reason or "No numbers were made.")
        old, new = manifest_of(path).parent / f"{job.stem}.html", order.folder / f"{job.stem}.html"
        moved = tuple(moves(published.metrics, metrics))
        return Difference(job.path, "made again", moved, differing, _same_page(old, new))


def difference(old: Path, new: Path) -> Difference:
    """Return which numbers of two published reports differ, and whether data, definition or code do.

    Raises
    ------
    ConfigError : one of them is no report with its manifest and numbers.
    """
    before, now = read(old), read(new)
    pages = [manifest_of(path).with_name(_stem(path) + ".html") for path in (old, new)]
    moved = tuple(moves(before.metrics, now.metrics))
    return Difference(str(old), str(new), moved, causes(before.manifest, now.manifest), _same_page(*pages))


def manifest_of(path: Path) -> Path:
    """Return the manifest of a report that is named by any of its files, or by a folder that holds one report.

    Raises
    ------
    ConfigError : there is none, or the folder holds several.
    """
    if path.is_dir():
        found = sorted(path.glob(f"*{MANIFEST}"))
        if len(found) == 1:
            return found[0]
        raise _not_a_report(path, ", ".join(one.name for one in found) or "no manifest")
    if path.name.endswith(MANIFEST):
        return path
    return path.with_name(_stem(path) + MANIFEST)


def read(path: Path) -> Published:
    """Return the manifest and the numbers of a published report.

    Raises
    ------
    ConfigError : they are missing or damaged.
    """
    place = manifest_of(path)
    found = Published.at(place.parent, place.name.removesuffix(MANIFEST))
    if found is None or found.manifest.get("status") != "ok":
        raise _not_a_report(path, "no whole manifest with its numbers")
    return found


def _stem(path: Path) -> str:
    """Return the common name of a report's files, ``conversion.en`` of ``conversion.en.steps.csv``."""
    return ".".join(path.name.split(".")[:2])


def _not_a_report(path: Path, found: str) -> ConfigError:
    return ConfigError(
        "This is not a published report.", where=path, found=found,
        allowed=f"a file such as conversion.en{MANIFEST}, with the report's other files beside it",
        do="Name a manifest below reports/.",
    )  # fmt: skip


def _desk(record: Manifest, path: Path, workbook: Path | None) -> tuple[Desk, Job]:
    """Open the desk that the report was made at, as of the same time, and find its job."""
    above = manifest_of(path).resolve().parents  # reports/<workbook>/<period>/<segment>/
    file = workbook or (above[4] if len(above) > 4 else Path()) / str(record.get("file", ""))
    if not file.is_file():
        raise ConfigError(
            "The workbook of this report is not found.", where=path.name, found=record.get("file"),
            do="Name it: funnel rerun MANIFEST --workbook params/NAME.yml",
        )  # fmt: skip
    book = config.load(file)
    asked = record["params"]["as_of"] if record.get("slice", {}).get("before") is None else None
    as_of = datetime.fromisoformat(asked) if asked else None
    desk = Desk.open(book, as_of=as_of, start=datetime.fromisoformat(record["timing"]["start"]))
    report, params = record["report"], record["params"]
    notebook = find_notebook(book, report)
    return desk, Job(report, record["period"]["name"], params["segment"], params["language"], notebook)


def _same_page(old: Path, new: Path) -> bool | None:
    try:
        one, other = (_without_footer(path.read_text(encoding="utf-8")) for path in (old, new))
    except OSError:
        return None
    return one == other


def _without_footer(page: str) -> str:
    return re.sub(r"<footer>.*?</footer>", "", page, flags=re.DOTALL)
