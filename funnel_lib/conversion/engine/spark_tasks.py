"""What a Spark task does in Python: check conditions before the shuffle, run the kernel after it.

Tasks get record batches whose columns have no names of ours: Spark cannot look up every name that an export uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib import __version__
from funnel_lib.conversion.engine.batches import whole_units
from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.sieve import holds
from funnel_lib.errors import ConfigError
from funnel_lib.notation import Where

Batches: TypeAlias = Iterator[pa.RecordBatch]
MASK = 2
PACKED = "part binary, counted array<bigint>"
JOURNEYS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Checking:
    """Take away the bits of steps whose conditions do not hold, and the columns that only conditions ask for.

    Parameters
    ----------
    wheres : per bit of the mask, the conditions that are left to check.
    asked : names of the last columns: those that the conditions ask for.
    keep_all : keep rows that match nothing.
    """

    wheres: tuple[Where, ...]
    asked: tuple[str, ...]
    keep_all: bool

    def __call__(self, batches: Batches) -> Batches:
        """Yield the batches without what does not match."""
        for batch in batches:
            passed_on = batch.num_columns - len(self.asked)
            columns = batch.columns[:passed_on]
            values = dict(zip(self.asked, batch.columns[passed_on:], strict=True))
            masks = columns[MASK].to_numpy(zero_copy_only=False).copy()
            for place, where in enumerate(self.wheres):
                if where:
                    asked = np.flatnonzero(masks & (1 << place))
                    masks[asked[~holds(where, values, asked)]] &= ~(1 << place)
            columns[MASK] = pa.array(masks)
            checked = pa.RecordBatch.from_arrays(columns, names=batch.schema.names[:passed_on])
            yield checked if self.keep_all else checked.filter(pc.not_equal(columns[MASK], 0))


@dataclass(frozen=True)
class Following:
    """Turn rows that stand together by unit into journeys.

    Parameters
    ----------
    plan : of whose funnel the journeys are.
    names : the names of the columns, as `group` wants them.
    rows_at_once : after so many rows the kernel is run, at the next end of a unit.
    packed : yield journeys as bytes (an Arrow stream; see `PACKED`) beside how many rows matched each step,
        and how many matched one but lack a held value.
    version : that of this package on the driver.
    """

    plan: Plan
    names: tuple[str, ...]
    rows_at_once: int
    packed: bool
    version: str = __version__

    def __call__(self, batches: Batches) -> Batches:
        """Yield the journeys, or none where nobody entered.

        Raises
        ------
        ConfigError : the executor has another version of this package than the driver.
        """
        if self.version != __version__:
            raise ConfigError(
                "The executors have another version of funnel-lib than the driver.", found=__version__,
                allowed=self.version, do="Install the same version on both.",
            )  # fmt: skip
        for rows in whole_units(batches, self.rows_at_once):
            named = self.named(rows)
            found = follow(group(named, self.plan), self.plan)
            yield from packed(found, self.counted(named)) if self.packed else found.to_batches()

    def named(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the names and types that `group` wants."""
        columns = dict(zip(self.names, rows.columns, strict=True))
        columns["at_us"] = columns["at_us"].cast(pa.int64())
        columns["mask"] = columns["mask"].cast(pa.uint8() if self.plan.bits <= 8 else pa.int64())
        return pa.table(columns)

    def counted(self, rows: pa.Table) -> list[int]:
        """Return how many rows match each step, and how many match anything but lack a held value."""
        masks = rows["mask"].to_numpy()
        matched = [int(np.count_nonzero(masks & (1 << place))) for place in range(len(self.plan.funnel.steps))]
        lacking = np.zeros(len(masks), dtype=bool)
        for name in self.plan.funnel.hold_constant:
            lacking |= rows[f"hold {name}"].is_null().to_numpy()
        return [*matched, int(np.count_nonzero(lacking & (masks != 0)))]


def packed(journeys: pa.Table, counted: list[int]) -> Batches:
    """Yield the journeys as rows of `PACKED`: at least one, the first of them with the counts."""
    for start in range(0, max(len(journeys), 1), JOURNEYS_AT_ONCE):
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_stream(sink, journeys.schema, options=options) as writer:
            writer.write_table(journeys.slice(start, JOURNEYS_AT_ONCE))
        counts = counted if start == 0 else [0] * len(counted)
        values = [pa.array([sink.getvalue().to_pybytes()], pa.binary()), pa.array([counts], pa.list_(pa.int64()))]
        yield pa.RecordBatch.from_arrays(values, names=["part", "counted"])


def unpacked(part: bytes) -> pa.Table:
    """Return the journeys of one row of `PACKED`."""
    return pa.ipc.open_stream(pa.py_buffer(part)).read_all()
