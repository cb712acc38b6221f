"""A change for one group only, beside a group that it did not touch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import CaseStudy, Policy, Trial, start_of
from funnel_lib.optimisation.impact import DidResult, difference_in_differences, placebo, pretrend
from funnel_lib.optimisation.orders import OrderValue, order_value
from funnel_lib.optimisation.people import People, limits
from funnel_lib.optimisation.trials import exposures
from funnel_lib.optimisation.worth import UNKNOWN, Effect, Estimate, effect, less, product


@dataclass(frozen=True)
class PolicyChange:
    """A change for one group, beside a group that it did not touch.

    Units are before where their whole window lay before the date, after where they entered from the date on.
    `left_out` counts those between (`straddling`), units that saw a trial's treatment (`in_trial`), and those
    whose window is still open (`window_open`). `price_before` is what the treated group's orders brought
    before. Where they clearly bring less since, `given_away` is the revenue lost on the orders that would
    have come anyway; it is deducted from the effect's money.
    """

    name: str
    since: date
    groups: tuple[str, str]
    effect: Effect
    value: OrderValue | None
    price_before: OrderValue | None
    given_away: Estimate | None
    left_out: Mapping[str, int]
    result: DidResult | None
    placebo_at: date
    placebo: DidResult | None
    pretrend: pd.DataFrame
    reason: str | None
    kind: Literal["policy"] = "policy"


def read_policy_change(scope: Scope, case: CaseStudy, policy: Policy, people: People) -> PolicyChange:
    """Return what a change for one group did, by difference in differences against the other group.

    Parameters
    ----------
    scope : its store holds the exposures of the case's trials, whose treated units are left out.
    case : whom and what it is about.
    policy : since when, for whom, and a false date as placebo.
    people : everybody who entered the case.
    """
    rules, zone = limits(scope.workbook.rules), scope.workbook.zone
    since, treated = start_of(policy.since, zone), policy.groups[0]
    both, used, left_out = _sides(scope, case, policy, people)
    early = used[~used["after"]]
    met = both[(both["group"] == treated) & both["closed"] & (both["entered"] >= since)]
    trend = pretrend(early, until=since, zone=zone, **rules)
    if early.empty or not used["after"].any():
        lost = effect(policy.name, "policy", "comparison", UNKNOWN, units=len(met), reason="outside_data")
        return PolicyChange(
            policy.name, policy.since, policy.groups, lost, None, None, None, left_out, None, policy.placebo,
            None, trend, "outside_data",
        )  # fmt: skip
    result = difference_in_differences(used, treated, **rules)
    false = placebo(early, treated, at=start_of(policy.placebo, zone), until=since, **rules)
    value = order_value(met, scope.workbook, scope.events)
    before = order_value(early[early["group"] == treated], scope.workbook, scope.events)
    found = effect(
        policy.name, "policy", "comparison", Estimate(result.estimate, result.low, result.high),
        units=len(met), worth=value.worth, reason=result.reason or value.reason,
    )  # fmt: skip
    given = _given_away(before, value, found, int(met["converted"].sum()))
    if given is not None:
        found = less(found, given)
    return PolicyChange(
        policy.name, policy.since, policy.groups, found, value, before, given, left_out, result,
        policy.placebo, false, trend, result.reason,
    )  # fmt: skip


def _sides(
    scope: Scope, case: CaseStudy, policy: Policy, people: People
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Return both groups' units, those that can be compared (with `after`), and the counts left out."""
    since = start_of(policy.since, scope.workbook.zone)
    both = people.frame[people.frame[case.split].isin(policy.groups)]
    both = both.assign(group=both[case.split])
    tested = both["unit"].isin(_treated(scope, case))
    between = (both["entered"] >= since - case.within) & (both["entered"] < since)
    used = both[both["closed"] & ~tested & ~between]
    left_out = {
        "in_trial": int(tested.sum()),
        "straddling": int((between & ~tested).sum()),
        "window_open": int((~both["closed"] & ~tested & ~between).sum()),
    }
    return both, used.assign(after=used["entered"] >= since), left_out


def _given_away(before: OrderValue, after: OrderValue, found: Effect, orders: int) -> Estimate | None:
    """Return what a clearly lower price cost on the orders that would have come anyway; None without one."""
    if not after.high < before.low:
        return None
    fall = before.mean - after.mean
    sides = (
        math.hypot(before.mean - before.low, after.high - after.mean),
        math.hypot(before.high - before.mean, after.mean - after.low),
    )
    anyway = Estimate(orders - found.orders, max(0.0, orders - found.orders_high), orders - found.orders_low)
    return product([anyway, Estimate(fall, fall - sides[0], fall + sides[1])])


def _treated(scope: Scope, case: CaseStudy) -> set[str]:
    """Return the units that saw the treatment of any of the case's trials."""
    trials = [change for change in case.changes if isinstance(change, Trial)]
    seen = [(exposures(scope, trial), trial.treatment) for trial in trials]
    return {unit for rows, arm in seen for unit in rows.loc[rows["variant"] == arm, "unit_id"]}
