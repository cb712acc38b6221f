"""Events in a real PostgreSQL server: the same journeys as from a frame, whatever its types, collations and mishaps."""

import runpy
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib import connection as talking
from funnel_lib.connection import Connection, connect
from funnel_lib.conversion.engine.database import DatabaseSource
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import DataError
from tests.conversion.engine.random_tables import NOON, Case, cases, found, local, written

pytestmark = pytest.mark.slow

HARNESS = Path(__file__).with_name("postgres.py")
postgres = SimpleNamespace(**runpy.run_path(str(HARNESS)))
AB = Funnel(steps=[Step("a", event="A"), Step("b", event="B")], window="1d")
TIMES = {"zoned": "timestamptz", "naive": "timestamp", "date": "date", "text": "text"}
TYPES = {
    "user_id": "text", "event": "text", "ts": "timestamptz", "n": "bigint", "amount": "double precision",
    "member": "boolean", "properties": "jsonb",
}  # fmt: skip
_number = count()


@pytest.fixture(scope="module")
def server():
    with postgres.server() as running:
        yield running


@pytest.fixture(scope="module")
def connection(server):
    connected = ibis.postgres.connect(**server.parameters)
    yield connected
    connected.disconnect()


def stored(connection, events, **types):
    """Write events into a new table, with the given types of columns."""
    name = f"events {next(_number)}"
    kinds = {column: {**TYPES, **types}.get(column, "text") for column in events}
    columns = ", ".join(f'"{column}" {kind}' for column, kind in kinds.items())
    connection.con.execute(f'CREATE TABLE "{name}" ({columns})')
    with connection.con.cursor() as cursor, cursor.copy(f'COPY "{name}" FROM STDIN') as copy:
        for row in events.astype(object).where(events.notna(), None).itertuples(index=False):
            copy.write_row(row)
    return connection.table(name)


def log(text):
    """Read `u:A1 u:B2`: unit, event and hour of the day."""
    words = [word.split(":") for word in text.split()]
    rows = [(unit, event[0], NOON + timedelta(hours=int(event[1:]))) for unit, event in words]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"])


LOG = log("u:A1 v:A1 u:B2 w:B5 v:X3 x:A9")
DEPTHS = {"u": 2, "v": 1, "x": 1}


def read(source, funnel=AB):
    """Return unit and depth of the journeys of a source, in order of unit."""
    journeys, _ = found(source, Case(LOG, Plan(funnel)))
    return dict(zip(journeys["unit"].to_pylist(), journeys["depth"].to_pylist(), strict=True))


@pytest.mark.parametrize("form", TIMES)
@settings(max_examples=30, deadline=None)
@given(case=cases(), rows_at_once=st.sampled_from([1, 1, 120]))
def test_finds_what_the_local_source_finds(connection, form, case, rows_at_once):
    case = replace(case, events=written(case.events, form))
    source = DatabaseSource(
        stored(connection, case.events, ts=TIMES[form]), case.plan.funnel, case.plan.by, rows_at_once=rows_at_once
    )
    with patch.object(talking, "ROWS_PER_BATCH", 50):
        journeys, facts = found(source, case)
    expected, expected_facts = local(case)
    assert journeys.equals(expected)
    assert facts == expected_facts


UNITS = {
    "bigint": ["3", "-1", str(2**60)],
    "numeric": ["3", str(2**70), "-5"],
    "uuid": [f"{n:08}-0000-0000-0000-000000000000" for n in (5, 1, 99)],
    "char(4)": ["07", "7", "seven"[:4]],
    "varchar(9)": ["07", "7", " 7"],
    "inet": ["10.0.0.1/32", "10.0.0.2/32", "9.0.0.1/32"],
}


@pytest.mark.parametrize("kind", UNITS)
def test_units_of_any_type_stay_apart(connection, kind):
    events = log("0:A1 1:A1 2:A1 0:B2 1:B2 2:B2")
    table = stored(connection, events.assign(user_id=[UNITS[kind][int(n)] for n in events["user_id"]]), user_id=kind)
    with patch.object(talking, "ROWS_PER_BATCH", 1):
        depths = read(DatabaseSource(table, AB, rows_at_once=1))
    assert {str(unit): depth for unit, depth in depths.items()} == dict.fromkeys(sorted(UNITS[kind]), 2)


def test_declared_names_of_events_and_padded_ones(connection):
    connection.con.execute("CREATE TYPE kind AS ENUM ('A', 'B', 'X')")
    never = replace(AB, exclusions=[Exclusion(event="never declared", where={"event": "nor this"})])
    for kind in ("kind", "char(20)"):
        source = DatabaseSource(stored(connection, LOG, event=kind), never)
        assert read(source, never) == DEPTHS
        assert source.names == ["A", "B", "X"]


@pytest.mark.parametrize("collation", ["en-US-x-icu", "C", "ignore_case"], ids=["linguistic", "bytes", "case ignored"])
def test_no_collation_makes_two_people_of_one_or_one_of_two(connection, collation):
    connection.con.execute(
        "CREATE COLLATION IF NOT EXISTS ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    names = [f"{start}{middle}{n}" for n in range(4) for start in "aAäb" for middle in ("", "-", "_", " ")]
    events = log(" ".join(f"{n}:A1 {n}:B2" for n in range(len(names))))
    events["user_id"] = [names[int(n)] for n in events["user_id"]]
    table = stored(connection, events, user_id=f'text COLLATE "{collation}"')
    assert read(DatabaseSource(table, AB)) == dict.fromkeys(sorted(names), 2)
    small_pieces = DatabaseSource(table, AB, rows_at_once=1)
    with patch.object(talking, "ROWS_PER_BATCH", 1):
        if collation == "ignore_case":  # a1 and A1 come mixed, in order of time
            with pytest.raises(DataError, match="do not come together"):
                read(small_pieces)
        else:
            assert read(small_pieces) == dict.fromkeys(sorted(names), 2)


def test_times_that_cannot_be(connection):
    table = stored(connection, LOG)
    rows = "('B', 'infinity'), ('A', '-infinity'), ('B', '0044-03-15 BC'), ('X', '1970-01-01'), ('A', NULL)"
    connection.con.execute(f'INSERT INTO "{table.get_name()}" (event, ts) VALUES {rows}')
    connection.con.execute(f"UPDATE \"{table.get_name()}\" SET user_id = 'u' WHERE user_id IS NULL")
    source = DatabaseSource(table, AB)
    assert source.newest == NOON + timedelta(hours=9)
    assert read(source) == DEPTHS
    assert source.facts.set_aside == {"no_unit": 0, "no_time": 1, "impossible_time": 3}


def test_amounts_with_digits_after_the_point_are_numbers(connection):
    funnel = Funnel(steps=[Step("a", event="A"), Step("b", event="B", where={"price": 100})])
    for kind in ("numeric", "numeric(10, 2)", "real"):
        table = stored(connection, LOG.assign(price="100.00"), price=kind)
        assert read(DatabaseSource(table, funnel), funnel) == DEPTHS


def test_expressions_are_read_like_tables(connection):
    table = stored(connection, LOG.rename(columns={"user_id": "who"}))
    events = table.rename(user_id="who").filter(table["who"] != "x")
    assert read(DatabaseSource(events, AB)) == {"u": 2, "v": 1}


def test_a_property_can_be_taken_out_by_the_database(connection):
    table = stored(connection, LOG.assign(properties='{"page": "/a", "n": 1.50}'))
    funnel = Funnel(steps=[Step("a", event="A", where={"page": "/a"}), Step("b", event="B", where={"n": {"gt": 1}})])
    there = table.mutate(page=table["properties"]["page"].str, n=table["properties"]["n"].float).drop("properties")
    assert read(DatabaseSource(there, funnel), funnel) == read(DatabaseSource(table, funnel), funnel) == DEPTHS


def test_a_missing_column_and_a_wrong_type(connection):
    table = stored(connection, LOG.rename(columns={"user_id": "userid"}))
    with pytest.raises(DataError, match="no column 'user_id'") as error:
        DatabaseSource(table, AB)
    assert "did you mean userid?" in str(error.value)
    with pytest.raises(DataError, match="times are not times"):
        DatabaseSource(stored(connection, LOG.assign(ts=1), ts="bigint"), AB)


def test_rows_come_through_a_cursor_of_the_server_and_the_transaction_ends(connection):
    table = stored(connection, LOG)
    with patch.object(talking, "ROWS_PER_BATCH", 1):
        batches = Connection.of(table).batches(table)
        next(batches)
        cursors = connection.con.execute("SELECT name FROM pg_cursors").fetchall()
        assert [name for (name,) in cursors if name.startswith("ibis_postgres_cursor")]
        batches.close()
        assert connection.con.info.transaction_status.name == "IDLE"
        parts = DatabaseSource(table, AB, rows_at_once=1).journeys(Plan(AB), None, None)
        next(parts)
        parts.close()
    assert connection.con.info.transaction_status.name == "IDLE"
    assert read(DatabaseSource(table, AB)) == DEPTHS


def test_the_database_is_only_read(server, connection):
    table = stored(connection, LOG)
    reader = ibis.postgres.connect(**server.parameters, options="-c default_transaction_read_only=on")
    source = DatabaseSource(reader.table(table.get_name()), AB)
    assert read(source) == DEPTHS
    assert (source.newest, source.names) == (NOON + timedelta(hours=9), ["A", "B", "X"])
    reader.disconnect()


@contextmanager
def refused():
    """Expect an error that names the database, not the password, and says what to do."""
    with pytest.raises(DataError, match="did not answer") as error:
        yield
    assert "127.0.0.1" in str(error.value.where)
    assert postgres.PASSWORD not in str(error.value)
    assert "Check that it runs" in str(error.value)


def test_connecting(server, connection):
    name = stored(connection, LOG).get_name()
    assert read(DatabaseSource(connect(server.address, name), AB)) == DEPTHS
    assert read(DatabaseSource(connect(server.address, f"public.{name}"), AB)) == DEPTHS
    with refused():
        connect(server.address.replace(postgres.PASSWORD, "guessed"), name)
    with refused():
        connect(server.address + "_of_nobody", name)
    with refused():
        connect(server.address.replace(str(server.port), "1"), name)
    with pytest.raises(DataError, match="no table"):
        connect(server.address, "event")


def test_a_table_that_may_not_be_read(server, connection):
    name = stored(connection, LOG).get_name()
    connection.con.execute(f"CREATE USER guest PASSWORD '{postgres.PASSWORD}'")
    with refused():
        read(DatabaseSource(connect(server.address.replace("//postgres", "//guest"), name), AB))


def test_a_server_that_stops():
    with postgres.server() as short_lived:
        connection = ibis.postgres.connect(**short_lived.parameters)
        source = DatabaseSource(stored(connection, LOG), AB)
        assert read(source) == DEPTHS
        parts = source.journeys(Plan(AB), None, None)
        stop(short_lived)
        with refused():
            next(parts)
        with refused():
            connect(short_lived.address, "events")


def stop(server):
    """End the server as its owner would, and wait until its port is closed."""
    import os
    import socket
    import time

    os.kill(server.pid, signal.SIGINT)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((server.host, server.port)):
                return
        time.sleep(0.05)
    raise AssertionError("the server is still there")


def test_memory_is_bounded_by_the_piece_not_by_the_table(server, connection):
    """Reading 100,000 and 800,000 rows takes about as much: all of the larger would be some 300 MB as objects."""
    peaks = []
    for rows in (100_000, 800_000):
        connection.con.execute(
            f"CREATE TABLE many_{rows} AS SELECT 'user-' || n / 10 AS user_id, chr(65 + n % 2) AS event,"
            f" timestamptz '2026-05-01' + n * interval '1 second' AS ts FROM generate_series(1, {rows}) AS n"
        )
        command = [sys.executable, str(HARNESS), "peak", server.address, f"many_{rows}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        journeys, peak = map(float, done.stdout.split())
        assert journeys == rows / 10 + 1
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 60
