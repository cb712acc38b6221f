"""What Spark's tasks do in Python; no Spark is needed for that. See tests/integration/test_spark.py for the rest."""

import pickle
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.engine import spark_tasks
from funnel_lib.conversion.engine.batches import whole_units
from funnel_lib.conversion.engine.following import follow
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.spark_tasks import Checking, Following, unpacked
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

AB = Funnel([Step("a", event="A"), Step("b", event="B")], hold_constant=["shop"])


def batches(units: list[str], sizes: list[int]) -> list[pa.RecordBatch]:
    """Rows of `units`, cut into batches of `sizes` again and again."""
    found, start, turn = [], 0, 0
    while start < len(units):
        found.append(pa.record_batch({"c0": units[start : start + sizes[turn % len(sizes)]]}))
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    return found


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 12), max_size=12),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    at_once=st.integers(1, 15),
)
def test_units_are_never_cut_and_memory_is_bounded(counts, sizes, at_once):
    units = [f"u{unit:02}" for unit, count in enumerate(counts) for _ in range(count)]
    tables = list(whole_units(batches(units, sizes), at_once))
    assert [unit for table in tables for unit in table["c0"].to_pylist()] == units
    assert sum(len(set(table["c0"].to_pylist())) for table in tables) == len(counts)
    for table in tables:
        # What is held: less than at_once rows, then the batch that completes them, or all of one long unit.
        assert 0 < len(table) <= at_once + max(sizes) + max(counts)


def test_a_long_unit_is_given_at_its_end():
    # In batches of 2: ab bb bb bc cc; 3 rows at once are passed in the second batch, where b goes on.
    tables = [table["c0"].to_pylist() for table in whole_units(batches(list("abbbbbbccc"), [2]), 3)]
    assert tables == [list("abbbbbb"), list("ccc")]


def test_empty_batches_are_passed_over():
    empty = pa.record_batch({"c0": pa.array([], pa.string())})
    first, second = batches(list("aabb"), [2])
    assert [len(table) for table in whole_units([empty, first, empty, second, empty], 2)] == [2, 2]
    assert list(whole_units([empty], 2)) == []


def rows() -> pa.RecordBatch:
    # u: A then B in shop s; v: A in s, B without shop; w: only a B.
    return pa.record_batch(
        {
            "c0": list("uuvvw"),
            "c1": pa.array([1, 2, 1, 2, 1], pa.timestamp("us", "UTC")),
            "c2": pa.array([1, 2, 1, 2, 2], pa.int64()),
            "c3": ["s", "s", "s", None, "s"],
        }
    )


def test_the_counts_travel_with_the_journeys(monkeypatch):
    monkeypatch.setattr(spark_tasks, "JOURNEYS_AT_ONCE", 1)
    work = Following(Plan(AB), ("unit", "at_us", "mask", "hold shop"), 1000, packed=True)
    found = pa.Table.from_batches(work(iter([rows()])))
    assert found["counted"].to_pylist() == [[2, 3, 1], [0, 0, 0]]
    parts = [unpacked(part.as_py()) for part in found["part"]]
    assert [part["unit"].to_pylist() for part in parts] == [["u"], ["v"]]
    assert pa.concat_tables(parts)["depth"].to_pylist() == [2, 1]


def test_a_piece_that_nobody_enters_still_counts_its_rows():
    work = Following(Plan(AB), ("unit", "at_us", "mask", "hold shop"), 1000, packed=True)
    (found,) = work(iter([rows().slice(4)]))
    assert found["counted"].to_pylist() == [[0, 1, 0]]
    assert unpacked(found["part"][0].as_py()).num_rows == 0


def test_unpacked_journeys_are_those_of_the_kernel():
    plan = Plan(AB)
    work = Following(plan, ("unit", "at_us", "mask", "hold shop"), 1, packed=False)
    found = pa.Table.from_batches(pickle.loads(pickle.dumps(work))(iter([rows().slice(0, 3), rows().slice(3)])))
    assert found.equals(follow(group(work.named(pa.Table.from_batches([rows()])), plan), plan))


def test_another_version_is_refused():
    work = replace(Following(Plan(AB), ("unit",), 1, packed=False), version="0.0.0")
    with pytest.raises(ConfigError, match="another version"):
        list(work(iter([])))


@pytest.mark.parametrize("keep_all", [False, True])
def test_conditions_take_bits_away(keep_all):
    # Step 1 wants a text with "o", step 2 has no condition, step 3 wants n > 1 of the properties.
    wheres = ({"device": {"contains": "o"}}, {}, {"n": {"gt": 1}})
    batch = pa.record_batch(
        {
            "c0": list("uvwx"),
            "c1": [0, 0, 0, 0],
            "c2": pa.array([0b101, 0b111, 0b100, 0b010], pa.int64()),
            "c3": ["mobile", "tv", None, None],
            "c4": ['{"n": 1}', '{"n": 2}', None, '{"n": 9}'],
        }
    )
    (found,) = Checking(wheres, ("device", "properties"), keep_all)(iter([batch]))
    kept = [("u", 0b001), ("v", 0b110), ("w", 0), ("x", 0b010)]
    assert list(zip(found["c0"].to_pylist(), found["c2"].to_pylist(), strict=True)) == [
        row for row in kept if keep_all or row[1]
    ]
    assert found.schema.names == ["c0", "c1", "c2"]
