"""All figures of customers' value for a report, each with its reason where it is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.durations.returning import repurchase
from funnel_lib.conversion.durations.timing import time_to_convert
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.acquisition import NO_COSTS, NOT_COVERED, Acquisition, acquisition, by_channel
from funnel_lib.conversion.worth.basket import basket
from funnel_lib.conversion.worth.costs import Costs, costs, together
from funnel_lib.conversion.worth.crediting import credited, in_period, spread_of
from funnel_lib.conversion.worth.lifetime import Lifetime, lifetime
from funnel_lib.conversion.worth.margins import MarginCurve, Payback, margin_curve, payback, value_to_cost
from funnel_lib.conversion.worth.opinions import Opinion, referred
from funnel_lib.conversion.worth.orders import NO_ORDERS, Orders, first_orders, orders
from funnel_lib.conversion.worth.resampling import Interval, Rng
from funnel_lib.conversion.worth.returns import returns

BY_SEGMENT = "not_by_segment"
AGAIN_DAYS = 90


@dataclass(frozen=True)
class CustomerValue:
    """What customers cost and bring.

    Orders of the period make `basket` and `referred`; those of all times the others. In the report of a segment, only
    its people's orders of its period's entries count, and costs are not known (`not_by_segment`).
    """

    orders: Orders
    costs: Costs
    basket: pd.DataFrame
    acquisition: Acquisition
    channels: pd.DataFrame
    curve: MarginCurve
    payback: Payback
    ratio: Interval
    ratio_reason: str
    lifetime: Lifetime
    again: pd.DataFrame
    referred: Opinion
    returns: pd.DataFrame
    reason: str = ""


def customer_value(scope: Scope, journeys: Journeys, *, rng: Rng) -> CustomerValue | None:
    """Return what the customers of a scope cost and bring; None where the source tells no events or times.

    Costs are lagged by the median time to convert.

    Parameters
    ----------
    journeys : as of `cohort`.
    """
    if scope.as_of is None or not scope.events.exists():
        return None
    rules, margin, found = scope.workbook.rules, scope.workbook.value.margin, orders(scope)
    whole = scope.split_group is None
    if not whole:
        mine = found.frame["user_id"].isin(set(journeys.frame["unit"].astype("str")))
        found = Orders(found.frame[mine].reset_index(drop=True), found.set_aside, found.reason or _none(mine))
    now = in_period(found.frame, scope.period)
    spent = costs(scope) if whole else together(None, [], {}, currency=scope.workbook.currency)
    lag, firsts = lead_time(scope, journeys), first_orders(found.frame)
    price = acquisition(firsts, spent, scope.period, lag=lag, rules=rules)
    if not whole and price.reason == NO_COSTS:
        price = replace(price, reason=BY_SEGMENT)
    curve = margin_curve(found.frame, margin=margin, as_of=scope.as_of, rules=rules, rng=rng)
    ratio, why = value_to_cost(curve, price, rng=rng)
    return CustomerValue(
        found, spent, basket(now, rules=rules, rng=rng), price,
        by_channel(firsts, spent, scope.period, lag=lag, rules=rules), curve, payback(curve, price, rng=rng), ratio,
        why, lifetime(found.frame, margin=margin, as_of=scope.as_of, rules=rules, rng=rng),
        repurchase(found.frame, within_days=AGAIN_DAYS, as_of=scope.as_of, rules=rules),
        referred(in_period(firsts, scope.period), rules=rules), _returns(scope, found, spent, price, rng), found.reason,
    )  # fmt: skip


def _returns(scope: Scope, found: Orders, spent: Costs, price: Acquisition, rng: Rng) -> pd.DataFrame:
    """Return what came back for the costs of the lead time, by the orders of the period; none for a segment."""
    if scope.split_group is not None:
        return returns(pd.DataFrame({"model": []}), {}, margin=1.0, rules=scope.workbook.rules)
    lagged = spent.between(price.first.date(), price.last.date())
    known = price.reason not in (NO_COSTS, NOT_COVERED)
    sums = lagged.groupby("channel")["cost"].sum()
    paid = {str(name): float(cost) for name, cost in sums.items() if cost > 0} if known else {}
    return returns(
        credited(scope, found, rng=rng), paid, margin=scope.workbook.value.margin,
        spread=spread_of(in_period(found.frame, scope.period)), rules=scope.workbook.rules,
    )  # fmt: skip


def lead_time(scope: Scope, journeys: Journeys) -> timedelta:
    """Return the median time to convert; nothing where it is not known."""
    if len(scope.funnel.steps) < 2:
        return timedelta(0)
    days = float(time_to_convert(journeys, rules=scope.workbook.rules)["median"].iloc[0])
    return timedelta(days=0 if math.isnan(days) else days)


def _none(mine: pd.Series[bool]) -> str:
    return "" if mine.any() else NO_ORDERS
