"""Talking to a database through Ibis: connecting, fetching batch by batch, saying what went wrong and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from funnel_lib.errors import ConfigError, DataError, FunnelError, choices

if TYPE_CHECKING:
    from ibis.expr.types import Table

# Rows that are fetched at once. They are Python objects for a moment: a tenth of this takes longer, ten times
# this takes 300 MB more.
ROWS_PER_BATCH = 50_000
_ANSWER = "funnel_lib_answer"


@dataclass(frozen=True)
class Connection:
    """A database that an Ibis expression is connected to.

    Parameters
    ----------
    kind : Ibis' name for its kind, such as `postgres`.
    where : what is shown in messages: kind, host, port, database and table.
    secret : the password, which is never shown.
    """

    kind: str
    where: str
    secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, events: Table) -> Connection:
        """Return the connection of `events`.

        Raises
        ------
        DataError : they are not connected to a database.
        """
        with Connection("", "an Ibis expression").answering():
            backend = events.get_backend()
        known: dict[str, Any] = dict(getattr(backend, "_con_kwargs", {}))
        places: tuple[Any, ...] = getattr(backend, "_con_args", ())
        if backend.name in ("sqlite", "duckdb") and places:
            known["database"] = places[0]
        shown = [f"{name} {known[name]}" for name in ("host", "port", "database") if known.get(name)]
        table = getattr(events.op(), "name", None)
        where = ", ".join([backend.name, *shown, *([f"table {table}"] if table else [])])
        return cls(backend.name, where, str(known.get("password") or ""))

    def batches(self, rows: Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query as they come.

        Raises
        ------
        DataError : the database does not answer or refuses, or a value does not fit the type of its column.
        """
        with self.answering():
            batches = iter(self._fetched(rows))
        while True:
            with self.answering():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def row(self, query: Table) -> dict[str, Any]:
        """Return the only row of a query; its columns are missing where there is none."""
        found = [row for batch in self.batches(query) for row in batch.to_pylist()]
        return found[0] if found else dict.fromkeys(query.columns)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Say of whatever goes wrong inside where it did, and what to do."""
        try:
            yield
        except (FunnelError, MemoryError):
            raise
        except pa.ArrowException as error:
            raise DataError(
                "A column of the events holds values of several kinds.", where=self.where, found=error,
                allowed="one kind in a column", do="Convert the column, or read a view that does.",
            ) from error  # fmt: skip
        except Exception as error:
            raise _unanswered(error, self.where, self.secret) from error

    def _fetched(self, rows: Table) -> Iterable[pa.RecordBatch]:
        batches: Iterable[pa.RecordBatch]
        if self.kind == "sqlite":
            batches = _fetched_from_sqlite(rows)
        elif self.kind == "duckdb":  # DuckDB 2 has no longer what Ibis 12 calls
            backend = rows.get_backend()
            batches = backend.con.sql(backend.compile(rows)).to_arrow_reader(ROWS_PER_BATCH)
        else:
            batches = rows.to_pyarrow_batches(chunk_size=ROWS_PER_BATCH)
        return batches


def connect(address: str, table: str) -> Table:
    """Return a table of the database at `address`, such as `postgres://user:password@host:5432/shop`.

    Parameters
    ----------
    address : what `ibis.connect` takes; the password is never shown.
    table : the table's name, or `schema.table`.

    Raises
    ------
    ConfigError : Ibis, or the driver for this kind of database, is not installed.
    DataError : the database cannot be reached, refuses the user, or has no such table.
    """
    connection, known = _opened(address)
    *schema, name = table.split(".")
    database = ".".join(schema) or None
    with known.answering():
        from ibis.common.exceptions import TableNotFound

        try:
            return connection.table(name, database=database)
        except TableNotFound as error:
            raise DataError(
                f"The database has no table {table!r}.", where=known.where, found=table,
                allowed=choices(sorted(connection.list_tables(database=database)), name) or "it has none",
                do="Correct the name, or name its schema: SCHEMA.TABLE.",
            ) from error  # fmt: skip


def ask(address: str, query: str) -> tuple[Connection, Table]:
    """Return the answer of the database at `address` to a query in its own SQL, not yet fetched.

    Raises
    ------
    ConfigError : Ibis, or the driver for this kind of database, is not installed.
    DataError : the database cannot be reached, refuses the user, or does not understand the query.
    """
    connection, known = _opened(address)
    with known.answering():
        if known.kind != "duckdb":
            return known, connection.sql(query)
        # DuckDB 2 has no longer what Ibis 12 calls to learn the columns of a query; those of a view it can tell.
        connection.con.execute(f"CREATE OR REPLACE TEMP VIEW {_ANSWER} AS {query.strip().rstrip(';')}")
        return known, connection.table(_ANSWER, database=("temp", "main"))


def _opened(address: str) -> tuple[Any, Connection]:
    where, secret = _without_password(address)
    try:
        import ibis

        connection = ibis.connect(address)
    except ImportError as error:
        raise ConfigError(
            "Reading from this database needs packages that are not installed.", where=where,
            found=_first_line(error, secret),
            do='Install them: pip install "funnel-lib[databases]"; for other databases "ibis-framework[NAME]".',
        ) from error  # fmt: skip
    except Exception as error:
        raise _unanswered(error, where, secret) from error
    return connection, Connection(connection.name, where, secret)


def _fetched_from_sqlite(rows: Table) -> Iterator[pa.RecordBatch]:
    """Yield what Ibis would read all at once."""
    schema = rows.schema().to_pyarrow()
    connection = rows.get_backend()
    cursor = connection.raw_sql(connection.compile(rows))
    try:
        while found := cursor.fetchmany(ROWS_PER_BATCH):
            columns = zip(zip(*found, strict=True), schema.types, strict=True)
            yield pa.RecordBatch.from_arrays([_array(values, kind) for values, kind in columns], schema=schema)
    finally:
        cursor.close()


def _array(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(kind):  # SQLite keeps them as 0 and 1
        return pa.array([None if value is None else bool(value) for value in values], kind)
    return pa.array(values, kind)


def _unanswered(error: Exception, where: str, secret: str) -> DataError:
    return DataError(
        "The database did not answer.", where=where, found=_first_line(error, secret),
        allowed="a server that runs and lets this user read the table",
        do="Check that it runs, and host, port, user and password; then connect and try again.",
    )  # fmt: skip


def _without_password(address: str) -> tuple[str, str]:
    """Return the address without password and options, and the password."""
    secret = urlsplit(address).password or ""
    shown = address.split("?")[0]
    return shown.replace(f":{secret}@", "@") if secret else shown, secret


def _first_line(error: Exception, secret: str) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.replace(secret, "***") if secret else line
