"""What units had done before they entered: only that can go with converting without being a part of it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import closed_only
from funnel_lib.schema import EVENT, TS

LONGEST, SHORTEST = timedelta(days=30), timedelta(days=1)
BEFORE = "before: "
"""Stands before the name of an event among the attributes."""


def driver_table(scope: Scope, journeys: Journeys, *, most: int = 10) -> tuple[pd.DataFrame, list[str], timedelta]:
    """Return who converted, the workbook's splits, and which events people had had before they entered.

    Splits are as at the first entry (see `cohort`). Everybody is looked at for the same time before the entry: 30 days,
    or less where the data does not go back so far from the first entry; below a day nothing is looked at.

    Parameters
    ----------
    journeys : as of `cohort`; mature ones only, as in `rates`.
    most : so many events at most, those that most people had had.

    Returns
    -------
    Frame (one row per unit: `unit`, `converted`, the attributes), the names of the attributes, and the time looked at.
    """
    depth = journeys.frame["mature_depth" if closed_only(journeys, scope.workbook.rules) else "depth"]
    people = journeys.select(depth > 0)
    table = pd.DataFrame({
        "unit": people.frame["unit"], "converted": depth[depth > 0].to_numpy() >= len(scope.funnel.steps),
    })  # fmt: skip
    skipped = {scope.split_group[0]} if scope.split_group is not None else set()
    splits = [name for name in scope.workbook.segments if name not in skipped and name in people.frame]
    table = table.assign(**{name: people.frame[name].to_numpy() for name in splits})
    lookback = fair_lookback(scope, people)
    if lookback < SHORTEST or not scope.events.exists():
        return table, splits, timedelta(0)
    least = scope.workbook.rules.min_units
    earlier = before_entry(scope.events, people, lookback, most=most, least=least)
    return table.join(earlier), [*splits, *earlier], lookback


def fair_lookback(scope: Scope, journeys: Journeys) -> timedelta:
    """Return for how long before its entry every unit can be followed back in the data, at most 30 days."""
    first_day = scope.store.facts()["first_day"]
    if first_day is None or journeys.frame.empty or journeys.frame["first_entry"].isna().any():
        return timedelta(0)
    start = datetime.combine(date.fromisoformat(first_day), time.min, tzinfo=scope.workbook.zone)
    earliest: datetime = journeys.frame["first_entry"].min().to_pydatetime()
    return min(LONGEST, earliest - start)


def before_entry(
    events: Path, journeys: Journeys, lookback: timedelta, *, most: int = 10, least: int = 1
) -> pd.DataFrame:
    """Return whether each unit had had an event in the time before its first entry.

    Strictly before it, and at most `lookback` before it. The funnel's own events are left out.

    Returns
    -------
    Frame of yes and no, one row per journey, one column `before: EVENT` per event that at least `least` units had had,
    and at least as many had not; those of most units, by name.
    """
    entered = journeys.moments("first_entry")
    limits = pd.DataFrame({
        "place": np.arange(len(entered)), "unit": journeys.frame["unit"].astype("str"), "until": entered,
        "since": entered - lookback // timedelta(microseconds=1),
    })  # fmt: skip
    own = {name for step in journeys.funnel.steps for name in step.events}
    with duckdb.connect() as connection:
        connection.register("limits", limits)
        connection.read_parquet(str(events)).create_view("log")
        query = (
            f"SELECT DISTINCT place, log.{EVENT} AS name FROM log JOIN limits "  # noqa: S608
            f'ON CAST(log."{journeys.funnel.unit}" AS VARCHAR) = limits.unit '
            f"WHERE epoch_us(log.{TS}) < until AND epoch_us(log.{TS}) >= since AND NOT list_contains($own, log.{EVENT})"
        )
        found = connection.sql(query, params={"own": sorted(own)}).to_arrow_table().to_pandas()
    counts = found["name"].value_counts()
    usual = counts[(counts >= least) & (counts <= len(limits) - least)]
    chosen = sorted(sorted(usual.index, key=lambda name: (-usual[name], name))[:most])
    table = pd.DataFrame(index=range(len(limits)))
    for name in chosen:
        had = np.zeros(len(limits), dtype=bool)
        had[found.loc[found["name"] == name, "place"].to_numpy(dtype=np.int64)] = True
        table[f"{BEFORE}{name}"] = had
    return table
