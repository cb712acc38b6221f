"""The engine against the floor: DuckDB scanning, filtering and aggregating the same three columns of the same files.

Every measurement runs in a process of its own; floor and funnel take turns, so that both meet the same machine. What
counts is the ratio: seconds depend on the machine.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
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
from funnel_lib.conversion.durations.timing import curve, time_to_convert
from funnel_lib.conversion.engine import local
from funnel_lib.conversion.journeys import Journeys, journeys, read
from funnel_lib.conversion.keeping.tallies import counted
from funnel_lib.conversion.movement.change import mix, trend
from funnel_lib.conversion.movement.incidents import incidents
from funnel_lib.conversion.rates import compare, rates
from funnel_lib.definition import Funnel, Step
from funnel_lib.sample import write_events

STEPS = ["page_view", "sign_up", "trial_lesson", "begin_checkout", "purchase"]
FUNNEL = Funnel(steps=[Step(name, event=name) for name in STEPS], window=timedelta(days=7))
Ids = Literal["number", "text"]
BIG = 200_000_000
"""From here on only what has to run in bounded memory is measured, once: the floor and the counts."""
TEXT = """## The funnel engine

`python -m benchmarks engine --events {asked}`. {machine}

A funnel of five steps with a window of 7 days over events that `funnel_lib.sample.write_events` makes, as Parquet: one
unit for about ten events. **Floor**: DuckDB scans, filters and aggregates the same three columns of the same files (per
event name: rows, smallest and largest time, and a checksum of the units); no funnel can be faster. **Counts**: how
many units reach each step. **Journeys**: one row per unit with depth, all step times, entries, maturity and the channel
of its entry, part by part. **Frame**: the same as one sorted DataFrame. **ClickHouse**: `windowFunnel` in chdb, counts
only. Medians of {repeat} runs, each in a process of its own, all in turn. Compare the ratios; the seconds belong to
this machine.

### Warm: libraries and compiled code loaded, files in the system's cache

CPU seconds as multiples of the floor's (in brackets: elapsed time likewise), and the most memory held.

{warm}
{growth}

### Cold: a new process, from its start to its end

Elapsed seconds, with all imports.

{cold}
### Every table of a report

From stored journeys of {units:,} units, without touching the events again, in seconds (elapsed):

{tables}"""
COLD = """
import sys
from pathlib import Path
files = Path(sys.argv[1])
"""
COLD_CALLS = {
    "floor": "import duckdb; FLOOR",
    "counts": f"""
from funnel_lib.conversion.journeys import read
from funnel_lib.conversion.keeping.tallies import counted
from funnel_lib.definition import Funnel, Step
funnel = Funnel(steps=[Step(name, event=name) for name in {STEPS}], window="7d")
counted(read(files / "*.parquet", funnel)).counts()
""",
    "ClickHouse": "import chdb; PEER",
}


def report(sizes: list[int], repeat: int, kept: Path | None = None) -> str:
    """Measure everything; return the engine's part of docs/benchmarks.md. Logs in the folder `kept` are used again."""
    warm, cold, spent = [], [], {}
    subprocess.run([sys.executable, "-m", "funnel_lib.conversion.engine"], check=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = kept or Path(temporary)
        for events in sizes:
            kinds: tuple[Ids, ...] = ("number", "text") if events < BIG else ("number",)
            for ids in kinds:
                files = folder / f"{events}-{ids}"
                if not files.exists():
                    write_events(files, events=events, seed=1, ids=ids)
                runs = _runs(files, repeat if events < BIG else 1, list(CALLS) if events < BIG else ["floor", "counts"])
                warm.append({"events": f"{events:,}", "units": ids, **_ratios(runs)})
                if ids == "number":
                    spent[events] = _middle(runs["counts"], "cpu")
                if events == sizes[0] or events == sizes[min(1, len(sizes) - 1)]:
                    cold.append({"events": f"{events:,}", "units": ids, **_cold(files, repeat)})
                if events >= BIG and kept is None:
                    shutil.rmtree(files)
        tables, units = _tables(folder / f"{sorted(sizes)[min(1, len(sizes) - 1)]}-number")
    return TEXT.format(
        asked=" ".join(map(str, sizes)), machine=_machine(), repeat=repeat, warm=markdown(pd.DataFrame(warm)),
        cold=markdown(pd.DataFrame(cold)), growth=_growth(spent), tables=markdown(tables), units=units,
    )  # fmt: skip


def _growth(spent: dict[int, float]) -> str:
    """Return the exponent with which the counts' CPU time grows, fitted through all sizes."""
    if len(spent) < 2:
        return ""
    exponent, _ = np.polyfit(np.log(list(spent)), np.log(list(spent.values())), 1)
    low, high = min(spent), max(spent)
    return f"Growth of the counts' CPU time from {low:,} to {high:,} events: events to the power of {exponent:.2f}."


def floor(files: Path) -> None:
    """Scan, filter and aggregate the three columns that the funnel needs."""
    duckdb.connect().sql(floor_query(files)).to_arrow_table()


def floor_query(files: Path) -> str:
    """Return what the floor asks DuckDB."""
    names = ", ".join(f"'{name}'" for name in STEPS)
    return (
        f"SELECT event, count(*), min(ts), max(ts), bit_xor(hash(user_id)) FROM '{files}/*.parquet' "
        f"WHERE event IN ({names}) GROUP BY event"
    )


def counts(files: Path) -> None:
    """Count how many units reach each step."""
    counted(read(files / "*.parquet", FUNNEL))


def parts(files: Path) -> None:
    """Make the journeys of all units, with their channel, part by part."""
    for _ in read(files / "*.parquet", FUNNEL, by=["channel"]).parts():
        pass


def frame(files: Path) -> None:
    """Make the journeys of all units, with their channel, as one frame."""
    journeys(files / "*.parquet", FUNNEL, by=["channel"])


def peer(files: Path) -> None:
    """Count with ClickHouse's windowFunnel."""
    import chdb

    chdb.query(peer_query(files), "CSV")


def peer_query(files: Path) -> str:
    """Return what is asked of ClickHouse."""
    levels = ", ".join(f"event = '{name}'" for name in STEPS)
    names = ", ".join(f"'{name}'" for name in STEPS)
    return (
        f"SELECT level, count() FROM (SELECT user_id, windowFunnel({FUNNEL.window_us})"
        f"(toUInt64(toUnixTimestamp64Micro(ts)), {levels}) AS level FROM file('{files}/*.parquet') "
        f"WHERE event IN ({names}) GROUP BY user_id) GROUP BY level ORDER BY level"
    )


CALLS: dict[str, Callable[[Path], None]] = {"floor": floor, "counts": counts, "journeys": parts, "frame": frame}
if find_spec("chdb"):
    CALLS["ClickHouse"] = peer


def child(what: str, files: Path) -> None:
    """Measure one call in this process and print CPU, elapsed time and peak memory."""
    call, rows = CALLS[what], local.TABLE_ROWS
    with tempfile.TemporaryDirectory() as folder:
        write_events(Path(folder), events=1000, seed=0)
        local.TABLE_ROWS = -1  # the small log goes the way of large ones, so that its code is loaded
        call(Path(folder))
        local.TABLE_ROWS = rows
    wall, cpu = time.perf_counter(), time.process_time()
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


def _runs(files: Path, repeat: int, calls: list[str]) -> dict[str, list[dict[str, float]]]:
    turns = [{what: _child(what, files) for what in calls} for _ in range(repeat)]
    return {what: [turn[what] for turn in turns] for what in calls}


def _child(what: str, files: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.engine", what, str(files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _cold(files: Path, repeat: int) -> dict[str, float]:
    """Return the elapsed seconds of new processes that import what they need, count, and end."""
    found = {}
    for what in [name for name in CALLS if name in COLD_CALLS]:
        code = COLD + COLD_CALLS[what]
        code = code.replace("FLOOR", f"duckdb.sql({floor_query(files)!r}).fetchall()")
        code = code.replace("PEER", f"chdb.query({peer_query(files)!r}, 'CSV')")
        times = []
        for _ in range(repeat):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", code, str(files)], check=True, capture_output=True)
            times.append(time.perf_counter() - begun)
        found[what] = statistics.median(times)
    return found


def _middle(runs: list[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _ratios(runs: dict[str, list[dict[str, float]]]) -> dict[str, str]:
    cpu, wall = _middle(runs["floor"], "cpu"), _middle(runs["floor"], "wall")
    found = {"floor": f"{cpu:.2f} s"}
    for what, seen in runs.items():
        if what != "floor":
            found[what] = f"{_middle(seen, 'cpu') / cpu:.2f} ({_middle(seen, 'wall') / wall:.2f})"
    return found | {f"{what}, MB": f"{_middle(seen, 'peak'):,.0f}" for what, seen in runs.items()}


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
    child(sys.argv[1], Path(sys.argv[2]))
