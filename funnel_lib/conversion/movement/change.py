"""What changed: who came, how rates moved from week to week, and which weeks stand out."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.rates import (
    TOO_FEW,
    Base,
    adjust,
    base_of,
    closed_only,
    contrast,
    with_rates,
)
from funnel_lib.errors import ConfigError, choices

Every = Literal["day", "week", "month"]
_EVERY: tuple[Every, ...] = ("day", "week", "month")


def mix(now: Journeys, before: Journeys, by: str, *, rules: Rules) -> pd.DataFrame:
    """Compare who entered the funnel: each group's share of all units, now and before.

    Every unit that entered counts, mature or not: entering does not take time.

    Parameters
    ----------
    now, before : journeys of two periods; units are taken as two independent samples.
    by : column with the groups, in both.
    rules : level, least numbers, and the correction for the number of groups.

    Returns
    -------
    Frame `group, now, before, share_now, share_before, difference, low, high, p, p_adjusted, clear, reason`:
    units and shares; the difference of the shares with its Newcombe interval; p as `p_values`, adjusted over
    the groups (two groups are one comparison). A group with fewer than `min_events` units in both periods
    together is not compared, nor is anything where a period has fewer than `min_units`: `too_few`.

    Raises
    ------
    ConfigError : there is no such column.
    """
    counted = [
        dict(zip(names, np.bincount(codes, minlength=len(names)), strict=True))
        for names, codes in (now.groups(by), before.groups(by))
    ]
    groups = sorted({*counted[0], *counted[1]}, key=lambda name: (-counted[0].get(name, 0), name))
    new, old = (np.array([part.get(name, 0) for name in groups], dtype=np.int64) for part in counted)
    totals = len(now.frame), len(before.frame)
    tested = (new + old >= rules.min_events) & (min(totals) >= rules.min_units)
    found = contrast(new, totals[0], old, totals[1], rules.level, tested)
    p = found["p"].to_numpy()
    p_adjusted = p if len(groups) == 2 else adjust(p, rules.correction)
    return pd.DataFrame(
        {
            "group": pd.Series(groups, dtype="str"),
            "now": new,
            "before": old,
            "share_now": new / totals[0] if totals[0] else np.nan,
            "share_before": old / totals[1] if totals[1] else np.nan,
            **{name: found[name] for name in ("difference", "low", "high", "p")},
            "p_adjusted": p_adjusted,
            "clear": p_adjusted < 1 - rules.level,
            "reason": pd.Series(np.where(tested, "", TOO_FEW), dtype="str"),
        }
    )


def trend(
    journeys: Journeys,
    *,
    step: int,
    base: Base = "previous",
    every: Every = "week",
    rules: Rules,
    by: str | None = None,
    zone: tzinfo | None = None,
) -> pd.DataFrame:
    """Return the rate of a step for the units that entered in each week (or day, or month).

    A unit counts once, in the week of its first entry, with what it reached within one window of *that*
    entry: all have had the same time, whenever they came. So weeks can be compared, but do not add up to the
    period's rate, which also counts later entries of the same unit. With mature journeys only, a unit counts
    once the window of its first entry has closed.

    Parameters
    ----------
    journeys : see `Journeys`.
    step : the step reached, counted from 1; at least 2.
    base : of those who reached the step before, or the first.
    every : length of a stretch; weeks begin on Monday.
    rules : level and least numbers.
    by : column to group by; None: one group, `all`.
    zone : business zone; by default the period's, else UTC.

    Returns
    -------
    Frame `group, start, numerator, denominator, rate, low, high, level, final, reason`, one row per group and
    week from the first to the last with an entry: `start` is the first day in the business zone; `final`
    says that all its windows have closed, so that the row cannot change any more. `reason` is `too_few`, or
    `open` where no window has closed yet.

    Raises
    ------
    ConfigError : there is no such column, step, base or `every`, or the step is optional.
    """
    before = base_of(journeys, step, base)
    if journeys.funnel.steps[step - 1].optional:
        raise ConfigError(
            "An optional step has no trend of its own.", where="step", found=journeys.funnel.names[step - 1],
            allowed="a required step", do="Ask for the next required step.",
        )  # fmt: skip
    cells = _cells(journeys, by, every, rules, _zone(journeys, zone))
    table = cells.assign(numerator=cells[step], denominator=cells[before])
    judged = with_rates(table, rules)
    judged.loc[(judged["entered"] > 0) & (judged[1] == 0), "reason"] = "open"
    return judged[["group", "start", "numerator", "denominator", "rate", "low", "high", "level", "final", "reason"]]


def _cells(journeys: Journeys, by: str | None, every: Every, rules: Rules, zone: tzinfo) -> pd.DataFrame:
    """Return one row per group and stretch: `group, start, final, entered`, and the units at each step."""
    if every not in _EVERY:
        raise ConfigError(
            "There is no such stretch of time.", where="every", found=every, allowed=choices(_EVERY, every)
        )
    names, codes = journeys.groups(by)
    frame, size = journeys.frame, len(journeys.funnel.steps)
    dated = frame["first_entry"].notna().to_numpy()
    starts = _start(frame.loc[dated, "first_entry"], every, zone)
    spans = _stretches(starts, every)
    place = codes[dated] * len(spans) + spans.get_indexer(starts)
    closed = np.ones(int(dated.sum()), dtype=bool)
    if (limit := journeys.closed_until) is not None and closed_only(journeys, rules):
        closed = journeys.moments("first_entry")[dated] <= microseconds(limit)
    depth, cells = frame.loc[dated, "first_depth"].to_numpy(), len(names) * len(spans)
    columns: dict[Any, Any] = {
        "group": pd.Series(np.repeat(np.array(names, dtype=object), len(spans)), dtype="str"),
        "start": np.tile(spans, len(names)),
        "final": np.tile(_final(journeys, spans, every, zone), len(names)),
        "entered": np.bincount(place, minlength=cells),
    }
    for step in range(1, size + 1):
        columns[step] = np.bincount(place[closed & (depth >= step)], minlength=cells)
    return pd.DataFrame(columns)


def _start(moments: pd.Series[pd.Timestamp], every: Every, zone: tzinfo) -> pd.DatetimeIndex:
    """Return the first day of each moment's stretch, in `zone`."""
    local = pd.DatetimeIndex(moments).tz_convert(zone).tz_localize(None)
    if every == "month":
        return local.to_period("M").to_timestamp().as_unit("us")
    days = local.normalize().as_unit("us")
    return days if every == "day" else days - pd.to_timedelta(days.day_of_week, unit="D")


def _stretches(starts: pd.DatetimeIndex, every: Every) -> pd.DatetimeIndex:
    """Return all stretches from the first to the last, also those in which nobody entered."""
    if len(starts) == 0:
        return starts
    frequency = {"day": "D", "week": "7D", "month": "MS"}[every]
    return pd.date_range(starts.min(), starts.max(), freq=frequency).as_unit("us")


def _final(journeys: Journeys, spans: pd.DatetimeIndex, every: Every, zone: tzinfo) -> npt.NDArray[np.bool_]:
    """Return for each stretch whether all windows of its entries have closed."""
    if (limit := journeys.closed_until) is None or len(spans) == 0:
        return np.zeros(len(spans), dtype=bool)
    length = pd.DateOffset(months=1) if every == "month" else pd.Timedelta(days=1 if every == "day" else 7)
    clocks = np.ones(len(spans), dtype=bool)  # a midnight that comes twice: the first one
    ends = np.asarray(
        (spans + length)
        .tz_localize(zone, ambiguous=clocks, nonexistent="shift_forward")
        .tz_convert(UTC)
        .as_unit("us")
        .asi8
    )
    if journeys.period is not None:
        ends = np.minimum(ends, microseconds(journeys.period.end))
    return np.asarray(ends - 1 <= microseconds(limit))  # the last entry lies just before the end


def _zone(journeys: Journeys, zone: tzinfo | None) -> tzinfo:
    if zone is not None:
        return zone
    return UTC if journeys.period is None else journeys.period.start.tzinfo or UTC
