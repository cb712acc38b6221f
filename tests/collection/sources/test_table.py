from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import table
from funnel_lib.errors import ConfigError

Exports = Callable[..., Export]
EVENTS = {"system": "table", "table": "events", "files": "*", "columns": {"user_id": "id", "event": "what", "ts": "at"}}
USERS = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id", "first_seen": "at"}}
DEALS = {
    "system": "table",
    "table": "deals",
    "files": "*",
    "columns": {"record_id": "id", "status": "status", "created": "at"},
}


def read(export: Exports, source: dict[str, Any], data: str | bytes, name: str = "a.csv", **more: Any) -> Batch:
    made = export(source, {name: data}, **more)
    table.check(made)
    (batch,) = table.read(made.files(), made)
    return batch


def aside(batch: Batch) -> list[list[Any]]:
    return batch.rejected[[LINE, "rule"]].to_numpy().tolist()


def test_events_get_source_id_and_the_zone_of_their_source(export: Exports):
    batch = read(export, {**EVENTS, "timezone": "Asia/Shanghai"}, "id,what,at\nu1,buy,2026-03-01 08:00\n")
    row = batch.rows.iloc[0]
    assert (row["user_id"], row["event"], row["source"]) == ("u1", "buy", "s")
    assert row["ts"].isoformat() == "2026-03-01T00:00:00+00:00"
    assert row["event_id"].startswith("s-")


def test_event_ids_depend_on_the_whole_row(export: Exports):
    rows = "id,what,at,order\nu1,buy,2026-03-01,1\nu1,buy,2026-03-01,2\nu1,buy,2026-03-01,2\n"
    ids = read(export, EVENTS, rows).rows["event_id"].tolist()
    assert ids[0] != ids[1] == ids[2]


def test_further_columns_of_events_become_properties(export: Exports):
    source = {**EVENTS, "columns": {**EVENTS["columns"], "plan": "plan", "note": "note", "email": "mail"}}
    batch = read(
        export, source, 'id,what,at,plan,note,mail\nu1,buy,2026-03-01,"a ""b""",,x@y.example\nu2,buy,2026-03-01,,,\n'
    )
    assert batch.rows["properties"].tolist()[0] == '{"plan": "a \\"b\\""}'
    assert pd.isna(batch.rows["properties"].iloc[1])
    assert "email" not in batch.rows


def test_every_fault_names_its_line_and_rule(export: Exports):
    source = {**EVENTS, "columns": {**EVENTS["columns"], "amount": "paid"}}
    rows = [
        "id,what,at,paid", "u1,buy,2026-03-01,1", ",buy,2026-03-01,1", "u1,,2026-03-01,1", "u1,buy,,1",
        "u1,buy,01/02/2026,1",
        "u1,buy,2026-03-01,x", "u1,buy,1999-12-31,1", "u1,buy,9999-12-31,1", "1.23E+17,buy,2026-03-01,1", "u1,buy",
        ",,,",
    ]  # fmt: skip
    batch = read(export, source, "\n".join(rows))
    assert batch.rows[LINE].tolist() == [2]
    assert sorted(aside(batch)) == [
        [3, "missing_value"], [4, "missing_value"], [5, "missing_value"], [6, "unreadable_time"], [7,
        "unreadable_number"],
        [8, "ancient"], [9, "future"], [10, "rounded_id"], [11, "wrong_fields"], [12, "blank_row"],
    ]  # fmt: skip
    reasons = batch.rejected.set_index(LINE)["reason"]
    assert reasons[3] == "The column user_id is empty."
    assert reasons[6] == "ts is not a time that can be read without guessing: 01/02/2026 (day or month first?)"
    assert reasons[8].startswith("ts lies before 2000-01-01: 1999-12-31")


def test_the_earliest_day_is_one_of_the_sources_zone(export: Exports):
    rows = "id,what,at\nu1,buy,2026-01-01 00:00\nu1,buy,2025-12-31 23:59\n"
    batch = read(export, {**EVENTS, "timezone": "Asia/Shanghai"}, rows, cleaning={"earliest": "2026-01-01"})
    assert aside(batch) == [[3, "ancient"]]


def test_values_missing_and_constants_are_honoured(export: Exports):
    source = {
        **USERS, "columns": {"user_id": "id", "city": "city", "plan": "plan"}, "values": {"plan": {"Pro ": "x",
        "Pro": "paid"}},
        "missing": ["Select", "--"], "constants": {"region": "north", "first_seen": "2026-03-01"},
    }  # fmt: skip
    batch = read(export, source, "id,city,plan\nu1, Select ,Pro\nu2,--,Free\n")
    assert batch.rows["city"].isna().all()
    assert batch.rows["plan"].tolist() == ["paid", "Free"]
    assert batch.rows["region"].tolist() == ["north", "north"]
    assert batch.rows["first_seen"].dt.day.tolist() == [1, 1]


def test_attributes_called_at_or_date_are_times(export: Exports):
    source = {**USERS, "columns": {"user_id": "id", "won_at": "won", "birth_date": "born"}}
    batch = read(export, source, "id,won,born\nu1,2026-03-01 10:00,1971-05-05\nu2,,\nu3,later,\n")
    assert batch.rows["won_at"].dtype == "datetime64[us, UTC]"
    assert batch.rows["birth_date"].dt.year.tolist()[0] == 1971  # older than the business, as people are
    assert aside(batch) == [[4, "unreadable_time"]]


def test_a_time_before_another_of_its_row_is_set_aside(export: Exports):
    source = {**DEALS, "columns": {**DEALS["columns"], "closed": "closed"}, "not_before": {"closed": "created"}}
    rows = [
        "id,status,at,closed", "d1,won,2026-03-02 10:00,2026-03-01", "d2,won,2026-03-02 10:00,2026-03-02",
        "d3,won,2026-03-02,",
        "d4,lost,2026-03-02,2026-03-05",
    ]  # fmt: skip
    batch = read(export, source, "\n".join(rows))
    assert aside(batch) == [[2, "not_before"]]  # d2: the day of closing holds the hour of its creation
    assert batch.rejected["reason"].iloc[0].startswith("closed lies before created: 2026-03-01")


def test_a_status_is_open_won_or_lost(export: Exports):
    source = {**DEALS, "values": {"status": {"Engaging": "open"}}}
    batch = read(export, source, "id,status,at\nd1,Engaging,2026-03-01\nd2,Stalled,2026-03-01\nd3,,2026-03-01\n")
    assert batch.rows["status"].tolist() == ["open"]
    assert aside(batch) == [[3, "unknown_status"], [4, "missing_value"]]


def test_expected_closing_days_may_lie_ahead(export: Exports):
    source = {**DEALS, "columns": {**DEALS["columns"], "expected_close": "due"}}
    assert aside(read(export, source, "id,status,at,due\nd1,open,2026-03-01,2999-12-31\n")) == []


def test_scores_lie_between_0_and_10_and_blanks_are_no_fault(export: Exports):
    columns = {"response_id": "id", "ts": "at", "question": "q", "score": "score", "comment": "text"}
    source = {"system": "table", "table": "surveys", "files": "*", "columns": columns}
    rows = [
        "id,at,q,score,text", "r1,2026-03-01,nps,10,", "r2,2026-03-01,nps,11,", "r3,2026-03-01,nps,-1,",
        "r4,2026-03-01,nps,,",
        "r5,2026-03-01,nps,nine,", "r6,2026-03-01,why,,write to a@b.example",
    ]  # fmt: skip
    batch = read(export, source, "\n".join(rows))
    assert sorted(aside(batch)) == [[3, "score_range"], [4, "score_range"], [6, "unreadable_number"]]
    assert batch.rows["comment"].tolist()[-1] == "write to [e-mail]"


def test_personal_data_is_used_for_the_rule_and_dropped(export: Exports):
    source = {
        **USERS,
        "columns": {"user_id": "id", "email": "mail", "first_name": "name", "phone": "tel", "city": "city"},
    }
    rows = "id,mail,name,tel,city\nu1,qa@test.example,Q,1,Bonn\nu2,a@b.example,A,2,Köln\n"
    batch = read(export, source, rows, cleaning={"test_accounts": {"email": {"contains": "@test.example"}}})
    assert sorted(name for name in batch.rows if not name.startswith("_")) == ["city", "user_id"]
    assert batch.rows["_test"].tolist() == [True, False]
    assert batch.rows["_raw"].tolist() == [
        "u1,[private],[private],[private],Bonn",
        "u2,[private],[private],[private],Köln",
    ]


def test_machines_are_told_by_their_browser(export: Exports):
    source = {**EVENTS, "columns": {**EVENTS["columns"], "user_agent": "agent"}}
    rows = "id,what,at,agent\nu1,buy,2026-03-01,Mozilla Googlebot/2.1\nu2,buy,2026-03-01,Mozilla\nu3,buy,2026-03-01,\n"
    assert aside(read(export, source, rows)) == [[2, "bot"]]
    assert aside(read(export, source, rows, cleaning={"bots": []})) == []


def test_spend_from_any_table(export: Exports):
    columns = {"date": "day", "campaign": "name", "impressions": "shown", "clicks": "clicks", "cost": "cost"}
    source = {
        "system": "table", "table": "spend", "files": "*", "columns": columns, "date_format": "%d.%m.%Y",
        "constants": {"platform": "radio", "currency": "EUR"},
    }  # fmt: skip
    rows = '"day","name","shown","clicks","cost"\n"31.03.2026","a","1,000","3","12.5"\n"31.03.2026","b","1.5","3","1"\n'
    batch = read(export, source, rows)
    assert batch.rows[["date", "platform", "impressions", "cost", "currency"]].to_numpy().tolist() == [
        [pd.Timestamp("2026-03-31"), "radio", 1000.0, 12.5, "EUR"]
    ]
    assert aside(batch) == [[3, "unreadable_number"]]  # nobody sees one and a half impressions


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ({**EVENTS, "columns": {"user_id": "id", "ts": "at"}}, "needs event"),
        ({**EVENTS, "table": "surveys"}, "needs response_id, question"),
        ({**EVENTS, "table": "exposures", "columns": {
            "unit_id": "id", "experiment": "e", "variant": "v", "ts": "at", "city": "c"}}, "has no column 'city'"),
        ({**USERS, "columns": {"user_id": "id", "_line": "x"}}, "has no column '_line'"),
        ({**USERS, "values": {"cty": {"a": "b"}}}, "no such column"),
        ({**USERS, "not_before": {"won_at": "first_seen"}}, "no such column"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_give_its_table_is_refused(export: Exports, source: dict[str, Any], what: str):
    with pytest.raises(ConfigError, match=what) as error:
        table.check(export(source))
    assert str(error.value.where).startswith("sources.s.")


def test_constants_can_stand_for_required_columns(export: Exports):
    table.check(export({**EVENTS, "columns": {"user_id": "id", "ts": "at"}, "constants": {"event": "call"}}))
