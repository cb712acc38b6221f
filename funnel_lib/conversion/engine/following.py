"""From grouped rows to the journeys of their units: the one waist through which every feeder goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conversion.engine import attempts, choosing, kernel, matching
from funnel_lib.conversion.engine.compiling import jit, worth_compiling
from funnel_lib.conversion.engine.grouping import Codes, Grouped
from funnel_lib.conversion.engine.plan import FOREVER, MISSING, Plan
from funnel_lib.definition import Funnel, Matching
from funnel_lib.notation import in_microseconds

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]
ROWS_PER_THREAD = 250_000
# The general kernel does more per row than the fast one, so compiling it pays sooner.
HEAVIER = 12
TIME = pa.timestamp("us", tz="UTC")


class Found(NamedTuple):
    """Journeys as arrays: one place per journey, of the log `log`; missing times are the smallest integer.

    `times` has one row per step; `entry` is when the attempt that counts began; `steps` has one row per mask of steps
    (took, mature took, passed, mature passed), None for simple funnels; `number` counts the attempts of a unit from 1,
    None where each unit has one journey; `mature` holds when the best mature attempt was completed and when it
    entered, None where nobody asks.
    """

    log: Ints
    depth: Bytes
    mature_depth: Bytes
    first_depth: Bytes
    times: Ints
    first_entry: Ints
    last_entry: Ints
    entry: Ints
    steps: Ints | None = None
    number: Ints | None = None
    mature: Ints | None = None


def follow(grouped: Grouped, plan: Plan) -> pa.Table:
    """Return the journeys of all units that entered.

    Returns
    -------
    `unit`, `session` (text) or `entry` (int32: number of the unit's attempt) where those are counted, `depth`,
    `mature_depth`, `first_depth` (int8), `t_1` to `t_K`, `first_entry`, `last_entry` (µs, UTC; null: missing),
    `matured` (bool); `reached`, `mature_reached`, `passed`, `mature_passed` (int64 masks, bit k-1: step k) where depth
    alone does not tell them; then the columns to bring along.
    """
    funnel = plan.funnel
    if funnel.window is None:
        plan = replace(plan, mature_until=FOREVER)
    grouped = divided(grouped, funnel)
    found = entries(grouped, plan) if funnel.counting == "entries" else units(grouped, plan)
    codes = None
    if funnel.hold_constant and funnel.counting == "units":
        if plan.touch in ("first", "last"):
            codes = [brought(found, grouped, part, plan) for part in grouped.codes]
        found, codes = merged(found, grouped, plan, codes)
    if codes is None:
        codes = [brought(found, grouped, part, plan) for part in grouped.codes]
    columns = table(found, grouped, plan)
    for name, code, values in zip(plan.by, codes, grouped.values, strict=True):
        columns[name] = values.take(pa.array(code, mask=code < 0))
    made = pa.table(columns)
    return made if (found.depth > 0).all() else made.filter(pa.array(found.depth > 0))


def table(found: Found, grouped: Grouped, plan: Plan) -> dict[str, Any]:
    """Return the journeys' own columns."""
    funnel, size = plan.funnel, len(plan.funnel.steps)
    columns: dict[str, Any] = {"unit": grouped.units.take(pa.array(found.log))}
    if funnel.counting == "sessions" and grouped.logs is not None:
        columns["session"] = grouped.logs.take(pa.array(found.log))
    if found.number is not None:
        columns["entry"] = found.number.astype(np.int32)
    columns |= {"depth": found.depth, "mature_depth": found.mature_depth, "first_depth": found.first_depth}
    columns |= {f"t_{step + 1}": as_times(found.times[step]) for step in range(size)}
    columns |= {"first_entry": as_times(found.first_entry), "last_entry": as_times(found.last_entry)}
    matured = found.depth == size
    if funnel.window is not None:
        matured = matured | (found.last_entry < plan.mature_until)
    columns["matured"] = matured
    if found.steps is not None:
        names = ("reached", "mature_reached", "passed", "mature_passed")
        columns |= dict(zip(names, found.steps, strict=True))
    return columns


def as_times(moments: Ints) -> pa.Array:
    """Return microseconds since 1970 as times (UTC); the smallest integer is missing."""
    return pa.array(np.ascontiguousarray(moments).view("datetime64[us]")).cast(TIME)


def divided(grouped: Grouped, funnel: Funnel) -> Grouped:
    """Return the logs with times cut to the funnel's resolution, and divided into sessions at long pauses."""
    resolution, gap = in_microseconds(funnel.matching.resolution), in_microseconds(funnel.session_gap)
    if resolution:
        grouped = grouped._replace(at=grouped.at // resolution * resolution)
    if gap is None or len(grouped.at) == 0:
        return grouped
    begins = np.zeros(len(grouped.at) + 1, dtype=bool)
    begins[1:-1] = np.diff(grouped.at) > gap
    begins[grouped.bounds] = True
    bounds = np.flatnonzero(begins)
    owner = np.searchsorted(grouped.bounds, bounds[:-1], side="right") - 1
    number = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    return grouped._replace(
        units=grouped.units.take(pa.array(owner)), bounds=bounds, logs=pa.array(number).cast(pa.string())
    )


def units(grouped: Grouped, plan: Plan) -> Found:
    """Return one journey per log."""
    count, size = len(grouped.bounds) - 1, len(plan.funnel.steps)
    log = np.arange(count)
    if is_plain(plan.funnel):
        window = plan.funnel.window_us
        settings = kernel.Settings(
            size, -1 if window is None else window, plan.entry_from, plan.entry_until, plan.mature_until
        )
        made = kernel.measure(grouped.bounds, grouped.at, grouped.masks, settings)
        return Found(log, *made, entry=made.times[0])
    levels = np.zeros((3, count), dtype=np.int8)
    times = np.full((size, count), MISSING, dtype=np.int64)
    moments = np.full((5, count), MISSING, dtype=np.int64)
    steps = np.zeros((4, count), dtype=np.int64)
    spread(grouped, plan, "run", (levels, times, moments, steps))
    if not plan.funnel.open:
        for step in range(size):
            steps[choosing.TOOK] |= np.where(times[step] != MISSING, 1 << step, 0)
        steps[choosing.PASSED :] = steps[: choosing.PASSED] & ~1
    shown = None if plan.funnel.simple else steps
    return Found(
        log, levels[0], levels[1], levels[2], times, moments[0], moments[1], moments[4], shown, mature=moments[2:4]
    )  # fmt: skip


def entries(grouped: Grouped, plan: Plan) -> Found:
    """Return one journey per attempt, where a unit enters anew only after the one before has ended."""
    size, options = len(plan.funnel.steps), switches(plan)
    may_enter = grouped.masks & (1 if options.order != attempts.ANY else (1 << size) - 1) != 0
    counted = np.concatenate([[0], np.cumsum(may_enter)])[grouped.bounds]
    depth, entered = np.zeros(counted[-1], dtype=np.int8), np.full(counted[-1], MISSING, dtype=np.int64)
    times = np.full((size, counted[-1]), MISSING, dtype=np.int64)
    spread(grouped, plan, "run_entries", (depth, times, entered, counted))
    kept = np.flatnonzero(entered != MISSING)
    log = (np.searchsorted(counted, kept, side="right") - 1).astype(np.int64)
    depth, entered, times = depth[kept], entered[kept], times[:, kept]
    owner = owners(grouped)[log]
    order = np.lexsort((entered, owner))
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order)) - np.searchsorted(owner[order], owner[order]) + 1
    mature = np.where(entered < plan.mature_until, depth, np.int8(0))
    steps = None
    if not plan.funnel.simple:
        took = np.zeros(len(log), dtype=np.int64)
        for step in range(size):
            took |= np.where(times[step] != MISSING, 1 << step, 0)
        once = np.where(mature > 0, took, 0)
        steps = np.array([took, once, took & ~1, once & ~1])
    return Found(log, depth, mature, depth, times, entered, entered, entered, steps, number)


def merged(found: Found, grouped: Grouped, plan: Plan, codes: Any) -> tuple[Found, Any]:
    """Return one journey per unit from those of its logs, one log for each value held constant.

    `codes` are those of the columns to bring along, by log, where the unit's first or last entry gives them.
    """
    funnel, owner = plan.funnel, owners(grouped)
    order = ranked(found.depth, found.times.max(axis=0, initial=MISSING), found.entry, base(found), owner, funnel)
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    chosen, sizes = order[starts], np.diff([*starts, len(order)])

    def most(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.maximum.reduceat(values[order], starts) if len(starts) else values[:0]

    def least(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.minimum.reduceat(values[order], starts) if len(starts) else values[:0]

    first = least(np.where(found.first_entry == MISSING, FOREVER, found.first_entry))
    first = np.where(first == FOREVER, MISSING, first)
    last = most(found.last_entry)
    leads = found.first_entry == spread_out(first, order, sizes)
    if codes is not None:
        mine = leads if plan.touch == "first" else found.last_entry == spread_out(last, order, sizes)
        none = np.iinfo(np.int32).max
        codes = [least(np.where(mine & (code >= 0), code, none)) for code in codes]
        codes = [np.where(code == none, -1, code).astype(np.int32) for code in codes]
    steps = None
    if found.steps is not None and found.mature is not None:
        done, entry = found.mature
        mature = ranked(found.mature_depth, done, entry, base(found), owner, funnel)[starts]
        steps = np.array([found.steps[row, (chosen, mature)[row % 2]] for row in range(4)])
        if funnel.open:
            steps = np.array([
                np.bitwise_or.reduceat(row[order], starts) if len(starts) else row[:0] for row in found.steps
            ])  # fmt: skip
    return Found(
        found.log[chosen], found.depth[chosen], most(found.mature_depth),
        most(np.where(leads, found.first_depth, np.int8(0))), found.times[:, chosen], first, last,
        found.entry[chosen], steps,
    ), codes  # fmt: skip


def ranked(depth: Bytes, done: Ints, entry: Ints, base: Ints, owner: Ints, funnel: Funnel) -> Ints:
    """Return the journeys of each owner from the best to the worst; equal ones in the order of their logs."""
    deep = -depth.astype(np.int64)
    if funnel.matching.best == "entered_first":
        return np.lexsort((entry, base, deep, owner))
    return np.lexsort((-entry, done, base, deep, owner))


def spread_out(values: Ints, order: Ints, sizes: Ints) -> Ints:
    """Return, for each log, the value of its unit."""
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.repeat(values, sizes)
    return found


def base(found: Found) -> Ints:
    """Return the place of the first step that each journey took."""
    return np.asarray((found.times != MISSING).argmax(axis=0))


def owners(grouped: Grouped) -> Ints:
    """Return the number of each log's unit: the logs of one unit stand in consecutive places."""
    units = grouped.units
    if len(units) < 2 or grouped.logs is None:
        return np.arange(len(units))
    changes = pc.not_equal(units.slice(1), units.slice(0, len(units) - 1)).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(changes)])


def brought(found: Found, grouped: Grouped, codes: Codes, plan: Plan) -> Codes:
    """Return the code of a column at one event of each journey, -1 where it is missing; of several the smallest."""
    funnel, touch = plan.funnel, plan.touch
    everything = (1 << len(funnel.steps)) - 1
    anything = funnel.open or (funnel.order == "any" and not funnel.matching.anchored)
    bits = np.full(len(found.log), everything if anything else 1, dtype=np.int64)
    if isinstance(touch, int):
        moment = found.times[touch - 1]
        whichever = funnel.order == "any" and funnel.matching.any_of == "most_steps"
        bits[:] = everything if whichever else 1 << (touch - 1)
    elif touch == "entry":
        moment = found.entry
        if funnel.open:
            bits = 1 << base(found)
    else:
        moment = found.first_entry if touch == "first" else found.last_entry
    best = np.full(len(found.log), -1, dtype=np.int32)
    pick = compiled_pick() if worth_compiling(len(grouped.at)) else smallest
    pick(found.log, moment, bits, grouped.bounds, grouped.at, grouped.masks, codes, best)
    return best


def smallest(logs: Ints, moments: Ints, bits: Ints, bounds: Ints, at: Ints, masks: Any, codes: Any, best: Any) -> None:
    """Fill `best` with the smallest code of the rows of each log at one moment that match any of its bits."""
    for place in range(len(logs)):
        low, high = bounds[logs[place]], bounds[logs[place] + 1]
        while low < high:
            middle = (low + high) // 2
            if at[middle] < moments[place]:
                low = middle + 1
            else:
                high = middle
        while low < bounds[logs[place] + 1] and at[low] == moments[place]:
            if masks[low] & bits[place] and codes[low] >= 0 and (best[place] < 0 or codes[low] < best[place]):
                best[place] = codes[low]
            low += 1


def is_plain(funnel: Funnel) -> bool:
    """Return whether the fast kernel knows all that the funnel asks for."""
    plain = funnel.order == "ordered" and funnel.counting != "entries" and not (funnel.exclusions or funnel.open)
    same = Matching(resolution=funnel.matching.resolution)  # times are cut before either kernel sees them
    return plain and funnel.matching == same and not any(s.optional or s.within is not None for s in funnel.steps)


def switches(plan: Plan) -> attempts.Options:
    """Return the funnel's switches as the kernel wants them."""
    funnel, matching_ = plan.funnel, plan.funnel.matching
    window = funnel.window_us
    optional = sum(1 << place for place, step in enumerate(funnel.steps) if step.optional)
    return attempts.Options(
        size=len(funnel.steps),
        window=-1 if window is None else window,
        order=("ordered", "strict", "any").index(funnel.order),
        distinct=int(matching_.distinct),
        increasing=int(matching_.ties == "increasing"),
        repeats=int(matching_.repeats),
        first_only=int(matching_.attempts == "first"),
        entered_first=int(matching_.best == "entered_first"),
        most_steps=int(matching_.any_of == "most_steps"),
        anchored=int(matching_.anchored),
        grace=in_microseconds(matching_.grace) or 0,
        open=int(funnel.open),
        optional=optional,
        limited=int(any(step.within is not None for step in funnel.steps)),
    )


def scratch(plan: Plan, longest: int) -> attempts.Work:
    """Return the memory that one thread needs, for logs of up to `longest` rows."""
    size, width = len(plan.funnel.steps), len(plan.funnel.steps) + 2

    def empty(length: int = width) -> Ints:
        return np.zeros(length, dtype=np.int64)

    waits, bans = np.full(width, -1, dtype=np.int64), empty(max(3 * len(plan.funnel.exclusions), 1))
    for place, step in enumerate(plan.funnel.steps):
        wait = in_microseconds(step.within)
        waits[place + 1] = -1 if wait is None else wait
    for number, exclusion in enumerate(plan.funnel.exclusions):
        before = size - 1 if exclusion.before is None else exclusion.before
        cuts = (exclusion.policy or plan.funnel.policy) == "drop_off"
        bans[3 * number : 3 * number + 3] = exclusion.after + 1, before + 1, int(cuts)
    fixed = np.full(width, MISSING, dtype=np.int64)
    queue = empty(width + longest)  # steps of one assignment, or rows of one instant
    return attempts.Work(
        empty(), empty(), empty(), empty(width * width), empty(), empty(), queue, fixed, empty(4), waits, bans,
        empty(longest + 1), empty(longest + 1),
    )  # fmt: skip


def spread(grouped: Grouped, plan: Plan, name: str, out: Any) -> None:
    """Run the general kernel over all logs, in threads where the input is large."""
    logs, rows = len(grouped.bounds) - 1, len(grouped.at)
    if logs == 0:
        return
    longest = int(np.diff(grouped.bounds).max())
    settings = (
        switches(plan), len(plan.funnel.exclusions), plan.entry_from, plan.entry_until, plan.mature_until
    )  # fmt: skip
    if not worth_compiling(rows * HEAVIER):
        work = attempts.Work(*(part.tolist() for part in scratch(plan, longest)))
        plain: Callable[..., None] = getattr(choosing, name)
        plain(grouped.bounds.tolist(), grouped.at.tolist(), grouped.masks.tolist(), (0, logs), settings, work, out)
        return
    masks, code = grouped.masks.astype(np.int64), compiled()[name]
    workers = min(os.cpu_count() or 1, 1 + rows // ROWS_PER_THREAD)
    with ThreadPoolExecutor(workers) as pool:
        spans = pairwise(int(np.searchsorted(grouped.bounds, rows * part // workers)) for part in range(workers + 1))
        jobs = [
            pool.submit(code, grouped.bounds, grouped.at, masks, span, settings, scratch(plan, longest), out)
            for span in whole(spans, logs)
        ]  # fmt: skip
        for job in jobs:
            job.result()


def whole(spans: Iterator[tuple[int, int]], logs: int) -> Iterator[tuple[int, int]]:
    """Let the last span end with the last log, also where that one has no rows."""
    found = list(spans)
    yield from found[:-1]
    yield found[-1][0], logs


@cache
def compiled() -> dict[str, Callable[..., None]]:
    """Return the general kernel, compiled by numba."""
    names = {**vars(matching), **vars(attempts), **vars(choosing)}
    steps = (
        matching.serves, matching.give, matching.fits, matching.covers, attempts.after_instant, attempts.passing,
        attempts.together, attempts.onward, attempts.enterable, attempts.through, attempts.climb, attempts.waiting,
        attempts.mark, attempts.leaving, attempts.walk, attempts.chain, attempts.used, attempts.fewer,
        attempts.greedy, attempts.hits, attempts.deeper, attempts.gather, attempts.assign, attempts.attempt,
        attempts.completed, attempts.settle, choosing.bases, choosing.surpassed, choosing.better, choosing.note,
        choosing.keep_mature, choosing.run, choosing.free_again, choosing.run_entries,
    )  # fmt: skip
    return jit(*steps, names=names)


@cache
def compiled_pick() -> Callable[..., None]:
    """Return `smallest`, compiled by numba."""
    return jit(smallest, names=globals())["smallest"]
