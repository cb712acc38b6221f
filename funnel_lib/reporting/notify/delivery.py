"""Deliver a digest, and believe only an answer that says so.

Addresses are written as Apprise's or as the services' own pages give them out; they come from environment variables.
Apprise reads them and delivers to whatever it knows. Feishu, WeCom and DingTalk answer with HTTP 200 also when they
refuse a message, and Apprise believes them: to these the message goes from here, in the service's own form, signed,
and the code in the answer's body decides. So do webhooks, whose message is signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.notify import messages
from funnel_lib.reporting.notify.digest import Digest

SECONDS = 10.0
TRIES, LONGEST_WAIT = 3, 60.0  # who asks to wait longer is not waited for
HIDDEN = "***"
# The addresses that Feishu and Lark give out; Apprise knows those of the others.
NATIVE = re.compile(r"https://open\.(feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/([\w-]+)/?(?:\?(.*))?")


@dataclass(frozen=True)
class Delivery:
    """What became of one message: the variable with its address, the service, and why it was not delivered."""

    variable: str
    service: str
    ok: bool
    detail: str = ""


class _Refused(Exception):  # noqa: N818 - an answer, not a fault of the program
    """The service did not take the message."""


class _Busy(_Refused):
    """The service could not be asked, or could not answer just now; it may take the message in `wait` seconds."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


def deliver(
    digest: Digest, variables: Sequence[str], *, environment: Mapping[str, str], at: datetime,
    pictures: Sequence[Path] = (), sleep: Callable[[float], None] = time.sleep,
) -> list[Delivery]:  # fmt: skip
    """Send the digest to every address and return what became of each; nothing that goes wrong is raised.

    Where a service cannot be reached, or says that it has no time (429, 5xx), it is asked up to `TRIES` times, after
    growing pauses with some chance in them, or after the pause that it asks for. A refused message is not sent again.

    Parameters
    ----------
    variables : names of the environment variables that hold the addresses.
    at : now; it is signed, where the service wants a signature.
    pictures : files that go with mails.
    sleep : waits for some seconds.

    Raises
    ------
    ConfigError : Apprise is not installed.
    """
    _apprise()
    return [_delivered(digest, name, environment.get(name, ""), at, pictures, sleep) for name in variables]


def masked(text: str, address: str) -> str:
    """Return a text without the address and without any part of it that may be a secret.

    >>> masked("no answer from https://host/hook/abcdef123?sign=xyz987", "https://host/hook/abcdef123?sign=xyz987")
    'no answer from ***'
    """
    parts = urlsplit(address)
    pieces = [*parts.path.split("/"), *(value for values in parse_qs(parts.query).values() for value in values)]
    pieces += [part for part in (parts.username, parts.password) if part]
    if parts.scheme not in ("http", "https", "json", "jsons", "mailto", "mailtos"):
        pieces.append(parts.hostname or "")  # there, the place of the host holds a token
        pieces.append(parts.netloc.rpartition("@")[2])
    secrets = {address, *(piece for raw in pieces for piece in (raw, unquote(raw), quote(raw, safe="")))}
    for secret in sorted((one for one in secrets if len(one) > 3), key=len, reverse=True):
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    return text


def feishu_signature(secret: str, at: datetime) -> dict[str, str]:
    """Return time and signature for the body: HMAC-SHA256 of nothing, with “seconds, line break, secret” as the key."""
    seconds = str(int(at.timestamp()))
    signed = hmac.new(f"{seconds}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": seconds, "sign": base64.b64encode(signed).decode()}


def dingtalk_signature(secret: str, at: datetime) -> dict[str, str]:
    """Return time and signature for the query: HMAC-SHA256 of “milliseconds, line break, secret” with the secret."""
    milliseconds = str(int(at.timestamp() * 1000))
    signed = hmac.new(secret.encode(), f"{milliseconds}\n{secret}".encode(), hashlib.sha256).digest()
    return {"timestamp": milliseconds, "sign": base64.b64encode(signed).decode()}


def _delivered(
    digest: Digest, name: str, address: str, at: datetime, pictures: Sequence[Path], sleep: Callable[[float], None]
) -> Delivery:  # fmt: skip
    if not address.strip():
        return Delivery(name, "", False, "the variable is not set")
    apprise, address = _apprise(), _apprise_address(address.strip())
    with apprise.LogCapture(level=logging.WARNING, name="apprise", fmt="%(message)s") as said:
        target = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        if target is None:
            return Delivery(name, "", False, "no service is known for this address")
        service = str(target.service_name)
        try:
            _patiently(lambda: _send(target, address, digest, at, pictures), sleep)
        except _Refused as refusal:
            why = str(refusal) or " ".join(said.getvalue().split()) or "refused"
            return Delivery(name, service, False, masked(why, address)[:300])
        except Exception as fault:  # noqa: BLE001 - one address must not keep the others from hearing
            return Delivery(name, service, False, masked(f"{type(fault).__name__}: {fault}", address)[:300])
    return Delivery(name, service, True)


def _patiently(send: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Send, and try again where the service was only busy; raises what the last try raised."""
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

    growing = wait_exponential_jitter(initial=1.0, max=LONGEST_WAIT / 2, jitter=1.0)

    def pause(state: RetryCallState) -> float:
        fault = state.outcome.exception() if state.outcome else None
        return max(growing(state), fault.wait if isinstance(fault, _Busy) else 0.0)

    again = retry_if_exception(lambda fault: isinstance(fault, _Busy) and fault.wait <= LONGEST_WAIT)
    Retrying(sleep=sleep, stop=stop_after_attempt(TRIES), wait=pause, retry=again, reraise=True)(send)


def _send(target: Any, address: str, digest: Digest, at: datetime, pictures: Sequence[Path]) -> None:
    """Send in the service's own form; raises `_Refused` where it was not taken."""
    secret = (parse_qs(urlsplit(address).query).get("secret") or [""])[0]
    kind = type(target).__name__
    if kind in ("NotifyFeishu", "NotifyLark"):
        url = target.webhook_url if kind == "NotifyLark" else target.notify_url.format(token=target.token)
        _post(url, {**messages.feishu(digest), **(feishu_signature(secret, at) if secret else {})}, code="code")
    elif kind == "NotifyWeComBot":
        _post(target.api_url, messages.wecom(digest), code="errcode")
    elif kind == "NotifyDingTalk":
        url = target.notify_url.format(token=target.token)
        signed = f"&{urlencode(dingtalk_signature(target.secret, at))}" if target.secret else ""
        _post(url + signed, messages.dingtalk(digest), code="errcode")
    elif kind == "NotifySlack" and target.mode == "hook":
        url = f"{target.webhook_url}/{target.token_a}/{target.token_b}/{target.token_c}"
        _post(url, messages.slack(digest), text="ok")
    elif kind == "NotifyJSON":
        scheme, port = "https" if target.secure else "http", f":{target.port}" if target.port else ""
        _post(f"{scheme}://{target.host}{port}{target.fullpath}", messages.webhook(digest), secret=secret,
              headers=target.headers)  # fmt: skip
    else:
        _by_apprise(target, digest, pictures)


def _by_apprise(target: Any, digest: Digest, pictures: Sequence[Path]) -> None:
    apprise = _apprise()
    mail = type(target).__name__ == "NotifyEmail"
    form = apprise.NotifyFormat.HTML if mail else apprise.NotifyFormat.TEXT
    body = messages.html(digest) if mail else messages.plain(digest)
    files = apprise.AppriseAttachment([str(file) for file in pictures]) if pictures and mail else None
    sender = apprise.Apprise()
    sender.add(target)
    with apprise.LogCapture(level=logging.WARNING, name="apprise", fmt="%(message)s") as said:
        if not sender.notify(body=body, title=digest.subject, body_format=form, attach=files):
            why = " ".join(said.getvalue().split())
            raise _Busy(why) if "onnection error" in why else _Refused(why)  # all that Apprise lets one know


def _post(
    url: str, payload: Mapping[str, Any], *, code: str = "", text: str = "", secret: str = "",
    headers: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Post JSON and look into the answer: its field `code` must be 0, or its whole text must be `text`."""
    import requests

    body = json.dumps(payload, ensure_ascii=False).encode()
    sent = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "funnel", **(headers or {})}
    if secret:
        sent["X-Signature"] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    try:
        answer = requests.post(url, data=body, headers=sent, timeout=SECONDS, allow_redirects=False)
    except (requests.ConnectionError, requests.Timeout) as fault:
        raise _Busy(f"{type(fault).__name__}: {fault}") from fault
    said = answer.text[:200]
    if answer.status_code == 429 or answer.status_code >= 500:
        raise _Busy(f"HTTP {answer.status_code}: {said}", _asked_wait(answer.headers))
    if not 200 <= answer.status_code < 300:
        raise _Refused(f"HTTP {answer.status_code}: {said}")
    if text and said.strip() != text:
        raise _Refused(f"the answer is not {text!r}: {said}")
    if code:
        try:
            found = answer.json()
        except ValueError as error:
            raise _Refused(f"the answer is not JSON: {said}") from error
        if not isinstance(found, dict) or found.get(code) != 0:
            raise _Refused(f"refused with {code} {found.get(code) if isinstance(found, dict) else None}: {said}")


def _asked_wait(headers: Mapping[str, str]) -> float:
    """Return how many seconds a service asks to wait (`Retry-After`, as seconds or as a time); 0 where it does not."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    try:
        until, now = (parsedate_to_datetime(text) for text in (asked, headers.get("Date", "")))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _apprise_address(address: str) -> str:
    """Return an address that Apprise reads, made from one that Feishu or Lark gave out."""
    found = NATIVE.fullmatch(address)
    if found is None:
        return address
    scheme = "feishu" if found[1] == "feishu.cn" else "lark"
    return f"{scheme}://{found[2]}/" + (f"?{found[3]}" if found[3] else "")


def _apprise() -> Any:
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(
            "Sending digests needs a package that is not installed.", found="no package apprise",
            allowed="the extra notify", do="Install it: pip install 'funnel-lib[notify]'",
        ) from error  # fmt: skip
    return apprise
