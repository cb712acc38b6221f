"""The whole case: found, done, changed, worth, and what cannot be claimed."""

import json
import math
from dataclasses import FrozenInstanceError, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.scope import Scope
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.optimisation.case import CaseResult, study

RELEASE = {
    "kind": "release",
    "name": "form",
    "since": date(2026, 2, 9),
    "weeks": 2,
    "steps": ["visit", "register"],
}
POLICY = {
    "kind": "policy", "name": "price", "since": date(2026, 3, 1), "placebo": date(2026, 2, 1),
    "groups": ["student", "working"],
}  # fmt: skip
TRIAL = {"kind": "trial", "name": "free", "experiment": "lesson", "control": "old", "treatment": "new"}


def keys(case: CaseResult, change: str | None) -> list[str]:
    return [caveat.key for caveat in case.cannot_claim if caveat.change == change]


@pytest.fixture
def full(world):
    """Students and working people before and after a release, a policy and a trial, each with an effect."""
    for name, day, job, visitors, registered, paid in (
        ("a", "2026-02-02", "student", 200, 100, 10),
        ("b", "2026-02-02", "employed", 200, 100, 20),
        ("c", "2026-02-12", "student", 200, 150, 15),
        ("d", "2026-02-12", "employed", 200, 150, 30),
        ("e", "2026-03-10", "student", 200, 200, 60),
        ("f", "2026-03-10", "employed", 200, 200, 40),
        ("old", "2026-04-05", "student", 150, 150, 45),
        ("new", "2026-04-05", "student", 150, 150, 75),
    ):
        people = world.people(
            name,
            {"visit": visitors, "register": registered, "trial": registered, "payment": paid},
            day=day,
            job=job,
        )
        if name in ("old", "new"):
            world.expose(people, name, day=day)
    world.people("z", {"visit": 1}, day="2026-04-30")
    return world


def test_a_case_with_all_kinds_of_change(full):
    for change in (RELEASE, POLICY, TRIAL):
        full.change(**change)
    case = study(full.scope())
    assert (case.split, case.group, case.steps, case.within) == (
        "audience",
        "student",
        ("register", "payment"),
        timedelta(days=7),
    )
    assert (case.units, case.closed) == (750, 750)
    assert (case.first_day, case.last_day) == (date(2026, 1, 1), date(2026, 4, 30))
    assert [change.kind for change in case.changes] == ["release", "policy", "trial"]
    # policy: students 25 of 250 = 10 % before; after, without the trial's treated, 105 of 350 = 30 %
    assert case.changes[1].result.estimate == pytest.approx(0.2)
    # trial: 75 of 150 less 45 of 150
    assert case.changes[2].result.difference == pytest.approx(0.2)
    effects = case.effects.set_index("name")
    assert effects["evidence"].to_dict() == {
        "form": "before_after",
        "price": "comparison",
        "free": "randomised",
    }
    # policy: 0.2 x 500 students since; trial: 0.2 x 150 treated
    assert effects.loc["price", "orders"] == pytest.approx(100)
    assert effects.loc["free", "orders"] == pytest.approx(30)
    assert case.total.strong.names == ("price", "free")
    assert case.total.strong.orders.value == pytest.approx(130)
    assert case.total.everything.names == ("form", "price", "free")
    assert case.total.everything.orders.value == pytest.approx(130 + effects.loc["form", "orders"])


def test_what_cannot_be_claimed_is_derived_from_the_results(full):
    for change in (RELEASE, POLICY, TRIAL):
        full.change(**change)
    case = study(full.scope())
    assert keys(case, None) == ["one_of_several_changes", "short_follow_up"]
    assert keys(case, "form") == ["before_after_only", "onward_rate_assumed"]
    assert keys(case, "price") == ["no_placebo"]  # nobody entered before the false date
    assert keys(case, "free") == []
    days = next(caveat for caveat in case.cannot_claim if caveat.key == "short_follow_up")
    assert days.numbers == {"days": 7}


def test_a_trial_alone_whose_split_is_broken_claims_nothing(full):
    full.change(**TRIAL)
    full.expose(full.people("x", {"register": 150}, day="2026-04-05", job="student"), "new", day="2026-04-05")
    full.book["value"] = {"event": "purchase"}
    case = study(full.scope())
    assert keys(case, "free") == ["sample_ratio"]
    assert keys(case, None) == ["short_follow_up", "margin_not_included"]
    assert case.total.strong.reason == "no_effect_known"
    assert math.isnan(case.total.everything.money.value)


def test_changes_without_data_give_reasons_and_no_traceback(full):
    full.change(**{**RELEASE, "since": date(2030, 1, 1)})
    full.change(**{**POLICY, "since": date(2030, 1, 1)})
    full.change(**{**TRIAL, "experiment": "never"})
    full.book["value"] = {}
    case = study(full.scope())
    assert [change.reason for change in case.changes] == ["outside_data", "outside_data", "no_exposures"]
    assert keys(case, "form") == ["outside_data"]
    assert "order_value_unknown" in keys(case, None)
    assert case.effects["orders"].isna().all()
    assert case.total.everything.left_out == ("form", "price", "free")


def test_an_effect_that_is_not_clear_says_what_it_could_have_shown(full):
    full.expose(
        full.people("p", {"register": 50, "payment": 10}, day="2026-04-05", job="student"),
        "old",
        day="2026-04-05",
    )
    full.expose(
        full.people("q", {"register": 50, "payment": 11}, day="2026-04-05", job="student"),
        "new",
        day="2026-04-05",
    )
    full.seen = [row for row in full.seen if row["unit_id"][0] in "pq"]
    full.expose(["p0"], "new", day="2026-04-06")
    full.change(**TRIAL)
    case = study(full.scope())
    assert keys(case, "free") == ["not_clear", "both_arms"]
    unclear = next(caveat for caveat in case.cannot_claim if caveat.key == "not_clear")
    assert unclear.numbers["low"] < 0 < unclear.numbers["high"]
    assert unclear.numbers["detectable"] > 0.1


def test_the_finding_is_of_the_time_before_the_first_change_to_its_steps(full):
    full.change(**RELEASE)  # touches the step before the case: what comes after it still counts
    assert study(full.scope()).finding.until is None
    full.change(**TRIAL)
    assert study(full.scope()).finding.until == pd.Timestamp("2026-04-05T04:00Z")
    full.change(**POLICY)
    found = study(full.scope()).finding
    assert found.until == pd.Timestamp("2026-03-01T00:00+08:00")
    # 100 + 150 students and as many others registered a week before
    last = found.gaps.set_index("name").loc["payment"]
    assert (last["numerator"], last["denominator"], last["rest_numerator"], last["rest_denominator"]) == (
        25,
        250,
        50,
        250,
    )
    assert found.bottleneck == "payment"


def test_with_too_few_before_the_first_change_the_finding_is_of_the_whole_time(full):
    full.change(**{**POLICY, "since": date(2026, 2, 3), "placebo": date(2026, 1, 15)})
    assert study(full.scope()).finding.until is None


def test_a_workbook_without_a_case_is_told_so(full):
    scope = full.scope()
    without = scope.workbook.model_copy(update={"case_study": None})
    with pytest.raises(ConfigError, match="no case study"):
        study(replace(scope, workbook=without))


def test_a_case_that_nobody_entered_has_no_data(full):
    with pytest.raises(DataError, match="Nobody entered"):
        study(
            replace(
                full.scope(),
                period=full.scope().workbook.period("2026-01", date(2026, 1, 1), date(2026, 4, 30)),
            )
        )


def test_a_result_cannot_be_changed(full):
    case = study(full.scope())
    with pytest.raises(FrozenInstanceError):
        case.group = "working"  # type: ignore[misc]
    assert case.changes == ()
    assert keys(case, None) == ["short_follow_up"]


# The demo: the planted truth must come out of the exports.


@pytest.fixture(scope="module")
def truth(demo: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((demo / "data" / "truth" / "education.json").read_text())
    return found


@pytest.fixture(scope="module")
def demo_case(demo: Path) -> CaseResult:
    return study(Scope.open(demo / "params" / "education.yml", period="all"))


def test_demo_students_stumble_over_the_order(demo_case: CaseResult, truth: dict[str, Any]):
    planted = truth["rates"]["planted"]
    gaps = demo_case.finding.gaps.set_index("name")
    relative = {step: planted["student"][step] / planted["other"][step] - 1 for step in ("trial", "order", "payment")}
    assert demo_case.finding.bottleneck == min(relative, key=relative.get) == "order"
    for step in relative:
        assert gaps.loc[step, "low"] < planted["student"][step] < gaps.loc[step, "high"]
    # students say price and trust, the others time
    answers = demo_case.finding.answers.set_index("answer")
    assert answers.index[0] == "price"
    assert answers.loc["price", "clear"]
    assert answers.loc["price", "difference"] > 0 > answers.loc["time", "difference"]


def test_demo_the_trial_is_read_exactly_and_holds_the_planted_effect(demo_case: CaseResult, truth: dict[str, Any]):
    found = demo_case.changes[2]
    for arm, name in ((found.result.control, "control"), (found.result.treatment, "free")):
        assert {"k": arm.converted, "n": arm.units} == truth["changes"]["free_trial"]["paid_in_window"][name]
    rates, policy = truth["rates"]["planted"]["student"], truth["changes"]["student_price"]["effect"]["order"]
    effect = truth["changes"]["free_trial"]["effect"]
    before = rates["trial"] * (rates["order"] + policy)
    after = (rates["trial"] + effect["trial"]) * (rates["order"] + policy + effect["order"])
    assert found.result.low < (after - before) * rates["payment"] < found.result.high
    assert found.result.low > 0
    assert found.ratio.ok


def test_demo_the_policy_is_clear_its_false_date_is_not(demo_case: CaseResult, truth: dict[str, Any]):
    found = demo_case.changes[1]
    after = truth["changes"]["student_price"]["paid_in_window"]["student"]["after"]
    assert found.effect.units_affected == after["n"]
    rates = truth["rates"]["planted"]["student"]
    planted = rates["trial"] * truth["changes"]["student_price"]["effect"]["order"] * rates["payment"]
    assert 0 < found.result.low < planted < found.result.high
    assert not found.placebo.clear
    assert found.given_away.value > 0
    assert found.left_out["in_trial"] == truth["changes"]["free_trial"]["paid_in_window"]["free"]["n"]


def test_demo_the_release_is_read_exactly_and_labelled_as_weaker(demo_case: CaseResult, truth: dict[str, Any]):
    found = demo_case.changes[0]
    for arm, name in ((found.result.before, "before"), (found.result.after, "after")):
        assert {"k": arm.converted, "n": arm.units} == truth["changes"]["simple_sign_up"]["register"][name]
    assert found.effect.evidence == "before_after"
    assert found.result.low > 0
    assert "before_after_only" in keys(demo_case, "simple_sign_up")
    assert {"channel", "device"} <= {*found.standardised["split"]}


def test_demo_the_effects_add_up(demo_case: CaseResult):
    effects, total = demo_case.effects, demo_case.total
    assert effects["reason"].isna().all()
    assert total.everything.orders.value == pytest.approx(effects["orders"].sum())
    strong = effects[effects["evidence"] != "before_after"]
    assert total.strong.money.value == pytest.approx(strong["money"].sum())
    assert total.strong.money.low > 0
