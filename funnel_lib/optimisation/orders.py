"""What one order brings, counted from the events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pandas as pd

from funnel_lib.config import Workbook
from funnel_lib.optimisation.worth import NAN, Estimate
from funnel_lib.schema import AMOUNT, CURRENCY, EVENT, TS, USER_ID


@dataclass(frozen=True)
class OrderValue:
    """Mean amount of an order, in the workbook's currency, before and after the margin.

    `source` tells whether it was counted (``event``) or given (``fixed``); `other_currency` counts orders in
    another currency, which are left out. NaN with a `reason` where it is not known.
    """

    mean: float
    low: float
    high: float
    orders: int
    margin: float
    source: Literal["event", "fixed", "none"]
    other_currency: int = 0
    reason: str | None = None

    @property
    def worth(self) -> Estimate:
        """What an order brings after the margin; NaN where it is not known."""
        return Estimate(self.mean * self.margin, self.low * self.margin, self.high * self.margin)


def order_value(people: pd.DataFrame, workbook: Workbook, events: Path) -> OrderValue:
    """Return the mean amount of the first order of each unit that converted.

    Student's t interval of the mean; one order per unit, so that orders are independent.

    Parameters
    ----------
    people : `unit`, `entered` (UTC), `converted`; orders before the entry do not count.
    workbook : its `value` names the event of an order, or a fixed amount; its currency is the money's.
    events : the canonical events (Parquet).

    Returns
    -------
    OrderValue; `reason` is ``no_value`` where the workbook names none, ``other_currency`` where all orders are in
    another one, ``too_few`` below its smallest number.
    """
    value = workbook.value
    if value.event is None:
        known = value.amount is not None
        amount = value.amount if value.amount is not None else NAN
        return OrderValue(
            amount, amount, amount, 0, value.margin, "fixed" if known else "none",
            reason=None if known else "no_value",
        )  # fmt: skip
    buyers = people[people["converted"]]
    first = first_orders(events, buyers, event=value.event, unit=workbook.funnel.unit)
    ours = first[CURRENCY].isna() | (first[CURRENCY] == workbook.currency)
    amounts = first.loc[ours, AMOUNT]
    count, other = len(amounts), int((~ours).sum())
    if count < max(workbook.rules.min_events, 2):
        reason = "other_currency" if other and not count else "too_few"
        return OrderValue(NAN, NAN, NAN, count, value.margin, "event", other, reason)
    from scipy.stats import t

    half = float(t.ppf(0.5 + workbook.rules.level / 2, count - 1) * amounts.std() / math.sqrt(count))
    mean = float(amounts.mean())
    return OrderValue(mean, mean - half, mean + half, count, value.margin, "event", other)


def first_orders(events: Path, buyers: pd.DataFrame, *, event: str, unit: str = USER_ID) -> pd.DataFrame:
    """Return the first order with an amount of each buyer since its entry: `unit, amount, currency`.

    Parameters
    ----------
    events : the canonical events (Parquet).
    buyers : `unit`, `entered` (UTC).
    event : the event of an order.
    unit : the events' column that names the unit.
    """
    since = pd.DataFrame({"unit": buyers["unit"].astype("str")})
    since["entered"] = buyers["entered"].to_numpy(dtype="datetime64[us]").astype("int64")
    with duckdb.connect() as connection:
        log = connection.read_parquet(str(events))
        if AMOUNT not in log.columns:
            return pd.DataFrame({"unit": [], AMOUNT: [], CURRENCY: []}).astype({"unit": "str", CURRENCY: "str"})
        currency = f"log.{CURRENCY}" if CURRENCY in log.columns else "CAST(NULL AS VARCHAR)"
        connection.register("since", since)
        log.create_view("log")
        query = (
            f"SELECT since.unit, arg_min(log.{AMOUNT}, log.{TS}) AS {AMOUNT}, "  # noqa: S608
            f"arg_min({currency}, log.{TS}) AS {CURRENCY} "
            f'FROM log JOIN since ON CAST(log."{unit}" AS VARCHAR) = since.unit '
            f"WHERE log.{EVENT} = $event AND log.{AMOUNT} IS NOT NULL "
            f"AND epoch_us(log.{TS}) >= since.entered "
            "GROUP BY since.unit ORDER BY since.unit"
        )
        found: pd.DataFrame = connection.sql(query, params={"event": event}).to_arrow_table().to_pandas()
    return found
