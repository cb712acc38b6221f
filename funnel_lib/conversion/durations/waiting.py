"""How long units stay at each step, those still there included; and the shape of the time to convert."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.lifetable import Ints
from funnel_lib.conversion.durations.spells import DAY_US, NOT_KNOWN, By, moment, reached, spells
from funnel_lib.conversion.durations.survival import half_of, median_of, why_not
from funnel_lib.conversion.journeys import Journeys

_BINS = 20
_SECOND, _MINUTE, _HOUR = 1_000_000, 60_000_000, 3_600_000_000
_WIDTHS = [
    *(count * _SECOND for count in (1, 5, 15, 30)), *(count * _MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR for count in (1, 2, 3, 6, 12)), *(count * DAY_US for count in (1, 2, 3, 7, 14, 28, 91, 364)),
]  # fmt: skip
_HALF = {"moved": "half", "low": "low", "high": "high"}
_DWELL = [
    "step", "name", "next", "n", "moved_on", "median", "low", "high", "half_moved", "half_low", "half_high",
    "still_waiting", "waiting_median", "level", "set_aside", "method", "reason", "half_reason",
]  # fmt: skip


def dwell(journeys: Journeys, *, rules: Rules, whole_days: bool | None = None) -> pd.DataFrame:
    """Return how long units stay at each step before they reach the next, those still there included.

    The mean or median of those who moved on would be too short: the slow are still waiting.

    Parameters
    ----------
    journeys : see `Journeys`.
    rules : level and least numbers.
    whole_days : see `spells`.

    Returns
    -------
    Frame `step, name, next, n, moved_on, median, low, high, half_moved, half_low, half_high, still_waiting,
    waiting_median, level, set_aside, method, reason, half_reason`, one row for each step but the last; times
    in days. `n` units reached the step, `moved_on` reached the next. `median, low, high` are the days within
    which half of all `n` had moved on (`median_time`; most funnels lose more than half: `reason` is
    `not_half`); `half_moved, half_low, half_high` those of all who ever do (`half_of_conversions`, with
    `half_reason`). `still_waiting` units may yet move on: their window is open; `waiting_median` is how long
    half of them have waited so far, at least.
    """
    names, rows = journeys.funnel.names, []
    for step in range(1, len(names)):
        found = spells(journeys, None, start=step, end=step + 1, whole_days=whole_days, keep=False)
        group, per_day = next(found.groups()), found.ticks_per_day
        reason, whole = median_of(group, rules)
        half_reason, movers = half_of(group, rules)
        waiting = _waiting(journeys, step)
        rows.append(
            {
                "step": step,
                "name": names[step - 1],
                "next": names[step],
                "n": len(group.length),
                "moved_on": int(group.ended.sum()),
                **{column: value / per_day for column, value in whole.items()},
                **{f"half_{column}": movers[key] / per_day for column, key in _HALF.items()},
                "still_waiting": len(waiting),
                "waiting_median": float(np.median(waiting)) / DAY_US if len(waiting) else math.nan,
                "level": rules.level,
                "set_aside": group.set_aside,
                "method": found.method,
                "reason": reason,
                "half_reason": half_reason,
            }
        )
    table = pd.DataFrame(rows, columns=_DWELL)
    return table.astype(dict.fromkeys(("name", "next", "method", "reason", "half_reason"), "str"))


def _waiting(journeys: Journeys, step: int) -> Ints:
    """Return for how many microseconds the units have waited that are at a step and may yet reach the next."""
    if journeys.as_of is None:
        return np.array([], dtype=np.int64)
    at, known, funnel = reached(journeys, step), moment(journeys.as_of), journeys.funnel
    if funnel.simple:
        here = np.flatnonzero(journeys.frame["depth"].to_numpy() == step)
    else:
        here = np.flatnonzero(reached(journeys, step + 1) == NOT_KNOWN)
    here = here[(at[here] != NOT_KNOWN) & (at[here] <= known)]
    if funnel.window_us is not None:
        begun = (at if step == 1 else reached(journeys, 1))[here]
        here = here[(begun == NOT_KNOWN) | (known - np.maximum(begun, 0) <= funnel.window_us)]
    within = funnel.steps[step].within
    waited: Ints = known - at[here]
    return waited if within is None else waited[waited <= within.total_seconds() * _SECOND]


def histogram(
    journeys: Journeys,
    by: By = None,
    *,
    start: int = 1,
    end: int | None = None,
    rules: Rules,
    whole_days: bool | None = None,
) -> pd.DataFrame:
    """Return how the time to convert is spread, in bins of one width that reads well.

    The width is the smallest of a fixed list (seconds, minutes, hours, days, weeks) with which at most 20 bins
    reach as far as 99 of 100 conversions; the last bin holds all that took longer. The same for all groups.

    Parameters
    ----------
    journeys, by, start, end, rules, whole_days : as in `by_day`.

    Returns
    -------
    Frame `group, from_days, to_days, units, share, method, reason`: `units` took more than `from_days` and at
    most `to_days` (the first bin: from 0 on, both included), as far as seen. `share` is the share of all
    entries that convert in the bin, with those still under way counted for as long as they have been
    followed, so that recent entries do not bend the shape to the left; NaN beyond what has been observed and
    where `reason` says why not. With dates only, the first bin is the day of the start and the bins hold
    whole days. No row where nobody converted.

    Raises
    ------
    ConfigError : as in `by_day`.
    """
    found = spells(journeys, by, start=start, end=end, whole_days=whole_days)
    taken = found.length[found.ended]
    edges = _edges(taken, found.tick)
    parts = []
    for group in found.groups():
        places = np.searchsorted(edges[1:], group.length[group.ended], side="left")
        reason, until = why_not(group, rules), group.observed_until(rules.min_units)
        reached_by = np.append(0.0, group.table.share(edges[1:]))
        last = until if found.horizon is None or until < found.horizon else int(edges[-1])
        known = (edges[1:] <= last) & (reason == "")
        parts.append(
            pd.DataFrame(
                {
                    "group": pd.Series([group.name] * (len(edges) - 1), dtype="str"),
                    "from_days": edges[:-1] / found.ticks_per_day,
                    "to_days": edges[1:] / found.ticks_per_day,
                    "units": np.bincount(places, minlength=len(edges) - 1) if len(edges) > 1 else [],
                    "share": np.where(known, np.diff(reached_by), np.nan) if len(edges) > 1 else [],
                    "method": found.method,
                    "reason": pd.Series([reason] * (len(edges) - 1), dtype="str"),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _edges(taken: Ints, tick: int) -> Ints:
    """Return the bins' edges in ticks; none where nobody converted."""
    if len(taken) == 0:
        return np.array([], dtype=np.int64)
    longest = int(taken.max())
    most = int(np.partition(taken, (len(taken) - 1) * 99 // 100)[(len(taken) - 1) * 99 // 100])
    widths = [width // tick for width in _WIDTHS if width >= tick]
    width = next((width for width in widths if most <= width * _BINS), -(-most // _BINS))
    inner = np.arange(0, max(most, 1) + width, width, dtype=np.int64)
    return inner if longest <= inner[-1] else np.append(inner, longest)
