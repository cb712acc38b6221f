"""GA4, Adobe Analytics, Amplitude and Hotjar, each on a server that answers as its maker documents."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.collection.rest.server import SECRETS, Answer, Call, Server, Shop

pytestmark = pytest.mark.slow  # dlt
Make = Callable[..., Shop]


def token(_call: Call) -> Answer:
    return Answer({"access_token": "fresh-token", "token_type": "Bearer", "expires_in": 3600})


def test_ga4_reports_come_in_pages_under_their_names(server: Server, shop: Make):
    def report(call: Call) -> Answer:
        asked = call.json
        assert asked["dateRanges"] == [{"startDate": "2026-11-01", "endDate": "2026-11-21"}]
        assert asked["dimensions"] == [{"name": "date"}, {"name": "eventName"}]
        rows = [
            {"dimensionValues": [{"value": "20261120"}, {"value": f"event_{i}"}], "metricValues": [{"value": str(i)}]}
            for i in range(3)
        ]
        part = {"rows": rows[asked["offset"] : asked["offset"] + 2]} if asked["offset"] < 3 else {}
        return Answer({
            "dimensionHeaders": [{"name": "date"}, {"name": "eventName"}],
            "metricHeaders": [{"name": "eventCount", "type": "TYPE_INTEGER"}], **part, "rowCount": 3,
            "metadata": {"currencyCode": "EUR", "timeZone": "Europe/Berlin", "samplingMetadatas": [{}]},
        })  # fmt: skip

    server.routes |= {"/v1beta/properties/123:runReport": report, "/token": token}
    made = shop(
        "ga4",
        options={
            "property": 123, "dimensions": "date, eventName", "metrics": "eventCount",
            "login": f"{server.address}/token",
        },
    )  # fmt: skip
    made.fetch()
    assert made.rows("report")[0] == {
        "date": "20261120", "eventName": "event_0", "eventCount": "0", "currencyCode": "EUR",
        "timeZone": "Europe/Berlin", "sampled": True,
    }  # fmt: skip
    assert server.calls[0].form["refresh_token"] == SECRETS["refresh_token"]
    assert server.calls[1].headers["Authorization"] == "Bearer fresh-token"


def test_ga4_without_a_row_leaves_no_file(server: Server, shop: Make):
    server.routes |= {"/v1beta/properties/1:runReport": lambda _call: Answer({"dimensionHeaders": []}), "/token": token}
    made = shop("ga4", options={"property": 1, "login": f"{server.address}/token"})
    assert [(one.rows, one.files) for one in made.fetch().fetched] == [(0, ())]
    assert made.files("report") == []


def test_adobe_gives_each_number_the_name_of_its_metric(server: Server, shop: Make):
    def report(call: Call) -> Answer:
        page, asked = call.json["settings"]["page"], call.json
        assert (call.headers["x-api-key"], asked["rsid"]) == (SECRETS["client_id"], "suite")
        days = asked["globalFilters"][0]["dateRange"]
        assert days in (
            "2026-11-20T00:00:00.000/2026-11-21T00:00:00.000", "2026-11-21T00:00:00.000/2026-11-22T00:00:00.000",
        )  # fmt: skip
        rows = [{"itemId": str(page), "value": f"page {page}", "data": [10 + page, 20.5]}]
        return Answer({"totalPages": 2, "firstPage": page == 0, "lastPage": page == 1, "number": page, "rows": rows})

    server.routes |= {"/api/acme/reports": report, "/ims": token}
    options = {
        "company": "acme", "rsid": "suite", "dimension": "variables/page", "metrics": "metrics/visits,metrics/revenue",
        "login": f"{server.address}/ims",
    }  # fmt: skip
    made = shop("adobe", options=options)
    made.fetch()
    assert made.rows("report")[:2] == [
        {"date": "2026-11-20", "itemId": "0", "page": "page 0", "visits": 10, "revenue": 20.5},
        {"date": "2026-11-20", "itemId": "1", "page": "page 1", "visits": 11, "revenue": 20.5},
    ]
    assert len(made.files("report")) == 2
    assert 0.5 in made.slept


def packed(day: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        event = {"$insert_id": day, "event_type": "visit", "user_id": "u", "event_time": "2026-11-20 07:00:00.000000"}
        member = zipfile.ZipInfo(f"7/7_{day}_0#0.json.gz", (2026, 11, 20, 0, 0, 0))  # the same bytes at any time
        file.writestr(member, gzip.compress(json.dumps(event).encode(), mtime=0))
    return held.getvalue()


def test_amplitude_keeps_the_zip_of_each_day(server: Server, shop: Make):
    def export(call: Call) -> Answer:
        assert call.headers["Authorization"].startswith("Basic ")
        start, end = call.query["start"], call.query["end"]
        assert (start[-3:], end[-3:], start[:8]) == ("T00", "T23", end[:8])
        return Answer(status=404) if start.startswith("20261121") else Answer(packed(start[:8]))

    server.routes["/api/2/export"] = export
    server.faults = [Answer(packed("20261120"), cut=True)]
    made = shop("amplitude")
    made.fetch()
    [only] = made.files("export")
    assert only.read_bytes() == packed("20261120")
    assert only.name.startswith("2026-11-20_2026-11-20.")
    asked = len(server.calls)
    made.later(hours=1)
    made.fetch()
    assert len(server.calls) == asked  # the days are complete, the empty one too


def test_amplitudes_days_are_those_of_utc_wherever_the_business_is(server: Server, shop: Make):
    """At 17:00 UTC it is the 23rd in Shanghai; the 22nd of UTC is not over, and must not be fetched as complete."""
    asked: set[str] = set()

    def export(call: Call) -> Answer:
        asked.add(call.query["start"][:8])
        return Answer(packed(call.query["start"][:8]))

    server.routes["/api/2/export"] = export
    made = shop("amplitude")
    made.file.write_text(made.file.read_text().replace("timezone: UTC", "timezone: Asia/Shanghai"))
    made.later(hours=7)
    made.fetch()
    assert asked == {"20261120", "20261121"}


def test_hotjar_brings_the_answers_of_every_survey(server: Server, shop: Make):
    def answers(survey: str) -> Callable[[Call], Answer]:
        def found(call: Call) -> Answer:
            at = int(call.query.get("cursor", 0))
            row = {"id": f"{survey}-{at}", "answers": [{"question_id": "q", "answer": 9}]}
            return Answer({"results": [row], "next_cursor": str(at + 1) if at < 1 else None})

        return found

    surveys: list[dict[str, Any]] = [{"id": "s1", "name": "NPS"}, {"id": "s2", "name": "Exit"}]
    server.routes |= {
        "/v1/oauth/token": token,
        "/v1/sites/9/surveys": lambda _call: Answer({"results": surveys, "next_cursor": None}),
        "/v1/sites/9/surveys/s1/responses": answers("s1"), "/v1/sites/9/surveys/s2/responses": answers("s2"),
    }  # fmt: skip
    made = shop("hotjar", options={"site": 9})
    made.fetch()
    found = [(row["survey_name"], row["id"]) for row in made.rows("responses")]
    assert found == [("NPS", "s1-0"), ("NPS", "s1-1"), ("Exit", "s2-0"), ("Exit", "s2-1")]
    assert server.calls[0].form == {
        "grant_type": "client_credentials", "client_id": SECRETS["client_id"],
        "client_secret": SECRETS["client_secret"],
    }  # fmt: skip
    surveys.pop()
    made.later(hours=1)
    made.fetch()
    assert {row["survey_name"] for row in made.rows("responses")} == {"NPS"}
    assert len(list((made.raw / "s" / "api" / "responses" / ".past").iterdir())) == 1
