import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from funnel_lib import connection
from funnel_lib.collection.batch import LINE
from funnel_lib.collection.collect import collect
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import database
from funnel_lib.errors import ConfigError, DataError

SOURCE = {
    "system": "database", "table": "events", "files": "database/orders.parquet", "connection": "SHOP_ADDRESS",
    "query": "SELECT id, customer, paid_at, total FROM orders ORDER BY id", "timezone": "Asia/Shanghai",
    "columns": {"event_id": "id", "user_id": "customer", "ts": "paid_at", "amount": "total"},
    "constants": {"event": "order"},
}  # fmt: skip
ROWS = [
    (1, "C1", "2026-03-01 10:00:00", 99.5),
    (2, "C2", "2026-03-02 10:00:00", 10),
    (3, None, "2026-03-02 10:00:00", 1),
]
Exports = Callable[..., Export]


def in_sqlite(folder: Path, rows: list[tuple[Any, ...]]) -> str:
    with sqlite3.connect(folder / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER, customer TEXT, paid_at TEXT, total REAL)")
        shop.execute("DELETE FROM orders")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    shop.close()
    return f"sqlite://{folder / 'shop.sqlite'}"


def in_duckdb(folder: Path, rows: list[tuple[Any, ...]]) -> str:
    with duckdb.connect(folder / "shop.duckdb") as shop:
        shop.execute(
            "CREATE OR REPLACE TABLE orders (id BIGINT, customer VARCHAR, paid_at TIMESTAMP, total DECIMAL(9,2))"
        )
        if rows:
            shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    return f"duckdb://{folder / 'shop.duckdb'}"


@pytest.mark.parametrize("kept", [in_sqlite, in_duckdb])
@pytest.mark.parametrize("size", [2, 50_000])
def test_the_answer_is_kept_and_read_like_a_table(
    export: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Callable[..., str], size: int
):
    monkeypatch.setenv("SHOP_ADDRESS", kept(tmp_path, ROWS))
    monkeypatch.setattr(connection, "ROWS_PER_BATCH", size)
    made = export(SOURCE)
    database.check(made)
    database.fetch(made)
    (batch,) = database.read(made.files(), made)
    assert batch.rows[["event_id", "user_id", "event", "amount"]].to_numpy().tolist() == [
        ["1", "C1", "order", 99.5], ["2", "C2", "order", 10.0],
    ]  # fmt: skip
    assert batch.rows["ts"].iloc[0].isoformat() == "2026-03-01T02:00:00+00:00"
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[3, "missing_value"]]


def test_collecting_asks_again_each_time(book: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workbook = book({"shop": SOURCE}, {}, cleaning={"worst_share": 1})
    for rows in (ROWS[:1], ROWS):
        monkeypatch.setenv("SHOP_ADDRESS", in_sqlite(tmp_path, rows))
        store = collect(workbook)
        assert store.read("events")["event_id"].tolist() == [str(row[0]) for row in rows if row[1]]
    assert [path.name for path in (workbook.raw / "database").iterdir()] == ["orders.parquet"]


@pytest.mark.parametrize("kept", [in_sqlite, in_duckdb])
def test_an_answer_without_rows_is_a_table_without_rows(
    export: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: Callable[..., str]
):
    monkeypatch.setenv("SHOP_ADDRESS", kept(tmp_path, []))
    made = export(SOURCE)
    database.fetch(made)
    (batch,) = database.read(made.files(), made)
    assert (len(batch.rows), batch.read) == (0, {"database/orders.parquet": 0})


def test_a_query_that_fails_leaves_the_last_answer(export: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SHOP_ADDRESS", in_sqlite(tmp_path, ROWS))
    made = export(SOURCE)
    database.fetch(made)
    before = made.files()[0].read_bytes()
    with pytest.raises(DataError, match="did not answer") as error:
        database.fetch(export({**SOURCE, "query": "SELECT id FROM nowhere"}))
    assert "nowhere" in str(error.value.found)
    assert made.files()[0].read_bytes() == before
    assert [path.name for path in made.files()[0].parent.iterdir()] == ["orders.parquet"]


def test_the_address_stands_in_the_environment(export: Exports, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SHOP_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="address of the database is not known") as error:
        database.fetch(export(SOURCE))
    assert "SHOP_ADDRESS is not set" in str(error.value.found)


def test_a_password_is_never_shown(export: Exports, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SHOP_ADDRESS", "postgres://reader:hush-hush@127.0.0.1:1/shop")
    with pytest.raises((DataError, ConfigError)) as error:
        database.fetch(export(SOURCE))
    assert "hush-hush" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"query": None}, "query"), ({"connection": None}, "connection"), ({"files": "db/*.parquet"}, "files"),
        ({"files": "../x.parquet"}, "files"), ({"files": "x.csv"}, "files"),
        ({"columns": {"user_id": "id"}}, "columns"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_asked_is_refused(export: Exports, change: dict[str, Any], where: str):
    with pytest.raises(ConfigError) as error:
        database.check(export({name: value for name, value in {**SOURCE, **change}.items() if value is not None}))
    assert error.value.where == f"sources.s.{where}"
