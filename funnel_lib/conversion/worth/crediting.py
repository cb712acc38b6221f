"""Which channels the orders of a period came by, with what they were worth: what returns are made of."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.reasons.attribution import Model, attribute
from funnel_lib.conversion.reasons.paths import paths
from funnel_lib.conversion.worth.orders import COLUMNS, Orders
from funnel_lib.conversion.worth.resampling import Rng
from funnel_lib.periods import Period
from funnel_lib.schema import AMOUNT, CHANNEL, TS, USER_ID

SHOWN: tuple[Model, ...] = ("first", "last", "linear", "markov")
PAUSE = timedelta(minutes=30)


def in_period(orders: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Return the orders of a period."""
    at = orders[TS]
    return orders[(at >= pd.Timestamp(period.start)) & (at < pd.Timestamp(period.end))]


def credited(scope: Scope, orders: Orders, *, lookback: timedelta = timedelta(days=30), rng: Rng) -> pd.DataFrame:
    """Return each channel's credit for the orders of the period, by four rules (see `attribute`).

    Touches are the events with a channel, those of one channel within half an hour together.

    Returns
    -------
    Frame as of `attribute`; empty where events name no channel.
    """
    touched = _touches(scope, scope.period.start - lookback)
    if touched is None or touched.empty:
        return pd.DataFrame({"model": [], "channel": [], "conversions": [], "value": [], "reason": []})
    bought = in_period(orders.frame, scope.period)[COLUMNS[:3]].rename(columns={AMOUNT: "value"})
    made = paths(touched, bought, lookback=lookback, pause=PAUSE, as_of=scope.as_of)
    return attribute(made, models=SHOWN, rules=scope.workbook.rules, rng=rng, draws=10)


def spread_of(orders: pd.DataFrame) -> float:
    """Return the standard deviation of the amounts by their mean; 0 without any."""
    amounts = orders[AMOUNT].to_numpy(dtype=np.float64)
    return float(amounts.std() / amounts.mean()) if len(amounts) and amounts.mean() > 0 else 0.0


def _touches(scope: Scope, since: object) -> pd.DataFrame | None:
    """Return all events with a channel from some time on to the end of the period."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        log = connection.read_parquet(str(scope.events))
        if not {CHANNEL, USER_ID} <= {*log.columns}:
            return None
        log.create_view("log")
        query = (
            f"SELECT {USER_ID}, {CHANNEL}, {TS} FROM log WHERE {CHANNEL} IS NOT NULL "  # noqa: S608
            f"AND {TS} >= $since AND {TS} < $end ORDER BY {USER_ID}, {TS}, {CHANNEL}"
        )
        found: pd.DataFrame = (
            connection.sql(query, params={"since": since, "end": scope.period.end}).to_arrow_table().to_pandas()
        )
    return found
