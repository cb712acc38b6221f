"""Durations, conditions and titles are read as written, or refused."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from funnel_lib.notation import FORMULA, Condition, Title, guarded, parse_duration, text

CONDITION = TypeAdapter(Condition)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90),
        ("90sec", 90),
        ("30min", 1800),
        ("36h", 129_600),
        ("14d", 1_209_600),
        ("2w", 1_209_600),
        (" 1.5 h ", 5400),
        ("0s", 0),
        (timedelta(minutes=1), 60),
        ("36500d", 36_500 * 86_400),
    ],
)
def test_a_duration_is_a_number_with_a_unit(value: object, seconds: float):
    assert parse_duration(value).total_seconds() == seconds


@pytest.mark.parametrize("value", [14, 1.5, "14", "14 days", "d", "", None, "1m", "1M", "14D", "1h30min", "-1d", True])
def test_what_is_no_duration_is_refused(value: object):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["36501d", "99999999999d", "9" * 400 + "d", timedelta(days=36501)])
def test_a_duration_that_no_date_can_bear_is_refused(value: object):
    with pytest.raises(ValueError, match="a duration this long"):
        parse_duration(value)


@given(st.integers(0, 36_500), st.sampled_from(["s", "min", "h", "d"]))
def test_a_duration_grows_with_its_unit(number: int, unit: str):
    length = {"s": 1, "min": 60, "h": 3600, "d": 86_400}[unit]
    assert parse_duration(f"{number}{unit}") == timedelta(seconds=number * length)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("mobile", {"eq": "mobile"}),
        (5, {"eq": 5}),
        (True, {"eq": True}),
        (["a", 1], {"in": ["a", 1]}),
        ({"ge": 1, "lt": 2.5}, {"ge": 1, "lt": 2.5}),
        ({"not_in": ["a"]}, {"not_in": ["a"]}),
        ({"in": "a"}, {"in": "a"}),
        ({"is_null": False}, {"is_null": False}),
    ],
)
def test_a_condition_has_a_short_form(short: object, long: dict):
    assert CONDITION.validate_python(short) == long


def test_a_date_as_yaml_reads_it_becomes_text():
    found = CONDITION.validate_python({"ge": date(2026, 5, 1), "lt": datetime(2026, 6, 1, 8, tzinfo=UTC)})
    assert found == {"ge": "2026-05-01", "lt": "2026-06-01T08:00:00+00:00"}
    assert CONDITION.validate_python([date(2026, 5, 1)]) == {"in": ["2026-05-01"]}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        {"equals": 1},
        {"eq": None},
        {"eq": [1]},
        {"eq": {"a": 1}},
        {"gt": [1, 2]},
        {"gt": True},
        {"in": []},
        {"in": [None]},
        {"in": [[1]]},
        {"is_null": "yes"},
        {"is_null": 1},
        {"contains": ["a"]},
        {1: 2},
    ],
)
def test_a_condition_that_cannot_be_is_refused(value: object):
    with pytest.raises(ValidationError):
        CONDITION.validate_python(value)


def test_a_title_is_given_in_the_language_or_in_any_that_there_is():
    assert text({"en": "Visit", "zh": "访问"}, "zh") == "访问"
    assert text({"en": "Visit"}, "zh") == "Visit"
    assert text(None, "en", "visit") == "visit"
    assert TypeAdapter(Title).validate_python("Visit") == {"en": "Visit", "zh": "Visit"}


@pytest.mark.parametrize("sign", FORMULA)
def test_signs_of_a_formula(sign):
    assert guarded(f"{sign}1") == f"'{sign}1"
    assert guarded(f"1{sign}") == f"1{sign}"
