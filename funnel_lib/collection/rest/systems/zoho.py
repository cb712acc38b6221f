"""Zoho CRM: deals with the history of their stages, leads, contacts and calls."""

from __future__ import annotations

from typing import Any

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import Auth, header, token_from
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Cursor

_FIELDS = {
    "deals": "Deal_Name,Stage,Amount,Currency,Exchange_Rate,Probability,Closing_Date,Created_Time,Modified_Time,"
    "Stage_Modified_Time,Account_Name,Contact_Name,Campaign_Source,Lead_Source,Type,Owner,Pipeline",
    "leads": "Lead_Status,Lead_Source,Company,Email,Phone,Industry,Country,Owner,Created_Time,Modified_Time",
    "contacts": "Email,Phone,Account_Name,Lead_Source,Mailing_Country,Owner,Created_Time,Modified_Time",
    "calls": "Call_Type,Call_Start_Time,Call_Duration,Call_Result,Who_Id,What_Id,Owner,Created_Time,Modified_Time",
}
_HISTORY = (
    "Stage,Modified_Time,Moved_To__s,Stage_Duration_Calendar_Days,Probability,Amount,Expected_Revenue,Closing_Date"
)
_PAGES = Cursor("info.next_page_token", "page_token")


def _module(name: str) -> Stream:
    def request(ask: Ask) -> Request:
        params = {"fields": ask.option(f"{name}_fields", _FIELDS[name]), "per_page": 200}
        since = {} if ask.since is None else {"If-Modified-Since": ask.since.isoformat(timespec="seconds")}
        return Request(f"crm/v8/{name.capitalize()}", params=params, headers=since)

    return Stream(name, request, every="changes", select="data", paging=_PAGES, key="id", default=name != "calls")


def _history(ask: Ask) -> Request:
    return Request(f"crm/v8/Deals/{ask.parent['id']}/Stage_History", params={"fields": _HISTORY, "per_page": 200})


def _of_deal(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    return [{"Deal_Id": ask.parent["id"], **row} for row in rows]


API = Api(
    system="zoho",
    server="https://www.zohoapis.com",
    auth=Auth(
        needs=("client_id", "client_secret", "refresh_token"),
        login=token_from(
            "https://accounts.zoho.com/oauth/v2/token", needs=("client_id", "client_secret", "refresh_token"),
            grant="refresh_token",
        ),
        place=header("Authorization", "Zoho-oauthtoken {token}"),
    ),
    streams=(
        _module("deals"),
        Stream(
            "stage_history", _history, select="data", paging=_PAGES, of="deals", shape=_of_deal, key="Deal_Id",
        ),
        *(_module(name) for name in ("leads", "contacts", "calls")),
    ),
    pause=0.1,
    options={
        **{f"{name}_fields": "API names of fields, divided by commas (at most 50)" for name in _FIELDS},
        "login": "another address to log in at, such as https://accounts.zoho.eu/oauth/v2/token",
    },
    title="CRM API v8",
    sure="Modules, paging and fields: vendor's OpenAPI files; Stage_History: vendor's post and four clients; "
    "login: not confirmed.",
)  # fmt: skip
