"""RingCentral: telephone calls."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth, Secrets, Send, basic
from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.paging import Numbered

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def _login(send: Send, secrets: Secrets, options: Mapping[str, str]) -> Mapping[str, str]:
    form = {"grant_type": _GRANT, "assertion": secrets["jwt"]}
    request = Request(options.get("login", "restapi/oauth/token"), "POST", form=form)
    return {"token": str(send(request, place=basic("{client_id}", "{client_secret}"))["access_token"])}


def _calls(ask: Ask) -> Request:
    until = ask.last + timedelta(days=1)
    params = {"dateFrom": f"{ask.first}T00:00:00Z", "dateTo": f"{until}T00:00:00Z", "perPage": 250, "view": "Simple"}
    return Request("restapi/v1.0/account/~/call-log", params=params)


API = Api(
    system="ringcentral",
    server="https://platform.ringcentral.com",
    auth=Auth(needs=("client_id", "client_secret", "jwt"), login=_login, place=BEARER),
    streams=(
        Stream(
            "calls", _calls, every="day", utc=True, select="records", paging=Numbered("page", total="paging.totalPages")
        ),
    ),
    pause=6.0,  # ten calls in a minute
    options={"login": "another address to log in at"},
    title="REST API 1.0, call log",
    sure="Fields of calls: vendor's samples; login, paging and the limit of ten calls in a minute: not confirmed.",
)
