from __future__ import annotations

import base64
import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from funnel_lib.config import REPORTS
from funnel_lib.reporting.index import RANK, Entry, catalogue_page, write_index

EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)"]


def read(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture
def pages(sample, tmp_path: Path) -> dict[str, BeautifulSoup]:  # type: ignore[no-untyped-def]
    return {file.name: read(file) for file in write_index(sample.entries(), tmp_path, sample.workbook())}


def test_every_report_has_its_place() -> None:
    assert set(RANK) == set(REPORTS)


def test_a_catalogue_in_each_language(pages: dict[str, BeautifulSoup]) -> None:
    assert {name: soup.html["lang"] for name, soup in pages.items()} == {
        "index.html": "en",
        "index.zh.html": "zh-CN",
    }
    assert pages["index.html"].h1.get_text() == "Courses"
    assert pages["index.zh.html"].h1.get_text() == "课程"
    for soup in pages.values():
        assert [a["href"] for a in soup.select(".lang a")] == ["index.html", "index.zh.html"]


def test_newest_period_first_and_everybody_before_groups(pages: dict[str, BeautifulSoup]) -> None:
    rows = [[cell.get_text() for cell in row.select("th, td")][:2] for row in pages["index.html"].select("tbody tr")]
    assert rows == [
        ["2026-05"], ["Conversion", "Everyone"], ["Conversion", "Students"], ["Segmentation", "Everyone"],
        ["2026-04"], ["Conversion", "Everyone"], ["Conversion", "Students"],
        ["All data"], ["Case", "–"],
    ]  # fmt: skip


def test_each_reader_gets_the_own_language_where_there_is_one(pages: dict[str, BeautifulSoup]) -> None:
    cells = pages["index.zh.html"].select("tbody tr")[1].select("th, td")
    assert cells[0].get_text() == "转化"
    assert cells[0].a["href"] == "2026-05/all.zh.html"
    assert [a["href"] for a in cells[5].select("a")] == ["2026-05/all.en.html", "2026-05/all.zh.html"]
    only_english = pages["index.zh.html"].select("tbody tr")[-1].select_one("[lang=en]")
    assert only_english.get_text() == "Case"


def test_headline_status_and_grade(pages: dict[str, BeautifulSoup]) -> None:
    soup = pages["index.html"]
    assert soup.select_one(".lead").get_text() == "5 of 9 paid."
    chips = [chip.get_text() for chip in soup.select(".chip")]
    assert chips == [
        "◐ Provisional",
        "◐ Provisional",
        "✕ Failed",
        "▼ Final, grade C",
        "▼ Final, grade C",
        "✓ Final",
    ]
    facts = {
        dt.get_text(): dd.get_text(" ")
        for dt, dd in zip(soup.select(".facts dt"), soup.select(".facts dd"), strict=True)
    }
    assert facts == {
        "Reports": "6 3 periods", "Newest data": "2026-06-04", "Published": "5 of which 2 provisional",
        "Needs attention": "3 1 failed, 2 of grade C",
    }  # fmt: skip


def test_a_failed_report_has_its_reason_and_the_last_good_one(pages: dict[str, BeautifulSoup]) -> None:
    alert = pages["index.html"].select_one(".alert")
    assert "A file is missing." in alert.get_text()
    assert [a["href"] for a in alert.select("a")] == [
        "2026-05/segmentation.en.html",
        "2026-04/segmentation.en.html",
    ]
    row = next(row for row in pages["index.html"].select("tbody tr") if "Segmentation" in row.get_text())
    assert "Not published: A file is missing." in row.get_text()
    assert row.select("td")[-1].get_text() == "–"


def test_the_same_entries_give_the_same_bytes_in_any_order(sample, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    shuffled = sample.entries()
    random.Random(7).shuffle(shuffled)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first = write_index(sample.entries(), tmp_path / "a", sample.workbook())
    second = write_index(shuffled, tmp_path / "b", sample.workbook())
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["index.html", "index.zh.html"]


def test_no_reports_yet(sample, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = write_index([], tmp_path, sample.workbook().model_copy(update={"languages": ["zh"]}))[0]
    assert file.name == "index.html"
    assert "还没有报告。" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("evil", EVIL)
def test_no_text_becomes_markup(sample, tmp_path: Path, evil: str) -> None:  # type: ignore[no-untyped-def]
    texts = ("title", "period", "segment_title", "headline", "reason", "href", "last_good", "grade")

    def shape(planted: str) -> list[str]:
        entries = [replace(e, **{name: planted for name in texts if getattr(e, name)}) for e in sample.entries()]
        file = write_index(entries, tmp_path, sample.workbook())[0]
        assert not [a["href"] for a in read(file).select("a") if a["href"].startswith("javascript:")]
        return [element.name for element in read(file).find_all(True)]

    assert shape(evil) == shape("x")


def test_reports_are_chosen_without_a_script(pages: dict[str, BeautifulSoup]) -> None:
    soup = pages["index.html"]
    choices = {one["name"]: [option.get_text() for option in one.select("option")] for one in soup.select("select")}
    assert choices == {
        "period": ["Every period", "2026-05", "2026-04", "All data"],
        "report": ["Every report", "Conversion", "Segmentation", "Case"],
        "segment": ["Every segment", "Everyone", "Students"],
        "language": ["Every language", "English", "中文"],
    }
    rows = soup.select(".cat tbody tr:not(.per)")
    assert [(row["data-period"], row["data-report"], row["data-segment"], row["data-language"]) for row in rows] == [
        ("p0", "r0", "s0", "l0 l1"), ("p0", "r0", "s1", "l0 l1"), ("p0", "r1", "s0", ""),
        ("p1", "r0", "s0", "l0 l1"), ("p1", "r0", "s1", "l0 l1"), ("p2", "r2", "s0", "l0"),
    ]  # fmt: skip
    for option in soup.select("select option[value]:not([value=''])"):
        assert f'[value="{option["value"]}"]:checked' in soup.style.string
    assert len(soup.select("label select")) == 4


def test_the_only_script_is_the_one_that_the_policy_names(pages: dict[str, BeautifulSoup]) -> None:
    for soup in pages.values():
        (script,) = soup.select("script")
        digest = base64.b64encode(hashlib.sha256(script.string.encode()).digest()).decode()
        policy = soup.select_one("meta[http-equiv=Content-Security-Policy]")["content"]
        assert f"script-src 'sha256-{digest}';" in policy
        assert "unsafe-inline'; img" in policy
        assert "innerHTML" not in script.string


def test_without_a_choice_there_is_no_filter_and_no_script(sample) -> None:  # type: ignore[no-untyped-def]
    page = catalogue_page(sample.entries()[:1], sample.workbook(), "en")
    soup = BeautifulSoup(page, "html.parser")
    assert soup.select("select, script") == []
    assert "script-src" not in page


def test_a_report_without_data_needs_no_attention(sample) -> None:  # type: ignore[no-untyped-def]
    reason = "Nobody entered the funnel in this period.\n  found:   2026-05: no visit"
    empty = Entry("conversion", "转化", "2026-05", "all", "zh", "no data", "a.html", "全部用户", reason=reason)
    soup = BeautifulSoup(catalogue_page([empty], sample.workbook(), "zh"), "html.parser")
    assert soup.select(".alert") == []
    assert soup.select_one(".chip").get_text() == "○ 无数据"
    assert soup.select_one(".head").get_text() == "本期没有用户进入漏斗。"
    assert soup.select(".facts dd")[-1].get_text() == "0"
