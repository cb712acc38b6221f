"""The optimisation case: what was found about a group, what each change did, what it is worth together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import CaseStudy, Change, Policy, Trial, start_of
from funnel_lib.errors import ConfigError
from funnel_lib.optimisation.finding import Finding, find
from funnel_lib.optimisation.orders import OrderValue, order_value
from funnel_lib.optimisation.people import People, enter
from funnel_lib.optimisation.policies import PolicyChange, read_policy_change
from funnel_lib.optimisation.releases import ReleaseChange, read_release_change
from funnel_lib.optimisation.trials import TrialChange, exposures, read_trial_change
from funnel_lib.optimisation.worth import Total, total

ChangeResult = TrialChange | PolicyChange | ReleaseChange


@dataclass(frozen=True)
class Caveat:
    """What the results do not allow to be claimed: a stable key, the change that it limits, its numbers."""

    key: str
    change: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseResult:
    """Everything about a case, in numbers.

    `units` are the group's people who entered the case, `closed` those whose window has closed; `changes`
    come in the workbook's order; `value` is that of an order of the group over the whole time.
    """

    split: str
    group: str
    steps: tuple[str, str]
    within: timedelta
    units: int
    closed: int
    first_day: date
    last_day: date
    as_of: datetime | None
    level: float
    finding: Finding
    changes: tuple[ChangeResult, ...]
    total: Total
    value: OrderValue
    cannot_claim: tuple[Caveat, ...]

    @property
    def effects(self) -> pd.DataFrame:
        """The effects, one row per change, with the columns of `worth.Effect`."""
        return pd.DataFrame([vars(change.effect) for change in self.changes])


def study(scope: Scope) -> CaseResult:
    """Return the workbook's case study over the scope's period, for everybody (the scope's segment aside).

    Units enter with the first step of the case; they convert where they reach its last step within
    `case_study.within` of their first entry; only those whose window has closed are compared.

    Raises
    ------
    ConfigError : the workbook has no case study, or its funnel reads a snapshot without times.
    DataError : nobody entered the case.
    """
    case = scope.workbook.case_study
    if case is None:
        raise ConfigError(
            "This workbook has no case study.", where=scope.workbook.file, found="no section case_study",
            allowed="case_study: with split, group, steps and changes",
            do="Add the section, or leave the report out.",
        )  # fmt: skip
    people = enter(scope, case.steps, case.within)
    group = people.frame[people.frame[case.split] == case.group]
    surveys = scope.store.read("surveys", columns=["user_id", "ts", "question", "score", "comment"])
    finding = find(
        people.journeys, case.split, case.group, surveys=surveys, question=case.survey,
        rules=scope.workbook.rules, until=_first_change(scope, case, group),
    )  # fmt: skip
    changes = tuple(_read(scope, case, change, people) for change in case.changes)
    value = order_value(group, scope.workbook, scope.events)
    worth = total(change.effect for change in changes)
    return CaseResult(
        case.split, case.group, case.steps, case.within, len(group), int(group["closed"].sum()),
        scope.period.first_day, scope.period.last_day, people.journeys.as_of, scope.workbook.rules.level,
        finding, changes, worth, value, tuple(_caveats(scope, case, changes, value)),
    )  # fmt: skip


def _first_change(scope: Scope, case: CaseStudy, group: pd.DataFrame) -> datetime | None:
    """Return when the first change to the case's steps began; None where too few of the group came before."""
    names, zone = scope.funnel.names, scope.workbook.zone
    first, last = (names.index(step) for step in case.steps)
    starts: list[datetime] = []
    for change in case.changes:
        if isinstance(change, Trial):
            starts += [exposures(scope, change)["ts"].iloc[0]] if len(exposures(scope, change)) else []
        elif isinstance(change, Policy) or (
            names.index(change.steps[0]) < last and first < names.index(change.steps[1])
        ):
            starts.append(start_of(change.since, zone))
    if not starts or (group["entered"] < min(starts) - case.within).sum() < scope.workbook.rules.min_units:
        return None
    return min(starts)


def _read(scope: Scope, case: CaseStudy, change: Change, people: People) -> ChangeResult:
    if isinstance(change, Trial):
        return read_trial_change(scope, case, change, people)
    if isinstance(change, Policy):
        return read_policy_change(scope, case, change, people)
    return read_release_change(scope, case, change)


def _caveats(scope: Scope, case: CaseStudy, changes: tuple[ChangeResult, ...], value: OrderValue) -> Iterator[Caveat]:
    """Yield what cannot be claimed, the whole case first, then change by change."""
    if len(changes) > 1:
        yield Caveat("one_of_several_changes", numbers={"changes": len(changes)})
    yield Caveat("short_follow_up", numbers={"days": case.within / timedelta(days=1)})
    if value.reason is not None:
        yield Caveat("order_value_unknown", numbers={"orders": value.orders})
    elif "margin" not in scope.workbook.value.model_fields_set:
        yield Caveat("margin_not_included")
    for change in changes:
        if change.reason is not None:
            yield Caveat(change.reason, change.name)
        if isinstance(change, TrialChange):
            yield from _of_trial(change)
        elif isinstance(change, PolicyChange):
            yield from _of_policy(change)
        else:
            yield from _of_release(change)


def _of_trial(change: TrialChange) -> Iterator[Caveat]:
    if change.result is not None and change.reason is None and not change.result.clear:
        result = change.result
        yield Caveat(
            "not_clear",
            change.name,
            {"low": result.low, "high": result.high, "detectable": result.detectable},
        )
    if change.left_out.get("both_arms"):
        yield Caveat("both_arms", change.name, {"units": change.left_out["both_arms"]})


def _of_policy(change: PolicyChange) -> Iterator[Caveat]:
    if change.result is not None and change.reason is None and not change.result.clear:
        yield Caveat("not_clear", change.name, {"low": change.result.low, "high": change.result.high})
    if (false := change.placebo) is not None:
        if false.reason is not None:
            yield Caveat("no_placebo", change.name)
        else:
            key = "placebo_clear" if false.clear else "placebo_not_clear"
            yield Caveat(key, change.name, {"estimate": false.estimate, "low": false.low, "high": false.high})
    if (given := change.given_away) is not None:
        numbers = {"given_away": given.value, "low": given.low, "high": given.high}
        yield Caveat("lower_price_on_other_orders", change.name, numbers)


def _of_release(change: ReleaseChange) -> Iterator[Caveat]:
    if change.result is None or change.reason is not None:
        return
    result = change.result
    yield Caveat("before_after_only", change.name, {"weeks": change.weeks})
    if not result.clear:
        yield Caveat("not_clear", change.name, {"low": result.low, "high": result.high})
    if result.after_dip:
        yield Caveat("after_dip", change.name, {"rate": result.before.rate})
    if change.crossed:
        yield Caveat("crossed", change.name, {"units": change.crossed})
    if change.onward is not None and not math.isnan(change.onward.value):
        rate = change.onward
        yield Caveat("onward_rate_assumed", change.name, {"rate": rate.value, "low": rate.low, "high": rate.high})
