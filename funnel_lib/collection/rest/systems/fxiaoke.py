"""纷享销客 Fxiaoke: leads, accounts and opportunities. Faults come with status 200, the token goes into the body."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime

from funnel_lib.collection.rest.api import Api, Stages, Stream, code_fault
from funnel_lib.collection.rest.auth import Auth, Prepared, Secrets, Send
from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.paging import Offset

_NAMES = ("appId", "appSecret", "permanentCode")


def _login(send: Send, secrets: Secrets, options: Mapping[str, str]) -> Mapping[str, str]:
    body = {name: secrets[key] for name, key in zip(_NAMES, ("app_id", "app_secret", "permanent_code"), strict=True)}
    answer = send(Request(options.get("login", "cgi/corpAccessToken/get/V2"), "POST", json=body))
    return {"token": str(answer["corpAccessToken"]), "corp_id": str(answer["corpId"])}


def _place(call: Prepared, secrets: Secrets, _now: datetime) -> None:
    body = json.loads(call.body) | {
        "corpAccessToken": secrets["token"], "corpId": secrets["corp_id"], "currentOpenUserId": secrets["open_user_id"],
    }  # fmt: skip
    call.prepare_body(None, None, json=body)


def _changed(name: str) -> Callable[[Ask], Request]:
    """Ask for the objects changed since the last fetch; of a custom object at its own address."""

    def request(ask: Ask) -> Request:
        query = {
            "offset": 0, "limit": 100,
            "filters": [{"field_name": "last_modified_time", "operator": "GTE", "field_values": [ask.since_ms]}],
            "orders": [{"fieldName": "last_modified_time", "isAsc": True}],
        }  # fmt: skip
        return Request("cgi/crm/v2/data/query", "POST", json={
            "data": {"dataObjectApiName": ask.option(f"{name}_object", _OBJECTS[name]), "search_query_info": query}
        })  # fmt: skip

    return request


_OBJECTS = {"leads": "LeadsObj", "accounts": "AccountObj", "opportunities": "NewOpportunityObj"}
_STAGES = Stages("_id", "sales_stage", "sales_stage__r", changed="stg_changed_time", created="create_time")
_QUERY = "data.search_query_info."

API = Api(
    system="fxiaoke",
    server="https://open.fxiaoke.com",
    auth=Auth(needs=("app_id", "app_secret", "permanent_code", "open_user_id"), login=_login, place=_place),
    streams=tuple(
        Stream(
            name, _changed(name), every="changes", select="data.dataList", key="_id",
            paging=Offset(100, f"{_QUERY}offset", f"{_QUERY}limit", in_body=True),
            stages=_STAGES if name == "opportunities" else None,
        )
        for name in _OBJECTS
    ),
    fault=code_fault("errorCode", "errorMessage", 0),
    pause=0.1,
    options={
        "leads_object": "another object's API name", "accounts_object": "another object's API name",
        "opportunities_object": "another object's API name, such as OpportunityObj", "stage": "column of the stage",
        "stage_label": "column of the stage's label", "login": "another address to log in at",
    },
    title="CRM open platform V2",
    sure="Login, query and the fields of leads: vendor's pages; fields of opportunities: several independent clients; "
    "no stage history found, so it follows from stg_changed_time and the fetches.",
)  # fmt: skip
