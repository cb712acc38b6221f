"""Since which day a rate is another one, how sure that is, and what lay near that day."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.changepoint import Changes, changes, daily
from funnel_lib.conversion.movement.days import calendar, near, own_days
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Points, PValue, Rate, Share, plain_points
from funnel_lib.reporting.labels import Day, Names, Span
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

DRAWS, NUMBERED = 499, 9


class Searched(NamedTuple):
    """A step's daily counts, and the days since when its rate is another one."""

    step: int
    name: str
    counts: pd.DataFrame
    found: Changes


def search(scope: Scope, whole: Journeys) -> list[Searched]:
    """Search the daily rate of every required step after the first in `history(scope)`; none where days are missing."""
    rng, searched = chance(scope, "days"), []
    if whole.frame["first_entry"].isna().all():
        return []
    rules = scope.workbook.rules.model_copy(update={"level": _level(scope)})
    for step, name in _steps(scope):
        counts = daily(whole, step=step, rules=rules)
        searched.append(Searched(step, name, counts, changes(counts, rules=rules, rng=rng, draws=DRAWS)))
    return searched


def _steps(scope: Scope) -> list[tuple[int, str]]:
    return [(place, one.name) for place, one in enumerate(scope.funnel.steps[1:], start=2) if not one.optional]


def _level(scope: Scope) -> float:
    """Return the level at which each step is searched, so that all together keep the workbook's level."""
    return 1 - (1 - scope.workbook.rules.level) / max(len(_steps(scope)), 1)


def levels(scope: Scope, searched: list[Searched]) -> Block:
    """Show the step whose rate changed last and lastingly, day by day, with the calendar; and all changes found."""
    say = Say(scope.language)
    kicker = say("Since when")
    judged = [one for one in searched if one.found.reason is None]
    if not judged:
        reason = str(searched[0].found.reason) if searched else "no_times"
        return unknown("since", kicker, cannot(say, say("A search for the day of a change"), reason))
    table, shown = _all(scope, judged), _chosen(scope, judged)
    days = _days(scope, judged)
    finding = since_finding(say, scope, judged)
    sub = say(
        "Share who went on to {step}, day by day, with its levels; {n} steps searched, so that intervals are of "
        "{level}",
        key="since", step=scope.step_title(shown.name), level=Share(_level(scope), 1), n=len(_steps(scope)),
    )  # fmt: skip
    marked = _near(shown, days)
    parts: list[Part] = [_picture(say, scope, shown, marked, finding)]
    parts += [SoWhat(say("So what"), _notes(say, scope, judged, days, marked))]
    if len(table):
        parts.append(_table(say, scope, table, days))
    return section("since", kicker=kicker, finding=finding, sub=sub, parts=parts)


def since_finding(say: Say, scope: Scope, judged: list[Searched]) -> Sentence:
    """Say which lasting change of a step's rate is the newest, with the days it may have come on."""
    table = _all(scope, judged)
    if table.empty:
        return say("No step’s daily rate changed lastingly", key="since.finding")
    last = records(table)[-1]
    return say(
        "{step}: from {before:value} to {after:value} since {day}, {points:value} {points:ci}", key="since.finding",
        step=scope.step_title(last.name), before=Rate(last.rate_before), after=Rate(last.rate_after),
        day=Day(last.day.date(), "full"), points=Points(last.difference, last.low, last.high),
    )  # fmt: skip


def _all(scope: Scope, judged: list[Searched]) -> pd.DataFrame:
    """Return all changes found, oldest first; their p-values allow for the number of steps."""
    frames = [one.found.frame.assign(step=one.step, name=one.name) for one in judged if len(one.found.frame)]
    if not frames:
        return pd.DataFrame(columns=["day", "name"])
    table = pd.concat(frames, ignore_index=True)
    table = table.assign(p_adjusted=(table["p_adjusted"] * len(_steps(scope))).clip(upper=1.0))
    return table.sort_values(["day", "step"], ignore_index=True)


def _chosen(scope: Scope, judged: list[Searched]) -> Searched:
    """Return the step with the newest clear change, the last step where none changed."""
    table = _all(scope, judged)
    step = judged[-1].step if table.empty else int(table["step"].iloc[-1])
    return next(one for one in judged if one.step == step)


def _days(scope: Scope, judged: list[Searched]) -> pd.DataFrame:
    """Return the workbook's own dates and the holidays of its countries, in the years of the data."""
    years = sorted({day.year for one in judged for day in one.counts["day"]})
    spend = scope.store.read("spend") if scope.store.path("spend").is_file() else None
    own = own_days(scope.workbook, spend)
    if not scope.workbook.holidays:
        return own
    return pd.concat([own, calendar(scope.workbook.holidays, years)], ignore_index=True)


def _near(shown: Searched, days: pd.DataFrame) -> pd.DataFrame:
    """Return what lay near the changes of a step, numbered; each date once."""
    if shown.found.frame.empty:
        return pd.DataFrame(columns=["day", "date", "distance", "name_en", "name_zh", "kind", "number"])
    found = near(shown.found.frame, days).drop_duplicates(["date", "name_en"]).sort_values(["date", "name_en"])
    return found.head(NUMBERED).assign(number=lambda rows: range(1, len(rows) + 1))


def _picture(say: Say, scope: Scope, shown: Searched, marked: pd.DataFrame, finding: Sentence) -> Figure:
    words, single = plots.Words(scope.language), shown.found.levels
    numbered = marked[["date", "number"]] if len(marked) else None
    svgs = plots.figure(
        lambda ax, width: plots.levels(shown.counts, single, words, days=numbered, ax=ax, width=width),
        alt=finding.text, widths=(700, 328),
    )  # fmt: skip
    columns = [
        Column("start", say("From")),
        Column("end", say("To")),
        Column("denominator", say("People"), Count),
        Column("rate", say("Share"), Rate, low="low", high="high"),
    ]
    caption = say(
        "Points = days; line and band = level with its interval; days are those on which people stood before the step."
    )
    table = Table(single, columns, say("Levels of the daily rate"), name="levels")
    return Figure(svgs, finding, caption=caption, table=table)


def _notes(
    say: Say, scope: Scope, judged: list[Searched], days: pd.DataFrame, marked: pd.DataFrame
) -> list[Sentence]:  # fmt: skip
    """Say how sure the newest change is, and what lay near it."""
    table = _all(scope, judged)
    if table.empty:
        return [say("Days differ by no more than weekdays and chance explain.")]
    last = records(table)[-1]
    notes = [
        say(
            "Likely first day of the new level: {days}; a difference of {points:value} {points:ci}, {p}.", key="since",
            days=Span(last.day_low.date(), last.day_high.date()), p=PValue(last.p_adjusted),
            points=Points(last.difference, last.low, last.high),
        )
    ]  # fmt: skip
    names = [_named(scope, row) for row in records(marked)]
    if names:
        notes.append(say("Near the changes lay: {days}. That does not say that they caused them.", days=Names(names)))
    elif len(days):
        notes.append(say("Nothing in the calendar lay near it."))
    else:
        notes.append(say("The workbook names no holidays, releases or campaigns to compare with."))
    return notes


def _named(scope: Scope, row: Any) -> str:
    name = row.name_zh if scope.language == "zh" else row.name_en
    return f"{row.number} {name} ({Day(row.date.date(), 'day').format(scope.language)})"


def _table(say: Say, scope: Scope, table: pd.DataFrame, days: pd.DataFrame) -> Table:
    beside = near(table, days)
    named = "name_zh" if scope.language == "zh" else "name_en"
    lay = [Names(list(dict.fromkeys(beside.loc[beside["day"] == day, named]))) for day in table["day"]]
    titles = [scope.step_title(str(name)) for name in table["name"]]
    frame = table.assign(title=titles, near=pd.Series([one if one.items else None for one in lay], dtype="object"))
    columns = [
        Column("day", say("From")),
        Column("title", say("Step"), left=True),
        Column("rate_before", say("Rate before"), Rate),
        Column("rate_after", say("Since then"), Rate),
        Column("difference", say("Difference, pp"), plain_points, low="low", high="high"),
        Column("p_adjusted", say("Corrected test"), PValue),
        Column("near", say("Near it"), left=True),
    ]
    return Table(frame, columns, say("Days since when a rate is another one"), name="since", look="seg")
