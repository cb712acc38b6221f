"""What the Spark feeder moves: rows and bytes by stage, from Spark's own event log.

`python -m benchmarks.spark`, with pyspark installed, prints the table of docs/spark.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from funnel_lib import sample
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.spark import ROWS_AT_ONCE, SparkSource
from funnel_lib.definition import Funnel

EVENTS = ("page_view", "sign_up", "trial_lesson", "begin_checkout", "purchase")
COLUMNS = ("events", "units", "call", "rows read", "rows moved", "MB moved", "MB spilled", "MB to Python",
           "MB from Python", "MB to the driver", "MB of a Python worker so far")  # fmt: skip


def session(folder: Path) -> Any:
    """Return a Spark session of two threads that writes what it did to `folder`/log."""
    from pyspark.sql import SparkSession

    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    (folder / "log").mkdir()
    settings = {
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.driver.memory": "1g", "spark.local.dir": folder / "local", "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "log").as_uri(), "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false", "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": 8,
    }  # fmt: skip
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, str(value))
    return builder.getOrCreate()


def tasks(folder: Path, skip: int) -> tuple[list[dict[str, Any]], int]:
    """Return the finished tasks in the event log after the first `skip` lines, and how many lines there are."""
    time.sleep(2)  # the log is written by another thread
    lines = next((folder / "log").iterdir()).read_text().splitlines()
    found = [json.loads(line) for line in lines[skip:] if line.startswith('{"Event":"SparkListenerTaskEnd"')]
    return found, len(lines)


def totals(found: list[dict[str, Any]]) -> dict[str, float]:
    """Return what the tasks did, added up."""

    def metric(*path: str) -> Iterator[float]:
        for task in found:
            value: Any = task["Task Metrics"]
            for name in path:
                value = value[name]
            yield value

    def accumulated(name: str) -> float:
        updates = [u for task in found for u in task["Task Info"]["Accumulables"] if u.get("Name") == name]
        return sum(float(update["Update"]) for update in updates)

    return {
        "rows read": sum(metric("Input Metrics", "Records Read")),
        "rows moved": sum(metric("Shuffle Write Metrics", "Shuffle Records Written")),
        "MB moved": sum(metric("Shuffle Write Metrics", "Shuffle Bytes Written")) / 1e6,
        "MB spilled": sum(metric("Disk Bytes Spilled")) / 1e6,
        "MB to Python": accumulated("data sent to Python workers") / 1e6,
        "MB from Python": accumulated("data returned from Python workers") / 1e6,
        "MB to the driver": sum(metric("Result Size")) / 1e6,
    }


def largest_worker() -> float:
    """Return the peak memory of the largest of our Python workers since it was started, in MB."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        except OSError:  # it has ended meanwhile
            continue
        if "VmHWM" in status:
            found[int(process.name)] = int(status["PPid"]), status["Name"], int(status["VmHWM"].split()[0]) / 1e3
    ours, before = {os.getpid()}, 0
    while len(ours) > before:
        before = len(ours)
        ours |= {number for number, (parent, _, _) in found.items() if parent in ours}
    workers = [found[number] for number in ours - {os.getpid()} if number in found]
    return max((size for _, name, size in workers if "python" in name), default=0.0)


def calls(spark: Any, path: Path, **options: Any) -> dict[str, Callable[[], None]]:
    """Return what is measured."""
    steps = [{"name": name, "event": name} for name in EVENTS]
    plain, strict = Funnel(steps, window="14d"), Funnel(steps, window="14d", order="strict")

    def source(funnel: Funnel, by: tuple[str, ...] = ()) -> SparkSource:
        return SparkSource(spark.read.parquet(str(path)), funnel, by, **options)

    def read(funnel: Funnel, by: tuple[str, ...] = ()) -> None:
        for _ in source(funnel, by).journeys(Plan(funnel, by), None, None):
            pass

    return {
        "newest, names": lambda: source(plain).names,
        "journeys": lambda: read(plain),
        "journeys by channel": lambda: read(plain, ("channel",)),
        "journeys, strict": lambda: read(strict),
        "frame, counted": lambda: source(plain).frame(Plan(plain)).groupBy("depth").count().collect(),
    }


def main() -> None:
    """Print one row per call."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--partitions", type=int, help="of the shuffle; what Spark decides by default")
    parser.add_argument("--rows-at-once", type=int, default=ROWS_AT_ONCE, help="that a task reads before the kernel")
    asked = parser.parse_args()
    options = {"partitions": asked.partitions, "rows_at_once": asked.rows_at_once}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spark = session(folder)
        print("|", " | ".join(COLUMNS), "|\n|", " | ".join(["---:"] * len(COLUMNS)), "|")
        for events in asked.events:
            for ids in ("number", "text"):
                path = folder / f"{events}-{ids}"
                sample.write_events(path, events=events, seed=1, ids=ids)
                for call, work in calls(spark, path, **options).items():
                    _, seen = tasks(folder, 0)
                    work()
                    found = totals(tasks(folder, seen)[0]) | {"MB of a Python worker so far": largest_worker()}
                    row = [f"{events:,}", ids, call, *(_short(found[column]) for column in COLUMNS[3:])]
                    print("|", " | ".join(row), "|", flush=True)
        spark.stop()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


if __name__ == "__main__":
    main()
