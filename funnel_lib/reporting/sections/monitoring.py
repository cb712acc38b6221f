"""Whether the daily rates are still what they used to be: alerts, each once, with what goes with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.engine.plan import MISSING
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.changepoint import daily
from funnel_lib.conversion.movement.control import Chart, alerts, chart
from funnel_lib.conversion.movement.dating import DAY_US, local_days
from funnel_lib.conversion.movement.decomposition import explain_change
from funnel_lib.conversion.rates import wilson
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Points, Rate
from funnel_lib.reporting.labels import Day, Name, PeriodName, Span
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


class Watched(NamedTuple):
    """The control charts of the steps, by their names, their alerts in the period, and the days of failed data."""

    charts: dict[str, Chart]
    alerts: pd.DataFrame
    faulty: list[date]


def watch(scope: Scope, whole: Journeys) -> Watched:
    """Chart every required step after the first over `history(scope)`; what came before the period is the baseline.

    Data failed on days on which no row of the funnel's events came in, or less than half of what that weekday brings.
    """
    charts, learnt = {}, scope.period.first_day - timedelta(days=1)
    if whole.frame["first_entry"].notna().any():
        for step, one in enumerate(scope.funnel.steps[1:], start=2):
            if not one.optional:
                counts = daily(whole, step=step, rules=scope.workbook.rules)
                charts[one.name] = chart(counts, learnt_until=learnt, rules=scope.workbook.rules)
    faulty = failed_days(scope.store.coverage() if charts else pd.DataFrame(columns=["day", "rows"]))
    judged = {name: made for name, made in charts.items() if made.reason is None}
    return Watched(charts, alerts(judged, faulty=faulty), faulty)


def failed_days(coverage: pd.DataFrame, *, share: float = 0.5, usual: int = 20) -> list[date]:
    """Return the days on which less than `share` of the rows came in that their weekday brings (median).

    Parameters
    ----------
    coverage : `day, rows` of any sources.
    usual : weekdays with fewer rows than this say nothing.
    """
    if coverage.empty:
        return []
    rows = coverage.groupby("day")["rows"].sum().asfreq("D", fill_value=0).iloc[1:-1]  # the ends are seldom whole
    if rows.empty:
        return []
    expected = rows.groupby(pd.DatetimeIndex(rows.index).day_of_week).transform("median")
    return [day.date() for day in rows.index[(expected >= usual) & (rows < share * expected)]]


def monitor(scope: Scope, people: Journeys, whole: Journeys, watched: Watched) -> Block:
    """Show the control chart of the step whose alert concerns most people, and all alerts of the period."""
    say = Say(scope.language)
    kicker = say("Control chart")
    judged = {name: made for name, made in watched.charts.items() if made.reason is None}
    if not judged:
        reason = str(next(iter(watched.charts.values())).reason) if watched.charts else "no_times"
        return unknown("monitoring", kicker, cannot(say, say("Control limits"), reason))
    business, telling = ranked(watched), [name for name, made in judged.items() if can_ring(made)]
    if not telling and not len(watched.alerts):
        return unknown("monitoring", kicker, cannot(say, say("Control limits"), "few_a_day"))
    name = str(business["metric"].iloc[0]) if len(business) else (telling or list(judged))[-1]
    finding = monitoring_finding(say, scope, watched)
    sub = say(
        "Share who went on to {step}, day by day, with the limits within which weekdays and usual variation keep it",
        step=scope.step_title(name),
    )
    figure = _picture(say, scope, judged[name], finding)
    notes = SoWhat(say("So what"), _notes(say, scope, people, whole, watched, business))
    parts: list[Part] = [figure, notes]
    if len(watched.alerts):
        parts.append(_table(say, scope, watched.alerts))
    return section("monitoring", kicker=kicker, finding=finding, sub=sub, parts=parts)


def can_ring(made: Chart) -> bool:
    """Tell whether on most days of the period some share of people would be beyond the limits of one day."""
    days = made.frame[~made.frame["learnt"].astype(bool) & made.frame["denominator"].gt(0)]
    return bool(((days["low"] > 0) | (days["high"] < 1)).mean() > 1 / 2)


def ranked(watched: Watched) -> pd.DataFrame:
    """Return the alerts that are not held back: the one first that concerns most people."""
    found = watched.alerts[~watched.alerts["held"].astype(bool)]
    people = (found["numerator"] - found["expected"] * found["denominator"]).abs()
    return found.loc[people.sort_values(ascending=False, kind="stable").index]


def monitoring_finding(say: Say, scope: Scope, watched: Watched) -> Sentence:
    """Say which step left its limits in the period; of several, the one that concerns most people."""
    business = ranked(watched)
    if business.empty:
        return say("No step left its control limits in {period}", key="monitoring", period=PeriodName(scope.period))
    last = records(business)[0]
    step, days = scope.step_title(str(last.metric)), Span(last.opened.date(), last.last.date())
    low, high = wilson(last.numerator, last.denominator, scope.workbook.rules.level)
    rate, expected = Rate(last.rate, low, high), Rate(last.expected)
    return say(
        "{step} fell below its limits, {days}: {rate:value} {rate:ci} instead of {expected:value}"
        if last.direction == "down"
        else "{step} rose above its limits, {days}: {rate:value} {rate:ci} instead of {expected:value}",
        key="monitoring", step=step, days=days, rate=rate, expected=expected,
    )  # fmt: skip


def _picture(say: Say, scope: Scope, made: Chart, finding: Sentence) -> Figure:
    words, shown = plots.Words(scope.language), made.frame
    svgs = plots.figure(
        lambda ax, width: plots.control(shown, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    columns = [
        Column("day", say("Day")),
        Column("denominator", say("People"), Count),
        Column("rate", say("Share"), Rate),
        Column("expected", say("Expected"), Rate, low="low", high="high"),
    ]
    caption = say(
        "Line and band = what the days before the period let expect, and its limits (Laney p′). Days are judged from "
        "the upright line on: marked ones are beyond the limits, open marks by the moving average only."
    )
    inside = shown[~shown["learnt"].astype(bool)]
    table = Table(inside, columns, say("Days of the period and their limits"), name="control")
    return Figure(svgs, finding, caption=caption, table=table)


def _notes(
    say: Say, scope: Scope, people: Journeys, whole: Journeys, watched: Watched, business: pd.DataFrame
) -> list[Sentence]:
    notes = [] if len(business) else [say("Days differ by no more than weekdays and usual variation explain.")]
    if len(business):
        last = records(business)[0]
        still = pd.isna(last.closed)
        closed = say("The alert is still open.") if still else say(
            "The alert was closed on {day}, after three calm days.", day=Day(last.closed.date(), "full")
        )  # fmt: skip
        notes.append(closed)
        notes.append(say("Only the days that rang are counted: the days between were closer to what was expected."))
        cause = _cause(scope, people, whole, str(last.metric), (last.opened, last.last))
        notes.append(
            say("No split of the workbook explains it beyond chance.") if cause is None
            else say(
                "It sits above all in {group} ({split}), which gives {points:value} of the change.",
                group=Name(cause[1]), split=Name(cause[0]), points=Points(cause[2]),
            )
        )  # fmt: skip
    held = int(watched.alerts["held"].sum())
    if held:
        notes.append(say.plural(
            held, "{n} alert is held back: it rang only on days on which too little data came in.",
            "{n} alerts are held back: they rang only on days on which too little data came in.",
        ))  # fmt: skip
    return notes


def _cause(
    scope: Scope, people: Journeys, whole: Journeys, metric: str, days: tuple[pd.Timestamp, pd.Timestamp]
) -> tuple[str, str, float] | None:
    """Return the split and the group where an alert sits, by those who stood before the step on its days."""
    step = scope.funnel.names.index(metric) + 1
    at = whole.moments(f"t_{step - 1}" if step > 2 else "first_entry")
    known = at != MISSING
    day = local_days(at[known], scope.workbook.zone)
    first, opened, last = (one.as_unit("us").value // DAY_US for one in (pd.Timestamp(scope.period.first_day), *days))
    rang, baseline = known.copy(), known.copy()
    rang[known], baseline[known] = (day >= opened) & (day <= last), day < first
    splits = [name for name in scope.workbook.segments if name in people.frame]
    if scope.split_group is not None:
        splits = [name for name in splits if name != scope.split_group[0]]
    if not splits or not rang.any() or not baseline.any():
        return None
    counted = replace(whole, frame=whole.frame.select_dtypes(exclude="datetimetz"))
    table = explain_change(
        counted.select(rang), counted.select(baseline), splits, step=step, rules=scope.workbook.rules,
        rng=chance(scope, "monitoring"),
    )  # fmt: skip
    clear = table[(table["clear"] | table["spread_clear"]) & (table["reason"] == "")]
    if clear.empty:
        return None
    first = records(clear)[0]
    split, group = str(first.dimension), str(first.group)
    return scope.split_title(split), scope.group_title(split, group), float(first.group_total)


def _table(say: Say, scope: Scope, found: pd.DataFrame) -> Table:
    state = {True: say("held back"), False: say("open")}
    low, high = wilson(found["numerator"], found["denominator"], scope.workbook.rules.level)
    frame = found.assign(
        rate_low=low,
        rate_high=high,
        title=[scope.step_title(str(name)) for name in found["metric"]],
        state=[
            state[held].text if held or pd.isna(closed) else say("closed").text
            for held, closed in zip(found["held"].astype(bool), found["closed"], strict=True)
        ],
    )
    columns = [
        Column("opened", say("From")),
        Column("last", say("To")),
        Column("title", say("Step"), left=True),
        Column("days", say("Days"), Count),
        Column("denominator", say("People"), Count),
        Column("rate", say("Share"), Rate, low="rate_low", high="rate_high"),
        Column("expected", say("Expected"), Rate, low="low", high="high"),
        Column("state", say("State"), left=True),
    ]
    return Table(frame, columns, say("Alerts"), name="alerts", look="seg")
