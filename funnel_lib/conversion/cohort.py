"""The journeys that a report is about: a workbook's data in one period, split and restricted to a segment."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from funnel_lib.collection.scope import Scope
from funnel_lib.conditions import columns
from funnel_lib.conversion.journeys import OWN, Journeys, UnmatchedStep, journeys
from funnel_lib.conversion.keeping.shelves import Shelf
from funnel_lib.conversion.keeping.stored import key_of, remembered
from funnel_lib.conversion.keeping.tallies import kinds
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.schema import EVENT, PROPERTIES, SOURCE, TS, USER_ID
from funnel_lib.segmentation.rules import attach

_UNITS = ("unit", "session", "entry", "last_entry", "matured")
"""Columns of journeys that neither counts nor times need."""


def cohort(scope: Scope, *, attributes: bool = True, units: bool = True) -> Journeys:
    """Return the journeys of a scope's period and segment, with user attributes and every split as columns.

    Without `attributes` there are only the splits, as categories, which are kept: of many people, attributes take most
    of the time. Without `units` (nor attributes) nobody can be told from anybody else either, and there is no
    `last_entry` and no `matured`: enough for counts and times.

    Where a split divides by something that events tell, it is the value at the unit's *first* entry in the
    period: what came later may depend on the outcome, and so would the groups.

    Raises
    ------
    DataError : nobody entered the funnel in the period, or the segment is empty.
    ConfigError : a step matches no event of the whole data; the nearest name is given.
    """
    return _cohort(scope, None if attributes else _own(scope.funnel, units=units))


def _cohort(scope: Scope, columns: Collection[str] | None) -> Journeys:
    """Return a scope's journeys: with all attributes, or what is counted with some `columns` and the splits."""
    found = _from_snapshot(scope) if scope.funnel.snapshot else _from_events(scope, columns)
    if found.frame.empty:
        raise DataError(
            "Nobody entered the funnel in this period.", where=scope.workbook.file or scope.workbook.name,
            found=f"{scope.period.name}: no {scope.funnel.names[0]}", allowed="a period with entries",
            do="Choose another period, or collect the exports that are missing.",
        )  # fmt: skip
    if columns is None:
        split = attach(found.frame, scope.users, scope.workbook, _events(scope))
    else:
        wanted = {*columns, *kinds(scope.funnel, ())}
        split = found.frame[[name for name in found.frame if name in wanted]]
        if columns or scope.split_group is not None:
            split = split.assign(**_divided(found, scope))
    return _segment(replace(found, frame=split), scope)


def active(scope: Scope) -> Journeys:
    """Return who took which step inside a scope's period, whenever they entered and in whatever order.

    For the activity view: `counts()` of the result are the people with the step's event in these days; there are no
    times and no splits. Times, windows and exclusions play no part. Not for snapshots, which know no single events.

    Raises
    ------
    DataError, ConfigError : as `cohort`.
    """
    plain = [replace(step, optional=False, within=None) for step in scope.funnel.steps]
    funnel = Funnel(plain, unit=scope.funnel.unit, open=True)
    last = scope.period.end - timedelta(microseconds=1)
    as_of = last if scope.as_of is None else min(scope.as_of, last)
    workbook = scope.workbook.model_copy(update={"funnel": funnel})
    return _cohort(replace(scope, workbook=workbook, as_of=as_of), ())


def cohort_before(scope: Scope, *, attributes: bool = True) -> Journeys | None:
    """Return the journeys of the period before, None where the data does not reach back or nobody entered then.

    `attributes` as in `cohort`.
    """
    if scope.previous is None:
        return None
    try:
        return cohort(scope.previous, attributes=attributes)
    except DataError:
        return None


def _own(funnel: Funnel, *, units: bool) -> list[str]:
    """Return the columns that journeys have whatever is asked of them; those of counts and times, without `units`."""
    times = [f"t_{step}" for step in range(1, len(funnel.steps) + 1)]
    return [*(name for name in OWN if units or name not in _UNITS), *times]


def _events(scope: Scope) -> Path | None:
    return scope.events if scope.events.exists() else None


def _divided(found: Journeys, scope: Scope) -> dict[str, pd.Series[Any]]:
    """Return every split of the journeys, worked out once for the same journeys, users and splits."""
    book = scope.workbook
    if not book.segments:
        return {}

    def made() -> dict[str, pd.DataFrame]:
        asked = ["unit", "first_entry", *_told_by_events(scope)]
        whole = found if scope.funnel.snapshot else _from_events(scope, asked)
        users = scope.store.read("users", [USER_ID, *_wanted(scope)])
        splits = attach(whole.frame, users, book, _events(scope))[[*book.segments]]
        return {"splits": splits.astype("category").reset_index(drop=True)}

    shelf, tables = Shelf.of(scope), scope.store.facts()["tables"]
    if shelf is None or scope.funnel.snapshot:
        splits = made()["splits"]
    else:
        mapped = {name: (one.columns, one.constants) for name, one in book.sources.items()}
        facts = {"users": tables.get("users", {}).get("sha256"), "segments": book.segments, "mapped": mapped}
        splits = shelf.tables(scope.funnel, made, period=scope.period, as_of=scope.as_of, **facts)["splits"]
    return {str(name): splits[name] for name in splits}


def _segment(everybody: Journeys, scope: Scope) -> Journeys:
    if scope.split_group is None:
        return everybody
    name, group = scope.split_group
    chosen = everybody.select(everybody.frame[name] == group)
    if chosen.frame.empty:
        sizes = everybody.frame[name].astype("str").value_counts()
        raise DataError(
            "Nobody in this segment entered the funnel in this period.", where=f"segment {scope.segment}",
            found=f"0 of {len(everybody.frame)} in {scope.period.name}",
            allowed=", ".join(f"{name}={other} ({count})" for other, count in sizes.items()),
            do="Choose another segment or period.",
        )  # fmt: skip
    return chosen


def _from_events(scope: Scope, columns: Collection[str] | None = None) -> Journeys:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)  # said as an error, below
        found = _counted(scope, columns)
    if found.absent and not scope.workbook.rules.allow_unmatched:
        name, guess = next(iter(found.absent.items()))
        step = next(step for step in scope.funnel.steps if step.name == name)
        named = " or ".join(step.events) or "any event"
        raise ConfigError(
            f"The step {name!r} matches no event of the whole data.", where=f"funnel.steps: {name}",
            found=f"{named} where {step.where}" if step.where else named,
            allowed=f"an event of the data{f' (did you mean {guess}?)' if guess else ''}",
            do="Correct the step's event, collect the source that holds it, or set rules.allow_unmatched: true.",
        )  # fmt: skip
    return found


def _counted(scope: Scope, columns: Collection[str] | None) -> Journeys:
    """Return everybody's journeys: those stored when the same question was asked of the same data, else new ones.

    Of stored ones, only the `columns` are read.
    """
    by, period, as_of = _told_by_events(scope), scope.period, scope.as_of

    def made() -> Journeys:
        return journeys(scope.events, scope.funnel, by=by, touch="first", period=period, as_of=as_of)

    data = scope.store.facts()["tables"].get("events", {}).get("sha256")
    if data is None:
        return made()
    key = key_of(scope.funnel, data=data, by=by, touch="first", period=period, as_of=as_of)
    return remembered(scope.store.folder / "journeys", key, made, columns=columns)


def _from_snapshot(scope: Scope) -> Journeys:
    table = scope.funnel.snapshot
    rows = scope.users if table == "users" else _told_apart(scope.store.read("deals"))
    missing = [name for name in _asked(scope) if name not in rows and name in scope.users]
    if USER_ID in rows and missing:
        rows = rows.join(scope.users.set_index(USER_ID)[missing], on=USER_ID)
    by = [name for name in _asked(scope) if name in rows and name != scope.funnel.unit]
    return snapshot_journeys(rows, scope.funnel, by=by, period=scope.period, as_of=scope.as_of)


def _told_apart(deals: pd.DataFrame) -> pd.DataFrame:
    """Return the deals with ids of their own: one that two systems have given gets its source in front."""
    twice = deals["record_id"].duplicated(keep=False)
    if not twice.any() or SOURCE not in deals:
        return deals
    return deals.assign(record_id=deals["record_id"].mask(twice, deals[SOURCE] + "/" + deals["record_id"]))


def _asked(scope: Scope) -> list[str]:
    """Return what the splits ask for, in the workbook's order."""
    names: dict[str, None] = {}
    for split in scope.workbook.segments.values():
        wheres = [group.where for group in split.groups.values()]
        names |= dict.fromkeys([*([split.by] if split.by else []), *sorted(columns(wheres))])
    return list(names)


def _wanted(scope: Scope) -> list[str]:
    """Return what the splits ask for and users tell."""
    return [name for name in _asked(scope) if name in _user_columns(scope) and name != USER_ID]


def _user_columns(scope: Scope) -> list[str]:
    path = scope.store.path("users")
    return pq.read_schema(path).names if path.is_file() else list(map(str, scope.users))


def _told_by_events(scope: Scope) -> list[str]:
    """Return what the splits ask for and users do not tell, but events do (as a column or a property)."""
    held = set(pq.read_schema(scope.events).names) if scope.events.exists() else set()
    users = _user_columns(scope)
    asked = [name for name in _asked(scope) if name not in users and name not in (scope.funnel.unit, EVENT, TS)]
    return [name for name in asked if name in held or PROPERTIES in held]
