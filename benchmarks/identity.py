"""`python -m benchmarks.identity`: how long it takes to bring ids together, and in how much memory.

Each size runs in a process of its own: one fifth of the ids are logins, the rest browsers and hashed addresses, each
linked with one login. Written as Parquet before the clock starts.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks.tables import markdown
from funnel_lib.collection.identity import people
from funnel_lib.collection.stage import Stage, text
from funnel_lib.config import Identity

_LINKS = """
COPY (
    SELECT 'U' || (hash(i) % {logins}) AS user_id, md5(i::VARCHAR) AS value, 'login' AS holder,
        CASE WHEN i % 4 = 0 THEN 'email_hash' ELSE 'anonymous' END AS kind,
        TIMESTAMPTZ '2026-01-01' + INTERVAL (i % 8000000) SECOND AS first_seen, (i % 30)::INTEGER AS _seq
    FROM range({links}) AS t(i)
) TO {file} (FORMAT parquet)
"""


def measure(ids: int) -> tuple[float, float, int]:
    """Return seconds, the peak of memory in GB and the number of people of `ids` ids."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "links.parquet"
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(_LINKS.format(logins=ids // 5, links=ids * 4 // 5, file=text(file)))
        start = time.perf_counter()
        with Stage(Path(folder)).connected() as connection:
            connection.read_parquet(str(file)).create_view("link")
            found = people(connection, Identity(), Path(folder))
        seconds = time.perf_counter() - start
        with duckdb.connect() as connection:
            count = connection.read_parquet(str(found.ids)).aggregate("count(DISTINCT user_id)").fetchall()[0][0]
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, int(count)


def main() -> None:
    """Measure each size in a process of its own and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    parser.add_argument("--ids", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(*measure(asked.one))
        return
    rows = []
    for ids in asked.ids:
        command = [sys.executable, "-m", "benchmarks.identity", "--one", str(ids)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, memory, persons = done.stdout.split()
        rows.append((ids, int(persons), float(seconds), float(memory)))
    print(markdown(pd.DataFrame(rows, columns=["ids", "people", "seconds", "peak GB"])))


if __name__ == "__main__":
    main()
