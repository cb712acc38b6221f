"""All key figures of a business by stage, beside those of the period before."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.cohort import cohort_before
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.kpis.catalogue import stages
from funnel_lib.conversion.kpis.figures import Measured
from funnel_lib.conversion.kpis.measures import OF_EVENTS, measured
from funnel_lib.conversion.kpis.reading import Reading

COLUMNS = [
    "stage", "kpi", "group", "unit", "value", "low", "high", "level", "n", "before", "difference", "diff_low",
    "diff_high", "clear", "better", "good", "owner", "reason",
]  # fmt: skip


def board(scope: Scope, *, people: Journeys | None = None) -> pd.DataFrame:
    """Return every key figure of the workbook's stages for the period, with the change since the one before.

    Parameters
    ----------
    people : in the report of a segment its journeys: only their events and answers count, in the period before those
        of the people who belonged to the segment then. Spend is known of segments that are made of channels only.

    Returns
    -------
    Frame `stage, kpi, group, unit, value, low, high, level, n, before, difference, diff_low, diff_high, clear, better,
    good, owner, reason`, by stage in order; a figure that is divided has one row per `group`. `unit` is `count`,
    `share` or `points` (fractions), `money`, `days` or `number`. `before` is the value of the period before, from the
    same definition; the interval of the difference combines both intervals (MOVER, Zou and Donner 2008), so totals have
    none. `clear` where it leaves out zero; `better` says whether that is good (missing where neither is).
    A figure without a value has a `reason`; see `Measured`.

    Raises
    ------
    DataError : the events cannot be read.
    """
    data = Reading(scope, None if people is None else people.frame["unit"])
    now, earlier = _measured(data), _earlier(data)
    before = pd.DataFrame(columns=now.columns) if earlier is None else _measured(earlier)
    keys = ["stage", "kpi", "group"]
    renamed = before[[*keys, "value", "low", "high"]].rename(
        columns={"value": "before", "low": "b_low", "high": "b_high"}
    )
    table = now.merge(renamed, on=keys, how="left")
    v, b = (table[name].to_numpy(dtype=np.float64) for name in ("value", "before"))
    low, high, b_low, b_high = (table[name].to_numpy(dtype=np.float64) for name in ("low", "high", "b_low", "b_high"))
    difference = v - b
    down, up = difference - np.hypot(v - low, b_high - b), difference + np.hypot(high - v, b - b_low)
    clear = (down > 0) | (up < 0)
    better = np.where(table["good"] == "lower", difference < 0, difference > 0).astype(object)
    better[~clear | (table["good"] == "neither").to_numpy()] = None
    return table.assign(
        level=scope.workbook.rules.level, difference=difference, diff_low=down, diff_high=up, clear=clear, better=better
    )[COLUMNS]


def _earlier(data: Reading) -> Reading | None:
    """Return the reading of the period before: of everybody, or of who belonged to the segment then; None without."""
    previous = data.scope.previous
    if previous is None or data.units is None:
        return None if previous is None else data.of(previous, None)
    people = cohort_before(data.scope, attributes=False)
    return None if people is None else data.of(previous, people.frame["unit"])


def _measured(data: Reading) -> pd.DataFrame:
    rows, timeless = [], data.scope.as_of is None
    for stage, held in stages(data.scope.workbook.kpis).items():
        for name, kpi in held.kpis.items():
            untold = timeless or (kpi.formula.verb in OF_EVENTS and data.log is None)
            found = [Measured("number", reason="no_events")] if untold else measured(data, kpi.formula, by=kpi.by)
            rows += [
                (stage, name, one.group, one.unit, one.value, one.low, one.high, one.n, kpi.good, kpi.owner, one.reason)
                for one in found
            ]
    columns = ["stage", "kpi", "group", "unit", "value", "low", "high", "n", "good", "owner", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"value": "float64", "low": "float64", "high": "float64", "reason": "str", "group": "str"})


def coverage(table: pd.DataFrame) -> tuple[int, int]:
    """Return how many figures of a board are known, and how many there are (a divided one counts once)."""
    known = table.groupby(["stage", "kpi"], sort=False)["value"].max()
    return int(known.notna().sum()), len(known)
