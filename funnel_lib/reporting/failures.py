"""Why a report was not made, in the reader's language: what the error says, and what can be done.

An error's message is English and holds up to five lines (what happened, where, what was found, what is allowed,
what to do). Our own messages are translated (see `faults`); of others the reader gets the original, framed by a
sentence in his language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from funnel_lib.notation import Language
from funnel_lib.reporting.catalogue import placeholders
from funnel_lib.reporting.faults import AGAIN, KNOWN
from funnel_lib.reporting.wording import Say, Sentence, Text

PARTS = ("where", "found", "allowed", "do")


@dataclass(frozen=True)
class Failure:
    """Why a report was not made.

    Parameters
    ----------
    what, do : what happened and what can be done; `do` may be empty.
    details : the rest of the message, as labels and original texts.
    original : the English message, where `what` is a translation or stands for a message that is not known.
    """

    what: Text
    do: Text = ""
    details: Sequence[tuple[Sentence, str]] = ()
    original: str = ""


def failure(reason: str, language: Language) -> Failure:
    r"""Return an error's message in the reader's language.

    >>> found = failure("Nobody entered the funnel in this period.\n  found:   2026-05: no visit", "zh")
    >>> str(found.what), [(str(label), text) for label, text in found.details]
    ('本期没有用户进入漏斗。', [('实际情况', '2026-05: no visit')])
    """
    say = Say(language)
    what, rest = _split(reason)
    labels = {
        "where": say("Where it happened"),
        "found": say("What the program found"),
        "allowed": say("What is allowed"),
    }
    details = tuple((labels[name], text) for name, text in rest.items() if name in labels)
    for msgid, advice in KNOWN:
        values = _matched(msgid, what)
        if values is not None:
            said = Say(language)(msgid, **values)
            do: Text = rest.get("do", "") if language == "en" else ""
            return Failure(said, do or Say(language)(advice), details, "" if said.text == what else what)
    if language == "en":
        return Failure(what, rest.get("do", ""), details)
    kind = re.match(r"([A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Exit)): ", what)
    framed = say("The notebook stopped with an error of the program ({kind}).", kind=kind[1]) if kind else say(
        "The notebook stopped with an error."
    )  # fmt: skip
    return Failure(framed, Say(language)(AGAIN), details, what)


def _split(reason: str) -> tuple[str, dict[str, str]]:
    """Return what happened, and the other parts of the message by name."""
    what, *lines = reason.strip().split("\n")
    rest: dict[str, str] = {}
    for line in lines:
        name, _colon, text = line.strip().partition(":")
        if name in PARTS and name not in rest:
            rest[name] = text.strip()
        elif rest:  # a part of several lines
            last = list(rest)[-1]
            rest[last] = f"{rest[last]} {line.strip()}"
        else:
            what = f"{what} {line.strip()}"
    return what, rest


def _matched(msgid: str, what: str) -> dict[str, str] | None:
    """Return the values with which a message was filled, None where it is another one."""
    pattern = re.escape(msgid)
    for name in placeholders(msgid):
        pattern = pattern.replace(rf"\{{{name}\}}", f"(?P<{name}>.*)")
    found = re.fullmatch(pattern, what)
    return None if found is None else found.groupdict()
