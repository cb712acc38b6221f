"""The conversion report's own sections: the key figures, the funnel, the steps against their targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.change import mix, trend
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import newcombe
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Card, Figure, Loss, Ranked, kpis, section, summary
from funnel_lib.reporting.estimates import Count, Points, Rate, Share
from funnel_lib.reporting.labels import Names, PeriodName
from funnel_lib.reporting.sections import segments, time
from funnel_lib.reporting.sections.page import (
    Pass,
    chart_words,
    level_of,
    mature_span,
    overall,
    passes,
    window_of,
)
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def funnel(scope: Scope, journeys: Journeys, steps: pd.DataFrame) -> Block:
    """Show how many reach each step, against the targets; `steps` is `rates(journeys)`."""
    say, found = Say(scope.language), passes(scope, steps)
    finding, words, targets = funnel_finding(say, found), chart_words(scope), scope.workbook.targets
    told = Names([step.told(scope.language) for step in found])
    alt = say("{finding}. {groups}", finding=finding.text, groups=told) if found else finding
    ticked = say(
        "Thick tick on a bar = where it would end at target. Whiskers = {level} Wilson interval, left out where they "
        "would "
        "be too short to see.", level=level_of(scope),
    )  # fmt: skip
    plain = say(
        "Whiskers = {level} Wilson interval, left out where they would be too short to see.",
        level=level_of(scope),
    )
    skipped = [step.name for step in scope.funnel.steps if step.optional]
    svgs = plots.figure(
        lambda ax, width: plots.funnel(steps, words, targets=targets, optional=skipped, ax=ax, width=width),
        alt=alt.text,
    )  # fmt: skip
    figure = Figure(svgs, alt, caption=ticked if targets else plain, table=_funnel_table(say, scope, steps))
    return section(
        "funnel", kicker=say("The funnel"), finding=finding, sub=_cohort(say, scope, journeys), parts=[figure]
    )


def funnel_finding(say: Say, found: Sequence[Pass]) -> Sentence:
    """Say where people are lost: against the targets where there are some, else the largest loss."""
    key, known = "funnel.finding", [step for step in found if not step.few]
    if not known:
        return say("Too few people to say where they are lost", key=key)
    judged = [step for step in known if step.target is not None]
    below = sorted((step for step in judged if step.below), key=lambda step: step.gap)
    if len(below) > 1:
        return say(
            "{below} of {judged} steps fall short of target; {step} most, by {gap:value} {gap:ci}", key=key,
            below=len(below), judged=len(judged), step=below[0].title, gap=below[0].short_of,
        )  # fmt: skip
    if below:
        return say(
            "{step} falls short of its target by {gap:value} {gap:ci}",
            key=key,
            step=below[0].title,
            gap=below[0].short_of,
        )
    worst = max(known, key=lambda step: step.entering - step.passed)
    lost = Rate(1 - worst.rate, 1 - worst.high, 1 - worst.low)
    if judged:
        return say(
            "No step is clearly below its target; most people leave before {step}: {share:value} {share:ci}", key=key,
            step=worst.title, share=lost,
        )  # fmt: skip
    return say("Most people leave before {step}: {share:value} {share:ci}", key=key, step=worst.title, share=lost)


def _cohort(say: Say, scope: Scope, journeys: Journeys) -> Sentence:
    """Say whom the rates of this report are about."""
    span, window, level = mature_span(scope, journeys), window_of(scope), level_of(scope)
    if window is not None and journeys.window_closed:
        return say(
            "People who entered {days} and reached each step within {window}; share of the previous step with {level} "
            "interval", days=span, window=window, level=level,
        )  # fmt: skip
    if scope.as_of is not None:
        return say(
            "People who entered {days}, as far as they got by the end of the data; share of the previous step with "
            "{level} "
            "interval", days=span, level=level,
        )  # fmt: skip
    return say(
        "All people in this source, as far as they got; share of the previous step with {level} interval",
        level=level,
    )


def _funnel_table(say: Say, scope: Scope, steps: pd.DataFrame) -> Table:
    previous = steps[steps["base"] == "previous"].set_index("step")
    frame = steps[steps["base"] == "first"].set_index("step")[["name", "numerator", "rate", "low", "high"]]
    behind = {"rate": "of_previous", "low": "of_previous_low", "high": "of_previous_high"}
    frame = frame.join(previous[["rate", "low", "high"]].rename(columns=behind))
    frame = frame.assign(
        lost=previous["denominator"] - previous["numerator"], target=frame["name"].map(dict(scope.workbook.targets)),
        name=[scope.step_title(str(name)) for name in frame["name"]],
    )  # fmt: skip
    columns = [
        Column("name", say("Step")),
        Column("numerator", say("People"), Count),
        Column("lost", say("Lost before"), Count),
        Column("of_previous", say("Of previous step"), Rate, low="of_previous_low", high="of_previous_high"),
        Column("rate", say("Of first step"), Rate, low="low", high="high"),
        *([Column("target", say("Target"), Share)] if scope.workbook.targets else []),
    ]
    return Table(frame.reset_index(drop=True), columns, say("People by step"), name="funnel")


def losses(scope: Scope, steps: pd.DataFrame) -> Block:
    """Rank the steps by how many more people would pass if each met its target."""
    say, found = Say(scope.language), passes(scope, steps)
    judged = [step for step in found if step.target is not None and not step.few]
    missed = sorted((step for step in judged if step.gap < 0), key=lambda step: -step.extra.value)
    if not judged:
        finding = say("No targets are set, so no step can be called short of one", key="losses.finding")
    elif not missed or not missed[0].below:
        finding = say("No step is clearly below its target", key="losses.finding")
    else:
        finding = say(
            "At target, {step} would let {extra:value} {extra:ci} more people through", key="losses.finding",
            step=missed[0].title, extra=missed[0].extra,
        )  # fmt: skip
    items = [_loss(say, step, rank) for rank, step in enumerate(missed, start=1)]
    items += [_loss(say, step, 0) for step in judged if step not in missed]
    sub = say(
        "People who would also have passed if one step had met its target and as many had reached it; with {level} "
        "interval. Values do not add up", level=level_of(scope),
    )  # fmt: skip
    return section(
        "losses", kicker=say("Against the targets"), finding=finding, sub=sub if items else "",
        parts=[Ranked(items)] if items else [],
    )  # fmt: skip


def _loss(say: Say, step: Pass, rank: int) -> Loss:
    title, key = say("{before} → {step}", before=step.before, step=step.title), f"losses.{step.name}"
    against = say("{rate} against {target}", key=key, rate=step.value, target=Share(step.target or 0.0))
    if not rank:
        keep = say("Keep watching; no action suggested.")
        return Loss(title, against, value=say("at or above target"), check=keep, owner=False, rank="–")
    check = say("Clearly below target. Look first at who is lost here, in the segments below.")
    if not step.below:
        check = say("Within noise of its target; wait for more data.")
    extra = say("{extra} more people", key=key, extra=step.extra)
    return Loss(title, against, value=extra, check=check, owner=step.below, rank=str(rank))


def cards(scope: Scope, journeys: Journeys, steps: pd.DataFrame, before: pd.DataFrame | None) -> Block:
    """Show the key figures: the overall rate first, then people and each step, beside the period before."""
    say, old = Say(scope.language), [] if before is None else passes(scope, before)
    whole = overall(scope, steps)
    hero = _card(say, scope, whole, None if before is None else overall(scope, before), key="overall", digits=2)
    shown = [replace(hero, hero=True, spark=_spark(say, scope, journeys)), *_counts(say, scope, journeys)]
    # With two steps, the way from first to last is the only one, and already shown.
    for step in passes(scope, steps) if len(scope.funnel.steps) > 2 else ():
        earlier = next((other for other in old if other.number == step.number), None)
        shown.append(_card(say, scope, step, earlier, key=step.name))
    note = say("There is no earlier period to compare with.")
    if before is not None and scope.previous is not None:
        note = say(
            "Compared with {period}: people who entered then, each seen for the same length of time.",
            period=PeriodName(scope.previous.period),
        )  # fmt: skip
    return kpis(shown, note)


def _spark(say: Say, scope: Scope, journeys: Journeys) -> str | None:
    """Return the weekly overall rate as a small picture, None where there are too few weeks."""
    if journeys.frame["first_entry"].isna().all() or len(scope.funnel.steps) < 2:
        return None
    rules, zone = scope.workbook.rules, scope.workbook.zone
    weeks = trend(journeys, step=len(scope.funnel.steps), base="first", every="week", rules=rules, zone=zone)
    if weeks["rate"].notna().sum() < 3:
        return None
    alt = say.text("Weekly rate within the period")
    return plots.spark([float(rate) for rate in weeks["rate"]], [bool(final) for final in weeks["final"]], alt=alt)


def _counts(say: Say, scope: Scope, journeys: Journeys) -> list[Card]:
    """Return how many people entered, and how many reached the end, so far."""
    counts = journeys.counts().set_index("name")["units"]
    note = say("so far; recent people included")
    if scope.funnel.window is not None and not scope.provisional:
        note = say("counted in full")
    return [
        Card(
            say("People at {step}", step=scope.step_title(name)),
            say.value(Count(int(counts[name])), key=f"count.{name}"),
            range=note,
        )
        for name in dict.fromkeys((scope.funnel.names[0], scope.funnel.names[-1]))
    ]


def _card(say: Say, scope: Scope, now: Pass, old: Pass | None, *, key: str, digits: int = 1) -> Card:
    label, key = say("{before} → {step}", before=now.before, step=now.title), f"kpi.{key}"
    if now.few:
        counted = say("{passed} of {entering}", key=key, passed=now.passed, entering=now.entering)
        return Card(label, say("too few"), range=counted)
    rate = Rate(now.rate, now.low, now.high, digits=digits)
    card = Card(
        label, say.value(rate, key=key, form="value"),
        range=say("{rate:range} · n = {n}", key=key, rate=rate, n=now.entering),
    )  # fmt: skip
    if old is None or old.few or scope.previous is None:
        return card
    found = newcombe(now.passed, now.entering, old.passed, old.entering, scope.workbook.rules.level)
    points, period = (
        Points(found.estimate, found.low, found.high, unit="pp"),
        PeriodName(scope.previous.period, year=False),
    )
    if found.low <= 0 <= found.high:
        change = say("within noise of {period} {points:ci}", key=f"{key}.change", period=period, points=points)
        return replace(card, direction="noise", change=change)
    change = say("**{points:value}** {points:ci} vs {period}", key=f"{key}.change", points=points, period=period)
    return replace(card, direction="good" if found.estimate > 0 else "bad", change=change)


def summarise(scope: Scope, journeys: Journeys, steps: pd.DataFrame, before: Journeys | None) -> Block:
    """Open with the overall rate, then where people are lost, who falls behind, what broke, who came."""
    say, whole, window = Say(scope.language), overall(scope, steps), window_of(scope)
    rate = Rate(whole.rate, whole.low, whole.high, digits=2, say_level=True, level=scope.workbook.rules.level)
    n, last = Count(whole.entering), whole.title
    if whole.few:
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
    return summary(lead, list(_points(say, scope, journeys, steps, before)))


def _points(
    say: Say, scope: Scope, journeys: Journeys, steps: pd.DataFrame, before: Journeys | None
) -> Iterator[tuple[Sentence, Sentence]]:
    """Yield the points of the summary; those that this workbook's data cannot have are left out."""
    splits = segments.splits_of(scope)
    yield say("Where people are lost"), funnel_finding(say, passes(scope, steps))
    if splits:
        against = segments.comparisons(scope, journeys, splits[0])
        yield say("For whom"), segments.behind(say, scope, against, splits[0])
    if journeys.frame["first_entry"].notna().any() and len(scope.funnel.steps) > 1:
        yield say("Week by week"), time.worst_week(say, scope, journeys, "device")
    moved = segments.widest(scope, journeys, before)
    if moved is not None and before is not None:
        shares = mix(journeys, before, moved, rules=scope.workbook.rules)
        yield say("Who came"), segments.shifted(say, scope, shares, moved)
