"""Figures of people and their dates: who referred whom, worked out by hand."""

import math

import pandas as pd
import pytest

from funnel_lib.conversion.kpis.reading import Reading
from tests.conversion.kpis.test_measures import data, one, told

__all__ = ["data"]

# a and b were there in April. New in May: c (through a), d (names herself), e (through nobody), f (through b, empty
# text for g). h comes in June.
PEOPLE = pd.DataFrame({
    "user_id": list("abcdefgh"),
    "first_seen": pd.to_datetime(["2026-04-03"] * 2 + ["2026-05-02"] * 5 + ["2026-06-01"], utc=True),
    "referred_by": ["z", None, "a", "d", None, "b", "", "a"], "city": list("xxxxxyyy"),
})  # fmt: skip
NEW, REFERRERS = {"referred": {}}, {"referred": {"measure": "referrers"}}


@pytest.fixture
def people(data: Reading) -> Reading:
    """Return a reading with the people above."""
    return keep(data, PEOPLE)


def keep(data: Reading, people: pd.DataFrame, units: list[str] | None = None) -> Reading:
    people.to_parquet(data.scope.store.path("users"))
    return Reading(data.scope, None if units is None else pd.Series(units, dtype="str"))


def test_the_share_of_new_people_who_were_referred(people: Reading):
    found = one(people, NEW)  # c and f of c, d, e, f, g
    assert (found.value, found.n) == (0.4, 5)
    assert 0 < found.low < 0.4 < found.high < 1
    by_city = {row.group: (row.value, row.n) for row in told(people, NEW, "city")}
    assert by_city == {"x": (pytest.approx(1 / 3), 3), "y": (0.5, 2)}


def test_the_share_of_earlier_people_who_referred_somebody_new(people: Reading):
    found = one(people, REFERRERS)  # a brought c, b brought f; h came in June
    assert (found.value, found.n) == (1, 2)
    only = keep(people, PEOPLE.assign(referred_by=[None, None, "a", None, None, "d", None, None]))
    assert one(only, REFERRERS).value == 0.5  # d was not there before


def test_in_a_segment_its_people_count(people: Reading):
    some = keep(people, PEOPLE, ["a", "c", "e"])
    assert (one(some, NEW).value, one(some, NEW).n) == (0.5, 2)
    assert one(keep(people, PEOPLE, ["h", "c"]), NEW).reason == "too_few"
    assert one(keep(people, PEOPLE, ["h"]), NEW).reason == "nobody_there"


@pytest.mark.parametrize(
    ("people", "formula", "reason"),
    [
        (PEOPLE.drop(columns="referred_by"), NEW, "no_referrer"),
        (PEOPLE.assign(referred_by=pd.Series([None] * 8, dtype="str")), NEW, "no_referrer"),
        (PEOPLE.drop(columns="first_seen"), NEW, "no_date_column"),
        (PEOPLE.assign(referred_by="CODE-7"), REFERRERS, "referrers_unknown"),
        (PEOPLE[:2], NEW, "nobody_there"),
    ],
)
def test_what_is_missing_has_a_reason(data: Reading, people: pd.DataFrame, formula: dict[str, object], reason: str):
    found = one(keep(data, people), formula)
    assert found.reason == reason
    assert math.isnan(found.value)


def test_without_people_nobody_says_who_referred_them(data: Reading):
    assert one(data, NEW).reason == "no_referrer"
    found = told(keep(data, PEOPLE), NEW, "plan")
    assert [row.reason for row in found] == ["no_such_column"]


def test_deals_without_their_dates(data: Reading):
    path = data.scope.store.path("deals")
    pd.DataFrame({"record_id": ["1"], "status": ["won"], "amount": [5.0]}).to_parquet(path)
    bare = Reading(data.scope)
    assert one(bare, {"deals": {"of": {"status": "won"}}}).reason == "not_created"
    assert one(bare, {"deals": {"of": {"status": "won"}, "by": "closed"}}).reason == "not_closed"
    assert one(bare, {"deal_value": {}}).reason == "not_closed"
