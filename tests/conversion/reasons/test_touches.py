"""Touches of a log, and the paths that are made of them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.paths import paths
from funnel_lib.conversion.reasons.touches import touches
from tests.conversion.keeping.test_arranging import BEGIN, write
from tests.conversion.reasons.test_paths import listed

DAY = [datetime(2026, 5, day, tzinfo=UTC) for day in range(1, 10)]
ROWS = [
    ("zoe", "mail", 1), ("amy", "search", 2), ("amy", "mail", 1), ("bob", "mail", 3), ("bob", None, 3),
    (None, "mail", 3), ("zoe", "social", 0), ("bob", "search", 5),
]  # fmt: skip


def made(path, rows):
    """Write rows `(user, channel, day)` and return their log."""
    named = [(user, "visit", day) for user, _, day in rows]
    return EventLog.made(write(path, named, channel=pd.Series([row[1] for row in rows], dtype="str")), "user_id")


@pytest.fixture
def log(tmp_path):
    return made(tmp_path / "events.parquet", ROWS)


def _told(log, found):
    """(person, channel, day) of each touch."""
    rows, named = found.rows, log.units.to_pylist()
    times = rows.at
    people = range(len(rows.low)) if found.people is None else found.people
    for person, low, high in zip(people, rows.low, rows.high, strict=True):
        for row in range(low, high):
            channel = rows.meaning[rows.kind[row]]
            if channel >= 0 and found.first <= times[row] <= found.last:
                day = pd.Timestamp(times[row], unit="us", tz="UTC").day - 1
                yield named[person], found.channels[channel], day


def test_events_with_a_person_and_a_channel_are_touches_from_the_first_moment_to_before_the_last(log):
    # Left out: no channel, no person, zoe's social visit (day 0, before), bob's search (day 5: the end is not in it).
    found = touches(log, since=DAY[1], before=DAY[5])
    assert list(_told(log, found)) == [("amy", "mail", 1), ("amy", "search", 2), ("bob", "mail", 3), ("zoe", "mail", 1)]
    assert found.channels == ("mail", "search")
    up_to_now = touches(log, since=DAY[1], before=DAY[5], until=DAY[2])
    assert [day for *_, day in _told(log, up_to_now)] == [1, 2, 1]


def test_without_an_end_all_later_ones_count_and_only_of_the_people_asked_for(log):
    found = touches(log, since=DAY[0], people=log.persons(pd.Series(["bob", "nobody"])))
    assert list(_told(log, found)) == [("bob", "mail", 3), ("bob", "search", 5)]
    assert found.places(np.array([0, 1, 2, -1])).tolist() == [-1, 0, -1, -1]
    assert found.newest == int(DAY[5].timestamp() * 1e6)


def test_channels_of_few_people_are_other_by_people_not_by_events(log):
    # mail: amy, bob, zoe; search: amy, bob; social: zoe.
    told = [channel for _, channel, _ in _told(log, touches(log, since=DAY[0], least=3))]
    assert sorted(told) == ["mail"] * 3 + ["other"] * 3


def test_nobody_came_or_no_channel_is_known(log, tmp_path):
    empty = touches(log, since=DAY[8])
    assert empty.channels == ()
    assert list(_told(log, empty)) == []
    nobody = touches(log, since=DAY[0], people=np.array([-1]))
    assert nobody.places(np.array([0, 5])).tolist() == [-1, -1]
    plain = EventLog.made(write(tmp_path / "plain.parquet", [("amy", "visit", 1)]), "user_id")
    assert touches(plain, since=DAY[0]) is None


def _cut(rows, sold, look_back, horizon, pause, known):
    """Return the paths as `listed` does, the open ones, and the conversions without a touch, by a plain loop."""
    found, still, without = [], 0, 0
    for user in sorted({user for user, *_ in rows + sold if user is not None}):
        log = [(day, channel) for one, channel, day in rows if one == user and channel and day is not None]
        moments = sorted({day for one, day in sold if one == user and day <= known})
        log = sorted([row for row in log if row[0] <= known] + [(day, "~") for day in moments])  # touches come first
        kept = [
            row for before, row in zip([(-99, ""), *log], log, strict=False)
            if row[1] == "~" or row[1] != before[1] or row[0] - before[0] > pause
        ]  # fmt: skip
        since, rest = [], []
        for day, channel in kept:
            if channel != "~":
                since.append((day, channel))
                continue
            count = sum(one == user and at == day for one, at in sold)
            led = [row for row in since if day - row[0] <= look_back]
            rest += [*(row for row in since if row not in led), None]
            found += [("".join(channel for _, channel in led), float(count), float(count), 0.0)] if led else []
            without, since = without + (0 if led else count), []
        path, last = "", None
        for row in [*rest, *since, None]:
            if path and (row is None or row[0] - last > look_back):
                still += last + horizon > known
                found += [(path, 0.0, 0.0, 1.0)] if last + horizon <= known else []
                path = ""
            path, last = (path + row[1], row[0]) if row else ("", None)
    return sorted(found), still, without


@pytest.mark.parametrize(
    ("look_back", "horizon", "pause", "known"), [(5, 5, 0, 30), (12, 4, 2, 20), (1, 1, 1, 25), (3, 9, 3, 12)]
)
def test_paths_of_a_log_are_those_of_a_plain_loop(tmp_path, look_back, horizon, pause, known):
    rng, day = np.random.default_rng(look_back), timedelta(days=1)
    users = [*(f"u{number}" for number in range(150)), None]
    rows = [(users[rng.integers(151)], [*"abc", None][rng.integers(4)], rng.integers(31)) for _ in range(1500)]
    rows += [("u1", "a", None), (None, None, None)]
    sold = [(users[rng.integers(100)], int(rng.integers(31))) for _ in range(200)] + [("nobody", 3)]
    log = made(tmp_path / "events.parquet", rows)
    person = log.persons(pd.Series([user for user, _ in sold], dtype="str"))
    when = pd.to_datetime([BEGIN + at * day for _, at in sold], utc=True)
    found = paths(
        touches(log, since=BEGIN), pd.DataFrame({"user_id": person, "ts": when, "value": 1.0}),
        lookback=look_back * day, pause=pause * day, as_of=BEGIN + known * day, horizon=horizon * day,
    )  # fmt: skip
    listing, still, without = _cut(rows, sold, look_back, horizon, pause, known)
    assert listed(found) == listing
    assert (found.set_aside["open"], found.untouched, found.untouched_value) == (still, without, without)
    assert min(still, without, found.total) > 0
