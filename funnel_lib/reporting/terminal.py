"""What the command `funnel` shows: tables on standard output; progress and errors on standard error."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from funnel_lib.errors import FunnelError, NothingToDo

if TYPE_CHECKING:
    import pandas as pd

    from funnel_lib.reporting.runs import RunResult
    from funnel_lib.reporting.upkeep.rerunning import Difference
    from funnel_lib.reporting.upkeep.standing import Standing

COLOURS = {
    "ok": "green", "current": "green", "provisional": "green", "skipped": "dim", "stale": "yellow", "missing": "yellow",
    "no data": "yellow", "failed": "red", "planned": "yellow", "A": "green", "B": "green", "C": "yellow", "fail": "red",
}  # fmt: skip


def say(text: str, style: str = "") -> None:
    """Print one line on standard output; paths stay whole, so that they can be copied."""
    Console().print(Text(text, style), soft_wrap=True)


def plain(text: str) -> None:
    """Print a text for other programs on standard output, as it is."""
    sys.stdout.write(f"{text}\n")


def hint(text: str) -> None:
    """Print one line on standard error."""
    Console(stderr=True).print(Text(text), soft_wrap=True)


def error(fault: FunnelError) -> None:
    """Print an error: what happened in red, then where, what was found, what is allowed and what to do."""
    first, *parts = str(fault).split("\n")
    head = (first, "yellow") if isinstance(fault, NothingToDo) else (f"Error: {first}", "bold red")
    Console(stderr=True).print(Text.assemble(head, *(f"\n{part}" for part in parts)), soft_wrap=True)


def unexpected(fault: BaseException) -> None:
    """Print one line for an error that nobody foresaw."""
    what = str(fault).strip().split("\n")[0]
    Console(stderr=True).print(Text(f"Error: {type(fault).__name__}: {what}", "bold red"), soft_wrap=True)
    hint("  do:      Run again with --debug for details: funnel --debug …")


def traceback() -> None:
    """Print the traceback of the error that is being handled."""
    Console(stderr=True).print_exception()


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """Show progress on standard error: a bar on a terminal, else a line whenever something else is being done."""
    console, said = Console(stderr=True), [""]
    if not console.is_terminal:

        def line(what: str, share: float) -> None:
            if what != said[0]:
                sys.stderr.write(f"{share:4.0%}  {what}\n")
                sys.stderr.flush()
                said[0] = what

        yield line
        return
    columns = (
        SpinnerColumn(),
        BarColumn(24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, completed=share, description=Text(what).markup)


def tally(frame: pd.DataFrame) -> None:
    """Show how many rows of each source were read, kept, merged and set aside, and by which rules."""
    shown = _table("Rows", "source", "table", right=("read", "kept", "merged", "set aside"), left=("rules",))
    for (source, name), rows in frame.groupby(["source", "table"], sort=True):
        counts = rows.groupby("outcome")["rows"].sum()
        aside = rows[rows["outcome"] == "quarantined"].groupby("rule")["rows"].sum()
        numbers = [f"{int(counts.get(kind, 0)):,}" for kind in ("read", "kept", "merged", "quarantined")]
        rules = ", ".join(f"{rule} {int(count):,}" for rule, count in aside.items() if count)
        shown.add_row(str(source), str(name), *numbers, rules)
    Console().print(shown)


def checks(frame: pd.DataFrame, grade: str) -> None:
    """Show the checks of the data's quality and the grade that follows from them."""
    shown = _table("Quality", "check", right=("found", "allowed"), left=("result", "where"))
    for row in frame.itertuples(index=False):
        result = Text("passed", "green") if row.passed else Text(f"{row.severity} fault", "red")
        waived, places = getattr(row, "waived", ""), getattr(row, "places", "")
        if not row.passed and waived:
            result = Text(f"waived: {waived}", "yellow")
        shown.add_row(str(row.check), f"{row.found:g}", f"{row.allowed:g}", result, "" if row.passed else str(places))
    Console().print(shown)
    Console().print(Text.assemble("Grade ", (grade, f"bold {COLOURS.get(grade, '')}")))


def links(frame: pd.DataFrame) -> None:
    """Show which ids were seen together, where, and which of these links join nobody."""
    shown = _table("Links", "id", "kind", "other id", "since", "source", left=("file", "refused by"))
    for row in frame.itertuples(index=False):
        since = str(row.first_seen)[:10].replace("NaT", "")
        shown.add_row(
            str(row.user_id), str(row.kind), str(row.value), since, str(row.source), str(row.file), str(row.rule or "")
        )
    Console().print(shown)


def standings(rows: Sequence[Standing]) -> None:
    """Show how each planned report stands and why, count the states, and list the published numbers that moved."""
    shown = _table("Reports", "report", "period", "segment", "language", left=("state", "why"))
    for row in rows:
        job, state = row.job, Text(row.state, COLOURS[row.state])
        why = (row.reason or ", ".join(row.why)).split("\n")[0]
        shown.add_row(job.report, job.period, job.segment, job.language, state, why)
    Console().print(shown)
    for row in rows:
        if row.restated:
            moved = [f"\n  {_moved(**one)} ({', '.join(one['why']) or 'unknown cause'})" for one in row.restated]
            say(f"{row.job.label}: published numbers have moved{''.join(moved)}")
    counts = Counter(row.state for row in rows)
    due = sum(row.due for row in rows)
    say(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + f"; {due} due")


def difference(found: Difference) -> None:
    """Show which numbers of two reports differ, and what else does that can have moved them."""
    if found.reason is not None:
        say(f"The report could not be made again.\n  {found.reason.replace(chr(10), chr(10) + '  ')}", "red")
        return
    for move in found.moves:
        say(_moved(move.number, move.old, move.new))
    for cause, names in found.causes.items():
        say(f"another {cause}: {', '.join(names)}", "yellow")
    if found.moves and not found.causes:
        say("Nothing that the numbers are made from has changed.", "red")
    page = {True: "the pages are the same but for the footer", False: "the pages differ", None: "no pages to compare"}
    count = len(found.moves) or "no"
    say(f"{count} {'number' if count == 1 else 'numbers'} moved; {page[found.same_page]}")


def reruns(found: Sequence[Difference]) -> None:
    """Show which of several reports came out otherwise than they were published, and count the others."""
    for one in found:
        if not one.reproduced:
            say(f"{one.old}", "bold")
            difference(one)
    good, pages = sum(one.reproduced for one in found), sum(one.same_page is True for one in found)
    say(f"{good} of {len(found)} reports reproduced every number; {pages} pages are the same but for the footer")


def _moved(number: str, old: float | None, new: float | None, **_rest: object) -> str:
    return f"{number}: {_number(old)} → {_number(new)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.10g}"


def result(found: RunResult) -> None:
    """Show what became of each report that was made, and count those that were still current."""
    made = [report for report in found.reports if report.status != "skipped"]
    if made:
        shown = _table("Reports", "report", "period", "segment", "language", left=("result",), right=("seconds",))
        for report in made:
            job, status = report.job, Text(report.status, COLOURS[report.status])
            shown.add_row(job.report, job.period, job.segment, job.language, status, f"{report.seconds:.1f}")
        Console().print(shown)
    for report in made:
        if report.reason:
            hint(f"{report.job.label}: {report.status}\n  {report.reason.replace(chr(10), chr(10) + '  ')}")
        if report.restates:
            hint(f"{report.job.label}: {report.restates} published numbers have moved since; see funnel status")
    for why in dict.fromkeys(report.unprinted for report in made if report.unprinted):
        hint(f"Published, but not printed: {why}")
    for remark in (found.remark, found.fault):
        if remark:
            hint(remark)
    counts = Counter(report.status for report in found.reports)
    say(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))


def _table(title: str, *names: str, right: Sequence[str] = (), left: Sequence[str] = ()) -> Table:
    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in names:
        shown.add_column(name, no_wrap=True)
    for name in right:
        shown.add_column(name, justify="right", no_wrap=True)
    for name in left:
        shown.add_column(name)
    return shown
