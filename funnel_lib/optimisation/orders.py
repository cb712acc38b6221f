"""What one order brings, counted from the events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from funnel_lib.config import Workbook
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.worth.intervals import least_amounts, ratio_interval
from funnel_lib.conversion.worth.orders import Orders
from funnel_lib.optimisation.worth import NAN, Estimate
from funnel_lib.schema import AMOUNT, CURRENCY, EVENT, TS, USER_ID


@dataclass(frozen=True)
class OrderValue:
    """Mean amount of an order, in the workbook's currency, before and after the margin.

    `source` tells whether it was counted (``event``, also of won deals) or given (``fixed``); `other_currency` counts
    orders in another currency, which are left out. NaN with a `reason` where it is not known.
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


def order_value(people: pd.DataFrame, workbook: Workbook, events: Path | EventLog) -> OrderValue:
    """Return the mean amount of the first order of each unit that converted.

    The interval of the mean follows the skewness of amounts (see `ratio_interval`); one order per unit, so that orders
    are independent.

    Parameters
    ----------
    people : `unit`, `entered` (UTC), `converted`; orders before the entry (less the funnel's grace) do not count.
    workbook : its `value` names the event of an order, or a fixed amount; its currency is the money's.
    events : the canonical events (Parquet), or their log by the funnel's unit.

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
    buyers = buyers.assign(entered=buyers["entered"] - (workbook.funnel.matching.grace or timedelta(0)))
    first = first_orders(events, buyers, event=value.event, unit=workbook.funnel.unit)
    ours = first[CURRENCY].isna() | (first[CURRENCY] == workbook.currency)
    amounts = first.loc[ours, AMOUNT]
    return _mean(amounts, int((~ours).sum()), workbook)


def deal_value(people: pd.DataFrame, workbook: Workbook, sold: Orders) -> OrderValue:
    """Return the mean amount of the first won deal of each unit that converted, as `order_value` does of events.

    Parameters
    ----------
    people, workbook : as in `order_value`; units without a time of entry have all their deals.
    sold : the won deals, as of `orders`.
    """
    buyers, deals = people[people["converted"]], sold.frame
    place = sold.places(buyers["unit"])
    entered = buyers["entered"].array.take(place, allow_fill=True) - (workbook.funnel.matching.grace or timedelta(0))
    ours = (place >= 0) & (pd.isna(entered) | (deals[TS].array >= entered))
    amounts = deals[ours].assign(place=place[ours]).drop_duplicates("place")[AMOUNT]
    return _mean(amounts, sold.set_aside.get("other_currency", 0), workbook)


def _mean(amounts: pd.Series[float], other: int, workbook: Workbook) -> OrderValue:
    """Return the mean of amounts, or that there are too few of them; `other` are in another currency."""
    count, margin = len(amounts), workbook.value.margin
    if count < least_amounts(workbook.rules):
        reason = "other_currency" if other and not count else "too_few"
        return OrderValue(NAN, NAN, NAN, count, margin, "event", other, reason)
    return OrderValue(*ratio_interval(amounts, level=workbook.rules.level), count, margin, "event", other)


def first_orders(events: Path | EventLog, buyers: pd.DataFrame, *, event: str, unit: str = USER_ID) -> pd.DataFrame:
    """Return the first order with an amount of each buyer since its entry: `unit, amount, currency`.

    A negative amount is a refund, not an order.

    Parameters
    ----------
    events : the canonical events (Parquet), or their log by `unit`.
    buyers : `unit`, `entered` (UTC).
    event : the event of an order.
    unit : the events' column that names the unit.
    """
    since = pd.DataFrame({"unit": buyers["unit"].astype("str")})
    since["entered"] = buyers["entered"].to_numpy(dtype="datetime64[us]").astype("int64")
    if isinstance(events, EventLog):
        return _logged(events, since, event)
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
            f"WHERE log.{EVENT} = $event AND log.{AMOUNT} >= 0 "
            f"AND epoch_us(log.{TS}) >= since.entered "
            "GROUP BY since.unit ORDER BY since.unit"
        )
        found: pd.DataFrame = connection.sql(query, params={"event": event}).to_arrow_table().to_pandas()
    return found


def _logged(log: EventLog, since: pd.DataFrame, event: str) -> pd.DataFrame:
    """Return the first orders of a log; of several at one instant, that of the first row."""
    if AMOUNT not in log.columns:
        return pd.DataFrame({"unit": [], AMOUNT: [], CURRENCY: []}).astype({"unit": "str", CURRENCY: "str"})
    person, never = log.persons(since["unit"]), np.iinfo(np.int64).max
    begun = np.full(len(log.units), never)
    np.minimum.at(begun, person[person >= 0], since["entered"].to_numpy()[person >= 0])
    named = [AMOUNT, *([CURRENCY] if CURRENCY in log.columns else [])]
    found = log.find([event], tell=named)
    amounts, buyers, at = found.told[AMOUNT].numbers(), log.person[found.places], log.at
    kept = np.flatnonzero((amounts >= 0) & (begun[buyers] < never) & (at[found.places] >= begun[buyers]))
    first = kept[np.unique(buyers[kept], return_index=True)[1]]  # rows stand in order of person and time
    table = pd.DataFrame({"unit": log.units.take(pa.array(buyers[first])).to_pandas().astype("str")})
    table[AMOUNT] = amounts[first]
    missing = pd.Series(pd.NA, index=table.index, dtype="str")
    told = found.told.get(CURRENCY)
    table[CURRENCY] = missing if told is None else told.distinct().iloc[told.codes[first]].to_numpy()
    return table
