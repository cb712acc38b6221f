"""Google, Meta and LinkedIn Ads, Mailchimp and telephone calls, each on a server that answers as is documented."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from funnel_lib.errors import DataError
from tests.collection.rest.server import SECRETS, Answer, Call, Server, Shop

pytestmark = pytest.mark.slow  # dlt
Make = Callable[..., Shop]


@pytest.mark.parametrize("sizes", [(2, 1), (1,), (), (0, 3)])
def test_google_ads_answers_with_batches(sizes: tuple[int, ...], server: Server, shop: Make):
    def search(call: Call) -> Answer:
        assert call.headers["developer-token"] == SECRETS["developer_token"]
        assert call.headers["login-customer-id"] == SECRETS["login_customer_id"]
        assert call.json["query"].endswith("segments.date BETWEEN '2026-11-01' AND '2026-11-21'")
        row = {"campaign": {"id": "1", "name": "Brand"}, "metrics": {"costMicros": "1500000"},
               "segments": {"date": "2026-11-20"}}  # fmt: skip
        return Answer([{"results": [row] * size, "requestId": "r"} for size in sizes])

    server.routes |= {
        "/v26/customers/42/googleAds:searchStream": search,
        "/token": lambda _call: Answer({"access_token": "g-token"}),
    }  # fmt: skip
    made = shop("google_ads", options={"customer": 42, "login": f"{server.address}/token"})
    assert [one.rows for one in made.fetch().fetched] == [sum(sizes)]
    assert [row["metrics"]["costMicros"] for row in made.rows("spend")] == ["1500000"] * sum(sizes)


def test_spend_that_is_restated_replaces_the_months_file(server: Server, shop: Make):
    cost = ["1"]
    row = {"campaign": {"name": "Brand"}, "segments": {"date": "2026-11-20"}}
    server.routes |= {
        "/v26/customers/42/googleAds:searchStream": lambda _call: Answer(
            [{"results": [row | {"metrics": {"costMicros": cost[0]}}]}]
        ),
        "/token": lambda _call: Answer({"access_token": "g-token"}),
    }
    made = shop("google_ads", options={"customer": 42, "login": f"{server.address}/token"})
    made.fetch()
    cost[0] = "2"
    made.later(hours=3)
    made.fetch()
    assert [row["metrics"]["costMicros"] for row in made.rows("spend")] == ["2"]
    assert len(list((made.raw / "s" / "api" / "spend" / ".past").iterdir())) == 1


def meta(server: Server, *states: dict[str, Any]) -> None:
    left = list(states)

    def order(call: Call) -> Answer:
        assert call.method == "POST"
        assert call.headers["Authorization"] == f"Bearer {SECRETS['token']}"
        assert json.loads(call.query["time_range"]) == {"since": "2026-11-01", "until": "2026-11-21"}
        return Answer({"report_run_id": "77"})

    def insights(call: Call) -> Answer:
        at = int(call.query.get("after", 0))
        paging: dict[str, Any] = {"cursors": {"before": "x", "after": str(at + 1)}}
        if at < 2:
            paging["next"] = f"https://graph.facebook.com/77/insights?access_token={SECRETS['token']}"
        row = {"campaign_id": str(at), "date_start": "2026-11-20", "spend": "12.34"}
        return Answer({"data": [row], "paging": paging})

    server.routes |= {
        "/v25.0/act_5/insights": order, "/v25.0/77": lambda _call: Answer(left.pop(0)),
        "/v25.0/77/insights": insights,
    }  # fmt: skip


def test_meta_waits_for_its_report_and_ends_with_the_last_page(server: Server, shop: Make):
    running = {"async_status": "Job Running", "async_percent_completion": 40}
    meta(server, running, running, {"async_status": "Job Completed", "async_percent_completion": 100})
    made = shop("meta_ads", options={"account": 5})
    made.fetch()
    assert [row["campaign_id"] for row in made.rows("insights")] == ["0", "1", "2"]
    assert made.slept[:2] == [10, 10]
    assert SECRETS["token"].encode() not in made.everything()


def test_meta_says_that_its_report_failed(server: Server, shop: Make):
    meta(server, {"async_status": "Job Failed", "async_percent_completion": 0})
    with pytest.raises(DataError, match="Job Failed"):
        shop("meta_ads", options={"account": 5}).fetch()


def test_linkedin_keeps_its_brackets_and_flattens_the_day(server: Server, shop: Make):
    def spend(call: Call) -> Answer:
        assert "dateRange=(start:(year:2026,month:11,day:1),end:(year:2026,month:11,day:21))" in call.target
        assert "accounts=List(urn%3Ali%3AsponsoredAccount%3A8)" in call.target
        assert call.headers["X-Restli-Protocol-Version"] == "2.0.0"
        start = {"year": 2026, "month": 11, "day": 5}
        row = {"dateRange": {"start": start, "end": start}, "pivotValues": ["urn:li:sponsoredCampaign:31"]}
        return Answer({"elements": [row], "paging": {"links": []}})

    def campaigns(call: Call) -> Answer:
        first = "pageToken" not in call.query
        meta = {"metadata": {"nextPageToken": "t2"}} if first else {}
        return Answer({"elements": [{"id": 31 if first else 32, "name": "Spring"}], **meta})

    server.routes |= {"/rest/adAnalytics": spend, "/rest/adAccounts/8/adCampaigns": campaigns}
    made = shop("linkedin_ads", options={"account": 8})
    made.fetch()
    [row] = made.rows("spend")
    assert (row["date"], row["campaign_id"], row["campaign_name"]) == ("2026-11-05", "31", "Spring")
    assert [row["id"] for row in made.rows(".lookup/campaigns")] == [31, 32]


def test_mailchimp_gives_one_row_for_each_action(server: Server, shop: Make):
    def activity(call: Call) -> Answer:
        at = int(call.query["offset"])
        acts = [{"action": "open", "timestamp": "2026-11-20T08:00:00+00:00"}, {"action": "click", "url": "/a"}]
        people = [
            {"email_id": "e1", "email_address": "a@example.com", "activity": acts},
            {"email_id": "e2", "activity": []},
        ]
        return Answer({"emails": people[at : at + int(call.query["count"])], "total_items": 2})

    def reports(call: Call) -> Answer:
        assert call.headers["Authorization"].startswith("Basic ")
        assert call.query["since_send_time"] == "2026-11-20T00:00:00Z"
        return Answer({"reports": [{"id": "c1", "campaign_title": "News", "emails_sent": 2}], "total_items": 1})

    server.routes |= {"/3.0/reports": reports, "/3.0/reports/c1/email-activity": activity}
    made = shop("mailchimp")
    made.fetch()
    found = [(row["campaign_id"], row["email_id"], row["action"]) for row in made.rows("activity")]
    assert found == [("c1", "e1", "open"), ("c1", "e1", "click")]


def test_twilio_follows_the_link_to_the_next_page(server: Server, shop: Make):
    path = "/2010-04-01/Accounts/AC1/Calls.json"

    def calls(call: Call) -> Answer:
        at = int(call.query.get("Page", 0))
        day = call.query["StartTime>"]
        follow = f"{path}?PageSize=1000&StartTime%3E={day}&Page=1" if at == 0 else None
        return Answer({"calls": [{"sid": f"CA{day}{at}", "duration": "65"}], "next_page_uri": follow})

    server.routes[path] = calls
    made = shop("twilio", options={"account": "AC1"})
    made.fetch()
    assert [row["sid"] for row in made.rows("calls")] == [
        "CA2026-11-200",
        "CA2026-11-201",
        "CA2026-11-210",
        "CA2026-11-211",
    ]
    assert server.calls[0].query["StartTime<"] == "2026-11-21"


def test_ringcentral_numbers_its_pages(server: Server, shop: Make):
    def login(call: Call) -> Answer:
        assert call.headers["Authorization"].startswith("Basic ")
        assert call.form["assertion"] == SECRETS["jwt"]
        return Answer({"access_token": "rc-token"})

    def calls(call: Call) -> Answer:
        page = int(call.query["page"])
        assert call.headers["Authorization"] == "Bearer rc-token"
        return Answer({"records": [{"id": f"{call.query['dateFrom'][:10]}/{page}"}], "paging": {"totalPages": 2}})

    server.routes |= {"/restapi/oauth/token": login, "/restapi/v1.0/account/~/call-log": calls}
    made = shop("ringcentral")
    made.fetch()
    assert [row["id"] for row in made.rows("calls")] == ["2026-11-20/1", "2026-11-20/2", "2026-11-21/1", "2026-11-21/2"]
    assert 6.0 in made.slept
