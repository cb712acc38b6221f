"""What the command shows: tables on standard output, progress and errors on standard error."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting import terminal
from funnel_lib.reporting.plan import Job
from funnel_lib.reporting.runs import Made, RunResult
from funnel_lib.reporting.upkeep.comparing import Move
from funnel_lib.reporting.upkeep.rerunning import Difference
from funnel_lib.reporting.upkeep.standing import Standing

Captured = pytest.CaptureFixture[str]
JOB = Job("conversion", "2026-05", "all", "en", Path("n.ipynb"))


def test_an_error_shows_all_its_parts_and_no_markup(capsys: Captured) -> None:
    terminal.error(ConfigError("No [red]step[/red].", where="a.yml", found="[x]", allowed="a, b", do="Mend it."))
    assert capsys.readouterr() == ("", (
        "Error: No [red]step[/red].\n  where:   a.yml\n  found:   [x]\n  allowed: a, b\n  do:      Mend it.\n"
    ))  # fmt: skip


def test_an_unexpected_error_is_one_line_and_a_hint(capsys: Captured) -> None:
    terminal.unexpected(KeyError("a"))
    assert capsys.readouterr().err.split("\n")[0] == "Error: KeyError: 'a'"
    terminal.unexpected(ValueError("first\nsecond"))
    shown = capsys.readouterr().err
    assert "first" in shown
    assert "second" not in shown
    assert "--debug" in shown


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys: Captured) -> None:
    with terminal.progress() as tell:
        for what, share in (("reading", 0.0), ("reading", 0.2), ("writing [all]", 0.5), ("done", 1.0)):
            tell(what, share)
    assert capsys.readouterr() == ("", "  0%  reading\n 50%  writing [all]\n100%  done\n")


def test_progress_is_a_bar_on_a_terminal(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with terminal.progress() as tell:
        tell("conversion · [all]", 0.5)
    shown = capsys.readouterr().err
    assert "50%" in shown
    assert "conversion · [all]" in shown


def test_paths_are_not_broken(capsys: Captured) -> None:
    path = "/a" * 200
    terminal.say(path)
    assert capsys.readouterr().out == f"{path}\n"


def test_the_tally_by_source(capsys: Captured) -> None:
    rows = [
        ("web", "a", "events", "read", "", 7), ("web", "b", "events", "read", "", 3),
        ("web", "a", "events", "kept", "", 8), ("web", "a", "events", "merged", "duplicate", 1),
        ("web", "a", "events", "quarantined", "bot", 1),
    ]  # fmt: skip
    terminal.tally(pd.DataFrame(rows, columns=["source", "file", "table", "outcome", "rule", "rows"]))
    # 7 + 3 read = 8 kept + 1 merged + 1 set aside
    assert capsys.readouterr().out.split("\n")[2].split() == ["web", "events", "10", "8", "1", "1", "bot", "1"]


def test_the_checks_and_the_grade(capsys: Captured) -> None:
    rows = [("late_share", 0.02, 0.01, False, "minor"), ("rows_kept", 10.0, 1.0, True, "fatal")]
    terminal.checks(pd.DataFrame(rows, columns=["check", "found", "allowed", "passed", "severity"]), "B")
    shown = capsys.readouterr().out.split("\n")
    assert shown[2].split() == ["late_share", "0.02", "0.01", "minor", "fault"]
    assert shown[3].split() == ["rows_kept", "10", "1", "passed"]
    assert shown[4] == "Grade B"


def test_what_a_run_did(capsys: Captured) -> None:
    made = (
        Made(JOB, "ok", None, 1.25),
        Made(JOB, "failed", "It broke.\n  do:      Mend it.", 2.0),
        Made(JOB, "skipped"),
    )
    terminal.result(RunResult("shop", Path("reports/shop"), made, "Collect again."))
    shown = capsys.readouterr()
    assert "conversion · 2026-05 · all · en: failed\n  It broke.\n    do:      Mend it.\n" in shown.err
    assert shown.err.endswith("Collect again.\n")
    assert shown.out.endswith("1 failed, 1 ok, 1 skipped\n")
    assert "1.2" in shown.out


def test_how_reports_stand(capsys: Captured) -> None:
    moved = {"number": "rate", "old": 0.25, "new": None, "why": ["data"], "data_through": None}
    rows = [
        Standing(JOB, "stale", True, ("data", "code")), Standing(JOB, "failed", False, (), "It broke.\n  do: x"),
        Standing(JOB, "current", False, restated=(moved,)),
    ]  # fmt: skip
    terminal.standings(rows)
    shown = capsys.readouterr().out.split("\n")
    assert shown[2].split() == ["conversion", "2026-05", "all", "en", "stale", "data,", "code"]
    assert shown[3].split()[4:] == ["failed", "It", "broke."]
    assert shown[5:7] == ["conversion · 2026-05 · all · en: published numbers have moved", "  rate: 0.25 → – (data)"]
    assert shown[7] == "1 current, 1 failed, 1 stale; 1 due"


def test_how_reports_differ(capsys: Captured) -> None:
    moves = (Move("rate", 0.25, 0.5),)
    terminal.difference(Difference("a", "b", moves, {"code": ["env.packages.pandas"]}, False))
    assert capsys.readouterr().out.split("\n") == [
        "rate: 0.25 → 0.5", "another code: env.packages.pandas", "1 number moved; the pages differ", ""
    ]  # fmt: skip
    terminal.difference(Difference("a", "b", moves, {}, None))
    assert "Nothing that the numbers are made from has changed." in capsys.readouterr().out
    terminal.difference(Difference("a", "b", (), {}, True))
    assert capsys.readouterr().out == "no numbers moved; the pages are the same but for the footer\n"
    terminal.difference(Difference("a", "b", (), {}, None, "It broke."))
    assert "could not be made again.\n  It broke." in capsys.readouterr().out
