"""All figures of customers' value for a report, each with its reason where it is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta

import pandas as pd
import pyarrow.parquet as pq

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.durations.returning import repurchase
from funnel_lib.conversion.durations.timing import time_to_convert
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.acquisition import NO_COSTS, NOT_COVERED, Acquisition, acquisition, by_channel
from funnel_lib.conversion.worth.basket import basket
from funnel_lib.conversion.worth.costs import Costs, costs, together
from funnel_lib.conversion.worth.crediting import credited, in_period
from funnel_lib.conversion.worth.intervals import Interval, Rng
from funnel_lib.conversion.worth.lifetime import Lifetime, lifetime
from funnel_lib.conversion.worth.margins import MarginCurve, Payback, margin_curve, payback, value_to_cost
from funnel_lib.conversion.worth.opinions import Opinion, referred, share
from funnel_lib.conversion.worth.orders import NO_ORDERS, Orders, first_orders, orders
from funnel_lib.conversion.worth.returns import returns
from funnel_lib.schema import CHANNEL, USER_ID

BY_SEGMENT = "not_by_segment"
AGAIN_DAYS = 90
SEGMENT = "segment"
REFERRED_BY = "referred_by"


@dataclass(frozen=True)
class CustomerValue:
    """What customers cost and bring.

    Orders of the period make `basket` and `referred`; those of all times the others. In the report of a segment, only
    its people's orders of its period's entries count. Costs are known of a segment by channel: those of its channels,
    credited to its own people (the only rule of credit in `returns` is then `segment`); those of other segments are
    not (`not_by_segment`).
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
    value = scope.workbook.value
    if scope.as_of is None or not (scope.events.exists() or scope.funnel.snapshot or value.deals):
        return None
    rules, margin, found = scope.workbook.rules, value.margin, orders(scope)
    whole, own = scope.split_group is None, channels_of(scope)
    if not whole:
        mine = found.places(journeys.frame["unit"]) >= 0
        own_orders = found.frame[mine].reset_index(drop=True)
        found = replace(found, frame=own_orders, reason=found.reason or ("" if mine.any() else NO_ORDERS))
    now = in_period(found.frame, scope.period)
    spent = _spent(scope, own, whole=whole)
    lag, firsts = lead_time(scope, journeys), first_orders(found.frame)
    price = acquisition(firsts, spent, scope.period, lag=lag, rules=rules)
    if not whole and own is None and price.reason == NO_COSTS:
        price = replace(price, reason=BY_SEGMENT)
    joined = came_by_others(scope, replace(found, frame=in_period(firsts, scope.period)))
    curve = margin_curve(found.frame, margin=margin, as_of=scope.as_of, rules=rules)
    ratio, why = value_to_cost(curve, price)
    return CustomerValue(
        found, spent, basket(now, rules=rules), price,
        by_channel(firsts, spent, scope.period, lag=lag, rules=rules), curve, payback(curve, price), ratio,
        why, lifetime(found.frame, margin=margin, as_of=scope.as_of, rules=rules, rng=rng),
        repurchase(found.frame, within_days=AGAIN_DAYS, as_of=scope.as_of, rules=rules),
        joined, _returns(scope, found, spent, price, rng), found.reason,
    )  # fmt: skip


def came_by_others(scope: Scope, firsts: Orders) -> Opinion:
    """Return the share of new customers who came through others.

    By the column `referred_by` of the people where a source gives one: who referred them, empty for nobody. Else by the
    channel of their first order, as `referred` does.

    Parameters
    ----------
    firsts : first orders.
    """
    path, rules = scope.store.path("users"), scope.workbook.rules
    if not path.is_file() or REFERRED_BY not in pq.read_schema(path).names:
        return referred(firsts.frame, rules=rules)
    people = pd.read_parquet(path, columns=[USER_ID, REFERRED_BY])
    named = people.loc[people[REFERRED_BY].notna(), USER_ID]
    return share(int((firsts.places(named) >= 0).sum()), len(firsts.frame), rules=rules)


def _returns(scope: Scope, found: Orders, spent: Costs, price: Acquisition, rng: Rng) -> pd.DataFrame:
    """Return what came back for the costs of the lead time, by the orders of the period.

    In a segment by channel its own orders count; of another segment nothing is known.
    """
    if scope.split_group is not None and channels_of(scope) is None:
        return returns(pd.DataFrame({"model": []}), {}, margin=1.0, rules=scope.workbook.rules)
    lagged = spent.between(price.first.date(), price.last.date())
    known = price.reason not in (NO_COSTS, NOT_COVERED)
    sums = lagged.groupby("channel")["cost"].sum()
    paid = {str(name): float(cost) for name, cost in sums.items() if cost > 0} if known else {}
    if scope.split_group is not None:
        sold, group = in_period(found.frame, scope.period), scope.split_group[1]
        credit = pd.DataFrame({"model": [SEGMENT], "channel": [group], "conversions": [float(len(sold))],
                               "value": [float(sold["amount"].sum())]})  # fmt: skip
        paid = {group: sum(paid.values())} if paid else {}
    else:
        credit = credited(scope, found, rng=rng)
    return returns(
        credit, paid, margin=scope.workbook.value.margin,
        amounts=in_period(found.frame, scope.period)["amount"], rules=scope.workbook.rules,
    )  # fmt: skip


def channels_of(scope: Scope) -> frozenset[str] | None:
    """Return the channels that make the segment of a scope, so that their costs are its costs; None where none do."""
    if scope.split_group is None:
        return None
    name, group = scope.split_group
    split = scope.workbook.segments[name]
    if split.by == CHANNEL and group not in ("other", "unknown"):
        return frozenset([group])
    told = split.groups.get(group)
    if told is None or told.did or set(told.where) != {CHANNEL} or next(iter(split.groups)) != group:
        return None  # a later group lacks those whom an earlier one has claimed
    condition = told.where[CHANNEL]
    named = condition.get("in", [condition["eq"]] if "eq" in condition else [])
    return frozenset(map(str, named)) if isinstance(named, list) and len(condition) == 1 and named else None


def _spent(scope: Scope, own: frozenset[str] | None, *, whole: bool) -> Costs:
    if not whole and own is None:
        return together(None, [], {}, currency=scope.workbook.currency)
    found = costs(scope)
    return found if own is None else replace(found, frame=found.frame[found.frame[CHANNEL].isin(own)])


def lead_time(scope: Scope, journeys: Journeys) -> timedelta:
    """Return the median time to convert; nothing where it is not known."""
    if len(scope.funnel.steps) < 2:
        return timedelta(0)
    days = float(time_to_convert(journeys, rules=scope.workbook.rules)["median"].iloc[0])
    return timedelta(days=0 if math.isnan(days) else days)
