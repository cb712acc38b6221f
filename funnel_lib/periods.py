"""Reporting periods: half-open stretches of time in the business time zone.

>>> from zoneinfo import ZoneInfo
>>> may = period("2026-05", ZoneInfo("Asia/Shanghai"))
>>> may.start.isoformat(), may.end.isoformat()
('2026-05-01T00:00:00+08:00', '2026-06-01T00:00:00+08:00')
>>> may.previous.name
'2026-04'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from funnel_lib.errors import ConfigError

Every = Literal["month", "week", "quarter", "all"]
ALLOWED = "2026-05 (month), 2026-W21 (ISO week), 2026-Q2 (quarter), 2026-05-01..2026-05-15 (last day included) or all"


@dataclass(frozen=True)
class Period:
    """A named stretch [start, end) with aware datetimes; `all` has the ends that the workbook gives it."""

    name: str
    kind: Literal["month", "week", "quarter", "custom", "all"]
    start: datetime
    end: datetime

    @property
    def first_day(self) -> date:
        """The first day, in the business time zone."""
        return self.start.date()

    @property
    def last_day(self) -> date:
        """The last day that belongs to the period."""
        return (self.end - timedelta(microseconds=1)).date()

    @property
    def days(self) -> int:
        """The number of calendar days."""
        return (self.last_day - self.first_day).days + 1

    @property
    def previous(self) -> Period:
        """The period of the same kind just before; for custom ones, the same number of days before."""
        zone, day = self.start.tzinfo, self.first_day
        before = day - timedelta(days=1)
        if self.kind in ("month", "week", "quarter"):
            return containing(before, self.kind, zone)  # type: ignore[arg-type]
        return _days(day - timedelta(days=self.days), before, zone)  # type: ignore[arg-type]


def period(name: str, zone: ZoneInfo) -> Period:
    """Read a period's name (month, ISO week, quarter, or two dates joined by ``..``).

    Raises
    ------
    ConfigError : the name cannot be read, or its end lies before its start.
    """
    try:
        if match := re.fullmatch(r"(\d{4})-(\d{2})", name):
            return containing(date(int(match[1]), int(match[2]), 1), "month", zone)
        if match := re.fullmatch(r"(\d{4})-W(\d{2})", name):
            return containing(date.fromisocalendar(int(match[1]), int(match[2]), 1), "week", zone)
        if match := re.fullmatch(r"(\d{4})-Q([1-4])", name):
            return containing(date(int(match[1]), 3 * int(match[2]) - 2, 1), "quarter", zone)
        if match := re.fullmatch(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})", name):
            first, last = date.fromisoformat(match[1]), date.fromisoformat(match[2])
            if last >= first:
                return _days(first, last, zone)
    except (ValueError, OverflowError):
        pass
    raise ConfigError("This period cannot be read.", found=name, allowed=ALLOWED, do="Correct the period's name.")


def containing(day: date, every: Literal["month", "week", "quarter"], zone: ZoneInfo) -> Period:
    """Return the month, ISO week or quarter in which `day` lies."""
    if every == "week":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
        year, week, _ = first.isocalendar()
        name = f"{year}-W{week:02d}"
    else:
        months = 1 if every == "month" else 3
        first = date(day.year, (day.month - 1) // months * months + 1, 1)
        after = _add_months(first, months)
        name = f"{first:%Y-%m}" if every == "month" else f"{first.year}-Q{(first.month + 2) // 3}"
    return Period(name, every, _midnight(first, zone), _midnight(after, zone))


def between(first: date, last: date, every: Literal["month", "week", "quarter"], zone: ZoneInfo) -> Iterator[Period]:
    """Yield the periods from the one that holds `first` to the one that holds `last`, oldest first."""
    current = containing(first, every, zone)
    while current.first_day <= last:
        yield current
        current = containing(current.last_day + timedelta(days=1), every, zone)


def whole(first: date, last: date, zone: ZoneInfo) -> Period:
    """Return the period named ``all`` that covers both days and all between."""
    return Period("all", "all", _midnight(first, zone), _midnight(last + timedelta(days=1), zone))


def _days(first: date, last: date, zone: ZoneInfo) -> Period:
    name = f"{first.isoformat()}..{last.isoformat()}"
    return Period(name, "custom", _midnight(first, zone), _midnight(last + timedelta(days=1), zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone)


def _add_months(day: date, months: int) -> date:
    month = day.month - 1 + months
    return date(day.year + month // 12, month % 12 + 1, 1)
