"""Which of a log's attempts counts: the kernel for funnels with any option.

Part of the kernel: plain Python that numba compiles. `run` gives one journey per log, `run_entries` one per attempt
where a unit enters anew only after it converted, ran out of time or met an exclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funnel_lib.conversion.engine.attempts import (
    ANY,
    HIT_AT,
    REACHED,
    SPOILT,
    STRICT,
    Options,
    Work,
    after_instant,
    attempt,
    completed,
    settle,
    together,
)
from funnel_lib.conversion.engine.matching import MISSING

DEPTH, MATURE, FIRST = range(3)
TOOK, MATURE_TOOK, PASSED, MATURE_PASSED = range(4)


def bases(mask: int, options: Options) -> int:
    """Return the steps with which a chain can start at an instant whose rows match `mask`, as a mask."""
    steps = mask & ((1 << options.size) - 1)
    if options.open:
        return steps
    if options.order == ANY and not options.anchored:
        return 1 if steps else 0
    return steps & 1


def run(
    bounds: Sequence[int], at: Sequence[int], masks: Sequence[int], span: Any, settings: Any, work: Work, out: Any
) -> None:
    """Fill `out` with the journey of each log of the span.

    `out`: levels (depth, mature, first), times by step, entries (first, last, completion and entry of the mature
    attempt, entry of the one that counts), steps (took, mature took, passed, mature passed).
    """
    options, exclusions, entry_from, entry_until, mature_until = settings
    levels, times, entries, steps = out
    for unit in range(span[0], span[1]):
        high, row = bounds[unit + 1], bounds[unit]
        while row < high and at[row] < entry_from:
            row += 1
        begin = row
        best = (0, 0, MISSING, MISSING)  # depth, base, done, entry
        deepest, clean, past = 0, False, False
        while row < high and at[row] < entry_until:
            now, end = at[row], after_instant(at, row, high)
            starts = bases(together(masks, row, end), options)
            if starts == 0:
                row = end
                continue
            if now >= mature_until and not past:
                past = True
                keep_mature(unit, deepest if clean else 0, best, options, out)
            is_first = entries[0][unit] == MISSING
            if is_first:
                entries[0][unit] = now
            entries[1][unit] = now
            if options.open:
                steps[TOOK][unit] |= starts
            if (options.first_only and not is_first) or surpassed(best, clean, now, options):
                row = end
                continue
            for base in range(1, options.size + 1):
                if not starts >> (base - 1) & 1:
                    continue
                log = (at, masks, row, high)
                depth = attempt(log, begin, base, exclusions, options, work)
                if options.open:
                    note(unit, base, options, work, steps)
                if depth > deepest:
                    deepest, clean = depth, False
                if depth == 0 or work.facts[SPOILT]:
                    continue
                if is_first:
                    levels[FIRST][unit] = max(levels[FIRST][unit], depth)
                done = completed(depth, exclusions, options, work)
                if depth < deepest or (clean and not better(best, base, done, options)):
                    continue
                settle(log, base, depth, exclusions, options, work)
                best, clean = (depth, base, done, now), True
                for step in range(options.size):
                    times[step][unit] = work.times[step + 1]
            row = end
        levels[DEPTH][unit], entries[4][unit] = deepest if clean else 0, best[3]
        if not past:
            keep_mature(unit, deepest if clean else 0, best, options, out)
        if not clean:
            for step in range(options.size):
                times[step][unit] = MISSING


def keep_mature(unit: int, depth: int, best: Any, options: Options, out: Any) -> None:
    """Keep what is known when the last entry with a closed window has been seen: entries come in order of time."""
    levels, times, entries, steps = out
    levels[MATURE][unit] = depth
    entries[2][unit], entries[3][unit] = best[2], best[3]
    if options.open:
        steps[MATURE_TOOK][unit], steps[MATURE_PASSED][unit] = steps[TOOK][unit], steps[PASSED][unit]
    elif options.optional and depth:
        for step in range(options.size):
            if times[step][unit] != MISSING:
                steps[MATURE_TOOK][unit] |= 1 << step


def surpassed(best: Any, clean: bool, now: int, options: Options) -> bool:
    """Return whether no attempt that enters now can be better than the best one."""
    if options.open or not clean or best[0] < options.size:
        return False
    return bool(options.entered_first == 1 or now > best[2])


def better(best: Any, base: int, done: int, options: Options) -> bool:
    """Return whether an attempt is better than the best one of the same depth, which entered before it or with it."""
    if base != best[1]:
        return bool(base < best[1])
    return bool(not options.entered_first and done <= best[2])


def note(unit: int, base: int, options: Options, work: Work, steps: Any) -> None:
    """Note, for an open funnel, which steps the unit took from step `base` on, and which of them next.

    A step taken after the range of entries counts where a chain from within it leads there.
    """
    steps[TOOK][unit] |= work.facts[REACHED]
    for step in range(base + 1, options.size + 1):
        steps[PASSED][unit] |= work.facts[REACHED] & 1 << (step - 1)
        if not options.optional >> (step - 1) & 1:
            break


def run_entries(
    bounds: Sequence[int], at: Sequence[int], masks: Sequence[int], span: Any, settings: Any, work: Work, out: Any
) -> None:
    """Fill `out` (depth, times, entry, places) with the attempts of each log of the span.

    The attempts of log u stand from `places[u]` on; a spoilt one has the depth 0, places without one no entry.
    """
    options, exclusions, entry_from, entry_until, _ = settings
    depths, times, entered, places = out
    for unit in range(span[0], span[1]):
        high, row, place = bounds[unit + 1], bounds[unit], places[unit]
        while row < high and at[row] < entry_from:
            row += 1
        begin, free_at, found = row, MISSING, 0
        while row < high and at[row] < entry_until:
            now, end = at[row], after_instant(at, row, high)
            if now < free_at or bases(together(masks, row, end), options) == 0:
                row = end
                continue
            if options.first_only and found:
                break
            found += 1
            log = (at, masks, row, high)
            depth = attempt(log, begin, 1, exclusions, options, work)
            if depth:
                settle(log, 1, depth, exclusions, options, work)
                done = completed(depth, exclusions, options, work)
                free_at = free_again(now, done, depth, options, work)
                entered[place] = now
                if not work.facts[SPOILT]:
                    depths[place] = depth
                    for step in range(options.size):
                        times[step][place] = work.times[step + 1]
                place += 1
            else:
                free_at = now + 1
            if free_at == MISSING:
                break
            row = end


def free_again(entry: int, done: int, depth: int, options: Options, work: Work) -> int:
    """Return from when on the unit may enter anew; MISSING: never, for its attempt has not ended."""
    if work.facts[HIT_AT] != MISSING:
        return int(max(work.facts[HIT_AT], entry + 1))
    if depth == options.size or options.order == STRICT:
        return done + 1
    return entry + options.window + 1 if options.window >= 0 else MISSING
