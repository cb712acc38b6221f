"""Fetching a workbook's sources; the interface is HubSpot's and Fxiaoke's, the server counts what is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
import yaml

from funnel_lib.collection.rest import fetch as fetching
from funnel_lib.collection.rest.api import Stream
from funnel_lib.collection.rest.systems import INTERFACES
from funnel_lib.config import load
from funnel_lib.errors import ConfigError, DataError, NothingToDo
from tests.collection.rest.server import SECRETS, Answer, Call, Server, Shop

MS = 1_000
LOGIN = "/cgi/corpAccessToken/get/V2"
QUERY = "/cgi/crm/v2/data/query"


class Crm:
    """Fxiaoke as documented: objects, filtered by the time of their last change, by offset."""

    def __init__(self, server: Server, size: int = 2) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.size = size
        server.routes |= {LOGIN: self.login, QUERY: self.query}
        self.logins = 0

    def put(self, name: str, at: int, **fields: Any) -> None:
        self.objects[name] = {"_id": name, "last_modified_time": at, "create_time": 1, **fields}

    def login(self, call: Call) -> Answer:
        assert call.json["permanentCode"] == SECRETS["permanent_code"]
        self.logins += 1
        return Answer({"errorCode": 0, "corpAccessToken": f"corp-token-{self.logins}", "corpId": "corp-1"})

    def query(self, call: Call) -> Answer:
        body = call.json
        if body.get("corpAccessToken") != f"corp-token-{self.logins}":
            return Answer({"errorCode": 20016, "errorMessage": "token expired"})
        asked = body["data"]["search_query_info"]
        since = asked["filters"][0]["field_values"][0]
        rows = sorted(
            (one for one in self.objects.values() if one["last_modified_time"] >= since),
            key=lambda one: (one["last_modified_time"], one["_id"]),
        )
        part = rows[asked["offset"] : asked["offset"] + asked["limit"]]
        return Answer({"errorCode": 0, "data": {"dataList": part if asked["offset"] < len(rows) else []}})


@pytest.fixture
def crm(server: Server) -> Crm:
    return Crm(server)


@pytest.fixture
def deals(shop: Callable[..., Shop]) -> Shop:
    return shop("fxiaoke", streams=["opportunities"])


def ms(shop: Shop) -> int:
    return round(shop.now.timestamp() * MS)


@pytest.mark.slow
def test_only_what_changed_comes_again_and_of_each_record_the_newest_counts(crm: Crm, deals: Shop, server: Server):
    for name in "abc":
        crm.put(name, ms(deals) - 36 * 3_600 * MS, amount="1")
    deals.fetch()
    assert [row["_id"] for row in deals.rows("opportunities")] == ["a", "b", "c"]
    deals.later(days=5)
    crm.put("b", ms(deals), amount="2")
    crm.put("d", ms(deals), amount="1")
    server.calls.clear()
    outcome = deals.fetch()
    assert [(one.stream, one.rows) for one in outcome.fetched] == [("opportunities", 2)]
    assert [(row["_id"], row["amount"]) for row in deals.rows("opportunities")] == [
        ("a", "1"), ("c", "1"), ("b", "2"), ("d", "1"),
    ]  # fmt: skip
    assert len(deals.files("opportunities")) == 1
    asked = server.asked(QUERY)[0].json["data"]["search_query_info"]["filters"][0]
    assert asked["field_values"] == [ms(deals) - 6 * 86_400 * MS]  # a day before the last fetch, five days ago


@pytest.mark.slow
def test_late_rows_within_the_overlap_are_not_lost(crm: Crm, deals: Shop):
    crm.put("a", ms(deals))
    deals.fetch()
    crm.put("late", ms(deals) - 3_600 * MS)  # changed before the last fetch, seen by the system only now
    deals.later(hours=1)
    deals.fetch()
    assert {row["_id"] for row in deals.rows("opportunities")} == {"a", "late"}


@pytest.mark.slow
def test_since_fetches_everything_from_a_day_on_anew(crm: Crm, deals: Shop, server: Server):

    crm.put("a", ms(deals))
    deals.fetch()
    deals.later(days=3)
    server.calls.clear()
    deals.fetch(since=date(2026, 11, 1))
    asked = server.asked(QUERY)[0].json["data"]["search_query_info"]["filters"][0]["field_values"][0]
    assert asked == 1_793_491_200_000  # 2026-11-01T00:00Z
    assert len(deals.rows("opportunities")) == 1


@pytest.mark.slow
def test_the_stage_history_follows_from_the_fetches(crm: Crm, deals: Shop):
    crm.put("a", ms(deals), sales_stage="1", sales_stage__r="初步接洽", stg_changed_time=ms(deals) - 5_000)
    crm.put("b", ms(deals), sales_stage="1", sales_stage__r="初步接洽")
    deals.fetch()
    first = deals.now
    deals.later(days=2)
    crm.put("a", ms(deals), sales_stage="2", sales_stage__r="需求确认", stg_changed_time=ms(deals) - 60_000)
    crm.put("b", ms(deals), sales_stage="3", sales_stage__r="赢单")
    deals.fetch()
    found = [(row["record_id"], row["stage"], row["entered_at"], row["known"]) for row in deals.stages()]
    assert found == [
        ("a", "初步接洽", "2026-11-22T09:59:55+00:00", "told"),
        ("a", "需求确认", "2026-11-24T09:59:00+00:00", "told"),
        ("b", "初步接洽", "2026-11-22T10:00:00+00:00", "first_sight"),
        ("b", "赢单", "2026-11-24T10:00:00+00:00", "between"),
    ]
    assert deals.stages()[3]["entered_after"] == first.isoformat()
    assert deals.stages()[0]["left_at"] == "2026-11-24T09:59:00+00:00"


@pytest.mark.slow
def test_a_fetch_that_failed_in_the_middle_goes_on_without_loss_or_doubles(crm: Crm, deals: Shop, server: Server):
    for number in range(250):
        crm.put(f"{number:03}", ms(deals))
    server.faults = [None, None, *[Answer({}, 500)] * 5]
    with pytest.raises(DataError, match="HTTP 500"):
        deals.fetch()
    assert deals.files("opportunities") == []
    deals.fetch()
    assert [row["_id"] for row in deals.rows("opportunities")] == [f"{number:03}" for number in range(250)]


@pytest.mark.slow
def test_a_source_that_fails_does_not_stop_the_others(crm: Crm, deals: Shop, server: Server):
    crm.put("a", ms(deals))
    content = yaml.safe_load(deals.file.read_text())
    broken = json.loads(json.dumps(content["sources"]["s"], default=str))
    content["sources"] = {"broken": {**broken, "files": "broken/api/**/*"}, **content["sources"]}
    deals.file.write_text(yaml.safe_dump(content, sort_keys=False))
    outcome = deals.outcome()
    assert [one.source for one in outcome.fetched] == ["s"]
    assert "FUNNEL_BROKEN_APP_ID" in str(outcome.faults[0])


@pytest.mark.slow
def test_files_that_no_source_reads_are_named(crm: Crm, deals: Shop):
    crm.put("a", ms(deals))
    assert deals.fetch().unread == ()
    content = yaml.safe_load(deals.file.read_text())
    content["sources"]["s"]["files"] = "elsewhere/*.csv"
    deals.file.write_text(yaml.safe_dump(content, sort_keys=False))
    deals.later(hours=1)
    assert [path.parent.name for path in deals.fetch().unread] == ["opportunities"]


@pytest.mark.slow
def test_no_credential_and_no_token_is_written_anywhere(crm: Crm, deals: Shop, server: Server):
    crm.put("a", ms(deals), sales_stage="1")
    deals.fetch()
    server.routes[QUERY] = lambda call: Answer({"echo": [call.body.decode(), *SECRETS.values()]}, 400)
    deals.later(hours=1)
    outcome = deals.outcome()
    written = deals.everything() + "".join(map(str, outcome.faults)).encode()
    planted = [*SECRETS.values(), "corp-token-1"]
    assert outcome.faults
    assert not [value for value in planted if value.encode() in written]


@pytest.mark.slow
def test_a_wrong_stream_or_option_is_named_with_the_nearest(deals: Shop, crm: Crm):
    content = yaml.safe_load(deals.file.read_text())
    for part, value, match in (
        ("streams", ["oportunities"], "no such stream"), ("options", {"stagge": "x"}, "no such option"),
    ):  # fmt: skip
        content["sources"]["s"]["api"] |= {"streams": [], "options": {}, part: value}
        deals.file.write_text(yaml.safe_dump(content, sort_keys=False))
        with pytest.raises(ConfigError, match=match) as caught:
            deals.fetch()
        assert "did you mean" in str(caught.value)


def world(shop: Shop) -> fetching.World:
    return fetching.World({}, lambda: shop.now, print)


def test_only_sources_with_api_are_fetched(deals: Shop):
    book = load(deals.file)
    with pytest.raises(ConfigError, match="no such source"):
        fetching.fetch(book, world(deals), source="other")
    content = yaml.safe_load(deals.file.read_text())
    del content["sources"]["s"]["api"]
    deals.file.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(NothingToDo, match="No source"):
        fetching.fetch(load(deals.file), world(deals))


def test_a_system_without_an_interface_is_named(deals: Shop):
    content = yaml.safe_load(deals.file.read_text())
    content["sources"]["s"]["api"]["system"] = "hubspott"
    deals.file.write_text(yaml.safe_dump(content, sort_keys=False))
    outcome = fetching.fetch(load(deals.file), world(deals))
    assert "did you mean hubspot" in str(outcome.faults[0])


@pytest.mark.parametrize("name", INTERFACES)
def test_every_interface_is_declared_soundly(name: str):
    api = INTERFACES[name]
    names = [stream.name for stream in api.streams]
    assert api.system == name
    assert api.server.startswith("https://")
    assert len(names) == len(set(names))
    assert api.title
    assert api.sure
    assert any(stream.default for stream in api.streams)
    for stream in api.streams:
        assert stream.of is None or stream.of in names[: names.index(stream.name)]
        assert stream.key or not (stream.every == "changes" or stream.of)
        assert stream.file is None or stream.every in ("day", "month")


def test_streams_of_a_slice_have_no_children():
    """Children are asked for from the rows of a list; a stream by days has none."""
    for api in INTERFACES.values():
        parents: dict[str, Stream] = {stream.name: stream for stream in api.streams}
        assert all(parents[one.of].every in ("whole", "changes") for one in api.streams if one.of)
