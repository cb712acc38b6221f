"""Compile the kernel into numba's cache: `python -m funnel_lib.conversion.engine`, once, when the package is installed.

Every compiled function is called once with each kind of input that it will meet, so that no user waits for a compiler.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from funnel_lib.conversion.engine import compiling, following, local
from funnel_lib.conversion.engine.grouping import group
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Exclusion, Funnel, Step

STEPS = [Step("a", event="a"), Step("b", event="b")]
FUNNELS = (
    Funnel(STEPS, window=timedelta(days=1)),
    Funnel(STEPS, window=timedelta(days=1), exclusions=[Exclusion("x")]),
    Funnel(STEPS, window=timedelta(days=1), counting="entries"),
)


def main() -> None:
    """Compile all that large inputs need."""
    compiling.COMPILE_ABOVE = -1
    for funnel in FUNNELS:
        plan = Plan(funnel, ("v",))
        for kind in (pa.uint8(), pa.int64()):
            for masks in ([1, 2], [3, 3]):
                columns = {"unit": [1, 1], "at_us": [1, 2], "mask": pa.array(masks, kind), "extra v": ["p", "q"]}
                following.follow(group(pa.table(columns), plan), plan)
    local.TABLE_ROWS = -1
    for units in (pa.array([1, 2]), pa.array([1, 2], pa.int32()), pa.array(["u", "v" * 20])):
        _read(units)


def _read(units: pa.Array) -> None:
    """Read a small log the way large ones are read: as counts, as journeys, with a column to bring along."""
    at = pa.array(np.array([1, 2]) * 1_780_000_000_000_000, pa.timestamp("us"))
    rows = pa.table({"user_id": units, "event": ["a", "b"], "ts": at, "v": ["p", "q"]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        pq.write_table(rows, path)
        for funnel, by in ((FUNNELS[0], ()), (FUNNELS[0], ("v",)), (FUNNELS[1], ("v",))):
            plan = Plan(funnel, by)
            list(local.LocalSource(str(path), plan.funnel, by).journeys(plan, None, None))
            local.LocalSource(str(path), plan.funnel, by).tally(plan, None, None)


if __name__ == "__main__":
    main()
