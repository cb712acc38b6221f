"""What `funnel explain` does: a user's attempts as a table, and in words why the user counts or does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from funnel_lib import config
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.conversion.explain import Explanation, explain
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.notation import Language
from funnel_lib.reporting import asking
from funnel_lib.reporting.asking import Asked
from funnel_lib.reporting.counting import aligned
from funnel_lib.reporting.telling import tell

_WHEN = ("since", "until", "zone", "as_of")


def explained(
    unit: str, files: Sequence[str], asked: Asked, *, workbook: Path | None = None, language: str = "en"
) -> str:
    """Return the attempts of a unit as a table, then in words what came of them.

    Parameters
    ----------
    unit : its id, as text.
    files : events; none: those collected for the workbook.
    asked : the funnel; without steps that of the workbook.
    workbook : its file; None: the only one in params/, where one is needed.
    language : `en` or `zh`.

    Raises
    ------
    ConfigError : the options or the workbook define no funnel, or not just one.
    DataError : the events cannot be read, or are not collected.
    """
    if language not in get_args(Language):
        allowed = choices(get_args(Language), language)
        raise ConfigError("There is no such language.", where="--language", found=language, allowed=allowed)
    book = None if files and workbook is None else config.load(workbook or _only_workbook(Path("params")))
    funnel = _funnel(asked, book)
    events = asking.events(files, asked, funnel) if files or book is None else _collected(book)
    if book is not None and asked.zone is None:
        asked = replace(asked, zone=book.timezone)
    period = asking.period(asked)
    told = explain(events, funnel, unit, period=period, as_of=asking.moment(asked))
    zone = asking.zone(asked.zone)
    table = [] if told.attempts.empty else [*_table(told, zone), ""]
    return "\n".join([*table, *tell(told, language, zone=zone)]) + "\n"  # type: ignore[arg-type]


def _funnel(asked: Asked, book: Workbook | None) -> Funnel:
    """Return the funnel that the options define, else that of the workbook."""
    if asked.step or book is None:
        return asking.funnel(asked)
    named = [one.name for one in fields(Asked) if getattr(asked, one.name) not in (one.default, [])]
    more = [name for name in named if name not in _WHEN]
    if more:
        raise ConfigError(
            "The workbook defines the funnel; this option does not go with it.", where="--" + more[0].replace("_", "-"),
            found=getattr(asked, more[0]), allowed="--from, --to, --zone, --as-of; or a whole funnel, with --step",
            do="Name the steps, or change the funnel in the workbook.",
        )  # fmt: skip
    return book.funnel


def _only_workbook(folder: Path) -> Path:
    found = sorted(folder.glob("*.yml"))
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        "It is not clear which workbook is meant." if found else "There is no workbook here.", where=folder,
        found=", ".join(map(str, found)) or "no workbook file", allowed="one of them, or files of events",
        do="Name it with --workbook FILE, or name files of events and the steps.",
    )  # fmt: skip


def _collected(book: Workbook) -> Path:
    """Return the events that were collected for the workbook."""
    store = Store(book.processed)
    store.facts()
    if not store.path("events").is_file():
        raise DataError(
            "This workbook has no events that could explain a user.", where=book.name, found="tables without events",
            allowed="a source of events", do="Look the user up in the source's table.",
        )  # fmt: skip
    return store.path("events")


def _table(told: Explanation, zone: tzinfo) -> list[str]:
    """Return one line per attempt, with the time of each of its steps."""
    frame = told.attempts
    logs = bool((frame["log"] != "").any())
    late = bool((frame["entry"] != frame["t_1"]).any())  # may differ in open funnels, and in any order
    names = told.funnel.names
    rows = [("", *["log"] * logs, *["entry"] * late, *names, "ended", "at", "counts")]
    for row in frame.to_dict("records"):
        steps = [_moment(row[f"t_{place}"], zone) for place in range(1, len(names) + 1)]
        verdict = "yes" if row["chosen"] else f"no: {str(row['why_not']).replace('_', ' ')}"
        ended = str(row["ended"]).replace("_", " ")
        if isinstance(row["excluded_by"], str):
            ended += f" by {row['excluded_by']}"
        own = [str(row["attempt"]), *[str(row["log"])] * logs, *[_moment(row["entry"], zone)] * late]
        rows.append((*own, *steps, ended, _moment(row["ended_at"], zone), verdict))
    return aligned(rows, right=(0,))


def _moment(at: Any, zone: tzinfo) -> str:
    return "-" if pd.isna(at) else f"{at.tz_convert(zone):%Y-%m-%d %H:%M:%S}"
