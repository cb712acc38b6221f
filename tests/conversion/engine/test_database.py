"""Events in a database: the same journeys as from a frame, in pieces, from rows that come in order of unit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from unittest.mock import patch
from uuid import UUID
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib import connection as talking
from funnel_lib import periods
from funnel_lib.conditions import meets
from funnel_lib.connection import Connection
from funnel_lib.conversion.engine.database import DatabaseSource, _implied
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.journeys import UnmatchedStep, journeys
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import ConfigError, DataError
from tests.conversion.engine.random_tables import NOON, Case, cases, found, local, written

AB = Funnel(steps=[Step("a", event="A"), Step("b", event="B")], window="1d")
FORMS = ("zoned", "naive", "date", "text")


def in_sqlite(events, *, times="TIMESTAMP", unit="TEXT"):
    """Write events into a new SQLite database in memory; its times are text, whatever their column is called."""
    connection = ibis.sqlite.connect()
    declared = {"ts": times, "user_id": unit, "n": "INTEGER", "amount": "REAL", "member": "BOOLEAN"}
    columns = ", ".join(f'"{name}" {declared.get(name, "TEXT")}' for name in events)
    connection.con.execute(f"CREATE TABLE events ({columns})")
    rows = [[None if pd.isna(value) else plain(value) for value in row] for row in events.itertuples(index=False)]
    connection.con.executemany(f"INSERT INTO events VALUES ({', '.join('?' * len(events.columns))})", rows)
    return connection.table("events")


def plain(value):
    """Return what the driver of SQLite can write."""
    if isinstance(value, pd.Timestamp | datetime) or hasattr(value, "isoformat"):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def in_duckdb(events):
    connection = ibis.duckdb.connect()
    connection.con.register("given", pa.Table.from_pandas(events, preserve_index=False))
    connection.con.execute("SET TimeZone = 'Asia/Shanghai'")
    connection.con.execute("CREATE TABLE events AS FROM given")
    return connection.table("events")


WRITERS = {"sqlite": in_sqlite, "duckdb": in_duckdb}


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and hour of the day."""
    words = [word.split(":") for word in text.split()]
    rows = [(unit, event[0], NOON + timedelta(hours=int(event[1:]))) for unit, event in words]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


LOG = log("u:A1 v:A1 u:B2 w:B5 v:X3 x:A9")


def read(source, funnel=AB, **fields):
    """Return unit and depth of the journeys of a source, in order of unit."""
    journeys, _ = found(source, Case(LOG, Plan(funnel, **fields)))
    return dict(zip(journeys["unit"].to_pylist(), journeys["depth"].to_pylist(), strict=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=6, deadline=None)
@given(case=cases(), rows_at_once=st.sampled_from([1, 1, 120]))
def test_finds_what_the_local_source_finds(kind, form, case, rows_at_once):
    case = replace(case, events=written(case.events, form))
    table = WRITERS[kind](case.events)
    source = DatabaseSource(table, case.plan.funnel, case.plan.by, rows_at_once=rows_at_once)
    with patch.object(talking, "ROWS_PER_BATCH", 50):
        journeys, facts = found(source, case)
    expected, expected_facts = local(case)
    assert journeys.equals(expected)
    assert facts == expected_facts


@pytest.mark.parametrize(
    "units",
    [
        [3, 1, 2],
        [2**60, -5, 0],
        ["07", "7", " 7"],
        [UUID(int=5), UUID(int=2**127), UUID(int=0)],
        [Decimal(2**70), Decimal(1), Decimal(7)],
    ],
    ids=["small", "large", "text", "uuid", "decimal"],
)
def test_units_of_any_type_stay_apart(units):
    rows = [(unit, event, NOON) for unit in units for event in "AB"]
    kind = {UUID: "UUID", Decimal: "DECIMAL(38,0)", int: "BIGINT", str: "VARCHAR"}[type(units[0])]
    connection = ibis.duckdb.connect()
    connection.con.execute(f"CREATE TABLE events (user_id {kind}, event VARCHAR, ts TIMESTAMPTZ)")
    connection.con.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    source = DatabaseSource(connection.table("events"), AB, rows_at_once=1)
    expected = sorted(units) if kind == "BIGINT" else sorted(map(str, units))
    assert read(source) == dict.fromkeys(expected, 2)


def test_a_unit_with_more_rows_than_a_piece_stays_whole():
    # u: A1, then 40 times X, then B60; the pieces are of 3 rows.
    events = log(" ".join(["t:A1", "u:A1", *(f"u:A{n}" for n in range(2, 20)), "u:B20", "v:A1"]))
    source = DatabaseSource(in_sqlite(events), AB, rows_at_once=3)
    assert read(source) == {"t": 1, "u": 2, "v": 1}


def test_only_columns_and_rows_that_matter_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(
        Connection, "_fetched", lambda self, rows: asked.append(ibis.to_sql(rows)) or fetched(self, rows)
    )
    events = LOG.assign(comment="long", n=1, device="m")
    funnel = Funnel(
        steps=[Step("a", event="A"), Step("b", event=["B", "C"], where={"n": {"ge": 1}, "device": {"ne": "d"}})]
    )
    source = DatabaseSource(in_duckdb(events), funnel)
    asked.clear()
    assert read(source, funnel) == {"u": 2, "v": 1, "x": 1}
    counts, rows = asked
    assert "COUNT" not in counts
    assert "comment" not in rows
    assert "IN ('B', 'C')" in rows
    assert '"n" >= 1' in rows
    assert "'d'" not in rows  # a missing device is not d, and SQL would drop it
    assert '"user_id" ASC' in rows


fetched = Connection._fetched


def test_what_is_left_half_read_leaves_the_database_usable():
    for write in WRITERS.values():
        table = write(LOG)
        parts = DatabaseSource(table, AB, rows_at_once=1).journeys(Plan(AB), None, None)
        next(parts)
        parts.close()
        assert read(DatabaseSource(table, AB)) == {"u": 2, "v": 1, "x": 1}


def test_units_that_the_database_takes_for_the_same_are_refused_when_they_come_apart():
    # NOCASE: a and A are equal, so the four rows come in order of time: a A a A.
    events = log("a:A1 A:A2 a:B3 A:B4")
    table = in_sqlite(events, unit="TEXT COLLATE NOCASE")
    assert read(DatabaseSource(table, AB)) == {"A": 2, "a": 2}  # one piece holds them all
    with pytest.raises(DataError, match="do not come together") as error:
        read(DatabaseSource(table, AB, rows_at_once=1))
    assert error.value.found in ("a", "A")
    assert "COLLATE" in str(error.value)


def test_numbers_that_come_back_are_refused(monkeypatch):
    monkeypatch.setattr(talking, "ROWS_PER_BATCH", 1)
    table = in_sqlite(log("1:A1 2:A2 1:B3").astype({"user_id": "int64"}), unit="INTEGER")
    monkeypatch.setattr(Connection, "_fetched", lambda self, rows: fetched(self, as_written(rows)))
    with pytest.raises(DataError, match="do not come together") as error:
        read(DatabaseSource(table, AB, rows_at_once=1))
    assert error.value.found == 1


def as_written(rows):
    """Return the rows of a query in the sequence in which they were written, which here is that of time."""
    return rows.order_by("ts") if "ts" in rows.columns else rows


CONDITIONS = st.one_of(
    st.tuples(
        st.sampled_from(["eq", "ne"]), st.sampled_from([0, 1, 1.0, 1.5, -2, "1", "01", "a", "A", "", True, 10**17])
    ),
    st.tuples(st.sampled_from(["gt", "ge", "lt", "le"]), st.sampled_from([0, 1, 1.5, -2, 2**60, 0.1])),
    st.tuples(st.sampled_from(["in", "not_in"]), st.lists(st.sampled_from([0, 1, "a", "A", "b", 1.5]), min_size=1)),
    st.tuples(st.just("is_null"), st.booleans()),
    st.tuples(st.just("contains"), st.sampled_from(["a", "1", "İ", ""])),
)
VALUES = pd.DataFrame(
    {
        "whole": pd.array([0, 1, -2, None, 10**17, 2**60], dtype="Int64"),
        "number": [0.0, 1.0, 1.5, np.nan, 0.1, -2.0],
        "words": ["a", "A", "1", None, "", "i̇"],
        "member": pd.array([True, False, None, True, False, True], dtype="boolean"),
    }
)


@pytest.mark.parametrize("column", VALUES.columns)
@settings(max_examples=60, deadline=None)
@given(condition=CONDITIONS)
def test_what_the_database_filters_never_drops_a_row_that_meets_the_condition(column, condition):
    operator, operand = condition
    if operator in ("gt", "ge", "lt", "le") and column in ("words", "member"):
        assert _implied(TYPED[column], operator, operand) == []  # that is an error when the rows are looked at
        return
    met = set(np.flatnonzero(meets(VALUES, {column: {operator: operand}})))
    for asked in _implied(TYPED[column], operator, operand):
        assert met <= set(TYPED.filter(asked)["row"].to_pyarrow().to_pylist())


TYPED = in_duckdb(VALUES.assign(row=range(len(VALUES))))


def test_newest_and_names():
    events = log("u:A1 v:B9 w:C3")
    events.loc[3] = ["x", None, pd.Timestamp("9999-12-31", tz=UTC)]  # a mark for never, not a time
    for kind, write in WRITERS.items():
        for form in ("zoned", "naive", "text"):
            source = DatabaseSource(
                write(written(events, form).iloc[:3] if kind == "sqlite" or form == "text" else written(events, form)),
                AB,
            )
            assert source.newest == NOON + timedelta(hours=9), (kind, form)
            assert source.names == ["A", "B", "C"]
        assert DatabaseSource(write(written(events.iloc[:3], "date")), AB).newest == datetime(2026, 5, 1, tzinfo=UTC)


def test_no_rows():
    source = DatabaseSource(in_duckdb(LOG.iloc[:0]), AB)
    assert source.newest is None
    assert source.names == []
    assert read(source) == {}
    assert source.facts.matched == [0, 0]


def test_events_that_are_declared_or_numbers():
    connection = ibis.duckdb.connect()
    connection.con.register("given", pa.Table.from_pandas(LOG, preserve_index=False))
    connection.con.execute("CREATE TABLE events AS SELECT user_id, event::ENUM ('A', 'B', 'X') AS event, ts FROM given")
    funnel = replace(AB, exclusions=[Exclusion(event="never declared")])
    assert read(DatabaseSource(connection.table("events"), funnel), funnel) == {"u": 2, "v": 1, "x": 1}
    numbered = LOG.assign(event=LOG["event"].map({"A": 1, "B": 2, "X": 3}))
    funnel = Funnel(steps=[Step("a", event="1"), Step("b", event=["2", "two"])])
    assert read(DatabaseSource(in_duckdb(numbered), funnel), funnel) == {"u": 2, "v": 1, "x": 1}


def test_a_funnel_of_any_event_needs_no_event_column():
    funnel = Funnel(steps=[Step("seen"), Step("again")])
    source = DatabaseSource(in_sqlite(LOG.drop(columns="event")), funnel)
    assert read(source, funnel) == {"u": 2, "v": 2, "w": 1, "x": 1}
    assert source.names == []


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_column_is_named_with_its_neighbours(kind):
    with pytest.raises(DataError, match="no column 'user_id'") as error:
        DatabaseSource(WRITERS[kind](LOG.rename(columns={"user_id": "userid"}).assign(comment="x")), AB)
    assert "did you mean userid?" in str(error.value)
    assert "comment" in str(error.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_numbers_are_no_times(kind):
    write = in_duckdb if kind == "duckdb" else lambda events: in_sqlite(events, times="INTEGER")
    with pytest.raises(DataError, match="times are not times"):
        DatabaseSource(write(LOG.assign(ts=range(len(LOG)))), AB)


def test_memory_sets_the_size_of_a_piece():
    table = in_sqlite(LOG)
    pieces = {memory: DatabaseSource(table, AB, memory=memory).rows_at_once for memory in (None, "100MB", "1MB", "9GB")}
    assert pieces == {None: 500_000, "100MB": 200_000, "1MB": 50_000, "9GB": 500_000}
    with pytest.raises(ConfigError, match="amount of memory"):
        DatabaseSource(table, AB, memory="much")


@pytest.mark.parametrize("kind", WRITERS)
def test_journeys_of_a_table_are_those_of_a_frame(kind):
    may = periods.period("2026-05-01..2026-05-01", ZoneInfo("UTC"))
    for asked in ({}, {"period": may}, {"as_of": NOON + timedelta(hours=5)}, {"touch": "first", "memory": "1GB"}):
        one = journeys(WRITERS[kind](LOG), AB, by=["event"], **asked)
        other = journeys(LOG, AB, by=["event"], **asked)
        pd.testing.assert_frame_equal(one.frame, other.frame)
        assert (one.as_of, one.set_aside, one.absent) == (other.as_of, other.set_aside, other.absent)


def test_a_step_that_matches_nothing_is_named_with_the_event_that_was_perhaps_meant():
    funnel = Funnel(steps=[Step("visit", event="visit"), Step("buy", event="purchase")])
    events = LOG.assign(event=LOG["event"].map({"A": "visits", "B": "purchase", "X": "other"}))
    with pytest.warns(UnmatchedStep, match="did you mean the event visits"):
        assert journeys(in_sqlite(events), funnel).absent == {"visit": "visits"}
