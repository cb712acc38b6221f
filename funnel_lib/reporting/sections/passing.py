"""How the steps of a funnel were passed, beside their targets: what the sentences about steps are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.notation import Language
from funnel_lib.reporting.estimates import Count, Days, Points, Rate
from funnel_lib.reporting.labels import Span
from funnel_lib.reporting.plots.stage import records


class Pass(NamedTuple):
    """How one step is passed, beside its target: what the sentences about steps are made of."""

    number: int
    name: str
    title: str
    before: str
    entering: int
    passed: int
    rate: float
    low: float
    high: float
    target: float | None
    optional: bool = False

    @property
    def few(self) -> bool:
        """Whether there are too few people for a rate."""
        return bool(pd.isna(self.rate))

    @property
    def lost(self) -> int:
        """How many came to the step before and did not go on."""
        return self.entering - self.passed

    @property
    def gap(self) -> float:
        """Rate minus target; NaN without a rate or a target."""
        return float("nan") if self.target is None else self.rate - self.target

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below the target."""
        return self.target is not None and not self.few and self.high < self.target

    @property
    def value(self) -> Rate:
        """The rate with its interval."""
        return Rate(self.rate, self.low, self.high)

    def told(self, language: Language) -> str:
        """Return step and rate in words, for readers who do not see the picture."""
        return f"{self.title} {self.value.format(language)}"

    @property
    def short_of(self) -> Points:
        """How far the rate lies from the target, with the rate's interval; missing without a target."""
        target = math.nan if self.target is None else self.target
        return Points(self.gap, self.low - target, self.high - target, signed=False)

    @property
    def extra(self) -> Count:
        """How many more would have passed at target: the gap, with its interval, times the people at the step."""
        target = math.nan if self.target is None else self.target
        value, low, high = (max(0.0, (target - rate) * self.entering) for rate in (self.rate, self.high, self.low))
        return Count(value, low, high)


def passes(scope: Scope, steps: pd.DataFrame, group: str = "all") -> list[Pass]:
    """Return the steps after the first, from the rows of `rates` with base `previous`."""
    rows = steps[(steps["base"] == "previous") & (steps["group"] == group)]
    names, before = scope.funnel.names, previous_steps(scope.funnel)
    return [
        Pass(
            row.step, row.name, scope.step_title(row.name), scope.step_title(names[before[row.step - 1] - 1]),
            row.denominator,
            row.numerator, row.rate, row.low, row.high, scope.workbook.targets.get(row.name),
            scope.funnel.steps[row.step - 1].optional,
        )
        for row in records(rows)
    ]  # fmt: skip


def hardly_passed(found: Sequence[Pass], rules: Rules) -> Pass | None:
    """Return the step that loses most of those that too few passed for a rate though enough came; None without one."""
    stuck = [step for step in found if step.few and step.entering >= rules.min_units and step.lost > 0]
    return max(stuck, key=lambda step: step.lost) if stuck else None


def overall(scope: Scope, steps: pd.DataFrame, group: str = "all") -> Pass:
    """Return the way from the first step to the last, from the rows of `rates` with base `first`."""
    row = records(steps[(steps["base"] == "first") & (steps["group"] == group)])[-1]
    first, last = (scope.step_title(scope.funnel.names[end]) for end in (0, -1))
    return Pass(row.step, row.name, last, first, row.denominator, row.numerator, row.rate, row.low, row.high, None)


def window_of(scope: Scope) -> Days | None:
    """Return the funnel's window, None where it has none."""
    window = scope.funnel.window
    return None if window is None else Days(window / timedelta(days=1))


def mature_span(scope: Scope, journeys: Journeys) -> Span:
    """Return the days of entry whose window is over: the people that rates are about."""
    last = scope.period.last_day
    if journeys.window_closed and scope.as_of is not None and scope.funnel.window is not None:
        closed = (scope.as_of - scope.funnel.window).astimezone(scope.workbook.zone).date()
        last = max(scope.period.first_day, min(last, closed))
    return Span(scope.period.first_day, last)
