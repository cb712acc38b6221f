"""The table of events: sorted, without duplicates, every person under one id.

DuckDB does it, on disk where it does not fit into memory.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from funnel_lib.collection.finish import horizon, order_reasons, wrong_order_sql
from funnel_lib.collection.stage import ORIGIN, PARQUET, SEQ, Stage, text
from funnel_lib.collection.who import Resolved
from funnel_lib.config import Workbook
from funnel_lib.schema import (
    AMOUNT,
    CAMPAIGN,
    CHANNEL,
    CURRENCY,
    DEVICE,
    EVENT,
    EVENT_ID,
    PROPERTIES,
    SESSION_ID,
    SOURCE,
    TS,
    USER_ID,
    table,
)  # fmt: skip

# The first rule that a row breaks; of rows with one key the first that was read stays. Keys are counted by their
# hash, which takes a fraction of the memory; what shares one is then compared exactly.
_ASIDE = """
CREATE TEMP TABLE aside AS SELECT _pos, arg_min(rule, place) AS rule FROM (
    SELECT _pos, 1 AS place, 'test_account' AS rule FROM staged SEMI JOIN tests ON tests.id = staged.user_id
    UNION ALL SELECT _pos, 2, 'future' FROM staged JOIN limits USING (source) WHERE ts >= ends
    UNION ALL SELECT _pos, 3, 'duplicate_event' FROM (
        SELECT _pos, row_number() OVER (PARTITION BY source, event_id ORDER BY _seq, _line, _pos) AS copy FROM staged
        SEMI JOIN twice ON twice.key = hash(staged.source, staged.event_id)
    ) WHERE copy > 1
    UNION ALL SELECT _pos, 4, 'not_before' FROM ({wrong})
    UNION ALL SELECT _pos, 5, 'near_duplicate' FROM ({near})
) GROUP BY _pos
"""
# A row without an id of the system's own got one that ends in the hash of its text. Times in whole minutes or days
# cannot tell what was sent twice.
_NEAR = """
SELECT _pos, _seq FROM (
    SELECT _pos, _seq, ts - lag(ts) OVER (PARTITION BY hash({same}) ORDER BY ts, _seq, _line, _pos) AS gap FROM staged
    SEMI JOIN (SELECT DISTINCT source FROM staged WHERE epoch_us(ts) % 60000000 <> 0) AS timed USING (source)
    WHERE ends_with(event_id, printf('%016x', _row)) AND NOT ({repeated})
) WHERE gap <= to_microseconds({micros})
"""
_NOT_NEAR = "SELECT NULL::BIGINT AS _pos WHERE false"
_SAME = (SOURCE, USER_ID, EVENT, SESSION_ID, AMOUNT, CURRENCY, CHANNEL, CAMPAIGN, DEVICE, PROPERTIES)
_LIKELY = timedelta(seconds=1)
"""So shortly after one another, equal events are likely one that was sent twice."""
_LOOK_ALIKE = "SELECT _seq, count(*) FROM ({near}) ANTI JOIN aside USING (_pos) GROUP BY ALL ORDER BY ALL"
_TWICE = "CREATE TEMP TABLE twice AS SELECT hash(source, event_id) AS key FROM staged GROUP BY key HAVING count(*) > 1"
_MERGED = """
SELECT _seq, rule, count(*) AS rows FROM staged JOIN aside USING (_pos)
WHERE rule IN ('duplicate_event', 'near_duplicate') GROUP BY ALL ORDER BY ALL
"""
_JUDGED = """
SELECT staged.* EXCLUDE (_pos), rule FROM staged JOIN aside USING (_pos)
WHERE rule NOT IN ('duplicate_event', 'near_duplicate') ORDER BY _seq, _line
"""
_DAYS = """
SELECT source, seen::DATE::TIMESTAMP AS day, count(*) AS rows FROM ({times}) WHERE seen IS NOT NULL
GROUP BY ALL ORDER BY ALL
"""
_NO_TIMES = "SELECT NULL::VARCHAR AS source, NULL::TIMESTAMPTZ AS seen WHERE false"
_COVERED = """
SELECT source, (ts AT TIME ZONE ?)::DATE::TIMESTAMP AS day, count(*) AS rows
FROM read_parquet(?) GROUP BY ALL ORDER BY ALL
"""
_KEPT = "staged AS s ANTI JOIN aside AS a ON a._pos = s._pos"


def write(stage: Stage, resolved: Resolved, people: Path | None, target: Path) -> pd.DataFrame:
    """Write the events to `target` (Parquet, by user_id, ts, event_id, source) and count what became of each row.

    Parameters
    ----------
    people : the users that sources of people know (Parquet), for the order of times against their attributes.

    Returns
    -------
    `source`, `day` (business zone, naive), `rows` of the events written.
    """
    with stage.connected() as connection:
        stage.view(connection, "events")
        resolved.show(connection)
        limits(connection, "SELECT source, ts AS seen FROM staged")
        connection.execute(_TWICE)
        wrong = wrong_order_sql(connection, "events", people, resolved.workbook)
        merged = resolved.workbook.cleaning.near_duplicates
        near = _near(connection, resolved.workbook, merged) if merged else _NOT_NEAR
        connection.execute(_ASIDE.format(wrong=wrong, near=near))
        _count(connection, stage, resolved.workbook)
        if not merged:
            _look_alike(connection, stage, _near(connection, resolved.workbook, _LIKELY))
        _copy(connection, resolved.workbook, target)
        return _frame(connection.sql(_COVERED, params=[resolved.workbook.timezone, str(target)]))


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


def limits(connection: duckdb.DuckDBPyConnection, times: str | None) -> None:
    """Make the table `limits`: of each source with times far ahead of all others, where its data `ends`.

    Parameters
    ----------
    times : a query with the columns `source` and `seen`; without one no source has an end.
    """
    days = _frame(connection.sql(_DAYS.format(times=times or _NO_TIMES)))
    ends = {source: horizon(part.set_index("day")["rows"]) for source, part in days.groupby(SOURCE)}
    found = [(str(source), end.tz_localize("UTC")) for source, end in ends.items() if end is not None]
    columns = {SOURCE: "str", "ends": "datetime64[us, UTC]"}
    frame = pd.DataFrame(found, columns=list(columns)).astype(columns)
    connection.register("limits", pa.Table.from_pandas(frame, preserve_index=False))


def _count(connection: duckdb.DuckDBPyConnection, stage: Stage, workbook: Workbook) -> None:
    kept = connection.sql(f"SELECT s._seq, count(*) AS rows FROM {_KEPT} GROUP BY ALL ORDER BY ALL")  # noqa: S608
    stage.keep(_frame(kept).set_index(SEQ)["rows"])
    for seq, rule, rows in connection.sql(_MERGED).fetchall():
        stage.merge_count(seq, rule, rows)
    aside = _frame(connection.sql(_JUDGED))
    order = aside[ORIGIN].map(order_reasons(workbook))
    stage.set_aside(aside.assign(reason=order.where(aside["rule"] == "not_before")))


def _near(connection: duckdb.DuckDBPyConnection, workbook: Workbook, within: timedelta) -> str:
    """Return a query for the rows that say what their person's row just before says (`_pos`, `_seq`).

    Where a system gives its events ids, these alone tell which are the same; events that may well be repeated
    (`Cleaning.repeated`) are never near duplicates.
    """
    same = [name for name in _SAME if name in connection.view("staged").columns]
    names = [name.removesuffix("*") for name in workbook.cleaning.repeated]
    found = [f"starts_with(event, {text(n)})" if n != name else f"event = {text(n)}"
             for n, name in zip(names, workbook.cleaning.repeated, strict=True)]  # fmt: skip
    micros = within // timedelta(microseconds=1)
    return _NEAR.format(same=", ".join(same), repeated=" OR ".join(found) or "false", micros=micros)


def _look_alike(connection: duckdb.DuckDBPyConnection, stage: Stage, near: str) -> None:
    """Count the rows that look like the one just before; they stay, as nobody has said that they may go."""
    for seq, rows in connection.sql(_LOOK_ALIKE.format(near=near)).fetchall():
        source, file, _ = stage.files[seq]
        stage.remarks[source, file, "near_duplicate"] = rows


def _copy(connection: duckdb.DuckDBPyConnection, workbook: Workbook, target: Path) -> None:
    there = set(connection.view("staged").columns)
    kinds = {"time": "TIMESTAMPTZ", "number": "DOUBLE"}
    columns = [
        f"s.{name}" if name in there else f"NULL::{kinds.get(column.kind, 'VARCHAR')} AS {name}"
        for name, column in table("events").columns.items()
    ]
    columns[columns.index(f"s.{USER_ID}")] = f"coalesce(i.user_id, s.user_id) AS {USER_ID}"
    if {AMOUNT, CURRENCY} <= there and workbook.rates:
        factor = "CASE s.currency " + " ".join(f"WHEN '{k}' THEN {rate!r}" for k, rate in workbook.rates.items())
        columns[columns.index(f"s.{AMOUNT}")] = f"s.amount * {factor} ELSE 1 END AS {AMOUNT}"
        known = ", ".join(f"'{name}'" for name in workbook.rates)
        money = f"CASE WHEN s.currency IN ({known}) THEN '{workbook.currency}' ELSE s.currency END AS {CURRENCY}"
        columns[columns.index(f"s.{CURRENCY}")] = money
    rows = f"SELECT {', '.join(columns)} FROM {_KEPT} LEFT JOIN ids AS i ON i.value = s.user_id"  # noqa: S608
    connection.execute(f"COPY ({rows} ORDER BY {USER_ID}, {TS}, {EVENT_ID}, {SOURCE}) TO {text(target)} {PARQUET}")
