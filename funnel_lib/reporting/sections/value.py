"""The sections on value: what a customer costs and brings, and how soon it pays back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.customers import AGAIN_DAYS, CustomerValue, customer_value
from funnel_lib.conversion.worth.opinions import NO_ANSWERS
from funnel_lib.reporting import plots
from funnel_lib.reporting.blocks import Block, Figure, SoWhat, section
from funnel_lib.reporting.estimates import Count, Days, Money, Rate, Ratio, Share
from funnel_lib.reporting.parts import Part
from funnel_lib.reporting.plots.stage import records
from funnel_lib.reporting.sections.chance import chance
from funnel_lib.reporting.sections.missing import cannot, unknown, why
from funnel_lib.reporting.sections.page import level_of
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.values import Value
from funnel_lib.reporting.wording import Say, Sentence

HALF_A_DAY = 0.5
Line = tuple[Sentence, Value, Sentence, str]  # what, how much, of what, why it is missing


def measure(scope: Scope, journeys: Journeys) -> CustomerValue | None:
    """Return what the customers of a scope cost and bring, for the sections below; see `customer_value`."""
    return customer_value(scope, journeys, rng=chance(scope, "value"))


def figures(scope: Scope, found: CustomerValue | None) -> Block:
    """List what a customer costs and brings, each figure with its interval or why it is missing."""
    say = Say(scope.language)
    kicker = say("What customers are worth")
    if found is None or found.reason:
        told = cannot(say, say("What customers are worth"), found.reason if found else "no_events")
        more = say("Nor can what they bring over time, what comes back for the money, and conversion against value.")
        return section("value", kicker=kicker, finding=told, parts=[more])
    lines = list(_lines(say, scope, found))
    frame = pd.DataFrame({
        "what": [what.text for what, *_ in lines], "value": [value for _, value, *_ in lines],
        "of": [
            say.text("missing: {reason}", reason=why(say, reason)) if reason else of.text for *_, of, reason in lines
        ],
    })  # fmt: skip
    columns = [
        Column("what", say("Figure")),
        Column("value", say("Value")),
        Column("of", say("Of what"), left=True),
    ]
    caption = say("What customers cost and bring, with {level} intervals", level=level_of(scope))
    table = Table(frame, columns, caption, name="value", look="seg")
    notes = SoWhat(say("So what"), _notes(say, scope, found))
    return section("value", kicker=kicker, finding=value_finding(say, scope, found), parts=[table, notes])


def value_finding(say: Say, scope: Scope, found: CustomerValue) -> Sentence:
    """Say what a customer costs and has brought, or which of both is not known."""
    key, price, curve = "value.finding", found.acquisition, found.curve
    if curve.reason:
        return cannot(say, say("What a customer brings"), curve.reason)
    brought = curve.at(curve.last_day)
    margin = money(scope, brought)
    if price.reason:
        return say("A customer has brought {margin:value} {margin:ci} in margin; what one costs is not known", key=key,
                   margin=margin)  # fmt: skip
    cost, ratio = money(scope, (price.value, price.low, price.high)), Ratio(*found.ratio)
    return say(
        "A new customer costs {cost:value} {cost:ci} and has brought {margin:value} {margin:ci} in margin: "
        "{ratio:value} times {ratio:ci} the cost", key=key, cost=cost, margin=margin, ratio=ratio,
    )  # fmt: skip


def money(scope: Scope, ends: Any) -> Money:
    """Return an amount (value, low, high) in the workbook's currency."""
    value, low, high = (float(end) for end in ends)
    return Money(value, scope.workbook.currency, low, high)


def lagged(say: Say, days: float) -> Sentence:
    """Say of which days costs are, as a part of a sentence: of days so much earlier, or of the same."""
    if not days >= HALF_A_DAY:
        return say("costs of the same days")
    return say("costs of {days} earlier", key="costs.lag", days=Days(round(days)))


def _lines(say: Say, scope: Scope, found: CustomerValue) -> Iterator[Line]:
    price, curve, forecast = found.acquisition, found.curve, found.lifetime
    counted: dict[str, Any] = {"key": "value.cost", "n": price.customers, "costs": lagged(say, price.lag_days)}
    of_all = say("{n} new customers; all costs, {costs}", **counted)
    own = say("{n} new customers; costs of their channel alone, {costs}", **counted)
    yield (
        say("Cost of a new customer"), money(scope, (price.value, price.low, price.high)),
        of_all if scope.split_group is None else own, price.reason,
    )  # fmt: skip
    titles = {"mean": say("Order value, mean"), "median": say("Order value, median"),
              "winsorised": say("Order value, mean without the power of the largest")}  # fmt: skip
    for row in records(found.basket):
        of = say("{n} orders of the period", key=f"value.{row.measure}", n=row.orders)
        yield titles[row.measure], money(scope, (row.value, row.low, row.high)), of, row.reason
    brought = curve.at(curve.last_day)
    day = Days(curve.last_day if not math.isnan(curve.last_day) else 0)
    yield (
        say("Margin per customer so far"),
        money(scope, brought),
        say(
            "{n} customers of all periods, by {days} after their first order",
            key="value.brought",
            n=int(curve.table["customers"].iloc[0]) if len(curve.table) else 0,
            days=day,
        ),
        curve.reason,
    )
    yield say("Margin by cost of a customer"), Ratio(*found.ratio), say("both above"), found.ratio_reason
    back = found.payback
    yield (
        say("Time until the cost is paid back"), Days(back.days, *_ends(back.low, back.high), digits=0),
        say("in steps of {days}", days=Days(_pace(curve.table))), back.reason,
    )  # fmt: skip
    yield (
        say("Forecast of a new customer's margin"), money(scope, (forecast.value, forecast.low, forecast.high)),
        say("within {days}, first order included", days=Days(forecast.horizon_days)), forecast.reason,
    )  # fmt: skip
    again, through = records(found.again)[1], found.referred
    nobody = "no_repeat_orders" if again.reason == "no_conversions" else again.reason
    yield (
        say("Order again"), Rate(again.rate, again.low, again.high),
        say("{n} customers, within {days}", key="value.again", n=again.customers, days=Days(AGAIN_DAYS)), nobody,
    )  # fmt: skip
    unnamed = "channel_unknown" if through.reason == NO_ANSWERS else through.reason
    yield (
        say("Came through a referral"), Rate(through.value, through.low, through.high),
        say("{n} new customers", key="value.referred", n=through.answers), unnamed,
    )  # fmt: skip


def _pace(curve: pd.DataFrame) -> float:
    """Return the days between two points of a curve."""
    return float(curve["day"].iloc[1] - curve["day"].iloc[0]) if len(curve) > 1 else 0.0


def _ends(low: float, high: float) -> tuple[float | None, float | None]:
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (None, None)


def _notes(say: Say, scope: Scope, found: CustomerValue) -> list[Sentence]:
    """Say what money is counted as margin, what was set aside, and how the forecast was checked."""
    notes, margin = [], scope.workbook.value.margin
    if margin == 1:
        notes.append(say("No margin is set in the workbook, so all of the amounts count as margin."))
    else:
        notes.append(say("Margin is {margin} of the amounts, as the workbook says.", margin=Share(margin)))
    test = found.lifetime.held_out
    if not found.lifetime.reason:
        notes.append(say(
            "The forecast was checked on the last {days}: it expected {expected} orders, {came} came.",
            key="value.held", days=Days(test.days), expected=Count(test.expected), came=Count(test.came),
        ))  # fmt: skip
    told = found.orders.set_aside
    if nameless := sum(told.get(reason, 0) for reason in ("no_user", "no_time")):
        notes.append(
            say("{n} orders name no customer or no time and are not counted.", key="value.nameless", n=nameless)
        )
    if aside := sum(told.get(reason, 0) for reason in ("other_currency", "no_amount", "negative")):
        notes.append(say("{n} orders are not counted: another currency, no amount, or a negative one.", key="value",
                         n=aside))  # fmt: skip
    return notes


def over_time(scope: Scope, found: CustomerValue | None) -> Block | None:
    """Show the margin per customer by its age, against what a new customer costs; None where `figures` says it all."""
    if found is None or found.reason:
        return None
    say = Say(scope.language)
    kicker = say("Does a customer pay back")
    what = say("What customers bring over time")
    if found.curve.reason:
        return unknown("margin", kicker, cannot(say, what, found.curve.reason))
    finding, curve = payback_finding(say, scope, found), found.curve.table
    price = found.acquisition
    currency = scope.workbook.currency
    words = plots.Words(scope.language)
    title = say.text("cost")
    svgs = plots.figure(
        lambda ax, width: plots.margins(
            curve, words, spell=lambda amount: Money(amount, currency).format(scope.language),
            cost=math.nan if price.reason else price.value, cost_title=title, ax=ax, width=width,
        ), alt=finding.text, widths=(700, 328),
    )  # fmt: skip
    columns = [
        Column("day", say("Days since the first order"), Count),
        Column("customers", say("Customers followed for so long"), Count),
        Column("margin", say("Margin per customer"), lambda *ends: money(scope, ends), low="low", high="high"),
    ]
    caption = say("Band = {level} interval. Everybody counts for as long as they were followed.", level=level_of(scope))
    table = Table(curve, columns, say("Margin per customer by age"), name="margin")
    sub = say("Margin of all orders since the first one, added up, per customer")
    parts: list[Part] = [Figure(svgs, finding, caption=caption, table=table)]
    return section("margin", kicker=kicker, finding=finding, sub=sub, parts=parts)


def payback_finding(say: Say, scope: Scope, found: CustomerValue) -> Sentence:
    """Say when a customer has brought what it cost, or that later orders add little."""
    back, curve, key = found.payback, found.curve.table, "payback.finding"
    if back.reason == "not_reached":
        return say("In {days} a customer has not yet brought what it costs", key=key, days=Days(back.last_day))
    first, last = (money(scope, found.curve.at(day)) for day in (0, found.curve.last_day))
    if back.reason or (back.days == 0 and back.high == 0):
        if float(curve["margin"].iloc[-1]) <= float(curve["margin"].iloc[0]) * 1.001:
            return say("Customers bring {first:value} {first:ci} with their first order and nothing more in {days}",
                       key=key, first=first, days=Days(found.curve.last_day))  # fmt: skip
        return say("Customers bring {first:value} with their first order and {last:value} {last:ci} by {days}",
                   key=key, first=first, last=last, days=Days(found.curve.last_day))  # fmt: skip
    days = Days(back.days, *_ends(back.low, back.high), digits=0)
    if back.days == 0:
        return say("Most likely the first order already brings what a customer costs; for sure it does within {high}",
                   key=key, high=Days(back.high)) if math.isfinite(back.high) else say(
            "Most likely the first order already brings what a customer costs, but not for sure", key=key)  # fmt: skip
    if not math.isfinite(back.high):
        return say("A customer has most likely brought what it costs within {days} of the first order, but not for "
                   "sure in the time that was seen", key=key, days=days)  # fmt: skip
    return say("A customer has brought what it costs within {days:value} {days:ci} of the first order", key=key,
               days=days)  # fmt: skip
