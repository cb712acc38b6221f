"""Why a report was not made, in the reader's language: what the error says, and what can be done.

An error's message is English and holds up to five lines (what happened, where, what was found, what is allowed,
what to do). Messages that stop reports in practice are translated; of others the reader gets the original.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from funnel_lib.notation import Language
from funnel_lib.reporting.catalogue import placeholders
from funnel_lib.reporting.wording import Say, Sentence, Text

PARTS = ("where", "found", "allowed", "do")


def _(msgid: str) -> str:
    """Mark a sentence for the catalogue."""
    return msgid


FEWER = _("Run it again with fewer reports at a time (--workers), or on a machine with more memory.")
PERIOD = _("Choose another period, or collect the exports that are missing.")
CORRECT = _("Correct the workbook file, check it with funnel check, and run again.")
COLLECT = _("Collect the data again, then run again.")
LONGER = _("Run it again; allow more time with --limit or --cell-limit if the data has grown.")
RIGHTS = _("Check the folder's permissions and the disk's free space, then run it again.")
AGAIN = _("Run it again; if it happens again, look at the log below the folder failed.")
KNOWN: tuple[tuple[str, str], ...] = (
    (_("Nobody entered the funnel in this period."), PERIOD),
    (_("Nobody in this segment entered the funnel in this period."), _("Choose another segment or period.")),
    (_("There is no data in this period."), PERIOD),
    (_("There is no data in the workbook's periods."), PERIOD),
    (_("Nothing was collected yet."), COLLECT),
    (_("The step '{step}' matches no event of the whole data."), _("Correct the step's event in the workbook file.")),
    (_("The notebook's kernel died; it may have run out of memory."), FEWER),
    (_("The process of this report ended with code {code}; it may have run out of memory."), FEWER),
    (_("The notebook ran out of memory."), FEWER),
    (_("A cell of the notebook ran longer than {n} seconds."), LONGER),
    (_("The report took longer than {n} seconds and was ended."), LONGER),
    (_("The worker of this report was lost: {fault}"), AGAIN),
    (_("The report could not be written: {fault}."), RIGHTS),
    (_("The page is not complete."), AGAIN),
    (_("The numbers are not complete."), AGAIN),
    (_("OSError: [Errno {number}] No space left on device{place}"), _("Free some space, then run it again.")),
    (_("OSError: {message}"), RIGHTS),
    (_("PermissionError: {message}"), _("Give the run the right to read and write its folders, then run it again.")),
    (_("This workbook has no case study."), CORRECT),
    (_("A case study needs events with times."), CORRECT),
    (_("This snapshot does not say when its units entered."), CORRECT),
    (_("The workbook cannot be used: {what}."), CORRECT),
    (_("The workbook file is not readable YAML."), CORRECT),
    (_("There is no such workbook file."), CORRECT),
    (_("A column is missing."), COLLECT),
    (_("The events have no column '{column}'."), COLLECT),
    (_("A file of events changed while it was read."), AGAIN),
    (_("Another process is storing these journeys."), AGAIN),
)


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
    return Failure(say("The notebook stopped with an error."), Say(language)(AGAIN), details, what)


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
