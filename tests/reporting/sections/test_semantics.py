"""Every switch of a funnel is said in words, in both languages."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.reporting.sections.semantics import semantics, sequence
from funnel_lib.reporting.wording import Say

STEPS = [Step("visit", event="view"), Step("cart", event="add"), Step("pay", event="pay")]


def said(language: str = "en", **options: Any) -> str:
    steps = options.pop("steps", STEPS)
    scope: Any = SimpleNamespace(
        funnel=Funnel(steps=steps, **options), language=language, step_title=lambda name: str(name).title()
    )
    return " ".join(sentence.text for sentence in semantics(Say(language), scope))


def test_the_plain_funnel_says_order_and_choice_of_the_chain():
    assert said().startswith("Ordered steps. Any first-step event may start a chain; of the deepest chains")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": "strict"}, "any other event of the person ends the attempt"),
        ({"order": "any"}, "in any sequence, within one window"),
        ({"steps": [STEPS[0], replace(STEPS[1], optional=True), STEPS[2]]}, "May be skipped: Cart."),
        ({"steps": [*STEPS[:2], replace(STEPS[2], within="12h")]}, "Pay within 12 hours of the step before."),
        ({"exclusions": [Exclusion("refund", before=1)]}, "People with refund between Visit and Cart are left out"),
        (
            {"exclusions": [Exclusion("refund")], "policy": "drop_off"},
            "refund between Visit and Pay ends a person's journey there.",
        ),
        ({"exclusions": [Exclusion("refund")], "order": "any"}, "refund clears what was reached before it."),
        ({"hold_constant": ["sku"]}, "All steps of a journey have the same sku."),
        ({"open": True}, "People may enter at any step"),
        ({"preset": "mixpanel"}, "counted as Mixpanel does"),
        ({"preset": "amplitude"}, "the one that entered first counts"),
        ({"matching": {"distinct": False}}, "changes how events are matched"),
    ],
)
def test_each_switch_has_its_sentence(options: dict[str, Any], words: str):
    assert words in said(**options)
    chinese = said("zh", **options)
    assert chinese != said("zh")
    assert not any(word in chinese for word in ("steps", "People", "attempt"))


def test_the_sequence_of_steps_is_one_short_sentence():
    told = set()
    for order in ("ordered", "strict", "any"):
        scope: Any = SimpleNamespace(funnel=Funnel(STEPS, order=order))
        told.add(sequence(Say("en"), scope).text)
    assert len(told) == 3
    assert all(text.count(".") == 1 for text in told)
