"""The first thing that units did after they stopped, looked up in events of any origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from funnel_lib.conversion.engine.grouping import Grouped
from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.opening import open_source
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.sieve import LATEST
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.spans import Spans, matching, rows_of, spans
from funnel_lib.conversion.reasons.stopping import FOREVER, Places, Stopped
from funnel_lib.definition import Funnel, Step
from funnel_lib.schema import EVENT

DAY_US = 86_400_000_000
_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000_000


def first_event(events: Any, who: Stopped, unit: str, resolution: int) -> pd.DataFrame:
    """Return what each did first, whatever it was.

    Parameters
    ----------
    events : a source of events, or its log in numbers.
    who : see `stopping.stopped`.
    unit : the column that tells whose events they are.
    resolution : microseconds to which the funnel cuts times.

    Returns
    -------
    Frame, one row for each of `who`: `what` (the event; of several at one instant the first by name), `days` since the
    last step; both missing where nothing came in time.

    Raises
    ------
    DataError : the events cannot be read.
    """
    if isinstance(events, EventLog):
        owner, rows = rows_of(_after(events, who, resolution))
        found = _earliest(events, who, owner, rows, events.event[rows], resolution)
        return found.assign(
            what=pd.Categorical.from_codes(found["what"].to_numpy(), pd.Index(events.names, dtype="str"))
        )
    everything = Funnel(steps=[Step("any")], unit=unit)
    return _searched(events, everything, who, f'"extra {EVENT}"', resolution, extra=(EVENT,))


def first_step(events: Any, who: Stopped, funnel: Funnel, resolution: int) -> pd.DataFrame:
    """Return which of a funnel's steps each took first; of several at one instant the last of the funnel.

    Parameters
    ----------
    funnel : at least one step.

    Returns
    -------
    Frame, one row for each of `who`: `what` (the step's number, from 1; 0: none), `days` since the last step.
    """
    size = len(funnel.steps)
    if isinstance(events, EventLog):
        owner, rows = rows_of(_after(events, who, resolution))
        ranks = np.full(len(rows), -1, dtype=np.int64)
        for place, step in enumerate(funnel.steps):
            ranks[matching(events, step, rows)] = size - 1 - place  # the smallest number is the furthest step
        found = _earliest(events, who, owner, rows, ranks, resolution)
        return found.assign(what=np.where(found["what"] < 0, 0, size - found["what"]))
    furthest = " ".join(f"WHEN (mask & {1 << place}) <> 0 THEN {-place - 1}" for place in reversed(range(size)))
    found = _searched(events, funnel, who, f"CASE {furthest} END", resolution)
    return found.assign(what=found["what"].fillna(0).astype("int64").abs())


def _after(log: EventLog, who: Stopped, resolution: int) -> Spans:
    """Return the rows that count of each; times are cut down before they are compared."""
    until = np.minimum(who.until_us, LATEST)
    persons = log.persons(who.unit) if who.person is None else who.person
    return spans(log, persons, *((limit // resolution + 1) * resolution - 1 for limit in (who.last_us, until)))


def _earliest(log: EventLog, who: Stopped, owner: Places, rows: Places, ranks: Places, resolution: int) -> pd.DataFrame:
    """Return for each the least rank (-1: none) of its first rows that have one, and the days until then."""
    kept, times = ranks >= 0, log.at
    owner, at, ranks = owner[kept], times[rows[kept]] // resolution * resolution, ranks[kept].astype(np.int64)
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    first = np.repeat(at[begins], np.diff(begins, append=len(owner)))
    what, days = np.full(len(who.last_us), -1, dtype=np.int64), np.full(len(who.last_us), np.nan)
    if len(begins):
        what[owner[begins]] = np.minimum.reduceat(np.where(at == first, ranks, FOREVER), begins)
        days[owner[begins]] = (at[begins] - who.last_us[owner[begins]]) / DAY_US
    return pd.DataFrame({"what": what, "days": days})


def _searched(
    events: Any, wanted: Funnel, who: Stopped, what: str, resolution: int, *, extra: Sequence[str] = ()
) -> pd.DataFrame:
    """Return for each the first event that matches `wanted`: `what` (an SQL value), `days` since the last step."""
    at = f"(at_us // {resolution} * {resolution})"
    units = pa.Table.from_pandas(who.unit.to_frame("unit"), preserve_index=False)["unit"]
    columns = {"unit": units, "last_us": who.last_us, "until_us": who.until_us}
    stopped = pa.table({"place": np.arange(len(units)), **columns})
    found = [pd.DataFrame({"place": [], "what": [], "days": []})]
    with duckdb.connect() as connection:
        for rows in _gathered(_rows(events, wanted, who, extra)) if len(stopped) else ():
            connection.register("seen", rows)
            connection.register("stopped", stopped.set_column(1, "unit", stopped["unit"].cast(rows["unit"].type)))
            query = (
                f"SELECT place, min({{'at_us': {at}, 'what': {what}}}) AS first, any_value(last_us) AS last_us "  # noqa: S608
                f"FROM stopped JOIN seen USING (unit) WHERE {at} > last_us AND {at} <= until_us AND {what} IS NOT NULL "
                "GROUP BY place"
            )
            told = "place, first.what AS what, (first.at_us - last_us) / 86400000000 AS days"
            found.append(connection.sql(query).project(told).to_df())
    return pd.concat(found[len(found) > 1 :]).set_index("place").reindex(range(len(stopped)))


def _rows(events: Any, wanted: Funnel, who: Stopped, extra: Sequence[str]) -> Iterator[pa.Table]:
    """Yield `unit, at_us, mask, extra NAME` of the rows that match a step, those of a unit together."""
    since, last = _EPOCH + _MICRO * int(who.last_us.min()), int(who.until_us.max())
    until = None if last == FOREVER else _EPOCH + _MICRO * last
    if type(events).__module__.split(".")[0] not in ("ibis", "pyspark"):
        plan = Plan(wanted, tuple(extra))
        yield from LocalSource(events, wanted, extra).each(lambda part: _ungrouped(part, extra), plan, since, until)
        return
    alone = [
        Funnel(steps=[Step(step.name, step.event, step.where)], unit=wanted.unit, counting="entries")
        for step in wanted.steps
    ]
    parts = []
    for place, funnel in enumerate(alone):  # each instant is an attempt of a funnel of this step alone
        for part in open_source(events, funnel, extra).journeys(Plan(funnel, tuple(extra)), since, until):
            mask = pa.array(np.full(part.num_rows, 1 << place))
            columns = {"unit": part["unit"], "at_us": part["t_1"].cast(pa.int64()), "mask": mask}
            parts.append(pa.table(columns | {f"extra {name}": part[name] for name in extra}))
    yield pa.concat_tables(parts)


def _ungrouped(part: Grouped, extra: Sequence[str]) -> pa.Table:
    log = np.repeat(np.arange(len(part.units)), np.diff(part.bounds))
    columns = {"unit": part.units.take(pa.array(log)), "at_us": part.at, "mask": part.masks.astype(np.int64)}
    for name, codes, values in zip(extra, part.codes, part.values, strict=True):
        columns[f"extra {name}"] = values.take(pa.array(codes, mask=codes < 0))
    return pa.table(columns)


def _gathered(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the parts, several together."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= _ROWS_AT_ONCE:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
