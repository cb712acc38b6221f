"""`funnel notify test`, and the digest after a run: addresses stay hidden, what was not delivered is said."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "shop.py"))
collected, shop = _SHOP["collected"], _SHOP["shop"]
FUNNEL = str(Path(sys.executable).with_name("funnel"))
WORKBOOK = """
name: shop
title: Shop
languages: [en, zh]
sources: {log: {system: table, table: events, files: log.csv, columns: {user_id: u, event: e, ts: t}}}
funnel: {steps: [{name: visit, event: a}, {name: buy, event: b}]}
"""


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a webhook on this machine, and the bodies that it has got."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/hook-0123456789", bodies
    server.shutdown()
    server.server_close()


def funnel(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([FUNNEL, *arguments], capture_output=True, text=True, env={**os.environ, **environment})


def workbook(folder: Path, notify: str = "notify: {to: [SHOP_HOOK, OTHER_HOOK]}") -> Path:
    file = folder / "params" / "shop.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{WORKBOOK}{notify}\n")
    return file


def test_each_address_is_tried_and_none_is_shown(tmp_path: Path, hook: tuple[str, list[bytes]]) -> None:
    address, bodies = hook
    done = funnel("notify", "test", str(workbook(tmp_path)), SHOP_HOOK=address)
    assert done.returncode == 1
    assert "Delivered: SHOP_HOOK (JSON)" in done.stderr
    assert "Not delivered: OTHER_HOOK: the variable is not set" in done.stderr
    assert "hook-0123456789" not in done.stdout + done.stderr
    assert json.loads(bodies[0])["title"] == "Shop: test message"
    assert funnel("notify", "test", str(workbook(tmp_path)), SHOP_HOOK=address, OTHER_HOOK=address).returncode == 0


def test_a_look_sends_nothing(tmp_path: Path, hook: tuple[str, list[bytes]]) -> None:
    done = funnel("notify", "test", str(workbook(tmp_path)), "--print", SHOP_HOOK=hook[0])
    assert (done.returncode, hook[1]) == (0, [])
    assert done.stdout.startswith("● Shop: test message\n")


def test_without_anybody_to_tell_the_user_is_told_how(tmp_path: Path) -> None:
    done = funnel("notify", "test", str(workbook(tmp_path, "")))
    assert done.returncode == 1
    assert "FUNNEL_FEISHU_URL" in done.stderr


def test_a_run_that_cannot_begin_is_told(tmp_path: Path, hook: tuple[str, list[bytes]]) -> None:
    file = workbook(tmp_path, "notify: {to: [SHOP_HOOK], when: failure}")
    done = funnel("run", str(file), SHOP_HOOK=hook[0])
    assert done.returncode == 2
    told = json.loads(hook[1][0])
    assert (told["state"], told["title"]) == ("failed", "Shop: the run has stopped")
    assert "Nothing was collected yet." in told["alerts"][0]
    assert funnel("run", str(file), SHOP_HOOK=hook[0]).returncode == 2
    assert len(hook[1]) == 1  # the same the next night is no news
    kept = (tmp_path / "reports/shop/.told.json").read_text()
    assert "Nothing was collected yet." in kept
    assert "hook-0123456789" not in kept


def test_the_page_about_it_says_what_is_so(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")
    file = workbook(tmp_path, re.search(r"```yaml\n(.*?)```", page, flags=re.DOTALL)[1])
    commands = [shlex.split(line) for line in re.findall(r"^\$ funnel (.*)$", page, flags=re.MULTILINE)]
    assert len(commands) == 2
    given = [[str(file) if word.startswith("params/") else word for word in command] for command in commands]
    shown, tried = (funnel(*command) for command in given)
    assert (shown.returncode, shown.stdout.splitlines()[-1]) == (
        0,
        "打开报告: https://reports.example.com/education/index.zh.html",
    )
    assert (tried.returncode, tried.stderr.count("the variable is not set")) == (1, 2)


def test_a_run_tells_its_headline_and_a_current_one_tells_nothing(shop: Path, hook: tuple[str, list[bytes]]) -> None:
    address, bodies = hook
    file = shop / "params" / "shop.yml"
    file.write_text(file.read_text() + "notify: {to: [SHOP_HOOK], link: 'https://reports.example.com/shop'}\n")
    asked = ("run", str(file), "--report", "conversion", "--period", "2026-05", "--segment", "all", "--language", "en")
    assert funnel(*asked, SHOP_HOOK=address).returncode == 0
    told = json.loads(bodies[0])
    assert (told["state"], told["title"]) == ("good", "Shop: 1 report renewed")
    assert [(one["headline"], one["link"]) for one in told["reports"]] == [
        ("5 people came in 2026-05.", "https://reports.example.com/shop/2026-05/all/conversion.en.html")
    ]
    assert funnel(*asked, SHOP_HOOK=address).returncode == 3
    assert len(bodies) == 1
    lost = funnel(*asked, "--force", SHOP_HOOK=address.replace("127.0.0.1:", "127.0.0.1:1"))
    assert lost.returncode == 1
    assert "Not delivered: SHOP_HOOK" in lost.stderr
    assert (shop / "reports/shop/2026-05/all/conversion.en.html").is_file()
