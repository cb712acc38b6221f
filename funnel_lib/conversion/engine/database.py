"""Events in a database or warehouse: it filters and orders them, this side gives them their meaning.

Any table or expression of Ibis will do. Only the needed columns are asked for, of rows that can matter; they come
in order of unit, batch by batch, and are cut between two units into pieces that fit into memory. Each piece goes
the way of a local table, so events, conditions, properties and times mean here what they mean there: the filter
that the database gets may let too many rows through, never too few, and every row is looked at again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.conditions import plain
from funnel_lib.connection import ROWS_PER_BATCH, Connection
from funnel_lib.conversion.engine.batches import whole_units
from funnel_lib.conversion.engine.local import LocalSource, needed
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.sieve import EARLIEST, LATEST
from funnel_lib.conversion.engine.source import Facts
from funnel_lib.conversion.engine.spill import in_bytes
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import DataError
from funnel_lib.notation import Where
from funnel_lib.schema import EVENT, PROPERTIES, TS

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, Column, Table, Value

ROWS_AT_ONCE = 500_000
"""Rows of whole units that are looked at together, at most; more would take memory and no less time."""
MEMORY = 250_000_000
ROW_BYTES = 500
"""What a row takes on its way, measured: as an object, in Arrow, and in the kernel."""
_INSTANT = timedelta(microseconds=1)
_EARLIEST, _LATEST = (datetime(1970, 1, 1, tzinfo=UTC) + limit * _INSTANT for limit in (EARLIEST, LATEST))
_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
# Beyond this, a whole number and the same with a fraction are no longer told apart.
_EXACT = 2**53
_COMPARE = {"gt": "__gt__", "ge": "__ge__", "lt": "__lt__", "le": "__le__"}
# What databases that know enumerations call a text that is none.
_TEXTS = ("text", "character varying", "character", "VARCHAR")


class DatabaseSource:
    """Events of a database, as a source of journeys.

    Each call reads the database anew; `facts` are those of the last journeys that were read to their end.

    Parameters
    ----------
    events : an Ibis table or expression that is connected to its database.
    funnel : what is counted.
    by : columns or properties to bring along.
    memory : memory for rows, such as `100MB`: the less, the smaller the pieces. A unit is always read whole.
    rows_at_once : rows that make a piece, in place of `memory`.

    Raises
    ------
    DataError : a column is missing, times are no times, or the database does not answer.
    ConfigError : `memory` is no amount of memory.
    """

    def __init__(
        self,
        events: Table,
        funnel: Funnel,
        by: Sequence[str] = (),
        *,
        memory: str | int | None = None,
        rows_at_once: int | None = None,
    ) -> None:
        self.funnel, self.by, self.facts = funnel, tuple(by), Facts()
        affordable = max(in_bytes(memory, MEMORY) // ROW_BYTES, ROWS_PER_BATCH)
        self.rows_at_once = rows_at_once or min(affordable, ROWS_AT_ONCE)
        self._source = Connection.of(events)
        asked = needed(funnel, self.by)
        if not asked <= set(events.columns):
            asked.add(PROPERTIES)
        with self._source.answering():
            columns = {name: self._readable(events[name], name) for name in events.columns if name in asked}
            self._view = events.select(**columns)
            kinds = {name: pa.string() for name in events.columns}
            kinds |= {name: kind.to_pyarrow() for name, kind in self._view.schema().items()}
        LocalSource(pa.schema(kinds).empty_table(), funnel, self.by)  # refuses what is missing or no time

    @cached_property
    def newest(self) -> datetime | None:
        """The newest possible time of any event, None where there is none."""
        times = self._view.select(TS)
        if self._view[TS].type().is_string():
            only = Funnel(steps=[Step("any")], unit=TS)
            pieces = (LocalSource(pa.Table.from_batches([part]), only) for part in self._source.batches(times))
            return max((piece.newest for piece in pieces if piece.newest is not None), default=None)
        last = self._source.row(times.filter(*self._span()).aggregate(last=times[TS].max()))["last"]
        if last is None:
            return None
        moment = last if isinstance(last, datetime) else datetime(last.year, last.month, last.day, tzinfo=UTC)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    @cached_property
    def names(self) -> list[str]:
        """All event names, sorted."""
        if EVENT not in self._view.columns:
            return []
        batches = self._source.batches(self._view.select(EVENT).distinct())
        found = {name for batch in batches for name in batch[EVENT].cast(pa.string()).to_pylist()}
        return sorted(name for name in found if name is not None)

    def journeys(self, plan: Plan, since: datetime | None, until: datetime | None) -> Iterator[pa.Table]:
        """Yield the journeys of whole units, piece by piece.

        Parameters
        ----------
        plan : of the source's own funnel and columns.
        since, until : rows outside are not read; both included.

        Raises
        ------
        DataError : the database does not answer, or does not keep the rows of a unit together.
        """
        set_aside = Counter(self._left_out(plan, since, until))
        matched = np.zeros(len(self.funnel.steps), dtype=np.int64)
        seen = _Seen(self._source.where)
        for piece in self._pieces(plan, since, until):
            seen.add(piece[self.funnel.unit])
            local = LocalSource(piece, self.funnel, self.by)
            yield from local.journeys(plan, since, until)
            matched += local.facts.matched
            set_aside.update(local.facts.set_aside)
        self.facts = Facts(dict(set_aside), matched.tolist())

    def _pieces(self, plan: Plan, since: datetime | None, until: datetime | None) -> Iterator[pa.Table]:
        """Yield the rows that can matter, in order of unit and time, cut between units; one empty table for none."""
        unit = self._view[self.funnel.unit]
        wanted = [] if plan.whole_logs else self._candidates()
        rows = self._view.filter(~_is_missing(unit), *self._span(), *self._span(since, until), *wanted)
        columns = [self.funnel.unit, *(name for name in rows.columns if name != self.funnel.unit)]
        batches = self._source.batches(rows.select(*columns).order_by([self.funnel.unit, TS]))
        pieces = whole_units(batches, self.rows_at_once)
        yield next(pieces, self._view.schema().to_pyarrow().empty_table())
        yield from pieces

    def _left_out(self, plan: Plan, since: datetime | None, until: datetime | None) -> Counter[str]:
        """Return how many rows match something but are not among those that are read, by reason."""
        unit, at = self._view[self.funnel.unit], self._view[TS]
        if at.type().is_string():  # only this side can read them
            return self._looked_at(self._view.filter(_is_missing(unit), *self._candidates()), plan, since, until)
        possible = reduce(and_, self._span())
        reasons = {
            "no_unit": _is_missing(unit) & reduce(and_, [possible, *self._span(since, until)]),
            "no_time": _is_null(at),
            "impossible_time": ~possible,
        }
        if any(part.where for part in _parts(self.funnel)):
            sent = (~possible).ifelse(self._limit(_LONG_AGO), at)  # infinity cannot be sent
            rows = self._view.filter(reduce(or_, reasons.values()), *self._candidates())
            return self._looked_at(rows.mutate(**{TS: sent}), plan, since, until)
        counts = {reason: reduce(and_, [rows, *self._candidates()]).sum() for reason, rows in reasons.items()}
        found = self._source.row(self._view.aggregate(**counts))
        return Counter({reason: int(rows or 0) for reason, rows in found.items()})

    def _looked_at(self, rows: Table, plan: Plan, since: datetime | None, until: datetime | None) -> Counter[str]:
        """Return why the local source sets these rows aside, none of which belongs to a journey."""
        counts: Counter[str] = Counter()
        for batch in self._source.batches(rows):
            local = LocalSource(pa.Table.from_batches([batch]), self.funnel, self.by)
            list(local.journeys(plan, since, until))
            counts.update(local.facts.set_aside)
        return counts

    def _span(self, since: datetime | None = _EARLIEST, until: datetime | None = _LATEST) -> list[BooleanValue]:
        """Return conditions for times in a span, all that are possible by default; none where times are text."""
        at = self._view[TS]
        if at.type().is_string():
            return []
        found = []
        if since is not None:
            found.append(at >= self._limit(since))
        if until is not None:
            found.append(at < self._limit(until + _INSTANT))
        return found

    def _limit(self, moment: datetime) -> date:
        """Return a moment in the type of the times; of days, whose time is their first instant, the next one."""
        kind, moment = self._view[TS].type(), moment.astimezone(UTC)
        if kind.is_date():
            return (moment - _INSTANT).date() + timedelta(days=1)
        return moment if kind.timezone else moment.replace(tzinfo=None)

    def _candidates(self) -> list[BooleanValue]:
        """Return a condition that every row meets which matches a step or an exclusion; none where any row may."""
        names: set[str] = set()
        others: list[BooleanValue] = []
        for part in _parts(self.funnel):
            conditions = self._narrowed(part.where)
            if conditions:
                others.append(reduce(and_, [*conditions, *self._named(part.events)]))
            elif part.events:
                names.update(part.events)
            else:
                return []
        found = self._named(names)
        return [reduce(or_, [*found, *others])] if found or not names else []

    def _named(self, names: Collection[str]) -> list[BooleanValue]:
        """Return the condition that the event is one of `names`; none where they cannot be compared there."""
        return _one_of(self._view[EVENT], names) if names else []

    def _narrowed(self, where: Where) -> list[BooleanValue]:
        """Return conditions that hold wherever those of `where` do."""
        asked = [(name, *pair) for name, condition in where.items() for pair in condition.items()]
        present = [(self._view[name], *pair) for name, *pair in asked if name in self._view.columns]
        return [condition for column, operator, operand in present for condition in _implied(column, operator, operand)]

    def _readable(self, column: Column, name: str) -> Value:
        """Return a column in a type that travels: what databases write in their own ways comes as text."""
        kind = column.type()
        if kind.is_decimal() and name != self.funnel.unit:
            return column.cast("float64")
        if kind.is_temporal() and self._source.kind == "sqlite":
            return column.cast("string")  # it is text, of any form, whatever the column is called
        if kind.is_string() and self._source.kind in ("postgres", "duckdb") and self._is_enumeration(column):
            return column.concat("")  # else it refuses to be compared with a text that was not declared
        others = kind.is_decimal() or kind.is_uuid() or kind.is_json() or kind.is_inet() or kind.is_macaddr()
        return column.cast("string") if others or kind.is_string() or kind.is_unknown() else column

    def _is_enumeration(self, column: Column) -> bool:
        kind = self._source.row(column.typeof().name("kind").as_table().limit(1))["kind"]
        return kind is not None and kind not in _TEXTS


class _Seen:
    """The units of the pieces so far: of numbers the largest; of others 64-bit hashes, eight bytes each."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._largest: int | None = None
        self._hashes: list[npt.NDArray[np.uint64]] = []

    def add(self, units: pa.ChunkedArray) -> None:
        """Refuse units that have been there before: they would count twice."""
        if pa.types.is_integer(units.type):
            low, high = (bound.as_py() for bound in pc.min_max(units).values())
            again = low if self._largest is not None and low <= self._largest else None
            self._largest = high
        else:
            again = self._known(pc.unique(units))
        if again is not None:
            raise DataError(
                "The rows of a unit do not come together: the database takes different texts for the same.",
                where=self._where, found=again, allowed="an order of units in which only the same are equal",
                do='Read a view whose unit has a binary collation, in PostgreSQL: user_id COLLATE "C" AS user_id.',
            )  # fmt: skip

    def _known(self, units: pa.Array) -> object:
        """Return one of the units that was there before, None where all are new; and remember them."""
        hashes = pd.util.hash_array(units.to_numpy(zero_copy_only=False))
        for part in self._hashes:
            found = part[np.minimum(np.searchsorted(part, hashes), len(part) - 1)] == hashes
            if found.any():
                return units[int(np.flatnonzero(found)[0])].as_py()
        new = np.sort(hashes)
        while self._hashes and len(self._hashes[-1]) <= len(new):  # few parts, so few searches
            new = np.sort(np.concatenate([self._hashes.pop(), new]))
        self._hashes.append(new)
        return None


def _parts(funnel: Funnel) -> tuple[Step | Exclusion, ...]:
    return (*funnel.steps, *funnel.exclusions)


def _is_null(column: Column) -> BooleanValue:
    return column.isnull()  # noqa: PD003 - Ibis has no other word for it


def _is_missing(unit: Column) -> BooleanValue:
    return _is_null(unit) | (unit == "") if unit.type().is_string() else _is_null(unit)


def _one_of(column: Column, operands: Collection[object]) -> list[BooleanValue]:
    """Return the condition that the column is, written as text, one of `operands`; none where it cannot be asked."""
    texts = sorted({plain(operand) for operand in operands})
    if column.type().is_string():
        return [column.isin(texts)]
    if column.type().is_integer() and not any(re.fullmatch(r"-?\d{16,}", text) for text in texts):
        return [column.isin([int(text) for text in texts if re.fullmatch(r"0|-?[1-9]\d*", text)])]
    return []


def _implied(column: Column, operator: str, operand: Any) -> list[BooleanValue]:
    """Return a condition that holds wherever `conditions.meets` says that this one does; none where none is sure."""
    if operator in ("eq", "in"):
        return _one_of(column, operand if isinstance(operand, list) else [operand])
    if operator == "is_null" and not operand:
        return [~_is_null(column)]
    exact = isinstance(operand, int | float) and abs(operand) < _EXACT
    if operator in _COMPARE and exact and (column.type().is_integer() or column.type().is_float64()):
        return [getattr(column, _COMPARE[operator])(operand)]
    return []
