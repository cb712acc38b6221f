"""Run the notebooks of a workbook into published reports: only what changed, never a half-made one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from funnel_lib import config
from funnel_lib.collection import quality
from funnel_lib.config import Workbook
from funnel_lib.errors import DataError, FunnelError
from funnel_lib.reporting import execute, kernels
from funnel_lib.reporting.execute import Order
from funnel_lib.reporting.manifest import State
from funnel_lib.reporting.plan import Job, plan
from funnel_lib.reporting.publish import Desk

Progress = Callable[[str, float], None]
LOCK_WAIT = 900.0
CHANGED = "The workbook has changed since the data was collected; collect again if sources or cleaning changed."


@dataclass(frozen=True)
class Made:
    """What became of one report of a run; `skipped` means that the published one is still current."""

    job: Job
    status: Literal["ok", "failed", "no data", "skipped"]
    reason: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class RunResult:
    """What a run did: where the reports lie, what became of each, and what its user should know."""

    workbook: str
    folder: Path
    reports: tuple[Made, ...]
    remark: str | None = None

    @property
    def index(self) -> Path:
        """The catalogue of all reports."""
        return self.folder / "index.html"

    @property
    def exit_code(self) -> int:
        """0 done, 1 a report failed, 2 a report had no data and none failed, 3 every report was current."""
        found = {made.status for made in self.reports}
        return 1 if "failed" in found else 2 if "no data" in found else 3 if found <= {"skipped"} else 0

    def plain(self) -> dict[str, Any]:
        """Return the result as plain values for JSON; paths are relative to the folder of the reports."""
        reports = [
            {
                "report": made.job.report, "period": made.job.period, "segment": made.job.segment,
                "language": made.job.language, "status": made.status, "reason": made.reason,
                "seconds": round(made.seconds, 3), "path": made.job.path,
            }
            for made in self.reports
        ]  # fmt: skip
        found = {
            "workbook": self.workbook,
            "folder": str(self.folder),
            "exit_code": self.exit_code,
            "remark": self.remark,
        }
        return {**found, "reports": reports}


def run(
    workbook: str | Path | Workbook, *, report: str | None = None, period: str | None = None,
    segment: str | None = None, language: str | None = None, workers: int = 2, force: bool = False,
    keep_going: bool = True, progress: Progress | None = None, as_of: datetime | None = None,
) -> RunResult:  # fmt: skip
    """Make the planned reports that are not current, publish them and renew the catalogue.

    Each report is written aside, checked and moved into place. A failing one leaves the last good one as it is,
    puts a page beside it that says why, and does not stop the others.

    Parameters
    ----------
    workbook : the workbook's file, or what `load` gave.
    report, period, segment, language : limit the run to one of each (see `plan`).
    workers : how many reports are made at a time.
    force : make current reports again, too.
    keep_going : whether the run goes on after a report has failed.
    progress : told what is being done and which share of the reports is done.
    as_of : time from which the data is looked at (of the business zone where it names none); the time of the
        newest row when None.

    Raises
    ------
    ConfigError : a name is unknown, or a notebook cannot take the parameters.
    DataError : nothing was collected, the period holds no data, or the data is not good enough to publish.
    FunnelError : the reports' folder cannot be written, or another run keeps it locked.
    """
    desk = _desk(workbook, as_of)
    jobs = plan(desk.workbook, desk.facts, report=report, period=period, segment=segment, language=language)
    tell = progress or (lambda _what, _share: None)
    made: list[Made] = []
    with _locked(desk.folder, tell):
        pending = [job for job in jobs if force or desk.state(job) not in ("current", "provisional")]
        try:
            for report_made in _make(desk, pending, workers=max(1, workers), keep_going=keep_going, tell=tell):
                made.append(report_made)  # noqa: PERF402 - those made before an interruption count, too
        finally:
            if made or not pending:
                desk.renew_index()
    made += [Made(job, "skipped") for job in jobs if job not in pending]
    reports = tuple(sorted(made, key=lambda m: jobs.index(m.job)))
    return RunResult(desk.workbook.name, desk.folder, reports, CHANGED if desk.changed else None)


def status(workbook: str | Path | Workbook, *, as_of: datetime | None = None) -> list[tuple[Job, State]]:
    """Return how each planned report stands, oldest period first.

    Raises
    ------
    ConfigError : the workbook cannot be used, or a notebook cannot take the parameters.
    DataError : nothing was collected.
    """
    desk = _desk(workbook, as_of)
    return [(job, desk.state(job)) for job in plan(desk.workbook, desk.facts)]


def _desk(workbook: str | Path | Workbook, as_of: datetime | None) -> Desk:
    book = workbook if isinstance(workbook, Workbook) else config.load(workbook)
    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=book.zone)
    return Desk.open(book, as_of=as_of, start=datetime.now(UTC))


def _make(desk: Desk, jobs: list[Job], *, workers: int, keep_going: bool, tell: Progress) -> Iterator[Made]:
    """Make the reports and publish each as it ends."""
    if not jobs:
        return
    context = kernels.start_warm()  # its imports go on while the data is judged
    tell("quality", 0.0)
    desk = desk.graded(_good_enough(desk))
    done, now = 0, dict[Job, None]()

    def started(order: Order) -> None:
        now[order.job] = None
        tell("; ".join(job.label for job in now), done / len(jobs))

    with desk.making(jobs) as orders:
        for order, outcome in execute.make_all(orders, context, workers=workers, started=started):
            desk.publish(order, outcome)
            yield Made(order.job, outcome.status, outcome.reason, outcome.seconds)
            done += 1
            del now[order.job]
            tell("; ".join(job.label for job in now) or "index", done / len(jobs))
            if outcome.status == "failed" and not keep_going:
                return


def _good_enough(desk: Desk) -> str:
    """Return the quality grade of the collected data; raises DataError where it is too poor to publish."""
    found = quality.checks(desk.store, desk.workbook)
    grade = quality.grade(found)
    if grade != "fail":
        return grade
    fatal = found[~found["passed"].astype(bool) & (found["severity"] == "fatal")]
    faults = "; ".join(f"{row.check} {row.found:g} (allowed {row.allowed:g})" for row in fatal.itertuples())
    raise DataError(
        "The data is not good enough to publish; the last good reports stay as they are.", where=desk.store.folder.name,
        found=faults or "grade fail", allowed="no fatal fault",
        do="See what is wrong with: funnel check WORKBOOK; mend the exports and collect again.",
    )  # fmt: skip


@contextmanager
def _locked(folder: Path, tell: Progress) -> Iterator[None]:
    """Keep the folder of reports for this run alone; wait for another run, and say so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell("waiting for another run in this folder", 0.0)
            lock.acquire(timeout=LOCK_WAIT)
    except Timeout as error:
        raise FunnelError(
            "Another run is still working on these reports.", where=folder.name,
            found=f"locked for {LOCK_WAIT:g} seconds", do="Wait until it has ended, then run again.",
        ) from error  # fmt: skip
    except OSError as error:
        raise FunnelError(
            "The reports' folder cannot be written.", where=folder, found=error.strerror or error,
            allowed="a folder that you may write to", do="Change its permissions, or remove what is in the way.",
        ) from error  # fmt: skip
    try:
        yield
    finally:
        lock.release()
