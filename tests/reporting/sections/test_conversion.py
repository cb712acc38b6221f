"""Cards compare with as many days of the same weekdays; the two views of a period are never mixed."""

import pytest

from funnel_lib.conversion.rates import newcombe
from funnel_lib.reporting.sections import bottlenecks, conversion


def test_cards_compare_with_the_same_weekdays(month):
    may = month("2026-05")
    shown = conversion.cards(may.scope, may.people, may.steps, may.before)
    old = may.before.counts(mature_only=True)["units"].tolist()
    new = may.people.counts(mature_only=True)["units"].tolist()
    gap = newcombe(new[-1], new[0], old[-1], old[0])
    assert shown.metrics["kpi.overall.change.points"] == pytest.approx(gap.estimate)
    assert "as many days with the same weekdays" in shown.html
    assert "does not reach back a year" in shown.html
    assert "vs 27 March – 26 April" in shown.text


def test_a_year_ago_stands_on_the_card(month):
    may = month("2026-05")
    shown = conversion.cards(may.scope, may.people, may.steps, may.before, may.before)
    assert shown.metrics["kpi.overall.year.rate"] > 0
    assert "a year ago" in shown.text
    assert "There is no earlier period" in conversion.cards(may.scope, may.people, may.steps, None).html


def test_the_activity_view_counts_what_happened_in_the_days(month):
    may = month("2026-05")
    shown = conversion.views(may.scope, may.past, may.steps)
    paid = may.past.frame["t_5"]
    inside = (paid >= may.scope.period.start) & (paid < may.scope.period.end)
    assert shown.metrics["views.took"] == int(inside.sum())
    assert shown.metrics["views.cohort"] == int(may.people.counts(mature_only=True)["units"].iloc[-1])
    assert shown.metrics["views.took"] != shown.metrics["views.cohort"]


def test_the_summary_has_three_to_six_sentences_and_begins_with_money(month):
    may = month("2026-05")
    ranked = bottlenecks.rank(may.scope, may.people, may.past)
    shown = conversion.summarise(may.scope, may.people, may.steps, may.before, ranked)
    lines = shown.text.splitlines()
    assert 3 <= len(lines) <= 6
    assert "¥" in lines[1]
    assert shown.metrics["losses.finding.money"] == pytest.approx(ranked["money"].iloc[0])
    numbers = [value for key, value in shown.metrics.items() if key.startswith("moved.")]
    assert numbers
