"""The funnel under other definitions: everybody's report shows it, a segment's does not."""

from pathlib import Path

import funnel_lib as fl
from funnel_lib.conversion.journeys import journeys
from funnel_lib.definition import Funnel
from funnel_lib.reporting.sections import robustness


def test_each_definition_is_counted_anew(demo: Path):
    may = fl.Scope.open(demo / "params" / "education.yml", period="2026-05")
    shown = robustness.definitions(may)
    assert shown is not None
    half = Funnel(steps=may.funnel.steps, window="7d")
    counts = journeys(may.events, half, period=may.period, as_of=may.as_of).counts(mature_only=True)["units"]
    rate = counts.iloc[-1] / counts.iloc[0]
    assert f"{rate:.1%}" in shown.html
    assert "A window of 7 days" in shown.html
    assert "The rules of Google Analytics 4" in shown.html
    assert "Register is where the largest share is lost, under every definition." in shown.html


def test_a_segments_report_leaves_it_to_that_of_everybody(demo: Path):
    students = fl.Scope.open(demo / "params" / "education.yml", period="2026-05", segment="audience=student")
    assert robustness.definitions(students) is None
