"""The table of people: one row each, their attributes from every source, on disk from end to end."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from funnel_lib.collection.clean import TEST
from funnel_lib.collection.events import limits
from funnel_lib.collection.finish import order_reasons, wrong_order_sql
from funnel_lib.collection.stage import ORIGIN, PARQUET, SEQ, Stage, quoted, text
from funnel_lib.collection.who import Resolved
from funnel_lib.schema import FIRST_SEEN, SOURCE, USER_ID

_WORK = (USER_ID, FIRST_SEEN, SOURCE, TEST, SEQ, ORIGIN, "_derived", "_pos", "_line", "_row")
# `nth` is the order in which rows were read; a later row tells more of a person than an earlier one.
_JUDGED = """
CREATE OR REPLACE TEMP TABLE judged AS
SELECT s._pos, s._seq, s._line, s._row, s._derived, s._source, s.user_id AS own,
    coalesce(ids.user_id, s.user_id) AS person,
    row_number() OVER (ORDER BY s._seq, s._derived, s._line, s._pos) AS nth,
    CASE WHEN tests.id IS NOT NULL OR {test} THEN 'test_account' WHEN {future} THEN 'future' ELSE '' END AS rule
FROM staged AS s LEFT JOIN ids ON ids.value = s.user_id LEFT JOIN tests ON tests.id = s.user_id
LEFT JOIN limits ON limits.source = s._source
"""
_REPEATED = """
UPDATE judged SET rule = 'duplicate_row' FROM (
    SELECT _pos, row_number() OVER (PARTITION BY _source, _row ORDER BY nth) AS copy FROM judged
    WHERE rule = '' AND NOT _derived
) AS copies WHERE copies._pos = judged._pos AND copy > 1
"""
_WRONG = "UPDATE judged SET rule = 'not_before' FROM ({wrong}) AS wrong WHERE wrong._pos = judged._pos AND rule = ''"
_AGAIN = """
CREATE OR REPLACE TEMP TABLE again AS SELECT _seq, CASE WHEN own = first THEN 'same_user' ELSE 'same_person' END AS fate
FROM (
    SELECT _seq, own, row_number() OVER person AS copy, first_value(own) OVER person AS first FROM judged
    WHERE rule = '' AND NOT _derived WINDOW person AS (PARTITION BY _source, person ORDER BY nth)
) WHERE copy > 1
"""
_MERGED = """
SELECT _seq, fate, count(*) FROM (
    SELECT _seq, fate FROM again UNION ALL SELECT _seq, rule FROM judged WHERE rule = 'duplicate_row'
) GROUP BY ALL ORDER BY ALL
"""
_KEPT = """
SELECT _seq, count(*) - (SELECT count(*) FROM again WHERE again._seq = judged._seq) AS rows FROM judged
WHERE rule = '' AND NOT _derived GROUP BY _seq ORDER BY _seq
"""
_ASIDE = """
SELECT staged.* EXCLUDE ({hidden}), judged.rule FROM staged JOIN judged USING (_pos)
WHERE judged.rule NOT IN ('', 'duplicate_row') AND NOT staged._derived ORDER BY staged._seq, staged._line
"""
_COVERED = """
SELECT _source AS source, (first_seen AT TIME ZONE '{zone}')::DATE::TIMESTAMP AS day, count(*) AS rows
FROM staged JOIN (SELECT *, row_number() OVER (PARTITION BY _source, person ORDER BY nth) AS copy FROM judged
    WHERE rule = '' AND NOT _derived) AS kept USING (_pos, _source)
WHERE copy = 1 AND first_seen IS NOT NULL GROUP BY ALL ORDER BY ALL
"""


def write(stage: Stage, resolved: Resolved, target: Path) -> bool:
    """Write one row per person whom a source of people knows, and count what became of each row.

    Attributes fill up, and where two rows differ the later one wins (later by source, file and line). `first_seen`
    is the earliest. A second row of one source about the same person counts as merged.

    Returns
    -------
    Whether there is anybody; without them nothing is written.
    """
    if "users" not in stage.parts:
        return False
    with stage.connected() as connection:
        stage.view(connection, "users")
        resolved.show(connection)
        columns = connection.view("staged").columns
        timed = FIRST_SEEN in columns
        limits(connection, "SELECT _source AS source, first_seen AS seen FROM staged" if timed else None)
        test = f"coalesce(s.{TEST}, false)" if TEST in columns else "false"
        future = "coalesce(s.first_seen >= limits.ends, false)" if timed else "false"
        connection.execute(_JUDGED.format(test=test, future=future))
        connection.execute(_REPEATED)
        _one_per_person(connection, columns, target)
        wrong = wrong_order_sql(connection, "users", target, resolved.workbook)
        connection.execute(_WRONG.format(wrong=wrong))
        connection.execute(_AGAIN)
        _count(connection, stage, resolved, columns)
        return _one_per_person(connection, columns, target)


def complete(stage: Stage, known: Path | None, events: Path | None, target: Path) -> bool:
    """Write the table `users`: the people of `known`, and everybody in `events`; the earliest time counts.

    Returns
    -------
    Whether there is anybody; without them nothing is written.
    """
    parts = []
    with stage.connected() as connection:
        attributes: list[str] = []
        if known is not None:
            connection.read_parquet(str(known)).create_view("known")
            attributes = [name for name in connection.view("known").columns if name not in (USER_ID, FIRST_SEEN)]
            parts.append("SELECT * FROM known")
        if events is not None:
            connection.read_parquet(str(events)).create_view("log")
            parts.append("SELECT user_id, min(ts) AS first_seen FROM log GROUP BY user_id")
        if not parts:
            return False
        listed = "".join(f", any_value({quoted(name)}) AS {quoted(name)}" for name in attributes)
        both = " UNION ALL BY NAME ".join(parts)
        rows = f"SELECT user_id, min(first_seen) AS first_seen{listed} FROM ({both}) GROUP BY user_id ORDER BY user_id"  # noqa: S608
        return _written(connection, rows, target)


def _one_per_person(connection: duckdb.DuckDBPyConnection, columns: list[str], target: Path) -> bool:
    seen = "min(staged.first_seen)" if FIRST_SEEN in columns else "NULL::TIMESTAMPTZ"
    attributes = [name for name in columns if name not in _WORK]
    listed = "".join(f", arg_max(staged.{quoted(name)}, judged.nth) AS {quoted(name)}" for name in attributes)
    rows = (
        f"SELECT judged.person AS user_id, {seen} AS first_seen{listed} FROM staged JOIN judged USING (_pos) "  # noqa: S608
        "WHERE judged.rule = '' GROUP BY judged.person ORDER BY judged.person"
    )
    return _written(connection, rows, target)


def _written(connection: duckdb.DuckDBPyConnection, rows: str, target: Path) -> bool:
    connection.execute(f"COPY ({rows}) TO {text(target)} {PARQUET}")
    return bool(connection.read_parquet(str(target)).limit(1).project("1").fetchall())


def _count(connection: duckdb.DuckDBPyConnection, stage: Stage, resolved: Resolved, columns: list[str]) -> None:
    for seq, rule, rows in connection.sql(_MERGED).fetchall():
        stage.merge_count(seq, rule, rows)
    kept: pd.DataFrame = connection.sql(_KEPT).to_arrow_table().to_pandas()
    stage.keep(kept[kept["rows"] > 0].set_index(SEQ)["rows"])
    hidden = ", ".join(name for name in ("_pos", "_row", "rule", "reason", TEST) if name in columns)
    aside: pd.DataFrame = connection.sql(_ASIDE.format(hidden=hidden)).to_arrow_table().to_pandas()
    order = aside[ORIGIN].map(order_reasons(resolved.workbook))
    stage.set_aside(aside.assign(reason=order.where(aside["rule"] == "not_before")))
    if FIRST_SEEN in columns:
        stage.covered.append(
            connection.sql(_COVERED.format(zone=resolved.workbook.timezone)).to_arrow_table().to_pandas()
        )
