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
so that they do not wait for numba to load. `python -m funnel_lib.conversion.engine.kernel` compiles into numba's
cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.engine import single
from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.engine.plan import FOREVER, MISSING

Times = npt.NDArray[np.int64]
Levels = npt.NDArray[np.int8]
Masks = npt.NDArray[np.integer[Any]]
MOST_STEPS = 62
ROWS_PER_THREAD = 1_000_000
# Numpy does in a second what plain Python does in so many.
VECTORISED = 10


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


def measure(bounds: Times, at: Times, masks: Masks, settings: Settings, *, brief: bool = False) -> Measured:
    """Return the journeys of all units.

    Parameters
    ----------
    bounds : the rows of unit u are `bounds[u]:bounds[u + 1]`.
    at : time of each row; within a unit not decreasing.
    masks : steps that each row matches, bit k-1 for step k.
    settings : see `Settings`.
    brief : do not look for `first_depth` and for the times between entry and end; they may or may not be filled.

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
    if worth_compiling(len(at) // VECTORISED):
        steps = np.empty(len(at), dtype=np.uint8)
        found = compiled()["prepared"](bounds, at, masks, steps)
        order = single.in_order(bounds, at, steps) if found == single.SHUFFLED else None
        rows = (at, steps) if order is None else (at[order], steps[order])
        if found == single.SEVERAL:
            spread(compiled()["run_any"], (bounds, at, masks), settings, out)
        else:
            spread(compiled()["run"], (bounds, *rows), settings, out)
    elif (steps_or_none := single.steps_of(masks)) is not None:
        single.vectorised(bounds, at, steps_or_none, settings, out, brief=brief)
    elif worth_compiling(len(at)):
        spread(compiled()["run_any"], (bounds, at, masks), settings, out)
    else:  # lists: Python reads them several times faster than arrays
        work = tuple([0] * (size + 2) for _ in range(7))
        run_any(bounds.tolist(), at.tolist(), masks.tolist(), (*settings, 0, units), work, *out)
    return Measured(levels[0], levels[1], levels[2], times, entries[0], entries[1])


def spread(code: Callable[..., None], rows: tuple[Any, Any, Any], settings: Settings, out: Any) -> None:
    """Run compiled code over all units, in threads where the input is large."""
    units, size = len(rows[0]) - 1, settings.size
    workers = min(os.cpu_count() or 1, 1 + len(rows[1]) // ROWS_PER_THREAD)
    spans = [(units * worker // workers, units * (worker + 1) // workers) for worker in range(workers)]
    parts = [((*settings, *span), tuple(np.zeros((7, size + 2), dtype=np.int64))) for span in spans]
    if workers == 1:
        code(*rows, *parts[0], *out)
        return
    with ThreadPoolExecutor(workers) as pool:
        for job in [pool.submit(code, *rows, *part, *out) for part in parts]:
            job.result()


@cache
def compiled() -> dict[str, Callable[..., Any]]:
    """Return `run_any` and `single.run`, compiled by numba."""
    made = jit(_assign, _reach, _offer, _climb, run_any, names=globals())
    plain = single.prepared, single.ascend, single.onward, single.run
    return made | jit(*plain, names=vars(single))


def run_any(
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
    for kind in (np.uint8, np.int64):
        for mask in (1, 3):
            compiled()
            measure(np.array([0, 1]), np.array([0]), np.array([mask], dtype=kind), Settings(2))
