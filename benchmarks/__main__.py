"""`python -m benchmarks`: measure, print the tables and write them to docs/."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import attribution, control, coverage, engine, intervals, notebook, overview, reports, survival, value
from benchmarks.pages import put

STATISTICS: dict[str, Callable[[], str]] = {
    "recent": coverage.recent, "survival": survival.report, "nowcasts": survival.forecasts,
    "attribution": attribution.report, "changepoints": attribution.change_points, "control": control.report,
    "value": value.report, "lifetime": value.forecasts, "drivers": value.effects, "intervals": intervals.report,
    "overview": overview.report,
}  # fmt: skip


def main() -> None:
    """Run what was asked for; the engine and the coverage of intervals by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ["engine", "coverage", "notebook", "reports", *STATISTICS]
    parser.add_argument("what", nargs="*", default=["engine", "coverage"], help=", ".join(known))
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the logs")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each, of which the median counts")
    parser.add_argument("--folder", type=Path, help="where logs are kept from one run to the next; none by default")
    parser.add_argument("--draws", type=int, default=20_000, help="simulated samples per cell of the coverage tables")
    parser.add_argument("--reports", type=int, default=100, help="how many reports are made in each way")
    parser.add_argument("--entries", type=int, default=10_000_000, help="people whose journeys the notebook reads")
    asked = parser.parse_args()
    if "engine" in asked.what:
        put("benchmarks.md", engine.report(asked.events, asked.repeat, asked.folder))
    if "notebook" in asked.what:
        put("benchmarks.md", notebook.report(asked.entries, asked.folder))
    if "reports" in asked.what:
        put("benchmarks.md", reports.report(asked.reports))
    if "coverage" in asked.what:
        put("statistics.md", coverage.report(asked.draws))
    for name in STATISTICS:
        if name in asked.what:
            put("statistics.md", STATISTICS[name]())


if __name__ == "__main__":
    main()
