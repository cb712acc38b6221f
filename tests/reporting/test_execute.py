"""One report: why it failed in plain words, and what is checked before it is published."""

from __future__ import annotations

import runpy
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from funnel_lib import config
from funnel_lib.errors import ConfigError, DataError, FunnelError
from funnel_lib.reporting import execute, kernels
from funnel_lib.reporting.blocks import section, summary
from funnel_lib.reporting.execute import Limits, Order, explain, headline, make, make_all
from funnel_lib.reporting.plan import plan
from funnel_lib.reporting.publish import Desk

_SHOP = runpy.run_path(str(Path(__file__).with_name("shop.py")))
collected, shop, notebook = (_SHOP[name] for name in ("collected", "shop", "notebook"))
ROOT = Path("/somebody/project")


def cell_error(ename: str, evalue: str) -> Exception:
    error = Exception("a long text with a traceback")
    error.ename, error.evalue = ename, evalue  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("No step.", found="x", do="Add one."), "No step.\n  found:   x\n  do:      Add one."),
        (cell_error("DataError", "Nobody.\n  where:   here"), "Nobody.\n  where:   here"),
        (cell_error("KeyError", "'a'"), "KeyError: 'a'"),
        (cell_error("MemoryError", ""), "The notebook ran out of memory."),
        (MemoryError(), "The notebook ran out of memory."),
        (cell_error("_ArrayMemoryError", "no 9 GiB"), "The notebook ran out of memory."),
        (cell_error("OutOfMemoryException", "no 9 GiB"), "The notebook ran out of memory."),
        (cell_error("OSError", f"no {ROOT}/data/x and {ROOT}"), "OSError: no data/x and ."),
        (OSError(f"no {Path.home()}/x"), "OSError: no ~/x"),
        (type("DeadKernelError", (OSError,), {})(), "The notebook's kernel died; it may have run out of memory."),
        (type("CellTimeoutError", (OSError,), {})(), "A cell of the notebook ran longer than 600 seconds."),
    ],
)  # fmt: skip
def test_reasons_in_plain_words(error: Exception, reason: str) -> None:
    assert explain(error, ROOT, Limits()) == reason


def test_the_reason_names_the_limit_of_memory() -> None:
    reason = explain(MemoryError(), ROOT, Limits(memory=2_500_000_000))
    assert reason == "The notebook ran out of memory (limit 2.5 GB)."


def shown(*blocks: Any) -> Any:
    outputs = [nbformat.v4.new_output("display_data", block._repr_mimebundle_()) for block in blocks]
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# x"), nbformat.v4.new_code_cell(outputs=outputs)]
    )


def test_the_headline_is_the_first_sentence_of_the_summary() -> None:
    other = section("a", kicker="A", finding="Not this.", sub="", parts=[])
    assert headline(shown(other, summary("Of 200, 50 paid.", [("Where", "Here.")]))) == "Of 200, 50 paid."
    assert headline(shown(other)) == ""


@pytest.fixture
def order(shop: Path) -> Any:
    """An order for one report of the shop."""
    desk = Desk.open(config.load(shop / "params" / "shop.yml"), as_of=None, start=datetime(2026, 6, 1, tzinfo=UTC))
    desk.folder.mkdir(parents=True)
    jobs = plan(desk.workbook, desk.facts, period="2026-05", segment="all", language="en")
    with desk.making(jobs) as orders:
        yield orders[0]


@pytest.mark.parametrize(
    ("name", "result", "fault"),
    [("page", "<html>half", "page is not"), ("page", "", "page is not"), ("metrics", [1], "numbers are not")],
)  # fmt: skip
def test_a_half_made_report_is_a_failed_one(
    order: Order, monkeypatch: pytest.MonkeyPatch, name: str, result: object, fault: str
) -> None:
    monkeypatch.setattr(execute, "run_notebook", lambda _order: shown(summary("Fine.", [])))
    monkeypatch.setattr(execute.render, name, lambda *_: result)
    outcome = make(order)
    assert outcome.status == "failed"
    assert fault in str(outcome.reason)


def test_no_data_is_not_a_failure(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_order: Order) -> None:
        raise DataError("Nobody is in this segment.")

    monkeypatch.setattr(execute, "run_notebook", nobody)
    assert (make(order).status, make(order).reason) == ("no data", "Nobody is in this segment.")


def test_a_cell_that_never_ends(order: Order, notebook: Any) -> None:
    file = notebook(order.root / "notebooks" / "03_conversion_analysis.ipynb", "print('begun')", "while True: pass")
    outcome = make(replace(order, fork=False, limits=Limits(cell=1)))
    assert outcome.reason == "A cell of the notebook ran longer than 1 seconds."
    assert "begun" in (order.folder / "conversion.en.ipynb").read_text()
    assert file.is_file()


def test_what_libraries_write_is_no_output_of_the_command(
    order: Order, notebook: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    source = "import os\nos.write(1, b'loud'); os.write(2, b'louder')", "raise ValueError('no')"
    notebook(order.root / "notebooks" / "03_conversion_analysis.ipynb", *source)
    [(_, outcome)] = make_all([order], kernels.start_warm(), workers=1, started=lambda _order: None)
    assert outcome.reason == "ValueError: no"
    assert order.log.read_bytes().count(b"loud") == 2
    assert capfd.readouterr() == ("", "")


def test_a_report_that_never_ends_is_ended_with_its_kernel(order: Order, notebook: Any) -> None:
    # The cell keeps the interpreter's lock: its kernel hears no signal and sees no clock.
    file = order.root / "kernel"
    source = f"import ctypes, os\nopen({str(file)!r}, 'w').write(str(os.getpid()))\nctypes.PyDLL(None).sleep(600)"
    notebook(order.root / "notebooks" / "03_conversion_analysis.ipynb", source)
    hangs = replace(order, limits=Limits(report=4))
    [(_, outcome)] = make_all([hangs], kernels.start_warm(), workers=1, started=lambda _order: None)
    assert (outcome.status, outcome.reason) == ("failed", "The report took longer than 4 seconds and was ended.")
    deadline = time.monotonic() + 20
    while Path(f"/proc/{file.read_text()}").exists():
        assert time.monotonic() < deadline, "the kernel lives on"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
@pytest.mark.parametrize("fork", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_greedy_notebook_is_stopped_at_its_limit(order: Order, notebook: Any, *, fork: bool) -> None:
    source = "few = bytearray(10**8)", "len(bytearray(2 * 10**9))" if fork else "len(bytearray(6 * 10**9))"
    notebook(order.root / "notebooks" / "03_conversion_analysis.ipynb", *source)
    greedy = replace(order, limits=Limits(memory=300_000_000), fork=fork)
    [(_, outcome)] = make_all([greedy], kernels.start_warm(), workers=1, started=lambda _order: None)
    assert (outcome.status, outcome.reason) == ("failed", "The notebook ran out of memory (limit 0.3 GB).")


def test_the_slowest_cells_are_named() -> None:
    cells = [nbformat.v4.new_code_cell(metadata={"papermill": {"duration": d}}) for d in (0.1, 2.0, None, 0.5, 0.30001)]
    found = execute.slowest(nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell()]))
    assert found == ({"cell": 2, "seconds": 2.0}, {"cell": 4, "seconds": 0.5}, {"cell": 5, "seconds": 0.3})


def test_processes_end_when_the_caller_stops(order: Order, notebook: Any) -> None:
    notebook(order.root / "notebooks" / "03_conversion_analysis.ipynb", "import time; time.sleep(600)")
    processes: list[Any] = []
    context = kernels.start_warm()
    spied = SimpleNamespace(
        Pipe=context.Pipe, Process=lambda **options: processes.append(context.Process(**options)) or processes[-1]
    )

    def stop(_order: Order) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(make_all([order], spied, workers=1, started=stop))  # type: ignore[arg-type]
    assert [process.exitcode for process in processes] == [-15]


def test_known_errors_are_those_of_the_package() -> None:
    assert {FunnelError.__name__, *(kind.__name__ for kind in FunnelError.__subclasses__())} == execute.OURS
