"""From a system's interface to canonical tables: `funnel fetch` in a process of its own, then collecting."""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from funnel_lib.collection.collect import collect
from funnel_lib.collection.store import Store
from funnel_lib.config import load
from tests.collection.rest.server import SECRETS, Answer, Call, Server, Shop, make_shop

pytestmark = pytest.mark.slow  # dlt


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Server()
    yield found
    found.close()


def command(shop: Shop, *more: str) -> subprocess.Popen[str]:
    code = "import sys; from funnel_lib.cli import main; sys.argv = ['funnel', *sys.argv[1:]]; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "fetch", str(shop.file), *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, **shop.environ, "NO_PROXY": "127.0.0.1", "COLUMNS": "200"},
    )  # fmt: skip


def run(shop: Shop, *more: str) -> tuple[int, str]:
    process = command(shop, *more)
    told, _ = process.communicate(timeout=120)
    return process.returncode, told


def test_killed_in_the_middle_it_goes_on_without_loss_or_doubles(server: Server, tmp_path: Path):
    """Two days come, the third hangs at its second page and the process is killed; then it is run again."""
    hanging, released = threading.Event(), threading.Event()
    path = "/2010-04-01/Accounts/AC1/Calls.json"

    def calls(call: Call) -> Answer:
        day, page = call.query["StartTime>"], int(call.query.get("Page", 0))
        if day == "2026-11-03" and page == 1 and not released.is_set():
            hanging.set()
            released.wait(30)
        rows = [{"id": f"{day}/{page}/{i}", "sid": "x"} for i in range(3)]
        return Answer({"calls": rows, "next_page_uri": f"{path}?StartTime%3E={day}&Page=1" if page == 0 else None})

    server.routes[path] = calls
    shop = make_shop(tmp_path / "project", server, "twilio", since="2026-11-01", options={"account": "AC1"})
    process = command(shop)
    assert hanging.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    released.set()
    kept = {file.name: file.read_bytes() for file in shop.files("calls")}
    assert [name[:10] for name in kept] == ["2026-11-01", "2026-11-02"]
    asked = len(server.calls)
    code, told = run(shop)
    assert code == 0, told
    assert {call.query["StartTime>"] for call in server.calls[asked:]}.isdisjoint({"2026-11-01", "2026-11-02"})
    assert {name: (shop.raw / "s" / "api" / "calls" / name).read_bytes() for name in kept} == kept
    ids = [row["id"] for row in shop.rows("calls")]
    assert len(ids) == len(set(ids)) == 6 * len(shop.files("calls"))
    assert {f"2026-11-03/{page}/{i}" for page in (0, 1) for i in range(3)} <= set(ids)
    code, told = run(shop)
    assert code in (0, 3), told  # over midnight there is another day
    assert [row["id"] for row in shop.rows("calls")][: len(ids)] == ids


def test_the_command_says_what_failed_and_shows_no_credential(server: Server, tmp_path: Path):
    server.routes["/crm/v3/pipelines/deals"] = lambda call: Answer({"echo": call.headers["Authorization"]}, 400)
    shop = make_shop(tmp_path / "project", server, "hubspot")
    code, told = run(shop)
    assert code == 2
    assert "HTTP 400" in told
    assert SECRETS["token"] not in told
    code, told = run(shop, "--since", "yesterday")
    assert (code, "This is no day" in told) == (1, True)
    del shop.environ["FUNNEL_S_TOKEN"]
    code, told = run(shop)
    assert (code, "FUNNEL_S_TOKEN" in told) == (1, True)


def test_the_commands_of_the_page_run(server: Server, tmp_path: Path):
    page = Path(__file__).parents[2].joinpath("docs", "collect-from-apis.md").read_text(encoding="utf-8")
    shown = [shlex.split(line.removeprefix("$ "))[1:] for line in page.splitlines() if line.startswith("$ funnel ")]
    assert [arguments[0] for arguments in shown] == ["fetch", "fetch", "collect"]
    deal = {"id": "1", "properties": {"dealstage": "s", "amount": "5", "createdate": "2026-11-01T00:00:00Z"}}
    server.routes |= {
        "/crm/v3/pipelines/deals": always({"results": []}), "/crm/v3/objects/deals": always({"results": [deal]}),
        "/crm/v3/objects/contacts": always({"results": []}),
    }  # fmt: skip
    shop = make_shop(tmp_path, server, "hubspot", read_as="hubspot", since="2026-01-01")
    content = yaml.safe_load(shop.file.read_text())
    content["sources"] = {"crm": {**content["sources"]["s"], "files": "crm/**/*.jsonl.gz"}}
    shop.file.write_text(yaml.safe_dump(content, sort_keys=False))
    environ = {**os.environ, "FUNNEL_CRM_TOKEN": SECRETS["token"], "NO_PROXY": "127.0.0.1"}
    for arguments in shown:
        done = subprocess.run(
            [Path(sys.executable).with_name("funnel"), *arguments], cwd=tmp_path, env=environ, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    assert len(rows(Store(load(shop.file).processed), "deals")) == 1


# Read like any export.


def collected(shop: Shop) -> Store:
    shop.fetch()
    return collect(load(shop.file))


def rows(store: Store, table: str) -> pd.DataFrame:
    return store.read(table)  # type: ignore[arg-type]


def reading(tmp_path: Path, server: Server, system: str, *, files: str = "s/**/*.jsonl.gz", **api: Any) -> Shop:
    """Make a workbook whose source is read by its own system's module."""
    shop = make_shop(tmp_path / "project", server, system, read_as=system, **api)
    content = yaml.safe_load(shop.file.read_text())
    content["sources"]["s"]["files"] = files
    content["sources"]["s"]["api"].pop("system")
    shop.file.write_text(yaml.safe_dump(content, sort_keys=False))
    return shop


def always(body: Any) -> Callable[[Call], Answer]:
    return lambda _call: Answer(body)


def test_hubspot_becomes_deals_with_their_history_and_people(server: Server, tmp_path: Path):
    stages = [{"id": "s1", "label": "Qualified"}, {"id": "s2", "label": "Closed won"}]
    history = [
        {"value": "s2", "timestamp": "2026-11-05T08:00:00Z"}, {"value": "s1", "timestamp": "2026-11-01T08:00:00Z"},
    ]  # fmt: skip
    deal = {
        "id": "501", "properties": {
            "dealname": "Big", "dealstage": "s2", "amount": "1200.50", "deal_currency_code": "EUR",
            "createdate": "2026-10-30T08:00:00Z", "closedate": "2026-11-05T08:00:00Z", "pipeline": "default",
        }, "propertiesWithHistory": {"dealstage": history},
    }  # fmt: skip
    person = {
        "id": "7", "properties": {"email": "a@example.com", "createdate": "2026-10-01T00:00:00Z", "country": "DE"},
        "createdAt": "2026-10-01T00:00:00Z",
    }  # fmt: skip
    server.routes |= {
        "/crm/v3/pipelines/deals": always({"results": [{"id": "default", "label": "Sales", "stages": stages}]}),
        "/crm/v3/objects/deals": always({"results": [deal]}),
        "/crm/v3/objects/contacts": always({"results": [person]}),
    }
    store = collected(reading(tmp_path, server, "hubspot"))
    [found] = rows(store, "deals").to_dict("records")
    assert (found["record_id"], found["amount"], found["currency"], found["status"]) == ("501", 1200.5, "EUR", "won")
    stays = rows(store, "stage_history")
    assert stays["stage"].tolist() == ["Qualified", "Closed won"]
    assert stays["entered_at"].dt.day.tolist() == [1, 5]
    assert len(rows(store, "users")) == 1


def test_zoho_becomes_deals_with_their_history(server: Server, tmp_path: Path):
    deal = {
        "id": "61", "Stage": "Closed Won", "Amount": 5000, "Currency": "USD", "Closing_Date": "2026-11-05",
        "Created_Time": "2026-10-30T08:00:00+05:30", "Account_Name": {"id": "9", "name": "Acme"},
    }  # fmt: skip
    stays = [
        {
            "id": "1",
            "Stage": "Qualification",
            "Modified_Time": "2026-10-30T08:00:00+05:30",
            "Moved_To__s": "Closed Won",
        },
        {"id": "2", "Stage": "Closed Won", "Modified_Time": "2026-11-05T08:00:00+05:30", "Moved_To__s": None},
    ]
    server.routes |= {
        "/oauth": always({"access_token": "t-zoho-token"}), "/crm/v8/Deals": always({"data": [deal]}),
        "/crm/v8/Deals/61/Stage_History": always({"data": stays}),
    }  # fmt: skip
    options = {"login": f"{server.address}/oauth"}
    store = collected(reading(tmp_path, server, "zoho", streams=["deals", "stage_history"], options=options))
    [found] = rows(store, "deals").to_dict("records")
    assert (found["record_id"], found["amount"], found["account"]) == ("61", 5000, "Acme")
    assert rows(store, "stage_history")["stage"].tolist() == ["Qualification", "Closed Won"]


def test_hotjar_becomes_answers(server: Server, tmp_path: Path):
    answer = {
        "id": "r1", "created_time": "2026-11-20T08:00:00Z", "hotjar_user_id": "h1", "device": "mobile",
        "answers": [{"question_id": "q1", "answer": "9", "comment": None}],
    }  # fmt: skip
    server.routes |= {
        "/v1/oauth/token": always({"access_token": "t-hotjar-token"}),
        "/v1/sites/9/surveys": always({"results": [{"id": "s1", "name": "NPS"}]}),
        "/v1/sites/9/surveys/s1/responses": always({"results": [answer]}),
    }
    store = collected(reading(tmp_path, server, "hotjar", options={"site": 9}))
    assert rows(store, "surveys")["response_id"].tolist() == ["r1"]


def test_ads_become_spend(server: Server, tmp_path: Path):
    google = {
        "campaign": {"id": "1", "name": "Brand"}, "customer": {"currencyCode": "EUR"},
        "segments": {"date": "2026-11-20"},
        "metrics": {"impressions": "100", "clicks": "10", "costMicros": "12340000"},
    }  # fmt: skip
    server.routes |= {
        "/token": always({"access_token": "t-google-token"}),
        "/v26/customers/42/googleAds:searchStream": always([{"results": [google]}]),
    }
    options = {"customer": 42, "login": f"{server.address}/token"}
    store = collected(reading(tmp_path / "google", server, "google_ads", options=options))
    [found] = rows(store, "spend").to_dict("records")
    assert (found["campaign"], found["cost"], found["clicks"], found["currency"]) == ("Brand", 12.34, 10, "EUR")

    meta = {
        "campaign_id": "5", "campaign_name": "Spring", "account_currency": "GBP", "date_start": "2026-11-20",
        "date_stop": "2026-11-20", "impressions": "90", "clicks": "9", "spend": "7.50",
    }  # fmt: skip
    server.routes |= {
        "/v25.0/act_5/insights": always({"report_run_id": "77"}),
        "/v25.0/77": always({"async_status": "Job Completed", "async_percent_completion": 100}),
        "/v25.0/77/insights": always({"data": [meta], "paging": {"cursors": {"after": "x"}}}),
    }
    store = collected(reading(tmp_path / "meta", server, "meta_ads", options={"account": 5}))
    [found] = rows(store, "spend").to_dict("records")
    assert (found["campaign"], found["cost"], found["clicks"], found["currency"]) == ("Spring", 7.5, 9, "GBP")

    day = {"year": 2026, "month": 11, "day": 20}
    linkedin = {
        "dateRange": {"start": day, "end": day}, "pivotValues": ["urn:li:sponsoredCampaign:31"], "impressions": 80,
        "clicks": 8, "costInLocalCurrency": "6.25", "costInUsd": "7.00",
    }  # fmt: skip
    server.routes |= {
        "/rest/adAnalytics": always({"elements": [linkedin]}),
        "/rest/adAccounts/8/adCampaigns": always({"elements": [{"id": 31, "name": "Autumn"}]}),
    }
    store = collected(reading(tmp_path / "linkedin", server, "linkedin_ads", options={"account": 8}))
    [found] = rows(store, "spend").to_dict("records")
    assert (found["campaign"], found["cost"], found["clicks"]) == ("Autumn", 6.25, 8)


def test_amplitude_becomes_events(server: Server, tmp_path: Path):
    event = {
        "$insert_id": "i1", "amplitude_id": 5, "user_id": "u1", "event_type": "page_view",
        "event_time": "2026-11-20 07:00:00.000000", "event_properties": {}, "user_properties": {},
    }  # fmt: skip
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("7/7_2026-11-20_7#0.json.gz", gzip.compress(json.dumps(event).encode()))
    server.routes["/api/2/export"] = lambda call: (
        Answer(held.getvalue()) if call.query["start"].startswith("20261120") else Answer(status=404)
    )
    store = collected(reading(tmp_path, server, "amplitude", files="s/api/**/*.zip"))
    assert rows(store, "events")["event"].tolist() == ["page_view"]


def test_fxiaoke_becomes_deals_with_the_history_of_their_snapshots(server: Server, tmp_path: Path):
    deal = {
        "_id": "d1", "name": "大单", "amount": "88.00", "sales_stage": "1", "sales_stage__r": "初步接洽",
        "sales_status": "1", "create_time": 1_795_132_800_000, "last_modified_time": 1_795_219_200_000,
        "stg_changed_time": 1_795_132_800_000, "account_id__r": "甲公司",
    }  # fmt: skip

    def query(call: Call) -> Answer:
        asked = call.json["data"]
        first = asked["search_query_info"]["offset"] == 0
        found = [deal] if first and asked["dataObjectApiName"] == "NewOpportunityObj" else []
        return Answer({"errorCode": 0, "data": {"dataList": found}})

    server.routes |= {
        "/cgi/corpAccessToken/get/V2": always({"errorCode": 0, "corpAccessToken": "t-fx-token", "corpId": "c"}),
        "/cgi/crm/v2/data/query": query,
    }
    shop = reading(tmp_path, server, "fxiaoke")
    shop.fetch()
    shop.later(days=2)
    deal |= {"sales_stage__r": "赢单", "sales_status": "2", "stg_changed_time": 1_795_392_000_000}
    store = collected(shop)
    [found] = rows(store, "deals").to_dict("records")
    assert (found["record_id"], found["amount"], found["status"], found["stage"]) == ("d1", 88, "won", "赢单")
    stays = rows(store, "stage_history")
    assert stays["stage"].tolist() == ["初步接洽", "赢单"]
    assert [str(at)[:10] for at in stays["entered_at"]] == ["2026-11-20", "2026-11-23"]


def test_neocrm_becomes_deals(server: Server, tmp_path: Path):
    deal = {
        "id": 5, "opportunityName": "大单", "money": 1200.5, "saleStageId": 77, "stageUpdatedAt": "1795132800000",
        "createdAt": "1795132800000", "closeDate": "1795651200000",
    }  # fmt: skip

    def query(call: Call) -> Answer:
        found = [deal] if " from opportunity " in call.query["q"] else []
        return Answer({"code": 200, "result": {"records": found}})

    server.routes |= {"/auc": always({"access_token": "t-neo-token"}), "/rest/data/v2/query": query}
    store = collected(reading(tmp_path, server, "neocrm", options={"login": f"{server.address}/auc"}))
    [found] = rows(store, "deals").to_dict("records")
    assert (found["record_id"], found["amount"], str(found["created"])[:10]) == ("5", 1200.5, "2026-11-20")
    assert rows(store, "stage_history")["stage"].tolist() == ["77"]


def test_jiandaoyun_becomes_deals(server: Server, tmp_path: Path):
    titles = {"_widget_1": "商机名称", "_widget_2": "销售阶段", "_widget_3": "商机金额"}
    row = {
        "_id": "r1", "createTime": "2026-11-20T22:41:51.430Z", "_widget_1": "大单", "_widget_2": "报价",
        "_widget_3": 500,
    }  # fmt: skip
    server.routes |= {
        "/api/v5/app/entry/widget/list": always({"widgets": [{"name": n, "label": t} for n, t in titles.items()]}),
        "/api/v5/app/entry/data/list": always({"data": [row]}),
    }
    store = collected(reading(tmp_path, server, "jiandaoyun", options={"app": "a", "form": "f"}))
    [found] = rows(store, "deals").to_dict("records")
    assert (found["record_id"], found["amount"], found["stage"]) == ("r1", 500, "报价")
    assert rows(store, "stage_history")["stage"].tolist() == ["报价"]


def test_kingdee_becomes_orders_with_their_amounts(server: Server, tmp_path: Path):
    bill = {"id": "b1", "bill_no": "SO-1", "bill_date": "2026-11-20", "bill_status": "C", "customer_number": "K1"}
    lines = [{"material_name": name, "qty": 1, "all_amount": amount} for name, amount in (("螺栓", 10), ("螺母", 2.5))]
    apps = "/jdyconnector/app_management"
    pages = {"count": 1, "page": 1, "total_page": 1}
    server.routes |= {
        f"{apps}/push_app_authorize": always(
            {"errcode": 0, "data": [{"appKey": "k", "appSecret": "s-secret", "domain": "https://tf.jdy.com"}]}
        ),
        f"{apps}/kingdee_auth_token": always({"errcode": 0, "data": {"app-token": "t-kingdee-token"}}),
        "/jdy/v2/scm/sal_order": always({"errcode": 0, "data": {"rows": [bill], **pages}}),
        "/jdy/v2/scm/sal_order_detail": always({"errcode": 0, "data": {**bill, "material_entity": lines}}),
        "/jdy/v2/scm/sal_quota": always({"errcode": 0, "data": {"rows": [bill | {"bill_no": "SQ-1"}], **pages}}),
        "/jdy/v2/scm/sal_quota_detail": always(
            {"errcode": 0, "data": {**bill, "bill_no": "SQ-1", "material_entity": lines}}
        ),
    }
    store = collected(reading(tmp_path, server, "kingdee"))
    found = rows(store, "events").sort_values("event")
    assert list(zip(found["event"], found["amount"], strict=True)) == [("order", 12.5), ("quote", 12.5)]


def test_calls_and_mailings_become_events(server: Server, tmp_path: Path):
    call = {
        "sid": "CA1", "from": "+8613800138000", "to": "+862112345678", "direction": "inbound", "duration": "65",
        "status": "completed", "start_time": "Fri, 20 Nov 2026 08:00:00 +0000",
    }  # fmt: skip
    server.routes["/2010-04-01/Accounts/AC1/Calls.json"] = lambda asked: Answer(
        {"calls": [call] if asked.query["StartTime>"] == "2026-11-20" else [], "next_page_uri": None}
    )
    shop = reading(tmp_path / "calls", server, "calls", options={"account": "AC1"})
    content = yaml.safe_load(shop.file.read_text())
    content["sources"]["s"]["api"]["system"] = "twilio"
    shop.file.write_text(yaml.safe_dump(content, sort_keys=False))
    [found] = rows(collected(shop), "events").to_dict("records")
    assert (found["event"], str(found["ts"])[:16]) == ("call_connected", "2026-11-20 08:00")

    opened = {"action": "open", "timestamp": "2026-11-20T08:00:00+00:00"}
    person = {"email_id": "e1", "email_address": "a@example.com", "activity": [opened]}
    server.routes |= {
        "/3.0/reports": always({"reports": [{"id": "c1", "campaign_title": "News"}], "total_items": 1}),
        "/3.0/reports/c1/email-activity": always({"emails": [person], "total_items": 1}),
    }
    shop = reading(tmp_path / "mail", server, "mailings")
    content = yaml.safe_load(shop.file.read_text())
    content["sources"]["s"]["api"]["system"] = "mailchimp"
    shop.file.write_text(yaml.safe_dump(content, sort_keys=False))
    [found] = rows(collected(shop), "events").to_dict("records")
    assert (found["event"], found["campaign"]) == ("email_open", "News")


def test_any_interface_is_read_through_a_mapping(server: Server, tmp_path: Path):
    """Google Analytics' Data API gives costs by campaign, which `table` reads as spend."""
    row = {
        "dimensionValues": [{"value": "20261120"}, {"value": "Brand"}],
        "metricValues": [{"value": "100"}, {"value": "10"}, {"value": "12.5"}],
    }
    names = ["date", "sessionCampaignName"], ["advertiserAdImpressions", "advertiserAdClicks", "advertiserAdCost"]
    heads = {"dimensionHeaders": [{"name": n} for n in names[0]], "metricHeaders": [{"name": n} for n in names[1]]}
    server.routes |= {
        "/token": always({"access_token": "t-google-token"}),
        "/v1beta/properties/1:runReport": always({**heads, "rows": [row], "rowCount": 1}),
    }
    options = {
        "property": 1, "dimensions": ",".join(names[0]), "metrics": ",".join(names[1]),
        "login": f"{server.address}/token",
    }  # fmt: skip
    shop = make_shop(tmp_path / "project", server, "ga4", options=options)
    content = yaml.safe_load(shop.file.read_text())
    content["sources"]["s"] |= {
        "table": "spend", "files": "s/api/**/*.jsonl.gz", "constants": {"platform": "google_ads", "currency": "EUR"},
        "columns": {
            "date": "date", "campaign": "sessionCampaignName", "impressions": "advertiserAdImpressions",
            "clicks": "advertiserAdClicks", "cost": "advertiserAdCost",
        },
    }  # fmt: skip
    shop.file.write_text(yaml.safe_dump(content, sort_keys=False))
    [found] = rows(collected(shop), "spend").to_dict("records")
    assert (found["campaign"], found["cost"]) == ("Brand", 12.5)
