"""Key figures that other tables tell: spend, answers, deals, and the dates of people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

import numpy as np
import pandas as pd

from funnel_lib.conditions import columns, meets
from funnel_lib.conversion.kpis.figures import (
    NO_AMOUNT,
    NO_COLUMN,
    NO_CURRENCY,
    NO_DATA,
    NO_DATE,
    NO_DEALS,
    NO_REFERRER,
    NO_SPEND,
    NO_SURVEY,
    NOBODY,
    NOT_CLOSED,
    NOT_CREATED,
    ONLY_WON,
    OPEN,
    REFERRERS_UNKNOWN,
    TOO_RECENT,
    Measured,
    Unit,
    mean,
    opinion,
    part,
)
from funnel_lib.conversion.kpis.reading import Reading
from funnel_lib.conversion.kpis.rows import Chosen, grouped
from funnel_lib.conversion.rates import TOO_FEW
from funnel_lib.conversion.worth.costs import campaign_channels
from funnel_lib.conversion.worth.customers import BY_SEGMENT, channels_of
from funnel_lib.conversion.worth.intervals import poisson_interval
from funnel_lib.conversion.worth.opinions import latest, net_promoters, satisfied
from funnel_lib.schema import AMOUNT, CAMPAIGN, CURRENCY, TS, USER_ID
from funnel_lib.scorecard import Deals, DealValue, Match, Reached, Referred, Score, Spent
from funnel_lib.segmentation.rules import places


def _spent(data: Reading) -> tuple[pd.DataFrame, str]:
    """Return the spend of the period in the workbook's currency, or why there is none.

    In a segment that is made of channels, it is the spend of their campaigns; other segments have none.
    """
    own = None if data.units is None else channels_of(data.scope)
    if data.units is not None and own is None:
        return pd.DataFrame(), BY_SEGMENT
    rows = data.spend
    if rows is not None and own is not None:
        rows = rows[rows[CAMPAIGN].map(campaign_channels(data.scope)).isin(own)]
    if rows is None or rows.empty:
        return pd.DataFrame(), NO_SPEND
    ours = rows[rows[CURRENCY] == data.scope.workbook.currency]
    return ours, "" if len(ours) else NO_CURRENCY


def spend(data: Reading, what: Spent, _by: str | None) -> Iterator[Measured]:
    """Yield what was spent on advertising, or how often that was shown or clicked."""
    rows, reason = _spent(data)
    unit: Unit = "money" if what == "cost" else "count"
    yield Measured(unit, reason=reason) if reason else Measured(unit, float(rows[what].sum()), n=len(rows))


def click_rate(data: Reading, _what: Literal[True], _by: str | None) -> Iterator[Measured]:
    """Yield the share of impressions that were clicked."""
    rows, reason = _spent(data)
    if reason:
        yield Measured("share", reason=reason)
        return
    clicks, shown = (int(rows[name].sum()) for name in ("clicks", "impressions"))
    if clicks > shown:
        yield Measured("share", n=shown, reason=NO_DATA)
        return
    yield part(clicks, shown, rules=data.scope.workbook.rules)


def cost_per(data: Reading, what: Match | Literal["click"], _by: str | None) -> Iterator[Measured]:
    """Yield the advertising cost for each click, or for each person who did something in the period."""
    rows, reason = _spent(data)
    if not reason and isinstance(what, Match) and not data.knows(what):
        reason = NO_DATA
    if reason:
        yield Measured("money", reason=reason)
        return
    count = data.events(what).people if isinstance(what, Match) else int(rows["clicks"].sum())
    rules = data.scope.workbook.rules
    if count < max(rules.min_events, 1):
        yield Measured("money", n=count, reason=TOO_FEW if count else NOBODY)
        return
    cost, (fewest, most) = float(rows["cost"].sum()), poisson_interval(count, rules.level)
    yield Measured("money", cost / count, cost / most, cost / fewest, count)


def score(data: Reading, what: Score, _by: str | None) -> Iterator[Measured]:
    """Yield what people answered to a question in the period, each person's last answer."""
    unit: Unit = {"nps": "points", "satisfied": "share", "mean": "number"}[what.measure]  # type: ignore[assignment]
    rules, asked = data.scope.workbook.rules, [what.question] if isinstance(what.question, str) else [*what.question]
    whole = data.whole("surveys", [USER_ID, TS, "question", "score"])
    about = np.zeros(0, dtype=bool) if whole is None else whole["question"].isin(asked).to_numpy(dtype=bool)
    if whole is None or not about.any():
        yield Measured(unit, reason=NO_SURVEY)
        return
    rows = data.mine(whole[about & data.during(whole[TS])])
    answers = pd.concat([latest(rows, question) for question in asked])
    scores = answers["score"].to_numpy(dtype=np.float64)
    if what.measure == "nps":
        yield opinion(net_promoters(scores, rules=rules), unit)
    elif what.measure == "satisfied":
        yield opinion(satisfied(scores, scale=what.scale, least=what.least, rules=rules), unit)
    else:
        yield mean(scores[(scores >= what.scale[0]) & (scores <= what.scale[1])], unit, rules=rules)


def deals(data: Reading, what: Deals, _by: str | None) -> Iterator[Measured]:
    """Yield the share of the deals that were created, or closed, in the period."""
    rows = data.table("deals", what.by, [*data.named, *columns([what.of, what.among])])
    if rows is None:
        yield Measured("share", reason=NO_DEALS)
    elif what.by not in rows:
        yield Measured("share", reason=NOT_CREATED if what.by == "created" else NOT_CLOSED)
    elif what.by == "closed" and not _reaches_back(data):
        yield Measured("share", reason=TOO_RECENT)
    elif _only_won(data):
        yield Measured("share", reason=ONLY_WON)
    else:
        among = data.mine(rows[meets(rows, what.among)])
        count = int(meets(among, what.of).sum())
        yield part(count, len(among), rules=data.scope.workbook.rules)


def deal_value(data: Reading, what: DealValue, _by: str | None) -> Iterator[Measured]:
    """Yield what the deals amount to that were closed in the period, in the workbook's currency: in all, or each."""
    asked = [*data.named, AMOUNT, CURRENCY, *columns([what.among])]
    rows, rules = data.table("deals", "closed", asked), data.scope.workbook.rules
    if rows is None or not {AMOUNT, "closed"} <= {*rows}:
        yield Measured("money", reason=NO_DEALS if rows is None else NO_AMOUNT if "closed" in rows else NOT_CLOSED)
        return
    rows = data.mine(rows[meets(rows, what.among)])
    ours = rows[rows[AMOUNT] >= 0]
    if CURRENCY in ours:
        ours = ours[ours[CURRENCY].isna() | (ours[CURRENCY] == data.scope.workbook.currency)]
    if ours.empty:
        yield Measured("money", reason=NO_AMOUNT if len(rows) else NOBODY)
    elif what.measure == "sum":
        yield Measured("money", float(ours[AMOUNT].sum()), n=len(ours))
    else:
        yield mean(ours[AMOUNT], "money", rules=rules)


def reached(data: Reading, what: Reached, by: str | None) -> Iterator[Measured]:
    """Yield how many people have a date in the period, or which share of those with one reached another."""
    unit: Unit = "count" if what.among is None else "share"
    asked = [name for name in (what.of, what.among) if name is not None]
    if any(name not in data.dates for name in asked):
        yield Measured(unit, reason=NO_DATE)
        return
    rows = data.table("users", asked[-1], [*data.named, *asked, *([by] if by else [])])
    if rows is None or (by is not None and by not in rows):
        yield Measured(unit, reason=NO_COLUMN)
        return
    rows, known = data.mine(rows), data.scope.as_of
    if what.among is None:
        for name, own in _groups(rows, by):
            yield Measured(unit, len(rows.iloc[own]), n=len(rows.iloc[own]), group=name)
        return
    since = rows[what.among]
    over = rows[since.notna() if known is None else since <= pd.Timestamp(known) - what.within]
    if over.empty:
        yield Measured(unit, reason=OPEN if len(rows) else NOBODY)
        return
    did = over[what.of].between(over[what.among], over[what.among] + what.within).to_numpy(dtype=bool)
    for name, own in _groups(over, by):
        yield part(int(did[own].sum()), len(did[own]), group=name, rules=data.scope.workbook.rules)


def referred(data: Reading, what: Referred, by: str | None) -> Iterator[Measured]:
    """Yield the share of new people who were referred, or of earlier ones who referred somebody new.

    Nobody refers themselves. Wilson's interval.
    """
    told = data.whole("users", [what.referrer])
    if told is None or what.referrer not in told or told[what.referrer].isna().all():
        yield Measured("share", reason=NO_REFERRER)
        return
    if what.since not in data.dates:
        yield Measured("share", reason=NO_DATE)
        return
    people = data.whole("users", [USER_ID, what.since, what.referrer, *([by] if by else [])])
    if people is None or (by is not None and by not in people):
        yield Measured("share", reason=NO_COLUMN)
        return
    ids, through = people[USER_ID].astype("str"), people[what.referrer].astype("str")
    people = people.assign(did=(through.notna() & (through != "") & (through != ids)).to_numpy(dtype=bool))
    rows = people[data.during(people[what.since])]
    if what.measure == "referrers":
        if not (places(through.dropna().drop_duplicates(), ids) >= 0).any():
            yield Measured("share", reason=REFERRERS_UNKNOWN)
            return
        brought = rows.loc[rows["did"], what.referrer].astype("str")
        rows = people[people[what.since] < pd.Timestamp(data.scope.period.start)]
        rows = rows.assign(did=places(rows[USER_ID], brought) >= 0)
    rows = data.mine(rows)
    if rows.empty:
        yield Measured("share", reason=NOBODY)
    for name, own in _groups(rows, by) if len(rows) else ():
        did = rows["did"].to_numpy(dtype=bool)[own]
        yield part(int(did.sum()), len(did), group=name, rules=data.scope.workbook.rules)


def _groups(rows: pd.DataFrame, by: str | None) -> Iterator[tuple[str, Chosen]]:
    """Yield which rows have the same value in a column, written as text; the largest group first, then by name."""
    if by is None:
        yield "", slice(None)
        return
    codes, values = pd.factorize(rows[by])
    yield from grouped(pd.Series([*values, None], dtype=object), codes)


def _only_won(data: Reading) -> bool:
    """Return whether the list of deals is one of won deals, of which any share would be 1."""
    rows = data.whole("deals", ["status"])
    return rows is not None and len(rows) > 0 and bool((rows["status"] == "won").all())


def _reaches_back(data: Reading) -> bool:
    """Return whether nine in ten decided deals take no longer than the deals reach back before the period.

    In the first weeks of a list only fast deals are decided, and those are mostly of one kind.
    """
    rows = data.whole("deals", ["created", "closed"])
    if rows is None or "created" not in rows:
        return True
    created, closed = pd.to_datetime(rows["created"]), pd.to_datetime(rows["closed"])
    took = (closed - created).dt.total_seconds().dropna().to_numpy() / 86_400
    if not len(took):
        return True
    start = pd.Timestamp(data.scope.period.start if created.dt.tz is not None else data.scope.period.first_day)
    return bool(created.min() <= start - timedelta(days=float(np.quantile(took, 0.9))))
