from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.conversion.movement.dating import as_dates, by_day, local_days, mondays

DAY = 86_400_000_000
ZONES = [
    UTC,
    *map(ZoneInfo, ("Asia/Shanghai", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Beirut")),
]


def _one_by_one(moments, zone):
    clock = pd.DatetimeIndex(moments, dtype="datetime64[us]").tz_localize(UTC).tz_convert(zone).tz_localize(None)
    return clock.normalize().as_unit("us").asi8 // DAY


# 2017 to 2020; in some of these zones the clock was put forward at midnight.
@given(st.lists(st.integers(1_483_228_800_000_000, 1_609_459_200_000_000), max_size=30), st.sampled_from(ZONES))
def test_days_are_those_that_each_moments_own_clock_shows(moments, zone):
    given_moments = np.array(moments, dtype=np.int64)
    assert local_days(given_moments, zone).tolist() == _one_by_one(given_moments, zone).tolist()


def test_the_hour_before_the_clock_goes_forward_at_midnight_is_still_yesterday():
    # Sao Paulo, 4 November 2018: 23:59:59 (UTC-3) of the 3rd is followed by 01:00:00 (UTC-2), at 03:00 UTC.
    change = pd.Timestamp("2018-11-04T03:00:00Z").value // 1000
    found = local_days(np.array([change - 1, change]), ZoneInfo("America/Sao_Paulo"))
    assert as_dates(found).strftime("%Y-%m-%d").tolist() == ["2018-11-03", "2018-11-04"]


def test_weeks_begin_on_mondays_also_before_1970():
    days = np.array([-4, -3, 0, 3, 4])  # Sunday 28 and Monday 29 December 1969, Thursday 1, Sunday 4, Monday 5 January
    assert mondays(days).tolist() == [-10, -3, -3, -3, 4]
    assert set(as_dates(mondays(days)).day_of_week) == {0}


def test_no_moments_have_no_days():
    assert local_days(np.zeros(0, dtype=np.int64), UTC).tolist() == []


def test_units_are_counted_by_group_and_day_also_on_days_without_any():
    days, passed = np.array([20, 18, 20, 20]), np.array([True, False, False, True])
    counted, span = by_day(days, passed)
    assert span.tolist() == [18, 19, 20]
    assert counted.tolist() == [[0, 0, 2], [1, 0, 3]]
    counted, _ = by_day(days, passed, np.array([1, 1, 0, 0]), 2)
    assert counted.tolist() == [[0, 0, 1, 0, 0, 1], [0, 0, 2, 1, 0, 1]]  # the first group's days, then the second's
