"""Twilio: telephone calls."""

from __future__ import annotations

from datetime import timedelta

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import Auth, basic
from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.paging import Link


def _calls(ask: Ask) -> Request:
    days = {"StartTime>": ask.first.isoformat(), "StartTime<": (ask.last + timedelta(days=1)).isoformat()}
    return Request(f"2010-04-01/Accounts/{ask.option('account')}/Calls.json", params={**days, "PageSize": 1000})


API = Api(
    system="twilio",
    server="https://api.twilio.com",
    auth=Auth(needs=("user", "password"), place=basic("{user}", "{password}")),
    streams=(Stream("calls", _calls, every="day", utc=True, select="calls", paging=Link("next_page_uri")),),
    options={"account": "SID of the account"},
    title="API 2010-04-01, Calls",
    sure="Calls and paging: independent clients. User and password: the account's SID and token, or an API key.",
)
