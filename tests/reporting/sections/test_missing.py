"""Every reason that the analysis gives has its words, in both languages."""

import ast
from pathlib import Path

import pytest

from funnel_lib.reporting.sections.missing import cannot, reasons, why
from funnel_lib.reporting.wording import Say

CONVERSION = Path(__file__).parents[3] / "funnel_lib" / "conversion"
MODULES = (
    "rates", "durations/survival", "durations/delays", "durations/waiting", "durations/cohorts", "durations/returning",
    "durations/outcomes", "durations/timing", "movement/decomposition", "movement/changepoint", "reasons/attribution",
    "worth/benchmarks", "worth/bottlenecks",
)  # fmt: skip
GIVEN = {
    "too_few", "no_times", "no_conversions", "not_observed", "not_half", "one_group", "nothing_mature", "open",
    "nobody_now", "nobody_before", "not_nested", "no_days", "too_short", "no_variation", "no_effect", "no_bar", "stale",
    "year_unknown", "weak_source", "not_comparable", "no_value",
}  # fmt: skip


def texts(module: str) -> set[str]:
    """Return all literal texts of a module of the conversion room."""
    tree = ast.parse((CONVERSION / f"{module}.py").read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_reasons_of_the_analysis_are_known():
    assert set().union(*(texts(module) for module in MODULES)) >= GIVEN
    assert set(reasons(Say("en"))) >= GIVEN


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_reason_is_a_clause_of_its_own(language: str):
    said = [sentence.text for sentence in reasons(Say(language)).values()]
    assert len(set(said)) == len(said)
    assert all(text and not text.endswith((".", "。")) for text in said)


def test_it_says_what_cannot_be_computed_and_why():
    say = Say("en")
    assert cannot(say, "The median", "not_half").text == (
        "The median cannot be computed, because fewer than half get there at all"
    )
    assert why(say, "no such reason").text == "no such reason"
