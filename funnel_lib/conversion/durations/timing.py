"""How long conversion takes: quantiles with distribution-free intervals, and the share converted by day."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.spells import reached
from funnel_lib.conversion.engine.plan import MISSING
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import TOO_FEW, closed_only, with_rates
from funnel_lib.errors import ConfigError

Floats = npt.NDArray[np.float64]
NO_TIMES = "no_times"
DAY_US = 86_400_000_000
_QUANTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}
_LONGEST = 366


def quantile_interval(values: npt.ArrayLike, q: float, level: float = 0.95) -> tuple[float, float]:
    """Return order statistics of `values` that hold their distribution's quantile `q` at least so often.

    The number of values below the quantile is binomial(n, q), whatever the distribution: the limits are the
    values at ranks that cut off at most (1 - level) / 2 at each side (David and Nagaraja 2003, section 7.1).
    Assumes independent values of one distribution; conservative where values are tied. A limit is NaN where
    there are too few values for it.
    """
    from scipy.special import bdtr

    ranked, tail = np.sort(np.asarray(values, dtype=float)), (1 - level) / 2
    n = len(ranked)
    if n == 0:
        return math.nan, math.nan
    below = bdtr(np.arange(n + 1, dtype=float), n, q)  # P(at most k values lie below the quantile)
    low = int(np.searchsorted(below, tail, side="right"))  # the largest rank with P(fewer than it) <= tail
    high = int(np.searchsorted(below, 1 - tail)) + 1
    return (ranked[low - 1] if low >= 1 else math.nan), (ranked[high - 1] if high <= n else math.nan)


def time_to_convert(
    journeys: Journeys, by: str | None = None, *, start: int = 1, end: int | None = None, rules: Rules
) -> pd.DataFrame:
    """Return how many days units took from one step to another, of those that got there.

    Mature journeys only, as in `rates`: among recent entries only the fast ones have arrived yet.

    Parameters
    ----------
    journeys : see `Journeys`.
    by : column to group by; None: one group, `all`.
    start, end : the two steps, counted from 1; `end` is the last step unless given.
    rules : level and least numbers.

    Returns
    -------
    Frame `group, n, q25, q25_low, q25_high, median, median_low, median_high, q75, q75_low, q75_high, reason`,
    in days: sample quantiles (linear between order statistics) and intervals as `quantile_interval`. `n` is
    the units with both times. Below `min_events` of them, or `min_units` at the first of the two steps, all
    are NaN and `reason` is `too_few`; where the times are not known, `no_times`.

    Raises
    ------
    ConfigError : there is no such column, or the steps are not two of the funnel in order.
    """
    size = len(journeys.funnel.steps)
    last = size if end is None else end
    if not 1 <= start < last <= size:
        raise ConfigError(
            "The time between these steps cannot be told.", where="start, end", found=f"{start}, {last}",
            allowed=f"two steps from 1 to {size}, the later one second",
        )  # fmt: skip
    names, codes = journeys.groups(by)
    depth, settled = _settled(journeys, rules)
    arrived = settled & (depth >= last)
    days = _days(journeys, start, last)
    timed = arrived & ~np.isnan(days)
    rows = []
    for place, name in enumerate(names):
        found = days[timed & (codes == place)]
        few = len(found) < rules.min_events or np.sum((codes == place) & (depth >= start)) < rules.min_units
        reason = TOO_FEW if few else ""
        if len(found) == 0 and np.any(arrived & (codes == place)):
            reason = NO_TIMES
        rows.append(
            {
                "group": name,
                "n": len(found),
                **_quantiles(found, rules.level, known=not reason),
                "reason": reason,
            }
        )
    order = ["group", "n", *(q + part for q in _QUANTILES for part in ("", "_low", "_high")), "reason"]
    return pd.DataFrame(rows, columns=order).astype({"group": "str", "n": "int64", "reason": "str"})


def curve(journeys: Journeys, by: str | None = None, *, rules: Rules, days: int | None = None) -> pd.DataFrame:
    """Return the share of mature units that had reached the last step by each day after their entry.

    All units that count have been observed for a whole window, so that the curve is complete and ends at the
    rate of `rates`. Without closed windows all units count, and the curve's end is a lower bound.

    Parameters
    ----------
    journeys : see `Journeys`.
    by : column to group by; None: one group, `all`.
    rules : level and least numbers.
    days : last day to show; by default the window (rounded up), else the longest time taken, at most 366.

    Returns
    -------
    Frame `group, day, numerator, denominator, rate, low, high, level, reason`: reached the last step within
    `day` days (day 0: at the same instant); Wilson intervals, each for its day. Where the units are below
    `min_units` or the conversions by the last day below `min_events`, the rates are NaN (`too_few`); the same
    where a conversion's time is not known (`no_times`).

    Raises
    ------
    ConfigError : there is no such column.
    """
    size = len(journeys.funnel.steps)
    names, codes = journeys.groups(by)
    depth, _ = _settled(journeys, rules)
    converted, taken = depth == size, _days(journeys, 1, size)
    known = converted & ~np.isnan(taken)
    if days is None:
        longest = taken[known].max() if known.any() else 1.0
        window = journeys.funnel.window_us
        days = max(1, math.ceil(window / DAY_US if window is not None else min(longest, _LONGEST)))
    place = codes * (days + 1) + np.clip(np.ceil(np.where(known, taken, 0)), 0, days + 1).astype(np.int64)
    inside = known & (np.where(known, taken, np.inf) <= days)
    counts = np.bincount(place[inside], minlength=len(names) * (days + 1)).reshape(len(names), days + 1)
    entered = np.bincount(codes[depth >= 1], minlength=len(names))
    untimed = np.bincount(codes[converted & ~known], minlength=len(names)) > 0
    few = (entered < rules.min_units) | (counts.sum(axis=1) < rules.min_events)
    table = pd.DataFrame(
        {
            "group": pd.Series(np.repeat(np.array(names, dtype=object), days + 1), dtype="str"),
            "day": np.tile(np.arange(days + 1), len(names)),
            "numerator": counts.cumsum(axis=1).ravel(),
            "denominator": np.repeat(entered, days + 1),
        }
    )
    # A curve starts from few events by nature: it is judged as a whole, not day by day.
    judged = with_rates(table, rules.model_copy(update={"min_units": 1, "min_events": 0}))
    reasons = np.repeat(np.where(untimed, NO_TIMES, np.where(few, TOO_FEW, "")), days + 1)
    judged.loc[reasons != "", ["rate", "low", "high"]] = np.nan
    return judged.assign(reason=pd.Series(reasons, dtype="str"))


def _settled(journeys: Journeys, rules: Rules) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """Return the depth that counts, and whether the times shown are those of a settled chain."""
    frame = journeys.frame
    limit = journeys.closed_until
    if limit is None or not closed_only(journeys, rules):
        return frame["depth"].to_numpy(), np.ones(len(frame), dtype=bool)
    depth = frame["mature_depth"].to_numpy()
    # The times belong to the deepest chain; where that one is still open, it is deeper than the mature one.
    closed = journeys.moments("t_1") <= microseconds(limit)
    return depth, closed | (depth == frame["depth"].to_numpy())


def _days(journeys: Journeys, start: int, end: int) -> Floats:
    begun = journeys.moments("t_1") if start == 1 else reached(journeys, start)
    ended = reached(journeys, end)
    known = (begun != MISSING) & (ended != MISSING)
    return np.where(known, ended - np.where(known, begun, 0), np.nan) / DAY_US


def _quantiles(days: Floats, level: float, *, known: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, q in _QUANTILES.items():
        low, high = quantile_interval(days, q, level) if known else (math.nan, math.nan)
        found |= {
            name: float(np.quantile(days, q)) if known else math.nan,
            f"{name}_low": low,
            f"{name}_high": high,
        }
    return found
