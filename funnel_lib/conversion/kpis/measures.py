"""One function for each kind of formula: what the data of a period says, with its interval, or why it cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conditions import meets, plain
from funnel_lib.config import Rules
from funnel_lib.conversion.durations.timing import quantile_interval
from funnel_lib.conversion.journeys import UNKNOWN
from funnel_lib.conversion.kpis.reading import UNIT, Reading
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.customers import BY_SEGMENT
from funnel_lib.conversion.worth.opinions import Opinion, latest, net_promoters, satisfied, share
from funnel_lib.conversion.worth.resampling import Rng, poisson_interval, ratio_interval
from funnel_lib.schema import AMOUNT, CURRENCY, TS
from funnel_lib.scorecard import Formula, Match

Unit = Literal["count", "share", "money", "days", "points", "number"]
NO_DATA, NO_COLUMN, NO_SPEND, NO_CURRENCY = "not_in_data", "no_such_column", "no_spend", "other_currency"
NO_SURVEY, NO_DEALS, NO_AMOUNT, NOBODY, OPEN = "not_asked", "no_deals", "no_amount", "nobody_there", "open"
TOO_RECENT, NO_DATE = "deals_too_recent", "no_date_column"


@dataclass(frozen=True)
class Measured:
    """A figure: its value in `unit` (shares as fractions, points of 100 as fractions), interval, `n` it is made of.

    `group` is the value of the column that divides it, empty for all. Totals have no interval: they are counted, not
    estimated. NaN with a `reason` where it is not known.
    """

    unit: Unit
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    reason: str = ""
    group: str = ""


def measured(data: Reading, formula: Formula, *, by: str | None = None, rng: Rng) -> list[Measured]:
    """Return what a formula gives: one figure, or one per value of `by`, the largest first."""
    verb = formula.verb
    return list(_VERBS[verb](data, getattr(formula, verb), by, rng))


def _groups(rows: pd.DataFrame, by: str | None) -> Iterator[tuple[str, pd.DataFrame]]:
    if by is None:
        yield "", rows
        return
    named = rows["group"].map(plain, na_action="ignore").astype("str").fillna("").replace("", UNKNOWN)
    sizes = named.value_counts()
    for name in sorted(sizes.index, key=lambda name: (-sizes[name], name)):
        yield str(name), rows[(named == name).to_numpy()]


def _found(
    data: Reading, match: Match, by: str | None, unit: Unit, *, amounts: bool = False
) -> tuple[pd.DataFrame, list[Measured]]:
    """Return the matching events of the period, or the figure that says why there are none to count."""
    if not data.knows(match):
        return pd.DataFrame(), [Measured(unit, reason=NO_DATA)]
    rows = data.events(match, by=by, amounts=amounts)
    if by is not None and len(rows) and rows["group"].isna().all():
        return rows, [Measured(unit, reason=NO_COLUMN)]
    return rows, []


def _people(data: Reading, match: Match, by: str | None, _: Rng) -> Iterator[Measured]:
    rows, missing = _found(data, match, by, "count")
    yield from missing
    for name, own in _groups(rows, by) if not missing else ():
        count = int(own[UNIT].nunique())
        yield Measured("count", count, n=count, group=name)


def _events(data: Reading, match: Match, by: str | None, _: Rng) -> Iterator[Measured]:
    rows, missing = _found(data, match, by, "count")
    yield from missing
    for name, own in _groups(rows, by) if not missing else ():
        yield Measured("count", len(own), n=len(own), group=name)


def _share(data: Reading, what: Any, by: str | None, _: Rng) -> Iterator[Measured]:
    rows, missing = _found(data, what.among, by, "share")
    missing = missing or ([] if data.knows(what.of) else [Measured("share", reason=NO_DATA)])
    yield from missing
    if missing:
        return
    firsts = _mature(data, rows, what.within)
    after = data.events(what.of, until=data.scope.period.end + what.within)[[UNIT, TS]]
    joined = after.merge(firsts[[UNIT, TS]].rename(columns={TS: "since"}), on=UNIT)
    again = what.of == what.among  # the same event again: a later one
    late = joined[TS] > joined["since"] if again else joined[TS] >= joined["since"]
    did = joined.loc[late & (joined[TS] <= joined["since"] + what.within), UNIT].drop_duplicates()
    if firsts.empty:
        yield Measured("share", reason=OPEN if len(rows) else NOBODY)
    for name, own in _groups(firsts, by) if len(firsts) else ():
        found = share(int(own[UNIT].isin(did).sum()), len(own), rules=data.scope.workbook.rules)
        yield replace(_opinion(found, "share"), group=name)


def _mature(data: Reading, rows: pd.DataFrame, within: timedelta) -> pd.DataFrame:
    """Return each person's first row, of those whose time is over."""
    firsts = rows.sort_values(TS, kind="stable").drop_duplicates(UNIT)
    known = data.scope.as_of
    return firsts if known is None else firsts[firsts[TS] <= pd.Timestamp(known) - within]


def _opinion(found: Opinion, unit: Unit) -> Measured:
    return Measured(unit, found.value, float(found.low), float(found.high), found.answers, found.reason)


def _spent(data: Reading) -> tuple[pd.DataFrame, str]:
    """Return the spend of the period in the workbook's currency, or why there is none."""
    if data.units is not None:
        return pd.DataFrame(), BY_SEGMENT
    rows = data.table("spend", "date")
    if rows is None or rows.empty:
        return pd.DataFrame(), NO_SPEND
    ours = rows[rows[CURRENCY] == data.scope.workbook.currency]
    return ours, "" if len(ours) else NO_CURRENCY


def _spend(data: Reading, what: str, _by: str | None, _: Rng) -> Iterator[Measured]:
    rows, reason = _spent(data)
    unit: Unit = "money" if what == "cost" else "count"
    yield Measured(unit, reason=reason) if reason else Measured(unit, float(rows[what].sum()), n=len(rows))


def _click_rate(data: Reading, _what: bool, _by: str | None, _: Rng) -> Iterator[Measured]:
    rows, reason = _spent(data)
    if reason:
        yield Measured("share", reason=reason)
        return
    clicks, shown = (int(rows[name].sum()) for name in ("clicks", "impressions"))
    if clicks > shown:
        yield Measured("share", n=shown, reason=NO_DATA)
        return
    yield _opinion(share(clicks, shown, rules=data.scope.workbook.rules), "share")


def _cost_per(data: Reading, what: Any, _by: str | None, _: Rng) -> Iterator[Measured]:
    rows, reason = _spent(data)
    if not reason and isinstance(what, Match) and not data.knows(what):
        reason = NO_DATA
    if reason:
        yield Measured("money", reason=reason)
        return
    count = int(data.events(what)[UNIT].nunique() if isinstance(what, Match) else rows["clicks"].sum())
    rules = data.scope.workbook.rules
    if count < max(rules.min_events, 1):
        yield Measured("money", n=count, reason=TOO_FEW if count else NOBODY)
        return
    cost, (fewest, most) = float(rows["cost"].sum()), poisson_interval(count, rules.level)
    yield Measured("money", cost / count, cost / most, cost / fewest, count)


def _amount(data: Reading, what: Any, by: str | None, rng: Rng) -> Iterator[Measured]:
    rows, missing = _found(data, Match(event=what.event, where=what.where), by, "money", amounts=True)
    yield from missing
    rules = data.scope.workbook.rules
    for name, own in _groups(rows, by) if not missing else ():
        if AMOUNT not in own or (len(own) and own[AMOUNT].isna().all()):
            yield Measured("money", reason=NO_AMOUNT, group=name)
            continue
        ours = own[own[AMOUNT] >= 0]
        if CURRENCY in ours:
            ours = ours[ours[CURRENCY].isna() | (ours[CURRENCY] == data.scope.workbook.currency)]
        if what.measure == "sum":
            yield Measured("money", float(ours[AMOUNT].sum()), n=len(ours), group=name)
            continue
        grouped = ours.groupby(UNIT)[AMOUNT]
        if len(grouped) < rules.min_units:
            yield Measured("money", n=len(ours), reason=TOO_FEW if len(ours) else NOBODY, group=name)
            continue
        found = ratio_interval(grouped.sum(), grouped.size(), level=rules.level, rng=rng)
        yield Measured("money", *found, n=len(ours), group=name)


def _days(data: Reading, what: Any, by: str | None, _: Rng) -> Iterator[Measured]:
    rows, missing = _found(data, what.start, by, "days")
    missing = missing or ([] if data.knows(what.end) else [Measured("days", reason=NO_DATA)])
    yield from missing
    if missing:
        return
    rules, firsts = data.scope.workbook.rules, _mature(data, rows, what.within)
    if firsts.empty:
        yield Measured("days", reason=OPEN if len(rows) else NOBODY)
        return
    ends = data.events(what.end, until=data.scope.period.end + what.within)[[UNIT, TS]]
    joined = ends.merge(firsts.rename(columns={TS: "since"}), on=UNIT)
    inside = (joined[TS] >= joined["since"]) & (joined[TS] <= joined["since"] + what.within)
    joined = joined[inside].sort_values(TS).drop_duplicates(UNIT)
    if joined.empty:
        yield Measured("days", reason=NOBODY)
    for name, own in _groups(joined, by):
        wait = (own[TS] - own["since"]).dt.total_seconds().to_numpy() / 86400
        if len(wait) < max(rules.min_events, 1):
            yield Measured("days", n=len(wait), reason=TOO_FEW if len(wait) else NOBODY, group=name)
            continue
        low, high = quantile_interval(wait, 0.5, rules.level)
        yield Measured("days", float(np.median(wait)), low, high, len(wait), group=name)


def _score(data: Reading, what: Any, _by: str | None, rng: Rng) -> Iterator[Measured]:
    unit: Unit = {"nps": "points", "satisfied": "share", "mean": "number"}[what.measure]  # type: ignore[assignment]
    rows, rules = data.table("surveys", TS), data.scope.workbook.rules
    asked = [what.question] if isinstance(what.question, str) else list(what.question)
    if rows is None or not data.scope.store.read("surveys")["question"].isin(asked).any():
        yield Measured(unit, reason=NO_SURVEY)
        return
    if data.units is not None:
        rows = rows[rows["user_id"].isin(data.units)]
    answers = pd.concat([latest(rows, question) for question in asked])
    scores = answers["score"].to_numpy(dtype=np.float64)
    if what.measure == "nps":
        yield _opinion(net_promoters(scores, rules=rules), unit)
    elif what.measure == "satisfied":
        yield _opinion(satisfied(scores, scale=what.scale, least=what.least, rules=rules), unit)
    else:
        yield _mean(pd.Series(scores[(scores >= what.scale[0]) & (scores <= what.scale[1])]), unit, rules, rng)


def _deals(data: Reading, what: Any, _by: str | None, _: Rng) -> Iterator[Measured]:
    rows = data.table("deals", what.by) if data.scope.store.path("deals").is_file() else None
    if rows is None:
        yield Measured("share", reason=NO_DEALS)
        return
    if what.by == "closed" and not _reaches_back(data.scope):
        yield Measured("share", reason=TOO_RECENT)
        return
    among = rows[meets(rows, what.among)]
    if data.units is not None:
        among = among[among["user_id"].isin(data.units)] if "user_id" in among else among[:0]
    count = int(meets(among, what.of).sum())
    yield _opinion(share(count, len(among), rules=data.scope.workbook.rules), "share")


def _deal_value(data: Reading, what: Any, _by: str | None, rng: Rng) -> Iterator[Measured]:
    rows, rules = data.table("deals", "closed"), data.scope.workbook.rules
    if rows is None or AMOUNT not in rows:
        yield Measured("money", reason=NO_DEALS if rows is None else NO_AMOUNT)
        return
    rows = rows[meets(rows, what.among)]
    if data.units is not None:
        rows = rows[rows["user_id"].isin(data.units)] if "user_id" in rows else rows[:0]
    ours = rows[rows[AMOUNT] >= 0]
    if CURRENCY in ours:
        ours = ours[ours[CURRENCY].isna() | (ours[CURRENCY] == data.scope.workbook.currency)]
    if ours.empty:
        yield Measured("money", reason=NO_AMOUNT if len(rows) else NOBODY)
    elif what.measure == "sum":
        yield Measured("money", float(ours[AMOUNT].sum()), n=len(ours))
    else:
        yield _mean(ours[AMOUNT], "money", rules, rng)


def _average(data: Reading, what: Any, _by: str | None, rng: Rng) -> Iterator[Measured]:
    match = Match(event=what.event, where=what.where)
    if not data.knows(match):
        yield Measured("number", reason=NO_DATA)
        return
    found = data.events(match, by=what.of)
    known = found.assign(value=pd.to_numeric(found["group"], errors="coerce") / what.divide).dropna(subset="value")
    if known.empty:
        yield Measured("number", reason=NO_COLUMN if len(found) else NOBODY)
        return
    people = known.groupby(UNIT)["value"]
    if len(people) < data.scope.workbook.rules.min_units:
        yield Measured("number", n=len(known), reason=TOO_FEW)
        return
    level = data.scope.workbook.rules.level
    yield Measured("number", *ratio_interval(people.sum(), people.size(), level=level, rng=rng), n=len(known))


def _reached(data: Reading, what: Any, by: str | None, _: Rng) -> Iterator[Measured]:
    unit: Unit = "count" if what.among is None else "share"
    dates = data.scope.users.select_dtypes("datetimetz").columns
    if any(name not in dates for name in filter(None, (what.of, what.among))):
        yield Measured(unit, reason=NO_DATE)
        return
    rows = data.table("users", what.among or what.of)
    if rows is None or (by is not None and by not in rows):
        yield Measured(unit, reason=NO_COLUMN)
        return
    rows = rows if data.units is None else rows[rows["user_id"].isin(data.units)]
    rows = rows.assign(group="" if by is None else rows[by])
    if what.among is None:
        for name, own in _groups(rows, by):
            yield Measured(unit, len(own), n=len(own), group=name)
        return
    since, reached = rows[what.among], rows[what.of]
    known = data.scope.as_of
    over = since.notna() if known is None else since <= pd.Timestamp(known) - what.within
    if not over.any():
        yield Measured(unit, reason=OPEN if len(rows) else NOBODY)
        return
    did = (reached >= since) & (reached <= since + what.within)
    for name, own in _groups(rows.assign(did=did)[over], by):
        found = share(int(own["did"].sum()), len(own), rules=data.scope.workbook.rules)
        yield replace(_opinion(found, unit), group=name)


def _mean(values: pd.Series[Any], unit: Unit, rules: Rules, rng: Rng) -> Measured:
    """Return the mean of independent values with its interval, or that there are too few of them."""
    if len(values) < rules.min_units:
        return Measured(unit, n=len(values), reason=TOO_FEW if len(values) else NOBODY)
    return Measured(unit, *ratio_interval(values, level=rules.level, rng=rng), n=len(values))


def _reaches_back(scope: Scope) -> bool:
    """Return whether nine in ten decided deals take no longer than the deals reach back before the period.

    In the first weeks of a list only fast deals are decided, and those are mostly of one kind.
    """
    deals = scope.store.read("deals")
    created, closed = pd.to_datetime(deals["created"]), pd.to_datetime(deals["closed"])
    days = (closed - created).dt.total_seconds().dropna().to_numpy() / 86_400
    if not len(days):
        return True
    start = pd.Timestamp(scope.period.start if created.dt.tz is not None else scope.period.first_day)
    return bool(created.min() <= start - timedelta(days=float(np.quantile(days, 0.9))))


_VERBS: Mapping[str, Callable[[Reading, Any, str | None, Rng], Iterator[Measured]]] = {
    "people": _people, "events": _events, "share": _share, "spend": _spend, "click_rate": _click_rate,
    "cost_per": _cost_per, "amount": _amount, "days": _days, "score": _score, "deals": _deals,
    "deal_value": _deal_value, "average": _average, "reached": _reached,
}  # fmt: skip
