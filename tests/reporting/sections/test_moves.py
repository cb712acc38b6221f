"""The planted causes of May are found: the payment fault at its step, and the other mix of channels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.decomposition import by_step
from funnel_lib.reporting.sections import moves
from funnel_lib.reporting.wording import Say


def test_step_and_traffic_are_told_apart(month):
    may = month("2026-05")
    shown = moves.moved(may.scope, may.people, may.before)
    assert "Payment alone made" in shown.text
    assert "By First-touch channel: " in shown.text
    assert shown.metrics["moved.points.high"] < 0
    assert shown.metrics["moved.mix.came.high"] < 0
    assert {"steps_moved", "groups_moved"} <= set(shown.tables)


def test_the_parts_of_the_bridge_add_up(month):
    may = month("2026-05")
    steps = by_step(may.people, may.before, rules=may.scope.workbook.rules, rng=np.random.default_rng(1))
    shown = moves.moved(may.scope, may.people, may.before)
    assert steps["part"].sum() == pytest.approx(shown.metrics["moved.points"], abs=1e-12)


def test_a_month_without_a_clear_change_is_not_explained_away(month):
    june = month("2026-06")
    text = moves.moved(june.scope, june.people, june.before).text
    assert "did not move clearly" in text
    assert "It is traffic" not in text
    assert "It is the steps" not in text


def test_a_step_that_was_not_recorded_at_first_is_told(month):
    may = month("2026-05")
    say, frame = Say("en"), may.before.frame
    assert moves.unrecorded(say, may.scope, may.people, may.before) == []
    # As if payments had been written down only from the middle of the earlier period on.
    begun = pd.Timestamp("2026-04-10", tz="UTC")
    cut = replace(may.before, frame=frame.assign(t_5=frame["t_5"].where(frame["t_5"] >= begun)))
    (found,) = moves.unrecorded(say, may.scope, may.people, cut)
    assert found.text.startswith("Before 10 April 2026 nobody reached Payment, though ")
    wait = (may.people.frame["t_5"] - may.people.frame["first_entry"]).median()
    assert found.metrics["moved.unrecorded.n"] == (frame["first_entry"] <= cut.frame["t_5"].min() - wait).sum()


def test_without_an_earlier_period_it_says_so(month):
    may = month("2026-05")
    shown = moves.moved(may.scope, may.people, None)
    assert "cannot be computed, because there is no earlier period to compare with" in shown.text
    assert moves.paradox(may.scope, may.people, None) is None


def test_too_few_are_said_in_words(few: SimpleNamespace):
    assert "too few people or conversions" in moves.moved(few.scope, few.people, few.before).text
    said = moves.summary_point(moves.Say("en"), few.scope, few.people, few.before)
    assert said.text == "Whether the rate moved cannot be computed, because there are too few people or conversions"


def crossed(people: Journeys, shares: dict[str, tuple[int, int]]) -> Journeys:
    """Return journeys of so many people (all, converted) in the groups of `device`."""
    rows = []
    for group, (units, converted) in shares.items():
        rows += [{"device": group, "depth": 5 if place < converted else 1} for place in range(units)]
    frame = pd.DataFrame(rows).assign(unit=range(len(rows)), channel="direct", audience="student")
    for name in ("mature_depth", "first_depth", "depth"):
        frame[name] = frame["depth"].astype(np.int8)
    return Journeys(people.funnel, frame, people.period, people.as_of, people.window_closed)


def test_a_clear_paradox_gets_a_warning(month):
    may = month("2026-05")
    # Both devices got worse (10 % to 7 %, 40 % to 34 %), yet the total rose: far more desktops came.
    before = crossed(may.people, {"mobile": (8000, 800), "desktop": (2000, 800)})
    now = crossed(may.people, {"mobile": (2000, 140), "desktop": (8000, 2720)})
    shown = moves.paradox(may.scope, now, before)
    assert shown is not None
    assert "opposite directions" in shown.text
    assert shown.metrics["paradox.change"] == pytest.approx(0.286 - 0.16)
    assert shown.metrics["paradox.rate"] < 0
    assert moves.paradox(may.scope, now, now) is None


@pytest.mark.parametrize(
    ("clear", "said"),
    [
        (False, "The overall rate did not move clearly: −1.0 points (−4.0 to +2.0)"),
        (True, "The overall rate did not move clearly: −1.0 points (−4.0 to +2.0), though Payment by itself "
               "moved it by −3.0 points (−5.0 to −1.0)"),
    ],
)  # fmt: skip
def test_a_step_that_moved_is_told_where_the_whole_did_not(month, clear: bool, said: str):
    scope = month("2026-05").scope
    change = SimpleNamespace(estimate=-0.01, low=-0.04, high=0.02, clear=False)
    last = scope.funnel.names[-1]
    steps = pd.DataFrame({"name": ["a", last], "part": [0.02, -0.03], "low": [-0.01, -0.05], "high": [0.05, -0.01],
                          "clear": [False, clear]})  # fmt: skip
    assert moves.change_finding(Say("en"), scope, SimpleNamespace(change=change), steps).text == said
