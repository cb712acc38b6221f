"""The catalogue of a workbook's reports: the newest headline, failures, and all reports by period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Literal

from funnel_lib.config import Report, Workbook
from funnel_lib.notation import Language, text
from funnel_lib.reporting.failures import Failure, failure
from funnel_lib.reporting.markup import LANGUAGES, document, script
from funnel_lib.reporting.parts import Fact, Link
from funnel_lib.reporting.render import PageFacts
from funnel_lib.reporting.upkeep import durable
from funnel_lib.reporting.wording import Count, Day, Say, Sentence, Text

Status = Literal["ok", "provisional", "failed", "no data", "too_few"]
MADE = ("ok", "provisional", "too_few")
# What readers come for stands first.
RANK = {name: rank for rank, name in enumerate(("conversion", "segmentation", "case_study", "collection"))}


@dataclass(frozen=True)
class Entry:
    """One report in one language, as the catalogue lists it.

    Parameters
    ----------
    period, last_day : the period's name, and its last day, by which periods are ordered; None stands last.
    segment, segment_title : the group it is about, `all` for everybody.
    headline : the report's first sentence as plain text.
    href : the page, relative to the catalogue; for a failed report the page that says so, if there is one.
    reason : why a report was not made: the error's message.
    last_good : the newest report of its kind that was made, relative to the catalogue.

    """

    report: Report
    title: str
    period: str
    segment: str
    language: Language
    status: Status
    href: str = ""
    segment_title: str = ""
    last_day: date | None = None
    data_through: date | None = None
    grade: str = ""
    headline: str = ""
    reason: str = ""
    last_good: str = ""


@dataclass(frozen=True)
class Line:
    """A report in the catalogue: the entry in the reader's language (or another), and all its languages.

    `marks` say by which of the catalogue's filters the line is chosen, such as ``{"report": ["r0"]}``.
    """

    entry: Entry
    links: tuple[Link, ...]
    failure: Failure | None = None
    marks: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Filter:
    """One choice above the catalogue: its name, its label, and its options as marks and titles."""

    name: str
    label: Text
    every: Text
    options: Sequence[tuple[str, Text]]


def write_index(entries: Iterable[Entry], folder: Path, workbook: Workbook) -> list[Path]:
    """Write the catalogue in each of the workbook's languages and return the files.

    `index.html` is in English, or in the workbook's first language where English is none of them; the others
    are `index.zh.html` and so on. The same entries give the same bytes, in whatever order they come.
    """
    listed = sorted(entries, key=_order)
    names = index_names(workbook.languages)
    written = []
    for language, name in names.items():
        file, partial = folder / name, folder / f".{name}.partial"
        partial.write_text(catalogue_page(listed, workbook, language), encoding="utf-8")
        durable.renamed(partial, file)
        written.append(file)
    return written


def index_names(languages: Sequence[Language]) -> dict[Language, str]:
    """Return the catalogue's file name in each language.

    >>> index_names(["zh", "en"]), index_names(["zh"])
    ({'zh': 'index.zh.html', 'en': 'index.html'}, {'zh': 'index.html'})
    """
    main = "en" if "en" in languages else languages[0]
    return {language: "index.html" if language == main else f"index.{language}.html" for language in languages}


def catalogue_page(entries: Sequence[Entry], workbook: Workbook, language: Language) -> str:
    """Return the catalogue in one language; `entries` hold every report in all of its languages.

    Its filters need no script; with scripts, they are kept in the address, and a field finds words.
    """
    say = Say(language)
    lines, filters = _filtered(_lines(sorted(entries, key=_order), language), say)
    title = text(workbook.title, language, workbook.name)
    switch = [Link("", name, lang=lang) for lang, name in index_names(workbook.languages).items()]
    facts = PageFacts(
        say("{workbook}: all reports", workbook=title), language, title, languages=switch,
        facts=_facts(say, lines),
        footer=say("Made from the workbook {name}.", name=workbook.name),
    )  # fmt: skip
    periods = [(name, list(found)) for name, found in groupby(lines, key=lambda line: line.entry.period)]
    failed = [line for line in lines if line.entry.status == "failed"]
    values = {
        "page": facts, "paper": facts.paper, "periods": periods, "failed": failed, "newest": _newest(lines),
        "filters": filters, "script": script("catalogue.js") if filters else "", "total": len(lines),
    }  # fmt: skip
    return document(language, "catalogue.html.j2", **values)


def _order(entry: Entry) -> tuple[object, ...]:
    """Newest period first, then the reports in the order of their use, everybody before single groups."""
    newest = -(entry.last_day or date.min).toordinal()
    rest = (RANK[entry.report], entry.segment != "all", entry.segment, entry.language, entry.href)
    return (newest, entry.period, *rest)


def _lines(entries: Sequence[Entry], language: Language) -> list[Line]:
    found = []
    for _, group in groupby(entries, key=lambda entry: (entry.period, entry.report, entry.segment)):
        same = list(group)
        shown = next((entry for entry in same if entry.language == language), same[0])
        made = [entry for entry in same if entry.status in MADE and entry.href]
        links = tuple(Link("", entry.href, lang=entry.language) for entry in made)
        reason = None if shown.status in MADE else failure(shown.reason, language)
        found.append(Line(shown, links, reason))
    return found


def _filtered(lines: Sequence[Line], say: Say) -> tuple[list[Line], list[Filter]]:
    """Return the lines with their marks, and the filters that have something to choose from."""
    of: dict[str, list[list[tuple[str, Text]]]] = {
        "period": [[(line.entry.period, _period(line.entry.period, say))] for line in lines],
        "report": [[(line.entry.report, line.entry.title)] for line in lines],
        "segment": [[(line.entry.segment, line.entry.segment_title or "–")] for line in lines],
        "language": [[(link.lang or "", LANGUAGES[link.lang or "en"][1]) for link in line.links] for line in lines],
    }
    labels = {
        "period": (say("Period"), say("Every period")), "report": (say("Report"), say("Every report")),
        "segment": (say("Segment"), say("Every segment")), "language": (say("Language"), say("Every language")),
    }  # fmt: skip
    marks, filters = [dict[str, list[str]]() for _ in lines], []
    for name, found in of.items():
        titles: dict[str, Text] = {}
        for value, title in (pair for values in found for pair in values):
            titles.setdefault(value, title)
        # Data never becomes part of a selector: each value has a number.
        numbers = {value: f"{name[0]}{number}" for number, value in enumerate(titles)}
        for mark, values in zip(marks, found, strict=True):
            mark[name] = [numbers[value] for value, _ in values]
        if len(titles) > 1:
            filters.append(Filter(name, *labels[name], [(numbers[value], title) for value, title in titles.items()]))
    return [replace(line, marks=mark) for line, mark in zip(lines, marks, strict=True)], filters


def _period(period: str, say: Say) -> Text:
    return say("All data") if period == "all" else period


def _newest(lines: Sequence[Line]) -> Line | None:
    """Return the newest report with a headline, everybody before single groups."""
    made = [line for line in lines if line.entry.status in MADE and line.entry.headline]
    return next((line for line in made if line.entry.segment == "all"), made[0] if made else None)


def _facts(say: Say, lines: Sequence[Line]) -> list[Fact]:
    through = [line.entry.data_through for line in lines if line.entry.data_through is not None]
    made = [line for line in lines if line.entry.status in MADE]
    empty = sum(line.entry.status == "no data" for line in lines)
    open_ = sum(line.entry.status == "provisional" for line in lines)
    failed, poor = len(lines) - len(made) - empty, sum(line.entry.grade == "C" for line in made)
    periods = len({line.entry.period for line in lines})
    attention: Sentence | str = ""
    if failed or poor:
        attention = say("{failed} failed, {poor} of grade C", failed=failed, poor=poor)
    return [
        Fact(say("Reports"), Count(len(lines)), say.plural(periods, "{n} period", "{n} periods")),
        Fact(say("Newest data"), Day(max(through)) if through else "–"),
        Fact(say("Published"), Count(len(made)), say("of which {n} provisional", n=open_) if open_ else ""),
        Fact(say("Needs attention"), Count(failed + poor), attention),
    ]
