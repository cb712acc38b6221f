"""Runs: only what changed, never a half-made report, and the last good one survives everything."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from funnel_lib import config
from funnel_lib.errors import ConfigError, DataError, FunnelError
from funnel_lib.reporting import publish, runs
from funnel_lib.reporting.runs import Means, RunResult, backfill, run, status

_SHOP = runpy.run_path(str(Path(__file__).with_name("shop.py")))
collected, shop, notebook = (_SHOP[name] for name in ("collected", "shop", "notebook"))
Notebook = Callable[..., Path]
ONE = {"report": "conversion", "period": "2026-05", "segment": "all", "language": "en"}


def workbook(shop: Path) -> Path:
    return shop / "params" / "shop.yml"


def conversion(shop: Path) -> Path:
    return shop / "notebooks" / "03_conversion_analysis.ipynb"


def folder(shop: Path) -> Path:
    return shop / "reports" / "shop" / "2026-05" / "all"


def files(found: Path) -> dict[str, bytes]:
    return {
        path.relative_to(found).as_posix(): path.read_bytes() for path in sorted(found.rglob("*")) if path.is_file()
    }


def statuses(result: RunResult) -> set[str]:
    return {made.status for made in result.reports}


def without_footer(page: str) -> str:
    return re.sub(r"<footer>.*?</footer>", "", page, flags=re.DOTALL)


def test_a_whole_run(shop: Path) -> None:
    said: list[tuple[str, float]] = []
    result = run(workbook(shop), progress=lambda what, share: said.append((what, share)))
    # Two months, everybody and one segment, two languages.
    assert [made.status for made in result.reports] == ["ok"] * 8
    assert result.exit_code == 0
    assert result.index == shop / "reports" / "shop" / "index.html"
    assert (shop / "reports/shop/index.zh.html").is_file()
    assert {name for name in files(folder(shop)) if ".en." in name} == {
        f"conversion.en.{end}" for end in ("html", "ipynb", "manifest.json", "metrics.json", "people.csv", "xlsx")
    }  # fmt: skip
    page = (folder(shop) / "conversion.en.html").read_text()
    assert "5 people came in 2026-05." in page
    assert 'href="../../index.html"' in page
    assert 'href="../../2026-04/all/conversion.en.html"' in page
    assert 'href="../plan-paid/conversion.en.html"' in page
    assert 'href="conversion.zh.html"' in page
    assert json.loads((folder(shop) / "conversion.en.metrics.json").read_text()) == {"came.n": 5, "lead.n": 5}
    assert "5 people came in 2026-05." in result.index.read_text()
    assert not list((shop / "reports/shop").glob(".making*"))
    assert said[-1][1] == 1.0
    assert any("conversion · 2026-05 · all · en" in what for what, _ in said)


def test_every_link_between_pages_leads_somewhere(shop: Path) -> None:
    run(workbook(shop))
    reports = shop / "reports" / "shop"
    pages = list(reports.rglob("*.html"))
    links = {(page, href) for page in pages for href in re.findall(r'href="([^"#]+)"', page.read_text())}
    assert len(links) > 50
    assert [(page.name, href) for page, href in links if not (page.parent / href).is_file()] == []


def test_nothing_is_made_twice(shop: Path) -> None:
    run(workbook(shop), **ONE)
    before = files(shop / "reports")
    again = run(workbook(shop), **ONE)
    assert statuses(again) == {"skipped"}
    assert again.exit_code == 3
    assert files(shop / "reports") == before


def test_the_same_inputs_give_the_same_page_but_for_the_footer(shop: Path) -> None:
    run(workbook(shop), **ONE)
    first = (folder(shop) / "conversion.en.html").read_text()
    result = run(workbook(shop), **ONE, force=True)
    second = (folder(shop) / "conversion.en.html").read_text()
    assert statuses(result) == {"ok"}
    assert without_footer(second) == without_footer(first)
    assert len(re.findall("<footer>", second)) == 1


@pytest.mark.parametrize("changed", ["workbook", "notebook", "data", "as_of", "page"])
def test_whatever_a_report_is_made_from_makes_it_stale(shop: Path, notebook: Notebook, changed: str) -> None:
    run(workbook(shop), **ONE)
    if changed == "workbook":
        workbook(shop).write_text(workbook(shop).read_text() + "# a remark\n")
    elif changed == "notebook":
        source = conversion(shop).read_text()
        conversion(shop).write_text(source.replace("people came in", "persons came in"))
    elif changed == "data":
        facts = shop / "data/processed/shop/facts.json"
        stored = json.loads(facts.read_text())
        stored["tables"]["events"]["sha256"] = "0" * 64
        facts.write_text(json.dumps(stored))
    elif changed == "page":
        (folder(shop) / "conversion.en.html").unlink()
    as_of = datetime(2026, 5, 20, tzinfo=UTC) if changed == "as_of" else None
    result = run(workbook(shop), **ONE, as_of=as_of)
    assert statuses(result) == {"ok"}
    assert (result.remark is not None) == (changed == "workbook")


def test_a_failing_report_keeps_the_last_good_one_and_the_others_go_on(shop: Path, notebook: Notebook) -> None:
    run(workbook(shop), language="en", period="2026-05")
    good = (folder(shop) / "conversion.en.html").read_bytes()
    fails = 'if segment == "all":\n    raise ValueError(f"no luck in {Path.cwd()}/data")'
    notebook(conversion(shop), "from pathlib import Path", fails, "1")
    result = run(workbook(shop), language="en", period="2026-05")
    assert [made.status for made in result.reports] == ["failed", "ok"]
    assert result.exit_code == 1
    assert result.reports[0].reason == "ValueError: no luck in data"
    assert (folder(shop) / "conversion.en.html").read_bytes() == good
    page = (folder(shop) / "conversion.en.failed.html").read_text()
    assert "ValueError: no luck in data" in page
    assert 'href="conversion.en.html"' in page
    assert str(shop) not in page
    assert "Traceback" not in page
    assert (shop / "reports/shop/failed/2026-05/all/conversion.en.ipynb").is_file()
    catalogue = result.index.read_text()
    assert "no luck in data" in catalogue
    assert 'href="2026-05/all/conversion.en.html"' in catalogue
    states = {
        one.job.segment: one.state
        for one in status(workbook(shop))
        if one.job.path.startswith("2026-05") and one.job.language == "en"
    }
    assert states == {"all": "failed", "plan=paid": "provisional"}


def test_a_report_that_never_succeeded_has_its_failure_page_in_place(shop: Path, notebook: Notebook) -> None:
    notebook(
        conversion(shop),
        "from funnel_lib.errors import ConfigError",
        'raise ConfigError("Bad <step>.", found="x", do="Mend it.")',
    )
    result = run(workbook(shop), **ONE)
    assert result.reports[0].reason == "Bad <step>.\n  found:   x\n  do:      Mend it."
    page = (folder(shop) / "conversion.en.html").read_text()
    assert "Bad &lt;step&gt;." in page
    assert "Mend it." in page


def test_success_clears_the_failure(shop: Path, notebook: Notebook) -> None:
    good = conversion(shop).read_text()
    notebook(conversion(shop), "1 / 0")
    assert run(workbook(shop), **ONE).exit_code == 1
    conversion(shop).write_text(good)
    assert run(workbook(shop), **ONE).exit_code == 0
    assert not [name for name in files(shop / "reports") if "failed" in name]
    assert "ZeroDivisionError" not in (shop / "reports/shop/index.html").read_text()


def test_a_failed_report_is_tried_again(shop: Path, notebook: Notebook) -> None:
    notebook(conversion(shop), "1 / 0")
    assert [run(workbook(shop), **ONE).exit_code for _ in range(2)] == [1, 1]


def test_missing_data_in_one_report_is_exit_code_2(shop: Path, notebook: Notebook) -> None:
    source = "from funnel_lib.errors import DataError", 'raise DataError("Nobody is in this segment.")'
    notebook(conversion(shop), *source)
    result = run(workbook(shop), **ONE)
    assert (result.reports[0].status, result.exit_code) == ("no data", 2)
    assert "Nobody is in this segment." in (folder(shop) / "conversion.en.html").read_text()
    assert "Nobody is in this segment." in (shop / "reports/shop/index.html").read_text()
    assert run(workbook(shop), **ONE).exit_code == 3  # the same data has nobody in it tomorrow, too
    assert [one.state for one in status(workbook(shop), **ONE)] == ["no data"]


def test_a_dry_run_says_what_would_be_made_and_why(shop: Path) -> None:
    before = files(shop)
    plain = [(made.status, made.reason) for made in run(workbook(shop), language="en", dry_run=True).reports]
    assert plain == [("planned", "missing")] * 4
    assert files(shop) == before
    run(workbook(shop), **ONE)
    again = run(workbook(shop), **ONE, dry_run=True)
    assert (again.reports[0].status, again.reports[0].reason, again.exit_code) == ("skipped", "provisional", 3)
    assert run(workbook(shop), **ONE, dry_run=True, force=True).exit_code == 0
    conversion(shop).write_text(conversion(shop).read_text() + "\n")
    assert run(workbook(shop), **ONE, dry_run=True).reports[0].reason == "stale: code"


def test_only_what_is_due(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 5, 20, tzinfo=UTC)

    monkeypatch.setattr(runs, "datetime", Clock)
    due = run(workbook(shop), language="en", segment="all", due=True, dry_run=True)
    assert [(made.job.period, made.status) for made in due.reports] == [("2026-04", "planned")]
    assert run(workbook(shop), **ONE, due=True, dry_run=True).exit_code == 3


def test_a_backfill_makes_past_periods_and_goes_on_where_it_ended(shop: Path) -> None:
    file = workbook(shop)
    file.write_text(file.read_text().replace("{latest: 2}", "{latest: 1, every: week}"))
    weeks = "2026-W16", "2026-W18"
    assert [made.job.period for made in run(file, language="en", segment="all", dry_run=True).reports] == ["2026-W19"]
    run(file, report="conversion", period="2026-W17", segment="all", language="en")
    result = backfill(file, *weeks, language="en", segment="all")
    assert [(made.job.period, made.status) for made in result.reports] == [
        ("2026-W16", "ok"), ("2026-W17", "skipped"), ("2026-W18", "ok")
    ]  # fmt: skip
    manifest = json.loads((shop / "reports/shop/2026-W16/all/conversion.en.manifest.json").read_text())
    assert manifest["trigger"] == "backfill"
    assert backfill(file, *weeks, language="en", segment="all").exit_code == 3
    # Days and other kinds of period name the same stretch: what lies wholly between them.
    days = backfill(file, "2026-04-13", "2026-04", language="en", segment="all", dry_run=True)
    assert [made.job.period for made in days.reports] == ["2026-W16", "2026-W17"]


@pytest.mark.parametrize(
    ("first", "last", "kind", "part"),
    [
        ("2026-06", "2026-05", ConfigError, "after the last"), ("2025-01", "2025-12", DataError, "no data between"),
        ("x", "2026-05", ConfigError, "cannot be read"),
    ],
)  # fmt: skip
def test_a_backfill_of_nothing(shop: Path, first: str, last: str, kind: type[FunnelError], part: str) -> None:
    with pytest.raises(kind, match=part):
        backfill(workbook(shop), first, last)


def test_a_report_that_cannot_be_written_stops_no_other(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = publish.manifest.write

    def full(made: dict[str, Any], path: Path) -> None:
        if made["params"]["segment"] == "all":
            raise OSError(28, "No space left on device")
        write(made, path)

    monkeypatch.setattr(publish.manifest, "write", full)
    result = run(workbook(shop), language="en", period="2026-05")
    assert [(made.status, made.reason) for made in result.reports] == [
        ("failed", "The report could not be written: No space left on device."), ("ok", None)
    ]  # fmt: skip
    assert result.exit_code == 1
    monkeypatch.setattr(publish.index, "write_index", lambda *_: full({"params": {"segment": "all"}}, shop))
    result = run(workbook(shop), language="en", period="2026-05", segment="plan=paid")
    assert (result.fault, result.exit_code) == ("The catalogue could not be renewed: No space left on device.", 1)


def test_what_a_killed_run_had_finished_is_published(shop: Path) -> None:
    run(workbook(shop), **ONE)
    reports, place = shop / "reports/shop", folder(shop)
    ready = reports / ".ready-x-0"
    ready.mkdir()
    names = [name for name in sorted(files(place)) if ".en." in name]
    for name in names[:3]:  # the rest had been moved already
        (place / name).rename(ready / name)
    told = {"folder": "2026-05/all", "files": names, "gone": ["conversion.en.old.csv"]}
    (ready / "place.json").write_text(json.dumps(told))
    (place / "conversion.en.old.csv").write_text("gone")
    (reports / ".lock.json").write_text('{"host": "h", "pid": 7, "since": "yesterday"}')
    again = run(workbook(shop), **ONE)
    assert statuses(again) == {"skipped"}
    assert "was killed (process 7 on h, since yesterday)" in str(again.remark)
    assert sorted(files(place)) == names
    assert not ready.exists()


def test_stop_at_the_first_failure(shop: Path, notebook: Notebook) -> None:
    notebook(conversion(shop), "1 / 0")
    result = run(workbook(shop), means=Means(keep_going=False), workers=1)
    assert [made.status for made in result.reports] == ["failed"]


def test_a_killed_kernel_and_a_killed_process_are_failed_reports(shop: Path, notebook: Notebook) -> None:
    kill = 'os.kill(os.getpid() if segment == "all" else os.getppid(), 9)'
    notebook(conversion(shop), "import os", kill)
    result = run(workbook(shop), language="en", period="2026-05")
    assert [made.status for made in result.reports] == ["failed", "failed"]
    assert result.reports[0].reason == "The notebook's kernel died; it may have run out of memory."
    assert "ended with code" in str(result.reports[1].reason)
    assert not list((shop / "reports/shop").glob(".making*"))


def test_poor_data_is_not_published(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(workbook(shop), **ONE)
    before = files(shop / "reports")
    monkeypatch.setattr(publish.quality, "grade", lambda _checks: "fail")
    with pytest.raises(DataError, match="not good enough") as error:
        run(workbook(shop), **ONE, force=True)
    assert error.value.exit_code == 2
    assert files(shop / "reports") == before


def test_a_manifest_says_what_a_report_was_made_from(shop: Path) -> None:
    run(workbook(shop), **ONE)
    text = (folder(shop) / "conversion.en.manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["period"] == {
        "name": "2026-05",
        "from": "2026-05-01",
        "to": "2026-06-01",
        "timezone": "UTC",
    }
    assert manifest["params"] == {"segment": "all", "language": "en", "as_of": None}
    assert manifest["status"] == "ok"
    assert manifest["tables"]["events"]["rows"] == 60
    assert manifest["slice"] == {"before": None, "tables": {n: t["sha256"] for n, t in manifest["tables"].items()}}
    assert manifest["file"] == "params/shop.yml"
    assert manifest["quality"]["grade"] in "ABC"
    assert {"check", "found", "allowed", "passed", "severity"} <= set(manifest["quality"]["checks"][0])
    assert (manifest["trigger"], manifest["restates"]) == ("manual", [])
    assert 0 < len(manifest["timing"]["slowest_cells"]) <= 3
    assert {output["path"] for output in manifest["outputs"]} == {
        f"conversion.en.{end}" for end in ("html", "ipynb", "metrics.json", "people.csv", "xlsx")
    }  # fmt: skip
    home = {str(shop), str(Path.home()), sys.prefix}
    made = [
        text,
        (folder(shop) / "conversion.en.html").read_text(),
        (folder(shop) / "conversion.en.ipynb").read_text(),
    ]
    assert not [path for path in home for content in made if path in content]


def test_status_before_and_after(shop: Path) -> None:
    assert {one.state for one in status(workbook(shop))} == {"missing"}
    run(workbook(shop))
    # The data ends on 2026-05-10, so of the newest month alone the windows may still be open.
    assert {(one.job.period, one.state) for one in status(workbook(shop))} == {
        ("2026-04", "current"), ("2026-05", "provisional"),
    }  # fmt: skip
    conversion(shop).write_text(conversion(shop).read_text() + "\n")
    assert {(one.state, one.why) for one in status(workbook(shop))} == {("stale", ("code",))}


def test_nothing_was_collected(shop: Path) -> None:
    import shutil

    shutil.rmtree(shop / "data" / "processed")
    with pytest.raises(DataError, match="Nothing was collected"):
        run(workbook(shop))


def test_a_workbook_without_a_file_cannot_be_run(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    with pytest.raises(ConfigError, match="read from a file"):
        run(config.parse(config.yaml.safe_load(workbook(shop).read_text())))


def test_reports_that_cannot_be_written(shop: Path) -> None:
    (shop / "reports").write_text("in the way")
    with pytest.raises(FunnelError, match="cannot be written") as error:
        run(workbook(shop))
    assert error.value.exit_code == 1


def test_a_second_run_waits_for_the_first_and_says_so(shop: Path) -> None:
    said: list[str] = []
    (shop / "reports/shop").mkdir(parents=True)
    lock = FileLock(shop / "reports/shop/.lock", thread_local=False)
    lock.acquire()

    def tell(what: str, share: float) -> None:
        if "another run" in what:
            threading.Timer(0.2, lambda: lock.release(force=True)).start()
        said.append(what)

    assert run(workbook(shop), **ONE, progress=tell).exit_code == 0
    assert "another run" in said[0]


def test_a_run_that_waits_too_long_gives_up(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LOCK_WAIT", 0.1)
    (shop / "reports/shop").mkdir(parents=True)
    with FileLock(shop / "reports/shop/.lock"), pytest.raises(FunnelError, match="Another run"):
        run(workbook(shop), **ONE)


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(shop: Path) -> None:
    script = shop / "script.py"
    script.write_text(
        f"import funnel_lib\nprint('started')\nprint(funnel_lib.run({str(workbook(shop))!r}, **{ONE!r}).exit_code)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["started", "0"], "")
