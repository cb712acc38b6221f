"""A trial of the case study: what it did to the group's people, by the arm that each was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import CaseStudy, Trial
from funnel_lib.optimisation.experiments import SampleRatio, TrialResult, read_trial, sample_ratio
from funnel_lib.optimisation.orders import OrderValue, order_value
from funnel_lib.optimisation.people import People, count, limits
from funnel_lib.optimisation.worth import UNKNOWN, Effect, Estimate, effect


@dataclass(frozen=True)
class TrialChange:
    """A randomised trial among the group's people, by the arm that each was given (intention to treat).

    `left_out` counts units that saw both arms (`both_arms`), another arm (`other_arm`), are not among the
    group's people (`outside`), or whose window is still open (`window_open`).
    """

    name: str
    effect: Effect
    value: OrderValue | None
    left_out: Mapping[str, int]
    result: TrialResult | None
    ratio: SampleRatio | None
    first: datetime | None
    last: datetime | None
    reason: str | None
    kind: Literal["trial"] = "trial"


def read_trial_change(scope: Scope, case: CaseStudy, trial: Trial, people: People) -> TrialChange:
    """Return what a trial among the group's people did to their reaching the end of the case.

    Parameters
    ----------
    scope : its store holds the exposures.
    case : whom and what it is about.
    trial : the experiment and its arms.
    people : everybody who entered the case.
    """
    seen = exposures(scope, trial)
    names = (trial.control, trial.treatment)
    missing = "no_exposures" if seen.empty else "arm_missing" if not {*names} <= {*seen["variant"]} else None
    if missing is not None:
        lost = effect(trial.name, "trial", "randomised", UNKNOWN, units=0, reason=missing)
        return TrialChange(trial.name, lost, None, {}, None, None, None, None, missing)
    arms = seen.groupby("unit_id")["variant"].agg(["nunique", "first"])
    one = arms.loc[(arms["nunique"] == 1) & arms["first"].isin(names), "first"]
    group = people.frame[people.frame[case.split] == case.group]
    arm = group["unit"].map(one)
    inside = group[arm.notna()].assign(arm=arm)
    counts = {name: int((inside["arm"] == name).sum()) for name in names}
    shares = {trial.control: 1 - trial.expected_share, trial.treatment: trial.expected_share}
    ratio = sample_ratio(counts, shares)
    closed = inside[inside["closed"]]
    control, treatment = (count(closed[closed["arm"] == name]) for name in names)
    result = read_trial(control, treatment, names=names, ratio=ratio, **limits(scope.workbook.rules))
    value = order_value(closed, scope.workbook, scope.events)
    left_out = {
        "both_arms": int((arms["nunique"] > 1).sum()),
        "other_arm": int(((arms["nunique"] == 1) & ~arms["first"].isin(names)).sum()),
        "outside": len(one) - len(inside), "window_open": len(inside) - len(closed),
    }  # fmt: skip
    found = effect(
        trial.name, "trial", "randomised", Estimate(result.difference, result.low, result.high),
        units=treatment[1], worth=value.worth, reason=result.reason or value.reason,
    )  # fmt: skip
    first, last = seen["ts"].min(), seen["ts"].max()
    return TrialChange(trial.name, found, value, left_out, result, ratio, first, last, result.reason)


def exposures(scope: Scope, trial: Trial) -> pd.DataFrame:
    """Return the exposures of a trial's experiment, oldest first: `unit_id, experiment, variant, ts`."""
    seen = scope.store.read("exposures", columns=["unit_id", "experiment", "variant", "ts"])
    return seen[seen["experiment"] == trial.experiment].sort_values("ts", kind="stable")
