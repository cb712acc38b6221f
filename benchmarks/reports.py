"""What making reports costs: warm kernels, the same calls in one process, and papermill as it comes.

Each way makes the same reports of its own copy of the same small demo, in a process of its own, one after the other.
The measure is CPU time (user and system, of all processes), which other work on the machine disturbs less than the
clock.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import forkserver
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml

import funnel_lib
from benchmarks.tables import markdown
from funnel_lib import config, sample
from funnel_lib.reporting import execute, runs
from funnel_lib.reporting.execute import Order
from funnel_lib.reporting.plan import Job, plan
from funnel_lib.reporting.publish import Desk

ROOT = Path(__file__).parents[1]
USERS = 3000
WAYS = {
    "calls": "the same calls in one process",
    "warm": "`funnel run`, warm kernels, 2 workers",
    "stock": "papermill as it comes",
    "nothing": "`funnel run`, nothing changed",
}


def report(count: int = 100) -> str:
    """Return the section for docs/benchmarks.md: what `count` reports cost in each way."""
    with TemporaryDirectory(prefix="funnel-bench-") as folder:
        _prepare(Path(folder) / "demo")
        found = {name: _measured(_own(Path(folder), name), name, count) for name in WAYS}
    base = found["calls"][0]
    rows = [
        {
            "way": said, "CPU s": found[name][0], "CPU s per report": found[name][0] / count,
            "ratio": found[name][0] / base, "wall s": found[name][1],
        }
        for name, said in WAYS.items()
    ]  # fmt: skip
    told = (
        f"{count} reports of a demo of {USERS:,} visitors, week by week: collection, segmentation, and conversion for "
        "everybody and for one segment, in English, each with page, numbers, tables, Excel file and executed notebook. "
        "The first line runs the notebooks' cells in one process, one report after the other, and writes the same "
        "files; the ratio is to its CPU time.\n\n"
    )
    return f"## Reports\n\n{told}{markdown(pd.DataFrame(rows))}"


def _prepare(root: Path) -> None:
    """Write and collect the demo, planned by week."""
    (root / "params").mkdir(parents=True)
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    told = yaml.safe_load((ROOT / "params" / "education.yml").read_text(encoding="utf-8"))
    told["periods"] = {**told["periods"], "every": "week", "latest": 100}
    told["reports"].pop("case_study")
    told.pop("case_study")
    (root / "params" / "education.yml").write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")
    sample.write_demo(root / "data" / "raw" / "education", users=USERS)
    funnel_lib.collect(funnel_lib.load(root / "params" / "education.yml"))


def _own(folder: Path, way: str) -> Path:
    """Return the demo of one way, so that none finds journeys that another has stored; what comes last is published."""
    root = folder / ("warm" if way == "nothing" else way)
    if not root.is_dir():
        shutil.copytree(folder / "demo", root)
    return root


def _jobs(root: Path, count: int) -> list[Job]:
    """Return the newest jobs of the plan."""
    desk = _desk(root)
    found = plan(desk.workbook, desk.facts, language="en")
    if count > len(found):
        raise SystemExit(f"The demo has {len(found)} reports; ask for no more.")
    return found[-count:]


def _desk(root: Path) -> Desk:
    return Desk.open(config.load(root / "params" / "education.yml"), as_of=None, start=datetime(2026, 8, 1, tzinfo=UTC))


def _measured(root: Path, way: str, count: int) -> tuple[float, float]:
    """Return CPU seconds and seconds by the clock."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.reports", way, str(root), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1]), time.monotonic() - begun


def _calls(root: Path, jobs: list[Job]) -> None:
    """Run the cells of each notebook in this process, and write the report's files."""
    _each(root, jobs, _in_process)


def _stock(root: Path, jobs: list[Job]) -> None:
    """Run each notebook by papermill as it comes, and write the report's files."""
    _each(root, jobs, _by_papermill)


def _each(root: Path, jobs: list[Job], make: Callable[[Order], Any]) -> None:
    desk = _desk(root).judged()
    (root / "aside").mkdir(exist_ok=True)
    os.chdir(root)
    with desk.making(jobs, root / "aside") as orders:
        for order in orders:
            execute.write(order, make(order))
            if not execute.headline(_written(order)):
                raise SystemExit(f"{order.job.label}: nothing was shown")


def _written(order: Order) -> Any:
    import nbformat

    return nbformat.read(order.folder / f"{order.job.stem}.ipynb", as_version=4)


def _parameters(order: Order) -> dict[str, Any]:
    job = order.job
    return {
        "workbook": order.workbook, "period": job.period, "segment": job.segment, "language": job.language,
        "as_of": None,
    }  # fmt: skip


def _in_process(order: Order) -> Any:
    import nbformat
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    notebook = nbformat.read(order.job.notebook, as_version=4)
    shell: Any = InteractiveShell.instance()
    gc.freeze()  # a reset looks for garbage, which is no part of making a report
    shell.reset()
    gc.unfreeze()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        shown: list[dict[str, Any]] = []
        shell.display_pub = CapturingDisplayPublisher(outputs=shown)
        shell.display_trap.hook = CapturingDisplayHook(shell, shown)
        shell.run_cell(cell.source).raise_error()
        if "parameters" in cell.metadata.get("tags", []):
            shell.push(_parameters(order))
        cell.outputs = [
            nbformat.v4.new_output("display_data", one["data"], metadata=one["metadata"] or {}) for one in shown
        ]
    return notebook


def _by_papermill(order: Order) -> Any:
    import papermill

    target = order.folder / f"{order.job.stem}.ipynb"
    return papermill.execute_notebook(order.job.notebook, target, _parameters(order), kernel_name="python3",
                                      progress_bar=False)  # fmt: skip


def _runs(root: Path, jobs: list[Job], *, force: bool) -> None:
    desk = runs._desk(root / "params" / "education.yml", None)
    result = runs._run(desk, jobs, workers=2, means=runs.Means(), force=force, tell=runs._silent)
    if result.exit_code not in (0, 3):
        raise SystemExit(str([made.reason for made in result.reports if made.reason]))
    if forkserver._forkserver._forkserver_pid is not None:
        forkserver._forkserver._stop()  # and count what it has used


def main(way: str, root: Path, count: int) -> None:
    """Make the reports in one way and print the CPU seconds."""
    jobs = _jobs(root, count)
    ways: dict[str, Callable[[], None]] = {
        "calls": lambda: _calls(root, jobs), "stock": lambda: _stock(root, jobs),
        "warm": lambda: _runs(root, jobs, force=True), "nothing": lambda: _runs(root, jobs, force=False),
    }  # fmt: skip
    ways[way]()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(sum(one.ru_utime + one.ru_stime for one in used))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
