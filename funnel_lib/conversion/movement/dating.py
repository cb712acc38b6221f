"""On which day of a zone moments lie: told by the midnights between them, not by each moment's own clock."""

from __future__ import annotations

from datetime import UTC, tzinfo

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]
DAY_US = 86_400_000_000
_THURSDAY = 3
"""The first day of 1970, counted from Monday."""


def local_days(moments: Ints, zone: tzinfo) -> Ints:
    """Return the day of each moment in a zone.

    Parameters
    ----------
    moments : microseconds since 1970 (UTC), none of them missing.
    zone : whose midnights divide days; of a midnight that comes twice the first one, of one that never comes the moment
        at which the clock was put forward.

    Returns
    -------
    Days since 1970-01-01.
    """
    if len(moments) == 0:
        return np.zeros(0, dtype=np.int64)
    ends = pd.DatetimeIndex(np.array([moments.min(), moments.max()]), dtype="datetime64[us]").tz_localize(UTC)
    first, last = ends.tz_convert(zone).tz_localize(None).normalize()
    days = pd.date_range(first, last, unit="us")
    zoned = days.tz_localize(zone, ambiguous=np.ones(len(days), dtype=bool), nonexistent="shift_forward")
    midnights = zoned.tz_convert(UTC).as_unit("us").asi8
    begin = int(days.asi8[0]) // DAY_US
    if (np.diff(midnights) == DAY_US).all():
        return np.asarray(begin + (moments - midnights[0]) // DAY_US)
    return np.asarray(begin - 1 + np.searchsorted(midnights, moments, side="right"))


def by_day(days: Ints, passed: npt.NDArray[np.bool_], codes: Ints | None = None, groups: int = 1) -> tuple[Ints, Ints]:
    """Count the units of each day, and those of them that passed.

    Parameters
    ----------
    days : each unit's, at least one; as of `local_days`.
    codes, groups : each unit's group, and how many there are; None: all are one group.

    Returns
    -------
    Counts (first axis: passed, all; last axis: groups one after another, each with all the days), and the days from
    the first to the last.
    """
    first = int(days.min())
    span = np.arange(first, int(days.max()) + 1)
    cells = days - first if codes is None else codes * len(span) + (days - first)
    size = groups * len(span)
    return np.stack([np.bincount(cells[passed], minlength=size), np.bincount(cells, minlength=size)]), span


def mondays(days: Ints) -> Ints:
    """Return the Monday of each day's week; both are days since 1970-01-01."""
    return np.asarray(days - (days + _THURSDAY) % 7)


def as_dates(days: Ints) -> pd.DatetimeIndex:
    """Return days since 1970-01-01 as midnights without a zone."""
    return pd.DatetimeIndex(np.asarray(days, dtype=np.int64) * DAY_US, dtype="datetime64[us]")
