"""A server on the loopback that answers as a test tells it, and a workbook whose source is fetched from it."""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from funnel_lib.collection.rest.fetch import Outcome, World, fetch
from funnel_lib.config import load

FUNNEL = {"steps": [{"name": "visit", "event": "page_view"}, {"name": "buy", "event": "purchase"}]}


@dataclass(frozen=True)
class Call:
    """What the server was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass(frozen=True)
class Answer:
    """What it says: a status, a body (anything becomes JSON), headers; `cut` breaks the connection in the body."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()


class Server:
    """Answers each path by its function; `faults` are answered first, one for each call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.routes: dict[str, Callable[[Call], Any]] = {}
        self.faults: list[Answer | None] = []
        self.spared: tuple[str, ...] = ()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                call = Call(
                    self.command, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), self.headers, body,
                    self.path,
                )  # fmt: skip
                server.calls.append(call)
                self._say(server.answer(call))

            do_POST = do_GET  # noqa: N815 - the library's name

            def _say(self, answer: Answer) -> None:
                data = answer.data
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if answer.cut else data)
                if answer.cut:
                    self.wfile.flush()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, call: Call) -> Answer:
        if self.faults and call.path not in self.spared and (fault := self.faults.pop(0)) is not None:
            return fault
        route = self.routes.get(call.path)
        found = Answer({"error": f"no route {call.path}"}, 404) if route is None else route(call)
        return found if isinstance(found, Answer) else Answer(found)

    def asked(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Shop:
    """A workbook with one source `s`, fetched from the server at a clock that the test turns."""

    root: Path
    file: Path
    environ: dict[str, str]
    now: datetime = datetime(2026, 11, 22, 10, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    @property
    def raw(self) -> Path:
        return self.root / "data" / "raw" / "shop"

    def fetch(self, **more: Any) -> Outcome:
        """Fetch; an error is raised instead of being collected."""
        found = self.outcome(**more)
        if found.faults:
            raise found.faults[0]
        return found

    def outcome(self, **more: Any) -> Outcome:
        return fetch(load(self.file), World(self.environ, lambda: self.now, self.slept.append), **more)

    def later(self, **much: float) -> None:
        self.now += timedelta(**much)

    def rows(self, stream: str) -> list[dict[str, Any]]:
        """The rows that count."""
        return [row for path in self.files(stream) for row in read(path)]

    def files(self, stream: str) -> list[Path]:
        return sorted(path for path in (self.raw / "s" / "api" / stream).glob("*") if path.is_file())

    def stages(self) -> list[dict[str, Any]]:
        return read(self.raw / "s" / "stages" / "stage_history.jsonl.gz")

    def everything(self) -> bytes:
        """All that was written, unpacked, with the names of the files."""
        found = b""
        for path in sorted(self.root.rglob("*")):
            data = path.read_bytes() if path.is_file() else b""
            found += str(path).encode() + (unpacked(data) if path.suffix == ".gz" else data)
        return found


def unpacked(data: bytes) -> bytes:
    return gzip.decompress(data)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unpacked(path.read_bytes()).splitlines()]


SECRETS = {
    "token": "tok-9f8e7d6c5b",
    "api_key": "key-1a2b3c4d5e",
    "secret_key": "sec-0011223344",
    "client_id": "cid-5566778899",
    "client_secret": "cse-aabbccddee",
    "refresh_token": "ref-ffeeddccbb",
    "app_id": "app-1231231231",
    "app_secret": "ase-4564564564",
    "permanent_code": "per-7897897897",
    "open_user_id": "FSUID_planted1",
    "username": "usr-planted-name",
    "user": "usr-planted-sid",
    "password": "pas-p4ss+w0rd/=",
    "security_token": "stk-planted",
    "redirect_uri": "https://planted.example/back",
    "outer_instance_id": "oin-planted-0",
    "developer_token": "dev-planted-9",
    "scope": "scp-planted-all",
    "jwt": "jwt-planted-long",
    "login_customer_id": "lcu-planted-1",
}


def make_shop(
    root: Path, server: Server, system: str, *, read_as: str = "table", since: str = "2026-11-20", **api: Any
) -> Shop:
    """Write a workbook below `root` whose source `s` is fetched from the server; `api` joins the source's api."""
    source: dict[str, Any] = {"system": read_as, "files": "s/api/**/*", "timezone": "UTC"}
    if read_as == "table":
        source |= {"table": "users", "columns": {"user_id": "id"}}
    source["api"] = {"system": system, "server": server.address, "since": since, **api}
    content = {"name": "shop", "title": "Shop", "funnel": FUNNEL, "sources": {"s": source}}
    file = root / "params" / "shop.yml"
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    environ = {f"FUNNEL_S_{name.upper()}": value for name, value in SECRETS.items()}
    return Shop(root, file, environ | {"PATH": os.environ["PATH"]})
