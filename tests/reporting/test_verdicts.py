"""Whether a finding hangs on the definition, in words, in both languages."""

import re
from datetime import UTC

import numpy as np
import pandas as pd

from funnel_lib.conversion.sensitivity import sensitivity
from funnel_lib.conversion.variants import BASE, Variant, variants
from funnel_lib.definition import Funnel, Step
from funnel_lib.reporting.verdicts import variant_title, verdict
from funnel_lib.reporting.wording import Say

TITLES = {"A": {"en": "Visit", "zh": "访问"}, "B": {"en": "Trial", "zh": "试用"}, "C": {"en": "Payment", "zh": "付款"}}
STEPS = [Step(name, event=name, title=title) for name, title in TITLES.items()]
ABC = Funnel(steps=STEPS, window="7d")
ENGLISH_WORD = re.compile(r"[A-Za-z]{3,}")


def day(number, hour=12):
    return pd.Timestamp(2026, 5, 1, tz=UTC) + pd.Timedelta(days=number - 1, hours=hour)


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and day of May 2026 (noon)."""
    rows = [(word.split(":")[0], word.split(":")[1][0], day(int(word.split(":")[1][1:]))) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


def crowd():
    """A hundred people: 80 come to B within a day; 20 of them to C at once, 30 more after ten days."""
    rows = [(number, "A", day(1)) for number in range(100)] + [(number, "B", day(1, 13)) for number in range(80)]
    rows += [(number, "C", day(2 if number < 20 else 12)) for number in range(50)] + [(100, "Z", day(90))]
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts"])
    return events.assign(channel=np.where(events["user_id"] % 2 == 0, "ads", "mail"))


NOTHING = {"orders": (), "presets": ()}


def said(found, language):
    return [sentence.text for sentence in verdict(found, language)]


def test_a_finding_that_holds():
    found = sensitivity(crowd(), ABC, by="channel", windows=["20d"], **NOTHING)
    assert said(found, "en") == [
        "20.0% (13.3 to 28.9) come through as defined; under 5 definitions it is 20.0% (as defined) to 50.0% (a window "
        "of 20 days).",
        "Payment is where the largest share is lost, under every definition.",
        "No two groups that are clearly apart change places under any definition.",
    ]
    chinese = said(found, "zh")
    assert chinese[1] == "无论按哪种口径，流失比例最高的都是付款环节。"
    assert all(not ENGLISH_WORD.search(line) for line in chinese)


def test_a_bottleneck_that_moves_is_named_with_its_definition():
    rows = [(number, "A", day(1)) for number in range(100)]
    rows += [(number, "B", day(1, 13) if number < 90 else day(9)) for number in range(95)]
    rows += [(number, "C", day(2) if number < 40 else day(12)) for number in range(94)] + [(100, "Z", day(90))]
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts"])
    found = sensitivity(events, ABC, windows=["20d"], **NOTHING)
    # 7 days: 90/100, 40/90. 20 days: 95/100, 94/95: then B loses more.
    assert said(found, "en")[1] == (
        "As defined, Payment is where the largest share is lost; under 1 of 5 definitions it is another step: Trial "
        "(a window of 20 days)."
    )
    assert (
        said(found, "zh")[1] == "按既定口径，付款环节流失比例最高；5种口径中有1种得出其他环节，如试用（窗口期20天）。"
    )


def test_groups_that_turn_round_are_named():
    rows = []
    for group, at_once, ever in (("fast", 100, 100), ("slow", 20, 180)):
        for number in range(200):
            after = 1 if number < at_once else 10
            events = [("A", 1), ("B", 1 + after), ("C", 1 + after)] if number < ever else [("A", 1)]
            rows += [(f"{group}{number}", event, day(at), group) for event, at in events]
    rows.append(("end", "Z", day(90), "fast"))
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts", "channel"])
    found = sensitivity(events, ABC, by="channel", windows=["20d", "30d"], **NOTHING)
    assert said(found, "en")[-1] == (
        "The order of the groups hangs on the definition: fast is above slow as defined, but below it with a window of "
        "20 days; 2 definitions turn groups round."
    )
    assert "fast高于slow" in said(found, "zh")[-1]


def test_a_definition_that_leaves_too_few():
    rows = [(number, "A", day(1)) for number in range(100)] + [(number, "X", day(2)) for number in range(100)]
    rows += [(number, event, day(at)) for number in range(50) for event, at in (("B", 3), ("C", 4))] + [
        (100, "Z", day(90))
    ]
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts"])
    found = sensitivity(events, ABC, windows=(), orders=["strict"], presets=())
    assert said(found, "en")[:2] == [
        "50.0% (40.4 to 59.6) come through, the same under 4 definitions.",
        "Under 1 definition too few come through for a rate: no other event between.",
    ]
    strict = found.frame[(found.frame["variant"] == "order strict") & (found.frame["step"] == 3)].iloc[0]
    assert (strict["difference"], strict["reason"]) == (-0.5, "too_few")  # all fifty are lost, that is well known


def test_too_few_people_and_definitions_without_meaning():
    funnel = Funnel(steps=[STEPS[0], Step("B", event="B", within="1d"), STEPS[2]], window="7d")
    found = sensitivity(log("u:A1 u:B2 z:A30"), funnel, windows=(), presets=())
    assert said(found, "en") == [
        "No step can be said to lose the most.",
        "1 definition has no meaning for this funnel and was left out.",
    ]
    assert said(found, "zh")[-1] == "另有1种口径不适用于该漏斗，未计算。"


def test_every_definition_has_a_name_in_both_languages():
    made, _ = variants(Variant(BASE, "", "", ABC), {"units": ["account"]})
    other = Funnel(steps=STEPS, order="any", counting="entries", matching={"ties": "increasing", "attempts": "first"})
    made += variants(Variant(BASE, "", "", other), {"orders": ["ordered"]})[0]
    for language in ("en", "zh"):
        titles = [variant_title(Say(language), variant).text for variant in made]
        assert all(titles)
        if language == "en":
            assert "a window of 3.5 days" in titles
    assert {"window", "order", "unit", "counting", "ties", "attempts", "preset", ""} == {one.changed for one in made}
