"""Journeys on their way to disk: rows in groups of equal size, counts by kind, and what is to be known about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from funnel_lib.conversion.journeys import OWN, Journeys, Reading
from funnel_lib.conversion.keeping.tallies import condensed, kinds, merged
from funnel_lib.definition import Funnel
from funnel_lib.periods import Period

FORMAT = 1
ROWS, COUNTS = "journeys.parquet", "counts.parquet"
ROW_GROUP = 262_144
MOST_KINDS = 1_000_000


def write(made: Journeys | Reading, folder: Path) -> dict[str, Any]:
    """Write rows and counts into `folder`; return what is to be known about them."""
    if isinstance(made, Reading):
        funnel, period, as_of, closed = made.plan.funnel, made.period, made.known, made.plan.funnel.window is not None
        parts = made.parts()
    else:
        funnel, period, as_of, closed = made.funnel, made.period, made.as_of, made.window_closed
        parts = iter([pa.Table.from_pandas(made.frame, preserve_index=False)])
    written = _Written(funnel)
    written.write(parts, folder)
    if isinstance(made, Reading):
        set_aside, absent, implied = made.source.facts.set_aside, made.absent(), 0
    else:
        set_aside, absent, implied = dict(made.set_aside), dict(made.absent), made.implied
    return {
        "format": FORMAT, "fingerprint": funnel.fingerprint, "funnel": _plain(funnel), "period": _told(period),
        "as_of": None if as_of is None else as_of.astimezone(UTC).isoformat(), "window_closed": closed,
        "by": written.by, "rows": written.rows, "ordered": written.parts <= 1, "set_aside": dict(set_aside),
        "absent": dict(absent), "implied": implied,
    }  # fmt: skip


class _Written:
    """Parts on their way into a folder, and what was met on the way."""

    def __init__(self, funnel: Funnel) -> None:
        self.funnel, self.rows, self.parts = funnel, 0, 0
        self.by: list[str] = []
        self.pieces: list[pa.Table] | None = []

    def write(self, parts: Iterator[pa.Table], folder: Path) -> None:
        """Write rows in groups of equal size, and the counts where there are not too many kinds."""
        first = next(parts)
        schema = first.schema.remove_metadata()
        times = {f"t_{place}" for place in range(1, len(self.funnel.steps) + 1)}
        self.by = [name for name in schema.names if name not in OWN and name not in times]
        with pq.ParquetWriter(
            folder / ROWS, schema, compression="lz4", use_dictionary=self.by, write_batch_size=ROW_GROUP
        ) as writer:
            for group in regrouped(self._counted(first, parts)):
                writer.write_table(group, row_group_size=ROW_GROUP)
        if self.pieces is not None:
            pq.write_table(merged(self.pieces).replace_schema_metadata(None), folder / COUNTS, compression="lz4")

    def _counted(self, first: pa.Table, parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
        names = kinds(self.funnel, self.by)
        for part in chain([first], parts):
            table = part.replace_schema_metadata(None)
            self.rows += table.num_rows
            self.parts += table.num_rows > 0
            if self.pieces is not None:
                self.pieces = [merged([*self.pieces, condensed(table, names)])]
                if self.pieces[0].num_rows > MOST_KINDS:
                    self.pieces = None
            yield table


def regrouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows in tables of `ROW_GROUP` rows, the last one with what is left."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        if rows >= ROW_GROUP:
            whole = pa.concat_tables(waiting)
            full = rows // ROW_GROUP * ROW_GROUP
            for start in range(0, full, ROW_GROUP):
                yield whole.slice(start, ROW_GROUP)
            waiting, rows = [whole.slice(full)], rows - full
    if rows:
        yield pa.concat_tables(waiting)


def _plain(funnel: Funnel) -> Any:
    """Return the funnel as JSON can hold it, durations in the form in which they are read."""
    told = TypeAdapter(Funnel).dump_python(funnel)
    return json.loads(json.dumps(told, default=in_seconds))


def in_seconds(length: object) -> str:
    """Write a duration, to the microsecond, as definitions write them."""
    if not isinstance(length, timedelta):
        raise TypeError(f"not to be stored: {type(length).__name__}")
    whole, parts = divmod(length // timedelta(microseconds=1), 1_000_000)
    return f"{whole}.{parts:06d}s"


def _told(period: Period | None) -> dict[str, str] | None:
    if period is None:
        return None
    return {
        "name": period.name, "kind": period.kind, "zone": str(period.start.tzinfo),
        "start": period.start.isoformat(), "end": period.end.isoformat(),
    }  # fmt: skip
