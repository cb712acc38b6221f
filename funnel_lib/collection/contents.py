"""Checks that look into the collected tables themselves: amounts, and deals that look alike. DuckDB streams them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from funnel_lib.collection.stage import MEMORY, quoted
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.schema import AMOUNT, CURRENCY, SOURCE, USER_ID, TableName

Found = tuple[float, list[str]]
"""The value that a check found, and where."""
_PRICED: tuple[tuple[TableName, str], ...] = (("events", AMOUNT), ("spend", "cost"), ("deals", AMOUNT))
_REFUND = "refund|return|退款|退货|chargeback"
_SUMS = """
SELECT currency, count(*) AS rows, count(*) FILTER (amount < 0 AND NOT refund) AS negative FROM ({priced})
GROUP BY ALL ORDER BY rows DESC, currency
"""
_ALIKE = """
SELECT source, earlier, record_id FROM (
    SELECT {source} AS source, record_id, lag(record_id) OVER same AS earlier, created - lag(created) OVER same AS gap
    FROM deals WHERE user_id IN (SELECT user_id FROM deals GROUP BY ALL HAVING count(*) > 1)
    WINDOW same AS (PARTITION BY {same} ORDER BY created, record_id)
) WHERE gap <= INTERVAL 1 DAY AND earlier <> record_id ORDER BY ALL
"""
_SAME = (SOURCE, USER_ID, "account", "name_of_deal", AMOUNT, CURRENCY)


def money(store: Store, workbook: Workbook) -> dict[str, Found]:
    """Return `other_currency_share` (of amounts with a currency) and `negative_amounts_share` (of all amounts).

    Amounts are those of events and deals, and the costs of campaigns; refunds may be negative.
    """
    held = [(name, amount) for name, amount in _PRICED if store.path(name).is_file()]
    with _opened(store, [name for name, _ in held]) as connection:
        parts = [_priced(connection, name, amount) for name, amount in held]
        priced = " UNION ALL ".join(filter(None, parts))
        rows = connection.sql(_SUMS.format(priced=priced)).fetchall() if priced else []
    named = sum(count for currency, count, _ in rows if currency is not None)
    other = [(str(currency), count) for currency, count, _ in rows if currency not in (None, workbook.currency)]
    total = sum(count for _, count, _ in rows)
    return {
        "other_currency_share": (
            sum(count for _, count in other) / max(named, 1), [f"{name} {count:,}" for name, count in other]
        ),
        "negative_amounts_share": (sum(negative for *_, negative in rows) / max(total, 1), []),
    }  # fmt: skip


def deals_alike(store: Store) -> Found | None:
    """Return the share of deals that look like the one before; None where they do not tell with whom they are, or when.

    Such deals are told by one source of one person, with the same account, name and amount, and were created within a
    day. They stay: two licences are two deals. Where one deal was entered twice, its system has to be mended.
    """
    if not store.path("deals").is_file():
        return None
    with _opened(store, ["deals"]) as connection:
        columns = connection.view("deals").columns
        if not {USER_ID, "created"} <= {*columns}:
            return None
        judged = connection.view("deals").filter("user_id IS NOT NULL AND created IS NOT NULL")
        (total,) = judged.aggregate("count(*)").fetchall()[0]
        same = ", ".join(quoted(name) for name in _SAME if name in columns)
        told = quoted(SOURCE) if SOURCE in columns else "''"
        found = connection.sql(_ALIKE.format(same=same, source=told)).fetchall()
    if not total:
        return None
    return len(found) / total, [f"{source} {earlier} and {record}".strip() for source, earlier, record in found]


@contextmanager
def _opened(store: Store, names: list[TableName]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with some collected tables as views; its memory is bounded."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET memory_limit = ?", [MEMORY])
        for name in names:
            connection.read_parquet(str(store.path(name))).create_view(name)
        yield connection


def _priced(connection: duckdb.DuckDBPyConnection, name: TableName, amount: str) -> str:
    """Return a query for the amounts of a table, with their currency and whether they are refunds."""
    columns = connection.view(name).columns
    if amount not in columns:
        return ""
    currency = CURRENCY if CURRENCY in columns else "NULL::VARCHAR"
    refund = "false"
    if name == "events":  # looked at only where it matters: most amounts are not below zero
        refund = f"CASE WHEN {amount} < 0 THEN coalesce(regexp_matches(event, '{_REFUND}', 'i'), false) ELSE false END"
    return (
        f"SELECT {currency} AS currency, {amount} AS amount, {refund} AS refund FROM {name} "  # noqa: S608
        f"WHERE {amount} IS NOT NULL"
    )
