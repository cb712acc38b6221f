"""What people met is compared fairly, and what those answer who stopped never names a person."""

from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.touchpoints import touchpoints
from funnel_lib.reporting.sections import surroundings
from funnel_lib.reporting.wording import Say


def test_contents_are_those_of_the_lost_step(month):
    may = month("2026-05")
    shown = surroundings.contents(may.scope, may.people, may.steps)
    _, landmark = touchpoints(EventLog.of(may.scope), may.people, 4, rules=may.scope.workbook.rules)  # before payment
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


def test_what_everybody_met_is_not_shown(month):
    """The step where people stand is met by all of them, so it divides nobody."""
    may = month("2026-05")
    found, landmark = touchpoints(EventLog.of(may.scope), may.people, 4, rules=may.scope.workbook.rules)
    shown = surroundings.contents(may.scope, may.people, may.steps)
    reach = [int(line.split(",")[1]) for line in shown.tables["contents"].strip().splitlines()[1:]]
    assert found["reach"].max() == landmark.units > max(reach)


def test_the_finding_gives_the_difference_with_its_interval():
    lost = SimpleNamespace(title="Trial")
    row = {"content": "demo", "rate": 0.6, "low": 0.5, "high": 0.7, "rest_rate": 0.4, "difference": 0.2,
           "diff_low": 0.1, "diff_high": 0.3, "clear": True}  # fmt: skip
    told = surroundings.content_finding(Say("en"), pd.DataFrame([row]), lost)
    assert told.text == (
        "Who met demo reached Trial more often: 60.0% (50.0 to 70.0), 20.0 points (10.0 to 30.0) above the others"
    )
    less = pd.DataFrame([row | {"difference": -0.2, "diff_low": -0.3, "diff_high": -0.1}])
    assert "20.0 points (10.0 to 30.0) below the others" in surroundings.content_finding(Say("en"), less, lost).text
