"""What all tests share: the demo's data, built once, and the real data sets when they are at hand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

ROOT = Path(__file__).parent.parent
REAL = "FUNNEL_REAL_DATA"
_left_out: list[str] = []

# The same examples in every run, so that a failure is that of the change; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on real data where there is none, and remember how many."""
    if os.environ.get(REAL):
        return
    real = [item for item in items if item.get_closest_marker("real")]
    _left_out.extend(item.nodeid for item in real)
    items[:] = [item for item in items if item not in real]
    config.hook.pytest_deselected(items=real)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so when tests were left out: silence would look like success."""
    if not os.environ.get(REAL):
        terminalreporter.write_line(
            f"Left out: the tests on real data sets (they need {REAL} to name a folder with them)."
        )


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets."""
    return Path(os.environ[REAL])


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout: params/education.yml with the demo's raw exports, collected.

    Built once for all test processes. `data/truth/education.json` holds the planted truth.
    """
    import funnel_lib
    from funnel_lib import sample

    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "demo"
    with FileLock(f"{root}.lock"):
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            (root / "params").mkdir(parents=True)
            shutil.copy(ROOT / "params" / "education.yml", root / "params")
            sample.write_demo(
                root / "data" / "raw" / "education", truth_file=root / "data" / "truth" / "education.json"
            )
            funnel_lib.collect(funnel_lib.load(root / "params" / "education.yml"))
            (root / "complete").touch()
    return root
