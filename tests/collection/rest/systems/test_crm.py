"""HubSpot, Zoho CRM, 简道云, 销售易 and 金蝶云星辰, each on a server that answers as is documented or known of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.collection.rest.server import SECRETS, Answer, Call, Server, Shop

pytestmark = pytest.mark.slow  # dlt
Make = Callable[..., Shop]


def entry(stage: str, at: str) -> dict[str, str]:
    return {"value": stage, "timestamp": at, "sourceType": "CRM_UI"}


def test_hubspot_deals_bring_the_history_of_their_stages(server: Server, shop: Make):
    deals = [
        {
            "id": str(i), "properties": {"dealstage": "won", "amount": "10.50"}, "archived": False,
            "propertiesWithHistory": {"dealstage": [
                entry("won", "2026-11-05T08:00:00Z"), entry("new", "2026-11-01T08:00:00Z")
            ]},
        }
        for i in range(3)
    ]  # fmt: skip

    def listed(call: Call) -> Answer:
        assert call.headers["Authorization"] == f"Bearer {SECRETS['token']}"
        assert (call.query["limit"], call.query["propertiesWithHistory"]) == ("50", "dealstage")
        at = int(call.query.get("after", 0))
        more = {"paging": {"next": {"after": str(at + 2), "link": "ignored"}}} if at < 2 else {}
        return Answer({"results": deals[at : at + 2], **more})

    stages = [{"id": "new", "label": "New", "metadata": {"isClosed": "false"}}, {"id": "won", "label": "Won"}]
    server.routes |= {
        "/crm/v3/objects/deals": listed,
        "/crm/v3/objects/contacts": lambda _call: Answer({"results": []}),
        "/crm/v3/pipelines/deals": lambda _call: Answer({"results": [{"id": "p", "label": "Sales", "stages": stages}]}),
    }  # fmt: skip
    made = shop("hubspot")
    made.fetch()
    assert [row["id"] for row in made.rows("deals")] == ["0", "1", "2"]
    assert made.rows("deals")[0]["properties"] == {"dealstage": "won", "dealstage_label": "Won", "amount": "10.50"}
    history = made.rows("deals")[0]["propertiesWithHistory"]["dealstage"]
    assert [(one["value"], one["label"]) for one in history] == [("won", "Won"), ("new", "New")]
    assert [(row["pipeline"], row["id"], row["label"]) for row in made.rows(".lookup/stages")] == [
        ("p", "new", "New"), ("p", "won", "Won"),
    ]  # fmt: skip


class Zoho:
    """Deals with their history; two rows a page, then a token; nothing new is 304."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stays: dict[str, list[dict[str, Any]]] = {}
        self.logins = 0
        server.routes |= {"/oauth": self.login, "/crm/v8/Deals": self.deals}

    def put(self, deal: str, *stays: tuple[str, str]) -> None:
        self.stays[deal] = [{"id": f"{deal}{i}", "Stage": s, "Modified_Time": at} for i, (s, at) in enumerate(stays)]
        self.server.routes[f"/crm/v8/Deals/{deal}/Stage_History"] = lambda _call: (
            Answer({"data": self.stays[deal], "info": {"more_records": False}})
            if self.stays[deal]
            else Answer(status=204)
        )

    def login(self, call: Call) -> Answer:
        assert call.form["grant_type"] == "refresh_token"
        self.logins += 1
        return Answer({"access_token": f"zoho-{self.logins}", "expires_in": 3600})

    def deals(self, call: Call) -> Answer:
        if call.headers["Authorization"] != f"Zoho-oauthtoken zoho-{self.logins}":
            return Answer({"code": "INVALID_TOKEN"}, 401)
        assert re.fullmatch(r"2026-11-\d\dT\d\d:00:00\+00:00", call.headers["If-Modified-Since"])
        names = list(self.stays)
        at = int(call.query.get("page_token", 0))
        if not names:
            return Answer(status=304)
        more = at + 2 < len(names)
        return Answer({
            "data": [{"id": name, "Stage": self.stays[name][-1]["Stage"]} for name in names[at : at + 2]],
            "info": {"more_records": more, "next_page_token": str(at + 2) if more else None},
        })  # fmt: skip


def test_zoho_deals_come_with_their_stage_history(server: Server, shop: Make):
    zoho = Zoho(server)
    for name in "abc":
        zoho.put(name, ("New", "2026-11-01T08:00:00+05:30"))
    made = shop("zoho", streams=["deals", "stage_history"], options={"login": f"{server.address}/oauth"})
    made.fetch()
    assert [row["Deal_Id"] for row in made.rows("stage_history")] == ["a", "b", "c"]
    made.later(days=1)
    zoho.stays.clear()
    zoho.put("b", ("New", "2026-11-01T08:00:00+05:30"), ("Won", "2026-11-22T18:30:00+08:00"))
    made.fetch()
    assert [(row["id"], row["Stage"]) for row in made.rows("deals")] == [("a", "New"), ("c", "New"), ("b", "Won")]
    assert [(row["Deal_Id"], row["Stage"]) for row in made.rows("stage_history")] == [
        ("a", "New"), ("c", "New"), ("b", "New"), ("b", "Won"),
    ]  # fmt: skip


def test_zoho_without_changes_says_304(server: Server, shop: Make):
    zoho = Zoho(server)
    zoho.put("a", ("New", "2026-11-01T08:00:00Z"))
    made = shop("zoho", streams=["deals", "stage_history"], options={"login": f"{server.address}/oauth"})
    made.fetch()
    before = made.files("deals")
    zoho.stays.clear()
    made.later(days=1)
    assert [one.rows for one in made.fetch().fetched] == [0, 0]
    assert made.files("deals") == before


def test_zoho_gets_a_new_token_when_the_old_one_expires_between_pages(server: Server, shop: Make):
    zoho = Zoho(server)
    for name in "abcd":
        zoho.put(name, ("New", "2026-11-01T08:00:00Z"))
    made = shop("zoho", streams=["deals"], options={"login": f"{server.address}/oauth"})
    page = zoho.deals

    def expiring(call: Call) -> Answer:
        found = page(call)
        if call.query.get("page_token") and zoho.logins == 1:
            zoho.logins = 5
            return Answer({"code": "INVALID_TOKEN"}, 401)
        return found

    server.routes["/crm/v8/Deals"] = expiring
    made.fetch()
    assert [row["id"] for row in made.rows("deals")] == ["a", "b", "c", "d"]
    assert len(server.asked("/oauth")) == 2


def test_jiandaoyun_goes_on_after_the_last_row_and_knows_titles(server: Server, shop: Make):
    rows = [{"_id": f"{i:03}", "createTime": "2026-11-01T00:00:00.000Z", "_widget_1": "线索", "_widget_2": i,
             "_widget_3": "x", "_widget_4": "y"} for i in range(230)]  # fmt: skip

    def listed(call: Call) -> Answer:
        asked = call.json
        assert (asked["app_id"], asked["entry_id"], asked["limit"]) == ("app", "form", 100)
        return Answer({"data": [row for row in rows if row["_id"] > asked["data_id"]][:100]})

    widgets = {"_widget_1": "销售阶段", "_widget_2": "金额", "_widget_3": "备注", "_widget_4": "备注"}
    server.routes |= {
        "/api/v5/app/entry/data/list": listed,
        "/api/v5/app/entry/widget/list": lambda _call: Answer({
            "widgets": [{"name": name, "label": title} for name, title in widgets.items()]
        }),
    }  # fmt: skip
    made = shop("jiandaoyun", options={"app": "app", "form": "form"})
    made.fetch()
    found = made.rows("rows")
    assert [row["_id"] for row in found] == [f"{i:03}" for i in range(230)]
    assert found[0]["销售阶段"] == "线索"
    assert (found[0]["_widget_3"], found[0]["_widget_4"]) == ("x", "y")
    assert len(server.asked("/api/v5/app/entry/data/list")) == 3
    rows[0]["_widget_1"] = "赢单"
    made.later(days=7)
    made.fetch()
    stays = [
        (row["stage"], row["entered_at"], row["entered_after"]) for row in made.stages() if row["record_id"] == "000"
    ]
    assert stays == [
        ("线索", "2026-11-22T10:00:00+00:00", None),
        ("赢单", "2026-11-29T10:00:00+00:00", "2026-11-22T10:00:00+00:00"),
    ]


@pytest.mark.parametrize("good", [200, "200", 0, "0"])
def test_neocrm_asks_in_the_order_of_ids(good: object, server: Server, shop: Make):
    rows = [{"id": i + 1, "saleStageId": 7, "stageUpdatedAt": "1793491200000"} for i in range(150)]

    def query(call: Call) -> Answer:
        text = call.query["q"]
        found = re.fullmatch(
            r"select id,(?P<fields>[\w,]+) from (?P<object>\w+) where updatedAt >= (?P<since>\d+) "
            r"and id > (?P<after>\d+) order by id limit 0,100", text,
        )  # fmt: skip
        assert found, text
        assert found["since"] == "1795132800000"  # 2026-11-20T00:00Z
        part = (
            [row for row in rows if row["id"] > int(found["after"])][:100] if found["object"] == "opportunity" else []
        )
        return Answer({"code": good, "msg": "OK", "result": {"totalSize": 150, "count": len(part), "records": part}})

    def login(call: Call) -> Answer:
        assert call.form["password"] == SECRETS["password"] + SECRETS["security_token"]
        return Answer({"access_token": "neo-token", "expires_in": 86400})

    server.routes |= {"/rest/data/v2/query": query, "/auc": login}
    made = shop("neocrm", options={"login": f"{server.address}/auc"})
    made.fetch()
    assert [row["id"] for row in made.rows("opportunities")] == list(range(1, 151))
    assert made.stages()[0]["entered_at"] == "2026-11-01T00:00:00+00:00"
    assert made.files("accounts") == []


def signed(call: Call) -> None:
    """Check the signature as the gateway does."""
    stamp, nonce = call.headers["X-Api-TimeStamp"], call.headers["X-Api-Nonce"]
    query = "&".join(f"{k}={quote(quote(v, safe=''), safe='')}" for k, v in sorted(call.query.items()))
    path = quote(call.path, safe="")
    text = f"{call.method}\n{path}\n{query}\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"
    expected = hmac.new(SECRETS["client_secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    assert call.headers["X-Api-Signature"] == base64.b64encode(expected.encode()).decode()
    assert call.headers["X-Api-ClientID"] == SECRETS["client_id"]


def test_kingdee_signs_its_calls_and_renews_its_key(server: Server, shop: Make):
    stale: list[int] = []

    def keys(call: Call) -> Answer:
        signed(call)
        assert call.query["outerInstanceId"] == SECRETS["outer_instance_id"]
        return Answer(
            {"errcode": 0, "data": [{"appKey": "abc", "appSecret": "abc123", "domain": "https://tf.jdy.com"}]}
        )

    def token(call: Call) -> Answer:
        signed(call)
        assert call.query["app_key"] == "abc"
        assert call.query["app_signature"].startswith("ZDljMTI3NGIyNTE1MTRk")
        return Answer({"errcode": 0, "data": {"app-token": f"kd-{len(server.asked(call.path))}"}})

    def orders(call: Call) -> Answer:
        signed(call)
        page = int(call.query["page"])
        if page == 2 and not stale:
            stale.append(1)
            return Answer({"errcode": 1030002006, "description_cn": "密钥已失效"})
        assert call.headers["app-token"] == f"kd-{1 + len(stale)}"
        assert call.headers["X-GW-Router-Addr"] == "https://tf.jdy.com"
        rows = [{"id": f"{page}{i}", "bill_no": f"SO-{page}{i}", "bill_status": "C"} for i in range(2)]
        return Answer({"errcode": 0, "data": {"rows": rows, "count": 6, "page": page, "total_page": 3}})

    def detail(call: Call) -> Answer:
        signed(call)
        goods = [{"material_name": name, "qty": "3", "all_amount": "9.90"} for name in ("螺栓", "螺母")]
        return Answer({"errcode": 0, "data": {"id": call.query["id"], "bill_no": "SO", "material_entity": goods}})

    apps = "/jdyconnector/app_management"
    server.routes |= {
        f"{apps}/push_app_authorize": keys, f"{apps}/kingdee_auth_token": token,
        "/jdy/v2/scm/sal_order": orders, "/jdy/v2/scm/sal_order_detail": detail,
    }  # fmt: skip
    made = shop("kingdee", streams=["order_lines"])
    made.fetch()
    bills = ["10", "11", "20", "21", "30", "31"]
    assert [row["id"] for row in made.rows(".lookup/order_list")] == bills
    assert [row["id"] for row in made.rows("order_lines")] == [bill for bill in bills for _ in range(2)]
    assert made.rows("order_lines")[1] == {
        "id": "10", "bill_no": "SO", "bill_type": "sal_order", "material_name": "螺母", "qty": "3",
        "all_amount": "9.90",
    }  # fmt: skip
    assert len(server.asked(f"{apps}/kingdee_auth_token")) == 2
