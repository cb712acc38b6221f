"""Google Ads: costs by day and campaign, and on request the click ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import Prepared, Secrets
from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.systems.ga4 import GOOGLE

_SPEND = (
    "SELECT campaign.id, campaign.name, customer.currency_code, segments.date, metrics.impressions, metrics.clicks, "
    "metrics.cost_micros, metrics.conversions, metrics.conversions_value FROM campaign WHERE segments.date BETWEEN "
)
_CLICKS = (
    "SELECT click_view.gclid, campaign.id, campaign.name, segments.date FROM click_view WHERE segments.date BETWEEN "
)


def _search(query: str) -> Callable[[Ask], Request]:
    """Ask for the days of a slice; clicks are given for one day at a time."""

    def request(ask: Ask) -> Request:
        path = f"{ask.option('version', 'v26')}/customers/{ask.option('customer')}/googleAds:searchStream"
        return Request(path, "POST", json={"query": f"{query}'{ask.first}' AND '{ask.last}'"})

    return request


def _place(call: Prepared, secrets: Secrets, now: datetime) -> None:
    GOOGLE.place(call, secrets, now)
    call.headers["developer-token"] = secrets["developer_token"]
    if "login_customer_id" in secrets:
        call.headers["login-customer-id"] = secrets["login_customer_id"]


API = Api(
    system="google_ads",
    server="https://googleads.googleapis.com",
    auth=replace(
        GOOGLE, needs=(*GOOGLE.needs, "developer_token"), optional=("login_customer_id",), place=_place
    ),
    streams=(
        # The answer is a list of batches.
        Stream("spend", _search(_SPEND), every="month", overlap=timedelta(days=30), select="[*].results[*]"),
        Stream("clicks", _search(_CLICKS), every="day", select="[*].results[*]", default=False),
    ),
    options={
        "customer": "number of the account, without hyphens", "version": "of the interface, such as v26",
        "login": "another address to log in at",
    },
    title="Google Ads API, searchStream",
    sure="Query, answer and version v26: vendor's reference. Costs are in millionths; conversions may still change "
    "for a month.",
)  # fmt: skip
