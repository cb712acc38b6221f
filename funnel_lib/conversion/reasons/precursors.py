"""What units had done before they entered: only that can go with converting without being a part of it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.durations.spells import NOT_KNOWN, moment
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.rates import closed_only
from funnel_lib.conversion.reasons.spans import Bools, first_met, persons_of, spans

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
    Frame (one row per unit: `converted`, the attributes), the names of the attributes, and the time looked at.
    """
    depth = journeys.frame["mature_depth" if closed_only(journeys, scope.workbook.rules) else "depth"]
    known = (depth > 0).to_numpy(dtype=bool)
    skipped = {scope.split_group[0]} if scope.split_group is not None else set()
    splits = [name for name in scope.workbook.segments if name not in skipped and name in journeys.frame]
    table = journeys.frame.loc[known, splits].reset_index(drop=True)
    table.insert(0, "converted", depth.to_numpy()[known] >= len(scope.funnel.steps))
    lookback = fair_lookback(scope, journeys, known)
    log = None if lookback < SHORTEST else EventLog.of(scope)
    if log is None:
        return table, splits, timedelta(0)
    earlier = before_entry(log, journeys, lookback, known, most=most, least=scope.workbook.rules.min_units)
    return pd.concat([table, earlier], axis=1), [*splits, *earlier], lookback


def fair_lookback(scope: Scope, journeys: Journeys, among: Bools | None = None) -> timedelta:
    """Return for how long before its entry every unit (`among` some) can be followed back in the data, at most 30 days.

    Zero where the data, or an entry, has no known time.
    """
    first_day, entered = scope.store.facts()["first_day"], _entered(journeys, among)
    if first_day is None or len(entered) == 0 or entered.min() == NOT_KNOWN:
        return timedelta(0)
    start = datetime.combine(date.fromisoformat(first_day), time.min, tzinfo=scope.workbook.zone)
    return min(LONGEST, timedelta(microseconds=int(entered.min()) - moment(start)))


def before_entry(
    log: EventLog, journeys: Journeys, lookback: timedelta, among: Bools | None = None, *, most: int = 10,
    least: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Return whether each unit (`among` some) had had an event in the time before its first entry.

    Strictly before it, and at most `lookback` before it. The funnel's own events are left out.

    Returns
    -------
    Frame of yes and no, one row per journey, one column `before: EVENT` per event that at least `least` units had had,
    and at least as many had not; those of most units, by name.
    """
    persons, until = persons_of(log, journeys), _entered(journeys, among) - 1
    after = until - lookback // timedelta(microseconds=1)
    own = {name for step in journeys.funnel.steps for name in step.events}
    found = spans(log, persons if among is None else persons[among], after, until)
    met = first_met(log, found, log.event, len(log.names), own)
    counts = np.bincount(met.thing, minlength=len(log.names))
    usual = np.flatnonzero((counts >= max(least, 1)) & (counts <= len(until) - least))
    most_units = sorted(usual, key=lambda code: (-counts[code], log.names[code]))[:most]
    columns = {}
    for code in sorted(most_units):
        had = np.zeros(len(until), dtype=bool)
        had[met.span[met.thing == code]] = True
        columns[f"{BEFORE}{log.names[code]}"] = had
    return pd.DataFrame(columns, index=range(len(until)))


def _entered(journeys: Journeys, among: Bools | None) -> npt.NDArray[np.int64]:
    entered = journeys.moments("first_entry")
    return entered if among is None else entered[among]
