"""What a page says beside its notebook: titles, links to other reports, downloads, the facts of its run."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Report, Workbook
from funnel_lib.notation import Language, text
from funnel_lib.periods import Period
from funnel_lib.reporting.index import index_names
from funnel_lib.reporting.labels import Day, Name, Span
from funnel_lib.reporting.parts import Download, Fact, Link
from funnel_lib.reporting.plan import Job
from funnel_lib.reporting.render import PageFacts
from funnel_lib.reporting.wording import Say, Sentence, plain


@dataclass(frozen=True)
class Shelf:
    """All reports of a workbook that a page may link to: those in the folder and those of this run.

    `scope` gives the slice of the data that a report is about.
    """

    workbook: Workbook
    jobs: Sequence[Job]
    scope: Callable[[Job], Scope]

    def beside(self, job: Job, step: int) -> Job | None:
        """Return the same report one period earlier (-1) or later (1), among periods of the same kind."""
        kind = self.scope(job).period.kind
        same = {other for other in self.jobs if _twins(job, other, "period") and self.scope(other).period.kind == kind}
        ordered = sorted({*same, job}, key=lambda other: self.scope(other).period.start)
        place = ordered.index(job) + step
        return ordered[place] if 0 <= place < len(ordered) else None

    def languages(self, job: Job) -> list[Job]:
        """Return the report in every language, in the workbook's order."""
        same = {other.language: other for other in self.jobs if _twins(job, other, "language")}
        return [same[code] for code in self.workbook.languages if code in same]

    def segments(self, job: Job) -> list[Job]:
        """Return the same report for other segments, everybody first."""
        same = [other for other in self.jobs if _twins(job, other, "segment") and other.segment != job.segment]
        return sorted(same, key=lambda other: (other.segment != "all", other.segment))


def report_title(report: Report, language: Language) -> Sentence:
    """Return what the report is called."""
    say = Say(language)
    if report == "collection":
        return say("Data collection report")
    if report == "segmentation":
        return say("Segmentation report")
    return say("Conversion report") if report == "conversion" else say("Optimisation case study")


def segment_title(scope: Scope) -> Sentence:
    """Return what the segment is called: its split and its group, or “Everyone”."""
    say = Say(scope.language)
    if scope.split_group is None:
        return say("Everyone")
    split, group = scope.split_group
    return say("{split}: {group}", split=Name(scope.split_title(split)), group=Name(scope.group_title(split, group)))


def period_title(period: str, language: Language) -> str:
    """Return what a period is called."""
    return Say(language)("All data").text if period == "all" else period


def data_day(scope: Scope, data_through: str | None) -> date | None:
    """Return the business day of an ISO instant; None where the data has no times."""
    return datetime.fromisoformat(data_through).astimezone(scope.workbook.zone).date() if data_through else None


def page_facts(job: Job, shelf: Shelf, through: date | None) -> PageFacts:
    """Return what the page of `job` says, except its downloads and its footer; `through` is the newest row's day."""
    say, book, scope = Say(job.language), shelf.workbook, shelf.scope(job)
    segment, period = segment_title(scope), period_title(job.period, job.language)
    report = report_title(job.report, job.language).text
    earlier, later = shelf.beside(job, -1), shelf.beside(job, 1)
    days = Span(scope.period.first_day, scope.period.last_day) if through else ""
    return PageFacts(
        say("{report}, {period}, {segment}", report=report, period=period, segment=segment.text),
        job.language,
        text(book.title, job.language, book.name),
        index=Link(say("All reports"), way(job, index_names(book.languages)[job.language])),
        previous=Link(earlier.period, way(job, earlier.path), rel="prev") if earlier else None,
        next=Link(later.period, way(job, later.path), rel="next") if later else None,
        languages=[Link("", way(job, other.path), lang=other.language) for other in shelf.languages(job)],
        segments=[Link(segment_title(shelf.scope(other)), way(job, other.path)) for other in shelf.segments(job)],
        facts=[
            Fact(say("Period"), Name(period), days),
            Fact(say("Segment"), segment),
            Fact(say("Data through"), Day(through) if through else say("This source has no times")),
        ],
    )


def finished(facts: PageFacts, *, stem: str, tables: Iterable[str], source: str, footer: str) -> PageFacts:
    """Return the facts of a page that was made, with its downloads; `source` is its manifest as JSON text."""
    say = Say(facts.language)
    named = [Download(name, f"{stem}.{name}.csv", single=True) for name in tables]
    whole = [Download(say("All tables"), f"{stem}.xlsx", "Excel")] if named else []
    rest = [
        Download(say("All numbers"), f"{stem}.metrics.json", "JSON"),
        Download(say("The executed notebook"), f"{stem}.ipynb", "Jupyter"),
        Download(say("What the report was made from"), f"{stem}.manifest.json", "JSON"),
    ]
    return replace(facts, downloads=[*whole, *named, *rest], manifest=source, footer=footer)


def with_paper(facts: PageFacts, stem: str, printed: Collection[str]) -> PageFacts:
    """Return the facts of a page that also offers what is printed of it: those of `printing.KINDS` named."""
    say = Say(facts.language)
    offered = {
        "pdf": Download(say("The report on paper"), f"{stem}.pdf", "PDF"),
        "summary.png": Download(say("The summary as a picture"), f"{stem}.summary.png", "PNG"),
    }
    shown = [download for kind, download in offered.items() if kind in printed]
    return replace(facts, downloads=[*shown, *facts.downloads])


def footer(language: Language, start: datetime, code: Mapping[str, Any]) -> str:
    """Return the only text of a page that may differ between two runs on the same inputs.

    `start` is when the run began, `code` the part of a manifest that tells version, commit and whether files
    differ from it.
    """
    say, time = Say(language), f"{start.astimezone(UTC):%Y-%m-%d %H:%M}"
    said = [say("Made {time} UTC by funnel {version}", time=time, version=str(code["package"])).text]
    if code["git_commit"]:
        said.append(say("commit {commit}", commit=str(code["git_commit"])[:12]).text)
    if code["dirty"]:
        said.append(say("with uncommitted changes").text)
    return " · ".join(said)


def source_text(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as JSON text for the page: the input files counted, not listed, and without the commit.

    The commit may change while all that the report is made from stays the same.
    """
    code = {key: value for key, value in manifest["code"].items() if key not in ("git_commit", "dirty", "diff_sha256")}
    files = json.dumps(manifest["inputs"], sort_keys=True).encode()
    inputs = {"files": len(manifest["inputs"]), "sha256": hashlib.sha256(files).hexdigest()}
    return json.dumps({**manifest, "code": code, "inputs": inputs}, ensure_ascii=False, indent=1)


def about(facts: PageFacts, manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the first sheet of a report's Excel file."""
    say = Say(facts.language)
    head = [(plain(fact.term, facts.language), plain(fact.value, facts.language)) for fact in facts.facts]
    return [
        (plain(facts.workbook, facts.language), plain(facts.title, facts.language)),
        *head,
        (
            say("Units").text,
            say("Shares are fractions of one; intervals stand in columns of their own (low, high).").text,
        ),
        (say("Made from").text, str(manifest["cache_key"])),
    ]


def period_days(period: Period) -> dict[str, str]:
    """Return a period as a manifest holds it: its name, its first day and the day after its last."""
    return {"name": period.name, "from": period.start.date().isoformat(), "to": period.end.date().isoformat()}


def last_day(period: Mapping[str, str]) -> date | None:
    """Return the last day of a period as a manifest holds it."""
    return date.fromordinal(date.fromisoformat(period["to"]).toordinal() - 1) if "to" in period else None


def way(job: Job, path: str) -> str:
    """Return the link from the page of `job` to `path`, both below the workbook's reports."""
    return posixpath.relpath(path, job.folder)


def _twins(one: Job, other: Job, but: str) -> bool:
    """Tell whether two jobs agree in everything but one of their properties."""
    names = [name for name in ("report", "period", "segment", "language") if name != but]
    return all(getattr(one, name) == getattr(other, name) for name in names)
