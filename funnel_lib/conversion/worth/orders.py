"""Orders as they were paid: who, when, how much, in one currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.errors import DataError
from funnel_lib.schema import AMOUNT, CHANNEL, CURRENCY, EVENT, TS, USER_ID

COLUMNS = [USER_ID, TS, AMOUNT, CHANNEL]
NO_VALUE, NO_ORDERS = "no_value", "no_orders"


@dataclass(frozen=True)
class Orders:
    """Orders: `user_id, ts` (UTC), `amount` (the workbook's currency), `channel`, oldest first.

    `user_id` is the customer's place in the units of the `log` that the orders come from; without one, what was given.
    `channel` is that of the order; where it names none (as in a shop's own list), of the person's last touch before.
    `set_aside` counts the rows that are not used, by reason: `no_user`, `no_time`, `later` (than what is known),
    `other_currency`, `no_amount`, `negative` (a refund or a fault: it belongs to an order that nobody named).
    `reason`: `no_value` where the workbook does not say what an order is worth, `no_orders` where there is none.
    """

    frame: pd.DataFrame
    set_aside: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    log: EventLog | None = field(default=None, compare=False, repr=False)

    def places(self, units: pd.Series[Any]) -> Ints:
        """Return where the customer of each order stands among `units`; -1: not there."""
        customers = self.frame[USER_ID].to_numpy()
        if self.log is None:
            return np.asarray(pd.Index(units).get_indexer(customers), dtype=np.int64)
        person, place = self.log.persons(units), np.full(len(self.log.units) + 1, -1, dtype=np.int64)
        place[person[::-1]] = np.arange(len(person))[::-1]  # of a unit that stands there twice, the first
        return np.asarray(place[customers])


def orders(scope: Scope) -> Orders:
    """Return all orders of a workbook up to `scope.as_of`: of every period, and of everybody.

    What an order is says the workbook: the event of `value.event` with its amounts, or the last step's event, each of
    which brings `value.amount`. In a snapshot, that step is reached once, on the day that its column tells. With
    `value.deals` the won deals are orders, each on the day when it was closed.
    """
    value, last = scope.workbook.value, scope.funnel.steps[-1]
    if value.deals:
        return _won(scope)
    if scope.funnel.snapshot is not None and value.event is None and value.amount is not None:
        return _reached(scope, last.column, value.amount)
    log = EventLog.of(scope)
    if (value.event is None and value.amount is None) or log is None:
        return Orders(_none(), reason=NO_ORDERS if log is None else NO_VALUE)
    names = [value.event] if value.event is not None else last.events
    amount = None if value.event is not None else value.amount
    found = checked(_read(log, names), currency=scope.workbook.currency, as_of=scope.as_of, amount=amount)
    return replace(found, set_aside=_nameless(log, names) | dict(found.set_aside), log=log)


def checked(
    frame: pd.DataFrame, *, currency: str, as_of: datetime | None = None, amount: float | None = None
) -> Orders:
    """Return the orders of a frame that can be used; the others are counted.

    Parameters
    ----------
    frame : `user_id, ts`, and `amount`, `currency`, `channel` where there are such. A time without zone is UTC; an
        order without a currency is in the workbook's.
    currency : of the workbook.
    as_of : what is known.
    amount : what each order is worth, instead of the column.

    Raises
    ------
    DataError : `user_id`, `ts` or (without `amount`) the column of amounts is missing.
    """
    needed = [USER_ID, TS, *([] if amount is not None else [AMOUNT])]
    missing = [name for name in needed if name not in frame]
    if missing:
        raise DataError(
            "Orders lack a column.", where="orders", found=", ".join(map(str, frame)), allowed=", ".join(needed),
            do="Collect the amounts of orders, or give a fixed one in the workbook: value: {amount: 100}",
        )  # fmt: skip
    table = frame.reindex(columns=[*COLUMNS, CURRENCY])
    table[TS] = pd.to_datetime(table[TS], utc=True).dt.as_unit("us")
    table[AMOUNT] = table[AMOUNT].astype("float64") if amount is None else amount
    ours = table[CURRENCY].isna() | (table[CURRENCY] == currency) | (amount is not None)
    known = True if as_of is None else table[TS] <= pd.Timestamp(as_of)
    faults = {
        "no_user": table[USER_ID].isna(), "no_time": table[TS].isna(), "later": ~(known | table[TS].isna()),
        "other_currency": ~ours, "no_amount": ~np.isfinite(table[AMOUNT]), "negative": table[AMOUNT] < 0,
    }  # fmt: skip
    usable, aside = pd.Series(True, index=table.index), {}
    for reason, faulty in faults.items():
        aside[reason] = int((usable & faulty).sum())
        usable &= ~faulty
    kept = table.loc[usable, COLUMNS].sort_values([TS, USER_ID], kind="stable", ignore_index=True)
    kept = kept.astype(
        {CHANNEL: "str"} if pd.api.types.is_integer_dtype(kept[USER_ID]) else {USER_ID: "str", CHANNEL: "str"}
    )
    return Orders(kept, {name: rows for name, rows in aside.items() if rows}, "" if len(kept) else NO_ORDERS)


def first_orders(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each customer's first order (`user_id, ts, amount, channel`); of one instant, that which stands first."""
    return frame.sort_values(TS, kind="stable").drop_duplicates(USER_ID, ignore_index=True)


def _none() -> pd.DataFrame:
    kinds = {USER_ID: "str", TS: "datetime64[us, UTC]", AMOUNT: "float64", CHANNEL: "str"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _reached(scope: Scope, column: str | None, amount: float) -> Orders:
    """Return those of a snapshot who came to the last step; none where it does not tell when."""
    table = scope.store.read(scope.funnel.snapshot or "users")
    if column is None or column not in table or not isinstance(table[column].dtype, pd.DatetimeTZDtype):
        return Orders(_none(), reason=NO_ORDERS)
    there = table.loc[table[column].notna(), [scope.funnel.unit, column]].set_axis([USER_ID, TS], axis=1)
    return checked(there, currency=scope.workbook.currency, as_of=scope.as_of, amount=amount)


def _won(scope: Scope) -> Orders:
    """Return the won deals; whose each is, is told as the funnel tells it: by its own id where deals go through it."""
    deals, unit = scope.store.read("deals"), scope.funnel.unit if scope.funnel.snapshot == "deals" else USER_ID
    won = deals[deals["status"] == "won"] if {unit, "status", "closed"} <= {*deals} else deals[:0]
    if won.empty:
        return Orders(_none(), reason=NO_ORDERS)
    told = [unit, "closed", *(name for name in (AMOUNT, CURRENCY) if name in won)]
    table = won[told].rename(columns={unit: USER_ID, "closed": TS})
    return checked(table.reindex(columns=[*table, *({AMOUNT} - {*table})]), currency=scope.workbook.currency,
                   as_of=scope.as_of)  # fmt: skip


def _read(log: EventLog, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of these events, with what they tell of amounts, currencies and channels."""
    columns = log.columns
    found = log.find(names, tell=[name for name in (AMOUNT, CURRENCY) if name in columns])
    times, person = log.at, log.person[found.places].astype(np.int64)
    at = pd.array(times[found.places], dtype="datetime64[us, UTC]")
    frame = pd.DataFrame({USER_ID: person, TS: at, AMOUNT: np.nan})
    if AMOUNT in found.told:
        frame[AMOUNT] = found.told[AMOUNT].numbers()
    if CURRENCY in found.told:
        told = found.told[CURRENCY]
        frame[CURRENCY] = told.distinct().array[told.codes]
    if CHANNEL in columns:
        channels = log.told(CHANNEL)
        last = _last_told(log, channels.codes, found.places)
        frame[CHANNEL] = channels.distinct().array[np.where(last < 0, -1, channels.codes[last])]
    return frame


def _last_told(log: EventLog, codes: Ints, rows: Ints) -> Ints:
    """Return for each row itself where it tells something (`codes`), else the person's last row by then that does.

    -1: there is none. Rows of the same instant count as earlier ones.
    """
    found, times = rows.astype(np.int64), log.at
    lacking = np.flatnonzero(codes[rows] < 0)
    person, at, place = log.person[rows[lacking]], times[rows[lacking]], found[lacking]
    first, after = log.starts[person], log.starts[person + 1]
    while (again := (place + 1 < after) & (times[np.minimum(place + 1, len(log) - 1)] == at)).any():
        place = place + again
    while (silent := (place >= first) & (codes[place] < 0)).any():
        place = place - silent
    found[lacking] = np.where(place >= first, place, -1)
    return found


def _nameless(log: EventLog, names: Sequence[str]) -> dict[str, int]:
    """Return how many of these events have no user, or no time: such rows are not in the log."""
    if pq.read_metadata(log.events).num_rows == len(log):
        return {}
    with duckdb.connect() as connection:
        connection.read_parquet(str(log.events)).create_view("log")
        counts = connection.execute(
            f'SELECT count(*) FILTER ("{log.unit}" IS NULL), count(*) FILTER ("{log.unit}" IS NOT NULL) '  # noqa: S608
            f'FROM log WHERE list_contains(?, {EVENT}) AND ("{log.unit}" IS NULL OR {TS} IS NULL)', [list(names)]
        ).fetchall()[0]  # fmt: skip
    return {reason: rows for reason, rows in zip(("no_user", "no_time"), counts, strict=True) if rows}
