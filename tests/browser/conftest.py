"""What the browser tests open: the reports below FUNNEL_REPORTS, or pages made for the tests."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with HTML reports."""
    if named := os.environ.get("FUNNEL_REPORTS"):
        return Path(named).resolve(strict=True)
    sample = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "sample.py"))
    written: Path = sample["write"](tmp_path_factory.mktemp("reports"))
    return written
