"""Around the drop-off: what people met before they went on or not, by which ways, and what those say who stopped."""

from __future__ import annotations

from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.touchpoints import NOTHING, routes, touchpoints
from funnel_lib.notation import text
from funnel_lib.optimisation.finding import answers as told
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Points, Rate, plain_points
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.drops import lost_step
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.sections.passing import Pass
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

SHOWN, LONGEST = 8, 60
"""Contents, ways and answers that are shown at most; longer answers are free text and stay where they are."""


def contents(scope: Scope, journeys: Journeys, steps: pd.DataFrame) -> Block | None:
    """Show which contents, met in time, go with going on at the step where most are lost; None without events."""
    lost = lost_step(scope, steps)
    log = EventLog.of(scope) if scope.funnel.snapshot is None else None
    if log is None or lost is None:
        return None
    say = Say(scope.language)
    kicker = say("What they met before")
    before = int(previous_steps(scope.funnel)[lost.number - 1])
    found, landmark = touchpoints(log, journeys, before, rules=scope.workbook.rules)
    found = found[found["reach"] < landmark.units]  # what everybody met, such as the step itself, divides nobody
    shown = found[found["reason"] == ""].head(SHOWN)
    if shown.empty:
        what = say("What goes with reaching {step}", step=lost.title)
        return unknown("contents", kicker, cannot(say, what, landmark.reason or "too_few"))
    finding = content_finding(say, shown, lost)
    sub = say(
        "People still at {before} {days} after it, divided by what they had met until then: how many of either went on "
        "to {step} afterwards; n = {n}", key="contents", before=lost.before, step=lost.title,
        days=Days(landmark.days), n=landmark.units,
    )  # fmt: skip
    notes = [
        say("{n} had gone on before and are left out: who goes on late has had more time to meet anything.",
            key="contents.early", n=landmark.early),
        _friction(say, found),
        say("That goes with going on, it need not cause it: who is interested looks at more."),
    ]  # fmt: skip
    parts: list[Part] = [_picture(say, scope, shown, found, finding), SoWhat(say("So what"), notes)]
    ways = routes(log, journeys, before, top=SHOWN, level=scope.workbook.rules.level)
    ways = ways[ways["units"] >= max(scope.workbook.rules.min_events, 1)]
    if len(ways):
        parts.append(_ways(say, ways, lost))
    return section("contents", kicker=kicker, finding=finding, sub=sub, parts=parts)


def content_finding(say: Say, shown: pd.DataFrame, lost: Pass) -> Sentence:
    """Say which content goes most clearly with going on, or with stopping."""
    clear = shown[shown["clear"]].assign(size=lambda rows: rows["difference"].abs()).sort_values("size")
    if clear.empty:
        return say("Nothing that people met goes clearly with reaching {step}", key="contents.finding",
                   step=lost.title)  # fmt: skip
    most = records(clear)[-1]
    words: dict[str, Any] = {
        "content": Name(most.content), "step": lost.title, "rate": Rate(most.rate, most.low, most.high),
        "points": Points(most.difference, most.diff_low, most.diff_high, signed=False),
    }  # fmt: skip
    if most.difference > 0:
        return say(
            "Who met {content} reached {step} more often: {rate:value} {rate:ci}, {points:value} {points:ci} above the "
            "others", key="contents.finding", **words,
        )  # fmt: skip
    return say(
        "Who met {content} reached {step} less often: {rate:value} {rate:ci}, {points:value} {points:ci} below the "
        "others", key="contents.finding", **words,
    )  # fmt: skip


def _friction(say: Say, found: pd.DataFrame) -> Sentence:
    """Say what the source knows of errors and rage clicks."""
    met = found[found["friction"]]
    if met.empty:
        return say("This source records no errors and no rage clicks here.")
    worst = records(met)[0]
    return say("{n} people met {name}; {lost} of them did not go on.", key="contents.friction", n=int(worst.reach),
               name=Name(worst.content), lost=int(worst.lost))  # fmt: skip


def _picture(say: Say, scope: Scope, shown: pd.DataFrame, found: pd.DataFrame, finding: Sentence) -> Figure:
    frame = pd.DataFrame({
        "label": shown["content"], "estimate": shown["difference"], "low": shown["diff_low"],
        "high": shown["diff_high"], "clear": shown["clear"],
    })  # fmt: skip
    words = plots.Words(scope.language)
    svgs = plots.figure(
        lambda ax, width: plots.differences(frame, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    few: Any = lambda row: say("too few to compare") if row["reason"] else None  # noqa: E731
    columns = [
        Column("content", say("Content")),
        Column("reach", say("Met it"), Count),
        Column("passed", say("Went on"), Count),
        Column("lost", say("Did not"), Count),
        Column("rate", say("Share who went on"), Rate, low="low", high="high"),
        Column("rest_rate", say("Of the others"), Rate),
        Column("difference", say("Difference, pp"), plain_points, low="diff_low", high="diff_high"),
        Column("median_wait_days", say("Median wait"), Days),
    ]
    least = scope.workbook.rules.min_events
    table = found[found["reach"] >= least].head(2 * SHOWN)
    caption = say(
        "Difference to those who had not met it, in percentage points with {level} interval; dashed = within noise.",
        level=level_of(scope),
    )
    made = Table(table, columns, say("Contents before the step"), name="contents", few=few)
    return Figure(svgs, finding, caption=caption, table=made)


def _ways(say: Say, ways: pd.DataFrame, lost: Pass) -> Table:
    named = [say.text("Nothing more") if route == NOTHING else str(route) for route in ways["route"]]
    columns = [
        Column("route", say("Way from {before}", before=lost.before)),
        Column("units", say("People"), Count),
        Column("share", say("Of those there"), Rate, low="share_low", high="share_high"),
        Column("passed", say("Reached {step}", step=lost.title), Count),
    ]
    return Table(ways.assign(route=named), columns, say("The most frequent ways"), name="ways", look="seg")


def answers(scope: Scope, journeys: Journeys) -> Block | None:
    """Show what those answered in the survey who stopped somewhere; None where no survey was collected."""
    if not scope.store.path("surveys").is_file():
        return None
    say = Say(scope.language)
    kicker = say("What those say who stopped")
    surveys = scope.store.read("surveys")
    question = _question(scope, surveys)
    if question is None:
        return None
    stopped = journeys.frame["mature_depth"].between(1, len(scope.funnel.steps) - 1).to_numpy()
    found, _ = told(surveys, question, journeys.frame["unit"], stopped, rules=scope.workbook.rules)
    shown = found[found["numerator"].ge(scope.workbook.rules.min_events) & found["rate"].notna()].head(SHOWN)
    if shown.empty:
        return unknown("answers", kicker, cannot(say, say("What those say who stopped"), "too_few"))
    return _said(say, scope, shown, question, kicker)


def _question(scope: Scope, surveys: pd.DataFrame) -> str | None:
    """Return the question with most answers to choose from: that of the case study where it names one."""
    case = scope.workbook.case_study
    if case is not None and case.survey is not None:
        return case.survey
    told = surveys[surveys["comment"].notna()]
    short = told[told["comment"].str.len() <= LONGEST]
    counts = short.groupby("question")["comment"].agg(["size", "nunique"])
    chosen = counts[counts["nunique"] <= 2 * SHOWN].sort_values("size")
    return None if chosen.empty else str(chosen.index[-1])


def _asked(scope: Scope, question: str) -> str:
    """Return the question as readers know it."""
    case = scope.workbook.case_study
    return text(case.question, scope.language, question) if case is not None and case.survey == question else question


def _said(say: Say, scope: Scope, shown: pd.DataFrame, question: str, kicker: Sentence) -> Block:
    case = scope.workbook.case_study
    named = {} if case is None else {name: title.get(scope.language) or name for name, title in case.answers.items()}
    named |= {name: scope.group_title(None, name) for name in ("other", "unknown")}
    titled = shown.assign(answer=[named.get(str(answer), str(answer)) for answer in shown["answer"]])
    most = records(titled)[0]
    finding = say(
        "Those who stopped answer most often “{answer}”: {share:value} {share:ci}", key="answers.finding",
        answer=Name(most.answer), share=Rate(most.rate, most.low, most.high),
    )  # fmt: skip
    words = plots.Words(scope.language)
    pictured = titled.assign(group="all")[["answer", "group", "rate", "low", "high"]]
    svgs = plots.figure(
        lambda ax, width: plots.answers(pictured, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    columns = [
        Column("answer", say("Answer")),
        Column("numerator", say("People"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
        Column("rest_rate", say("Of the others"), Rate, low="rest_low", high="rest_high"),
        Column("difference", say("Difference, pp"), lambda *ends: Points(*ends, unit=""), low="diff_low",
               high="diff_high"),
    ]  # fmt: skip
    table = Table(titled, columns, say("Answers of those who stopped"), name="answers")
    caption = say(
        "Whiskers = {level} interval. Each person’s last answer; a survey speaks for those who answered.",
        level=level_of(scope),
    )
    sub = say("“{question}”, people whose time is over and who did not reach {last}; n = {n}", key="answers",
              question=Name(_asked(scope, question)), last=scope.step_title(scope.funnel.names[-1]),
              n=int(shown["denominator"].iloc[0]))  # fmt: skip
    return section("answers", kicker=kicker, finding=finding, sub=sub,
                   parts=[Figure(svgs, finding, caption=caption, table=table)])  # fmt: skip
