"""What an order is worth: mean, median, and the mean without the power of a few very large ones."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.intervals import Floats, Interval, ratio_interval, student
from funnel_lib.conversion.worth.orders import NO_ORDERS
from funnel_lib.schema import AMOUNT, USER_ID

CAP = 0.99


def basket(orders: pd.DataFrame, *, rules: Rules) -> pd.DataFrame:
    """Return the mean, the median and the winsorised mean of the amounts of orders.

    A customer's orders are alike, so customers are the units of all intervals: `mean` and `winsorised` by
    `ratio_interval` of amounts and orders; `median` by Woodruff's (1952): the linearised interval of the share of
    orders up to the median, turned into amounts. Winsorised: what exceeds the 99th percentile counts as that
    percentile, whose own doubt counts.

    Parameters
    ----------
    orders : `user_id, amount`, as of `Orders`.
    rules : level and least numbers (of customers).

    Returns
    -------
    Frame `measure, orders, customers, value, low, high, level, reason`; `no_orders`, or `too_few` customers.
    """
    codes, people = pd.factorize(orders[USER_ID])
    amounts, count = orders[AMOUNT].to_numpy(dtype=np.float64), len(people)
    reason = NO_ORDERS if not count else TOO_FEW if count < rules.min_units else ""
    unknown = Interval(math.nan, math.nan, math.nan)
    found = dict.fromkeys(("mean", "median", "winsorised"), unknown)
    if not reason:
        lots = np.bincount(codes, minlength=count).astype(np.float64)
        for name, values in (("mean", amounts), ("winsorised", _capped(amounts))):
            sums = np.bincount(codes, values, minlength=count)
            found[name] = ratio_interval(sums, lots, level=rules.level)
        found["median"] = _median(amounts, np.asarray(codes), lots, rules.level)
    table = pd.DataFrame(
        [(name, *value) for name, value in found.items()], columns=["measure", "value", "low", "high"]
    ).assign(orders=len(orders), customers=count, level=rules.level, reason=reason)  # fmt: skip
    return table[["measure", "orders", "customers", "value", "low", "high", "level", "reason"]].astype(
        {"reason": "str"}
    )


def _capped(amounts: Floats) -> Floats:
    """Return the amounts, cut at their 99th percentile, each with its part in where that lies; their mean is the same.

    That part is the percentile's influence by the share that is cut, its density from the percentiles around it.
    """
    cap, below, above = np.quantile(amounts, [CAP, 1 - 1.5 * (1 - CAP), 1 - 0.5 * (1 - CAP)])
    moves = (amounts > cap) * (above - below)
    return np.asarray(np.minimum(amounts, cap) + moves - moves.mean(), dtype=np.float64)


def _median(amounts: Floats, codes: np.ndarray, lots: Floats, level: float) -> Interval:
    value = float(np.median(amounts))
    rest = np.bincount(codes, (amounts <= value).astype(np.float64) - 0.5, minlength=len(lots))
    units = len(lots)
    if units < 2:
        return Interval(value, math.nan, math.nan)
    half = student(level, units - 1) * math.sqrt(units / (units - 1) * float((rest**2).sum())) / len(amounts)
    low, high = np.quantile(amounts, [max(0.5 - half, 0.0), min(0.5 + half, 1.0)], method="linear")
    return Interval(value, float(low), float(high))
