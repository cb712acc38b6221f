"""Deals that end in one of several ways: won, lost, or still open."""

from __future__ import annotations

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.durations.outcomes import OPEN, beside_closed, outcomes
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Rate
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence

COLUMNS = ("created", "closed", "status")
WON = "won"


def deals(scope: Scope) -> Block | None:
    """Show the share of deals won, lost and open by day; None where no deals with their dates were collected.

    Only in the report on everybody: all deals created up to the end of the period, the open ones included.
    """
    if scope.split_group is not None or scope.as_of is None or not scope.store.path("deals").is_file():
        return None
    table = scope.store.read("deals")
    if not set(COLUMNS) <= set(table.columns):
        return None
    say, rules = Say(scope.language), scope.workbook.rules
    table = table[~(table["created"] >= scope.period.end)]  # those without a day stay, and are counted as such
    given = (table["created"], table["closed"], table["status"])
    by_day = outcomes(*given, as_of=scope.as_of, rules=rules, zone=scope.workbook.zone)
    kicker = say("Won, lost or still open")
    reason = _why_not(table, by_day)
    if reason:
        return unknown("outcomes", kicker, cannot(say, say("The outcome of deals"), reason))
    closed = beside_closed(*given, as_of=scope.as_of, rules=rules, zone=scope.workbook.zone)
    finding = outcome_finding(say, closed)
    titles = {WON: say.text("won"), "lost": say.text("lost"), OPEN: say.text("still open")}
    shown = by_day.rename(columns={"outcome": "group", "share": "rate"})
    kinds = list(dict.fromkeys(shown["group"]))[:3]
    shown = shown[shown["group"].isin([*kinds, OPEN])]
    words, axis = plots.Words(scope.language, titles), say.text("Days since the deal was created")
    svgs = plots.figure(
        lambda ax, width: plots.curve(shown, words, axis=axis, ax=ax, width=width), alt=finding.text, widths=(700, 328)
    )
    caption = say(
        "Shares of all deals by days since they were created, open ones counted for as long as they were followed "
        "(Aalen–Johansen); bands = {level} interval.", level=level_of(scope),
    )  # fmt: skip
    figure = Figure(svgs, finding, caption=caption, table=_table(say, closed, titles))
    note = say("Of the closed ones alone, the outcome that comes fast looks too frequent.")
    return section("outcomes", kicker=kicker, finding=finding, parts=[figure, SoWhat(say("So what"), [note])])


def _why_not(table: pd.DataFrame, by_day: pd.DataFrame) -> str:
    """Return why nothing can be said; the empty text where something can."""
    if len(table) and table["created"].isna().all():
        return "not_created"
    if len(table) and table["status"].eq(WON).all():
        return "only_won"
    return "" if by_day["share"].notna().any() else str(by_day["reason"].iloc[0])


def outcome_finding(say: Say, closed: pd.DataFrame) -> Sentence:
    """Say which share is won in time, beside what the closed deals alone would say."""
    won = records(closed[closed["outcome"] == WON])
    if not won or pd.isna(won[0].share):
        return say("No deal was won", key="outcomes")
    return say(
        "{share:value} {share:ci} of deals are won within {day}; of the closed ones alone it would be {closed:value} "
        "{closed:ci}",
        key="outcomes", share=Rate(won[0].share, won[0].low, won[0].high), day=Days(won[0].until, digits=0),
        closed=Rate(won[0].of_closed, won[0].of_closed_low, won[0].of_closed_high),
    )  # fmt: skip


def _table(say: Say, closed: pd.DataFrame, titles: dict[str, str]) -> Table:
    frame = closed.assign(outcome=[titles.get(str(name), str(name)) for name in closed["outcome"]])
    columns = [
        Column("outcome", say("Outcome")),
        Column("records", say("Deals"), Count),
        Column("of_closed", say("Of the closed"), Rate, low="of_closed_low", high="of_closed_high"),
        Column("share", say("Of all, in time"), Rate, low="low", high="high"),
    ]
    return Table(frame, columns, say("Outcomes of deals"), name="outcomes")
