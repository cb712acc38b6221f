"""销售易 Neocrm: leads, accounts and opportunities through its query language. Faults come with status 200."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from funnel_lib.collection.rest.api import Api, Stages, Stream, code_fault
from funnel_lib.collection.rest.auth import BEARER, Auth, Secrets, Send
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Follow

_SIZE = 100
_FIELDS = {
    "opportunity": "opportunityName,accountId,ownerId,money,saleStageId,winRate,lostStageId,reason,reasonDesc,"
    "closeDate,sourceId,campaignId,leadId,stageUpdatedAt,createdAt,updatedAt",
    "account": "accountName,ownerId,createdAt,updatedAt",
    "lead": "name,ownerId,createdAt,updatedAt",
}
_NAMES = {"opportunities": "opportunity", "accounts": "account", "leads": "lead"}


def _login(send: Send, secrets: Secrets, options: Mapping[str, str]) -> Mapping[str, str]:
    form = {
        "grant_type": "password", "client_id": secrets["client_id"], "client_secret": secrets["client_secret"],
        "redirect_uri": secrets["redirect_uri"], "username": secrets["username"],
        "password": secrets["password"] + secrets["security_token"],
    }  # fmt: skip
    answer = send(Request(options.get("login", "https://login.xiaoshouyi.com/auc/oauth2/token"), "POST", form=form))
    return {"token": str(answer["access_token"])}


def _query(name: str) -> Callable[[Ask], Request]:
    """Ask in the order of ids, a hundred at a time; rows that change meanwhile move no other row to another page."""

    def request(ask: Ask) -> Request:
        fields = ask.option(f"{name}_fields", _FIELDS[name])
        where = f"updatedAt >= {ask.since_ms} and id > 0"
        text = f"select id,{fields} from {name} where {where} order by id limit 0,{_SIZE}"  # noqa: S608 - no database
        return Request("rest/data/v2/query", params={"q": text})

    return request


def _after(_answer: Any, rows: Sequence[Row], sent: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if len(rows) < _SIZE:
        return None
    return {"q": re.sub(r"id > \d+ order", f"id > {int(rows[-1]['id'])} order", sent["q"])}


API = Api(
    system="neocrm",
    server="https://api.xiaoshouyi.com",
    auth=Auth(
        needs=("client_id", "client_secret", "redirect_uri", "username", "password", "security_token"),
        login=_login, place=BEARER,
    ),
    streams=tuple(
        Stream(
            stream, _query(name), every="changes", select="result.records", paging=Follow(_after), key="id",
            stages=Stages("id", "saleStageId", changed="stageUpdatedAt", created="createdAt")
            if name == "opportunity" else None,
        )
        for stream, name in _NAMES.items()
    ),
    fault=code_fault("code", "msg", 200, 0),
    pause=0.1,
    options={
        **{f"{name}_fields": "API names of fields, divided by commas" for name in _FIELDS},
        "stage": "column of the stage", "stage_label": "column of the stage's label",
        "login": "another address to log in at",
    },
    title="Data API v2, query",
    sure="Query and envelope: vendor's SDK; login: six independent clients; fields of opportunities: inferred; "
    "no stage history found, so it follows from stageUpdatedAt and the fetches.",
)  # fmt: skip
