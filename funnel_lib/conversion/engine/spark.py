"""Events in a Spark cluster: chosen and brought together by Spark, understood by the same kernel.

One shuffle, by unit. Columns, events and times are chosen before it, by Spark; a condition becomes a Spark
expression only where that means exactly what `conditions.meets` does, else Python checks it, before the
shuffle too. After it each task reads its rows unit by unit, cuts them between two units and gives each piece
to `group` and `follow` (see `spark_tasks`). Executors need this package: see docs/spark.md.

Only DataFrame calls are used (they work through Spark Connect too), and Arrow between Spark and Python, never
Spark's own conversion to pandas.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.source import Facts
from funnel_lib.conversion.engine.spark_columns import Columns, check
from funnel_lib.conversion.engine.spark_tasks import MASK, PACKED, Batches, Checking, Following, unpacked
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

ROWS_AT_ONCE = 500_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAID = re.compile(r"funnel_lib\.errors\.(\w+): (.*?)(?:\n\s*(?:at |JVM|During|SQLSTATE|\n)|\Z)", re.DOTALL)
_LACKING = re.compile(r"ModuleNotFoundError: No module named '(\w+)")


@dataclass
class SparkSource:
    """Events of a Spark DataFrame (classic or Connect) as a source of journeys.

    Parameters
    ----------
    events : not a stream. Columns as for `journeys`; `properties` may be JSON text, a map or a struct.
    funnel : what is counted.
    by : columns or properties to bring along.
    partitions : into how many parts the shuffle divides the units; None: what Spark is set to.
    rows_at_once : rows that a task reads before it runs the kernel. Its memory is bounded by that, or by the
        unit with the most rows: a unit is never divided.

    `facts` are complete when the last part of `journeys` has been read.

    Raises
    ------
    DataError : a column is missing or there twice, the times are no times, or the events are a stream.
    """

    events: DataFrame
    funnel: Funnel
    by: tuple[str, ...] = ()
    partitions: int | None = None
    rows_at_once: int = ROWS_AT_ONCE
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        check(self.events, self.funnel, self.by)
        self._columns = Columns(dict(self.events.dtypes), self.funnel, self.by)
        self._log = self.events.toDF(*(f"c{place}" for place in range(len(self._columns.types))))

    @property
    def newest(self) -> datetime | None:
        """The newest time of any event, None where there is none."""
        last = max((moment for moment in self._seen.values() if moment is not None), default=None)
        return None if last is None else _EPOCH + timedelta(microseconds=last)

    @property
    def names(self) -> list[str]:
        """All event names, sorted."""
        return sorted(name for name in self._seen if name is not None)

    def journeys(self, plan: Plan, since: datetime | None = None, until: datetime | None = None) -> Iterator[pa.Table]:
        """Yield the journeys of whole units, part by part; `since` and `until` are both included.

        All executors make the parts at once and keep them (in memory or on their disks) until they have been
        fetched, one partition after another. The counts of matched rows travel with the parts, so that they stay
        exact whatever has to be computed again.

        Raises
        ------
        DataError : a condition cannot be checked on the values found.
        ConfigError : the executors lack this package, or have another version of it.
        """
        work = Following(plan, self._columns.names, self.rows_at_once, packed=True)
        parts = _in_arrow(self._rows(plan, since, until), work, PACKED).persist()
        counted, any_part = np.zeros(len(self.funnel.steps) + 1, dtype=np.int64), False
        try:
            with _teaching():
                parts.count()
                for row in parts.toLocalIterator(prefetchPartitions=True):
                    any_part = True
                    counted += np.array(row["counted"], dtype=np.int64)
                    yield unpacked(row["part"])
        finally:
            parts.unpersist()
        if not any_part:
            yield self._nothing(plan)
        with _teaching():
            set_aside = self._set_aside(since, until)
        if self.funnel.hold_constant:
            set_aside["no_held_value"] = int(counted[-1])
        self.facts = Facts(set_aside, counted[:-1].tolist())

    def frame(self, plan: Plan, since: datetime | None = None, until: datetime | None = None) -> DataFrame:
        """Return the journeys as a Spark DataFrame, made when it is used; none of it comes to the driver."""
        from pyspark.sql.pandas.types import from_arrow_schema

        schema = from_arrow_schema(self._nothing(plan).schema, prefer_timestamp_ntz=True)
        work = Following(plan, self._columns.names, self.rows_at_once, packed=False)
        return _in_arrow(self._rows(plan, since, until), work, schema)

    def _nothing(self, plan: Plan) -> pa.Table:
        """Return the journeys of no events: their columns and types."""
        work = Following(plan, self._columns.names, self.rows_at_once, packed=False)
        return follow(group(work.named(self._rows(plan, None, None).limit(0).toArrow()), plan), plan)

    def _rows(self, plan: Plan, since: datetime | None, until: datetime | None) -> DataFrame:
        """Return the rows that matter, as columns c0, c1, ... (`Columns.names`), those of a unit together."""
        columns = self._columns
        usable = ~columns.no_unit & columns.possible & columns.span(since, until)
        rows = self._log.filter(usable if plan.whole_logs else usable & columns.candidate)
        rows = self._matching(rows, columns.values, keep_all=plan.whole_logs)
        where = ("c0",) if self.partitions is None else (self.partitions, "c0")
        return rows.repartition(*where).sortWithinPartitions("c0", "c1")

    def _matching(self, rows: DataFrame, values: list[Column], *, keep_all: bool) -> DataFrame:
        """Return columns c0, c1, ... with `values`, the mask in the place where tasks look for it.

        Rows that match nothing are kept only if asked for.
        """
        from pyspark.sql import functions as sf

        asked, passed_on = self._columns.asked, [f"c{place}" for place in range(len(values))]
        values = [*values, *map(self._columns.value, asked)]
        rows = rows.select(*(value.alias(f"c{place}") for place, value in enumerate(values)))
        if not keep_all:
            rows = rows.filter(sf.col(f"c{MASK}") != 0)
        if not asked:
            return rows
        return _in_arrow(rows, Checking(self._columns.hard, asked, keep_all), rows.select(*passed_on).schema)

    def _set_aside(self, since: datetime | None, until: datetime | None) -> dict[str, int]:
        """Count the rows that match something but have no unit, or no possible time.

        Only those are asked for, so that Spark passes over parts of files whose statistics rule them out.
        """
        from pyspark.sql import functions as sf

        columns = self._columns
        no_unit = columns.no_unit & columns.possible & columns.span(since, until)
        no_time, impossible_time = columns.at.isNull(), ~columns.possible
        rows = self._log.filter(no_unit | no_time | impossible_time).filter(columns.candidate)
        found = self._matching(rows, [no_unit, no_time, columns.mask, impossible_time], keep_all=False)
        places = {"no_unit": "c0", "no_time": "c1", "impossible_time": "c3"}
        counted = found.agg(*(sf.count_if(place).alias(reason) for reason, place in places.items())).toArrow()
        return {reason: counted[reason][0].as_py() for reason in places}

    @cached_property
    def _seen(self) -> dict[str | None, int | None]:
        """The newest possible time of each event name: one scan of two columns."""
        from pyspark.sql import functions as sf

        newest = sf.max(sf.when(self._columns.possible, self._columns.at))
        found = self._log.groupBy(self._columns.event.alias("name")).agg(newest.alias("newest")).toArrow()
        return dict(zip(found["name"].to_pylist(), found["newest"].cast(pa.int64()).to_pylist(), strict=True))


def _in_arrow(frame: DataFrame, work: Callable[[Batches], Batches], schema: StructType | str) -> DataFrame:
    with warnings.catch_warnings():
        # Spark warns of pandas 3 wherever it could use pandas; nothing here does.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        return frame.mapInArrow(work, schema)


@contextmanager
def _teaching() -> Iterator[None]:
    """Let what a task says to the user stand without the trace of the executor around it."""
    from pyspark.errors import PythonException

    try:
        yield
    except PythonException as error:
        if lacking := _LACKING.search(str(error)):
            raise ConfigError(
                "The executors lack a Python package.", where="the Python of Spark's executors", found=lacking[1],
                do="Install funnel-lib there in the driver's version, or send it along: see docs/spark.md.",
            ) from error  # fmt: skip
        said = _SAID.search(str(error))
        if said is None:
            raise
        raise (ConfigError if said[1] == "ConfigError" else DataError)(said[2].strip()) from error
