"""The section on contracts: how long subscriptions last, and what one brings until it ends."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.contracts import MONTH_DAYS, Contracts, contracts
from funnel_lib.conversion.worth.customers import CustomerValue
from funnel_lib.conversion.worth.margins import payback, value_to_cost
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Money, Rate, Ratio, Share
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.sections.value import Line, money
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Say, Sentence


def figures(scope: Scope, journeys: Journeys, worth: CustomerValue | None) -> Block | None:
    """Show how long contracts last and what one brings; None where the workbook names no contracts.

    Parameters
    ----------
    journeys : of the report; in that of a segment only its people's contracts count.
    worth : what a new customer costs; see `value.measure`.
    """
    mine = None if scope.split_group is None else frozenset(journeys.frame["unit"].astype("str"))
    found = contracts(scope, people=mine)
    if found is None:
        return None
    say = Say(scope.language)
    kicker = say("What contracts bring")
    if found.reason:
        return unknown("contracts", kicker, cannot(say, kicker, found.reason))
    finding = contracts_finding(say, scope, found)
    parts: list[Part] = [_picture(say, scope, found, worth, finding), _table(say, scope, found, worth)]
    parts.append(SoWhat(say("So what"), list(_notes(say, scope, found))))
    sub = say(
        "Margin of a contract until it ends, added up; those that run count for as long as they could be followed"
    )
    return section("contracts", kicker=kicker, finding=finding, sub=sub, parts=parts)


def contracts_finding(say: Say, scope: Scope, found: Contracts) -> Sentence:
    """Say what a contract brings in the time that is known, and how many still run at its end."""
    last, brought = records(found.table)[-1], money(scope, found.curve.at(found.curve.last_day))
    return say(
        "A contract brings {margin:value} {margin:ci} in its first {months} months; {kept:value} {kept:ci} run longer",
        key="contracts", margin=brought, months=len(found.table), kept=Rate(last.kept, last.low, last.high),
    )  # fmt: skip


def _lines(say: Say, scope: Scope, found: Contracts, worth: CustomerValue | None) -> Iterator[Line]:
    last, forecast = records(found.table)[-1], found.forecast
    whole = say("{n} contracts", key="contracts.all", n=found.running + found.ended)
    yield say("Price of a month, mean"), money(scope, found.price), whole, ""
    yield say("Contracts that run"), Count(found.running), whole, ""
    churn = Rate(*found.churn)
    yield (
        say("Contracts that end in a month"), churn,
        say("{n} that ended", key="contracts.ended", n=int(found.table["left"].sum())), "",
    )  # fmt: skip
    yield (
        say("Contracts that run longer than {months} months", key="contracts.kept", months=last.month),
        Rate(last.kept, last.low, last.high), whole, "",
    )  # fmt: skip
    yield (
        say("Margin of a contract in {months} months", key="contracts.margin", months=last.month),
        money(scope, found.curve.at(found.curve.last_day)), whole, "",
    )  # fmt: skip
    yield (
        say("Margin of a contract in {months} months, expected", key="contracts.expected", months=forecast.months),
        money(scope, (forecast.value, forecast.low, forecast.high)),
        say("if as many go on ending in each month"), forecast.reason,
    )  # fmt: skip
    if worth is None:
        return
    cost = worth.acquisition
    ratio, reason = value_to_cost(found.curve, cost)
    yield say("Margin of a contract by cost of a customer"), Ratio(*ratio), say("by the margin that is known"), reason
    back = payback(found.curve, cost)
    ends = (back.low, back.high) if math.isfinite(back.low) and math.isfinite(back.high) else (None, None)
    yield (
        say("Time until a contract has paid back the cost"), Days(back.days, *ends, digits=0),
        say("in steps of a month"), back.reason,
    )  # fmt: skip


def _table(say: Say, scope: Scope, found: Contracts, worth: CustomerValue | None) -> Table:
    known = worth if scope.split_group is None else None
    lines = list(_lines(say, scope, found, known))
    missing = [say.text("missing: {reason}", reason=why(say, reason)) if reason else "" for *_, reason in lines]
    frame = pd.DataFrame({
        "what": [what.text for what, *_ in lines], "value": [value for _, value, *_ in lines],
        "of": [absent or of.text for (_, _, of, _), absent in zip(lines, missing, strict=True)],
    })  # fmt: skip
    columns = [
        Column("what", say("Figure")),
        Column("value", say("Value")),
        Column("of", say("Of what"), left=True),
    ]
    caption = say("What contracts bring, with {level} intervals", level=level_of(scope))
    return Table(frame, columns, caption, name="contracts", look="seg")


def _picture(
    say: Say, scope: Scope, found: Contracts, worth: CustomerValue | None, finding: Sentence
) -> Figure:  # fmt: skip
    priced = worth is not None and not worth.acquisition.reason and scope.split_group is None
    cost = worth.acquisition.value if worth is not None and priced else math.nan
    curve, words, currency = found.curve.table, plots.Words(scope.language), scope.workbook.currency
    title, axis = say.text("cost"), say.text("Days since the contract began")
    svgs = plots.figure(
        lambda ax, width: plots.margins(
            curve, words, spell=lambda amount: Money(amount, currency).format(scope.language), cost=cost,
            cost_title=title, axis=axis, ax=ax, width=width,
        ), alt=finding.text, widths=(700, 328),
    )  # fmt: skip
    columns = [
        Column("month", say("Month of the contract"), Count),
        Column("customers", say("Contracts that could end in it"), Count),
        Column("left", say("Ended"), Count),
        Column("kept", say("Of all, run longer"), Rate, low="low", high="high"),
        Column("margin", say("Margin by its beginning"), lambda *ends: money(scope, ends), low="margin_low",
               high="margin_high"),
    ]  # fmt: skip
    brought = curve[["margin", "low", "high"]].set_axis(["margin", "margin_low", "margin_high"], axis=1)
    frame = pd.concat([found.table.reset_index(drop=True), brought.reset_index(drop=True)], axis=1)
    caption = say(
        "Band = {level} interval. A month is {days} days.", level=level_of(scope), days=Ratio(MONTH_DAYS, digits=1)
    )
    return Figure(
        svgs, finding, caption=caption, table=Table(frame, columns, say("Contracts by month"), name="contract_months")
    )


def _notes(say: Say, scope: Scope, found: Contracts) -> Iterator[Sentence]:
    """Say what counts as margin, what was set aside, and what the forecast takes for granted."""
    margin = scope.workbook.value.margin
    if margin < 1:
        yield say("Margin is {margin} of the amounts, as the workbook says.", margin=Share(margin))
    yield say("Expected is not seen: nobody knows whether contracts will go on ending at the same rate.")
    if aside := sum(found.set_aside.values()):
        yield say(
            "{n} contracts are not counted: no start, no price, or an end before the start.", key="contracts.aside",
            n=aside,
        )  # fmt: skip
