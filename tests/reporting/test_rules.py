from __future__ import annotations

from funnel_lib.collection.batch import REASONS
from funnel_lib.reporting.rules import rule_meanings
from funnel_lib.reporting.wording import Say


def test_every_rule_is_explained_in_every_language() -> None:
    english, chinese = rule_meanings(Say("en")), rule_meanings(Say("zh"))
    assert set(english) == set(chinese) == set(REASONS)
    assert not [rule for rule in english if english[rule].text == chinese[rule].text]
