"""What each interface is asked, and how its answers are understood: all that needs no server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.paging import Follow
from funnel_lib.collection.rest.systems import INTERFACES, kingdee
from funnel_lib.errors import ConfigError

ASK = Ask(
    {"property": "1", "company": "acme", "rsid": "r", "site": "9", "app": "a", "form": "f", "customer": "42",
     "account": "5"},
    date(2026, 11, 1), date(2026, 11, 2), datetime(2026, 11, 1, tzinfo=UTC), parent={"id": "p1", "titles": {}},
)  # fmt: skip
PATHS = {
    "adobe/report": "POST api/acme/reports",
    "amplitude/export": "GET api/2/export",
    "fxiaoke/leads": "POST cgi/crm/v2/data/query",
    "fxiaoke/accounts": "POST cgi/crm/v2/data/query",
    "fxiaoke/opportunities": "POST cgi/crm/v2/data/query",
    "ga4/report": "POST v1beta/properties/1:runReport",
    "google_ads/spend": "POST v26/customers/42/googleAds:searchStream",
    "google_ads/clicks": "POST v26/customers/42/googleAds:searchStream",
    "hotjar/surveys": "GET v1/sites/9/surveys",
    "hotjar/responses": "GET v1/sites/9/surveys/p1/responses",
    "hubspot/stages": "GET crm/v3/pipelines/deals",
    "hubspot/deals": "GET crm/v3/objects/deals",
    "hubspot/contacts": "GET crm/v3/objects/contacts",
    "hubspot/calls": "GET crm/v3/objects/calls",
    "hubspot/feedback_submissions": "GET crm/v3/objects/feedback_submissions",
    "jiandaoyun/form": "POST api/v5/app/entry/widget/list",
    "jiandaoyun/rows": "POST api/v5/app/entry/data/list",
    "kingdee/order_list": "GET jdy/v2/scm/sal_order",
    "kingdee/order_lines": "GET jdy/v2/scm/sal_order_detail",
    "kingdee/quote_list": "GET jdy/v2/scm/sal_quota",
    "kingdee/quote_lines": "GET jdy/v2/scm/sal_quota_detail",
    "kingdee/delivery_list": "GET jdy/v2/scm/sal_out_bound",
    "kingdee/delivery_lines": "GET jdy/v2/scm/sal_out_bound_detail",
    "linkedin_ads/campaigns": "GET rest/adAccounts/5/adCampaigns?q=search",
    "linkedin_ads/spend": "GET rest/adAnalytics",
    "mailchimp/reports": "GET 3.0/reports",
    "mailchimp/activity": "GET 3.0/reports/p1/email-activity",
    "meta_ads/insights": "POST v25.0/act_5/insights",
    "neocrm/opportunities": "GET rest/data/v2/query",
    "neocrm/accounts": "GET rest/data/v2/query",
    "neocrm/leads": "GET rest/data/v2/query",
    "ringcentral/calls": "GET restapi/v1.0/account/~/call-log",
    "twilio/calls": "GET 2010-04-01/Accounts/5/Calls.json",
    "zoho/deals": "GET crm/v8/Deals",
    "zoho/stage_history": "GET crm/v8/Deals/p1/Stage_History",
    "zoho/leads": "GET crm/v8/Leads",
    "zoho/contacts": "GET crm/v8/Contacts",
    "zoho/calls": "GET crm/v8/Calls",
}


def stream(name: str) -> Any:
    system, _, which = name.partition("/")
    return next(one for one in INTERFACES[system].streams if one.name == which)


def test_every_stream_asks_at_its_documented_address():
    found: dict[str, str] = {}
    for system, api in INTERFACES.items():
        for one in api.streams:
            request = one.request(ASK)
            path = request.path.split("?q=analytics")[0]
            found[f"{system}/{one.name}"] = f"{request.method} {path}"
    assert found == PATHS


@pytest.mark.parametrize("name", PATHS)
def test_a_request_is_the_same_whenever_it_is_asked(name: str):
    one = stream(name)
    assert one.request(ASK) == one.request(ASK)
    assert isinstance(one.request(replace(ASK, since=None)), Request)


@pytest.mark.parametrize(
    ("name", "option"),
    [("ga4/report", "property"), ("adobe/report", "rsid"), ("hotjar/surveys", "site"), ("jiandaoyun/rows", "form"),
     ("google_ads/spend", "customer"), ("meta_ads/insights", "account"), ("twilio/calls", "account")],
)  # fmt: skip
def test_an_option_that_is_needed_is_asked_for(name: str, option: str):
    options = {key: value for key, value in ASK.options.items() if key != option}
    with pytest.raises(ConfigError, match=option):
        stream(name).request(replace(ASK, options=options))


def test_the_signature_of_the_vendors_example():
    expected = "ZDljMTI3NGIyNTE1MTRkYzlkNjc1MDNhYjUzMzgzNWMyY2M4YTdjMzdmNmM3YTVlNDkxMTkzNjdiOTFjNzUyZQ=="
    assert kingdee.signature("abc123", "abc") == expected


def test_the_signed_text_encodes_path_and_parameters():
    url = "https://api.kingdee.com/jdy/v2/scm/sal_order?page=1&bill_status=C&name=a%20b"
    assert kingdee.signed_text("get", url, "7", "8") == (
        "GET\n%2Fjdy%2Fv2%2Fscm%2Fsal_order\nbill_status=C&name=a%2520b&page=1\nx-api-nonce:7\nx-api-timestamp:8\n"
    )


@pytest.mark.parametrize(
    ("system", "good", "bad"),
    [
        ("fxiaoke", {"errorCode": 0}, {"errorCode": 20016, "errorMessage": "no token"}),
        ("neocrm", {"code": "200"}, {"code": 300001, "msg": "busy"}),
        ("kingdee", {"errcode": 0}, {"errcode": 1030002006, "description_cn": "stale"}),
    ],
)
def test_faults_inside_a_good_status_are_seen(system: str, good: dict[str, Any], bad: dict[str, Any]):
    fault = INTERFACES[system].fault
    assert fault(good) is None
    assert fault({"access_token": "x"}) is None
    assert str(next(iter(bad.values()))) in str(fault(bad))


def follow(name: str) -> Follow:
    paging = stream(name).paging
    assert isinstance(paging, Follow)
    return paging


def test_the_next_page_follows_the_last_row():
    rows = [{"_id": f"{i:03}", "id": i + 1} for i in range(100)]
    assert follow("jiandaoyun/rows").next({}, rows, {}) == {"data_id": "099"}
    assert follow("jiandaoyun/rows").next({}, rows[:99], {}) is None
    sent = stream("neocrm/leads").request(ASK).params
    assert follow("neocrm/leads").next({}, rows, sent)["q"].endswith("and id > 100 order by id limit 0,100")
    assert follow("neocrm/leads").next({}, [], sent) is None
    thousand = [{"pivotValues": []}] * 1000
    assert follow("linkedin_ads/spend").next({}, thousand, {"start": 1000}) == {"start": 2000}


def test_only_rows_changed_since_the_last_fetch_are_asked_for():
    filters = stream("fxiaoke/leads").request(ASK).json["data"]["search_query_info"]["filters"]
    assert filters[0]["field_values"] == [1_793_491_200_000]
    assert stream("zoho/deals").request(ASK).headers == {"If-Modified-Since": "2026-11-01T00:00:00+00:00"}
    assert stream("zoho/deals").request(replace(ASK, since=None)).headers == {}
    assert stream("kingdee/order_list").request(ASK).params["modify_start_time"] == 1_793_491_200_000


def test_meta_orders_the_level_that_is_asked_for():
    one = stream("meta_ads/insights")
    fields = one.request(replace(ASK, options={"account": "5", "level": "ad"})).params["fields"]
    assert fields.endswith("adset_id,adset_name,ad_id,ad_name")
    ready = one.job.ready
    assert ready({"async_status": "Job Completed", "async_percent_completion": 100}) is True
    assert ready({"async_status": "Job Running", "async_percent_completion": 100}) is False
    assert ready({"async_status": "Job Skipped"}) == "Job Skipped"
