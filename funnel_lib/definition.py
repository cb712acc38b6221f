"""What a funnel is: steps, conditions, window. Pure definition; `conversion` gives it its meaning.

The same classes validate a workbook's mapping and build a funnel by hand:

>>> funnel = Funnel(steps=[Step("Visit", event="page_view"), Step("Buy", event=["purchase", "order"])], window="7d")
>>> funnel.window_us
604800000000
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import ArgsKwargs, PydanticCustomError

from funnel_lib.faults import field_names, taught
from funnel_lib.notation import Duration, EventNames, Title, Where, in_microseconds, parse_duration
from funnel_lib.presets import PRESETS, PresetName

_STRICT = ConfigDict(extra="forbid")
Policy = Literal["drop_unit", "drop_off"]
Fault = tuple[str, str | None, str]


@taught()
@dataclass(frozen=True, config=_STRICT)
class Step:
    """One step: the events (or, for a snapshot, the column or stages) that reach it.

    Parameters
    ----------
    name : unique within the funnel.
    event : an event's name, a list of names (any of them), or None for any event.
    where : conditions on columns, then on properties; all must hold.
    optional : the step may be skipped; not the first one.
    within : longest time since the step taken before, inclusive; None means that only the window counts.
    column : snapshots only: a yes/no or date column; yes or a date means that the step was reached.
    stage : snapshots only: values of the funnel's `furthest` column that mean this step.
    """

    name: Annotated[str, Field(min_length=1)]
    event: EventNames = None
    where: Where = Field(default_factory=dict)
    optional: bool = False
    within: Duration | None = None
    title: Title | None = None
    column: str | None = None
    stage: list[str] | None = None

    @property
    def events(self) -> list[str]:
        """The event names that this step accepts; empty means any."""
        return [self.event] if isinstance(self.event, str) else list(self.event or [])


@taught()
@dataclass(frozen=True, config=_STRICT)
class Exclusion:
    """An event that must not happen between two steps.

    It counts strictly between the times of the two steps, so one at the very instant of a step does not; where
    the later step was not reached, up to the entry plus the window. A skipped optional step stands for the step
    taken before it (`after`), or the next one taken (`before`).

    Parameters
    ----------
    event, where : as in `Step`.
    after, before : places of the two steps, counted from 0; `before` defaults to the last step.
    policy : None means that of the funnel.
    """

    event: EventNames = None
    where: Where = Field(default_factory=dict)
    after: Annotated[int, Field(ge=0)] = 0
    before: int | None = None
    policy: Policy | None = None

    @property
    def events(self) -> list[str]:
        """The event names that are excluded; empty means any."""
        return [self.event] if isinstance(self.event, str) else list(self.event or [])


@taught()
@dataclass(frozen=True, config=_STRICT)
class Matching:
    """How events become steps; the defaults are the `reference`, presets set what other systems do.

    Parameters
    ----------
    distinct : one event serves one step; False: it may serve several.
    ties : events of one instant count as in order (`in_order`), or a step must be later than the one before
        (`increasing`).
    resolution : times are cut to multiples of this before anything is compared; None: as they are.
    grace : a step may precede the one before by this much.
    attempts : `all` entries start an attempt, or only the unit's `first`.
    best : of the deepest attempts, the one `completed_first` (then entered last), or `entered_first`.
    repeats : strict order: another event of the step last taken, or of the same instant, does not break a chain.
    any_of : any order: depth k means the `first_steps` 1..k, or the `most_steps`: any k of them.
    anchored : any order: the first step must come first.
    """

    distinct: bool = True
    ties: Literal["in_order", "increasing"] = "in_order"
    resolution: Duration | None = None
    grace: Duration | None = None
    attempts: Literal["all", "first"] = "all"
    best: Literal["completed_first", "entered_first"] = "completed_first"
    repeats: bool = False
    any_of: Literal["first_steps", "most_steps"] = "first_steps"
    anchored: bool = False


@taught(steps=Step, exclusions=Exclusion, matching=Matching)
@dataclass(frozen=True, config=_STRICT)
class Funnel:
    """A sequence of steps that a unit goes through within a window.

    Parameters
    ----------
    steps : one or more, with unique names.
    window : longest time from the first step to any later one, inclusive; None means unbounded.
    order : `ordered` (other events may lie between the steps), `strict` (no other event of the unit may) or
        `any` (the steps in any sequence, within one window that starts at the earliest of them).
    unit : column that identifies who goes through the funnel: a user, an account, a session, anything.
    exclusions : events that must not happen between two steps.
    policy : what an exclusion does: `drop_unit` (a unit none of whose deepest attempts is clean leaves every
        step, the first included) or `drop_off` (it stays counted up to the step before).
    hold_constant : columns or properties that must have one value in all events of a chain; each value's
        events are a log of their own, events without a value belong to none.
    open : units may enter at any step: a step counts all that took it.
    counting : `units` (each once), `entries` (each attempt; a unit enters anew only after conversion, time-out
        or exclusion) or `sessions` (each session of a unit is a log of its own).
    session_gap : a pause longer than this begins a new session; None: the column `session_id` tells.
    matching : how events become steps.
    preset : fills in what is not named: see `presets`.
    snapshot : table (`users` or `deals`) whose rows are units, where the source has no events; its steps name
        a `column`, or a `stage` of the column `furthest`.
    entered : snapshots only: the column with the time of the first step, if there is one.

    Raises
    ------
    ConfigError : a value cannot be, or what is named cannot go together; all faults are listed at once.
    """

    steps: Annotated[list[Step], Field(min_length=1)]
    window: Duration | None = None
    order: Literal["ordered", "strict", "any"] = "ordered"
    unit: str = "user_id"
    exclusions: list[Exclusion] = Field(default_factory=list)
    policy: Policy = "drop_unit"
    hold_constant: list[str] = Field(default_factory=list)
    open: bool = False
    counting: Literal["units", "entries", "sessions"] = "units"
    session_gap: Duration | None = None
    matching: Matching = Field(default_factory=Matching)
    preset: PresetName = "reference"
    snapshot: Literal["users", "deals"] | None = None
    furthest: str | None = None
    entered: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, given: Any) -> Any:
        """Fill in what the preset says and nobody named."""
        if isinstance(given, ArgsKwargs):
            names = ("steps", "window", "order", "unit")
            given = dict(zip(names, given.args, strict=False)) | (given.kwargs or {})
        if not isinstance(given, dict) or given.get("preset", "reference") not in PRESETS:
            return given
        preset = PRESETS[given.get("preset", "reference")]
        matching = given.get("matching")
        if preset.matching and not isinstance(matching, Matching):
            given = {**given, "matching": {**preset.matching, **(matching or {})}}
        if preset.window_from_prior and given.get("window") is not None:
            later = given.get("steps", [])[1:]
            if later and all(_has_within(step) for step in later):
                raise PydanticCustomError(
                    "funnel", "every step has its own within, so a window says nothing here",
                    {"found": str(given["window"]), "allowed": "within of the steps, or another preset"},
                )  # fmt: skip
            steps = [_with_within(step, given["window"]) for step in given.get("steps", [])]
            given = {**given, "steps": [*given.get("steps", [])[:1], *steps[1:]], "window": None}
        return {**preset.fields, **given}

    @field_validator("steps")
    @classmethod
    def _unique_names(cls, steps: list[Step]) -> list[Step]:
        names = [step.name for step in steps]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise PydanticCustomError("twice", "two steps share a name", {"found": twice, "allowed": "unique names"})
        return steps

    @model_validator(mode="after")
    def _goes_together(self) -> Funnel:
        fault = snapshot_fault(self) if self.snapshot else event_fault(self)
        if fault is not None:
            what, found, allowed = fault
            raise PydanticCustomError("funnel", what, {"found": found, "allowed": allowed})
        return self

    @property
    def names(self) -> list[str]:
        """The steps' names in order."""
        return [step.name for step in self.steps]

    @property
    def things(self) -> tuple[Step | Exclusion, ...]:
        """Everything that events are matched with: the steps, then the exclusions."""
        return (*self.steps, *self.exclusions)

    @property
    def window_us(self) -> int | None:
        """The window in microseconds; None means unbounded."""
        return in_microseconds(self.window)

    @property
    def simple(self) -> bool:
        """Whether depth alone tells which steps a unit took: no step is optional, and all enter at the first."""
        return not self.open and not any(step.optional for step in self.steps)

    @property
    def fingerprint(self) -> str:
        """Hash of what the funnel counts (titles left out): equal definitions have equal fingerprints."""
        plain = TypeAdapter(Funnel).dump_python(self, mode="json")
        del plain["preset"]  # what it switched is there
        for step in plain["steps"]:
            step.pop("title", None)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


FIELDS = field_names(Funnel, steps=Step, exclusions=Exclusion, matching=Matching)
"""What may be given to a funnel, and below its keys."""


def _has_within(step: Any) -> bool:
    return (step.within if isinstance(step, Step) else dict(step).get("within")) is not None


def _with_within(step: Any, window: Any) -> Any:
    """Return the step (an object or a mapping), with `within` where it has none."""
    if isinstance(step, Step):
        return step if step.within is not None else replace(step, within=parse_duration(window))
    return {"within": window, **step} if isinstance(step, dict) else step


def snapshot_fault(funnel: Funnel) -> Fault | None:
    """Return what is wrong with the funnel of a snapshot: what, found, allowed."""
    for step in funnel.steps[1:]:
        if step.column is None and not (step.stage and funnel.furthest):
            return (
                "a snapshot's step needs a column, or a stage of the funnel's furthest column", step.name,
                "column: NAME, or stage: [VALUES] with furthest: COLUMN",
            )  # fmt: skip
    plain = Funnel.__dataclass_fields__
    given = [
        name for name in ("order", "exclusions", "hold_constant", "open", "counting", "session_gap", "matching")
        if getattr(funnel, name) != _default(plain[name])
    ]  # fmt: skip
    given += [f"optional or within ({step.name})" for step in funnel.steps if step.optional or step.within]
    if given:
        return "a snapshot has no events that this could apply to", given[0], "steps, window, furthest, entered"
    return None


def _default(declared: Any) -> Any:
    made = declared.default
    if isinstance(made, FieldInfo):
        return made.get_default(call_default_factory=True, validated_data={})
    return made


def event_fault(funnel: Funnel) -> Fault | None:
    """Return what is wrong with a funnel of events: what, found, allowed."""
    steps, order, matching = funnel.steps, funnel.order, funnel.matching
    wrong = next((s.name for s in steps if s.column or s.stage), None)
    if wrong is not None or funnel.furthest or funnel.entered:
        return (
            "column, stage, furthest and entered belong to a snapshot", wrong or funnel.furthest or funnel.entered,
            "steps with event; or add snapshot: users",
        )  # fmt: skip
    if steps[0].optional:
        return "the first step cannot be optional", steps[0].name, "optional from the second step on"
    for exclusion in funnel.exclusions:
        before = len(steps) - 1 if exclusion.before is None else exclusion.before
        if not exclusion.after < before < len(steps):
            return (
                "an exclusion lies between two steps", f"after {exclusion.after}, before {before}",
                f"0 <= after < before <= {len(steps) - 1}, counted from 0",
            )  # fmt: skip
    refused: list[tuple[bool, str, str]] = [
        (order == "any" and any(s.within for s in steps), "any order with within", "a window for the whole"),
        (funnel.open and order == "any", "an open funnel in any order", "ordered or strict"),
        (funnel.open and bool(funnel.exclusions), "an open funnel with exclusions", "one of the two"),
        (funnel.open and funnel.counting == "entries", "an open funnel that counts entries", "units or sessions"),
        (
            bool(matching.grace) and (order != "ordered" or funnel.open or any(s.optional for s in steps)),
            "grace with another order, an open funnel or optional steps", "ordered, all steps required",
        ),
        (bool(matching.grace) and matching.ties == "increasing", "grace with increasing ties", "one of the two"),
        (
            funnel.counting == "sessions" and bool(funnel.hold_constant),
            "sessions with hold_constant", "unit: session_id with hold_constant",
        ),
        (
            funnel.session_gap is not None and funnel.counting != "sessions",
            "a session gap, but no sessions", "counting: sessions",
        ),
    ]  # fmt: skip
    for is_wrong, what, allowed in refused:
        if is_wrong:
            brought = f" (the preset {funnel.preset} brings the grace)" if "grace" in what and funnel.preset else ""
            return f"{what} has no meaning here{brought}", "both", allowed
    return _never_in_order(funnel)


def _never_in_order(funnel: Funnel) -> Fault | None:
    """Return why no unit can ever come through the funnel."""
    if funnel.matching.ties == "increasing" and len(funnel.steps) > 1:
        zero = timedelta(0)
        if funnel.window == zero or any(step.within == zero and not step.optional for step in funnel.steps[1:]):
            return "steps that must be later can never be at the same instant", "0s", "a longer window or within"
    for name in funnel.hold_constant:
        wanted = [(step.name, step.where[name]["eq"]) for step in funnel.steps if "eq" in step.where.get(name, {})]
        for first, other in pairwise(wanted):
            if first[1] != other[1]:
                return (
                    f"{name} is held constant, but two steps want different values of it",
                    f"{first[0]}: {first[1]}, {other[0]}: {other[1]}", "one value, or no hold_constant",
                )  # fmt: skip
    return None
