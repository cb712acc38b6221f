"""Whatever dies, fills up, is locked or goes wrong: nothing is lost, nothing half-written, the next run repairs."""

from __future__ import annotations

import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from funnel_lib import config
from funnel_lib.reporting import runs
from funnel_lib.reporting.publish import Desk
from funnel_lib.reporting.runs import prune, run, status
from funnel_lib.reporting.upkeep.pruning import Rule
from funnel_lib.reporting.upkeep.verifying import verify

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "shop.py"))
collected, shop = _SHOP["collected"], _SHOP["shop"]
MOMENTS, SEED = 30, 20260801
MAY: dict[str, Any] = {"language": "en", "period": "2026-05"}
OPTIONS = [f"--{name}={value}" for name, value in MAY.items()]
IMPORTS = (
    "from funnel_lib.reporting.blocks import summary\nfrom funnel_lib.reporting.wording import Say\nsay = Say(language)"
)
pytestmark = pytest.mark.slow


def workbook(root: Path) -> Path:
    return root / "params" / "shop.yml"


def command(root: Path, *options: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "funnel_lib.cli", "run", str(workbook(root)), *OPTIONS, *options]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def pages(root: Path) -> dict[str, str]:
    """Return the pages that readers see: what a killed run was still making lies in a hidden folder."""
    return {str(page): page.read_text() for page in sorted((root / "reports").glob("shop/2*/*/conversion.en.html"))}


def without_footer(found: dict[str, str]) -> dict[str, str]:
    return {name: page.split("<footer>")[0] for name, page in found.items()}


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the run and all that it has started: forkserver, reports, kernels."""
    try:
        own = psutil.Process(process.pid)
        return [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def check_whole(root: Path, before: dict[str, str]) -> None:
    """Check that both reports are there and whole, as readers see them, before and after a repair."""
    assert without_footer(pages(root)) == without_footer(before)
    desk = Desk.open(config.load(workbook(root)), as_of=None, start=datetime(2026, 7, 1, tzinfo=UTC))
    desk.repair()
    assert verify(root / "reports/shop").faults == ()
    assert not list((root / "reports/shop").glob(".[mr]*-*"))
    assert without_footer(pages(root)) == without_footer(before)


def test_killed_at_any_moment(shop: Path) -> None:
    begun = time.monotonic()
    assert run(workbook(shop), **MAY).exit_code == 0
    longest, before = time.monotonic() - begun + 1.0, pages(shop)
    chance = random.Random(SEED)
    assert len(before) == 2
    codes = set()
    for _ in range(MOMENTS):
        process = command(shop, "--force")
        time.sleep(chance.uniform(0.1, longest))
        found = family(process)
        victim = chance.choice([found[0], *found]) if found else None  # the runner more often
        if victim is not None:
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                victim = None
        process.communicate(timeout=120)
        codes.add(process.returncode)
        _, alive = psutil.wait_procs(found, timeout=30)
        assert not alive, (victim, alive)
        assert process.returncode in (0, 1, -signal.SIGKILL)
        check_whole(shop, before)
    assert -signal.SIGKILL in codes
    result = run(workbook(shop), **MAY, force=True)
    assert result.exit_code == 0
    assert {one.state for one in status(workbook(shop), **MAY)} == {"provisional"}
    assert not (shop / "reports/shop/2026-05/all/conversion.en.failed.html").exists()


def test_two_runs_at_once(shop: Path) -> None:
    both = [command(shop, "--force") for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("waiting for another run in this folder (process" in one for one in said) == 1
    assert verify(shop / "reports/shop").faults == ()
    assert (shop / "reports/shop/index.html").is_file()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only; for root, whom permissions do not stop, by a mount."""
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_folder_that_is_read_only(shop: Path) -> None:
    assert run(workbook(shop), **MAY).exit_code == 0
    before = pages(shop)
    with read_only(shop / "reports" / "shop"):
        process = command(shop, "--force")
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "The reports' folder cannot be written." in said
        assert {one.state for one in status(workbook(shop), **MAY)} == {"provisional"}
    assert pages(shop) == before
    assert run(workbook(shop), **MAY, force=True).exit_code == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of three megabytes."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("room", [0, 60_000])
def test_a_full_disk(shop: Path, room: int) -> None:
    folder = shop / "reports" / "shop"
    with small_disk(folder):
        assert run(workbook(shop), **MAY).exit_code == 0
        before = pages(shop)
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(filler, max(0, filler.stat().st_size - room))
        process = command(shop, "--force")
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 1, said
        assert "No space left on device" in said
        assert pages(shop) == before
        filler.unlink()
        assert run(workbook(shop), **MAY).exit_code in (0, 3)
        check_whole(shop, before)
        assert run(workbook(shop), **MAY, force=True).exit_code == 0
        assert not [path for path in folder.rglob("*") if "failed" in path.name and path.is_file()]


def test_a_clock_that_was_set_back(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(workbook(shop), language="en", segment="all").exit_code == 0
    before = pages(shop)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(runs, "datetime", Clock)
    assert run(workbook(shop), language="en", segment="all").exit_code == 3
    assert run(workbook(shop), language="en", due=True).exit_code == 3  # no period has ended yet
    assert prune(workbook(shop), Rule(age=timedelta(days=365))) == []
    assert run(workbook(shop), language="en", segment="all", force=True).exit_code == 0
    assert without_footer(pages(shop)) == without_footer(before)
    monkeypatch.undo()
    assert run(workbook(shop), language="en", segment="all").exit_code == 3
    assert verify(shop / "reports/shop").faults == ()


def test_a_notebook_that_takes_all_memory(shop: Path) -> None:
    greedy = (
        "import resource\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2 ** 28, -1))\n"
        "if segment == 'all':\n    hoard = [bytearray(2 ** 27) for _ in range(100)]"
    )
    _SHOP["write_notebook"](shop / "notebooks/03_conversion_analysis.ipynb", greedy, IMPORTS, _SHOP["SUMMARY"])
    result = run(workbook(shop), **MAY)
    assert [(made.status, made.reason) for made in result.reports] == [
        ("failed", "The notebook ran out of memory."), ("ok", None)
    ]  # fmt: skip
    assert "ran out of memory" in (shop / "reports/shop/2026-05/all/conversion.en.html").read_text()
