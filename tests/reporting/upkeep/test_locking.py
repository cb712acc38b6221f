"""One run at a time: who waits is told for whom, and the dead keep nobody out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from funnel_lib.errors import FunnelError
from funnel_lib.reporting.upkeep.locking import HOLDER, Holder, locked, stopped

START = datetime(2026, 6, 1, tzinfo=UTC)


def silent(_what: str, _share: float) -> None:
    pass


def test_a_run_signs_and_takes_its_name_away(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    with locked(folder, start=START, wait=0, tell=silent) as left:
        assert left is None
        holder = Holder.of(folder)
        assert holder is not None
        assert (holder.pid, holder.since) == (os.getpid(), "2026-06-01T00:00:00+00:00")
        assert str(holder).startswith(f"process {os.getpid()} on {holder.host}")
    assert Holder.of(folder) is None


def test_who_waits_is_told_for_whom(tmp_path: Path) -> None:
    said: list[str] = []
    with locked(tmp_path, start=START, wait=0, tell=silent):
        with (
            pytest.raises(FunnelError, match="Another run") as error,
            locked(tmp_path, start=START, wait=0.1, tell=lambda what, _share: said.append(what)),
        ):
            pass
        assert Holder.of(tmp_path) is not None  # the one who waited in vain has not taken the name away
    assert f"process {os.getpid()} on" in said[0]
    assert f"by process {os.getpid()} on" in str(error.value)


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "from funnel_lib.reporting.upkeep.locking import locked\n"
        "with locked(Path(sys.argv[1]), start=datetime(2026, 6, 1), wait=0, tell=print): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with locked(tmp_path, start=START, wait=0, tell=silent) as left:
        assert left is not None
        assert left.pid != os.getpid()
        assert Holder.of(tmp_path) != left


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "x"}', json.dumps({"pid": 1, "host": "h", "more": 1})])
def test_a_name_that_cannot_be_read_is_no_name(tmp_path: Path, text: str) -> None:
    (tmp_path / HOLDER).write_text(text)
    assert Holder.of(tmp_path) is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(FunnelError, match="cannot be written"),
        locked(tmp_path / "file" / "x", start=START, wait=0, tell=silent),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (PermissionError(13, "Permission denied", "reports/2026-05/a.html"), "Permission denied"),
        (OSError(18, "Invalid cross-device link", "elsewhere/a", None, "reports/a"), "Invalid cross-device link"),
        (OSError(39, "Directory not empty", "2026-05"), "Directory not empty"),  # as clearing away tells it
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)  # fmt: skip
def test_errors_about_the_reports_folder(error: OSError, found: str) -> None:
    told = stopped(Path("reports"), error)
    assert told.what == "The reports' folder cannot be written."
    assert found in str(told)


@pytest.mark.parametrize(
    ("error", "where", "found"),
    [
        (FileNotFoundError(2, "No such file or directory", "data/events.parquet"), "data/events.parquet", "No such"),
        (PermissionError(13, "Permission denied", "reports-old/a"), "reports-old/a", "Permission denied"),
        (BrokenPipeError(32, "Broken pipe"), "", "BrokenPipeError: Broken pipe"),
    ],
)  # fmt: skip
def test_other_errors_are_told_as_what_they_are(error: OSError, where: str, found: str) -> None:
    told = stopped(Path("reports"), error)
    assert "folder" not in told.what
    assert where in str(told)
    assert found in str(told)
