"""Adobe Analytics: reports of the API 2.0 (counts by one dimension; hits come in the data feed)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth, header, headers, token_from
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Numbered


def _report(ask: Ask) -> Request:
    until = ask.last + timedelta(days=1)
    metrics = ask.listed("metrics", "metrics/visits,metrics/orders,metrics/revenue")
    body = {
        "rsid": ask.option("rsid"),
        "globalFilters": [{"type": "dateRange", "dateRange": f"{ask.first}T00:00:00.000/{until}T00:00:00.000"}],
        "metricContainer": {"metrics": [{"columnId": str(i), "id": name} for i, name in enumerate(metrics)]},
        "dimension": ask.option("dimension", "variables/daterangeday"),
        "settings": {"limit": 400, "page": 0, "nonesBehavior": "return-nones"},
    }
    return Request(f"api/{ask.option('company')}/reports", "POST", json=body)


def _named(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    """Give each number the name of its metric, and each row the days that it counts."""
    metrics = ask.listed("metrics", "metrics/visits,metrics/orders,metrics/revenue")
    names = [name.removeprefix("metrics/") for name in metrics]
    dimension = ask.option("dimension", "variables/daterangeday").removeprefix("variables/")
    return [
        {"date": ask.first.isoformat(), "itemId": row.get("itemId"), dimension: row.get("value")}
        | dict(zip(names, row.get("data", ()), strict=True))
        for row in rows
    ]


API = Api(
    system="adobe",
    server="https://analytics.adobe.io",
    auth=Auth(
        needs=("client_id", "client_secret", "scope"),
        login=token_from(
            "https://ims-na1.adobelogin.com/ims/token/v3", needs=("client_id", "client_secret", "scope"),
            grant="client_credentials",
        ),
        place=headers(BEARER, header("x-api-key", "{client_id}")),
    ),
    streams=(
        Stream(
            "report", _report, every="day", overlap=timedelta(days=2), select="rows", shape=_named,
            paging=Numbered("settings.page", first=0, total="totalPages", in_body=True),
        ),
    ),
    pause=0.5,  # twelve calls in six seconds
    options={
        "company": "global company id", "rsid": "report suite", "dimension": "such as variables/marketingchannel",
        "metrics": "divided by commas, such as metrics/visits", "login": "another address to log in at",
    },
    title="Analytics API 2.0, reports",
    sure="Report and answer: vendor's guide; login and the limit of twelve calls in six seconds: not confirmed.",
)  # fmt: skip
