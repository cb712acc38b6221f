"""Why a rate moved: other people came, or the same kind of people behaved differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import TOO_FEW, Base, adjust, base_of, closed_only, newcombe, p_values, step_table
from funnel_lib.errors import ConfigError

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Reversal = Literal["none", "rate_part", "all_groups"]
PARTS = ("mix", "rate", "turnover")
_COUNTS = ["numerator_before", "denominator_before", "numerator_now", "denominator_now"]
GROUPS = [
    "group", "kind", *_COUNTS, "share_before", "share_now", "rate_before", "rate_now",
    *(f"{part}_{what}" for part in PARTS for what in ("part", "low", "high", "clear")), "total", "reason",
]  # fmt: skip
EXPLAINED = [
    "dimension", "groups", "change", "explained", "low", "high", "p_adjusted", "clear", "spread", "spread_p_adjusted",
    "spread_clear", "group", "group_total", "reversal", "reversal_clear", "reason",
]  # fmt: skip
STEPS = ["step", "name", "rate_before", "rate_now", "part", "low", "high", "p_adjusted", "clear", "reason"]


@dataclass(frozen=True)
class Part:
    """A part of a change with its interval; `clear` where its adjusted p is below 1 - level. NaN: not known."""

    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    clear: bool = False


@dataclass(frozen=True)
class Decomposition:
    """The change of a rate (now less before), split exactly: `change = mix + rate + turnover`.

    `mix`: other shares of the groups; `rate`: other rates within them; `turnover`: groups that one of the two periods
    does not have; `composition`: mix and turnover together, all that comes of who was there. `frame` has one row per
    group, the largest contribution first: `group, kind` (both, new, vanished), the counts, `share_before, share_now,
    rate_before, rate_now`, each part with `_part, _low, _high, _clear`, `total, reason`; they add up to the whole.

    `reversal`: `all_groups` where every comparable group moved one way and the whole the other (Simpson's paradox),
    `rate_part` where the rate part did, else `none`. `reversal_clear`: both the change and the rate part are clear;
    otherwise chance alone may have turned a sign.
    """

    by: str
    step: int
    base: Base
    level: float
    frame: pd.DataFrame
    change: Part = Part()
    mix: Part = Part()
    rate: Part = Part()
    turnover: Part = Part()
    composition: Part = Part()
    reversal: Reversal = "none"
    reversal_clear: bool = False
    reason: str | None = None

    @property
    def simpson(self) -> bool:
        """Whether every comparable group moved one way and the whole the other."""
        return self.reversal == "all_groups"


def decompose(
    now: Journeys,
    before: Journeys,
    by: str,
    *,
    step: int,
    base: Base = "previous",
    rules: Rules,
    rng: Rng,
    draws: int = 2000,
) -> Decomposition:
    """Split the change of a step's rate between two periods into who came and how they behaved.

    Kitagawa (1955), the interaction shared evenly. With shares w and rates r of the groups before (0) and now (1), and
    c the mean of the two total rates: `mix = (w1 - w0) ((r0 + r1) / 2 - c)`, `rate = (w0 + w1) / 2 (r1 - r0)`; a group
    of one period only has `turnover = (w1 - w0) (r - c)`. Their sum over all groups is the change.

    Parameters
    ----------
    now, before : journeys of two periods through the same funnel; units are taken as two independent samples.
    by : column with the groups, in both.
    step, base : which rate, as in `compare`.
    rules : level, least numbers, correction, and whether only closed windows count.
    rng, draws : intervals are percentiles of so many multinomial draws of each period's counts (groups x passed).

    Returns
    -------
    See `Decomposition`. Intervals are not adjusted; `clear` is: over all parts of the groups, and over the three parts
    of the whole (p of a group's rate as `p_values`, of the other parts by the draws' standard deviation). A group with
    fewer than `min_units` in a period that it is in, or `min_events` conversions in both together, keeps its parts, but
    has no rates or intervals: `too_few`. `reason` of the whole: `nobody_now`, `nobody_before`, `too_few`, or
    `not_nested` (more units took the step than its base).

    Raises
    ------
    ConfigError : there is no such column, step or base, or the two went through different funnels.
    """
    table, reason = _paired(now, before, by, step, base, rules)
    if reason is not None:
        frame = table.reindex(columns=GROUPS).assign(reason=reason)
        return Decomposition(by, step, base, rules.level, frame, reason=reason)
    k0, n0, k1, n1 = (table[name].to_numpy(dtype=np.float64) for name in _COUNTS)
    lone = (n0 == 0) | (n1 == 0)
    parts = split(k0, n0, k1, n1, lone)
    drawn = split(*redrawn(k0, n0, rng, draws), *redrawn(k1, n1, rng, draws), lone)
    frame = _by_group(table, parts, drawn, rules)
    mix, rate, turnover = _whole(parts.sum(axis=-1), drawn.sum(axis=-1), rules)
    came, came_drawn = ((part[[0]] + part[[2]]).sum(axis=-1) for part in (parts, drawn))
    (composition,) = _whole(came, came_drawn, rules)
    totals = k1.sum(), n1.sum(), k0.sum(), n0.sum()
    difference, p = newcombe(*totals, rules.level), float(p_values(*totals))
    change = Part(difference.estimate, difference.low, difference.high, p, p < 1 - rules.level)
    reversal, sure = _reversal(frame, change.estimate, rate.estimate), change.clear and rate.clear
    whole = (change, mix, rate, turnover, composition, reversal, reversal != "none" and sure)
    return Decomposition(by, step, base, rules.level, frame, *whole)


def explain_change(
    now: Journeys,
    before: Journeys,
    dimensions: Sequence[str],
    *,
    step: int,
    base: Base = "previous",
    rules: Rules,
    rng: Rng,
) -> pd.DataFrame:
    """Rank dimensions by how much of a rate's change they explain.

    A dimension can explain a change in two ways. `explained`: its groups' shares changed (mix and turnover). `spread`:
    its groups' rates changed unequally, so that the cause sits in some of them: the standard deviation, in units of the
    rate, of what each group's rate is above or below a common odds ratio (Mantel and Haenszel), less what chance adds;
    its p is that of Woolf's test (1955) for equal odds ratios. Dimensions overlap: what they explain does not add up.

    `dimensions` are columns of both journeys; all else as in `decompose`.

    Returns
    -------
    Frame `dimension, groups, change, explained, low, high, p_adjusted, clear, spread, spread_p_adjusted, spread_clear,
    group, group_total, reversal, reversal_clear, reason`: clear ones first, then by `|explained| + spread`. p-values
    are adjusted over both questions of all dimensions. `group` contributes most (`group_total`).

    Raises
    ------
    ConfigError : as `decompose`.
    """
    rows = []
    for dimension in dimensions:
        found = decompose(now, before, dimension, step=step, base=base, rules=rules, rng=rng)
        spread, spread_p = _spread(found.frame) if found.reason is None else (np.nan, np.nan)
        lead = found.frame.iloc[0] if len(found.frame) else pd.Series({"group": "", "total": np.nan})
        came = found.composition
        rows.append({
            "dimension": dimension, "groups": len(found.frame), "change": found.change.estimate,
            "explained": came.estimate, "low": came.low, "high": came.high, "p": came.p, "spread": spread,
            "spread_p": spread_p, "group": lead["group"], "group_total": lead["total"], "reversal": found.reversal,
            "reversal_clear": found.reversal_clear, "reason": found.reason or "",
        })  # fmt: skip
    table = pd.DataFrame(rows, columns=["p", "spread_p", *EXPLAINED])
    adjusted = adjust(np.concatenate([table["p"], table["spread_p"]]).astype(float), rules.correction)
    table["p_adjusted"], table["spread_p_adjusted"] = np.split(adjusted, 2) if rows else (adjusted, adjusted)
    table["clear"], table["spread_clear"] = (table[p] < 1 - rules.level for p in ("p_adjusted", "spread_p_adjusted"))
    score = table["explained"].abs().fillna(0) + table["spread"].fillna(0)
    order = np.lexsort((table["dimension"], -score, ~(table["clear"] | table["spread_clear"]), table["reason"] != ""))
    return table[EXPLAINED].iloc[order].reset_index(drop=True)


def by_step(now: Journeys, before: Journeys, *, rules: Rules, rng: Rng, draws: int = 2000) -> pd.DataFrame:
    """Split the change of the whole conversion (last step of first) into the parts of its steps.

    The whole is the product of the steps' rates; a step's part is `L(R1, R0) ln(r1 / r0)` with the logarithmic mean
    `L(a, b) = (a - b) / ln(a / b)` (Ang's LMDI, 2004): the parts add up to the change, whatever their sequence.

    Parameters are those of `decompose`.

    Returns
    -------
    Frame `step` (from 2)`, name, rate_before, rate_now, part, low, high, p_adjusted, clear, reason`: rates of the step
    before. `reason`: `too_few` (a step with fewer than `min_events` units in a period, or fewer than `min_units` that
    entered), or `not_nested` (steps may be skipped, so that the rates do not multiply).

    Raises ConfigError where the two went through different funnels.
    """
    _same_funnel(now, before)
    old, new = (
        part.counts(mature_only=closed_only(part, rules))["units"].to_numpy(dtype=np.float64) for part in (before, now)
    )
    steps = pd.DataFrame({"step": np.arange(2, len(old) + 1), "name": now.funnel.names[1:]})
    few = min(old[0], new[0]) < rules.min_units or min(old[-1], new[-1]) < max(rules.min_events, 1)
    if few or not now.funnel.simple:
        return steps.reindex(columns=STEPS).assign(clear=False, reason=TOO_FEW if now.funnel.simple else "not_nested")
    parts, drawn = _log_parts(old, new), _log_parts(*(redrawn_steps(part, rng, draws) for part in (old, new)))
    found = pd.DataFrame([vars(part) for part in _whole(parts, drawn.T, rules)])
    table = steps.assign(
        rate_before=old[1:] / old[:-1], rate_now=new[1:] / new[:-1], part=found["estimate"], low=found["low"],
        high=found["high"], p_adjusted=adjust(found["p"], rules.correction), clear=found["clear"], reason="",
    )  # fmt: skip
    return table[STEPS]


def _paired(
    now: Journeys, before: Journeys, by: str, step: int, base: Base, rules: Rules
) -> tuple[pd.DataFrame, str | None]:
    """Return the counts of both periods side by side, by group, and why they cannot be compared."""
    _same_funnel(now, before)
    base_of(now, step, base)
    sides = []
    for name, part in (("before", before), ("now", now)):
        counted = step_table(part, by, step=step, base=base, rules=rules) if len(part.frame) else _NOBODY
        sides.append(counted.set_index("group").add_suffix(f"_{name}"))
    table = pd.concat(sides, axis=1).fillna(0).astype("int64").rename_axis("group").reset_index()
    table = table[table[["denominator_before", "denominator_now"]].sum(axis=1) > 0].sort_values("group")
    table = table.astype({"group": "str"}).reset_index(drop=True)
    k0, n0, k1, n1 = (int(table[name].sum()) for name in _COUNTS)
    if any((table[f"numerator_{side}"] > table[f"denominator_{side}"]).any() for side in ("before", "now")):
        return table, "not_nested"
    if min(n0, n1) == 0:
        return table, "nobody_now" if n1 == 0 else "nobody_before"
    return table, TOO_FEW if min(n0, n1) < rules.min_units or k0 + k1 < rules.min_events else None


_NOBODY = pd.DataFrame({"group": pd.Series(dtype="str"), "numerator": [], "denominator": []})


def _same_funnel(now: Journeys, before: Journeys) -> None:
    if now.funnel.names != before.funnel.names:
        raise ConfigError(
            "The two periods went through different funnels.", where="before", found=", ".join(before.funnel.names),
            allowed=", ".join(now.funnel.names), do="Make both journeys with the same funnel.",
        )  # fmt: skip


def redrawn(k: Floats, n: Floats, rng: Rng, draws: int) -> tuple[Floats, Floats]:
    """Return (passed, all) of each group in so many multinomial draws of the period's units."""
    drawn = rng.multinomial(int(n.sum()), np.concatenate([k, n - k]) / n.sum(), size=draws).astype(np.float64)
    return drawn[:, : len(k)], drawn[:, : len(k)] + drawn[:, len(k) :]


def split(k0: Floats, n0: Floats, k1: Floats, n1: Floats, lone: npt.NDArray[np.bool_]) -> Floats:
    """Return mix, rate and turnover (first axis) of each group (last axis)."""
    w0, w1 = (n / n.sum(axis=-1, keepdims=True) for n in (n0, n1))
    # A group that one side lacks (in a draw, or at all) has no rate there: the other side's, so that no rate changed.
    own0, own1 = (np.divide(k, n, out=np.zeros_like(n), where=n > 0) for k, n in ((k0, n0), (k1, n1)))
    r0, r1 = np.where(n0 > 0, own0, own1), np.where(n1 > 0, own1, own0)
    middle = ((w0 * r0).sum(axis=-1, keepdims=True) + (w1 * r1).sum(axis=-1, keepdims=True)) / 2
    moved = (w1 - w0) * ((r0 + r1) / 2 - middle)
    return np.stack([np.where(lone, 0, moved), (w0 + w1) / 2 * (r1 - r0), np.where(lone, moved, 0)])


def _chances(estimate: Floats, drawn: Floats) -> Floats:
    """Return two-sided p-values of estimates (normal, with the draws' standard deviation along the first axis)."""
    from scipy.stats import norm

    deviation = drawn.std(axis=0)
    z = np.divide(np.abs(estimate), deviation, out=np.full_like(deviation, np.nan), where=deviation > 0)
    return np.asarray(2 * norm.sf(z), dtype=np.float64)


def _tails(rules: Rules) -> list[float]:
    return [(1 - rules.level) / 2, (1 + rules.level) / 2]


def _whole(estimates: Floats, drawn: Floats, rules: Rules) -> list[Part]:
    """Return each estimate as a part; `drawn` has one row per estimate. `clear` is adjusted over them."""
    p = _chances(estimates, drawn.T)
    clear = adjust(p, rules.correction) < 1 - rules.level
    columns = (side.tolist() for side in (estimates, *np.quantile(drawn, _tails(rules), axis=1), p, clear))
    return [Part(*values) for values in zip(*columns, strict=True)]


def _by_group(table: pd.DataFrame, parts: Floats, drawn: Floats, rules: Rules) -> pd.DataFrame:
    """Return one row per group with its parts, the largest contribution first."""
    k0, n0, k1, n1 = (table[name].to_numpy(dtype=np.float64) for name in _COUNTS)
    few = ((n0 > 0) & (n0 < rules.min_units)) | ((n1 > 0) & (n1 < rules.min_units)) | (k0 + k1 < rules.min_events)
    kind = np.select([n0 == 0, n1 == 0], ["new", "vanished"], "both")
    low, high = (np.where(few, np.nan, side) for side in np.quantile(drawn, _tails(rules), axis=1))
    p = np.stack([_chances(estimate, draws) for estimate, draws in zip(parts, drawn, strict=True)])
    p[1] = p_values(k1, n1, k0, n0)
    p[:, few] = np.nan
    clear = adjust(p.ravel(), rules.correction).reshape(p.shape) < 1 - rules.level
    r0, r1 = (np.where(few | (n == 0), np.nan, k / np.maximum(n, 1)) for k, n in ((k0, n0), (k1, n1)))
    columns = {"share_before": n0 / n0.sum(), "share_now": n1 / n1.sum(), "rate_before": r0, "rate_now": r1}
    for what, values in {"part": parts, "low": low, "high": high, "clear": clear}.items():
        columns |= {f"{name}_{what}": value for name, value in zip(PARTS, values, strict=True)}
    frame = table.assign(kind=kind, **columns, total=parts.sum(axis=0), reason=np.where(few, TOO_FEW, ""))
    frame = frame.astype({"kind": "str", "reason": "str"})
    order = np.argsort(-frame["total"].abs().to_numpy(), kind="stable")
    return frame[GROUPS].iloc[order].reset_index(drop=True)


def _reversal(frame: pd.DataFrame, change: float, rate: float) -> Reversal:
    moves = np.sign((frame["rate_now"] - frame["rate_before"]).dropna().to_numpy())
    if len(moves) > 1 and change != 0 and (moves == -np.sign(change)).all():
        return "all_groups"
    return "rate_part" if change * rate < 0 else "none"


def _spread(frame: pd.DataFrame) -> tuple[float, float]:
    """Return how unequally the groups' rates changed, and the p-value of "by one common odds ratio"."""
    from scipy.stats import chi2

    compared = frame.dropna(subset=["rate_before", "rate_now"])
    k0, n0, k1, n1 = (compared[name].to_numpy(dtype=np.float64) for name in _COUNTS)
    up, down = k1 * (n0 - k0) / (n0 + n1), k0 * (n1 - k1) / (n0 + n1)
    if len(compared) < 2 or up.sum() == 0 or down.sum() == 0:
        return np.nan, np.nan
    a, b, c, d = (cell + 0.5 for cell in (k1, n1 - k1, k0, n0 - k0))
    logs, weight = np.log(a * d / (b * c)), 1 / (1 / a + 1 / b + 1 / c + 1 / d)
    q = float((weight * (logs - (weight * logs).sum() / weight.sum()) ** 2).sum())
    r0, r1 = c / (c + d), a / (a + b)
    odds = up.sum() / down.sum() * r0 / (1 - r0)
    noise = r0 * (1 - r0) / n0 + r1 * (1 - r1) / n1
    share = (frame.loc[compared.index, ["share_before", "share_now"]].mean(axis=1)).to_numpy()
    variance = float((share * ((r1 - odds / (1 + odds)) ** 2 - noise)).sum() / share.sum())
    return float(np.sqrt(max(variance, 0.0))), float(chi2.sf(q, len(compared) - 1))


def redrawn_steps(reached: Floats, rng: Rng, draws: int) -> Floats:
    """Return the units at each step in so many multinomial draws of how far each unit went."""
    exactly = reached - np.append(reached[1:], 0)
    drawn = rng.multinomial(int(reached[0]), exactly / reached[0], size=draws)
    return drawn[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)


def _log_parts(old: Floats, new: Floats) -> Floats:
    """Return each step's part of the change of the whole rate (last axis); a step that nobody took counts a half."""
    old, new = np.maximum(old, 0.5), np.maximum(new, 0.5)
    logs = np.log(new[..., 1:] / new[..., :-1]) - np.log(old[..., 1:] / old[..., :-1])
    whole0, whole1 = (side[..., -1:] / side[..., :1] for side in (old, new))
    ratio = np.log(whole1 / whole0)
    mean = np.divide(whole1 - whole0, ratio, out=whole0.copy(), where=np.abs(ratio) > 1e-12)
    return np.asarray(mean * logs, dtype=np.float64)
