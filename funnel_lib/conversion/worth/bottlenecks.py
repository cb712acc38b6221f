"""Which step costs most: what would be gained if one step reached its bar, in conversions and in money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.decomposition import redrawn_steps
from funnel_lib.conversion.rates import TOO_FEW, closed_only

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
BOTTLENECKS = [
    "step", "name", "light", "origin", "bar", "rate", "low", "high", "units", "gap", "onward", "conversions",
    "conversions_low", "conversions_high", "money", "money_low", "money_high", "reason",
]  # fmt: skip
NOT_NESTED, NO_VALUE = "not_nested", "no_value"


class Worth(NamedTuple):
    """What one conversion brings, with its interval; NaN where it is not known."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


def bottlenecks(
    journeys: Journeys, held: pd.DataFrame, *, worth: Worth, rules: Rules, rng: Rng, draws: int = 2000
) -> pd.DataFrame:
    """Rank the steps by what would be gained if one of them reached its bar and all else stayed as it is.

    `conversions = max(bar - rate, 0) x units at the step before x onward`, where `onward` is the share of those who
    took the step that came to the end; `money = conversions x worth`. Whoever is won by an easier step often goes on
    less, so this is an upper bound of what lies in a step. Gains of several steps do not add up.

    Parameters
    ----------
    journeys : see `Journeys`; as in `rates`, only closed windows count.
    held : the steps' bars, as of `bars` with base `previous`.
    worth : of one conversion, in the workbook's currency.
    rules : level and least numbers.
    rng, draws : intervals are percentiles of so many multinomial draws of how far each unit went, and of normal draws
        of the worth, as far to each side as its limit there. The bar is taken as certain.

    Returns
    -------
    Frame with the columns `BOTTLENECKS`, the largest gain first; `gap` is `bar - rate` (negative above the bar).
    Steps at or above their bar gain 0. `reason` is that of the bar, `too_few`, `not_nested` (steps may be skipped, so
    that shares do not multiply), or `no_value`: conversions are known, money is not.
    """
    counts = journeys.counts(mature_only=closed_only(journeys, rules))["units"].to_numpy(dtype=np.float64)
    values, simple = _worths(worth, rules, rng, draws), journeys.funnel.simple
    drawn = redrawn_steps(counts, rng, draws) if simple and counts[0] > 0 else np.empty((0, len(counts)))
    rows = []
    for record in held.to_dict("records"):
        row: dict[str, Any] = {str(name): value for name, value in record.items()}
        gap = float(row["bar"]) - float(row["rate"])
        reason = str(row["reason"]) or (TOO_FEW if math.isnan(gap) else "" if simple else NOT_NESTED)
        gained: dict[str, Any] = {} if reason else _gain(int(row["step"]), float(row["bar"]), counts, drawn)
        conversions = gained.pop("draws", np.array([]))
        gained |= _priced(gained, conversions, worth, values, rules)
        if not reason and math.isnan(worth.value):
            reason = NO_VALUE
        rows.append({**row, "units": int(row["denominator"]), "gap": gap, **gained, "reason": reason})
    table = pd.DataFrame(rows).reindex(columns=BOTTLENECKS).astype({"step": "int64", "reason": "str"})
    order = ["money", "conversions", "step"]
    return table.sort_values(order, ascending=[False, False, True], na_position="last", ignore_index=True)


def _gain(step: int, bar: float, counts: Floats, drawn: Floats) -> dict[str, Any]:
    """Return what one step at its bar would bring: its onward share, conversions, and those of each draw."""
    onward = counts[-1] / counts[step - 1] if counts[step - 1] else math.nan
    whole = _conversions(step, bar, counts[None, :])[0]
    return {"onward": onward, "conversions": float(whole), "draws": _conversions(step, bar, drawn)}


def _conversions(step: int, bar: float, counts: Floats) -> Floats:
    """Return (bar - rate) x units x onward for each row of counts; NaN where nobody took the step."""
    before, here, end = counts[:, step - 2], counts[:, step - 1], counts[:, -1]
    onward = np.divide(end, here, out=np.full(len(here), np.nan), where=here > 0)
    return np.asarray(np.maximum(bar * before - here, 0) * onward)


def _priced(gained: Mapping[str, Any], draws: Floats, worth: Worth, values: Floats, rules: Rules) -> dict[str, float]:
    """Return the intervals of the conversions, and the money with its own."""
    if not len(draws):
        return {}
    tails = [(1 - rules.level) / 2, (1 + rules.level) / 2]
    low, high = np.nanquantile(draws, tails)
    found = {"conversions_low": float(low), "conversions_high": float(high)}
    if math.isnan(worth.value):
        return found
    money_low, money_high = np.nanquantile(draws * values, tails)
    return {
        **found, "money": gained["conversions"] * worth.value, "money_low": float(money_low),
        "money_high": float(money_high),
    }  # fmt: skip


def _worths(worth: Worth, rules: Rules, rng: Rng, draws: int) -> Floats:
    """Return draws of what a conversion brings: normal ones, of each side as far as its limit tells."""
    from scipy.stats import norm

    if math.isnan(worth.value):
        return np.full(draws, np.nan)
    far, drawn = float(norm.ppf((1 + rules.level) / 2)), rng.standard_normal(draws)
    down, up = (0.0 if math.isnan(end) else abs(end - worth.value) / far for end in (worth.low, worth.high))
    return np.asarray(worth.value + drawn * np.where(drawn > 0, up, down))
