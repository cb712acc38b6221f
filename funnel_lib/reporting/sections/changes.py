"""The case study's changes: what each did, by its kind of evidence, and what they are worth together."""

from __future__ import annotations

import math
from datetime import timedelta

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import CaseStudy
from funnel_lib.errors import ConfigError
from funnel_lib.notation import text
from funnel_lib.optimisation.case import CaseResult, ChangeResult
from funnel_lib.optimisation.experiments import Arm
from funnel_lib.optimisation.policies import PolicyChange
from funnel_lib.optimisation.releases import ReleaseChange
from funnel_lib.optimisation.trials import TrialChange
from funnel_lib.optimisation.worth import Sum
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Money, Points, PValue, Rate
from funnel_lib.reporting.labels import Day
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.plots.words import Words
from funnel_lib.reporting.sections.page import level_of, slug
from funnel_lib.reporting.sections.reasons import evidence, why_not
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def study_of(scope: Scope) -> CaseStudy:
    """Return the workbook's case study; raises ConfigError where it has none."""
    if scope.workbook.case_study is None:
        raise ConfigError("This workbook has no case study.", where=scope.workbook.file, do="Add a section case_study.")
    return scope.workbook.case_study


def change_title(scope: Scope, name: str | None) -> str:
    """Return what readers call the change `name`."""
    titles = {change.name: text(change.title, scope.language, change.name) for change in study_of(scope).changes}
    return titles.get(name or "", name or "")


def window(case: CaseResult) -> Days:
    """Return how long people of the case are watched."""
    return Days(case.within / timedelta(days=1))


def each(scope: Scope, case: CaseResult) -> None:
    """Display one section per change, in the workbook's order."""
    from IPython.display import display

    for change in case.changes:
        display(change_section(scope, case, change))  # type: ignore[no-untyped-call]


def change_section(scope: Scope, case: CaseResult, change: ChangeResult) -> Block:
    """Show what one change did, with its kind of evidence."""
    say, title = Say(scope.language), change_title(scope, change.name)
    kicker = say("{change}: {evidence}", change=title, evidence=evidence(say, change).text)
    name = f"change-{slug(change.name)}"
    if change.reason is not None:
        return section(name, kicker=kicker, finding=why_not(say, title, change.reason))
    found = effect_finding(say, scope, change)
    if isinstance(change, TrialChange):
        sub, figure, notes = _trial(say, scope, case, change)
    elif isinstance(change, PolicyChange):
        sub, figure, notes = _policy(say, scope, case, change)
    else:
        sub, figure, notes = _release(say, scope, case, change)
    return section(name, kicker=kicker, finding=found, sub=sub, parts=[figure, SoWhat(say("So what"), notes)])


Shown = tuple[Sentence, Figure, list[Sentence]]


def effect_finding(say: Say, scope: Scope, change: ChangeResult) -> Sentence:
    """Say by how much a change moved its rate, or that no effect is clear of noise."""
    title, effect, key = change_title(scope, change.name), change.effect, f"change.{change.name}"
    points = Points(effect.estimate, effect.low, effect.high)
    if not (effect.low > 0 or effect.high < 0):
        return say(
            "{change}: no effect clear of noise, {points:value} {points:ci}",
            key=key,
            change=title,
            points=points,
        )
    return say("{change}: {points:value} {points:ci}", key=key, change=title, points=points)


def short_effect(say: Say, scope: Scope, case: CaseResult, change: ChangeResult) -> Sentence:
    """Say a change's effect for the summary, with what it is an effect on and what stands behind it."""
    if change.reason is not None:
        return why_not(say, change_title(scope, change.name), change.reason)
    effect, key = change.effect, f"change.{change.name}"
    points = Points(effect.estimate, effect.low, effect.high)
    step = scope.step_title(change.steps[1] if isinstance(change, ReleaseChange) else case.steps[1])
    if isinstance(change, TrialChange):
        return say(
            "**{points:value}** {points:ci} at {step}, in a randomised trial",
            key=key,
            points=points,
            step=step,
        )
    if isinstance(change, PolicyChange):
        return say(
            "**{points:value}** {points:ci} at {step}, beside a group that it did not touch",
            key=key,
            points=points,
            step=step,
        )
    return say("**{points:value}** {points:ci} at {step}, before and after only", key=key, points=points, step=step)


def _arms(say: Say, arms: list[tuple[str, Arm]], found: Sentence, caption: Sentence) -> Figure:
    """Draw the rates of both sides, with the table of their counts."""
    rows = [
        {
            "answer": label,
            "n": arm.units,
            "converted": arm.converted,
            "rate": arm.rate,
            "low": arm.low,
            "high": arm.high,
        }
        for label, arm in arms
    ]
    return _cells(say, pd.DataFrame(rows), found, caption)


def _cells(say: Say, frame: pd.DataFrame, found: Sentence, caption: Sentence) -> Figure:
    columns = [
        Column("answer", say("Who")),
        Column("n", say("People"), Count),
        Column("converted", say("Converted"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
    ]
    pictured, words = frame.assign(group="all"), Words(say.language)
    svgs = plots.figure(
        lambda ax, width: plots.answers(pictured, words, ax=ax, width=width),
        alt=found.text,
        widths=(700, 328),
    )
    return Figure(svgs, found, caption=caption, table=Table(frame, columns, say("Shares behind the picture")))


def _trial(say: Say, scope: Scope, case: CaseResult, change: TrialChange) -> Shown:
    result, ratio, key = change.result, change.ratio, f"change.{change.name}"
    if result is None or ratio is None:
        raise ConfigError("This trial has no result to show.", where=change.name, found=change.reason)
    control, treatment = result.control, result.treatment
    caption = say("Whiskers = {level} Wilson interval; the difference is Newcombe’s.", level=level_of(scope))
    arms = [(say.text("With the change"), treatment), (say.text("Without it"), control)]
    found = effect_finding(say, scope, change)
    notes = [
        say(
            "People were split as planned: {treatment} with, {control} without the change ({p}).", key=f"{key}.ratio",
            treatment=ratio.observed[treatment.name], control=ratio.observed[control.name], p=PValue(ratio.p),
        ),
        say(
            "{treatment:value} against {control:value}: a difference of {points:value} {points:ci}, {p}.", key=key,
            treatment=Rate(treatment.rate, treatment.low, treatment.high), p=PValue(result.p),
            control=Rate(control.rate, control.low, control.high),
            points=Points(result.difference, result.low, result.high),
        ),
        worth(say, scope, change),
        say(
            "With so many people, a rise of {detectable:value} or more would have been seen in four of five such "
            "trials.",
            key=key, detectable=Points(result.detectable, signed=False),
        ),
    ]  # fmt: skip
    first, last = (scope.step_title(step) for step in case.steps)
    sub = say(
        "Randomised by person; share who reached {last} within {window} of {first}",
        last=last,
        window=window(case),
        first=first,
    )
    return sub, _arms(say, arms, found, caption), notes


def _policy(say: Say, scope: Scope, case: CaseResult, change: PolicyChange) -> Shown:
    result, key = change.result, f"change.{change.name}"
    if result is None:
        raise ConfigError("This change has no result to show.", where=change.name, found=change.reason)
    treated, control = (scope.group_title(case.split, group) for group in change.groups)
    titles = {
        ("treated", False): say.text("{group}, before", group=treated),
        ("treated", True): say.text("{group}, since", group=treated),
        ("control", False): say.text("{group}, before", group=control),
        ("control", True): say.text("{group}, since", group=control),
    }
    cells = result.cells.rename(columns={"units": "n"}).drop(columns="group")
    cells = cells.assign(answer=[titles[str(row.group), bool(row.after)] for row in records(result.cells)])
    caption = say(
        "Whiskers = {level} Wilson interval; the effect is how much more the first group changed than the second.",
        level=level_of(scope),
    )  # fmt: skip
    notes = [
        say(
            "{treated} changed by {points:value} {points:ci} more than {control}, {p}.", key=key, treated=treated,
            control=control, points=Points(result.estimate, result.low, result.high), p=PValue(result.p),
        ),
        _placebo(say, change, key),
        worth(say, scope, change),
    ]  # fmt: skip
    if (given := change.given_away) is not None:
        money = Money(given.value, scope.workbook.currency, given.low, given.high)
        notes.append(
            say(
                "On orders that would have come anyway, the lower price gave away {money:value} {money:ci} of revenue; "
                "that is deducted.", key=key, money=money,
            )
        )  # fmt: skip
    first, last = (scope.step_title(step) for step in case.steps)
    sub = say(
        "Share who reached {last} within {window} of {first}, before and from {day}, beside a group that the change "
        "did "
        "not touch", last=last, window=window(case), first=first, day=Day(change.since, "full"),
    )  # fmt: skip
    return sub, _cells(say, cells, effect_finding(say, scope, change), caption), notes


def _placebo(say: Say, change: PolicyChange, key: str) -> Sentence:
    false, day = change.placebo, Day(change.placebo_at, "full")
    if false is None or false.reason is not None:
        return say("There were too few people before to test a false date.")
    points = Points(false.estimate, false.low, false.high)
    if false.clear:
        return say(
            "At a false date, {day}, the same method finds {points:value} {points:ci}: the groups moved apart on their "
            "own, so do not trust the effect.", key=f"{key}.placebo", day=day, points=points,
        )  # fmt: skip
    return say(
        "At a false date, {day}, the same method finds nothing clear: {points:value} {points:ci}.",
        key=f"{key}.placebo",
        day=day, points=points,
    )  # fmt: skip


def _release(say: Say, scope: Scope, case: CaseResult, change: ReleaseChange) -> Shown:
    result, key = change.result, f"change.{change.name}"
    if result is None:
        raise ConfigError("This change has no result to show.", where=change.name, found=change.reason)
    caption = say("Whiskers = {level} Wilson interval; the difference is Newcombe’s.", level=level_of(scope))
    arms = [(say.text("Before"), result.before), (say.text("Since"), result.after)]
    notes = [
        say(
            "{before:value} before, {after:value} since: {points:value} {points:ci}, {p}.", key=key, p=PValue(result.p),
            before=Rate(result.before.rate, result.before.low, result.before.high),
            after=Rate(result.after.rate, result.after.low, result.after.high),
            points=Points(result.difference, result.low, result.high),
        )
    ]  # fmt: skip
    notes += [
        say(
            "With the mix by {split} held constant: {points:value} {points:ci}.", key=f"{key}.{row.split}",
            split=scope.split_title(row.split), points=Points(row.difference, row.low, row.high),
        )
        for row in records(change.standardised) if row.reason is None
    ]  # fmt: skip
    notes += [
        worth(say, scope, change),
        say("Weaker evidence: whatever else changed at that time is in this number too."),
    ]
    before, after = (scope.step_title(step) for step in change.steps)
    sub = say(
        "Share who got from {before} to {after} within {window}, people who came in the {n} weeks before and from "
        "{day}",
        before=before, after=after, window=window(case), n=change.weeks, day=Day(change.since, "full"),
    )  # fmt: skip
    return sub, _arms(say, arms, effect_finding(say, scope, change), caption), notes


def worth(say: Say, scope: Scope, change: ChangeResult) -> Sentence:
    """Say what a change brought to those who met it, in orders and money."""
    effect, key = change.effect, f"change.{change.name}.worth"
    orders, units = (
        Count(effect.orders, effect.orders_low, effect.orders_high, signed=True),
        Count(effect.units_affected),
    )
    if math.isnan(effect.money):
        return say(
            "For the {units} people who met it: {orders:value} orders {orders:ci}. What an order brings is not known.",
            key=key, units=units, orders=orders,
        )  # fmt: skip
    money = Money(effect.money, scope.workbook.currency, effect.money_low, effect.money_high, signed=True)
    return say(
        "For the {units} people who met it: {orders:value} orders {orders:ci}, {money:value} of margin {money:ci}.",
        key=key,
        units=units, orders=orders, money=money,
    )  # fmt: skip


def total(scope: Scope, case: CaseResult) -> Block:
    """Add up what the changes brought, by strong evidence and with the weaker added."""
    say, found = Say(scope.language), total_finding(Say(scope.language), scope, case.total.strong)
    notes = [_sum(say, scope, case.total.strong, weaker=False)]
    if case.total.everything.names != case.total.strong.names:
        notes.append(_sum(say, scope, case.total.everything, weaker=True))
    notes.append(
        say(
            "The margin is {margin:value} of an order’s amount. Costs of the changes themselves are not deducted.",
            key="total", margin=Rate(case.value.margin, digits=0),
        )
    )  # fmt: skip
    sub = say(
        "Orders and margin that the changes brought to the people who met them, up to {day}; sums combine the "
        "intervals",
        day=Day(case.last_day, "full"),
    )  # fmt: skip
    figure = _effects_figure(say, scope, case, found)
    return section(
        "total",
        kicker=say("What it is worth"),
        finding=found,
        sub=sub,
        parts=[figure, SoWhat(say("So what"), notes)],
    )


def _effects_figure(say: Say, scope: Scope, case: CaseResult, found: Sentence) -> Figure:
    currency, effects = scope.workbook.currency, case.effects
    frame = effects.drop(columns=["kind", "evidence"]).assign(
        label=[change_title(scope, name) for name in effects["name"]],
        kind=[evidence(say, change).text for change in case.changes],
        clear=(effects["low"] > 0) | (effects["high"] < 0),
    )

    def money(value: float, low: float, high: float) -> Money:
        return Money(value, currency, low, high, signed=True)

    def orders(value: float, low: float, high: float) -> Count:
        return Count(value, low, high, signed=True)

    columns = [
        Column("label", say("Change")),
        Column("kind", say("Evidence"), left=True),
        Column("estimate", say("Effect, pp"), lambda *ends: Points(*ends, unit=""), low="low", high="high"),
        Column("units_affected", say("People who met it"), Count),
        Column("orders", say("Orders"), orders, low="orders_low", high="orders_high"),
        Column("money", say("Margin"), money, low="money_low", high="money_high"),
    ]
    words = Words(scope.language)
    svgs = plots.figure(
        lambda ax, width: plots.differences(frame, words, ax=ax, width=width),
        alt=found.text,
        widths=(700, 328),
    )
    caption = say(
        "Effect on each change’s own rate, in percentage points with {level} interval; dashed = within noise.",
        level=level_of(scope),
    )  # fmt: skip
    return Figure(
        svgs,
        found,
        caption=caption,
        table=Table(frame, columns, say("Effects, orders and margin by change"), name="effects"),
    )


def total_finding(say: Say, scope: Scope, strong: Sum) -> Sentence:
    """Say what the changes with strong evidence brought together."""
    if strong.reason is not None or math.isnan(strong.orders.value):
        return say("No change has an effect that could be added up", key="total")
    orders = Count(strong.orders.value, strong.orders.low, strong.orders.high, signed=True)
    if math.isnan(strong.money.value):
        return say("Strong evidence for {orders:value} orders {orders:ci}", key="total", orders=orders)
    money = Money(strong.money.value, scope.workbook.currency, strong.money.low, strong.money.high, signed=True)
    return say(
        "Strong evidence for {orders:value} orders {orders:ci}, or {money:value} of margin {money:ci}", key="total",
        orders=orders, money=money,
    )  # fmt: skip


def _sum(say: Say, scope: Scope, found: Sum, *, weaker: bool) -> Sentence:
    if found.reason is not None:
        return say("No effect with this evidence is known.")
    orders = Count(found.orders.value, found.orders.low, found.orders.high, signed=True)
    money = Money(found.money.value, scope.workbook.currency, found.money.low, found.money.high, signed=True)
    if weaker:
        return say(
            "With the weaker before-and-after evidence added: {orders:value} orders {orders:ci}, {money:value} "
            "{money:ci}.",
            key="total.everything", orders=orders, money=money,
        )  # fmt: skip
    return say(
        "Randomised or beside a comparison group: {orders:value} orders {orders:ci}, {money:value} {money:ci}.",
        key="total.strong", orders=orders, money=money,
    )  # fmt: skip
