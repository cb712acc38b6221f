"""How many units went how deep, where nothing else is asked: no journey is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funnel_lib.conversion.engine import kernel, packed, single
from funnel_lib.conversion.engine.arrow import array, numbers
from funnel_lib.conversion.engine.following import divided, follow, is_plain
from funnel_lib.conversion.engine.grouping import Grouped, coded
from funnel_lib.conversion.engine.parts import Layout, Ordered
from funnel_lib.conversion.engine.plan import FOREVER, Plan

Ints = npt.NDArray[np.int64]
OWN = ("depth", "mature_depth", "units")
MOST_GROUPS = 100_000


def countable(plan: Plan) -> bool:
    """Return whether the depth of a unit is all that its counts need."""
    return plan.funnel.simple and plan.funnel.counting == "units"


class Counting:
    """Counts units of records without making anything else of them.

    Parameters
    ----------
    layout : what a record holds.
    plan : what is counted: a funnel that `packed.knows`.
    packing : how records are packed.
    values : of each column to bring along.
    """

    def __init__(self, layout: Layout, plan: Plan, packing: packed.Packing, values: Sequence[pa.Array]) -> None:
        self.layout, self.plan, self.values, self._packing = layout, plan, values, packing
        self.sizes = [len(column) + 1 for column in values]

    @property
    def groups(self) -> int:
        """How many combinations of values there can be."""
        return int(np.prod(self.sizes, dtype=np.float64))

    @property
    def nothing(self) -> Ints:
        """No unit counted."""
        size = len(self.plan.funnel.steps) + 1
        return np.zeros((self.groups, size, size), dtype=np.int64)

    @property
    def possible(self) -> bool:
        """Whether there are few enough groups to count so."""
        return self.groups <= MOST_GROUPS

    def count(self, rows: Ordered) -> Ints:
        """Return how many units went how deep: groups x depth x mature depth."""
        scratch = tuple(np.zeros((3, len(self.plan.funnel.steps) + 2), dtype=np.int64))
        tally, touch = self.nothing, packed.TOUCHES.index(str(self.plan.touch))
        settings = packed.limits(self.layout, self.plan)
        packed.compiled()["count"](rows.bounds, rows.rest, tuple(self._packing), settings, touch, scratch, tally)
        return tally

    def table(self, tally: Ints) -> pa.Table:
        """Return what was counted: a row for each group, depth and mature depth that any unit has."""
        group, depth, mature = np.nonzero(tally)
        columns = {}
        for name, values, size in reversed(list(zip(self.plan.by, self.values, self.sizes, strict=True))):
            place = group % size
            columns[name] = values.take(array(place, place == size - 1))
            group = group // size
        own: tuple[npt.NDArray[Any], ...] = (depth.astype(np.int8), mature.astype(np.int8), tally[np.nonzero(tally)])
        columns |= {name: array(values) for name, values in zip(OWN, own, strict=True)}
        return pa.table({name: columns[name] for name in (*self.plan.by, *OWN)})


def tallied(grouped: Grouped, plan: Plan) -> pa.Table:
    """Return how many units of these went how deep; see `total`."""
    if is_plain(plan.funnel) and not plan.funnel.hold_constant and plan.touch in packed.TOUCHES:
        found = briefly(grouped, plan)
    else:
        found = follow(grouped, plan)
    return total([found.append_column("units", array(np.ones(len(found), dtype=np.int64)))], plan)


def briefly(grouped: Grouped, plan: Plan) -> pa.Table:
    """Return the depths of all units, and the columns to bring along, without looking for anything else."""
    if plan.funnel.window is None:
        plan = replace(plan, mature_until=FOREVER)
    grouped = divided(grouped, plan.funnel)
    window = plan.funnel.window_us
    settings = kernel.Settings(
        len(plan.funnel.steps), -1 if window is None else window, plan.entry_from, plan.entry_until, plan.mature_until
    )
    made = kernel.measure(grouped.bounds, grouped.at, grouped.masks, settings, brief=True)
    moments = {"entry": made.times[0], "first": made.first_entry, "last": made.last_entry}[str(plan.touch)]
    entered = np.flatnonzero(made.depth)
    columns = {"depth": array(made.depth[entered]), "mature_depth": array(made.mature_depth[entered])}
    bits = np.ones(len(made.depth), dtype=grouped.masks.dtype)
    for name, codes, values in zip(plan.by, grouped.codes, grouped.values, strict=True):
        code = single.picked(grouped.bounds, grouped.at, grouped.masks, codes, moments, bits)[entered]
        columns[name] = values.take(array(code, code < 0))
    return pa.table(columns)


def total(parts: Iterable[pa.Table], plan: Plan) -> pa.Table:
    """Return counts of several parts as one.

    Returns
    -------
    The columns to bring along (missing: no value), `depth`, `mature_depth` (int8) and `units` (int64): how many units
    of a group have this depth and this mature depth.
    """
    names = (*plan.by, *OWN[:2])
    found = pa.concat_tables([part.select([*names, "units"]) for part in parts])
    place, keys = np.zeros(len(found), dtype=np.int64), []
    for name in names:
        codes, values = coded(found[name])
        size = len(values) + 1
        keys.append((name, values, size))
        place = place * size + np.where(codes < 0, size - 1, codes)
    place, each = np.unique(place, return_inverse=True)
    counted = np.bincount(each, weights=numbers(found["units"]), minlength=len(place)).astype(np.int64)
    columns = {"units": array(counted)}
    for name, values, size in reversed(keys):
        columns[name] = values.take(array(place % size, place % size == size - 1))
        place = place // size
    return pa.table({name: columns[name] for name in (*names, "units")})
