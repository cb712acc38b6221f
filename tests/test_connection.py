"""Talking to a database: batch by batch, and errors that say where and what to do, but never the password."""

import sqlite3

import duckdb
import ibis
import pytest

from funnel_lib import connection as talking
from funnel_lib.connection import Connection, ask, connect
from funnel_lib.errors import ConfigError, DataError

ROWS = [("u", 1, True), ("v", 2, None), ("w", 3, False)]


def in_sqlite(rows=ROWS):
    backend = ibis.sqlite.connect()
    backend.con.execute("CREATE TABLE events (user_id TEXT, n INTEGER, member BOOLEAN)")
    backend.con.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    return backend.table("events")


def in_duckdb():
    backend = ibis.duckdb.connect()
    backend.con.execute("CREATE TABLE events (user_id VARCHAR, n BIGINT, member BOOLEAN)")
    backend.con.executemany("INSERT INTO events VALUES (?, ?, ?)", ROWS)
    return backend.table("events")


@pytest.mark.parametrize("write", [in_sqlite, in_duckdb])
def test_rows_are_fetched_in_batches(write, monkeypatch):
    monkeypatch.setattr(talking, "ROWS_PER_BATCH", 2)
    table = write()
    batches = list(Connection.of(table).batches(table))
    assert [len(batch) for batch in batches] == [2, 1]
    assert [tuple(row.values()) for batch in batches for row in batch.to_pylist()] == ROWS


@pytest.mark.parametrize("write", [in_sqlite, in_duckdb])
def test_the_only_row_of_a_query(write):
    table = write()
    source = Connection.of(table)
    assert source.row(table.aggregate(most=table["n"].max())) == {"most": 3}
    assert source.row(table.filter(table["n"] > 3)) == {"user_id": None, "n": None, "member": None}


def test_values_of_several_kinds_in_a_column():
    table = in_sqlite([("u", "one", True)])  # which SQLite does not mind
    with pytest.raises(DataError, match="several kinds") as error:
        list(Connection.of(table).batches(table))
    assert error.value.where == "sqlite, table events"


def test_an_expression_without_a_database():
    with pytest.raises(DataError, match="did not answer") as error:
        Connection.of(ibis.table({"n": "int"}, name="events"))
    assert error.value.where == "an Ibis expression"


def test_a_file_that_is_gone(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as written:
        written.execute("CREATE TABLE events (n INTEGER)")
    table = connect(f"sqlite://{path}", "events")
    source = Connection.of(table)
    assert source.where == f"sqlite, database {path}, table events"
    assert source.row(table) == {"n": None}
    table.get_backend().con.close()
    with pytest.raises(DataError, match="did not answer") as error:
        source.row(table)
    assert "closed" in error.value.found
    assert str(path) in str(error.value)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "shop.db").write_text("no database" * 100)
    with pytest.raises(DataError, match="did not answer") as error:
        connect(f"sqlite://{tmp_path}/shop.db", "events")
    assert "not a database" in str(error.value)


def test_a_table_that_is_not_there(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as written:
        written.execute("CREATE TABLE events (n INTEGER)")
    with pytest.raises(DataError, match="no table 'event'") as error:
        connect(f"sqlite://{tmp_path}/shop.db", "event")
    assert "did you mean events?" in str(error.value)


def test_a_kind_of_database_that_is_not_known():
    with pytest.raises(DataError, match="did not answer") as error:
        connect("nothing://anna:secret@127.0.0.1/shop", "events")
    assert "secret" not in str(error.value)


def test_a_driver_that_is_not_installed():
    with pytest.raises(ConfigError, match="not installed") as error:
        connect("mysql://anna:se%20cret@127.0.0.1/shop?password=se%20cret", "events")
    assert error.value.where == "mysql://anna@127.0.0.1/shop"
    assert "pip install" in str(error.value)
    assert "cret" not in str(error.value)


def test_the_password_is_never_shown():
    source = Connection("postgres", "postgres, host db", "hunter2")
    assert "hunter2" not in repr(source)
    with pytest.raises(DataError) as error, source.answering():
        raise OSError("cannot log in with hunter2\nat line 1")
    assert error.value.found == "cannot log in with ***"


def test_what_is_no_fault_of_the_database_passes():
    source = Connection("sqlite", "here")
    with pytest.raises(DataError, match="ours"), source.answering():
        raise DataError("ours")
    with pytest.raises(MemoryError), source.answering():
        raise MemoryError


@pytest.mark.parametrize(("kind", "library"), [("sqlite", sqlite3), ("duckdb", duckdb)])
def test_a_query_in_the_databases_own_sql_is_answered_in_batches(tmp_path, kind, library):
    with library.connect(tmp_path / "shop") as shop:
        shop.execute("CREATE TABLE t (n INTEGER)")
        shop.execute("INSERT INTO t VALUES (1), (2), (3)")
    shop.close()
    known, answer = ask(f"{kind}://{tmp_path / 'shop'}", "SELECT n * 2 AS twice FROM t ORDER BY n")
    assert [row["twice"] for batch in known.batches(answer) for row in batch.to_pylist()] == [2, 4, 6]
