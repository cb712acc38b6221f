from __future__ import annotations

import base64
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from funnel_lib.collection.rest.auth import BEARER, basic, header, headers, token_from
from funnel_lib.collection.rest.calls import Request

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def placed(place: Any, **secrets: str) -> dict[str, str]:
    call = SimpleNamespace(headers={})
    place(call, secrets, NOW)
    return call.headers


def test_credentials_get_into_headers():
    both = headers(BEARER, header("x-api-key", "{client_id}"))
    assert placed(both, token="t", client_id="c") == {"Authorization": "Bearer t", "x-api-key": "c"}
    found = placed(basic("any", "{api_key}"), api_key="k:ü")["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(found).decode() == "any:k:ü"


def test_a_login_sends_a_form_and_takes_the_token():
    sent: list[Request] = []

    def send(request: Request, *, place: object = None) -> Any:
        sent.append(request)
        return {"access_token": 5}

    login = token_from("https://a/token", needs=("client_id",), grant="client_credentials")
    assert login(send, {"client_id": "c", "other": "o"}, {}) == {"token": "5"}
    assert login(send, {"client_id": "c"}, {"login": "https://b/token"}) == {"token": "5"}
    assert [(one.path, one.method) for one in sent] == [("https://a/token", "POST"), ("https://b/token", "POST")]
    assert sent[0].form == {"grant_type": "client_credentials", "client_id": "c"}
