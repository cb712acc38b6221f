"""How durations, conditions, titles and spreadsheet texts are written, and what they are read as."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from funnel_lib.errors import choices

Language = Literal["en", "zh"]
Scalar = str | int | float | bool
OPERATORS = ("eq", "ne", "in", "not_in", "gt", "ge", "lt", "le", "is_null", "contains")
_UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=36500)


def parse_duration(value: object) -> timedelta:
    """Read a duration with its unit, such as ``30min``, ``36h``, ``14d`` or ``2w``; not negative.

    Raises
    ------
    ValueError : no unit, an unknown unit or a negative length.

    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, timedelta):
        length = value
    else:
        match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*([a-z]+)\s*", str(value))
        if match is None or match[2] not in _UNITS:
            raise PydanticCustomError(
                "duration", "not a duration", {"allowed": "a number with a unit: 90s, 30min, 36h, 14d or 2w"}
            )
        seconds = float(match[1]) * _UNITS[match[2]]
        length = timedelta(seconds=min(seconds, _LONGEST.total_seconds() + 1))
    if length > _LONGEST:
        raise PydanticCustomError("duration", "a duration this long", {"allowed": f"at most {_LONGEST.days}d"})
    if length < timedelta(0):
        raise PydanticCustomError("duration", "a duration cannot be negative", {"allowed": "0s or longer"})
    return length


EventNames = str | Annotated[list[str], Field(min_length=1)] | None
Duration = Annotated[timedelta, BeforeValidator(parse_duration, json_schema_input_type=str)]


def _condition(value: object) -> dict[str, Any]:
    """Bring the short forms (a value, a list of values) to the long one: a mapping of operators."""
    if not isinstance(value, dict):
        value = {"in" if isinstance(value, list | tuple) else "eq": value}
    unknown = next((key for key in value if key not in OPERATORS), None)
    if unknown is not None or not value:
        what = "unknown operator" if value else "a condition needs an operator"
        found = "{}" if unknown is None else str(unknown)
        raise PydanticCustomError("operator", what, {"found": found, "allowed": choices(OPERATORS, unknown)})
    return {operator: _operand(operator, operand) for operator, operand in value.items()}


def _operand(operator: str, value: object) -> Scalar | list[Scalar]:
    """Return what `operator` compares with."""
    if isinstance(value, list | tuple) and operator in ("in", "not_in") and value:
        return [_scalar("in", item) for item in value]
    return _scalar(operator, value)


def _scalar(operator: str, value: object) -> Scalar:
    """Return a single value; a date, as YAML reads 2026-05-01, becomes text."""
    found = value.isoformat() if isinstance(value, date) else value
    if operator == "is_null":
        fits, allowed = isinstance(found, bool), "true or false"
    elif operator in ("gt", "ge", "lt", "le"):
        fits = isinstance(found, int | float | str) and not isinstance(found, bool)
        allowed = "a number, or a time as text"
    else:
        fits = isinstance(found, Scalar)
        allowed = "a text, a number, true or false; is_null: true means no value"
    if not fits or not isinstance(found, Scalar):
        raise PydanticCustomError(
            "operand", "a value that cannot be compared", {"found": str(value), "allowed": f"{operator}: {allowed}"}
        )
    return found


Condition = Annotated[
    dict[str, Scalar | list[Scalar]],
    BeforeValidator(_condition, json_schema_input_type=Scalar | list[Scalar] | dict[str, Scalar | list[Scalar]]),
]
Where = dict[str, Condition]


def _title(value: object) -> object:
    return {"en": value, "zh": value} if isinstance(value, str) else value


Title = Annotated[
    dict[Language, str], BeforeValidator(_title, json_schema_input_type=str | dict[Language, str]), Field(min_length=1)
]


def text(title: dict[Language, str] | None, language: Language, otherwise: str = "") -> str:
    """Return the title in `language`, else in any language it has, else `otherwise`."""
    if not title:
        return otherwise
    return title.get(language) or next(iter(title.values()))


def in_microseconds(length: timedelta | None) -> int | None:
    """Return a duration in microseconds; None stays None."""
    return None if length is None else length // timedelta(microseconds=1)


FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""What a spreadsheet takes for the beginning of a formula."""


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> guarded("=1+1"), guarded("a=1")
    ("'=1+1", 'a=1')
    """
    return "'" + text if text.startswith(FORMULA) else text
