"""The options of the command `funnel`: texts for the help, and those that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer


class Finished(Exception):  # noqa: N818 - not an error
    """A command has said everything and ends with an exit code of its own."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def argument(text: str, **more: Any) -> Any:
    """Return what typer needs to know of an argument."""
    return typer.Argument(help=text, show_default=False, **more)


def option(text: str, *names: str, **more: Any) -> Any:
    """Return what typer needs to know of an option."""
    return typer.Option(*names, help=text, **more)


def _of(panel: str, text: str, *names: str, **more: Any) -> Any:
    return option(text, *names, rich_help_panel=panel, show_default=False, **more)


WorkbookFile = Annotated[Path, argument("The workbook file, such as params/education.yml.", metavar="WORKBOOK")]

_STEPS, _RULES, _WHO = "Steps", "Rules", "Events"
_Texts, _Text = list[str] | None, str | None
DEFINITION: dict[str, Any] = {
    "step": Annotated[_Texts, _of(
        _STEPS, "A step: its name and its events. Once for each step, in order. NAME=* means any event.", "--step",
        metavar="NAME=EVENT,…",
    )],
    "where": Annotated[_Texts, _of(
        _STEPS, "A condition on a step's events, such as 'Buy:amount>0' or 'Buy:device=mobile,tablet'. Signs: = != > "
        ">= < <= ~ (contains), and is null, is not null.", "--where", metavar="STEP:CONDITION",
    )],
    "optional": Annotated[_Texts, _of(_STEPS, "This step may be skipped.", "--optional", metavar="STEP")],
    "within": Annotated[_Texts, _of(
        _STEPS, "Longest time since the step taken before.", "--within", metavar="STEP=DURATION"
    )],
    "exclude": Annotated[_Texts, _of(
        _STEPS, "Events that must not happen between the first and the last step, or between two steps.", "--exclude",
        metavar="EVENT,…[:STEP-STEP]",
    )],
    "window": Annotated[_Text, _of(
        _RULES, "Longest time from the first step to any later one, such as 30min, 36h, 7d; none: unbounded.",
        "--window", metavar="DURATION",
    )],
    "order": Annotated[_Text, _of(_RULES, "ordered (default), strict or any.", "--order")],
    "counting": Annotated[_Text, _of(_RULES, "units (default), entries or sessions.", "--counting")],
    "session_gap": Annotated[_Text, _of(
        _RULES, "Count sessions; a longer pause begins a new one.", "--session-gap", metavar="DURATION"
    )],
    "hold": Annotated[_Texts, _of(
        _RULES, "A column with one value in all events of a chain.", "--hold", metavar="COLUMN"
    )],
    "open": Annotated[bool, _of(_RULES, "A unit may enter at any step.", "--open")],
    "policy": Annotated[_Text, _of(
        _RULES, "What an excluded event does: drop_unit (default) or drop_off.", "--policy"
    )],
    "preset": Annotated[_Text, _of(
        _RULES, "Count as another system does: clickhouse, posthog, mixpanel, mixpanel_reentry, amplitude, ga4, "
        "hubspot_any or hubspot_all. What is named beside it wins.", "--preset",
    )],
    "unit": Annotated[str, _of(_WHO, "The column that tells who it was (user_id).", "--unit", metavar="COLUMN")],
    "event": Annotated[str, _of(_WHO, "The column that tells what it was (event).", "--event", metavar="COLUMN")],
    "ts": Annotated[str, _of(
        _WHO, "The column that tells when it was (ts); a time without a zone is UTC.", "--ts", metavar="COLUMN"
    )],
    "since": Annotated[_Text, _of(_WHO, "First day on which a unit may enter.", "--from", metavar="DATE")],
    "until": Annotated[_Text, _of(_WHO, "Last day on which a unit may enter.", "--to", metavar="DATE")],
    "zone": Annotated[_Text, _of(_WHO, "The time zone of these days (UTC).", "--zone", metavar="ZONE")],
    "as_of": Annotated[_Text, _of(_WHO, "Events after this time are not looked at.", "--as-of", metavar="TIME")],
}  # fmt: skip
_DEFAULTS = {"open": False, "unit": "user_id", "event": "event", "ts": "ts"}


def defining(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is counted; it gets them together, as `asked`."""

    @wraps(command)
    def called(**given: Any) -> None:
        asked = {name: given.pop(name) for name in DEFINITION}
        command(asked={name: value for name, value in asked.items() if value is not None}, **given)

    own = [one for one in signature(command, eval_str=True).parameters.values() if one.name != "asked"]
    arguments = [one for one in own if one.kind is Parameter.POSITIONAL_OR_KEYWORD]
    shared = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(name), annotation=kind)
        for name, kind in DEFINITION.items()
    ]
    more = [one for one in own if one not in arguments]
    called.__signature__ = signature(command).replace(  # type: ignore[attr-defined]
        parameters=[*arguments, *shared, *more]
    )
    called.__annotations__ = {}
    return called
