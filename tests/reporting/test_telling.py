"""Explanations in words: every way an attempt can end, every reason, both languages."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from funnel_lib import periods
from funnel_lib.conversion.explain import explain
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.reporting.telling import Moment, sentences, tell

TITLES = {"A": {"en": "Visit", "zh": "访问"}, "B": {"en": "Trial", "zh": "试用"}, "C": {"en": "Payment", "zh": "付款"}}
STEPS = [Step(name, event=name, title=title) for name, title in TITLES.items()]
ABC = Funnel(steps=STEPS, window="7d")
SHANGHAI = ZoneInfo("Asia/Shanghai")
ENGLISH_WORD = re.compile(r"[A-Za-z]{3,}")


def day(number, hour=12):
    return pd.Timestamp(2026, 5, 1, tz=UTC) + pd.Timedelta(days=number - 1, hours=hour)


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and day of May 2026 (noon)."""
    rows = [(word.split(":")[0], word.split(":")[1][0], day(int(word.split(":")[1][1:]))) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


def told(text, funnel=ABC, language="en", unit="u", columns=None, **asked):
    return tell(explain(log(text, **(columns or {})), funnel, unit, **asked), language)


def test_a_unit_that_came_too_late():
    assert told("u:A1 u:B2 u:C12 z:A30") == [
        "u counts up to Trial, step 2 of 3.",
        "Attempt 1, from 1 May 2026, 12:00, came to Trial on 2 May 2026, 12:00. Payment on 12 May 2026, 12:00 came 4 "
        "days after its time was over. It counts.",
        "All times are in UTC.",
    ]
    assert told("u:A1 u:B2 u:C12 z:A30", language="zh") == [
        "u计入至试用环节（共3个环节，第2个）。",
        "路径1：2026年5月1日12:00进入，2026年5月2日12:00到达试用环节。2026年5月12日12:00才到付款环节，超出时限4天。此路径计入。",
        "时间均按UTC时区。",
    ]


CASES = {
    "converted": ("u:A1 u:B2 u:C3", ABC, ["as converted", "the whole way", "It counts."]),
    "stayed": ("u:A1 z:A30", ABC, ["stayed at Visit", "without Trial"]),
    "open": ("u:A1 u:B2", ABC, ["may still go on until 8 May 2026, 12:00"]),
    "no limit": ("u:A1 u:B2", Funnel(steps=STEPS), ["there is no time limit"]),
    "spoilt": (
        "u:A1 u:B2 u:X3 u:C4 u:A20 z:A30", Funnel(steps=STEPS, window="7d", exclusions=[Exclusion("X")]),
        ["does not count: an event that the funnel excludes", "X on 3 May 2026, 12:00", "So it does not count",
         "what came further was spoilt"],
    ),
    "cut": (
        "u:A1 u:B2 u:X3 u:C4 z:A30",
        Funnel(steps=STEPS, window="7d", exclusions=[Exclusion("X")], policy="drop_off"),
        ["counts up to Trial", "which the funnel excludes, ended it. It counts."],
    ),
    "broken": ("u:A1 u:B2 u:X3 u:C4", Funnel(steps=STEPS, order="strict"), ["Payment did not follow at once"]),
    "shallow": ("u:A1 u:A9 u:B10 z:A30", ABC, ["another came further"]),
    "later": ("u:A1 u:B2 u:A3 u:B4 z:A30", ABC, ["another came as far and was there earlier"]),
    "earlier entry": ("u:A1 u:A2 u:B3 z:A30", ABC, ["another came as far by then and entered later"]),
    "entered first": (
        "u:A1 u:A2 u:B3 z:A30", Funnel(steps=STEPS, window="7d", matching={"best": "entered_first"}),
        ["another came as far and entered earlier"],
    ),
    "open funnel": (
        "u:B1 u:C2", Funnel(steps=STEPS, window="7d", open=True), ["another entered at an earlier step"],
    ),
    "entries": (
        "u:A1 u:A9 u:B10 z:A30", Funnel(steps=STEPS[:2], window="7d", counting="entries"),
        ["u counts 2 times; its best attempt has 2 of 2 steps."],
    ),
    "most steps": (
        "u:B1 u:A3 z:A30", Funnel(steps=STEPS, order="any", window="7d", matching={"any_of": "most_steps"}),
        ["u counts with 2 of 3 steps.", "took 2 of 3 steps, the last on 3 May 2026, 12:00", "without Payment"],
    ),
    "seconds late": (
        "u:A1 u:B8 z:A30", Funnel(steps=STEPS, window="604799s"), ["Trial on 8 May 2026, 12:00 came just after"],
    ),
    "no entry": ("u:B1 u:X2 z:A30", ABC, ["none of its 2 events matches Visit"]),
    "one event": ("u:B1 z:A30", ABC, ["its only event does not match Visit"]),
    "no event": ("z:A30", ABC, ["holds no event of it"]),
    "out of reach": (
        "u:B1 u:A9 z:A30", Funnel(steps=STEPS, order="any", window="2d", matching={"attempts": "first"}),
        ["Visit does not lie in the time"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_outcome_has_its_words(case):
    text, funnel, expected = CASES[case]
    said = " ".join(told(text, funnel))
    assert all(part in said for part in expected), said
    chinese = " ".join(told(text, funnel, language="zh"))
    assert set(ENGLISH_WORD.findall(chinese)) <= {"UTC"}, chinese
    assert "None" not in said + chinese
    assert "nan" not in said + chinese


def test_held_values_have_a_heading():
    funnel = Funnel(steps=STEPS[:2], window="7d", hold_constant=["plan"])
    said = told("u:A1 u:A2 u:B3 u:B4", funnel, columns={"plan": ["x", "y", "y", "x"]})
    assert said[1] == "With x as plan:"
    assert said[2].endswith("It does not count, because another value of plan does.")
    assert said[3] == "With y as plan:"
    nothing = told("u:A1 u:B2", funnel, columns={"plan": [None, "x"]})
    assert nothing == ["u does not count: its events that could begin the funnel have no value of plan."]


def test_sessions_have_a_heading():
    funnel = Funnel(steps=STEPS[:2], counting="sessions", session_gap="1h")
    assert told("u:A1 u:A2", funnel)[1::2] == ["In session 1:", "In session 2:", "All times are in UTC."]


def test_times_are_those_of_the_business():
    may = periods.period("2026-05", SHANGHAI)
    said = told("u:A1 z:A30", period=may)
    assert "from 1 May 2026, 20:00" in said[1]  # noon UTC
    assert said[-1] == "All times are in Asia/Shanghai."
    june = periods.period("2026-06", SHANGHAI)
    assert told("u:A1 z:A30", period=june) == [
        "u does not count: it did not enter the funnel in June 2026, only before or after."
    ]
    named = tell(explain(log("u:A1"), ABC, "u"), "en", zone=ZoneInfo("Europe/Berlin"))
    assert "1 May 2026, 14:00" in named[1]


def test_many_attempts_are_cut_short_but_the_one_that_counts_is_told():
    text = " ".join(f"u:A{number}" for number in range(1, 10)) + " u:B9 z:A30"
    said = told(text, Funnel(steps=STEPS, window="0s"))
    assert len([line for line in said if line.startswith("Attempt")]) == 7
    assert said[-3].startswith("Attempt 9")
    assert said[-3].endswith("It counts.")
    assert said[-2] == "2 more attempts are in the table."


def test_names_stay_names():
    evil = "<b>{n}**"
    funnel = Funnel(steps=[Step(evil, event="A"), *STEPS[1:]], window="7d")
    assert any(evil in line for line in told("u:A1 z:A30", funnel))
    found = explain(log("u:A1 z:A30"), funnel, "u")
    assert "<b>{n}" not in sentences(found, "en")[0].html


def test_numbers_have_keys():
    found = sentences(explain(log("u:A1 u:B2 u:C12 z:A30"), ABC, "u"), "en")
    assert found[0].metrics == {"explain.depth": 2, "explain.n": 3}
    assert found[1].metrics == {"explain.attempt.1.n": 1, "explain.attempt.1.late": 4.0}


def test_moments():
    at = datetime(2026, 5, 1, 14, 5, tzinfo=UTC)
    assert Moment(at).format("en") == "1 May 2026, 14:05"
    assert Moment(at).format("zh") == "2026年5月1日14:05"
    assert Moment(at + timedelta(seconds=9)).format("en") == "1 May 2026, 14:05:09"
