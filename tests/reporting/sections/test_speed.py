"""Recent people count for as long as they were followed, and are never blamed for what they had no time to do."""

from types import SimpleNamespace

import numpy as np
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


def test_those_who_started_again_are_counted_person_by_person(month):
    june = month("2026-06")
    frame = june.people.frame
    again = ((frame["depth"] == 5) & (frame["first_depth"] < 5)).sum()
    # In all they are those who got there, less those who did so at once: recent ones, too.
    assert again == (frame["depth"] == 5).sum() - (frame["first_depth"] == 5).sum() > 0
    assert speed.timing(june.scope, june.people, "device").metrics["timing.again.n"] == again


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


def test_a_bin_narrower_than_it_is_told_is_one_moment(month, monkeypatch: pytest.MonkeyPatch):
    may = month("2026-05")
    bins = speed.histogram(may.people, rules=may.scope.workbook.rules)
    # Of 24 seconds each, from 9.6 minutes on, the first with most.
    minutes = 9.6 + 0.4 * np.arange(len(bins))
    narrow = bins.assign(
        from_days=minutes / 1440, to_days=(minutes + 0.4) / 1440, share=0.5 / 2 ** np.arange(len(bins))
    )
    monkeypatch.setattr(speed, "histogram", lambda *_, **__: narrow)
    shown = speed.timing(may.scope, may.people, "device")
    assert "Conversions are most frequent 10 minutes after the first step: " in shown.text
