"""When a step broke: rates by the week in which people stood before it, and the weeks that stand out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.plan import MISSING
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.movement.dating import Ints, as_dates, by_day, local_days, mondays
from funnel_lib.conversion.rates import adjust, closed_only, contrast, with_rates

KEYS = ["step", "name", "group", "start"]
WEEKLY = [*KEYS, "numerator", "denominator", "rate", "low", "high", "level", "final", "reason"]
INCIDENTS = [
    *KEYS, "numerator", "denominator", "rate", "rest_rate", "difference", "low", "high", "p", "p_adjusted", "clear",
]  # fmt: skip


def weekly(journeys: Journeys, *, rules: Rules, by: str | None = None, zone: tzinfo | None = None) -> pd.DataFrame:
    """Return each step's rate by the week in which units reached the step before.

    A fault acts on whoever stands before the step at that time, whenever they entered; so units are dated by
    the step before, not by their entry. (The second step is dated by a unit's first entry, and counts what it
    reached within one window of that: the entry of its best chain is later the better the chain, so dating by it
    would move those who passed into later weeks.) Only closed windows count. Weeks that begin after the period
    has ended hold only its slowest units and are left out. Optional steps have no weeks of their own.

    Parameters
    ----------
    journeys : with times.
    rules : level and least numbers.
    by : column to group by; None: one group, `all`.
    zone : weeks begin on Mondays of this zone; by default the period's, else UTC.

    Returns
    -------
    Frame `step` (from 2)`, name, group, start` (Monday, a date)`, numerator, denominator, rate, low, high, level,
    final, reason`, by step, group and week; `final` says that no chain of that week can still be open.

    Raises
    ------
    ConfigError : there is no such column.
    """
    local = zone or (journeys.period.start.tzinfo if journeys.period else None) or UTC
    limit = journeys.closed_until
    within = limit if closed_only(journeys, rules) else None
    table = journeys.once(("weekly", by, within, str(local)), lambda: _weeks(journeys, by, within, local))
    if journeys.period is not None:
        inside = [start <= journeys.period.last_day for start in table["start"]]
        table = table[np.array(inside, dtype=bool)]  # of an empty list pandas would take no columns
    final = [
        limit is not None and start + timedelta(days=7) <= limit.astimezone(local).date() for start in table["start"]
    ]
    return (
        with_rates(table.astype({"group": "str", "name": "str"}), rules)
        .assign(final=final)[WEEKLY]
        .reset_index(drop=True)
    )


def incidents(journeys: Journeys, *, rules: Rules, by: str | None = None, zone: tzinfo | None = None) -> pd.DataFrame:
    """Test each week of each step (and group) against all other weeks of the same step and group.

    A week in which nobody passed is tested too: that is what a broken page looks like. Assumes that units pass
    independently; where whole days share a cause (a holiday), more weeks stand out than by chance alone.

    Parameters
    ----------
    journeys, rules, by, zone : as in `weekly`.

    Returns
    -------
    Frame `step, name, group, start, numerator, denominator, rate, rest_rate, difference, low, high, p, p_adjusted,
    clear`, the most significant first. `difference` is the week's rate minus that of the other weeks, `low, high`
    its Newcombe interval; p-values are adjusted over everything tested. A week is tested if it and the others
    have `min_units`, and all together `min_events`.

    Raises
    ------
    ConfigError : there is no such column.
    """
    table = weekly(journeys, rules=rules, by=by, zone=zone)
    totals = table.groupby(["step", "group"], sort=False)[["numerator", "denominator"]].transform("sum")
    table = table.assign(k=totals["numerator"] - table["numerator"], n=totals["denominator"] - table["denominator"])
    enough = (table[["denominator", "n"]].min(axis=1) >= rules.min_units) & (totals["numerator"] >= rules.min_events)
    table = table[enough].drop(columns=["low", "high"]).reset_index(drop=True)
    found = contrast(
        table["numerator"], table["denominator"], table["k"], table["n"], rules.level, np.ones(len(table), dtype=bool)
    )
    p_adjusted = adjust(found["p"], rules.correction)
    result = table.assign(
        rate=table["numerator"] / table["denominator"], rest_rate=table["k"] / table["n"], **found,
        p_adjusted=p_adjusted, clear=p_adjusted < 1 - rules.level,
    )  # fmt: skip
    order = np.lexsort((-result["difference"].abs(), result["p"], result["p_adjusted"]))
    return result.iloc[order].reset_index(drop=True)[INCIDENTS]


def _weeks(journeys: Journeys, by: str | None, limit: datetime | None, zone: tzinfo) -> pd.DataFrame:
    """Return `group, start, numerator, denominator, step, name`; `limit` is the last entry that counts."""
    names, codes = journeys.groups(by)
    parts = []
    for step, before in enumerate(previous_steps(journeys.funnel), start=1):
        if before == 0 or journeys.funnel.steps[step - 1].optional:
            continue
        from_entry = before == 1 and not journeys.funnel.open
        entry, at, depth = (
            ("first_entry", "first_entry", "first_depth") if from_entry else ("t_1", f"t_{before}", "depth")
        )
        if journeys.funnel.open:
            entry = at
        stood, entered = journeys.moments(at), journeys.moments(entry)
        there = stood != MISSING
        if limit is not None:
            there = there & (entered != MISSING) & (entered <= microseconds(limit))
        passed = (journeys.frame[depth].to_numpy() >= step)[there]
        counts = _by_week(local_days(stood[there], zone), passed, None if by is None else codes[there], len(names))
        parts.append(_labelled(counts, names).assign(step=step, name=journeys.funnel.names[step - 1]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=WEEKLY)


def _by_week(days: Ints, passed: npt.NDArray[np.bool_], codes: Ints | None, groups: int) -> pd.DataFrame:
    """Return `group, start, numerator, denominator` of the groups' weeks in which there was anybody."""
    if len(days) == 0:
        return pd.DataFrame({"group": days, "start": as_dates(days), "numerator": days, "denominator": days})
    counted, span = by_day(days, passed, codes, groups)
    starts, firsts = np.unique(mondays(span), return_index=True)
    sums = np.add.reduceat(counted.reshape(2, groups, len(span)), firsts, axis=2)
    group, place = np.nonzero(sums[1])
    return pd.DataFrame({
        "group": group, "start": as_dates(starts[place]), "numerator": sums[0, group, place],
        "denominator": sums[1, group, place],
    })  # fmt: skip


def _labelled(counts: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the counts with the groups' names and the weeks as dates, by name and week."""
    groups = [names[code] for code in counts["group"]]
    starts: list[date] = [start.date() for start in counts["start"]]
    return counts.assign(group=groups, start=starts).sort_values(["group", "start"], ignore_index=True)
