"""The conversion report's own sections: the key figures, the funnel, its two views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.cohort import active
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.movement.change import trend
from funnel_lib.conversion.movement.comparable import EVER, history
from funnel_lib.conversion.rates import newcombe, rates
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Card, Figure, SoWhat, kpis, section
from funnel_lib.reporting.estimates import Count, Points, Rate, Share
from funnel_lib.reporting.labels import Names, PeriodName
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.sections.passing import Pass, hardly_passed, mature_span, overall, passes, window_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def funnel(scope: Scope, journeys: Journeys, steps: pd.DataFrame) -> Block:
    """Show how many reach each step, against the targets; `steps` is `rates(journeys)`."""
    say, found = Say(scope.language), passes(scope, steps)
    if found and not any(step.entering for step in found):
        return unknown("funnel", say("The funnel"), cannot(say, say("The rate of each step"), "open"))
    finding = funnel_finding(say, found, scope.workbook.rules)
    words, targets = chart_words(scope), scope.workbook.targets
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
        "funnel", kicker=say("The funnel"), finding=finding, sub=_cohort(say, scope, journeys),
        parts=[figure, *_left_out(say, journeys)],
    )  # fmt: skip


def _left_out(say: Say, journeys: Journeys) -> list[Sentence]:
    """Say who of a snapshot is not counted, because their dates cannot be or are missing."""
    said = []
    if count := journeys.set_aside.get("out_of_order", 0):
        said.append(say.plural(
            count, "{n} person is left out, because a step is dated before the step that it follows.",
            "{n} people are left out, because a step is dated before the step that it follows.", key="funnel.disorder",
        ))  # fmt: skip
    if count := journeys.set_aside.get("no_entry", 0):
        said.append(say.plural(
            count, "{n} person has no date of entry, and so belongs to no period.",
            "{n} people have no date of entry, and so belong to no period.", key="funnel.undated",
        ))  # fmt: skip
    return said


def funnel_finding(say: Say, found: Sequence[Pass], rules: Rules) -> Sentence:
    """Say where people are lost: against the targets where there are some, else the largest loss.

    Who leaves out an optional step is not lost there.
    """
    found = [step for step in found if not step.optional]
    key, known = "funnel.finding", [step for step in found if not step.few]
    blocked = hardly_passed(found, rules)
    if blocked is not None and all(blocked.lost >= step.lost for step in known):
        return say(
            "Hardly anybody gets to {step}: {passed} of {entering} went on, too few for a rate", key=key,
            step=blocked.title, passed=blocked.passed, entering=blocked.entering,
        )  # fmt: skip
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
    if worst.entering == worst.passed:
        return say("Nobody is lost: all people went on at every step", key=key)
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


def cards(
    scope: Scope, journeys: Journeys, steps: pd.DataFrame, before: Journeys | None, year: Journeys | None = None
) -> Block:
    """Show the key figures: the overall rate, people and each step, beside `comparable` and `year_before`."""
    say, rules = Say(scope.language), scope.workbook.rules
    earlier = [(part, rates(part, rules=rules)) for part in (before, year) if part is not None]
    olds = {id(part): (part, overall(scope, found), passes(scope, found)) for part, found in earlier}
    whole = overall(scope, steps)
    rows = [("overall", whole, 2)]
    # With two steps, the way from first to last is the only one, and already shown.
    rows += [(step.name, step, 1) for step in passes(scope, steps) if len(scope.funnel.steps) > 2]
    shown = []
    for key, step, digits in rows:
        past = [
            None if part is None else _same(olds[id(part)], key, step)
            for part in (before, year)
        ]  # fmt: skip
        shown.append(_card(say, scope, step, past[0], past[1], key=key, digits=digits))
    hero = replace(shown[0], hero=True, spark=_spark(say, scope, journeys))
    return kpis([hero, *_counts(say, scope, journeys), *shown[1:]], _compared(say, before, year))


Old = tuple[Journeys, Pass, list[Pass]]


def _same(old: Old, key: str, step: Pass) -> tuple[Journeys, Pass] | None:
    """Return the same rate in another period, None where that one had too few people."""
    part, whole, found = old
    other = whole if key == "overall" else next((one for one in found if one.number == step.number), None)
    return None if other is None or other.few else (part, other)


def _compared(say: Say, before: Journeys | None, year: Journeys | None) -> Sentence:
    if before is None or before.period is None:
        return say("There is no earlier period to compare with.")
    if year is None:
        return say(
            "Compared with {period}: as many days with the same weekdays; everybody is seen for the same length of "
            "time. The data does not reach back a year.", period=PeriodName(before.period),
        )  # fmt: skip
    return say(
        "Compared with {period}: as many days with the same weekdays; everybody is seen for the same length of time. "
        "A year ago = the same weekdays of the year before.", period=PeriodName(before.period),
    )  # fmt: skip


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


Earlier = tuple[Journeys, Pass] | None


def _card(say: Say, scope: Scope, now: Pass, old: Earlier, year: Earlier, *, key: str, digits: int = 1) -> Card:
    label, key = say("{before} → {step}", before=now.before, step=now.title), f"kpi.{key}"
    if now.few:
        counted = say("{passed} of {entering}", key=key, passed=now.passed, entering=now.entering)
        if not now.entering:
            counted = why(say, "open")
        return Card(label, say("too few"), range=counted)
    rate = Rate(now.rate, now.low, now.high, digits=digits)
    card = Card(
        label, say.value(rate, key=key, form="value"),
        range=say("{rate:range} · n = {n}", key=key, rate=rate, n=now.entering),
    )  # fmt: skip
    if year is not None:
        card = replace(card, note=say("a year ago {rate:value}", key=f"{key}.year", rate=year[1].value))
    if old is None or old[0].period is None:
        return card
    points = _gap(scope, now, old[1])
    period = PeriodName(old[0].period, year=False)
    if (points.low or 0) <= 0 <= (points.high or 0):
        change = say("within noise of {period} {points:ci}", key=f"{key}.change", period=period, points=points)
        return replace(card, direction="noise", change=change)
    change = say("**{points:value}** {points:ci} vs {period}", key=f"{key}.change", points=points, period=period)
    return replace(card, direction="good" if points.value > 0 else "bad", change=change)


def _gap(scope: Scope, now: Pass, old: Pass) -> Points:
    found = newcombe(now.passed, now.entering, old.passed, old.entering, scope.workbook.rules.level)
    return Points(found.estimate, found.low, found.high, unit="pp")


def _took(scope: Scope) -> list[int] | None:
    """Return how many people took each step inside the period, whenever they entered; None where times are missing."""
    if not scope.funnel.snapshot:
        return [int(units) for units in active(scope).counts()["units"]]
    begin, end = pd.Timestamp(scope.period.start), pd.Timestamp(scope.period.end)
    frame, size = history(scope, weeks=EVER).frame, len(scope.funnel.steps)
    times = [frame["first_entry" if step == 1 else f"t_{step}"] for step in range(1, size + 1)]
    if any((frame["depth"] >= step).any() and at.isna().all() for step, at in enumerate(times, start=1)):
        return None
    return [int(((at >= begin) & (at < end)).sum()) for at in times]


def views(scope: Scope, whole: Journeys, steps: pd.DataFrame) -> Block | None:
    """Show the cohort view beside the activity view of the same period; None where the source has no times.

    `whole` is `history(scope)`, or any journeys of the scope: it tells whether times are known, and windows are over.
    """
    size = len(scope.funnel.steps)
    if size < 2 or whole.frame["first_entry"].isna().all():
        return None
    say, took = Say(scope.language), _took(scope)
    if took is None:
        kicker = say("Cohort view and activity view")
        return unknown("views", kicker, cannot(say, say("The activity view"), "no_times"))
    first = steps[steps["base"] == "first"].set_index("step")
    previous = steps[steps["base"] == "previous"].set_index("step")
    frame = pd.DataFrame({
        "name": [scope.step_title(name) for name in scope.funnel.names],
        "cohort": first["numerator"].where(first["denominator"] > 0).to_numpy(),
        "rate": previous["rate"].reindex(first.index).to_numpy(), "low": previous["low"].reindex(first.index),
        "high": previous["high"].reindex(first.index), "took": took,
        "ratio": [here / took[before - 1] if before and took[before - 1] else math.nan
                  for here, before in zip(took, previous_steps(scope.funnel), strict=True)],
    })  # fmt: skip
    columns = [
        Column("name", say("Step")),
        Column("cohort", say("Cohort: people who entered"), Count),
        Column("rate", say("Cohort: of previous step"), Rate, low="low", high="high"),
        Column("took", say("Activity: people in these days"), Count),
        Column("ratio", say("Activity: ratio to previous step"), lambda value: Share(value, 1)),
    ]
    last = scope.step_title(scope.funnel.names[-1])
    finding = say(
        "{took} people reached {last} in these days; of those who entered in them and whose time is over, {cohort} did",
        key="views",
        took=took[-1], last=last, cohort=int(first["numerator"].iloc[-1]),
    )  # fmt: skip
    if not first["denominator"].iloc[0]:
        finding = say(
            "{took} people reached {last} in these days; nobody who entered in them has had the full time yet",
            key="views", took=took[-1], last=last,
        )  # fmt: skip
    elif not whole.window_closed:
        finding = say(
            "{took} people reached {last} in these days; of those who entered in them, {cohort} have so far",
            key="views", took=took[-1], last=last, cohort=int(first["numerator"].iloc[-1]),
        )  # fmt: skip
    note = say(
        "The cohort view follows people from their entry and is the one to judge by. The activity view counts what "
        "happened in these days, whoever did it and in whatever order; its ratios mix people who came at different "
        "times and move with the number of newcomers."
    )
    table = Table(frame, columns, say("Two views of the same days"), name="views", look="seg")
    return section("views", kicker=say("Cohort view and activity view"), finding=finding,
                   parts=[table, SoWhat(say("So what"), [note])])  # fmt: skip
