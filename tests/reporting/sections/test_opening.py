"""The summary: what to look at first, by money where it is known, and the answers in three to six sentences."""

from dataclasses import replace
from datetime import timedelta

import pytest

import funnel_lib as fl
from funnel_lib.reporting.sections import bottlenecks, opening


def labels(text: str) -> list[str]:
    return [line.split(": ", 1)[0] for line in text.splitlines()[1:]]


def test_the_summary_has_three_to_six_sentences_and_begins_with_money(month):
    may = month("2026-05")
    ranked = bottlenecks.rank(may.scope, may.people, may.past)
    shown = opening.summarise(may.scope, may.people, may.steps, may.before, ranked)
    lines = shown.text.splitlines()
    assert 3 <= len(lines) <= 6
    assert "¥" in lines[1]
    assert shown.metrics["losses.finding.money"] == pytest.approx(ranked["money"].iloc[0])
    numbers = [value for key, value in shown.metrics.items() if key.startswith("moved.")]
    assert numbers
    # The week of the fault is said; what fits no more is who came, and where most are lost in points.
    assert labels(shown.text) == [
        "What to look at first", "Against the period before", "Week by week", "How long it takes", "For whom",
    ]  # fmt: skip


def test_what_is_not_known_is_said_with_its_reason(month):
    may = month("2026-05")
    book = may.scope.workbook
    bare = replace(may.scope, workbook=book.model_copy(update={"value": type(book.value)(), "targets": {}}))
    ranked = bottlenecks.rank(bare, may.people, may.people)  # without a past there is no bar either
    lines = opening.summarise(bare, may.people, may.steps, None, ranked).text.splitlines()
    assert lines[1].startswith("What to look at first: Most people leave before Register: ")
    assert lines[1].endswith(
        "what it is worth cannot be computed, because the workbook does not say what a conversion is worth"
    )
    assert "Whether the rate moved cannot be computed, because there is no earlier period to compare with" in lines[2]


def test_people_whose_time_is_not_over_are_not_nobody(month):
    june = month("2026-06").scope
    newest = replace(june, as_of=june.period.start + timedelta(days=3))
    people = fl.cohort(newest)
    steps = fl.rates(people, rules=newest.workbook.rules)
    text = opening.summarise(newest, people, steps, None, bottlenecks.rank(newest, people, people)).text
    entered, paid = len(people.frame), int((people.frame["depth"] == 5).sum())
    assert text.startswith(f"{entered} people entered, and none has had the full 14 days yet; {paid} have reached")
