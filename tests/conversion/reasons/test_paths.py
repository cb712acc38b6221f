"""Paths: hand-made touches and conversions with the answers worked out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.reasons.paths import Paths, paths, read_paths
from funnel_lib.errors import ConfigError, DataError

DAY = timedelta(days=1)
START = datetime(2026, 5, 1, tzinfo=UTC)


def touched(rows):
    table = pd.DataFrame(rows, columns=["user_id", "channel", "day"])
    return table.assign(ts=START + pd.to_timedelta(table.pop("day"), unit="D"))


def bought(rows, **columns):
    table = pd.DataFrame(rows, columns=["user_id", "day"])
    return table.assign(ts=START + pd.to_timedelta(table.pop("day"), unit="D"), **columns)


def listed(found: Paths):
    """(channels, conversions, value, nulls) of each path."""
    rows = zip(found.bounds[:-1], found.bounds[1:], found.conversions, found.value, found.nulls, strict=True)
    return sorted(
        ("".join(found.channels[code] for code in found.touches[left:right]), *map(float, rest))
        for left, right, *rest in rows
    )


LONG = START + timedelta(days=365)


def test_a_touch_belongs_to_the_next_conversion_within_the_window():
    found = paths(
        touched([(1, "a", 0), (1, "b", 3), (1, "a", 4), (2, "b", 0), (2, "c", 50), (3, "c", 0)]),
        bought([(1, 3), (1, 5), (2, 40), (4, 1)], value=[10.0, 20.0, 30.0, 40.0]),
        lookback=30 * DAY, as_of=LONG,
    )  # fmt: skip
    # User 1: a, then b at the instant of the purchase; a again before the next. User 2: b is forty days old.
    assert listed(found) == [("a", 1, 20, 0), ("ab", 1, 10, 0), ("b", 0, 0, 1), ("c", 0, 0, 1), ("c", 0, 0, 1)]
    assert (found.untouched, found.untouched_value) == (2, 70)  # of users 2 and 4
    assert found.total == 4
    assert found.channels == ("a", "b", "c")
    assert dict(found.set_aside) == {}


def test_the_window_includes_both_ends():
    at_the_edge = paths(touched([(1, "a", 0)]), bought([(1, 30)]), lookback=30 * DAY)
    assert at_the_edge.conversions.tolist() == [1]
    assert at_the_edge.ages.tolist() == [30]
    beyond = paths(touched([(1, "a", 0)]), bought([(1, 30.001)]), lookback=30 * DAY)
    assert (beyond.nulls.tolist(), beyond.untouched) == ([1], 1)
    after = paths(touched([(1, "a", 2)]), bought([(1, 1)]), lookback=30 * DAY, as_of=LONG)
    assert (after.nulls.tolist(), after.untouched) == ([1], 1)


def test_touches_that_led_to_nothing_are_cut_at_long_pauses():
    found = paths(
        touched([(1, "a", 0), (1, "b", 20), (1, "c", 60), (2, "a", 0)]), bought([]), lookback=30 * DAY, as_of=LONG
    )
    assert listed(found) == [("a", 0, 0, 1), ("ab", 0, 0, 1), ("c", 0, 0, 1)]


def test_a_path_that_may_still_convert_is_set_aside():
    found = paths(touched([(1, "a", 0), (2, "b", 25)]), bought([]), lookback=30 * DAY, as_of=START + 31 * DAY)
    assert listed(found) == [("a", 0, 0, 1)]
    assert found.set_aside["open"] == 1
    assert found.ages.tolist() == [0]


def test_a_path_is_over_as_soon_as_something_else_ends_it():
    # Two days after the last touch; within a look-back of 30 days it could convert, within a horizon of 2 it cannot.
    log, known = touched([(1, "a", 0)]), {"lookback": 30 * DAY, "as_of": START + 2 * DAY}
    assert paths(log, bought([]), **known).set_aside["open"] == 1
    assert listed(paths(log, bought([]), **known, horizon=2 * DAY)) == [("a", 0, 0, 1)]
    assert paths(log, bought([]), **known, horizon=2.1 * DAY).set_aside["open"] == 1
    # It ends no look-back: a conversion after the horizon is still that of the touch.
    late = paths(log, bought([(1, 20)]), lookback=30 * DAY, horizon=2 * DAY)
    assert late.conversions.tolist() == [1]


def test_later_rows_do_not_exist_yet():
    rows, sold = touched([(1, "a", 0), (1, "b", 9)]), bought([(1, 10)])
    found = paths(rows, sold, lookback=5 * DAY, as_of=START + 6 * DAY)
    assert listed(found) == [("a", 0, 0, 1)]
    assert found.set_aside["later"] == 2


def test_rows_that_follow_each_other_are_one_touch():
    rows = touched([(1, "a", 0), (1, "a", 0.01), (1, "b", 0.02), (1, "a", 0.03), (1, "a", 0.5), (2, "a", 0.011)])
    found = paths(rows, bought([(1, 1)]), pause=timedelta(minutes=30), as_of=LONG)
    assert listed(found) == [("a", 0, 0, 1), ("abaa", 1, pytest.approx(np.nan, nan_ok=True), 0)]


def test_conversions_of_one_instant_are_one_path():
    found = paths(touched([(1, "a", 0)]), bought([(1, 1), (1, 1)], value=[3.0, 4.0]))
    assert listed(found) == [("a", 2, 7, 0)]


def test_what_cannot_be_used_is_counted():
    rows = pd.concat([touched([(1, None, 0), (None, "a", 0), (1, "a", 0)]), touched([(1, "b", None)])])
    found = paths(rows, bought([(1, 1), (1, 2)], value=[None, 5.0]))
    assert dict(found.set_aside) == {"no_channel": 1, "no_user": 1, "no_time": 1, "no_value": 1}
    assert listed(found) == [("a", 1, 0, 0)]


def test_times_without_zone_are_utc_and_ids_may_be_text():
    rows = pd.DataFrame({"user_id": ["u", "u"], "channel": ["a", "b"], "ts": ["2026-05-01 00:00", "2026-05-02 00:00"]})
    sold = pd.DataFrame({"user_id": ["u"], "ts": [pd.Timestamp("2026-05-02T08:00", tz="Asia/Shanghai")]})
    assert listed(paths(rows, sold))[0][0] == "ab"


def test_nothing_gives_empty_paths():
    for rows, sold in (([], []), ([], [(1, 0)]), ([(1, "a", 0)], [])):
        found = paths(touched(rows), bought(sold), as_of=LONG)
        assert found.total == len(sold)
        assert len(found.bounds) == len(rows) + 1


rows_of_touches = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(0, 40)), max_size=30)
rows_of_conversions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=10)


@settings(max_examples=200, deadline=None)
@given(rows_of_touches, rows_of_conversions, st.integers(1, 20))
def test_paths_are_those_of_a_plain_loop(rows, sold, window):
    found = paths(touched(rows), bought(sold, value=1.0), lookback=window * DAY, as_of=LONG)
    expected, times = [], {}
    for user, day in sold:
        times.setdefault(user, {}).setdefault(day, 0)
        times[user][day] += 1
    serving = 0
    for user in range(4):
        lead, rest = {}, []
        for _, channel, day in sorted((user, channel, day) for u, channel, day in rows if u == user):
            after = min((at for at in times.get(user, {}) if at >= day), default=None)
            if after is not None and after - day <= window:
                lead.setdefault(after, []).append((day, channel))
            else:
                rest.append((day, channel, after))
        for after, part in lead.items():
            serving += times[user][after]
            expected.append(("".join(c for _, c in sorted(part)), times[user][after], times[user][after], 0))
        path, last = "", None
        for day, channel, after in sorted(rest, key=lambda one: one[:2]):
            if last and (day - last[0] > window or after != last[1]):
                expected.append((path, 0, 0, 1))
                path = ""
            path, last = path + channel, (day, after)
        expected += [(path, 0, 0, 1)] if path else []
    assert listed(found) == sorted((path, *map(float, rest)) for path, *rest in expected)
    assert found.untouched == len(sold) - serving


@settings(max_examples=50, deadline=None)
@given(rows_of_touches, rows_of_conversions, st.randoms())
def test_the_sequence_of_rows_does_not_matter(rows, sold, random):
    one = paths(touched(rows), bought(sold, value=1.0), as_of=LONG)
    mixed, mixed_sold = random.sample(rows, len(rows)), random.sample(sold, len(sold))
    assert listed(one) == listed(paths(touched(mixed), bought(mixed_sold, value=1.0), as_of=LONG))


def test_counted_paths_are_read():
    table = pd.DataFrame({"path": ["b > a > b", "a", "", None], "conversions": [3, 0, 2, 1], "nulls": [1, 4, 0, 0]})
    found = read_paths(table)
    assert found.channels == ("a", "b")
    assert found.touches.tolist() == [1, 0, 1, 0]
    assert found.bounds.tolist() == [0, 3, 4]
    assert (found.conversions.tolist(), found.nulls.tolist()) == ([3, 0], [1, 4])
    assert found.untouched == 3
    assert found.total == 6
    assert np.isnan(found.value).all()
    assert found.ages is None
    assert read_paths(table.iloc[:0]).total == 0


def test_wrong_input_is_refused():
    rows, sold = touched([(1, "a", 0)]), bought([(1, 1)])
    with pytest.raises(DataError, match="column is missing"):
        paths(rows.drop(columns="channel"), sold)
    with pytest.raises(DataError, match="column is missing"):
        read_paths(pd.DataFrame({"path": ["a"]}))
    with pytest.raises(DataError, match="negative"):
        read_paths(pd.DataFrame({"path": ["a"], "conversions": [-1]}))
    with pytest.raises(ConfigError, match="look-back"):
        paths(rows, sold, lookback=0 * DAY)
