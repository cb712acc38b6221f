"""The desk that reports go over: what is current, what a run is given, and how a report gets to its place.

Below ``reports/<workbook>/<period>/<segment>/`` each report has its page, numbers, tables, executed notebook and
manifest side by side. A report that failed has ``<report>.<language>.failed.json`` there and its executed
notebook below ``failed/``; its page that says why stands at the report's own place, or, where the last good one
is there, beside it as ``….failed.html``.

A report is written aside, in a folder ``.making-…``. When it is whole, one rename makes that folder ``.ready-…``: from
then on it is published, and whoever is interrupted while its files move to their places is followed by a run that
moves the rest (`Desk.repair`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from funnel_lib.collection import quality
from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.periods import Period
from funnel_lib.reporting import index, kernels, manifest, pages, printing, render
from funnel_lib.reporting.execute import Limits, Order, Outcome
from funnel_lib.reporting.index import Entry
from funnel_lib.reporting.manifest import Manifest, Origin, State
from funnel_lib.reporting.parts import Link
from funnel_lib.reporting.plan import NOTEBOOKS, Job, days_of
from funnel_lib.reporting.upkeep import durable
from funnel_lib.reporting.upkeep.restating import Published
from funnel_lib.reporting.upkeep.slices import Slices, settled_at, table_hashes
from funnel_lib.reporting.wording import Say

MAKING, READY, PLACE = ".making-", ".ready-", "place.json"
# Reports on a period alone: the others look at the whole data, whatever period they are asked for.
OF_PERIODS = ("segmentation", "conversion")


@dataclass(frozen=True)
class Desk:
    """A workbook with its collected data and its folder of reports.

    Parameters
    ----------
    facts : what the store says about its data.
    as_of : aware time from which the data is looked at, or None for the time of its newest row.
    start : when the run began.
    grade, checks : quality grade of the data and what was checked, once it was judged.
    trigger : what started the run.
    limits : how long a report may take.
    paper : whether reports are printed, too.
    """

    workbook: Workbook
    store: Store
    facts: Mapping[str, Any]
    origin: Origin
    as_of: datetime | None
    start: datetime
    grade: str | None = None
    checks: tuple[Mapping[str, Any], ...] = ()
    trigger: str = "manual"
    limits: Limits = field(default_factory=Limits)
    paper: bool = False

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

    def judged(self) -> Desk:
        """Return the desk with the grade of its data and what was checked."""
        found = quality.checks(self.store, self.workbook)
        return replace(self, grade=quality.grade(found), checks=tuple(json.loads(found.to_json(orient="records"))))

    def state(self, job: Job) -> State:
        """Return how a report stands."""
        return manifest.state(job, self.folder, self._key(job))

    def records(self, job: Job) -> tuple[Manifest | None, Manifest | None]:
        """Return the manifests of a report's last good version and of its failure, where there are such."""
        place = self.folder / job.folder
        return manifest.read(place / f"{job.stem}.manifest.json"), manifest.read(place / f"{job.stem}.failed.json")

    def scope(self, job: Job) -> Scope:
        """Return the slice of the data that a report is about."""
        moment = self._as_of(job) or self._through
        return Scope(self.workbook, self.store, self._period(job), job.segment, job.language, moment)

    def described(self, job: Job) -> Manifest:
        """Return what a report would be made from now."""
        scope, as_of = self.scope(job), self._as_of(job)
        days = pages.period_days(scope.period) if self._through else {"name": job.period}
        told = manifest.describe(job, self._origin(job), self.facts, key=self._key(job), as_of=as_of)
        cut = self._cut(job)
        return {
            **told,
            "workbook": self.workbook.name,
            "file": self._file,
            "period": {**days, "timezone": self.workbook.timezone},
            "slice": {"before": cut.isoformat() if cut else None, **told["slice"]},
            "provisional": scope.provisional,
            "quality": {"grade": self.grade, "checks": list(self.checks)},
        }

    def repair(self) -> int:
        """Finish what an interrupted run had begun to publish, clear away the rest; return how many were finished."""
        for left in self.folder.glob(f"{MAKING}*"):
            shutil.rmtree(left, ignore_errors=True)
        ready = sorted(self.folder.glob(f"{READY}*"))
        for folder in ready:
            self._move(folder)
        return len(ready)

    @contextmanager
    def making(self, jobs: Sequence[Job], where: Path | None = None) -> Iterator[list[Order]]:
        """Give an order for each job, with a folder of its own (below `where`) to write into; tidy up afterwards.

        What is to be published is made in the desk's own folder, the default, whose files can be renamed into place.
        """
        shelf = pages.Shelf(self.workbook, self._known(jobs), self.scope)
        with (
            TemporaryDirectory(prefix=MAKING, dir=where or self.folder, ignore_cleanup_errors=True) as aside,
            TemporaryDirectory(prefix="funnel-", ignore_cleanup_errors=True) as private,
        ):
            places = [(Path(aside) / str(number), Path(private) / str(number)) for number in range(len(jobs))]
            yield [self._order(job, *place, shelf) for job, place in zip(jobs, places, strict=True)]

    def publish(self, order: Order, outcome: Outcome) -> None:
        """Move a finished report to its place, or say there, or beside the last good one, why it failed."""
        target = self.folder / order.job.folder
        if outcome.status == "ok":
            self._publish_good(order, outcome, target)
        else:
            self._publish_failure(order, outcome, target)

    def renew_index(self) -> None:
        """Write the catalogue of all reports in the folder."""
        index.write_index([self._entry(record) for record in self.published()], self.folder, self.workbook)

    def _known(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs and all reports that lie in the folder, each once."""
        lying = {job.path: job for job in map(job_of, self.published())}
        return [job for _, job in sorted((lying | {job.path: job for job in jobs}).items())]

    def _order(self, job: Job, folder: Path, private: Path, shelf: pages.Shelf) -> Order:
        folder.mkdir()
        private.mkdir()
        through = pages.data_day(self.scope(job), self.facts.get("data_through"))
        page = pages.page_facts(job, shelf, through)
        before = Published.at(self.folder / job.folder, job.stem)
        return Order(
            job, self.workbook.root, self._file, self._as_of(job), self.start, folder, private, page,
            self.described(job), kernels.can_fork(), self.limits, before, self.workbook.rules.restated,
            self.paper,
        )  # fmt: skip

    @property
    def _file(self) -> str:
        """The workbook's file as seen from its root."""
        return Path(os.path.relpath(manifest.file_of(self.workbook), self.workbook.root)).as_posix()

    @property
    def _through(self) -> datetime | None:
        through = self.facts.get("data_through")
        return datetime.fromisoformat(through).astimezone(UTC) if through else None

    def _period(self, job: Job) -> Period:
        return self.workbook.period(job.period, *(days_of(self.facts) or (date(1970, 1, 1), date(1970, 1, 1))))

    def _cut(self, job: Job) -> datetime | None:
        """Return the moment at which a report was settled; None while the newest rows still belong to it."""
        if self.as_of is not None or self._through is None or job.report not in OF_PERIODS:
            return None
        settled = settled_at(self.workbook, self._period(job))
        return settled.astimezone(UTC) if settled is not None and settled <= self._through else None

    def _as_of(self, job: Job) -> datetime | None:
        return self.as_of or self._cut(job)

    @cached_property
    def _slices(self) -> dict[datetime, dict[str, str]]:
        """What tells the data before each moment at which a report was settled, as far as asked for."""
        return {}

    def _origin(self, job: Job) -> Origin:
        """Return the origin of one report: with the tables as far as the report looks at them."""
        cut = self._cut(job)
        if cut is None:
            return self.origin
        if cut not in self._slices:  # those of all periods in one pass
            names = self.workbook.reporting_periods(*days) if (days := days_of(self.facts)) else []
            cuts = {cut, *(self._cut(replace(job, period=period.name)) for period in names)}
            slices = Slices(self.store, table_hashes(self.facts), self.folder)
            self._slices.update(slices.all_before(found for found in cuts if found is not None))
        return replace(self.origin, tables=self._slices[cut])

    def _key(self, job: Job) -> str:
        return manifest.cache_key(job, self._origin(job), self._as_of(job))

    def _publish_good(self, order: Order, outcome: Outcome, target: Path) -> None:
        stem = order.job.stem
        files = [order.folder / name for name in outcome.outputs]
        made = manifest.completed(order.manifest, vars(outcome), order.start, files)
        manifest.write({**made, "trigger": self.trigger}, order.folder / f"{stem}.manifest.json")
        before = manifest.read(target / f"{stem}.manifest.json")
        gone = {str(output["path"]) for output in before["outputs"]} - set(outcome.outputs) if before else set()
        names = [*outcome.outputs, f"{stem}.manifest.json"]  # the manifest last: it vouches for the others
        printed = {f"{stem}.{kind}" for kind in printing.KINDS} - set(outcome.outputs)  # of the report before
        self._place(order, names, {*gone, *printed, f"{stem}.failed.html", f"{stem}.failed.json"})
        for place in self.evidence(order.job):
            place.unlink(missing_ok=True)

    def _publish_failure(self, order: Order, outcome: Outcome, target: Path) -> None:
        job, stem = order.job, order.job.stem
        for found, place in zip((order.folder / f"{stem}.ipynb", order.log), self.evidence(job), strict=True):
            if found.is_file() and found.stat().st_size:
                place.parent.mkdir(parents=True, exist_ok=True)
                found.replace(place)
        for left in order.folder.iterdir():  # where the disk is full, the page that says so needs their room
            left.unlink()
        kept = (target / f"{stem}.manifest.json").is_file()
        page = order.folder / (f"{stem}.failed.html" if kept else f"{stem}.html")
        page.write_text(self._failure_page(order, outcome), encoding="utf-8")
        made = manifest.completed(order.manifest, vars(outcome), order.start, [page])
        manifest.write({**made, "trigger": self.trigger}, order.folder / f"{stem}.failed.json")
        self._place(order, [page.name, f"{stem}.failed.json"], set())

    def _place(self, order: Order, names: Sequence[str], gone: Iterable[str]) -> None:
        """Publish the named files of an order's folder, in one step, and take away those that are gone."""
        told = {"folder": order.job.folder, "files": list(names), "gone": sorted(gone)}
        (order.folder / PLACE).write_text(json.dumps(told), encoding="utf-8")
        ready = self.folder / f"{READY}{order.folder.parent.name.removeprefix(MAKING)}-{order.folder.name}"
        durable.renamed(order.folder, ready)  # from here on it is published
        self._move(ready)

    def _move(self, ready: Path) -> None:
        """Move what is ready to its place; what a run before has moved already is no longer there."""
        if not (ready / PLACE).is_file():  # all was moved, and the rest half cleared away
            shutil.rmtree(ready)
            return
        told = json.loads((ready / PLACE).read_text(encoding="utf-8"))
        target = self.folder / told["folder"]
        target.mkdir(parents=True, exist_ok=True)
        for name in told["files"]:
            if (ready / name).is_file():
                (ready / name).replace(target / name)
        for name in told["gone"]:
            (target / name).unlink(missing_ok=True)
        durable.names(target)
        shutil.rmtree(ready)

    def evidence(self, job: Job) -> tuple[Path, Path]:
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
        reason = (outcome.reason or "").split("\n")
        return render.failure(facts, reason, link, empty=outcome.status == "no data")

    def published(self) -> Iterator[Manifest]:
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
            record for record in self.published()
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
            record["status"] if failed else "provisional" if record["provisional"] else "ok",
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
    params, notebook = record["params"], Path(record["code"]["notebook"])
    return Job(record["report"], record["period"]["name"], params["segment"], params["language"], notebook)
