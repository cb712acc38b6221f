"""The rows that key figures are counted from: events of a kind, spend, answers, deals, in one period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import duckdb
import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.conditions import columns, lookup, meets
from funnel_lib.schema import AMOUNT, CURRENCY, EVENT, PROPERTIES, TS, TableName
from funnel_lib.scorecard import Match

UNIT = "unit"


@dataclass(frozen=True)
class Reading:
    """The data of one scope; `units` restricts events to these people (a segment), None to nobody in particular.

    Several figures ask for the same events: what was read is kept.
    """

    scope: Scope
    units: frozenset[str] | None = None
    _kept: dict[str, pd.DataFrame] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all events of the whole data."""
        if not self.scope.events.exists():
            return frozenset()
        with duckdb.connect() as connection:
            rows = connection.read_parquet(str(self.scope.events)).aggregate(EVENT).fetchall()
        return frozenset(name for (name,) in rows if name is not None)

    def knows(self, match: Match) -> bool:
        """Return whether the whole data holds an event of one of these names."""
        asked = wanted(match)
        return bool(self.names) if asked is None else not self.names.isdisjoint(asked)

    def events(
        self, match: Match, *, until: datetime | None = None, by: str | None = None, amounts: bool = False
    ) -> pd.DataFrame:
        """Return `unit, ts` and what is asked for of the matching events of the period, oldest first.

        Parameters
        ----------
        until : the end, instead of the period's; nothing later than what is known is looked at.
        by : a column or property to bring along, as `group`.
        amounts : bring `amount` and `currency` along, where there are such.
        """
        key = f"{match!r} {until} {by} {amounts}"
        if key not in self._kept:
            self._kept[key] = self._read(match, until or self.scope.period.end, by, amounts)
        return self._kept[key].copy()

    def _read(self, match: Match, end: datetime, by: str | None, amounts: bool) -> pd.DataFrame:
        asked = columns([match.where]) | ({by} if by else set())
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            log = connection.read_parquet(str(self.scope.events))
            names = {name for name in (*((AMOUNT, CURRENCY) if amounts else ()), *asked) if name in log.columns}
            if asked - {*log.columns} and PROPERTIES in log.columns:
                names.add(PROPERTIES)
            log.create_view("log")
            chosen = "".join(f', "{name}"' for name in sorted(names))
            query = (
                f'SELECT CAST("{self.scope.funnel.unit}" AS VARCHAR) AS {UNIT}, {TS}{chosen} FROM log '  # noqa: S608
                f"WHERE {TS} >= $since AND {TS} < $end AND ($known IS NULL OR {TS} <= $known) "
                f"AND ($names IS NULL OR list_contains($names, {EVENT})) ORDER BY {TS}, {UNIT}"
            )
            found: pd.DataFrame = connection.sql(query, params={
                "since": self.scope.period.start, "end": end, "known": self.scope.as_of, "names": wanted(match),
            }).to_arrow_table().to_pandas()  # fmt: skip
        if match.where:
            found = found[meets(found, match.where)]
        if self.units is not None:
            found = found[found[UNIT].isin(self.units)]
        if by is not None:
            known = by in found or PROPERTIES in found
            found = found.assign(group=lookup(found, by) if known else None)
        return found[found[UNIT].notna()].reset_index(drop=True)

    def table(self, name: TableName, moment: str) -> pd.DataFrame | None:
        """Return the rows of another canonical table whose `moment` lies in the period; None without the table."""
        path = self.scope.store.path(name)
        if not path.is_file():
            return None
        rows = self.scope.store.read(name)
        at, period = pd.to_datetime(rows[moment]), self.scope.period
        if at.dt.tz is None:  # days, not instants
            inside = (at >= pd.Timestamp(period.first_day)) & (at <= pd.Timestamp(period.last_day))
        else:
            inside = (at >= pd.Timestamp(period.start)) & (at < pd.Timestamp(period.end))
        return rows[inside].reset_index(drop=True)


def wanted(match: Match) -> Sequence[str] | None:
    """Return the names of a match; None for any."""
    return [match.event] if isinstance(match.event, str) else match.event
