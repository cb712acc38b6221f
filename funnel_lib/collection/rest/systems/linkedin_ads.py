"""LinkedIn Ads: costs by day and campaign, and the campaigns' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Cursor, Follow

_FIELDS = (
    "impressions,clicks,costInLocalCurrency,costInUsd,externalWebsiteConversions,oneClickLeads,dateRange,pivotValues"
)
_VERSION, _PAGE = "202609", 1000


def _day(day: date) -> str:
    return f"(year:{day.year},month:{day.month},day:{day.day})"


def _headers(ask: Ask) -> Mapping[str, str]:
    return {"LinkedIn-Version": ask.option("version", _VERSION), "X-Restli-Protocol-Version": "2.0.0"}


def _analytics(ask: Ask) -> Request:
    """Ask with the query in the address as it is: the interface refuses brackets that are encoded."""
    account = quote(f"urn:li:sponsoredAccount:{ask.option('account')}", safe="")
    query = (
        f"q=analytics&pivot=(value:CAMPAIGN)&timeGranularity=(value:DAILY)&accounts=List({account})"
        f"&dateRange=(start:{_day(ask.first)},end:{_day(ask.last)})&fields={_FIELDS}"
    )
    params = {"start": 0, "count": _PAGE}
    return Request(f"rest/adAnalytics?{query}", params=params, headers=_headers(ask))


def _more(_answer: Any, rows: Sequence[Row], sent: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return {"start": sent["start"] + _PAGE} if len(rows) == _PAGE else None


def _flat(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    """Add the day as text, and the number and name of the campaign."""
    names = {str(one.get("id")): one.get("name") for one in ask.lookups.get("campaigns", ())}
    found = []
    for row in rows:
        day = row["dateRange"]["start"]
        number = next(iter(row.get("pivotValues", ())), "").rpartition(":")[2]
        common = {"date": date(day["year"], day["month"], day["day"]).isoformat(), "campaign_id": number}
        found.append({**common, "campaign_name": names.get(number) or number, **row})
    return found


API = Api(
    system="linkedin_ads",
    server="https://api.linkedin.com",
    auth=Auth(needs=("token",), place=BEARER),
    streams=(
        Stream(
            "campaigns",
            lambda ask: Request(
                f"rest/adAccounts/{ask.option('account')}/adCampaigns?q=search", params={"pageSize": 500},
                headers=_headers(ask),
            ),
            select="elements", paging=Cursor("metadata.nextPageToken", "pageToken"), aside=True,
        ),
        Stream(
            "spend", _analytics, every="month", overlap=timedelta(days=30), select="elements", paging=Follow(_more),
            shape=_flat, uses=("campaigns",),
        ),
    ),
    options={"account": "number of the ad account", "version": "of the interface, such as 202609"},
    title="Marketing API, adAnalytics",
    sure="Headers, fields and paging: an independent connector; the form of the query: not confirmed.",
)  # fmt: skip
