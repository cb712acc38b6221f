"""What the tables of the conversion notebook cost, when the journeys are stored: section by section.

The business is the demo, each of its people many times over with times of their own. The notebook's cells run one
after another in one process; what drawing takes is left out.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import nbformat
import pandas as pd
import pyarrow.parquet as pq

import funnel_lib
from benchmarks.tables import markdown
from funnel_lib import sample
from funnel_lib.reporting import plots

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "03_conversion_analysis.ipynb"
USERS = 30_000
OWN_IDS = {
    "events": ["event_id", "user_id", "session_id"], "users": ["user_id"], "identities": ["user_id", "value"],
    "deals": ["record_id", "user_id"], "stage_history": ["record_id"], "surveys": ["response_id", "user_id"],
    "exposures": ["unit_id"],
}  # fmt: skip
PERSON = {"exposures": "unit_id", "stage_history": "record_id", "deals": "coalesce(user_id, record_id)"}
LIBRARIES = ("funnel_lib.reporting.sections.opening", "scipy.stats", "statsmodels.api", "numba", "holidays", "pandera")
DRAWING = ("figure", "svg", "spark")
TEXT = """## The tables of the conversion notebook

`python -m benchmarks notebook --entries {entries}`. {people:,} people entered in 26 weeks ({events:,} events), all of
them stored as journeys, the events as a log in numbers; {now:,} entered in the month of the report. The cells of
notebook 03 in turn, in one process that has imported everything and starts with the second look; without drawing.
*CPU* is that of all threads, *memory* the most held while the cell ran.

{table}
"""


def report(entries: int = 10_000_000, folder: Path | None = None) -> str:
    """Return the section for docs/benchmarks.md: what each cell takes for `entries` people.

    Parameters
    ----------
    folder : where the business is kept from one run to the next; None: nowhere.
    """
    with TemporaryDirectory(prefix="funnel-bench-") as made:
        root = (folder or Path(made)) / f"notebook-{entries}"
        if not root.is_dir():
            _prepare(root, entries)
        _run(root)  # the first look makes the journeys and stores them
        found = _run(root)
    rows = pd.DataFrame(found["cells"])
    whole = pd.DataFrame([{"cell": "all", **rows[["s", "CPU s"]].sum(), "memory, MB": rows["memory, MB"].max()}])
    table = markdown(pd.concat([rows, whole], ignore_index=True))
    return TEXT.format(entries=entries, table=table, **found["about"])


def _prepare(root: Path, entries: int) -> None:
    """Collect the demo, and write each of its people so often that there are `entries` of them."""
    (root / "params").mkdir(parents=True)
    shutil.copy(ROOT / "params" / "education.yml", root / "params")
    sample.write_demo(root / "data" / "raw" / "education", users=USERS)
    workbook = funnel_lib.load(root / "params" / "education.yml")
    funnel_lib.collect(workbook)
    for name, ids in OWN_IDS.items():
        path = workbook.processed / f"{name}.parquet"
        if path.is_file():
            _multiply(path, ids, PERSON.get(name, "user_id"), -(-entries // USERS))
    facts = workbook.processed / "facts.json"
    told = json.loads(facts.read_text("utf-8"))
    told["tables"]["events"]["sha256"] = f"demo-{entries}"
    facts.write_text(json.dumps(told), "utf-8")


def _multiply(path: Path, ids: list[str], person: str, times: int) -> None:
    """Write each row of a table `times` times: ids of their own, and the person's times up to an hour later."""
    new = path.with_suffix(".new")
    with duckdb.connect() as connection:
        rows = connection.read_parquet(str(path))
        moved = [column for column, kind in zip(rows.columns, rows.types, strict=True) if "TIME ZONE" in str(kind)]
        changed = [f"{name} || '.' || k AS {name}" for name in ids]
        changed += [f"{name} + to_seconds(hash({person}, k) % 3600) AS {name}" for name in moved]
        connection.execute(
            f"COPY (SELECT * EXCLUDE (k) REPLACE ({', '.join(changed)}) FROM range({times}) AS copies(k), "
            f"read_parquet('{path}')) TO '{new}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 131072)"
        )
    new.replace(path)


def _run(root: Path) -> Any:
    """Run the cells in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.notebook", str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def cells(root: Path, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run the cells of the notebook in this process, with their names in `given`; yield what each took."""
    pen = _Pen()
    pen.hold()
    os.chdir(root / "params")
    for name in LIBRARIES:
        importlib.import_module(name)
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:  # type: ignore[no-untyped-call]
        if cell.cell_type != "code":
            continue
        exec("\n".join(line for line in cell.source.splitlines() if line.startswith(("import ", "from "))), given)
        if "parameters" in cell.metadata.get("tags", []):
            given["workbook"] = "education.yml"
            exec(cell.source.replace("../params/", ""), given)
            continue
        _forget_peak()
        pen.spent = [0.0, 0.0]
        wall, cpu = time.perf_counter(), time.process_time()
        exec(cell.source, given)
        took = time.perf_counter() - wall - pen.spent[0], time.process_time() - cpu - pen.spent[1]
        yield {"cell": _name(cell.source), "s": took[0], "CPU s": took[1], "memory, MB": _peak()}


class _Pen:
    """Counts what drawing takes."""

    def __init__(self) -> None:
        self.spent = [0.0, 0.0]

    def hold(self) -> None:
        """Take the time of each picture, in this process."""
        for name in DRAWING:
            setattr(plots, name, self._timed(getattr(plots, name)))

    def _timed(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return draw(*given, **named)
            finally:
                self.spent[0] += time.perf_counter() - wall
                self.spent[1] += time.process_time() - cpu

        return timed


def _name(source: str) -> str:
    """Return what is called last in a cell, without its arguments."""
    if source.startswith("import"):
        return "journeys"
    return source.strip().splitlines()[-1].removesuffix(")").split("(")[0] + (
        " " + source.split(",")[1].strip() if "segments.each" in source else ""
    )


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Return the most memory held since it was last forgotten, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def len_of(path: Path) -> int:
    """Return the number of rows of a Parquet file."""
    return int(pq.ParquetFile(path).metadata.num_rows)


def main(root: Path) -> None:
    """Run the cells and print what each took."""
    import IPython.display
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.instance()
    IPython.display.display = lambda *_: None
    begun = time.process_time()
    found, given = [], dict[str, Any]()
    for row in cells(root, given):
        print(f"{row['cell']:32} {row['s']:8.3f} {row['CPU s']:8.3f} {row['memory, MB']:8.0f}", file=sys.stderr)
        found.append(row)
    print(f"{'all':32} {time.process_time() - begun:8.2f}", file=sys.stderr)
    processed = root / "data" / "processed" / "education"
    rows = [len_of(processed / f"{name}.parquet") for name in ("events", "users")]
    about = {"events": rows[0], "people": rows[1], "now": len(given["people"].frame)}
    print(json.dumps({"cells": found, "about": about}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
