"""Whether a week stands out: the rate week by week, each compared with all others."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.movement.incidents import incidents, weekly
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, section
from funnel_lib.reporting.estimates import Count, Points, Rate
from funnel_lib.reporting.labels import Day, Span
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

MOST_LINES, MOST_FEW = 4, 0.5
"""Lines of a picture; the share of weeks with too few people from which on groups are shown together."""


def known(scope: Scope, split: str) -> str | None:
    """Return the split if the workbook has it, else None: the section then shows everybody together."""
    return split if split in scope.workbook.segments else None


def largest(rows: pd.DataFrame, *, first: str | None = None) -> pd.DataFrame:
    """Return the rows of the four groups with most people (a picture holds no more), `first` always among them."""
    sizes = rows.groupby("group", sort=False)["denominator"].max().sort_values(ascending=False, kind="stable")
    names = [str(group) for group in sizes.index]
    chosen = ([first] if first in names else []) + [name for name in names if name != first]
    return rows[rows["group"].isin(chosen[:MOST_LINES])].reset_index(drop=True)


def grouped(say: Say, scope: Scope, frame: pd.DataFrame, split: str | None) -> pd.DataFrame:
    """Return a frame with what readers call its groups."""
    titles = [scope.group_title(split, str(group)) if split else say.text("Everyone") for group in frame["group"]]
    return frame.assign(group=titles)


def split_column(say: Say, scope: Scope, split: str | None) -> Column:
    """Return the column with the names of the groups."""
    return Column("group", scope.split_title(split) if split else say("Segment"), left=True)


def weeks(scope: Scope, journeys: Journeys, by: str) -> Block:
    """Show the weekly rate of the step that stood out most, or of the last one with enough people, by a split."""
    say, rules, split = Say(scope.language), scope.workbook.rules, known(scope, by)
    kicker, zone = say("Week by week"), scope.workbook.zone
    if journeys.frame["first_entry"].isna().all() or len(scope.funnel.steps) < 2:
        return section("weeks", kicker=kicker, finding=say("This source has no times, so weeks cannot be told apart"))
    found = incidents(journeys, by=split, rules=rules, zone=zone)
    if found.empty:
        reason = cannot(say, say("A comparison of the weeks"), "too_few")
        return unknown("weeks", kicker, reason)
    worst = _worst(found)
    shown = _of_step(weekly(journeys, rules=rules, by=split, zone=zone), found, worst)
    if split is not None and worst is None and shown["rate"].isna().mean() > MOST_FEW:
        whole = incidents(journeys, rules=rules, zone=zone)
        if len(whole):
            split, found, worst = None, whole, _worst(whole)
            shown = _of_step(weekly(journeys, rules=rules, zone=zone), found, worst)
    step = int(shown["step"].iloc[0])
    finding, words = incident(say, scope, worst, split), chart_words(scope, split)
    flagged = found[found["clear"] & (found["step"] == step) & found["group"].isin(shown["group"])]
    svgs = plots.figure(
        lambda ax, width: plots.trend(shown, words, flagged=flagged, ax=ax, width=width), alt=finding.text
    )
    caption = say(
        "Weeks by the day of the step before. Whiskers = {level} interval; open mark = not final; ▲ ▼ = clearly "
        "above or "
        "below the other weeks. Weeks do not add up to the period.", level=level_of(scope),
    )  # fmt: skip
    sub = say(
        "Share who went on to {step}, by the week in which they were at {before}; each week is compared with all "
        "others, "
        "{n} comparisons, corrected", key="weeks", step=scope.step_title(scope.funnel.names[step - 1]),
        before=scope.step_title(scope.funnel.names[previous_steps(scope.funnel)[step - 1] - 1]), n=len(found),
    )  # fmt: skip
    figure = Figure(svgs, finding, caption=caption, table=_weeks_table(say, scope, shown, split))
    return section("weeks", kicker=kicker, finding=finding, sub=sub, parts=[figure])


def _of_step(shown: pd.DataFrame, found: pd.DataFrame, worst: Any) -> pd.DataFrame:
    """Return the weeks of the step that stood out most, or of the last one that was compared."""
    step = int(found["step"].max()) if worst is None else int(worst.step)
    return largest(shown[shown["step"] == step], first=None if worst is None else str(worst.group))


def worst_week(say: Say, scope: Scope, journeys: Journeys, by: str) -> Sentence | None:
    """Say which week fell clearly below the others, by the groups of a split; None where none did."""
    split = known(scope, by)
    worst = _worst(incidents(journeys, by=split, rules=scope.workbook.rules, zone=scope.workbook.zone))
    return None if worst is None else incident(say, scope, worst, split)


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
        split_column(say, scope, split),
        Column("denominator", say("People"), Count),
        Column("numerator", say("Went on"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
    ]
    return Table(grouped(say, scope, shown, split), columns, say("Rate by week"), name="weeks")
