"""Rows of a log: groups, people, and the time until others follow, beside a look at every pair of rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.kpis.rows import NEVER, Rows, compiled, follow, grouped
from funnel_lib.schema import USER_ID
from tests.conversion.keeping.test_arranging import DAY_US, write

ROWS = [("al", "view", 1), ("al", "buy", 1), ("al", "buy", 3), ("bo", "buy", 1), ("bo", "view", 2), ("bo", "buy", 2)]


@pytest.fixture
def log(tmp_path):
    devices = ["phone", "desk", "", "phone", "phone", None]
    return EventLog.made(write(tmp_path / "events.parquet", ROWS, device=devices), USER_ID)


def test_rows_are_counted_by_person_and_group(log):
    rows = Rows.of(log, log.find(["buy"], tell=["device"]))
    assert (len(rows), rows.people, rows.begins.tolist()) == (4, 2, [0, 2])
    sums, sizes = rows.per_person(np.array([1.0, 2, 4, 8]))
    assert (sums.tolist(), sizes.tolist()) == ([3, 12], [2, 2])
    # An empty text and a missing one are both unknown; of groups of one size, by name.
    groups = {name: rows.take(own).places.tolist() for name, own in rows.groups("device")}
    assert list(groups.items()) == [("unknown", [2, 5]), ("desk", [1]), ("phone", [3])]
    assert rows.tells("device")
    assert [name for name, _ in rows.groups(None)] == [""]
    assert rows.firsts().places.tolist() == [1, 3]


def test_no_rows_are_one_group_of_nobody(log):
    rows = Rows.of(log, log.find(["never"], tell=["device"]))
    assert (len(rows), rows.people, len(rows.firsts()), rows.tells("device")) == (0, 0, 0, False)
    assert [(name, len(rows.take(own))) for name, own in rows.groups("device")] == [("", 0)]
    assert [len(part) for part in rows.per_person(np.zeros(0))] == [0, 0]


def test_values_that_are_written_alike_are_one_group():
    # 1, 1.0 and "1" (rows 0, 1, 3), true (2), and a missing one.
    values = pd.Series([1, 1.0, True, "1", None], dtype=object)
    found = {name: rows.tolist() for name, rows in grouped(values, np.array([0, 1, 2, 3, -1]))}
    assert found == {"1": [0, 1, 3], "true": [2], "unknown": [4]}


def test_what_happens_at_one_instant_follows_at_once_unless_it_must_be_later(log):
    views, buys = (Rows.of(log, log.find([name])) for name in ("view", "buy"))
    # al: views, then buys at that instant, again after two days; bo: views at the instant of the second time.
    assert views.waits(buys.places, later=False).tolist() == [0, 0]
    assert views.waits(buys.places, later=True).tolist() == [2 * DAY_US, NEVER]
    assert buys.firsts().waits(buys.places, later=True).tolist() == [2 * DAY_US, DAY_US]
    # What stands before a row in the file, at its instant, follows too.
    assert Rows.of(log, log.find(["buy"])).waits(views.places, later=False).tolist() == [0, NEVER, DAY_US, 0]


RUNS = {"plain": follow, "compiled": compiled()["follow"]}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
@given(
    cells=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from(["view", "buy"])), max_size=20),
    later=st.booleans(),
)  # fmt: skip
def test_waits_are_those_of_every_pair(run, cells, later):
    cells = sorted(cells, key=lambda cell: cell[:2])  # by person and moment; those of one instant in any order
    person, at = (np.array([cell[part] for cell in cells], dtype=np.int64) for part in (0, 1))
    starts, ends = ([p for p, cell in enumerate(cells) if cell[2] == name] for name in ("view", "buy"))
    for places, then in ((starts, ends), (starts, starts)):
        waits = np.full(len(places), NEVER)
        run(np.array(places, dtype=np.int64), np.array(then, dtype=np.int64), person, at, later, waits)
        for place, wait in zip(places, waits, strict=True):
            gaps = [at[end] - at[place] for end in then if person[end] == person[place]]
            assert wait == min((gap for gap in gaps if gap >= later), default=NEVER)
