"""What people met is compared fairly, and what those answer who stopped never names a person."""

from types import SimpleNamespace

import pytest

from funnel_lib.conversion.reasons.touchpoints import touchpoints
from funnel_lib.reporting.sections import surroundings


def test_contents_are_those_of_the_lost_step(month):
    may = month("2026-05")
    shown = surroundings.contents(may.scope, may.people, may.steps)
    _, landmark = touchpoints(may.scope.events, may.people, 4, rules=may.scope.workbook.rules)  # before payment
    assert shown.metrics["contents.n"] == landmark.units
    assert shown.metrics["contents.early.n"] == landmark.early
    assert "it need not cause it" in shown.text
    assert "records no errors and no rage clicks" in shown.text
    assert {"contents", "ways"} <= set(shown.tables)


def test_ways_of_single_people_are_not_shown(month):
    may = month("2026-05")
    shown = surroundings.contents(may.scope, may.people, may.steps)
    people = [int(line.split(",")[1]) for line in shown.tables["ways"].strip().splitlines()[1:]]
    assert min(people) >= may.scope.workbook.rules.min_events


def test_answers_are_those_of_people_who_stopped(month):
    may = month("2026-05")
    shown = surroundings.answers(may.scope, may.people)
    surveys = may.scope.store.read("surveys")
    asked = surveys[surveys["question"] == may.scope.workbook.case_study.survey].sort_values("ts")
    last = asked.drop_duplicates("user_id", keep="last").set_index("user_id")["comment"]
    stopped = may.people.frame[may.people.frame["mature_depth"].between(1, 4)]["unit"]
    told = last.reindex(stopped).dropna()
    assert shown.metrics["answers.n"] == len(told)
    assert shown.metrics["answers.finding.share"] == pytest.approx((told == "price").mean())
    assert "“Price”" in shown.text


def test_too_few_are_said_in_words(few: SimpleNamespace):
    assert surroundings.contents(few.scope, few.people, few.steps) is None  # no step is known to lose people
    assert "cannot be computed" in surroundings.answers(few.scope, few.people).text
