"""The funnel under other definitions: everybody's report shows it, a segment's does not."""

from pathlib import Path

import numpy as np
import pandas as pd

import funnel_lib as fl
from funnel_lib.conversion.journeys import journeys
from funnel_lib.definition import Funnel
from funnel_lib.reporting.sections import robustness
from funnel_lib.reporting.wording import Say


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


def test_the_finding_compares_the_same_people():
    # A window of 42 days leaves 150 people of 240: their 40.0% is another 40.0% under the workbook's own definition.
    frame = pd.DataFrame({
        "variant": ["defined", "window_42d", "strict"], "rate": [0.35, 0.40, 0.23], "low": [0.29, 0.32, 0.18],
        "high": [0.41, 0.48, 0.29], "difference": [np.nan, 0.0, -0.12], "diff_low": [np.nan, -0.02, -0.16],
        "diff_high": [np.nan, 0.02, -0.08],
    })  # fmt: skip
    told = robustness.robust_finding(Say("en"), frame)
    assert told.text == "35.0% (29.0 to 41.0) come through; defined otherwise, up to 12.0 points (8.0 to 16.0) less"
    assert told.metrics["robustness.down"] == -0.12
    alike = robustness.robust_finding(Say("en"), frame.iloc[:2])
    assert alike.text == "The definition makes no difference: 35.0% (29.0 to 41.0) come through"
    more = frame.assign(difference=-frame["difference"], diff_low=-frame["diff_high"], diff_high=-frame["diff_low"])
    assert "up to 12.0 points (8.0 to 16.0) more" in robustness.robust_finding(Say("en"), more).text
    both = pd.concat([frame, more.iloc[2:]])
    assert "less or 12.0 points (8.0 to 16.0) more" in robustness.robust_finding(Say("en"), both).text
    assert robustness.robust_finding(Say("en"), frame.iloc[:1]).text.startswith("No other definition")
