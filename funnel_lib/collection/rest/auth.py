"""Where credentials go in a call, and how tokens are got. Nothing here needs dlt."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from funnel_lib.collection.rest.calls import Request

Secrets = Mapping[str, str]


class Prepared(Protocol):
    """A call about to be sent, as `requests` prepares it."""

    method: str
    url: str
    headers: MutableMapping[str, str]
    body: Any

    def prepare_body(self, data: Any, files: Any, json: Any = None) -> None:
        """Replace the body and its length."""


Place = Callable[[Prepared, Secrets, datetime], None]
"""Puts the credentials into a call; the time is that of sending."""


class Send(Protocol):
    """Sends one call and returns the JSON that comes back; no credentials go with it but those that `place` puts."""

    def __call__(self, request: Request, *, place: Place | None = None) -> Any:
        """Send `request`."""


Login = Callable[[Send, Secrets, Mapping[str, str]], Mapping[str, str]]
"""Gets tokens: from the way to send, the credentials and the options; what it returns joins the credentials."""


@dataclass(frozen=True)
class Auth:
    """How calls are allowed.

    Parameters
    ----------
    needs : names of the credentials that the user must give.
    place : puts them, and what `login` returned, into a call.
    login : called before the first call, and again once when a call is refused.
    optional : names of credentials that may be given.
    """

    needs: tuple[str, ...]
    place: Place
    login: Login | None = None
    optional: tuple[str, ...] = ()


def header(name: str, template: str) -> Place:
    """Put credentials into a header; `template` names them, as in ``Bearer {token}``."""

    def place(call: Prepared, secrets: Secrets, _now: datetime) -> None:
        call.headers[name] = template.format_map(secrets)

    return place


def headers(*places: Place) -> Place:
    """Put several headers into a call."""

    def place(call: Prepared, secrets: Secrets, now: datetime) -> None:
        for one in places:
            one(call, secrets, now)

    return place


BEARER = header("Authorization", "Bearer {token}")


def basic(user: str, password: str) -> Place:
    """Put HTTP Basic credentials into a call; the templates name the credentials, as in ``{api_key}``."""

    def place(call: Prepared, secrets: Secrets, _now: datetime) -> None:
        pair = f"{user.format_map(secrets)}:{password.format_map(secrets)}"
        call.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"

    return place


def token_from(address: str, *, needs: Sequence[str], grant: str) -> Login:
    """Log in with OAuth 2: send the credentials `needs` as a form to `address`; the answer's token is ``token``."""

    def login(send: Send, secrets: Secrets, options: Mapping[str, str]) -> Mapping[str, str]:
        form = {"grant_type": grant, **{name: secrets[name] for name in needs}}
        answer = send(Request(options.get("login", address), "POST", form=form))
        return {"token": str(answer["access_token"])}

    return login
