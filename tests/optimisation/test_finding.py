"""What sets a group apart, before anything was changed."""

import math
from datetime import timedelta

import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from funnel_lib.config import Rules
from funnel_lib.optimisation.finding import Finding, find
from funnel_lib.optimisation.people import enter

RULES = Rules(min_units=10, min_events=2)


def finding(world, **arguments) -> Finding:
    scope = world.scope()
    journeys = enter(scope, ("register", "payment"), timedelta(days=7)).journeys
    surveys = scope.store.read("surveys")
    return find(journeys, "audience", "student", surveys=surveys, question="Why not?", rules=RULES, **arguments)


@pytest.fixture
def busy(world):
    """Students: 100 register, 40 try, 10 pay; working people: 100, 60, 30; a newcomer with an open window."""
    world.people("s", {"register": 100, "trial": 40, "payment": 10}, day="2026-01-05", job="student")
    world.people("w", {"register": 100, "trial": 60, "payment": 30}, day="2026-01-05", job="employed")
    world.people("z", {"register": 1}, day="2026-03-01", job="student")
    return world


def test_the_gaps_worked_out_by_hand(busy):
    gaps = finding(busy).gaps.set_index("name")
    # trial: 40 % against 60 %; payment: 10 of 40 = 25 % against 30 of 60 = 50 %
    assert gaps["numerator"].to_dict() == {"trial": 40, "payment": 10}
    assert gaps["rest_denominator"].to_dict() == {"trial": 100, "payment": 60}
    assert gaps["rate"].to_dict() == pytest.approx({"trial": 0.4, "payment": 0.25})
    assert gaps["difference"].to_dict() == pytest.approx({"trial": -0.2, "payment": -0.25})
    assert gaps["relative"].to_dict() == pytest.approx({"trial": -1 / 3, "payment": -0.5})
    p = [proportions_ztest([60, 40], [100, 100])[1], proportions_ztest([30, 10], [60, 40])[1]]
    assert gaps["p"].tolist() == pytest.approx(p)
    assert gaps["p_adjusted"].tolist() == pytest.approx(multipletests(p, method="holm")[1])
    assert gaps["clear"].all()


def test_the_bottleneck_is_the_clear_step_with_the_greatest_relative_gap(busy):
    assert finding(busy).bottleneck == "payment"


def test_without_a_clear_gap_there_is_no_bottleneck(world):
    world.people("s", {"register": 40, "trial": 20, "payment": 10}, day="2026-01-05", job="student")
    world.people("w", {"register": 40, "trial": 21, "payment": 11}, day="2026-01-05", job="employed")
    world.people("z", {"visit": 1}, day="2026-03-01")
    found = finding(world)
    assert found.bottleneck is None
    assert not found.gaps["clear"].any()


def test_small_groups_are_withheld(world):
    world.people("s", {"register": 9, "trial": 5, "payment": 4}, day="2026-01-05", job="student")
    world.people("w", {"register": 40, "trial": 20, "payment": 10}, day="2026-01-05", job="employed")
    world.people("z", {"visit": 1}, day="2026-03-01")
    gaps = finding(world).gaps
    assert gaps["reason"].tolist() == ["too_few", "too_few"]
    assert gaps["p_adjusted"].isna().all()
    assert not gaps["clear"].any()


def test_a_group_without_anybody_is_withheld_too(world):
    world.people("w", {"register": 40, "trial": 20, "payment": 10}, day="2026-01-05", job="employed")
    world.people("z", {"visit": 1}, day="2026-03-01")
    gaps = finding(world).gaps
    assert gaps["denominator"].tolist() == [0, 0]
    assert gaps["reason"].tolist() == ["too_few", "too_few"]


def test_the_rates_of_both_sides_are_there_for_pictures(busy):
    rates = finding(busy).rates
    last = rates[(rates["name"] == "payment") & (rates["base"] == "first")].set_index("group")
    assert last["rate"].to_dict() == pytest.approx({"student": 0.1, "(others)": 0.3})


def test_only_what_closed_before_the_first_change_counts(busy):
    busy.people("t", {"register": 100, "trial": 100, "payment": 100}, day="2026-01-12", job="student")
    change = pd.Timestamp("2026-01-15", tz="UTC")
    busy.answer(["s0"], "price", day="2026-01-14")
    busy.answer(["s1"], "time", day="2026-01-16")
    found = finding(busy, until=change.to_pydatetime())
    assert found.until == change
    assert found.answers["answer"].tolist() == ["price"]
    assert found.gaps["denominator"].tolist() == [100, 40]
    assert finding(busy).gaps["denominator"].tolist() == [200, 140]


def test_the_answers_of_both_sides_worked_out_by_hand(busy):
    students, others = ([f"{side}{i}" for i in range(40)] for side in "sw")
    busy.answer(students[:24], "price")
    busy.answer(students[24:], "time")
    busy.answer(others[:10], "price")
    busy.answer(others[10:], "time")
    found = finding(busy)
    answers = found.answers.set_index("answer")
    assert answers.index.tolist() == ["price", "time"]
    # price: 24 of 40 = 60 % against 10 of 40 = 25 %
    assert answers.loc["price", ["numerator", "denominator", "rest_numerator"]].tolist() == [24, 40, 10]
    assert answers.loc["price", "difference"] == pytest.approx(0.35)
    assert answers["clear"].all()
    assert found.silent == 0


def test_of_a_persons_answers_the_last_one_counts_and_blanks_and_strangers_are_counted_apart(busy):
    busy.answer(["s0", "w0"], "price", day="2026-01-20")
    busy.answer(["s0"], "time", day="2026-01-21")
    busy.answer(["s1"], None)
    busy.answer(["nobody"], "price")
    found = finding(busy)
    answers = found.answers.set_index("answer")
    assert answers["numerator"].to_dict() == {"time": 1, "price": 0}
    assert answers["rest_numerator"].to_dict() == {"time": 0, "price": 1}
    assert answers["reason"].tolist() == ["too_few", "too_few"]
    assert math.isnan(answers.loc["time", "difference"])
    assert found.silent == 3


def test_an_answer_may_be_a_score(busy):
    busy.answer(["s0", "s1"], None, score=9)
    busy.answer(["w0"], None, score=7.5)
    assert finding(busy).answers["answer"].tolist() == ["9", "7.5"]


def test_without_answers_the_table_is_empty(busy):
    found = finding(busy)
    assert found.answers.empty
    assert {"answer", "rate", "p_adjusted", "clear"} <= {*found.answers}
    assert found.silent == 0
