"""What the conversion report opens with: its answers in a few sentences, what is worth most first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement import change
from funnel_lib.reporting.blocks import Block, summary
from funnel_lib.reporting.estimates import Count, Money, Rate
from funnel_lib.reporting.sections import bottlenecks, conversion, mix, moves, segments, speed, time
from funnel_lib.reporting.sections.missing import why
from funnel_lib.reporting.sections.passing import Pass, overall, passes, window_of
from funnel_lib.reporting.wording import Say, Sentence

MOST_POINTS = 5
"""Sentences of the summary after the first."""


class Point(NamedTuple):
    """A sentence of the summary with its label; of too many, those with the highest rank are left out."""

    rank: int
    label: Sentence
    said: Sentence


def summarise(
    scope: Scope, journeys: Journeys, steps: pd.DataFrame, before: Journeys | None, ranked: pd.DataFrame | None = None
) -> Block:
    """Open with the overall rate, then what to look at first, whether the rate moved, how long it takes, for whom.

    `ranked` is `bottlenecks.rank`; without it, nothing is said of what to look at first.
    """
    say, whole, window = Say(scope.language), overall(scope, steps), window_of(scope)
    rate = Rate(whole.rate, whole.low, whole.high, digits=2, say_level=True, level=scope.workbook.rules.level)
    n, last = Count(whole.entering), whole.title
    if not whole.entering and window is not None:
        lead = say(
            "{n} people entered, and none has had the full {window} yet; {k} have reached {last} so far.",
            key="summary", n=len(journeys.frame), window=window, last=last,
            k=int((journeys.frame["depth"] == len(scope.funnel.steps)).sum()),
        )  # fmt: skip
    elif whole.few:
        lead = say(
            "Of {n} people who entered, {k} reached {last}: too few for a rate.",
            key="summary",
            last=last,
            n=n,
            k=whole.passed,
        )
    elif window is not None and journeys.window_closed:
        lead = say(
            "Of the {n} people who have had their full {window}, **{rate:value}** reached {last} {rate:ci}.",
            key="summary",
            n=n, window=window, rate=rate, last=last,
        )  # fmt: skip
    else:
        lead = say(
            "Of {n} people, **{rate:value}** have reached {last} so far {rate:ci}.",
            key="summary",
            n=n,
            rate=rate,
            last=last,
        )
    return summary(lead, _most(list(_points(say, scope, journeys, steps, before, ranked))))


def _most(points: Sequence[Point]) -> list[tuple[Sentence, Sentence]]:
    """Return as many points as a summary holds, in their order: the least important are left out."""
    kept = sorted(sorted(points, key=lambda point: point.rank)[:MOST_POINTS], key=points.index)
    return [(point.label, point.said) for point in kept]


def _first_look(
    say: Say, scope: Scope, journeys: Journeys, found: Sequence[Pass], ranked: pd.DataFrame | None
) -> Iterator[Point]:
    """Yield what to look at first: the step below its bar that brings most, else that which loses most people."""
    lost, label = conversion.funnel_finding(say, found, scope.workbook.rules), say("What to look at first")
    below = pd.DataFrame() if ranked is None else ranked[(ranked["light"] == "below") & ranked["conversions"].gt(0)]
    if ranked is None or all(step.few for step in found):
        yield Point(1, say("Where people are lost"), lost)
        return
    finding = bottlenecks.money_finding(say, scope, ranked) if len(below) else lost
    if len(below) == 0 or not below["money"].gt(0).any():
        finding = _with_worth(say, scope, journeys, finding)
    yield Point(1, label, finding)
    short = [step.name for step in found if step.below]
    if len(below) and short != [str(below["name"].iloc[0])]:  # the same step need not be told twice
        yield Point(7, say("Where people are lost"), lost)


def _with_worth(say: Say, scope: Scope, journeys: Journeys, finding: Sentence) -> Sentence:
    """Add to a sentence what a conversion is worth, or why that is not known."""
    worth, last = bottlenecks.worth_of(scope, journeys), scope.step_title(scope.funnel.names[-1])
    if math.isnan(worth.mean):
        reason = why(say, worth.reason or "no_value")
        return say("{finding}; what it is worth cannot be computed, because {reason}", finding=finding, reason=reason)
    amount = Money(worth.worth.value, scope.workbook.currency, worth.worth.low, worth.worth.high)
    return say("{finding}; one {last} is worth {amount}", key="summary", finding=finding, last=last, amount=amount)


def _points(
    say: Say, scope: Scope, journeys: Journeys, steps: pd.DataFrame, before: Journeys | None,
    ranked: pd.DataFrame | None,
) -> Iterator[Point]:  # fmt: skip
    """Yield the points of the summary: what to look at first, by money where it is known, and what is behind it."""
    splits, several = mix.splits_of(scope), len(scope.funnel.steps) > 1
    if several:
        yield from _first_look(say, scope, journeys, passes(scope, steps), ranked)
    if several:
        yield Point(3, say("Against the period before"), moves.summary_point(say, scope, journeys, before))
    if several and journeys.frame["first_entry"].notna().any():
        week = time.worst_week(say, scope, journeys, "device")
        if week is not None:
            yield Point(4, say("Week by week"), week)
    if several:
        yield Point(5, say("How long it takes"), speed.summary_point(say, scope, journeys))
    if splits:
        against = segments.comparisons(scope, journeys, splits[0])
        yield Point(6, say("For whom"), segments.behind(say, scope, against, splits[0]))
    moved = mix.widest(scope, journeys, before)
    if moved is not None and before is not None:
        shares = change.mix(journeys, before, moved, rules=scope.workbook.rules)
        yield Point(8, say("Who came"), mix.shifted(say, scope, shares, moved))
