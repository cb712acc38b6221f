"""What came back for the money: revenue and margin by channel against its costs, by a named rule of credit."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.acquisition import NO_COSTS, NO_CUSTOMERS
from funnel_lib.conversion.worth.intervals import Floats, student

_COLUMNS = [
    "model", "channel", "conversions", "revenue", "cost", "roas", "roas_low", "roas_high", "roi", "roi_low", "roi_high",
    "level", "reason",
]  # fmt: skip


def returns(
    credited: pd.DataFrame,
    costs: Mapping[str, float],
    *,
    margin: float,
    amounts: npt.ArrayLike = (),
    rules: Rules,
) -> pd.DataFrame:
    """Return ROAS (revenue by cost) and ROI (margin less cost, by cost) of each channel, by each rule of credit.

    The rule decides who is credited; none is causal. The interval is that of chance alone under that rule: orders come
    at random, each worth more or less (compound Poisson, on a logarithmic scale: the variance of log revenue is about
    `(1 + spread²) / conversions`, `spread` being the standard deviation of amounts by their mean). That variance is an
    estimate too: the quantile is Student's, of `2 (sum of squares)² / (sum of fourth powers)` degrees of freedom
    (Satterthwaite 1946), few where a handful of orders make most of it.

    Parameters
    ----------
    credited : `model, channel, conversions, value`, as of `attribute`; `value` in the currency of the costs.
    costs : cost by channel, of the same conversions' time.
    margin : the share of the revenue that remains after the costs of what was sold.
    amounts : of the orders of all channels, which tell how much amounts differ; without any, they do not.
    rules : level and least number of conversions (`min_events`).

    Returns
    -------
    Frame `model, channel, conversions, revenue, cost, roas, roas_low, roas_high, roi, roi_low, roi_high, level,
    reason`, in the order of the credits, channels with costs but without credit last in each model. `reason`:
    `no_costs` (the channel has none: its return is not infinite, it is not known), `no_customers` (no conversion is
    credited: the money is spent, so the ROI is not known to be better than -1), `too_few` conversions.
    """
    parts = [pd.DataFrame(columns=_COLUMNS)]
    for model, rows in credited.groupby("model", sort=False):
        absent = [name for name in costs if name not in set(rows["channel"])]
        more = pd.DataFrame({"model": model, "channel": absent, "conversions": 0.0, "value": 0.0})
        parts.append(pd.concat([rows, more], ignore_index=True) if absent else rows)
    whole = pd.concat(parts[1:] or parts, ignore_index=True)
    if whole.empty:
        return pd.DataFrame(columns=_COLUMNS)
    conversions = whole["conversions"].to_numpy(dtype=np.float64)
    revenue = whole["value"].to_numpy(dtype=np.float64)
    cost = whole["channel"].map(dict(costs)).fillna(0.0).to_numpy(dtype=np.float64)
    reasons = np.select(
        [~(cost > 0), ~(conversions > 0), conversions < rules.min_events], [NO_COSTS, NO_CUSTOMERS, TOO_FEW], ""
    )
    known = reasons == ""
    with np.errstate(divide="ignore", invalid="ignore"):
        roas = np.where(known, revenue / cost, np.nan)
        factor = np.exp(_reach(np.asarray(amounts, dtype=np.float64), rules.level) / np.sqrt(conversions))
    limits = {"": roas, "_low": roas / factor, "_high": roas * factor}
    return whole.assign(
        revenue=revenue, cost=np.where(cost > 0, cost, np.nan), level=rules.level,
        reason=pd.Series(reasons, index=whole.index, dtype="str"),
        **{f"roas{end}": values for end, values in limits.items()},
        **{f"roi{end}": margin * values - 1 for end, values in limits.items()},
    )[_COLUMNS]  # fmt: skip


def _reach(amounts: Floats, level: float) -> float:
    """Return how far the logarithm of the revenue of one order may be off."""
    squares = amounts**2
    if not squares.sum() > 0:
        return student(level, math.inf)
    spread, freedom = amounts.std() / amounts.mean(), 2 * squares.sum() ** 2 / (squares**2).sum()
    return student(level, float(freedom)) * math.hypot(1, float(spread))
