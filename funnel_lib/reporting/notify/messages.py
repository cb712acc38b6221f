"""A digest in the form that each service takes: cards, Markdown dialects, HTML, JSON.

Texts may hold names from data: whatever a service would read as markup, a link or a mention is written with a
look-alike sign. Each form keeps within the service's limit by leaving out whole lines from the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

from funnel_lib.reporting.notify.digest import SYMBOLS, Digest, State
from funnel_lib.reporting.wording import Say

INERT = str.maketrans("<>[]*`@_~|\\", "＜＞［］∗′＠＿～｜＼")
COLOURS: Mapping[State, str] = {"good": "green", "alert": "orange", "failed": "red", "quiet": "blue"}
FEISHU, WECOM, DINGTALK, SLACK = 18_000, 4_000, 18_000, 2_900
LONGEST = 300  # characters of one text in a message
MORE = "…"
Link = Callable[[str, str], str]


def feishu(digest: Digest) -> dict[str, Any]:
    """Return an interactive card for Feishu or Lark (at most 20 KB)."""
    text = _within(digest, _lines(digest, "**", _markdown_link), FEISHU)
    elements: list[dict[str, Any]] = [{"tag": "div", "text": {"tag": "lark_md", "content": text}}]
    if digest.link:
        words = {"tag": "plain_text", "content": digest.open}
        elements.append({"tag": "action", "actions": [
            {"tag": "button", "type": "primary", "text": words, "url": digest.link}]})  # fmt: skip
    head = {"template": COLOURS[digest.state], "title": {"tag": "plain_text", "content": _short(digest.subject)}}
    card = {"config": {"wide_screen_mode": True}, "header": head, "elements": elements}
    return {"msg_type": "interactive", "card": card}


def wecom(digest: Digest) -> dict[str, Any]:
    """Return Markdown for a WeCom group's robot (at most 4096 bytes)."""
    lines = [f"## {_inert(_short(digest.subject))}", *_lines(digest, "**", _markdown_link)]
    return {"msgtype": "markdown", "markdown": {"content": _within(digest, lines, WECOM, last=_opening(digest))}}


def dingtalk(digest: Digest) -> dict[str, Any]:
    """Return Markdown for a DingTalk group's robot; its title is only the preview and stands in the text again."""
    lines = [f"### {_inert(_short(digest.subject))}", *_lines(digest, "**", _markdown_link)]
    text = _within(digest, lines, DINGTALK, "\n\n", last=_opening(digest))
    return {
        "msgtype": "markdown",
        "markdown": {"title": _short(digest.subject), "text": text},
        "at": {"isAtAll": False},
    }


def slack(digest: Digest) -> dict[str, Any]:
    """Return blocks for a Slack webhook: a header of at most 150 signs, a section of at most 3000."""
    opening = [_slack_link(digest.open, digest.link)] if digest.link else []
    lines = [line.replace("&", "&amp;") for line in _lines(digest, "*", _slack_link)]
    text = _within(digest, lines, SLACK, last=opening) or digest.subject
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    header = {"type": "header", "text": {"type": "plain_text", "text": digest.subject[:150]}}
    return {"text": _inert(digest.subject).replace("&", "&amp;"), "blocks": [header, section]}


def webhook(digest: Digest) -> dict[str, Any]:
    """Return the digest as plain values."""
    items = [{"title": item.title, "headline": item.headline, "link": item.link} for item in digest.items]
    return {
        "schema": "funnel-digest/1", "state": digest.state, "title": digest.title, "language": digest.language,
        "numbers": list(digest.numbers), "alerts": list(digest.alerts), "resolved": list(digest.resolved),
        "standing": digest.standing, "reports": items, "link": digest.link,
    }  # fmt: skip


def html(digest: Digest) -> str:
    """Return the digest for mails: simple HTML, styled in its elements, without pictures."""
    cell = 'style="padding:6px 12px 6px 0;border-bottom:1px solid #d9dde2;vertical-align:top"'
    rows = [f"<p><b>{escape(line)}</b></p>" for line in digest.alerts]
    rows += [f"<p>{escape(line)}</p>" for line in (*digest.resolved, digest.standing) if line]
    if digest.numbers:
        rows.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in digest.numbers) + "</ul>")
    if digest.items:
        rows.append('<table style="border-collapse:collapse;font-size:14px">')
        for item in digest.items:
            title = f'<a href="{escape(item.link)}">{escape(item.title)}</a>' if item.link else escape(item.title)
            rows.append(f"<tr><td {cell}>{title}</td><td {cell}>{escape(item.headline)}</td></tr>")
        rows.append("</table>")
    if digest.link:
        rows.append(f'<p><a href="{escape(digest.link)}">{escape(digest.open)}</a></p>')
    language = "zh-CN" if digest.language == "zh" else "en"
    style = "font-family:Arial,'Microsoft YaHei',sans-serif;font-size:15px;color:#1b1f24;max-width:640px"
    return f'<div lang="{language}" style="{style}"><h2>{escape(digest.subject)}</h2>{"".join(rows)}</div>'


def plain(digest: Digest) -> str:
    """Return the digest as plain text, for other services and for looking at it."""
    lines = [digest.subject, *_lines(digest, "", lambda words, href: f"{words} {href}".strip())]
    return "\n".join([*lines, *([f"{digest.open}: {digest.link}"] if digest.link else [])])


def _lines(digest: Digest, bold: str, link: Link) -> Iterator[str]:
    """Yield the digest line by line: alerts, what is over, what still stands, numbers, reports."""

    def written(text: str) -> str:
        return _inert(_short(text)) if bold else text

    yield from (f"{SYMBOLS['alert']} {bold}{written(line)}{bold}" for line in digest.alerts)
    yield from (f"{SYMBOLS['good']} {written(line)}" for line in digest.resolved)
    if digest.standing:
        yield f"{SYMBOLS['quiet']} {written(digest.standing)}"
    yield from (f"- {written(line)}" for line in digest.numbers)
    for item in digest.items:
        title = link(written(item.title), item.link) if item.link else f"{bold}{written(item.title)}{bold}"
        yield f"{title}: {written(item.headline)}" if item.headline else title


def _opening(digest: Digest) -> list[str]:
    return [_markdown_link(_inert(digest.open), digest.link)] if digest.link else []


def _inert(text: str) -> str:
    """Return a text without signs that a service reads as markup, a link or a mention."""
    return text.translate(INERT)


def _markdown_link(words: str, href: str) -> str:
    return f"[{words}]({href.replace('(', '%28').replace(')', '%29')})"


def _slack_link(words: str, href: str) -> str:
    return f"<{href.replace('|', '%7C').replace('>', '%3E')}|{words}>"


def _short(text: str) -> str:
    """Return a text cut to `LONGEST` whole characters, so that no single one fills a message."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}{MORE}"


def _bytes(text: str) -> int:
    """Return how many bytes a text takes in a message, which is JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def _more(digest: Digest, count: int) -> str:
    say = Say(digest.language)
    return say.plural(count, "… and {n} more line", "… and {n} more lines").text


def _within(
    digest: Digest, lines: Iterable[str], limit: int, between: str = "\n", *, last: Sequence[str] = ()
) -> str:  # fmt: skip
    """Return as many whole lines as fit into `limit` bytes, then `last`; a line says how many are left out."""
    every = list(lines)
    room = limit - sum(_bytes(between + line) for line in (_more(digest, len(every)), *last))
    sizes = accumulate(_bytes(between + line) for line in every)
    fit = sum(size <= room for size in sizes)
    left = [] if fit == len(every) else [_more(digest, len(every) - fit)]
    return between.join([*every[:fit], *left, *last])
