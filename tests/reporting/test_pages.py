"""What a page says beside its notebook: links, titles, downloads, footer."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from funnel_lib import config
from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.reporting import pages
from funnel_lib.reporting.pages import Shelf, page_facts
from funnel_lib.reporting.plan import Job
from funnel_lib.reporting.wording import plain

DAYS = date(2026, 3, 1), date(2026, 5, 31)


@pytest.fixture
def workbook() -> Workbook:
    """A workbook with one split, in both languages."""
    return config.parse(
        {
            "name": "shop", "title": {"en": "Shop", "zh": "商店"}, "languages": ["zh", "en"],
            "timezone": "Asia/Shanghai",
            "sources": {"web": {"system": "ga4", "files": "*"}}, "funnel": {"steps": [{"name": "visit"}]},
            "segments": {"plan": {"title": {"en": "Plan", "zh": "方案"}, "groups": {
                "paid": {"title": {"en": "Paying", "zh": "付费"}, "where": {"a": 1}}}}},
        }
    )  # fmt: skip


def job(period: str = "2026-05", segment: str = "all", language: str = "en", report: str = "conversion") -> Job:
    return Job(report, period, segment, language, Path("n.ipynb"))  # type: ignore[arg-type]


def shelf(workbook: Workbook, *jobs: Job) -> Shelf:
    def scope(of: Job) -> Scope:
        period = workbook.period(of.period, *DAYS)
        return Scope(workbook, Store(Path()), period, of.segment, of.language, datetime(2026, 5, 31, tzinfo=UTC))

    return Shelf(workbook, jobs, scope)


def test_neighbours_are_of_the_same_kind_of_period(workbook: Workbook) -> None:
    jobs = [job(p) for p in ("2026-05", "2026-03", "2026-W19", "2026-Q1", "all", "2026-04-02..2026-04-05")]
    jobs += [job("2026-04", segment="plan=paid"), job("2026-04", report="collection"), job("2026-04", language="zh")]
    found = shelf(workbook, *jobs)
    assert found.beside(jobs[0], -1) == jobs[1]
    assert found.beside(jobs[0], 1) is None
    assert found.beside(jobs[1], 1) == jobs[0]
    assert [found.beside(other, step) for other in jobs[2:6] for step in (-1, 1)] == [None] * 8


def test_languages_and_segments(workbook: Workbook) -> None:
    jobs = [
        job(),
        job(language="zh"),
        job(segment="plan=paid"),
        job(segment="plan=other"),
        job("2026-04", language="zh"),
    ]
    found = shelf(workbook, *jobs)
    assert found.languages(jobs[0]) == [jobs[1], jobs[0]]
    assert [other.segment for other in found.segments(jobs[2])] == ["all", "plan=other"]


def test_the_facts_of_a_page(workbook: Workbook) -> None:
    jobs = [
        job(segment="plan=paid"),
        job(),
        job("2026-04", segment="plan=paid"),
        job(segment="plan=paid", language="zh"),
    ]
    facts = page_facts(jobs[0], shelf(workbook, *jobs), date(2026, 5, 31))
    assert plain(facts.title, "en") == "Conversion report, 2026-05, Plan: Paying"
    assert facts.index is not None
    assert facts.index.href == "../../index.html"
    assert facts.previous is not None
    assert facts.previous.href == "../../2026-04/plan-paid/conversion.en.html"
    assert facts.next is None
    assert [(link.lang, link.href) for link in facts.languages] == [
        ("zh", "conversion.zh.html"),
        ("en", "conversion.en.html"),
    ]
    assert [link.href for link in facts.segments] == ["../all/conversion.en.html"]
    assert [plain(fact.value, "en") for fact in facts.facts] == ["2026-05", "Plan: Paying", "2026-05-31"]
    chinese = page_facts(jobs[3], shelf(workbook, *jobs), None)
    assert chinese.index is not None
    assert chinese.index.href == "../../index.zh.html"
    assert plain(chinese.workbook, "zh") == "商店"
    assert "方案" in plain(chinese.title, "zh")
    assert "付费" in plain(chinese.title, "zh")


def test_downloads_are_what_was_written(workbook: Workbook) -> None:
    facts = page_facts(job(), shelf(workbook, job()), None)
    made = pages.finished(facts, stem="conversion.en", tables=["funnel"], source="{}", footer="f")
    assert [file.href.removeprefix("conversion.en.") for file in made.downloads] == [
        "xlsx", "funnel.csv", "metrics.json", "ipynb", "manifest.json",
    ]  # fmt: skip
    assert len(pages.finished(facts, stem="x", tables=[], source="", footer="").downloads) == 3


def test_the_footer_tells_when_and_with_which_code() -> None:
    start = datetime(2026, 6, 1, 9, 5, tzinfo=UTC)
    code = {"package": "0.1.0", "git_commit": None, "dirty": None}
    assert pages.footer("en", start, code) == "Made 2026-06-01 09:05 UTC by funnel 0.1.0"
    dirty = {"package": "0.1.0", "git_commit": "0123456789abcdef", "dirty": True}
    assert pages.footer("en", start, dirty).endswith(" · commit 0123456789ab · with uncommitted changes")


def test_the_page_shows_of_the_manifest_what_does_not_change() -> None:
    manifest = {"inputs": [{"file": "a"}, {"file": "b"}], "code": {"package": "1", "git_commit": "x", "dirty": True}}
    shown = json.loads(pages.source_text(manifest))
    assert shown["code"] == {"package": "1"}
    assert shown["inputs"]["files"] == 2
    assert shown == json.loads(
        pages.source_text({**manifest, "code": {"package": "1", "git_commit": "y", "dirty": False}})
    )
    assert shown != json.loads(pages.source_text({**manifest, "inputs": [{"file": "a"}, {"file": "c"}]}))


def test_the_first_sheet_says_what_the_tables_are(workbook: Workbook) -> None:
    facts = page_facts(job(), shelf(workbook, job()), None)
    lines = pages.about(facts, {"cache_key": "k"})
    assert lines[0] == ("Shop", "Conversion report, 2026-05, Everyone")
    assert lines[-1][1] == "k"


def test_periods_as_manifests_hold_them(workbook: Workbook) -> None:
    held = pages.period_days(workbook.period("2026-05", *DAYS))
    assert held == {"name": "2026-05", "from": "2026-05-01", "to": "2026-06-01"}
    assert pages.last_day(held) == date(2026, 5, 31)
    assert pages.last_day({"name": "all"}) is None
