"""Bottlenecks are ranked by money against target, past or benchmark; what cannot be judged stays grey."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.ledger import Benchmarks, Value
from funnel_lib.reporting.sections import bottlenecks
from funnel_lib.reporting.wording import Say


def changed(made: SimpleNamespace, **settings: object) -> SimpleNamespace:
    """Return the same month under another workbook."""
    book = made.scope.workbook.model_copy(update=settings)
    scope = type(made.scope)(book, made.scope.store, made.scope.period, "all", "en", made.scope.as_of)
    return SimpleNamespace(scope=scope, people=made.people, past=made.past)


def test_the_planted_fault_costs_most(month):
    may = month("2026-05")
    found = bottlenecks.rank(may.scope, may.people, may.past)
    shown = bottlenecks.money(may.scope, may.people, found)
    assert found.loc[0, "name"] == "payment"
    row = found.iloc[0]
    assert shown.metrics["losses.finding.money"] == pytest.approx(row["money"])
    # 464 stood before payment, 340 paid; at 85 % it would be 0.85 x 464 - 340 = 54.4 more.
    assert row["conversions"] == pytest.approx(0.85 * 464 - 340)
    assert "Payment is clearly below its bar" in shown.text
    assert "in margin, which is 60% of what is paid" in shown.text


def test_without_targets_the_own_past_is_the_bar(month):
    made = changed(month("2026-05"), targets={})
    found = bottlenecks.rank(made.scope, made.people, made.past)
    assert set(found["origin"]) == {"history"}
    assert "median of the" in bottlenecks.money(made.scope, made.people, found).text


def test_a_benchmark_is_the_last_resort_and_says_so(month):
    may = month("2026-05")
    made = changed(may, targets={}, benchmarks=Benchmarks(steps={"payment": "shopify_checkout"}, industry="e-commerce"))
    found = bottlenecks.rank(made.scope, made.people, may.people)  # no weeks before the period
    own = found.set_index("name").loc["payment"]
    assert own["origin"] == "benchmark"
    text = bottlenecks.money(made.scope, made.people, found).text
    assert "benchmark shopify_checkout" in text
    assert "not judged" in text  # the steps without any bar
    listed = bottlenecks.published(made.scope)
    assert "none of them a target" in listed.text
    assert bottlenecks.published(may.scope) is None


def test_without_a_worth_people_are_told_and_money_is_not(month):
    made = changed(month("2026-05"), value=Value())
    found = bottlenecks.rank(made.scope, made.people, made.past)
    text = bottlenecks.money(made.scope, made.people, found).text
    assert "there it would bring 54 more Payment" in text
    assert "Money cannot be computed, because the workbook does not say what a conversion is worth" in text
    assert "¥" not in text


def test_nothing_to_hold_it_against_is_said_in_words(month):
    may = month("2026-05")
    made = changed(may, targets={})
    found = bottlenecks.rank(made.scope, made.people, may.people)
    text = bottlenecks.money(made.scope, made.people, found).text
    assert "because there is no target, no past and no benchmark" in text


@pytest.mark.parametrize(
    ("light", "conversions", "said"),
    [
        ("grey", math.nan, "Which step is below its bar cannot be computed, because there are too few people"),
        ("above", math.nan, "No step is clearly below its bar"),
        ("below", 0.0, "No step is clearly below its bar"),
        # Where a step may be left out, what one would bring is not known, but that it is below its bar is.
        ("below", math.nan, "Payment is clearly below its bar: 30.0% (20.0 to 40.0) against target 50.0%"),
    ],
)
def test_the_finding_says_what_is_below_also_without_money(month, light: str, conversions: float, said: str):
    scope, nan = month("2026-05").scope, math.nan
    row = {"name": scope.funnel.names[-1], "light": light, "origin": "target", "label": "", "bar": 0.5, "rate": 0.3,
           "low": 0.2, "high": 0.4, "units": 20, "conversions": conversions, "conversions_low": nan,
           "conversions_high": nan, "money": nan, "money_low": nan, "money_high": nan, "reason": "too_few"}  # fmt: skip
    assert bottlenecks.money_finding(Say("en"), scope, pd.DataFrame([row])).text.startswith(said)
