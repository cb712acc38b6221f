"""Sections on time: how long people take, and whether a week stands out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.incidents import incidents, weekly
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.timing import curve, time_to_convert
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Points, Rate
from funnel_lib.reporting.labels import Day, Span
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.page import chart_words, level_of, mature_span
from funnel_lib.reporting.tables import Column, Record, Table
from funnel_lib.reporting.wording import Say, Sentence

MOST_LINES = 4


def known(scope: Scope, split: str) -> str | None:
    """Return the split if the workbook has it, else None: the section then shows everybody together."""
    return split if split in scope.workbook.segments else None


def timing(scope: Scope, journeys: Journeys, by: str) -> Block:
    """Show how long people take from the first step to the last, by the groups of a split."""
    say, rules, split = Say(scope.language), scope.workbook.rules, known(scope, by)
    first, last = (scope.step_title(scope.funnel.names[end]) for end in (0, -1))
    row = records(time_to_convert(journeys, rules=rules))[0]
    kicker = say("Time to {last}", last=last)
    if pd.isna(row.median):
        return section("timing", kicker=kicker, finding=no_timing(say, str(row.reason)))
    median, q25, q75 = (_days(row, name) for name in ("median", "q25", "q75"))
    finding = say(
        "Half of those who reach {last} do so within {median:value} {median:ci}",
        key="timing",
        last=last,
        median=median,
    )
    reached, words = largest(curve(journeys, by=split, rules=rules)), chart_words(scope, split)
    groups = time_to_convert(journeys, by=split, rules=rules)
    svgs = plots.figure(
        lambda ax, width: plots.curve(reached, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    caption = say("Bands = {level} interval. Everybody counts, also people who may still go on.", level=level_of(scope))
    if journeys.window_closed:
        caption = say("Bands = {level} interval. Only people whose window is over.", level=level_of(scope))
    figure = Figure(svgs, finding, caption=caption, table=_timing_table(say, scope, groups, split))
    notes = [
        say(
            "Of the {n} who got there, a quarter needed at most {q25}, half {median}, three quarters {q75}.",
            key="timing",
            n=int(row.n), q25=q25, median=median, q75=q75,
        ),
        say("These times are only about people who got there; they say nothing about those who did not."),
    ]  # fmt: skip
    sub = say(
        "Cumulative share of people who reached {last}, by days since {first}; people who entered {days}", last=last,
        first=first, days=mature_span(scope, journeys),
    )  # fmt: skip
    return section("timing", kicker=kicker, finding=finding, sub=sub, parts=[figure, SoWhat(say("So what"), notes)])


def no_timing(say: Say, reason: str) -> Sentence:
    """Say why there is no time to convert."""
    if reason == "no_times":
        return say("This source has no times, so nothing can be said about how long people take")
    return say("Too few people got there to say how long it takes")


def _days(row: Any, name: str) -> Days:
    return Days(getattr(row, name), getattr(row, f"{name}_low"), getattr(row, f"{name}_high"))


def largest(rows: pd.DataFrame, *, first: str | None = None) -> pd.DataFrame:
    """Return the rows of the four groups with most people (a picture holds no more), `first` always among them."""
    sizes = rows.groupby("group", sort=False)["denominator"].max().sort_values(ascending=False, kind="stable")
    names = [str(group) for group in sizes.index]
    chosen = ([first] if first in names else []) + [name for name in names if name != first]
    return rows[rows["group"].isin(chosen[:MOST_LINES])].reset_index(drop=True)


def _grouped(say: Say, scope: Scope, frame: pd.DataFrame, split: str | None) -> pd.DataFrame:
    titles = [scope.group_title(split, str(group)) if split else say.text("Everyone") for group in frame["group"]]
    return frame.assign(group=titles)


def _group_column(say: Say, scope: Scope, split: str | None) -> Column:
    return Column("group", scope.split_title(split) if split else say("Segment"), left=True)


def _timing_table(say: Say, scope: Scope, groups: pd.DataFrame, split: str | None) -> Table:
    titles = {
        "q25": say("A quarter within"),
        "median": say("Half within"),
        "q75": say("Three quarters within"),
    }
    columns = [_group_column(say, scope, split), Column("n", say("Converted"), Count)]
    columns += [Column(name, title, Days, low=f"{name}_low", high=f"{name}_high") for name, title in titles.items()]
    caption = say("Time to convert, with {level} interval", level=level_of(scope))
    few: Callable[[Record], Sentence | None] = lambda row: say("too few") if pd.isna(row["median"]) else None  # noqa: E731
    return Table(_grouped(say, scope, groups, split), columns, caption, name="timing", few=few)


def weeks(scope: Scope, journeys: Journeys, by: str) -> Block:
    """Show the weekly rate of the step that stood out most, or of the last step, by the groups of a split."""
    say, rules, split = Say(scope.language), scope.workbook.rules, known(scope, by)
    kicker, zone = say("Week by week"), scope.workbook.zone
    if journeys.frame["first_entry"].isna().all() or len(scope.funnel.steps) < 2:
        return section("weeks", kicker=kicker, finding=say("This source has no times, so weeks cannot be told apart"))
    found = incidents(journeys, by=split, rules=rules, zone=zone)
    worst = _worst(found)
    step = len(scope.funnel.steps) if worst is None else int(worst.step)
    shown = weekly(journeys, rules=rules, by=split, zone=zone)
    shown = largest(shown[shown["step"] == step], first=None if worst is None else str(worst.group))
    finding, words = incident(say, scope, worst, split), chart_words(scope, split)
    flagged = found[found["clear"] & (found["step"] == step) & found["group"].isin(shown["group"])]
    svgs = plots.figure(
        lambda ax, width: plots.trend(shown, words, flagged=flagged, ax=ax, width=width), alt=finding.text
    )
    caption = say(
        "Weeks by the day of the step before. Whiskers = {level} interval; open mark = not final; ▲ ▼ = clearly "
        "above or "
        "below the other weeks.", level=level_of(scope),
    )  # fmt: skip
    sub = say(
        "Share who went on to {step}, by the week in which they were at {before}; each week is compared with all "
        "others, "
        "{n} comparisons, corrected", key="weeks", step=scope.step_title(scope.funnel.names[step - 1]),
        before=scope.step_title(scope.funnel.names[previous_steps(scope.funnel)[step - 1] - 1]), n=len(found),
    )  # fmt: skip
    figure = Figure(svgs, finding, caption=caption, table=_weeks_table(say, scope, shown, split))
    return section("weeks", kicker=kicker, finding=finding, sub=sub, parts=[figure])


def worst_week(say: Say, scope: Scope, journeys: Journeys, by: str) -> Sentence:
    """Say which week fell clearly below the others, by the groups of a split."""
    split = known(scope, by)
    found = incidents(journeys, by=split, rules=scope.workbook.rules, zone=scope.workbook.zone)
    return incident(say, scope, _worst(found), split)


def _worst(found: pd.DataFrame) -> Any:
    """Return the most significant week that is clearly below the others, None without one."""
    low = records(found[found["clear"] & (found["difference"] < 0)])
    return low[0] if low else None


def incident(say: Say, scope: Scope, worst: Any, split: str | None) -> Sentence:
    """Say which week fell clearly below the others, for whom and by how much."""
    key = "weeks.finding"
    if worst is None:
        return say("No week falls clearly below the others", key=key)
    first: date = worst.start
    days, rate, step = Span(first, first + timedelta(days=6)), Rate(worst.rate), scope.step_title(worst.name)
    points = Points(worst.difference, worst.low, worst.high, signed=False)
    if split is None or worst.group == "all":
        return say(
            "Week of {days}: only {rate:value} went on to {step}, {points:value} {points:ci} below the other weeks",
            key=key,
            days=days, rate=rate, step=step, points=points,
        )  # fmt: skip
    return say(
        "{group}, week of {days}: only {rate:value} went on to {step}, {points:value} {points:ci} below the other "
        "weeks",
        key=key, group=scope.group_title(split, worst.group), days=days, rate=rate, step=step, points=points,
    )  # fmt: skip


def _weeks_table(say: Say, scope: Scope, shown: pd.DataFrame, split: str | None) -> Table:
    columns = [
        Column("start", say("Week from"), Day),
        _group_column(say, scope, split),
        Column("denominator", say("People"), Count),
        Column("numerator", say("Went on"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
    ]
    return Table(_grouped(say, scope, shown, split), columns, say("Rate by week"), name="weeks")
