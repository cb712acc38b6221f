"""Which old reports may go, and taking them away without leaving a link that leads nowhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from funnel_lib.errors import ConfigError
from funnel_lib.reporting import execute, manifest, pages, printing
from funnel_lib.reporting.execute import Outcome
from funnel_lib.reporting.manifest import Manifest
from funnel_lib.reporting.plan import Job, find_notebook
from funnel_lib.reporting.publish import Desk, job_of


@dataclass(frozen=True)
class Rule:
    """Which reports are old: of each kind, all but the newest `keep`, or those that ended more than `age` ago.

    Where both are given, a report must be old by both. Ages are counted back from the newest data, so that no
    clock that is wrong can remove a report.
    """

    keep: int | None = None
    age: timedelta | None = None

    def __post_init__(self) -> None:
        if self.keep is None and self.age is None:
            raise ConfigError(
                "Nothing says which reports are old.", where="--keep, --older", found="neither",
                allowed="--keep 12, --older 400d, or both", do="Name one of them.",
            )  # fmt: skip


def old(records: Sequence[Manifest], rule: Rule, today: date | None) -> list[Manifest]:
    """Return the manifests of reports that may go, oldest first: never the newest good one of its kind.

    A kind is a report for one segment in one language. Reports over the whole data are not old.
    """
    kinds: dict[tuple[str, str, str], list[Manifest]] = {}
    for record in records:
        params = record["params"]
        if pages.last_day(record["period"]) is not None and record["period"]["name"] != "all":
            kinds.setdefault((record["report"], params["segment"], params["language"]), []).append(record)
    found = []
    for same in kinds.values():
        newest = sorted(same, key=_end, reverse=True)
        good = next((record for record in newest if record["status"] == "ok"), None)
        for rank, record in enumerate(newest):
            many = rule.keep is None or rank >= rule.keep
            aged = rule.age is None or (today is not None and today - _end(record) > rule.age)
            if many and aged and record is not good:
                found.append(record)
    return sorted(found, key=lambda record: (_end(record), record["report"], str(record["params"])))


def prune(desk: Desk, rule: Rule, *, dry_run: bool = False) -> list[Job]:
    """Take old reports away with all of their files, and renew the pages that link to them; return which.

    The caller keeps the folder locked. Files of which no manifest knows stay.
    """
    through = desk.facts.get("data_through")
    today = datetime.fromisoformat(through).astimezone(desk.workbook.zone).date() if through else None
    jobs = [job_of(record) for record in old(list(desk.published()), rule, today)]
    if dry_run or not jobs:
        return jobs
    gone = {job.path for job in jobs}
    linking = [job_of(r) for r in desk.published() if r["status"] == "ok" and job_of(r).path not in gone]
    linking = [job for job in linking if _links(desk.folder / job.path, desk.folder) & gone]
    for job in jobs:
        _remove(desk, job)
    relink(desk, linking)
    desk.renew_index()
    return jobs


def relink(desk: Desk, jobs: Sequence[Job]) -> None:
    """Write the pages of published reports again, from their executed notebooks, with the links of today.

    The numbers, and what the manifests say, stay as they are.
    """
    import nbformat

    for job in jobs:
        good, _ = desk.records(job)
        source = desk.folder / job.folder / f"{job.stem}.ipynb"
        if good is None or not source.is_file():
            continue
        made_from = {key: value for key, value in good.items() if key not in manifest.MADE}
        again = replace(desk, start=datetime.fromisoformat(good["timing"]["start"]), trigger=good.get("trigger", ""))
        with again.making([replace(job, notebook=find_notebook(desk.workbook, job.report))]) as [order]:
            order = replace(order, manifest=made_from, before=None)
            notebook: Any = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
            for kind in printing.kinds_beside(desk.folder / job.path):
                name = f"{job.stem}.{kind}"
                shutil.copyfile(desk.folder / job.folder / name, order.folder / name)
            outputs, *_ = execute.write(order, notebook)
            slowest = tuple(good["timing"].get("slowest_cells", ()))
            again.publish(order, Outcome(
                "ok", good["timing"]["seconds"], None, good["headline"], outputs, tuple(good["restates"]), slowest
            ))  # fmt: skip


def _remove(desk: Desk, job: Job) -> None:
    """Take a report away, its manifest first: what is left of an interrupted removal is no report any more."""
    place = desk.folder / job.folder
    for record in (place / f"{job.stem}.manifest.json", place / f"{job.stem}.failed.json"):
        told = manifest.read(record)
        record.unlink(missing_ok=True)
        for output in told["outputs"] if told else []:
            (place / str(output["path"])).unlink(missing_ok=True)
    for end in (*printing.KINDS, "html", "failed.html"):
        (place / f"{job.stem}.{end}").unlink(missing_ok=True)
    for left in desk.evidence(job):
        left.unlink(missing_ok=True)
    for folder in (place, place.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder)


def _links(page: Path, top: Path) -> set[str]:
    """Return the paths below `top` to which a page links."""
    try:
        targets = re.findall(r'href="([^"#:]+)"', page.read_text(encoding="utf-8"))
    except OSError:
        return set()
    ways = ((page.parent / target).resolve() for target in targets)
    return {way.relative_to(top.resolve()).as_posix() for way in ways if way.is_relative_to(top.resolve())}


def _end(record: Manifest) -> date:
    return pages.last_day(record["period"]) or date.min
