"""Make reports, each in a process of its own: run the notebook, write the page, check what was written."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any, Literal, cast

from funnel_lib.errors import ConfigError, DataError, FunnelError, NothingToDo
from funnel_lib.reporting import kernels, pages, printing, render, spreadsheet
from funnel_lib.reporting.blocks import MIME
from funnel_lib.reporting.manifest import Manifest
from funnel_lib.reporting.plan import Job
from funnel_lib.reporting.render import PageFacts
from funnel_lib.reporting.upkeep import restating
from funnel_lib.reporting.upkeep.restating import Published, Restated

Status = Literal["ok", "failed", "no data"]
START_TIMEOUT = 180
GRACE = 5
SLOWEST = 3
LOG = "log"
OURS = {kind.__name__ for kind in (FunnelError, ConfigError, DataError, NothingToDo)}


@dataclass(frozen=True)
class Limits:
    """What making a report may take.

    Parameters
    ----------
    cell, report : seconds for one cell of a notebook, and for one whole report.
    memory : bytes for the data of one report; None for as many as there are. Heeded on Linux.
    """

    cell: int = 600
    report: int = 1800
    memory: int | None = None


@dataclass(frozen=True)
class Order:
    """One report to make.

    Parameters
    ----------
    root : folder that the notebook runs in; `workbook` is the workbook file's path from there.
    start : when the run began.
    folder, private : existing, empty folders: for the files, and for the kernel's sockets.
    page : what the page says beside the notebook, as far as it is known before.
    manifest : what the report is made from.
    fork : whether its kernel is forked.
    before : the report that stands at its place; a number that moves by more than the share `tolerance` is listed.
    paper : whether it is printed, too.
    """

    job: Job
    root: Path
    workbook: str
    as_of: datetime | None
    start: datetime
    folder: Path
    private: Path
    page: PageFacts
    manifest: Manifest
    fork: bool = True
    limits: Limits = field(default_factory=Limits)
    before: Published | None = None
    tolerance: float = 0.0
    paper: bool = False

    @property
    def log(self) -> Path:
        """The file that takes what the process and its kernel write past Python."""
        return self.folder.with_suffix(f".{LOG}")


@dataclass(frozen=True)
class Outcome:
    """What became of an order.

    Parameters
    ----------
    reason : why a report failed: plain text for readers, without paths of this machine.
    headline : the first sentence of the report's summary.
    outputs : the names of the files in the order's folder.
    restates : published numbers that have moved (see `restating.restated`).
    slowest : the cells that took longest, as number and seconds.
    unprinted : why a good report was not printed although it was asked for.
    """

    status: Status
    seconds: float
    reason: str | None = None
    headline: str = ""
    outputs: tuple[str, ...] = ()
    restates: tuple[Restated, ...] = ()
    slowest: tuple[Mapping[str, float], ...] = ()
    unprinted: str = ""


def make_all(
    orders: Iterable[Order], context: BaseContext, *, workers: int, started: Callable[[Order], None]
) -> Iterator[tuple[Order, Outcome]]:
    """Carry out the orders, each in a process of its own, at most `workers` at a time; yield each as it ends.

    A process that dies is a failed report and stops nothing; one that takes longer than its limit is ended.
    Processes that still run when the caller stops are ended.
    """
    waiting, running = iter(orders), dict[Connection, tuple[Order, BaseProcess, float]]()
    try:
        while True:
            for order in islice(waiting, workers - len(running)):
                receiving, sending = context.Pipe(duplex=False)
                process = context.Process(target=_send, args=(order, sending))  # type: ignore[attr-defined]
                with kernels.nameless_main(), kernels.settings():  # it may have to start the forkserver again
                    process.start()
                sending.close()
                running[receiving] = order, process, monotonic()
                started(order)
            if not running:
                return
            ends = {one: begun + order.limits.report for one, (order, _, begun) in running.items()}
            for ready in wait(list(running), max(0.0, min(ends.values()) - monotonic())):
                order, process, begun = running.pop(cast(Connection, ready))
                yield order, _receive(cast(Connection, ready), process, begun)
            for late in [one for one in running if ends[one] <= monotonic()]:
                order, process, begun = running.pop(late)
                yield order, _ended(late, process, order.limits.report)
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.join(GRACE)


def make(order: Order) -> Outcome:
    """Carry out the order in this process; whatever goes wrong becomes the outcome's reason."""
    begun = monotonic()
    try:
        notebook = run_notebook(order)
        outputs, restates, unprinted = write(order, notebook)
    except Exception as error:  # noqa: BLE001 - one failing report must not stop the others
        status: Status = "no data" if _name(error) == DataError.__name__ else "failed"
        return Outcome(status, monotonic() - begun, explain(error, order.root, order.limits))
    return Outcome("ok", monotonic() - begun, None, headline(notebook), outputs, restates, slowest(notebook), unprinted)


def run_notebook(order: Order) -> Any:
    """Run the notebook with its parameters by papermill and return it with its outputs.

    The executed notebook lies in the order's folder afterwards, also where a cell failed.
    """
    # A kernel is forked before anything here can have opened a socket or started a thread.
    waiting = kernels.Waiting() if order.fork and _single_threaded() else None
    kernels.end_with_parent()
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    target = order.folder / f"{order.job.stem}.ipynb"

    class Keeping(NBClientEngine):  # type: ignore[misc, unused-ignore]
        """Saves the notebook once, at its end, but also after a time-out or the kernel's death."""

        @classmethod
        def execute_managed_notebook(cls, manager: Any, kernel_name: str, **options: Any) -> Any:
            try:
                return super().execute_managed_notebook(manager, kernel_name, **options)
            except BaseException:
                manager.output_path = str(target)
                raise

    papermill_engines.register("funnel", Keeping)
    job = order.job
    parameters = {
        "workbook": order.workbook, "period": job.period, "segment": job.segment, "language": job.language,
        "as_of": order.as_of.isoformat() if order.as_of else None,
    }  # fmt: skip
    return papermill.execute_notebook(
        job.notebook, target, parameters, engine_name="funnel", kernel_name="python3", cwd=order.root,
        progress_bar=False, request_save_on_cell_execute=False, autosave_cell_every=0,
        start_timeout=START_TIMEOUT, execution_timeout=order.limits.cell,
        kernel_manager_class=kernels.manager(waiting, order.private), shutdown_kernel="immediate",
    )  # fmt: skip


def headline(notebook: Any) -> str:
    """Return the first sentence of the notebook's summary; empty where it has none."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.get(MIME, {}).get("kind") == "summary":
                return str("".join(data.get("text/plain", ""))).partition("\n")[0]
    return ""


def slowest(notebook: Any) -> tuple[dict[str, float], ...]:
    """Return the cells that took longest, the longest first: number (from 1) and seconds."""
    took = [(cell.metadata.get("papermill", {}).get("duration") or 0.0, n) for n, cell in enumerate(notebook.cells, 1)]
    longest = sorted(took, key=lambda one: (-one[0], one[1]))[:SLOWEST]
    return tuple({"cell": number, "seconds": round(seconds, 3)} for seconds, number in longest if seconds)


def explain(error: BaseException, root: Path, limits: Limits) -> str:
    """Return why a report failed: the error's message, without traceback and without paths of this machine."""
    name, text = _name(error), str(getattr(error, "evalue", error))
    if name == "DeadKernelError":
        text = "The notebook's kernel died; it may have run out of memory."
    elif name == "CellTimeoutError":
        text = f"A cell of the notebook ran longer than {limits.cell} seconds."
    elif name.endswith(("MemoryError", "OutOfMemoryException")):  # Python's, numpy's, Arrow's; DuckDB's
        text = "The notebook ran out of memory."
        if limits.memory is not None:
            text = f"The notebook ran out of memory (limit {limits.memory / 10**9:g} GB)."
    elif name not in OURS:
        text = f"{name}: {text}"
    for folder, short in ((str(root), ""), (sys.prefix, ""), (str(Path.home()), "~/")):
        text = text.replace(f"{folder}{os.sep}", short) if len(folder) > 1 else text
    return text.replace(str(root), ".").strip()


def _name(error: BaseException) -> str:
    return str(getattr(error, "ename", type(error).__name__))


def _send(order: Order, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then ends this process
    with order.log.open("wb") as log:  # what libraries write past Python is no output of the command
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    kernels.bound_memory(order.limits.memory)
    connection.send(make(order))
    connection.close()


def _receive(connection: Connection, process: BaseProcess, begun: float) -> Outcome:
    try:
        outcome: Outcome = connection.recv()
    except EOFError:
        process.join()
        reason = f"The process of this report ended with code {process.exitcode}; it may have run out of memory."
        return Outcome("failed", monotonic() - begun, reason)
    finally:
        connection.close()
    process.join()
    return outcome


def _ended(connection: Connection, process: BaseProcess, seconds: float) -> Outcome:
    """End a process that takes too long; its kernel ends with it."""
    process.kill()
    process.join(GRACE)
    connection.close()
    return Outcome("failed", float(seconds), f"The report took longer than {seconds} seconds and was ended.")


def write(order: Order, notebook: Any) -> tuple[tuple[str, ...], tuple[Restated, ...], str]:
    """Write page, numbers, tables and notebook into the order's folder and check them.

    Returns their names, which published numbers have moved (the page and the notebook list these, too), and why it was
    not printed where it was to be. What is printed of the report and lies in the folder already is kept and offered.
    """
    import nbformat

    folder, stem = order.folder, order.job.stem
    moved = restating.restated(order.before, order.manifest, render.metrics(notebook), tolerance=order.tolerance)
    if moved:
        shown = restating.section(moved, order.job.language)._repr_mimebundle_()
        output = nbformat.v4.new_output("display_data", shown)  # type: ignore[no-untyped-call]
        cell = nbformat.v4.new_code_cell(id="restated", outputs=[output])  # type: ignore[no-untyped-call]
        notebook.cells.append(cell)
    tables = {re.sub(r"[^A-Za-z0-9_-]+", "-", name): text for name, text in render.tables(notebook).items()}
    note = pages.footer(order.job.language, order.start, order.manifest["code"])
    facts = pages.finished(order.page, stem=stem, tables=tables, source=pages.source_text(order.manifest), footer=note)
    numbers = json.dumps(render.metrics(notebook), ensure_ascii=False, indent=1, sort_keys=True)
    (folder / f"{stem}.metrics.json").write_text(numbers + "\n", encoding="utf-8")
    for name, text in tables.items():
        (folder / f"{stem}.{name}.csv").write_text(text, encoding="utf-8-sig", newline="")
    if tables:
        spreadsheet.write_xlsx(folder / f"{stem}.xlsx", tables, pages.about(facts, order.manifest))
    notebook.metadata.get("papermill", {}).update(input_path=order.job.notebook.name, output_path=f"{stem}.ipynb")
    (folder / f"{stem}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")  # type: ignore[no-untyped-call]
    unprinted = _write_page(order, notebook, facts)
    _check(folder, stem)
    return tuple(sorted(path.name for path in folder.iterdir())), tuple(moved), unprinted


def _write_page(order: Order, notebook: Any, facts: PageFacts) -> str:
    """Write the page, which offers what is printed of it, and print it; return why that could not be done."""
    page = order.folder / f"{order.job.stem}.html"

    def offering(kinds: Collection[str]) -> None:
        offered = pages.with_paper(facts, order.job.stem, kinds)
        page.write_text(render.page(notebook, offered), encoding="utf-8")

    offering(printing.KINDS if order.paper else printing.kinds_beside(page))
    if not order.paper:
        return ""
    try:
        printing.printed(page, made=order.start)
    except FunnelError as error:  # the report is good all the same
        printing.remove(page)
        offering(())
        return str(error)
    return ""


def _check(folder: Path, stem: str) -> None:
    """Check what was written; raises FunnelError for a page or numbers that are not whole."""
    page = (folder / f"{stem}.html").read_text(encoding="utf-8")
    if not page.rstrip().endswith("</html>"):
        raise FunnelError(
            "The page is not complete.",
            where=f"{stem}.html",
            found=f"{len(page)} characters",
            allowed="</html> at the end",
        )
    if not isinstance(json.loads((folder / f"{stem}.metrics.json").read_text(encoding="utf-8")), dict):
        raise FunnelError("The numbers are not complete.", where=f"{stem}.metrics.json", allowed="a JSON object")


def _single_threaded() -> bool:
    tasks = Path("/proc/self/task")
    return not tasks.is_dir() or len(list(tasks.iterdir())) == 1
