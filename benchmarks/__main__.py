"""`python -m benchmarks`: measure, print the tables and write them to docs/."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import attribution, control, coverage, engine, reports, survival, value
from benchmarks.pages import put

STATISTICS: dict[str, Callable[[], str]] = {
    "survival": survival.report, "attribution": attribution.report, "control": control.report,
    "value": value.report,
}  # fmt: skip


def main() -> None:
    """Run what was asked for; the engine and the coverage of intervals by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ["engine", "coverage", "reports", *STATISTICS]
    parser.add_argument("what", nargs="*", default=["engine", "coverage"], help=", ".join(known))
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the logs")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each, of which the median counts")
    parser.add_argument("--folder", type=Path, help="where logs are kept from one run to the next; none by default")
    parser.add_argument("--draws", type=int, default=20_000, help="simulated samples per cell of the coverage tables")
    parser.add_argument("--reports", type=int, default=100, help="how many reports are made in each way")
    asked = parser.parse_args()
    if "engine" in asked.what:
        put("benchmarks.md", engine.report(asked.events, asked.repeat, asked.folder))
    if "reports" in asked.what:
        put("benchmarks.md", reports.report(asked.reports))
    if "coverage" in asked.what:
        put("statistics.md", coverage.report(asked.draws))
    for name in STATISTICS:
        if name in asked.what:
            put("statistics.md", STATISTICS[name]())


if __name__ == "__main__":
    main()
