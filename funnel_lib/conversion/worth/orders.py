"""Orders as they were paid: who, when, how much, in one currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.errors import DataError
from funnel_lib.schema import AMOUNT, CHANNEL, CURRENCY, EVENT, TS, USER_ID

COLUMNS = [USER_ID, TS, AMOUNT, CHANNEL]
NO_VALUE, NO_ORDERS = "no_value", "no_orders"


@dataclass(frozen=True)
class Orders:
    """Orders: `user_id, ts` (UTC), `amount` (the workbook's currency), `channel`, oldest first.

    `channel` is that of the order; where it names none (as in a shop's own list), of the person's last touch before.
    `set_aside` counts the rows that are not used, by reason: `no_user`, `no_time`, `later` (than what is known),
    `other_currency`, `no_amount`, `negative` (a refund or a fault: it belongs to an order that nobody named).
    `reason`: `no_value` where the workbook does not say what an order is worth, `no_orders` where there is none.
    """

    frame: pd.DataFrame
    set_aside: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


def orders(scope: Scope) -> Orders:
    """Return all orders of a workbook up to `scope.as_of`: of every period, and of everybody.

    What an order is says the workbook: the event of `value.event` with its amounts, or the last step's event, each of
    which brings `value.amount`.
    """
    value, last = scope.workbook.value, scope.funnel.steps[-1]
    if (value.event is None and value.amount is None) or not scope.events.exists():
        return Orders(_none(), reason=NO_VALUE if scope.events.exists() else NO_ORDERS)
    names = [value.event] if value.event is not None else last.events
    found = _read(scope.events, names, scope.funnel.unit)
    amount = None if value.event is not None else value.amount
    return checked(found, currency=scope.workbook.currency, as_of=scope.as_of, amount=amount)


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
    kept = kept.astype({USER_ID: "str", CHANNEL: "str"})
    return Orders(kept, {name: rows for name, rows in aside.items() if rows}, "" if len(kept) else NO_ORDERS)


def first_orders(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each customer's first order (`user_id, ts, amount, channel`); of one instant, that which stands first."""
    return frame.sort_values(TS, kind="stable").drop_duplicates(USER_ID, ignore_index=True)


def _none() -> pd.DataFrame:
    kinds = {USER_ID: "str", TS: "datetime64[us, UTC]", AMOUNT: "float64", CHANNEL: "str"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def _read(events: Path, names: Sequence[str], unit: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        log = connection.read_parquet(str(events))
        wanted = [name for name in (AMOUNT, CURRENCY, CHANNEL) if name in log.columns]
        chosen = log.filter(duckdb.FunctionExpression(
            "list_contains", duckdb.ConstantExpression(list(names)), duckdb.ColumnExpression(EVENT)
        ))  # fmt: skip
        kept = chosen.select(f'CAST("{unit}" AS VARCHAR) AS {USER_ID}, {TS}' + "".join(f", {name}" for name in wanted))
        kept.order(f"{TS}, {USER_ID}").create("sold")
        if CHANNEL in wanted:
            _fill_channels(connection, log.select(f'CAST("{unit}" AS VARCHAR) AS {USER_ID}, {TS}, {CHANNEL}'))
        found: pd.DataFrame = connection.table("sold").order(f"{TS}, {USER_ID}").to_arrow_table().to_pandas()
    return found if AMOUNT in found else found.assign(**{AMOUNT: np.nan})


def _fill_channels(connection: duckdb.DuckDBPyConnection, log: duckdb.DuckDBPyRelation) -> None:
    """Give orders without a channel (such as those of a shop's own list) that of the person's last touch before."""
    if not connection.execute(f"SELECT 1 FROM sold WHERE {CHANNEL} IS NULL LIMIT 1").fetchall():  # noqa: S608
        return
    mine = f"{USER_ID} IN (SELECT {USER_ID} FROM sold WHERE {CHANNEL} IS NULL)"  # noqa: S608
    log.filter(f"{CHANNEL} IS NOT NULL AND {mine}").create_view("touches")
    connection.execute(
        f"CREATE OR REPLACE TABLE sold AS SELECT sold.* REPLACE (coalesce(sold.{CHANNEL}, touches.{CHANNEL}) "  # noqa: S608
        f"AS {CHANNEL}) FROM sold ASOF LEFT JOIN touches ON sold.{USER_ID} = touches.{USER_ID} "
        f"AND sold.{TS} >= touches.{TS}"
    )
