"""Every attempt of a log, one by one: what the kernel saw, for those who ask why a unit counts as it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from funnel_lib.conversion.engine.attempts import (
    HIT_AT,
    HIT_BY,
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
from funnel_lib.conversion.engine.choosing import bases, free_again
from funnel_lib.conversion.engine.following import divided, scratch, switches
from funnel_lib.conversion.engine.grouping import Grouped
from funnel_lib.conversion.engine.plan import MISSING, Plan

Ended = Literal["converted", "excluded", "timed_out", "broken", "waiting"]


@dataclass(frozen=True)
class Attempt:
    """What came of one entry; times are microseconds since 1970, UTC, the smallest integer where there is none.

    `depth` is that after an exclusion has cut it; `times` has one entry per step. `spoilt`: an exclusion made it
    count for nothing. `hit_us`, `hit_by`: time and number (from 0; -1: none) of the first exclusion. `ended`: why it
    went no further, `ended_us` when: `waiting` attempts have not ended. `chosen`: it is (one of) the unit's journeys.
    """

    entry_us: int
    depth: int
    times: tuple[int, ...]
    steps: tuple[int, ...]
    spoilt: bool
    hit_us: int
    hit_by: int
    ended: Ended
    ended_us: int
    chosen: bool = False


def trace(grouped: Grouped, plan: Plan, known_us: int) -> list[list[Attempt]]:
    """Return every attempt of each log, in order of entry; in an open funnel one for each step entered with.

    Parameters
    ----------
    grouped : the rows of few units, as a feeder groups them.
    plan : what is counted.
    known_us : what is known at that moment; an attempt whose window lasts longer is still waiting.
    """
    grouped = divided(grouped, plan.funnel)
    longest = max((int(b - a) for a, b in zip(grouped.bounds[:-1], grouped.bounds[1:], strict=True)), default=0)
    work = Work(*(part.tolist() for part in scratch(plan, longest)))
    at, masks = grouped.at.tolist(), grouped.masks.tolist()
    found = []
    for low, high in zip(grouped.bounds[:-1].tolist(), grouped.bounds[1:].tolist(), strict=True):
        made = list(_attempts((at, masks, low, high), plan, known_us, work))
        found.append(made if plan.funnel.counting == "entries" else _chosen(made, switches(plan)))
    return found


def _attempts(log: Any, plan: Plan, known_us: int, work: Work) -> Iterator[Attempt]:
    """Yield the attempts that the kernel makes of a log."""
    at, masks, row, high = log
    options, exclusions = switches(plan), len(plan.funnel.exclusions)
    again = plan.funnel.counting == "entries"
    while row < high and at[row] < plan.entry_from:
        row += 1
    begin, free_at, made = row, MISSING, 0
    while row < high and at[row] < plan.entry_until:
        now, end = at[row], after_instant(at, row, high)
        starts = bases(together(masks, row, end), options)
        if starts and not (options.first_only and made) and now >= free_at:
            made += 1
            for base in range(1, options.size + 1):
                if not starts >> (base - 1) & 1:
                    continue
                rest = (at, masks, row, high)
                depth = attempt(rest, begin, base, exclusions, options, work)
                if depth == 0:
                    continue
                settle(rest, base, depth, exclusions, options, work)
                one = _told(rest, depth, known_us, exclusions, options, work)
                yield replace(one, chosen=again and not one.spoilt)
                if again:
                    free_at = free_again(now, completed(depth, exclusions, options, work), depth, options, work)
                    if free_at == MISSING:
                        return
        row = end


def _told(log: Any, depth: int, known_us: int, exclusions: int, options: Options, work: Work) -> Attempt:
    """Return what came of the attempt just made."""
    at, _, head, high = log
    times = tuple(work.times[1 : options.size + 1])
    done = completed(depth, exclusions, options, work)
    ended: Ended = "waiting"
    ended_us = MISSING
    over = at[head] + options.window if options.window >= 0 else MISSING
    waits = [work.waits[step] for step in _next(depth, options)]
    if waits and min(waits) >= 0 and depth < options.size:
        over = min(over, done + max(waits)) if over != MISSING else done + max(waits)
    if work.facts[HIT_AT] != MISSING:
        ended, ended_us = "excluded", work.facts[HIT_AT]
    elif depth == options.size:
        ended, ended_us = "converted", done
    elif options.order == STRICT and (later := next((t for t in at[head:high] if t > done), None)) is not None:
        ended, ended_us = "broken", later
    elif over != MISSING and over < known_us:
        ended, ended_us = "timed_out", over
    taken = tuple(step + 1 for step, time in enumerate(times) if time != MISSING)
    return Attempt(
        at[head], depth, times, taken, bool(work.facts[SPOILT]), work.facts[HIT_AT], work.facts[HIT_BY], ended, ended_us
    )


def _next(level: int, options: Options) -> Iterator[int]:
    """Yield the steps that a chain standing at `level` can take next."""
    for step in range(level + 1, options.size + 1):
        yield step
        if not options.optional >> (step - 1) & 1:
            return


def _chosen(made: list[Attempt], options: Options) -> list[Attempt]:
    """Mark the attempt that is the log's journey: of the deepest the best, if one of them is clean."""
    deepest = max((one.depth for one in made), default=0)
    clean = [place for place, one in enumerate(made) if one.depth == deepest and not one.spoilt]
    if not clean:
        return made

    def order(place: int) -> tuple[int, int, int]:
        one = made[place]
        base = one.steps[0] if options.open else 0
        if options.entered_first:
            return base, one.entry_us, 0
        return base, max(one.times), -one.entry_us

    best = min(clean, key=order)
    return [replace(one, chosen=place == best) for place, one in enumerate(made)]
