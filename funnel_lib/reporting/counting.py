"""What `funnel count` does: files and options in, the funnel's counts out, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from rich.cells import cell_len

from funnel_lib.conversion.engine.plan import Touch
from funnel_lib.conversion.journeys import Reading, read
from funnel_lib.conversion.keeping.tallies import Tally, counted
from funnel_lib.conversion.rates import wilson
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError, choices, nearest
from funnel_lib.notation import guarded
from funnel_lib.periods import Period
from funnel_lib.reporting import asking
from funnel_lib.reporting.asking import Asked

FORMATS = ("table", "json", "csv")
TOP = 20
_LENGTHS = {"d": 86_400_000_000, "h": 3_600_000_000, "min": 60_000_000, "s": 1_000_000}


@dataclass(frozen=True)
class Question:
    """What `funnel count` is asked: the funnel, the columns to break down by, and how to read the events.

    `touch` is `entry`, `first`, `last`, or a step's name or number: the event that tells the values of `by`.
    """

    asked: Asked
    by: tuple[str, ...] = ()
    touch: str = "entry"
    memory: str | None = None
    allow_unmatched: bool = False


@dataclass(frozen=True)
class Counted:
    """The counts, and what is to be known about them; `remarks` are sentences about what looks odd."""

    tally: Tally
    by: tuple[str, ...] = ()
    period: Period | None = None
    as_of: datetime | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    absent: Mapping[str, str | None] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def funnel(self) -> Funnel:
        """The funnel that was counted."""
        return self.tally.funnel

    @property
    def closed_until(self) -> datetime | None:
        """The last entry whose window had closed at `as_of`; None where nothing can be said about that."""
        if self.as_of is None or self.funnel.window is None:
            return None
        return self.as_of - self.funnel.window


def count(files: Sequence[str], question: Question) -> Counted:
    """Count the units that reached each step; memory does not grow with the number of events.

    Raises
    ------
    ConfigError : the options define no funnel, or a step matches no event of the data.
    DataError : the events cannot be read, lack a column, or there are none.
    """
    asked = question.asked
    funnel, period, as_of = asking.funnel(asked), asking.period(asked), asking.moment(asked)
    events = asking.events(files, asked, funnel, question.by)
    reading = read(
        events, funnel, by=question.by, touch=_touch(question.touch, funnel), period=period, as_of=as_of,
        memory=question.memory,
    )  # fmt: skip
    if reading.source.newest is None and not question.allow_unmatched:
        raise DataError(
            "There are no events.", where=", ".join(files), found="no row with a time",
            allowed="at least one event", do="Check the files, and the column that --ts names.",
        )  # fmt: skip
    tally = counted(reading)
    absent = reading.absent()
    if absent and not question.allow_unmatched:
        raise _unmatched(absent, funnel, reading)
    set_aside = reading.source.facts.set_aside
    return Counted(tally, question.by, period, reading.known, set_aside, absent, tuple(_remarks(reading, absent)))


def write(counted: Counted, form: str, *, top: int | None = None) -> str:
    """Return the counts as text.

    Parameters
    ----------
    form : `table`, `json` or `csv`.
    top : the largest groups to tell apart, the rest together as `other`; None: all, in a table 20.

    Raises
    ------
    ConfigError : there is no such form.
    """
    check_form(form)
    if form == "json":
        return json.dumps(plain(counted, top=top), ensure_ascii=False, indent=1) + "\n"
    return _csv(counted, top) if form == "csv" else _table(counted, top or TOP)


def check_form(form: str) -> None:
    """Refuse a form that `write` does not know.

    Raises
    ------
    ConfigError : there is no such form.
    """
    if form not in FORMATS:
        raise ConfigError("There is no such format.", where="--format", found=form, allowed=choices(FORMATS, form))


def plain(counted: Counted, *, top: int | None = None) -> dict[str, Any]:
    """Return the counts as JSON can hold them.

    `low` and `high` are the 95 % Wilson interval of `rate_of_first`, `previous_low` and `previous_high` that of
    `rate_of_previous`; a rate of nobody is null. `mature` counts only entries whose window had closed.
    """
    funnel, tally = counted.funnel, counted.tally
    told: dict[str, Any] = {
        "unit": funnel.unit,
        "steps": _everybody(tally.passages(), funnel),
        "groups": {},
        "by": list(counted.by),
        "counting": funnel.counting,
        "order": funnel.order,
        "window": None if funnel.window is None else length(funnel.window),
        "preset": funnel.preset,
        "fingerprint": funnel.fingerprint,
        "as_of": _iso(counted.as_of),
        "period": None if counted.period is None else counted.period.name,
        "mature": None,
        "set_aside": dict(counted.set_aside),
        "unmatched": dict(counted.absent),
        "remarks": list(counted.remarks),
    }
    if counted.by:
        blocks = _blocks(tally.passages(counted.by, top=top), funnel)
        told["groups"] = {group: {"steps": steps} for group, steps in blocks}
    if tally.window_closed:
        mature = _everybody(tally.passages(mature_only=True), funnel)
        told["mature"] = {"entered_until": _iso(counted.closed_until), "steps": mature}
    return told


def length(duration: timedelta) -> str:
    """Write a duration in the largest unit in which it is whole.

    >>> length(timedelta(hours=36)), length(timedelta(days=7))
    ('36h', '7d')
    """
    micros = duration // timedelta(microseconds=1)
    unit = next((name for name, size in _LENGTHS.items() if micros % size == 0), None)
    return f"{micros / 1_000_000:f}s" if unit is None else f"{micros // _LENGTHS[unit]}{unit}"


def _touch(text: str, funnel: Funnel) -> Touch:
    if text in ("entry", "first", "last"):
        return text  # type: ignore[return-value]
    if text in funnel.names:
        return funnel.names.index(text) + 1
    if text.isdigit():
        return int(text)
    raise ConfigError(
        "There is no such event to take the groups from.", where="--touch", found=text,
        allowed=choices(["entry", "first", "last", *funnel.names], text), do="Name one of these.",
    )  # fmt: skip


def _unmatched(absent: Mapping[str, str | None], funnel: Funnel, reading: Reading) -> ConfigError:
    name, guess = next(iter(absent.items()))
    step = next(step for step in funnel.steps if step.name == name)
    listed = ", ".join(reading.source.names[:12]) + (", …" if len(reading.source.names) > 12 else "")
    return ConfigError(
        f"The step {name!r} matches no event.", where="--step",
        found=_accepted(step), allowed=listed + (f" (did you mean {guess}?)" if guess else ""),
        do="Correct the step's event or its condition; or count zero for it with --allow-unmatched.",
    )  # fmt: skip


def _accepted(step: Step) -> str:
    """Say which events a step accepts."""
    events = " or ".join(step.events) or "any event"
    signs = [f"{name} {operator} {value}" for name, one in step.where.items() for operator, value in one.items()]
    return f"{events} where {' and '.join(signs)}" if signs else events


def _remarks(reading: Reading, absent: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what looks odd, though it may be meant."""
    for name, guess in absent.items():
        yield f"The step {name} matches no event{f' (did you mean {guess}?)' if guess else ''}; it counts zero."
    named = [name for exclusion in reading.plan.funnel.exclusions for name in exclusion.events]
    names = reading.source.names if named else []
    for name in dict.fromkeys(named):
        if name not in names:
            guess = nearest(name, names)
            yield f"No event is called {name}{f' (did you mean {guess}?)' if guess else ''}; it excludes nothing."


def _blocks(passages: pd.DataFrame, funnel: Funnel) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each group with its steps."""
    for group, rows in passages.groupby("group", sort=False):
        entered = int(rows["entered"].iloc[0]) if funnel.open else int(rows["units"].iloc[0])
        yield str(group), [_step(row, entered, funnel) for row in rows.to_dict("records")]


def _everybody(passages: pd.DataFrame, funnel: Funnel) -> list[dict[str, Any]]:
    return next(iter(_blocks(passages, funnel)))[1]


def _step(row: Mapping[Any, Any], entered: int, funnel: Funnel) -> dict[str, Any]:
    units = int(row["units"])
    of_first = _rate(units, entered)
    of_previous = _rate(int(row["passed"]), int(row["came"])) if row["previous"] else (None, None, None)
    if row["step"] == 1 and not funnel.open:  # by definition
        of_first = of_previous = (1.0, 1.0, 1.0) if entered else (None, None, None)
    return {
        "step": str(row["name"]), "count": units, "rate_of_previous": of_previous[0], "rate_of_first": of_first[0],
        "low": of_first[1], "high": of_first[2], "previous_low": of_previous[1], "previous_high": of_previous[2],
    }  # fmt: skip


def _rate(k: int, n: int) -> tuple[float | None, float | None, float | None]:
    if n == 0:
        return None, None, None
    low, high = wilson(float(k), float(n))
    return k / n, float(low), float(high)


def _lines(counted: Counted, top: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (group, step) for everybody, then for each group."""
    wanted = [counted.tally.passages()]
    if counted.by:
        wanted.append(counted.tally.passages(counted.by, top=top))
    for passages in wanted:
        for group, steps in _blocks(passages, counted.funnel):
            yield from ((group, step) for step in steps)


def _csv(counted: Counted, top: int | None) -> str:
    text = io.StringIO()
    rows = [{"group": group, **step} for group, step in _lines(counted, top)]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _guarded(v) for key, v in row.items()} for row in rows)
    return text.getvalue()


def _table(counted: Counted, top: int) -> str:
    """Return the counts for a terminal, with what is to be known about them below."""
    what = {"units": "count", "entries": "entries", "sessions": "sessions"}[counted.funnel.counting]
    rows = [(" · ".join(counted.by), "step", what, "of previous", "of first")]
    before = None
    for group, step in _lines(counted, top):
        shown = "" if group == before else group
        rates = [_percent(step, "rate_of_previous", "previous_"), _percent(step, "rate_of_first", "")]
        rows.append((shown, step["step"], f"{step['count']:,}", *rates))
        before = group
    if not counted.by:
        rows = [("", *row[1:]) for row in rows]
    return "\n".join([*aligned(rows, right=(2,)), "", *_about(counted)]) + "\n"


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Return rows of cells as lines with columns of equal width, those at the places `right` flush right.

    A column without any text is left out; Chinese characters are two wide.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(cell))
            cells += [space + cell if place in right else cell + space] if width else []
        lines.append("  ".join(cells).rstrip())
    return lines


def _percent(step: Mapping[str, Any], rate: str, ends: str) -> str:
    if step[rate] is None:
        return "-"
    low, high = step[f"{ends}low"], step[f"{ends}high"]
    return f"{step[rate]:.1%}" + ("" if low == high else f" ({100 * low:.1f}–{100 * high:.1f})")


def _about(counted: Counted) -> Iterator[str]:
    funnel = counted.funnel
    window = "no window" if funnel.window is None else f"window {length(funnel.window)}"
    known = [] if counted.as_of is None else [f"as of {counted.as_of:%Y-%m-%d %H:%M} UTC"]
    inside = [] if counted.period is None else [counted.period.name]
    yield " · ".join([funnel.unit, funnel.order, window, funnel.preset, *inside, *known])
    yield "In brackets: 95 % intervals (Wilson), in percent."
    if counted.tally.window_closed and counted.as_of is not None:
        mature = counted.tally.passages(mature_only=True)
        yield _matured(int(mature["entered"].iloc[0]), _everybody(mature, funnel)[-1])
    aside = [f"{rows:,} {reason}" for reason, rows in counted.set_aside.items() if rows]
    if aside:
        yield f"Rows set aside: {', '.join(aside)}."


def _matured(entered: int, last: Mapping[str, Any]) -> str:
    if not entered:
        return "Nobody's window is over yet."
    rate = _percent(last, "rate_of_first", "")
    return f"Window over for {entered:,}: {last['count']:,} of them, {rate}, reached {last['step']}."


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _guarded(value: object) -> object:
    """Return a text that no spreadsheet takes for a formula."""
    return guarded(value) if isinstance(value, str) else value
