"""A digest in every service's form: within its limits, and whatever stands in a name stays text."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup

from funnel_lib.reporting.notify import messages
from funnel_lib.reporting.notify.digest import Digest, Item

LINK = "https://reports.example.com/shop/index.html"
EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "[x](javascript:alert(1))", "<@all>",
        "<!channel>", "**bold**", "@all"]  # fmt: skip


def digest(name: str = "Shop", *, items: int = 2, link: str = LINK) -> Digest:
    listed = [Item(f"Conversion {number} {name}", f"5% of {name} paid.", link) for number in range(items)]
    return Digest(
        "failed", f"{name}: 1 failed", [f"{name}: 5.0%"], [f"{name} is late"], listed, link, "Open the reports"
    )


def texts(told: Digest) -> dict[str, str]:
    slack = messages.slack(told)
    return {
        "feishu": messages.feishu(told)["card"]["elements"][0]["text"]["content"],
        "wecom": messages.wecom(told)["markdown"]["content"],
        "dingtalk": messages.dingtalk(told)["markdown"]["text"],
        "slack": slack["blocks"][1]["text"]["text"],
    }


def test_all_forms_tell_the_same() -> None:
    for name, text in texts(digest()).items():
        for said in ("Shop is late", "Shop: 5.0%", "Conversion 0 Shop", "5% of Shop paid.", LINK):
            assert said in text, name
    assert messages.feishu(digest())["card"]["header"]["template"] == "red"
    assert messages.feishu(digest())["card"]["elements"][1]["actions"][0]["url"] == LINK
    assert json.loads(json.dumps(messages.webhook(digest())))["reports"][1]["link"] == LINK
    assert messages.plain(digest()).splitlines()[0] == "✕ Shop: 1 failed"


def test_without_a_place_for_links_there_is_none() -> None:
    told = digest(link="")
    assert not [name for name, text in texts(told).items() if "](" in text or "<http" in text]
    assert len(messages.feishu(told)["card"]["elements"]) == 1
    assert "<a" not in messages.html(told)


@pytest.mark.parametrize("evil", EVIL)
def test_what_stands_in_a_name_is_no_markup(evil: str) -> None:
    for name, text in texts(digest(evil)).items():
        links = re.sub(r"\]\(https://reports[^)]*\)|<https://reports[^|]*\|", "", text)
        assert "](" not in links, name
        assert "<" not in links.replace("&lt;", ""), name
        assert "@" not in links, name
        assert "**bold**" not in links.replace("**∗∗bold∗∗", ""), name
    soup = BeautifulSoup(messages.html(digest(evil)), "html.parser")
    assert [element.name for element in soup.find_all(True)] == [
        element.name for element in BeautifulSoup(messages.html(digest("x")), "html.parser").find_all(True)
    ]


@pytest.mark.parametrize(
    ("name", "limit"), [("feishu", 20_000), ("wecom", 4_096), ("dingtalk", 20_000), ("slack", 3_000)]
)
def test_long_digests_end_with_whole_lines(name: str, limit: int) -> None:
    told = digest("很长的名字" * 20, items=200)
    text = texts(told)[name]
    assert len(text.encode()) <= limit
    lines = [line for line in text.split("\n") if line]
    more = [line for line in lines if line.startswith("… and ")]
    listed = sum("Conversion" in line for line in lines)
    assert more == [f"… and {200 - listed} more lines"]
    assert name == "feishu" or LINK in lines[-1]  # the way to the reports is never left out
    whole = texts(digest("很长的名字" * 20, items=1))[name].split("\n")[0]
    assert lines[0] == whole
    assert len(messages.slack(digest("x" * 500))["blocks"][0]["text"]["text"]) == 150


@pytest.mark.parametrize("name", ["漏斗" * 3000, '"' * 9000, "👩‍💻" * 2000])
def test_one_endless_name_fills_no_message(name: str) -> None:
    for form, text in texts(digest(name, items=30)).items():
        assert len(text.encode()) <= {"wecom": 4_096, "slack": 3_000}.get(form, 20_000)
        assert "…" in text
    for body in (messages.feishu(digest(name, items=300)), messages.dingtalk(digest(name, items=300))):
        assert len(json.dumps(body, ensure_ascii=False).encode()) <= 20_000


def test_what_is_over_and_what_still_stands_is_said() -> None:
    told = replace(digest(), resolved=["Over: the disk is full"], standing="2 known problems still stand")
    for name, text in texts(told).items():
        assert "✓ Over: the disk is full" in text, name
        assert "● 2 known problems still stand" in text, name
    assert "Over: the disk is full" in messages.html(told)
    assert messages.webhook(told)["resolved"] == ["Over: the disk is full"]
    assert messages.webhook(told)["standing"] == "2 known problems still stand"
