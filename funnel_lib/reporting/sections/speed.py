"""How fast people convert: by day, in the end, at each step; recent people count for as long as they were followed."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.durations.delays import eventually
from funnel_lib.conversion.durations.survival import by_day, half_of_conversions, log_rank
from funnel_lib.conversion.durations.timing import time_to_convert
from funnel_lib.conversion.durations.waiting import dwell, histogram
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, PValue, Rate
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import chart_words, level_of
from funnel_lib.reporting.sections.time import grouped, known, largest, split_column
from funnel_lib.reporting.tables import Cell, Column, Record, Table
from funnel_lib.reporting.wording import Say, Sentence

NEARLY_ALL = 0.99
_ENDS = ["expected", "low", "high"]


def timing(scope: Scope, journeys: Journeys, by: str) -> Block:
    """Show which share converted by which day, and how many will in the end, by the groups of a split."""
    say, rules, split = Say(scope.language), scope.workbook.rules, known(scope, by)
    first, last = (scope.step_title(scope.funnel.names[end]) for end in (0, -1))
    half, kicker = records(half_of_conversions(journeys, rules=rules))[0], say("Time to {last}", last=last)
    everyone = by_day(journeys, rules=rules)
    end = _last(everyone)
    if end is None:
        found = cannot(say, say("The time to {last}", last=last), str(everyone["reason"].iloc[-1]))
        return unknown("timing", kicker, found)
    finding, words = _finding(say, last, half, end), chart_words(scope, split)
    reached = by_day(journeys, by=split, rules=rules)
    drawn = _hourly(journeys, split, end, rules) if half.half < 1 else reached
    shown = largest(drawn.assign(denominator=drawn["at_risk"]))
    svgs = plots.figure(
        lambda ax, width: plots.curve(shown, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    caption = say(
        "Bands = {level} interval, each for its day. Everybody counts for as long as they have been followed "
        "(Kaplan–Meier).", level=level_of(scope),
    )  # fmt: skip
    figure = Figure(svgs, finding, caption=caption, table=_groups(say, scope, journeys, reached, split))
    sub = say(
        "Cumulative share of people who reached {last}, by the time since {first}; all who entered in the period, "
        "recent ones too", last=last, first=first,
    )  # fmt: skip
    notes = [*_notes(say, scope, journeys, end), *_difference(say, scope, journeys, split)]
    parts: list[Part] = [figure, SoWhat(say("So what"), notes), *_histogram(say, scope, journeys, last)]
    return section("timing", kicker=kicker, finding=finding, sub=sub, parts=parts)


def summary_point(say: Say, scope: Scope, journeys: Journeys) -> Sentence:
    """Say in one sentence how long it takes to convert, or why that is not known."""
    last = scope.step_title(scope.funnel.names[-1])
    half = records(half_of_conversions(journeys, rules=scope.workbook.rules))[0]
    if math.isnan(half.half):
        return cannot(say, say("The time to {last}", last=last), half.reason)
    return say(
        "Half of those who ever reach {last} do so within {half:value} {half:ci}", key="timing", last=last,
        half=Days(half.half, _nan(half.low), _nan(half.high)),
    )  # fmt: skip


def _hourly(journeys: Journeys, split: str | None, end: Any, rules: Rules) -> pd.DataFrame:
    """Return the curve by the hour until nearly all have converted: by whole days it would be one upright line."""
    drawn = by_day(journeys, by=split, per_day=24, rules=rules)
    slow = drawn[drawn["rate"] < NEARLY_ALL * drawn.groupby("group")["rate"].transform("max")]
    until = math.ceil(slow["day"].max()) if len(slow) else 1
    shown: pd.DataFrame = drawn[drawn["day"] <= min(max(until, 1), end.day)]
    return shown


def _last(reached: pd.DataFrame) -> Any:
    """Return the last day that is known of a group, None without one."""
    seen = reached[reached["rate"].notna()]
    return records(seen)[-1] if len(seen) else None


def _finding(say: Say, last: str, half: Any, end: Any) -> Sentence:
    rate, day = Rate(end.rate, end.low, end.high), Days(float(end.day))
    if math.isnan(half.half):
        return say("{rate:value} {rate:ci} reach {last} within {day}", key="timing", rate=rate, last=last, day=day)
    return say(
        "Half of those who ever reach {last} do so within {half:value} {half:ci}", key="timing", last=last,
        half=Days(half.half, _nan(half.low), _nan(half.high)),
    )  # fmt: skip


def _nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def _notes(say: Say, scope: Scope, journeys: Journeys, end: Any) -> list[Sentence]:
    """Say the rate by the last day beside the one that blames recent people, what is expected, and the quartiles."""
    entered, rules = len(journeys.frame), scope.workbook.rules
    rate, last = Rate(end.rate, end.low, end.high), scope.step_title(scope.funnel.names[-1])
    naive, day = Rate(end.converted / entered if entered else math.nan), Days(float(end.day))
    row = records(eventually(journeys, rules=rules))[0]
    open_ones = row.entered - row.closed
    first = scope.step_title(scope.funnel.names[0])
    words: dict[str, Any] = {"rate": rate, "last": last, "day": day, "first": first, "key": "timing.rate"}
    notes = [say("{rate:value} {rate:ci} reach {last} within {day} of their first {first}.", **words)]
    if open_ones > 0:
        notes = [
            say(
                "{rate:value} {rate:ci} reach {last} within {day} of their first {first}. Counting everybody alike, "
                "also those who came lately, would say {naive:value}.", naive=naive, **words,
            )
        ]  # fmt: skip
    notes += _started_again(say, journeys)
    if not math.isnan(row.expected) and open_ones > 0:
        notes.append(
            say(
                "{seen} of {n} have converted so far; {waiting} of them were followed for less than {until}. Once all "
                "have had that time, {expected:value} {expected:ci} will have.", key="timing.finally",
                seen=row.converted_so_far, n=row.entered, waiting=open_ones, until=Days(row.until),
                expected=Rate(row.expected, row.low, row.high),
            )
        )  # fmt: skip
    quarter = records(time_to_convert(journeys, rules=rules))[0]
    if not math.isnan(quarter.median):
        notes.append(_quartiles(say, journeys, quarter))
    return notes


def _quartiles(say: Say, journeys: Journeys, quarter: Any) -> Sentence:
    told = {name: _days(quarter, name) for name in ("q25", "median", "q75")}
    if journeys.window_closed:
        return say(
            "Counted from the last start that could lead there instead of the first, of the {n} whose time is over and "
            "who got there a quarter needed at most {q25}, half {median}, three quarters {q75}.", key="timing",
            n=int(quarter.n), **told,
        )  # fmt: skip
    return say(
        "Of the {n} who have got there so far a quarter needed at most {q25}, half {median}, three quarters {q75}.",
        key="timing", n=int(quarter.n), **told,
    )  # fmt: skip


def _started_again(say: Say, journeys: Journeys) -> list[Sentence]:
    """Say how many only got there from a later start, where the funnel counts every start."""
    size, frame = len(journeys.funnel.steps), journeys.frame
    again = int(((frame["depth"] == size) & (frame["first_depth"] < size)).sum())
    if not journeys.window_closed or not again:
        return []
    return [
        say.plural(
            again,
            "{n} more person got there after starting again; the funnel counts that one, too.",
            "{n} more people got there after starting again; the funnel counts them, too.", key="timing.again",
        )
    ]  # fmt: skip


def _days(row: Any, name: str) -> Days:
    return Days(getattr(row, name), getattr(row, f"{name}_low"), getattr(row, f"{name}_high"))


def _difference(say: Say, scope: Scope, journeys: Journeys, split: str | None) -> list[Sentence]:
    """Say whether the groups of a split convert alike over time."""
    if split is None:
        return []
    found, title = log_rank(journeys, split, rules=scope.workbook.rules), scope.split_title(split)
    key = f"timing.{split}"
    if found.reason:
        return [cannot(say, say("A comparison over time by {split}", split=title), found.reason)]
    clear = found.table[found.table["clear"]].sort_values("ratio")
    p = PValue(found.p)
    if clear.empty:
        return [say("By {split}, no group converts clearly faster or more often (log-rank test, {p}).", key=key,
                    split=title, p=p)]  # fmt: skip
    low = records(clear)[0]
    return [
        say(
            "By {split}, the groups differ over time (log-rank test, {p}): {group} had {seen} conversions where "
            "{expected} were to be expected if all were alike.", key=key, split=title, p=p,
            group=scope.group_title(split, low.group), seen=low.converted, expected=Count(low.expected),
        )
    ]  # fmt: skip


def _groups(say: Say, scope: Scope, journeys: Journeys, reached: pd.DataFrame, split: str | None) -> Table:
    """Return one row per group: converted so far, by the last known day, in the end, and when half had come."""
    rules = scope.workbook.rules
    final = eventually(journeys, by=split, rules=rules)[["group", "entered", "converted_so_far", "until", *_ENDS]]
    final = final.rename(columns={"until": "horizon"})
    final = final.rename(columns={"low": "expected_low", "high": "expected_high"})
    half = half_of_conversions(journeys, by=split, rules=rules)[["group", "half", "low", "high"]]
    half = half.rename(columns={"low": "half_low", "high": "half_high"})
    seen = reached[reached["rate"].notna()].groupby("group", sort=False)[["group", "rate", "low", "high"]].tail(1)
    why_not = reached.groupby("group", sort=False)[["group", "reason"]].tail(1)
    frame = final.merge(half, on="group").merge(seen, on="group", how="left").merge(why_not, on="group")
    columns = [
        split_column(say, scope, split),
        Column("entered", say("People"), Count),
        Column("converted_so_far", say("Converted so far"), Count),
        Column("rate", say("By the last known day"), Rate, low="low", high="high"),
        Column("expected", _horizon(say, scope, frame), Rate, low="expected_low", high="expected_high"),
        Column("half", say("Half of conversions by"), Days, low="half_low", high="half_high"),
    ]

    def few(row: Record) -> Sentence | None:
        return why(say, str(row["reason"])) if row["reason"] and pd.isna(row["rate"]) else None

    caption = say("Conversion over time, with {level} intervals", level=level_of(scope))
    return Table(grouped(say, scope, frame, split), columns, caption, name="timing", few=few)


def _horizon(say: Say, scope: Scope, frame: pd.DataFrame) -> Sentence:
    """Say by when the share in the end is expected: without a time limit, only as far as enough were followed."""
    days = frame["horizon"].dropna()
    if scope.funnel.window is not None or days.empty:
        return say("In the end, expected")
    return say("Within {days}, expected", days=Days(float(days.max())))


def _histogram(say: Say, scope: Scope, journeys: Journeys, last: str) -> list[Part]:
    """Return the picture of how the time is spread; nothing where it is not known."""
    bins = histogram(journeys, rules=scope.workbook.rules)
    if not bins["share"].notna().any():
        return []
    top = records(bins.sort_values("share", ascending=False))[0]
    told = say(
        "Conversions are most frequent between {start} and {end} after the first step: {share} of all people",
        key="timing.most", start=Days(top.from_days), end=Days(top.to_days), share=Rate(top.share),
    )  # fmt: skip
    if not top.from_days:
        told = say(
            "Conversions are most frequent within {end} of the first step: {share} of all people",
            key="timing.most", end=Days(top.to_days), share=Rate(top.share),
        )  # fmt: skip
    elif Days(top.from_days).format(scope.language) == Days(top.to_days).format(scope.language):
        told = say(
            "Conversions are most frequent {end} after the first step: {share} of all people",
            key="timing.most", end=Days(top.to_days), share=Rate(top.share),
        )  # fmt: skip
    words = plots.Words(scope.language)
    svgs = plots.figure(
        lambda ax, width: plots.histogram(bins, words, ax=ax, width=width), alt=told.text, widths=(700, 328)
    )
    columns = [
        Column("from_days", say("More than"), Days),
        Column("to_days", say("At most"), Days),
        Column("units", say("People"), Count),
        Column("share", say("Share of all people"), Rate),
    ]
    table = Table(bins, columns, say("How the time to {last} is spread", last=last), name="time_to_convert")
    caption = say("{told}. People still under way count for as long as they have been followed.", told=told)
    return [Figure(svgs, told, caption=caption, table=table)]


def waiting(scope: Scope, journeys: Journeys) -> Block | None:
    """Show how long people stay at each step, those still there included; None with two steps (all said already)."""
    say = Say(scope.language)
    kicker = say("Time at each step")
    if len(scope.funnel.steps) < 3:
        return None
    found = dwell(journeys, rules=scope.workbook.rules)
    moved = found[found["half_moved"].notna()]
    if moved.empty:
        what = say("The time at each step")
        return unknown("waiting", kicker, cannot(say, what, str(found["half_reason"].iloc[0])))
    slow = records(moved.sort_values("half_moved", ascending=False))[0]
    finding = say(
        "People take longest from {step} to {next}: half of those who go on need {half:value} {half:ci}",
        key="waiting", step=scope.step_title(slow.name), next=scope.step_title(slow.next),
        half=Days(slow.half_moved, _nan(slow.half_low), _nan(slow.half_high)),
    )  # fmt: skip
    sub = say("Time at each step until the next, with {level} interval", level=level_of(scope))
    if still := int(found["still_waiting"].sum()):
        sub = say(
            "Time at each step until the next, with {level} interval; {n} people are still at a step and may go on",
            key="waiting", level=level_of(scope), n=still,
        )  # fmt: skip
    note = say(
        "The average of those who have moved on would be too short: the slow are still waiting. They count here for "
        "as long as they have waited."
    )
    return section("waiting", kicker=kicker, finding=finding, sub=sub, parts=[_dwell_table(say, scope, found), note])


def _dwell_table(say: Say, scope: Scope, found: pd.DataFrame) -> Table:
    titles = [
        say.text("{step} → {next}", step=scope.step_title(row.name), next=scope.step_title(row.next))
        for row in records(found)
    ]
    whole: list[Any] = [
        Cell(why(say, row.reason), left=True) if row.reason else Days(row.median, _nan(row.low), _nan(row.high))
        for row in records(found)
    ]
    moved: list[Any] = [
        Cell(why(say, row.half_reason), left=True) if row.half_reason
        else Days(row.half_moved, _nan(row.half_low), _nan(row.half_high))
        for row in records(found)
    ]  # fmt: skip
    frame = found.assign(title=titles, whole=whole, moved=moved)
    columns = [
        Column("title", say("Step")),
        Column("n", say("People"), Count),
        Column("moved_on", say("Went on"), Count),
        Column("moved", say("Half of those who go on within")),
        Column("whole", say("Half of all within")),
    ]
    if found["still_waiting"].any():
        columns.append(Column("still_waiting", say("Still waiting"), Count))
        columns.append(Column("waiting_median", say("Half of them for at least"), Days))
    return Table(frame, columns, say("Time at each step"), name="waiting", look="seg")
