"""The sections of a workbook file that say where data comes from, how it is divided and when it may be shown."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from funnel_lib import periods
from funnel_lib.errors import ConfigError, choices, nearest
from funnel_lib.notation import Condition, Duration, EventNames, Scalar, Title, Where
from funnel_lib.periods import Every

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
# Told by the names of their modules, which stand further right on the road and are not imported.
_SOURCES = Path(__file__).parent / "collection" / "sources"
SYSTEMS = tuple(sorted(module.name for module in iter_modules([str(_SOURCES)]) if not module.name.startswith("_")))
"""The systems that exports can come from."""
Mapped = Literal["events", "users", "deals", "stage_history", "spend", "surveys", "exposures"]
MAPPED: tuple[Mapped, ...] = get_args(Mapped)
NOTHING = "there is nothing of this name"
ROLES = (
    "abuse", "accounts", "admin", "billing", "contact", "enquiries", "finance", "hello", "help", "hr", "info", "jobs",
    "kefu", "kontakt", "mail", "marketing", "no-reply", "noreply", "office", "postmaster", "sales", "service",
    "support", "team", "test", "webmaster",
)  # fmt: skip


def _known_system(name: str) -> str:
    if name not in SYSTEMS:
        raise PydanticCustomError("system", "unknown system", {"found": name, "allowed": choices(SYSTEMS, name)})
    return name


System = Annotated[str, AfterValidator(_known_system), Field(json_schema_extra={"enum": list(SYSTEMS)})]


class Section(BaseModel):
    """A part of the workbook file: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _known_keys(cls, data: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse unknown keys, naming the nearest, beside (not instead of) the section's other faults."""
        if not isinstance(data, dict):
            return read(data)
        names = [field.alias or name for name, field in cls.model_fields.items()]
        faults = [
            fault_line((str(key),), "unknown_key", "unknown key", str(key), choices(names, key))
            for key in data
            if key not in names
        ]
        try:
            section = read({key: value for key, value in data.items() if key in names})
        except ValidationError as error:
            faults += [
                InitErrorDetails(
                    type=PydanticCustomError(fault["type"], fault["msg"], fault.get("ctx")),
                    loc=fault["loc"],
                    input=fault["input"],
                )
                for fault in error.errors()
            ]
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return section


def fault_line(loc: tuple[str | int, ...], kind: str, what: str, found: object, allowed: str) -> InitErrorDetails:
    """Return one fault of a section, as pydantic lists them."""
    return InitErrorDetails(type=PydanticCustomError(kind, what, {"allowed": allowed}), loc=loc, input=found)


class Fetching(Section):
    """How a source is fetched over the system's interface; credentials never stand here.

    `since` is the first day to fetch. `streams` are the kinds of rows (the usual ones where none is named), `options`
    the interface's parameters such as an account's number. `overlap` is how long rows may still change after they
    were fetched. `server` is the address of another region, `system` the interface where it is not the source's own.
    """

    since: date
    streams: list[str] = Field(default_factory=list)
    options: dict[str, Annotated[str, Field(coerce_numbers_to_str=True)]] = Field(default_factory=dict)
    overlap: Duration | None = None
    server: str | None = None
    system: str | None = None


class Source(Section):
    """Where the exports of one system lie and, where the system does not tell, how its columns are called.

    `columns` maps canonical names to the file's; for `users` and `deals` any further name becomes an
    attribute. `aliases` adds header texts to those that a system is known to use, by canonical name or by
    `table.name`. `constants` sets a canonical column to one value in every row. `values` rewrites single values
    of a canonical column. `missing` lists further texts that mean “no value”. `not_before` quarantines the
    rows with a time that lies before another. `query` and `connection` (an environment variable that holds the
    address) belong to the system `database`.
    """

    system: System
    files: Annotated[str, Field(min_length=1)]
    table: Mapped | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    aliases: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    constants: dict[str, Scalar] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    missing: list[str] = Field(default_factory=list)
    timezone: str | None = None
    encoding: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    sheet: str | None = None
    date_format: str | None = None
    not_before: dict[str, str] = Field(default_factory=dict)
    optional: bool = False
    title: Title | None = None
    api: Fetching | None = None
    query: str | None = None
    connection: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        return name if name is None else zone_name(name)


class Cleaning(Section):
    """What is set aside on the way in. Each rule is tallied; quarantined rows are kept beside the tables.

    `internal` tells events of the business's own people. `known_events` lists the names that events may have (``*``
    at the end for any ending; nothing means any). Where a system gives its events no ids, one that differs from
    another only in its time, up to `near_duplicates` later, is merged with it; with 0s such events are only counted,
    as what a workbook does not map may tell them apart, and a click may well be repeated. `repeated` lists events of
    which that is normal (``*`` as above). An event more than `clock_skew` after the column `received_at` has a wrong
    clock.
    """

    bots: list[str] = Field(default_factory=lambda: ["bot", "crawler", "spider", "headless"])
    test_accounts: Where = Field(default_factory=dict)
    internal: Where = Field(default_factory=dict)
    known_events: list[str] = Field(default_factory=list)
    near_duplicates: Duration = Field(default="0s", validate_default=True)
    repeated: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    clock_skew: Duration = Field(default="1h", validate_default=True)
    earliest: date = date(2000, 1, 1)
    late_after: Duration = Field(default="3d", validate_default=True)
    worst_share: Share = 0.2


class Limits(Section):
    """How bad a value is: up to `allowed` it passes, up to `minor` and `major` it is such a fault, beyond it is fatal.

    For checks of the least that there must be (rows kept, join rate) the same downwards. What is left out keeps its
    default.
    """

    allowed: float | None = None
    minor: float | None = None
    major: float | None = None


class Quality(Section):
    """How good data has to be: limits of single checks, and checks that are waived, each with a written reason."""

    limits: dict[str, Limits] = Field(default_factory=dict)
    waive: dict[str, Annotated[str, Field(min_length=10)]] = Field(default_factory=dict)


class Joining(Section):
    """How many people one value of an id may join; beyond that it is a shared device, and joins nobody."""

    at_most: Annotated[int, Field(ge=0)] = 3


class Identity(Section):
    """Which ids belong to one person.

    `join` names the kinds of ids that join people, each with its limit; what a source of people holds in a column
    of such a name (other than `anonymous`, `email_hash` and `phone_hash`) is an id of this kind. `largest` and
    `logins` limit the ids and the logins of one person. `roles` are the names of mailboxes that several people
    read. `country` (two letters) is that of telephone numbers without a country code. `split` lists ids that were
    joined by mistake.
    """

    join: dict[Name, Joining] = Field(default_factory=dict)
    largest: Annotated[int, Field(ge=2)] = 50
    logins: Annotated[int, Field(ge=1)] = 3
    roles: list[str] = Field(default_factory=lambda: [*ROLES])
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    split: list[str] = Field(default_factory=list)

    def at_most(self, kind: str) -> int:
        """Return how many ids a value of `kind` may join."""
        return self.join.get(kind, Joining()).at_most


class ChannelRule(Section):
    """What makes a visit one of `channel`: every condition that is given has to hold, each by one of its words.

    `medium`, `source`, `campaign` and `referrer` (its host) list words, ``*`` at their end for any ending; `click`
    lists click ids; `landing` gives parameters of the landing page and their values.
    """

    channel: Name
    medium: list[str] = Field(default_factory=list)
    source: list[str] = Field(default_factory=list)
    campaign: list[str] = Field(default_factory=list)
    referrer: list[str] = Field(default_factory=list)
    click: list[str] = Field(default_factory=list)
    landing: dict[str, list[str]] = Field(default_factory=dict)

    def __hash__(self) -> int:
        """Hash by what the rule says, as rules are kept by it."""
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _has_condition(self) -> ChannelRule:
        if not self.model_fields_set - {"channel"}:
            raise PydanticCustomError("rule", "a channel's rule needs a condition", {"allowed": "source: [words]"})
        return self


class Did(Section):
    """Behaviour of a unit: how many matching events it had until `within` after its entry (0 = until entry)."""

    event: EventNames = None
    where: Where = Field(default_factory=dict)
    count: Condition = Field(default_factory=lambda: dict[str, Scalar | list[Scalar]](ge=1))
    within: Duration = Field(default="0s", validate_default=True)


class Group(Section):
    """One group of a split; a unit belongs to the first group all of whose conditions hold."""

    title: Title | None = None
    where: Where = Field(default_factory=dict)
    did: list[Did] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_rule(self) -> Group:
        if not self.where and not self.did:
            raise PydanticCustomError("rule", "a group needs where or did", {"allowed": "where: {column: value}"})
        return self


class Split(Section):
    """A way to divide all units: every value of a column (`by`), or named `groups` with rules.

    Each unit is in exactly one group. With `by`, values beyond the `top` become `other`; with `groups`, those
    that no rule claims become `other`. Where the value (or every column that the rules ask for) is missing, it
    is `unknown`.
    """

    title: Title | None = None
    by: str | None = None
    groups: dict[Name, Group] = Field(default_factory=dict)
    titles: dict[str, Title] = Field(default_factory=dict)
    top: Annotated[int, Field(ge=1, le=50)] = 8

    @model_validator(mode="after")
    def _one_way(self) -> Split:
        if (self.by is None) == (not self.groups):
            raise PydanticCustomError(
                "split", "a split needs by or groups, not both", {"allowed": "by: COLUMN, or groups"}
            )
        taken = next((name for name in self.groups if name in ("other", "unknown")), None)
        if taken:
            raise PydanticCustomError(
                "split", "this group exists in every split", {"found": taken, "allowed": "another name"}
            )
        return self


class Periods(Section):
    """The periods to report on; first and last day come from the data where they are not given.

    `latest` limits a run without `--period` to the newest ones that have data. `settle` is how many later periods a
    report waits for late rows; by default as many as the funnel's window reaches, and one more.
    """

    every: Every = "month"
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")
    custom: list[str] = Field(default_factory=list)
    latest: Annotated[int, Field(ge=1)] | None = None
    settle: Annotated[int, Field(ge=0)] | None = None

    @field_validator("custom")
    @classmethod
    def _readable(cls, names: list[str]) -> list[str]:
        for name in names:
            try:
                periods.period(name, ZoneInfo("UTC"))
            except ConfigError as error:
                raise PydanticCustomError(
                    "period", "this period cannot be read", {"found": name, "allowed": str(error.allowed)}
                ) from error
        return names

    @model_validator(mode="after")
    def _in_order(self) -> Periods:
        if self.first and self.last and self.last < self.first:
            raise PydanticCustomError(
                "order", "to lies before from", {"found": str(self.last), "allowed": f"{self.first} or later"}
            )
        return self


class ReportPlan(Section):
    """One report: over which periods (each one, or the whole data) and for which groups beside everybody."""

    over: Literal["periods", "all"] = "periods"
    segments: list[Annotated[str, Field(pattern=r"^[^=]+=[^=]+$")]] = Field(default_factory=list)


class Rules(Section):
    """When a number may be shown, and how sure it has to be.

    `allow_unmatched` : a step that matches no event of the whole data counts zero, instead of stopping the report.
    `restated` : a published number that moves by a larger share of itself is listed with its old value.
    """

    min_units: Annotated[int, Field(ge=1)] = 30
    min_events: Annotated[int, Field(ge=0)] = 5
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    correction: Literal["holm", "bh"] = "holm"
    mature_only: bool = True
    allow_unmatched: bool = False
    restated: Share = 0.001


@cache
def _zones() -> frozenset[str]:
    """Return the names of all time zones: finding them opens each of their six hundred files."""
    return frozenset(available_timezones())


def zone_name(name: str) -> str:
    """Return the name of a time zone; refuses an unknown one, naming the nearest."""
    if name not in _zones():
        guess = nearest(name, _zones())
        allowed = "an IANA name such as Asia/Shanghai or Europe/Berlin" + (f" (did you mean {guess}?)" if guess else "")
        raise PydanticCustomError("timezone", "unknown time zone", {"found": name, "allowed": allowed})
    return name
