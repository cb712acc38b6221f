"""Checks over time: days with too much or too little, columns that empty, events that come and go, units that change.

Each compares a source with itself and needs no clock; what is found names where to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from funnel_lib.schema import SOURCE

DAILY = {SOURCE: "str", "day": "datetime64[us]", "measure": "str", "name": "str", "value": "float64"}
"""Columns of what is measured per day (naive, business zone): see `daily`."""
BUSY = 30
"""Fewer rows a day than this, or in a week than seven times as many, are left to chance."""
_FACTOR = 3.0
_WEEKS = 4
_JUMP = 0.2
_UNITS = 20.0
_QUIET_DAYS = 7
_HISTORY_DAYS = 28
_OPTIONAL = ("session_id", "channel", "campaign", "device")
_DAILY = """
WITH log AS (
    SELECT *, (ts AT TIME ZONE {zone})::DATE::TIMESTAMP AS day, date_trunc('week', ts AT TIME ZONE {zone}) AS week
    FROM read_parquet(?)
)
SELECT source, day, 'event' AS measure, event AS name, count(*)::DOUBLE AS value FROM log GROUP BY ALL
UNION ALL SELECT source, week, 'rows', '', count(*)::DOUBLE FROM log GROUP BY ALL
{empty}
UNION ALL SELECT source, week, 'amounts', event, count(amount)::DOUBLE FROM log GROUP BY ALL HAVING count(amount) > 0
UNION ALL SELECT source, week, 'median', event, median(amount) FROM log GROUP BY ALL HAVING count(amount) > 0
ORDER BY ALL
"""
_EMPTY = "UNION ALL SELECT source, week, 'empty', '{name}', (count(*) - count({name}))::DOUBLE FROM log GROUP BY ALL"


def daily(events: Path, timezone: str) -> pd.DataFrame:
    """Measure the table of events (Parquet): `source, day, measure, name, value`.

    Measures are `event` (rows of the event `name` on the day) and, by week (its Monday), `rows`, `empty` (rows
    without a value in the column `name`), `amounts` and `median` (how many amounts the event `name` has, and their
    median). Days are those of `timezone`.
    """
    empty = "\n".join(_EMPTY.format(name=name) for name in _OPTIONAL)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found: pd.DataFrame = (
            connection.sql(_DAILY.format(zone=f"'{timezone}'", empty=empty), params=[str(events)])
            .to_arrow_table()
            .to_pandas()
        )
    return found.astype(DAILY)


def volume_breaks(days: pd.DataFrame) -> pd.DataFrame:
    """Return the days on which a source has less than a third, or more than three times, of its usual rows.

    Usual is the median of the same weekday in the four weeks before and after; days without rows are another
    check, and a source's first and last day may be parts of days.

    Parameters
    ----------
    days : `source`, `day`, `rows`; every day between the first and the last of a source.

    Returns
    -------
    `source`, `day`, `rows`, `usual`.
    """
    parts = []
    for _, rows in days.groupby(SOURCE, sort=False):
        ordered = rows.sort_values("day", ignore_index=True)
        series = ordered["rows"].astype("float64")
        around = pd.concat([series.shift(7 * week) for week in range(-_WEEKS, _WEEKS + 1) if week], axis=1)
        usual = around.median(axis=1).where(around.notna().sum(axis=1) >= _WEEKS)
        inside = (ordered.index > 0) & (ordered.index < len(ordered) - 1)
        off = (series * _FACTOR < usual) | (series > usual * _FACTOR)
        parts.append(ordered.assign(usual=usual)[inside & off & (series > 0) & (usual >= BUSY)])
    columns = [SOURCE, "day", "rows", "usual"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def emptied(measures: pd.DataFrame) -> pd.DataFrame:
    """Return the columns whose share without a value rose by a fifth or more from one full week to the next.

    Returns
    -------
    `source`, `name` (the column), `day` (the Monday), `before`, `after` (shares).
    """
    rows = measures[measures["measure"] == "rows"].rename(columns={"value": "total"})
    found = measures[measures["measure"] == "empty"].merge(rows[[SOURCE, "day", "total"]], on=[SOURCE, "day"])
    found = found.sort_values([SOURCE, "name", "day"], ignore_index=True)
    share, enough = found["value"] / found["total"], found["total"] >= 7 * BUSY
    keys = [found[SOURCE], found["name"]]
    earlier = share.groupby(keys).shift()
    jump = enough & enough.groupby(keys).shift(fill_value=False) & (share - earlier >= _JUMP)
    named: pd.DataFrame = found.assign(before=earlier, after=share)[[SOURCE, "name", "day", "before", "after"]]
    return named[jump].reset_index(drop=True)


def changed_events(measures: pd.DataFrame) -> pd.DataFrame:
    """Return the events that a source has had only in its last seven days, or in the week before and no more.

    A source needs four weeks of data for that; what ended earlier is no news.

    Returns
    -------
    `source`, `name` (the event), `change` (new, vanished), `day` (its first, or its last).
    """
    found = measures[measures["measure"] == "event"]
    parts = []
    for source, rows in found.groupby(SOURCE):
        first, last = rows["day"].min(), rows["day"].max()
        if (last - first).days < _HISTORY_DAYS:
            continue
        week = pd.Timedelta(days=_QUIET_DAYS)
        edge = last - week
        for name, own in rows.groupby("name"):
            old = own.loc[own["day"] <= edge, "value"].sum()
            before = own.loc[(own["day"] <= edge) & (own["day"] > edge - week), "value"].sum()
            young = own.loc[own["day"] > edge, "value"].sum()
            if old == 0 and young >= BUSY:
                parts.append((source, name, "new", own["day"].min()))
            elif young == 0 and before >= BUSY:
                parts.append((source, name, "vanished", own["day"].max()))
    return pd.DataFrame(parts, columns=[SOURCE, "name", "change", "day"])


def unit_breaks(measures: pd.DataFrame) -> pd.DataFrame:
    """Return the weeks in which the median amount of an event is twenty times that of the week before, or a twentieth.

    That is how cents taken for whole amounts show, or another currency without its name.

    Returns
    -------
    `source`, `name` (the event), `day` (the Monday), `before`, `after` (medians).
    """
    wide = measures[measures["measure"].isin(["amounts", "median"])]
    keys = [SOURCE, "name", "day"]
    parts = [wide[wide["measure"] == m].set_index(keys)["value"].rename(m) for m in ("amounts", "median")]
    found = pd.concat(parts, axis=1).reset_index().sort_values(keys, ignore_index=True)
    groups = found.groupby([SOURCE, "name"])
    before, enough = groups["median"].shift(), (found["amounts"] >= 10)
    both = enough & (groups["amounts"].shift() >= 10)
    ratio = found["median"].where(found["median"] > 0) / before.where(before > 0)
    broken = both & ((ratio >= _UNITS) | (ratio <= 1 / _UNITS))
    named: pd.DataFrame = found.assign(before=before, after=found["median"])[[*keys, "before", "after"]]
    return named[broken].reset_index(drop=True)


def drift(before: Mapping[str, Sequence[str]] | None, now: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return which columns came or went since the last collection: `place` (source and table), `column`, `change`.

    Parameters
    ----------
    before, now : place -> its columns; places that only one of the two has are no drift.
    """
    return [
        {"place": place, "column": column, "change": change}
        for place, columns in sorted(now.items())
        if before is not None and place in before
        for change, names in (("new", {*columns} - {*before[place]}), ("lost", {*before[place]} - {*columns}))
        for column in sorted(names)
    ]
