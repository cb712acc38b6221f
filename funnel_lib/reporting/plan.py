"""Which reports a run makes: the workbook's reports over periods, segments and languages, and where each goes."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from funnel_lib.config import Report, Workbook
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.notation import Language
from funnel_lib.periods import ALLOWED, Period, period

NOTEBOOKS: Mapping[Report, str] = {
    "collection": "01_data_collection.ipynb",
    "segmentation": "02_segmentation.ipynb",
    "conversion": "03_conversion_analysis.ipynb",
    "case_study": "04_optimisation_case_study.ipynb",
}
PARAMETERS = ("workbook", "period", "segment", "language", "as_of")
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Job:
    """One report to make: which notebook over which period, for whom, in which language."""

    report: Report
    period: str
    segment: str
    language: Language
    notebook: Path

    @property
    def folder(self) -> str:
        """The folder below the workbook's reports, with `/`; safe in addresses and on every file system."""
        return f"{slug(self.period.replace('..', '_'))}/{slug(self.segment)}"

    @property
    def stem(self) -> str:
        """The files' common name, such as ``conversion.en``."""
        return f"{self.report}.{self.language}"

    @property
    def path(self) -> str:
        """The report's path below the workbook's reports, with `/`."""
        return f"{self.folder}/{self.stem}.html"

    @property
    def label(self) -> str:
        """What a reader of the progress sees."""
        return f"{self.report} · {self.period} · {self.segment} · {self.language}"


def plan(
    workbook: Workbook, facts: Mapping[str, Any], *, report: str | None = None, period: str | None = None,
    segment: str | None = None, language: str | None = None,
) -> list[Job]:  # fmt: skip
    """Return what a run has to make, oldest period first.

    Parameters
    ----------
    facts : what the store says about its data; `first_day` and `last_day` are ISO dates, or None without times.
    report, period, segment, language : limit the plan to one of each. Without a period, the newest ones (the
        workbook's `periods.latest`) are planned, and reports over the whole data; a named period limits the
        plan to reports over periods, unless the report is named too. A segment that no report plans is made
        for the conversion report, unless the report is named.

    Raises
    ------
    ConfigError : a name is unknown, a notebook is missing or cannot take the parameters.
    DataError : the period holds no data.
    """
    reports = [_one_of("report", report, workbook.reports)] if report else list(workbook.reports)
    languages = [_one_of("language", language, workbook.languages)] if language else workbook.languages
    days = days_of(facts)
    if segment is not None:
        check_segment(workbook, segment)
        reports = _with_segment(workbook, reports, segment, named=report is not None)
    jobs = []
    for name in reports:
        over = "periods" if report else workbook.reports[name].over
        if period not in (None, "all") and over == "all":
            continue
        periods = choose_periods(workbook, days, period, workbook.reports[name].over)
        segments = [segment] if segment else ["all", *workbook.reports[name].segments]
        notebook = find_notebook(workbook, name)
        jobs += [Job(name, p, s, code, notebook) for p in periods for s in segments for code in languages]
    if not jobs:
        raise ConfigError(
            "No report is planned over this period.", where="--period", found=period, allowed="all",
            do=f"Name the report, too: --report {reports[0]}",
        )  # fmt: skip
    for notebook in {job.notebook for job in jobs}:
        check_parameters(notebook)
    order = {name: index for index, name in enumerate(_period_order(workbook, days))}
    return sorted(jobs, key=lambda job: order.get(job.period, -1))


def choose_periods(
    workbook: Workbook, days: tuple[date, date] | None, period: str | None, over: str = "periods"
) -> list[str]:
    """Return the names of the periods to report on, oldest first.

    Raises
    ------
    ConfigError : the period cannot be read, or the data has no times and so no periods.
    DataError : the period holds no data.
    """
    if days is None:
        if period in (None, "all", "latest"):
            return ["all"]
        raise ConfigError(
            "This data holds no times, so there are no periods.", where="--period", found=period, allowed="all",
            do="Leave the period out.",
        )  # fmt: skip
    if period == "all" or (period is None and over == "all"):
        return ["all"]
    known = _known_periods(workbook, days)
    names = [p.name for p in known]
    if not names and period in (None, "latest"):
        raise DataError(
            "There is no data in the workbook's periods.", where="periods", found=f"data of {days[0]} to {days[1]}",
            allowed=f"from {workbook.periods.first} to {workbook.periods.last}",
            do="Correct the periods, or collect newer exports.",
        )  # fmt: skip
    if period is None:
        return names[-workbook.periods.latest :] if workbook.periods.latest else names
    if period == "latest":
        return names[-1:]
    try:
        asked = workbook.period(period, *days)
    except ConfigError as error:
        allowed = choices([*names[-12:], "latest", "all"], period)
        raise ConfigError(
            error.what, where="--period", found=period, allowed=allowed, do=f"Forms: {ALLOWED}"
        ) from error
    if asked.last_day < days[0] or asked.first_day > days[1]:
        raise DataError(
            "There is no data in this period.", where="--period", found=period, allowed=f"{days[0]} to {days[1]}",
            do="Name a period within these days, or collect newer exports.",
        )  # fmt: skip
    return [asked.name]


def span(workbook: Workbook, facts: Mapping[str, Any], first: str, last: str) -> list[str]:
    """Return the names of the workbook's periods with data from `first` to `last`, oldest first.

    `first` and `last` are periods, or days, of any kind: what lies between their outer ends counts.

    Raises
    ------
    ConfigError : one cannot be read, or `first` lies after `last`, or the data has no times and so no periods.
    DataError : there is no data between them.
    """
    days = days_of(facts)
    begin, end = _named(workbook, "--from", first).first_day, _named(workbook, "--to", last).last_day
    if end < begin:
        raise ConfigError(
            "The first period lies after the last.", where="--from", found=first, allowed=f"{last} or earlier",
            do="Exchange --from and --to.",
        )  # fmt: skip
    known = _known_periods(workbook, days) if days else []
    names = [p.name for p in known if p.first_day >= begin and p.last_day <= end]
    if not names:
        raise DataError(
            "There is no data between these periods.", where="--from, --to", found=f"{first} to {last}",
            allowed=choices([p.name for p in known]) or "no periods: this data holds no times",
            do="Name periods that have data, or collect older exports.",
        )  # fmt: skip
    return names


def check_segment(workbook: Workbook, segment: str) -> None:
    """Check that the workbook defines `segment` (``all`` or ``split=group``).

    Raises
    ------
    ConfigError : there is no such split, or its groups are named and this is none of them.
    """
    if segment == "all":
        return
    split, _, group = segment.partition("=")
    groups = {
        name: [*s.groups, "other", "unknown"] if s.groups else list(s.titles) for name, s in workbook.segments.items()
    }
    open_split = split in groups and not workbook.segments[split].groups
    if split in groups and (group in groups[split] or (open_split and group)):
        return
    known = ["all", *(f"{name}={value}" for name, values in groups.items() for value in values)]
    raise ConfigError(
        "There is no such segment.", where="--segment", found=segment, allowed=choices(known, segment),
        do="Write it as split=group, as in the workbook's segments.",
    )  # fmt: skip


def find_notebook(workbook: Workbook, report: Report) -> Path:
    """Return the notebook of `report`: below the workbook's root, else in the checkout that holds the package.

    Raises
    ------
    ConfigError : neither holds it.
    """
    places = [folder / "notebooks" / NOTEBOOKS[report] for folder in (workbook.root, CHECKOUT)]
    for path in places:
        if path.is_file():
            return path
    raise ConfigError(
        f"The notebook of the report {report!r} is missing.", where=places[0].parent, found="no such file",
        allowed=NOTEBOOKS[report], do="Copy the folder notebooks/ of the project beside params/.",
    )  # fmt: skip


def check_parameters(notebook: Path) -> None:
    """Check that exactly one cell is tagged `parameters` and that it assigns every name a run injects.

    Otherwise papermill would run the notebook with its own defaults, and the report would be of something else.

    Raises
    ------
    ConfigError : the file is no notebook, there is no such cell or several, or names are missing in it.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = ["".join(c["source"]) for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
        assigned = {name for source in tagged for name in _assigned(source)}
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise ConfigError("The notebook cannot be read.", where=notebook.name, found=str(error)) from error
    missing = [name for name in PARAMETERS if name not in assigned]
    if len(tagged) != 1 or missing:
        raise ConfigError(
            "The notebook cannot take a run's parameters.", where=notebook.name,
            found=f"{len(tagged)} cells tagged parameters" + (f"; without {', '.join(missing)}" if tagged else ""),
            allowed=f"one cell tagged parameters that assigns {', '.join(PARAMETERS)}",
            do="Tag the cell in JupyterLab (Property Inspector, Cell tags) and assign each name a literal.",
        )  # fmt: skip


def slug(name: str) -> str:
    """Return a name for a folder: `audience=student` as `audience-student`, anything unusual with a hash.

    Two different names never share a folder, also where the file system ignores case.

    >>> slug("audience=student"), slug("2026-05"), slug("city=上海")
    ('audience-student', '2026-05', 'city-c78a076b')
    """
    if re.fullmatch(r"[0-9a-z_]+=[0-9a-z_][0-9a-z_.-]*|[0-9A-Z_-]+|all", name):
        return name.replace("=", "-")
    plain = re.sub(r"[^0-9a-z_]+", "-", name.lower()).strip("-")
    return f"{plain[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def days_of(facts: Mapping[str, Any]) -> tuple[date, date] | None:
    """Return the first and the last day of the data in the business zone; None where it has no times."""
    first, last = facts.get("first_day"), facts.get("last_day")
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None


def _named(workbook: Workbook, option: str, name: str) -> Period:
    """Read a period, or a single day, that an option names."""
    try:
        day = re.fullmatch(r"\d{4}-\d{2}-\d{2}", name)
        return period(f"{name}..{name}" if day else name, workbook.zone)
    except ConfigError as error:
        raise ConfigError(error.what, where=option, found=name, allowed=ALLOWED, do="Correct the period.") from error


def _one_of(kind: str, name: str, allowed: Any) -> Any:
    if name in allowed:
        return name
    raise ConfigError(
        f"The workbook has no {kind} {name!r}.", where=f"--{kind}", found=name, allowed=choices(allowed, name),
        do=f"Choose one of these, or add it to the workbook's {kind}s.",
    )  # fmt: skip


def _with_segment(workbook: Workbook, reports: list[Report], segment: str, *, named: bool) -> list[Report]:
    if named or segment == "all":
        return reports
    planned = [name for name in reports if segment in workbook.reports[name].segments]
    return planned or [_one_of("report", "conversion", workbook.reports)]


def _known_periods(workbook: Workbook, days: tuple[date, date]) -> list[Period]:
    periods = workbook.reporting_periods(*days)
    with_data = [p for p in periods if p.first_day <= days[1] and p.last_day >= days[0]]
    return sorted(with_data, key=lambda p: (p.end, p.start))


def _period_order(workbook: Workbook, days: tuple[date, date] | None) -> list[str]:
    return [*(p.name for p in (_known_periods(workbook, days) if days else [])), "all"]


def _assigned(source: str) -> Iterator[str]:
    for node in ast.parse(source).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name))
