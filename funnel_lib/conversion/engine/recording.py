"""From rows as they are read to records put apart by unit: several threads, each with files of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Event

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine import packed, records
from funnel_lib.conversion.engine.arrow import numbers
from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import Grouped
from funnel_lib.conversion.engine.parquet import Job, ParquetLog
from funnel_lib.conversion.engine.parts import SKIP, Batch, Layout, Ordered, Parts, TooMany, TooWide
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.relation import RelationLog
from funnel_lib.conversion.engine.sieve import Coder, Raw, Sieve
from funnel_lib.conversion.engine.tallying import Counting
from funnel_lib.conversion.engine.writing import written
from funnel_lib.schema import TS

ROWS_PER_PART = 65_536
FEWEST_PARTS, MOST_PARTS = 4, 10
"""Powers of two."""
Log = ParquetLog | RelationLog
Reading = Callable[[int], Iterator[Raw]]


class Records:
    """All wanted rows as records (see `parts.Parts`), and the values that their codes stand for.

    Parameters
    ----------
    log : where the rows are.
    plan : what is asked of them; nothing that parts a unit's rows.
    sieve : says which rows are wanted.
    coders : for each column to bring along; what they have met already tells how many values to expect.
    most_bytes : memory for records.
    workers : threads that read.

    Raises
    ------
    TooWide : something does not fit into records.
    TooMany : a column to bring along has more values than was expected; the coders know better now.
    DataError : the events cannot be read, or there is no room for temporary files.
    """

    def __init__(
        self, log: Log, plan: Plan, sieve: Sieve, coders: Sequence[Coder], *, most_bytes: int, workers: int
    ) -> None:
        self._log, self._plan, self._sieve, self._coders = log, plan, sieve, coders
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        jobs = log.jobs(sieve.since, sieve.until) if isinstance(log, ParquetLog) else []
        for job in jobs:
            self._jobs.put(job)
        threads = min(workers, len(jobs)) or 1
        self.layout = self._layout()
        self._table = self._numbers_of_masks()
        records.compiled()
        self._parts = Parts(self.layout, threads, most_bytes)
        try:
            self._fill(threads)
        except BaseException:
            self.close()
            raise
        self._ranked = [coder.ranked(bits) for coder, bits in zip(self._coders, self.layout.by, strict=True)]

    def _layout(self) -> Layout:
        """Return what a record has to hold, by what the log's statistics and its first rows say."""
        log, sieve = self._log, self._sieve
        first = next(iter(self._peek()))
        for coder, column in zip(self._coders, first.extras, strict=True):
            coder.codes(column)
        since, until, kind = sieve.since, sieve.until, first.units.type
        low = high = None
        if isinstance(log, ParquetLog):
            times = log.range(TS) or (since, until)
            since, until = max(since, times[0]), min(until, times[1])
            known = log.range(self._plan.funnel.unit) if pa.types.is_integer(kind) and kind != pa.uint64() else None
            low, high = known or (None, None)
        parts = min(max((log.rows // ROWS_PER_PART).bit_length(), FEWEST_PARTS), MOST_PARTS)
        kind = pa.string() if pa.types.is_large_string(kind) else kind
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind)):
            raise TooWide
        layout = Layout(kind, sieve.possible(), since, max(since, until), low, high, parts=parts)
        return layout.with_extras([coder.expected for coder in self._coders])

    def _peek(self) -> Iterator[Raw]:
        log = self._log
        if isinstance(log, RelationLog):
            yield from log.read(self._plan, self._sieve)
        else:
            yield from log.first(self._plan)

    def _numbers_of_masks(self) -> Callable[[npt.NDArray[np.integer]], npt.NDArray[np.uint8]]:
        """Return what turns masks into their numbers: the place among all possible ones."""
        masks = self.layout.masks
        if masks.dtype == np.uint8:
            table = np.full(256, SKIP, dtype=np.uint8)
            table[masks] = np.arange(len(masks))
            return lambda found: table[found]
        wanted = bool(len(masks)) and masks[0] == 0
        return lambda found: np.where(wanted | (found != 0), np.searchsorted(masks, found), SKIP).astype(np.uint8)

    def _fill(self, threads: int) -> None:
        """Read everything."""
        if isinstance(self._log, RelationLog):
            for raw in self._log.read(self._plan, self._sieve):
                self._add(raw, 0)
            return
        stop = Event()
        with ThreadPoolExecutor(threads) as pool:
            working = [pool.submit(self._work, self._log, worker, stop) for worker in range(threads)]
            try:
                for done in working:
                    done.result()
            except BaseException:
                stop.set()
                raise

    def _work(self, log: ParquetLog, worker: int, stop: Event) -> None:
        """Read files until there are no more."""
        with log.reader(self._plan) as read:
            while not stop.is_set():
                try:
                    job = self._jobs.get_nowait()
                except Empty:
                    return
                for raw in read(job):
                    self._add(raw, worker)
                    if stop.is_set():
                        return

    def _add(self, raw: Raw, worker: int) -> None:
        if self._sieve.is_clean(raw):
            at, codes = numbers(raw.at), self._codes(raw.event)
        else:
            masks, unwanted, at = self._sieve.sift(raw)
            codes = self._table(masks)
            if unwanted is not None:
                codes[unwanted] = SKIP
        extras = tuple(coder.codes(column) for coder, column in zip(self._coders, raw.extras, strict=True))
        if any(len(coder) >= 1 << bits for coder, bits in zip(self._coders, self.layout.by, strict=True)):
            raise TooMany
        units = raw.units.cast(pa.string()) if pa.types.is_large_string(raw.units.type) else raw.units
        if len(at):
            self._parts.add(Batch(units, at, codes, extras), worker)

    def _codes(self, event: pa.DictionaryArray) -> npt.NDArray[np.uint8]:
        """Return the numbers of the masks that go with the names of events."""
        table = self._table(self._sieve.by_names(tuple(event.dictionary.to_pylist())))
        found = np.empty(len(event), dtype=np.uint8)
        records.compiled()["looked_up"](numbers(event.indices), table, found)
        return found

    @property
    def matched(self) -> list[int]:
        """How many rows matched each step."""
        masks, seen = self.layout.masks, self._parts.seen
        steps = range(len(self._plan.funnel.steps))
        return [int(seen[masks & masks.dtype.type(1 << place) != 0].sum()) for place in steps]

    @property
    def spilled(self) -> int:
        """How many bytes were written to temporary files."""
        return self._parts.spilled

    def keys(self) -> list[tuple[int, int]]:
        """Return the parts that hold any rows; the first if none does."""
        return self._parts.keys()

    def grouped(self, key: tuple[int, int]) -> Grouped:
        """Return the rows of a part."""
        values, ranks = tuple(values for values, _ in self._ranked), [ranks for _, ranks in self._ranked]
        return self._parts.grouped(key, values, ranks)

    @cached_property
    def packing(self) -> packed.Packing | None:
        """How records are packed, None where the funnel cannot be followed on them."""
        return packed.packing(self.layout, self._ranked) if packed.knows(self._plan) else None

    @cached_property
    def counting(self) -> Counting | None:
        """What counts units without keeping anything of them; None where that cannot be."""
        if self.packing is None:
            return None
        found = Counting(self.layout, self._plan, self.packing, [values for values, _ in self._ranked])
        return found if found.possible else None

    def journeys(self, key: tuple[int, int]) -> pa.Table:
        """Return the journeys of the units of a part, as `following.follow` does."""
        if self.packing is None:
            return follow(self.grouped(key), self._plan)
        values = [values for values, _ in self._ranked]
        return written(self._parts.ordered(key), self._plan, self.layout, self.packing, values)

    def ordered(self, key: tuple[int, int]) -> Ordered:
        """Return the rows of a part by unit and time; the units in any order."""
        return self._parts.ordered(key, named=False)

    def close(self) -> None:
        """Remove the temporary files."""
        self._parts.close()
