"""Conversion over time from all entries, the recent ones too: each counts for as long as it has been followed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.lifetable import Floats, Ints, LifeTable, first_time
from funnel_lib.conversion.durations.spells import By, Group, spells
from funnel_lib.conversion.durations.timing import NO_TIMES
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import TOO_FEW, adjust, wilson

NO_CONVERSIONS, NOT_OBSERVED, NOT_HALF, ONE_GROUP = "no_conversions", "not_observed", "not_half", "one_group"
_LONGEST = 366
_BLOCK = 200_000
_BY_DAY = ["group", "day", "converted", "rate", "low", "high", "level", "at_risk", "set_aside", "method", "reason"]
_TIMED = ["level", "set_aside", "method", "reason"]


def by_day(
    journeys: Journeys,
    by: By = None,
    *,
    start: int = 1,
    end: int | None = None,
    days: int | None = None,
    per_day: int = 1,
    rules: Rules,
    whole_days: bool | None = None,
) -> pd.DataFrame:
    """Return the share of units that got from one step to another by each day, from all entries.

    A unit that has not converted counts for as long as it has been followed (Kaplan and Meier 1958), so that
    recent entries neither lower the rate nor are thrown away. Its clock starts at its first entry. Assumes
    that those who entered lately convert like those before them.

    Parameters
    ----------
    journeys : see `Journeys`.
    by : column to group by, or several; None: one group, `all`.
    start, end : the two steps, counted from 1; `end` is the last step unless given.
    days : last day to show; by default the window (rounded up), else as far as is known, at most 366.
    per_day : rows for each day, such as 24 for every hour; one where dates only are known.
    rules : level and least numbers.
    whole_days : whether the times are dates only; None: looked up, see `spells`.

    Returns
    -------
    Frame `group, day, converted, rate, low, high, level, at_risk, set_aside, method, reason`: `converted` are
    those seen to convert by the day; `at_risk` had neither converted nor gone out of sight before it; the
    interval is that of `LifeTable.limits`, for its day. `method` is `kaplan_meier`, or `life_table` where
    dates only are known: then day 0 is the day of the start itself, and a unit last seen on a day counts for
    a part of it. `set_aside` are units with an end before their start. Where the rate is NaN, `reason` is
    `no_times`, `too_few` units or conversions in the group, `no_conversions`, or, for a day, `not_observed`:
    too few units were followed for so long (see `enough`).

    Raises
    ------
    ConfigError : there is no such column, or the steps are not two of the funnel in order.
    """
    found = spells(journeys, by, start=start, end=end, whole_days=whole_days)
    groups = list(found.groups())
    limits = {group.name: group.observed_until(rules.min_units) for group in groups}
    if days is None:
        longest = max(limits.values(), default=0) if found.horizon is None else found.horizon
        days = min(_LONGEST, max(1, math.ceil(longest / found.ticks_per_day)))
    finer = per_day if found.ticks_per_day > 1 else 1
    shown = np.arange(days * finer + 1) / finer if finer > 1 else np.arange(days + 1)
    parts = [pd.DataFrame(columns=_BY_DAY)] if not groups else []
    for group in groups:
        table, reason = group.table, why_not(group, rules)
        ticks = np.arange(days * finer + 1) * found.ticks_per_day // finer
        if found.horizon is not None:
            ticks = np.minimum(ticks, found.horizon)  # the last day ends with the window
        known = (ticks <= limits[group.name]) & (reason == "")
        low, high = table.limits(ticks, rules.level)
        parts.append(
            pd.DataFrame(
                {
                    "group": pd.Series([group.name] * len(shown), dtype="str"),
                    "day": shown,
                    "converted": np.searchsorted(table.ends, ticks, side="right"),
                    **{
                        name: np.where(known, values, np.nan)
                        for name, values in (("rate", table.share(ticks)), ("low", low), ("high", high))
                    },
                    "level": rules.level,
                    "at_risk": table.remaining(ticks),
                    "set_aside": group.set_aside,
                    "method": found.method,
                    "reason": pd.Series(np.where(known, "", reason or NOT_OBSERVED), dtype="str"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def median_time(
    journeys: Journeys,
    by: By = None,
    *,
    start: int = 1,
    end: int | None = None,
    rules: Rules,
    whole_days: bool | None = None,
) -> pd.DataFrame:
    """Return the days within which half of *all* units got from one step to another, from all entries.

    Most funnels never get there: see `half_of_conversions` for half of those who convert at all.

    Parameters
    ----------
    journeys, by, start, end, rules, whole_days : as in `by_day`.

    Returns
    -------
    Frame `group, entered, converted, median, low, high, level, set_aside, method, reason`, in days; the
    interval holds the days at which the curve's own interval holds one half (Brookmeyer and Crowley 1982). A
    limit is NaN where the curve has not been observed far enough for it. `reason` is that of `by_day`, or
    `not_half`: the curve stays below one half as far as it is known.

    Raises
    ------
    ConfigError : as in `by_day`.
    """
    found = spells(journeys, by, start=start, end=end, whole_days=whole_days)
    rows = [_row(group, rules, *median_of(group, rules)) for group in found.groups()]
    return _timed(rows, found.ticks_per_day, ["median", "low", "high"])


def half_of_conversions(
    journeys: Journeys,
    by: By = None,
    *,
    start: int = 1,
    end: int | None = None,
    rules: Rules,
    whole_days: bool | None = None,
) -> pd.DataFrame:
    """Return the days by which half of those have converted who ever do, from all entries.

    “Ever” is within the window, or as far as is known (`until`). The median of the times seen so far would be
    too short: of recent entries only the fast have arrived.

    Parameters
    ----------
    journeys, by, start, end, rules, whole_days : as in `by_day`.

    Returns
    -------
    Frame `group, entered, converted, half, low, high, until, level, set_aside, method, reason`, in days. The
    interval holds the days at which one half may have been reached: a score test of the share of conversions
    that came by then, with the size that its variance is worth (that of the two points of the Kaplan-Meier
    curve and their covariance). `reason` is that of `by_day`, or `not_observed`: too few units (see
    `enough`) have been followed for the whole window.

    Raises
    ------
    ConfigError : as in `by_day`.
    """
    found = spells(journeys, by, start=start, end=end, whole_days=whole_days)
    rows = [_row(group, rules, *half_of(group, rules)) for group in found.groups()]
    return _timed(rows, found.ticks_per_day, ["half", "low", "high", "until"])


def median_of(group: Group, rules: Rules) -> tuple[str, dict[str, float]]:
    """Return `reason`, and `median, low, high` in ticks, of one group; see `median_time`."""
    reason, until = why_not(group, rules), group.observed_until(rules.min_units)
    middle = math.nan if reason else group.table.when(0.5, until)
    reason = reason or (NOT_HALF if math.isnan(middle) else "")
    low, high = (math.nan, math.nan) if reason else group.table.when_limits(0.5, rules.level, until)
    return reason, {"median": middle, "low": low, "high": high}


def half_of(group: Group, rules: Rules) -> tuple[str, dict[str, float]]:
    """Return `reason`, and `half, low, high, until` in ticks, of one group; see `half_of_conversions`."""
    reason, until = why_not(group, rules), group.observed_until(rules.min_units)
    if not reason and (len(group.table.times) == 0 or until < (group.spells.horizon or int(group.table.times[0]))):
        reason = NOT_OBSERVED
    half, low, high = (math.nan,) * 3 if reason else half_time(group.table, until, rules.level)
    return reason, {"half": half, "low": low, "high": high, "until": math.nan if reason else float(until)}


def half_time(table: LifeTable, until: int, level: float) -> tuple[float, float, float]:
    """Return when half of the ends by `until` had come, and its interval, in ticks; see `half_of_conversions`."""
    times = table.times[: int(np.searchsorted(table.times, until, side="right"))]
    last, end_spread = float(table.survival[len(times) - 1]), float(table.spread[len(times) - 1])
    total = 1 - last

    def limits(places: Ints) -> tuple[Floats, Floats]:
        left, spread = table.survival[places], table.spread[places]
        part = (1 - left) / total  # of the ends by `until`, those that had come by each time
        # part = (1 - S) / (1 - S_end); its derivatives times S and S_end, and Var = S² spread, Cov = S S_end spread.
        own, other = -left / total, part * last / total
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = own**2 * spread + 2 * own * other * spread
            size = part * (1 - part) / (variance + (other**2 * end_spread if last > 0 else 0.0))
        low, high = wilson(part * size, size, level)
        final = places == len(times) - 1  # where all have come, for certain
        return np.where(final, 1.0, low), np.where(final, 1.0, high)

    low = first_time(times, lambda places: limits(places)[1] >= 0.5)
    return table.when(total / 2, until), low, first_time(times, lambda places: limits(places)[0] > 0.5)


@dataclass(frozen=True)
class LogRank:
    """Whether groups convert at different speeds or shares: the log-rank test.

    `statistic` is chi-squared with `degrees` degrees of freedom for “all groups are the same”, with its `p`.
    `table` compares each group with all others: see `log_rank`. `reason` says why nothing was tested.
    """

    statistic: float
    degrees: int
    p: float
    table: pd.DataFrame
    reason: str


def log_rank(
    journeys: Journeys,
    by: str | Sequence[str],
    *,
    start: int = 1,
    end: int | None = None,
    rules: Rules,
    whole_days: bool | None = None,
) -> LogRank:
    """Test whether groups convert alike over time, from all entries.

    At each time of a conversion, of those at risk then, each group is expected to have its share of the
    conversions (Mantel 1966). Sees differences that are of one direction all along; curves that cross may
    escape it. Assumes that how long a unit is followed depends on nothing that conversion does.

    Parameters
    ----------
    journeys, start, end, rules, whole_days : as in `by_day`.
    by : column with the groups.

    Returns
    -------
    `LogRank`; its `table` is `group, entered, converted, expected, ratio, p, p_adjusted, clear, reason`: the
    conversions seen and those expected if all groups were alike, their ratio, and the p-value of each group
    against all others, adjusted over the groups (two groups are one comparison); `clear` where p_adjusted is
    below 1 - level. A group with too few units or conversions is not compared (`too_few`), nor is anything
    where there are not two groups (`one_group`).

    Raises
    ------
    ConfigError : as in `by_day`.
    """
    groups = list(spells(journeys, by, start=start, end=end, whole_days=whole_days).groups())
    tables = [group.table for group in groups]
    reasons = [why_not(group, rules) for group in groups]
    if len(groups) < 2:
        reasons = [reason or ONE_GROUP for reason in reasons]
    seen, expected, variance = _expected(tables)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = (seen - expected) ** 2 / np.diag(variance)
        ratio = seen / expected
    tested = np.array([reason == "" for reason in reasons], dtype=bool) & ~np.isnan(squares)
    p = np.where(tested, _p_value(squares, 1), np.nan)
    adjusted = p if len(groups) == 2 else adjust(p, rules.correction)
    table = pd.DataFrame(
        {
            "group": pd.Series([group.name for group in groups], dtype="str"),
            "entered": np.array([table.units for table in tables], dtype=np.int64),
            "converted": seen.astype(np.int64),
            "expected": expected,
            "ratio": np.where(tested, ratio, np.nan),
            "p": p,
            "p_adjusted": adjusted,
            "clear": adjusted < 1 - rules.level,
            "reason": pd.Series(reasons, dtype="str"),
        }
    )
    together = ONE_GROUP if len(groups) < 2 else "" if tested.sum() >= 2 else TOO_FEW
    if together:
        return LogRank(math.nan, max(0, len(groups) - 1), math.nan, table, together)
    gap = (seen - expected)[:-1]
    statistic = float(gap @ np.linalg.pinv(variance[:-1, :-1]) @ gap)
    return LogRank(statistic, len(groups) - 1, float(_p_value(np.array(statistic), len(groups) - 1)), table, "")


def _expected(tables: list[LifeTable]) -> tuple[Floats, Floats, Floats]:
    """Return the ends seen, those expected if all were alike, and the covariance of their difference."""
    ends = np.sort(np.concatenate([table.ends for table in tables])) if tables else np.array([], dtype=np.int64)
    first = np.flatnonzero(np.diff(ends, prepend=-1))
    at, events = ends[first], np.diff(first, append=len(ends))
    size = len(tables)
    expected, variance = np.zeros(size), np.zeros((size, size))
    for begin in range(0, len(at), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        risk = np.stack([table.remaining(at[block]) for table in tables]).astype(float)
        total = risk.sum(axis=0)
        share = risk / total
        expected += share @ events[block]
        weight = events[block] * (total - events[block]) / np.maximum(total - 1, 1)
        variance += np.diag(share @ weight) - (share * weight) @ share.T
    return np.array([float(len(table.ends)) for table in tables]), expected, variance


def _p_value(statistic: Floats, degrees: int) -> Floats:
    from scipy.special import chdtrc

    return np.asarray(chdtrc(float(degrees), statistic), dtype=np.float64)


def why_not(group: Group, rules: Rules) -> str:
    """Return the reason why nothing can be said of a group; empty where something can."""
    if group.untimed:
        return NO_TIMES
    if len(group.length) < rules.min_units:
        return TOO_FEW
    converted = int(group.ended.sum())
    if converted == 0:
        return NO_CONVERSIONS
    return TOO_FEW if converted < rules.min_events else ""


def _row(group: Group, rules: Rules, reason: str, values: dict[str, float]) -> dict[str, object]:
    return {
        "group": group.name,
        "entered": len(group.length),
        "converted": int(group.ended.sum()),
        **values,
        "level": rules.level,
        "set_aside": group.set_aside,
        "method": group.spells.method,
        "reason": reason,
    }


def _timed(rows: list[dict[str, object]], ticks_per_day: int, times: list[str]) -> pd.DataFrame:
    columns = ["group", "entered", "converted", *times, *_TIMED]
    table = pd.DataFrame(rows, columns=columns).astype({"group": "str", "method": "str", "reason": "str"})
    table[times] = table[times] / ticks_per_day
    return table
