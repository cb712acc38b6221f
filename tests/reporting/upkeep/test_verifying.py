"""Published files, and whether they are still those that were published."""

from __future__ import annotations

from pathlib import Path

import pytest

from funnel_lib.errors import DataError
from funnel_lib.reporting.upkeep.verifying import verify


def test_every_file_is_compared(shop: Path) -> None:
    reports = shop / "reports" / "shop"
    found = verify(reports)
    # Two reports with page, notebook and numbers each.
    assert (found.reports, found.files, found.faults) == (2, 6, ())
    april = reports / "2026-04" / "all"
    page = april / "conversion.en.html"
    page.write_bytes(page.read_bytes()[:-1] + b"x")  # of the same size
    (april / "conversion.en.metrics.json").unlink()
    (reports / "2026-05/all/conversion.en.manifest.json").write_text("{")
    assert verify(reports).plain() == {
        "reports": 2, "files": 3, "faults": [
            {"file": "2026-04/all/conversion.en.html", "fault": "is not the one that was published"},
            {"file": "2026-04/all/conversion.en.metrics.json", "fault": "is missing"},
            {"file": "2026-05/all/conversion.en.manifest.json", "fault": "the manifest cannot be read"},
        ],
    }  # fmt: skip
    assert verify(april).reports == 1


def test_a_folder_without_reports(tmp_path: Path) -> None:
    (tmp_path / ".making-1").mkdir()
    (tmp_path / ".making-1" / "conversion.en.manifest.json").write_text("{}")
    with pytest.raises(DataError, match="no report"):
        verify(tmp_path)
