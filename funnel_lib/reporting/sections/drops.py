"""What people did who stopped: the next thing they did, in the time in which they could still have gone on."""

from __future__ import annotations

from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.dropoffs import NOTHING, OTHER, after_drop, back_to
from funnel_lib.conversion.reasons.stopping import stopped
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Rate
from funnel_lib.reporting.labels import Name
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.sections.passing import Pass, passes
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

SHOWN = 6


def instead(scope: Scope, journeys: Journeys, steps: pd.DataFrame) -> Block:
    """Show what people did next who stopped before the step at which most are lost; `steps` is `rates(journeys)`."""
    say = Say(scope.language)
    kicker, lost = say("After the drop-off"), lost_step(scope, steps)
    log = EventLog.of(scope) if scope.funnel.snapshot is None else None
    if log is None:
        return section("after", kicker=kicker, finding=say("This source does not tell what people did next"))
    if lost is None:
        return section("after", kicker=kicker, finding=say("Too few people to say what they did next"))
    before = int(previous_steps(scope.funnel)[lost.number - 1])
    who = stopped(log, journeys, before)
    then = after_drop(log, journeys, before, top=SHOWN, rules=scope.workbook.rules, who=who)
    if before < 2:
        return _shown(say, scope, lost, then, kicker, [])
    back = back_to(log, journeys, before, rules=scope.workbook.rules, who=who)
    return _shown(say, scope, lost, then, kicker, [_back(say, scope, back)])


def lost_step(scope: Scope, steps: pd.DataFrame) -> Pass | None:
    """Return the required step that falls furthest below its target, else the one before which most people are lost."""
    required = {step.name for step in scope.funnel.steps if not step.optional}
    found = [step for step in passes(scope, steps) if not step.few and step.name in required]
    worst = min((step for step in found if step.below), key=lambda step: step.gap, default=None)
    return worst or max(found, key=lambda step: step.entering - step.passed, default=None)


def _back(say: Say, scope: Scope, back: pd.DataFrame) -> Sentence:
    """Say to which earlier step people went back most often, or that too few did."""
    earlier = back[(back["step"] > 0) & back["units"].ge(scope.workbook.rules.min_events) & back["share"].notna()]
    if earlier.empty:
        return say("Hardly anybody went back to an earlier step.")
    most = records(earlier.sort_values("units", ascending=False))[0]
    return say(
        "{share:value} {share:ci} went back to {step}: a loop worth watching.", key="after.back",
        share=Rate(most.share, most.low, most.high), step=scope.step_title(most.name),
    )  # fmt: skip


def _shown(
    say: Say, scope: Scope, lost: Pass, then: pd.DataFrame, kicker: Sentence, again: list[Sentence]
) -> Block:  # fmt: skip
    """Draw the shares and say the largest."""
    if then["share"].isna().all():
        return section("after", kicker=kicker, finding=say("Too few people to say what they did next"))
    told = then.assign(answer=[_title(say, scope, str(event)) for event in then["event"]], rate=then["share"])
    finding = _finding(say, told, lost)
    pictured = told.assign(group="all")[["answer", "group", "rate", "low", "high"]]
    svgs = plots.figure(
        lambda ax, width: plots.answers(pictured, plots.Words(scope.language), ax=ax, width=width), alt=finding.text,
        widths=(700, 328),
    )  # fmt: skip
    columns = [
        Column("answer", say("First thing they did")),
        Column("units", say("People"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
        Column("median_wait_days", say("Median wait"), Days),
    ]
    table = Table(told, columns, say("First event after {step}", step=lost.before), name="after_drop")
    caption = say("Whiskers = {level} Wilson interval. The shares add up.", level=level_of(scope))
    sub = say(
        "People who reached {before} but not {step}, by the first thing they did afterwards, in the time in which they "
        "could still have gone on; n = {n}", key="after", before=lost.before, step=lost.title,
        n=int(then["denominator"].iloc[0]),
    )  # fmt: skip
    note = say("What people did next is not why they stopped; it shows where to look and whom to ask.")
    figure = Figure(svgs, finding, caption=caption, table=table)
    return section(
        "after", kicker=kicker, finding=finding, sub=sub, parts=[figure, SoWhat(say("So what"), [*again, note])]
    )


def _finding(say: Say, told: pd.DataFrame, lost: Pass) -> Sentence:
    nothing = told[told["event"] == NOTHING].iloc[0]
    others = told[~told["event"].isin([NOTHING, OTHER])]
    gone = Rate(nothing["rate"], nothing["low"], nothing["high"])
    if others.empty or pd.isna(others.iloc[0]["rate"]):
        return say(
            "{share:value} {share:ci} of those who stopped after {step} did nothing more", key="after", share=gone,
            step=lost.before,
        )  # fmt: skip
    most = others.iloc[0]
    then = Rate(most["rate"], most["low"], most["high"])
    words: dict[str, Any] = {"step": lost.before, "share": gone, "event": Name(most["answer"]), "then": then}
    if nothing["rate"] > 0.5:
        return say(
            "Most who stopped after {step} did nothing more: {share:value} {share:ci}; next came {event}, "
            "{then:value} {then:ci}", key="after", **words,
        )  # fmt: skip
    if nothing["rate"] >= most["rate"]:
        return say(
            "{share:value} {share:ci} of those who stopped after {step} did nothing more; next came {event}, "
            "{then:value} {then:ci}", key="after", **words,
        )  # fmt: skip
    return say(
        "Those who stopped after {step} came back most often with {event}: {then:value} {then:ci}; {share:value} "
        "{share:ci} did nothing more", key="after", **words,
    )  # fmt: skip


def _title(say: Say, scope: Scope, event: str) -> str:
    """Return what readers call an event: the title of the step that it is, if it is one."""
    if event == NOTHING:
        return say.text("Nothing more")
    if event == OTHER:
        return say.text("Anything else")
    step = next((step for step in scope.funnel.steps if step.events == [event] and not step.where), None)
    return scope.step_title(step.name) if step else event
