"""What goes with converting: attributes and earlier events, each with all others held equal. Not what causes it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.rates import TOO_FEW, adjust
from funnel_lib.conversion.reasons.design import ONE_GROUP, Design, design
from funnel_lib.conversion.worth.intervals import Floats, Rng, z_of
from funnel_lib.errors import ConfigError, choices

NOT_CAUSAL, NO_FIT, NO_VARIATION = "not_causal", "does_not_fit", "no_variation"
EVENTS_PER_PARAMETER = 5
COLUMNS = [
    "attribute", "value", "reference", "units", "converted", "rate", "odds_ratio", "odds_low", "odds_high", "effect",
    "low", "high", "level", "p", "p_adjusted", "clear", "half_1", "half_2", "stable", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Drivers:
    """What goes with converting; `table`: see `drivers`.

    `units` and `converted` of the model; `left_out` units have a value that says everything or that too few share.
    `note` is always `not_causal`. Without any estimate there is a `reason`.
    """

    table: pd.DataFrame
    units: int
    converted: int
    left_out: int
    reason: str = ""
    note: str = NOT_CAUSAL


@dataclass(frozen=True)
class _Fit:
    """Estimates of one model: coefficients with their errors, and effects in shares with theirs."""

    coefficient: Floats
    error: Floats
    effect: Floats
    effect_error: Floats


def drivers(
    people: pd.DataFrame,
    attributes: Sequence[str],
    *,
    outcome: str = "converted",
    cluster: str | None = None,
    rules: Rules,
    rng: Rng,
) -> Drivers:
    """Return how much more often units with a value convert than those with the reference, all else being equal.

    Logistic regression on all attributes together (statsmodels). `effect` is the average marginal effect: the mean
    change of everybody's chance if it had the value instead of the reference, as a share; the odds ratio beside it is
    larger than the ratio of the chances where conversion is common. Intervals are Wald's (the effect's by the delta
    method); with `cluster`, robust against units of one cluster being alike. `p` is that of the coefficient, adjusted
    over all rows. A random half of the units (of the clusters) and the other one are fitted apart: `stable` says that
    both have the same sign and do not differ by more than chance. It describes; who converts may differ in more ways.

    Parameters
    ----------
    people : one row per unit: `outcome` (yes or no), the attributes (texts, yes/no or numbers; numbers are cut into
        thirds), and `cluster`. Attributes must be known before the outcome: what is recorded of converted units only
        looks like the best driver of all.
    attributes : which columns; of two that say nearly the same, the first one stays.
    rules : level, least numbers and correction.

    Returns
    -------
    `Drivers`; its table: `attribute, value, reference, units, converted, rate, odds_ratio, odds_low, odds_high, effect,
    low, high, level, p, p_adjusted, clear, half_1, half_2, stable, reason`, the clear ones first, by size of the
    effect. The reference of an attribute is its most frequent value. `reason`: `too_few` units or conversions with
    the value (see `design`); `separated`: all of them convert, or none; `collinear` with attributes before it;
    `one_group`: there is nothing to compare; of the whole model `does_not_fit`, `no_variation` (all convert, or none),
    or `too_few` (fewer than 5 conversions, or non-conversions, for each estimate).

    Raises
    ------
    ConfigError : there is no such column, or the outcome is neither yes nor no.
    """
    _check(people, [outcome, *attributes, *([cluster] if cluster else [])], outcome)
    converted = people[outcome].to_numpy(dtype=bool)
    made = design(people, list(attributes), converted, rules)
    kept = made.kept
    groups = None if cluster is None else pd.factorize(people[cluster], use_na_sentinel=False)[0][kept]
    units, bought = len(made.kind), int(np.count_nonzero(converted[kept]))
    one_way = len(converted) > 0 and (bool(converted.all()) or not converted.any())
    reason = NO_VARIATION if one_way else _hopeless(made, min(bought, units - bought))
    whole = None if reason else _fit(made, groups, np.ones(units, dtype=bool))
    reason = reason or (NO_FIT if whole is None else "")
    found = made.rows.assign(level=rules.level, clear=False, stable=False)
    if whole is not None:
        half = _halves(units, groups, rng)
        found = _with_estimates(found, whole, [_fit(made, groups, part) for part in (half, ~half)], rules)
    found["reason"] = found["reason"].where((found["reason"] != "") & (reason != NO_VARIATION), reason).astype("str")
    found["size"] = -found["effect"].abs() if "effect" in found else 0.0
    ordered = found.sort_values(["clear", "size"], ascending=[False, True], kind="stable", ignore_index=True)
    return Drivers(ordered.reindex(columns=COLUMNS), units, bought, int((~kept).sum()), reason)


def _check(people: pd.DataFrame, names: Sequence[str], outcome: str) -> None:
    missing = next((name for name in names if name not in people), None)
    if missing is not None:
        raise ConfigError(
            f"There is no column {missing!r}.", found=missing, allowed=choices(map(str, people), missing),
            do="Name columns of the people.",
        )  # fmt: skip
    if not set(people[outcome].dropna().unique()) <= {0, 1} or people[outcome].isna().any():
        raise ConfigError("The outcome is neither yes nor no.", where=outcome, allowed="true and false, or 1 and 0")


def _hopeless(made: Design, rarer: int) -> str:
    if made.columns.shape[1] == 0:
        reasons = {*made.rows["reason"]} or {ONE_GROUP}
        return min(reasons) if len(reasons) == 1 else TOO_FEW
    return TOO_FEW if rarer < EVENTS_PER_PARAMETER * (made.columns.shape[1] + 1) else ""


def _halves(size: int, groups: npt.NDArray[np.int64] | None, rng: Rng) -> npt.NDArray[np.bool_]:
    if groups is None:
        return np.asarray(rng.permutation(size) < size // 2)
    count = int(groups.max(initial=-1)) + 1
    return np.asarray((rng.permutation(count) < count // 2)[groups])


def _fit(made: Design, groups: npt.NDArray[np.int64] | None, part: npt.NDArray[np.bool_]) -> _Fit | None:
    """Fit the model to a part of the units; None where it has no finite solution."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    kind = made.kind[part]
    if groups is None:  # units that are alike in all are one row: many units cost no more than few
        weight = np.bincount(kind, minlength=len(made.converted)).astype(np.float64)
        kind = np.flatnonzero(weight)
        weight = weight[kind]
        weights, how = {"freq_weights": weight}, dict[str, Any]()
    else:
        weight, weights = np.ones(len(kind)), dict[str, Any]()
        how = {"cov_type": "cluster", "cov_kwds": {"groups": groups[part]}}
    x, answers = np.column_stack([np.ones(len(kind)), made.columns[kind]]), made.converted[kind].astype(np.float64)
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a search that does not end is said as a warning
        try:
            result = GLM(answers, x, family=Binomial(), **weights).fit(**how)
        except (Warning, ArithmeticError, ValueError, np.linalg.LinAlgError):
            return None
    beta, covariance = np.asarray(result.params), np.asarray(result.cov_params())
    error = np.sqrt(np.diag(covariance))
    if not np.isfinite(error).all() or (np.abs(beta[1:]) > 12).any() or (error > 10).any():
        return None
    effect, gradient = _effects(made, x, weight / weight.sum(), beta)
    spread = np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))
    return _Fit(beta[1:], error[1:], effect, spread)


def _effects(made: Design, x: Floats, weight: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Return each column's average marginal effect, and its gradient in the coefficients."""
    effects, gradients = [], []
    for column, block in enumerate(made.blocks):
        chances, slopes = [], []
        for value in (1.0, 0.0):  # with the value, and with the reference: all other values of the attribute are 0
            changed = x.copy()
            changed[:, 1 + block.start : 1 + block.stop] = 0.0
            changed[:, 1 + column] = value
            p = 1 / (1 + np.exp(-changed @ beta))
            chances.append(float(weight @ p))
            slopes.append((weight * p * (1 - p)) @ changed)
        effects.append(chances[0] - chances[1])
        gradients.append(slopes[0] - slopes[1])
    return np.array(effects), np.array(gradients)


def _with_estimates(rows: pd.DataFrame, whole: _Fit, halves: Sequence[_Fit | None], rules: Rules) -> pd.DataFrame:
    z, estimated = z_of(rules.level), rows["column"] >= 0
    place = rows.loc[estimated, "column"].to_numpy(dtype=np.int64)
    columns: dict[str, Any] = {
        "odds_ratio": np.exp(whole.coefficient), "odds_low": np.exp(whole.coefficient - z * whole.error),
        "odds_high": np.exp(whole.coefficient + z * whole.error), "effect": whole.effect,
        "low": whole.effect - z * whole.effect_error, "high": whole.effect + z * whole.effect_error,
        "p": _two_sided(whole.coefficient / whole.error),
    }  # fmt: skip
    columns["p_adjusted"] = adjust(columns["p"], rules.correction)
    columns["clear"] = columns["p_adjusted"] < 1 - rules.level
    nothing = np.full(len(whole.effect), np.nan)
    one, two = (nothing if half is None else half.effect for half in halves)
    columns |= {"half_1": one, "half_2": two, "stable": np.zeros(len(nothing), dtype=bool)}
    if halves[0] is not None and halves[1] is not None:
        noise = z * np.hypot(halves[0].effect_error, halves[1].effect_error)
        columns["stable"] = (np.sign(one) == np.sign(two)) & (np.abs(one - two) <= noise)
    found = rows.copy()
    for name, values in columns.items():
        if name not in found:
            found[name] = np.nan
        found.loc[estimated, name] = values[place]
    return found.astype({"clear": bool, "stable": bool})


def _two_sided(z: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(2 * ndtr(-np.abs(z)), dtype=np.float64)
