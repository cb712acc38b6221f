"""Periods are half-open stretches in the business zone that join without gap or overlap."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.errors import ConfigError
from funnel_lib.periods import Period, between, containing, period, whole

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
EVERY = ("month", "week", "quarter")


@pytest.mark.parametrize(
    ("name", "kind", "first", "last", "days"),
    [
        ("2026-05", "month", date(2026, 5, 1), date(2026, 5, 31), 31),
        ("2026-12", "month", date(2026, 12, 1), date(2026, 12, 31), 31),
        ("2024-02", "month", date(2024, 2, 1), date(2024, 2, 29), 29),
        ("2026-W21", "week", date(2026, 5, 18), date(2026, 5, 24), 7),
        ("2026-W01", "week", date(2025, 12, 29), date(2026, 1, 4), 7),  # the ISO year starts before the year
        ("2020-W53", "week", date(2020, 12, 28), date(2021, 1, 3), 7),
        ("2026-Q1", "quarter", date(2026, 1, 1), date(2026, 3, 31), 90),
        ("2026-Q4", "quarter", date(2026, 10, 1), date(2026, 12, 31), 92),
        ("2026-05-01..2026-05-15", "custom", date(2026, 5, 1), date(2026, 5, 15), 15),
        ("2026-05-01..2026-05-01", "custom", date(2026, 5, 1), date(2026, 5, 1), 1),
    ],
)
def test_a_name_is_read(name: str, kind: str, first: date, last: date, days: int):
    found = period(name, SHANGHAI)
    assert (found.name, found.kind, found.first_day, found.last_day, found.days) == (
        name,
        kind,
        first,
        last,
        days,
    )
    assert found.start.tzinfo is SHANGHAI


@pytest.mark.parametrize(
    "name",
    [
        "", "latest", "all", "2026", "2026-5", "2026-13", "2026-00", "2026-W54", "2026-W00", "2026-W5",
        "2026-Q5", "2026-Q0", "2026-05-15..2026-05-01", "2026-05-01..", "2026-02-30..2026-03-01", "2026-05 ",
        "0000-01", "9999-12-31..9999-12-31", "2021-W53",
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused_with_the_forms_that_are(name: str):
    with pytest.raises(ConfigError, match=r"cannot be read[\s\S]*2026-W21"):
        period(name, SHANGHAI)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("2026-01", "2025-12"),
        ("2026-W01", "2025-W52"),
        ("2021-W01", "2020-W53"),
        ("2026-Q1", "2025-Q4"),
        ("2026-05-08..2026-05-14", "2026-05-01..2026-05-07"),
    ],
)
def test_the_previous_period_is_of_the_same_kind(name: str, before: str):
    assert period(name, SHANGHAI).previous.name == before


def test_the_previous_of_all_has_as_many_days():
    found = whole(date(2026, 1, 1), date(2026, 1, 31), SHANGHAI)
    assert (found.name, found.kind, found.days) == ("all", "all", 31)
    assert found.previous.name == "2025-12-01..2025-12-31"


def test_days_are_those_of_the_zone_also_when_the_clocks_change():
    # Berlin moves its clocks on 29 March 2026: March has one hour less, but still 31 days
    march = period("2026-03", BERLIN)
    assert march.days == 31
    assert march.end.astimezone(UTC) - march.start.astimezone(UTC) == timedelta(days=31) - timedelta(hours=1)
    assert march.start.astimezone(UTC) == datetime(2026, 2, 28, 23, tzinfo=UTC)


def test_between_yields_from_the_one_that_holds_the_first_day():
    names = [p.name for p in between(date(2025, 12, 31), date(2026, 2, 1), "month", SHANGHAI)]
    assert names == ["2025-12", "2026-01", "2026-02"]
    assert [p.name for p in between(date(2026, 1, 4), date(2026, 1, 5), "week", SHANGHAI)] == [
        "2026-W01",
        "2026-W02",
    ]
    assert list(between(date(2026, 1, 2), date(2025, 12, 1), "month", SHANGHAI)) == []


DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@given(DAYS, st.sampled_from(EVERY))
def test_a_period_holds_its_day_and_can_be_read_from_its_own_name(day: date, every):
    found = containing(day, every, BERLIN)
    assert found.first_day <= day <= found.last_day
    assert period(found.name, BERLIN) == found


@given(DAYS, st.integers(0, 400), st.sampled_from(EVERY))
def test_periods_join_without_gap_or_overlap(day: date, more: int, every):
    found = list(between(day, day + timedelta(days=more), every, BERLIN))
    assert found[0].first_day <= day
    assert found[-1].last_day >= day + timedelta(days=more)
    for one, next_one in pairwise(found):
        assert one.end == next_one.start
        assert next_one.previous == one


@given(DAYS, st.integers(0, 60))
def test_the_previous_custom_period_ends_where_it_starts(day: date, more: int):
    found = period(f"{day}..{day + timedelta(days=more)}", SHANGHAI)
    assert isinstance(found.previous, Period)
    assert found.previous.days == found.days
    assert found.previous.end == found.start
