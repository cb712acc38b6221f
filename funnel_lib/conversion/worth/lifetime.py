"""What a new customer will bring: a forecast that has to pass a test on its own past, or a contract's arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW, wilson
from funnel_lib.conversion.worth.buying import (
    BuyingModel,
    expected_new,
    expected_orders,
    fit_buying,
    histories,
)
from funnel_lib.conversion.worth.intervals import Rng
from funnel_lib.conversion.worth.orders import NO_ORDERS, first_orders
from funnel_lib.conversion.worth.spending import SpendingModel, fit_spending, mean_spend
from funnel_lib.errors import ConfigError
from funnel_lib.schema import AMOUNT, TS, USER_ID

HELD_OUT, TOLERANCE, DECILES, DRAWS = 1 / 3, 0.2, 10, 1000
TOO_SHORT, FAILED = "too_short", "failed_on_held_out"
NAN = math.nan


@dataclass(frozen=True)
class HoldOut:
    """What the model said of the last third of the time, fitted on the first two, against what came.

    `expected` and `came`: repeat orders of the customers of the first two thirds; `error` is `expected / came - 1`;
    `table` the same by tenths of the customers, those with the most expected orders last: `tenth, customers, expected,
    came`. It `passed` where the error is within 20 %. NaN with a `reason`: that of the model, or `too_short`.
    """

    expected: float
    came: int
    error: float
    passed: bool
    days: float
    table: pd.DataFrame
    reason: str = ""


@dataclass(frozen=True)
class Lifetime:
    """The margin that a new customer is expected to bring within `horizon_days`, its first order included.

    `first` is the margin of the first order, `repeat_orders` how many follow, `spend` their mean amount. NaN with a
    `reason`: of the models (see `BuyingModel`, `SpendingModel`), or `failed_on_held_out`: the model did not foretell
    its own past, so it is no guide to the future.
    """

    value: float
    low: float
    high: float
    level: float
    horizon_days: float
    first: float
    repeat_orders: float
    spend: float
    buying: BuyingModel
    spending: SpendingModel
    held_out: HoldOut
    reason: str = ""


def lifetime(
    orders: pd.DataFrame,
    *,
    margin: float,
    horizon_days: float = 365,
    as_of: datetime,
    rules: Rules,
    rng: Rng,
    unit_days: float = 7,
) -> Lifetime:
    """Return what a new customer is expected to bring, by BG/NBD and Gamma-Gamma, if they pass the hold-out test.

    `first order + E[repeat orders within the horizon] x mean amount`, times the margin; not discounted. For customers
    without a contract who order again and again; where nobody comes back the margin curve says all that is known.
    The interval holds the uncertainty of the models' parameters and of the first order's mean, as customers move them
    together: who spends more in repeat orders spent more in the first (normal approximation of their logarithms with
    the sandwich variance). It does not hold that the future may differ from the past.

    Parameters
    ----------
    orders : `user_id, ts` (UTC), `amount`, as of `Orders`; beginning with each customer's first.
    margin : the share of the amount that remains.
    horizon_days : how far ahead; at most three times the time that was seen.
    as_of : what is known.
    rules : level and least numbers.

    Raises
    ------
    ConfigError : the horizon is not positive.
    """
    if not horizon_days > 0:
        raise ConfigError("The horizon is longer than nothing.", where="horizon_days", found=horizon_days)
    table = histories(orders, as_of=as_of, unit_days=unit_days)
    buying, spending = fit_buying(table, rules=rules), fit_spending(table, rules=rules)
    test = hold_out(orders, as_of=as_of, rules=rules, unit_days=unit_days)
    seen = float(table["age"].max()) * unit_days if len(table) else 0.0
    reason = NO_ORDERS if orders.empty else buying.reason or spending.reason or test.reason
    reason = reason or ("" if test.passed else FAILED) or ("" if horizon_days <= 3 * seen else TOO_SHORT)
    unknown = Lifetime(NAN, NAN, NAN, rules.level, horizon_days, NAN, NAN, NAN, buying, spending, test, reason)
    if reason:
        return unknown
    time = horizon_days / unit_days
    amounts = first_orders(orders).set_index(USER_ID)[AMOUNT].reindex(table[USER_ID]).to_numpy(dtype=np.float64)
    first = float(amounts.mean())
    again, spend = float(expected_new(buying.parameters, time)[0]), float(mean_spend(spending.parameters)[0])
    moved = np.column_stack([buying.moved, spending.moved, (amounts - first) / len(amounts)])
    drawn = rng.multivariate_normal(np.zeros(moved.shape[1]), moved.T @ moved, size=DRAWS, method="eigh")
    told = expected_new(buying.parameters * np.exp(drawn[:, :4]), time)
    told = told * mean_spend(spending.parameters * np.exp(drawn[:, 4:7])) + first + drawn[:, 7]
    possible = spending.parameters[0, 1] * np.exp(drawn[:, 5]) > 1  # else the mean of all amounts would be infinite
    low, high = margin * np.quantile(told[possible], [(1 - rules.level) / 2, (1 + rules.level) / 2])
    return replace(
        unknown, value=margin * (first + again * spend), low=float(low), high=float(high),
        first=margin * first, repeat_orders=again, spend=spend,
    )  # fmt: skip


def hold_out(
    orders: pd.DataFrame, *, as_of: datetime, rules: Rules, unit_days: float = 7
) -> HoldOut:  # fmt: skip
    """Fit the model on the first two thirds of the time, and compare what it says of the last with what came."""
    nothing = HoldOut(NAN, 0, NAN, False, NAN, pd.DataFrame(columns=["tenth", "customers", "expected", "came"]))
    if orders.empty:
        return replace(nothing, reason=NO_ORDERS)
    whole = pd.Timestamp(as_of) - orders[TS].min()
    days = math.floor(whole / timedelta(days=1) * HELD_OUT)
    if days < unit_days:
        return replace(nothing, reason=TOO_SHORT)
    cut = as_of - timedelta(days=days)
    past = histories(orders[orders[TS] <= pd.Timestamp(cut)], as_of=cut, unit_days=unit_days)
    model = fit_buying(past, rules=rules)
    if model.reason:
        return replace(nothing, days=days, reason=model.reason)
    known = histories(orders, as_of=as_of, unit_days=unit_days).set_index("user_id")["x"]
    told = pd.DataFrame({
        "expected": expected_orders(model, past, days / unit_days),
        "came": known.reindex(past["user_id"]).to_numpy(dtype=np.float64) - past["x"].to_numpy(),
    })  # fmt: skip
    rank = told["expected"].rank(method="first").to_numpy()
    tenth = np.minimum(((rank - 1) * DECILES / len(told)).astype(np.int64) + 1, DECILES)
    sums = told.assign(tenth=tenth, customers=1).groupby("tenth")[["customers", "expected", "came"]].sum()
    expected, came = float(told["expected"].sum()), int(told["came"].sum())
    error = expected / came - 1 if came else NAN
    passed = came >= rules.min_events and abs(error) <= TOLERANCE
    few = TOO_FEW if came < rules.min_events else ""
    return HoldOut(expected, came, error, passed, days, sums.reset_index(), few)


@dataclass(frozen=True)
class Contract:
    """The margin that a contract brings within `months`; NaN with the reason `too_few` (customers or departures)."""

    value: float
    low: float
    high: float
    level: float
    churn: float
    months: int
    reason: str = ""


def contract_value(
    margin_per_month: float,
    *,
    left: int,
    customer_months: int,
    months: int = 36,
    yearly_discount: float = 0.0,
    rules: Rules,
) -> Contract:
    """Return what a customer under contract brings: `sum of margin x (1 - churn)^k / (1 + discount)^(k / 12)`.

    The months k run from 0 (paid in advance) and end, as nobody knows a churn rate for ever. The churn rate is taken as
    constant: it is of the months that customers were at risk of leaving, with Wilson's interval.

    Parameters
    ----------
    margin_per_month : of a customer, after the costs of serving it.
    left, customer_months : how many left, in how many months under contract (of all customers together).

    Raises
    ------
    ConfigError : more left than there were months, or a number that cannot be.
    """
    if not 0 <= left <= customer_months or months < 1 or yearly_discount < 0:
        raise ConfigError(
            "The value of a contract cannot be told from this.", where="left, customer_months, months, yearly_discount",
            found=f"{left}, {customer_months}, {months}, {yearly_discount}",
            allowed="0 <= left <= customer_months; at least 1 month; no negative discount",
        )  # fmt: skip
    if customer_months < rules.min_units or left < rules.min_events:
        return Contract(NAN, NAN, NAN, rules.level, NAN, months, TOO_FEW)
    churn = left / customer_months
    low, high = wilson(left, customer_months, rules.level)
    month = np.arange(months)
    weight = margin_per_month / (1 + yearly_discount) ** (month / 12)
    value, least, most = (float((weight * (1 - rate) ** month).sum()) for rate in (churn, high, low))
    return Contract(value, min(least, most), max(least, most), rules.level, churn, months)
