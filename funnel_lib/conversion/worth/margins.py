"""What customers have brought by age: margin per customer, pay-back of what they cost, value against cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.acquisition import Acquisition
from funnel_lib.conversion.worth.orders import NO_ORDERS
from funnel_lib.conversion.worth.resampling import UNKNOWN, Floats, Interval, Rng, bagged, redrawn
from funnel_lib.errors import ConfigError
from funnel_lib.schema import AMOUNT, TS, USER_ID

DAY_US, NOT_REACHED = 86_400_000_000, "not_reached"
_COLUMNS = ["age", "day", "customers", "margin", "low", "high", "level", "reason"]


@dataclass(frozen=True)
class MarginCurve:
    """Margin per customer by age. `table`: see `margin_curve`; `drawn`: the same in each bootstrap draw (rows)."""

    table: pd.DataFrame
    drawn: Floats
    reason: str = ""

    def at(self, day: float) -> Interval:
        """Return the margin per customer by the last age that is over at `day`; NaN where it is not known."""
        known = self.table[(self.table["day"] <= day) & (self.table["reason"] == "")]
        if known.empty:
            return UNKNOWN
        row = known.iloc[-1]
        return Interval(float(row["margin"]), float(row["low"]), float(row["high"]))

    @property
    def last_day(self) -> float:
        """The greatest age that is known, in days; NaN where none is."""
        known = self.table.loc[self.table["reason"] == "", "day"]
        return float(known.max()) if len(known) else math.nan


def margin_curve(
    orders: pd.DataFrame,
    *,
    margin: float,
    as_of: datetime,
    rules: Rules,
    rng: Rng,
    every_days: int = 30,
    most: int = 36,
    draws: int = 1000,
) -> MarginCurve:
    """Return what customers have brought by each age since their first order, per customer.

    The margin of each stretch of age is averaged over the customers who are that old, and the stretches are added up:
    everybody counts for as long as they have been followed, and the curve never falls (Lin et al. 1997). Age 0 is the
    day of the first order itself. It assumes that young customers will go on as older ones did. It promises nothing
    beyond the ages that were seen.

    Parameters
    ----------
    orders : `user_id, ts` (UTC), `amount`, as of `Orders`.
    margin : the share of the amount that remains after the costs of what was sold.
    as_of : what is known.
    every_days, most : length of a stretch, and how many.
    rules : level and least number of customers.
    rng, draws : the intervals are percentiles of a bootstrap of customers (of random bags of them, beyond 2,000).

    Returns
    -------
    `MarginCurve`; its table: `age, day, customers, margin, low, high, level, reason`; `customers` were followed for the
    whole stretch; the curve ends before the first stretch with fewer than `min_units` of them (one row `too_few` if
    there are fewer customers at all, `no_orders` where there is none).

    Raises
    ------
    ConfigError : the margin is no share, or a stretch is not at least a day.
    """
    if not 0 <= margin <= 1 or every_days < 1:
        raise ConfigError(
            "A margin curve needs a share and whole days.", where="margin, every_days", found=f"{margin}, {every_days}",
            allowed="0 to 1; 1 or more",
        )  # fmt: skip
    codes, people = pd.factorize(orders[USER_ID])
    if len(people) < max(rules.min_units, 1):
        return _unknown(NO_ORDERS if not len(people) else TOO_FEW, len(people), rules)
    at = pd.DatetimeIndex(orders[TS]).as_unit("us").asi8
    first = np.full(len(people), np.iinfo(np.int64).max)
    np.minimum.at(first, codes, at)
    length = every_days * DAY_US
    place = np.where(at < first[codes] + DAY_US, 0, (at - first[codes]) // length + 1)
    old = np.minimum((microseconds(as_of) - first) // length, most)
    ages = min(int(old.max(initial=0)), most)
    seen = np.arange(ages + 1) <= old[:, None]
    counted = (place <= old[codes]) & (place <= ages)
    brought = np.zeros((len(people), ages + 1))
    np.add.at(brought, (codes[counted], place[counted]), margin * orders[AMOUNT].to_numpy(dtype=np.float64)[counted])
    return _curve(brought, seen.astype(np.float64), every_days, rules, rng, draws)


def _curve(brought: Floats, seen: Floats, every_days: int, rules: Rules, rng: Rng, draws: int) -> MarginCurve:
    customers = seen.sum(axis=0)
    ages = int((customers >= rules.min_units).sum())  # they never grow with age
    sums = redrawn(bagged(np.column_stack([brought[:, :ages], seen[:, :ages]]), rng), rng, draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.cumsum(sums[:, :ages] / sums[:, ages:], axis=1)
    low, high = np.nanquantile(drawn, [(1 - rules.level) / 2, (1 + rules.level) / 2], axis=0)
    mean = np.cumsum(brought[:, :ages].sum(axis=0) / customers[:ages])
    table = pd.DataFrame({
        "age": np.arange(ages), "day": np.arange(ages) * every_days, "customers": customers[:ages].astype(np.int64),
        "margin": mean, "low": low, "high": high, "level": rules.level, "reason": pd.Series("", range(ages), "str"),
    })  # fmt: skip
    return MarginCurve(table, np.asarray(drawn))


def _unknown(reason: str, customers: int, rules: Rules) -> MarginCurve:
    row = dict.fromkeys(_COLUMNS, math.nan) | {"age": 0, "day": 0, "customers": customers, "level": rules.level}
    table = pd.DataFrame([row | {"reason": reason}], columns=_COLUMNS).astype({"reason": "str"})
    return MarginCurve(table, np.zeros((0, 0)), reason)


@dataclass(frozen=True)
class Payback:
    """Days until a customer has brought what it cost; `high` is infinite where that may not come at all.

    NaN with a `reason`: that of the curve or of the cost, or `not_reached` by `last_day`, the greatest age seen.
    """

    days: float
    low: float
    high: float
    level: float
    last_day: float
    reason: str = ""


def payback(curve: MarginCurve, cost: Acquisition, *, rng: Rng) -> Payback:
    """Return the age at which the margin per customer has reached the cost of a new customer.

    Ages are those of the curve, so the answer is the end of a stretch. The interval holds both uncertainties: the
    curve's bootstrap draws against the Poisson draws of the cost.
    """
    last, level = curve.last_day, cost.level
    if curve.reason or cost.reason:
        return Payback(math.nan, math.nan, math.nan, level, last, curve.reason or cost.reason)
    days = curve.table["day"].to_numpy(dtype=np.float64)
    drawn = _first(curve.drawn >= _costs_drawn(cost, len(curve.drawn), rng)[:, None], days)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], method="higher")
    found = float(_first(curve.table["margin"].to_numpy()[None] >= cost.value, days)[0])
    if math.isinf(found):
        return Payback(math.nan, float(low) if math.isfinite(low) else math.nan, math.inf, level, last, NOT_REACHED)
    return Payback(found, float(low), float(high), level, last)


def _first(reached: np.ndarray, days: Floats) -> Floats:
    return np.where(reached.any(axis=1), days[reached.argmax(axis=1)], math.inf)


def value_to_cost(curve: MarginCurve, cost: Acquisition, *, rng: Rng) -> tuple[Interval, str]:
    """Return the margin per customer at the greatest age seen by the cost of a new customer, and why it is missing.

    Percentiles of the curve's bootstrap draws, each by a Poisson draw of the cost: the customers whose margin is known
    are older than those whose cost is, so both are taken as independent.
    """
    reason = curve.reason or cost.reason
    if reason:
        return UNKNOWN, reason
    drawn = curve.drawn[:, -1] / _costs_drawn(cost, len(curve.drawn), rng)
    low, high = np.quantile(drawn, [(1 - cost.level) / 2, (1 + cost.level) / 2])
    return Interval(float(curve.table["margin"].iloc[-1]) / cost.value, float(low), float(high)), ""


def _costs_drawn(cost: Acquisition, draws: int, rng: Rng) -> Floats:
    """Return costs of a customer as they may be: the same money by other numbers of customers."""
    customers = np.maximum(rng.poisson(cost.customers, draws), 0.5)  # none at all: the cost is at least twice the money
    return np.asarray(cost.cost / customers, dtype=np.float64)
