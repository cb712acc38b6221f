"""How often customers come back: the BG/NBD model of repeated orders, by maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.intervals import Floats
from funnel_lib.conversion.worth.likelihood import maximum
from funnel_lib.conversion.worth.margins import DAY_US
from funnel_lib.schema import AMOUNT, TS, USER_ID

NO_REPEATS, NO_FIT = "no_repeat_orders", "does_not_fit"


@dataclass(frozen=True)
class BuyingModel:
    """The BG/NBD model (Fader, Hardie and Lee 2005): how often customers order until they quietly leave.

    A customer orders at a rate of its own (gamma: shape `r`, rate `alpha`, per unit of time) and may leave after each
    order with a chance of its own (beta: `a`, `b`). `moved` has a row per customer, by how much it moves the logarithms
    of (r, alpha, a, b), for intervals (see `Fit.moved`). NaN with a `reason`: `too_few` customers or repeat orders,
    `no_repeat_orders`, or `does_not_fit`: no maximum was found.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float
    customers: int
    moved: Floats
    reason: str = ""

    @property
    def parameters(self) -> Floats:
        """The four of them, as one row."""
        return np.array([[self.r, self.alpha, self.a, self.b]])


def histories(orders: pd.DataFrame, *, as_of: datetime, unit_days: float = 7) -> pd.DataFrame:
    """Return what the models need to know of each customer.

    Orders of one day (UTC, counted from the first order's day) are one order.

    Parameters
    ----------
    orders : `user_id, ts` (UTC), `amount`.
    as_of : what is known; later orders are not looked at.
    unit_days : the unit of time in days: 7 are weeks.

    Returns
    -------
    Frame `user_id, x, t_x, age, mean_amount`, by user: repeat orders; time from the first to the last order, and
    to the end; mean amount of the repeat orders (NaN without any).
    """
    day = pd.DatetimeIndex(orders[TS]).as_unit("us").asi8 // DAY_US
    known = day <= microseconds(as_of) // DAY_US
    each = pd.DataFrame({USER_ID: orders[USER_ID], "day": day, AMOUNT: orders[AMOUNT]})[known]
    daily = each.groupby([USER_ID, "day"])[AMOUNT].sum().reset_index()
    grouped = daily.groupby(USER_ID)["day"]
    table = pd.DataFrame({"x": grouped.size() - 1, "first": grouped.min(), "last": grouped.max()})
    again = daily[daily["day"] > grouped.transform("min")]
    return pd.DataFrame({
        "x": table["x"],
        "t_x": (table["last"] - table["first"]) / unit_days,
        "age": (microseconds(as_of) // DAY_US - table["first"]) / unit_days,
        "mean_amount": again.groupby(USER_ID)[AMOUNT].mean().reindex(table.index),
    }).reset_index()  # fmt: skip


def fit_buying(table: pd.DataFrame, *, rules: Rules) -> BuyingModel:
    """Return the BG/NBD model of customers' histories (`x, t_x, age`), by maximum likelihood.

    Assumes that customers do not order more often at one time than at another, and that each leaves for good after
    some order. Where nobody comes back there is nothing to fit.
    """
    counted = table.groupby(["x", "t_x", "age"]).size().reset_index(name="n")
    x, t_x, age, n = (counted[name].to_numpy(dtype=np.float64) for name in ("x", "t_x", "age", "n"))
    repeats = float((n * x).sum())
    if not repeats or repeats < rules.min_events or len(table) < rules.min_units:
        return _none(NO_REPEATS if not repeats else TOO_FEW, len(table))
    start = np.array([1.0, max(float((n * age).sum()) / repeats, 1e-3), 1.0, 2.0])
    found = maximum(lambda logs: float(n @ _log_likelihoods(np.exp(logs), x, t_x, age)), np.log(start))
    if found is None:
        return _none(NO_FIT, len(table))
    r, alpha, a, b = (float(value) for value in np.exp(found.place))
    x, t_x, age = (table[name].to_numpy(dtype=np.float64) for name in ("x", "t_x", "age"))
    moved = found.moved(lambda logs: _log_likelihoods(np.exp(logs), x, t_x, age))
    return BuyingModel(r, alpha, a, b, found.value, len(table), moved)


def _none(reason: str, customers: int) -> BuyingModel:
    unknown = math.nan
    return BuyingModel(unknown, unknown, unknown, unknown, unknown, customers, np.zeros((0, 4)), reason)


def _log_likelihoods(parameters: Floats, x: Floats, t_x: Floats, age: Floats) -> Floats:
    """Return customers' log-likelihoods (Fader, Hardie and Lee 2005, equation 6, in logarithms)."""
    from scipy.special import gammaln

    r, alpha, a, b = parameters
    ordered = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stayed = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    active = -(r + x) * np.log(alpha + age)
    left = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    return np.asarray(ordered + stayed + np.logaddexp(active, np.where(x > 0, left, -np.inf)), dtype=np.float64)


def expected_new(parameters: npt.ArrayLike, time: float) -> Floats:
    """Return the repeat orders that a new customer is expected to make within `time` (equation 9), by row.

    Parameters
    ----------
    parameters : rows of (r, alpha, a, b).
    """
    r, alpha, a, b = np.atleast_2d(np.asarray(parameters, dtype=np.float64)).T
    return _growth(r, alpha, a, b, np.zeros_like(r), np.zeros_like(r), time)


def expected_orders(model: BuyingModel, table: pd.DataFrame, time: float) -> Floats:
    """Return how many orders each customer is expected to make in the next `time`, by its history (equation 10)."""
    x, t_x, age = (table[name].to_numpy(dtype=np.float64) for name in ("x", "t_x", "age"))
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    told = _growth(r, alpha, a, b, x, age, time)
    ratio = (r + x) * (np.log(alpha + age) - np.log(alpha + t_x))
    gone = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * np.exp(np.minimum(ratio, 700)), 0.0)
    return np.asarray(told / (1 + gone), dtype=np.float64)


def _growth(r: Any, alpha: Any, a: Any, b: Any, x: Floats, age: Floats, time: float) -> Floats:
    """Return what both expectations share; the hypergeometric function is taken at a place below 1 where it is stable.

    At a = 1 the formula divides nothing by nothing; a hair beside it is its limit.
    """
    from scipy.special import hyp2f1

    apart = np.where(np.abs(a - 1) < 1e-6, 1 + 1e-6, a)
    place = time / (alpha + age + time)
    series = hyp2f1(r + x, b + x, apart + b + x - 1, place)
    shrunk = 1 - ((alpha + age) / (alpha + age + time)) ** (r + x) * series
    return np.asarray((apart + b + x - 1) / (apart - 1) * shrunk, dtype=np.float64)
