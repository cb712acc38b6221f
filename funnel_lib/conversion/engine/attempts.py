# ruff: noqa: SIM110 (numba compiles no generators)
"""What one attempt comes to: the deepest chain from one entry, under every option of a funnel.

Part of the kernel: plain Python that numba compiles. A log is a tuple (times, masks, first row, row after the last),
its rows ordered by time; bit k-1 of a row's mask says that it matches step k, bit size+x that it matches exclusion x.
Rows of one instant are handled together, whatever their sequence.

In order (`ordered`, `strict`) the log is read forward from the entry: for each level, when a chain first reached it
and when one last did (for a fixed entry, the later a chain stands at a level, the longer may it wait for the next).
Where an optional step or a longest wait makes the earliest times of all steps not go together, a backward reading
marks from where the end can still be reached, and a forward one takes the earliest such event step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from funnel_lib.conversion.engine.matching import MISSING, covers, fits, give

ORDERED, STRICT, ANY = 0, 1, 2


class Options(NamedTuple):
    """The switches of a funnel as whole numbers; `Funnel` and `Matching` say what they mean.

    `window` and `grace` are microseconds (window -1: unbounded), `optional` is a mask of steps.
    """

    size: int
    window: int
    order: int
    distinct: int
    increasing: int
    repeats: int
    first_only: int
    entered_first: int
    most_steps: int
    anchored: int
    grace: int
    open: int
    optional: int
    limited: int


class Work(NamedTuple):
    """Scratch of one thread: arrays by step (counted from 1), and two by row of the log.

    `times` holds the attempt's result; `done` and `last` when each level was first and last reached; `facts` what
    else is known of the attempt, at the places below; `waits` the steps' longest waits (-1: none); `bans` three per
    exclusion: after which step, before which step, whether it only cuts.
    """

    times: Any
    done: Any
    last: Any
    soon: Any
    holds: Any
    parent: Any
    queue: Any
    fixed: Any
    facts: Any
    waits: Any
    bans: Any
    leads: Any
    leaves: Any


SPOILT, HIT_AT, HIT_BY, REACHED = range(4)


def after_instant(at: Sequence[int], row: int, high: int) -> int:
    """Return the first row that is later than `row`."""
    end = row + 1
    while end < high and at[end] == at[row]:
        end += 1
    return end


def passing(masks: Sequence[int], low: int, high: int, level: int) -> bool:
    """Return whether all rows match the step `level`: repeats of it."""
    for row in range(low, high):
        if not masks[row] >> (level - 1) & 1:
            return False
    return True


def onward(instant: Any, first: int, taken: int, options: Options, work: Work) -> int:
    """Return the steps at which a chain can stand after this instant, if it enters it with step `first`.

    `taken` are steps that it must take here besides. A step is a bit of the result where it and all required ones
    from `first` on can be given rows.
    """
    scratch = (work.holds, work.parent, work.queue, work.fixed)
    rows, found, must = instant[3] - instant[2], 0, taken
    for step in range(first, options.size + 1):
        bit = 1 << (step - 1)
        wanted = must | bit
        many = wanted & (wanted - 1)
        if (many and options.increasing) or (many and options.distinct and rows == 1):
            if not options.optional & bit:
                break
            continue
        if fits(instant, wanted, options.size, options.distinct, scratch):
            found |= bit
        elif not options.optional & bit:
            break
        if not options.optional & bit or step == first:
            must = wanted
    return found


def enterable(now: int, alive: int, options: Options, work: Work) -> int:
    """Return the steps that a chain standing at one of the levels `alive` can take now."""
    found = 0
    for level in range(1, options.size):
        if not alive >> (level - 1) & 1:
            continue
        for step in range(level + 1, options.size + 1):
            if work.waits[step] < 0 or now - work.last[level] <= work.waits[step]:
                found |= 1 << (step - 1)
            if not options.optional >> (step - 1) & 1:
                break
    return found


def through(instant: Any, first: int, found: int, taken: int, options: Options, work: Work) -> int:
    """Return those levels of `found` at which all rows of the instant were taken: strict order goes on only then."""
    if options.repeats:
        return found
    scratch = (work.holds, work.parent, work.queue, work.fixed)
    kept = 0
    for step in range(first, options.size + 1):
        if found >> (step - 1) & 1:
            may = taken | (((1 << step) - 1) >> (first - 1) << (first - 1))
            if covers(instant, may, options.size, scratch):
                kept |= 1 << (step - 1)
    return kept


def climb(log: Any, base: int, options: Options, work: Work) -> int:
    """Return the depth of the best chain that takes step `base` at the log's first instant; 0 if none can.

    `work.done` says when each level was first reached, `facts[REACHED]` which were.
    """
    at, masks, head, high = log
    start, row, depth, alive, reached = at[head], head, 0, 0, 0
    for level in range(options.size + 1):
        work.done[level] = work.last[level] = MISSING
    all_steps = options.open and options.optional  # an open funnel asks for every step that can be reached
    while row < high and (depth < options.size or all_steps):
        now, end = at[row], after_instant(at, row, high)
        if options.window >= 0 and now - start > options.window:
            break
        instant = (at, masks, row, end)
        entering = 1 << (base - 1) if row == head else enterable(now, alive, options, work)
        if entering == 0:  # every wait is over, and time only goes on
            break
        if options.order == ORDERED and not options.limited:
            entering &= ~reached  # a level once reached can do all that reaching it again could
        if options.order == ORDERED and not entering & together(masks, row, end):
            row = end
            continue
        found = stays = 0
        for step in range(base, options.size + 1):
            if entering >> (step - 1) & 1:
                outs = onward(instant, step, 0, options, work)
                found |= outs
                stays |= (
                    outs if row == head or options.order == ORDERED else through(instant, step, outs, 0, options, work)
                )
        for level in range(base, options.size + 1):
            if found >> (level - 1) & 1:
                depth = max(depth, level)
                if work.done[level] == MISSING:
                    work.done[level] = now
        if options.order == STRICT:
            if options.repeats and row > head:
                for level in range(base, options.size + 1):
                    if alive >> (level - 1) & 1 and not stays >> (level - 1) & 1 and passing(masks, row, end, level):
                        stays |= 1 << (level - 1)  # and keeps the time at which it was taken
            alive = stays
        else:
            alive |= found
        reached |= alive | found
        for level in range(base, options.size + 1):
            if found >> (level - 1) & 1:
                work.last[level] = now
        if alive == 0:
            break
        row = end
    work.facts[REACHED] = reached
    return depth


def chain(log: Any, base: int, depth: int, options: Options, work: Work) -> None:
    """Fill `work.times` with the earliest times, step by step, of a chain as `climb` found it."""
    at, _, head, high = log
    for step in range(1, options.size + 1):
        work.times[step] = MISSING
    if options.order == ORDERED and not options.optional and not options.limited:
        for step in range(base, depth + 1):
            work.times[step] = work.done[step]
        return
    stop = head
    while stop < high and at[stop] <= work.done[depth]:
        stop += 1
    mark((at, log[1], head, stop), depth, options, work)
    walk((at, log[1], head, stop), base, depth, options, work)


def mark(log: Any, depth: int, options: Options, work: Work) -> None:
    """For each instant, mark the levels from which (`leaves`) and the steps with which (`leads`) the end is reached."""
    at, masks, head, stop = log
    size, width = options.size, options.size + 1
    end = at[stop - 1]
    for place in range(width * width):
        work.soon[place] = MISSING
    row = stop - 1
    while row >= head:
        while row > head and at[row - 1] == at[row]:
            row -= 1
        now, after = at[row], after_instant(at, row, stop)
        leaves = 0
        for level in range(1, depth + 1):
            if (level == depth and now == end) or (level < depth and waiting(now, level, options, work)):
                leaves |= 1 << (level - 1)
        leads, instant = 0, (at, masks, row, after)
        for step in range(1, depth + 1):
            outs = onward(instant, step, 0, options, work) & leaves
            if outs and options.order == STRICT and row > head and now < end:
                outs = through(instant, step, outs, 0, options, work)
            if outs:
                leads |= 1 << (step - 1)
        work.leaves[row - head], work.leads[row - head] = leaves, leads
        for level in range(1, size + 1):
            over = options.order == ORDERED or (options.repeats and passing(masks, row, after, level))
            for step in range(level + 1, size + 1):
                if leads >> (step - 1) & 1:
                    work.soon[level * width + step] = now
                elif not over:
                    work.soon[level * width + step] = MISSING
        row -= 1


def waiting(now: int, level: int, options: Options, work: Work) -> bool:
    """Return whether a chain that stands at `level` now can go on to the end at a later instant."""
    for step in range(level + 1, options.size + 1):
        then = work.soon[level * (options.size + 1) + step]
        if then != MISSING and (work.waits[step] < 0 or then - now <= work.waits[step]):
            return True
        if not options.optional >> (step - 1) & 1:
            break
    return False


def walk(log: Any, base: int, depth: int, options: Options, work: Work) -> None:
    """Take, step by step, the earliest event from which the end can still be reached."""
    at, masks, head, stop = log
    row, level, taken = head, base, 1 << (base - 1)
    work.times[base] = at[head]
    for step in range(base + 1, depth + 1):
        now, end = at[row], after_instant(at, row, stop)
        instant = (at, masks, row, end)
        outs = 0
        if not options.increasing:
            outs = onward(instant, step, taken, options, work) & work.leaves[row - head]
            if outs and options.order == STRICT and row > head and now < at[stop - 1]:
                outs = through(instant, step, outs, taken, options, work)
        if outs:
            work.times[step], level, taken = now, step, taken | 1 << (step - 1)
            continue
        other = end
        while other < stop:
            after = after_instant(at, other, stop)
            if work.waits[step] >= 0 and at[other] - now > work.waits[step]:
                other = stop
            elif work.leads[other - head] >> (step - 1) & 1:
                break
            elif options.order == ORDERED or (options.repeats and passing(masks, other, after, level)):
                other = after
            else:
                other = stop
        if other < stop and (row == head or leaving(instant, taken, options, work)):
            row, level, taken = other, step, 1 << (step - 1)
            work.times[step] = at[row]


def leaving(instant: Any, taken: int, options: Options, work: Work) -> bool:
    """Return whether a chain may go on from an instant within it with just the steps `taken` there."""
    if options.order == ORDERED or options.repeats:
        return True
    return covers(instant, taken, options.size, (work.holds, work.parent, work.queue, work.fixed))


def greedy(log: Any, first: int, options: Options, work: Work) -> int:
    """Take the next step's first event, up to `grace` earlier than the step before; return the depth.

    `first` is the first row that may be used at all.
    """
    at, masks, head, high = log
    start, row = at[head], head
    for step in range(options.size + 1):
        work.times[step], work.holds[step] = MISSING, -1
    for step in range(1, options.size + 1):
        since = start if step == 1 else work.times[step - 1] - options.grace
        while row > first and at[row - 1] >= since:
            row -= 1
        best = -1
        while row < high and (best == -1 or at[row] == at[best]):
            now = at[row]
            over = options.window >= 0 and now - start > options.window
            late = step > 1 and work.waits[step] >= 0 and now - work.times[step - 1] > work.waits[step]
            if over or late or (step == 1 and now > start):
                break
            free = masks[row] >> (step - 1) & 1 and not (options.distinct and used(row, step, work))
            if now >= since and free and (best == -1 or fewer(masks[row], masks[best], options.size)):
                best = row
            row += 1
        if best == -1:
            return step - 1
        work.times[step], work.holds[step] = at[best], best
    return options.size


def used(row: int, step: int, work: Work) -> bool:
    """Return whether a step before `step` holds the row."""
    for other in range(1, step):
        if work.holds[other] == row:
            return True
    return False


def fewer(mask: int, other: int, size: int) -> bool:
    """Return whether a mask has fewer steps than another; of equally many, the earlier ones."""
    count, steps = 0, (1 << size) - 1
    for step in range(size):
        count += (mask >> step & 1) - (other >> step & 1)
    return count < 0 or (count == 0 and mask & steps < other & steps)


def hits(log: Any, depth: int, exclusions: int, options: Options, work: Work) -> int:
    """Look for exclusions between the steps of `work.times`; return the depth that is left.

    A step's time is here the moment by which it and all before it were taken: with `grace` it may precede them.
    Fills `facts`: SPOILT, and HIT_AT and HIT_BY for the earliest hit (MISSING, -1: none).
    """
    at, masks, head, high = log
    cut = MISSING
    work.facts[SPOILT], work.facts[HIT_AT], work.facts[HIT_BY] = 0, MISSING, -1
    for number in range(exclusions):
        after, before, cuts = work.bans[3 * number], work.bans[3 * number + 1], work.bans[3 * number + 2]
        if depth < after:
            continue
        low = upper = latest = MISSING
        for step in range(1, depth + 1):
            latest = max(latest, work.times[step])
            if work.times[step] != MISSING and step <= after:
                low = latest
            if work.times[step] != MISSING and step >= before and upper == MISSING:
                upper = latest
        for row in range(head, high):
            now = at[row]
            if upper != MISSING and now >= upper:
                break
            if upper == MISSING and options.window >= 0 and now - at[head] > options.window:
                break
            if now > low and masks[row] >> (options.size + number) & 1:
                if work.facts[HIT_AT] == MISSING or now < work.facts[HIT_AT]:
                    work.facts[HIT_AT], work.facts[HIT_BY] = now, number
                if not cuts:
                    work.facts[SPOILT] = 1
                elif cut == MISSING or now < cut:
                    cut = now
                break
    left = depth
    if cut != MISSING:
        left, latest = 0, MISSING
        for step in range(1, depth + 1):
            latest = max(latest, work.times[step])
            if work.times[step] != MISSING and latest <= cut:
                left = step
            else:
                work.times[step] = MISSING
    return left


def gather(log: Any, exclusions: int, options: Options, work: Work) -> int:
    """Return the depth in any order, for the window that opens at the log's first instant.

    `work.done[depth]` is when it was first reached; `facts` say where an exclusion cut the window.
    """
    at, masks, head, high = log
    start, row, depth, seen, single = at[head], head, 0, 0, True
    steps, banned = (1 << options.size) - 1, ((1 << exclusions) - 1) << options.size
    work.facts[SPOILT], work.facts[HIT_AT], work.facts[HIT_BY] = 0, MISSING, -1
    for step in range(options.size + 1):
        work.done[step], work.holds[step], work.fixed[step] = MISSING, -1, MISSING
    if options.anchored:
        work.fixed[1] = start
    while row < high and (options.window < 0 or at[row] - start <= options.window):
        end = after_instant(at, row, high)
        for place in range(row, end):
            mine = masks[place] & steps
            if options.anchored and row > head:
                mine &= ~1
            seen |= mine
            single = single and mine & (mine - 1) == 0
        window = (at, masks, head, end)
        depth = deeper(window, depth, seen, 1 if single else 0, options, work)
        if depth == options.size:
            break
        if row > head and banned & together(masks, row, end):
            work.facts[HIT_AT] = at[row]
            break
        row = end
    work.fixed[1] = MISSING
    return depth


def deeper(window: Any, depth: int, seen: int, single: int, options: Options, work: Work) -> int:
    """Return the depth that the rows of the window reach; `seen` are the steps that any of them matches."""
    now = window[0][window[3] - 1]
    scratch = (work.holds, work.parent, work.queue, work.fixed)
    if options.most_steps:
        for step in range(1, options.size + 1):
            if not seen >> (step - 1) & 1 or work.holds[step] != -1:
                continue
            if not options.distinct:
                work.holds[step] = 0
            elif not give(window, step, options.size, scratch):
                continue
            depth += 1
            work.done[depth] = now
        return depth
    must = 0
    for step in range(1, options.size + 1):
        bit = 1 << (step - 1)
        wanted = must | bit
        held = wanted & seen == wanted
        if held and step > depth:
            easy = single or not options.distinct
            if easy or fits(window, wanted, options.size, options.distinct, scratch):
                depth = step
                work.done[step] = now
            else:
                held = False
        if not options.optional & bit:
            if not held and step > depth:
                break
            must = wanted
    return depth


def assign(log: Any, depth: int, options: Options, work: Work) -> None:
    """Fill `work.times` for any order: the earliest event step by step, so that the rest still fits."""
    at, masks, head, high = log
    scratch = (work.holds, work.parent, work.queue, work.fixed)
    for step in range(1, options.size + 1):
        work.times[step] = MISSING
        work.fixed[step] = MISSING
    if options.most_steps:
        for step in range(1, depth + 1):
            work.times[step] = work.done[step]
        return
    stop = head
    while stop < high and at[stop] <= work.done[depth]:
        stop += 1
    rest, taken = 0, 0
    for step in range(1, depth + 1):
        if step == depth or not options.optional >> (step - 1) & 1:
            rest |= 1 << (step - 1)
    for step in range(1, depth + 1):
        for row in range(head, stop):
            if not masks[row] >> (step - 1) & 1 or (row > head and at[row] == work.fixed[step]):
                continue
            if options.anchored and step == 1 and at[row] > at[head]:
                break
            work.fixed[step] = at[row]
            if fits((at, masks, head, stop), rest | taken | 1 << (step - 1), options.size, options.distinct, scratch):
                work.times[step] = at[row]
                taken |= 1 << (step - 1)
                break
        work.fixed[step] = work.times[step]
    for step in range(1, options.size + 1):
        work.fixed[step] = MISSING


def attempt(log: Any, first: int, base: int, exclusions: int, options: Options, work: Work) -> int:
    """Make the attempt of the log's first instant with step `base`; return its depth, exclusions taken into account.

    `work.facts` hold whether it is spoilt; `completed` and `settle` give its times.
    """
    work.facts[SPOILT], work.facts[HIT_AT], work.facts[HIT_BY] = 0, MISSING, -1
    if options.order == ANY:
        return gather(log, exclusions, options, work)
    depth = greedy(log, first, options, work) if options.grace else climb(log, base, options, work)
    if exclusions and depth:
        if not options.grace:
            chain(log, base, depth, options, work)
        depth = hits(log, depth, exclusions, options, work)
    return depth


def completed(depth: int, exclusions: int, options: Options, work: Work) -> int:
    """Return when the attempt just made reached its depth."""
    if options.grace:
        last = work.times[1]
        for step in range(2, depth + 1):
            last = max(last, work.times[step])
        return int(last)
    return int(work.times[depth] if exclusions and options.order != ANY else work.done[depth])


def settle(log: Any, base: int, depth: int, exclusions: int, options: Options, work: Work) -> None:
    """Fill `work.times` of the attempt just made, where that has not been needed yet."""
    if options.order == ANY:
        assign(log, depth, options, work)
    elif not options.grace and not exclusions:
        chain(log, base, depth, options, work)


def together(masks: Sequence[int], low: int, high: int) -> int:
    """Return everything that any of the rows matches."""
    found = 0
    for row in range(low, high):
        found |= masks[row]
    return found
