"""Conditions treat a missing value as equal to nothing, and write numbers and texts alike."""

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conditions import columns, lookup, meets, plain, told
from funnel_lib.errors import DataError

FRAME = pd.DataFrame(
    {
        "n": [1.0, 2.5, None],
        "i": [100, 20, 3],
        "s": ["2026-01-05", "2026-01-06 10:00", None],
        "t": pd.to_datetime(["2026-01-05", "2026-01-06", None]).tz_localize("UTC"),
        "naive": pd.to_datetime(["2026-01-05", "2026-01-06", None]),
        "b": [True, False, None],
        "name": ["Ann", "bob", None],
    }
)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [1, 1, 1]),
        ({"n": {"eq": 1}}, [1, 0, 0]),
        ({"n": {"eq": "1"}}, [1, 0, 0]),  # quoted in YAML
        ({"n": {"ne": 1}}, [0, 1, 1]),  # a missing value is not equal to 1
        ({"n": {"in": [1, "2.5"]}}, [1, 1, 0]),
        ({"n": {"in": 1}}, [1, 0, 0]),
        ({"n": {"not_in": [1]}}, [0, 1, 1]),
        ({"n": {"gt": 1}}, [0, 1, 0]),
        ({"n": {"ge": 1}}, [1, 1, 0]),
        ({"n": {"lt": 2.5}}, [1, 0, 0]),
        ({"n": {"le": 2.5}}, [1, 1, 0]),
        ({"n": {"ge": 1, "lt": 2}}, [1, 0, 0]),
        ({"i": {"ge": "20"}}, [1, 1, 0]),  # a number that is quoted stays a number
        ({"n": {"is_null": True}}, [0, 0, 1]),
        ({"n": {"is_null": False}}, [1, 1, 0]),
        ({"b": {"eq": True}}, [1, 0, 0]),
        ({"b": {"eq": "false"}}, [0, 1, 0]),
        ({"name": {"contains": "O"}}, [0, 1, 0]),
        ({"name": {"contains": "."}}, [0, 0, 0]),  # plain text, no pattern
        ({"name": {"contains": "nan"}}, [0, 0, 0]),  # how pandas writes a missing value
        ({"t": {"ge": "2026-01-06"}}, [0, 1, 0]),
        ({"t": {"lt": "2026-01-05T08:00:00+08:00"}}, [0, 0, 0]),  # that is 00:00 UTC
        ({"t": {"le": "2026-01-05T08:00:00+08:00"}}, [1, 0, 0]),
        ({"naive": {"gt": "2026-01-05"}}, [0, 1, 0]),
        ({"s": {"gt": "2026-01-05"}}, [0, 1, 0]),  # times as text, of unlike precision
        ({"n": {"ge": 1}, "name": {"eq": "Ann"}}, [1, 0, 0]),
    ],
)
def test_meets(where: dict, expected: list[int]):
    assert meets(FRAME, where).tolist() == [bool(x) for x in expected]


@pytest.mark.parametrize(
    "where",
    [
        {"name": {"gt": 3}},
        {"name": {"gt": "2026-01-01"}},
        {"i": {"ge": "2026-01-01"}},
        {"i": {"ge": "many"}},
        {"t": {"ge": 3}},
    ],
)
def test_values_that_have_no_order_with_the_operand_are_refused(where: dict):
    with pytest.raises(DataError, match=r"cannot be compared with g[et]"):
        meets(FRAME, where)


def test_a_name_is_looked_up_in_columns_first_then_in_properties():
    frame = pd.DataFrame(
        {
            "a": ["column", "column"],
            "properties": ['{"a": "property", "b": 1, "c": null}', None],
        }
    )
    assert lookup(frame, "a").tolist() == ["column", "column"]
    assert meets(frame, {"b": {"eq": 1}}).tolist() == [True, False]
    assert meets(frame, {"c": {"is_null": True}}).tolist() == [True, True]
    assert meets(frame, {"never": {"is_null": True}}).tolist() == [True, True]


def test_properties_that_are_no_object_hold_nothing_and_broken_ones_are_refused():
    frame = pd.DataFrame({"properties": ["[1]", "", '"text"', '{"a": [1]}']})
    assert meets(frame, {"a": {"is_null": True}}).tolist() == [True, True, True, False]
    with pytest.raises(DataError, match="does not hold JSON"):
        meets(pd.DataFrame({"properties": ["{a: 1"]}), {"a": {"eq": 1}})


def test_a_column_that_is_not_there_names_the_nearest():
    with pytest.raises(DataError, match="did you mean name"):
        meets(FRAME, {"nam": {"eq": 1}})


def test_no_rows_meet_nothing_without_a_fuss():
    none = pd.DataFrame({"a": pd.Series(dtype="str"), "n": pd.Series(dtype="float64")})
    for where in ({"a": {"contains": "x"}}, {"n": {"gt": 1}}, {"a": {"in": ["x"]}}, {"a": {"is_null": True}}):
        assert meets(none, where).shape == (0,)


def test_the_frame_is_left_alone_and_the_index_does_not_matter():
    frame = FRAME.set_axis(pd.Index([9, 4, 9]))
    before = frame.copy()
    assert np.array_equal(meets(frame, {"n": {"ge": 1}}), meets(FRAME, {"n": {"ge": 1}}))
    pd.testing.assert_frame_equal(frame, before)


def test_columns_lists_all_names():
    assert columns([{"device": {"eq": "x"}}, {"amount": {"gt": 0}, "device": {"ne": "y"}}, {}]) == {
        "device",
        "amount",
    }


def test_values_are_judged_once_each_and_missing_ones_are_false():
    seen = []

    def judge(value):
        seen.append(value)
        return value == "a"

    held = told(pd.Series(["a", "b", None, "a", "b"], dtype="str"), judge)
    assert held.tolist() == [True, False, False, True, False]
    assert sorted(seen) == ["a", "b"]


def test_equal_values_that_are_written_otherwise_are_judged_apart():
    # 1 == 1.0 == True, but a condition on "true" means the boolean; a list has no hash.
    mixed = pd.Series([1, True, 1.0, ["true"], None], dtype=object)
    assert told(mixed, lambda value: plain(value) == "true").tolist() == [False, True, False, False, False]


def test_properties_of_equal_rows_are_read_alike():
    texts = pd.Series(['{"a": [1]}', None, '{"a": [1]}', '{"b": 2}'], dtype="str")
    assert lookup(pd.DataFrame({"properties": texts}), "a").tolist() == [[1], None, [1], None]
