"""A change for everybody is judged by cohorts of equal age, and never as more than a before and after."""

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from funnel_lib.config import Release
from funnel_lib.optimisation.releases import ReleaseChange, read_release_change, standardise

FORM = {
    "kind": "release", "name": "form", "since": date(2026, 2, 9), "weeks": 2, "steps": ["visit", "register"],
}  # fmt: skip
EARLIER, BEFORE, AFTER, LATER = "2026-01-10", "2026-02-02", "2026-02-12", "2026-03-20"


def read(world, **settings) -> ReleaseChange:
    world.change(**{**FORM, **settings})
    scope = world.scope()
    case = scope.workbook.case_study
    release = case.changes[0]
    assert isinstance(release, Release)
    return read_release_change(scope, case, release)


@pytest.fixture
def released(world):
    """Of 200 visitors 60 registered before; of 200 after 100 registered, 30 of whom paid."""
    world.people("a", {"visit": 200, "register": 60, "payment": 5}, day=BEFORE)
    world.people("b", {"visit": 200, "register": 100, "payment": 30}, day=AFTER)
    world.people("z", {"visit": 1}, day="2026-04-30")
    return world


def test_a_release_worked_out_by_hand(released):
    found = read(released)
    assert found.result.difference == pytest.approx(0.2)
    assert (found.result.low, found.result.high) == pytest.approx(
        confint_proportions_2indep(100, 200, 60, 200, method="newcomb")
    )
    # 0.2 x 200 visitors = 40 registered more, of whom 30 % go on to pay: 12 orders of 100, margin one half
    assert (found.effect.evidence, found.effect.units_affected) == ("before_after", 200)
    assert found.onward.value == pytest.approx(0.3)
    assert found.effect.orders == pytest.approx(12)
    assert found.effect.money == pytest.approx(600)
    assert (found.value.orders, found.reason) == (30, None)


def test_only_the_weeks_on_each_side_are_compared(released):
    released.people("c", {"visit": 50, "register": 50}, day=EARLIER)
    released.people("d", {"visit": 50, "register": 50}, day=LATER)
    found = read(released)
    assert (found.result.before.units, found.result.after.units) == (200, 200)
    assert found.result.after_dip  # everybody registered before the weeks before


def test_open_windows_are_left_out_on_both_sides_alike(released):
    released.people("l", {"visit": 30}, day="2026-04-27")
    found = read(released, since=date(2026, 4, 26))
    assert found.left_out == {"window_open": 31}
    assert found.reason == "outside_data"


def test_those_who_came_before_and_registered_after_are_told(released):
    for user in ("x0", "x1"):
        released.did(user, "page_view", "2026-02-06T12:00", channel="ads")
        released.did(user, "sign_up", "2026-02-10T12:00")
    found = read(released)
    assert found.crossed == 2
    assert found.result.before.converted == 62


def test_a_step_that_is_the_end_of_the_case_needs_no_onward_rate(released):
    found = read(released, steps=["register", "payment"])
    # 5 of 60 before, 30 of 100 after: 100 x (0.3 - 5 / 60) orders
    assert found.onward is None
    assert found.effect.orders == pytest.approx(100 * (0.3 - 5 / 60))


def test_too_few_who_went_on_leave_the_orders_unknown(world):
    world.people("a", {"visit": 200, "register": 60}, day=BEFORE)
    world.people("b", {"visit": 200, "register": 100, "payment": 1}, day=AFTER)
    world.people("z", {"visit": 1}, day="2026-04-30")
    found = read(world)
    assert found.result.difference == pytest.approx(0.2)
    assert found.effect.reason == "too_few"
    assert math.isnan(found.effect.orders)


def test_a_step_beyond_the_case_cannot_be_counted_in_its_orders(released):
    released.book["case_study"]["steps"] = ["visit", "register"]
    found = read(released, steps=["register", "payment"])
    assert found.effect.reason == "beyond_case"
    assert math.isnan(found.effect.orders)
    assert found.result.reason is None


@pytest.mark.parametrize("since", [date(2025, 6, 1), date(2026, 4, 30), date(2027, 1, 1)])
def test_a_date_outside_the_data_is_said_so(released, since: date):
    found = read(released, since=since)
    assert found.reason == found.effect.reason == "outside_data"
    assert found.result is None
    assert found.standardised.empty


def test_steps_that_nobody_took_are_said_so(released):
    released.book["funnel"]["steps"][2]["event"] = "never_seen"
    found = read(released, steps=["trial", "payment"])
    assert found.reason == found.effect.reason == "no_units"


def test_a_shift_of_the_mix_is_taken_out(world):
    # ads register 20 %, mail 60 %, before and after alike; but mail grows from 50 of 200 to 150 of 200
    for name, day, ads, mail in (("a", BEFORE, 150, 50), ("b", AFTER, 50, 150)):
        world.people(f"{name}x", {"visit": ads, "register": ads // 5}, day=day, channel="ads")
        world.people(f"{name}y", {"visit": mail, "register": mail * 3 // 5, "payment": 5}, day=day, channel="mail")
    world.people("z", {"visit": 1}, day="2026-04-30")
    found = read(world)
    assert found.result.difference == pytest.approx(0.2)  # 50 % after less 30 % before
    assert found.result.clear
    held = found.standardised.set_index("split").loc["channel"]
    assert held["difference"] == pytest.approx(0, abs=1e-9)
    assert held["low"] < 0 < held["high"]
    # the audience is only told at registration: it depends on the outcome, and must not be held constant
    assert found.standardised["split"].tolist() == ["channel"]


def people(**groups: tuple[int, int]) -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"by": name, "converted": np.arange(n) < k}) for name, (k, n) in groups.items()])


def test_standardised_by_hand():
    before, after = people(a=(20, 100), b=(30, 50)), people(a=(30, 100), b=(100, 150))
    found = standardise(before, after, "by", level=0.95)
    # weights 200 and 200 of 400; differences 0.1 and 2/3 - 0.6
    assert found.value == pytest.approx(0.5 * 0.1 + 0.5 * (2 / 3 - 0.6))
    first = confint_proportions_2indep(30, 100, 20, 100, method="newcomb")
    second = confint_proportions_2indep(100, 150, 30, 50, method="newcomb")
    half = math.hypot(0.5 * (0.1 - first[0]), 0.5 * (2 / 3 - 0.6 - second[0]))
    assert found.low == pytest.approx(found.value - half)


def test_a_group_on_one_side_only_cannot_be_held_constant():
    assert math.isnan(standardise(people(a=(20, 100)), people(a=(20, 100), b=(3, 9)), "by", level=0.95).value)


def test_one_group_is_the_plain_difference():
    found = standardise(people(a=(20, 100)), people(a=(30, 100)), "by", level=0.95)
    assert (found.low, found.high) == pytest.approx(confint_proportions_2indep(30, 100, 20, 100, method="newcomb"))
