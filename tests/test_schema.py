"""Tables get their canonical form or are refused with all faults at once."""

import subprocess
import sys

import pandas as pd
import pytest

from funnel_lib.errors import ConfigError, DataError
from funnel_lib.schema import DTYPES, TABLES, check, empty, table

EVENTS = pd.DataFrame(
    {
        "user_id": ["a", "b"],
        "source": ["web", "web"],
        "event": ["page_view", "purchase"],
        "event_id": ["1", "2"],
        "ts": ["2026-01-05T08:00:00+08:00", "2026-01-06T08:00:00+08:00"],
    }
)
SPEND = pd.DataFrame(
    {
        "date": ["2026-01-05"],
        "platform": ["google"],
        "campaign": ["brand"],
        "impressions": ["1000"],
        "clicks": [20.0],
        "cost": [5],
        "currency": ["CNY"],
    }
)


def fault(name: str, frame: pd.DataFrame) -> str:
    with pytest.raises(DataError, match="canonical form") as error:
        check(name, frame)
    return str(error.value.found)


def test_columns_come_in_canonical_order_with_canonical_kinds():
    found = check("events", EVENTS.assign(amount=[None, "9.5"], event_id=[1, 2]))
    assert found.columns.tolist() == ["event_id", "user_id", "event", "ts", "source", "amount"]
    assert found["ts"].dtype == "datetime64[us, UTC]"
    assert found["ts"].tolist() == [
        pd.Timestamp("2026-01-05", tz="UTC"),
        pd.Timestamp("2026-01-06", tz="UTC"),
    ]
    assert found["event_id"].tolist() == ["1", "2"]
    assert found["event_id"].dtype == "str"
    assert found["amount"].dtype == "float64"
    assert found["amount"].isna().tolist() == [True, False]


def test_counts_and_dates_keep_their_kinds():
    found = check("spend", SPEND)
    assert found.dtypes.astype(str).to_dict() == {
        "date": "datetime64[us]",
        "platform": "str",
        "campaign": "str",
        "impressions": "int64",
        "clicks": "int64",
        "cost": "float64",
        "currency": "str",
    }
    assert (found["impressions"].item(), found["clicks"].item()) == (1000, 20)


def test_a_count_is_never_cut_off():
    assert "impressions" in fault("spend", SPEND.assign(impressions=[1.5]))
    assert "clicks" in fault("spend", SPEND.assign(clicks=["1.5"]))
    assert "clicks: not_nullable" in fault("spend", SPEND.assign(clicks=[None]))


def test_the_frame_is_left_alone_and_its_index_dropped():
    frame = EVENTS.set_axis(pd.Index([7, 7]))
    before = frame.copy()
    assert check("events", frame).index.tolist() == [0, 1]
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (EVENTS.drop(columns="event"), "event"),
        (EVENTS.assign(ts=["2026-01-05", "soon"]), "ts"),
        (EVENTS.assign(amount=["9", "much"]), "amount"),
        (EVENTS.assign(user_id=["a", None]), "user_id: not_nullable"),
        (EVENTS.assign(ts=["2026-01-05", None]), "ts: not_nullable"),
        (EVENTS.assign(event_id=["1", "1"]), "event_id: multiple_fields_uniqueness"),
        (EVENTS.assign(colour="red"), "colour"),
    ],
)
def test_each_fault_is_named_with_its_column(frame: pd.DataFrame, expected: str):
    assert expected in fault("events", frame)


def test_all_faults_are_listed_at_once_one_example_each():
    frame = pd.concat([EVENTS] * 20, ignore_index=True).assign(ts="soon", amount="much", user_id=None, colour="red")
    found = fault("events", frame.drop(columns="source"))
    for column in ("ts", "amount", "user_id", "colour", "source", "event_id"):
        assert column in found
    assert found.count("ts: coerce") == 1


def test_a_key_of_several_columns_may_repeat_in_part():
    answers = pd.DataFrame(
        {"response_id": "1", "source": "a", "question": ["nps", "why"], "ts": ["2026-01-05"] * 2, "score": [9, None]}
    )
    assert len(check("surveys", answers)) == 2
    assert "multiple_fields_uniqueness" in fault("surveys", answers.assign(question="nps"))
    assert len(check("surveys", answers.assign(question="nps", source=["a", "b"]))) == 2  # ids are those of a system


def test_open_tables_keep_further_columns_as_they_are():
    users = pd.DataFrame({"age": [30, None], "user_id": [1, 2], "job": ["student", None]})
    found = check("users", users)
    assert found.columns.tolist() == ["user_id", "age", "job"]
    assert found["user_id"].tolist() == ["1", "2"]
    assert "user_id" in fault("users", users.assign(user_id=1))
    deals = pd.DataFrame({"record_id": ["1"], "source": ["crm"], "status": ["won"], "region": ["north"]})
    assert check("deals", deals).columns.tolist() == ["record_id", "source", "status", "region"]


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_table_has_all_columns_typed_and_is_canonical(name: str):
    found = empty(name)
    assert found.empty
    expected = {column: DTYPES[spec.kind] for column, spec in TABLES[name].columns.items()}
    assert found.dtypes.astype(str).to_dict() == expected
    pd.testing.assert_frame_equal(check(name, found), found)


@pytest.mark.parametrize("name", TABLES)
def test_keys_are_columns_that_are_always_there(name: str):
    assert all(TABLES[name].columns[column].required for column in table(name).key)


def test_a_table_that_is_none_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean events\?"):
        table("event")
    with pytest.raises(ConfigError, match="There is no table"):
        check("orders", EVENTS)


def test_a_check_warns_of_nothing_whatever_else_is_installed():
    code = "from funnel_lib import schema; schema.check('users', schema.empty('users'))"
    ran = subprocess.run([sys.executable, "-W", "always::FutureWarning", "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
