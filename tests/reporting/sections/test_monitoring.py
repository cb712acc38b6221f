"""The control chart in the report: the planted fault rings, calm months do not, and failed data holds alerts back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.collection.scope import Scope
from funnel_lib.conversion.movement.comparable import history
from funnel_lib.conversion.movement.control import Chart
from funnel_lib.reporting.sections import monitoring


def opened(demo: Path, period: str, **given: str) -> tuple[Scope, monitoring.Watched]:
    scope = fl.Scope.open(demo / "params" / "education.yml", period=period, **given)
    return scope, monitoring.watch(scope, history(scope))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_planted_payment_fault_is_the_headline(demo: Path, language: str):
    scope, watched = opened(demo, "2026-05", language=language)
    first = monitoring.ranked(watched).iloc[0]
    assert (first["metric"], first["direction"]) == ("payment", "down")
    assert pd.Timestamp("2026-05-18") <= first["opened"] <= pd.Timestamp("2026-05-21")
    shown = monitoring.monitor(scope, fl.cohort(scope), history(scope), watched)
    assert ("fell below its limits" if language == "en" else "跌破控制下限") in shown.html
    assert "data-chart" in shown.html or "<svg" in shown.html


def test_an_alert_on_days_of_failed_data_is_held_back_and_said_so(demo: Path):
    scope, watched = opened(demo, "2026-05")
    held = replace_alerts(watched)
    shown = monitoring.monitor(scope, fl.cohort(scope), history(scope), held)
    assert "No step left its control limits in" in shown.html
    assert "held back" in shown.html


def replace_alerts(watched: monitoring.Watched) -> monitoring.Watched:
    return watched._replace(alerts=watched.alerts.assign(held=True))


def test_a_first_month_has_no_baseline_and_says_so(demo: Path):
    scope, watched = opened(demo, "2026-01")
    shown = monitoring.monitor(scope, fl.cohort(scope), history(scope), watched)
    assert watched.alerts.empty
    assert "<svg" not in shown.html


def test_days_with_too_few_rows_are_failed_ones_but_never_the_ends():
    days = pd.date_range("2026-05-04", periods=28)
    rows = pd.DataFrame({"day": days, "rows": 100})
    rows.loc[[0, 9, 27], "rows"] = 10  # the first and the last day are seldom whole
    coverage = rows.drop(index=15)  # and one day has none at all
    assert monitoring.failed_days(coverage) == [days[9].date(), days[15].date()]
    assert monitoring.failed_days(coverage.assign(rows=3)) == []
    assert monitoring.failed_days(coverage[:0]) == []


@pytest.mark.parametrize(("low", "high", "telling"), [(0.0, 1.0, False), (0.2, 1.0, True), (0.0, 0.3, True)])
def test_limits_that_hold_every_share_say_nothing(low: float, high: float, telling: bool):
    days = pd.DataFrame({"denominator": [3, 3, 3], "low": low, "high": high, "learnt": [True, False, False]})
    assert monitoring.can_ring(Chart(days)) is telling
