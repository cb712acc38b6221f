from datetime import UTC, datetime

import pandas as pd
import pytest

from funnel_lib.conversion.reasons.touches import touches

DAY = [datetime(2026, 5, day, tzinfo=UTC) for day in range(1, 10)]


@pytest.fixture
def events(tmp_path):
    rows = [
        ("zoe", "mail", DAY[1]), ("amy", "search", DAY[2]), ("amy", "mail", DAY[1]), ("bob", "mail", DAY[3]),
        ("bob", None, DAY[3]), (None, "mail", DAY[3]), ("zoe", "social", DAY[0]), ("bob", "search", DAY[5]),
    ]  # fmt: skip
    path = tmp_path / "events.parquet"
    frame = pd.DataFrame(rows, columns=["user_id", "channel", "ts"])
    frame.astype({"user_id": "str", "channel": "str", "ts": "datetime64[us, UTC]"}).to_parquet(path, index=False)
    return path


def _told(found):
    named = found.users.to_pylist()
    rows = zip(found.frame["user_id"], found.frame["channel"], found.frame["ts"], strict=True)
    return sorted((named[user], channel, ts.day - 1) for user, channel, ts in rows)


def test_events_with_a_person_and_a_channel_are_touches_from_the_first_moment_to_before_the_last(events):
    # Left out: no channel, no person, zoe's social visit (day 0, before), bob's search (day 5: the end is not in it).
    found = touches(events, since=DAY[1], until=DAY[5])
    assert _told(found) == [("amy", "mail", 1), ("amy", "search", 2), ("bob", "mail", 3), ("zoe", "mail", 1)]
    assert found.users.to_pylist() == ["amy", "bob", "zoe"]
    assert found.frame["user_id"].is_monotonic_increasing


def test_without_an_end_all_later_ones_count_and_only_of_the_people_asked_for(events):
    found = touches(events, since=DAY[0], units=pd.Series(["bob", "nobody"]))
    assert _told(found) == [("bob", "mail", 3), ("bob", "search", 5)]


def test_channels_of_few_people_are_other_by_people_not_by_events(events):
    # mail: amy, bob, zoe; search: amy, bob; social: zoe.
    channels = touches(events, since=DAY[0], least=3).frame["channel"]
    assert channels.value_counts().to_dict() == {"mail": 3, "other": 3}


def test_people_are_numbered_as_in_the_touches_and_others_get_numbers_of_their_own(events):
    found = touches(events, since=DAY[0])
    numbers = found.numbered(pd.Series(["zoe", "new", "amy", "newer", "new"], index=[5, 6, 7, 8, 9]))
    assert numbers.to_dict() == {5: 2, 6: 3, 7: 0, 8: 4, 9: 3}


def test_nobody_came_or_no_channel_is_known(events, tmp_path):
    empty = touches(events, since=DAY[8])
    assert empty.frame.empty
    assert empty.numbered(pd.Series(["amy"])).tolist() == [0]
    plain = tmp_path / "plain.parquet"
    pd.read_parquet(events).drop(columns="channel").to_parquet(plain)
    assert touches(plain, since=DAY[0]) is None
