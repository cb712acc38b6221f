"""The section on drivers: which attributes and earlier events go with converting, all else being equal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.reasons.drivers import Drivers, drivers
from funnel_lib.conversion.reasons.precursors import BEFORE, driver_table
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Points, PValue, Rate, Ratio, plain_points
from funnel_lib.reporting.labels import Name, Names
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

SHOWN = 10


def driving(scope: Scope, journeys: Journeys) -> Block:
    """Show which groups and which earlier events go with converting, each with all others held equal."""
    say = Say(scope.language)
    kicker = say("What goes with converting")
    people, names, lookback = driver_table(scope, journeys)
    found = drivers(people, names, rules=scope.workbook.rules, rng=chance(scope, "drivers"))
    known = found.table[found.table["effect"].notna()]
    if known.empty:
        return unknown("drivers", kicker, cannot(say, say("What goes with converting"), found.reason or "one_group"))
    finding = driving_finding(say, scope, found)
    sub = say(
        "How much a group's chance to reach {last} differs from that of its reference group if all else is equal; "
        "logistic regression on {n} people, corrected for {rows} comparisons", key="drivers",
        last=scope.step_title(scope.funnel.names[-1]), n=found.units, rows=len(known),
    )  # fmt: skip
    parts: list[Part] = [
        _picture(say, scope, found, finding),
        SoWhat(say("So what"), _notes(say, scope, found, lookback / timedelta(days=1))),
    ]
    return section("drivers", kicker=kicker, finding=finding, sub=sub, parts=parts)


def driving_finding(say: Say, scope: Scope, found: Drivers) -> Sentence:
    """Say which group or earlier event goes with the largest difference that is clear and held in both halves."""
    sure = records(found.table[found.table["clear"] & found.table["stable"]])
    if not sure:
        return say("No attribute and no earlier event clearly goes with converting", key="drivers.finding")
    most = sure[0]
    points = Points(most.effect, most.low, most.high, signed=False)
    words: dict[str, Any] = {
        "who": Name(_title(say, scope, most)), "points": points, "reference": Name(_reference(say, scope, most)),
        "last": Name(scope.step_title(scope.funnel.names[-1])),
    }  # fmt: skip
    if most.effect > 0:
        return say("{who}: {points:value} {points:ci} more often at {last} than {reference}, all else being equal",
                   key="drivers.finding", **words)  # fmt: skip
    return say("{who}: {points:value} {points:ci} less often at {last} than {reference}, all else being equal",
               key="drivers.finding", **words)  # fmt: skip


def _title(say: Say, scope: Scope, row: Any) -> str:
    """Return what readers call a value: the group, or the event that came before."""
    if row.attribute.startswith(BEFORE):
        event = row.attribute.removeprefix(BEFORE)
        if row.value == "true":
            return say.text("Earlier: {event}", event=Name(event))
        return say.text("Earlier: no {event}", event=Name(event))
    title = scope.group_title(row.attribute, row.value)
    # “Other” and “Unknown” say nothing without what they are groups of.
    return say.text("{split}: {group}", split=scope.split_title(row.attribute), group=title) if row.value in (
        "other", "unknown") else title  # fmt: skip


def _reference(say: Say, scope: Scope, row: Any) -> str:
    if row.attribute.startswith(BEFORE):
        return say.text("without it") if row.reference == "false" else say.text("with it")
    return scope.group_title(row.attribute, row.reference)


def _picture(say: Say, scope: Scope, found: Drivers, finding: Sentence) -> Figure:
    table = found.table.assign(
        who=[_title(say, scope, row) for row in records(found.table)],
        against=[_reference(say, scope, row) for row in records(found.table)],
    )
    shown = table[table["effect"].notna()].head(SHOWN)
    frame = pd.DataFrame({
        "label": shown["who"],
        "kind": [say.text("against {reference}", reference=Name(name)) for name in shown["against"]],
        "estimate": shown["effect"], "low": shown["low"], "high": shown["high"], "clear": shown["clear"],
    })  # fmt: skip
    words = plots.Words(scope.language)
    svgs = plots.figure(
        lambda ax, width: plots.differences(frame, words, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    caption = say(
        "Average marginal effects in percentage points, {level} intervals. ▲ ▼ = clear after correction; ● = within "
        "noise.", level=level_of(scope),
    )  # fmt: skip
    return Figure(svgs, finding, caption=caption, table=_table(say, table))


def _table(say: Say, table: pd.DataFrame) -> Table:
    held = [_held(say, row) for row in records(table)]
    columns = [
        Column("who", say("Group or earlier event")),
        Column("against", say("Compared with"), left=True),
        Column("units", say("People"), Count),
        Column("rate", say("Share that converts"), Rate),
        Column("effect", say("All else equal, pp"), plain_points, low="low", high="high"),
        Column("odds_ratio", say("Odds ratio"), _odds, low="odds_low", high="odds_high"),
        Column("p_adjusted", say("p, corrected"), PValue),
        Column("held", say("Check on the other half"), left=True),
    ]
    return Table(table.assign(held=held), columns, say("What goes with converting"), name="drivers")


def _held(say: Say, row: Any) -> str:
    """Say why there is no estimate, or whether a clear one was found in both halves."""
    if row.reason:
        return why(say, row.reason).text
    if not row.clear:
        return say.text("within noise")
    return say.text("both halves agree") if row.stable else say.text("not confirmed")


def _odds(value: float, low: float, high: float) -> Ratio:
    return Ratio(value, low, high, digits=2)


def _notes(say: Say, scope: Scope, found: Drivers, days: float) -> list[Sentence]:
    """Say what this is not, what was looked at, and which findings did not hold."""
    notes = [
        say("This describes who converts. It does not show what makes them convert: only a randomised trial does."),
    ]
    if days > 0:
        notes.append(say(
            "Earlier events are those in the {days} before the first step; the funnel's own steps are left out.",
            key="drivers", days=Days(days),
        ))  # fmt: skip
    shaky = records(found.table[found.table["clear"] & ~found.table["stable"]])
    if shaky:
        notes.append(say(
            "Not confirmed, since two random halves of the people do not agree on it: {names}.",
            names=Names([_title(say, scope, row) for row in shaky]),
        ))  # fmt: skip
    if found.left_out:
        notes.append(say("{n} people are not in the model; the table says why.", key="drivers.left", n=found.left_out))
    return notes
