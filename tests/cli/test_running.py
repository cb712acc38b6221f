"""The commands around `funnel run`: options, exit codes, words and JSON."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel_lib import cli
from funnel_lib.reporting.runs import run

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "reporting" / "shop.py"))
collected = _SHOP["collected"]
Funnel = Callable[..., tuple[int, str, str]]
WORKBOOK = "params/shop.yml"
MAY, APRIL = (f"reports/shop/2026-0{month}/all/conversion.en.html" for month in (5, 4))
COMMANDS = ("run", "backfill", "status", "rerun", "verify", "diff", "prune")


@pytest.fixture(scope="module")
def published(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's root folder with its two reports for everybody in English."""
    root = tmp_path_factory.mktemp("published") / "shop"
    shutil.copytree(collected, root)
    assert run(root / WORKBOOK, language="en", segment="all").exit_code == 0
    return root


@pytest.fixture
def there(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shop with its reports, which is also the working folder."""
    shutil.copytree(published, tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def funnel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Funnel:
    """Runs the command with arguments; returns its exit code and what it wrote on both streams."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["funnel", *arguments])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return int(ending.value.code or 0), written.out, written.err

    return command


@pytest.mark.parametrize("name", [*COMMANDS, "schedule print"])
def test_every_command_has_an_example(funnel: Funnel, name: str) -> None:
    code, out, _ = funnel(*name.split(), "--help")
    assert code == 0
    assert "Example" in out
    assert f"funnel {name}" in out


@pytest.mark.parametrize(
    "arguments",
    [("backfill", WORKBOOK), ("backfill", WORKBOOK, "--from", "2026-04"), ("rerun",), ("diff", "a"), ("verify",),
     ("prune", WORKBOOK, "--keep", "0"), ("schedule", "print", "cron")],
)  # fmt: skip
def test_wrong_usage_is_exit_code_1(funnel: Funnel, arguments: tuple[str, ...]) -> None:
    code, out, err = funnel(*arguments)
    assert (code, out) == (1, "")
    assert "Usage: funnel" in err


def test_a_dry_run_in_words_and_in_json(funnel: Funnel, there: Path) -> None:
    # The other segment was never made.
    code, out, _ = funnel("run", WORKBOOK, "--language", "en", "--dry-run")
    assert code == 0
    assert "2 planned, 2 skipped" in out
    code, out, _ = funnel("run", WORKBOOK, "--language", "en", "--segment", "plan=paid", "--dry-run", "--json")
    assert [(one["status"], one["reason"]) for one in json.loads(out)["reports"]] == [("planned", "missing")] * 2
    code, out, err = funnel("run", WORKBOOK, "--language", "en", "--segment", "all", "--due")
    assert code == 3
    assert "No report is due" in err


def test_a_backfill_in_json(funnel: Funnel, there: Path) -> None:
    options = ("--segment", "all", "--language", "en", "--json")
    code, out, err = funnel("backfill", WORKBOOK, "--from", "2026-04", "--to", "2026-05", *options)
    assert code == 3
    assert [one["period"] for one in json.loads(out)["reports"]] == ["2026-04", "2026-05"]
    code, _, err = funnel("backfill", WORKBOOK, "--from", "2025-04", "--to", "2025-05")
    assert code == 2
    assert "2026-04, 2026-05" in err


def test_status_for_people_and_programs(funnel: Funnel, there: Path) -> None:
    code, out, _ = funnel("status", WORKBOOK)
    assert code == 0
    assert out.split("\n")[-2] == "1 current, 6 missing, 1 provisional; 6 due"
    code, out, _ = funnel("status", WORKBOOK, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["counts"] == {"current": 1, "missing": 6, "provisional": 1}
    assert {one["path"] for one in found["reports"] if one["state"] == "current"} == {"2026-04/all/conversion.en.html"}


def test_a_report_is_made_again(funnel: Funnel, there: Path) -> None:
    code, out, _ = funnel("rerun", MAY, "--strict")
    assert (code, out) == (0, "no numbers moved; the pages are the same but for the footer\n")
    metrics = there / MAY.replace("html", "metrics.json")
    metrics.write_text('{"came.n": 4, "lead.n": 5}')
    (there / WORKBOOK).write_text((there / WORKBOOK).read_text() + "\n# another\n")
    code, out, _ = funnel("rerun", MAY)
    assert code == 0
    assert out.split("\n")[:2] == ["came.n: 4 → 5", "another definition: config_sha256"]
    code, out, _ = funnel("rerun", MAY, "--strict", "--json")
    assert code == 1
    assert json.loads(out)["moves"] == [{"number": "came.n", "old": 4, "new": 5}]
    code, out, _ = funnel("rerun", "reports/shop")  # all reports below a folder
    assert code == 0
    assert out.split("\n")[-2] == "1 of 2 reports reproduced every number; 0 pages are the same but for the footer"
    code, out, _ = funnel("rerun", "reports/shop", "--strict", "--json", "--workers", "1")
    found = json.loads(out)
    assert (code, found["reports"], found["reproduced"]) == (1, 2, 1)
    code, _, err = funnel("rerun", "params")
    assert code == 1
    assert "not a published report" in err


def test_files_are_verified_and_reports_compared(funnel: Funnel, there: Path) -> None:
    assert funnel("verify", "reports/shop")[:2] == (0, "10 files of 2 reports: no faults\n")
    (there / MAY).write_text("another")
    code, out, _ = funnel("verify", "reports/shop")
    assert code == 1
    assert "2026-05/all/conversion.en.html is not the one that was published" in out
    assert json.loads(funnel("verify", "reports/shop", "--json")[1])["files"] == 10
    assert funnel("verify", "params")[0] == 2
    code, out, _ = funnel("diff", APRIL, MAY)
    assert code == 0
    assert "another definition: period.from" in out
    assert json.loads(funnel("diff", APRIL, MAY, "--json")[1])["moves"] == []


def test_old_reports_are_taken_away(funnel: Funnel, there: Path) -> None:
    assert funnel("prune", WORKBOOK)[0] == 1
    code, out, _ = funnel("prune", WORKBOOK, "--keep", "1", "--dry-run")
    assert (code, out) == (0, "2026-04/all/conversion.en.html\n1 report would go\n")
    code, out, _ = funnel("prune", WORKBOOK, "--keep", "1", "--older", "30d", "--json")
    assert (code, json.loads(out)["removed"]) == (0, [])
    code, _, err = funnel("prune", WORKBOOK, "--older", "30")
    assert code == 1
    assert "400d" in err
    assert funnel("prune", WORKBOOK, "--older", "2d")[:2] == (
        0,
        "2026-04/all/conversion.en.html\n1 report taken away\n",
    )
    assert not (there / APRIL).exists()


@pytest.mark.parametrize("kind", ["cron", "systemd", "github", "airflow", "windows"])
def test_schedules_name_the_workbook(funnel: Funnel, there: Path, kind: str) -> None:
    code, out, _ = funnel("schedule", "print", kind, WORKBOOK, "--at", "06:53")
    assert code == 0
    assert WORKBOOK in out
    code, _, err = funnel("schedule", "print", kind, WORKBOOK, "--at", "6")
    assert code == 1
    assert "--at" in err
    assert funnel("schedule", "print", "corn", WORKBOOK)[0] == 1


@pytest.mark.parametrize(
    ("option", "text", "part"),
    [
        ("--limit", "30", "30min"), ("--limit", "0s", "1s"), ("--cell-limit", "x", "2h"),
        ("--memory-limit", "2", "2GB"), ("--memory-limit", "1MB", "100MB"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be(funnel: Funnel, there: Path, option: str, text: str, part: str) -> None:
    code, _, err = funnel("run", WORKBOOK, option, text)
    assert code == 1
    assert option in err
    assert part in err


def test_a_limit_reaches_the_reports(funnel: Funnel, there: Path) -> None:
    _SHOP["write_notebook"](there / "notebooks/03_conversion_analysis.ipynb", "while True: pass")
    options = ("--period", "2026-05", "--segment", "all", "--language", "en", "--cell-limit", "1s")
    code, _, err = funnel("run", WORKBOOK, *options)
    assert code == 1
    assert "A cell of the notebook ran longer than 1 seconds." in err
    assert "5 people came" in (there / MAY).read_text()


def test_nothing_to_do_takes_no_time_for_reports(there: Path) -> None:
    """A run that finds every report current loads neither papermill nor a kernel."""
    code = (
        "import sys\nfrom funnel_lib.reporting.runs import run\n"
        f"assert run({WORKBOOK!r}, language='en', segment='all').exit_code == 3\n"
        "assert not {'papermill', 'nbconvert', 'matplotlib', 'scipy', 'numba'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=there)
    assert done.returncode == 0, done.stderr
