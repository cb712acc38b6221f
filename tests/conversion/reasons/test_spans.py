"""Rows of people in spans of their own: hand-made logs, and searches by hand on random ones."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.reasons import spans as subject
from funnel_lib.conversion.reasons.spans import first_met, kinds, matching, rows_of, spans, ways
from funnel_lib.definition import Step
from tests.conversion.keeping.test_arranging import BEGIN, DAY_US, write

FIRST = int(BEGIN.timestamp()) * 1_000_000
ROWS = [
    ("al", "view", 1), ("al", "buy", 2), ("al", "view", 2), ("al", "view", 4), ("bo", None, 1), ("bo", "view", 3),
    ("bo", "buy", 3), ("bo", "buy", 5),
]  # fmt: skip


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
def either(request, monkeypatch):
    """Both ways: plain Python, and compiled."""
    monkeypatch.setattr(subject, "worth_compiling", lambda rows: request.param)


@pytest.fixture
def log(tmp_path):
    plans = ["pro", None, "free", "pro", None, None, "pro", "free"]
    return EventLog.made(write(tmp_path / "events.parquet", ROWS, plan=plans), "user_id")


def days(*numbers):
    return FIRST + DAY_US * np.array(numbers, dtype=np.int64)


@pytest.mark.usefixtures("either")
def test_rows_later_than_one_moment_and_not_later_than_another(log):
    # al at places 0 to 3 (days 1, 2, 2, 4), bo at 4 to 7 (1, 3, 3, 5); the third is nobody; al once more, with nothing.
    found = spans(log, np.array([0, 1, -1, 0]), days(1, 0, 0, 4), days(2, 3, 9, 9))
    assert found.low.tolist() == [1, 4, 0, 4]
    assert found.high.tolist() == [3, 7, 0, 4]
    owner, rows = rows_of(found)
    assert owner.tolist() == [0, 0, 1, 1, 1]
    assert rows.tolist() == [1, 2, 4, 5, 6]
    late = spans(log, np.array([0]), days(3), days(1))  # ends before it begins
    assert (late.high - late.low).tolist() == [0]


def test_rows_of_a_step(log):
    # In order: al's view, buy, view, view; bo's row without event, view, buy, buy.
    every = np.arange(8)
    assert matching(log, Step("s", event="buy"), every).tolist() == [0, 1, 0, 0, 0, 0, 1, 1]
    assert matching(log, Step("s", event=["buy", "view"]), every).tolist() == [1, 1, 1, 1, 0, 1, 1, 1]
    assert matching(log, Step("s"), every).all()
    assert matching(log, Step("s", event="buy", where={"plan": {"eq": "pro"}}), np.array([6, 7])).tolist() == [1, 0]
    assert matching(log, Step("s", where={"plan": {"is_null": True}}), every).tolist() == [0, 1, 0, 0, 1, 1, 0, 0]
    assert not matching(log, Step("s", event="never", where={"plan": {"eq": "pro"}}), every).any()


@pytest.mark.usefixtures("either")
def test_what_was_met_first(log):
    whole = spans(log, np.array([0, 1, 1]), days(0, 0, 3), days(9, 9, 9))
    found = first_met(log, whole, log.event, len(log.names), [])
    # al met view (place 0), then buy (1); bo view (5) and buy (6), and after day 3 buy once more (7).
    assert found.span.tolist() == [0, 0, 1, 1, 2]
    assert [log.names[thing] for thing in found.thing] == ["view", "buy", "view", "buy", "buy"]
    assert found.row.tolist() == [0, 1, 5, 6, 7]
    assert first_met(log, whole, log.event, len(log.names), ["buy"]).row.tolist() == [0, 5]


@pytest.mark.usefixtures("either")
def test_ways_are_in_order_of_time_and_nothing_follows_itself(log):
    whole = spans(log, np.array([0, 1]), days(0, 0), days(9, 9))
    found = ways(log, whole, log.event, [], most=3)
    # al: view on day 1; on day 2 buy (0), then view (1), the one on day 4 follows it. bo: on day 3 buy, view; then buy.
    assert found.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert ways(log, whole, log.event, ["view"], most=3).tolist() == [[0, -1, -1], [0, -1, -1]]


def test_rows_alike_are_of_one_kind():
    code, places = kinds([np.array([3, 0, 3, 0]), np.array([1, 1, 1, 0])], 4)
    assert code.tolist() == [0, 1, 0, 2]
    assert places.tolist() == [0, 1, 3]
    assert [part.tolist() for part in kinds([], 3)] == [[0, 0, 0], [0]]
    assert [part.tolist() for part in kinds([np.zeros(0, dtype=np.int64)], 0)] == [[], []]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500), st.booleans()), max_size=30))
def test_kinds_are_those_of_the_rows_themselves(rows):
    columns = [np.array([row[place] for row in rows], dtype=np.int64) for place in range(3)]
    code, places = kinds(columns, len(rows))
    assert [rows[place] for place in places[code]] == rows
    assert len(places) == len(set(rows))


CELLS = st.tuples(st.sampled_from(["al", "bo", None]), st.sampled_from(["a", "b", "c", None]), st.integers(0, 6))


@settings(max_examples=25)
@given(st.lists(CELLS, min_size=1, max_size=25), st.integers(-1, 5), st.integers(0, 7), st.sampled_from(["a", "z"]))
def test_the_same_as_a_search_by_hand(tmp_path_factory, rows, after, until, without):
    log = EventLog.made(write(tmp_path_factory.mktemp("log") / "events.parquet", rows), "user_id")
    units = log.units.to_pylist()
    found = spans(log, np.arange(len(units)), days(*[after] * len(units)), days(*[until] * len(units)))
    met = first_met(log, found, log.event, len(log.names), [without])
    taken = ways(log, found, log.event, [without], most=2)
    for place, unit in enumerate(units):
        own = sorted((day, name) for who, name, day in rows if who == unit and name and after < day <= until)
        own = [(day, name) for day, name in own if name != without]
        names = pd.Series([name for _, name in own], dtype="str")
        expected = {name: min(day for day, other in own if other == name) for name in names}
        mine = met.span == place
        at = (log.arrays["at"][met.row[mine]] - FIRST) // DAY_US
        assert dict(zip([log.names[thing] for thing in met.thing[mine]], at, strict=True)) == expected
        changes = names[names != names.shift()].tolist()[:2]
        assert [log.names[thing] for thing in taken[place] if thing >= 0] == changes
