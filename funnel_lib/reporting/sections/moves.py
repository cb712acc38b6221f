"""Why a rate moved: step by step, who came or how they behaved, and since which day."""

from __future__ import annotations

from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.decomposition import Decomposition, Part, by_step, decompose, explain_change
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, alert, section
from funnel_lib.reporting.estimates import Count, Points, Rate, plain_points
from funnel_lib.reporting.labels import Day, PeriodName
from funnel_lib.reporting.parts import Part as Shown
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.mix import splits_of
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

UNLIKELY = 0.001
"""A chance that is none."""


def moved(scope: Scope, now: Journeys, before: Journeys | None) -> Block:
    """Show what each step added to the change of the overall rate since `comparable(scope)`, and why."""
    say = Say(scope.language)
    kicker, what = say("Why it moved"), say("A change")
    if before is None or before.period is None or len(scope.funnel.steps) < 2:
        return unknown("moved", kicker, cannot(say, what, "no_earlier"))
    splits = splits_of(scope)
    found = [_of(scope, now, before, split) for split in splits]
    whole = found[0] if found else _of(scope, now, before, None)
    if whole.reason is not None:
        return unknown("moved", kicker, cannot(say, what, _reason(whole.reason, now)))
    steps = by_step(now, before, rules=scope.workbook.rules, rng=chance(scope, "steps"))
    finding = change_finding(say, scope, whole, steps)
    sub = say(
        "Share of people who got from first step to last: people who entered {now} beside as many days with the same "
        "weekdays, {before}; {level} intervals", now=PeriodName(scope.period), before=PeriodName(before.period),
        level=level_of(scope),
    )  # fmt: skip
    parts: list[Shown] = [*_bridge(say, scope, whole, steps, finding), *unrecorded(say, scope, now, before)]
    if splits:
        parts += [_dimensions(say, scope, found), SoWhat(say("So what"), _causes(say, scope, now, before, found))]
        parts += [_groups(say, scope, max(found, key=_pull))]
    return section("moved", kicker=kicker, finding=finding, sub=sub, parts=parts)


def unrecorded(say: Say, scope: Scope, now: Journeys, before: Journeys) -> list[Sentence]:
    """Warn where the last step begins so late in the earlier period that it was hardly recorded before.

    That is: so many had had the time in which half of this period's converters got there that none of them getting
    there, at this period's rate, would be a chance of less than one in a thousand.
    """
    last = f"t_{len(scope.funnel.steps)}"
    reached = now.frame.loc[now.frame[last].notna(), ["first_entry", last]]
    first, wait = before.frame[last].min(), (reached[last] - reached["first_entry"]).median()
    if pd.isna(first) or pd.isna(wait):
        return []
    waited = int((before.frame["first_entry"] <= first - wait).sum())
    if (1 - len(reached) / 2 / len(now.frame)) ** waited >= UNLIKELY:
        return []
    day = Day(first.tz_convert(scope.workbook.zone).date(), "full")
    return [
        say(
            "Before {day} nobody reached {step}, though {n} had had the time: it may not have been recorded until "
            "then, so that the rate before is too low.", key="moved.unrecorded", day=day, n=waited,
            step=scope.step_title(scope.funnel.names[-1]),
        )
    ]  # fmt: skip


def _reason(reason: str, now: Journeys) -> str:
    """Return why a change is not known: people who entered, but whose time is not over, are not nobody."""
    return "open" if reason == "nobody_now" and len(now.frame) else reason


def _of(scope: Scope, now: Journeys, before: Journeys, split: str | None) -> Decomposition:
    """Split the change of the overall rate by the groups of a split; without one, all are one group."""
    if split is None:
        now, before = ((Journeys(part.funnel, part.frame.assign(everyone="all"), part.period, part.as_of,
                                 part.window_closed)) for part in (now, before))  # fmt: skip
    last, rules = len(scope.funnel.steps), scope.workbook.rules
    return decompose(now, before, split or "everyone", step=last, base="first", rules=rules, rng=chance(scope, "mix"))


def _pull(found: Decomposition) -> float:
    """Return how much of a change the groups' shares explain, at least."""
    return abs(found.composition.estimate) if found.composition.clear else 0.0


def change_finding(say: Say, scope: Scope, whole: Decomposition, steps: pd.DataFrame) -> Sentence:
    """Say whether the overall rate moved, and which step did most of it."""
    change, key = whole.change, "moved"
    points = Points(change.estimate, change.low, change.high)
    lead = steps[steps["clear"]].assign(size=lambda rows: rows["part"].abs()).sort_values("size")
    if not change.clear and (lead.empty or len(steps) < 2):
        return say("The overall rate did not move clearly: {points:value} {points:ci}", key=key, points=points)
    if len(steps) < 2:
        return say("The overall rate moved by {points:value} {points:ci}", key=key, points=points)
    if lead.empty:
        return say(
            "The overall rate moved by {points:value} {points:ci}; no single step did most of it for sure", key=key,
            points=points,
        )  # fmt: skip
    most = records(lead)[-1]
    step, part = scope.step_title(most.name), Points(most.part, most.low, most.high)
    if not change.clear:
        return say(
            "The overall rate did not move clearly: {points:value} {points:ci}, though {step} by itself moved it by "
            "{part:value} {part:ci}", key=key, points=points, step=step, part=part,
        )  # fmt: skip
    return say(
        "The overall rate moved by {points:value} {points:ci}; {step} alone made {part:value} {part:ci}", key=key,
        points=points, step=step, part=part,
    )  # fmt: skip


def summary_point(say: Say, scope: Scope, now: Journeys, before: Journeys | None) -> Sentence:
    """Say in one sentence whether the overall rate moved and by which step, or why that is not known."""
    what = say("Whether the rate moved")
    if before is None:
        return cannot(say, what, "no_earlier")
    whole = _of(scope, now, before, next(iter(splits_of(scope)), None))
    if whole.reason is not None:
        return cannot(say, what, _reason(whole.reason, now))
    steps = by_step(now, before, rules=scope.workbook.rules, rng=chance(scope, "steps"))
    return change_finding(say, scope, whole, steps)


def _bridge(say: Say, scope: Scope, whole: Decomposition, steps: pd.DataFrame, finding: Sentence) -> list[Shown]:
    """Return the picture from the rate before to the rate now, with the table of the steps."""
    if steps["part"].isna().any():
        return [cannot(say, say("The part of each step"), str(steps["reason"].iloc[0]))]
    before, now = (_rate(whole, side) for side in ("before", "now"))
    ends = {"low": float("nan"), "high": float("nan"), "clear": False}
    rows = [
        {"label": say.text("Period before"), "kind": "start", "value": before, **ends},
        *(
            {"label": row.name, "kind": "part", "value": row.part, "low": row.low, "high": row.high, "clear": row.clear}
            for row in records(steps)
        ),
        {"label": say.text("This period"), "kind": "end", "value": now, **ends},
    ]
    frame, words = pd.DataFrame(rows), chart_words(scope)
    svgs = plots.figure(
        lambda ax, width: plots.bridge(frame, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    columns = [
        Column("title", say("Step")),
        Column("rate_before", say("Rate before"), Rate),
        Column("rate_now", say("Rate now"), Rate),
        Column("part", say("Part of the change, pp"), plain_points, low="low", high="high"),
    ]
    titled = steps.assign(title=[scope.step_title(str(name)) for name in steps["name"]])
    table = Table(titled, columns, say("What each step added"), name="steps_moved")
    caption = say(
        "Bars add up from the rate before to the rate now; filled = clear of noise, dashed outline = not. The scale "
        "does not start at zero. Shares of the step before."
    )
    return [Figure(svgs, finding, caption=caption, table=table)]


def _rate(whole: Decomposition, side: str) -> float:
    return float(whole.frame[f"numerator_{side}"].sum() / whole.frame[f"denominator_{side}"].sum())


def _dimensions(say: Say, scope: Scope, found: list[Decomposition]) -> Figure:
    """Return the picture of two bars per split: who came, and how they behaved."""
    rows = [
        {"label": scope.split_title(one.by), "kind": kind, **_ends(part)}
        for one in found
        for kind, part in ((say.text("who came"), one.composition), (say.text("how they behaved"), one.rate))
    ]
    frame, words = pd.DataFrame(rows), plots.Words(scope.language)
    alt = say("The change by split: what came of who came, and what of how they behaved")
    svgs = plots.figure(
        lambda ax, width: plots.differences(frame, words, ax=ax, width=width), alt=alt.text, widths=(700, 328)
    )
    columns = [
        Column("label", say("Split")),
        Column("kind", say("Part"), left=True),
        Column("estimate", say("Part of the change, pp"), plain_points, low="low", high="high"),
    ]
    caption = say(
        "Each split divides the same change in two: other people came, or the same kind of people behaved "
        "differently. Splits overlap; do not add them up."
    )
    return Figure(svgs, alt, caption=caption, table=Table(frame, columns, say("Who came, how they behaved")))


def _ends(part: Part) -> dict[str, Any]:
    return {"estimate": part.estimate, "low": part.low, "high": part.high, "clear": part.clear}


def _causes(say: Say, scope: Scope, now: Journeys, before: Journeys, found: list[Decomposition]) -> list[Sentence]:
    """Say which part is traffic and which is the steps, and in which group the cause may sit."""
    notes = []
    lead = max(found, key=_pull)
    came, rate = (Points(part.estimate, part.low, part.high) for part in (lead.composition, lead.rate))
    words: dict[str, Any] = {"split": scope.split_title(lead.by), "came": came, "rate": rate, "key": "moved.mix"}
    if not lead.change.clear:
        notes.append(say("The total did not move clearly; by {split}, {came:value} {came:ci} of it came of who came, "
                         "{rate:value} {rate:ci} of how they behaved.", **words))  # fmt: skip
    elif lead.composition.clear and lead.rate.clear:
        notes.append(say("By {split}: {came:value} {came:ci} came of who came, {rate:value} {rate:ci} of how they "
                         "behaved. Both are clear.", **words))  # fmt: skip
    elif lead.composition.clear:
        notes.append(say("It is traffic: by {split}, other people came, worth {came:value} {came:ci}; how they behaved "
                         "did not change clearly, {rate:value} {rate:ci}.", **words))  # fmt: skip
    elif lead.rate.clear:
        notes.append(say("It is the steps: people behaved differently, {rate:value} {rate:ci}; who came, by {split}, "
                         "made no clear difference, {came:value} {came:ci}.", **words))  # fmt: skip
    else:
        notes.append(say("Neither who came, by {split}, {came:value} {came:ci}, nor how they behaved, {rate:value} "
                         "{rate:ci}, is clear of noise.", **words))  # fmt: skip
    notes += _uneven(say, scope, now, before)
    return [*notes, say("A comparison of periods shows what moved together, not what caused it.")]


def _uneven(say: Say, scope: Scope, now: Journeys, before: Journeys) -> list[Sentence]:
    """Say where the groups' rates changed unequally: the cause then sits in some of them."""
    ranked = explain_change(
        now, before, splits_of(scope), step=len(scope.funnel.steps), base="first", rules=scope.workbook.rules,
        rng=chance(scope, "dimensions"),
    )  # fmt: skip
    return [
        say(
            "By {split}, the groups moved unequally; {group} contributes most: {points:value}.",
            key=f"moved.{row.dimension}", split=scope.split_title(row.dimension),
            group=scope.group_title(row.dimension, row.group), points=Points(row.group_total),
        )
        for row in records(ranked) if row.spread_clear
    ]  # fmt: skip


def _groups(say: Say, scope: Scope, lead: Decomposition) -> Table:
    """Return the parts of each group of the split that explains most."""
    frame = lead.frame.assign(group=[scope.group_title(lead.by, str(group)) for group in lead.frame["group"]])
    columns = [
        Column("group", scope.split_title(lead.by)),
        Column("denominator_now", say("People"), Count),
        Column("share_before", say("Share before"), Rate),
        Column("share_now", say("Share now"), Rate),
        Column("rate_before", say("Rate before"), Rate),
        Column("rate_now", say("Rate now"), Rate),
        Column("mix_part", say("By its share, pp"), plain_points, low="mix_low", high="mix_high"),
        Column("rate_part", say("By its rate, pp"), plain_points, low="rate_low", high="rate_high"),
    ]
    caption = say("What each group added to the change, by {split}", split=scope.split_title(lead.by))
    return Table(frame, columns, caption, name="groups_moved", look="seg")


def paradox(scope: Scope, now: Journeys, before: Journeys | None) -> Block | None:
    """Warn where the whole moved one way and its groups the other, clear of noise; else None."""
    if before is None:
        return None
    say, found = Say(scope.language), [_of(scope, now, before, split) for split in splits_of(scope)]
    for one in found:
        if one.reversal_clear:
            change, rate = Points(one.change.estimate), Points(one.rate.estimate)
            lines = [
                say(
                    "The overall rate moved by {change:value}, but within the groups of {split} by {rate:value}: the "
                    "total misleads, because other people came. Judge the groups, not the total.", key="paradox",
                    change=change, rate=rate, split=scope.split_title(one.by),
                )
            ]  # fmt: skip
            return alert("warning", say("The total and its groups moved in opposite directions"), lines)
    return None
