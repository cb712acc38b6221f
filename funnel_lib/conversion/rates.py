"""Rates with their uncertainty: how many of those at one step reached the next, and for whom that differs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.errors import ConfigError, choices

Floats = npt.NDArray[np.float64]
Base = Literal["previous", "first"]
TOO_FEW = "too_few"


@dataclass(frozen=True)
class Difference:
    """A difference of two rates (the first less the second) with its interval; NaN where one is not known."""

    estimate: float
    low: float
    high: float
    level: float
    method: str = "newcombe"


@overload
def wilson(k: float, n: float, level: float = 0.95) -> tuple[float, float]: ...
@overload
def wilson(k: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]: ...
def wilson(k: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95) -> tuple[object, object]:
    """Return the Wilson score interval of the rate k of n; NaN where n is 0.

    `(p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`, the set of rates that a z test at this level would
    not reject (Wilson 1927). Assumes independent units with one common rate. Scalars give floats.
    """
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    z = NormalDist().inv_cdf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p, scale = k / n, 1 + z * z / n
        middle = (p + z * z / (2 * n)) / scale
        half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
        # At the ends the limits are exact; rounding must not move them past the rate.
        low, high = np.where(k == 0, 0 * p, middle - half), np.where(k == n, 0 * p + 1, middle + half)
    return low[()], high[()]


def newcombe(k1: float, n1: float, k2: float, n2: float, level: float = 0.95) -> Difference:
    """Return the difference of the rates k1/n1 - k2/n2 with Newcombe's hybrid score interval.

    The distances of each rate from its Wilson limits, combined as square roots of sums of squares (Newcombe
    1998, method 10). Assumes two independent samples. NaN where n1 or n2 is 0.
    """
    estimate, low, high = differences(k1, n1, k2, n2, level)
    return Difference(float(estimate), float(low), float(high), level)


def differences(
    k1: npt.ArrayLike, n1: npt.ArrayLike, k2: npt.ArrayLike, n2: npt.ArrayLike, level: float
) -> tuple[Floats, Floats, Floats]:
    """Return (difference, low, high) as `newcombe` does, for many pairs at once."""
    a, b, c, d = (np.asarray(part, dtype=float) for part in (k1, n1, k2, n2))
    (low1, high1), (low2, high2) = wilson(a, b, level), wilson(c, d, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        p1, p2 = a / b, c / d
    difference = p1 - p2
    return (
        difference,
        difference - np.sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2),
        difference + np.sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2),
    )


def p_values(k1: npt.ArrayLike, n1: npt.ArrayLike, k2: npt.ArrayLike, n2: npt.ArrayLike) -> Floats:
    """Return the two-sided p-value of each pair k1/n1, k2/n2 for "both have the same rate".

    The z test with the pooled rate (the chi-squared test of the 2x2 table) where all four expected counts are
    at least 5, else Fisher's exact test. NaN where n1 or n2 is 0.
    """
    a, b, c, d = np.broadcast_arrays(*(np.asarray(part, dtype=float) for part in (k1, n1, k2, n2)))
    hits, total = a + c, b + d
    large = (total > 0) & (np.minimum(b, d) * np.minimum(hits, total - hits) >= 5 * total)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = hits / total
        z = (a / b - c / d) / np.sqrt(pooled * (1 - pooled) * (1 / b + 1 / d))
    p = np.full(a.shape, np.nan)
    p[large] = [math.erfc(abs(value) / math.sqrt(2)) for value in z[large]]
    small = ~large & (b > 0) & (d > 0)
    if small.any():
        from scipy.stats import fisher_exact

        tables = np.stack([a, b - a, c, d - c], axis=-1)[small].astype(int).reshape(-1, 2, 2)
        p[small] = [float(fisher_exact(table).pvalue) for table in tables]
    return p


def adjust(p: npt.ArrayLike, method: Literal["holm", "bh"]) -> Floats:
    """Return p-values adjusted for how many there are; missing ones stay missing and do not count.

    `holm` bounds the chance of any false finding (Holm 1979, whatever the dependence); `bh` the expected
    share of false ones among the findings (Benjamini and Hochberg 1995, independent or positively dependent
    tests).

    Raises
    ------
    ConfigError : another method.
    """
    if method not in ("holm", "bh"):
        raise ConfigError("There is no such correction.", found=method, allowed=choices(["holm", "bh"], method))
    given = np.asarray(p, dtype=float)
    adjusted, known = given.copy(), np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    ranked, m = given[order], len(order)
    if method == "holm":
        stepped = np.maximum.accumulate(ranked * np.arange(m, 0, -1))
    else:
        stepped = np.minimum.accumulate((ranked * m / np.arange(1, m + 1))[::-1])[::-1]
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def rates(journeys: Journeys, by: str | None = None, *, rules: Rules, mature_only: bool | None = None) -> pd.DataFrame:
    """Return the share of units that reached each step, of the previous step and of the first.

    Parameters
    ----------
    journeys : see `Journeys`.
    by : column to group by; None: one group, `all`.
    rules : level, `min_units`, `min_events` and the default of `mature_only`.
    mature_only : only chains whose window has closed. Where nothing can be said about that
        (`journeys.window_closed` is False), all units count and the result says so.

    Returns
    -------
    Frame `group, step, name, base, numerator, denominator, rate, low, high, level, method, mature_only,
    reason`. Step 1 has base `first` and is 1 by definition. The denominator of base `previous` is the units
    that reached the required step before, the numerator those of them that went on. In an open funnel base `first`
    is of all units, at whichever step they entered. Where the denominator is below `min_units`, or the numerator below
    `min_events`, `rate, low, high` are NaN and `reason` is `too_few`; otherwise `reason` is empty.

    Raises
    ------
    ConfigError : there is no column `by`.
    """
    mature = closed_only(journeys, rules, mature_only)
    table = journeys.passages(by, mature_only=mature)
    everyone = (
        table["entered"] if journeys.funnel.open else table.groupby("group", sort=False)["units"].transform("first")
    )
    onward = table[table["previous"] > 0].assign(base="previous")
    parts = [
        onward.assign(numerator=onward["passed"], denominator=onward["came"]),
        table.assign(base="first", numerator=table["units"], denominator=everyone),
    ]
    # Back to the sequence of groups; within each by step, base `previous` before `first`.
    table = pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
    judged = with_rates(table.astype({"numerator": "int64", "denominator": "int64"}), rules)
    judged = judged.assign(method="wilson", mature_only=mature)
    if not journeys.funnel.open:
        certain = (judged["step"] == 1) & (judged["reason"] == "")
        judged.loc[certain, ["low", "high"]] = 1.0
        judged.loc[judged["step"] == 1, "method"] = "definition"
    columns = "group step name base numerator denominator rate low high level method mature_only reason"
    return judged[columns.split()]


def with_rates(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return `table` (`numerator, denominator`) with `rate, low, high, level, reason` by the rules."""
    k, n = table["numerator"].to_numpy(dtype=float), table["denominator"].to_numpy(dtype=float)
    few = (n < rules.min_units) | (k < rules.min_events)
    low, high = wilson(k, n, rules.level)
    rate = np.divide(k, n, out=np.full(len(k), np.nan), where=~few & (n > 0))
    return table.assign(
        rate=rate,
        low=np.where(few, np.nan, low),
        high=np.where(few, np.nan, high),
        level=rules.level,
        reason=pd.Series(np.where(few, TOO_FEW, ""), index=table.index, dtype="str"),
    )


def closed_only(journeys: Journeys, rules: Rules, mature_only: bool | None = None) -> bool:
    """Return whether only chains with closed windows count: as asked, else as the rules say, if it can be."""
    return journeys.window_closed and (rules.mature_only if mature_only is None else mature_only)


def compare(journeys: Journeys, by: str, *, step: int, base: Base = "previous", rules: Rules) -> pd.DataFrame:
    """Compare each group's rate with that of all other units.

    Parameters
    ----------
    journeys : see `Journeys`; mature ones only, as in `rates`.
    by : column with the groups.
    step : the step reached, counted from 1; at least 2.
    base : of those who reached the step before, or the first.
    rules : level, least numbers, and the correction for the number of groups.

    Returns
    -------
    Frame `group, numerator, denominator, rate, low, high, rest_rate, difference, diff_low, diff_high, p,
    p_adjusted, clear, reason`: Wilson and Newcombe intervals (not adjusted), p as `p_values`, adjusted over
    the groups (two groups are one comparison); `clear` where p_adjusted is below 1 - level. Where a group or
    the rest has too few units or events, nothing is compared and `reason` is `too_few`.

    Raises
    ------
    ConfigError : there is no such column, step or base.
    """
    table = step_table(journeys, by, step=step, base=base, rules=rules)
    k, n = table["numerator"].to_numpy(), table["denominator"].to_numpy()
    rest = with_rates(pd.DataFrame({"numerator": k.sum() - k, "denominator": n.sum() - n}), rules)
    judged = with_rates(table, rules)
    few = ((judged["reason"] != "") | (rest["reason"] != "")).to_numpy()
    found = contrast(k, n, rest["numerator"].to_numpy(), rest["denominator"].to_numpy(), rules.level, ~few)
    p = found["p"].to_numpy()
    p_adjusted = p if len(table) == 2 else adjust(p, rules.correction)
    judged = judged.assign(
        rest_rate=rest["rate"].to_numpy(),
        difference=found["difference"].to_numpy(),
        diff_low=found["low"].to_numpy(),
        diff_high=found["high"].to_numpy(),
        p=p,
        p_adjusted=p_adjusted,
        clear=p_adjusted < 1 - rules.level,
        reason=pd.Series(np.where(few, TOO_FEW, ""), dtype="str"),
    )
    return judged[_COMPARED]


_COMPARED = [
    "group", "numerator", "denominator", "rate", "low", "high", "rest_rate", "difference", "diff_low",
    "diff_high", "p", "p_adjusted", "clear", "reason",
]  # fmt: skip


def contrast(
    k1: npt.ArrayLike,
    n1: npt.ArrayLike,
    k2: npt.ArrayLike,
    n2: npt.ArrayLike,
    level: float,
    tested: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    """Return `difference, low, high, p` of each pair; NaN where it is not `tested`."""
    a, b, c, d = (np.where(tested, part, 0) for part in (k1, n1, k2, n2))
    difference, low, high = differences(a, b, c, d, level)
    return pd.DataFrame({"difference": difference, "low": low, "high": high, "p": p_values(a, b, c, d)})


def step_table(journeys: Journeys, by: str | None, *, step: int, base: Base, rules: Rules) -> pd.DataFrame:
    """Return `group, numerator, denominator` of one step.

    Raises
    ------
    ConfigError : there is no such column, step or base.
    """
    base_of(journeys, step, base)
    table = journeys.passages(by, mature_only=closed_only(journeys, rules))
    mine = table[table["step"] == step].reset_index(drop=True)
    if base == "previous":
        return mine[["group", "passed", "came"]].set_axis(["group", "numerator", "denominator"], axis=1)
    first = table[table["step"] == 1].reset_index(drop=True)
    entered = mine["entered"] if journeys.funnel.open else first["units"]
    return pd.DataFrame({"group": mine["group"], "numerator": mine["units"], "denominator": entered})


def base_of(journeys: Journeys, step: int, base: Base) -> int:
    """Return the number of the step that a rate of `step` is a share of.

    Raises
    ------
    ConfigError : there is no such step or base.
    """
    size = len(journeys.funnel.steps)
    if not 2 <= step <= size:
        raise ConfigError(
            "There is no rate of this step.", where="step", found=step, allowed=f"2 to {size}",
            do="Count steps from 1; the first step has no rate.",
        )  # fmt: skip
    if base not in ("previous", "first"):
        raise ConfigError("There is no such base.", where="base", found=base, allowed="previous, first")
    return int(previous_steps(journeys.funnel)[step - 1]) if base == "previous" else 1
