"""Which channels the orders of a period came by, with what they were worth: what returns are made of."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.reasons.attribution import Model, attribute
from funnel_lib.conversion.reasons.paths import paths
from funnel_lib.conversion.reasons.touches import touches
from funnel_lib.conversion.worth.intervals import Rng
from funnel_lib.conversion.worth.orders import COLUMNS, Orders
from funnel_lib.periods import Period
from funnel_lib.schema import AMOUNT, TS

SHOWN: tuple[Model, ...] = ("first", "last", "linear", "markov")
PAUSE = timedelta(minutes=30)


def in_period(orders: pd.DataFrame, period: Period) -> pd.DataFrame:
    """Return the orders of a period."""
    at = orders[TS]
    return orders[(at >= pd.Timestamp(period.start)) & (at < pd.Timestamp(period.end))]


def credited(scope: Scope, orders: Orders, *, lookback: timedelta = timedelta(days=30), rng: Rng) -> pd.DataFrame:
    """Return each channel's credit for the orders of the period, by four rules (see `attribute`).

    Touches are the events with a channel, those of one channel within half an hour together. Orders may stand before
    the touches that led to them by as much as the funnel's `grace`, such as those of which only the day is known.

    Returns
    -------
    Frame as of `attribute`; empty where events name no channel.
    """
    since, before = scope.period.start - lookback, scope.period.end
    met = None if orders.log is None else touches(orders.log, since=since, before=before, until=scope.as_of)
    if met is None or not met.channels:
        return pd.DataFrame({"model": [], "channel": [], "conversions": [], "value": [], "reason": []})
    bought = in_period(orders.frame, scope.period)[COLUMNS[:3]].rename(columns={AMOUNT: "value"})
    at = bought[TS] + (scope.funnel.matching.grace or timedelta(0))
    at = at if scope.as_of is None else at.where(at <= pd.Timestamp(scope.as_of), pd.Timestamp(scope.as_of))
    horizon = min(lookback, scope.funnel.window or lookback)
    made = paths(met, bought.assign(**{TS: at}), lookback=lookback, pause=PAUSE, as_of=scope.as_of, horizon=horizon)
    return attribute(made, models=SHOWN, rules=scope.workbook.rules, rng=rng, draws=10)
