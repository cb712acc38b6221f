"""What it cost to win customers, by day and channel: advertising, and what no export holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Cost
from funnel_lib.conversion.keeping.shelves import Shelf
from funnel_lib.schema import CAMPAIGN, CHANNEL, CURRENCY

UNASSIGNED = "unassigned"
COLUMNS = ["date", CHANNEL, "cost", "kind"]


@dataclass(frozen=True)
class Costs:
    """Costs by day: `date, channel, cost, kind` (`advertising` or `other`), in the workbook's currency.

    `channel` is `unassigned` where nobody says which. `first` and `last` are the days between which advertising is
    known; None without any. `set_aside` counts rows of spend by reason: `other_currency`, `negative`, `no_cost`.
    """

    frame: pd.DataFrame
    first: date | None = None
    last: date | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)

    def between(self, first: date, last: date) -> pd.DataFrame:
        """Return the rows of these days, both included."""
        days = self.frame["date"]
        return self.frame[(days >= pd.Timestamp(first)) & (days <= pd.Timestamp(last))]

    def covers(self, first: date, last: date) -> bool:
        """Return whether the costs of these days are known: there is no advertising at all, or it spans them."""
        if self.first is None or self.last is None:
            return True
        return self.first <= first and last <= self.last


def costs(scope: Scope) -> Costs:
    """Return all costs of a workbook: its spend, and the monthly `costs` of its file on the days of its data.

    Spend names campaigns, not channels: a campaign belongs to the channel that most events with its name have.
    """
    facts = scope.store.facts()
    path = scope.store.path("spend")
    spend = scope.store.read("spend") if path.is_file() else None
    days = [date.fromisoformat(facts[name]) for name in ("first_day", "last_day") if facts[name]]
    return together(
        spend, scope.workbook.costs, {} if spend is None else campaign_channels(scope),
        currency=scope.workbook.currency, days=(days[0], days[1]) if len(days) == 2 else None,
    )  # fmt: skip


def together(
    spend: pd.DataFrame | None,
    monthly: Sequence[Cost],
    channels: Mapping[str, str],
    *,
    currency: str,
    days: tuple[date, date] | None = None,
) -> Costs:
    """Return the costs by day; a monthly cost is spread evenly over the days of its month.

    Parameters
    ----------
    spend : the canonical table; None where there is none.
    monthly : the workbook's own costs.
    channels : the channel of each campaign.
    currency : of the workbook; spend in another is set aside.
    days : first and last day on which monthly costs accrue; those of the spend where not given.
    """
    parts, aside = [pd.DataFrame({name: [] for name in COLUMNS})], {}
    first = last = None
    if spend is not None and len(spend):
        at = pd.to_datetime(spend["date"]).dt.normalize()
        first, last = at.min().date(), at.max().date()
        faults = {
            "no_cost": spend["cost"].isna(), "other_currency": spend[CURRENCY] != currency,
            "negative": spend["cost"] < 0,
        }  # fmt: skip
        usable = pd.Series(True, index=spend.index)
        for reason, faulty in faults.items():
            aside[reason] = int((usable & faulty).sum())
            usable &= ~faulty
        named = spend[CAMPAIGN].map(dict(channels)).astype("str").fillna(UNASSIGNED)
        paid = pd.DataFrame({"date": at, CHANNEL: named, "cost": spend["cost"], "kind": "advertising"})
        parts.append(paid[usable])
    days = days or ((first, last) if first is not None and last is not None else None)
    if days is not None:
        parts += [_spread(cost, days) for cost in monthly]
    whole = pd.concat(parts[1:] or parts, ignore_index=True)
    whole = whole.astype({"date": "datetime64[us]", CHANNEL: "str", "cost": "float64", "kind": "str"})
    summed = whole.groupby(["date", CHANNEL, "kind"])["cost"].sum().reset_index()
    return Costs(summed[COLUMNS], first, last, {reason: rows for reason, rows in aside.items() if rows})


def _spread(cost: Cost, days: tuple[date, date]) -> pd.DataFrame:
    span = pd.date_range(*days, freq="D").as_unit("us")
    each = cost.per_month / span.days_in_month
    return pd.DataFrame({"date": span, CHANNEL: cost.channel or UNASSIGNED, "cost": each, "kind": "other"})


def campaign_channels(scope: Scope) -> dict[str, str]:
    """Return the channel of each campaign, as `campaigns`; counted once for the same events."""
    if not scope.events.exists():
        return {}

    def made() -> dict[str, pd.DataFrame]:
        found = campaigns(scope.events)
        return {"campaigns": pd.DataFrame({CAMPAIGN: [*found], CHANNEL: [*found.values()]}, dtype="str")}

    shelf = Shelf.of(scope)
    table = (made() if shelf is None else shelf.tables(scope.funnel, made, asked="campaigns"))["campaigns"]
    return dict(zip(table[CAMPAIGN], table[CHANNEL], strict=True))


def campaigns(events: Path) -> dict[str, str]:
    """Return the channel of each campaign that events name: the one that most of its events have (ties by name)."""
    with duckdb.connect() as connection:
        log = connection.read_parquet(str(events))
        if not {CAMPAIGN, CHANNEL} <= {*log.columns}:
            return {}
        known = log.filter(f"{CAMPAIGN} IS NOT NULL AND {CHANNEL} IS NOT NULL")
        counted = known.aggregate(f"{CAMPAIGN}, {CHANNEL}, count(*) AS n").order(f"n DESC, {CHANNEL}")
        found: dict[str, str] = {}
        for campaign, channel, _ in counted.fetchall():
            found.setdefault(campaign, channel)
    return found
