"""Why a unit counts as it does: its log, every attempt that the kernel sees in it, and which one is its journey.

Nothing is decided here: the attempts are the kernel's own, and each is only traced back to the rows of the log.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conditions import columns as named_by
from funnel_lib.conversion.engine.files import Files, literal, quoted
from funnel_lib.conversion.engine.following import divided, follow
from funnel_lib.conversion.engine.grouping import SEPARATOR, Grouped, group
from funnel_lib.conversion.engine.opening import open_source
from funnel_lib.conversion.engine.plan import FOREVER, MISSING, Plan
from funnel_lib.conversion.engine.relation import open_relation
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.engine.tracing import Attempt, trace
from funnel_lib.conversion.journeys import BETWEEN, as_times, read
from funnel_lib.conversion.keeping.serving import Log, Served, served
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.periods import Period
from funnel_lib.schema import EVENT, SESSION_ID, TS

Reason = Literal["", "no_events", "no_entry", "no_log", "no_entry_in_period", "no_first_step", "spoilt"]
# Why an attempt is not the journey; `""` where it is (one of) them.
WhyNot = Literal[
    "", "spoilt", "less_deep", "later_step", "completed_later", "entered_earlier", "entered_later", "other_log"
]
_ROW = "number of the row"


@dataclass(frozen=True)
class Explanation:
    """What was seen of one unit, and what came of it.

    `events` : the unit's log up to `as_of`, in order of time: `log` (the held values or the session, empty where a unit
    has one log; missing: the row belongs to none, or lies before the period), `ts` (UTC), `event`, `steps` and
    `exclusions` (what the row matches: step names, and event names of exclusions, joined by commas), `served` (the
    step for which it was taken in a journey, empty if none), and the columns held constant.

    `attempts` : one row per attempt, in order of log and entry: `log, attempt` (from 1), `entry`, `depth` (after
    exclusions), `t_k` and `event_k` of each step k, `until` (end of its window), `ended` (converted, excluded,
    timed_out, broken, waiting), `ended_at`, `excluded_by` (the event), `next_step` and `next_at` (the step that it
    would have needed next, and when the log has it after the attempt's last step, in time or not), `chosen`,
    `why_not` (see `WhyNot`).

    `depth` : of the deepest journey, 0 where there is none. `counted` : number of journeys (one, or one per attempt or
    session where those are counted). `reason` : why it does not count, empty if it does.
    """

    funnel: Funnel
    unit: str
    period: Period | None
    as_of: datetime | None
    events: pd.DataFrame
    attempts: pd.DataFrame
    depth: int
    counted: int
    reason: Reason


def explain(
    events: Any, funnel: Funnel, unit: object, *, period: Period | None = None, as_of: datetime | None = None
) -> Explanation:
    """Return why a unit counts in a funnel as it does.

    Parameters
    ----------
    events, funnel, period, as_of : as in `journeys`.
    unit : the unit's id; told by its text, so 17 and "17" are the same.

    Raises
    ------
    ConfigError : the funnel is that of a snapshot.
    DataError : the events cannot be read.
    """
    if funnel.snapshot:
        raise ConfigError(
            "A snapshot holds no events that could explain a unit.", found=f"snapshot: {funnel.snapshot}",
            allowed="a funnel of events", do="Look the unit up in the source's table.",
        )  # fmt: skip
    reading = read(events, funnel, period=period, as_of=as_of)
    plan = replace(reading.plan, by=(_ROW,))
    known_us = FOREVER if reading.known is None else microseconds(reading.known)
    rows = _marked(_rows_of(events, funnel, str(unit)), plan, known_us)
    grouped = group(rows.filter(pc.greater_equal(rows["at_us"], plan.entry_from)), plan)
    logs, journeys = _logs(divided(grouped, funnel)), follow(grouped, plan)
    made = [
        _Made(log, number, attempt, served(log, attempt, funnel))
        for log, part in zip(logs, _of_the_unit(trace(grouped, plan, known_us), journeys, funnel), strict=True)
        for number, attempt in enumerate(part, start=1)
    ]
    return Explanation(
        funnel, str(unit), period, reading.known, _event_frame(rows, logs, made, funnel),
        _attempt_frame(rows, made, funnel), pc.max(journeys["depth"]).as_py() or 0, journeys.num_rows,
        "" if journeys.num_rows else _reason(rows, logs, made, plan),
    )  # fmt: skip


class _Made(NamedTuple):
    """An attempt of a log, numbered from 1, and the rows that it took."""

    log: Log
    number: int
    attempt: Attempt
    served: Mapping[int, Served]


def _rows_of(events: Any, funnel: Funnel, unit: str) -> pa.Table:
    """Return all rows of one unit, with all columns that the funnel may ask for."""
    package = type(events).__module__.split(".")[0]
    if package in ("ibis", "pyspark"):
        chosen = events.filter(events[funnel.unit].cast("string") == unit)
        return chosen.to_pyarrow() if package == "ibis" else chosen.toArrow()
    named = isinstance(events, str | Path | list | tuple)
    needed = {funnel.unit, TS, *_asked(funnel), *named_by(part.where for part in _parts(funnel))}
    opened = Files(events) if named else events
    try:
        log = open_relation(opened, {EVENT, *needed}, funnel.unit)
    except DataError:  # where no step names an event, the log need not have any
        log = open_relation(opened, needed, funnel.unit)
    return log.log.filter(f"CAST({quoted(funnel.unit)} AS VARCHAR) = {literal(unit)}").to_arrow_table()


def _asked(funnel: Funnel) -> list[str]:
    """Return the columns (or properties) that every row is asked for."""
    session = [SESSION_ID] if funnel.counting == "sessions" and funnel.session_gap is None else []
    event = [EVENT] if any(part.events for part in _parts(funnel)) else []
    return [*dict.fromkeys([*event, *funnel.hold_constant, *session])]


def _marked(rows: pa.Table, plan: Plan, known_us: int) -> pa.Table:
    """Return the rows as the kernel wants them, with their number, name and held values.

    Each row is taken for a unit of its own in an open funnel of all steps and exclusions: the steps that such a unit
    entered at are what the row matches, as every other reading of the events would have it.
    """
    funnel = plan.funnel
    asked = [*dict.fromkeys([*([EVENT] if EVENT in rows.column_names else []), *_asked(funnel)])]
    parts = [Step(str(place), part.events or None, part.where) for place, part in enumerate(_parts(funnel))]
    probe = Funnel(steps=[*parts, Step("any")], open=True, unit=_ROW)
    numbered = rows.append_column(_ROW, pa.array(np.arange(rows.num_rows)))
    found = pa.concat_tables(open_source(numbered, probe, asked).journeys(Plan(probe, tuple(asked)), None, None))
    at = found["first_entry"].cast(pa.int64())
    columns = {
        "unit": pa.nulls(len(at), pa.string()).fill_null("-"),
        "at_us": at,
        "mask": pc.bit_wise_and(found["reached"], pa.scalar((1 << len(parts)) - 1)),
        f"extra {_ROW}": found["unit"],
        "event": found[EVENT].cast(pa.string()) if EVENT in asked else pa.nulls(len(at), pa.string()),
    }
    columns |= {f"hold {name}": found[name].cast(pa.string()) for name in funnel.hold_constant}
    columns |= {"session": found[SESSION_ID].cast(pa.string())} if SESSION_ID in asked else {}
    return (
        pa.table(columns)
        .filter(pc.less_equal(at, known_us))
        .sort_by([("at_us", "ascending"), (f"extra {_ROW}", "ascending")])
    )


def _parts(funnel: Funnel) -> list[Step | Exclusion]:
    return [*funnel.steps, *funnel.exclusions]


def _logs(grouped: Grouped) -> list[Log]:
    """Return the logs with their names and the numbers of their rows."""
    codes, values = grouped.codes[0], np.asarray(grouped.values[0], dtype=np.int64)  # noqa: PD011 - no frame
    numbers = values[codes]
    names = [""] * len(grouped.units) if grouped.logs is None else grouped.logs.to_pylist()
    spans = zip(names, grouped.bounds[:-1], grouped.bounds[1:], strict=True)
    return [
        Log(
            name.replace(SEPARATOR, BETWEEN),
            *(part[low:high].tolist() for part in (grouped.at, grouped.masks, numbers)),
        )
        for name, low, high in spans
    ]


def _of_the_unit(traced: list[list[Attempt]], journeys: pa.Table, funnel: Funnel) -> list[list[Attempt]]:
    """Leave only one attempt chosen where a unit has several logs, but one journey."""
    if funnel.counting != "units" or len(traced) < 2:
        return traced
    times = [journeys[f"t_{step + 1}"].cast(pa.int64()).fill_null(MISSING) for step in range(len(funnel.steps))]
    left = {tuple(column[0].as_py() for column in times)} if journeys.num_rows else set()
    made = []
    for part in traced:
        made.append([replace(attempt, chosen=attempt.chosen and attempt.times in left) for attempt in part])
        if any(attempt.chosen for attempt in made[-1]):
            left = set()
    return made


def _reason(rows: pa.Table, logs: Sequence[Log], made: Sequence[_Made], plan: Plan) -> Reason:
    """Return why no journey came of the rows."""
    funnel = plan.funnel
    if made:
        return "spoilt"
    if rows.num_rows == 0:
        return "no_events"
    anywhere = funnel.open or (funnel.order == "any" and funnel.matching.any_of == "most_steps")
    starts = (1 << len(funnel.steps)) - 1 if anywhere and not funnel.matching.anchored else 1
    enters = rows["mask"].to_numpy() & starts != 0
    if not enters.any():
        return "no_entry"
    at = rows["at_us"].to_numpy()[enters]
    if not ((at >= plan.entry_from) & (at < plan.entry_until)).any():
        return "no_entry_in_period"
    in_a_log = any(
        mask & starts and plan.entry_from <= moment < plan.entry_until
        for log in logs
        for moment, mask in zip(log.at, log.masks, strict=True)
    )
    return "no_first_step" if in_a_log else "no_log"


def _event_frame(rows: pa.Table, logs: Sequence[Log], made: Sequence[_Made], funnel: Funnel) -> pd.DataFrame:
    numbers = rows[f"extra {_ROW}"].to_pylist()
    of_log = {number: log.name for log in logs for number in log.rows}
    taken: dict[int, str] = {}
    for one in made:
        for step, place in one.served.values() if one.attempt.chosen else ():
            name = funnel.names[step - 1]
            row = one.log.rows[place]
            taken[row] = f"{taken[row]}, {name}" if row in taken else name
    names = [*funnel.names, *(_excluded(exclusion) for exclusion in funnel.exclusions)]
    size, masks = len(funnel.steps), rows["mask"].to_pylist()
    matched = [[place for place in range(len(names)) if mask >> place & 1] for mask in masks]
    columns = {
        "log": [of_log.get(number) for number in numbers],
        "ts": as_times(rows["at_us"].to_numpy()),
        "event": rows["event"].to_pylist(),
        "steps": [", ".join(names[place] for place in places if place < size) for places in matched],
        "exclusions": [", ".join(names[place] for place in places if place >= size) for places in matched],
        "served": [taken.get(number, "") for number in numbers],
        **{name: rows[f"hold {name}"].to_pylist() for name in funnel.hold_constant},
    }
    texts = dict.fromkeys((name for name in columns if name != "ts"), "str")
    return pd.DataFrame(columns).astype(texts)


def _attempt_frame(rows: pa.Table, made: Sequence[_Made], funnel: Funnel) -> pd.DataFrame:
    events = dict(zip(rows[f"extra {_ROW}"].to_pylist(), rows["event"].to_pylist(), strict=True))
    chosen = [one for one in made if one.attempt.chosen]
    records = []
    for one in made:
        attempt, until = one.attempt, MISSING if funnel.window_us is None else one.attempt.entry_us + funnel.window_us
        step, at = _next(one, funnel)
        records.append(
            {
                "log": one.log.name, "attempt": one.number, "entry": attempt.entry_us, "depth": attempt.depth,
                **{f"t_{slot + 1}": time for slot, time in enumerate(attempt.times)},
                **{f"event_{slot}": events[one.log.rows[found.place]] for slot, found in one.served.items()},
                "until": until, "ended": attempt.ended, "ended_at": attempt.ended_us,
                "excluded_by": _excluded(funnel.exclusions[attempt.hit_by]) if attempt.hit_by >= 0 else None,
                "next_step": step, "next_at": at, "chosen": attempt.chosen,
                "why_not": _why_not(one, chosen, funnel),
            }
        )  # fmt: skip
    return _typed(pd.DataFrame(records), len(funnel.steps))


def _typed(frame: pd.DataFrame, size: int) -> pd.DataFrame:
    """Return the attempts with all columns, in their order and types."""
    steps = [name for step in range(1, size + 1) for name in (f"t_{step}", f"event_{step}")]
    before, after = ["log", "attempt", "entry", "depth"], ["until", "ended", "ended_at", "excluded_by", "next_step"]
    made = frame.reindex(columns=[*before, *steps, *after, "next_at", "chosen", "why_not"])
    times = {"entry", "until", "ended_at", "next_at", *steps[::2]}
    moments = {name: as_times(np.array(made[name].tolist(), dtype=np.int64)) for name in made if name in times}
    kinds = {"attempt": "int64", "depth": "int8", "chosen": "bool"}
    others = {str(name): kinds.get(str(name), "str") for name in made if name not in times}
    return made.assign(**moments).astype(others)


def _excluded(exclusion: Exclusion) -> str:
    return " / ".join(exclusion.events) or "*"


def _next(one: _Made, funnel: Funnel) -> tuple[str | None, int]:
    """Return the step that an attempt would have needed next, and when its log has it: later, in time or not."""
    attempt, size = one.attempt, len(funnel.steps)
    took = {found.step for found in one.served.values()}
    after = 0 if funnel.order == "any" else attempt.depth
    missing = [step for step in range(after + 1, size + 1) if step not in took]
    if not missing or attempt.depth == size:
        return None, MISSING
    step = next((step for step in missing if not funnel.steps[step - 1].optional), missing[0])
    since = attempt.entry_us if funnel.order == "any" else max(attempt.times)
    used, (_, moments, masks, _) = {found.place for found in one.served.values()}, one.log
    places = range(bisect_left(moments, since), len(moments))
    later = (moments[place] for place in places if masks[place] >> (step - 1) & 1 and place not in used)
    return funnel.names[step - 1], next(later, MISSING)


def _why_not(one: _Made, chosen: Sequence[_Made], funnel: Funnel) -> WhyNot:
    """Return what kept an attempt from being the journey, seen from the one that is."""
    attempt = one.attempt
    rivals = [other.attempt for other in chosen if other.log is one.log]
    if attempt.chosen:
        return ""
    if attempt.spoilt:
        return "spoilt"
    if not rivals and chosen:
        return "other_log"
    best = rivals[0] if rivals else None
    if best is None or attempt.depth < best.depth or funnel.counting == "entries":
        return "less_deep"
    if funnel.open and attempt.steps[0] > best.steps[0]:
        return "later_step"
    if funnel.matching.best == "entered_first":
        return "entered_later"
    return "completed_later" if max(attempt.times) > max(best.times) else "entered_earlier"
