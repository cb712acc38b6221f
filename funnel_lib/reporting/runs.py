"""Run the notebooks of a workbook into published reports: only what changed, never a half-made one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from funnel_lib import config
from funnel_lib.config import Workbook
from funnel_lib.errors import DataError
from funnel_lib.reporting import execute, kernels
from funnel_lib.reporting.execute import Limits, Order, Outcome
from funnel_lib.reporting.plan import Job, plan, span
from funnel_lib.reporting.publish import Desk
from funnel_lib.reporting.upkeep import pruning, spreading, standing
from funnel_lib.reporting.upkeep.locking import locked, stopped
from funnel_lib.reporting.upkeep.pruning import Rule
from funnel_lib.reporting.upkeep.standing import Standing

Progress = Callable[[str, float], None]
LOCK_WAIT = 900.0
CHANGED = "The workbook has changed since the data was collected; collect again if sources or cleaning changed."
KILLED = "The run before was killed ({holder}); what it had finished is published."


class Only(TypedDict, total=False):
    """Limits a run to one report, period, segment or language (see `plan`)."""

    report: str | None
    period: str | None
    segment: str | None
    language: str | None


@dataclass(frozen=True)
class Means:
    """With what reports are made, and when a run gives up.

    Parameters
    ----------
    executor : makes the reports instead of this machine's processes; its workers must be able to read the
        workbook's folder under the same path.
    limits : how long a report may take.
    keep_going : whether the run goes on after a report has failed.
    trigger : what started the run, for the manifests.
    paper : whether reports are printed to PDF, too, and their summaries drawn; a report that is current and not
        printed yet is then made again. Needs Chromium where the reports are made; without it they are published all
        the same.
    """

    executor: Executor | None = None
    limits: Limits = field(default_factory=Limits)
    keep_going: bool = True
    trigger: str = "manual"
    paper: bool = False


@dataclass(frozen=True)
class Made:
    """What became of one report; `skipped`: the published one is current; `planned`: a dry run would make it.

    `unprinted` is why a good report was not printed although it was asked for.
    """

    job: Job
    status: Literal["ok", "failed", "no data", "skipped", "planned"]
    reason: str | None = None
    seconds: float = 0.0
    restates: int = 0
    unprinted: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a run did: where the reports lie, what became of each, and what its user should know."""

    workbook: str
    folder: Path
    reports: tuple[Made, ...]
    remark: str | None = None
    fault: str | None = None

    @property
    def index(self) -> Path:
        """The catalogue of all reports."""
        return self.folder / "index.html"

    @property
    def exit_code(self) -> int:
        """0 done, 1 a report failed or was not printed, 2 one had no data and none failed, 3 all were current."""
        found = {made.status for made in self.reports}
        failed = "failed" in found or self.fault is not None or any(made.unprinted for made in self.reports)
        return 1 if failed else 2 if "no data" in found else 3 if found <= {"skipped"} else 0

    def plain(self) -> dict[str, Any]:
        """Return the result as plain values for JSON; paths are relative to the folder of the reports."""
        reports = [
            {
                "report": made.job.report, "period": made.job.period, "segment": made.job.segment,
                "language": made.job.language, "status": made.status, "reason": made.reason,
                "seconds": round(made.seconds, 3), "path": made.job.path, "restates": made.restates,
                "unprinted": made.unprinted or None,
            }
            for made in self.reports
        ]  # fmt: skip
        found = {
            "workbook": self.workbook, "folder": str(self.folder), "exit_code": self.exit_code,
            "remark": self.remark, "fault": self.fault,
        }  # fmt: skip
        return {**found, "reports": reports}


def run(
    workbook: str | Path | Workbook, *, force: bool = False, due: bool = False, dry_run: bool = False,
    workers: int = 2, means: Means = Means(), progress: Progress | None = None, as_of: datetime | None = None,
    **only: Unpack[Only],
) -> RunResult:  # fmt: skip
    """Make the planned reports that are not current, publish them and renew the catalogue.

    Each report is written aside, checked and moved into place. A failing one leaves the last good one as it is,
    puts a page beside it that says why, and does not stop the others.

    Parameters
    ----------
    workbook : the workbook's file, or what `load` gave.
    force : make current reports again, too.
    due : only reports whose period has ended.
    dry_run : only say what would be made and why.
    workers : how many reports are made at a time on this machine.
    means : with what reports are made.
    progress : told what is being done and which share of the reports is done.
    as_of : time from which the data is looked at (of the business zone where it names none); the time of the
        newest row when None.
    only : limit the run to one report, period, segment or language.

    Raises
    ------
    ConfigError : a name is unknown, or a notebook cannot take the parameters.
    DataError : nothing was collected, the period holds no data, or the data is not good enough to publish.
    FunnelError : the reports' folder cannot be written, or another run keeps it locked.
    """
    desk = replace(_desk(workbook, as_of), trigger=means.trigger, limits=means.limits, paper=means.paper)
    jobs = plan(desk.workbook, desk.facts, **only)
    if due:
        jobs = [job for job in jobs if standing.ended(desk, job, desk.start)]
    if dry_run:
        return _planned(desk, jobs, force=force)
    return _run(desk, jobs, workers=workers, means=means, force=force, tell=progress or _silent)


def backfill(
    workbook: str | Path | Workbook, first: str, last: str, *, force: bool = False, dry_run: bool = False,
    workers: int = 2, means: Means = Means(trigger="backfill"), progress: Progress | None = None, **only: Unpack[Only],
) -> RunResult:  # fmt: skip
    """Make the reports of all periods from `first` to `last`, oldest first; see `run`.

    What an interrupted backfill has made is current and is not made again. Periods without data are left out.

    Raises
    ------
    ConfigError, FunnelError : as for `run`; also where `first` lies after `last`.
    DataError : as for `run`; also where no period of these holds data.
    """
    desk = replace(_desk(workbook, None), trigger=means.trigger, limits=means.limits, paper=means.paper)
    jobs: list[Job] = []
    for name in span(desk.workbook, desk.facts, first, last):
        limits: Only = {**only, "period": name}
        found = plan(desk.workbook, desk.facts, **limits)
        jobs += [job for job in found if job not in jobs]
    if dry_run:
        return _planned(desk, jobs, force=force)
    return _run(desk, jobs, workers=workers, means=means, force=force, tell=progress or _silent)


def status(workbook: str | Path | Workbook, *, as_of: datetime | None = None, **only: Unpack[Only]) -> list[Standing]:
    """Return how each planned report stands, oldest period first.

    Raises
    ------
    ConfigError : the workbook cannot be used, or a notebook cannot take the parameters.
    DataError : nothing was collected.
    """
    desk = _desk(workbook, as_of)
    return standing.standings(desk, plan(desk.workbook, desk.facts, **only))


def prune(workbook: str | Path | Workbook, rule: Rule, *, dry_run: bool = False) -> list[Job]:
    """Take old reports away and renew catalogue and links; return which; a dry run takes none away.

    Raises
    ------
    ConfigError : the workbook cannot be used.
    DataError : nothing was collected.
    FunnelError : the reports' folder cannot be written, or a run keeps it locked.
    """
    desk = _desk(workbook, None)
    if dry_run:
        return pruning.prune(desk, rule, dry_run=True)
    with locked(desk.folder, start=desk.start, wait=LOCK_WAIT, tell=_silent):
        try:
            desk.repair()
            return pruning.prune(desk, rule)
        except OSError as error:
            raise stopped(desk.folder, error) from error


def _silent(_what: str, _share: float) -> None:
    """Tell nobody."""


def _desk(workbook: str | Path | Workbook, as_of: datetime | None) -> Desk:
    book = workbook if isinstance(workbook, Workbook) else config.load(workbook)
    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=book.zone)
    return Desk.open(book, as_of=as_of, start=datetime.now(UTC))


def _planned(desk: Desk, jobs: Sequence[Job], *, force: bool) -> RunResult:
    """Say which reports a run would make, and how these stand now."""
    made = [
        Made(
            one.job,
            "planned" if force or one.pending or standing.unprinted(desk, one.job) else "skipped",
            ": ".join(filter(None, [one.state, *one.why])),
        )
        for one in standing.standings(desk, jobs)
    ]
    return RunResult(desk.workbook.name, desk.folder, tuple(made), CHANGED if desk.changed else None)


def _run(
    desk: Desk, jobs: Sequence[Job], *, workers: int, means: Means, force: bool, tell: Progress
) -> RunResult:  # fmt: skip
    """Make the reports among `jobs` that are not current."""
    made: list[Made] = []
    pending: list[Job] | None = None
    fault = None
    with locked(desk.folder, start=desk.start, wait=LOCK_WAIT, tell=tell) as killed:
        try:
            desk.repair()
            pending = [j for j in jobs if force or desk.state(j) not in standing.SETTLED or standing.unprinted(desk, j)]
            for report_made in _make(desk, pending, workers=workers, means=means, tell=tell):
                made.append(report_made)  # noqa: PERF402 - those made before an interruption count, too
        except OSError as error:
            raise stopped(desk.folder, error) from error
        finally:
            if made or pending == [] or killed:
                fault = _renew(desk)
    made += [Made(job, "skipped") for job in jobs if job not in pending]
    reports = tuple(sorted(made, key=lambda m: jobs.index(m.job)))
    remarks = [CHANGED if desk.changed else None, KILLED.format(holder=killed) if killed else None]
    return RunResult(desk.workbook.name, desk.folder, reports, "\n".join(filter(None, remarks)) or None, fault)


def _renew(desk: Desk) -> str | None:
    """Renew the catalogue; return what kept it from being written: the old one then stays."""
    try:
        desk.renew_index()
    except OSError as error:
        return f"The catalogue could not be renewed: {error.strerror or error}."
    return None


def _make(desk: Desk, jobs: list[Job], *, workers: int, means: Means, tell: Progress) -> Iterator[Made]:
    """Make the reports and publish each as it ends."""
    if not jobs:
        return
    if means.executor is None:
        kernels.start_warm()  # its imports go on while the data is judged
    tell("quality", 0.0)
    desk = _good_enough(desk)
    done, now = 0, dict[Job, None]()

    def started(order: Order) -> None:
        now[order.job] = None
        tell("; ".join(job.label for job in now), done / len(jobs))

    with desk.making(jobs) as orders:
        if means.executor is not None:
            ends = spreading.make_all(orders, means.executor, started=started)
        else:
            ends = execute.make_all(orders, kernels.start_warm(), workers=max(1, workers), started=started)
        for order, outcome in ends:
            report = _published(desk, order, outcome)
            yield report
            done += 1
            del now[order.job]
            tell("; ".join(job.label for job in now) or "index", done / len(jobs))
            if report.status == "failed" and not means.keep_going:
                return


def _published(desk: Desk, order: Order, outcome: Outcome) -> Made:
    """Publish a report, or say why it failed; where even that cannot be written, the run still knows it."""
    try:
        desk.publish(order, outcome)
    except OSError as error:
        outcome = Outcome("failed", outcome.seconds, f"The report could not be written: {error.strerror or error}.")
        with suppress(OSError):
            desk.publish(order, outcome)
    return Made(order.job, outcome.status, outcome.reason, outcome.seconds, len(outcome.restates), outcome.unprinted)


def _good_enough(desk: Desk) -> Desk:
    """Return the desk with the grade of the collected data; raises DataError where it is too poor to publish."""
    judged = desk.judged()
    if judged.grade != "fail":
        return judged
    fatal = [one for one in judged.checks if not one["passed"] and one["severity"] == "fatal"]
    faults = "; ".join(f"{one['check']} {one['found']:g} (allowed {one['allowed']:g})" for one in fatal)
    raise DataError(
        "The data is not good enough to publish; the last good reports stay as they are.", where=desk.store.folder.name,
        found=faults or "grade fail", allowed="no fatal fault",
        do="See what is wrong with: funnel check WORKBOOK; mend the exports and collect again.",
    )  # fmt: skip
