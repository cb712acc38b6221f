"""Journeys on their way to disk; what comes of them is tested with `stored`."""

from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.conversion.keeping import storing
from funnel_lib.notation import parse_duration


@given(st.timedeltas(timedelta(0), timedelta(days=36500)))
def test_a_duration_is_written_as_it_is_read(length: timedelta):
    assert parse_duration(storing.in_seconds(length)) == length


def test_what_is_no_duration_is_not_written():
    with pytest.raises(TypeError, match="set"):
        storing.in_seconds({1})


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7))
def test_groups_are_of_equal_size_and_hold_the_same_rows(sizes: list[int], group: int):
    numbers = iter(range(100))
    tables = [pa.table({"n": pa.array([next(numbers) for _ in range(size)], pa.int64())}) for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storing, "ROW_GROUP", group)
        groups = list(storing.regrouped(tables))
    assert [n for table in groups for n in table["n"].to_pylist()] == list(range(sum(sizes)))
    assert all(table.num_rows == group for table in groups[:-1])
    assert all(0 < table.num_rows <= group for table in groups)
