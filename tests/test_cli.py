"""The command line: exit codes, messages without tracebacks, and a business from nothing to its reports."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel_lib import cli, config
from funnel_lib.errors import ConfigError, DataError, NothingToDo
from funnel_lib.reporting import publish

_SHOP = runpy.run_path(str(Path(__file__).with_name("reporting") / "shop.py"))
collected, shop, notebook = (_SHOP[name] for name in ("collected", "shop", "notebook"))
Funnel = Callable[..., tuple[int, str, str]]
WORKBOOK = "params/shop.yml"


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


@pytest.fixture
def there(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's folder, which is also the working folder."""
    monkeypatch.chdir(shop)
    return shop


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['funnel', '--help']\n"
        "from funnel_lib import cli\ntry: cli.main()\nexcept SystemExit: pass\n"
        "assert not {'pandas', 'numpy', 'pydantic', 'duckdb', 'papermill'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("new", "demo", "collect", "check", "run", "status", "count", "explain", "schema"):
        assert f" {name} " in done.stdout


@pytest.mark.parametrize(
    "name", ["new", "demo", "collect", "check", "run", "status", "count", "explain", "schema"]
)  # fmt: skip
def test_every_command_has_an_example(funnel: Funnel, name: str) -> None:
    code, out, _ = funnel(name, "--help")
    assert code == 0
    assert "Example" in out
    assert f"funnel {name}" in out


def test_version(funnel: Funnel) -> None:
    assert funnel("--version") == (0, "funnel 0.1.0\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("rum",), ("run",), ("run", "x.yml", "--colour"), ("run", "x.yml", "--workers", "0"), ("demo", "--users", "x"),
        ("count",), ("count", "x.csv", "--stepp", "A"), ("count", "x.csv", "--top", "0"), ("explain",),
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_1(funnel: Funnel, arguments: tuple[str, ...]) -> None:
    code, out, err = funnel(*arguments)
    assert (code, out) == (1, "")
    assert "Usage: funnel" in err


def test_from_nothing_to_reports(
    funnel: Funnel, notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = funnel("new", "bakery")
    assert code == 0
    assert "funnel check params/bakery.yml" in out
    assert "params/bakery.yml" in (tmp_path / "data/raw/bakery/README.txt").read_text()
    assert config.load("params/bakery.yml").name == "bakery"
    code, _, err = funnel("check", "params/bakery.yml")
    assert code == 2
    assert "The source 'events' has no file." in err

    rows = [f"u{n},page_view,2026-05-{1 + n % 28:02d}T08:00:00Z" for n in range(60)]
    rows += [f"u{n},sign_up,2026-05-{1 + n % 28:02d}T09:00:00Z" for n in range(0, 60, 2)]
    (tmp_path / "data/raw/bakery/events.csv").write_text("\n".join(["user_id,event,time", *rows]))
    (tmp_path / "notebooks").mkdir()
    for name in ("01_data_collection", "02_segmentation", "03_conversion_analysis"):
        notebook(tmp_path / "notebooks" / f"{name}.ipynb", "1")
    code, out, _ = funnel("check", "params/bakery.yml")
    assert code == 0
    assert "Source events: 1 file (events*.csv)" in out
    assert "Nothing is collected yet" in out
    assert funnel("status", "params/bakery.yml")[0] == 2

    code, out, err = funnel("collect", "params/bakery.yml")
    assert code == 0
    assert "100%" in err
    assert [line.split()[2:4] for line in out.split("\n") if line.startswith("events")] == [["90", "90"]]
    code, out, _ = funnel("check", "params/bakery.yml")
    assert code == 0
    assert "Grade" in out
    code, out, err = funnel("run", "params/bakery.yml", "--report", "conversion")
    assert code == 0, err
    assert out.split("\n")[-2] == str(tmp_path / "reports/bakery/index.html")
    assert (tmp_path / "reports/bakery/index.html").is_file()
    code, out, _ = funnel("status", "params/bakery.yml")
    assert code == 0
    assert "provisional" in out
    assert "missing" in out


def test_new_starts_from_another_workbook(funnel: Funnel, tmp_path: Path) -> None:
    assert funnel("new", "a", "--folder", str(tmp_path))[0] == 0
    model = tmp_path / "params/a.yml"
    model.write_text(
        model.read_text().replace("city: city", "city: town") + "\n# Start from this one:  funnel new X --like a\n"
    )
    code, out, _ = funnel("new", "b", "--like", "a", "--folder", str(tmp_path))
    assert code == 0
    assert "data/raw/b" in out
    written = (tmp_path / "params/b.yml").read_text()
    assert config.load(tmp_path / "params/b.yml").sources["people"].columns["city"] == "town"
    assert "name: b\n" in written
    assert "data/raw/b/" in written  # comments come along, with the paths in them
    assert "data/raw/a/" not in written
    assert "Start from" not in written
    assert (tmp_path / "data/raw/b/README.txt").is_file()
    code, _, err = funnel("new", "c", "--like", "aa", "--folder", str(tmp_path))
    assert code == 2
    assert "no such workbook" in err
    assert not (tmp_path / "params/c.yml").exists()


def test_new_refuses_to_overwrite_and_odd_names(funnel: Funnel, tmp_path: Path) -> None:
    assert funnel("new", "a", "--folder", str(tmp_path))[0] == 0
    before = (tmp_path / "params/a.yml").read_text()
    code, _, err = funnel("new", "a", "--folder", str(tmp_path))
    assert code == 1
    assert "it stays as it is" in err
    assert (tmp_path / "params/a.yml").read_text() == before
    assert funnel("new", "../a", "--folder", str(tmp_path))[0] == 1
    (tmp_path / "file").write_text("")
    code, _, err = funnel("new", "a", "--folder", str(tmp_path / "file"))
    assert code == 1
    assert "cannot be written" in err


def test_run_says_what_it_did_in_words_and_in_json(funnel: Funnel, there: Path) -> None:
    options = ("--report", "conversion", "--period", "2026-05", "--segment", "all")
    code, out, err = funnel("run", WORKBOOK, *options, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["exit_code"] == 0
    assert [(report["path"], report["status"]) for report in found["reports"]] == [
        ("2026-05/all/conversion.en.html", "ok"), ("2026-05/all/conversion.zh.html", "ok"),
    ]  # fmt: skip
    assert "conversion · 2026-05 · all · zh" in err
    code, out, err = funnel("run", WORKBOOK, *options)
    assert code == 3
    assert out == f"2 skipped\n{there / 'reports/shop/index.html'}\n"
    assert err.split("\n")[-3] == "Every report is current: nothing to do."
    assert "--force" in err


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("params/shopp.yml",), 2, ("no such workbook", "params/shop.yml", "funnel new")),
        ((WORKBOOK, "--report", "conversions"), 1, ("did you mean conversion?",)),
        ((WORKBOOK, "--period", "2026-5"), 1, ("did you mean 2026-05?",)),
        ((WORKBOOK, "--period", "2031-01"), 2, ("2026-04-01 to 2026-05-10",)),
        ((WORKBOOK, "--segment", "plan=payed"), 1, ("did you mean plan=paid?",)),
        ((WORKBOOK, "--language", "de"), 1, ("en, zh",)),
    ],
)  # fmt: skip
def test_bad_input_is_named_with_what_is_allowed(
    funnel: Funnel, there: Path, arguments: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    found, out, err = funnel("run", *arguments)
    assert (found, out) == (code, "")
    assert err.startswith("Error: ")
    assert all(part in err for part in parts)
    assert not (there / "reports").exists()


def test_a_workbook_that_cannot_be_used(funnel: Funnel, there: Path) -> None:
    (there / WORKBOOK).write_text((there / WORKBOOK).read_text().replace("window:", "windoww:"))
    for name in ("check", "collect", "run", "status"):
        code, _, err = funnel(name, WORKBOOK)
        assert code == 1
        assert "windoww" in err


def test_nothing_collected(funnel: Funnel, there: Path) -> None:
    shutil.rmtree(there / "data/processed")
    for name in ("run", "status"):
        code, _, err = funnel(name, WORKBOOK)
        assert code == 2
        assert "funnel collect" in err


def test_a_folder_that_cannot_be_written(funnel: Funnel, there: Path) -> None:
    (there / "reports").write_text("in the way")
    code, _, err = funnel("run", WORKBOOK)
    assert code == 1
    assert "cannot be written" in err


def test_a_failing_report(funnel: Funnel, there: Path, notebook: Any) -> None:
    notebook(there / "notebooks/03_conversion_analysis.ipynb", "raise ValueError('no [luck]')")
    code, out, err = funnel("run", WORKBOOK, "--period", "2026-05", "--language", "en", "--segment", "all")
    assert code == 1
    assert "ValueError: no [luck]" in err
    assert "1 failed" in out


def test_poor_data(funnel: Funnel, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish.quality, "grade", lambda _checks: "fail")
    code, _, err = funnel("run", WORKBOOK)
    assert code == 2
    assert "not good enough" in err
    code, out, _ = funnel("check", WORKBOOK)
    assert code == 2
    assert "Grade fail" in out


def test_the_unexpected_is_one_line_and_debug_shows_more(
    funnel: Funnel, there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_path: object) -> None:
        raise KeyError("unforeseen")

    monkeypatch.setattr(config, "load", broken)
    code, _, err = funnel("check", WORKBOOK)
    assert code == 1
    assert err.split("\n")[0] == "Error: KeyError: 'unforeseen'"
    assert "--debug" in err
    monkeypatch.setattr(sys, "argv", ["funnel", "--debug", "check", WORKBOOK])
    with pytest.raises(SystemExit):
        cli.main()
    assert "Traceback" in capsys.readouterr().err


def test_schema(funnel: Funnel, tmp_path: Path) -> None:
    code, out, _ = funnel("schema")
    assert code == 0
    assert json.loads(out)["$schema"].startswith("https://json-schema.org")
    assert funnel("schema", "--out", str(tmp_path / "a.json"))[0] == 0
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(out)
    (tmp_path / "file").write_text("")
    assert funnel("schema", "--out", str(tmp_path / "file" / "a.json"))[0] == 1


def test_the_demo_belongs_to_the_project(funnel: Funnel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = funnel("demo")
    assert code == 1
    assert "params/education.yml" in err
    (tmp_path / "params").mkdir()
    (tmp_path / "params/education.yml").write_text("")
    code, out, _ = funnel("demo", "--users", "200")
    assert code == 0
    assert "200 visitors" in out
    assert (tmp_path / "data/truth/education.json").is_file()
    assert (tmp_path / "data/raw/education/crm").is_dir()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_leaves_nothing_running(there: Path, notebook: Any, number: int, code: int) -> None:
    file = there / "kernel"
    source = f"import os, time\nopen({str(file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    notebook(there / "notebooks/03_conversion_analysis.ipynb", source)
    process = subprocess.Popen(
        [sys.executable, "-m", "funnel_lib.cli", "run", WORKBOOK, "--language", "en", "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    try:
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in out + err
    kernel = Path(f"/proc/{file.read_text()}")
    while kernel.exists():
        assert time.monotonic() < deadline, "the kernel lives on"
        time.sleep(0.1)
    if number != signal.SIGKILL:
        assert sorted(path.name for path in (there / "reports/shop").iterdir()) in ([".lock"], [])


def test_running_as_a_module_and_from_another_folder(shop: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "funnel_lib.cli", "status", os.path.relpath(shop / WORKBOOK, tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("8 missing; 8 due\n")


def test_errors_keep_their_exit_codes_as_promised() -> None:
    assert (ConfigError.exit_code, DataError.exit_code, NothingToDo.exit_code) == (1, 2, 3)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files of events: a and b come by mail and ads, only a buys."""
    monkeypatch.chdir(tmp_path)
    head = "user_id,event,ts,channel,amount"
    (tmp_path / "one.csv").write_text(
        f"{head}\na,page_view,2026-05-01T10:00,mail,\nb,page_view,2026-05-01T10:00,ads,\n"
    )
    (tmp_path / "two.csv").write_text(f"{head}\na,order,2026-05-02T10:00,,20\nc,other,2026-05-20T10:00,,\n")
    return tmp_path


STEPS = ("--step", "Visit=page_view", "--step", "Buy=purchase,order", "--window", "7d")


def test_count_gives_json_csv_and_a_table(funnel: Funnel, log: Path) -> None:
    code, out, err = funnel("count", "one.csv", "two.csv", *STEPS, "--by", "channel", "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["unit"] == "user_id"
    assert [(step["step"], step["count"], step["rate_of_first"]) for step in found["steps"]] == [
        ("Visit", 2, 1.0), ("Buy", 1, 0.5)
    ]  # fmt: skip
    assert {name: [step["count"] for step in group["steps"]] for name, group in found["groups"].items()} == {
        "ads": [1, 0], "mail": [1, 1]
    }  # fmt: skip
    code, out, _ = funnel("count", "*.csv", *STEPS, "--format", "csv")
    assert code == 0
    assert out.split("\n")[:2] == [
        "group,step,count,rate_of_previous,rate_of_first,low,high,previous_low,previous_high",
        "all,Visit,2,1.0,1.0,1.0,1.0,1.0,1.0",
    ]
    code, out, _ = funnel("count", "*.csv", *STEPS)
    assert code == 0
    assert "Window over for 2: 1 of them, 50.0%" in out


def test_count_knows_every_option(funnel: Funnel, log: Path) -> None:
    options = (
        "--where", "Buy:amount>10", "--order", "ordered", "--within", "Buy=2d", "--exclude", "refund:Visit-Buy",
        "--policy", "drop_off", "--counting", "entries", "--by", "channel", "--touch", "first", "--top", "1",
        "--unit", "user_id", "--event", "event", "--ts", "ts", "--from", "2026-05-01", "--to", "2026-05-31", "--zone",
        "Asia/Shanghai", "--as-of", "2026-05-19T00:00:00Z", "--memory", "1GB", "--format", "json",
    )  # fmt: skip
    code, out, err = funnel("count", "*.csv", *STEPS, *options)
    assert code == 0, err
    found = json.loads(out)
    assert [step["count"] for step in found["steps"]] == [2, 1]
    assert found["counting"] == "entries"
    assert found["as_of"] == "2026-05-19T00:00:00+00:00"
    assert found["mature"]["entered_until"] == "2026-05-12T00:00:00+00:00"
    assert list(found["groups"]) == ["ads", "other"]
    assert err == "No event is called refund; it excludes nothing.\n"
    for more in (
        ("--open",), ("--optional", "Buy"), ("--order", "strict"), ("--order", "any"), ("--session-gap", "30min"),
        ("--hold", "channel"), ("--preset", "mixpanel"),
    ):  # fmt: skip
        code, out, err = funnel("count", "*.csv", *STEPS, *more, "--format", "json")
        assert code == 0, err
        assert json.loads(out)["steps"][0]["count"] == 2


def test_count_reads_columns_of_any_name(funnel: Funnel, log: Path) -> None:
    (log / "other.tsv").write_text("who\twhat\twhen\n007\tA\t2026-05-01\n007\tB\t2026-05-01\n7\tA\t2026-05-01\n")
    names = ("--unit", "who", "--event", "what", "--ts", "when")
    code, out, err = funnel("count", "other.tsv", "--step", "A", "--step", "B", *names, "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert found["unit"] == "who"
    assert [step["count"] for step in found["steps"]] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("*.csv",), 1, ("at least one step", "--step Visit=page_view")),
        (("*.csv", "--step", "Visit=pageview"), 1, ("no event", "did you mean page_view?", "--allow-unmatched")),
        (("*.csv", "--step", "page_view", "--window", "7"), 1, ("--window", "30min")),
        (("*.csv", "--step", "page_view", "--format", "xml"), 1, ("table, json, csv",)),
        (("*.csv", "--step", "page_view", "--preset", "mixpanl"), 1, ("did you mean mixpanel?",)),
        (("*.csv", "--step", "page_view", "--by", "chanel"), 2, ("did you mean channel?", "--by")),
        (("*.csv", "--step", "page_view", "--unit", "userid"), 2, ("did you mean user_id?", "--unit")),
        (("oen.csv", "--step", "page_view"), 2, ("no such file", "did you mean one.csv?")),
        (("one.csv", "x.parquet", "--step", "page_view"), 2, ("several kinds",)),
        (("x.parquet", "--step", "page_view"), 2, ("cannot be read", "x.parquet")),
        (("empty.csv", "--step", "page_view"), 2, ("file is empty", "empty.csv")),
    ],
)  # fmt: skip
def test_count_says_what_it_cannot_do(
    funnel: Funnel, log: Path, arguments: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    (log / "x.parquet").write_text("no parquet at all")
    if "empty.csv" in arguments:
        (log / "empty.csv").write_text("")
    found, out, err = funnel("count", *arguments)
    assert (found, out) == (code, ""), err
    assert err.startswith("Error: ")
    assert all(part in err for part in parts), err


def test_a_step_without_events_may_be_allowed(funnel: Funnel, log: Path) -> None:
    options = ("--step", "Visit=page_view", "--step", "Buy=buy", "--allow-unmatched", "--format", "json")
    code, out, err = funnel("count", "*.csv", *options)
    assert code == 0
    assert [step["count"] for step in json.loads(out)["steps"]] == [2, 0]
    assert err == "The step Buy matches no event; it counts zero.\n"


def test_explain_over_files(funnel: Funnel, log: Path) -> None:
    code, out, err = funnel("explain", "a", "*.csv", *STEPS)
    assert (code, err) == (0, "")
    assert out.split("\n")[1].split() == [
        "1", "2026-05-01", "10:00:00", "2026-05-02", "10:00:00", "converted", "2026-05-02", "10:00:00", "yes"
    ]  # fmt: skip
    assert "a counts as converted" in out
    code, out, _ = funnel("explain", "c", "*.csv", *STEPS, "--language", "zh")
    assert code == 0
    assert out.startswith("c")
    assert "Visit" in out
    assert "漏斗" in out


def test_explain_over_a_workbook(funnel: Funnel, there: Path) -> None:
    user = config.load(WORKBOOK).processed / "events.parquet"
    assert user.is_file()
    code, out, err = funnel("explain", "u1")
    assert (code, err) == (0, "")
    assert "u1 counts" in out
    assert funnel("explain", "u1", "--workbook", WORKBOOK) == (0, out, "")
    shutil.copy(there / WORKBOOK, there / "params/other.yml")
    code, _, err = funnel("explain", "u1")
    assert code == 1
    assert "params/other.yml, params/shop.yml" in err
    shutil.rmtree(there / "data/processed")
    code, _, err = funnel("explain", "u1", "--workbook", WORKBOOK)
    assert code == 2
    assert "funnel collect" in err
