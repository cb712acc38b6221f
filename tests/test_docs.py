"""What the documentation shows is run: commands in an empty folder, Python as it stands."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import funnel_lib
from funnel_lib.conversion.journeys import Journeys, UnmatchedStep, journeys
from funnel_lib.errors import ConfigError
from funnel_lib.presets import PRESETS
from funnel_lib.reporting import asking
from funnel_lib.reporting.asking import Asked

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "user-guide.md").read_text()
README = (ROOT / "README.md").read_text()
RUNNING = (ROOT / "docs" / "running.md").read_text()
SEMANTICS = (ROOT / "docs" / "funnel-semantics.md").read_text()


def commands(text: str) -> list[list[str]]:
    """Return the `funnel` commands shown in a page."""
    shown = [
        line.strip().removeprefix("$ ").split("#")[0] for line in text.splitlines() if line.strip().startswith("$ ")
    ]
    return [shlex.split(line.replace(".venv/bin/", "")) for line in shown if "funnel " in line]


def funnel(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "funnel"), *arguments], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder in which all commands of the user guide have been run, in their order."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "params").mkdir()
    for file in (ROOT / "params").glob("*.yml"):
        shutil.copy(file, folder / "params")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for command in commands(GUIDE):
        done = funnel(command[1:], folder)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return folder


def test_every_command_of_the_guide_runs(guide: Path):
    assert (guide / "reports" / "education" / "index.html").exists()
    assert (guide / "params" / "shop.yml").exists()
    assert (guide / "params" / "workbook.schema.json").exists()


def test_the_commands_of_running_do_what_they_say(guide: Path):
    for command in commands(RUNNING):
        done = funnel(command[1:], guide)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"


def test_the_python_of_the_guide_runs(guide: Path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE, flags=re.S))
    done = subprocess.run([sys.executable, "-c", code], cwd=guide, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_snapshot_of_the_guide_is_a_valid_funnel():
    from funnel_lib.definition import Funnel

    shown = re.search(r"```yaml\n(funnel:.*?)```", GUIDE, flags=re.S)[1]
    assert Funnel(**yaml.safe_load(shown)["funnel"]).names == ["lead", "won"]


def test_the_commands_of_the_readme_lead_from_a_new_workbook_to_reports(tmp_path: Path):
    """Follow the five steps: a new workbook, one export, the described columns, collect, check, run."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    new, collect, check, run = (command for command in commands(README) if command[1] != "count")
    assert funnel(new[1:], tmp_path).returncode == 0
    rows = [f"u{n},{event},2026-03-{1 + n % 20:02d} 10:{minute:02d}:00" for n in range(60) for minute, event in
            enumerate(("page_view", "purchase")[: 1 + (n % 3 == 0)])]  # fmt: skip
    (tmp_path / "data" / "raw" / "shop" / "log.csv").write_text("\n".join(["who,what,when", *rows]))
    workbook = {
        "name": "shop", "title": "Shop",
        "sources": {"log": {"system": "table", "table": "events", "files": "log.csv",
                            "columns": {"user_id": "who", "event": "what", "ts": "when"}}},
        "funnel": {"window": "7d", "steps": [{"name": "visit", "event": "page_view"},
                                             {"name": "buy", "event": "purchase"}]},
    }  # fmt: skip
    (tmp_path / "params" / "shop.yml").write_text(yaml.safe_dump(workbook))
    for command in (collect, check, run):
        done = funnel(command[1:], tmp_path)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "reports" / "shop" / "index.html").exists()


def test_the_count_of_the_readme_runs_on_the_demo(guide: Path):
    (count,) = (command for command in commands(README) if command[1] == "count")
    done = funnel(count[1:], guide)
    assert done.returncode == 0, done.stderr
    assert "Window over" in done.stdout


def test_the_commands_of_the_semantics_give_what_they_show(tmp_path: Path):
    (tmp_path / "events.csv").write_text(re.search(r"```csv\n(.*?)```", SEMANTICS, flags=re.S)[1])
    shown = re.findall(r"^\$ funnel (.*)\n((?:(?!\$ |```).*\n)*)", SEMANTICS, flags=re.M)
    assert len(shown) == len(commands(SEMANTICS)) == 6
    for command, output in shown:
        done = funnel(shlex.split(command), tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert not output or done.stdout == output, command


def table(heading: str) -> list[list[str]]:
    """The cells of the table of the semantics that begins with this heading, without code marks."""
    rows = SEMANTICS.split(f"{heading} |")[1].split("\n\n")[0].split("\n")[2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


def counted(log: str, options: str, preset: str | None = None) -> Journeys:
    """Journeys of a log such as `A1 X2 B3+1s`; the steps are A, B and, where there is one, C."""
    begin, rows = pd.Timestamp("2026-05-01T12:00Z"), []
    for letters, day, seconds in re.findall(r"([A-Z]+)(\d+)(?:\+(\d+)s)?", log):
        at = begin + pd.Timedelta(days=int(day), seconds=int(seconds or 0))
        rows += [("u", letter, at) for letter in letters]
    given: dict[str, Any] = {"step": ["A", "B", *"C" * ("C" in log)], "window": "7d", "preset": preset}
    words = iter(shlex.split(options))
    for word in words:
        name = word.removeprefix("--").replace("-", "_")
        if name == "open":
            given[name] = True
        else:
            given[name] = [next(words)] if name in ("optional", "within", "exclude") else next(words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)
        return journeys(pd.DataFrame(rows, columns=["user_id", "event", "ts"]), asking.funnel(Asked(**given)))


def in_words(found: Journeys) -> str:
    """Say which step was taken on which day, attempt by attempt: `A1 B2; A9`."""
    begin, said = pd.Timestamp("2026-05-01T12:00Z"), []
    for row in found.frame.to_dict("records"):
        steps = [(name, row[f"t_{place}"]) for place, name in enumerate(found.funnel.names, start=1)]
        said.append(" ".join(f"{name}{(at - begin).days}" for name, at in steps if at is not pd.NaT))
    return "; ".join(said) or "–"


def test_the_examples_of_the_semantics_are_counted_as_they_say():
    plain, optional = table("| log | counted as | because"), table("| options | log | counted as | because")
    assert (len(plain), len(optional)) == (10, 18)
    for log, wanted, _ in plain:
        assert in_words(counted(log, "")) == wanted, log
    for options, log, wanted, _ in optional:
        assert in_words(counted(log, options)) == wanted, (options, log)


def test_the_presets_of_the_semantics_count_as_they_say():
    heading = "| log | options | " + " | ".join(PRESETS)
    rows = table(heading)
    assert len(rows) == 10
    for log, options, *wanted in rows:
        depths = []
        for preset in PRESETS:
            try:
                depths.append(str(counted(log, options, preset).frame["depth"].max()).replace("nan", "0"))
            except ConfigError:
                depths.append("×")
        assert depths == wanted, (log, options)
    assert [row[0] for row in table("| preset | switches | compare with")] == list(PRESETS)


def test_every_command_is_in_the_guide():
    listed = subprocess.run(
        [str(Path(sys.executable).parent / "funnel"), "--help"], capture_output=True, text=True
    ).stdout  # fmt: skip
    names = ("new", "demo", "collect", "check", "run", "status", "count", "explain", "schema")
    assert [name for name in names if f" {name} " not in listed] == []
    assert [name for name in names if f"funnel {name}" not in GUIDE + SEMANTICS] == []
    runs = ("run", "backfill", "status", "rerun", "verify", "diff", "prune", "schedule")
    assert [name for name in runs if f" {name} " not in listed or f"funnel {name}" not in RUNNING] == []


def test_the_menu_is_short_and_true():
    assert len(funnel_lib.__all__) < 20
    assert all(hasattr(funnel_lib, name) for name in funnel_lib.__all__)


def test_links_of_the_pages_lead_somewhere():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_readme_shows_commands_picture_and_result_early():
    top = README.splitlines()[:40]
    assert any("make report" in line for line in top)
    assert any("docs/images/report.png" in line for line in top)
