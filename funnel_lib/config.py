"""The workbook file: one YAML file for one business, read into frozen, checked objects.

This is the only place where defaults live (with `settings` and `casebook`, its sections). Whatever the file says
that cannot be is refused, with the file, the key path, the value found, what is allowed and the nearest valid name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from funnel_lib import periods
from funnel_lib.casebook import CaseStudy, Change, Policy, Release, Trial
from funnel_lib.definition import FIELDS, Funnel, Step
from funnel_lib.errors import ConfigError, DataError, choices, nearest
from funnel_lib.faults import refusal
from funnel_lib.ledger import Benchmarks, Cost, Value
from funnel_lib.notation import Language, Title
from funnel_lib.notices import Notify
from funnel_lib.periods import Period
from funnel_lib.scorecard import Board
from funnel_lib.settings import (
    NOTHING,
    ChannelRule,
    Cleaning,
    Did,
    Group,
    Identity,
    Name,
    Periods,
    Quality,
    ReportPlan,
    Rules,
    Section,
    Share,
    Source,
    Split,
    System,
    fault_line,
    zone_name,
)

Report = Literal["collection", "segmentation", "conversion", "case_study"]
REPORTS: tuple[Report, ...] = ("collection", "segmentation", "conversion", "case_study")
_Loc = tuple[str | int, ...]
_Fault = tuple[_Loc, str, str, list[str]]


class Workbook(Section):
    """One business: its sources, funnel, segments, periods and reports."""

    name: Name
    title: Title
    question: Title | None = None
    timezone: str = "UTC"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    languages: Annotated[list[Language], Field(min_length=1)] = Field(default_factory=lambda: list[Language](["en"]))
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    cleaning: Cleaning = Field(default_factory=Cleaning)
    identity: Identity = Field(default_factory=Identity)
    channels: list[ChannelRule] = Field(default_factory=list)
    quality: Quality = Field(default_factory=Quality)
    rates: dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict
    )
    funnel: Funnel
    segments: dict[Name, Split] = Field(default_factory=dict)
    periods: Periods = Field(default_factory=Periods)
    reports: dict[Report, ReportPlan] = Field(
        default_factory=lambda: dict[Report, ReportPlan](
            (name, ReportPlan()) for name in REPORTS if name != "case_study"
        )
    )
    rules: Rules = Field(default_factory=Rules)
    targets: dict[str, Share] = Field(default_factory=dict)
    value: Value = Field(default_factory=Value)
    benchmarks: Benchmarks = Field(default_factory=Benchmarks)
    holidays: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] = Field(default_factory=list)
    kpis: Board = Field(default_factory=Board)
    costs: list[Cost] = Field(default_factory=list)
    case_study: CaseStudy | None = None
    notify: Notify | None = None

    _file: Path | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return zone_name(name)

    @model_validator(mode="after")
    def _references(self) -> Workbook:
        faults = [
            fault_line(loc, "reference", what, found, choices(allowed, found) or "nothing (none is defined)")
            for loc, what, found, allowed in self._dangling()
        ]
        if faults:
            raise ValidationError.from_exception_data("Workbook", faults)
        return self

    def _dangling(self) -> Iterator[_Fault]:
        """Yield what cannot be reported, and every name of a step, split or group that the workbook does not define."""
        if self.funnel.counting != "units":
            what = "reports speak of people; entries and sessions are counted by funnel count and journeys()"
            yield ("funnel", "counting"), what, self.funnel.counting, ["units"]
        later = self.funnel.names[1:]
        yield from ((("targets", name), NOTHING, name, later) for name in self.targets if name not in later)
        held = self.benchmarks.steps
        yield from ((("benchmarks", "steps", name), NOTHING, name, later) for name in held if name not in later)
        for report, plan in self.reports.items():
            for index, segment in enumerate(plan.segments):
                loc = ("reports", report, "segments", index)
                yield from self._missing_group(loc, loc, *segment.split("=", 1))
        told = self.notify.language if self.notify is not None else None
        if told is not None and told not in self.languages:
            yield ("notify", "language"), "no report is in this language", told, list(self.languages)
        if self.case_study is not None:
            yield from self._dangling_case(self.case_study)
        elif "case_study" in self.reports:
            rest: list[str] = [name for name in REPORTS if name != "case_study"]
            yield ("reports", "case_study"), "there is no section case_study", "case_study", rest

    def _dangling_case(self, case: CaseStudy) -> Iterator[_Fault]:
        here = ("case_study",)
        yield from self._missing_group((*here, "split"), (*here, "group"), case.split, case.group)
        yield from self._wrong_steps((*here, "steps"), case.steps)
        for index, change in enumerate(case.changes):
            loc = (*here, "changes", index)
            if isinstance(change, Release):
                yield from self._wrong_steps((*loc, "steps"), change.steps)
            elif isinstance(change, Policy) and case.split in self.segments:
                for place, group in enumerate(change.groups):
                    path = (*loc, "groups", place)
                    yield from self._missing_group(path, path, case.split, group)

    def _missing_group(self, split_loc: _Loc, group_loc: _Loc, split: str, group: str) -> Iterator[_Fault]:
        if split not in self.segments:
            yield split_loc, NOTHING, split, list(self.segments)
        elif not self._has_group(split, group):
            yield group_loc, NOTHING, group, self._groups(split)

    def _wrong_steps(self, loc: _Loc, pair: tuple[str, str]) -> Iterator[_Fault]:
        names = self.funnel.names
        yield from (((*loc, i), NOTHING, name, names) for i, name in enumerate(pair) if name not in names)
        if all(name in names for name in pair) and names.index(pair[0]) >= names.index(pair[1]):
            after = names[names.index(pair[0]) + 1 :]
            yield (*loc, 1), f"this step does not come after {pair[0]}", pair[1], after

    def _groups(self, split: str) -> list[str]:
        return [*self.segments[split].groups, "other", "unknown"]

    def _has_group(self, split: str, group: str) -> bool:
        return self.segments[split].by is not None or group in self._groups(split)

    @property
    def file(self) -> Path | None:
        """The file that the workbook was read from, if any."""
        return self._file

    @property
    def root(self) -> Path:
        """The folder that holds params/, data/ and reports/: the parent of the workbook file's folder."""
        return self._file.resolve().parent.parent if self._file else Path.cwd()

    @property
    def raw(self) -> Path:
        """Where the exports lie."""
        return self.root / "data" / "raw" / self.name

    @property
    def processed(self) -> Path:
        """Where the canonical tables are written."""
        return self.root / "data" / "processed" / self.name

    @property
    def reports_folder(self) -> Path:
        """Where the reports are written."""
        return self.root / "reports" / self.name

    @property
    def zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.timezone)

    def period(self, name: str, first: date, last: date) -> Period:
        """Return the period called `name`; `all` spans the workbook's days, or `first` to `last` of the data."""
        if name == "all":
            return periods.whole(self.periods.first or first, self.periods.last or last, self.zone)
        return periods.period(name, self.zone)

    def reporting_periods(self, first: date, last: date) -> list[Period]:
        """Return the workbook's periods that touch the data's days `first` to `last`, oldest first."""
        lower, upper = max(first, self.periods.first or first), min(last, self.periods.last or last)
        if upper < lower:
            return []
        if self.periods.every == "all":
            found = [self.period("all", first, last)]
        else:
            found = list(periods.between(lower, upper, self.periods.every, self.zone))
        return found + [periods.period(name, self.zone) for name in self.periods.custom]


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice, where the first one would be dropped silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is written twice in one mapping", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def load(path: str | Path) -> Workbook:
    """Read and check the workbook file `path` (YAML, UTF-8).

    Raises
    ------
    DataError : there is no such file.
    ConfigError : the file is not YAML, or says something that cannot be; all faults are listed at once.

    """
    file = Path(path)
    if not file.is_file():
        near = nearest(file.name, [p.name for p in file.parent.glob("*.yml")] if file.parent.is_dir() else [])
        raise DataError(
            "There is no such workbook file.",
            where=file,
            allowed="an existing .yml file" + (f", such as {file.parent / near}" if near else ""),
            do="Check the path, or write a new workbook with: funnel new NAME",
        )
    try:
        data = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            "The workbook file is not readable YAML.", where=file, found=error, allowed="YAML in UTF-8",
            do="Correct the line that is named; indent with spaces, quote texts that hold a colon.",
        ) from error  # fmt: skip
    workbook = parse(data, where=file)
    object.__setattr__(workbook, "_file", file)
    return workbook


def parse(data: object, *, where: object = "workbook") -> Workbook:
    """Check a workbook given as a mapping; `where` names it in messages.

    Raises
    ------
    ConfigError : the mapping says something that cannot be; all faults are listed at once.

    """
    try:
        return Workbook.model_validate(data)
    except ValidationError as error:
        do = f"Correct the file and try again: funnel check {where}"
        raise refusal(error, data, FIELDS, what="The workbook cannot be used", where=where, do=do) from error


def schema() -> dict[str, Any]:
    """Return the JSON Schema of workbook files, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Workbook.model_json_schema()}


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of `day` in `zone`."""
    return datetime.combine(day, time.min, tzinfo=zone)


__all__ = [
    "REPORTS", "Benchmarks", "CaseStudy", "Change", "Cleaning", "Cost", "Did", "Group", "Identity", "Period",
    "Policy", "Quality", "Release", "Report", "Rules", "Source", "Split", "Step", "System", "Trial", "Value",
    "Workbook", "load", "parse", "schema", "start_of",
]  # fmt: skip
