import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import calls
from funnel_lib.errors import DataError

SOURCE = {"system": "calls", "files": "*"}
Exports = Callable[..., Export]
TWILIO = (
    "sid,from,to,direction,status,start_time,duration,price\n"
    'CA1,+8613800138000,+862088889999,inbound,completed,"Sun, 01 Mar 2026 10:00:00 +0000",65,-0.01\n'
    'CA2,+862088889999,+8613800138001,outbound-api,no-answer,"Sun, 01 Mar 2026 10:05:00 +0000",0,\n'
    'CA3,+8613800138000,+862088889999,inbound,completed,"Sun, 01 Mar 2026 11:00:00 +0000",30,\n'
    'CA4,+8613800138002,+862088889999,inbound,completed,soon,30,\n'
)  # fmt: skip


def read(export: Exports, data: str, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = calls.read(made.files(), made)
    return batch


def test_calls_become_events_of_the_person_on_the_other_side(export: Exports):
    batch = read(export, TWILIO)
    assert batch.rows[["event_id", "event", "channel"]].to_numpy().tolist() == [
        ["CA1", "call_connected", "phone"], ["CA2", "call_missed", "phone"], ["CA3", "call_connected", "phone"],
    ]  # fmt: skip
    assert batch.rows["ts"].iloc[0].isoformat() == "2026-03-01T10:00:00+00:00"
    first, second, third = batch.rows["user_id"]
    assert first == third != second  # the caller of both incoming calls; the callee of the outgoing one
    assert json.loads(batch.rows["properties"].iloc[0]) == {
        "direction": "inbound", "outcome": "completed", "talk_seconds": "65",
    }  # fmt: skip
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[5, "unreadable_time"]]


def test_numbers_are_not_kept(export: Exports):
    batch = read(export, TWILIO)
    shown = batch.rows.drop(columns=["_raw"]).to_csv() + batch.rejected.to_csv()
    assert "13800138" not in shown


def test_rows_of_ringcentral_are_read(export: Exports):
    rows = [
        {"id": "1", "from": {"phoneNumber": "+14155550100"}, "to": {"phoneNumber": "+14155550199"},
         "direction": "Inbound", "result": "Accepted", "startTime": "2026-03-01T10:00:00.000Z", "duration": 12},
        {"id": "2", "from": {"phoneNumber": "+14155550199"}, "to": {"phoneNumber": "+14155550100"},
         "direction": "Outbound", "result": "Missed", "startTime": "2026-03-01T11:00:00.000Z", "duration": 12},
    ]  # fmt: skip
    batch = read(export, "\n".join(map(json.dumps, rows)), "a.jsonl")
    assert batch.rows["event"].tolist() == ["call_connected", "call_missed"]
    assert len(set(batch.rows["user_id"])) == 1


def test_a_chinese_list_is_read(export: Exports):
    rows = (
        "通话编号,主叫号码,被叫号码,呼叫方向,开始时间,通话时长\n"
        "1,13800138000,02088889999,呼入,2026-03-01 10:00,1分5秒\n"
    )
    made = export({**SOURCE, "timezone": "Asia/Shanghai"}, {"a.csv": rows}, identity={"country": "CN"})
    (batch,) = calls.read(made.files(), made)
    assert json.loads(batch.rows["properties"].iloc[0])["talk_seconds"] == "65"


def test_a_direction_that_nobody_knows_leaves_the_person_unknown(export: Exports):
    batch = read(export, "id,from,to,direction,start,duration\n1,+14155550100,+14155550199,sideways,2026-03-01,5\n")
    assert batch.rejected["rule"].tolist() == ["missing_value"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("65", 65), ("1:05", 65), ("01:01:05", 3665), ("1小时1分", 3660), ("5秒", 5), ("1,200", 1200)]
)
def test_lengths_are_read(text: str, seconds: float):
    assert calls._seconds(text) == seconds
    assert pd.isna(calls._seconds("long"))


def test_a_list_without_lengths_is_refused(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'billsec'"):
        read(export, "id,from,start\n1,2,3\n")
