"""Everybody counts once, by the first entry, for the same time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError
from funnel_lib.optimisation.people import enter, part

WEEK = timedelta(days=7)


def test_a_part_of_the_funnel_keeps_the_steps_between_and_gets_its_own_window():
    funnel = Funnel([Step(name) for name in "abcd"], window="30d", unit="session_id")
    found = part(funnel, ("b", "d"), WEEK)
    assert (found.names, found.window, found.unit) == (["b", "c", "d"], WEEK, "session_id")
    assert funnel.names == list("abcd")


def test_a_snapshot_has_no_times_to_count():
    funnel = Funnel([Step("lead"), Step("won", column="won")], snapshot="users")
    with pytest.raises(ConfigError, match="needs events with times"):
        part(funnel, ("lead", "won"), WEEK)


def test_everybody_who_entered_is_there_with_groups_and_outcome(world):
    world.people("s", {"register": 2, "payment": 1}, day="2026-01-05", job="student")
    world.people("w", {"register": 1}, day="2026-01-06", job="employed")
    world.people("n", {"visit": 3}, day="2026-01-07")  # never registered
    world.people("z", {"register": 1}, day="2026-03-01")
    frame = enter(world.scope(), ("register", "payment"), WEEK).frame.set_index("unit")
    assert frame["converted"].to_dict() == {"s0": True, "s1": False, "w0": False, "z0": False}
    assert frame["audience"].to_dict() == {"s0": "student", "s1": "student", "w0": "working", "z0": "unknown"}
    assert frame.loc["s0", "entered"] == datetime(2026, 1, 5, 4, 1, tzinfo=UTC)


def test_a_later_entry_neither_helps_nor_harms(world):
    # a registers on the 5th, again on the 20th, and pays on the 21st: not within 7 days of the first entry
    # b registers on the 5th, pays on the 7th, registers again on the 20th
    for user, paid in (("a", "2026-01-21"), ("b", "2026-01-07")):
        for day in ("2026-01-05", "2026-01-20"):
            world.did(user, "sign_up", f"{day}T10:00")
        world.did(user, "lesson", f"{paid}T09:00")
        world.did(user, "purchase", f"{paid}T10:00", amount=1.0)
    world.people("z", {"visit": 1}, day="2026-03-01")
    frame = enter(world.scope(), ("register", "payment"), WEEK).frame.set_index("unit")
    assert frame["converted"].to_dict() == {"a": False, "b": True}


def test_the_window_includes_its_last_instant_and_closes_with_it(world):
    for user, at in (("a", "2026-01-12T10:00"), ("b", "2026-01-12T10:01")):
        world.did(user, "sign_up", "2026-01-05T10:00")
        world.did(user, "lesson", "2026-01-06T10:00")
        world.did(user, "purchase", at, amount=1.0)
    world.did("c", "sign_up", "2026-01-05T10:02")
    world.did("d", "sign_up", "2026-01-05T10:01")
    world.users.append({"user_id": "a", "job": "student"})
    scope = world.scope()
    people = enter(scope, ("register", "payment"), WEEK)
    frame = people.frame.set_index("unit")
    # the newest event is of 12 January 10:01: all windows have closed, that of d just now, but for c's
    assert frame["converted"].to_dict() == {"a": True, "b": False, "c": False, "d": False}
    assert frame["closed"].to_dict() == {"a": True, "b": True, "c": False, "d": True}
    assert people.closed["unit"].tolist() == ["a", "b", "d"]
    early = enter(replace(scope, as_of=datetime(2026, 1, 10, tzinfo=UTC)), ("register", "payment"), WEEK)
    assert not early.frame["closed"].any()


def test_the_scopes_segment_does_not_narrow_a_comparison(world):
    world.people("s", {"register": 2}, day="2026-01-05", job="student")
    world.people("w", {"register": 3, "payment": 1}, day="2026-01-05", job="employed")
    scope = replace(world.scope(), segment="audience=student")
    assert len(enter(scope, ("register", "payment"), WEEK).frame) == 5
