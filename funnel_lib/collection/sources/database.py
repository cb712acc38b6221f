"""A SQL database: the answer to a query, kept as Parquet among the raw exports and read like any table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.sources import table
from funnel_lib.connection import ask
from funnel_lib.errors import ConfigError
from funnel_lib.settings import MAPPED

_ADVICE = "query: SELECT …, connection: NAME_OF_A_VARIABLE, files: orders.parquet"


def check(export: Export) -> None:
    """Check that the source says what to ask, whom, and where to keep the answer.

    Raises
    ------
    ConfigError : `query` or `connection` is missing, `files` is no name of one Parquet file, or the mapping cannot
        give rows of its table.
    """
    source = export.source
    lacking = next((name for name in ("query", "connection") if not getattr(source, name)), None)
    if lacking is not None:
        raise ConfigError(
            f"A database needs {lacking}.", where=f"{export.where}.{lacking}", found="nothing", allowed=_ADVICE,
            do="Add it to the source.",
        )  # fmt: skip
    if re.search(r"[*?\[]|\.\.", source.files) or not source.files.endswith(".parquet"):
        raise ConfigError(
            "The answer of a database is kept in one Parquet file.", where=f"{export.where}.files",
            found=source.files, allowed="a name below the raw folder, such as database/orders.parquet",
            do="Name one file.",
        )  # fmt: skip
    table.check(export)


def fetch(export: Export) -> None:
    """Ask the database, and put the answer in the place of the last one as a whole; batch by batch.

    The address (`postgres://user:password@host/shop`, `duckdb:///shop.duckdb`, whatever `ibis.connect` takes) stands in
    the environment variable that `connection` names, so that no password stands in a workbook.

    Raises
    ------
    ConfigError : the variable is not set, or Ibis or a driver is not installed.
    DataError : the database does not answer, or does not understand the query.
    """
    import pyarrow.parquet as pq

    address = os.environ.get(str(export.source.connection))
    if not address:
        raise ConfigError(
            "The address of the database is not known.", where=f"{export.where}.connection",
            found=f"the environment variable {export.source.connection} is not set",
            allowed="an address such as postgres://user:password@host:5432/shop",
            do="Set the variable; to read the last answer once more, use system: table with the same file.",
        )  # fmt: skip
    known, answer = ask(address, str(export.source.query))
    batches = known.batches(answer)
    first = next(batches, None)
    target = export.workbook.raw / export.source.files
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        schema = first.schema if first is not None else answer.schema().to_pyarrow()
        with pq.ParquetWriter(part, schema, compression="zstd") as file:
            for batch in chain([] if first is None else [first], batches):
                file.write_batch(batch)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read the answer into the table that the source names; see `table.read`. Times without a zone are the source's."""
    return table.read(paths, export)


SYSTEM = Offer(
    name="database",
    title="A SQL database (any backend of Ibis)",
    reads=read,
    fills=MAPPED,
    files="Nothing to export: the source has a query, and the environment the database's address.",
    confirmed="Measured and tested with SQLite, DuckDB and PostgreSQL; others as Ibis reads them.",
    mapped=True,
    check=check,
    prepare=fetch,
)
