"""Which conditions Spark is asked, and which columns; what it answers is in tests/integration/test_spark.py."""

import pytest

from funnel_lib.conversion.engine.spark_columns import Columns
from funnel_lib.definition import Exclusion, Funnel, Step

TYPES = {"user_id": "bigint", "event": "string", "ts": "timestamp", "n": "int", "x": "double", "t": "string",
         "f": "float", "folded": "string collate UTF8_LCASE", "properties": "string"}  # fmt: skip


@pytest.mark.parametrize(
    ("where", "easy"),
    [
        ({"t": "a"}, True),
        ({"t": ["a", "b"]}, True),
        ({"t": {"is_null": True}}, True),
        ({"n": {"ne": 1}}, True),
        ({"n": {"gt": "1.5"}}, True),
        ({"x": {"le": 1}}, True),
        ({"t": {"contains": "a"}}, False),  # Spark folds case by other rules
        ({"t": {"gt": 1}}, False),  # a text may be a number or not
        ({"x": 1.5}, False),  # Spark writes 1.0E7 where Python writes 10000000.0
        ({"x": {"is_null": True}}, False),  # NaN is missing too
        ({"f": {"gt": 0.1}}, False),  # 0.1 is another number in single precision
        ({"n": {"gt": "2026-01-01"}}, False),  # refused with a reason
        ({"x": {"gt": "nan"}}, False),
        ({"folded": "a"}, False),
        ({"plan": "pro"}, False),
    ],
)
def test_spark_is_asked_only_what_it_says_exactly_so(where, easy):
    columns = Columns(TYPES, Funnel([Step("a", event="A", where=where)]), ())
    assert columns.hard == (({},) if easy else (Step("a", where=where).where,))
    name = next(iter(where))
    assert columns.asked == (() if easy else (name if name in TYPES else "properties",))


def test_a_part_of_a_condition_may_be_left_to_python():
    funnel = Funnel(
        [Step("a", where={"t": {"ne": "b", "contains": "a"}, "n": 1}), Step("b")],
        exclusions=[Exclusion("X", {"plan": "pro"})],
    )
    columns = Columns(TYPES, funnel, ())
    assert columns.hard == ({"t": {"contains": "a"}}, {}, {"plan": {"eq": "pro"}})
    assert columns.asked == ("properties", "t")


def test_the_columns_of_the_kernel():
    held = Funnel([Step("a")], hold_constant=["t"])
    assert Columns(TYPES, held, ("n", "x")).names == ("unit", "at_us", "mask", "hold t", "extra n", "extra x")
    sessions = Funnel([Step("a")], counting="sessions")
    assert Columns(TYPES, sessions, ()).names == ("unit", "at_us", "mask", "session")
    gap = Funnel([Step("a")], counting="sessions", session_gap="30min")
    assert Columns(TYPES, gap, ()).names == ("unit", "at_us", "mask")
