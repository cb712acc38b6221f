from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from funnel_lib.collection.collect import collect
from funnel_lib.collection.finish import complete, horizon, order_reasons, wrong_order, wrong_order_sql
from funnel_lib.collection.stage import ORIGIN, POS
from funnel_lib.config import Workbook, parse
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


def mapped(name: str, files: str, **columns: str) -> dict[str, Any]:
    return {"system": "table", "table": name, "files": files, "columns": columns}


def deals(files: str, **more: Any) -> dict[str, Any]:
    return {**mapped("deals", files, record_id="id", status="how", created="at", amount="sum"), **more}


TWO = {
    "a.csv": "id,how,at,sum\n1001,won,2026-03-01,5\n1002,open,2026-03-02,7\n",
    "b.csv": "id,how,at,sum\n1001,lost,2026-03-03,90\n",
}


def test_deals_of_two_systems_with_the_same_id_stay_two(book: Callable[..., Workbook]):
    store = collect(book({"north": deals("a.csv"), "south": deals("b.csv")}, TWO))
    found = store.read("deals")
    assert found[["record_id", "source", "status", "amount"]].to_numpy().tolist() == [
        ["1001", "north", "won", 5.0], ["1001", "south", "lost", 90.0], ["1002", "north", "open", 7.0],
    ]  # fmt: skip
    assert store.tally().query("outcome == 'merged'").empty


@pytest.mark.parametrize("told", ["one source", "a constant", "a column"])
def test_deals_of_one_system_are_one_however_they_come(book: Callable[..., Workbook], told: str):
    south = {"constants": {"source": "north"}} if told == "a constant" else {}
    sources = {"north": deals("[ab].csv")} if told == "one source" else {
        "north": deals("a.csv"), "south": deals("b.csv", **south)
    }  # fmt: skip
    files = dict(TWO)
    if told == "a column":  # an export of a warehouse says where each row is from; where it does not, it is the source
        sources["south"]["columns"]["source"] = "system"
        files["b.csv"] = "id,how,at,sum,system\n1001,lost,2026-03-03,90,north\n1002,won,2026-03-03,8,\n"
    store = collect(book(sources, files))
    rows = store.read("deals").set_index(["record_id", "source"])["status"].to_dict()
    expected = {("1001", "north"): "lost", ("1002", "north"): "open"}
    assert rows == (expected if told != "a column" else {**expected, ("1002", "south"): "won"})
    assert store.tally().query("rule == 'same_record'")["rows"].tolist() == [1]


def test_stays_and_answers_of_two_systems_stay_apart_too(book: Callable[..., Workbook]):
    stays = mapped("stage_history", "s*.csv", record_id="id", stage="what", entered_at="at")
    answers = mapped("surveys", "q*.csv", response_id="id", question="what", ts="at")
    files = {
        **{f"s{name}.csv": f"id,what,at\n1001,Demo,2026-03-0{name}\n" for name in (1, 2)},
        **{f"q{name}.csv": f"id,what,at\n1,Why?,2026-03-0{name}\n" for name in (1, 2)},
    }
    sources = {
        "north": {**stays, "files": "s1.csv", "constants": {"source": "crm"}}, "south": {**stays, "files": "s2.csv"},
        "asked": {**answers, "files": "q1.csv"}, "written": {**answers, "files": "q2.csv"},
    }  # fmt: skip
    store = collect(book(sources, files))
    assert store.read("stage_history")[["record_id", "source"]].to_numpy().tolist() == [
        ["1001", "crm"], ["1001", "south"],
    ]  # fmt: skip
    assert store.read("surveys")[["response_id", "source"]].to_numpy().tolist() == [["1", "asked"], ["1", "written"]]
    assert store.tally().query("outcome == 'quarantined'").empty


def test_events_of_two_systems_with_the_same_id_stay_two(book: Callable[..., Workbook]):
    log = mapped("events", "a.csv", event_id="id", user_id="who", event="what", ts="at")
    row = "id,who,what,at\n1,u1,visit,2026-03-01\n"
    files = {"a.csv": row, "b.csv": row + row.splitlines()[1].replace("visit", "again") + "\n"}
    store = collect(book({"shop": log, "app": {**log, "files": "b.csv"}}, files))
    assert store.read("events")[["event_id", "source", "event"]].to_numpy().tolist() == [
        ["1", "app", "visit"], ["1", "shop", "visit"],
    ]  # fmt: skip
    assert store.tally().query("rule == 'duplicate_event'")[["source", "rows"]].to_numpy().tolist() == [["app", 1]]
