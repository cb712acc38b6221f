"""What a funnel means, by brute force: every way to give rows to steps is tried, and the best one is picked.

Nothing here is fast and nothing is shared with the engine, which has to give the same journeys. Steps are numbered
from 1, exclusions from 0; times are whole numbers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import inf
from typing import Any, NamedTuple

from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Funnel, in_microseconds


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a log; two rows are never the same, even where all they hold is equal."""

    at: int
    steps: frozenset[int] = frozenset()
    exclusions: frozenset[int] = frozenset()
    held: tuple[str | None, ...] = ()
    session: str | None = None
    extra: tuple[str | None, ...] = ()


Log = list[Row]
Chain = tuple[tuple[int, Row], ...]  # the steps taken, in order, each with its row


class Attempt(NamedTuple):
    """What came of one entry: the times of the steps taken, and the first exclusion that hit it."""

    entry: int
    start: int
    times: dict[int, int]
    spoilt: bool = False
    hit: int | None = None
    onward: frozenset[int] = frozenset()  # steps that follow the start (but for optional ones) and can be reached
    anywhere: frozenset[int] = frozenset()  # all steps that can be reached

    @property
    def depth(self) -> int:
        return max(self.times)

    @property
    def completed(self) -> int:
        return max(self.times.values())


def journeys(rows: Log, plan: Plan) -> list[dict[str, Any]]:
    """Return the journeys of one unit: one, or one per session or attempt, or none."""
    funnel, unit = plan.funnel, at_resolution(rows, plan.funnel)
    if funnel.counting == "sessions":
        made = [(name, journey(held_apart(log), plan)) for name, log in sessions(unit, funnel).items()]
        return [{"session": name, **found} for name, found in made if found]
    if funnel.counting == "entries":
        return all_attempts(held_apart(unit), plan)
    found = journey(held_apart(unit), plan)
    return [found] if found else []


# The log


def at_resolution(rows: Log, funnel: Funnel) -> Log:
    grain = in_microseconds(funnel.matching.resolution) or 1
    return [replace(row, at=row.at // grain * grain) for row in rows]


def sessions(rows: Log, funnel: Funnel) -> dict[str, Log]:
    """Return the rows of each session: named by the rows, or numbered by the pauses between them."""
    if funnel.session_gap is None:
        return {name: [row for row in rows if row.session == name] for name in {row.session for row in rows} if name}
    gap, number, found = in_microseconds(funnel.session_gap), 1, {}
    ordered = sorted(rows, key=lambda row: row.at)
    for before, row in pairwise([ordered[0], *ordered] if ordered else []):
        number += row.at - before.at > gap
        found.setdefault(str(number), []).append(row)
    return found


def held_apart(rows: Log) -> list[Log]:
    """Return one log for each held value, in order of the values; rows without one are in no log."""
    values = sorted({row.held for row in rows if None not in row.held})
    return [[row for row in rows if row.held == value] for value in values]


# Chains


def grown(
    chain: Chain, log: Log, size: int, may_skip: Callable[[int], bool], fits: Callable[[Chain, int, Row], bool]
) -> Iterator[Chain]:
    """Yield the chain and everything that it can grow to, step by step."""
    yield chain
    for step in range(chain[-1][0] + 1 if chain else 1, size + 1):
        for row in log:
            if fits(chain, step, row):
                yield from grown((*chain, (step, row)), log, size, may_skip, fits)
        if not may_skip(step):
            return


def unused(chain: Chain, row: Row, funnel: Funnel) -> bool:
    return not funnel.matching.distinct or row not in [taken for _, taken in chain]


def at_most(length: int, limit: Any) -> bool:
    return limit is None or length <= in_microseconds(limit)


def chains(log: Log, funnel: Funnel, start: int, entry: int) -> Iterator[Chain]:
    """Yield every chain (ordered or strict) that takes step `start` at `entry`."""
    steps = funnel.steps

    def fits(chain: Chain, step: int, row: Row) -> bool:
        last = chain[-1][1].at
        return (
            step in row.steps
            and unused(chain, row, funnel)
            and (row.at > last or (row.at == last and funnel.matching.ties == "in_order"))
            and at_most(row.at - entry, funnel.window)
            and at_most(row.at - last, steps[step - 1].within)
        )

    for row in log:
        if row.at == entry and start in row.steps:
            for chain in grown(((start, row),), log, len(steps), lambda step: steps[step - 1].optional, fits):
                if funnel.order != "strict" or unbroken(chain, log, funnel.matching.repeats):
                    yield chain


def unbroken(chain: Chain, log: Log, repeats: bool) -> bool:
    """Return whether the chain's rows can stand side by side, rows of one instant in any sequence."""
    first, last, own = chain[0][1].at, chain[-1][1].at, [row for _, row in chain]
    left_over = [row for row in log if first < row.at < last and row not in own]
    if not repeats:
        return not left_over
    for row in left_over:
        if row.at not in [taken.at for taken in own]:
            step_before = max(step for step, taken in chain if taken.at < row.at)
            if step_before not in row.steps:
                return False
    return True


def sets(log: Log, funnel: Funnel, entry: int) -> Iterator[Chain]:
    """Yield every way to give rows of `log` to steps in any order; most_steps: to any of the steps."""
    matching = funnel.matching

    def fits(chain: Chain, step: int, row: Row) -> bool:
        in_place = row.at == entry or step > 1 or not matching.anchored
        return step in row.steps and unused(chain, row, funnel) and in_place

    def may_skip(step: int) -> bool:
        if matching.any_of == "most_steps":
            return step > 1 or not matching.anchored
        return funnel.steps[step - 1].optional

    return (chain for chain in grown((), log, len(funnel.steps), may_skip, fits) if chain)


# Attempts


def entries(log: Log, plan: Plan) -> list[tuple[int, int]]:
    """Return (time, step) of everything that may start an attempt; in any order the step is 1, whatever it was."""
    inside = [row for row in log if plan.entry_from <= row.at < plan.entry_until]
    return sorted({(row.at, step) for row in inside for step in starts(row, plan.funnel)})


def starts(row: Row, funnel: Funnel) -> set[int]:
    if funnel.open:
        return set(row.steps)
    anything = funnel.order == "any" and not funnel.matching.anchored
    return {1} if (row.steps if anything else 1 in row.steps) else set()


def attempts(log: Log, plan: Plan) -> list[Attempt]:
    found = entries(log, plan)
    if plan.funnel.matching.attempts == "first":
        found = [(entry, step) for entry, step in found if entry == found[0][0]]
    made = [attempt(log, plan, entry, step) for entry, step in found]
    return [each for each in made if each is not None]


def attempt(log: Log, plan: Plan, entry: int, start: int) -> Attempt | None:
    funnel = plan.funnel
    if funnel.order == "any":
        return in_any_order(log, funnel, entry)
    if funnel.matching.grace:
        return judged(Attempt(entry, 1, with_grace(log, plan, entry)), log, funnel)
    every = list(chains(log, funnel, start, entry))
    onward = {
        step for chain in every for step, _ in chain[1:]
        if all(between.optional for between in funnel.steps[start : step - 1])
    }  # fmt: skip
    anywhere = {step for chain in every for step, _ in chain}
    made = Attempt(entry, start, best_times(every, funnel), onward=frozenset(onward), anywhere=frozenset(anywhere))
    return judged(made, log, funnel)


def best_times(every: list[Chain], funnel: Funnel) -> dict[int, int]:
    """Return the times of the deepest chain, of those the one completed first, of those the earliest steps."""
    times = [{step: row.at for step, row in chain} for chain in every]
    steps = range(1, len(funnel.steps) + 1)
    return min(times, key=lambda t: (-max(t), max(t.values()), [t.get(step, inf) for step in steps]))


def in_any_order(log: Log, funnel: Funnel, entry: int) -> Attempt | None:
    end = inf if funnel.window is None else entry + in_microseconds(funnel.window)
    cut = min((row.at for row in log if row.exclusions and entry < row.at <= end), default=None)
    seen = [row for row in log if entry <= row.at <= (end if cut is None else cut)]
    every = list(sets(seen, funnel, entry))
    if not every:
        return None
    if funnel.matching.any_of == "first_steps":
        times = best_times(every, funnel)
    else:
        times = {
            count: min(max(row.at for _, row in chain) for chain in every if len(chain) == count)
            for count in {len(chain) for chain in every}
        }
    return Attempt(entry, 1, times, hit=cut if max(times) < len(funnel.steps) else None)


def with_grace(log: Log, plan: Plan, entry: int) -> dict[int, int]:
    """Take for each step the earliest row that fits, which may lie a little before the step before."""
    funnel = plan.funnel
    rows = sorted(log, key=lambda row: (row.at, len(row.steps), sum(2**step for step in row.steps)))
    chain: Chain = ((1, next(row for row in rows if row.at == entry and 1 in row.steps)),)
    for number, step in enumerate(funnel.steps[1:], start=2):
        last = chain[-1][1].at
        earliest = max(last - in_microseconds(funnel.matching.grace), plan.entry_from)
        fitting = [
            row for row in rows
            if number in row.steps and unused(chain, row, funnel) and row.at >= earliest
            and at_most(row.at - entry, funnel.window) and at_most(row.at - last, step.within)
        ]  # fmt: skip
        if not fitting:
            break
        chain = (*chain, (number, fitting[0]))
    return {step: row.at for step, row in chain}


def judged(made: Attempt, log: Log, funnel: Funnel) -> Attempt:
    """Return the attempt after the exclusions: which hit it, whether they spoil it, what is left of it."""
    # A step is there when all before it are: with grace, one may come a little after the next.
    there = dict(zip(made.times, accumulate(made.times.values(), max), strict=True))
    end = inf if funnel.window is None else made.entry + in_microseconds(funnel.window)
    hits = []
    for number, exclusion in enumerate(funnel.exclusions):
        after = exclusion.after + 1
        before = len(funnel.steps) if exclusion.before is None else exclusion.before + 1
        if made.depth < after:
            continue
        low = there[max(step for step in there if step <= after)]
        reached = [step for step in there if step >= before]
        for row in log:
            in_time = row.at < there[reached[0]] if reached else row.at <= end
            if number in row.exclusions and low < row.at and in_time:
                hits.append((row.at, exclusion.policy or funnel.policy))
    cut = min((x for x, policy in hits if policy == "drop_off"), default=inf)
    return made._replace(
        times={step: at for step, at in made.times.items() if there[step] <= cut},
        spoilt=any(policy == "drop_unit" for _, policy in hits),
        hit=min((x for x, _ in hits), default=None),
    )


# Journeys


def rank(made: Attempt, funnel: Funnel) -> tuple[int, ...]:
    """Return what is smallest for the attempt that counts."""
    if funnel.matching.best == "entered_first":
        return -made.depth, made.start, made.entry
    return -made.depth, made.start, made.completed, -made.entry


def winner(tried: list[Attempt], funnel: Funnel) -> Attempt | None:
    """Return the attempt that counts; None where there is none, or all of the deepest are spoilt."""
    deepest = max((made.depth for made in tried), default=0)
    clean = [made for made in tried if made.depth == deepest and not made.spoilt]
    return min(clean, key=lambda made: rank(made, funnel), default=None)


def best_of(winners: list[Attempt | None], funnel: Funnel) -> tuple[int, Attempt] | None:
    """Return the best attempt of all logs, with the place of its log: the first of equally good ones."""
    placed = [(place, made) for place, made in enumerate(winners) if made is not None]
    return min(placed, key=lambda found: (rank(found[1], funnel), found[0]), default=None)


def journey(logs: list[Log], plan: Plan) -> dict[str, Any] | None:
    """Return the journey of one unit (or session), whose logs differ in the held value."""
    funnel = plan.funnel
    tried = [attempts(log, plan) for log in logs]
    best = best_of([winner(each, funnel) for each in tried], funnel)
    if best is None:
        return None
    place, chosen = best
    early = [[made for made in each if is_mature(made.entry, plan)] for each in tried]
    mature = best_of([winner(each, funnel) for each in early], funnel)
    entered = [entry for log in logs for entry, _ in entries(log, plan)]
    first, last = min(entered), max(entered)
    from_first = [made.depth for each in tried for made in each if made.entry == first and not made.spoilt]
    found = how_far(chosen, funnel) | {
        "mature_depth": mature[1].depth if mature else 0,
        "first_depth": max(from_first, default=0),
        "first_entry": first,
        "last_entry": last,
        "matured": chosen.depth == len(funnel.steps) or (funnel.window is not None and last < plan.mature_until),
    }
    if funnel.open:
        every = [pair for log in logs for pair in entries(log, plan)]
        onwards = {step for each in tried for made in each for step in made.anywhere}
        soon = {step for each in early for made in each for step in made.anywhere}
        found["reached"] = bits({step for _, step in every} | onwards)
        found["mature_reached"] = bits({step for entry, step in every if is_mature(entry, plan)} | soon)
        found["passed"] = bits(step for each in tried for made in each for step in made.onward)
        found["mature_passed"] = bits(step for each in early for made in each for step in made.onward)
    elif not funnel.simple:
        found |= steps_taken(chosen, mature[1] if mature else None)
    return found | touched(logs, place, chosen, plan, first, last)


def all_attempts(logs: list[Log], plan: Plan) -> list[dict[str, Any]]:
    """Return the attempts of one unit in turn: a new one begins only when the one before has ended."""
    funnel, found = plan.funnel, []
    for place, log in enumerate(logs):
        left = attempts(log, plan)
        while left:
            found.append((left[0].entry, place, left[0]))
            left = [made for made in left[1:] if begins_anew(made.entry, left[0], funnel)]
    rows = []
    for number, (entry, place, made) in enumerate(sorted(found, key=lambda each: each[:2]), start=1):
        if made.spoilt:
            continue
        mature = is_mature(entry, plan)
        row = how_far(made, funnel) | {
            "entry": number,
            "mature_depth": made.depth if mature else 0,
            "first_depth": made.depth,
            "first_entry": entry,
            "last_entry": entry,
            "matured": made.depth == len(funnel.steps) or (funnel.window is not None and mature),
        }
        if not funnel.simple:
            row |= steps_taken(made, made if mature else None)
        rows.append(row | touched([logs[place]], 0, made, plan, entry, entry))
    return rows


def begins_anew(entry: int, before: Attempt, funnel: Funnel) -> bool:
    """Return whether a new attempt may begin at `entry`, after (or in) that one."""
    if before.hit is not None:
        return entry >= before.hit and entry > before.entry
    if before.depth == len(funnel.steps) or funnel.order == "strict":
        return entry > before.completed
    return funnel.window is not None and entry > before.entry + in_microseconds(funnel.window)


def how_far(made: Attempt, funnel: Funnel) -> dict[str, Any]:
    steps = range(1, len(funnel.steps) + 1)
    return {"depth": made.depth, **{f"t_{step}": made.times.get(step) for step in steps}}


def is_mature(entry: int, plan: Plan) -> bool:
    return plan.funnel.window is None or entry < plan.mature_until


def bits(steps: Any) -> int:
    return sum(1 << (step - 1) for step in set(steps))


def steps_taken(chosen: Attempt, mature: Attempt | None) -> dict[str, int]:
    reached, early = bits(chosen.times), bits(mature.times if mature else ())
    return {"reached": reached, "mature_reached": early, "passed": reached & ~1, "mature_passed": early & ~1}


def touched(logs: list[Log], place: int, chosen: Attempt, plan: Plan, first: int, last: int) -> dict[str, Any]:
    """Return the smallest value of each `by` at the touch."""
    funnel, touch = plan.funnel, plan.touch
    if touch in ("first", "last"):
        at = first if touch == "first" else last
        rows = [row for log in logs for row in log if row.at == at and starts(row, funnel)]
    elif touch == "entry":
        rows = [row for row in logs[place] if row.at == chosen.entry and chosen.start in starts(row, funnel)]
    else:
        whichever = funnel.order == "any" and funnel.matching.any_of == "most_steps"
        at = chosen.times.get(touch)
        rows = [row for row in logs[place] if row.at == at and (row.steps if whichever else touch in row.steps)]
    named = enumerate(plan.by)
    return {name: min((v for row in rows if (v := row.extra[n]) is not None), default=None) for n, name in named}
