"""Delivery against servers on this machine that answer as the services document it, also when they refuse."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from funnel_lib.reporting.notify.delivery import (
    Delivery,
    deliver,
    dingtalk_signature,
    feishu_signature,
    masked,
)
from funnel_lib.reporting.notify.digest import Digest, Item

AT = datetime.fromtimestamp(1599360473, UTC)
TOLD = Digest("alert", "Shop: 1 report renewed", ["Visit → Buy: 5.0%"], ["Careful"], [Item("Conversion", "5% paid.")])
FEISHU = "https://open.feishu.cn/open-apis/bot/v2/hook/0123-feishu-token"
WECOM = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=0123-wecom-key"
DINGTALK = "dingtalk://dingsecret123@0123dingtoken"
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@dataclass
class Service:
    """A server that keeps what it is sent and answers with `status` and `body`; with `first` to the first messages."""

    url: str = ""
    status: int = 200
    body: str = "{}"
    first: list[int] = field(default_factory=list)
    reply: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Message] = field(default_factory=list)

    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.bodies[-1])
        return found


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service on this machine, to which the addresses of all services lead."""
    from apprise.plugins.dingtalk import NotifyDingTalk
    from apprise.plugins.feishu import NotifyFeishu
    from apprise.plugins.slack import NotifySlack
    from apprise.plugins.wecombot import NotifyWeComBot

    kept = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.paths.append(self.path)
            kept.headers.append(self.headers)
            kept.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(kept.first.pop(0) if kept.first else kept.status)
            for name, value in kept.reply.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(kept.body.encode())

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(NotifyFeishu, "notify_url", kept.url + "/feishu/{token}")
    monkeypatch.setattr(NotifyWeComBot, "notify_url", kept.url + "/wecom?key={key}")
    monkeypatch.setattr(NotifyDingTalk, "notify_url", kept.url + "/ding?access_token={token}")
    monkeypatch.setattr(NotifySlack, "webhook_url", kept.url + "/slack")
    yield kept
    server.shutdown()
    server.server_close()


def sent(address: str, told: Digest = TOLD, pauses: list[float] | None = None) -> Delivery:
    waited: list[float] = [] if pauses is None else pauses
    (one,) = deliver(told, ["ADDRESS"], environment={"ADDRESS": address}, at=AT, sleep=waited.append)
    return one


def test_feishu_gets_a_card_and_code_zero_is_delivery(service: Service) -> None:
    service.body = '{"code":0,"data":{},"msg":"success"}'
    assert sent(f"{FEISHU}?secret=demo") == Delivery("ADDRESS", "Feishu", True)
    assert service.paths == ["/feishu/0123-feishu-token"]
    payload = service.payload()
    assert (payload["timestamp"], payload["sign"]) == ("1599360473", "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=")
    assert payload["card"]["header"]["title"]["content"] == "▼ Shop: 1 report renewed"
    assert "Visit → Buy: 5.0%" in payload["card"]["elements"][0]["text"]["content"]


@pytest.mark.parametrize(
    ("address", "body", "said"),
    [
        (FEISHU, '{"code":19024,"msg":"Key Words Not Found"}', "code 19024"),
        (FEISHU, '{"code":9499,"msg":"Bad Request","data":{}}', "code 9499"),
        (WECOM, '{"errcode":93000,"errmsg":"invalid webhook url"}', "errcode 93000"),
        (WECOM, '{"errcode":45009,"errmsg":"api freq out of limit"}', "errcode 45009"),
        (DINGTALK, '{"errcode":310000,"errmsg":"sign not match"}', "errcode 310000"),
        (DINGTALK, "<html>a proxy’s page</html>", "not JSON"),
        (WECOM, "[]", "errcode None"),
        (SLACK, "invalid_payload", "not 'ok'"),
    ],
)
def test_status_200_is_not_delivery(service: Service, address: str, body: str, said: str) -> None:
    service.body = body
    found = sent(address)
    assert not found.ok
    assert said in found.detail
    assert len(service.bodies) == 1


@pytest.mark.parametrize("busy", [429, 500, 502, 503])
def test_a_busy_service_is_asked_again_after_growing_pauses(service: Service, busy: int) -> None:
    service.first, service.body, pauses = [busy, busy], '{"errcode":0}', []
    assert sent(WECOM, pauses=pauses).ok
    assert len(service.bodies) == 3
    assert service.bodies[0] == service.bodies[2]
    # One second, then two, and up to one more by chance.
    assert 1 <= pauses[0] <= 2 <= pauses[1] <= 3
    service.first, pauses = [busy] * 3, []
    found = sent(WECOM, pauses=pauses)
    assert (found.ok, f"HTTP {busy}" in found.detail, len(pauses)) == (False, True, 2)


def test_a_refused_message_is_not_sent_again(service: Service) -> None:
    for status, body in ((400, "{}"), (403, "{}"), (404, "{}"), (302, "{}"), (200, '{"errcode":45009}')):
        pauses: list[float] = []
        service.status, service.body, service.bodies = status, body, []
        assert not sent(WECOM, pauses=pauses).ok
        assert (len(service.bodies), pauses) == (1, [])


@pytest.mark.parametrize(
    ("asked", "pause"), [("17", 17), ("soon", 1), ("3600", None), ("Mon, 07 Sep 2099 00:00:00 GMT", None)]
)
def test_the_pause_is_the_one_that_the_service_asks_for(service: Service, asked: str, pause: int | None) -> None:
    pauses: list[float] = []
    service.first, service.reply, service.body = [429], {"Retry-After": asked}, "ok"
    found = sent(SLACK, pauses=pauses)
    # Who asks for an hour is not waited for: the exit code tells that nobody has heard.
    assert (found.ok, [int(one) for one in pauses]) == ((False, []) if pause is None else (True, [pause]))


def test_a_service_that_cannot_be_reached_is_asked_three_times(service: Service) -> None:
    pauses: list[float] = []
    assert not sent("json://127.0.0.1:9/0123-closed-port", pauses=pauses).ok
    assert len(pauses) == 2


def test_wecom_dingtalk_and_slack_get_their_own_forms(service: Service) -> None:
    service.body = '{"errcode":0,"errmsg":"ok"}'
    assert sent(WECOM).ok
    assert service.payload()["markdown"]["content"].startswith("## ▼ Shop: 1 report renewed\n▼ **Careful**")
    assert sent(DINGTALK).ok
    assert service.payload()["markdown"]["title"] == "▼ Shop: 1 report renewed"
    query = parse_qs(urlsplit(service.paths[-1]).query)
    assert query == {
        "access_token": ["0123dingtoken"],
        **{k: [v] for k, v in dingtalk_signature("dingsecret123", AT).items()},
    }
    service.body = "ok"
    assert sent(SLACK) == Delivery("ADDRESS", "Slack", True)
    assert service.paths[-1] == "/slack/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert [block["type"] for block in service.payload()["blocks"]] == ["header", "section"]


def test_a_webhook_gets_signed_json(service: Service) -> None:
    address = service.url.replace("http://", "json://") + "/hook?secret=webhooksecret&+X-Team=growth"
    assert sent(address).ok
    assert service.payload()["schema"] == "funnel-digest/1"
    wanted = hmac.new(b"webhooksecret", service.bodies[0], hashlib.sha256).hexdigest()
    assert service.headers[0]["X-Signature"] == f"sha256={wanted}"
    assert service.headers[0]["X-Team"] == "growth"
    service.status, service.body = 500, "down"
    assert sent(address).detail == "HTTP 500: down"


def test_a_mail_goes_through_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    mails: list[str] = []

    class Server:
        def __init__(self, *_: object, **__: object) -> None:
            return

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: (250, b"ok")

        def sendmail(self, _sender: str, _to: object, message: str) -> None:
            mails.append(message)

    monkeypatch.setattr(smtplib, "SMTP", Server)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Server)
    assert sent("mailtos://reports:password1@mail.example.com?to=board@example.com").ok
    assert "text/html" in mails[0]


def test_nothing_that_goes_wrong_is_raised_and_no_secret_is_told(
    service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    service.body = f'{{"code":19001,"msg":"bad token 0123-feishu-token, {FEISHU}"}}'
    found = [
        sent(FEISHU), sent("feishu://bad token!/"), sent(""), sent("nonsense"), sent("json://127.0.0.1:9/0123-closed-port"),
        sent("dingtalk://dingsecret123@!!"), sent("wecombot://"),
    ]  # fmt: skip
    assert not any(one.ok for one in found)
    assert all(one.detail for one in found)
    told = " ".join(str(one) for one in found) + "".join(capfd.readouterr())
    for secret in ("0123-feishu-token", "bad token!", "0123-closed-port", "dingsecret123"):
        assert secret not in told
    assert found[2].detail == "the variable is not set"


def test_one_address_does_not_keep_the_others_from_hearing(service: Service) -> None:
    service.body = '{"errcode":0}'
    environment = {"A": "json://127.0.0.1:9/", "B": WECOM}
    found = deliver(TOLD, ["A", "B", "C"], environment=environment, at=AT, sleep=lambda _seconds: None)
    assert [one.ok for one in found] == [False, True, False]


@pytest.mark.parametrize(
    "address",
    [FEISHU, WECOM, DINGTALK, SLACK, "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "feishu://0123-feishu-token",
     "mailto://me:passw%20rd@example.com"],
)  # fmt: skip
def test_every_part_of_an_address_is_masked(address: str) -> None:
    parts = [
        "0123-feishu-token",
        "0123-wecom-key",
        "dingsecret123",
        "0123dingtoken",
        "A1BRTD4JD",
        "passw rd",
        "passw%20rd",
    ]
    kept = [part for part in parts if part.lower() in masked(f"{address} {' '.join(parts)}", address).lower()]
    assert [part for part in kept if part in address] == []


def test_the_signatures_are_those_of_the_services() -> None:
    assert feishu_signature("demo", AT)["sign"] == "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="
    assert dingtalk_signature("demo", AT)["sign"] == "eblRZvilBzXa6Ce18IeBM4pMy1rYNWKicaCg6VMwQe0="
