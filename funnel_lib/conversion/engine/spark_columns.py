"""What Spark is asked of events, as expressions: which rows matter, which steps each may be, and when it was.

A condition becomes an expression only where that means exactly what `conditions.meets` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from funnel_lib.conditions import columns as named_by
from funnel_lib.conditions import plain
from funnel_lib.conversion.engine.sieve import EARLIEST, LATEST
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import DataError, choices
from funnel_lib.notation import Where
from funnel_lib.schema import EVENT, PROPERTIES, SESSION_ID, TS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_TIMES = ("timestamp", "timestamp_ntz", "date")
_IS_TIME, _HAS_ZONE = r"^\d{4}-\d{1,2}-\d{1,2}", r":[0-9.]+\s*([zZ]|UTC|[+-]\d{1,2}(:?\d{2})?)$"


@dataclass(frozen=True)
class Columns:
    """The columns of a frame in which column NAME is called c0, c1, ... by its place in `types`.

    Spark cannot look up every name (dots, quotes, two that differ in case); places can be used for all.
    """

    types: Mapping[str, str]
    funnel: Funnel
    by: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns that the kernel's rows have."""
        funnel = self.funnel
        sessions = funnel.counting == "sessions" and funnel.session_gap is None
        held = (f"hold {name}" for name in funnel.hold_constant)
        return ("unit", "at_us", "mask", *held, *["session"] * sessions, *(f"extra {name}" for name in self.by))

    @property
    def values(self) -> list[Column]:
        """Where the values of `names` come from."""
        texts = [*self.funnel.hold_constant, *[SESSION_ID] * ("session" in self.names)]
        held = [self.value(name).cast("string") for name in texts]
        return [self._unit, self.at, self.mask, *held, *map(self.value, self.by)]

    @cached_property
    def hard(self) -> tuple[Where, ...]:
        """Per bit of the mask, the conditions that Python has to check."""
        return tuple(_hard(part.where, self.types) for part in _parts(self.funnel))

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """The columns that only those conditions ask for."""
        return tuple(sorted({name if name in self.types else PROPERTIES for name in named_by(self.hard)}))

    @property
    def mask(self) -> Column:
        """Which steps and exclusions each row matches, as far as Spark can tell."""
        from pyspark.sql import functions as sf

        bits = []
        for place, part in enumerate(_parts(self.funnel)):
            met = [self._text(EVENT).isin(part.events)] if part.events else []
            met += [self._met(*test) for test in _tests(part.where) if _is_easy(*test, self.types)]
            bits.append(sf.when(reduce(and_, met, sf.lit(True)), 1 << place).otherwise(0).cast("bigint"))
        return reduce(lambda one, other: one.bitwiseOR(other), bits)

    @property
    def candidate(self) -> Column:
        """Whether the event's name can be a step or an exclusion; Spark hands this on to the files."""
        from pyspark.sql import functions as sf

        parts = _parts(self.funnel)
        if not all(part.events for part in parts):
            return sf.lit(True)
        return self._text(EVENT).isin(sorted({name for part in parts for name in part.events}))

    def _met(self, name: str, operator: str, operand: Any) -> Column:
        """Return whether an easy condition holds: exactly what `conditions.meets` says."""
        from pyspark.sql import functions as sf

        value, there = self._column(name), self._column(name).isNotNull()
        if operator == "is_null":
            return ~there if operand else there
        if operator in ("eq", "ne", "in", "not_in"):
            listed = operand if isinstance(operand, list) else [operand]
            wanted = [plain(operand)] if operator in ("eq", "ne") else [str(item) for item in listed]
            found = there & value.cast("string").isin(wanted)
            return found if operator in ("eq", "in") else ~found
        number, limit = value.cast("double"), sf.lit(float(operand))
        compared = {"gt": number > limit, "ge": number >= limit, "lt": number < limit, "le": number <= limit}
        return there & ~sf.isnan(number) & compared[operator]

    @property
    def event(self) -> Column:
        """The name of the event as text; null where there is no such column."""
        from pyspark.sql import functions as sf

        return self._text(EVENT) if EVENT in self.types else sf.lit(None).cast("string")

    @property
    def _unit(self) -> Column:
        return self._text(self.funnel.unit) if self._unit_is_text else self._column(self.funnel.unit)

    @property
    def _unit_is_text(self) -> bool:
        return self.types[self.funnel.unit].startswith("string")

    @property
    def no_unit(self) -> Column:
        """Whether a row has no unit: an empty text is none."""
        return self._unit.isNull() | (self._unit == "") if self._unit_is_text else self._unit.isNull()

    @property
    def at(self) -> Column:
        """The time, as one of Spark's two kinds: both are microseconds of UTC once they are in Arrow."""
        from pyspark.sql import functions as sf

        if self.types[TS] == "date":
            return self._column(TS).cast("timestamp_ntz")
        if self.types[TS] in _TIMES:
            return self._column(TS)
        text = sf.trim(self._text(TS))
        to_end = sf.when(text.contains(":"), sf.lit("Z")).otherwise(sf.lit("T00:00:00Z"))
        zoned = sf.when(text.rlike(_HAS_ZONE), text).otherwise(sf.concat(text, to_end))
        return sf.when(text.rlike(_IS_TIME), zoned.try_cast("timestamp_ltz"))

    @property
    def possible(self) -> Column:
        """Whether a time can be true; null where there is none."""
        first, last = (_EPOCH + timedelta(microseconds=limit) for limit in (EARLIEST, LATEST))
        return (self.at >= self._moment(first)) & (self.at <= self._moment(last))

    def span(self, since: datetime | None, until: datetime | None) -> Column:
        """Whether a time lies in the span, both ends included."""
        from pyspark.sql import functions as sf

        after = sf.lit(True) if since is None else self.at >= self._moment(since)
        return after if until is None else after & (self.at <= self._moment(until))

    def _moment(self, moment: datetime) -> Column:
        """Return a time to compare `at` with; the time zone of the Spark session has no say in it."""
        from pyspark.sql import functions as sf

        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        text = aware.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
        if self.types[TS] in ("date", "timestamp_ntz"):
            return sf.lit(text).cast("timestamp_ntz")
        return sf.lit(f"{text}Z").cast("timestamp_ltz")

    def value(self, name: str) -> Column:
        """Return a column, or the property of that name; `properties` itself as JSON."""
        from pyspark.sql import functions as sf
        from pyspark.sql.types import StringType, StructField, StructType

        if name in self.types and name != PROPERTIES:
            return self._column(name)
        kind = self.types[PROPERTIES]
        text = self._text(PROPERTIES) if kind.startswith("string") else sf.to_json(self._column(PROPERTIES))
        if name == PROPERTIES:
            return text
        return sf.from_json(text, StructType([StructField(name, StringType())])).getField(name)

    def _text(self, name: str) -> Column:
        # A text of another collation too: under that, different values may be equal.
        return self._column(name).cast("string")

    def _column(self, name: str) -> Column:
        from pyspark.sql import functions as sf

        return sf.col(f"c{list(self.types).index(name)}")


def _parts(funnel: Funnel) -> list[Step | Exclusion]:
    """Return what the bits of a mask stand for."""
    return [*funnel.steps, *funnel.exclusions]


def _tests(where: Where) -> Iterator[tuple[str, str, Any]]:
    return ((name, operator, operand) for name, tests in where.items() for operator, operand in tests.items())


def _is_easy(name: str, operator: str, operand: Any, types: Mapping[str, str]) -> bool:
    """Return whether Spark can say exactly what `conditions.meets` does."""
    kind = types.get(name, "")
    if operator in ("gt", "ge", "lt", "le"):
        return kind in (*_INTEGERS, "double") and _is_number(operand)
    return operator != "contains" and kind in (*_INTEGERS, "string", "boolean")


def _is_number(operand: Any) -> bool:
    try:
        return float(operand) == float(operand)
    except ValueError:
        return False


def _hard(where: Where, types: Mapping[str, str]) -> Where:
    """Return the conditions that Spark is not asked."""
    left: Where = {}
    for name, operator, operand in _tests(where):
        if not _is_easy(name, operator, operand, types):
            left.setdefault(name, {})[operator] = operand
    return left


def check(events: DataFrame, funnel: Funnel, by: tuple[str, ...]) -> None:
    """Refuse events that cannot be read."""
    types = dict(events.dtypes)
    own = {funnel.unit, TS} | ({EVENT} if any(part.events for part in _parts(funnel)) else set())
    sessions = {SESSION_ID} if funnel.counting == "sessions" and funnel.session_gap is None else set()
    asked = {*named_by(part.where for part in _parts(funnel)), *funnel.hold_constant, *sessions, *by}
    for name in sorted(own | asked):
        if name not in types and (name in own or PROPERTIES not in types):
            raise DataError(
                f"The events have no column {name!r}.", found=", ".join(types) or "no columns",
                allowed=choices(types, name), do="Name the funnel's unit, or rename the column.",
            )  # fmt: skip
    twice = next((name for name in events.columns if events.columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            "Two columns of the events have the same name.", found=twice, allowed="unique names",
            do="Drop or rename one of them: a join leaves both.",
        )  # fmt: skip
    if types[TS] not in _TIMES and not types[TS].startswith("string"):
        raise DataError(
            "The events' times are not times.", where=TS, found=types[TS],
            allowed="timestamp, timestamp_ntz, date, or text such as 2026-05-31T18:00:00Z",
            do="Convert them before, with their unit.",
        )  # fmt: skip
    if events.isStreaming:
        raise DataError(
            "A stream has no end, so its journeys are never known.", found="a streaming DataFrame",
            allowed="a DataFrame", do="Write the stream to a table, and read that.",
        )  # fmt: skip
