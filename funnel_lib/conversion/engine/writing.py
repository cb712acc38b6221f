"""Journeys of packed rows as a table, without unpacking what comes to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine import packed
from funnel_lib.conversion.engine.arrow import array, moments
from funnel_lib.conversion.engine.following import TIME
from funnel_lib.conversion.engine.parts import Layout, Ordered
from funnel_lib.conversion.engine.plan import Plan


def written(rows: Ordered, plan: Plan, layout: Layout, packing: packed.Packing, values: Sequence[pa.Array]) -> pa.Table:
    """Return the journeys of all units of these rows that entered: what `following.follow` returns.

    Parameters
    ----------
    plan : one that `packed.knows`.
    values : of each column to bring along.
    """
    size, most = len(plan.funnel.steps), min(len(rows.bounds) - 1, len(rows.rest))
    owner, levels = np.empty(most, dtype=np.int64), np.empty((3, most), dtype=np.int8)
    times, codes = np.empty((size + 2, most), dtype=np.int64), np.empty((len(values), most), dtype=np.int32)
    scratch = tuple(np.zeros((3, size + 2), dtype=np.int64))
    settings = *packed.limits(layout, plan), layout.since
    touch = packed.TOUCHES.index(str(plan.touch))
    out = owner, levels, times, codes
    made = packed.compiled()["write"](rows.bounds, rows.rest, tuple(packing), settings, touch, scratch, out)
    depth, latter = levels[0, :made], times[size + 1, :made]
    matured = depth == size
    if plan.funnel.window is not None:
        matured |= latter < plan.mature_until
    columns: dict[str, Any] = {"unit": rows.units(owner[:made])}
    columns |= dict(zip(("depth", "mature_depth", "first_depth"), map(array, levels[:, :made]), strict=True))
    columns |= {f"t_{step + 1}": moments(times[step, :made], TIME) for step in range(size)}
    entries = ("first_entry", "last_entry")
    columns |= {name: moments(times[size + place, :made], TIME) for place, name in enumerate(entries)}
    columns["matured"] = array(matured)
    for name, code, column in zip(plan.by, codes, values, strict=True):
        columns[name] = column.take(array(code[:made], missing(code[:made], len(column))))
    return pa.table(columns)


def missing(codes: npt.NDArray[np.int32], values: int) -> npt.NDArray[np.bool_]:
    """Return which codes stand for no value: the one past the last."""
    return np.asarray(codes == values)
