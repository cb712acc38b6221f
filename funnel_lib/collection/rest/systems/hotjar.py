"""Hotjar: the surveys of a site and their answers."""

from __future__ import annotations

from typing import Any

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth, token_from
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Cursor


def _responses(ask: Ask) -> Request:
    return Request(f"v1/sites/{ask.option('site')}/surveys/{ask.parent['id']}/responses", params={"limit": 100})


def _of_survey(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    return [{"survey_id": ask.parent["id"], "survey_name": ask.parent.get("name"), **row} for row in rows]


API = Api(
    system="hotjar",
    server="https://api.hotjar.io",
    auth=Auth(
        needs=("client_id", "client_secret"),
        login=token_from(
            "v1/oauth/token", needs=("client_id", "client_secret"), grant="client_credentials"
        ),
        place=BEARER,
    ),
    streams=(
        Stream(
            "surveys", lambda ask: Request(f"v1/sites/{ask.option('site')}/surveys", params={"limit": 100}),
            select="results", paging=Cursor("next_cursor", "cursor"), aside=True,
        ),
        Stream(
            "responses", _responses, select="results", paging=Cursor("next_cursor", "cursor"), of="surveys",
            shape=_of_survey, key="survey_id",
        ),
    ),
    pause=0.02,
    options={"site": "number of the site", "login": "another address to log in at"},
    title="REST API v1",
    sure="Login: vendor's reference; surveys and answers: two independent typed clients.",
)  # fmt: skip
