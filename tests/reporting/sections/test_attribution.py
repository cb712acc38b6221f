"""Seven rules side by side: credits add up, and the disagreement is named."""

import csv
import io
from types import SimpleNamespace

import pytest

from funnel_lib.reporting.sections import attribution


def test_the_credits_of_each_rule_add_up(month):
    may = month("2026-05")
    shown = attribution.channels(may.scope, may.people)
    rows = list(csv.DictReader(io.StringIO(shown.tables["credit"])))
    for rule in ("first touch", "last touch", "removal effect", "channels alike"):
        assert sum(float(row[rule]) for row in rows) == pytest.approx(1.0)
    assert "leads by every rule" in shown.text or "The rule decides" in shown.text
    assert shown.metrics["attribution.n"] == (may.people.frame["depth"] == 5).sum()


def test_of_an_unfinished_month_only_those_whose_time_is_over_have_paths(month):
    june = month("2026-06")
    shown, over = attribution.channels(june.scope, june.people), june.people.frame["mature_depth"]
    assert shown.metrics["attribution.n"] == (over == 5).sum() < (june.people.frame["depth"] == 5).sum()
    # Those who did not convert are there, too: most of them, though some came back lately.
    assert shown.metrics["attribution.paths.paths"] > 0.8 * ((over > 0) & (over < 5)).sum()


def test_it_says_that_no_rule_is_causal_and_what_the_look_back_misses(month):
    january = month("2026-01")
    text = attribution.channels(january.scope, january.people).text
    assert "No rule says what a channel caused" in text
    assert "early visits are missing" in text  # the data begins with January


def test_too_few_conversions_are_said_in_words(few: SimpleNamespace):
    assert "cannot be computed" in attribution.channels(few.scope, few.people).text
