"""Parquet files read column by column: by pyarrow, which keeps texts as the dictionaries that they are stored as.

Row groups outside of the span of time are left out where the files' own statistics tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funnel_lib.conditions import columns as named_by
from funnel_lib.conversion.engine.files import Files, literal, quoted, unreadable
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.sieve import EARLIEST, LATEST, Raw
from funnel_lib.schema import EVENT, PROPERTIES, TS

ROWS_PER_JOB = 2_500_000
ROWS_PER_BATCH = 49_152
"""Small enough that their memory stays in the processor's cache and is used again; small logs are read at once."""
# Below this, loading DuckDB takes longer than it saves.
ASIDE_ABOVE = 3_000_000
_SETTINGS = (
    "threads = 1", "async_threads = 0", "enable_external_file_cache = false", "disable_parquet_prefetching = true",
    "streaming_buffer_size = '1MB'",
)  # fmt: skip
"""For readers that are threads themselves, and hand over their rows while these are in the processor's cache."""


class Job(NamedTuple):
    """Row groups of one file that stand side by side, and their rows."""

    path: str
    groups: tuple[int, ...]
    first: int
    rows: int
    whole: bool


class Wanted(NamedTuple):
    """The columns to read: the unit, those to bring along, and those that conditions ask for."""

    unit: str
    extras: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    event: bool = True
    rows_at_once: int = ROWS_PER_BATCH


class ParquetLog:
    """Parquet files whose needed columns are plain: see `ParquetLog.open`."""

    def __init__(self, files: Files, schema: pa.Schema, metadata: Mapping[str, Any]) -> None:
        self.files, self.schema, self._metadata = files, schema, metadata

    @classmethod
    def open(cls, files: Files, unit: str, wanted: Sequence[str], asked: Collection[str]) -> ParquetLog | None:
        """Return the files; None if they lack a column, or types differ, or are others than these.

        Parameters
        ----------
        unit : a column of whole numbers or texts. `ts` must be a column of times, `event` one of texts.
        wanted : further columns.
        asked : what conditions look at: columns, else properties.

        Raises
        ------
        DataError : a file is no Parquet file.
        """
        metadata, schema = {}, None
        for path in files.paths:
            try:
                with pq.ParquetFile(path) as file:
                    metadata[path], mine = file.metadata, file.schema_arrow
            except (pa.ArrowException, OSError) as error:
                raise unreadable(path, error) from error
            looked_at = [name if name in mine.names else PROPERTIES for name in asked]
            needed = dict.fromkeys((unit, TS, *wanted, *looked_at))
            lower = [name.lower() for name in mine.names]  # DuckDB takes upper and lower case for the same
            if not set(needed) <= set(mine.names) or len(set(lower)) < len(lower):
                return None
            mine = pa.schema([mine.field(name).remove_metadata() for name in needed])
            if schema is not None and not mine.equals(schema):
                return None
            schema = mine
        if schema is None or not _is_unit(schema.field(unit).type) or not pa.types.is_timestamp(schema.field(TS).type):
            return None
        if any(pa.types.is_nested(field.type) for field in schema) or not _is_text(_kind(schema, EVENT)):
            return None
        return cls(files, schema, metadata)

    def aside(self, unit: str) -> bool:
        """Whether numbers are read faster by DuckDB: whole numbers that were packed by snappy."""
        metadata = next(iter(self._metadata.values()))
        if (
            self.rows < ASIDE_ABOVE
            or not metadata.num_row_groups
            or not pa.types.is_integer(self.schema.field(unit).type)
        ):
            return False
        return bool(metadata.row_group(0).column(_place(metadata, unit)).compression == "SNAPPY")

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(metadata.num_rows for metadata in self._metadata.values())

    @cached_property
    def newest(self) -> int | None:
        """The newest possible time of any event, None where there is none."""
        found = self.range(TS)
        if found is not None and EARLIEST <= found[1] <= LATEST:
            return found[1]
        last = None
        for times in self._column(TS):
            newest = _newest(in_microseconds(times))
            last = newest if last is None or (newest is not None and newest > last) else last
        return last

    @cached_property
    def names(self) -> list[str]:
        """All event names, sorted."""
        found: set[str] = set()
        for events in self._column(EVENT, dictionary=True):
            found.update(events.unique().cast(pa.string()).to_pylist())
        return sorted(found - {None})

    def range(self, name: str) -> tuple[int, int] | None:
        """Return the smallest and the largest value of a column of numbers or times, None if it is not known."""
        low, high = [], []
        for metadata in self._metadata.values():
            place = _place(metadata, name)
            for group in range(metadata.num_row_groups):
                bounds = self._bounds(metadata.row_group(group), place, name)
                if bounds is None:
                    return None
                low.append(bounds[0])
                high.append(bounds[1])
        return (min(low), max(high)) if low else None

    def _bounds(self, group: Any, place: int, name: str) -> tuple[int, int] | None:
        if group.num_rows == 0:
            return None
        statistics = group.column(place).statistics
        if statistics is None or not statistics.has_min_max or statistics.physical_type != "INT64":
            small = statistics is not None and statistics.has_min_max and statistics.physical_type == "INT32"
            return (int(statistics.min), int(statistics.max)) if small else None
        if name != TS:
            return int(statistics.min), int(statistics.max)
        factor = {"ms": 1000, "us": 1}.get(self.schema.field(TS).type.unit)
        return None if factor is None else (statistics.min_raw * factor, statistics.max_raw * factor)

    def jobs(self, since: int | None, until: int | None) -> list[Job]:
        """Return what to read: runs of row groups that may hold rows of the span, or rows to be set aside."""
        found = []
        for path, metadata in self._metadata.items():
            place, first, run = _place(metadata, TS), 0, []
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                if self._matters(group, place, since, until):
                    run.append((number, first, group.num_rows))
                elif run:
                    found.append(_job(path, run, metadata))
                    run = []
                first += group.num_rows
                if sum(rows for _, _, rows in run) >= ROWS_PER_JOB and number + 1 < metadata.num_row_groups:
                    found.append(_job(path, run, metadata))
                    run = []
            if run:
                found.append(_job(path, run, metadata))
        return found

    def _matters(self, group: Any, place: int, since: int | None, until: int | None) -> bool:
        bounds = self._bounds(group, place, TS)
        if bounds is None or group.column(place).statistics.null_count != 0:
            return True
        if bounds[0] < EARLIEST or bounds[1] > LATEST:
            return True
        return not ((since is not None and bounds[1] < since) or (until is not None and bounds[0] > until))

    def first(self, plan: Plan) -> Iterator[Raw]:
        """Yield the first rows of each file; at last an empty batch."""
        for path, metadata in self._metadata.items():
            if metadata.num_rows:
                yield from self.read(_job(path, [(0, 0, metadata.row_group(0).num_rows)], metadata), self.wanted(plan))
        yield self.empty(plan)

    def empty(self, plan: Plan) -> Raw:
        """Return no rows at all."""
        nothing = pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in self.schema], schema=self.schema)
        return self._raw(nothing, nothing, self.wanted(plan))

    def wanted(self, plan: Plan) -> Wanted:
        """Return the columns that the plan asks for."""
        things = plan.funnel.things
        asked = named_by(thing.where for thing in things)
        columns = sorted({name if name in self.schema.names else PROPERTIES for name in asked})
        at_once = ROWS_PER_BATCH if self.rows >= ASIDE_ABOVE else ASIDE_ABOVE
        return Wanted(plan.funnel.unit, plan.by, tuple(columns), any(thing.events for thing in things), at_once)

    @contextmanager
    def reader(self, plan: Plan) -> Iterator[Callable[[Job], Iterator[Raw]]]:
        """Yield what reads the rows of jobs, for one thread."""
        wanted, connection = self.wanted(plan), None
        if self.aside(wanted.unit):
            import duckdb

            connection = duckdb.connect()
            for setting in _SETTINGS:
                with suppress(duckdb.Error):  # only speed depends on them
                    connection.execute(f"SET {setting}")
        try:
            yield lambda job: self.read(job, wanted, connection)
        finally:
            if connection is not None:
                connection.close()

    def read(self, job: Job, wanted: Wanted, connection: Any = None) -> Iterator[Raw]:
        """Yield the rows of a job; with a DuckDB connection, numbers and times are read by it.

        DuckDB unpacks numbers in half the time (pyarrow's snappy is slow), but gives texts one by one. It returns
        the rows of a file in their order, so that the two can be read side by side.
        """
        texts = [EVENT] * wanted.event + [name for name in wanted.extras if _is_text(self.schema.field(name).type)]
        # `asked` columns travel as they are stored: conditions look at values.
        with pq.ParquetFile(job.path, read_dictionary=[*texts], memory_map=True) as file:
            if connection is None or not texts:
                every = [*dict.fromkeys((wanted.unit, TS, *texts, *wanted.extras, *wanted.asked))]
                most = wanted.rows_at_once
                batches = file.iter_batches(most, row_groups=job.groups, columns=every, use_threads=False)
                yield from (self._raw(batch, batch, wanted) for batch in batches)
                return
            columns = dict.fromkeys((wanted.unit, TS, *wanted.extras, *wanted.asked))
            numbers = [name for name in columns if name not in texts]
            rows = connection.sql(_query(job, numbers)).to_arrow_reader(ROWS_PER_BATCH)
            for batch, beside in side_by_side(rows, self._texts(file, job, texts), job):
                yield self._raw(batch, beside, wanted)

    def _texts(self, file: Any, job: Job, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from file.iter_batches(ROWS_PER_BATCH, row_groups=job.groups, columns=list(names), use_threads=False)

    def _raw(self, batch: pa.RecordBatch, beside: pa.RecordBatch, wanted: Wanted) -> Raw:
        columns = dict(zip(beside.schema.names, beside.columns, strict=True))
        columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
        return Raw(
            columns[wanted.unit], in_microseconds(columns[TS]), columns[EVENT] if wanted.event else None,
            tuple(columns[name] for name in wanted.extras), {name: columns[name] for name in wanted.asked},
        )  # fmt: skip

    def _column(self, name: str, *, dictionary: bool = False) -> Iterator[pa.Array]:
        for path in self._metadata:
            with pq.ParquetFile(path, read_dictionary=[name] if dictionary else None, memory_map=True) as file:
                for batch in file.iter_batches(ROWS_PER_BATCH * 32, columns=[name]):
                    yield batch[name]


def side_by_side(
    left: Iterator[pa.RecordBatch], right: Iterator[pa.RecordBatch], job: Job
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield pieces of the same rows from two readers of a file, whose batches end at different rows.

    Raises
    ------
    DataError : one of them has fewer rows: the file changed.
    """
    other, used, rows = next(right, None), 0, 0
    for batch in left:
        begins = 0
        while begins < batch.num_rows:
            while other is not None and used == other.num_rows:
                other, used = next(right, None), 0
            if other is None:
                raise unreadable(job.path, "its columns are not equally long")
            count = min(batch.num_rows - begins, other.num_rows - used)
            yield batch.slice(begins, count), other.slice(used, count)
            begins, used, rows = begins + count, used + count, rows + count
    if rows != job.rows:
        raise unreadable(job.path, f"{rows} rows, but {job.rows} were announced")


def _query(job: Job, names: Sequence[str]) -> str:
    chosen = ", ".join(quoted(name) for name in names)
    query = f"SELECT {chosen} FROM read_parquet({literal(job.path)}, hive_partitioning=false)"  # noqa: S608 - quoted
    if job.whole:
        return query
    return f"{query} WHERE file_row_number BETWEEN {job.first} AND {job.first + job.rows - 1}"


def _job(path: str, run: list[tuple[int, int, int]], metadata: Any) -> Job:
    rows = sum(count for _, _, count in run)
    return Job(path, tuple(number for number, _, _ in run), run[0][1], rows, rows == metadata.num_rows)


def _place(metadata: Any, name: str) -> int:
    """Return the place of a column among those that are stored."""
    return [metadata.schema.column(place).path for place in range(metadata.num_columns)].index(name)


def in_microseconds(times: pa.Array) -> pa.Array:
    """Return times as microseconds since 1970, UTC."""
    if times.type.unit != "us":
        times = times.cast(pa.timestamp("us", tz=times.type.tz), safe=False)
    return times.view(pa.int64())


def _newest(moments: pa.Array) -> int | None:
    possible = pc.and_(pc.greater_equal(moments, EARLIEST), pc.less_equal(moments, LATEST))
    return pc.max(moments.filter(possible)).as_py()  # type: ignore[no-any-return]


def _is_unit(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind))


def _kind(schema: pa.Schema, name: str) -> pa.DataType:
    """Return the type of a column; a text where there is none."""
    return schema.field(name).type if name in schema.names else pa.string()


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
