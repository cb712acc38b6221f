"""What came back for the money: revenue and margin by channel against its costs, by a named rule of credit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.acquisition import NO_COSTS, NO_CUSTOMERS
from funnel_lib.conversion.worth.resampling import z_of

_COLUMNS = [
    "model", "channel", "conversions", "revenue", "cost", "roas", "roas_low", "roas_high", "roi", "roi_low", "roi_high",
    "level", "reason",
]  # fmt: skip


def returns(
    credited: pd.DataFrame,
    costs: Mapping[str, float],
    *,
    margin: float,
    spread: float = 0.0,
    rules: Rules,
) -> pd.DataFrame:
    """Return ROAS (revenue by cost) and ROI (margin less cost, by cost) of each channel, by each rule of credit.

    The rule decides who is credited; none is causal. The interval is that of chance alone under that rule: orders come
    at random, each worth more or less (compound Poisson, on a logarithmic scale: the variance of log revenue is about
    `(1 + spread²) / conversions`).

    Parameters
    ----------
    credited : `model, channel, conversions, value`, as of `attribute`; `value` in the currency of the costs.
    costs : cost by channel, of the same conversions' time.
    margin : the share of the revenue that remains after the costs of what was sold.
    spread : standard deviation of an order's amount by its mean.
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
        factor = np.exp(z_of(rules.level) * np.sqrt((1 + spread**2) / conversions))
    limits = {"": roas, "_low": roas / factor, "_high": roas * factor}
    return whole.assign(
        revenue=revenue, cost=np.where(cost > 0, cost, np.nan), level=rules.level,
        reason=pd.Series(reasons, index=whole.index, dtype="str"),
        **{f"roas{end}": values for end, values in limits.items()},
        **{f"roi{end}": margin * values - 1 for end, values in limits.items()},
    )[_COLUMNS]  # fmt: skip
