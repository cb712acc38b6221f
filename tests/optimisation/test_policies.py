"""A change for one group is judged against the group that it did not touch, and so is a false date."""

import math
from datetime import date

import pytest

from funnel_lib.config import Policy
from funnel_lib.optimisation.people import enter
from funnel_lib.optimisation.policies import PolicyChange, read_policy_change

# Windows are of 7 days: before are those who entered until 21 February, after those from 1 March on.
PRICE = {
    "kind": "policy", "name": "price", "since": date(2026, 3, 1), "placebo": date(2026, 2, 1),
    "groups": ["student", "working"],
}  # fmt: skip
BEFORE, FALSE, BETWEEN, AFTER, OPEN = "2026-01-10", "2026-02-10", "2026-02-25", "2026-03-10", "2026-04-29"


def read(world, **settings) -> PolicyChange:
    world.change(**{**PRICE, **settings})
    scope = world.scope()
    case = scope.workbook.case_study
    policy = next(change for change in case.changes if isinstance(change, Policy))
    return read_policy_change(scope, case, policy, enter(scope, case.steps, case.within))


@pytest.fixture
def priced(world):
    """Students pay 10 % before and 30 % after, for less; working people 20 % and 24 %."""
    world.people("a", {"register": 100, "payment": 10}, day=BEFORE, job="student", amount=100)
    world.people("b", {"register": 100, "payment": 10}, day=FALSE, job="student", amount=100)
    world.people("c", {"register": 200, "payment": 60}, day=AFTER, job="student", amount=80)
    world.people("d", {"register": 100, "payment": 20}, day=BEFORE, job="employed")
    world.people("e", {"register": 100, "payment": 20}, day=FALSE, job="employed")
    world.people("f", {"register": 200, "payment": 48}, day=AFTER, job="employed")
    world.people("z", {"visit": 1}, day="2026-04-30")
    return world


def test_a_policy_worked_out_by_hand(priced):
    found = read(priced)
    # (30 % - 10 %) - (24 % - 20 %) = 16 points
    assert found.result.estimate == pytest.approx(0.16)
    assert found.result.cells["units"].tolist() == [200, 200, 200, 200]
    assert found.result.clear
    assert found.reason is None
    # 0.16 x 200 students since = 32 orders, of 80 each, with a margin of one half
    assert (found.effect.evidence, found.effect.units_affected) == ("comparison", 200)
    assert found.effect.orders == pytest.approx(32)
    assert found.effect.money == pytest.approx(32 * 80 * 0.5 - 560)  # less what the lower price gave away


def test_the_false_date_finds_nothing_and_reads_nothing_after_the_true_one(priced):
    found = read(priced)
    assert found.placebo.estimate == pytest.approx(0)
    assert found.placebo.cells["units"].tolist() == [100, 100, 100, 100]
    assert not found.placebo.clear
    assert found.placebo_at == date(2026, 2, 1)


def test_groups_that_moved_apart_before_show_at_the_false_date(priced):
    priced.people("g", {"register": 100, "payment": 60}, day=FALSE, job="student")
    found = read(priced)
    # students at the false date: 70 of 200 = 35 %, before it 10 %; the others stay at 20 %
    assert found.placebo.estimate == pytest.approx(0.25)
    assert found.placebo.clear


def test_a_false_date_without_anybody_after_it_is_withheld(priced):
    found = read(priced, placebo=date(2026, 2, 20))
    assert found.placebo.reason == "too_few"
    assert found.result.reason is None


def test_the_weeks_before_are_there_to_be_seen(priced):
    trend = read(priced).pretrend
    assert trend["group"].tolist() == ["student", "student", "working", "working"]
    assert trend["week"].tolist() == [date(2026, 1, 5), date(2026, 2, 9)] * 2
    assert trend["rate"].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2])


def test_those_whose_window_spans_the_date_or_is_open_are_left_out(priced):
    priced.people("g", {"register": 30, "payment": 30}, day=BETWEEN, job="student")
    priced.people("h", {"register": 20, "payment": 20}, day=BETWEEN, job="employed")
    priced.people("i", {"register": 10}, day=OPEN, job="student")
    priced.people("j", {"register": 50, "payment": 50}, day=AFTER, job="retired")  # in neither group
    found = read(priced)
    assert found.result.estimate == pytest.approx(0.16)
    assert found.left_out == {"in_trial": 0, "straddling": 50, "window_open": 10}
    assert found.effect.units_affected == 200


def test_people_of_a_trials_treatment_are_not_compared_but_met_the_change(priced):
    priced.change(kind="trial", name="free", experiment="lesson", control="old", treatment="new")
    treated = priced.people("t", {"register": 50, "payment": 50}, day=AFTER, job="student", amount=80)
    priced.expose(treated, "new", day=AFTER)
    priced.expose([f"c{i}" for i in range(20)], "old", day=AFTER)
    found = read(priced)
    assert found.left_out["in_trial"] == 50
    assert found.result.estimate == pytest.approx(0.16)
    assert found.effect.units_affected == 250


def test_a_lower_price_also_cost_something_on_the_orders_that_would_have_come_anyway(priced):
    found = read(priced)
    # 60 orders, 32 of them due to the change: 28 would have come anyway, each for 20 less
    assert found.price_before.mean == pytest.approx(100)
    assert found.value.mean == pytest.approx(80)
    assert found.given_away.value == pytest.approx(560)
    assert 0 <= found.given_away.low < 560 < found.given_away.high
    # what the change brought is net of that
    assert found.effect.money == pytest.approx(32 * found.value.worth.value - 560)
    assert found.effect.money_low < found.effect.money - (found.given_away.high - 560)


def test_at_an_unchanged_price_nothing_is_given_away(world):
    for name, day, job, paid in (
        ("a", BEFORE, "student", 10),
        ("b", AFTER, "student", 20),
        ("c", BEFORE, "employed", 20),
        ("d", AFTER, "employed", 20),
    ):
        world.people(name, {"register": 100, "payment": paid}, day=day, job=job)
    world.people("z", {"visit": 1}, day="2026-04-30")
    assert read(world).given_away is None


@pytest.mark.parametrize("since", [date(2026, 1, 2), date(2026, 4, 30), date(2027, 1, 1)])
def test_a_date_outside_the_data_is_said_so(priced, since: date):
    found = read(priced, since=since, placebo=date(2025, 12, 1))
    assert found.reason == found.effect.reason == "outside_data"
    assert found.result is None
    assert found.placebo is None
    assert math.isnan(found.effect.orders)


def test_days_are_those_of_the_business(world):
    # 23:59 in Shanghai is before 1 March and 00:00 is not, though both are 28 February in UTC
    for number, at in enumerate(("2026-02-28T23:59", "2026-03-01T00:00")):
        world.did(f"s{number}", "sign_up", at)
        world.users.append({"user_id": f"s{number}", "job": "student"})
    world.people("a", {"register": 5, "payment": 1}, day=BEFORE, job="student")
    world.people("z", {"visit": 1}, day="2026-04-30")
    found = read(world)
    assert found.left_out["straddling"] == 1
    assert found.result.cells["units"].tolist() == [5, 1, 0, 0]
    assert found.reason == "too_few"
