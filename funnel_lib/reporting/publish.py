"""The desk that reports go over: what is current, what a run is given, and how a report gets to its place.

Below ``reports/<workbook>/<period>/<segment>/`` each report has its page, numbers, tables, executed notebook and
manifest side by side. A report that failed has ``<report>.<language>.failed.json`` there and its executed
notebook below ``failed/``; its page that says why stands at the report's own place, or, where the last good one
is there, beside it as ``….failed.html``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.reporting import index, kernels, manifest, pages, render
from funnel_lib.reporting.execute import Order, Outcome
from funnel_lib.reporting.index import Entry
from funnel_lib.reporting.manifest import Manifest, Origin, State
from funnel_lib.reporting.parts import Link
from funnel_lib.reporting.plan import NOTEBOOKS, Job, days_of
from funnel_lib.reporting.wording import Say

MAKING = ".making-"


@dataclass(frozen=True)
class Desk:
    """A workbook with its collected data and its folder of reports.

    Parameters
    ----------
    facts : what the store says about its data.
    as_of : aware time from which the data is looked at, or None for the time of its newest row.
    start : when the run began.
    grade : quality grade of the data, once it was judged.
    """

    workbook: Workbook
    store: Store
    facts: Mapping[str, Any]
    origin: Origin
    as_of: datetime | None
    start: datetime
    grade: str | None = None

    @classmethod
    def open(cls, workbook: Workbook, *, as_of: datetime | None, start: datetime) -> Desk:
        """Open the desk of `workbook`.

        Raises
        ------
        ConfigError : the workbook was not read from a file.
        DataError : nothing was collected.
        """
        store = Store(workbook.processed)
        facts = store.facts()
        return cls(workbook, store, facts, Origin.of(workbook, facts), as_of, start)

    @property
    def folder(self) -> Path:
        """Where the reports lie."""
        return self.workbook.reports_folder

    @property
    def changed(self) -> bool:
        """Whether the workbook file is another than when the data was collected."""
        return self.facts.get("workbook_sha256") not in (None, self.origin.config_sha256)

    def graded(self, grade: str) -> Desk:
        """Return the desk with the grade of its data."""
        return replace(self, grade=grade)

    def state(self, job: Job) -> State:
        """Return how a report stands."""
        return manifest.state(job, self.folder, self._key(job))

    def scope(self, job: Job) -> Scope:
        """Return the slice of the data that a report is about."""
        days = days_of(self.facts) or (date(1970, 1, 1), date(1970, 1, 1))
        through = self.facts.get("data_through")
        moment = self.as_of or (datetime.fromisoformat(through) if through else None)
        period = self.workbook.period(job.period, *days)
        return Scope(self.workbook, self.store, period, job.segment, job.language, moment)

    @contextmanager
    def making(self, jobs: Sequence[Job]) -> Iterator[list[Order]]:
        """Give an order for each job, with a folder of its own to write into; tidy up afterwards."""
        for left in self.folder.glob(f"{MAKING}*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        shelf = pages.Shelf(self.workbook, self._known(jobs), self.scope)
        with (
            TemporaryDirectory(prefix=MAKING, dir=self.folder, ignore_cleanup_errors=True) as aside,
            TemporaryDirectory(prefix="funnel-", ignore_cleanup_errors=True) as private,
        ):
            places = [(Path(aside) / str(number), Path(private) / str(number)) for number in range(len(jobs))]
            yield [self._order(job, *place, shelf) for job, place in zip(jobs, places, strict=True)]

    def publish(self, order: Order, outcome: Outcome) -> None:
        """Move a finished report to its place, or say there, or beside the last good one, why it failed."""
        target = self.folder / order.job.folder
        target.mkdir(parents=True, exist_ok=True)
        if outcome.status == "ok":
            self._publish_good(order, outcome, target)
        else:
            self._publish_failure(order, outcome, target)

    def renew_index(self) -> None:
        """Write the catalogue of all reports in the folder."""
        index.write_index([self._entry(record) for record in self._records()], self.folder, self.workbook)

    def _known(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs and all reports that lie in the folder, each once."""
        lying = {job.path: job for job in map(job_of, self._records())}
        return [job for _, job in sorted((lying | {job.path: job for job in jobs}).items())]

    def _order(self, job: Job, folder: Path, private: Path, shelf: pages.Shelf) -> Order:
        folder.mkdir()
        private.mkdir()
        path = Path(os.path.relpath(manifest.file_of(self.workbook), self.workbook.root)).as_posix()
        scope = self.scope(job)
        through = pages.data_day(scope, self.facts.get("data_through"))
        days = pages.period_days(scope.period) if through else {"name": job.period}
        described = {
            **manifest.describe(job, self.origin, self.facts, key=self._key(job), as_of=self.as_of),
            "workbook": self.workbook.name,
            "period": {**days, "timezone": self.workbook.timezone},
            "provisional": scope.provisional,
            "quality": {"grade": self.grade},
        }
        page = pages.page_facts(job, shelf, through)
        root, fork = self.workbook.root, kernels.can_fork()
        return Order(job, root, path, self.as_of, self.start, folder, private, page, described, fork)

    def _key(self, job: Job) -> str:
        return manifest.cache_key(job, self.origin, self.as_of)

    def _publish_good(self, order: Order, outcome: Outcome, target: Path) -> None:
        stem = order.job.stem
        record = order.folder / f"{stem}.manifest.json"
        files = [order.folder / name for name in outcome.outputs]
        manifest.write(manifest.completed(order.manifest, vars(outcome), order.start, files), record)
        before = manifest.read(target / record.name)
        for file in (*files, record):  # the manifest last: it vouches for the others
            file.replace(target / file.name)
        gone = {str(output["path"]) for output in before["outputs"]} - set(outcome.outputs) if before else set()
        for name in (*gone, f"{stem}.failed.html", f"{stem}.failed.json"):
            (target / name).unlink(missing_ok=True)
        for place in self._evidence(order.job):
            place.unlink(missing_ok=True)

    def _publish_failure(self, order: Order, outcome: Outcome, target: Path) -> None:
        job = order.job
        kept = (target / f"{job.stem}.manifest.json").is_file()
        page = order.folder / (f"{job.stem}.failed.html" if kept else f"{job.stem}.html")
        page.write_text(self._failure_page(order, outcome), encoding="utf-8")
        record = order.folder / f"{job.stem}.failed.json"
        manifest.write(manifest.completed(order.manifest, vars(outcome), order.start, [page]), record)
        evidence = self._evidence(job)
        for found, place in zip((order.folder / f"{job.stem}.ipynb", order.log), evidence, strict=True):
            if found.is_file() and found.stat().st_size:
                place.parent.mkdir(parents=True, exist_ok=True)
                found.replace(place)
        for file in (page, record):
            file.replace(target / file.name)

    def _evidence(self, job: Job) -> tuple[Path, Path]:
        """Return where the executed notebook and the log of a failed report are kept."""
        folder = self.folder / "failed" / job.folder
        return folder / f"{job.stem}.ipynb", folder / f"{job.stem}.log"

    def _failure_page(self, order: Order, outcome: Outcome) -> str:
        say, job = Say(order.job.language), order.job
        good = self._last_good(job)
        link = None
        if good is not None:
            words = say("Open the last good report, {period}", period=pages.period_title(good.period, job.language))
            link = Link(words, pages.way(job, good.path))
        facts = replace(
            order.page, languages=(), previous=None, next=None,
            run=[
                (say("Tried"), f"{order.start:%Y-%m-%d %H:%M} UTC"), (say("Notebook"), job.notebook.name),
                (say("Made from"), str(order.manifest["cache_key"])[:16]),
            ],
            footer=pages.footer(job.language, order.start, order.manifest["code"]),
        )  # fmt: skip
        return render.failure(facts, (outcome.reason or "").split("\n"), link)

    def _records(self) -> Iterator[Manifest]:
        """Yield the manifest of every report in the folder; that of a failure hides the last good one's."""
        for path in sorted(self.folder.glob("*/*/*.json")):
            failed = path.with_name(path.name.replace(".manifest.json", ".failed.json"))
            if path.name.endswith((".manifest.json", ".failed.json")) and (path == failed or not failed.is_file()):
                record = manifest.read(path)
                if record is not None and record.get("report") in NOTEBOOKS:
                    yield record

    def _last_good(self, job: Job) -> Job | None:
        """Return the newest report of the same kind that was made: at its own place, else of another period."""
        if (self.folder / job.folder / f"{job.stem}.manifest.json").is_file():
            return job
        alike = [
            record for record in self._records()
            if record["status"] == "ok" and record["report"] == job.report
            and record["params"]["segment"] == job.segment and record["params"]["language"] == job.language
        ]  # fmt: skip
        newest = max(alike, key=lambda record: str(record["period"].get("to", "")), default=None)
        return None if newest is None else job_of(newest)

    def _entry(self, record: Manifest) -> Entry:
        job, failed = job_of(record), record["status"] != "ok"
        scope = self.scope(job)
        good = self._last_good(job) if failed else None
        page = record["outputs"][0]["path"] if failed else Path(job.path).name
        return Entry(
            job.report,
            pages.report_title(job.report, job.language).text,
            job.period,
            job.segment,
            job.language,
            "failed" if failed else "provisional" if record["provisional"] else "ok",
            href=f"{job.folder}/{page}",
            segment_title=pages.segment_title(scope).text,
            last_day=pages.last_day(record["period"]),
            data_through=pages.data_day(scope, record["data_through"]),
            grade=record["quality"]["grade"] or "",
            headline=record["headline"],
            reason=(record["reason"] or "").split("\n")[0],
            last_good=good.path if good else "",
        )


def job_of(record: Manifest) -> Job:
    """Return the job that a manifest is the record of."""
    params = record["params"]
    return Job(
        record["report"],
        record["period"]["name"],
        params["segment"],
        params["language"],
        Path(record["code"]["notebook"]),
    )
