"""The rows of a log that lie in a time, of some events: found in one pass, without copying what is not wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.keeping.arranging import Ints

_MANY = 4
"""Where events fill one in so many rows or more, all rows are looked at rather than each event's by themselves."""
FIRST, LAST = int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max)
"""Moments before and after all others."""


def selected(arrays: Mapping[str, Ints], ends: Ints, codes: Sequence[int], low: int, high: int) -> Ints:
    """Return the places of the rows of some events between two moments, ascending.

    Parameters
    ----------
    arrays : those of a log. `ends` : where each event's rows begin among those by event, and their number.
    codes : the events, as places among the log's names.
    low, high : the first moment, and the one before which they lie, in microseconds since 1970, UTC.
    """
    parts = [arrays["order"][ends[code] : ends[code + 1]] for code in codes]
    bounded = low > FIRST or high < LAST
    if len(parts) == 1:
        return parts[0][lying(arrays["at"], parts[0], low, high)] if bounded else parts[0]
    if sum(map(len, parts)) * _MANY > len(arrays["at"]):
        wanted = np.zeros(len(ends), dtype=bool)  # its last entry is asked for rows without an event
        wanted[[*codes]] = True
        if worth_compiling(len(arrays["at"])):
            found = np.empty(len(arrays["at"]), dtype=arrays["order"].dtype)
            return found[: _compiled()["sieve"](arrays["event"], arrays["at"], wanted, low, high, found)].copy()
        held = wanted[arrays["event"]]
        if bounded:
            held &= (arrays["at"] >= low) & (arrays["at"] < high)
        return np.flatnonzero(held)
    if bounded:
        parts = [part[lying(arrays["at"], part, low, high)] for part in parts]
    together: Ints = np.concatenate([*parts, arrays["order"][:0]])
    together.sort()
    return together


def lying(at: Ints, rows: Ints, low: int, high: int) -> Ints:
    """Return which of these rows lie between two moments, as places among them."""
    if worth_compiling(len(rows)):
        found: Ints = np.empty(len(rows), dtype=np.int32 if len(rows) < 2**31 else np.int64)
        return found[: _compiled()["within"](at, rows, low, high, found)].copy()
    moments = at[rows]
    return np.flatnonzero((moments >= low) & (moments < high))


def sieve(event: Ints, at: Ints, wanted: npt.NDArray[np.bool_], low: int, high: int, found: Ints) -> int:
    """Write the places of wanted rows between two moments into `found`; return how many (numba compiles it)."""
    count = 0
    for place in range(len(at)):
        if wanted[event[place]] and low <= at[place] < high:
            found[count] = place
            count += 1
    return count


def within(at: Ints, rows: Ints, low: int, high: int, found: Ints) -> int:
    """Write which rows lie between two moments into `found`; return how many (numba compiles it)."""
    count = 0
    for place in range(len(rows)):
        if low <= at[rows[place]] < high:
            found[count] = place
            count += 1
    return count


@cache
def _compiled() -> dict[str, Callable[..., Any]]:
    return jit(sieve, within, names=globals())
