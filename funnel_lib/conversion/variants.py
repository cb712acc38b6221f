"""Other definitions of the same funnel, each with one thing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypedDict

from pydantic import ValidationError

from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, choices
from funnel_lib.notation import parse_duration
from funnel_lib.presets import PRESETS, PresetName

Changed = Literal["", "window", "order", "unit", "counting", "ties", "attempts", "preset"]
BASE = "base"
UNBOUNDED = "unbounded"
_ORDERS: Sequence[str] = ("ordered", "strict", "any")
# Systems that know no window: a variant with that of the base would not be theirs.
_WITHOUT_WINDOW = ("hubspot_any", "hubspot_all")


class Variations(TypedDict, total=False):
    """What is varied; what is left out has its default, an empty sequence varies nothing.

    `windows` : lengths such as ``14d``, None for no window; default: half, twice and no window at all.
    `orders` : default: the other two. `units` : other columns that identify who goes through; default: none.
    `presets` : default: all.
    """

    windows: Sequence[str | timedelta | None] | None
    orders: Sequence[str] | None
    units: Sequence[str] | None
    presets: Sequence[PresetName] | None


class Variant(NamedTuple):
    """A definition that differs from the base in one thing: what was changed, and to what (as text)."""

    name: str
    changed: Changed
    value: str
    funnel: Funnel


def variants(base: Variant, varied: Variations) -> tuple[list[Variant], dict[str, str]]:
    """Return the base and its variants, none the same definition as one before; and why others have no meaning.

    Raises
    ------
    ConfigError : a window cannot be read, or there is no such order or preset.
    """
    made, refused, known = [base], {}, {base.funnel.fingerprint}
    for changed, value, change in _changes(base.funnel, varied):
        name = f"{changed} {value}"
        try:
            funnel = _preset(base.funnel, change) if changed == "preset" else replace(base.funnel, **change)
        except ConfigError as error:
            refused[name] = _why(error, changed, value)
            continue
        if funnel.fingerprint not in known:
            known.add(funnel.fingerprint)
            made.append(Variant(name, changed, value, funnel))
    return made, refused


def _why(error: ConfigError, changed: Changed, value: str) -> str:
    """Return why a definition has no meaning.

    Raises
    ------
    ConfigError : it is not the combination that is refused, but the value itself.
    """
    cause = error.__cause__
    if isinstance(cause, ValidationError) and cause.errors()[0]["type"] == "funnel":
        return str(cause.errors()[0]["msg"])
    allowed = {"order": _ORDERS, "preset": tuple(PRESETS)}.get(changed, ("a name",))
    raise ConfigError(
        "This cannot be varied.", where=changed, found=value, allowed=choices(allowed, value), do="Correct the name."
    ) from error


def _changes(funnel: Funnel, varied: Variations) -> Iterator[tuple[Changed, str, dict[str, Any]]]:
    """Yield what is changed, to what, and the fields of the funnel (or preset) that say so."""
    for window in _windows(funnel, varied.get("windows")):
        yield "window", UNBOUNDED if window is None else length(window), {"window": window}
    orders, units, presets = varied.get("orders"), varied.get("units"), varied.get("presets")
    for order in _ORDERS if orders is None else orders:
        yield "order", order, {"order": order}
    for unit in units or ():
        yield "unit", unit, {"unit": unit}
    for counting in ("units", "entries"):
        yield "counting", counting, {"counting": counting, "session_gap": None}
    for ties in ("in_order", "increasing"):
        yield "ties", ties, {"matching": replace(funnel.matching, ties=ties)}
    for attempts in ("all", "first"):
        yield "attempts", attempts, {"matching": replace(funnel.matching, attempts=attempts)}
    for preset in PRESETS if presets is None else presets:
        yield "preset", preset, {"preset": preset}


def _windows(funnel: Funnel, given: Sequence[str | timedelta | None] | None) -> Sequence[timedelta | None]:
    if given is None:
        return () if funnel.window is None else (funnel.window / 2, funnel.window * 2, None)
    try:
        return [None if window is None else parse_duration(window) for window in given]
    except ValueError as error:
        raise ConfigError(
            "A window cannot be read.", where="windows", found=", ".join(map(str, given)),
            allowed="a number with a unit: 90s, 30min, 36h, 14d or 2w; None for no window", do="Correct the window.",
        ) from error  # fmt: skip


def _preset(funnel: Funnel, change: Mapping[str, Any]) -> Funnel:
    """Return the funnel with the rules of another system: whatever a system decides is left to it."""
    kept = ("steps", "order", "unit", "exclusions", "hold_constant", "counting", "session_gap")
    given = {name: getattr(funnel, name) for name in kept}
    if funnel.window is not None and change["preset"] not in _WITHOUT_WINDOW:
        given["window"] = funnel.window
    return Funnel(**given, **change)


def length(window: timedelta) -> str:
    """Write a duration as it is written in a workbook.

    >>> length(timedelta(days=3, hours=12)), length(timedelta(seconds=90))
    ('84h', '90s')
    """
    seconds = window.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"
