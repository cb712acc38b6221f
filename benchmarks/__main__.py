"""`python -m benchmarks`: measure everything, print the tables and write them to docs/."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import coverage, engine

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Run what was asked for; everything by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", default=["engine", "coverage"], help="engine, coverage")
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes of the logs")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each, of which the median counts")
    parser.add_argument("--draws", type=int, default=20_000, help="simulated samples per cell of the coverage tables")
    asked = parser.parse_args()
    if "engine" in asked.what:
        _publish("benchmarks.md", engine.report(asked.events, asked.repeat))
    if "coverage" in asked.what:
        _publish("statistics.md", coverage.report(asked.draws))


def _publish(name: str, text: str) -> None:
    print(text)
    DOCS.mkdir(exist_ok=True)
    (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
