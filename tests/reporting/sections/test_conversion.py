"""Cards compare with as many days of the same weekdays; the two views of a period are never mixed."""

import io
import math
from dataclasses import replace

import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.config import Rules
from funnel_lib.conversion.rates import newcombe
from funnel_lib.reporting.sections import conversion
from funnel_lib.reporting.sections.passing import Pass
from funnel_lib.reporting.wording import Say


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
    events = pd.read_parquet(may.scope.events, columns=["user_id", "event", "ts"])
    inside = (events["ts"] >= may.scope.period.start) & (events["ts"] < may.scope.period.end)
    paid = events[inside & (events["event"] == "purchase")]
    assert shown.metrics["views.took"] == paid["user_id"].nunique()
    assert shown.metrics["views.cohort"] == int(may.people.counts(mature_only=True)["units"].iloc[-1])
    assert shown.metrics["views.took"] != shown.metrics["views.cohort"]


def test_a_step_that_may_be_skipped_is_no_base_of_a_ratio(month):
    may = month("2026-05")
    steps = [replace(one, optional=one.name == "trial") for one in may.scope.funnel.steps]
    book = may.scope.workbook.model_copy(update={"funnel": replace(may.scope.funnel, steps=steps)})
    scope = replace(may.scope, workbook=book)
    people = fl.cohort(scope)
    shown = conversion.views(scope, people, fl.rates(people, rules=book.rules))
    rows = pd.read_csv(io.StringIO(shown.tables["views"].removeprefix("\ufeff")))
    took, ratio = rows["Activity: people in these days"], rows["Activity: ratio to previous step"]
    # Orders (the fourth) by those who registered (the second), whether or not they tried a lesson (the third).
    assert ratio[3] == pytest.approx(took[3] / took[1])


def step(name: str, entering: int, passed: int, *, optional: bool = False) -> Pass:
    """Return how a step was passed; fewer than 30 people or 5 who passed have no rate."""
    rate = passed / entering if entering >= 30 and passed >= 5 else math.nan
    return Pass(2, name, name.title(), "Visit", entering, passed, rate, rate - 0.1, rate + 0.1, None, optional)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([step("cart", 100, 50), step("pay", 50, 40)], "Most people leave before Cart: 50.0% (40.0 to 60.0)"),
        # Who leaves out an optional step is not lost there.
        ([step("save", 100, 10, optional=True), step("pay", 100, 60)], "Most people leave before Pay: 40.0%"),
        ([step("cart", 100, 100), step("pay", 100, 100)], "Nobody is lost: all people went on at every step"),
        # Nobody pays: the largest loss, though it has no rate.
        (
            [step("cart", 100, 50), step("pay", 50, 0)],
            "Hardly anybody gets to Pay: 0 of 50 went on, too few for a rate",
        ),
        ([step("cart", 20, 10)], "Too few people to say where they are lost"),
    ],
)
def test_the_largest_loss_is_named_also_where_it_has_no_rate(steps: list[Pass], words: str):
    assert conversion.funnel_finding(Say("en"), steps, Rules()).text.startswith(words)
