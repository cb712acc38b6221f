from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funnel_lib as fl
from funnel_lib.conditions import meets
from funnel_lib.conversion.keeping import eventlog
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.errors import DataError
from funnel_lib.schema import USER_ID
from tests.conversion.keeping.test_arranging import BEGIN, write

ROWS = [("bo", "view", 3), ("al", "buy", 2), ("bo", "buy", 1), ("al", "view", 2), ("al", None, 1)]
MORE = {
    "device": ["phone", "desk", None, "phone", "desk"], "amount": [None, 20.0, 5.0, None, None],
    "properties": ['{"plan": "pro"}', '{"plan": 2}', "{}", '{"plan": true}', None],
}  # fmt: skip


@pytest.fixture
def log(tmp_path):
    return EventLog.made(write(tmp_path / "events.parquet", ROWS, **MORE), USER_ID)


def test_events_are_found_by_name_time_and_condition(log):
    # Places: al's nameless row 0, buy 1, view 2; bo's buy 3, view 4.
    assert len(log) == 5
    assert log.find().places.tolist() == [0, 1, 2, 3, 4]
    assert log.find(["buy"]).places.tolist() == [1, 3]
    assert log.find(["view", "buy"]).places.tolist() == [1, 2, 3, 4]
    assert log.find(["never"]).places.tolist() == []
    day = timedelta(days=1)
    assert log.find(["buy"], since=BEGIN + 2 * day).places.tolist() == [1]
    assert log.find(["buy"], before=BEGIN + 2 * day).places.tolist() == [3]
    assert log.find(["buy"], until=BEGIN + 2 * day).places.tolist() == [1, 3]
    assert log.find(where={"device": {"eq": "phone"}}).places.tolist() == [2, 4]
    assert log.find(["buy"], where={"plan": {"ne": 2}}).places.tolist() == [3]
    assert log.find(where={"plan": {"is_null": True}}).places.tolist() == [0, 3]


def test_rows_tell_columns_and_properties(log):
    found = log.find(["buy", "view"], since=BEGIN + timedelta(days=2), tell=["device", "amount", "plan"])
    assert found.places.tolist() == [1, 2, 4]
    told = found.told
    assert told["device"].distinct()[told["device"].codes].tolist() == ["desk", "phone", "phone"]
    np.testing.assert_array_equal(told["amount"].numbers(), [20, np.nan, np.nan])
    assert told["plan"].distinct()[told["plan"].codes].tolist() == [2, True, "pro"]


def test_a_log_says_whether_events_tell_of_something(log):
    assert log.tells(["buy"], "amount")
    assert not log.tells(["view"], "amount")  # only both buys have one
    assert log.tells(None, "plan")
    assert not log.tells(["never"], "plan")


def test_persons_are_found(log):
    assert log.persons(pd.Series(["bo", "cy", "al"], dtype="str")).tolist() == [1, -1, 0]
    assert log.persons(pd.Series([], dtype="str")).tolist() == []


def test_many_persons_are_found_whether_they_ascend_or_not(tmp_path, monkeypatch):
    rows = [(f"u{number}", "view", 1) for number in range(60)]
    log = EventLog.made(write(tmp_path / "events.parquet", rows), USER_ID)
    monkeypatch.setattr(eventlog, "worth_compiling", lambda rows: True)
    asked = [*sorted(f"u{number}" for number in range(0, 60, 3)), "z"]
    texts = log.units.to_pylist()
    for wanted in (asked, asked[::-1]):
        expected = [texts.index(unit) if unit in texts else -1 for unit in wanted]
        assert log.persons(pd.Series(wanted, dtype="str")).tolist() == expected


def test_a_column_that_nobody_collected_is_said(tmp_path):
    log = EventLog.made(write(tmp_path / "events.parquet", ROWS), USER_ID)
    with pytest.raises(DataError, match="no column 'plan'"):
        log.find(tell=["plan"])


CELLS = st.tuples(
    st.sampled_from(["al", "bo", "cy", None]), st.sampled_from(["view", "buy", None]),
    st.one_of(st.none(), st.integers(0, 5)), st.sampled_from(["phone", "desk", None]),
)  # fmt: skip


@given(st.lists(CELLS, max_size=30), st.sampled_from([None, ["buy"], ["buy", "view"]]), st.integers(0, 4))
def test_what_is_found_is_what_a_filter_finds(tmp_path_factory, rows, names, day):
    path = write(
        tmp_path_factory.mktemp("log") / "events.parquet", [row[:3] for row in rows], device=[row[3] for row in rows]
    )
    frame = pd.read_parquet(path)
    since, where = BEGIN + timedelta(days=day), {"device": {"ne": "phone"}}
    log = EventLog.made(path, USER_ID)
    found = log.find(names, where=where, since=since, tell=["device"])
    kept = frame[frame["user_id"].notna() & (frame["ts"] >= pd.Timestamp(since)) & meets(frame, where)]
    kept = kept if names is None else kept[kept["event"].isin(names)]
    expected = kept.sort_values(["user_id", "ts"], kind="stable")
    assert log.units.take(log.person[found.places]).to_pylist() == expected["user_id"].tolist()
    assert log.arrays["at"][found.places].tolist() == expected["ts"].astype("int64").tolist()
    distinct = found.told["device"].distinct().tolist()
    devices = [None if pd.isna(distinct[code]) else distinct[code] for code in found.told["device"].codes]
    assert devices == [None if pd.isna(device) else device for device in expected["device"]]


def test_a_scope_has_one_log_kept_beside_its_tables(demo):
    scope = fl.Scope.open(demo / "params" / "education.yml")
    log = EventLog.of(scope)
    assert EventLog.of(scope) is log
    events = pd.read_parquet(scope.events)
    assert len(log) == int((events["user_id"].notna() & events["ts"].notna()).sum())
    assert log.folder is not None
    assert (log.folder / "at.npy").is_file()
    assert not log.at.flags.writeable


def test_no_events_no_log(demo, tmp_path):
    scope = fl.Scope.open(demo / "params" / "education.yml")
    assert EventLog.of(replace(scope, store=replace(scope.store, folder=tmp_path))) is None
