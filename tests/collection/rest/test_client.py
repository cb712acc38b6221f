"""How calls are carried out, on a small made-up interface; the server misbehaves as real ones do."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib.collection.rest.api import Api, Job, Stream, code_fault
from funnel_lib.collection.rest.auth import BEARER, Auth, token_from
from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.client import Client
from funnel_lib.collection.rest.credentials import Hidden
from funnel_lib.collection.rest.paging import Cursor, Follow, Link, Numbered, Offset
from funnel_lib.collection.rest.systems import INTERFACES
from funnel_lib.errors import ConfigError, DataError, FunnelError
from tests.collection.rest.server import SECRETS, Answer, Call, Server

pytestmark = pytest.mark.slow  # dlt

ASK = Ask({}, date(2026, 11, 1), date(2026, 11, 2))
TOKEN = Auth(needs=("token",), place=BEARER)
LOGIN = Auth(
    needs=("client_id", "client_secret"), place=BEARER,
    login=token_from("login", needs=("client_id", "client_secret"), grant="client_credentials"),
)  # fmt: skip
ITEMS = Stream("items", lambda _ask: Request("items"), select="rows", paging=Cursor("next", "cursor"))
FAULT = code_fault("code", "msg", 0)


class Bench:
    """A client of the server, and what it slept."""

    def __init__(self, server: Server, auth: Auth = TOKEN, **more: Any) -> None:
        self.slept: list[float] = []
        self.hidden = Hidden(SECRETS)
        api = Api("made_up", server.address, auth, (), **more)
        now = datetime(2026, 11, 22, tzinfo=UTC)
        self.client = Client(api, self.hidden, {}, sleep=self.slept.append, clock=lambda: now)

    def rows(self, stream: Stream = ITEMS) -> list[Any]:
        return [row["id"] for rows in self.client.pages(stream, ASK) for row in rows]


def pages(call: Call) -> Answer:
    """Three pages of two rows."""
    at = int(call.query.get("cursor", 0))
    follow = {"next": str(at + 2)} if at < 4 else {}
    return Answer({"rows": [{"id": at}, {"id": at + 1}], **follow})


@pytest.fixture
def bench(server: Server) -> Bench:
    server.routes["/items"] = pages
    return Bench(server)


def test_all_pages_come_in_their_order(bench: Bench, server: Server):
    assert bench.rows() == [0, 1, 2, 3, 4, 5]
    assert [call.headers["Authorization"] for call in server.calls] == [f"Bearer {SECRETS['token']}"] * 3


def test_a_limit_is_waited_for_as_long_as_the_system_asks(bench: Bench, server: Server):
    server.faults = [None, Answer(status=429, headers={"Retry-After": "7"}), Answer(status=429)]
    assert bench.rows() == [0, 1, 2, 3, 4, 5]
    assert 7.0 in bench.slept
    assert len(server.calls) == 5


def test_a_limit_of_hours_ends_the_fetch_at_once(bench: Bench, server: Server):
    server.faults = [Answer(status=429, headers={"Retry-After": "7200"})]
    with pytest.raises(DataError, match="asks to wait 7200 seconds"):
        bench.rows()
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Answer({"rows": []}, 500), Answer({}, 503), Answer(b'{"rows": [{"id": 0'), Answer(b"<html>busy</html>"),
        Answer({"rows": [{"id": i} for i in range(3000)]}, cut=True), Answer({"code": 429, "msg": "busy"}),
    ],
    ids=["500", "503", "broken json", "html", "cut", "fault in 200"],
)  # fmt: skip
def test_a_passing_fault_is_tried_again(fault: Answer, server: Server):
    server.routes["/items"] = pages
    server.faults = [None, fault, fault]
    bench = Bench(server, fault=FAULT)
    assert bench.rows() == [0, 1, 2, 3, 4, 5]
    assert [seconds for seconds in bench.slept if seconds] == sorted(seconds for seconds in bench.slept if seconds)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Answer({}, 500), "HTTP 500"),
        (Answer(b'{"rows": ['), "no complete JSON"),
        (Answer({"code": 17, "msg": "no such object"}), "code 17: no such object"),
        (Answer({"rows": [{"id": i} for i in range(3000)]}, cut=True), "the connection failed"),
    ],
)
def test_a_fault_that_stays_ends_with_its_reason(fault: Answer, found: str, server: Server):
    server.faults = [fault] * 9
    with pytest.raises(DataError) as caught:
        Bench(server, fault=FAULT).rows()
    assert found in str(caught.value)
    assert "made_up, items" in str(caught.value)
    assert len(server.calls) == 5


def test_nothing_is_no_error(server: Server):
    server.routes["/items"] = lambda _call: Answer(status=204)
    assert Bench(server).rows() == []
    server.routes["/items"] = lambda _call: Answer(status=304)
    assert Bench(server).rows() == []


def test_nothing_in_the_middle_ends_the_pages(bench: Bench, server: Server):
    server.faults = [None, Answer(status=204)]
    assert bench.rows() == [0, 1]


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_a_matter_for_the_user(status: int, bench: Bench, server: Server):
    server.faults = [Answer({"message": f"bad {SECRETS['token']}"}, status)]
    with pytest.raises(ConfigError, match="refuses the credentials") as caught:
        bench.rows()
    assert SECRETS["token"] not in str(caught.value)
    assert "•••" in str(caught.value)


def test_a_wrong_call_is_not_repeated(bench: Bench, server: Server):
    server.faults = [Answer({"message": "no such field"}, 400)]
    with pytest.raises(DataError, match="no such field"):
        bench.rows()
    assert len(server.calls) == 1


def logins(server: Server) -> Callable[[Call], Answer]:
    def login(_call: Call) -> Answer:
        return Answer({"access_token": f"fresh-{len(server.asked('/login'))}"})

    return login


@pytest.mark.parametrize("kind", ["401", "fault in 200"])
def test_a_token_that_expires_in_the_middle_is_renewed(kind: str, server: Server):
    def guarded(call: Call) -> Answer:
        if call.query.get("cursor") == "2" and call.headers["Authorization"] == "Bearer fresh-1":
            return Answer({}, 401) if kind == "401" else Answer({"code": 20016, "msg": "expired"})
        return pages(call)

    server.routes |= {"/login": logins(server), "/items": guarded}
    bench = Bench(server, LOGIN, fault=FAULT)
    assert bench.rows() == [0, 1, 2, 3, 4, 5]
    assert len(server.asked("/login")) == 2
    assert [call.headers["Authorization"][-1] for call in server.asked("/items")] == ["1", "1", "2", "2"]
    assert server.asked("/login")[0].form == {
        "grant_type": "client_credentials",
        **{name: SECRETS[name] for name in ("client_id", "client_secret")},
    }
    assert server.asked("/login")[0].headers["Authorization"] is None


def test_a_login_that_brings_no_token_says_so(server: Server):
    server.routes |= {"/login": lambda _call: Answer({"error": "invalid_client"}), "/items": pages}
    with pytest.raises(ConfigError, match="login brought no token"):
        Bench(server, LOGIN).rows()
    assert not server.asked("/items")


def test_a_new_token_that_is_refused_too_ends_it(server: Server):
    server.routes |= {"/login": logins(server), "/items": lambda _call: Answer({}, 401)}
    with pytest.raises(ConfigError, match="refuses the credentials"):
        Bench(server, LOGIN).rows()
    assert len(server.asked("/login")) == 2


def numbers(call: Call, name: str, *, size: int = 2, body: bool = False) -> list[dict[str, int]]:
    at = int((call.json if body else call.query).get(name, 0))
    return [{"id": i} for i in range(at, min(at + size, 5))]


def test_paging_by_offset_in_the_body_and_in_the_address(server: Server):
    server.routes["/items"] = lambda call: Answer({"rows": numbers(call, "from", body=call.method == "POST")})
    said = replace(ITEMS, request=lambda _ask: Request("items", "POST", json={"kind": "a"}))
    assert Bench(server).rows(replace(said, paging=Offset(2, "from", "size", in_body=True))) == [0, 1, 2, 3, 4]
    assert server.calls[1].json == {"kind": "a", "from": 2, "size": 2}
    assert Bench(server).rows(replace(ITEMS, paging=Offset(2, "from", "size"))) == [0, 1, 2, 3, 4]


def test_paging_by_number_of_the_page(server: Server):
    def by_page(call: Call) -> Answer:
        at = 2 * (int(call.query["page"]) - 1)
        return Answer({"rows": [{"id": i} for i in range(at, min(at + 2, 5))], "pages": 3})

    server.routes["/items"] = by_page
    assert Bench(server).rows(replace(ITEMS, paging=Numbered("page", total="pages"))) == [0, 1, 2, 3, 4]
    assert len(server.calls) == 3


def test_paging_by_link(server: Server):
    def linked(call: Call) -> Answer:
        at = int(call.query.get("at", 0))
        return Answer({"rows": numbers(call, "at"), "follow": f"/items?at={at + 2}" if at < 4 else None})

    server.routes["/items"] = linked
    assert Bench(server).rows(replace(ITEMS, paging=Link("follow"))) == [0, 1, 2, 3, 4]


def test_paging_by_the_last_row(server: Server):
    server.routes["/items"] = lambda call: Answer({"rows": numbers(call, "after", body=True)})
    paging = Follow(
        lambda _answer, rows, _sent: {"after": rows[-1]["id"] + 1} if len(rows) == 2 else None, in_body=True
    )
    stream = replace(ITEMS, request=lambda _ask: Request("items", "POST", json={}), paging=paging)
    assert Bench(server).rows(stream) == [0, 1, 2, 3, 4]


def test_a_link_to_another_server_gets_no_credentials(server: Server):
    server.routes["/items"] = lambda _call: Answer({"rows": [{"id": 0}], "follow": "http://127.0.0.1:9/items"})
    with pytest.raises(DataError, match="points to another server"):
        Bench(server).rows(replace(ITEMS, paging=Link("follow")))


def test_a_redirect_is_not_followed(bench: Bench, server: Server):
    server.faults = [Answer(status=302, headers={"Location": "http://127.0.0.1:9/"})]
    with pytest.raises(DataError, match="HTTP 302"):
        bench.rows()


def test_a_cursor_that_stands_still_ends(server: Server):
    server.routes["/items"] = lambda _call: Answer({"rows": [{"id": 0}], "next": "same"})
    with pytest.raises(DataError, match="go round in a circle"):
        Bench(server).rows()
    assert len(server.calls) < 5


@pytest.mark.parametrize("body", [{"rows": [1, 2]}, {"rows": "text"}, {"rows": [[1]]}])
def test_an_answer_without_rows_is_refused(body: Any, server: Server):
    server.routes["/items"] = lambda _call: Answer(body)
    with pytest.raises(DataError, match="no rows where they should be"):
        Bench(server).rows()


@pytest.mark.parametrize("body", [[], {}, {"rows": None}, {"rows": []}])
def test_an_answer_may_hold_no_row(body: Any, server: Server):
    server.routes["/items"] = lambda _call: Answer(body)
    assert Bench(server).rows() == []


def test_a_report_is_waited_for(server: Server):
    states = iter(["queued", "running", "done"])
    server.routes |= {
        "/order": lambda _call: Answer({"id": 5}), "/look/5": lambda _call: Answer({"state": next(states)}),
        "/items": pages,
    }  # fmt: skip
    job = Job(
        look=lambda _ask, order: Request(f"look/{order['id']}"),
        ready=lambda answer: answer["state"] == "done" or (answer["state"] if answer["state"] == "failed" else False),
        fetch=lambda _ask, _order: Request("items"), wait=30, longest=90,
    )  # fmt: skip
    stream = replace(ITEMS, request=lambda _ask: Request("order", "POST"), job=job)
    bench = Bench(server)
    assert bench.rows(stream) == [0, 1, 2, 3, 4, 5]
    assert bench.slept[:2] == [30, 30]
    states = iter(["failed"])
    with pytest.raises(DataError, match="failed"):
        bench.rows(stream)
    states = iter(["running"] * 9)
    with pytest.raises(DataError, match="after 90 seconds"):
        bench.rows(stream)


def packed() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("1/a.json.gz", b"x" * 50_000)
    return held.getvalue()


def test_a_file_is_kept_as_it_comes(server: Server, tmp_path: Path):
    server.routes["/items"] = lambda _call: Answer(packed(), headers={"Content-Type": "application/zip"})
    server.faults = [Answer(status=500), Answer(packed(), cut=True), Answer(packed()[:-30])]
    bench, target = Bench(server), tmp_path / "rows.zip"
    assert bench.client.download(replace(ITEMS, file=".zip"), ASK, target)
    assert target.read_bytes() == packed()
    server.faults = [Answer(status=204)]
    assert not bench.client.download(replace(ITEMS, file=".zip"), ASK, target)


def test_a_file_that_is_cut_every_time_is_refused(server: Server, tmp_path: Path):
    server.faults = [Answer(packed(), cut=True)] * 9
    with pytest.raises(DataError, match="cut off"):
        Bench(server).client.download(replace(ITEMS, file=".zip"), ASK, tmp_path / "rows.zip")
    assert len(server.calls) == 5


@pytest.mark.parametrize("address", ["http://api.example.com", "ftp://x", "api.example.com"])
def test_credentials_go_only_through_tls(address: str):
    with pytest.raises(ConfigError, match="secured connection"):
        Client(Api("x", address, TOKEN, ()), Hidden({}), {}, sleep=print, clock=datetime.now)


def test_no_log_and_no_error_holds_a_credential(server: Server, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    server.routes |= {"/login": logins(server), "/items": pages}
    server.faults = [None, None, Answer({}, 500), Answer({"seen": [*SECRETS.values(), "fresh-1"]}, 400)]
    with pytest.raises(FunnelError) as caught:
        Bench(server, LOGIN).rows()
    told = f"{caught.value}{caught.value.__cause__}{caught.value.__context__}{caplog.text}{caught.traceback}"
    assert not [value for value in [*SECRETS.values(), "fresh-1"] if value in told]


def test_a_credential_is_hidden_before_a_long_text_is_cut(bench: Bench, server: Server):
    server.faults = [Answer(b"x" * 180 + f" {SECRETS['token']} ".encode() + b"y" * 99, 400)]
    with pytest.raises(DataError) as caught:
        bench.rows()
    assert SECRETS["token"][:6] not in str(caught.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rows", "data", "results", "result", "records", "dataList", "id", "info"]), inner
        )
    ),
    max_leaves=8,
)
STREAMS = [(api, stream) for api in INTERFACES.values() for stream in api.streams if stream.file is None]
ANY = {name: "1" for api in INTERFACES.values() for name in api.options}


@pytest.mark.parametrize(("api", "stream"), STREAMS, ids=[f"{api.system}-{stream.name}" for api, stream in STREAMS])
def test_whatever_answers_is_rows_or_an_error_that_says_so(api: Api, stream: Stream, server: Server):
    ask = replace(ASK, options=ANY, parent={"id": "1", "titles": {}}, since=datetime(2026, 11, 1, tzinfo=UTC))
    simple = replace(api, server=server.address, auth=TOKEN, pause=0)
    client = Client(simple, Hidden(SECRETS), {}, sleep=lambda _: None, clock=lambda: datetime(2026, 11, 22, tzinfo=UTC))

    @settings(deadline=None, max_examples=15, database=None, suppress_health_check=list(HealthCheck))
    @given(values)
    def check(value: Any) -> None:
        server.answer = lambda _call: Answer(value)  # type: ignore[method-assign]
        try:
            found = [row for rows in client.pages(stream, ask) for row in rows]
        except FunnelError:
            return
        assert all(isinstance(row, dict) for row in found)

    check()


def test_an_answer_nested_too_deeply_is_an_error(bench: Bench, server: Server):
    server.routes["/items"] = lambda _call: Answer(b'{"rows":' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    with pytest.raises(DataError):
        bench.rows()


def test_the_library_sends_no_telemetry(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import os

    monkeypatch.delenv("RUNTIME__DLTHUB_TELEMETRY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server.routes["/items"] = pages
    Bench(server).rows()
    assert os.environ["RUNTIME__DLTHUB_TELEMETRY"] == "false"
    assert not list(tmp_path.iterdir())
