"""Recent people count for as long as they were followed, and are never blamed for what they had no time to do."""

from types import SimpleNamespace

import pytest

from funnel_lib.conversion.durations.delays import eventually
from funnel_lib.conversion.durations.survival import by_day, half_of_conversions
from funnel_lib.reporting.sections import speed


def test_the_rate_of_an_unfinished_month_is_told_beside_the_one_that_blames_the_recent(month):
    june = month("2026-06")
    shown = speed.timing(june.scope, june.people, "device")
    rules = june.scope.workbook.rules
    last = by_day(june.people, rules=rules).iloc[-1]
    naive = last["converted"] / len(june.people.frame)
    assert shown.metrics["timing.rate.rate"] == pytest.approx(last["rate"])
    assert shown.metrics["timing.rate.naive"] == pytest.approx(naive)
    assert naive < last["low"]  # the recent had not had their time
    final = eventually(june.people, rules=rules).iloc[0]
    assert shown.metrics["timing.finally.expected"] == pytest.approx(final["expected"])
    half = half_of_conversions(june.people, rules=rules).iloc[0]
    assert shown.metrics["timing.half.low"] == pytest.approx(half["low"])
    assert "log-rank" in shown.text


def test_a_finished_month_blames_nobody(month):
    may = month("2026-05")
    shown = speed.timing(may.scope, may.people, "device")
    assert "timing.rate.naive" not in shown.metrics
    assert "timing.finally.expected" not in shown.metrics
    assert "timing" in shown.tables
    assert "time_to_convert" in shown.tables


def test_too_few_are_said_in_words(few: SimpleNamespace):
    shown = speed.timing(few.scope, few.people, "device")
    assert "cannot be computed, because there are too few people or conversions" in shown.text
    assert shown.tables == {}
    assert "cannot be computed" in speed.waiting(few.scope, few.people).text


def test_those_still_waiting_count(month):
    june = month("2026-06")
    shown = speed.waiting(june.scope, june.people)
    assert "Register to Trial lesson" in shown.text  # the demo's slowest step
    assert "fewer than half get there at all" in shown.html
    assert "Still waiting" in shown.text
    assert shown.metrics["waiting.n"] > 0
    may = month("2026-05")
    assert "Still waiting" not in speed.waiting(may.scope, may.people).text
