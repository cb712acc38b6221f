"""Which row of a log was taken for which step of an attempt: times traced back to rows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from funnel_lib.conversion.engine.tracing import Attempt
from funnel_lib.definition import Funnel


class Log(NamedTuple):
    """What one unit did (with one held value, or in one session), in order of time.

    `at` : microseconds, cut as the funnel cuts them. `masks` : bit k-1 set where the row matches step k, further bits
    for exclusions. `rows` : numbers of the rows in the unit's whole log.
    """

    name: str
    at: Sequence[int]
    masks: Sequence[int]
    rows: Sequence[int]


class Served(NamedTuple):
    """A step, and the place (in the log) of the row that was taken for it."""

    step: int
    place: int


def served(log: Log, attempt: Attempt, funnel: Funnel) -> dict[int, Served]:
    """Return which row was taken at each of the attempt's times, by the number of the time (from 1).

    Where several rows of an instant can serve a step, one that matches fewer steps is named; no row is named twice
    unless the funnel lets one event serve several steps. Where the number of steps counts, whichever they are, the
    k-th time is not that of step k: `Served.step` tells the step.
    """
    slots: dict[int, list[int]] = {}
    for slot in attempt.steps:
        slots.setdefault(attempt.times[slot - 1], []).append(slot)
    if funnel.order == "any" and funnel.matching.any_of == "most_steps":
        return _whichever(log, attempt, slots, funnel)
    found: dict[int, Served] = {}
    for moment, steps in slots.items():
        choice = _choice(log, moment, len(funnel.steps))
        may = {step: [place for place, can in choice.items() if step in can] for step in steps}
        given = _assigned(may, funnel.matching.distinct)
        found |= {step: Served(step, place) for step, place in given.items()}
    return found


def _whichever(log: Log, attempt: Attempt, slots: Mapping[int, list[int]], funnel: Funnel) -> dict[int, Served]:
    """Return the rows that took one more step at each time; a later one may move an earlier one to another step."""
    seen: dict[int, Sequence[int]] = {}
    taken: dict[int, int] = {}
    for moment in sorted(slots):
        choice, wanted = _choice(log, moment, len(funnel.steps)), len(slots[moment])
        if funnel.matching.anchored:
            if moment == attempt.entry_us:
                taken[1] = next(place for place, steps in choice.items() if 1 in steps)
                wanted -= 1
            else:
                choice = {place: [step for step in steps if step > 1] for place, steps in choice.items()}
        seen |= choice
        for place in choice:
            for _ in choice[place] if not funnel.matching.distinct else (place,):
                if wanted and _take(place, seen, taken, set(), moves=funnel.matching.distinct):
                    wanted -= 1
    order = sorted(taken, key=lambda step: (log.at[taken[step]], step))
    every = [slot for moment in sorted(slots) for slot in slots[moment]]
    return {slot: Served(step, taken[step]) for slot, step in zip(every, order, strict=True)}


def _take(place: int, may: Mapping[int, Sequence[int]], taken: dict[int, int], tried: set[int], *, moves: bool) -> bool:
    """Let a row take a step that nobody has, if need be by moving another row (an augmenting path)."""
    if moves and place in taken.values() and not tried:
        return False
    for step in may[place]:
        if step not in tried:
            tried.add(step)
            if step not in taken or (moves and _take(taken[step], may, taken, tried, moves=moves)):
                taken[step] = place
                return True
    return False


def _choice(log: Log, moment: int, size: int) -> dict[int, list[int]]:
    """Return the rows of an instant, each with the steps that it matches; those with fewer first."""
    places = range(bisect_left(log.at, moment), bisect_right(log.at, moment))
    steps = {place: [step + 1 for step in range(size) if log.masks[place] >> step & 1] for place in places}
    return {place: steps[place] for place in sorted(places, key=lambda place: len(steps[place])) if steps[place]}


def _assigned(may: Mapping[int, Sequence[int]], distinct: bool) -> dict[int, int]:
    """Give each step one of the rows that it may have, each row once where they are to be distinct."""
    if not distinct:
        return {step: places[0] for step, places in may.items()}
    holder: dict[int, int] = {}

    def give(step: int, tried: set[int]) -> bool:
        for place in may[step]:
            if place not in tried:
                tried.add(place)
                if place not in holder or give(holder[place], tried):
                    holder[place] = step
                    return True
        return False

    for step in may:
        give(step, set())
    return {step: place for place, step in holder.items()}
