from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from funnel_lib.collection.finish import complete, horizon, order_reasons, wrong_order, wrong_order_sql
from funnel_lib.collection.stage import ORIGIN, POS
from funnel_lib.config import parse
from funnel_lib.schema import table

WORKBOOK = parse({
    "name": "t", "title": "t", "timezone": "Asia/Shanghai", "funnel": {"steps": [{"name": "a", "event": "b"}]},
    "sources": {"d": {"system": "table", "table": "deals", "files": "*", "columns": {"record_id": "id", "closed": "c"},
                      "not_before": {"closed": "first_seen"}}},
})  # fmt: skip


def per_day(*days: tuple[str, int]) -> pd.Series:
    return pd.Series([rows for _, rows in days], index=pd.to_datetime([day for day, _ in days]))


@pytest.mark.parametrize(
    ("days", "end"),
    [
        ([("2026-03-01", 9), ("2027-03-03", 1)], "2026-03-02"),  # 367 days after all others
        ([("2026-03-01", 9), ("2027-03-02", 1)], None),  # 366 days: a pause, perhaps
        ([("2026-03-01", 8), ("2031-01-01", 1)], None),  # nine rows prove nothing
        ([("2026-03-01", 98), ("2031-01-01", 2)], None),  # 2 of 100 are no slip
        ([("2026-03-01", 198), ("2031-01-01", 1), ("2040-01-01", 1)], "2026-03-02"),  # 1% is
        ([("2020-03-01", 1), ("2026-03-01", 99)], None),  # old is not the future
        ([], None),
    ],
)
def test_the_horizon_is_where_the_data_ends(days: list[tuple[str, int]], end: str | None):
    found = horizon(per_day(*days))
    assert found == (None if end is None else pd.Timestamp(end))


def test_a_time_is_held_against_the_attribute_of_its_person():
    people = pd.DataFrame({"user_id": ["u1"], "first_seen": pd.to_datetime(["2026-03-02T10:00Z"])})
    # March 2, 16:00 UTC is a midnight in Shanghai: the whole of March 3 there, which ends later still.
    closed = pd.to_datetime(
        ["2026-03-02T09:00Z", "2026-03-02T11:00Z", "2026-03-01T16:00Z", "2026-02-28T16:00Z", None, "2026-01-01T00:00Z"]
    )
    rows = pd.DataFrame({"user_id": ["u1"] * 5 + ["u2"], "closed": closed, ORIGIN: "d"})
    assert wrong_order(rows, "deals", people, WORKBOOK).tolist() == [True, False, False, True, False, False]
    assert not wrong_order(rows.assign(**{ORIGIN: "other"}), "deals", people, WORKBOOK).any()
    assert order_reasons(WORKBOOK)["d"] == "closed lies before first_seen."


def test_the_database_holds_times_against_attributes_as_the_frame_does(tmp_path: Path):
    people = pd.DataFrame({"user_id": ["u1"], "first_seen": pd.to_datetime(["2026-03-02T10:00Z"])})
    people.astype({"first_seen": "datetime64[us, UTC]"}).to_parquet(tmp_path / "people.parquet")
    closed = pd.to_datetime(
        ["2026-03-02T09:00Z", "2026-03-02T11:00Z", "2026-03-01T16:00Z", "2026-02-28T16:00Z", None, "2026-01-01T00:00Z"]
    ).astype("datetime64[us, UTC]")
    rows = pd.DataFrame({"user_id": ["b1"] + ["u1"] * 4 + ["u2"], "closed": closed, ORIGIN: "d", POS: range(6)})
    ids = pd.DataFrame({"value": ["b1"], "user_id": ["u1"]})
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.from_arrow(pa.Table.from_pandas(rows)).create_view("staged")
        connection.register("ids", pa.Table.from_pandas(ids))
        query = wrong_order_sql(connection, "deals", tmp_path / "people.parquet", WORKBOOK)
        assert sorted(connection.sql(query).fetchall()) == [(0,), (3,)]
        assert connection.sql(wrong_order_sql(connection, "events", None, WORKBOOK)).fetchall() == []


def test_absent_columns_are_added_empty():
    frame = complete("deals", pd.DataFrame({"record_id": ["d1"], "status": ["won"]}))
    assert set(frame) == set(table("deals").columns)
    assert frame["created"].isna().all()
