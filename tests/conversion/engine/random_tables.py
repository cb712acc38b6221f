"""Random tables of events and funnels over them, for sources that must all find the same journeys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st

from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.source import Facts, Source, microseconds
from funnel_lib.definition import Funnel
from tests.conversion.engine.strategies import funnels

UNITS = 40  # in each table
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
# Times are drawn in seconds, so that ties and the edges of windows are common; the usual window is ten of them.
SPAN = 26
CONDITIONS: Sequence[dict[str, Any]] = (
    {"n": {"ge": 1}}, {"n": [0, 2]}, {"n": {"eq": "1", "is_null": False}}, {"device": "m"}, {"device": {"ne": "m"}},
    {"device": {"is_null": True}}, {"amount": {"gt": 1, "le": 2.5}}, {"amount": {"eq": 1}},
    {"device": {"contains": "D"}}, {"member": True}, {"page": "/a"}, {"price": {"ge": 2}},
)  # fmt: skip
BY = ("device", "n", "page")


@dataclass(frozen=True)
class Case:
    """A table of events, what is asked of it, and the span of rows that is read."""

    events: pd.DataFrame
    plan: Plan
    since: datetime | None = None
    until: datetime | None = None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a funnel over all options, some steps with conditions, and a table with missing values of every kind."""
    funnel = draw(funnels(grain=SECOND))
    conditions = [draw(st.sampled_from([{}, {}, {}, *CONDITIONS])) for _ in funnel.steps]
    several = draw(st.booleans())
    steps = [
        replace(step, where=where, event=[step.name, "s1"] if several else step.event)
        for step, where in zip(funnel.steps, conditions, strict=True)
    ]
    funnel = replace(funnel, steps=steps)
    events = table(funnel, draw(st.integers(0, 2**32 - 1)))
    first, last = draw(st.sampled_from([(None, None), (3, None), (None, 20), (2, 21)]))
    since = None if first is None else NOON + first * SECOND
    until = None if last is None else NOON + last * SECOND
    by = draw(st.sampled_from([(), BY[:1], BY]))
    touch = draw(st.sampled_from(["entry", "first", "last", 1]))
    start = {} if since is None else {"entry_from": microseconds(since)}
    return Case(events, Plan(funnel, by, touch, **start, mature_until=microseconds(NOON + 9 * SECOND)), since, until)


def table(funnel: Funnel, seed: int, units: int = UNITS) -> pd.DataFrame:
    """Return the events of so many units: those of the funnel, and others."""
    rng = np.random.default_rng(seed)
    names = sorted({name for part in (*funnel.steps, *funnel.exclusions) for name in part.events})
    size = units * 6
    times = pd.Timestamp(NOON) + pd.to_timedelta(rng.integers(0, SPAN, size), unit="s")
    times = times.where(rng.random(size) > 0.02, pd.Timestamp("1970-01-01", tz="UTC"))
    names = rng.choice(np.array([*names, *names[:2], "other", None], dtype=object), size)
    seen = pd.DataFrame(
        {
            "user_id": rng.choice(np.array([*(f"u{n}" for n in range(units)), "", None], dtype=object), size),
            "event": names,
            "ts": times.where(rng.random(size) > 0.02),
            "session_id": rng.choice(np.array(["p", "q", None], dtype=object), size, p=[0.48, 0.48, 0.04]),
            "plan": rng.choice(np.array(["a", "b", None], dtype=object), size, p=[0.6, 0.3, 0.1]),
            "shop": rng.choice(np.array(["x", "y"], dtype=object), size),
            "device": rng.choice(np.array(["m", "d", None], dtype=object), size),
            "n": rng.integers(0, 3, size),
            "amount": rng.choice([1.0, 1.5, 3.0, np.nan], size),
            "member": rng.choice([True, False], size),
            "properties": rng.choice(
                np.array(['{"page": "/a", "price": 2.5}', '{"page": "/b"}', None], dtype=object), size
            ),
        }
    )
    return seen.astype(dict.fromkeys(("user_id", "event", "session_id", "plan", "shop", "device", "properties"), "str"))


def written(events: pd.DataFrame, form: str) -> pd.DataFrame:
    """Return the events with times as they are (`zoned`), `naive`, `date`, or `text` of several kinds."""
    times = events["ts"]
    if form == "naive":
        times = times.dt.tz_localize(None)
    elif form == "date":
        times = times.dt.date
    elif form == "text":
        elsewhere = times.dt.tz_convert("Asia/Shanghai").dt.strftime("%Y-%m-%d %H:%M:%S+08:00")
        place = np.arange(len(times)) % 7
        times = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ").where(place > 2, elsewhere).where(place > 0, "soon")
    return events.assign(ts=times)


def local(case: Case) -> tuple[pa.Table, Facts]:
    """Return what the local source finds."""
    return found(LocalSource(case.events, case.plan.funnel, case.plan.by), case)


def found(source: Source, case: Case) -> tuple[pa.Table, Facts]:
    """Return the journeys that a source finds, in order, and its facts without reasons that did not occur."""
    journeys = pa.concat_tables(source.journeys(case.plan, case.since, case.until))
    keys = [name for name in ("unit", "session", "entry") if name in journeys.column_names]
    facts = Facts({reason: rows for reason, rows in source.facts.set_aside.items() if rows}, source.facts.matched)
    return journeys.sort_by([(name, "ascending") for name in keys]).combine_chunks(), facts
