"""Random funnels over all options, and small logs that provoke them: few instants, ties, edges, repeats.

A unit of time is a microsecond unless told otherwise, and the usual window is W of them. Hypothesis draws what is
asked; the logs come from a seed that it draws, so that many of them are cheap.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from funnel_lib.conversion.engine.plan import FOREVER, MISSING, Plan
from funnel_lib.definition import Exclusion, Funnel, Matching, Step
from funnel_lib.periods import Period
from tests.conversion.engine.oracle import Row

W = 10
MICROSECOND = timedelta(microseconds=1)
TIMES = (-1, 0, 0, 1, 2, 3, 4, W - 1, W, W + 1, W + 2, 2 * W, 2 * W + 1)
NEAR, CLOSE = TIMES[:9], TIMES[1:7]  # mostly within one window, and well within
MOST_ROWS = 8
FROM = (MISSING, MISSING, MISSING, 0, 1, 2, 3)
UNTIL = (FOREVER, FOREVER, FOREVER, 1, 3, W, W + 2)
MATURE = (MISSING, 0, 1, 2, 3, W, W + 1, FOREVER)
LOGS = 40  # in each example
FOCUSES = (None, "exclusions", "grace", "entries")

sometimes = st.sampled_from([False, False, True])
seeds = st.integers(0, 2**32 - 1)


def few(*values: int, grain: timedelta) -> st.SearchStrategy[timedelta | None]:
    """Draw nothing, mostly, or so many units of time."""
    return st.sampled_from([None] * (len(values) + 1) + [value * grain for value in values])


@st.composite
def matchings(draw: st.DrawFn, order: str, grain: timedelta, graceful: bool) -> Matching:
    grace = draw(st.sampled_from([0, 1, 2, 3])) * grain if graceful else None
    return Matching(
        distinct=draw(st.sampled_from([True, True, False])),
        ties="in_order" if grace else draw(st.sampled_from(["in_order", "in_order", "increasing"])),
        resolution=draw(few(0, 2, 3, grain=grain)),
        grace=grace,
        attempts=draw(st.sampled_from(["all", "all", "first"])),
        best=draw(st.sampled_from(["completed_first", "entered_first"])),
        repeats=draw(st.booleans()) if order == "strict" else draw(sometimes),
        any_of=draw(st.sampled_from(["first_steps", "most_steps"])) if order == "any" else "first_steps",
        anchored=draw(st.booleans()) if order == "any" else False,
    )


@st.composite
def exclusions(draw: st.DrawFn, size: int, number: int) -> Exclusion:
    after = draw(st.integers(0, size - 2))
    before = draw(st.sampled_from([None, *range(after + 1, size)]))
    policy = draw(st.sampled_from([None, "drop_unit", "drop_off"]))
    return Exclusion(event=f"x{number}", after=after, before=before, policy=policy)


@st.composite
def funnels(
    draw: st.DrawFn, *, grain: timedelta = MICROSECOND, order: str | None = None, focus: str | None = None
) -> Funnel:
    """Draw a funnel with any options that can go together; its events are s1, s2, ... and x0, x1, ...

    `focus` makes sure of an option that few funnels have: one of FOCUSES.
    """
    size = draw(st.sampled_from([1, 2, 2, 3, 3, 3, 4, 4, 5] if focus is None else [2, 3, 3, 4]))
    order = order or draw(st.sampled_from(["ordered", "ordered", "strict", "any"] if focus != "grace" else ["ordered"]))
    entered_anywhere = order != "any" and focus is None and draw(sometimes)
    graceful = focus == "grace" or (order == "ordered" and not entered_anywhere and draw(sometimes))
    optional = [False] + [not graceful and draw(sometimes) for _ in range(size - 1)]
    matching = draw(matchings(order, grain, graceful))
    shortest = 1 if matching.ties == "increasing" and size > 1 else 0
    within = [None if order == "any" else draw(few(shortest, 1, 3, W, grain=grain)) for _ in range(size)]
    counting = "entries" if focus == "entries" else draw(st.sampled_from(["units", "units", "entries", "sessions"]))
    if entered_anywhere and counting == "entries":
        counting = "units"
    steps = [
        Step(f"s{number}", event=f"s{number}", optional=optional[number - 1], within=within[number - 1])
        for number in range(1, size + 1)
    ]
    forbidden = 0
    if not entered_anywhere and size > 1:
        forbidden = draw(st.sampled_from([1, 2, 2, 4] if focus == "exclusions" else [0, 0, 1, 2, 4]))
    return Funnel(
        steps=steps,
        window=draw(st.sampled_from([None, shortest * grain, 3 * grain, W * grain, W * grain, W * grain])),
        order=order,
        exclusions=[draw(exclusions(size, number)) for number in range(forbidden)],
        policy=draw(st.sampled_from(["drop_unit", "drop_off"])),
        hold_constant=[] if counting == "sessions" else draw(st.sampled_from([[], [], ["plan"], ["plan", "shop"]])),
        open=entered_anywhere,
        counting=counting,
        session_gap=draw(few(0, 1, 3, 7, grain=grain)) if counting == "sessions" else None,
        matching=matching,
    )


@dataclass(frozen=True)
class Case:
    """A plan and the logs of some units."""

    plan: Plan
    logs: list[list[Row]]


def kinds(funnel: Funnel, overlapping: bool) -> list[tuple[frozenset[int], frozenset[int]]]:
    """Return what a row may match: mostly one step, or one exclusion, or nothing; else any steps, or both."""
    steps, nothing = range(1, len(funnel.steps) + 1), frozenset[int]()
    found = [(frozenset([step]), nothing) for step in (1, *steps)] * 3 + [(nothing, nothing)]
    found += [(nothing, frozenset([number])) for number in range(len(funnel.exclusions))] * 3
    if overlapping:
        found += [(frozenset(some), nothing) for count in steps[1:] for some in combinations(steps, count)]
        found += [(frozenset([step]), frozenset([0])) for step in steps if funnel.exclusions]
        found += [(nothing, frozenset(range(len(funnel.exclusions))))]
    return found


def random_log(chance: Random, plan: Plan, matches: Sequence[tuple[frozenset[int], frozenset[int]]]) -> list[Row]:
    """Return a log of a few rows: mostly one or two chains, perhaps with gaps, and what gets in their way."""
    funnel, nothing = plan.funnel, frozenset[int]()
    usual, times = chance.choice("ab"), chance.choice([CLOSE, NEAR, NEAR, TIMES])
    found: list[tuple[int, tuple[frozenset[int], frozenset[int]]]] = []
    for _ in range(chance.choice([0, 1, 1, 2])):
        chain = sorted(chance.choices(times, k=len(funnel.steps)))
        found += [(at, (frozenset([k]), nothing)) for k, at in enumerate(chain, start=1) if chance.random() < 0.9]
    more = chance.randint(0, max(0, MOST_ROWS - len(found)))
    found += [(chance.choice(times), chance.choice(matches)) for _ in range(more)]
    chance.shuffle(found)
    named = funnel.counting == "sessions" and funnel.session_gap is None
    return [
        Row(
            at,
            *matched,
            held=tuple(chance.choice([usual, usual, usual, usual, "b", None]) for _ in funnel.hold_constant),
            session=chance.choice("ppq") if named else None,
            extra=tuple(chance.choice(["u", "v", None]) for _ in plan.by),
        )
        for at, matched in found[:MOST_ROWS]
    ]


@st.composite
def cases(
    draw: st.DrawFn, *, logs: int = LOGS, order: str | None = None, focus: str | None = None, **fields: Any
) -> Case:
    """Draw a funnel (`fields` of it can be given), what is known and asked, and the logs of some units."""
    funnel = draw(funnels(order=order, focus=focus))
    funnel = replace(funnel, **fields) if fields else funnel
    by = draw(st.sampled_from([(), (), ("channel",), ("channel", "device")]))
    touch = draw(st.sampled_from(["entry", "first", "last", *range(1, len(funnel.steps) + 1)]))
    limits = [draw(st.sampled_from(some)) for some in (FROM, UNTIL, MATURE)]
    plan, matches = Plan(funnel, by, touch, *limits), kinds(funnel, overlapping=draw(st.booleans()))
    chance = Random(draw(seeds))
    return Case(plan, [random_log(chance, plan, matches) for _ in range(logs)])


def as_table(case: Case, *, names: Sequence[Any] | None = None) -> pa.Table:
    """Return the logs as the rows that feeders bring; `names` are those of the units."""
    plan, funnel = case.plan, case.plan.funnel
    names = range(len(case.logs)) if names is None else names
    pairs = [(name, row) for name, log in zip(names, case.logs, strict=True) for row in log]
    if not plan.whole_logs:
        pairs = [(name, row) for name, row in pairs if row.steps or row.exclusions]
    found = [row for _, row in pairs]
    size = len(funnel.steps)
    masks = [sum(1 << (k - 1) for k in row.steps) + sum(1 << (size + x) for x in row.exclusions) for row in found]
    columns = {
        "unit": pa.array([name for name, _ in pairs], pa.int64() if isinstance(names, range) else pa.string()),
        "at_us": pa.array([row.at for row in found], pa.int64()),
        "mask": pa.array(masks, pa.uint8() if plan.bits <= 8 else pa.int64()),
    }
    for place, name in enumerate(funnel.hold_constant):
        columns[f"hold {name}"] = pa.array([row.held[place] for row in found], pa.string())
    if funnel.counting == "sessions" and funnel.session_gap is None:
        columns["session"] = pa.array([row.session for row in found], pa.string())
    for place, name in enumerate(plan.by):
        columns[f"extra {name}"] = pa.array([row.extra[place] for row in found], pa.string())
    return pa.table(columns)


def by_unit(table: pa.Table) -> dict[Any, list[dict[str, Any]]]:
    """Return the engine's journeys of each unit, with times as whole numbers."""
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.int64()))
    rows: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        rows[row.pop("unit")].append(row)
    return dict(rows)


# Logs written by hand


MICROSECONDS = {"ms": 1_000, "s": 1_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def length(text: str) -> int | None:
    """Read `6d12h`, `900ms`, `0`; `-` is no time."""
    if text == "-":
        return None
    return sum(int(number) * MICROSECONDS[unit] for number, unit in re.findall(r"(\d+)(ms|s|h|d)", text))


def written(log: str, steps: str) -> list[Row]:
    """Read `A@0 AB@6d X@6d12h B@7d[a]#p`: what a row matches, when, its held value (`-`: none) and its session.

    X is an exclusion; letters that are neither a step nor X match nothing.
    """
    found = []
    for word in log.split():
        letters, time, held, session = re.fullmatch(r"(\w+)@(\w+)(?:\[(.)\])?(?:#(\w))?", word).groups()
        matched = frozenset(k for k, letter in enumerate(steps.replace("?", "").split(), start=1) if letter in letters)
        value = () if held is None else (None if held == "-" else held,)
        found.append(Row(length(time), matched, frozenset([0] if "X" in letters else []), value, session))
    return found


def lettered(steps: str, **fields: Any) -> Funnel:
    """Return a funnel on the events A, B, C, ...; `B?` is optional, `within` is that of the last step."""
    within = fields.pop("within", None)
    made = [
        Step(f"{word}{number}", event=word[0], optional=word.endswith("?"))
        for number, word in enumerate(steps.split(), start=1)
    ]
    return Funnel(steps=[*made[:-1], replace(made[-1], within=within)], **fields)


def times(journey: dict[str, Any]) -> list[int | None]:
    """Return the times of the steps, without those missing at the end."""
    found = [value for name, value in journey.items() if name.startswith("t_")]
    while found and found[-1] is None:
        found.pop()
    return found


# Events as an analyst has them

HOUR = timedelta(hours=1)
START = datetime(2026, 5, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVENTS: list[Any] = ["a", "b", "c", ["a", "b"], ["b", "c"], ["a", "c", "never"], None]
WHERES: list[dict[str, Any]] = [
    {}, {}, {}, {}, {"amount": {"ge": 2}}, {"device": "m"}, {"device": {"ne": "m"}}, {"amount": {"is_null": True}},
    {"device": ["m", "w"], "amount": {"lt": 3}},
]  # fmt: skip
COLUMNS: dict[str, Sequence[Any]] = {
    "at": TIMES,
    "event": ["a", "a", "b", "b", "c", "c", "x", "other"],
    "amount": [None, 1.0, 2.0, 3.0],
    "device": ["m", "w", None],
    "channel": ["u", "v", None],
    "plan": ["10", "10", "9", None],
    "shop": ["q", "q", "q", None],
    "session_id": ["p", "q"],
}


@dataclass(frozen=True)
class Asked:
    """What `journeys` is asked, and the rows and the plan that it comes to."""

    events: pd.DataFrame
    funnel: Funnel
    arguments: dict[str, Any]
    case: Case


def holds(row: dict[str, Any], thing: Step | Exclusion) -> bool:
    """Return whether a row is the event of a step (or exclusion) and meets its conditions."""
    met = {
        "eq": lambda value, other: value == other,
        "ne": lambda value, other: value != other,
        "in": lambda value, other: value in other,
        "ge": lambda value, other: value is not None and value >= other,
        "lt": lambda value, other: value is not None and value < other,
        "is_null": lambda value, other: (value is None) == other,
    }
    named = not thing.events or row["event"] in thing.events
    return named and all(
        met[operator](row[name], operand) for name, asked in thing.where.items() for operator, operand in asked.items()
    )


def moment(at: int) -> datetime:
    return START + at * HOUR


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


@st.composite
def questions(draw: st.DrawFn, *, units: int = LOGS) -> Asked:
    """Draw events with names and columns, a funnel on them, and the arguments of `journeys`."""
    plain = draw(funnels(grain=HOUR))
    event, where = st.sampled_from(EVENTS), st.sampled_from(WHERES)
    steps = [replace(step, event=draw(event), where=draw(where)) for step in plain.steps]
    forbidden = [replace(each, event=draw(st.sampled_from(["x", "c"])), where=draw(where)) for each in plain.exclusions]
    funnel = replace(plain, steps=steps, exclusions=forbidden)
    chance = Random(draw(seeds))
    drawn = [
        [{name: chance.choice(values) for name, values in COLUMNS.items()} for _ in range(chance.randint(0, MOST_ROWS))]
        for _ in range(units)
    ]
    since = draw(st.sampled_from([None, None, 0, 1, 2, 3]))
    until = None if since is None else since + draw(st.sampled_from([1, 3, W]))
    period = None if since is None else Period("some hours", "custom", moment(since), moment(until))
    arguments = {
        "by": draw(st.sampled_from([(), ("channel",)])),
        "touch": draw(st.sampled_from(["entry", "first", "last", *range(1, len(steps) + 1)])),
        "period": period,
        "as_of": draw(st.sampled_from([None, None, *map(moment, (2, W, W + 1, 2 * W, 4 * W))])),
    }
    rows = [{"user_id": f"u{unit}", **row} for unit, log in enumerate(drawn) for row in log]
    frame = pd.DataFrame(rows, columns=["user_id", *COLUMNS]).sample(frac=1, random_state=chance.randrange(99))
    kinds = dict.fromkeys(("user_id", "event", "device", "channel", "plan", "shop", "session_id"), "str")
    times = pd.Series([moment(at) for at in frame["at"]], index=frame.index, dtype="datetime64[us, UTC]")
    events = frame.astype({**kinds, "amount": "float64"}).assign(ts=times).drop(columns="at")
    return Asked(events, funnel, arguments, meant(drawn, funnel, arguments))


def meant(drawn: list[list[dict[str, Any]]], funnel: Funnel, arguments: dict[str, Any]) -> Case:
    """Return the rows that are known, with what they match, and the plan of what is asked."""
    newest = max((moment(row["at"]) for log in drawn for row in log), default=None)
    period, known = arguments["period"], arguments["as_of"] or newest
    logs = [
        [
            Row(
                microseconds(moment(row["at"])),
                frozenset(k for k, step in enumerate(funnel.steps, start=1) if holds(row, step)),
                frozenset(x for x, exclusion in enumerate(funnel.exclusions) if holds(row, exclusion)),
                tuple(row[name] for name in funnel.hold_constant),
                row["session_id"],
                tuple(row[name] for name in arguments["by"]),
            )
            for row in log
            # What came before the period is never looked at: sessions are numbered from its start.
            if moment(row["at"]) <= known and (period is None or moment(row["at"]) >= period.start)
        ]
        for log in drawn
    ]  # fmt: skip
    limits = (microseconds(period.start), microseconds(period.end)) if period else (MISSING, FOREVER)
    mature_until = FOREVER
    if funnel.window is not None and known is not None:
        # The rows that an entry can reach are known only when the last of them, not cut down, would be.
        finest = max(funnel.matching.resolution or MICROSECOND, MICROSECOND) - MICROSECOND
        mature_until = microseconds(known - funnel.window - finest) + 1
    return Case(Plan(funnel, arguments["by"], arguments["touch"], *limits, mature_until), logs)
