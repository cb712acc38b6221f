"""Google Analytics 4: the Data API's reports (counts by dimension; the people behind them it never gives)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth, token_from
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Offset

GOOGLE = Auth(
    needs=("client_id", "client_secret", "refresh_token"),
    login=token_from(
        "https://oauth2.googleapis.com/token", needs=("client_id", "client_secret", "refresh_token"),
        grant="refresh_token",
    ),
    place=BEARER,
)  # fmt: skip


def _report(ask: Ask) -> Request:
    body = {
        "dateRanges": [{"startDate": ask.first.isoformat(), "endDate": ask.last.isoformat()}],
        "dimensions": [{"name": name} for name in ask.listed("dimensions", "date,sessionDefaultChannelGroup")],
        "metrics": [{"name": name} for name in ask.listed("metrics", "sessions,totalUsers,keyEvents")],
    }
    return Request(f"v1beta/properties/{ask.option('property')}:runReport", "POST", json=body)


def _named(rows: list[Row], answer: Any, _ask: Ask) -> list[Row]:
    """Give each value the name that the answer's headers hold; say where the report is sampled or withholds rows."""
    names = [head["name"] for head in [*answer.get("dimensionHeaders", ()), *answer.get("metricHeaders", ())]]
    meta = answer.get("metadata", {})
    common = {"currencyCode": meta.get("currencyCode"), "timeZone": meta.get("timeZone")}
    if meta.get("samplingMetadatas"):
        common["sampled"] = True
    if meta.get("subjectToThresholding"):
        common["thresholded"] = True
    found = []
    for row in rows:
        cells = [cell.get("value") for cell in [*row.get("dimensionValues", ()), *row.get("metricValues", ())]]
        found.append({**dict(zip(names, cells, strict=True)), **common})
    return found


API = Api(
    system="ga4",
    server="https://analyticsdata.googleapis.com",
    auth=GOOGLE,
    streams=(
        Stream(
            "report", _report, every="month", overlap=timedelta(days=3), select="rows", shape=_named,
            paging=Offset(100_000, "offset", "limit", total="rowCount", in_body=True),
        ),
    ),
    options={
        "property": "number of the property", "dimensions": "names, divided by commas; date should be one of them",
        "metrics": "names, divided by commas", "login": "another address to log in at",
    },
    title="Data API v1beta, runReport",
    sure="Request and paging: vendor's reference and dlt's source; names of the answer's fields: the usual JSON of it.",
)  # fmt: skip
