"""Make a published report again from its manifest, and compare it with what was published."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from funnel_lib import config
from funnel_lib.errors import ConfigError
from funnel_lib.reporting import execute, kernels, printing
from funnel_lib.reporting.execute import Limits, Order, Outcome
from funnel_lib.reporting.plan import Job, find_notebook
from funnel_lib.reporting.publish import Desk, job_of
from funnel_lib.reporting.upkeep import verifying
from funnel_lib.reporting.upkeep.comparing import Cause, Move, causes, metrics_of, moves
from funnel_lib.reporting.upkeep.restating import Published

Progress = Callable[[str, float], None]
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

    @property
    def reproduced(self) -> bool:
        """Whether every number came out as it was."""
        return self.reason is None and not self.moves

    def plain(self) -> dict[str, Any]:
        """Return the difference as plain values for JSON."""
        return {
            "old": self.old, "new": self.new, "moves": [move.plain() for move in self.moves],
            "causes": {cause: list(names) for cause, names in self.causes.items()}, "same_page": self.same_page,
            "reason": self.reason,
        }  # fmt: skip


def told(found: Sequence[Difference]) -> dict[str, Any]:
    """Return what was made again as plain values for JSON: counts, and those reports that differ in any way."""
    return {
        "reports": len(found),
        "reproduced": sum(one.reproduced for one in found),
        "same_pages": sum(one.same_page is True for one in found),
        "differences": [one.plain() for one in found if not (one.reproduced and one.same_page)],
    }


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
    [found] = rerun_all([path], workbook=workbook, limits=limits, workers=1)
    return found


def rerun_all(
    paths: Sequence[Path], *, workbook: Path | None = None, limits: Limits | None = None, workers: int = 2,
    progress: Progress | None = None,
) -> list[Difference]:  # fmt: skip
    """Make the reports of several manifests again, at most `workers` at a time; see `rerun`.

    What they have in common is looked at once: the workbook, its data and the grade. Returns the differences in the
    order of `paths`; `progress` is told which report was made and which share of all.

    Raises
    ------
    ConfigError, DataError : as for `rerun`; then no report is made.
    """
    together: dict[tuple[Path, str | None], list[_Asked]] = {}
    for path in paths:
        asked = _asked(path, workbook)
        together.setdefault((asked.workbook, asked.as_of), []).append(asked)
    desks = {key: _desk(*key, limits or Limits()) for key in together}
    found: dict[Path, Difference] = {}
    for key, some in together.items():
        for asked, made in _made_again(desks[key], some, workers):
            found[asked.path] = made
            if progress is not None:
                progress(asked.job.label, len(found) / len(paths))
    return [found[path] for path in paths]


def reports_in(folder: Path) -> list[Path]:
    """Return the manifests of all good reports in and below a folder, oldest names first.

    Raises
    ------
    ConfigError : there is none.
    """
    found = verifying.records_in(folder, f"*{MANIFEST}")
    if not found:
        raise _not_a_report(folder, "no manifest")
    return found


def _made_again(desk: Desk, some: Sequence[_Asked], workers: int) -> Iterator[tuple[_Asked, Difference]]:
    """Make reports of one desk again and yield each, compared, as it ends."""
    with (
        TemporaryDirectory(prefix="funnel-", ignore_cleanup_errors=True) as where,
        desk.making([asked.job_at(desk) for asked in some], Path(where)) as orders,
    ):
        ready = [_like_before(order, asked) for order, asked in zip(orders, some, strict=True)]
        whose = {order.folder: asked for order, asked in zip(ready, some, strict=True)}
        for order, outcome in execute.make_all(
            ready, kernels.start_warm(), workers=workers, started=lambda _order: None
        ):
            yield whose[order.folder], _compared(whose[order.folder], order, outcome)


def _like_before(order: Order, asked: _Asked) -> Order:
    """Return an order whose page offers what is printed of the published one."""
    page = manifest_of(asked.path).with_name(f"{asked.job.stem}.html")
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    for kind in printing.kinds_beside(page):
        name = f"{asked.job.stem}.{kind}"
        if f'href="{name}"' in text:
            shutil.copyfile(page.with_name(name), order.folder / name)
    start = datetime.fromisoformat(asked.published.manifest["timing"]["start"])
    return replace(order, before=asked.published, start=start)


def _compared(asked: _Asked, order: Order, outcome: Outcome) -> Difference:
    job, published = asked.job, asked.published
    metrics = metrics_of(order.folder / f"{job.stem}.metrics.json")
    differing = causes(published.manifest, order.manifest)
    if outcome.status != "ok" or metrics is None:
        return Difference(job.path, "made again", (), differing, None, outcome.reason or "No numbers were made.")
    old, new = manifest_of(asked.path).with_name(f"{job.stem}.html"), order.folder / f"{job.stem}.html"
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


@dataclass(frozen=True)
class _Asked:
    """A report that is to be made again: its file, what was published, its workbook's file, its job, its time."""

    path: Path
    published: Published
    workbook: Path
    job: Job
    as_of: str | None

    def job_at(self, desk: Desk) -> Job:
        """Return the job with the notebook of the workbook as it is now."""
        return replace(self.job, notebook=find_notebook(desk.workbook, self.job.report))


def _asked(path: Path, workbook: Path | None) -> _Asked:
    published = read(path)
    record = published.manifest
    above = manifest_of(path).resolve().parents  # reports/<workbook>/<period>/<segment>/
    file = workbook or (above[4] if len(above) > 4 else Path()) / str(record.get("file", ""))
    if not file.is_file():
        raise ConfigError(
            "The workbook of this report is not found.", where=path.name, found=record.get("file"),
            do="Name it: funnel rerun MANIFEST --workbook params/NAME.yml",
        )  # fmt: skip
    as_of = record["params"]["as_of"] if record.get("slice", {}).get("before") is None else None
    return _Asked(path, published, file.resolve(), job_of(record), as_of)


def _desk(workbook: Path, as_of: str | None, limits: Limits) -> Desk:
    """Open the desk that reports were made at, as of the same time, with the grade of its data."""
    moment = datetime.fromisoformat(as_of) if as_of else None
    desk = Desk.open(config.load(workbook), as_of=moment, start=datetime(1970, 1, 1, tzinfo=UTC))
    return replace(desk, limits=limits).judged()


def _same_page(old: Path, new: Path) -> bool | None:
    try:
        one, other = (_without_footer(path.read_text(encoding="utf-8")) for path in (old, new))
    except OSError:
        return None
    return one == other


def _without_footer(page: str) -> str:
    return re.sub(r"<footer>.*?</footer>", "", page, flags=re.DOTALL)
