"""The engine against the floor: DuckDB scanning, filtering and aggregating the same three columns of the same files.

Every measurement runs in a process of its own; floor and funnel take turns, so that both meet the same machine. What
counts is the ratio: seconds depend on the machine.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pandas as pd

from benchmarks.tables import markdown
from funnel_lib.config import Rules
from funnel_lib.conversion.change import mix, trend
from funnel_lib.conversion.engine import kernel
from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.incidents import incidents
from funnel_lib.conversion.journeys import Journeys, journeys, read
from funnel_lib.conversion.rates import compare, rates
from funnel_lib.conversion.timing import curve, time_to_convert
from funnel_lib.definition import Funnel, Step
from funnel_lib.sample import write_events

STEPS = ["page_view", "sign_up", "trial_lesson", "begin_checkout", "purchase"]
FUNNEL = Funnel(steps=[Step(name, event=name) for name in STEPS], window=timedelta(days=7))
Ids = Literal["number", "text"]
TEXT = """# Benchmarks

Written by `python -m benchmarks engine`. {machine}

A funnel of five steps with a window of 7 days over events that `funnel_lib.sample.write_events` makes, as Parquet.
**Floor**: DuckDB scans, filters and aggregates the same three columns of the same files (per event name: rows,
smallest and largest time, and a checksum of the units); no funnel can be faster. **Counts**: how many units reach each
step. **Journeys**: one row per unit with depth, all step times, entries, maturity and the channel of its entry, as a
frame. **ClickHouse**: `windowFunnel` in chdb, counts only. Medians of {repeat} runs, each in a process of its own, all
in turn. Compare the ratios; the seconds belong to this machine.

## Warm: libraries loaded, the kernel compiled

CPU seconds as multiples of the floor's, and the most memory held (MB).

{warm}
## Cold: a new process, from its start to its end

Wall seconds.

{cold}
## Every table of a report

From stored journeys of {units:,} units, without touching the events again, in seconds (wall):

{tables}"""


def report(sizes: list[int], repeat: int) -> str:
    """Measure everything; return the text of docs/benchmarks.md."""
    warm, cold = [], []
    subprocess.run([sys.executable, "-m", "funnel_lib.conversion.engine"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        for events in sizes:
            kinds: tuple[Ids, ...] = ("number", "text")
            for ids in kinds:
                files = Path(folder) / f"{events}-{ids}"
                write_events(files, events=events, seed=1, ids=ids)
                warm.append({"events": events, "units": ids, **_ratios(_runs(files, repeat, warm=True))})
        for ids in ("number", "text"):
            runs = _runs(Path(folder) / f"{min(sizes)}-{ids}", repeat, warm=False)
            cold.append({"events": min(sizes), "units": ids, **{what: _middle(runs[what], "wall") for what in runs}})
        middling = sorted(sizes)[min(1, len(sizes) - 1)]
        tables, units = _tables(Path(folder) / f"{middling}-number")
    return TEXT.format(
        machine=_machine(), repeat=repeat, warm=markdown(pd.DataFrame(warm)), cold=markdown(pd.DataFrame(cold)),
        tables=markdown(tables), units=units,
    )  # fmt: skip


def floor(files: Path) -> None:
    """Scan, filter and aggregate the three columns that the funnel needs."""
    names = ", ".join(f"'{name}'" for name in STEPS)
    duckdb.connect().sql(
        f"SELECT event, count(*), min(ts), max(ts), bit_xor(hash(user_id)) FROM '{files}/*.parquet' "
        f"WHERE event IN ({names}) GROUP BY event"
    ).to_arrow_table()


def counts(files: Path) -> None:
    """Count how many units reach each step."""
    reading = read(files / "*.parquet", FUNNEL)
    LocalSource(files / "*.parquet", FUNNEL).tally(reading.plan, None, None)


def whole(files: Path) -> None:
    """Make the journeys of all units, with their channel."""
    journeys(files / "*.parquet", FUNNEL, by=["channel"])


def peer(files: Path) -> None:
    """Count with ClickHouse's windowFunnel."""
    import chdb

    levels = ", ".join(f"event = '{name}'" for name in STEPS)
    names = ", ".join(f"'{name}'" for name in STEPS)
    chdb.query(
        f"SELECT level, count() FROM (SELECT user_id, windowFunnel({FUNNEL.window_us})"
        f"(toUInt64(toUnixTimestamp64Micro(ts)), {levels}) AS level FROM file('{files}/*.parquet') "
        f"WHERE event IN ({names}) GROUP BY user_id) GROUP BY level ORDER BY level", "CSV",
    )  # fmt: skip


CALLS: dict[str, Callable[[Path], None]] = {"floor": floor, "counts": counts, "journeys": whole}
if find_spec("chdb"):
    CALLS["ClickHouse"] = peer


def child(what: str, files: Path, *, warm: bool) -> None:
    """Measure one call in this process and print CPU, wall and peak memory."""
    call = CALLS[what]
    if warm:
        with tempfile.TemporaryDirectory() as folder:
            write_events(Path(folder), events=1000, seed=0)
            kernel.compiled()
            call(Path(folder))
    wall, cpu = time.perf_counter(), time.process_time() if warm else 0.0  # cold: from the start of the process
    call(files)
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**spent, "peak": _peak()}))


def _peak() -> float:
    """Return the most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    held = next((line for line in lines if line.startswith("VmHWM:")), None)
    # Without that line: what the system counts includes the parent's memory before the start.
    return int(held.split()[1]) / 1024 if held else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _runs(files: Path, repeat: int, *, warm: bool) -> dict[str, list[dict[str, float]]]:
    turns = [{what: _child(what, files, warm=warm) for what in CALLS} for _ in range(repeat)]
    return {what: [turn[what] for turn in turns] for what in CALLS}


def _child(what: str, files: Path, *, warm: bool) -> dict[str, float]:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.engine", what, str(files), "warm" if warm else "cold"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found if warm else {**found, "wall": time.perf_counter() - begun}


def _middle(runs: list[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _ratios(runs: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    base = _middle(runs["floor"], "cpu")
    found = {"floor, CPU s": base}
    found |= {what: _middle(seen, "cpu") / base for what, seen in runs.items() if what != "floor"}
    return found | {f"{what}, MB": _middle(seen, "peak") for what, seen in runs.items()}


def _tables(files: Path) -> tuple[pd.DataFrame, int]:
    """Time every table on a large cohort, split by a column of eight groups."""
    rules = Rules()
    made = journeys(files / "*.parquet", FUNNEL)
    group = np.random.default_rng(2).integers(0, 8, len(made.frame)).astype(str)
    found = Journeys(made.funnel, made.frame.assign(group=group), made.period, made.as_of, made.window_closed)
    calls: dict[str, Callable[[], object]] = {
        "rates": lambda: rates(found, rules=rules),
        "rates by group": lambda: rates(found, "group", rules=rules),
        "compare (all steps)": lambda: [compare(found, "group", step=step, rules=rules) for step in range(2, 6)],
        "time_to_convert by group": lambda: time_to_convert(found, "group", rules=rules),
        "curve by group": lambda: curve(found, "group", rules=rules),
        "mix": lambda: mix(found, found, "group", rules=rules),
        "trend by group": lambda: trend(found, step=5, base="first", rules=rules, by="group"),
        "incidents by group": lambda: incidents(found, by="group", rules=rules),
    }
    spent = {}
    for name, call in calls.items():
        begun = time.perf_counter()
        call()
        spent[name] = time.perf_counter() - begun
    spent["all of them"] = sum(spent.values())
    return pd.DataFrame({"table": list(spent), "s": list(spent.values())}), len(found.frame)


def _machine() -> str:
    versions = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}, pandas {pd.__version__}"
    return f"{os.cpu_count()} processors, {versions}."


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]), warm=sys.argv[3] == "warm")
