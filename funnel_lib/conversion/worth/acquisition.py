"""What a new customer costs: all costs of the time in which the customers were won, by customers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.costs import Costs
from funnel_lib.conversion.worth.intervals import poisson_interval
from funnel_lib.periods import Period
from funnel_lib.schema import CHANNEL, TS

ALL = "all"
NO_COSTS, NO_CUSTOMERS, NOT_COVERED = "no_costs", "no_customers", "cost_not_covered"


@dataclass(frozen=True)
class Acquisition:
    """The cost of a new customer.

    `customers` won in the period; `cost` of the days of their lead time (`advertising` and `other`, together), from
    `first` to `last`; `value` is cost by customers. NaN with a `reason`: `no_costs`, `no_customers`, `too_few`
    customers, `cost_not_covered`: advertising is not known on all of these days.
    """

    customers: int
    cost: float
    advertising: float
    other: float
    value: float
    low: float
    high: float
    level: float
    lag_days: int
    first: pd.Timestamp
    last: pd.Timestamp
    reason: str = ""


def acquisition(
    firsts: pd.DataFrame, costs: Costs, period: Period, *, lag: timedelta = timedelta(0), rules: Rules
) -> Acquisition:
    """Return what each customer won in a period cost.

    Who buys today was won by what was spent earlier: the costs are those of the same number of days, `lag` before the
    period (in whole days). All costs count, not only advertising. The interval is that of the number of customers,
    which is Poisson (Garwood 1936): the costs are known, how many come for them is chance.

    Parameters
    ----------
    firsts : every customer's first order, `ts` (UTC), as of `first_orders`; the data must reach back far enough that
        the first order in it is the customer's first.
    costs : see `Costs`.
    lag : the usual time from lead to order, such as the median of `time_to_convert`.
    rules : level and least number of customers (`min_events`).
    """
    return _cost(firsts, costs, period, lag, rules, None)


def by_channel(
    firsts: pd.DataFrame, costs: Costs, period: Period, *, lag: timedelta = timedelta(0), rules: Rules
) -> pd.DataFrame:
    """Return the cost of a new customer by the channel of the first order, with costs assigned to that channel only.

    Costs that no channel is named for have a row of their own, `unassigned`: by so much the channels look cheaper than
    they are. Which channel deserves the customer is another question: see `attribute`.

    Returns
    -------
    Frame `channel, customers, cost, value, low, high, level, reason`, the highest cost first, `all` last.
    """
    named = sorted({*firsts[CHANNEL].dropna().unique(), *costs.frame.loc[costs.frame["cost"] > 0, CHANNEL]})
    at, rows = pd.DatetimeIndex(firsts[TS]), []
    firsts = firsts[(at >= pd.Timestamp(period.start)) & (at < pd.Timestamp(period.end))]
    for channel in [*named, ALL]:
        one = None if channel == ALL else channel
        found = _cost(firsts, costs, period, lag, rules, one)
        rows.append((channel, found.customers, found.cost, found.value, found.low, found.high, found.reason))
    columns = ["channel", "customers", "cost", "value", "low", "high", "reason"]
    table = pd.DataFrame(rows, columns=columns).assign(level=rules.level, last=[name == ALL for name, *_ in rows])
    table = table.sort_values(["last", "cost", "channel"], ascending=[True, False, True], ignore_index=True)
    return table[["channel", "customers", "cost", "value", "low", "high", "level", "reason"]]


def _cost(
    firsts: pd.DataFrame, costs: Costs, period: Period, lag: timedelta, rules: Rules, channel: str | None
) -> Acquisition:
    earlier = timedelta(days=round(lag / timedelta(days=1)))
    first, last = period.first_day - earlier, period.last_day - earlier
    at = pd.DatetimeIndex(firsts[TS])
    won = (at >= pd.Timestamp(period.start)) & (at < pd.Timestamp(period.end))
    spent = costs.between(first, last)
    if channel is not None:
        won &= (firsts[CHANNEL] == channel).to_numpy()
        spent = spent[spent[CHANNEL] == channel]
    customers = int(won.sum())
    kinds = spent.groupby("kind")["cost"].sum()
    cost = float(spent["cost"].sum())
    reason = _reason(costs, cost, customers, (first, last), rules)
    value = low = high = math.nan
    if not reason:
        fewest, most = poisson_interval(customers, rules.level)
        value, low, high = cost / customers, cost / most, cost / fewest
    return Acquisition(
        customers, math.nan if reason in (NO_COSTS, NOT_COVERED) else cost, float(kinds.get("advertising", 0.0)),
        float(kinds.get("other", 0.0)), value, low, high, rules.level, earlier.days, pd.Timestamp(first),
        pd.Timestamp(last), reason,
    )  # fmt: skip


def _reason(costs: Costs, cost: float, customers: int, days: tuple[object, object], rules: Rules) -> str:
    if not cost > 0 and not len(costs.frame):
        return NO_COSTS
    if not costs.covers(*days):  # type: ignore[arg-type]
        return NOT_COVERED
    if not cost > 0:
        return NO_COSTS
    if not customers:
        return NO_CUSTOMERS
    return TOO_FEW if customers < max(rules.min_events, 1) else ""
