"""Which channels the orders of a period came by, with what they were worth: what returns are made of."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.reasons.attribution import Model, attribute
from funnel_lib.conversion.reasons.paths import paths
from funnel_lib.conversion.reasons.touches import touches
from funnel_lib.conversion.worth.orders import COLUMNS, Orders
from funnel_lib.conversion.worth.resampling import Rng
from funnel_lib.periods import Period
from funnel_lib.schema import AMOUNT, TS, USER_ID

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
    met = touches(scope.events, since=scope.period.start - lookback, until=scope.period.end)
    if met is None or met.frame.empty:
        return pd.DataFrame({"model": [], "channel": [], "conversions": [], "value": [], "reason": []})
    bought = in_period(orders.frame, scope.period)[COLUMNS[:3]].rename(columns={AMOUNT: "value"})
    bought = bought.assign(**{USER_ID: met.numbered(bought[USER_ID])})
    made = paths(met.frame, bought, lookback=lookback, pause=PAUSE, as_of=scope.as_of)
    return attribute(made, models=SHOWN, rules=scope.workbook.rules, rng=rng, draws=10)


def spread_of(orders: pd.DataFrame) -> float:
    """Return the standard deviation of the amounts by their mean; 0 without any."""
    amounts = orders[AMOUNT].to_numpy(dtype=np.float64)
    return float(amounts.std() / amounts.mean()) if len(amounts) and amounts.mean() > 0 else 0.0
