"""What customers have brought by age: margin per customer, pay-back of what they cost, value against cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.acquisition import Acquisition
from funnel_lib.conversion.worth.intervals import UNKNOWN, Floats, Interval, quotient, skewed_interval
from funnel_lib.conversion.worth.orders import NO_ORDERS
from funnel_lib.errors import ConfigError
from funnel_lib.schema import AMOUNT, TS, USER_ID

Ints = npt.NDArray[np.int64]
DAY_US, NOT_REACHED = 86_400_000_000, "not_reached"
_COLUMNS = ["age", "day", "customers", "margin", "low", "high", "level", "reason"]


@dataclass(frozen=True)
class MarginCurve:
    """Margin per customer by age. `table`: see `margin_curve`."""

    table: pd.DataFrame
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
    every_days: int = 30,
    most: int = 36,
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

    Returns
    -------
    `MarginCurve`; its table: `age, day, customers, margin, low, high, level, reason`; `customers` were followed for the
    whole stretch; the curve ends before the first stretch with fewer than `min_units` of them (one row `too_few` if
    there are fewer customers at all, `no_orders` where there is none). The limits follow the skewness of what customers
    bring (`skewed_interval` of each customer's part of all stretches up to an age); none lies below one of an earlier
    age.

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
    held = (place <= old[codes]) & (place <= most)
    brought = margin * orders[AMOUNT].to_numpy(dtype=np.float64)[held]
    return _curve(codes[held], place[held], brought, old, every_days, rules)


def _curve(codes: Ints, place: Ints, brought: Floats, old: Ints, every_days: int, rules: Rules) -> MarginCurve:
    """Return the curve of so much brought by a customer (`codes`) at an age, of customers of whom each is so `old`."""
    customers = np.array([np.count_nonzero(old >= age) for age in range(int(old.max(initial=0)) + 1)])
    ages = int((customers >= max(rules.min_units, 1)).sum())  # they never grow with age
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(ages + 1))
    whole, parts, rows = 0.0, np.zeros(len(old)), []
    for age in range(ages):
        own = order[ends[age] : ends[age + 1]]
        sums, seen = np.bincount(codes[own], brought[own], len(old)), old >= age
        mean = float(sums.sum()) / customers[age]
        whole, parts = whole + mean, parts + np.where(seen, sums - mean, 0.0) / max(customers[age] - 1, 1)
        found = skewed_interval(whole, parts, level=rules.level)
        rows.append((age, age * every_days, int(customers[age]), whole, max(found.low, 0.0), found.high))
    table = pd.DataFrame(rows, columns=_COLUMNS[:6]).assign(level=rules.level, reason=pd.Series("", range(ages), "str"))
    table[["low", "high"]] = table[["low", "high"]].cummax()
    return MarginCurve(table)


def _unknown(reason: str, customers: int, rules: Rules) -> MarginCurve:
    row = dict.fromkeys(_COLUMNS, math.nan) | {"age": 0, "day": 0, "customers": customers, "level": rules.level}
    table = pd.DataFrame([row | {"reason": reason}], columns=_COLUMNS).astype({"reason": "str"})
    return MarginCurve(table, reason)


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


def payback(curve: MarginCurve, cost: Acquisition) -> Payback:
    """Return the age at which the margin per customer has reached the cost of a new customer.

    Ages are those of the curve, so the answer is the end of a stretch. The interval holds all ages at which the margin
    by cost (see `value_to_cost`) may have passed 1, as its own interval there tells.
    """
    last, level = curve.last_day, cost.level
    if curve.reason or cost.reason:
        return Payback(math.nan, math.nan, math.nan, level, last, curve.reason or cost.reason)
    ratios = [quotient(curve.at(day), _price(cost)) for day in curve.table["day"]]
    days = curve.table["day"].to_numpy(dtype=np.float64)
    found, latest, earliest = (_first(np.array(side) >= 1, days) for side in zip(*ratios, strict=True))
    if math.isinf(found):
        return Payback(math.nan, earliest if math.isfinite(earliest) else math.nan, math.inf, level, last, NOT_REACHED)
    return Payback(found, earliest, latest, level, last)


def _first(reached: np.ndarray, days: Floats) -> float:
    return float(days[reached.argmax()]) if reached.any() else math.inf


def value_to_cost(curve: MarginCurve, cost: Acquisition) -> tuple[Interval, str]:
    """Return the margin per customer at the greatest age seen by the cost of a new customer, and why it is missing.

    The interval is of both intervals together (`quotient`): the customers whose margin is known are older than those
    whose cost is, so both are taken as independent.
    """
    reason = curve.reason or cost.reason
    return (UNKNOWN, reason) if reason else (quotient(curve.at(curve.last_day), _price(cost)), "")


def _price(cost: Acquisition) -> Interval:
    return Interval(cost.value, cost.low, cost.high)
