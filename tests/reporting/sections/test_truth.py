"""The demo's reports say what was planted, in both languages; other data makes them say other things."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import funnel_lib as fl
from funnel_lib.conversion.movement.change import mix
from funnel_lib.conversion.movement.incidents import incidents
from funnel_lib.reporting.sections import case_study, changes, opening, segments, time
from funnel_lib.reporting.sections import mix as mixes
from funnel_lib.reporting.wording import Say


@pytest.fixture(scope="module")
def truth(demo: Path) -> dict[str, Any]:
    return json.loads((demo / "data" / "truth" / "education.json").read_text())


def scope(demo: Path, period: str, language: str = "en", segment: str = "all") -> fl.Scope:
    return fl.Scope.open(demo / "params" / "education.yml", period=period, language=language, segment=segment)


def test_everybody_is_counted_as_planted(demo: Path, truth: dict[str, Any]):
    counts = fl.cohort(scope(demo, "all")).counts(by="audience").set_index(["group", "name"])["units"]
    for group in ("student", "working", "other", "unknown"):
        planted = truth["people"][group]
        assert counts[group, "visit"] == planted["visit"]
        assert {name: counts[group, name] for name in planted["in_window"]} == planted["in_window"]


def test_the_week_of_the_payment_fault_is_named(demo: Path, truth: dict[str, Any]):
    planted = truth["incidents"]["mobile_payment_fault"]
    may = scope(demo, "2026-05")
    found = incidents(fl.cohort(may), by="device", rules=may.workbook.rules, zone=may.workbook.zone)
    low = found[found["clear"] & (found["difference"] < 0)]
    assert low[["start", "name", "group"]].to_numpy().tolist() == [
        [date.fromisoformat(planted["first_day"]), planted["step"], planted["device"]]
    ]
    said = time.worst_week(Say("en"), may, fl.cohort(may), "device")
    assert said.text.startswith("Mobile, week of 18–24 May: only 32.9% went on to Payment")


@pytest.mark.parametrize("period", ["2026-03", "2026-04", "2026-06"])
def test_no_other_month_has_a_fault(demo: Path, period: str):
    month = scope(demo, period)
    assert time.worst_week(Say("en"), month, fl.cohort(month), "device") is None


def test_the_shift_of_the_mix_is_found_and_measured(demo: Path, truth: dict[str, Any]):
    may = scope(demo, "2026-05")
    now, before = fl.cohort(may), fl.cohort_before(may)
    assert before is not None
    assert mixes.widest(may, now, before) == "channel"
    row = mix(now, before, "channel", rules=may.workbook.rules).set_index("group").loc[truth["mix"]["channel"]]
    weights = truth["mix"]["weights"]
    planted = [
        weights[truth["mix"]["channel"]][when] / sum(w[when] for w in weights.values()) for when in ("before", "after")
    ]
    assert row["clear"]
    # Visitors who come back in May keep their first channel, so the mix of all is a little behind that of the new ones.
    assert row["low"] - 0.03 < planted[1] - planted[0] < row["high"] + 0.03
    said = mixes.shifted(Say("en"), may, mix(now, before, "channel", rules=may.workbook.rules), "channel")
    assert said.text.startswith("Paid social: 30.7% of all people, up by 13.4 points")


def test_students_register_more_often_and_buy_less_before_anything_was_changed(demo: Path):
    january = scope(demo, "2026-01")
    against = segments.comparisons(january, fl.cohort(january), "audience").set_index(["group", "step"])
    assert against.loc[("student", 2), "clear"]
    assert against.loc[("student", 2), "difference"] > 0
    assert against.loc[("student", 0), "clear"]
    assert against.loc[("student", 0), "difference"] < 0
    said = segments.behind(Say("en"), january, against.reset_index(), "audience")
    assert said.text.startswith("Students: ahead at Register, behind at Trial lesson")


def test_the_case_study_says_bottleneck_reason_effects_and_worth(demo: Path, truth: dict[str, Any]):
    whole = scope(demo, "all")
    case = fl.study(whole)
    say = Say("en")
    assert case_study.bottleneck(say, whole, case).text.startswith("Students: furthest behind at Order")
    assert "“Price”" in case_study.answers_finding(say, whole, case).text
    trial = next(change for change in case.changes if change.kind == "trial")
    block = changes.change_section(whole, case, trial)
    arms = truth["changes"]["free_trial"]["paid_in_window"]
    effect = arms["free"]["k"] / arms["free"]["n"] - arms["control"]["k"] / arms["control"]["n"]
    assert block.metrics["change.free_trial.points"] == pytest.approx(effect)
    assert block.metrics["change.free_trial.points.low"] > 0
    assert changes.total_finding(say, whole, case.total.strong).text.startswith("Strong evidence for +261 orders")


def test_chinese_says_the_same_numbers(demo: Path):
    blocks = {}
    for language in ("en", "zh"):
        may = scope(demo, "2026-05", language)
        people, rules = fl.cohort(may), may.workbook.rules
        blocks[language] = opening.summarise(may, people, fl.rates(people, rules=rules), fl.cohort_before(may))
    assert blocks["en"].metrics == blocks["zh"].metrics
    assert blocks["en"].text != blocks["zh"].text
    assert "people" not in blocks["zh"].text


def test_other_people_other_words(demo: Path):
    said = {}
    for period in ("2026-01", "2026-05"):
        month = scope(demo, period)
        people = fl.cohort(month)
        said[period] = opening.summarise(month, people, fl.rates(people, rules=month.workbook.rules), None).text
    assert said["2026-01"] != said["2026-05"]
    assert "week of" in said["2026-05"]
    assert "week of" not in said["2026-01"]


def test_weeks_are_shown_together_where_their_groups_are_too_small(demo: Path):
    june = scope(demo, "2026-06")
    people = fl.cohort(june)
    some = people.select([place % 20 == 0 for place in range(len(people.frame))])  # about ten a week with a tablet
    assert '"Everyone"' not in time.weeks(june, people, "device").tables["weeks"]
    told = time.weeks(june, some, "device")
    assert {line.split(",")[1] for line in told.tables["weeks"].strip().splitlines()[1:]} == {"Everyone"}


def test_a_mix_of_too_few_people_is_counted_but_not_compared(demo: Path):
    may = scope(demo, "2026-05")
    people = fl.cohort(may)
    few = people.select([place < 20 for place in range(len(people.frame))])
    shown = mixes.who(may, few, few, "device")
    assert "A change of the mix by Device cannot be computed, because there are too few people" in shown.text
    assert "%" not in shown.tables["device_mix"]
    assert sum(int(line.split(",")[2]) for line in shown.tables["device_mix"].strip().splitlines()[1:]) == 20
