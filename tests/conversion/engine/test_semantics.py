"""The engine against a definition by brute force, over all options, and what must never change a result.

Each property counts the logs that it compared, and fails if they were fewer than it promises.
"""

import random
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.engine import compiling
from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import FOREVER, MISSING, Plan
from funnel_lib.conversion.engine.tracing import Attempt, trace
from funnel_lib.conversion.journeys import UnmatchedStep, journeys
from funnel_lib.definition import Exclusion, Funnel, in_microseconds
from tests.conversion.engine import oracle
from tests.conversion.engine.oracle import Row
from tests.conversion.engine.strategies import (
    FOCUSES,
    LOGS,
    MICROSECOND,
    Asked,
    Case,
    W,
    as_table,
    by_unit,
    cases,
    length,
    lettered,
    questions,
    times,
    written,
)

Rows = Mapping[Any, list[dict[str, Any]]]
TOO_LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
FEW = 20  # logs in each example where the engine is only compared with itself


def repeat(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], int]) -> int:
    """Check so many examples; return how many logs they had."""
    logs = 0

    @settings(max_examples=examples, deadline=None, suppress_health_check=TOO_LARGE)
    @given(strategy)
    def run(drawn: Any) -> None:
        nonlocal logs
        logs += check(drawn)

    run()
    return logs


@contextmanager
def compiled(always: bool) -> Iterator[None]:
    """Run everything compiled, or nothing."""
    with patch.object(compiling, "COMPILE_ABOVE", -1 if always else 10**9), patch.object(compiling, "_loaded", set()):
        yield


def found(case: Case) -> Rows:
    """Return what the engine makes of the logs: the journeys of each unit."""
    return by_unit(follow(group(as_table(case), case.plan), case.plan))


def defined(case: Case) -> Rows:
    """Return what the definition makes of the logs."""
    every = {unit: oracle.journeys(log, case.plan) for unit, log in enumerate(case.logs)}
    return {unit: rows for unit, rows in every.items() if rows}


def in_turn(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row.get("session", ""), row.get("entry", 0)))


def same(engine: Rows, definition: Rows, case: Case) -> int:
    """Check that all units have the same journeys; return how many logs were compared."""
    for unit, log in enumerate(case.logs):
        one, other = in_turn(engine.get(unit, [])), in_turn(definition.get(unit, []))
        assert one == other, f"unit {unit}: {shortest(log, case.plan)}\n{case.plan}"
    return len(case.logs)


def shortest(log: list[Row], plan: Plan) -> list[Row]:
    """Return what is left of a log when no row can go without the engine and the definition coming to agree."""
    for place in range(len(log)):
        case = Case(plan, [log[:place] + log[place + 1 :]])
        if found(case) != defined(case):
            return shortest(case.logs[0], plan)
    return sorted(log, key=lambda row: row.at)


def agrees(case: Case) -> int:
    return same(found(case), defined(case), case)


# Against the definition


@pytest.mark.parametrize("examples", [40, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.parametrize("focus", FOCUSES)
def test_the_engine_does_what_the_definition_says(
    examples: int, focus: str | None, record_property: Callable[..., None]
):
    with compiled(always=False):
        logs = repeat(examples, cases(focus=focus), agrees)
    record_property("logs compared", logs)
    assert logs >= examples * LOGS


@pytest.mark.parametrize("examples", [10, pytest.param(400, marks=pytest.mark.slow)])
def test_the_compiled_engine_does_what_the_definition_says(examples: int, record_property: Callable[..., None]):
    with compiled(always=True):
        logs = repeat(examples, st.sampled_from(FOCUSES).flatmap(lambda focus: cases(focus=focus)), agrees)
    record_property("logs compared", logs)
    assert logs >= examples * LOGS


@pytest.mark.parametrize("examples", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_journeys_of_events_are_what_the_definition_says(examples: int, record_property: Callable[..., None]):
    with compiled(always=False), warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)
        logs = repeat(examples, questions(), journeys_agree)
    record_property("logs compared", logs)
    assert logs >= examples * LOGS


@pytest.mark.parametrize("examples", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_the_attempts_that_are_told_are_those_of_the_definition(examples: int):
    focused = st.sampled_from(FOCUSES).flatmap(lambda focus: cases(focus=focus, logs=FEW))
    assert repeat(examples, focused, attempts_agree) >= examples * FEW


def attempts_agree(case: Case) -> int:
    plan, funnel = case.plan, case.plan.funnel
    for log in case.logs:
        told = [made for made in trace(group(as_table(Case(plan, [log])), plan), plan, KNOWN) if made]
        if funnel.counting == "entries":
            begun = [(made.entry_us, made.depth) for each in told for made in each if made.chosen]
            assert sorted(begun) == sorted((row["first_entry"], row["depth"]) for row in oracle.journeys(log, plan))
            continue
        rows = oracle.at_resolution(log, funnel)
        parts = list(oracle.sessions(rows, funnel).values()) if funnel.counting == "sessions" else [rows]
        tried = [oracle.attempts(one, plan) for part in parts for one in oracle.held_apart(part)]
        expected = [as_told(each, funnel) for each in tried if each]
        assert sorted(map(as_tuples, told)) == sorted(expected), f"{shortest(log, plan)}\n{plan}"
    return len(case.logs)


KNOWN = 10**9
Told = list[tuple[int, int, tuple[int, ...], bool, int, bool]]


def as_tuples(told: list[Attempt]) -> Told:
    return sorted((one.entry_us, one.depth, one.times, one.spoilt, one.hit_us, one.chosen) for one in told)


def as_told(tried: list[oracle.Attempt], funnel: Funnel) -> Told:
    chosen, numbers = oracle.winner(tried, funnel), range(1, len(funnel.steps) + 1)
    return sorted(
        (
            one.entry,
            one.depth,
            tuple(one.times.get(step, MISSING) for step in numbers),
            one.spoilt,
            MISSING if one.hit is None else one.hit,
            one is chosen,
        )
        for one in tried
    )


def journeys_agree(asked: Asked) -> int:
    made = journeys(asked.events, asked.funnel, **asked.arguments)
    definition = defined(asked.case)
    logs = same(from_frame(made.frame), definition, asked.case)
    rows = [row for found in definition.values() for row in found]
    for mature_only in (False, True):
        reached, passed = counted(rows, asked.funnel, mature_only)
        assert made.counts(mature_only=mature_only)["units"].tolist() == reached
        assert made.passages(mature_only=mature_only)["passed"].tolist() == passed
    return logs


def from_frame(frame: pd.DataFrame) -> Rows:
    """Return the journeys of each unit, by its number."""
    plain = {
        name: column.astype("int64") if isinstance(column.dtype, pd.DatetimeTZDtype) else column
        for name, column in frame.items()
    }
    rows: Rows = defaultdict(list)
    for row in pd.DataFrame(plain).astype(object).to_dict("records"):
        unit = int(row.pop("unit")[1:])
        rows[unit].append({name: None if pd.isna(value) or value == MISSING else value for name, value in row.items()})
    return dict(rows)


def counted(rows: list[dict[str, Any]], funnel: Funnel, mature_only: bool) -> tuple[list[int], list[int]]:
    """Return how many took each step, and how many after the required step before it."""
    mature, numbers = "mature_" if mature_only else "", range(1, len(funnel.steps) + 1)
    if funnel.simple:
        reached = [sum(row[f"{mature}depth"] >= k for row in rows) for k in numbers]
        return reached, reached
    reached, passed = (
        [sum(row[f"{mature}{what}"] >> (k - 1) & 1 for row in rows) for k in numbers] for what in ("reached", "passed")
    )
    return reached, [reached[0], *passed[1:]]


def test_journeys_have_their_columns_and_types():
    """One session of one unit: A at 0, B at 5, with optional steps."""
    steps = [{"name": "A", "event": "A"}, {"name": "B", "event": "B", "optional": True}]
    funnel = Funnel(steps=steps, counting="sessions")
    log = [Row(0, frozenset([1]), session="p", extra=("u",)), Row(5, frozenset([2]), session="p", extra=(None,))]
    case = Case(Plan(funnel, by=("channel",)), [log])
    table = follow(group(as_table(case), case.plan), case.plan)
    times = pa.timestamp("us", "UTC")
    types = dict(zip(table.column_names, table.schema.types, strict=True))
    assert types.pop("unit") == pa.int64()
    assert types.pop("session") in (pa.string(), pa.large_string())
    assert types.pop("channel") in (pa.string(), pa.large_string())
    assert types == {
        **dict.fromkeys(("depth", "mature_depth", "first_depth"), pa.int8()),
        **dict.fromkeys(("t_1", "t_2", "first_entry", "last_entry"), times),
        "matured": pa.bool_(),
        **dict.fromkeys(("reached", "mature_reached", "passed", "mature_passed"), pa.int64()),
    }


# Worked out by hand: options that no preset switches

EXCLUDING = {"exclusions": [Exclusion(event="X", after=0, before=1)]}
AFTER_B = {"exclusions": [Exclusion(event="X", after=1, before=2)]}
ENTRIES, OFF = {"counting": "entries"}, {"policy": "drop_off"}


@pytest.mark.parametrize(
    ("steps", "fields", "log", "expected"),
    [
        # Optional steps are taken where they lie in order, as early as can be, but never delay the last step.
        ("A B? C", {}, "A@0 C@1d", ["0 - 1d"]),
        ("A B? C", {}, "A@0 B@1d C@2d", ["0 1d 2d"]),
        ("A B? C", {}, "A@0 C@1d B@2d C@3d", ["0 - 1d"]),
        ("A B? C? D", {}, "A@0 C@1d B@2d D@3d", ["0 2d - 3d"]),  # either, not both: the earlier step, B
        ("A B C?", {}, "A@0 C@1d", ["0"]),  # B is required
        # The last step within a day of the one taken before.
        ("A B", {"within": "1d"}, "A@0 B@2d A@3d B@4d", ["3d 4d"]),
        ("A B C", {"within": "1d"}, "A@0 B@1d B@3d C@4d", ["0 3d 4d"]),  # only the later B is in time
        ("A B? C", {"within": "1d"}, "A@0 B@2d C@3d", ["0 2d 3d"]),  # too late after A, not after B
        ("A B", {"matching": {"ties": "increasing"}}, "A@0 B@0 B@1d", ["0 1d"]),
        ("A B", {"matching": {"resolution": "1d"}}, "B@1d6h A@1d12h", ["1d 1d"]),
        ("A B", {"matching": {"best": "entered_first"}}, "A@0 A@1d B@2d", ["0 2d"]),
        ("A B", {"matching": {"attempts": "first"}}, "A@0 A@6d B@8d", ["0"]),
        # Exclusions between B and C, and what they do.
        ("A B C", AFTER_B | OFF, "A@0 B@1d X@2d C@3d", ["0 1d"]),
        ("A B C", AFTER_B, "A@0 B@1d X@2d C@3d", []),
        ("A B C", AFTER_B, "A@0 X@1d B@2d C@3d", ["0 2d 3d"]),  # before B
        ("A B C", AFTER_B, "A@0 X@1d", ["0"]),  # B was never reached
        ("A B C", AFTER_B, "A@0 B@1d X@2d C@3d A@10d B@11d", []),  # the clean attempt is not as deep
        ("A B? C", AFTER_B, "A@0 X@1d C@2d", []),  # A stands for the skipped B
        ("A B", EXCLUDING, "A@0 X@7d", []),  # the window includes its end
        ("A B", EXCLUDING, "A@0 X@8d", ["0"]),
        # One held value in all events; an event without one counts for nothing.
        ("A B", {"hold_constant": ["plan"]}, "A@0[a] B@1d[b] A@2d[b] B@3d[b]", ["2d 3d"]),
        ("A B", {"hold_constant": ["plan"]}, "A@0[-] B@1d[-] A@2d[a] B@3d[-]", ["2d"]),
        # Sessions as named, or between pauses of more than a day.
        ("A B", {"counting": "sessions"}, "A@0#p B@1d#q A@2d#q B@3d#p", ["0 3d", "2d"]),
        ("A B", {"counting": "sessions", "session_gap": "1d"}, "A@0 B@1d A@3d Z@4d B@5d", ["0 1d", "3d 5d"]),
        # Entries: anew after conversion, time-out, exclusion, or a break.
        ("A B", ENTRIES, "A@0 B@1d A@1d A@2d", ["0 1d", "2d"]),
        ("A B", ENTRIES, "A@0 A@7d A@8d", ["0", "8d"]),
        ("A B", ENTRIES | EXCLUDING | OFF, "A@0 X@1d A@1d B@2d", ["0", "1d 2d"]),
        ("A B", ENTRIES | EXCLUDING, "A@0 X@1d A@1d B@2d", ["1d 2d"]),
        ("A B", ENTRIES | {"order": "strict"}, "A@0 Z@1d A@2d B@3d", ["0", "2d 3d"]),
        ("A B", ENTRIES | {"window": None}, "A@0 A@100d", ["0"]),  # the first attempt waits for ever
        # Any order: an exclusion ends what was begun, but not what was completed.
        ("A B", {"order": "any"} | EXCLUDING, "B@0 X@1d A@2d", ["2d"]),
        ("A B", {"order": "any"} | EXCLUDING, "B@0 A@1d X@1d", ["1d 0"]),
        ("A B? C", {"order": "any"}, "C@0 A@1d", ["1d - 0"]),
        ("A B", {"open": True}, "B@0 A@1d", ["- 0"]),
    ],
)
def test_known_sequences(steps: str, fields: Mapping[str, Any], log: str, expected: list[str]):
    case = Case(Plan(lettered(steps, **{"window": "7d", **fields})), [written(log, steps)])
    rows = found(case)
    assert same(rows, defined(case), case) == 1
    assert [times(row) for row in rows.get(0, [])] == [[length(time) for time in each.split()] for each in expected]


def test_open_funnels_count_all_that_took_a_step_and_who_went_on():
    """B and C in order, A after both: steps 1 to 3 are reached, and only C after the one before."""
    case = Case(Plan(lettered("A B C", open=True, window="7d")), [written("B@0 C@1d A@2d", "A B C")])
    row = found(case)[0][0]
    assert same(found(case), defined(case), case) == 1
    assert (row["depth"], row["reached"], row["passed"]) == (3, 0b111, 0b100)


def test_only_entries_whose_window_has_closed_are_mature():
    """Entries on days 0 and 8; only the first is mature, and it reached nothing more."""
    case = Case(Plan(lettered("A B", window="7d"), mature_until=length("2d")), [written("A@0 A@8d B@9d", "A B")])
    row = found(case)[0][0]
    assert same(found(case), defined(case), case) == 1
    assert (row["depth"], row["mature_depth"], row["first_depth"], row["matured"]) == (2, 1, 1, True)


# What must not change a result


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[Case, random.Random]:
    return draw(cases(logs=FEW)), draw(st.randoms(use_true_random=False))


def test_the_sequence_of_rows_makes_no_difference():
    def check(drawn: tuple[Case, random.Random]) -> int:
        case, chance = drawn
        rows = as_table(case)
        mixed = rows.take(pa.array(chance.sample(range(len(rows)), len(rows)), pa.int64()))
        return same(by_unit(follow(group(mixed, case.plan), case.plan)), found(case), case)

    assert repeat(40, shuffled(), check) >= 40 * FEW


def test_units_do_not_see_each_other():
    def check(case: Case) -> int:
        half = len(case.logs) // 2
        first, rest = found(replace(case, logs=case.logs[:half])), found(replace(case, logs=case.logs[half:]))
        both = first | {unit + half: rows for unit, rows in rest.items()}
        return same(both, found(case), case)

    assert repeat(40, cases(logs=FEW), check) >= 40 * FEW


def test_names_of_units_make_no_difference():
    def check(case: Case) -> int:
        names = [f"{'zy'[unit % 2]}-{len(case.logs) - unit}" for unit in range(len(case.logs))]
        table = follow(group(as_table(case, names=names), case.plan), case.plan)
        assert table["unit"].to_pylist() == sorted(table["unit"].to_pylist())
        renamed = by_unit(table)
        return same({unit: renamed[name] for unit, name in enumerate(names) if name in renamed}, found(case), case)

    assert repeat(40, cases(logs=FEW), check) >= 40 * FEW


def test_all_times_may_be_moved():
    def check(case: Case) -> int:
        far = 1_777_593_600_000_000  # May 2026; a multiple of every resolution that is drawn
        plan = replace(case.plan, **{name: moved(getattr(case.plan, name), far) for name in LIMITS})
        logs = [[replace(row, at=row.at + far) for row in log] for log in case.logs]
        back = {unit: [moved_back(row, far) for row in rows] for unit, rows in found(Case(plan, logs)).items()}
        return same(back, found(case), case)

    assert repeat(40, cases(logs=FEW), check) >= 40 * FEW


LIMITS = ("entry_from", "entry_until", "mature_until")


def moved(limit: int, by: int) -> int:
    return limit if limit in (MISSING, FOREVER) else limit + by


def moved_back(row: dict[str, Any], by: int) -> dict[str, Any]:
    times = [name for name in row if name.startswith("t_") or name in ("first_entry", "last_entry")]
    return row | {name: None if row[name] is None else row[name] - by for name in times}


# Two ways to say the same


def test_times_cut_by_hand_are_a_resolution():
    def check(case: Case) -> int:
        grain = in_microseconds(case.plan.funnel.matching.resolution) or 1
        cut = [[replace(row, at=row.at // grain * grain) for row in log] for log in case.logs]
        return same(found(replace(changed(case, matching={"resolution": None}), logs=cut)), found(case), case)

    assert repeat(40, cases(logs=FEW), check) >= 40 * FEW


def test_one_held_value_in_all_rows_is_no_held_value():
    def check(case: Case) -> int:
        held = [[replace(row, held=("a", "b")) for row in log] for log in case.logs]
        return same(found(replace(changed(case, hold_constant=["plan", "shop"]), logs=held)), found(case), case)

    assert repeat(40, cases(logs=FEW, counting="units", session_gap=None, hold_constant=[]), check) >= 40 * FEW


def test_a_log_without_a_pause_is_one_session():
    def check(case: Case) -> int:
        sessions = found(changed(case, counting="sessions", session_gap=W * W * MICROSECOND))
        for rows in sessions.values():
            assert [row.pop("session") for row in rows] == ["1"]
        return same(sessions, found(case), case)

    assert repeat(40, cases(logs=FEW, counting="units", session_gap=None, hold_constant=[]), check) >= 40 * FEW


def test_what_came_before_the_range_of_entries_makes_no_difference():
    def check(case: Case) -> int:
        plan = replace(case.plan, entry_from=2)
        grain = in_microseconds(plan.funnel.matching.resolution) or 1
        late = [[row for row in log if row.at // grain * grain >= 2] for log in case.logs]
        return same(found(Case(plan, late)), found(Case(plan, case.logs)), case)

    assert repeat(40, cases(logs=FEW, counting="units", session_gap=None), check) >= 40 * FEW


# What may change a result, but only in one direction


def changed(case: Case, *, matching: Mapping[str, Any] | None = None, **fields: Any) -> Case:
    funnel = case.plan.funnel
    fields = fields | {"matching": replace(funnel.matching, **(matching or {}))}
    return replace(case, plan=replace(case.plan, funnel=replace(funnel, **fields)))


def steps(case: Case, **fields: Any) -> Case:
    """Change all steps but the first."""
    first, *later = case.plan.funnel.steps
    return changed(case, steps=[first, *(replace(step, **fields) for step in later)])


def depths(case: Case, column: str = "depth") -> dict[Any, int]:
    """Return the depth of each unit (or session) that has one."""
    return {(unit, row.get("session")): row[column] for unit, rows in found(case).items() for row in rows}


# In any order rows of all steps are entries: the first one need not be that of another order.
OF_ANY_ENTRY = ("depth", "mature_depth")
OF_EACH_ENTRY = (*OF_ANY_ENTRY, "first_depth")


def never_lower(case: Case, other: Case, columns: Sequence[str] = OF_EACH_ENTRY) -> int:
    """Check that no unit has a smaller depth in `other`; return the number of logs."""
    for column in columns:
        after = depths(other, column)
        for unit, depth in depths(case, column).items():
            assert after.get(unit, 0) >= depth, f"{column} of {unit}: {case.logs[unit[0]]}\n{case.plan}\n{other.plan}"
    return len(case.logs)


def once(case: Case) -> Case:
    """Count units where entries were counted: how many attempts there are depends on how far each went."""
    return changed(case, counting="units") if case.plan.funnel.counting == "entries" else case


def test_a_longer_window_never_lowers_a_depth():
    def check(case: Case) -> int:
        windows = 3 * MICROSECOND, W * MICROSECOND, None
        short, long, endless = (changed(once(case), window=window) for window in windows)
        never_lower(short, long)
        return never_lower(long, endless)

    assert repeat(40, cases(logs=FEW, exclusions=[]), check) >= 40 * FEW


def strictly(case: Case) -> tuple[Case, Case]:
    return changed(case, order="strict"), changed(case, order="ordered")


def anyhow(case: Case) -> tuple[Case, Case]:
    case = changed(case, open=False, matching={"attempts": "all", "anchored": False, "any_of": "first_steps"})
    unhurried = [replace(step, within=None) for step in case.plan.funnel.steps]
    return changed(case, order="ordered"), changed(case, order="any", steps=unhurried)


def switch(case: Case, name: str, tight: Any, loose: Any, **fields: Any) -> tuple[Case, Case]:
    return tuple(changed(case, matching={name: value}, **fields) for value in (tight, loose))  # type: ignore[return-value]


LOOSER: dict[str, Callable[[Case], tuple[Case, Case]]] = {
    "strict, ordered": strictly,
    "ordered, any": anyhow,
    "within, none": lambda case: (case, steps(case, within=None)),
    "required, optional": lambda case: (steps(case, optional=False), steps(case, optional=True)),
    "first attempt, all": lambda case: switch(case, "attempts", "first", "all"),
    "distinct events, any": lambda case: switch(case, "distinct", True, False),
    "later, in order": lambda case: switch(case, "ties", "increasing", "in_order"),
    "no repeats, repeats": lambda case: switch(case, "repeats", False, True, order="strict"),
}


@pytest.mark.parametrize("loosen", LOOSER.values(), ids=LOOSER)
def test_a_looser_rule_never_lowers_a_depth(loosen: Callable[[Case], tuple[Case, Case]]):
    def check(case: Case) -> int:
        case = changed(once(case), window=W * MICROSECOND, matching={"grace": None})
        every = case.plan.funnel.steps
        longer = [
            replace(step, within=None if step.within is None else max(step.within, MICROSECOND)) for step in every
        ]
        tight, loose = loosen(changed(case, steps=longer))
        return never_lower(tight, loose, OF_ANY_ENTRY if loose.plan.funnel.order == "any" else OF_EACH_ENTRY)

    assert repeat(20, ordered_cases(), check) >= 20 * FEW


def ordered_cases() -> st.SearchStrategy[Case]:
    return st.sampled_from(["ordered", "strict"]).flatmap(lambda order: cases(logs=FEW, order=order, exclusions=[]))


@pytest.mark.parametrize("name", ["anchored", "any_of"])
def test_in_any_order_a_looser_rule_never_lowers_a_depth(name: str):
    def check(case: Case) -> int:
        case = steps(changed(once(case), matching={"attempts": "all"}), optional=False)
        tight, loose = (True, False) if name == "anchored" else ("first_steps", "most_steps")
        return never_lower(*switch(case, name, tight, loose), OF_ANY_ENTRY)

    assert repeat(20, cases(logs=FEW, order="any", exclusions=[]), check) >= 20 * FEW


@pytest.mark.parametrize("policy", ["drop_unit", "drop_off"])
def test_an_exclusion_never_raises_a_depth(policy: str):
    def check(case: Case) -> int:
        of_one_kind = [replace(exclusion, policy=None) for exclusion in case.plan.funnel.exclusions]
        excluding = changed(once(case), exclusions=of_one_kind, policy=policy)
        bare = [[replace(row, exclusions=frozenset()) for row in log] for log in case.logs]
        return never_lower(excluding, replace(changed(once(case), exclusions=[]), logs=bare))

    assert repeat(40, cases(logs=FEW), check) >= 40 * FEW


def test_opening_a_funnel_never_loses_a_unit_at_any_step():
    def check(case: Case) -> int:
        # Where only the first entry counts, that of an open funnel may be at a later step, and of no use.
        case = changed(once(case), open=False, matching={"grace": None, "attempts": "all"})
        closed, opened = found(case), found(changed(case, open=True))
        for unit, rows in closed.items():
            reached = {row.get("session"): row["reached"] for row in opened.get(unit, [])}
            for row in rows:
                took = row.get("reached", 2 ** row["depth"] - 1)
                assert took & ~reached[row.get("session")] == 0, f"{unit}: {case.logs[unit]}\n{case.plan}"
        return len(case.logs)

    assert repeat(40, ordered_cases(), check) >= 40 * FEW


def test_which_attempt_is_best_makes_no_difference_to_the_depth():
    def check(case: Case) -> int:
        first, earliest = switch(case, "best", "completed_first", "entered_first")
        never_lower(first, earliest)
        return never_lower(earliest, first)

    assert repeat(20, cases(logs=FEW).map(once), check) >= 20 * FEW


def test_the_last_step_makes_no_difference_to_those_before():
    """Without exclusions, which name their steps, and without optional ones."""

    def check(case: Case) -> int:
        matching = {"attempts": "all", "any_of": "first_steps"}
        case = steps(changed(once(case), open=False, matching=matching), optional=False)
        case = replace(case, plan=replace(case.plan, entry_until=FOREVER))  # in any order the last step is an entry too
        size = len(case.plan.funnel.steps)
        if size == 1:
            return len(case.logs)
        shorter = changed(case, steps=case.plan.funnel.steps[:-1])
        logs = [[replace(row, steps=row.steps - {size}) for row in log] for log in case.logs]
        plan = replace(shorter.plan, touch="entry")
        assert depths(Case(plan, logs)) == {unit: min(depth, size - 1) for unit, depth in depths(case).items()}
        return len(case.logs)

    assert repeat(40, cases(logs=FEW, exclusions=[]), check) >= 40 * FEW


def test_no_attempt_goes_further_than_its_unit():
    def check(case: Case) -> int:
        units = depths(changed(case, counting="units"))
        attempts = found(changed(case, counting="entries"))
        assert {unit for unit, _ in units} == set(attempts)
        for unit, rows in attempts.items():
            assert max(row["depth"] for row in rows) <= units[unit, None]
        return len(case.logs)

    once_each = cases(logs=FEW, exclusions=[], open=False, counting="units", session_gap=None)
    assert repeat(40, once_each, check) >= 40 * FEW
