"""Since when a rate is another one, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.plan import MISSING
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.dating import as_dates, by_day, local_days
from funnel_lib.conversion.movement.noise import chance, lasting, memory, rated
from funnel_lib.conversion.rates import TOO_FEW, Base, base_of, closed_only, differences, wilson
from funnel_lib.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rng = np.random.Generator
CHANGES = ["day", "day_low", "day_high", "rate_before", "rate_after", "difference", "low", "high", "p", "p_adjusted"]
LEVELS = ["start", "end", "numerator", "denominator", "rate", "low", "high"]
FEWEST_DAYS, LONGEST_SPELL = 14, 28


@dataclass(frozen=True)
class Changes:
    """The days since when a rate is another one.

    `frame` has one row per change, oldest first: `day` (the first of the new level) with its interval `day_low` to
    `day_high`; `rate_before, rate_after` of the levels that it separates; their `difference, low, high`; `p`, and
    `p_adjusted` for the number of stretches searched. `levels` has one row per level: `start, end` (days, both
    included), counts, rate and interval. `p` is that of the likeliest change of the whole series, found or not.
    `dispersion`: variance of long sums within the levels per binomial one, at least 1; intervals allow for it.
    `weekdays`: their effects were removed. `reason`: `no_days, too_short, too_few, not_nested, no_variation` or None.
    """

    frame: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CHANGES))
    levels: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=LEVELS))
    p: float = np.nan
    dispersion: float = np.nan
    weekdays: bool = False
    reason: str | None = None


def daily(
    journeys: Journeys, *, step: int, base: Base = "previous", rules: Rules, zone: tzinfo | None = None
) -> pd.DataFrame:
    """Return a step's counts by the day on which units stood before it.

    A fault acts on whoever stands before the step at that time, so units are dated by the step before (base `first`,
    and the second step: by their first entry, with what they reached within one window of it). Where only closed
    windows count, days end where all windows have closed. Who entered before the data begins is missing from the first
    days of later steps, which so hold the quickest only: as many days as 95 % of units take to get there are left out.

    Parameters
    ----------
    journeys : with times.
    step, base : which rate, as in `compare`.
    rules : whether only closed windows count.
    zone : days are those of this zone; by default the period's, else UTC.

    Returns
    -------
    Frame `day` (midnight, without zone)`, numerator, denominator`, one row per day, also those without units.

    Raises
    ------
    ConfigError : there is no such step or base.
    """
    place = base_of(journeys, step, base)
    local = zone or (journeys.period.start.tzinfo if journeys.period else None) or UTC
    limit = journeys.closed_until if closed_only(journeys, rules) else None
    key = ("daily", step, place, limit, str(local))
    return journeys.once(key, lambda: _daily(journeys, step, place, limit, local)).copy()


def _daily(journeys: Journeys, step: int, place: int, limit: datetime | None, zone: tzinfo) -> pd.DataFrame:
    """Count a step by day; `place` is the step before, `limit` the last entry that counts."""
    entry, at, depth = ("first_entry", "first_entry", "first_depth") if place == 1 else ("t_1", f"t_{place}", "depth")
    reached, stood, entered = journeys.frame[depth].to_numpy(), journeys.moments(at), journeys.moments(entry)
    there = (stood != MISSING) & (reached >= place)
    last = [journeys.period.last_day] if journeys.period else []
    if limit is not None:
        there &= (entered != MISSING) & (entered <= microseconds(limit))
        last.append(limit.astimezone(zone).date() - timedelta(days=1))
    stood, passed = stood[there], reached[there] >= step
    if len(stood) == 0:
        return pd.DataFrame({"day": as_dates(stood), "numerator": stood, "denominator": stood})
    wait = 0.0 if entry == at else np.quantile((stood - entered[there]) / 1e6, 0.95) / 86400
    counted, days = by_day(local_days(stood, zone), passed)
    left_out = min(int(np.ceil(wait)), len(days))
    first, final = as_dates(days[0] + np.array([int(np.ceil(wait)), len(days) - 1]))
    span = pd.date_range(first, min([final, *map(pd.Timestamp, last)]), unit="us")
    passing, standing = counted[:, left_out : left_out + len(span)]
    return pd.DataFrame({"day": span, "numerator": passing, "denominator": standing})


def changes(counts: pd.DataFrame, *, rules: Rules, rng: Rng, shortest: int = 3, draws: int = 999) -> Changes:
    """Search a daily rate for the days since when it is another one.

    For every day the binomial likelihood ratio of "another level from here on" against "one level", and for every spell
    of up to four weeks the score statistic of "another level in between". The largest of each, divided by what the
    residuals' autocorrelation adds to the variance of long sums, is judged by days arranged anew among the same
    weekdays, as like to their neighbours as the residuals are and a little more, each arrangement divided by its own
    (the smaller p counts double). So neither weekdays, nor more variance than a binomial's, nor neighbouring days that
    resemble each other are taken for a change; slow drift may be. Where one is found, all sides are searched in turn
    (binary segmentation), with p doubled at each depth. Weekday effects (on the logit) are removed from three weeks on.

    The day's interval holds the days that the likelihood ratio cannot tell from the best: less than
    `-2 ln(1 - sqrt(level))` below it (Hansen 2000), times the dispersion. The difference's interval is Newcombe's for
    counts divided by the dispersion; being chosen as the largest, a barely clear difference is too large on average.

    Parameters
    ----------
    counts : `day, numerator, denominator`, one row per day, as of `daily`; missing days are days without units.
    rules : level and least numbers.
    rng, draws : arrangements; fewer are drawn where there is plainly nothing.
    shortest : days that a level lasts at least. A single odd day is an incident, not a change.

    Raises
    ------
    DataError : a column is missing.
    """
    table = each_day(counts)
    k, n = (table[name].to_numpy(dtype=np.float64) for name in table)
    if reason := _unfit(k, n, shortest, rules):
        return Changes(reason=reason)
    weekday = pd.DatetimeIndex(table.index).day_of_week.to_numpy().astype(np.int64) * (len(k) >= 21)
    found, whole = _segment(k, n, weekday, shortest, 1 - rules.level, draws, rng)
    cuts = _settle(k, n, weekday, [cut for cut, _, _ in found], shortest)
    beta, bounds, near = _weekdays(k, n, weekday, cuts), [0, *cuts, len(k)], []
    residuals = _residuals(k, n, weekday, beta, cuts)
    dispersion = max(1.0, float((residuals**2).sum()) / max(1, (residuals != 0).sum() - len(beta) - len(cuts)))
    dispersion *= float(lasting(*memory(residuals, len(cuts) + 1)))
    for left, right in zip(bounds, bounds[2:], strict=False):
        ratio = _scan(k[left:right], n[left:right], weekday[left:right], beta, shortest)
        alike = np.flatnonzero(ratio >= ratio.max() + 2 * np.log(1 - np.sqrt(rules.level)) * dispersion)
        near.append((left + alike[0] + 1, left + alike[-1] + 1))
    levels = _levels(table, bounds, dispersion, rules)
    frame = _frame(table.index, cuts, near, levels, dispersion, rules)
    frame["p"], frame["p_adjusted"] = [p for _, p, _ in found], [p for _, _, p in found]
    return Changes(frame[CHANGES], levels, whole, dispersion, bool(weekday.any()))


def each_day(counts: pd.DataFrame) -> pd.DataFrame:
    """Return `numerator, denominator` by day, without gaps: days that are missing are days without units.

    Raises
    ------
    DataError : a column is missing.
    """
    missing = [name for name in ("day", "numerator", "denominator") if name not in counts]
    if missing:
        raise DataError("The daily counts lack a column.", found=list(counts), allowed=missing)
    sums = counts.assign(day=pd.to_datetime(counts["day"])).groupby("day")[["numerator", "denominator"]].sum()
    return sums.asfreq("D", fill_value=0)


def _unfit(k: Floats, n: Floats, shortest: int, rules: Rules) -> str | None:
    """Return why nothing can be searched."""
    if len(k) < max(FEWEST_DAYS, 2 * shortest):
        return "too_short" if len(k) else "no_days"
    if n.sum() < rules.min_units or k.sum() < rules.min_events:
        return TOO_FEW
    if (k > n).any():
        return "not_nested"
    return "no_variation" if k.sum() in (0, n.sum()) else None


def _segment(
    k: Floats, n: Floats, weekday: Ints, shortest: int, alpha: float, draws: int, rng: Rng
) -> tuple[list[tuple[int, float, float]], float]:
    """Return (first day of the new level, p, adjusted p) of each change, in order, and the whole series' p."""
    beta, whole = _weekdays(k, n, weekday, []), np.nan
    found, waiting = [], [(0, len(k), 0)]
    while waiting:
        left, right, depth = waiting.pop()
        if right - left < max(FEWEST_DAYS, 2 * shortest):
            continue
        p, cuts = _likeliest(k[left:right], n[left:right], weekday[left:right], beta, shortest, draws, rng)
        whole = p if depth == 0 else whole
        if (adjusted := min(1.0, p * 2**depth)) < alpha:
            places = [left + cut for cut in cuts]
            found += [(place, p, adjusted) for place in places]
            waiting += [(*ends, depth + 1) for ends in pairwise([left, *places, right])][::-1]
    return sorted(found), whole


def _likeliest(
    k: Floats, n: Floats, weekday: Ints, beta: Floats, shortest: int, draws: int, rng: Rng
) -> tuple[float, list[int]]:
    """Return the p-value of the likelier of a lasting change and a spell, for both questions, and its cuts."""
    passed, seen = _sums(k, n, weekday, [])
    expected = 1 / (1 + np.exp(-(_fit(passed.sum(axis=1), seen, beta)[0] + beta[weekday])))
    off = (k - n * expected) / np.sqrt(np.maximum(n * expected * (1 - expected), 1e-9))
    tested = []
    for scan in (_scan, _spells):
        score = partial(scan, weekday=weekday, beta=beta, shortest=shortest)
        rate = partial(rated, score=score, expected=expected, shortest=shortest)
        found = rate(k[None], n[None])
        if (best := float(found.best[0])) > 0:
            cuts = [int(cut) for cut in found.cuts[0]]
            p = chance(found, rate, np.stack([k, n]), weekday, off, draws, rng)
            tested.append((p, np.log(len(k)) * len(cuts) - best, cuts))
    p, _, cuts = min(tested, default=(1.0, 0.0, []))
    return min(1.0, 2 * p), cuts


def _scan(k: Floats, n: Floats, weekday: Ints, beta: Floats, shortest: int) -> Floats:
    """Return twice the log likelihood ratio of a change after each day but the last (last axis: days)."""
    among = (weekday[:, None] == np.arange(len(beta))).astype(np.float64)
    passed, seen = k.cumsum(axis=-1), (n[..., None] * among).cumsum(axis=-2)
    one = _fit(passed[..., -1:], seen[..., -1:, :], beta)[1]
    before = _fit(passed[..., :-1], seen[..., :-1, :], beta)[1]
    after = _fit(passed[..., -1:] - passed[..., :-1], seen[..., -1:, :] - seen[..., :-1, :], beta)[1]
    ratio = 2 * (before + after - one)
    ratio[..., : shortest - 1] = ratio[..., ratio.shape[-1] - shortest + 1 :] = -np.inf
    return np.asarray(ratio, dtype=np.float64)


def _spells(k: Floats, n: Floats, weekday: Ints, beta: Floats, shortest: int) -> Floats:
    """Return the score statistic of a spell at another level (last axes: its first day, its length less `shortest`)."""
    days = k.shape[-1]
    passed, seen = _sums(k.reshape(-1, days)[0], n.reshape(-1, days)[0], weekday, [])  # alike in every permutation
    level = _fit(passed.sum(axis=1), seen, beta)[0]
    p = 1 / (1 + np.exp(-(level + beta[weekday])))
    start, length = np.arange(days)[:, None], np.arange(shortest, min(LONGEST_SPELL, days // 2) + 1)
    allowed = (start >= shortest) & (start + length <= days - shortest)
    end = np.minimum(start + length, days)
    zero = np.zeros((*k.shape[:-1], 1))
    gap, variance = (np.concatenate([zero, part.cumsum(axis=-1)], axis=-1) for part in (k - n * p, n * p * (1 - p)))
    inside, beyond = (part[..., end] - part[..., start] for part in (variance, gap))
    left = inside * (1 - inside / np.maximum(variance[..., -1:, None], 1e-9))
    return np.where(allowed & (left > 1e-9), beyond**2 / np.maximum(left, 1e-9), -np.inf)


def _fit(k: Floats, n: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Return the level (logit) of k passed of n units, n by offset `beta` (last axis), and the log likelihood.

    The likelihood is less a part that does not depend on the level.
    """
    total, expected = n.sum(axis=-1), n @ (1 / (1 + np.exp(-beta)))
    level = np.log((k + 0.5) * (total - expected + 0.5) / ((expected + 0.5) * (total - k + 0.5)))
    for _ in range(5):
        p = 1 / (1 + np.exp(-(level[..., None] + beta)))
        slope = (n * p * (1 - p)).sum(axis=-1)
        level = level + np.clip((k - (n * p).sum(axis=-1)) / np.maximum(slope, 1e-9), -2, 2)
    likelihood = level * k - (n * np.logaddexp(0, level[..., None] + beta)).sum(axis=-1)
    likelihood = np.select([k <= 0, k >= total], [np.zeros_like(likelihood), -(n @ beta)], likelihood)
    return np.clip(level, -20, 20), likelihood


def _sums(k: Floats, n: Floats, weekday: Ints, cuts: Sequence[int]) -> tuple[Floats, Floats]:
    """Return passed and all units by level and weekday."""
    days, level = np.arange(len(k)), np.zeros((len(cuts) + 1, int(weekday.max()) + 1))
    passed, seen = level.copy(), level.copy()
    place = (np.searchsorted(cuts, days, side="right"), weekday)
    np.add.at(passed, place, k)
    np.add.at(seen, place, n)
    return passed, seen


def _weekdays(k: Floats, n: Floats, weekday: Ints, cuts: Sequence[int]) -> Floats:
    """Return each weekday's logit beside the levels that the cuts separate (both fitted in turn)."""
    passed, seen = _sums(k, n, weekday, cuts)
    level = np.zeros(len(cuts) + 1)
    beta = _fit(passed.sum(axis=0), seen.T, level)[0]
    for _ in range(8 if cuts else 0):
        level = _fit(passed.sum(axis=1), seen, beta)[0]
        beta = _fit(passed.sum(axis=0), seen.T, level)[0]
    return beta


def _settle(k: Floats, n: Floats, weekday: Ints, cuts: Sequence[int], shortest: int) -> list[int]:
    """Return the cuts, each moved to where it fits best between its neighbours."""
    settled = list(cuts)
    for _ in range(2 if settled else 0):
        beta = _weekdays(k, n, weekday, settled)
        for place in range(len(settled)):
            left, _, right = [0, *settled, len(k)][place : place + 3]
            part = slice(left, right)
            settled[place] = left + int(_scan(k[part], n[part], weekday[part], beta, shortest).argmax()) + 1
    return settled


def _residuals(k: Floats, n: Floats, weekday: Ints, beta: Floats, cuts: Sequence[int]) -> Floats:
    """Return Pearson's residuals; 0 on days that tell nothing."""
    passed, seen = _sums(k, n, weekday, cuts)
    level = _fit(passed.sum(axis=1), seen, beta)[0][np.searchsorted(cuts, np.arange(len(k)), side="right")]
    p = 1 / (1 + np.exp(-(level + beta[weekday])))
    variance = n * p * (1 - p)
    return np.divide(k - n * p, np.sqrt(variance), out=np.zeros_like(k), where=variance > 1e-9)


def _levels(table: pd.DataFrame, bounds: Sequence[int], dispersion: float, rules: Rules) -> pd.DataFrame:
    starts = np.array(bounds[:-1])
    sums = np.add.reduceat(table.to_numpy(dtype=np.int64), starts, axis=0)
    low, high = wilson(sums[:, 0] / dispersion, sums[:, 1] / dispersion, rules.level)
    rate = sums[:, 0] / np.where(sums[:, 1], sums[:, 1], np.nan)
    columns = (table.index[starts], table.index[np.array(bounds[1:]) - 1], *sums.T, rate, low, high)
    return pd.DataFrame(dict(zip(LEVELS, columns, strict=True)))


def _frame(
    index: pd.Index,
    cuts: Sequence[int],
    near: Sequence[tuple[int, int]],
    levels: pd.DataFrame,
    spread: float,
    rules: Rules,
) -> pd.DataFrame:
    """Return one row per change: its day, and the levels on both sides of it."""
    k, n = (levels[name].to_numpy(dtype=np.float64) / spread for name in ("numerator", "denominator"))
    difference, low, high = differences(k[1:], n[1:], k[:-1], n[:-1], rules.level)
    days = {
        name: index[np.array(at, dtype=int)]
        for name, at in zip(CHANGES, (cuts, *np.array(near).reshape(-1, 2).T), strict=False)
    }
    rate = levels["rate"].to_numpy()
    return pd.DataFrame(
        {**days, "rate_before": rate[:-1], "rate_after": rate[1:], "difference": difference, "low": low, "high": high}
    )
