"""`funnel run` and what goes with it: making reports, seeing how they stand, checking and clearing them."""

from __future__ import annotations

import json
import re
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import lazy_loader
import typer

from funnel_lib.cli import notifying
from funnel_lib.cli.options import Finished, WorkbookFile, argument, option
from funnel_lib.errors import ConfigError, NothingToDo
from funnel_lib.reporting import terminal

if TYPE_CHECKING:
    from funnel_lib import config, notation
    from funnel_lib.reporting import execute, runs
    from funnel_lib.reporting.upkeep import pruning, rerunning, scheduling, spreading, standing, verifying
else:  # the help must not wait for pandas
    config, notation, execute, runs, pruning, rerunning, scheduling, spreading, standing, verifying = (
        lazy_loader.load(f"funnel_lib.{name}", suppress_warning=True)
        for name in (
            "config", "notation", "reporting.execute", "reporting.runs", "reporting.upkeep.pruning",
            "reporting.upkeep.rerunning", "reporting.upkeep.scheduling", "reporting.upkeep.spreading",
            "reporting.upkeep.standing", "reporting.upkeep.verifying",
        )
    )  # fmt: skip

SIZES = {"MB": 10**6, "GB": 10**9}
LEAST = 100 * SIZES["MB"]

_Report = Annotated[str | None, option("Only this report, such as conversion.", "--report")]
_Segment = Annotated[str | None, option("Only this segment: all, or split=group.", "--segment")]
_Language = Annotated[str | None, option("Only this language: en or zh.", "--language")]
_Workers = Annotated[int, option("How many reports are made at a time.", "--workers", min=1, max=64)]
_Force = Annotated[bool, option("Make current reports again, too.", "--force")]
_Dry = Annotated[bool, option("Only say what would be done, and why.", "--dry-run")]
_Json = Annotated[bool, option("Print the result as JSON.", "--json")]
_Limit = Annotated[str, option("Longest time for one report, such as 30min.", "--limit", metavar="DURATION")]
_CellLimit = Annotated[str, option("Longest time for one cell.", "--cell-limit", metavar="DURATION")]
_MemoryLimit = Annotated[
    str | None,
    option("Most memory for the data of one report, such as 2GB; on Linux.", "--memory-limit", metavar="SIZE"),
]
_Pdf = Annotated[bool, option("Print what was made to PDF, and its summary to a picture; needs Chromium.", "--pdf")]
_Scheduler = Annotated[
    str | None, option("Spread the reports over the Dask cluster of this scheduler, such as tcp://host:8786.",
                       "--scheduler", metavar="ADDRESS")
]  # fmt: skip
_Made = Annotated[Path, argument("A manifest, any file of a report, or a folder of reports.", metavar="MANIFEST")]


def run(
    workbook: WorkbookFile,
    report: _Report = None,
    period: Annotated[
        str | None, option("Only this period: 2026-05, 2026-W21, 2026-Q2, 2026-05-01..2026-05-15, latest or all.")
    ] = None,
    segment: _Segment = None,
    language: _Language = None,
    due: Annotated[bool, option("Only reports whose period has ended.", "--due")] = False,
    dry_run: _Dry = False,
    force: _Force = False,
    workers: _Workers = 2,
    limit: _Limit = "30min",
    cell_limit: _CellLimit = "10min",
    memory_limit: _MemoryLimit = None,
    scheduler: _Scheduler = None,
    pdf: _Pdf = False,
    as_json: _Json = False,
) -> None:
    """Make the reports that are not current and publish them with their catalogue."""
    with ExitStack() as stack:
        stack.enter_context(notifying.telling_of_faults(workbook))
        means = _means(stack, (cell_limit, limit), memory_limit, scheduler, "due" if due else "manual")
        means = replace(means, paper=pdf)
        tell = stack.enter_context(terminal.progress())
        result = runs.run(
            workbook, report=report, period=period, segment=segment, language=language, workers=workers,
            force=force, due=due, dry_run=dry_run, means=means, progress=tell,
        )  # fmt: skip
    try:
        _show(result, as_json=as_json, due=due)
    finally:
        if not dry_run:
            notifying.after(workbook, result)


def backfill(
    workbook: WorkbookFile,
    first: Annotated[str, option("The oldest period, such as 2026-01.", "--from", metavar="PERIOD")],
    last: Annotated[str, option("The newest period, such as 2026-10.", "--to", metavar="PERIOD")],
    report: _Report = None,
    segment: _Segment = None,
    language: _Language = None,
    dry_run: _Dry = False,
    force: _Force = False,
    workers: _Workers = 2,
    limit: _Limit = "30min",
    cell_limit: _CellLimit = "10min",
    memory_limit: _MemoryLimit = None,
    scheduler: _Scheduler = None,
    as_json: _Json = False,
) -> None:
    """Make the reports of past periods, oldest first; what an interrupted backfill has made is kept."""
    with ExitStack() as stack:
        means = _means(stack, (cell_limit, limit), memory_limit, scheduler, "backfill")
        tell = stack.enter_context(terminal.progress())
        result = runs.backfill(
            workbook, first, last, report=report, segment=segment, language=language, workers=workers, force=force,
            dry_run=dry_run, means=means, progress=tell,
        )  # fmt: skip
    _show(result, as_json=as_json, due=False)


def status(workbook: WorkbookFile, as_json: _Json = False) -> None:
    """Show which planned reports are current, provisional, stale, missing or failed, and which numbers moved."""
    found = runs.status(workbook)
    if as_json:
        _print(standing.told(config.load(workbook).name, found))
    else:
        terminal.standings(found)


def rerun(
    manifest: _Made,
    workbook: Annotated[
        Path | None, option("The workbook's file, where it is not the one beside the reports.", "--workbook")
    ] = None,
    strict: Annotated[bool, option("Fail when any number moves, whatever the cause.", "--strict")] = False,
    workers: _Workers = 2,
    as_json: _Json = False,
) -> None:
    """Make published reports again, aside, and compare every number with what was published."""
    paths = rerunning.reports_in(manifest) if manifest.is_dir() else [manifest]
    with terminal.progress() as tell:
        found = rerunning.rerun_all(paths, workbook=workbook, workers=workers, progress=tell)
    if not manifest.is_dir():
        _compared(found[0], as_json=as_json)
    elif as_json:
        _print(rerunning.told(found))
    else:
        terminal.reruns(found)
    if any(one.unexplained or (strict and one.moves) for one in found):
        raise Finished(1)


def verify(
    folder: Annotated[Path, argument("A folder of reports, such as reports/education.", metavar="DIR")],
    as_json: _Json = False,
) -> None:
    """Compare the files of published reports with the hashes in their manifests."""
    found = verifying.verify(folder)
    if as_json:
        _print(found.plain())
    else:
        for file, fault in found.faults:
            terminal.say(f"{file} {fault}", "red")
        terminal.say(f"{found.files} files of {found.reports} reports: {len(found.faults) or 'no'} faults")
    if found.faults:
        raise Finished(1)


def diff(
    old: Annotated[Path, argument("A report: its manifest, page or another of its files.", metavar="A")],
    new: Annotated[Path, argument("The report to compare it with.", metavar="B")],
    as_json: _Json = False,
) -> None:
    """Show which numbers of two reports differ, and whether data, definition or code do."""
    _compared(rerunning.difference(old, new), as_json=as_json)


def prune(
    workbook: WorkbookFile,
    keep: Annotated[int | None, option("Keep the newest N periods of each report.", "--keep", min=1)] = None,
    older: Annotated[
        str | None, option("Only what ended this long before the newest data, such as 400d.", "--older",
                           metavar="DURATION")
    ] = None,
    dry_run: _Dry = False,
    as_json: _Json = False,
) -> None:  # fmt: skip
    """Take old reports away; the last good one of each kind always stays."""
    age = _length("--older", older) if older else None
    gone = runs.prune(workbook, pruning.Rule(keep, age), dry_run=dry_run)
    if as_json:
        _print({"dry_run": dry_run, "removed": [job.path for job in gone]})
        return
    for job in gone:
        terminal.say(job.path)
    terminal.say(f"{len(gone)} {'report' if len(gone) == 1 else 'reports'} {'would go' if dry_run else 'taken away'}")


schedules = typer.Typer(no_args_is_help=True, help="Texts for schedulers that make reports every day or week.")


@schedules.command("print", epilog="Example: [bold]funnel schedule print cron params/education.yml --at 06:53[/]")
def print_(
    kind: Annotated[str, argument("cron, systemd, github, airflow or windows.", metavar="SCHEDULER")],
    workbook: WorkbookFile,
    at: Annotated[str, option("The time of day.", "--at", metavar="HH:MM")] = "07:23",
    day: Annotated[str | None, option("Only on this day: Mon, Tue, Wed, Thu, Fri, Sat or Sun.", "--day")] = None,
) -> None:
    """Print a ready text for a scheduler; times are those of the workbook's zone."""
    book = config.load(workbook)
    file = workbook.resolve().relative_to(book.root).as_posix()
    program = str(Path(sys.executable).with_name("funnel"))
    timetable = scheduling.Timetable(book.name, file, book.root, program, at=at, zone=book.timezone, day=day)
    terminal.plain(scheduling.schedule(kind, timetable).rstrip("\n"))


def _means(
    stack: ExitStack, limits: tuple[str, str], memory: str | None, scheduler: str | None, trigger: str
) -> runs.Means:  # fmt: skip
    """Return with what reports are made; a cluster is left when `stack` is."""
    cell, report = (_seconds(name, text) for name, text in zip(("--cell-limit", "--limit"), limits, strict=True))
    most = None if memory is None else _bytes("--memory-limit", memory)
    executor = stack.enter_context(spreading.cluster(scheduler)) if scheduler else None
    return runs.Means(executor, execute.Limits(min(cell, report), report, most), trigger=trigger)


def _seconds(name: str, text: str) -> int:
    length = _length(name, text)
    if length < timedelta(seconds=1):
        raise ConfigError("This is no time for work.", where=name, found=text, allowed="1s or longer, such as 30min")
    return int(length.total_seconds())


def _bytes(name: str, text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(MB|GB)", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * SIZES[found[2].upper()]) if found else 0
    if size < LEAST:
        raise ConfigError(
            "This is no size of a report's memory.", where=name, found=text, allowed="100MB or more, such as 2GB"
        )
    return size


def _length(name: str, text: str) -> timedelta:
    try:
        return notation.parse_duration(text)
    except ValueError as error:
        raise ConfigError(
            "This is no length of time.", where=name, found=text, allowed="a number and a unit, such as 30min, 2h, 400d"
        ) from error


def _show(result: runs.RunResult, *, as_json: bool, due: bool) -> None:
    """Show what a run did and end with its exit code."""
    if as_json:
        _print(result.plain())
    else:
        terminal.result(result)
        terminal.say(str(result.index))
    if result.exit_code == NothingToDo.exit_code:
        what = "No report is due: nothing to do." if due else "Every report is current: nothing to do."
        raise NothingToDo(what, do="Make them again with --force.")
    if result.exit_code:
        raise Finished(result.exit_code)


def _compared(found: rerunning.Difference, *, as_json: bool) -> None:
    if as_json:
        _print(found.plain())
    else:
        terminal.difference(found)


def _print(found: dict[str, Any]) -> None:
    terminal.plain(json.dumps(found, ensure_ascii=False, indent=1))


COMMANDS = (
    (
        "run", run, "Examples: [bold]funnel run params/education.yml[/]; [bold]funnel run params/education.yml "
        "--report conversion --period 2026-05 --segment audience=student --language en[/]",
    ),
    ("backfill", backfill, "Example: [bold]funnel backfill params/education.yml --from 2026-01 --to 2026-06[/]"),
    ("status", status, "Example: [bold]funnel status params/education.yml[/]"),
    ("rerun", rerun, "Example: [bold]funnel rerun reports/education/2026-05/all/conversion.en.html --strict[/]"),
    ("verify", verify, "Example: [bold]funnel verify reports/education[/]"),
    (
        "diff", diff, "Example: [bold]funnel diff reports/education/2026-04/all/conversion.en.html "
        "reports/education/2026-05/all/conversion.en.html[/]",
    ),
    ("prune", prune, "Example: [bold]funnel prune params/education.yml --keep 24 --dry-run[/]"),
)  # fmt: skip
