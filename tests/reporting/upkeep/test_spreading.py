"""Reports made by other executors: the same files, and a worker that dies loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.execute import Limits
from funnel_lib.reporting.runs import Means, run
from funnel_lib.reporting.upkeep import spreading
from funnel_lib.reporting.upkeep.verifying import verify

ALL: dict[str, Any] = {"language": "en", "segment": "all"}


def pages(shop: Path) -> list[str]:
    return [page.read_text().split("<footer>")[0] for page in sorted((shop / "reports").rglob("conversion.en.html"))]


@pytest.mark.slow
def test_any_executor_makes_the_same_reports(shop: Path) -> None:
    before = pages(shop)
    with ThreadPoolExecutor(2) as executor:
        result = run(shop / "params/shop.yml", force=True, means=Means(executor), **ALL)
    assert [made.status for made in result.reports] == ["ok", "ok"]
    assert pages(shop) == before
    assert verify(shop / "reports/shop").faults == ()
    assert not list((shop / "reports/shop").glob(".[mr]*-*"))


@pytest.mark.slow
def test_a_report_that_fails_there_fails_here(shop: Path, notebook: Any) -> None:
    good = pages(shop)
    notebook(
        shop / "notebooks/03_conversion_analysis.ipynb",
        "import os, time\nos.write(1, b'loud')\n"
        "if period == '2026-04':\n    raise ValueError('no luck')\ntime.sleep(600)",
    )
    with ThreadPoolExecutor(2) as executor:
        april = run(shop / "params/shop.yml", means=Means(executor), period="2026-04", **ALL)
        may = run(shop / "params/shop.yml", means=Means(executor, Limits(600, 2)), period="2026-05", **ALL)
    assert april.reports[0].reason == "ValueError: no luck"
    assert may.reports[0].reason == "The report took longer than 2 seconds and was ended."
    assert pages(shop) == good
    assert b"loud" in (shop / "reports/shop/failed/2026-04/all/conversion.en.log").read_bytes()


class Losing(ThreadPoolExecutor):
    """An executor whose workers die before they have done anything."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(ConnectionError("worker 1 is gone"))
        return future


def test_a_lost_worker_is_a_failed_report(shop: Path) -> None:
    result = run(shop / "params/shop.yml", force=True, means=Means(Losing()), **ALL)
    assert {(made.status, made.reason) for made in result.reports} == {
        ("failed", "The worker of this report was lost: worker 1 is gone")
    }
    assert result.exit_code == 1
    assert len(pages(shop)) == 2


def test_a_process_that_dies_is_a_failed_report(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreading.sys, "executable", "/bin/false")
    with ThreadPoolExecutor(1) as executor:
        result = run(shop / "params/shop.yml", force=True, means=Means(executor), period="2026-04", **ALL)
    assert "ended with code 1" in str(result.reports[0].reason)


def test_a_cluster_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="need Dask") as error, spreading.cluster("tcp://127.0.0.1:1"):
        pass
    assert "funnel-lib[dask]" in str(error.value)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and two workers on loopback: the address and the workers."""
    address = f"tcp://127.0.0.1:{20000 + os.getpid() % 20000}"
    common = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard", "--no-show"]
    processes = [subprocess.Popen(dask, **common)]  # type: ignore[call-overload]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny",
              "--no-dashboard", "--local-directory", str(tmp_path), "--death-timeout", "60"]  # fmt: skip
    processes += [subprocess.Popen(worker, **common) for _ in range(2)]  # type: ignore[call-overload]
    try:
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_dask_cluster_that_loses_a_worker_loses_no_report(
    shop: Path, notebook: Any, scheduler: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = scheduler
    marks = shop / "marks"
    marks.mkdir()
    source = (
        "import os, time\nfrom pathlib import Path\nfrom funnel_lib.reporting.blocks import summary\n"
        "from funnel_lib.reporting.wording import Say\n"
        f"Path({str(marks)!r}, f'{{period}}-{{segment}}-{{os.getpid()}}').touch()\ntime.sleep(2)\n"
        "summary(Say(language)('{n} people came.', key='came', n=5), [])"
    )
    notebook(shop / "notebooks/03_conversion_analysis.ipynb", source)
    killed: list[int] = []

    def kill(_what: str, _share: float) -> None:
        """Kill a worker once both have begun."""
        deadline = time.monotonic() + 60
        while not killed and _share == 0.0 and "; " in _what and time.monotonic() < deadline:
            if len(list(marks.iterdir())) >= 2:
                workers[0].send_signal(signal.SIGKILL)
                killed.append(workers[0].wait())
            time.sleep(0.05)

    with spreading.cluster(address) as executor:
        result = run(shop / "params/shop.yml", means=Means(executor), force=True, progress=kill, **ALL)
    assert killed == [-signal.SIGKILL]
    assert [made.status for made in result.reports] == ["ok"] * 2
    # Two reports, and the one that the dead worker had begun was begun again.
    assert len(list(marks.iterdir())) == 3
    assert verify(shop / "reports/shop").faults == ()


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer() -> None:
    with pytest.raises(ConfigError, match="cannot be reached"), spreading.cluster("tcp://127.0.0.1:9"):
        pass


@pytest.mark.slow
def test_an_order_says_where_it_is_made(shop: Path) -> None:
    """The files of a delivery never take the runner's folders: these may not exist there."""
    seen: list[Path] = []

    def kept(order: Any) -> spreading.Delivery:
        seen.append(order.folder)
        return spreading.delivered(replace(order, folder=Path("/nowhere/1"), private=Path("/nowhere/k1")))

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, _function: Any, *arguments: Any, **_: Any) -> Future[Any]:
            return super().submit(kept, *arguments)

    with Elsewhere(1) as executor:
        result = run(shop / "params/shop.yml", force=True, means=Means(executor), period="2026-04", **ALL)
    assert [made.status for made in result.reports] == ["ok"]
    assert len(seen) == 1
