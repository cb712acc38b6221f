"""How much customers spend per order: the Gamma-Gamma model, by maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.buying import NO_FIT, NO_REPEATS
from funnel_lib.conversion.worth.intervals import Floats
from funnel_lib.conversion.worth.likelihood import maximum

MOST_CORRELATION = 0.3
DEPENDS = "spend_depends_on_frequency"


@dataclass(frozen=True)
class SpendingModel:
    """The Gamma-Gamma model (Fader and Hardie 2013): the mean amount of customers' orders.

    Amounts vary around each customer's own mean (gamma: shape `p`), and the means around that of all (gamma: shape
    `q`, scale `v`). `correlation` is that of the number of repeat orders and their mean amount, which the model takes
    as independent. `moved` as in `BuyingModel`, 0 for customers without repeat orders. NaN with a `reason`:
    `no_repeat_orders`, `too_few` customers with some, `does_not_fit` (also where the mean of all would be infinite),
    `spend_depends_on_frequency`: the correlation is beyond 0.3.
    """

    p: float
    q: float
    v: float
    correlation: float
    customers: int
    moved: Floats
    reason: str = ""

    @property
    def parameters(self) -> Floats:
        """The three of them, as one row."""
        return np.array([[self.p, self.q, self.v]])


def fit_spending(table: pd.DataFrame, *, rules: Rules) -> SpendingModel:
    """Return the Gamma-Gamma model of customers' histories (`x, mean_amount`); only those with repeat orders count."""
    counted = ((table["x"] > 0) & (table["mean_amount"] > 0)).to_numpy()
    known = table[counted]
    x, mean = (known[name].to_numpy(dtype=np.float64) for name in ("x", "mean_amount"))
    if len(known) < max(rules.min_units, 2):
        return _none(NO_REPEATS if not len(known) else TOO_FEW, len(known), math.nan)
    correlation = float(np.corrcoef(x, mean)[0, 1]) if x.std() > 0 and mean.std() > 0 else 0.0
    if abs(correlation) > MOST_CORRELATION:
        return _none(DEPENDS, len(known), correlation)
    start = np.log([5.0, 3.0, float(mean.mean())])
    found = maximum(lambda logs: float(_log_likelihoods(np.exp(logs), x, mean).sum()), start)
    if found is None or not np.exp(found.place)[1] > 1:
        return _none(NO_FIT, len(known), correlation)
    p, q, v = (float(value) for value in np.exp(found.place))
    moved = np.zeros((len(table), 3))
    moved[counted] = found.moved(lambda logs: _log_likelihoods(np.exp(logs), x, mean))
    return SpendingModel(p, q, v, correlation, len(known), moved)


def _none(reason: str, customers: int, correlation: float) -> SpendingModel:
    return SpendingModel(math.nan, math.nan, math.nan, correlation, customers, np.zeros((0, 3)), reason)


def _log_likelihoods(parameters: Floats, x: Floats, mean: Floats) -> Floats:
    """Return customers' log-likelihoods (Fader and Hardie 2013, equation 1a, in logarithms)."""
    from scipy.special import gammaln

    p, q, v = parameters
    told = gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v)
    told += (p * x - 1) * np.log(mean) + p * x * np.log(x) - (p * x + q) * np.log(x * mean + v)
    return np.asarray(told, dtype=np.float64)


def mean_spend(parameters: npt.ArrayLike) -> Floats:
    """Return the mean amount of an order over all customers, p v / (q - 1), by row of (p, q, v)."""
    p, q, v = np.atleast_2d(np.asarray(parameters, dtype=np.float64)).T
    return np.asarray(p * v / (q - 1), dtype=np.float64)


def expected_spend(model: SpendingModel, table: pd.DataFrame) -> Floats:
    """Return each customer's expected mean amount: its own, drawn towards that of all (equation 5)."""
    x = table["x"].to_numpy(dtype=np.float64)
    mean = np.where(x > 0, table["mean_amount"].to_numpy(dtype=np.float64), 0.0)
    p, q, v = model.p, model.q, model.v
    return np.asarray(p * (v + x * mean) / (p * x + q - 1), dtype=np.float64)
