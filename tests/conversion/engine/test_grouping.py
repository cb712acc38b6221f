"""Rows grouped by unit and ordered by time, on the plain and on the compiled road."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.conversion.engine import compiling
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Funnel, Step

PLAIN = Plan(Funnel(steps=[Step("any")]))


@pytest.fixture(params=["plain", "compiled"])
def road(request, monkeypatch):
    monkeypatch.setattr(compiling, "_loaded", set())
    monkeypatch.setattr(compiling, "COMPILE_ABOVE", -1 if request.param == "compiled" else 10**9)
    return request.param


def grouped(units, at, masks, kind=None):
    """Group rows whose units come in chunks."""
    unit = pa.chunked_array(units)
    return group(
        pa.table({"unit": unit, "at_us": pa.array(at, pa.int64()), "mask": pa.array(masks, kind or pa.uint8())}), PLAIN
    )


def test_groups_units_and_orders_their_rows_by_time(road):
    # Two chunks; b at 3 and 1, a at 2.
    found = grouped([["b", "a"], ["b"]], [3, 2, 1], [1, 2, 4])
    assert found.units.to_pylist() == ["a", "b"]
    assert found.bounds.tolist() == [0, 1, 3]
    assert found.at.tolist() == [2, 1, 3]
    assert found.masks.tolist() == [2, 4, 1]


def test_units_that_appear_in_later_chunks(road):
    found = grouped([["b"], ["c", "b"], ["a", "c"]], [1, 2, 3, 4, 5], [1] * 5)
    assert found.units.to_pylist() == ["a", "b", "c"]
    assert found.at.tolist() == [4, 1, 3, 2, 5]


def test_no_rows(road):
    found = grouped([pa.array([], pa.string())], [], [])
    assert found.bounds.tolist() == [0]
    assert len(found.units) == 0


@pytest.mark.parametrize(
    "units",
    [
        ["07", "7", "7 "],
        [7, -7, 70],
        [2**62, -(2**62), 0],
        np.array([127, -128, 0], dtype=np.int8),
        np.array([2**64 - 1, 0, 1], dtype=np.uint64),
        [7.0, 7.5, -7.0],
        [b"7", b"07", b""],
    ],
)
def test_units_of_any_type_stay_apart(road, units):
    found = grouped([pa.array([*units, *units], pa.array(units).type)], range(6), [1] * 6)
    rows = dict(zip(found.units.to_pylist(), np.diff(found.bounds), strict=True))
    assert [unit for unit in rows if rows[unit]] == sorted(units)
    assert sorted(rows.values())[-3:] == [2, 2, 2]
    assert sum(rows.values()) == 6


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4), st.integers(1, 7)), max_size=20), st.booleans())
def test_keeps_every_row_exactly_once(rows, compiled):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "_loaded", set())
        patch.setattr(compiling, "COMPILE_ABOVE", -1 if compiled else 10**9)
        units, at, masks = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
        found = grouped([pa.array(units, pa.int64())], at, masks)
    unit = np.repeat(found.units.to_numpy(), np.diff(found.bounds))
    assert sorted(zip(unit, found.at, found.masks, strict=True)) == sorted(rows)
    assert list(zip(unit, found.at, strict=True)) == sorted((u, t) for u, t, _ in rows)


def test_wide_masks_are_kept(road):
    assert grouped([["a"]], [1], [2**40], pa.int64()).masks.tolist() == [2**40]
