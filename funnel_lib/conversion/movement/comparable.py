"""What a period is compared with: as many days with the same weekdays, just before it or a year before."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from funnel_lib import periods
from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.cohort import cohort
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.errors import DataError

YEAR_DAYS = 364
"""Days between a day and the one of the same weekday a year before."""
WEEKS, EVER = 26, 2600
"""How far a history reaches back; and a time that no data does."""


def comparable(scope: Scope) -> Journeys | None:
    """Return the journeys of the stretch before a scope's period: as long, with the same mix of weekdays.

    They have the splits, but neither attributes nor names of people (see `cohort`); so have those of `year_before` and
    `history`.

    A month is compared with as many days, whole weeks earlier: the months before may be shorter, or hold one weekend
    more. Without a time limit, the earlier people are looked at as they stood so many days ago, so that both had the
    same time. None where the data does not reach back, nobody entered then, or the period is all of the data.
    """
    return _earlier(scope, -(-scope.period.days // 7) * 7)


def year_before(scope: Scope) -> Journeys | None:
    """Return the journeys of the same days a year before (52 weeks, so the same weekdays); else as `comparable`."""
    return _earlier(scope, YEAR_DAYS)


def history(scope: Scope, *, weeks: int = WEEKS) -> Journeys:
    """Return the journeys of who entered in the `weeks` up to the end of a scope's period, at least in the period.

    From a Monday, or from the first day of the data. For what needs a longer past than the period: cohorts, their
    back-test, days since when a rate is another one. The journeys of the period alone where the longer time has nobody
    of the segment: who is in it by what they did before may not have done it before their first entry of all.

    Raises
    ------
    DataError, ConfigError : as `cohort`.
    """
    known = scope.store.facts()["first_day"]
    if known is None or scope.period.kind == "all":
        return cohort(scope, attributes=False, units=False)
    last = scope.period.last_day
    monday = last - timedelta(days=last.weekday() + 7 * (weeks - 1))
    first = max(date.fromisoformat(known), min(monday, scope.period.first_day))
    if first >= scope.period.first_day:
        return cohort(scope, attributes=False, units=False)
    whole = replace(scope, period=periods.period(f"{first}..{last}", scope.workbook.zone))
    try:
        return cohort(whole, attributes=False, units=False)
    except DataError:
        return cohort(scope, attributes=False, units=False)


def _earlier(scope: Scope, days: int) -> Journeys | None:
    """Return the journeys of as many days, `days` earlier."""
    known, shift = scope.store.facts()["first_day"], timedelta(days=days)
    if scope.period.kind == "all" or known is None:
        return None
    first, last = scope.period.first_day - shift, scope.period.last_day - shift
    if first < date.fromisoformat(known):
        return None
    as_of = scope.as_of
    if scope.funnel.window is None and as_of is not None:
        as_of -= shift
    try:
        span = periods.period(f"{first}..{last}", scope.workbook.zone)
        return cohort(replace(scope, period=span, as_of=as_of), attributes=False, units=False)
    except DataError:
        return None
