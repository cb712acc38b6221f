"""The days of the planted changes are found, and what lay near them is told without blame."""

from datetime import date
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.sections import since


@pytest.fixture(scope="module")
def searched(month) -> SimpleNamespace:
    may = month("2026-05")
    return SimpleNamespace(scope=may.scope, found=since.search(may.scope, may.past))


def test_the_fault_of_the_payment_step_begins_and_ends_on_its_days(searched: SimpleNamespace):
    payment = next(one for one in searched.found if one.name == "payment").found.frame
    assert [day.date() for day in payment["day"]] == [date(2026, 5, 18), date(2026, 5, 25)]
    shown = since.levels(searched.scope, searched.found)
    assert shown.text.startswith("Payment: from 44.7% to 82.9% since 25 May 2026")
    register = next(one for one in searched.found if one.name == "register").found.frame
    assert date(2026, 2, 9) in [day.date() for day in register["day"]]
    listed = next(line for line in shown.tables["since"].splitlines() if line.startswith("2026-02-09"))
    assert listed.endswith("Simpler sign-up form")  # what was released on that day


def test_days_of_the_calendar_near_a_change_are_numbered(searched: SimpleNamespace):
    register = next(one for one in searched.found if one.name == "register")
    near = since._near(register, since._days(searched.scope, searched.found))
    assert near["number"].tolist() == list(range(1, len(near) + 1))
    assert "Simpler sign-up form" in set(near["name_en"])
    shown = since.levels(searched.scope, [register])
    assert "That does not say that they caused them" in shown.text


def test_a_steady_rate_has_no_day(searched: SimpleNamespace):
    days = pd.date_range("2026-05-01", periods=28, unit="us")
    steady = pd.DataFrame({"day": days, "numerator": 50, "denominator": 100})
    calm = since.changes(steady, rules=searched.scope.workbook.rules, rng=since.chance(searched.scope, "days"))
    shown = since.levels(searched.scope, [since.Searched(5, "payment", steady, calm)])
    assert "No step’s daily rate changed lastingly" in shown.text
    assert "weekdays and chance" in shown.text


def test_too_short_or_without_times_is_said_in_words(searched: SimpleNamespace):
    short = since.Searched(5, "payment", pd.DataFrame(), since.Changes(reason="too_short"))
    assert "because there are too few days" in since.levels(searched.scope, [short]).text
    assert "because this source has no times" in since.levels(searched.scope, []).text
