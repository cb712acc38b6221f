"""Rows put apart by unit into parts that are small enough for the processor's cache, and grouped part by part.

Memory is bounded: what does not fit is written to temporary files. Which part a unit is in, how many parts there
are and how many threads fill them makes no difference to what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine import records
from funnel_lib.conversion.engine.arrow import array, numbers
from funnel_lib.conversion.engine.grouping import Codes, Grouped
from funnel_lib.conversion.engine.sieve import Extra
from funnel_lib.conversion.engine.spill import Spill

Ints = npt.NDArray[np.int64]
Masks = npt.NDArray[np.integer[Any]]
CHUNK_BYTES = 16_384
FIRST_GRANT = 2
"""Chunks for each part that a pool may have in any case, lest it write single records."""
SKIP = 255
MOST_CODES = 254
WIDTHS = (2, 3, 5, 8, 12, 16, 31)
"""Texts take so many numbers, with one byte to spare; longer ones do not fit into records."""
_GRANT = 64
"""Chunks by which a pool grows."""
_BITS = 63
_MOST_PARTS = 12
"""More parts leave fewer bits to each record, but take longer to fill."""
_FILLED = 4
"""A range of numbers with up to this many places for each record is counted through, not looked up."""


class TooWide(Exception):  # noqa: N818 - reads as the outcome that it is
    """Something does not fit into the records: they have to be handled as tables."""


class TooMany(Exception):  # noqa: N818 - reads as the outcome that it is
    """There are more values than codes for them."""


@dataclass(frozen=True)
class Layout:
    """What a record holds: its unit, its time, the number of its mask, and the codes of what is brought along.

    Parameters
    ----------
    kind : type of the units.
    masks : the masks that a row can have, ascending; a record holds the place of its own.
    low, high : range of units that are whole numbers, None where it is not known.
    since, until : range of times, both included.
    by : for each column to bring along, how many bits its codes have.
    parts : number of parts, as a power of two.
    mix : multiplier of the hash; a test sets it to 0, so that all hashes are the same.
    """

    kind: pa.DataType
    masks: Masks
    since: int
    until: int
    low: int | None = None
    high: int | None = None
    by: tuple[int, ...] = ()
    parts: int = 8
    mix: int = records.MIX

    @cached_property
    def shift(self) -> int:
        """Bits below the time."""
        return self.code_bits + sum(self.by)

    @cached_property
    def code_bits(self) -> int:
        """Bits of the number of the mask."""
        return max(len(self.masks) - 1, 1).bit_length()

    @cached_property
    def times(self) -> int:
        """Bits of the time."""
        return (self.until - self.since).bit_length()

    @cached_property
    def single(self) -> bool:
        """Whether one number holds a record."""
        return self.rest_bits is not None and self.rest_bits + self.times + self.shift <= _BITS

    @cached_property
    def rest_bits(self) -> int | None:
        """Bits of what tells units of one part apart, where their range is known."""
        if self.low is None or self.high is None:
            return None
        return max((self.high - self.low).bit_length() - self.parts, 1)

    @cached_property
    def text(self) -> bool:
        """Whether units are texts."""
        return bool(pa.types.is_string(self.kind) or pa.types.is_binary(self.kind))

    def with_extras(self, sizes: Sequence[int]) -> Layout:
        """Return the layout with codes for so many values of each column to bring along, and as many as fit more.

        Raises
        ------
        TooWide : they do not fit.
        """
        if len(self.masks) > MOST_CODES:
            raise TooWide
        least = tuple(size.bit_length() for size in sizes)
        layouts = [replace(self, low=None, high=None)]  # the unit in numbers of its own
        if self.low is not None:
            layouts = [*(replace(self, parts=parts) for parts in range(self.parts, _MOST_PARTS + 1)), *layouts]
        for layout in layouts:
            spare = _BITS - (layout.rest_bits or 0) - layout.times - layout.code_bits - sum(least)
            if spare >= 0:
                more = min(spare // len(least), 16) if least else 0
                return replace(layout, by=tuple(bits + more for bits in least))
        raise TooWide

    def numbers(self, last: int) -> tuple[int, ...]:
        """Return what the compiled functions want to know; `last` is what the load of a row to skip looks like."""
        low = 0 if self.low is None else self.low
        return self.parts, low, self.since, self.shift, self.times, self.mix, last, (1 << self.code_bits) - 1


class Batch(NamedTuple):
    """Rows on their way: units, times in range, and the number of each row's mask (`SKIP`: not wanted).

    `extras` is what is brought along, with codes below the limits of the layout.
    """

    units: pa.Array
    at: Ints
    codes: npt.NDArray[np.uint8]
    extras: tuple[Extra, ...] = ()


class Ordered(NamedTuple):
    """Rows of one part by unit and time: what gives units, where each begins, and time, codes and mask in one.

    Some units may have no rows.
    """

    units: Callable[[Ints], pa.Array]
    bounds: npt.NDArray[np.integer[Any]]
    rest: Ints


class Budget:
    """Memory that several pools share."""

    def __init__(self, most: int) -> None:
        self.most = self._left = most

    def take(self, amount: int) -> bool:
        """Return whether there is so much left, and take it."""
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Pool:
    """The memory of one thread for records of one size, in chunks that belong to one part each."""

    def __init__(self, layout: Layout, width: int, budget: Budget) -> None:
        self.layout, self.width, self.size, self._budget = layout, width, width + 1, budget
        rows = CHUNK_BYTES // (8 * self.size)
        self.chunk_bits = rows.bit_length() - 1
        self.rows = 1 << self.chunk_bits
        parts = 1 << layout.parts
        self._least = FIRST_GRANT * parts
        chunks = max(budget.most // (8 * self.size * self.rows), self._least)
        self.memory = room_for(chunks * self.rows * self.size)
        self.ends, self.heads = np.zeros(parts, dtype=np.int64), np.full(parts, -1, dtype=np.int64)
        self.nexts, self.free = np.full(chunks, -1, dtype=np.int64), np.zeros(chunks, dtype=np.int64)
        self.state = np.array([0, self.chunk_bits])
        self._granted = 0
        self._unit = np.zeros(max(width, 1), dtype=np.int64)
        self.seen = np.zeros(256, dtype=np.int64)
        self._load = np.empty(0, dtype=np.int64)
        self.extents: dict[int, list[tuple[int, int]]] = {}

    def add(self, batch: Batch, spill: Spill) -> None:
        """Add the rows whose units have this pool's width, writing to `spill` when the memory is full."""
        code, units, load = self._ways(batch)
        last = -1 if load.dtype == np.int64 else SKIP
        row, rows = 0, len(batch.at)
        while True:
            pool = (self.ends, self.heads, self.nexts, self.free, self.state, self.seen)
            row = code(units, batch.at, load, row, self.layout.numbers(last), pool, self.memory)
            if row == rows:
                return
            if not self._grown():
                self.empty_into(spill)

    def _grown(self) -> bool:
        """Take more memory, if there is any left."""
        count = min(_GRANT, len(self.free) - self._granted)
        least = self._granted < self._least
        if count <= 0 or not (self._budget.take(count * 8 * self.size * self.rows) or least):
            return False
        self.free[self.state[0] : self.state[0] + count] = self._granted + np.arange(count)[::-1]
        self.state[0] += count
        self._granted += count
        return True

    def _ways(self, batch: Batch) -> tuple[Any, Any, Any]:
        """Return the compiled function for these records, and the units and loads that it reads."""
        code = records.compiled()
        load: npt.NDArray[Any] = batch.codes
        if batch.extras:
            if len(self._load) < len(load):
                self._load = np.empty(len(load), dtype=np.int64)
            load, shift = self._load[: len(load)], self.layout.code_bits
            code["begun"](batch.codes, SKIP, load)
            for extra, bits in zip(batch.extras, self.layout.by, strict=True):
                code["laid_on"](load, extra.places, extra.table, shift)
                shift += bits
        if self.width == 0:
            return code["spread_numbers"], numbers_of(batch.units), load
        if not self.layout.text:
            return code["spread_pairs"], numbers_of(batch.units), load
        offsets, octets = text_of(batch.units)
        words = octets[: len(octets) // 8 * 8].view(np.int64)
        least, most = lengths(self.width)
        return code["spread_texts"], (offsets, octets, words, self.width, least, most, self._unit), load

    def empty_into(self, spill: Spill) -> None:
        """Write all full chunks to the file; those that are being filled stay."""
        freed: list[int] = []
        for part in range(len(self.heads)):
            chunks = self.chunks(part)
            begun = self.ends[part] & (self.rows - 1) != 0
            whole = chunks[1:] if begun else chunks
            if not whole:
                continue
            begins = spill.write(self.memory[self._span(chunk, self.rows)] for chunk in whole)
            self.extents.setdefault(part, []).append((begins, len(whole) * self.rows))
            self.heads[part] = chunks[0] if begun else -1
            self.nexts[chunks[0]] = -1
            freed += whole
        self.free[self.state[0] : self.state[0] + len(freed)] = freed
        self.state[0] += len(freed)

    def chunks(self, part: int) -> list[int]:
        """Return the chunks of a part, the newest first."""
        found, chunk = [], int(self.heads[part])
        while chunk >= 0:
            found.append(chunk)
            chunk = int(self.nexts[chunk])
        return found

    def pieces(self, part: int, spill: Spill) -> Iterator[Ints]:
        """Yield the records of a part."""
        for begins, rows in self.extents.get(part, []):
            found = np.empty(rows * self.size, dtype=np.int64)
            spill.read(begins, found)
            yield found
        last = int(self.ends[part]) & (self.rows - 1) or self.rows
        for place, chunk in enumerate(self.chunks(part)):
            yield self.memory[self._span(chunk, self.rows if place else last)]

    def _span(self, chunk: int, rows: int) -> slice:
        begins = chunk * self.rows * self.size
        return slice(begins, begins + rows * self.size)


class Parts:
    """All records of one reading.

    Parameters
    ----------
    layout : what a record holds.
    workers : how many threads add rows, each under a number of its own.
    most_bytes : memory for records, altogether.
    """

    def __init__(self, layout: Layout, workers: int, most_bytes: int) -> None:
        self.layout = layout
        self._budgets = [Budget(most_bytes // workers) for _ in range(workers)]
        self._pools: list[dict[int, Pool]] = [{} for _ in range(workers)]
        self._spills = [Spill() for _ in range(workers)]

    def add(self, batch: Batch, worker: int = 0) -> None:
        """Add the rows of a batch; its times are in range and its units have no nulls among the rows to keep."""
        pools = self._pools[worker]
        for width in self._widths(batch):
            if width not in pools:
                pools[width] = Pool(self.layout, width, self._budgets[worker])
            pools[width].add(batch, self._spills[worker])

    def _widths(self, batch: Batch) -> Sequence[int]:
        """Return how many numbers the units of the batch take: texts of different lengths, different ones."""
        if not self.layout.text:
            return [0 if self.layout.single else 1]
        offsets, _ = text_of(batch.units)
        length = offsets[1:] - offsets[:-1]
        shortest, longest = int(length.min()), int(length.max())
        if longest >= 8 * WIDTHS[-1]:
            raise TooWide
        return [width for width in WIDTHS if lengths(width)[0] <= longest and lengths(width)[1] >= shortest]

    @property
    def seen(self) -> Ints:
        """How many rows had each mask of the layout."""
        found = [pool.seen for pools in self._pools for pool in pools.values()]
        return np.asarray(sum(found, start=np.zeros(256, dtype=np.int64))[: len(self.layout.masks)])

    @property
    def spilled(self) -> int:
        """How many bytes were written to temporary files."""
        return sum(spill.bytes for spill in self._spills)

    def keys(self) -> list[tuple[int, int]]:
        """Return the parts that hold any records, by the size of their units and their number; else the first."""
        found = set()
        for pools in self._pools:
            for width, pool in pools.items():
                found |= {(width, part) for part in range(len(pool.heads)) if pool.ends[part]}
        return sorted(found) or [(0 if self.layout.single else 1, 0)]

    def grouped(self, key: tuple[int, int], values: tuple[pa.Array, ...], ranks: Sequence[Codes]) -> Grouped:
        """Return the rows of a part, as `grouping.group` does.

        Parameters
        ----------
        values, ranks : of each column to bring along, its values (ascending), and the place of each code among them.
        """
        layout, (units, bounds, rest) = self.layout, self.ordered(key)
        at, masks = np.empty_like(rest), np.empty(len(rest), dtype=layout.masks.dtype)
        shift, last = layout.shift, (1 << layout.code_bits) - 1
        records.compiled()["unpacked"](rest, shift, layout.since, last, layout.masks, at, masks)
        codes: list[Codes] = []
        shift = layout.code_bits
        for bits, rank in zip(layout.by, ranks, strict=True):
            codes.append(np.empty(len(rest), dtype=np.int32))
            records.compiled()["taken_off"](rest, shift, (1 << bits) - 1, rank, codes[-1])
            shift += bits
        kept = np.flatnonzero(np.diff(bounds))  # a range of numbers has places without any rows
        starts: Ints = np.append(bounds[kept], len(rest)).astype(np.int64)
        return Grouped(units(kept), starts, at, masks, tuple(codes), values)

    def ordered(self, key: tuple[int, int], *, named: bool = True) -> Ordered:
        """Return the rows of a part by unit and time; if they are not to be `named`, units may be in any order."""
        width, part = key
        used = [(pools[width], spill) for pools, spill in zip(self._pools, self._spills, strict=True) if width in pools]
        pieces = [piece for pool, spill in used for piece in pool.pieces(part, spill)]
        rows = np.concatenate(pieces or [np.zeros(0, dtype=np.int64)])
        return self._by_number(rows, part) if width == 0 else self._by_unit(rows, width, ordered=named)

    def _by_number(self, rows: Ints, part: int) -> Ordered:
        """Order records of one number: the unit is what stands above the time, and the number of the part."""
        layout, bits = self.layout, self.layout.times + self.layout.shift
        low, high = layout.low or 0, layout.high or 0
        count = (high - low >> layout.parts) + 1
        found: Ints | None = None
        if count <= _FILLED * len(rows) + 1024:
            bounds, rest = counted("order_words", rows, bits, count=count)
        else:
            rows.sort()
            rest, above = rows & ((1 << bits) - 1), rows >> bits
            begins = np.flatnonzero(np.diff(above, prepend=-1))
            found, bounds = above[begins], np.append(begins, len(rows))

        def units(places: Ints) -> pa.Array:
            above = places if found is None else found[places]
            hashed = ((above * np.int64(layout.mix)) >> 32) ^ part
            return units_of((above << layout.parts | hashed & ((1 << layout.parts) - 1)) + low, layout.kind)

        return Ordered(units, bounds, rest)

    def _by_unit(self, rows: Ints, width: int, *, ordered: bool) -> Ordered:
        """Order records of several numbers: look up which have the same unit."""
        size, kind = width + 1, self.layout.kind
        count = len(rows) // size
        table = np.full(1 << (count + count // 2).bit_length(), records.NONE, dtype=np.int32)
        places, each = np.empty(count, dtype=np.int32), np.empty(count * width, dtype=np.int64)
        units = records.compiled()["told_apart"](rows, width, size, self.layout.mix, table, places, each)
        words = each[: units * width].reshape(units, width)
        if ordered:
            sortable = words.view(np.uint64) if self.layout.text else words
            order = np.argsort(sortable[:, 0])
            if (sortable[order[1:], 0] == sortable[order[:-1], 0]).any():
                order = np.lexsort(sortable.T[::-1])
            rank = np.empty(units, dtype=np.int32)
            rank[order] = np.arange(units, dtype=np.int32)
            places, words = rank.take(places), words[order]
        bounds, rest = counted("order_rows", places, rows[width::size], count=units)

        def named(places: Ints) -> pa.Array:
            return texts_of(words[places], kind) if self.layout.text else units_of(words[places, 0], kind)

        return Ordered(named, bounds, rest)

    def close(self) -> None:
        """Remove the temporary files."""
        for spill in self._spills:
            spill.close()


def counted(name: str, *rows: Any, count: int) -> tuple[npt.NDArray[np.int32], Ints]:
    """Return where the rows of each of `count` units begin, and what they hold, ordered by a compiled function."""
    bounds, free = np.zeros(count + 1, dtype=np.int32), np.empty(count + 1, dtype=np.int32)
    found = np.empty(len(rows[0]), dtype=np.int64)
    records.compiled()[name](*rows, bounds, free, found)
    return bounds, found


def room_for(count: int) -> Ints:
    """Return memory for so many numbers; what is not used costs nothing.

    Not numpy's own: it asks for huge pages, and where the system has to put them together first, that takes longer
    than they save.
    """
    return np.frombuffer(mmap(-1, max(count, 1) * 8), dtype=np.int64, count=count)


def lengths(width: int) -> tuple[int, int]:
    """Return the fewest and the most bytes of texts that take so many numbers."""
    before = [other for other in WIDTHS if other < width]
    return 8 * before[-1] if before else 0, 8 * width - 1


def numbers_of(units: pa.Array) -> Ints:
    """Return units that are whole numbers as such, in their order."""
    if units.type == pa.uint64():
        return np.asarray(numbers(units.fill_null(0)).view(np.int64) ^ np.int64(-(2**63)))
    if units.null_count:
        units = units.fill_null(0)  # rows without a unit are skipped
    return numbers(units if units.type == pa.int64() else units.cast(pa.int64()))


def units_of(found: Ints, kind: pa.DataType) -> pa.Array:
    """Return the units of which these are the numbers."""
    if kind == pa.uint64():
        return array((found ^ np.int64(-(2**63))).view(np.uint64))
    return array(found).cast(kind)


def text_of(texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return where each text begins, and the bytes of all."""
    _, offsets, octets = texts.buffers()
    found = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return found, np.frombuffer(octets or b"", dtype=np.uint8)


def texts_of(words: Ints, kind: pa.DataType) -> pa.Array:
    """Return the texts of which these are the numbers, a row each."""
    octets = words.byteswap().view(np.uint8)
    length = octets.shape[1] - octets[:, -1].astype(np.int64)
    ends = np.zeros(len(words) + 1, dtype=np.int32)
    np.cumsum(length, out=ends[1:])
    data = octets[np.arange(octets.shape[1]) < length[:, None]]
    return pa.Array.from_buffers(kind, len(words), [None, pa.py_buffer(ends), pa.py_buffer(data)])
