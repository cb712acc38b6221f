"""The state machine that turns a unit's rows into its journey: the only place where a funnel has its meaning.

Rows come grouped by unit and ordered by time; each carries a mask, bit k-1 set where the row matches step k.
Per unit, a chain of depth k is k *distinct* rows that match steps 1..k at non-decreasing times (rows of one
instant count as in order, whatever their sequence), the last no later than `window` after the first. A row
may start a chain if its time lies in the range of entries.

- The deepest chain counts; among those the one completed first; among those the one that entered last;
  then the earliest steps between. (For a given entry the earliest times of all steps can be had at once: of
  two chains with the same ends, taking the earlier row at each step is a chain again.)
- It is enough to keep, for each level, the latest start of a chain that reached it: a later start can do all
  that an earlier one can. Rows of different instants are distinct by nature; within an instant, steps i..j
  can be taken together if rows can be assigned to them one to one (a bipartite matching).

The functions are plain Python. `compiled()` hands the very same code to numba; small inputs run without it,
so that they do not wait for numba to load. `python -m funnel_lib.conversion.kernel` compiles into numba's
cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.compiling import jit, worth_compiling

Times = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]
Masks = npt.NDArray[np.integer[Any]]
MISSING = -(2**63)
FOREVER = 2**63 - 1
MOST_STEPS = 62
ROWS_PER_THREAD = 1_000_000


class Settings(NamedTuple):
    """What is counted: times are microseconds since 1970, UTC; ranges are half open.

    Parameters
    ----------
    size : number of steps, at most 62.
    window : longest time from the first step to any later one, inclusive; negative means unbounded.
    entry_from, entry_until : range of times at which a chain may start.
    mature_until : like `entry_until`, but only for entries whose window has closed.
    """

    size: int
    window: int = -1
    entry_from: int = MISSING
    entry_until: int = FOREVER
    mature_until: int = FOREVER


class Measured(NamedTuple):
    """One entry per unit, in the order of the units; missing times are the smallest integer.

    `depth` over all entries, `mature_depth` over those before `mature_until`, `first_depth` of the chains
    that start at the unit's first entry; `times` has one row per step; `first_entry` and `last_entry` are
    the first and last time of a step-1 row in the range of entries.
    """

    depth: Levels
    mature_depth: Levels
    first_depth: Levels
    times: npt.NDArray[np.int64]
    first_entry: Times
    last_entry: Times


def measure(bounds: Times, at: Times, masks: Masks, settings: Settings) -> Measured:
    """Return the journeys of all units.

    Parameters
    ----------
    bounds : the rows of unit u are `bounds[u]:bounds[u + 1]`.
    at : time of each row; within a unit not decreasing.
    masks : steps that each row matches, bit k-1 for step k.
    settings : see `Settings`.

    Raises
    ------
    ValueError : more than 62 steps.
    """
    units, size = len(bounds) - 1, settings.size
    if not 1 <= size <= MOST_STEPS:
        raise ValueError(f"a funnel has 1 to {MOST_STEPS} steps, not {size}")
    levels = np.zeros((3, units), dtype=np.int8)
    times = np.full((size, units), MISSING, dtype=np.int64)
    entries = np.full((2, units), MISSING, dtype=np.int64)
    out = levels, times, entries
    if worth_compiling(len(at)):
        workers = min(os.cpu_count() or 1, 1 + len(at) // ROWS_PER_THREAD)
        with ThreadPoolExecutor(workers) as pool:
            spans = pairwise(units * worker // workers for worker in range(workers + 1))
            parts = [((*settings, *span), tuple(np.zeros((7, size + 2), dtype=np.int64))) for span in spans]
            jobs = [pool.submit(compiled(), bounds, at, masks, *part, *out) for part in parts]
            for job in jobs:
                job.result()
    else:  # lists: Python reads them several times faster than arrays
        work = tuple([0] * (size + 2) for _ in range(7))
        run(bounds.tolist(), at.tolist(), masks.tolist(), (*settings, 0, units), work, *out)
    return Measured(levels[0], levels[1], levels[2], times, entries[0], entries[1])


@cache
def compiled() -> Callable[..., None]:
    """Return `run`, compiled by numba."""
    return jit(_assign, _reach, _offer, _climb, run, names=globals())["run"]


def run(
    bounds: Sequence[int],
    at: Sequence[int],
    masks: Sequence[int],
    settings: Any,
    scratch: Any,
    levels: Any,
    times: Any,
    entries: Any,
) -> None:
    """Fill `levels` (depth, mature, first), `times` and `entries` (first, last) for a range of units."""
    size, window, entry_from, entry_until, mature_until, first_unit, last_unit = settings
    done, entry = scratch[:2]
    for unit in range(first_unit, last_unit):
        low, high = bounds[unit], bounds[unit + 1]
        head = low
        while head < high and not (masks[head] & 1 and at[head] >= entry_from):
            head += 1
        if head == high or at[head] >= entry_until:
            continue
        last = high - 1
        while not (masks[last] & 1 and at[last] < entry_until):
            last -= 1
        first_entry, last_entry = at[head], at[last]
        while head > low and at[head - 1] == first_entry:  # rows of that instant count whatever their sequence
            head -= 1
        depth = _climb(at, masks, head, high, (size, window, first_entry, entry_until), scratch)
        start, end = entry[depth], done[depth]
        levels[0][unit] = levels[1][unit] = levels[2][unit] = depth
        entries[0][unit], entries[1][unit] = first_entry, last_entry
        times[0][unit], times[depth - 1][unit] = start, end
        if depth > 2:
            _climb(at, masks, head, high, (depth, window, start, start + 1), scratch)
            for step in range(1, depth - 1):
                times[step][unit] = done[step + 1]
        if first_entry >= mature_until:
            levels[1][unit] = 0
        elif last_entry >= mature_until:
            levels[1][unit] = _climb(at, masks, head, high, (size, window, first_entry, mature_until), scratch)
        if start != first_entry:
            levels[2][unit] = _climb(at, masks, head, high, (size, window, first_entry, first_entry + 1), scratch)


def _climb(at: Sequence[int], masks: Sequence[int], low: int, high: int, settings: Any, scratch: Any) -> int:
    """Return the greatest depth; leave when each level was first done, and the latest entry it had then."""
    size, window, entry_from, entry_until = settings
    done, entry, latest, reach = scratch[:4]
    for level in range(size + 1):
        done[level] = entry[level] = latest[level] = MISSING
    row, depth = low, 0
    while row < high and depth < size:
        now, end = at[row], row + 1
        while end < high and at[end] == now:
            end += 1
        if window >= 0 and now - window >= entry_until:  # no chain is left that could still grow
            break
        latest[0] = now if entry_from <= now < entry_until else MISSING
        if end - row == 1:  # the highest level first, so that one row never serves two steps
            for level in range(min(size, depth + 1), 0, -1):
                if masks[row] >> (level - 1) & 1:
                    depth = max(depth, _offer(latest[level - 1], level, now, window, scratch))
        else:
            _reach(masks, row, end, size, scratch)
            for level in range(size, 0, -1):
                for step in range(1, level + 1):
                    if reach[step] >= level:
                        depth = max(depth, _offer(latest[step - 1], level, now, window, scratch))
        row = end
    return depth


def _offer(start: int, level: int, now: int, window: int, scratch: Any) -> int:
    """Let a chain that entered at `start` reach `level` now; return the level, 0 where it cannot."""
    done, entry, latest = scratch[:3]
    if start == MISSING or (window >= 0 and now - start > window):
        return 0
    if start > latest[level]:
        latest[level] = start
        if done[level] == MISSING:
            done[level], entry[level] = now, start
    return level


def _reach(masks: Sequence[int], low: int, high: int, size: int, scratch: Any) -> None:
    """For each step, find the furthest one to which distinct rows of low:high can be assigned."""
    reach, holds = scratch[3:5]
    for first in range(1, size + 1):
        for step in range(size + 1):
            holds[step] = -1
        reach[first] = first - 1
        while reach[first] < size and _assign(first, reach[first] + 1, masks, low, high, scratch):
            reach[first] += 1


def _assign(first: int, step: int, masks: Sequence[int], low: int, high: int, scratch: Any) -> bool:
    """Give `step` a row, moving steps first..step-1 to other rows where needed (an augmenting path)."""
    holds, parent, queue = scratch[4:]
    for other in range(first, step + 1):
        parent[other] = 0
    queue[0], parent[step] = step, step
    head, tail = 0, 1
    while head < tail:
        wanted = queue[head]
        head += 1
        for row in range(low, high):
            if not masks[row] >> (wanted - 1) & 1:
                continue
            holder = 0
            for other in range(first, step):
                if holds[other] == row:
                    holder = other
            if holder == 0:
                free = row
                while wanted != step:
                    free, holds[wanted], wanted = holds[wanted], free, parent[wanted]
                holds[step] = free
                return True
            if parent[holder] == 0:
                parent[holder] = wanted
                queue[tail] = holder
                tail += 1
    return False


if __name__ == "__main__":
    from funnel_lib.conversion import grouping

    compiled()
    for kind in (np.uint8, np.int64):
        measure(np.array([0, 1]), np.array([0]), np.array([1], dtype=kind), Settings(1))
    grouping.load()
