"""What a funnel is: steps, conditions, window. Pure definition; `conversion` gives it its meaning.

The same classes validate a workbook's mapping and build a funnel by hand:

>>> funnel = Funnel(steps=[Step("Visit", event="page_view"), Step("Buy", event=["purchase", "order"])], window="7d")
>>> funnel.window_us
604800000000
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from funnel_lib.errors import choices

Language = Literal["en", "zh"]
Scalar = str | int | float | bool
OPERATORS = ("eq", "ne", "in", "not_in", "gt", "ge", "lt", "le", "is_null", "contains")
_UNITS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=36500)
_STRICT = ConfigDict(extra="forbid")


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


@dataclass(frozen=True, config=_STRICT)
class Step:
    """One step: the events (or, for a snapshot, the column or stages) that reach it.

    Parameters
    ----------
    name : unique within the funnel.
    event : an event's name, a list of names (any of them), or None for any event.
    where : conditions on columns, then on properties; all must hold.
    column : snapshots only: a yes/no or date column; yes or a date means that the step was reached.
    stage : snapshots only: values of the funnel's `furthest` column that mean this step.
    """

    name: Annotated[str, Field(min_length=1)]
    event: EventNames = None
    where: Where = Field(default_factory=dict)
    title: Title | None = None
    column: str | None = None
    stage: list[str] | None = None

    @property
    def events(self) -> list[str]:
        """The event names that this step accepts; empty means any."""
        return [self.event] if isinstance(self.event, str) else list(self.event or [])


@dataclass(frozen=True, config=_STRICT)
class Funnel:
    """An ordered sequence of steps that a unit goes through within a window.

    Parameters
    ----------
    steps : one or more, with unique names.
    window : longest time from the first step to any later one, inclusive; None means unbounded.
    order : `ordered` (other events may lie between the steps).
    unit : column that identifies who goes through the funnel.
    snapshot : table (`users` or `deals`) whose rows are units, where the source has no events; its steps name
        a `column`, or a `stage` of the column `furthest`.
    entered : snapshots only: the column with the time of the first step, if there is one.
    """

    steps: Annotated[list[Step], Field(min_length=1)]
    window: Duration | None = None
    order: Literal["ordered"] = "ordered"
    unit: str = "user_id"
    snapshot: Literal["users", "deals"] | None = None
    furthest: str | None = None
    entered: str | None = None

    @field_validator("steps")
    @classmethod
    def _unique_names(cls, steps: list[Step]) -> list[Step]:
        names = [step.name for step in steps]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise PydanticCustomError("twice", "two steps share a name", {"found": twice, "allowed": "unique names"})
        return steps

    @model_validator(mode="after")
    def _one_kind(self) -> Funnel:
        if self.snapshot is None:
            wrong = next((s.name for s in self.steps if s.column or s.stage), None)
            if wrong is not None or self.furthest or self.entered:
                raise PydanticCustomError(
                    "snapshot", "column, stage, furthest and entered belong to a snapshot",
                    {"found": wrong, "allowed": "steps with event; or add snapshot: users"},
                )  # fmt: skip
            return self
        for step in self.steps[1:]:
            if step.column is None and not (step.stage and self.furthest):
                raise PydanticCustomError(
                    "snapshot", "a snapshot's step needs a column, or a stage of the funnel's furthest column",
                    {"found": step.name, "allowed": "column: NAME, or stage: [VALUES] with furthest: COLUMN"},
                )  # fmt: skip
        return self

    @property
    def names(self) -> list[str]:
        """The steps' names in order."""
        return [step.name for step in self.steps]

    @property
    def window_us(self) -> int | None:
        """The window in microseconds; None means unbounded."""
        return None if self.window is None else round(self.window.total_seconds() * 1_000_000)

    @property
    def fingerprint(self) -> str:
        """Hash of what the funnel counts (titles left out): equal definitions have equal fingerprints."""
        plain = TypeAdapter(Funnel).dump_python(self, mode="json")
        for step in plain["steps"]:
            step.pop("title", None)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
