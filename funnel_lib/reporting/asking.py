"""What the options of `funnel count` and `funnel explain` mean: texts in, a checked funnel out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from funnel_lib import periods
from funnel_lib.conditions import columns, plain
from funnel_lib.conversion.keeping import eventfiles
from funnel_lib.definition import FIELDS, Funnel
from funnel_lib.errors import ConfigError, choices
from funnel_lib.faults import faults
from funnel_lib.periods import Period
from funnel_lib.settings import zone_name

ANY = "*"
NONE = "none"
_CONDITION = re.compile(r"\s*(?P<column>[^=!<>~]+?)\s*(?P<sign>!=|>=|<=|==?|>|<|~)\s*(?P<value>.*?)\s*", re.DOTALL)
_MISSING = re.compile(r"\s*(?P<column>.+?)\s+is\s+(?P<no>not\s+)?null\s*", re.IGNORECASE)
_SIGNS = {"=": "in", "==": "in", "!=": "not_in", ">": "gt", ">=": "ge", "<": "lt", "<=": "le", "~": "contains"}
_SIGN_HELP = "COLUMN then =, !=, >, >=, <, <= or ~ (contains) and a value, or COLUMN is null, COLUMN is not null"
_FIRST, _LAST = date(2000, 1, 1), date(2200, 12, 31)


@dataclass(frozen=True)
class Asked:
    """The options that say what is counted, as they were typed; None or empty: not named.

    Parameters
    ----------
    step : `NAME=EVENT,EVENT` each; `NAME` alone means the event of that name, `*` any event.
    where : `STEP:CONDITION` each, see `condition`; instead of a step also the events of an exclusion.
    window : such as `7d`, or `none`.
    optional : names of steps that may be skipped.
    within : `STEP=DURATION` each: longest time since the step taken before.
    exclude : `EVENT,EVENT` or `EVENT,EVENT:STEP-STEP` each.
    hold : columns with one value in all events of a chain.
    unit, event, ts : columns of the events.
    since, until : first and last day on which a unit may enter, both included, in the time zone `zone` (UTC).
    as_of : events after this time are not looked at; without a zone of its own it is in `zone`.
    """

    step: Sequence[str] = ()
    where: Sequence[str] = ()
    window: str | None = None
    order: str | None = None
    optional: Sequence[str] = ()
    within: Sequence[str] = ()
    exclude: Sequence[str] = ()
    policy: str | None = None
    hold: Sequence[str] = ()
    open: bool = False
    counting: str | None = None
    session_gap: str | None = None
    preset: str | None = None
    unit: str = "user_id"
    event: str = "event"
    ts: str = "ts"
    since: str | None = None
    until: str | None = None
    zone: str | None = None
    as_of: str | None = None


def funnel(asked: Asked) -> Funnel:
    """Return the funnel that the options define; what is not named is as the preset has it.

    Raises
    ------
    ConfigError : an option cannot be read, names no step, or does not go together with another.
    """
    if not asked.step:
        raise ConfigError(
            "A funnel needs at least one step.", where="--step", found="none", allowed="NAME=EVENT, as often as needed",
            do="Name the steps in order: --step Visit=page_view --step Buy=purchase,order",
        )  # fmt: skip
    steps = [_step(text) for text in asked.step]
    names = [str(step["name"]) for step in steps]
    for name in asked.optional:
        steps[_place(name, names, "--optional")]["optional"] = True
    for text in asked.within:
        name, _, length = text.rpartition("=")
        steps[_place(name, names, "--within")]["within"] = length
    exclusions = [_exclusion(text, names) for text in asked.exclude]
    _add_conditions(asked.where, dict(zip(names, steps, strict=False)), exclusions)
    told: dict[str, Any] = {
        "window": asked.window, "order": asked.order, "policy": asked.policy, "preset": asked.preset,
        "counting": asked.counting or ("sessions" if asked.session_gap else None), "session_gap": asked.session_gap,
    }  # fmt: skip
    given = {key: value for key, value in told.items() if value is not None}
    if asked.window == NONE:
        given["window"] = None
    given |= {"steps": steps, "unit": asked.unit, "hold_constant": list(asked.hold)}
    given["exclusions"] = [{key: value for key, value in one.items() if key != "text"} for one in exclusions]
    if asked.open:
        given["open"] = True
    try:
        return TypeAdapter(Funnel).validate_python(given)
    except ValidationError as error:
        raise _refused(error, given) from None


def events(files: Sequence[str], asked: Asked, funnel: Funnel, by: Sequence[str] = ()) -> Any:
    """Return the events in `files`, for `journeys`.

    Raises
    ------
    DataError : there is no such file, files of several kinds are named, or a column is missing.
    """
    things = [*(step.where for step in funnel.steps), *(one.where for one in funnel.exclusions)]
    more = dict.fromkeys(by, "--by") | dict.fromkeys(funnel.hold_constant, "--hold")
    more |= dict.fromkeys(sorted(columns(things)), "--where")
    named = any(step.events for step in funnel.steps) or any(one.events for one in funnel.exclusions)
    event = asked.event if named else None
    return eventfiles.find(files, unit=asked.unit, event=event, ts=asked.ts, more=more)


def period(asked: Asked) -> Period | None:
    """Return the days on which a unit may enter; None: at any time.

    Raises
    ------
    ConfigError : a day or the time zone cannot be read, or the last day lies before the first.
    """
    where = zone(asked.zone)
    if asked.since is None and asked.until is None:
        return None
    first, last = _day(asked.since, "--from", _FIRST), _day(asked.until, "--to", _LAST)
    if last < first:
        raise ConfigError(
            "The last day lies before the first.", where="--to", found=last, allowed=f"{first} or later",
            do="Correct --from or --to; both days belong to the period.",
        )  # fmt: skip
    return periods.period(f"{first}..{last}", where)


def moment(asked: Asked) -> datetime | None:
    """Return the time (UTC) after which events are not looked at; None: all are.

    Raises
    ------
    ConfigError : it cannot be read.
    """
    if asked.as_of is None:
        return None
    try:
        found = datetime.fromisoformat(asked.as_of)
    except ValueError as error:
        raise ConfigError(
            "This time cannot be read.", where="--as-of", found=asked.as_of,
            allowed="a time such as 2026-06-30T18:00:00+08:00; without a zone it is in that of --zone",
        ) from error  # fmt: skip
    return (found if found.tzinfo else found.replace(tzinfo=zone(asked.zone))).astimezone(UTC)


def zone(name: str | None) -> ZoneInfo:
    """Return the time zone of this name; None: UTC.

    Raises
    ------
    ConfigError : there is none.
    """
    try:
        return ZoneInfo(zone_name(name or "UTC"))
    except PydanticCustomError as error:
        allowed = (error.context or {}).get("allowed")
        raise ConfigError("There is no such time zone.", where="--zone", found=name, allowed=allowed) from None


def condition(text: str) -> tuple[str, dict[str, Any]]:
    """Read one condition: a column, a sign and a value.

    `=` and `!=` take several values, with commas between; a value with a comma stands in double quotes. `~` means
    contains, in upper or lower case. A number is written as usual.

    Raises
    ------
    ConfigError : it cannot be read.

    >>> condition("amount>=10"), condition("device=mobile,tablet")
    (('amount', {'ge': 10}), ('device', {'in': ['mobile', 'tablet']}))
    >>> condition("coupon is not null")
    ('coupon', {'is_null': False})
    """
    if found := _MISSING.fullmatch(text):
        return found["column"], {"is_null": found["no"] is None}
    found = _CONDITION.fullmatch(text)
    if found is None or not found["value"]:
        raise ConfigError("This condition cannot be read.", where="--where", found=text, allowed=_SIGN_HELP)
    operator = _SIGNS[found["sign"]]
    if operator not in ("in", "not_in"):
        whole = found["value"][1:-1] if re.fullmatch('".*"', found["value"]) else found["value"]
        return found["column"], {operator: _value(whole)}
    values = [_value(value) for value in _split(found["value"])]
    if len(values) == 1:
        return found["column"], {"eq" if operator == "in" else "ne": values[0]}
    return found["column"], {operator: values}


def _step(text: str) -> dict[str, Any]:
    name, sign, events = text.partition("=")
    if not name.strip() or (sign and not events.strip()):
        raise ConfigError(
            "This step cannot be read.", where="--step", found=text, allowed="NAME=EVENT, or NAME=EVENT,EVENT",
            do="Name the step and its events, such as --step Buy=purchase,order; NAME=* means any event.",
        )  # fmt: skip
    return {"name": name.strip(), "event": _events(events if sign else name)}


def _events(text: str) -> str | list[str] | None:
    """Return the event names, one alone as text; None for any event."""
    names = _split(text)
    if names == [ANY]:
        return None
    return names[0] if len(names) == 1 else names


def _exclusion(text: str, names: Sequence[str]) -> dict[str, Any]:
    """Read `EVENTS` or `EVENTS:STEP-STEP`; events with a colon stand in double quotes."""
    colons = [at for at, sign in enumerate(text) if sign == ":" and text[:at].count('"') % 2 == 0]
    if not colons:
        return {"text": text, "event": _events(text)}
    pairs = [
        (colon, names.index(text[colon + 1 : dash]), names.index(text[dash + 1 :]))
        for colon in colons
        for dash in range(colon, len(text))
        if text[dash] == "-" and text[colon + 1 : dash] in names and text[dash + 1 :] in names
    ]
    if not pairs:
        raise ConfigError(
            "This exclusion cannot be read.", where="--exclude", found=text,
            allowed=f"EVENT, or EVENT:STEP-STEP with two of the steps {', '.join(names)}",
            do="Correct the steps' names; an event with a colon in its name stands in double quotes.",
        )  # fmt: skip
    colon, after, before = pairs[0]
    return {"text": text[:colon], "event": _events(text[:colon]), "after": after, "before": before}


def _add_conditions(
    wheres: Sequence[str], steps: Mapping[str, dict[str, Any]], exclusions: Sequence[dict[str, Any]]
) -> None:
    """Put each `TARGET:CONDITION` where it belongs: to a step, or else to the exclusions of these events."""
    targets: dict[str, list[dict[str, Any]]] = {}
    for one in exclusions:
        targets.setdefault(str(one["text"]), []).append(one)
    targets |= {name: [step] for name, step in steps.items()}
    for text in wheres:
        named = [name for name in targets if text.startswith(f"{name}:")]
        if not named:
            raise ConfigError(
                "This condition belongs to no step.", where="--where", found=text,
                allowed=f"STEP:CONDITION with a step: {choices(targets, text.partition(':')[0])}",
                do="Begin with the step's name and a colon, such as --where 'Buy:amount>0'.",
            )  # fmt: skip
        name = max(named, key=len)
        column, asked = condition(text[len(name) + 1 :])
        for target in targets[name]:
            held = target.setdefault("where", {}).setdefault(column, {})
            if twice := held.keys() & asked.keys():
                raise ConfigError(
                    "Two conditions say the same thing differently.", where="--where", found=text,
                    allowed=f"one {min(twice)} for {column} of {name}",
                    do="Put several values behind one sign, with commas between: device=mobile,tablet",
                )  # fmt: skip
            held |= asked


def _value(text: str) -> str | int | float | bool:
    """Return a number or truth value where the text is just how one is written, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) and plain(value) == text else text


def _split(text: str) -> list[str]:
    """Split at commas, except within double quotes."""
    return [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [""])]


def _place(name: str, names: Sequence[str], option: str) -> int:
    if name not in names:
        raise ConfigError(
            "There is no such step.", where=option, found=name or "(nothing)", allowed=choices(names, name),
            do="Use a name that --step gave." if option != "--within" else "Write STEP=DURATION, such as Buy=1d.",
        )  # fmt: skip
    return names.index(name)


def _day(text: str | None, option: str, otherwise: date) -> date:
    try:
        return otherwise if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            "This day cannot be read.", where=option, found=text, allowed="a day such as 2026-05-31"
        ) from error


def _refused(error: ValidationError, given: Mapping[str, Any]) -> ConfigError:
    """Say which option holds what cannot be."""
    path, (found, what, allowed) = next(iter(faults(error, given, FIELDS).items()))
    parts = path.split(".")
    key = {"steps": parts[2:3], "exclusions": ["exclude"], "hold_constant": ["hold"]}.get(parts[0], parts[:1])
    what = "there is no such choice" if what.startswith("input should be") else what
    option = "--" + {"name": "step", "event": "step"}.get(key[0], key[0]).replace("_", "-") if key and key[0] else None
    return ConfigError(
        f"This funnel cannot be: {what}.", where=option, found=found, allowed=allowed, do="Correct the options."
    )
