"""A trial is read by the arm that each of the group's people was given, and only where the split was fair."""

import math

import pandas as pd
import pytest

from funnel_lib.config import Trial
from funnel_lib.optimisation.people import enter
from funnel_lib.optimisation.trials import TrialChange, read_trial_change

FREE = {"kind": "trial", "name": "free", "experiment": "lesson", "control": "old", "treatment": "new"}


def read(world, **settings) -> TrialChange:
    world.change(**{**FREE, **settings})
    scope = world.scope()
    case = scope.workbook.case_study
    trial = case.changes[0]
    assert isinstance(trial, Trial)
    return read_trial_change(scope, case, trial, enter(scope, case.steps, case.within))


@pytest.fixture
def tried(world):
    """100 students saw the old lesson, 20 of them paid; 100 the new one, 40 paid; all closed by March."""
    world.expose(
        world.people("c", {"register": 100, "payment": 20}, day="2026-01-05", job="student"),
        "old",
        day="2026-01-05",
    )
    world.expose(
        world.people("t", {"register": 100, "payment": 40}, day="2026-01-05", job="student"),
        "new",
        day="2026-01-06",
    )
    world.people("z", {"visit": 1}, day="2026-03-01")
    return world


def test_a_trial_worked_out_by_hand(tried):
    found = read(tried)
    assert (found.result.control.converted, found.result.control.units) == (20, 100)
    assert (found.result.treatment.converted, found.result.treatment.units) == (40, 100)
    assert found.result.difference == pytest.approx(0.2)
    assert found.result.clear
    assert found.ratio.ok
    assert found.reason is None
    # 0.2 x 100 treated people = 20 orders, each of 100 with a margin of one half
    assert (found.effect.units_affected, found.effect.evidence) == (100, "randomised")
    assert found.effect.orders == pytest.approx(20)
    assert found.effect.money == pytest.approx(1000)
    assert (found.value.orders, found.value.mean) == (60, 100)
    assert found.left_out == {"both_arms": 0, "other_arm": 0, "outside": 0, "window_open": 0}
    assert (found.first, found.last) == (pd.Timestamp("2026-01-05T04:00Z"), pd.Timestamp("2026-01-06T04:00Z"))


def test_people_of_both_arms_of_no_arm_and_of_other_groups_are_left_out_and_counted(tried):
    tried.expose(["c0", "c1"], "new", day="2026-01-07")  # saw both
    tried.expose(["c2"], "old", day="2026-01-07")  # saw the same again
    tried.expose(tried.people("o", {"register": 3}, day="2026-01-05", job="student"), "third", day="2026-01-05")
    tried.expose(tried.people("w", {"register": 5}, day="2026-01-05", job="employed"), "new", day="2026-01-05")
    tried.expose(["stranger"], "old", day="2026-01-05")
    tried.expose(["c3"], "new", day="2026-01-05", experiment="another")
    tried.people("n", {"register": 7}, day="2026-01-05", job="student")  # never exposed
    late = tried.people("l", {"register": 4, "visit": 4}, day="2026-02-27", job="student")
    tried.expose(late, "new", day="2026-02-27")
    found = read(tried)
    assert found.left_out == {"both_arms": 2, "other_arm": 3, "outside": 6, "window_open": 4}
    assert found.ratio.observed == {"old": 98, "new": 104}
    assert (found.result.control.converted, found.result.control.units) == (18, 98)
    assert found.result.treatment.units == 100


def test_a_broken_split_withholds_the_effect(tried):
    tried.expose(tried.people("x", {"register": 150}, day="2026-01-05", job="student"), "new", day="2026-01-05")
    found = read(tried)
    assert found.reason == found.effect.reason == "sample_ratio"
    assert not found.ratio.ok
    assert math.isnan(found.effect.orders)
    assert math.isnan(found.effect.money)


def test_an_uneven_split_may_have_been_planned(tried):
    tried.expose(
        tried.people("x", {"register": 200, "payment": 80}, day="2026-01-05", job="student"),
        "new",
        day="2026-01-05",
    )
    found = read(tried, expected_share=0.75)
    assert found.reason is None
    assert found.result.difference == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"experiment": "never"}, "no_exposures"),
        ({"treatment": "misnamed"}, "arm_missing"),
        ({"control": "none"}, "arm_missing"),
    ],
)
def test_what_was_never_seen_is_said_so(tried, settings: dict[str, str], reason: str):
    found = read(tried, **settings)
    assert found.reason == found.effect.reason == reason
    assert found.result is None
    assert math.isnan(found.effect.estimate)


def test_without_any_exposures_the_reason_is_given(world):
    world.people("s", {"register": 5, "payment": 2}, day="2026-01-05", job="student")
    assert read(world).reason == "no_exposures"


def test_small_arms_are_withheld(world):
    world.expose(
        world.people("c", {"register": 9, "payment": 5}, day="2026-01-05", job="student"),
        "old",
        day="2026-01-05",
    )
    world.expose(
        world.people("t", {"register": 9, "payment": 5}, day="2026-01-05", job="student"),
        "new",
        day="2026-01-05",
    )
    world.people("z", {"visit": 1}, day="2026-03-01")
    found = read(world)
    assert found.reason == "too_few"
    assert found.effect.units_affected == 9


def test_money_without_a_known_order_is_missing_with_its_reason(tried):
    tried.book["value"] = {}
    found = read(tried)
    assert found.reason is None
    assert found.effect.reason == "no_value"
    assert found.effect.orders == pytest.approx(20)
    assert math.isnan(found.effect.money)
