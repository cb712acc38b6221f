"""Who stopped, and until when they could have gone on: the log in numbers against the events themselves."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.journeys import UnmatchedStep, journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons.afterwards import first_event, first_step
from funnel_lib.conversion.reasons.stopping import FOREVER, check_step, closed, stopped
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError
from tests.conversion.keeping.test_arranging import BEGIN, DAY_US, write

STEPS = [Step("a", event="a"), Step("b", event=["b", "x"]), Step("c", event="c")]
FUNNEL = Funnel(steps=STEPS, window="3d")
FIRST = int(BEGIN.timestamp()) * 1_000_000


def logged(folder, rows, **columns):
    """Return rows `(user, event, day)` as a frame and as a log in numbers."""
    path = write(folder / "events.parquet", rows, **columns)
    return pd.read_parquet(path), EventLog.made(path, "user_id")


def test_later_entries_do_not_hide_who_stopped(tmp_path):
    # al stopped at b on day 2 and entered anew on day 8, whose window is open on day 10; bo never did more than a.
    rows = [("al", "a", 1), ("al", "b", 2), ("al", "a", 8), ("al", "b", 9), ("al", "c", 9), ("bo", "a", 2)]
    frame, log = logged(tmp_path, [*rows, ("zed", "z", 10)])
    found = journeys(frame, FUNNEL)
    assert closed(found).tolist() == [False, True]
    for events in (frame, log):
        who = stopped(events, found, 2)
        assert who.unit.tolist() == ["al"]
        assert ((who.last_us - FIRST) // DAY_US).tolist() == [2]
        assert ((who.until_us - FIRST) // DAY_US).tolist() == [4]  # three days after the entry
    assert stopped(log, found, 1).person.tolist() == [1]


def test_without_a_window_all_that_is_known_counts(tmp_path):
    frame, log = logged(tmp_path, [("al", "a", 1), ("al", "b", 2), ("bo", "c", 9)])
    found = journeys(frame, Funnel(steps=STEPS))
    assert ((stopped(log, found, 2).until_us - FIRST) // DAY_US).tolist() == [9]
    assert (np.diff(stopped(frame, found, 2).until_us) < FOREVER).all()


def test_nobody_stops_at_the_last_step(tmp_path):
    frame, _ = logged(tmp_path, [("al", "a", 1)])
    found = journeys(frame, FUNNEL)
    for step, least in ((3, 1), (0, 1), (1, 2)):
        with pytest.raises(ConfigError, match="can stop"):
            check_step(found, step, least)


CELLS = st.tuples(
    st.sampled_from(["al", "bo", "cy", None]), st.sampled_from(["a", "a", "a", "b", "b", "c", "x", "z", None]),
    st.one_of(st.none(), st.integers(0, 9)), st.sampled_from(["pro", "free", None]),
)  # fmt: skip
FUNNELS = [
    FUNNEL,
    Funnel(steps=STEPS),
    Funnel(steps=[STEPS[0], Step("b", event="b", where={"plan": {"eq": "pro"}}), STEPS[2]], window="3d"),
    Funnel(steps=[Step("a", event="a", where={"plan": {"ne": "free"}}), Step("any"), STEPS[2]], window="2d"),
    Funnel(steps=STEPS, window="3d", order="any"),
    Funnel(steps=STEPS, window="3d", order="strict"),
    Funnel(steps=STEPS, window="3d", open=True),
    Funnel(steps=STEPS, window="3d", counting="entries"),
    Funnel(steps=STEPS, window="3d", matching={"resolution": "2d"}),
    Funnel(steps=STEPS, window="3d", hold_constant=["plan"]),
    Funnel(steps=STEPS, window="3d", exclusions=[{"event": "z", "after": 0, "before": 1}]),
    Funnel(steps=[STEPS[0], Step("b", event="b", optional=True), STEPS[2]], window="3d"),
]


@pytest.mark.parametrize("funnel", FUNNELS, ids=range(len(FUNNELS)))
@settings(max_examples=6)
@given(rows=st.lists(CELLS, min_size=4, max_size=30), step=st.integers(1, 2))
def test_the_log_in_numbers_gives_what_the_events_give(tmp_path_factory, funnel, rows, step):
    rows = [*rows, ("al", "a", 1, "pro"), ("zed", "z", 8, None)]
    frame, log = logged(tmp_path_factory.mktemp("log"), [row[:3] for row in rows], plan=[row[3] for row in rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)
        found = journeys(frame, funnel)
        one, two = stopped(frame, found, step), stopped(log, found, step)
    assert one.unit.tolist() == two.unit.tolist()
    assert one.last_us.tolist() == two.last_us.tolist()
    assert one.until_us.tolist() == two.until_us.tolist()
    resolution = 2 * DAY_US if funnel.matching.resolution else 1
    earlier = Funnel(steps=funnel.steps[:step])
    pd.testing.assert_frame_equal(
        first_event(frame, one, "user_id", resolution).astype({"what": "str", "days": float}),
        first_event(log, two, "user_id", resolution).astype({"what": "str", "days": float}), check_index_type=False,
        check_names=False,
    )  # fmt: skip
    pd.testing.assert_frame_equal(
        first_step(frame, one, earlier, resolution).astype({"days": float}),
        first_step(log, two, earlier, resolution), check_index_type=False, check_names=False,
    )  # fmt: skip
