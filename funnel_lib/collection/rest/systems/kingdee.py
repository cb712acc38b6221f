"""金蝶云星辰 Kingdee: quotes, orders and deliveries. Every call is signed; faults come with status 200."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from funnel_lib.collection.rest.api import Api, Stream, code_fault
from funnel_lib.collection.rest.auth import Auth, Prepared, Secrets, Send
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Numbered

_PATHS = {"order": "sal_order", "quote": "sal_quota", "delivery": "sal_out_bound"}


def signature(key: str, text: str) -> str:
    """Return the interface's signature: Base64 of the hexadecimal HMAC-SHA256.

    >>> signature("abc123", "abc")[:24]
    'ZDljMTI3NGIyNTE1MTRkYzlk'
    """
    found = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(found.encode()).decode()


def signed_text(method: str, url: str, nonce: str, stamp: str) -> str:
    """Return the text that is signed: method, path, sorted parameters (encoded twice) and the two headers."""
    parts = urlsplit(url)
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join(f"{name}={quote(quote(value, safe=''), safe='')}" for name, value in pairs)
    return f"{method.upper()}\n{quote(parts.path, safe='')}\n{query}\nx-api-nonce:{nonce}\nx-api-timestamp:{stamp}\n"


def _sign(call: Prepared, secrets: Secrets, now: datetime) -> None:
    stamp = str(round(now.timestamp() * 1000))
    nonce = stamp[-10:]
    signs = {
        "X-Api-ClientID": secrets["client_id"], "X-Api-Auth-Version": "2.0", "X-Api-TimeStamp": stamp,
        "X-Api-Nonce": nonce, "X-Api-SignHeaders": "X-Api-TimeStamp,X-Api-Nonce",
        "X-Api-Signature": signature(secrets["client_secret"], signed_text(call.method, call.url, nonce, stamp)),
    }  # fmt: skip
    call.headers.update(signs)


def _place(call: Prepared, secrets: Secrets, now: datetime) -> None:
    _sign(call, secrets, now)
    call.headers.update({"app-token": secrets["token"], "X-GW-Router-Addr": secrets["domain"]})


def _login(send: Send, secrets: Secrets, _options: Mapping[str, str]) -> Mapping[str, str]:
    """Fetch the application's key, which changes every day, and with it the token."""
    apps = "jdyconnector/app_management"
    instance = {"outerInstanceId": secrets["outer_instance_id"]}
    keys = send(Request(f"{apps}/push_app_authorize", "POST", params=instance), place=_sign)["data"][0]
    params = {"app_key": keys["appKey"], "app_signature": signature(keys["appSecret"], keys["appKey"])}
    answer = send(Request(f"{apps}/kingdee_auth_token", params=params), place=_sign)["data"]
    token = answer.get("app-token") or answer["app_token"]
    return {"token": str(token), "app_secret": str(keys["appSecret"]), "domain": str(keys["domain"])}


def _changed(path: str) -> Callable[[Ask], Request]:
    def request(ask: Ask) -> Request:
        params = {"page_size": 100, "bill_status": ask.option("bill_status", "C"), "modify_start_time": ask.since_ms}
        return Request(f"jdy/v2/scm/{path}", params=params)

    return request


def _detail(path: str) -> Callable[[Ask], Request]:
    return lambda ask: Request(f"jdy/v2/scm/{path}_detail", params={"id": ask.parent["id"]})


def _lines(path: str) -> Callable[[list[Row], Any, Ask], list[Row]]:
    """Return one row for each line of a bill, with what the bill says, and its kind."""

    def shape(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
        found = []
        for row in rows:
            head = {name: value for name, value in row.items() if name != "material_entity"}
            bill = {**head, "id": ask.parent["id"], "bill_type": path}
            found += [{**line, **bill} for line in row.get("material_entity") or [{}]]
        return found

    return shape


def _bill(name: str, path: str) -> tuple[Stream, Stream]:
    """Return the list of changed bills, which names no amounts, and their lines, one call for each bill."""
    bills = Stream(
        f"{name}_list", _changed(path), every="changes", select="data.rows", key="id", aside=True,
        paging=Numbered("page", total="data.total_page"), default=name != "delivery",
    )  # fmt: skip
    lines = Stream(
        f"{name}_lines", _detail(path), select="data", shape=_lines(path), of=bills.name, key="id",
        default=bills.default,
    )  # fmt: skip
    return bills, lines


API = Api(
    system="kingdee",
    server="https://api.kingdee.com",
    auth=Auth(needs=("client_id", "client_secret", "outer_instance_id"), login=_login, place=_place),
    streams=tuple(stream for name, path in _PATHS.items() for stream in _bill(name, path)),
    fault=code_fault("errcode", "description_cn", 0),
    pause=0.15,  # 500 calls in a minute
    options={"bill_status": "C for audited bills (the default), Z for drafts"},
    title="云星辰 gateway, jdy/v2/scm",
    sure="Signature of the application: reproduced from the vendor's example; the order of the signed headers differs "
    "between copies of its pages; calls and fields: eight clients and copies of vendor's pages.",
)  # fmt: skip
