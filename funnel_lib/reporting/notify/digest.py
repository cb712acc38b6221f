"""What a run is told about: one digest of headline numbers, alerts and links, in one language."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from funnel_lib.config import Workbook
from funnel_lib.errors import FunnelError
from funnel_lib.notation import Language, text
from funnel_lib.notices import Notify
from funnel_lib.reporting import manifest
from funnel_lib.reporting.blocks import MIME
from funnel_lib.reporting.failures import failure
from funnel_lib.reporting.index import RANK, index_names
from funnel_lib.reporting.labels import Name, tidy
from funnel_lib.reporting.notify.memory import RUN, Alert, News
from funnel_lib.reporting.pages import period_title, report_title
from funnel_lib.reporting.runs import Made, RunResult
from funnel_lib.reporting.wording import Say

State = Literal["good", "alert", "failed", "quiet"]
SYMBOLS: Mapping[State, str] = {"good": "✓", "alert": "▼", "failed": "✕", "quiet": "●"}
NUMBERS, ITEMS = 4, 8
RANG = "monitoring.rate"
"""The number that a report states where a step left its control limits."""


@dataclass(frozen=True)
class Item:
    """A report that was made: what it is called, its first sentence, and where it can be opened (may be empty)."""

    title: str
    headline: str = ""
    link: str = ""


@dataclass(frozen=True)
class Digest:
    """What is told; all texts are plain, on one line each, and hold no markup.

    Parameters
    ----------
    state : `failed` where a report failed, `alert` where something needs attention, `quiet` where nothing changed.
    numbers : the key figures of the newest conversion report that was made.
    alerts : what needs attention, the worst first.
    resolved : what was announced and is over; `standing` : how much of what was announced still stands, in words.
    items : the reports that were made.
    link, open : where the catalogue can be opened (empty where nobody said), and the words on that link.
    """

    state: State
    title: str
    numbers: Sequence[str] = ()
    alerts: Sequence[str] = ()
    items: Sequence[Item] = ()
    link: str = ""
    open: str = ""
    language: Language = "en"
    resolved: Sequence[str] = ()
    standing: str = ""

    @property
    def subject(self) -> str:
        """The title with the mark of the state, for one line."""
        return f"{SYMBOLS[self.state]} {self.title}"


def wanted(result: RunResult, notify: Notify, heard: News) -> bool:
    """Tell whether the run is one that its workbook wants to hear of; what it `heard` before is no reason."""
    if notify.when == "failure":
        return any(one.failed for one in (*heard.fresh, *heard.over))
    renewed = any(made.status == "ok" for made in result.reports)
    return notify.when == "always" or renewed or bool(heard.fresh or heard.over)


def alerts(result: RunResult, workbook: Workbook, notify: Notify) -> list[Alert]:
    """Return what needs attention after a run: failures, then numbers that moved, then what reports warn of."""
    language = notify.language or workbook.languages[0]
    told = _told(result, language)
    made = sorted((one for one in told if one.status == "ok"), key=_order)
    warned = (line for one in made[:ITEMS] for line in _warnings(Say(language), result.folder, one))
    return [*_alerts(Say(language), result, told), *warned]


def looked(result: RunResult) -> dict[str, bool]:
    """Return what a run has looked at, and whether it came out well (see `memory.news`)."""
    made = {one.job.path: one.status == "ok" for one in result.reports if one.status in ("ok", "failed", "no data")}
    return {**made, RUN: result.fault is None}


def digest(result: RunResult, workbook: Workbook, notify: Notify, heard: News) -> Digest:
    """Return what a run did, in the language that `notify` asks for; of trouble, what is new in `heard`."""
    language = notify.language or workbook.languages[0]
    say, title = Say(language), tidy(text(workbook.title, language, workbook.name))
    told = _told(result, language)
    made = sorted((one for one in told if one.status == "ok"), key=_order)
    failed = [one for one in told if one.status == "failed"]
    items = [_item(say, result.folder, one, notify) for one in made[:ITEMS]]
    if len(made) > ITEMS:
        items.append(Item(say.plural(len(made) - ITEMS, "and {n} more report", "and {n} more reports").text))
    trouble = [*heard.fresh, *heard.standing]
    grave = failed or any(one.failed for one in trouble)
    state: State = "failed" if grave else "alert" if trouble else "good" if made or heard.over else "quiet"
    return Digest(
        state, _title(say, title, len(made), len(failed)), _numbers(result.folder, made), _lines(heard.fresh), items,
        _address(notify, index_names(workbook.languages)[language]), say.text("Open the reports"), language,
        tuple(say("Over: {alert}", alert=Name(line)).text for line in _lines(heard.over)), _standing(say, heard),
    )  # fmt: skip


def stop(fault: FunnelError, workbook: Workbook, notify: Notify) -> Alert:
    """Return what needs attention where a run ended before any report was made."""
    return Alert(RUN, tidy(str(failure(str(fault), notify.language or workbook.languages[0]).what)), failed=True)


def stopped(fault: FunnelError, workbook: Workbook, notify: Notify) -> Digest:
    """Return the digest of a run that ended before any report was made, such as on data that is not good enough."""
    language = notify.language or workbook.languages[0]
    say, title = Say(language), tidy(text(workbook.title, language, workbook.name))
    why = failure(str(fault), language)
    alerts = [tidy(str(part)) for part in (why.what, why.original, *(told for _, told in why.details)) if str(part)]
    return Digest(
        "failed", say("{workbook}: the run has stopped", workbook=Name(title)).text, alerts=alerts,
        link=_address(notify, index_names(workbook.languages)[language]), open=say.text("Open the reports"),
        language=language,
    )  # fmt: skip


def trial(workbook: Workbook, notify: Notify) -> Digest:
    """Return the digest that tries out whether an address works."""
    language = notify.language or workbook.languages[0]
    say, title = Say(language), tidy(text(workbook.title, language, workbook.name))
    where = _address(notify, index_names(workbook.languages)[language])
    said = say.text("This is a test. Digests of the runs of this workbook will arrive here.")
    item = Item(say.text("Test message"), said)
    return Digest("quiet", say.text("{workbook}: test message", workbook=Name(title)), items=[item], link=where,
                  open=say.text("Open the reports"), language=language)  # fmt: skip


def pictures(result: RunResult) -> list[Path]:
    """Return the one-page summary of the newest report that was made, where there is one."""
    made = sorted((one for one in result.reports if one.status == "ok"), key=_order)
    files = [result.folder / one.job.folder / f"{one.job.stem}.summary.png" for one in made]
    return [file for file in files if file.is_file()][:1]


def _order(made: Made) -> tuple[object, ...]:
    return (made.job.segment != "all", RANK[made.job.report], [-ord(c) for c in made.job.period], made.job.segment)


def _title(say: Say, workbook: str, made: int, failed: int) -> str:
    name = Name(workbook)
    if failed and made:
        return say("{workbook}: {failed} failed, {made} renewed", workbook=name, failed=failed, made=made).text
    if failed:
        return say.plural(failed, "{workbook}: {n} report failed", "{workbook}: {n} reports failed", workbook=name).text
    if made:
        return say.plural(made, "{workbook}: {n} report renewed", "{workbook}: {n} reports renewed", workbook=name).text
    return say("{workbook}: no report was renewed", workbook=name).text


def _told(result: RunResult, language: Language) -> list[Made]:
    """Return the reports that are told of: those in the digest's language, where there are such."""
    return [made for made in result.reports if made.job.language == language] or list(result.reports)


def _lines(found: Sequence[Alert]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.text for one in found))


def _standing(say: Say, heard: News) -> str:
    count = len(_lines(heard.standing))
    return say.plural(
        count, "{n} known problem still stands", "{n} known problems still stand"
    ).text if count else ""  # fmt: skip


def _alerts(say: Say, result: RunResult, told: Sequence[Made]) -> Iterator[Alert]:
    """Yield what the run itself says: failures first, then missing data, then what was not printed or has moved."""
    if result.fault is not None:
        yield Alert(RUN, tidy(str(failure(result.fault, say.language).what)), failed=True)
    for one in sorted(told, key=lambda made: made.status != "failed"):
        name = _name(say, one)
        if one.status in ("failed", "no data"):
            why = tidy(str(failure(one.reason or "", say.language).what))
            line = say("{report}: {why}", report=Name(name), why=Name(why)).text
            yield Alert(one.job.path, line, failed=True)
        if one.unprinted:
            yield Alert(one.job.path, tidy(str(failure(one.unprinted, say.language).what)), failed=True)
        if one.restates:
            line = say.plural(
                one.restates, "{report}: {n} published number has moved", "{report}: {n} published numbers have moved",
                report=Name(name),
            ).text  # fmt: skip
            yield Alert(one.job.path, line, counted=True)


def _warnings(say: Say, folder: Path, made: Made) -> list[Alert]:
    """Return the warnings that stand at the head of a report, and the days on which a step left its limits."""
    path, name = made.job.path, Name(_name(say, made))
    heads = [tidy(lines[0]) for lines, _ in _blocks(folder, made, "alert") if lines]
    found = [lines for lines, payload in _blocks(folder, made, "section") if RANG in payload.get("metrics", {})]
    rang = [say("{report}: {why}", report=name, why=Name(tidy(lines[0]))).text for lines in found if lines]
    return [Alert(path, line) for line in (*heads, *rang)]


def _numbers(folder: Path, made: Sequence[Made]) -> list[str]:
    newest = next((one for one in made if one.job.report == "conversion"), None)
    found = [] if newest is None else [lines for lines, _ in _blocks(folder, newest, "kpis")]
    return [tidy(line) for line in found[0][:NUMBERS]] if found else []


def _item(say: Say, folder: Path, made: Made, notify: Notify) -> Item:
    record = manifest.read(folder / made.job.folder / f"{made.job.stem}.manifest.json") or {}
    return Item(_name(say, made), tidy(str(record.get("headline") or "")), _address(notify, made.job.path))


def _name(say: Say, made: Made) -> str:
    job = made.job
    parts = [report_title(job.report, say.language).text, period_title(job.period, say.language)]
    return tidy(" · ".join([*parts, *([] if job.segment == "all" else [job.segment])]))


def _address(notify: Notify, path: str) -> str:
    return f"{notify.link.rstrip('/')}/{path}" if notify.link else ""


def _blocks(folder: Path, made: Made, kind: str) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """Yield a report's blocks of one kind: text by lines, payload; nothing where its notebook cannot be read."""
    try:
        source = (folder / made.job.folder / f"{made.job.stem}.ipynb").read_text(encoding="utf-8")
        cells: list[dict[str, Any]] = json.loads(source)["cells"]
    except (OSError, ValueError, KeyError):
        return
    for cell in cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.get(MIME, {}).get("kind") == kind:
                yield "".join(data.get("text/plain", "")).splitlines(), data[MIME]
