"""What every report has: its head, its definitions, its method notes and the facts of its run."""

from __future__ import annotations

from datetime import datetime, timedelta

from funnel_lib.collection.quality import grade
from funnel_lib.collection.scope import Scope
from funnel_lib.config import Report
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.errors import ConfigError
from funnel_lib.notation import text
from funnel_lib.reporting import blocks
from funnel_lib.reporting.blocks import Block, Fact, Grade
from funnel_lib.reporting.estimates import Count, Days, Share
from funnel_lib.reporting.labels import Day, Name, Span
from funnel_lib.reporting.pages import report_title, segment_title
from funnel_lib.reporting.plots.words import Words
from funnel_lib.reporting.sections.passing import window_of
from funnel_lib.reporting.sections.semantics import semantics, sequence
from funnel_lib.reporting.wording import Say, Sentence
from funnel_lib.schema import USER_ID


def slug(name: str) -> str:
    """Return a name as it can stand in an id: small letters, digits and hyphens."""
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower())


def level_of(scope: Scope) -> Share:
    """Return the level of the intervals."""
    return Share(scope.workbook.rules.level)


def chart_words(scope: Scope, split: str | None = None) -> Words:
    """Return the words of pictures: the language, and what readers call the steps and the groups of `split`."""
    say = Say(scope.language)
    titles = {
        step.name: say("{step} (optional)", step=scope.step_title(step.name)).text
        if step.optional
        else scope.step_title(step.name)
        for step in scope.funnel.steps
    }
    if split is not None:
        titles |= scope.group_titles(split)
    return Words(scope.language, titles)


def header(scope: Scope, report: Report, journeys: Journeys | None = None) -> Block:
    """Open the report: which one, over what, how fresh, how good, whether it is final.

    Raises
    ------
    ConfigError : the report is about going on from step to step, and the funnel has only one.
    """
    if report in ("conversion", "segmentation") and len(scope.funnel.steps) < 2:
        raise ConfigError(
            f"The {report} report tells who goes on from one step to the next, and there is only one.",
            where="funnel.steps", found=scope.funnel.names[0], allowed="two steps or more",
            do="Name a second step, or leave this report out of reports.",
        )  # fmt: skip
    say = Say(scope.language)
    facts = [
        Fact(say("Period"), Name(_period_name(scope)), small=_days(say, scope)),
        Fact(say("Segment"), segment_title(scope)),
        Fact(say("Data through"), _data_through(say, scope)),
        _status(say, scope, journeys),
    ]
    return blocks.header(report_title(report, scope.language), _title(scope, report), facts, grade=_grade(say, scope))


def _title(scope: Scope, report: Report) -> str:
    case = scope.workbook.case_study
    if report == "case_study" and case is not None:
        return text(case.title, scope.language)
    return text(scope.workbook.title, scope.language, scope.workbook.name)


def _period_name(scope: Scope) -> str:
    say = Say(scope.language)
    return say("All data").text if scope.period.kind == "all" else scope.period.name


def _days(say: Say, scope: Scope) -> Sentence:
    if scope.as_of is None:
        return say("all rows of the sources")
    span = Span(scope.period.first_day, scope.period.last_day, year=scope.period.kind == "all")
    return say("{days}, {zone}", days=span, zone=scope.workbook.timezone)


def _data_through(say: Say, scope: Scope) -> Sentence:
    if scope.as_of is None:
        return say("This source has no times")
    return say.value(Day(scope.as_of.astimezone(scope.workbook.zone).date()))


def _status(say: Say, scope: Scope, journeys: Journeys | None) -> Fact:
    if scope.as_of is None or scope.funnel.window is None:
        return Fact(say("Status"), say("Open-ended"), small=say("no time limit is set; later data can change it"))
    if not scope.provisional:
        return Fact(say("Status"), say("Final"), small=say("late rows aside, nothing will change"))
    final = (scope.period.end + (scope.funnel.window or timedelta(0)) - timedelta(microseconds=1)).date()
    if journeys is None or not len(journeys.frame):
        return Fact(say("Status"), say("Provisional"), small=say("final on {day}", day=Day(final)), provisional=True)
    open_share = 1 - float((journeys.frame["mature_depth"] > 0).mean())
    small = say(
        "{share} of people still within their {window}; final on {day}", key="provisional", share=Share(open_share),
        window=window_of(scope) or Days(0), day=Day(final),
    )  # fmt: skip
    return Fact(say("Status"), say("Provisional"), small=small, provisional=True)


def _grade(say: Say, scope: Scope) -> Grade:
    found = scope.checks
    letter, failed = grade(found), int((~found["passed"]).sum())
    words = {
        "A": say("Good"),
        "B": say("Good, with a remark"),
        "C": say("Use with care"),
        "fail": say("Not good enough to publish"),
    }
    tally = scope.store.tally()
    read = int(tally.loc[tally["outcome"] == "read", "rows"].sum())
    aside = int(tally.loc[tally["outcome"] == "quarantined", "rows"].sum())
    small = say(
        "{passed} of {checks} checks passed; {share} of {rows} rows set aside", key="quality",
        passed=len(found) - failed, checks=len(found), share=Share(aside / max(read, 1), 1), rows=read,
    )  # fmt: skip
    return Grade(letter, words[letter], small)


def definitions(scope: Scope) -> Block:
    """Say what the words mean: each measure once, with window, unit and exclusions."""
    say, window, rules = Say(scope.language), window_of(scope), scope.workbook.rules
    first, last = (scope.step_title(scope.funnel.names[end]) for end in (0, -1))
    rate = say(
        "People who reached {last} ÷ people who reached {first}. There is no time limit, so later data can still "
        "change it.",
        last=last, first=first,
    )  # fmt: skip
    if window is not None:
        rate = say(
            "People who reached {last} within {window} of {first} ÷ people who have had their full {window}. "
            "{sequence}",
            last=last, window=window, first=first, sequence=sequence(say, scope),
        )  # fmt: skip
    terms = [
        (say("People"), _people(say, scope, first)),
        (say("Overall rate"), rate),
        (
            say("Share of previous step"),
            say("People who reached this step ÷ people who reached the step before."),
        ),
        (
            say("Interval"),
            say(
                "The range that holds the true value in {level} of such samples (Wilson for rates, Newcombe for "
                "differences).", level=level_of(scope),
            ),
        ),
        (
            say("Too few"),
            say(
                "Fewer than {units} people or {events} conversions: counts are shown, a rate is not.",
                units=rules.min_units, events=rules.min_events,
            ),
        ),
        (
            say("Within noise"),
            say(
                "The interval of the difference contains zero, or the corrected test is not clear. It does not mean "
                "that "
                "nothing changed."
            ),
        ),
    ]  # fmt: skip
    return blocks.definitions(terms)


def _people(say: Say, scope: Scope, first: str) -> Sentence:
    """Say who or what is counted as one."""
    if scope.funnel.unit == USER_ID:
        return say(
            "Everyone with at least one {first} in the period. Ids that belong to one person count once; test accounts "
            "and known bots are left out.", first=first,
        )  # fmt: skip
    if scope.funnel.snapshot == "deals":
        return say("“People” are deals here: each deal that began in the period counts once.")
    return say(
        "“People” are values of {unit} here: each one with at least one {first} in the period counts once.",
        unit=Name(scope.funnel.unit), first=first,
    )  # fmt: skip


def method(scope: Scope) -> Block:
    """Say how the numbers were made: semantics, intervals, many comparisons, limits."""
    say, rules = Say(scope.language), scope.workbook.rules
    corrections = {"holm": "Holm", "bh": "Benjamini–Hochberg"}
    notes = [
        (
            say("Funnel"),
            semantics(say, scope),
        ),
        (
            say("Recent people"),
            [_recent(say, scope)],
        ),
        (
            say("Many comparisons"),
            [
                say(
                    "Tests of segments and weeks are corrected for their number ({method}); a mark ▲ or ▼ stands "
                    "only where the corrected test is clear.",
                    method=Name(corrections[rules.correction]),
                )
            ],
        ),
        (
            say("What it does not show"),
            [say("Differences between groups describe; they do not prove a cause. Only a randomised trial does.")],
        ),
    ]
    return blocks.method(notes)


def _recent(say: Say, scope: Scope) -> Sentence:
    if scope.funnel.window is None or not scope.workbook.rules.mature_only:
        return say("Rates use everybody, also people who may still go on; recent people make them look lower.")
    return say(
        "Rates use only people who entered early enough for their window to be over. They are chosen by "
        "the time of entry, never by what they did later."
    )


def run_facts(scope: Scope) -> Block:
    """List what this report was made from, for whoever wants to make it again."""
    say, facts = Say(scope.language), scope.store.facts()
    rows: list[tuple[Sentence, str]] = [
        (say("Workbook"), scope.workbook.name),
        (say("Funnel definition"), scope.funnel.fingerprint),
        (say("Data counted up to"), _instant(scope.as_of)),
        (say("Input files"), Count(len(facts["inputs"])).format(scope.language)),
    ]
    rows += [
        (
            say("Table {name}", name=Name(name)),
            f"{Count(table['rows']).format(scope.language)} · {table['sha256'][:12]}",
        )
        for name, table in sorted(facts["tables"].items())
    ]
    return blocks.run_facts(rows)


def _instant(at: datetime | None) -> str:
    return "–" if at is None else at.isoformat(timespec="seconds")
