"""What each row of the log of events is about: the page that it tells, else its event."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funnel_lib.conversion.engine.arrow import places
from funnel_lib.conversion.keeping import logfiles
from funnel_lib.conversion.keeping.arranging import Ints
from funnel_lib.conversion.keeping.eventlog import EventLog, Told
from funnel_lib.errors import DataError
from funnel_lib.schema import EVENT, PROPERTIES

PAGE_KEYS = ("page_path", "page_location", "page", "url")
FRICTION = ("rage_click", "dead_click", "exception", "app_exception", "error", "form_error", "payment_error")
_BATCH = 262_144
_PAGES = "list_filter(json_extract_string(told, $keys), lambda one: one IS NOT NULL)[1]"
_PATH = f"nullif(regexp_replace(regexp_replace({_PAGES}, '^[a-z]+://[^/]*', ''), '[?#].*$', ''), '')"


def contents(log: EventLog) -> Told:
    """Return what each row is about; the values are texts, ascending. Worked out once for a log, and kept beside it.

    That is the path of the page where the row tells one (properties `page_path`, `page_location`, `page` or `url`) and
    is no error or rage click; else the name of its event; nothing (-1) where it has neither.

    Raises
    ------
    DataError : the events cannot be read, or the properties do not hold JSON.
    """
    return Told(*logfiles.told(log.folder, f"contents {_PATH} {PAGE_KEYS} {FRICTION}", lambda: _made(log)))


def _made(log: EventLog) -> tuple[Ints, pa.Array, bool]:
    known: dict[str, int] = {}
    parts = [np.zeros(0, dtype=np.int32)]
    try:
        for texts in _told(log):
            encoded = texts.dictionary_encode()
            table = [known.setdefault(text, len(known)) for text in encoded.dictionary.to_pylist()]
            parts.append(np.array([*table, -1], dtype=np.int32)[places(encoded.indices)])
    except (duckdb.Error, pa.ArrowException, OSError) as fault:
        raise DataError(
            "What the events are about cannot be read.", where=log.events, found=str(fault).split("\n")[0],
            allowed="a JSON object in each row's properties, or nothing",
            do="Correct the export, or map this column to another name.",
        ) from fault  # fmt: skip
    names = pa.array(list(known), type=pa.string())
    order = np.asarray(pc.sort_indices(names))
    rank = np.full(len(order) + 1, -1, dtype=np.int32)
    rank[order] = np.arange(len(order))
    codes = rank[np.concatenate(parts)]
    return codes[log.arrays["row"]], names.take(pa.array(order)), False


def _told(log: EventLog) -> Iterator[pa.Array]:
    """Yield what the rows of the file are about, in their order, some rows at once."""
    names = pq.read_schema(log.events).names
    wanted = [name for name in (EVENT, PROPERTIES) if name in names]
    with pq.ParquetFile(log.events, read_dictionary=wanted) as file, duckdb.connect() as connection:
        for batch in file.iter_batches(_BATCH, columns=wanted):
            events = batch.column(0).cast(pa.string())
            if PROPERTIES not in wanted:
                yield events
                continue
            properties = batch.column(1)
            paths = _paths(connection, properties.dictionary).take(properties.indices)
            friction = pc.fill_null(pc.is_in(events, value_set=pa.array(FRICTION)), False)
            yield pc.coalesce(pc.if_else(friction, events, paths), events)


def _paths(connection: duckdb.DuckDBPyConnection, properties: pa.Array) -> pa.Array:
    """Return the path of the page that each JSON object tells, null where there is none."""
    connection.register("given", pa.table({"told": properties.cast(pa.string())}))
    asked = {"keys": [f"$.{key}" for key in PAGE_KEYS]}
    found = connection.sql(f"SELECT {_PATH} AS path FROM given", params=asked)  # noqa: S608
    return found.to_arrow_table()["path"].combine_chunks()
