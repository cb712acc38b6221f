"""The first thing after a step, in a frame and in the log in numbers; random logs: see the tests of `stopping`."""

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.afterwards import first_event, first_step
from funnel_lib.conversion.reasons.stopping import FOREVER, Stopped
from funnel_lib.definition import Funnel, Step
from tests.conversion.keeping.test_arranging import BEGIN, DAY_US, write

FIRST = int(BEGIN.timestamp()) * 1_000_000
ROWS = [
    ("al", "b", 1), ("al", None, 2), ("al", "c", 3), ("al", "a", 3), ("al", "z", 4), ("bo", "z", 1), ("bo", "a", 6),
    (None, "z", 2),
]  # fmt: skip


@pytest.fixture(params=["frame", "log"])
def events(request, tmp_path):
    path = write(tmp_path / "events.parquet", ROWS, plan=["x"] * 3 + ["y"] + ["x"] * 4)
    return pd.read_parquet(path) if request.param == "frame" else EventLog.made(path, "user_id")


def who(units, last, until):
    """Return those who did their last step on one day and may go on until another."""
    moments = (FIRST + DAY_US * np.array(days, dtype=np.int64) for days in (last, until))
    return Stopped(pd.Series(units, dtype="str"), None, *moments)


def test_the_first_event_in_time(events):
    # al after day 1: on day 3 c and a, of which a comes first by name (the row of day 2 names no event); after day 3 it
    # is z. bo until day 5: nothing; until day 6: a. cy has no events.
    asked = who(["al", "al", "bo", "bo", "cy"], [1, 3, 1, 1, 0], [9, 9, 5, 6, 9])
    found = first_event(events, asked, "user_id", 1)
    assert found["what"].astype("object").where(found["what"].notna(), None).tolist() == ["a", "z", None, "a", None]
    np.testing.assert_array_equal(found["days"].astype(float), [2, 1, np.nan, 5, np.nan])


def test_times_are_cut_before_they_are_compared(events):
    # In steps of two days al's rows lie on days 0 (b), 2 (c, a) and 4 (z): after day 2 the first is z, two days later.
    found = first_event(events, who(["al", "al"], [2, 0], [9, 9]), "user_id", 2 * DAY_US)
    assert found["what"].tolist() == ["z", "a"]
    assert found["days"].tolist() == [2, 2]


def test_the_first_step_and_of_one_instant_the_furthest(events):
    steps = Funnel(steps=[Step("one", event=["a", "b"]), Step("two", event="c"), Step("three", event="z")])
    found = first_step(events, who(["al", "al", "bo"], [0, 1, 1], [9, 9, 5]), steps, 1)
    assert found["what"].tolist() == [1, 2, 0]
    np.testing.assert_array_equal(found["days"].astype(float), [1, 2, np.nan])


def test_a_step_has_conditions(events):
    steps = Funnel(
        steps=[Step("one", event="a", where={"plan": {"eq": "x"}}), Step("two", where={"plan": {"eq": "y"}})]
    )
    found = first_step(events, who(["al", "bo"], [0, 0], [9, 9]), steps, 1)
    assert found["what"].tolist() == [2, 1]  # of al's events only the a of day 3 is of plan y
    assert found["days"].tolist() == [3, 6]


def test_without_an_end_all_that_is_known_counts(events):
    asked = who(["al"], [3], [9])._replace(until_us=np.array([FOREVER]))
    assert first_event(events, asked, "user_id", 1)["what"].tolist() == ["z"]


def test_nobody_did_nothing(events):
    nobody = who([], [], [])
    assert len(first_event(events, nobody, "user_id", 1)) == 0
    assert len(first_step(events, nobody, Funnel(steps=[Step("one", event="a")]), 1)) == 0
