"""The kernel for the common case: default semantics, and rows that each match one step.

It says what `kernel.run_any` says (the tests compare the two), but faster: where the rows of one instant stand in the
order of their steps, no assignment of rows to steps has to be looked for, and one reading of a log gives the deepest
chain. `run` is for numba; `vectorised` says the same with numpy, for inputs that numba would not have been loaded by
the time they are done.

Both read rows ordered by time and, at one instant, by step. For each level they keep the row at which the latest
chain that reached it began: a later start can do all that an earlier one can.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from funnel_lib.conversion.engine.plan import MISSING

Ints = npt.NDArray[np.int64]
Steps = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.integer[Any]]
NOWHERE = -1
SHUFFLED, SEVERAL = 1, 2


def steps_of(masks: Masks) -> Steps | None:
    """Return the step that each row matches, 0 for none; None where a row matches several."""
    if (masks & (masks - 1)).any():
        return None
    if masks.dtype == np.uint8:
        table = np.zeros(256, dtype=np.uint8)
        table[1 << np.arange(8)] = np.arange(1, 9)
        return table[masks]
    return np.frexp(masks.astype(np.float64))[1].astype(np.uint8)  # exact: powers of two


def prepared(bounds: Ints, at: Ints, masks: Any, steps: Steps) -> int:
    """Fill `steps` with the step that each row matches.

    Return `SEVERAL` where a row matches several, `SHUFFLED` where rows of an instant are not in the order of their
    steps, else 0.
    """
    wrong = 0
    for unit in range(len(bounds) - 1):
        for row in range(bounds[unit], bounds[unit + 1]):
            mask, step = masks[row], 0
            while mask > 1 and not mask & 1:
                mask >>= 1
                step += 1
            if mask > 1:
                return SEVERAL
            steps[row] = step + mask
            if row > bounds[unit] and steps[row] < steps[row - 1] and at[row] == at[row - 1]:
                wrong = SHUFFLED
    return wrong


def in_order(bounds: Ints, at: Ints, steps: Steps) -> npt.NDArray[np.intp] | None:
    """Return the order of rows in which those of one instant stand in the order of their steps; None if they do."""
    wrong = (at[1:] == at[:-1]) & (steps[1:] < steps[:-1])
    firsts = bounds[(bounds > 0) & (bounds < len(at))]
    wrong[firsts - 1] = False
    places = np.flatnonzero(wrong)
    if len(places) == 0:
        return None
    log = np.searchsorted(bounds, places, side="right") - 1
    logs = log[np.flatnonzero(np.diff(log, prepend=-1))]
    sizes = bounds[logs + 1] - bounds[logs]
    rows = np.arange(sizes.sum()) + np.repeat(bounds[logs] - np.cumsum(sizes) + sizes, sizes)
    order = np.arange(len(at))
    order[rows] = rows[np.lexsort((steps[rows], at[rows], np.repeat(logs, sizes)))]
    return order


class Log(NamedTuple):
    """Rows that match a step, without logs that have none: where each log begins, each row's log, time and step."""

    starts: Ints
    owner: Ints
    at: Ints
    steps: Steps


def vectorised(bounds: Ints, at: Ints, steps: Steps, settings: Any, out: Any, *, brief: bool = False) -> None:
    """Fill `out` (levels, times, entries: see `kernel.Measured`) for all units."""
    levels, times, entries = out
    size, window, entry_from, entry_until, mature_until = settings
    log, units = compact(bounds, at, steps)
    if len(log.at) == 0:
        return
    at, steps = log.at, log.steps
    enters = np.flatnonzero((steps == 1) & (at >= entry_from) & (at < entry_until))
    if len(enters) == 0:
        return
    depth, start = climb(log, enters, size, window)
    begins = firsts(log.owner[enters])
    found, first, last = log.owner[enters[begins]], enters[begins], enters[np.append(begins[1:], len(enters)) - 1]
    unit = units[found]
    levels[0][unit] = levels[1][unit] = depth[found]
    entries[0][unit], entries[1][unit] = at[first], at[last]
    place = start[found]
    times[0][unit] = at[place]
    if not brief:
        after = following(log, size)
        ends = np.append(log.starts, len(at))[found + 1]
        levels[2][unit] = reached(first, ends, after, at, window)
        for step in range(2, size + 1):
            place = np.where(depth[found] >= step, after[step][place], 0)
            times[step - 1][unit] = np.where(depth[found] >= step, at[place], MISSING)
    young, both = at[first] >= mature_until, (at[first] < mature_until) & (at[last] >= mature_until)
    levels[1][unit[young]] = 0
    if both.any():
        asked = np.zeros(len(log.starts), dtype=bool)
        asked[found[both]] = True
        early = enters[(at[enters] < mature_until) & asked[log.owner[enters]]]
        levels[1][unit[both]] = climb(log, early, size, window)[0][found[both]]


def compact(bounds: Ints, at: Ints, steps: Steps) -> tuple[Log, Ints]:
    """Return the rows that match a step, ordered, and the unit of each log."""
    order = in_order(bounds, at, steps)
    if order is not None:
        at, steps = at[order], steps[order]
    owner = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    if not steps.all():
        kept = np.flatnonzero(steps)
        at, steps, owner = at[kept], steps[kept], owner[kept]
    starts = firsts(owner)
    units = owner[starts]
    if len(units) < len(bounds) - 1:
        owner = np.repeat(np.arange(len(units)), np.diff(np.append(starts, len(owner))))
    return Log(starts, owner, at, steps), units


def climb(log: Log, enters: Ints, size: int, window: int) -> tuple[npt.NDArray[np.int8], Ints]:
    """Return each log's greatest depth, and the row at which the chain began that reached it first."""
    depth, start = np.zeros(len(log.starts), dtype=np.int8), np.zeros(len(log.starts), dtype=np.int64)
    place, began = enters, enters
    for step in range(1, size + 1):
        if step > 1:
            rows = np.flatnonzero(log.steps == step)
            before = np.searchsorted(place, rows) - 1  # of later rows, no chain began earlier
            rows, before = rows[before >= 0], before[before >= 0]
            place, began = rows, began[before]
            held = began >= log.starts[log.owner[place]]
            if window >= 0:
                held &= log.at[place] - log.at[began] <= window
            place, began = place[held], began[held]
        if len(place) == 0:
            break
        begins = firsts(log.owner[place])
        owner = log.owner[place[begins]]
        depth[owner], start[owner] = step, began[begins]
    return depth, start


def firsts(owner: Ints) -> Ints:
    """Return where each run of the same owner begins."""
    changes = np.ones(len(owner), dtype=bool)
    np.not_equal(owner[1:], owner[:-1], out=changes[1:])
    return np.flatnonzero(changes)


def following(log: Log, size: int) -> dict[int, Ints]:
    """Return, for each step from the second on, the next row of that step from each row on; the row count if none."""
    rows = len(log.at)
    found = {}
    for step in range(2, size + 1):
        following = np.where(log.steps == step, np.arange(rows), rows)
        found[step] = np.minimum.accumulate(following[::-1])[::-1]
    return found


def reached(first: Ints, ends: Ints, after: dict[int, Ints], at: Ints, window: int) -> npt.NDArray[np.int8]:
    """Return how deep the chain goes that begins at each of the rows `first`."""
    depth = np.ones(len(first), dtype=np.int8)
    place, start, alive = first, at[first], np.ones(len(first), dtype=bool)
    for step, onward in after.items():
        place = onward[place]
        alive &= place < ends
        place = np.where(alive, place, 0)
        if window >= 0:
            alive &= at[place] - start <= window
        depth[alive] = step
    return depth


def run(
    bounds: Ints, at: Ints, steps: Steps, settings: Any, scratch: Any, levels: Any, times: Any, entries: Any
) -> None:
    """Fill `levels` (depth, mature, first), `times` and `entries` (first, last) for a range of units."""
    size, window, entry_from, entry_until, mature_until, first_unit, last_unit = settings
    done, began = scratch[0], scratch[1]
    for unit in range(first_unit, last_unit):
        low, high = bounds[unit], bounds[unit + 1]
        depth = ascend(at, steps, low, high, (size, window, entry_from, entry_until), scratch)
        if depth == 0:
            continue
        start, first, last = began[depth], began[1], scratch[2][0]
        levels[0][unit] = levels[1][unit] = levels[2][unit] = depth
        entries[0][unit], entries[1][unit] = at[first], at[last]
        times[0][unit], times[depth - 1][unit] = at[start], at[done[depth]]
        row = start + 1
        for step in range(2, depth):
            while steps[row] != step:
                row += 1
            times[step - 1][unit] = at[row]
        if at[first] >= mature_until:
            levels[1][unit] = 0
        elif at[last] >= mature_until:
            levels[1][unit] = ascend(at, steps, low, high, (size, window, entry_from, mature_until), scratch)
        if at[start] != at[first]:
            levels[2][unit] = onward(at, steps, first, high, size, window)


def ascend(at: Ints, steps: Steps, low: int, high: int, settings: Any, scratch: Any) -> int:
    """Return the greatest depth; leave where each level was first reached, where that chain began, the last entry."""
    _, window, entry_from, entry_until = settings
    done, began, latest = scratch[0], scratch[1], scratch[2]
    depth = 0
    for row in range(low, high):
        step = steps[row]
        if step == 1:
            if entry_from <= at[row] < entry_until:
                latest[1] = latest[0] = row
                if depth == 0:
                    depth = 1
                    done[1] = began[1] = row
        elif 1 < step <= depth + 1:
            start = latest[step - 1]
            if window < 0 or at[row] - at[start] <= window:
                latest[step] = start
                if step > depth:
                    depth = step
                    done[step], began[step] = row, start
    return depth


def onward(at: Ints, steps: Steps, first: int, high: int, size: int, window: int) -> int:
    """Return how deep the chain goes that begins at the row `first`."""
    depth = 1
    for row in range(first + 1, high):
        if window >= 0 and at[row] - at[first] > window:
            break
        if steps[row] == depth + 1:
            depth += 1
            if depth == size:
                break
    return depth


def picked(bounds: Ints, at: Ints, masks: Masks, codes: Any, moments: Ints, bits: Any) -> npt.NDArray[np.int32]:
    """Return for each unit the smallest code of its rows at one moment that match any of its bits; -1: none."""
    logs = len(bounds) - 1
    owner = np.repeat(np.arange(logs), np.diff(bounds))
    rows = np.flatnonzero((at == moments[owner]) & (masks & bits[owner] != 0) & (codes >= 0))
    found = np.full(logs, NOWHERE, dtype=np.int32)
    begins = firsts(owner[rows])
    if len(begins):
        found[owner[rows[begins]]] = np.minimum.reduceat(codes[rows], begins)
    return found
