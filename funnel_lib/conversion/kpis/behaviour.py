"""Key figures that are counted from events: what people did in a period, how often, how soon, for how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from funnel_lib.conditions import columns
from funnel_lib.conversion.durations.timing import quantile_interval
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.kpis.figures import NO_AMOUNT, NO_COLUMN, NO_DATA, NOBODY, OPEN, Measured, Unit, part
from funnel_lib.conversion.kpis.reading import Reading
from funnel_lib.conversion.kpis.rows import NEVER, Rows
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.intervals import ratio_interval
from funnel_lib.schema import AMOUNT, CURRENCY
from funnel_lib.scorecard import Amounts, Average, Between, Match, Passing

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1) / _MICROSECOND


def people(data: Reading, what: Match, by: str | None) -> Iterator[Measured]:
    """Yield how many people did something in the period."""
    rows = _asked(data, what, by, "count")
    if isinstance(rows, Measured):
        yield rows
        return
    for name, own in rows.groups(by):
        count = rows.take(own).people
        yield Measured("count", count, n=count, group=name)


def events(data: Reading, what: Match, by: str | None) -> Iterator[Measured]:
    """Yield how often something happened in the period."""
    rows = _asked(data, what, by, "count")
    if isinstance(rows, Measured):
        yield rows
        return
    for name, own in rows.groups(by):
        count = len(rows.places[own])
        yield Measured("count", count, n=count, group=name)


def share(data: Reading, what: Passing, by: str | None) -> Iterator[Measured]:
    """Yield the share of those who did one thing that did another, within a time that is over for all of them."""
    firsts = _mature(data, what.among, what.of, what.within, by, "share")
    if isinstance(firsts, Measured):
        yield firsts
        return
    waits = firsts.waits(data.ever(what.of), later=what.of == what.among)  # the same event again: a later one
    did = (waits != NEVER) & (waits <= what.within // _MICROSECOND)
    for name, own in firsts.groups(by):
        passed = did[own]
        count = int(np.count_nonzero(passed))
        yield part(count, len(passed), group=name, rules=data.scope.workbook.rules)


def days(data: Reading, what: Between, by: str | None) -> Iterator[Measured]:
    """Yield the median of the days between two things, of those who did both in a time that is over for all."""
    firsts = _mature(data, what.start, what.end, what.within, by, "days")
    if isinstance(firsts, Measured):
        yield firsts
        return
    waits = firsts.waits(data.ever(what.end), later=False)
    came = (waits != NEVER) & (waits <= what.within // _MICROSECOND)
    ended, took = firsts.take(came), waits[came] / _DAY
    rules = data.scope.workbook.rules
    for name, own in ended.groups(by):
        wait = took[own]
        if len(wait) < max(rules.min_events, 1):
            yield Measured("days", n=len(wait), reason=TOO_FEW if len(wait) else NOBODY, group=name)
            continue
        low, high = quantile_interval(wait, 0.5, rules.level)
        yield Measured("days", float(np.median(wait)), low, high, len(wait), group=name)


def amount(data: Reading, what: Amounts, by: str | None) -> Iterator[Measured]:
    """Yield what events of the period amount to in the workbook's currency: in all, or each."""
    more = [name for name in (AMOUNT, CURRENCY) if data.has(name)]
    rows = _asked(data, Match(event=what.event, where=what.where), by, "money", more)
    if isinstance(rows, Measured):
        yield rows
        return
    worth = rows.told[AMOUNT].numbers() if AMOUNT in more else np.full(len(rows), np.nan)
    ours = (worth >= 0) & _in_currency(data, rows)
    for name, own in rows.groups(by):
        if AMOUNT not in more or (len(worth[own]) and np.isnan(worth[own]).all()):
            yield Measured("money", reason=NO_AMOUNT, group=name)
            continue
        kept = np.arange(len(rows))[own][ours[own]]
        yield _worth(rows.take(kept), worth[kept], what.measure, name, data)


def _worth(rows: Rows, worth: npt.NDArray[np.float64], measure: str, group: str, data: Reading) -> Measured:
    """Return the sum of the rows' amounts, or their mean with its interval, drawn by person."""
    rules, n = data.scope.workbook.rules, len(worth)
    if measure == "sum":
        return Measured("money", float(worth.sum()), n=n, group=group)
    if rows.people < rules.min_units:
        return Measured("money", n=n, reason=TOO_FEW if n else NOBODY, group=group)
    found = ratio_interval(*rows.per_person(worth), level=rules.level)
    return Measured("money", *found, n=n, group=group)


def _in_currency(data: Reading, rows: Rows) -> npt.NDArray[np.bool_]:
    """Return which rows are in the workbook's currency; those that name none are."""
    if CURRENCY not in rows.told:
        return np.ones(len(rows), dtype=bool)
    told = rows.told[CURRENCY]
    named = told.distinct()
    ours = (named.isna() | (named == data.scope.workbook.currency)).to_numpy(dtype=bool)
    return np.asarray(ours[told.codes])


def average(data: Reading, what: Average, _by: str | None) -> Iterator[Measured]:
    """Yield the mean of a number that events of the period carry."""
    rows = _asked(data, Match(event=what.event, where=what.where), what.of, "number")
    if isinstance(rows, Measured):
        yield rows
        return
    values = rows.told[what.of].numbers() / what.divide
    known = ~np.isnan(values)
    rows, n, rules = rows.take(known), int(np.count_nonzero(known)), data.scope.workbook.rules
    if not n:
        yield Measured("number", reason=NO_COLUMN if len(known) else NOBODY)
    elif rows.people < rules.min_units:
        yield Measured("number", n=n, reason=TOO_FEW)
    else:
        yield Measured("number", *ratio_interval(*rows.per_person(values[known]), level=rules.level), n=n)


def _asked(data: Reading, match: Match, by: str | None, unit: Unit, tell: Sequence[str] = ()) -> Rows | Measured:
    """Return the matching events of the period, or the figure that says why there are none to count."""
    if (missing := _missing(data, match, unit)) is not None:
        return missing
    if by is not None and not data.tells(match, by):
        return Measured(unit, reason=NO_COLUMN)
    rows = data.events(match, [*dict.fromkeys([*tell, *([by] if by else [])])])
    if by is not None and len(rows) and not rows.tells(by):
        return Measured(unit, reason=NO_COLUMN)
    return rows


def _mature(data: Reading, start: Match, end: Match, within: timedelta, by: str | None, unit: Unit) -> Rows | Measured:
    """Return each person's first event of the period, of those whose time is over; else why there are none."""
    rows = _asked(data, start, by, unit)
    if isinstance(rows, Measured):
        return rows
    if (missing := _missing(data, end, unit)) is not None:
        return missing
    firsts, known = rows.firsts(), data.scope.as_of
    if known is not None:
        firsts = firsts.take(firsts.at <= microseconds(known - within))
    return firsts if len(firsts) else Measured(unit, reason=OPEN if len(rows) else NOBODY)


def _missing(data: Reading, match: Match, unit: Unit) -> Measured | None:
    """Return the figure that says what the whole data lacks; None where it has these events and columns."""
    if not data.knows(match):
        return Measured(unit, reason=NO_DATA)
    if not all(data.holds(name) for name in columns([match.where])):
        return Measured(unit, reason=NO_COLUMN)
    return None
