"""What a run is told about, in the workbook's language; only when the workbook wants to hear of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from funnel_lib.config import Workbook, parse
from funnel_lib.errors import DataError
from funnel_lib.notices import Notify
from funnel_lib.reporting.blocks import MIME
from funnel_lib.reporting.manifest import SCHEMA
from funnel_lib.reporting.notify.digest import Digest, alerts, digest, looked, pictures, stop, stopped, trial, wanted
from funnel_lib.reporting.notify.memory import RUN, Alert, News, news
from funnel_lib.reporting.plan import Job
from funnel_lib.reporting.runs import Made, RunResult

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NO_ONE = "Nobody entered the funnel in this period.\n  found:   2026-05: no visit"


@pytest.fixture
def workbook() -> Workbook:
    return parse(
        {
            "name": "shop", "title": {"en": "Shop", "zh": "商店"}, "languages": ["zh", "en"],
            "sources": {"web": {"system": "ga4", "files": "*"}}, "funnel": {"steps": [{"name": "visit"}]},
        }
    )  # fmt: skip


def notify(**given: str) -> Notify:
    return Notify.model_validate({"to": ["ADDRESS"], **given})


def made(status: str = "ok", report: str = "conversion", language: str = "en", **given: object) -> Made:
    job = Job(report, "2026-05", str(given.pop("segment", "all")), language, Path("n.ipynb"))  # type: ignore[arg-type]
    return Made(job, status, **given)  # type: ignore[arg-type]


def written(folder: Path, one: Made) -> Made:
    """Write what a report leaves behind: its manifest and its notebook with key figures and a warning."""
    place = folder / one.job.folder
    place.mkdir(parents=True, exist_ok=True)
    record = {"schema": SCHEMA, "headline": f"5% paid ({one.job.language})."}
    (place / f"{one.job.stem}.manifest.json").write_text(json.dumps(record))
    blocks = {"kpis": "Rate: 5.0%\nPeople: 40\nPaid: 2\nCost: 3\nMore: 4", "alert": "Two days are missing\nDetails"}
    outputs = [
        {"data": {"text/plain": text.splitlines(keepends=True), MIME: {"kind": kind}}} for kind, text in blocks.items()
    ]
    (place / f"{one.job.stem}.ipynb").write_text(json.dumps({"cells": [{"outputs": outputs}]}))
    return one


def heard(run: RunResult, workbook: Workbook, asked: Notify, known: Sequence[Alert] = ()) -> News:
    return news(known, alerts(run, workbook, asked), looked(run), at=NOW, repeat=asked.repeat)


def first(run: RunResult, workbook: Workbook, asked: Notify) -> Digest:
    """What somebody is told who has heard of nothing before."""
    return digest(run, workbook, asked, heard(run, workbook, asked))


def hears(workbook: Workbook, run: RunResult, asked: Notify) -> bool:
    return wanted(run, asked, heard(run, workbook, asked))


def result(folder: Path, *reports: Made, fault: str | None = None) -> RunResult:
    return RunResult("shop", folder, reports, fault=fault)


@pytest.mark.parametrize(
    ("when", "status", "told"),
    [
        ("always", "skipped", True), ("change", "skipped", False), ("failure", "skipped", False),
        ("change", "ok", True), ("failure", "ok", False), ("failure", "failed", True), ("failure", "no data", True),
        ("change", "failed", True),
    ],
)  # fmt: skip
def test_people_hear_of_what_they_want_to_hear(
    tmp_path: Path, workbook: Workbook, when: str, status: str, told: bool
) -> None:
    assert hears(workbook, result(tmp_path, made(status)), notify(when=when)) is told


def test_a_run_that_stopped_on_the_way_is_a_failure(tmp_path: Path, workbook: Workbook) -> None:
    assert hears(workbook, result(tmp_path, made(), fault="The disk is full."), notify(when="failure"))


def test_headline_numbers_alerts_and_links(tmp_path: Path, workbook: Workbook) -> None:
    one = written(tmp_path, made())
    other = written(tmp_path, made(report="collection", restates=2))
    chinese = written(tmp_path, made(language="zh"))
    found = first(
        result(tmp_path, other, one, chinese), workbook, notify(language="en", link="https://r.example/shop/")
    )
    assert (found.state, found.title) == ("alert", "Shop: 2 reports renewed")
    assert list(found.numbers) == ["Rate: 5.0%", "People: 40", "Paid: 2", "Cost: 3"]
    assert list(found.alerts) == [
        "Data collection report · 2026-05: 2 published numbers have moved", "Two days are missing",
    ]  # fmt: skip
    assert [(item.title, item.headline, item.link) for item in found.items] == [
        ("Conversion report · 2026-05", "5% paid (en).", "https://r.example/shop/2026-05/all/conversion.en.html"),
        ("Data collection report · 2026-05", "5% paid (en).", "https://r.example/shop/2026-05/all/collection.en.html"),
    ]
    assert (found.link, found.open) == ("https://r.example/shop/index.html", "Open the reports")


def test_the_workbooks_first_language_is_spoken(tmp_path: Path, workbook: Workbook) -> None:
    failed = made("failed", language="zh", reason="A cell of the notebook ran longer than 600 seconds.")
    empty = made("no data", report="segmentation", language="zh", reason=NO_ONE)
    found = first(result(tmp_path, empty, failed, made(language="en")), workbook, notify())
    assert (found.state, found.subject) == ("failed", "✕ 商店：1份报告失败")
    assert list(found.alerts) == [
        "转化分析报告 · 2026-05：笔记本中有一个单元格运行超过600秒，已停止。",
        "人群细分报告 · 2026-05：本期没有用户进入漏斗。",
    ]
    assert (found.items, found.link) == ([], "")


def test_a_failure_is_told_once_and_its_end_too(tmp_path: Path, workbook: Workbook) -> None:
    asked = notify(language="en", when="failure")
    broken, whole = (result(tmp_path, made(status, reason="OSError: Broken")) for status in ("failed", "ok"))
    night = heard(broken, workbook, asked)
    assert wanted(broken, asked, night)
    second = heard(broken, workbook, asked, night.kept)
    assert not wanted(broken, asked, second)
    # Who wants every digest hears that it still stands; the state is what it is.
    again = digest(broken, workbook, asked, second)
    assert (again.state, list(again.alerts), again.standing) == ("failed", [], "1 known problem still stands")
    third = heard(whole, workbook, asked, second.kept)
    assert wanted(whole, asked, third)
    over = digest(whole, workbook, asked, third)
    assert (over.state, list(over.alerts), over.standing) == ("good", [], "")
    assert list(over.resolved) == ["Over: Conversion report · 2026-05: OSError: Broken"]
    assert not wanted(whole, asked, heard(whole, workbook, asked, third.kept))


def test_a_step_beyond_its_limits_is_an_alert_whatever_its_numbers(tmp_path: Path, workbook: Workbook) -> None:
    one, asked = written(tmp_path, made()), notify(language="en")
    place = tmp_path / one.job.folder / f"{one.job.stem}.ipynb"

    def rang(finding: str, known: Sequence[Alert], **metrics: float) -> News:
        data = {"text/plain": f"{finding}\n…", MIME: {"kind": "section", "metrics": metrics}}
        place.write_text(json.dumps({"cells": [{"outputs": [{"data": data}]}]}))
        return heard(result(tmp_path, one), workbook, asked, known)

    found = rang("Buy fell below its limits, 3–9 May: 5.0%", (), **{"monitoring.rate": 0.05})
    said = "Conversion report · 2026-05: Buy fell below its limits, 3–9 May: 5.0%"
    assert [one.text for one in found.fresh] == [said]
    later = rang("Buy fell below its limits, 3–11 May: 4.2%", found.kept, **{"monitoring.rate": 0.042})
    assert (later.fresh, len(later.standing), later.over) == ((), 1, ())
    assert [one.text for one in rang("No step left its control limits", found.kept).over] == [said]


def test_a_report_that_was_not_printed_is_trouble(tmp_path: Path, workbook: Workbook) -> None:
    run = result(tmp_path, made(unprinted="Printing needs Chromium, and there is none.\n  where:   x"))
    found = first(run, workbook, notify(language="en"))
    assert (found.state, list(found.alerts)) == ("failed", ["Printing needs Chromium, and there is none."])


def test_many_reports_are_counted_not_listed(tmp_path: Path, workbook: Workbook) -> None:
    reports = [made(segment=f"plan=p{number}") for number in range(10)]
    found = first(result(tmp_path, *reports), workbook, notify(language="en"))
    assert [item.title for item in found.items][-2:] == ["Conversion report · 2026-05 · plan=p7", "and 2 more reports"]
    assert (found.state, list(found.numbers)) == ("good", [])


def test_nothing_new_is_said_quietly(tmp_path: Path, workbook: Workbook) -> None:
    found = first(result(tmp_path, made("skipped")), workbook, notify(language="en"))
    assert (found.state, found.subject) == ("quiet", "● Shop: no report was renewed")


def test_a_run_that_could_not_begin_and_a_trial(workbook: Workbook) -> None:
    fault = DataError("The data is not good enough to publish.", found="late_share 0.4", do="Mend it.")
    found = stopped(fault, workbook, notify(language="en"))
    assert (found.state, found.title) == ("failed", "Shop: the run has stopped")
    assert list(found.alerts) == ["The data is not good enough to publish.", "late_share 0.4"]
    assert stop(fault, workbook, notify(language="en")) == Alert(RUN, found.alerts[0], failed=True)
    assert trial(workbook, notify(link="https://r.example")).link == "https://r.example/index.zh.html"


def test_the_summary_of_the_newest_report_goes_with_mails(tmp_path: Path) -> None:
    one = written(tmp_path, made())
    run = result(tmp_path, written(tmp_path, made(report="collection")), one)
    assert pictures(run) == []
    file = tmp_path / one.job.folder / "conversion.en.summary.png"
    file.write_bytes(b"png")
    assert pictures(run) == [file]
