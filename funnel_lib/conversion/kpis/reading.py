"""What key figures are counted from: events of a kind, and rows of other tables, in one period."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.kpis.rows import Rows
from funnel_lib.schema import CAMPAIGN, CURRENCY, PROPERTIES, USER_ID, TableName
from funnel_lib.scorecard import Match
from funnel_lib.segmentation.rules import places


@dataclass(frozen=True)
class Reading:
    """The data of one scope; `units` restricts it to these people (a segment), None to nobody in particular.

    Several figures ask for the same rows: what was read is kept.
    """

    scope: Scope
    units: pd.Series[Any] | None = None
    _events: dict[str, Rows] = field(default_factory=dict, compare=False, repr=False)
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict, compare=False, repr=False)

    def of(self, scope: Scope, units: pd.Series[Any] | None) -> Reading:
        """Return the reading of the same data in another period; tables are not read again."""
        return Reading(scope, units, _tables=self._tables)

    @cached_property
    def log(self) -> EventLog | None:
        """All events; None where there are none, or they do not say whose they are."""
        return EventLog.of(self.scope)

    def knows(self, match: Match) -> bool:
        """Return whether the whole data holds an event of one of these names."""
        if self.log is None:
            return False
        asked = wanted(match)
        return bool(self.log.names) if asked is None else not set(self.log.names).isdisjoint(asked)

    def holds(self, name: str) -> bool:
        """Return whether events have such a column, or properties, which may hold it."""
        return name in self._columns or PROPERTIES in self._columns

    def tells(self, match: Match, name: str) -> bool:
        """Return whether any event of these names, of the whole data, tells of a column or property."""
        return self.holds(name) and self._log.tells(wanted(match), name)

    def has(self, column: str) -> bool:
        """Return whether events have such a column."""
        return column in self._columns

    @cached_property
    def _columns(self) -> frozenset[str]:
        """The columns of the events."""
        return frozenset(pq.read_schema(self.scope.events).names if self.scope.events.exists() else ())

    @cached_property
    def dates(self) -> frozenset[str]:
        """The columns of people that are times."""
        path = self.scope.store.path("users")
        held = pq.read_schema(path) if path.is_file() else pa.schema([])
        return frozenset(field.name for field in held if pa.types.is_timestamp(field.type) and field.type.tz)

    def events(self, match: Match, tell: Sequence[str] = ()) -> Rows:
        """Return the matching events of the period, as far as they are known, and what they tell of some columns.

        Raises
        ------
        DataError : there is neither such a column nor properties.
        """
        key = f"{wanted(match)} {match.where} {[*tell]}"
        if key not in self._events:
            self._events[key] = self._read(match, tell)
        return self._events[key]

    def _read(self, match: Match, tell: Sequence[str]) -> Rows:
        log, period = self._log, self.scope.period
        found = log.find(
            wanted(match), where=match.where, since=period.start, before=period.end, until=self.scope.as_of, tell=tell
        )
        rows = Rows.of(log, found)
        return rows if self._inside is None else rows.take(self._inside[rows.person])

    def ever(self, match: Match) -> Ints:
        """Return the places of all matching events, of all times and people.

        Raises
        ------
        DataError : there is neither such a column nor properties.
        """
        return self._log.find(wanted(match), where=match.where).places

    @property
    def _log(self) -> EventLog:
        if self.log is None:
            raise ValueError("there are no events: ask `knows` first")
        return self.log

    @cached_property
    def _inside(self) -> npt.NDArray[np.bool_] | None:
        """Whether each person of the log belongs to the segment; None without one."""
        if self.units is None:
            return None
        inside = np.zeros(len(self._log.units) + 1, dtype=bool)
        inside[self._log.persons(self.units)] = True
        return inside[:-1]

    @cached_property
    def spend(self) -> pd.DataFrame | None:
        """The spend of the period; None where none was collected."""
        return self.table("spend", "date", ["cost", "impressions", "clicks", CURRENCY, CAMPAIGN])

    @property
    def named(self) -> list[str]:
        """The column that says whose a row of another table is, where that matters: in a segment."""
        return [] if self.units is None else [USER_ID]

    def mine(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the segment's people; none of them where the rows name nobody."""
        if self.units is None:
            return rows
        if USER_ID not in rows:
            return rows[:0]
        return rows[places(rows[USER_ID], self.units) >= 0]

    def table(self, name: TableName, moment: str, columns: Iterable[str]) -> pd.DataFrame | None:
        """Return the rows of another canonical table whose `moment` lies in the period; None without the table.

        Parameters
        ----------
        columns : those that are wanted; the table need not have them. Without the moment, no row lies in the period.
        """
        rows = self.whole(name, [moment, *columns])
        if rows is None:
            return None
        return rows[self.during(rows[moment])].reset_index(drop=True) if moment in rows else rows[:0]

    def during(self, moments: pd.Series[Any]) -> npt.NDArray[np.bool_]:
        """Return which moments, or days, lie in the period."""
        at, period = pd.to_datetime(moments), self.scope.period
        if at.dt.tz is None:  # days, not instants
            inside = (at >= pd.Timestamp(period.first_day)) & (at <= pd.Timestamp(period.last_day))
        else:
            inside = (at >= pd.Timestamp(period.start)) & (at < pd.Timestamp(period.end))
        return inside.to_numpy(dtype=bool)

    def whole(self, name: TableName, columns: Iterable[str]) -> pd.DataFrame | None:
        """Return columns of another canonical table, as far as it has them; None where it was not collected."""
        path = self.scope.store.path(name)
        if not path.is_file():
            return None
        if name not in self._tables:
            self._tables[name] = pd.DataFrame(index=pd.RangeIndex(pq.read_metadata(path).num_rows))
        held, there = self._tables[name], pq.read_schema(path).names
        wanted = [column for column in dict.fromkeys(columns) if column in there]
        if new := [column for column in wanted if column not in held]:
            held = self._tables[name] = pd.concat([held, self.scope.store.read(name, new)], axis=1)
        return held[wanted]


def wanted(match: Match) -> Sequence[str] | None:
    """Return the names of a match; None for any."""
    return [match.event] if isinstance(match.event, str) else match.event
