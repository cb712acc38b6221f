"""A change for everybody from a date on, judged by cohorts of equal age before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import CaseStudy, Release, Rules, start_of
from funnel_lib.conversion.rates import newcombe, wilson
from funnel_lib.errors import FunnelError
from funnel_lib.optimisation.impact import BeforeAfter, before_after
from funnel_lib.optimisation.orders import OrderValue, order_value
from funnel_lib.optimisation.people import People, count, enter, limits
from funnel_lib.optimisation.worth import UNKNOWN, Effect, Estimate, effect
from funnel_lib.schema import TABLES

_MIX = ["split", "difference", "low", "high", "reason"]


@dataclass(frozen=True)
class ReleaseChange:
    """A change for everybody, judged by cohorts of equal age before and after it.

    `standardised` gives the difference with the mix of each split held constant (`split, difference, low,
    high, reason`). `crossed` counts units of the cohort before that converted after the date, and may have
    met the change. `onward` is the rate at which those who took the step went on to the end of the case.
    """

    name: str
    since: date
    weeks: int
    steps: tuple[str, str]
    effect: Effect
    value: OrderValue | None
    left_out: Mapping[str, int]
    result: BeforeAfter | None
    standardised: pd.DataFrame
    crossed: int
    onward: Estimate | None
    reason: str | None
    kind: Literal["release"] = "release"


def read_release_change(scope: Scope, case: CaseStudy, release: Release) -> ReleaseChange:
    """Return what a change for everybody did, by cohorts of equal age before and after it.

    Parameters
    ----------
    scope : whose events are read; everybody who entered the release's first step counts.
    case : its end is where orders are counted, its `within` the age.
    release : since when, over how many weeks each side, and between which steps.
    """
    try:
        everybody = enter(scope, release.steps, case.within)
    except FunnelError:
        return _unknown(release, "no_units", {})
    since, weeks = start_of(release.since, scope.workbook.zone), timedelta(weeks=release.weeks)
    frame, entered = everybody.closed, everybody.closed["entered"]
    before, after = (frame[(entered >= first) & (entered < first + weeks)] for first in (since - weeks, since))
    near = (everybody.frame["entered"] >= since - weeks) & (everybody.frame["entered"] < since + weeks)
    left_out = {"window_open": int((near & ~everybody.frame["closed"]).sum())}
    if before.empty or after.empty:
        return _unknown(release, "outside_data", left_out)
    rules = scope.workbook.rules
    earlier = count(frame[entered < since - weeks])
    result = before_after(count(before), count(after), earlier=earlier, **limits(rules))
    onward, last, lost = _onward(scope, case, release, after)
    value = order_value(last, scope.workbook, scope.events)
    found = effect(
        release.name, "release", "before_after", Estimate(result.difference, result.low, result.high),
        units=len(after), onward=onward, worth=value.worth, reason=result.reason or lost or value.reason,
    )  # fmt: skip
    table = pd.DataFrame(
        [{"split": name, **_held(before, after, name, rules)} for name in _entry_splits(scope)],
        columns=_MIX,
    )
    crossed = _crossed(everybody, before, since)
    return ReleaseChange(
        release.name, release.since, release.weeks, release.steps, found, value, left_out, result, table,
        crossed, onward, result.reason,
    )  # fmt: skip


def standardise(before: pd.DataFrame, after: pd.DataFrame, by: str, *, level: float) -> Estimate:
    """Return the difference of the converted share, with the mix of groups held at that of both times.

    Direct standardisation: the sum over groups of weight x (rate after - rate before). The interval combines
    Newcombe's of each group as the root of the sum of squares (MOVER); groups that are empty at one of the
    times cannot be compared and give NaN.

    Parameters
    ----------
    before, after : `converted` and the column `by`, one row per unit.
    by : the groups.
    level : of the interval.
    """
    sizes = pd.concat([before, after])[by].value_counts()
    value = below = above = 0.0
    for group, size in sizes.items():
        (k0, n0), (k1, n1) = (count(rows[rows[by] == group]) for rows in (before, after))
        if not n0 or not n1:
            return UNKNOWN
        weight, found = size / sizes.sum(), newcombe(k1, n1, k0, n0, level)
        value += weight * found.estimate
        below += (weight * (found.estimate - found.low)) ** 2
        above += (weight * (found.high - found.estimate)) ** 2
    return Estimate(value, value - below**0.5, value + above**0.5)


def _held(before: pd.DataFrame, after: pd.DataFrame, by: str, rules: Rules) -> dict[str, object]:
    found = standardise(before, after, by, level=rules.level)
    reason = "group_on_one_side_only" if found is UNKNOWN else None
    return {"difference": found.value, "low": found.low, "high": found.high, "reason": reason}


def _onward(
    scope: Scope, case: CaseStudy, release: Release, after: pd.DataFrame
) -> tuple[Estimate | None, pd.DataFrame, str | None]:
    """Return the rate from the release's last step to the case's end, its people, why it is not known."""
    names = scope.funnel.names
    end, last = names.index(case.steps[1]), names.index(release.steps[1])
    if last == end:
        return None, after, None
    if last > end:
        return UNKNOWN, after, "beyond_case"
    whole = enter(scope, (release.steps[0], case.steps[1]), case.within).frame
    whole = whole[whole["unit"].isin(after["unit"])]
    converted, reached = int(whole["converted"].sum()), int(after["converted"].sum())
    if reached < scope.workbook.rules.min_units or converted < scope.workbook.rules.min_events:
        return UNKNOWN, whole, "too_few"
    low, high = wilson(converted, reached, scope.workbook.rules.level)
    return Estimate(converted / reached, float(low), float(high)), whole, None


def _crossed(everybody: People, before: pd.DataFrame, since: datetime) -> int:
    frame = everybody.journeys.frame
    reached = frame[f"t_{len(everybody.journeys.funnel.steps)}"]
    late = frame.loc[reached >= since, "unit"]
    return int((before["converted"] & before["unit"].isin(late)).sum())


def _entry_splits(scope: Scope) -> list[str]:
    """Return the splits by what is known at entry; attributes told later would depend on the outcome."""
    known = TABLES["events"].columns
    return [name for name, split in scope.workbook.segments.items() if split.by in known]


def _unknown(release: Release, reason: str, left_out: Mapping[str, int]) -> ReleaseChange:
    lost = effect(release.name, "release", "before_after", UNKNOWN, units=0, reason=reason)
    return ReleaseChange(
        release.name, release.since, release.weeks, release.steps, lost, None, left_out, None,
        pd.DataFrame(columns=_MIX), 0, None, reason,
    )  # fmt: skip
