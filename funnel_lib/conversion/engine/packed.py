"""The kernel of `single` on rows that are still packed (see `parts.Layout`): counts, or whole journeys, in one reading.

Neither unpacks times or steps of rows that come to nothing, which is most of the work where units are many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine import single
from funnel_lib.conversion.engine.arrow import MISSING
from funnel_lib.conversion.engine.compiling import jit
from funnel_lib.conversion.engine.following import is_plain
from funnel_lib.conversion.engine.parts import Layout
from funnel_lib.conversion.engine.plan import FOREVER, Plan

Ints = npt.NDArray[np.int64]
TOUCHES = ("entry", "first", "last")


class Packing(NamedTuple):
    """How rows are packed: what the compiled functions below want to know.

    `shift` bits stand below the time; `steps` is the step of each mask's number, the lowest bits by `last`; `columns`
    has for each column to bring along where its bits are, their mask, where in `ranks` its codes begin, and one more
    than it has values; `ranks` is the place of each code among the column's values (the last place: missing).
    """

    shift: int
    steps: npt.NDArray[np.uint8]
    last: int
    columns: Ints
    ranks: Ints


def packing(layout: Layout, ranked: Sequence[tuple[pa.Array, npt.NDArray[np.int32]]]) -> Packing | None:
    """Return how rows are packed; None where one may match several steps.

    Parameters
    ----------
    layout : what a record holds.
    ranked : of each column to bring along, its values (ascending) and the place of each code among them.
    """
    steps = single.steps_of(layout.masks)
    if steps is None:
        return None
    sizes = [len(values) + 1 for values, _ in ranked]
    begins = np.cumsum([0, *(len(ranks) for _, ranks in ranked)])
    columns, shift = [], layout.code_bits
    for bits, size, begin in zip(layout.by, sizes, begins, strict=False):
        columns.append((shift, (1 << bits) - 1, begin, size))
        shift += bits
    ranks = [np.where(ranks < 0, size - 1, ranks) for (_, ranks), size in zip(ranked, sizes, strict=True)]
    return Packing(
        layout.shift, steps, (1 << layout.code_bits) - 1, np.array(columns, dtype=np.int64).reshape(-1, 4),
        np.concatenate([*ranks, np.zeros(0, dtype=np.int64)]).astype(np.int64),
    )  # fmt: skip


def limits(layout: Layout, plan: Plan) -> tuple[int, ...]:
    """Return size, window (-1: none), first and last possible entry and the end of maturity, as packed times."""
    window = plan.funnel.window_us
    found = (plan.entry_from, plan.entry_until, FOREVER if window is None else plan.mature_until)
    packed = [min(max(limit - layout.since, -1), FOREVER) for limit in found]
    return len(plan.funnel.steps), -1 if window is None else window, *packed


def knows(plan: Plan) -> bool:
    """Return whether these functions know all that the funnel asks for."""
    funnel = plan.funnel
    parted = funnel.counting != "units" or funnel.hold_constant or funnel.matching.resolution
    return is_plain(funnel) and not parted and plan.touch in TOUCHES


@cache
def compiled() -> dict[str, Callable[..., Any]]:
    """Return the functions below, compiled by numba."""
    return jit(rise, beyond, least, count, write, names=globals())


def count(bounds: Any, words: Ints, packing: Any, settings: Any, touch: int, scratch: Any, tally: Any) -> None:
    """Add up how deep units go, from rows that are still packed: nothing is kept of a unit but its place in `tally`.

    Parameters
    ----------
    packing : see `Packing`.
    settings : see `limits`.
    touch : which row gives the columns: 0 the entry of the attempt that counts, 1 the first entry, 2 the last.
    scratch : three arrays by step.
    tally : groups x depth x mature depth.
    """
    _, window, entry_from, entry_until, mature_until = settings
    shift, columns = packing[0], packing[3]
    for unit in range(len(bounds) - 1):
        low, high = bounds[unit], bounds[unit + 1]
        depth = rise(words, low, high, packing, (window, entry_from, entry_until), scratch)
        if depth == 0:
            continue
        start, first, latest = scratch[1][depth], scratch[1][1], scratch[2][0]
        mature = depth
        if words[first] >> shift >= mature_until:
            mature = 0
        elif words[latest] >> shift >= mature_until:
            mature = rise(words, low, high, packing, (window, entry_from, mature_until), scratch)
        place = 0
        if len(columns):
            chosen = start if touch == 0 else first if touch == 1 else latest
            for column in range(len(columns)):
                place = place * columns[column, 3] + least(words, low, high, chosen, packing, column)
        tally[place, depth, mature] += 1


def write(bounds: Any, words: Ints, packing: Any, settings: Any, touch: int, scratch: Any, out: Any) -> int:
    """Fill `out` with the journeys of the units that entered, and return how many they are.

    Parameters
    ----------
    packing, settings, touch, scratch : as for `count`; `settings` ends with the first time, in microseconds.
    out : for each journey the place of its unit; `levels` (depth, mature, first); `times` (one row a step, then first
        and last entry), the smallest integer where there is none; `codes`, one row a column to bring along.
    """
    size, window, entry_from, entry_until, mature_until, since = settings
    shift, table, last, columns = packing[0], packing[1], packing[2], packing[3]
    owner, levels, times, codes = out
    done, began, latest = scratch
    made = 0
    for unit in range(len(bounds) - 1):
        low, high = bounds[unit], bounds[unit + 1]
        depth = rise(words, low, high, packing, (window, entry_from, entry_until), scratch)
        if depth == 0:
            continue
        start, end, first, latter = began[depth], done[depth], began[1], latest[0]
        owner[made] = unit
        for step in range(depth, size):
            times[step, made] = MISSING
        times[0, made], times[depth - 1, made] = (words[start] >> shift) + since, (words[end] >> shift) + since
        row = start + 1
        for step in range(2, depth):
            while table[words[row] & last] != step:
                row += 1
            times[step - 1, made] = (words[row] >> shift) + since
        times[size, made], times[size + 1, made] = (words[first] >> shift) + since, (words[latter] >> shift) + since
        chosen = start if touch == 0 else first if touch == 1 else latter
        for column in range(len(columns)):
            codes[column, made] = least(words, low, high, chosen, packing, column)
        levels[0, made] = levels[1, made] = levels[2, made] = depth
        if words[start] >> shift != words[first] >> shift:
            levels[2, made] = beyond(words, first, high, packing, size, window)
        if words[first] >> shift >= mature_until:
            levels[1, made] = 0
        elif words[latter] >> shift >= mature_until:
            levels[1, made] = rise(words, low, high, packing, (window, entry_from, mature_until), scratch)
        made += 1
    return made


def beyond(words: Ints, first: int, high: int, packing: Any, size: int, window: int) -> int:
    """Do what `single.onward` does, with packed rows."""
    shift, table, last = packing[:3]
    depth = 1
    for row in range(first + 1, high):
        if window >= 0 and (words[row] >> shift) - (words[first] >> shift) > window:
            break
        if table[words[row] & last] == depth + 1:
            depth += 1
            if depth == size:
                break
    return depth


def rise(words: Ints, low: int, high: int, packing: Any, settings: Any, scratch: Any) -> int:
    """Do what `single.ascend` does, with packed rows."""
    shift, table, last = packing[:3]
    window, entry_from, entry_until = settings
    done, began, latest = scratch
    depth = 0
    for row in range(low, high):
        step = table[words[row] & last]
        if step == 1:
            if entry_from <= words[row] >> shift < entry_until:
                latest[1] = latest[0] = row
                if depth == 0:
                    depth = 1
                    done[1] = began[1] = row
        elif 1 < step <= depth + 1:
            start = latest[step - 1]
            if window < 0 or (words[row] >> shift) - (words[start] >> shift) <= window:
                latest[step] = start
                if step > depth:
                    depth = step
                    done[step], began[step] = row, start
    return depth


def least(words: Ints, low: int, high: int, chosen: int, packing: Any, column: int) -> int:
    """Return the smallest place of a column's values among the entries at the time of one of them."""
    shift, table, last, columns, ranks = packing
    found, now = columns[column, 3] - 1, words[chosen] >> shift
    row = chosen
    while row > low and words[row - 1] >> shift == now:
        row -= 1
    while row < high and words[row] >> shift == now:
        if table[words[row] & last] == 1:
            found = min(found, ranks[columns[column, 2] + (words[row] >> columns[column, 0] & columns[column, 1])])
        row += 1
    return int(found)
