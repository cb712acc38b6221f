"""Cohorts are compared at the same age; what is not finished is hatched and told as expected."""

import re
from types import SimpleNamespace

import pytest

from funnel_lib.conversion.durations.cohorts import back_test, nowcast, triangle
from funnel_lib.reporting.sections import cohorts


def test_unfinished_cohorts_are_hatched_and_expected(month):
    june = month("2026-06")
    shown = cohorts.entries(june.scope, june.past)
    found = triangle(june.past, rules=june.scope.workbook.rules)
    newest = sorted(found["cohort"].unique())[-cohorts.SHOWN :]
    hatched = found[found["cohort"].isin(newest) & ~found["finished"]]
    told = nowcast(found, rules=june.scope.workbook.rules)
    young = told[~told["finished"] & told["expected"].notna()]
    body = re.search(r"<tbody>.*?</tbody>", shown.html, flags=re.S)[0]
    # Each unfinished cell with a rate, and what is expected of each unfinished cohort.
    assert body.count('"open"') == int(hatched["rate"].notna().sum()) + len(young)
    for row in young.tail(2).itertuples():
        assert shown.metrics[f"cohorts.{row.cohort.date()}.expected"] == pytest.approx(row.expected)
    past = back_test(found, rules=june.scope.workbook.rules)
    assert shown.metrics["cohorts.back_test.held"] == pytest.approx(past.held)


def test_delays_that_differ_are_warned_of(month, monkeypatch):
    june = month("2026-06")
    told = nowcast(triangle(june.past, rules=june.scope.workbook.rules), rules=june.scope.workbook.rules)
    for p, warned in ((0.01, True), (0.5, False)):
        monkeypatch.setattr(cohorts, "nowcast", lambda *_, p=p, **__: told.assign(p=p))
        shown = cohorts.entries(june.scope, june.past)
        assert ("Cohorts differ in how long they take" in shown.text) is warned
        assert ("cohorts.delays.p" in shown.metrics) is warned


def test_finished_cohorts_need_no_forecast(month):
    may = month("2026-05")
    shown = cohorts.entries(may.scope, may.past)
    assert "In the end, expected" not in shown.text
    assert '"open"' not in re.search(r"<tbody>.*?</tbody>", shown.html, flags=re.S)[0]


def test_too_few_are_said_in_words(few: SimpleNamespace):
    shown = cohorts.entries(few.scope, few.past)
    assert "Conversion by cohort cannot be computed, because there are too few" in shown.text


def test_retention_is_shown_for_everybody_only(month):
    may = month("2026-05")
    shown = cohorts.retained(may.scope)
    assert 0 < shown.metrics["retention.share"] < 0.2
    assert "retention" in shown.tables
    # In the demo people buy one course: nobody orders a second time.
    told = "The share that orders again within 90 days cannot be computed, because nobody orders a second time"
    assert told in shown.text
    students = month("2026-05", "audience=student")
    assert cohorts.retained(students.scope) is None
