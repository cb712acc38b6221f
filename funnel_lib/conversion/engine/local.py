"""Events on this machine: frames, Arrow tables, DuckDB relations, and files of any size within bounded memory.

Parquet files with plain columns are read by several threads and put into records (`parquet`, `parts`); everything
else goes through DuckDB (`relation`), and small or unusual inputs through tables (`tables`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from funnel_lib.conditions import columns as named_by
from funnel_lib.conversion.engine.files import PARQUET, Files, unreadable
from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import Grouped, parted_by
from funnel_lib.conversion.engine.parquet import ParquetLog
from funnel_lib.conversion.engine.parts import TooMany, TooWide
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.recording import Records
from funnel_lib.conversion.engine.relation import RelationLog, open_relation
from funnel_lib.conversion.engine.sieve import Coder, Raw, Sieve
from funnel_lib.conversion.engine.source import Facts
from funnel_lib.conversion.engine.spill import in_bytes
from funnel_lib.conversion.engine.tables import Tables
from funnel_lib.conversion.engine.tallying import tallied, total
from funnel_lib.definition import Funnel
from funnel_lib.schema import EVENT, SESSION_ID, TS

MEMORY = 1_000_000_000
"""Memory for rows where nothing else is said."""
TABLE_ROWS = 3_000_000
"""Up to so many rows a table is at least as fast as records."""
ROW_BYTES = 48
_TRIALS = 3
"""How often records are laid out anew, when a column to bring along has more values than its beginning promised."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Made = TypeVar("_Made")


class LocalSource:
    """Events of this machine as a source of journeys (see `source.Source`).

    Parameters
    ----------
    events : a DataFrame, an Arrow table, a DuckDB relation, or the path, pattern or paths of Parquet, CSV, TSV or
        JSON-lines files (plain or .gz).
    funnel, by : what will be asked for.
    memory : memory for rows, such as `2GB`; what does not fit is spilled to temporary files.
    workers : threads that read; by default one for each processor.

    Raises
    ------
    DataError : the events cannot be read, a column is missing, or times are no times.
    ConfigError : `memory` is no amount of memory.
    """

    def __init__(
        self, events: Any, funnel: Funnel, by: Sequence[str] = (), *, memory: str | int | None = None,
        workers: int | None = None,
    ) -> None:  # fmt: skip
        self.funnel, self.by, self.facts = funnel, tuple(by), Facts()
        self.spilled = 0
        self._memory, self._workers = in_bytes(memory, MEMORY), workers or os.cpu_count() or 1
        named = isinstance(events, str | Path | list | tuple)
        self._events: Any = Files(events) if named else events
        self._parquet = self._plain_parquet()
        if self._parquet is None:
            _ = self.relation  # refuses what cannot be read

    def _plain_parquet(self) -> ParquetLog | None:
        """Return the files as Parquet that can be read column by column, None if they are anything else."""
        if not isinstance(self._events, Files) or self._events.kind != PARQUET or parted_by(Plan(self.funnel)):
            return None
        things = self.funnel.things
        event = [EVENT] if any(thing.events for thing in things) else []
        return ParquetLog.open(
            self._events, self.funnel.unit, [*event, *self.by], named_by(thing.where for thing in things)
        )

    @cached_property
    def relation(self) -> RelationLog:
        """The events as DuckDB reads them."""
        return open_relation(self._events, needed(self.funnel, self.by), self.funnel.unit)

    @property
    def _log(self) -> ParquetLog | RelationLog:
        return self.relation if self._parquet is None else self._parquet

    @cached_property
    def newest(self) -> datetime | None:
        """The newest possible time of any event, None where there is none."""
        last = self._log.newest
        return None if last is None else _EPOCH + timedelta(microseconds=last)

    @cached_property
    def names(self) -> list[str]:
        """All event names, sorted."""
        if self._parquet is not None and EVENT not in self._parquet.schema.names:
            return []
        return self._log.names

    def journeys(self, plan: Plan, since: datetime | None, until: datetime | None) -> Iterator[pa.Table]:
        """Yield the journeys of whole units, part by part; at least one part, which may be empty.

        Parameters
        ----------
        plan : of the source's own funnel and columns.
        since, until : rows outside are not needed; both included.

        Raises
        ------
        DataError : a file cannot be read or changed meanwhile, or there is no room for temporary files.
        """
        with self._opened(plan, since, until) as store:
            if isinstance(store, Records):
                yield from self._each(store.journeys, store.keys())
            else:
                yield from self._each(lambda key: follow(store.grouped(key), plan), store.keys())

    def each(
        self, work: Callable[[Grouped], _Made], plan: Plan, since: datetime | None, until: datetime | None
    ) -> Iterator[_Made]:
        """Yield what `work` makes of the rows of each part; the other arguments and errors are those of `journeys`."""
        with self._opened(plan, since, until) as store:
            yield from self._each(lambda key: work(store.grouped(key)), store.keys())

    def tally(self, plan: Plan, since: datetime | None, until: datetime | None) -> pa.Table:
        """Return how many units went how deep, without making their journeys.

        Only for simple funnels that count units.

        Returns
        -------
        A column for each of the plan's `by` (missing: no value), `depth`, `mature_depth` (int8), `units` (int64).
        """
        with self._opened(plan, since, until) as store:
            if isinstance(store, Records) and (counting := store.counting) is not None:
                found = self._each(lambda key: counting.count(store.ordered(key)), store.keys())
                return counting.table(sum(found, start=counting.nothing))
            parts = self._each(lambda key: tallied(store.grouped(key), plan), store.keys())
            return total(parts, plan)

    def rows(self, plan: Plan, since: datetime | None, until: datetime | None) -> pa.Table:
        """Return the rows themselves, as `grouping.group` wants them, in any sequence and all in memory."""
        sieve = Sieve(plan, since, until)
        with closing(self._tables(self._raws(plan, sieve), sieve, 1)) as store:
            self.facts = Facts(sieve.set_aside, store.matched)
            return store.rows()

    @contextmanager
    def _opened(self, plan: Plan, since: datetime | None, until: datetime | None) -> Iterator[Tables | Records]:
        """Yield all wanted rows, put together by unit."""
        sieve = Sieve(plan, since, until)
        try:
            gathered = self._gathered(plan, sieve)
        except (pa.ArrowException, OSError) as error:  # what changed is the better reason
            if isinstance(self._events, Files):
                self._events.check()
            raise unreadable("the events", error) from error
        with closing(gathered) as store:
            if isinstance(self._events, Files):
                self._events.check()
            self.facts, self.spilled = Facts(sieve.set_aside, store.matched), store.spilled
            yield store

    def _each(self, work: Callable[[Any], _Made], keys: Sequence[Any]) -> Iterator[_Made]:
        """Yield what `work` makes of each part, in their order; several threads do the work."""
        if len(keys) == 1:
            yield work(keys[0])
            return
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: deque[Future[_Made]] = deque()
            for key in keys:
                waiting.append(pool.submit(work, key))
                if len(waiting) > 2 * self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _gathered(self, plan: Plan, sieve: Sieve) -> Tables | Records:
        """Return all wanted rows, put together by unit."""
        rows = self._log.rows
        if rows <= TABLE_ROWS and rows * ROW_BYTES <= self._memory:
            return self._tables(self._raws(plan, sieve), sieve, 1)
        coders = [Coder() for _ in plan.by]
        for _ in range(0 if parted_by(plan) else _TRIALS):
            try:
                most = self._memory * 3 // 4
                return Records(self._log, plan, sieve, coders, most_bytes=most, workers=self._workers)
            except TooMany:
                for coder in coders:
                    coder.expect_more()
                sieve.clear()
            except TooWide:
                sieve.clear()
                break
        parts = 1 << (4 * rows * ROW_BYTES // self._memory).bit_length()
        return self._tables(self.relation.read(plan, sieve, parts), sieve, parts)

    def _raws(self, plan: Plan, sieve: Sieve) -> Iterator[Raw]:
        if self._parquet is None:
            yield from self.relation.read(plan, sieve)
            return
        with self._parquet.reader(plan) as read:
            for job in self._parquet.jobs(sieve.since, sieve.until):
                yield from read(job)
        yield self._parquet.empty(plan)

    def _tables(self, raws: Iterator[Raw], sieve: Sieve, parts: int) -> Tables:
        """Return the rows as tables, in so many parts."""
        made = Tables(sieve, parts, self._memory)
        try:
            for raw in raws:
                made.add(raw)
        except BaseException:
            made.close()
            raise
        return made


def needed(funnel: Funnel, by: Collection[str]) -> set[str]:
    """Return the columns (or properties) that a funnel asks for."""
    things = funnel.things
    found = {funnel.unit, TS, *by, *funnel.hold_constant, *named_by(thing.where for thing in things)}
    if any(thing.events for thing in things):
        found.add(EVENT)
    if "session" in parted_by(Plan(funnel)):
        found.add(SESSION_ID)
    return found
