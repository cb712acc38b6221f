"""The table of events: sorted, without duplicates, every person under one id.

DuckDB does it, on disk where it does not fit into memory.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from funnel_lib.collection.batch import LINE
from funnel_lib.collection.finish import Resolved, horizon, order_reasons, wrong_order
from funnel_lib.collection.stage import SEQ, Stage
from funnel_lib.config import Workbook
from funnel_lib.schema import EVENT_ID, FIRST_SEEN, SOURCE, TS, USER_ID, table

# The first rule that a row breaks; of rows with one key the first that was read stays.
_ASIDE = """
CREATE TEMP TABLE aside AS SELECT _seq, _line, rule FROM (
    SELECT s._seq, s._line, CASE
        WHEN t.value IS NOT NULL THEN 'test_account'
        WHEN s.ts >= l.ends THEN 'future'
        WHEN row_number() OVER (PARTITION BY s.event_id ORDER BY s._seq, s._line) > 1 THEN 'duplicate_event'
        WHEN w._line IS NOT NULL THEN 'not_before' END AS rule
    FROM staged AS s
    LEFT JOIN tests AS t ON t.value = s.user_id
    LEFT JOIN limits AS l ON l.source = s.source
    LEFT JOIN wrong AS w ON w._seq = s._seq AND w._line = s._line
) WHERE rule IS NOT NULL
"""
_ASKED = "SELECT _seq, _line, user_id, source AS _source, ts FROM staged SEMI JOIN asked USING (source)"
_JUDGED = "SELECT _seq, _line, source, rule, _raw FROM staged JOIN aside USING (_seq, _line) ORDER BY ALL"
_DAYS = "SELECT source, ts::DATE::TIMESTAMP AS day, count(*) AS rows FROM staged GROUP BY ALL ORDER BY ALL"
_COVERED = """
SELECT source, (ts AT TIME ZONE ?)::DATE::TIMESTAMP AS day, count(*) AS rows
FROM read_parquet(?) GROUP BY ALL ORDER BY ALL
"""
_KEPT = "staged AS s ANTI JOIN aside AS a ON a._seq = s._seq AND a._line = s._line"


def write(stage: Stage, resolved: Resolved, people: pd.DataFrame, target: Path) -> pd.DataFrame:
    """Write the events to `target` (Parquet, by user_id, ts, event_id) and count what became of each row.

    Parameters
    ----------
    people : the table `users`, for the order of times against their attributes.

    Returns
    -------
    `source`, `day` (business zone, naive), `rows` of the events written.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_directory = ?", [str(stage.folder)])
        stage.view(connection, "events")
        _register(connection, "tests", pd.DataFrame({"value": sorted(resolved.tests)}, dtype="str"))
        _register(connection, "ids", resolved.ids)
        _register(connection, "limits", _limits(connection))
        _register(connection, "wrong", _wrong(connection, resolved, people))
        connection.execute(_ASIDE)
        _count(connection, stage, resolved.workbook)
        _copy(connection, target)
        return _frame(connection.sql(_COVERED, params=[resolved.workbook.timezone, str(target)]))


def seen(target: Path) -> pd.DataFrame:
    """Return everybody in the events of `target` with the time of their first: `user_id`, `first_seen`."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        people = connection.read_parquet(str(target)).aggregate("user_id, min(ts) AS first_seen", "user_id")
        found = _frame(people.order("user_id"))
    return found.astype({USER_ID: "str", FIRST_SEEN: "datetime64[us, UTC]"})


def newest(target: Path) -> datetime | None:
    """Return the time of the newest event in `target`; None where there is none."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = _frame(connection.read_parquet(str(target)).aggregate(f"max({TS}) AS newest"))
    instant = found["newest"].iloc[0]
    return None if pd.isna(instant) else instant.to_pydatetime()


def _frame(relation: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    found: pd.DataFrame = relation.to_arrow_table().to_pandas()
    return found


def _register(connection: duckdb.DuckDBPyConnection, name: str, frame: pd.DataFrame) -> None:
    connection.register(name, pa.Table.from_pandas(frame, preserve_index=False))


def _limits(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    days = _frame(connection.sql(_DAYS))
    ends = {source: horizon(part.set_index("day")["rows"]) for source, part in days.groupby(SOURCE)}
    found = [(str(source), end.tz_localize("UTC")) for source, end in ends.items() if end is not None]
    columns = {SOURCE: "str", "ends": "datetime64[us, UTC]"}
    return pd.DataFrame(found, columns=list(columns)).astype(columns)


def _wrong(connection: duckdb.DuckDBPyConnection, resolved: Resolved, people: pd.DataFrame) -> pd.DataFrame:
    """Return the places of events that lie before an attribute of their person that they must not precede."""
    sources = resolved.workbook.sources.items()
    names = [name for name, source in sources if source.table == "events" and source.not_before]
    _register(connection, "asked", pd.DataFrame({SOURCE: names}, dtype="str"))
    rows = _frame(connection.sql(_ASKED))
    rows = rows.assign(**{USER_ID: resolved.person(rows[USER_ID])})
    return rows.loc[wrong_order(rows, "events", people, resolved.workbook), [SEQ, LINE]].astype("int64")


def _count(connection: duckdb.DuckDBPyConnection, stage: Stage, workbook: Workbook) -> None:
    kept = connection.sql(f"SELECT s._seq, count(*) AS rows FROM {_KEPT} GROUP BY ALL ORDER BY ALL")  # noqa: S608
    stage.keep(_frame(kept).set_index(SEQ)["rows"])
    aside = _frame(connection.sql(_JUDGED))
    duplicate = aside["rule"] == "duplicate_event"
    stage.merge(aside[duplicate])
    order = aside[SOURCE].map(order_reasons(workbook))
    stage.set_aside(aside.assign(reason=order.where(aside["rule"] == "not_before"))[~duplicate])


def _copy(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    there = set(connection.table("staged").columns)
    kinds = {"time": "TIMESTAMPTZ", "number": "DOUBLE"}
    columns = [
        f"s.{name}" if name in there else f"NULL::{kinds.get(column.kind, 'VARCHAR')} AS {name}"
        for name, column in table("events").columns.items()
    ]
    columns[columns.index(f"s.{USER_ID}")] = f"coalesce(i.user_id, s.user_id) AS {USER_ID}"
    rows = f"SELECT {', '.join(columns)} FROM {_KEPT} LEFT JOIN ids AS i ON i.value = s.user_id"  # noqa: S608
    file = str(target).replace("'", "''")
    form = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
    connection.execute(f"COPY ({rows} ORDER BY {USER_ID}, {TS}, {EVENT_ID}) TO '{file}' ({form})")
