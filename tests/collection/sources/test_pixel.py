import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from funnel_lib.collection.batch import LINE, RAW, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import pixel
from funnel_lib.errors import DataError

SOURCE = {"system": "pixel", "files": "*"}
Exports = Callable[..., Export]
BROWSER = "Mozilla/5.0 (X11)"


def hit(query: str, agent: str = BROWSER, status: int = 200, second: int = 0, method: str = "GET") -> str:
    return (
        f'203.0.113.7 - - [22/Nov/2026:02:20:{second:02} +0800] "{method} /px.gif{query} HTTP/1.1" {status} 43 '
        f'"https://www.baidu.com/s?wd=x" "{agent}"'
    )


def read(export: Exports, *rows: str, name: str = "access.log", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: "\n".join(rows)})
    (batch,) = pixel.read(made.files(), made)
    return batch


def test_a_hit_becomes_an_event(export: Exports):
    batch = read(export, hit("?e=purchase&aid=A1&uid=U1&v=99.5&cur=CNY&utm_campaign=%E6%98%A5&page=x&plan=%2541"))
    row = batch.rows.iloc[0]
    assert row[["event", "user_id", "amount", "currency"]].tolist() == ["purchase", "A1", 99.5, "CNY"]
    assert row["ts"].isoformat() == "2026-11-21T18:20:00+00:00"
    assert "203.0.113.7" not in batch.rows.to_csv()
    members = json.loads(row["properties"])
    assert (members["utm_campaign"], members["page"]) == ("春", "x")
    assert "plan" not in members  # not asked for; an alias of the workbook brings it along
    (batch,) = [read(export, hit("?e=x&aid=1&plan=%2541"), aliases={"events.plan": ["plan"]})]
    assert json.loads(batch.rows["properties"].iloc[0])["plan"] == "%41"  # decoded once


def test_browsers_and_logins_are_linked(export: Exports):
    rows = [
        hit("?e=a&aid=A1&uid=U1", second=9),
        hit("?e=a&aid=A1&uid=U1", second=3),
        hit("?e=a&uid=U2"),
        hit("?e=a&aid=A2"),
    ]
    batch = read(export, *rows)
    assert batch.rows["user_id"].tolist() == ["A1", "A1", "U2", "A2"]
    links = batch.derived["identities"]
    assert links[["user_id", "value", "kind", "holder"]].to_numpy().tolist() == [["U1", "A1", "anonymous", "login"]]
    assert links["first_seen"].dt.second.tolist() == [3]


def test_click_ids_belong_to_the_browser(export: Exports):
    links = read(export, hit("?e=a&aid=A1&gclid=G1")).derived["identities"]
    assert links[["user_id", "value", "holder"]].to_numpy().tolist() == [["A1", "gclid:G1", "anonymous"]]


def test_every_other_line_is_set_aside_with_its_rule(export: Exports):
    rows = [
        hit("?e=a&aid=A1"), "nonsense", hit(""), hit("?e=a&aid=A1", status=404), hit("?e=a&aid=A1", method="HEAD"),
        hit("?e=a"), hit("?e=a&aid=A1", agent="Googlebot/2.1"), hit("?e=a&aid=%00"), hit("?e=a&aid=A1&v=much"),
        "", '198.51.100.1 - - [32/Nov/2026:02:20:45 +0000] "GET /px.gif?e=a&aid=1 HTTP/1.1" 200 43', hit("?e=b&aid=A1"),
    ]  # fmt: skip
    batch = read(export, *rows)
    assert batch.rows[LINE].tolist() == [1, 12]
    assert sorted(batch.rejected[[LINE, "rule"]].to_numpy().tolist()) == [
        [2, "no_log_line"], [3, "other_request"], [4, "other_request"], [5, "other_request"], [6, "missing_value"],
        [7, "bot"], [8, "null_bytes"], [9, "unreadable_number"], [11, "unreadable_time"],
    ]  # fmt: skip
    assert not batch.rejected[RAW].str.contains(r"203\.0|198\.51", regex=True).any()


def test_the_same_hit_in_another_place_is_the_same_event(export: Exports):
    ids = read(export, hit("?e=a&aid=A1"), hit("?e=a&aid=A1"), hit("?e=a&aid=A1", second=1)).rows["event_id"]
    assert ids.iloc[0] == ids.iloc[1] != ids.iloc[2]


def test_json_lines_of_a_collector_are_read(export: Exports):
    rows = [
        {"event_name": "Purchase", "event_time": 1772323200, "event_id": "E1", "client_id": "A1", "user_id": "U1",
         "custom_data": {"value": 12.5, "currency": "EUR"}},
        {"event_name": "PageView", "event_time": 1772323201, "client_id": "A1"},
    ]  # fmt: skip
    batch = read(export, *map(json.dumps, rows), name="a.jsonl")
    assert batch.rows[["event", "user_id", "currency"]].fillna("").to_numpy().tolist() == [
        ["Purchase", "A1", "EUR"], ["PageView", "A1", ""]
    ]  # fmt: skip
    assert batch.rows["event_id"].tolist()[0] == "E1"
    assert batch.rows["event_id"].is_unique
    assert batch.derived["identities"]["user_id"].tolist() == ["U1"]


def test_a_packed_log_that_ends_too_early_gives_the_hits_before(export: Exports):
    data = gzip.compress("\n".join(hit(f"?e=a&aid=A{i}", second=i % 60) for i in range(500)).encode())[:-200]
    made = export(SOURCE, {"a.log.gz": data})
    (batch,) = pixel.read(made.files(), made)
    assert 0 < len(batch.rows) < 500
    assert batch.rejected["rule"].tolist() == ["cut_off"]


def test_what_is_no_log_is_refused(export: Exports):
    with pytest.raises(DataError, match="neither a log"):
        read(export, "id,name", "1,x")
