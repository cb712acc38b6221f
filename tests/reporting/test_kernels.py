"""Kernels: forked ones give what stock ones give, and are kept apart from everything else on the machine."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel_lib.reporting import kernels
from funnel_lib.reporting.kernels import Waiting, can_fork, nameless_main, settings

_SHOP = runpy.run_path(str(Path(__file__).with_name("shop.py")))
notebook = _SHOP["notebook"]

# What a cell can show: text on both streams, tables, pictures, HTML, results of threads, errors.
SOURCES = (
    "import asyncio, os, sys, threading, warnings\nimport pandas as pd\nfrom IPython.display import HTML, display",
    "print('to stdout'); print('to stderr', file=sys.stderr)",
    "pd.DataFrame({'a': [1, 2], 'b': ['x', 'é中']})",
    "display(HTML('<b>bold</b>')); 7",
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 1))\nax.plot([1, 2, 3])",
    "plt.plot([3, 1]); plt.show(); plt.rcParams['figure.dpi'], plt.get_backend()",
    "fig",
    "a = []\nthread = threading.Thread(target=lambda: a.append(sum(range(10))))\nthread.start(); thread.join(); a",
    "await asyncio.sleep(0.01, 'awaited')",
    "warnings.warn('careful')",
    "import duckdb\nduckdb.sql('select 1 + 1 as two').fetchall()",
    "__name__, sys.argv[0].rsplit('/')[-1], os.getcwd() == os.environ['HERE'], segment, sorted(globals())[:3]",
    "!echo from the shell",
    "%matplotlib inline\nplt.figure(figsize=(1, 1)); plt.bar([0], [1]);",
    "get_ipython().history_manager.hist_file, hash('a'), os.environ['OPENBLAS_NUM_THREADS']",
)
RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from funnel_lib.reporting import execute, kernels, warm
from funnel_lib.reporting.plan import Job

root, file, fork = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "fork"
job = Job("conversion", "2026-05", "all", "en", file)
folder, private = root / sys.argv[3], root / "k"
folder.mkdir()
private.mkdir(exist_ok=True)
if fork:
    assert execute._single_threaded(), "a module of `warm` has started a thread"
order = SimpleNamespace(
    job=job, root=root, workbook="w.yml", as_of=None, folder=folder, private=private, fork=fork, limits=execute.Limits()
)
execute.run_notebook(order)
print()
print(folder / "conversion.en.ipynb")
"""


def outputs(tmp_path: Path, file: Path, how: str) -> list[Any]:
    """Run the notebook in a new process; return the outputs of its cells, streams joined, numbers of objects out."""
    import nbformat

    with settings():
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path), str(file), how], capture_output=True, text=True, check=False,
            env={**os.environ, "HERE": str(tmp_path)},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(done.stdout.splitlines()[-1], as_version=4)
    found = []
    for cell in executed.cells:
        streams: dict[str, str] = {}
        rest = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                streams[output.name] = streams.get(output.name, "") + output.text
            else:
                rest.append({key: value for key, value in output.items() if key != "execution_count"})
        text = re.sub(r"/tmp/ipykernel_\d+/\d+", "cell", repr((streams, rest)))
        found.append(re.sub(r"0x[0-9a-f]+", "0x", text))
    return found


@pytest.mark.slow
def test_a_forked_kernel_shows_what_a_stock_one_shows(tmp_path: Path, notebook: Callable[..., Path]) -> None:
    file = notebook(tmp_path / "n.ipynb", *SOURCES)
    forked, stock = outputs(tmp_path, file, "fork"), outputs(tmp_path, file, "stock")
    assert forked == stock
    shown = "".join(stock)
    for text in ("to stdout", "to stderr", "é中", "<b>bold</b>", "awaited", "careful", "from the shell"):
        assert text in shown
    assert shown.count("image/png") == 4


def test_a_waiting_process_ends_with_its_orders() -> None:
    code = (
        "from funnel_lib.reporting.kernels import Waiting\n"
        "waiting = Waiting()\nassert waiting.poll() is None\nwaiting._send.close()\nprint(waiting.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_waiting_process_can_be_killed() -> None:
    code = (
        "import signal\nfrom funnel_lib.reporting.kernels import Waiting\n"
        "a, b, c = Waiting(), Waiting(), Waiting()\na.kill(); b.terminate(); c.send_signal(signal.SIGKILL)\n"
        "print(a.wait(), b.wait(), c.wait())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "-9 -15 -9\n"


def test_a_long_path_is_no_place_for_sockets(tmp_path: Path, notebook: Callable[..., Path]) -> None:
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    assert outputs(deep, notebook(deep / "n.ipynb", "print('ran')"), "fork")[-1] == "({'stdout': 'ran\\n'}, [])"


@pytest.mark.slow
def test_a_users_own_kernel_and_profile_are_not_used(tmp_path: Path, notebook: Callable[..., Path]) -> None:
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text('{"argv": ["false"], "display_name": "x", "language": "python"}')
    start = tmp_path / "ipython" / "profile_default" / "startup"
    start.mkdir(parents=True)
    (start / "00.py").write_text("print('startup')")
    file = notebook(tmp_path / "n.ipynb", "print('ran')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        patch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        found = [outputs(tmp_path, file, "stock")[-1], outputs(tmp_path, file, "fork")[-1]]
    assert found == ["({'stdout': 'ran\\n'}, [])"] * 2


def test_forking_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.sys, "platform", "linux")
    monkeypatch.delenv("FUNNEL_STOCK_KERNEL", raising=False)
    assert can_fork()
    monkeypatch.setenv("FUNNEL_STOCK_KERNEL", "1")
    assert not can_fork()
    monkeypatch.delenv("FUNNEL_STOCK_KERNEL")
    monkeypatch.setattr(kernels.sys, "platform", "darwin")
    assert not can_fork()


def test_settings_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    before = dict(os.environ)
    with settings():
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
        assert "inline" in os.environ["MPLBACKEND"]
    assert dict(os.environ) == before


def test_the_main_module_is_put_back() -> None:
    main = sys.modules["__main__"]
    with nameless_main():
        assert not hasattr(sys.modules["__main__"], "__file__")
    assert sys.modules["__main__"] is main


def test_nothing_waits_without_being_made() -> None:
    assert Waiting.stdin is None
