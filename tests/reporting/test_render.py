from __future__ import annotations

import base64
import json
import re

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from funnel_lib.reporting import blocks, render
from funnel_lib.reporting.parts import Link
from funnel_lib.reporting.render import PageFacts
from funnel_lib.reporting.wording import Say

EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "</title><b>",
    "</pre><b>",
]
say = Say("en")
CLEAN: dict[str, list[str]] = {}


@pytest.fixture(scope="module")
def soup(sample) -> BeautifulSoup:  # type: ignore[no-untyped-def]
    return BeautifulSoup(sample.page(), "html.parser")


def test_a_page_is_one_document(soup: BeautifulSoup, sample) -> None:  # type: ignore[no-untyped-def]
    html = sample.page()
    assert html.startswith("<!DOCTYPE html>") or html.startswith("<!doctype html>")
    assert html.rstrip().endswith("</html>")
    assert soup.html["lang"] == "en"
    assert len(soup.select("h1")) == len(soup.select("main")) == len(soup.select("title")) == 1
    assert BeautifulSoup(sample.page("zh"), "html.parser").html["lang"] == "zh-CN"


def test_code_and_markdown_are_hidden(sample) -> None:  # type: ignore[no-untyped-def]
    assert "hidden_code" not in sample.page()
    assert "hidden title" not in sample.page()


def test_nothing_is_loaded_and_nothing_runs(soup: BeautifulSoup) -> None:
    assert soup.select("script, link, iframe, object, embed, form, base") == []
    for element in soup.select("*"):
        assert not [name for name in element.attrs if name.startswith("on")]
        for name in ("src", "href"):
            assert not re.match(r"\s*(?!data:image/)[a-z]+:|//", str(element.get(name, "")), re.IGNORECASE), element
    policy = soup.select_one("meta[http-equiv=Content-Security-Policy]")
    assert policy["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import", soup.style.string)


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_becomes_markup_in_a_page(sample, evil: str, language: str) -> None:  # type: ignore[no-untyped-def]
    def shape(page: str) -> list[str]:
        return [element.name for element in BeautifulSoup(page, "html.parser").find_all(True)]

    if language not in CLEAN:
        CLEAN[language] = shape(sample.page(language, "x"))
    assert shape(sample.page(language, evil)) == CLEAN[language]


def test_the_blocks_stand_in_the_order_of_a_page(soup: BeautifulSoup) -> None:
    main = str(soup.main)
    marks = [
        "<h1", 'class="alert', 'class="toc"', 'id="summary"', 'class="kpis"', 'id="funnel"', 'id="few"',
        'class="foreign"', 'id="segments-links-h"', 'id="definitions"', 'id="method"', 'id="run"', "Manifest",
        'id="downloads"',
    ]  # fmt: skip
    places = [main.index(mark) for mark in marks]
    assert places == sorted(places)
    shuffled = blocks.run_facts([("a", "b")]), blocks.summary("Lead", []), blocks.header("k", "t", [])
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", b._repr_mimebundle_())])
            for b in shuffled
        ]
    )
    page = render.page(notebook, PageFacts("t", "en", "w"))
    assert page.index("<h1") < page.index('id="summary"') < page.index('id="run"')


def test_contents_list_what_there_is(soup: BeautifulSoup) -> None:
    listed = [(a["href"], a.get_text()) for a in soup.select(".toc a")]
    assert listed[0] == ("#summary", "Summary")
    assert [href for href, _ in listed] == [
        "#summary", "#funnel", "#segments", "#cohorts", "#losses", "#few", "#definitions", "#method", "#run",
    ]  # fmt: skip
    for href, _ in listed:
        assert len(soup.select(href)) == 1


def test_ids_stand_once_and_labels_lead_to_them(soup: BeautifulSoup) -> None:
    ids = [element["id"] for element in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    names = []
    for element in soup.select("[aria-labelledby]"):
        labels = str(element["aria-labelledby"]).split()
        assert set(labels) <= set(ids)
        names.append(" ".join(soup.find(id=label).get_text() for label in labels))
    # the sections of the sample have one finding under several topics
    assert len(names) == len(set(names))


def test_links_lead_to_other_pages(soup: BeautifulSoup) -> None:
    top = soup.select_one(".top")
    assert [a["href"] for a in top.select("a")] == [
        "index.html", "../2026-04/report.en.html", "./javascript:alert(1)",
        "report.en.html", "report.zh.html",
    ]  # fmt: skip
    assert top.select_one("[aria-current]")["href"] == "report.en.html"
    assert [a.get("rel") for a in top.select("nav:not(.lang) a")] == [["prev"], ["next"]]


def test_strangers_outputs_are_cleaned() -> None:
    frame = pd.DataFrame({"a": [1.5]}).to_html()
    evil = (
        "<style>body{display:none}</style><script>alert(1)</script>"
        '<table onclick="alert(1)" style="position:fixed">'
        '<tr><td><a href="javascript:alert(1)">k</a><img src=x onerror=alert(1)></td></tr></table>'
        "<svg><script>alert(2)</script></svg><h1>title</h1><iframe src=http://host></iframe><script>unclosed"
    )
    outputs = [
        nbformat.v4.new_output("execute_result", {"text/html": frame + evil, "text/plain": "x"}),
        nbformat.v4.new_output("display_data", {"image/png": "aGk=\n", "text/plain": "x"}),
        nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg onload='alert(1)'/>"}),
        nbformat.v4.new_output("display_data", {"application/javascript": "alert(1)"}),
        nbformat.v4.new_output("stream", text="printed"),
        nbformat.v4.new_output("execute_result", {"text/plain": "<Axes: >"}),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])
    page = render.page(notebook, PageFacts("t", "en", "w"))
    soup = BeautifulSoup(page, "html.parser")
    assert [element.name for element in soup.select("script, h1, iframe, svg, .foreign a, .foreign style")] == []
    assert len(soup.select(".foreign table")) == 2
    assert soup.select_one(".foreign th[scope], .foreign th") is not None
    assert [image["src"] for image in soup.select("img")] == [
        "data:image/png;base64,aGk=",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg onload='alert(1)'/>").decode(),
    ]
    assert all(image["alt"] for image in soup.select("img"))
    for gone in ("alert(1)</", "display:none", "onclick", "position:fixed", "printed", "Axes", "unclosed"):
        assert gone not in page


def test_the_same_notebook_gives_the_same_bytes(sample) -> None:  # type: ignore[no-untyped-def]
    assert sample.page() == sample.page()


def test_all_numbers_and_named_tables_are_collected(sample) -> None:  # type: ignore[no-untyped-def]
    notebook = sample.notebook([*sample.head(say), *sample.body(say)])
    numbers = render.metrics(notebook)
    assert numbers["lead.rate"] == 0.0395
    assert numbers["money.m.high"] == 472_000
    # two sentences with the key `gap`: the alert's days and the difference of the cohorts
    assert (numbers["gap.n"], numbers["gap.p"]) == (5, 0.013)
    json.dumps(numbers, allow_nan=False)
    assert list(render.tables(notebook)) == ["groups"]
    reread = nbformat.reads(nbformat.writes(notebook), as_version=4)  # as papermill saves it
    assert render.metrics(reread) == numbers
    assert render.page(reread, sample.facts()) == render.page(notebook, sample.facts())


def test_html_in_a_file_may_be_a_list_of_lines(sample) -> None:  # type: ignore[no-untyped-def]
    notebook = sample.notebook([blocks.summary("Lead", [])])
    data = notebook.cells[1].outputs[0].data
    data["text/html"] = data["text/html"].splitlines(keepends=True)
    assert "Lead" in render.page(notebook, PageFacts("t", "en", "w"))


def test_paper_says_what_the_head_says(sample) -> None:  # type: ignore[no-untyped-def]
    text = BeautifulSoup(sample.page(evil="</style>"), "html.parser").style.string
    footer = re.search(r'@bottom-left \{ content: "([^"]*)"', text)[1]
    said = re.sub(r"\\([0-9a-f]+) ", lambda match: chr(int(match[1], 16)), footer)
    assert said == "Courses</style> · Conversion 2026-05</style> · Provisional · Do not decide</style>"


def test_a_second_list_of_run_facts_is_left_out(sample) -> None:  # type: ignore[no-untyped-def]
    assert "3 times" not in sample.page()
    bare = render.page(sample.notebook([]), sample.facts())
    assert "3 times" in bare


def test_a_failed_report_says_why_and_where_the_last_good_one_is(sample) -> None:  # type: ignore[no-untyped-def]
    reason = ["A file is missing.<b>", "  found:   <i>"]
    page = render.failure(sample.facts("zh", "<b>"), reason, Link("Last good", "../a.html"))
    soup = BeautifulSoup(page, "html.parser")
    assert soup.html["lang"] == "zh-CN"
    assert len(soup.select("h1")) == 1
    assert soup.select_one(".alert h2").get_text() == "✕ 本报告未能生成"
    assert soup.select_one(".alert a")["href"] == "../a.html"
    terms = soup.select(".defs dt"), soup.select(".defs dd")
    assert [(dt.get_text(), dd.get_text()) for dt, dd in zip(*terms, strict=True)] == [
        ("实际情况", "<i>"), ("程序原始信息（英文）", "A file is missing.<b>"),
    ]  # fmt: skip
    assert [span["lang"] for span in soup.select(".defs span")] == ["en", "en"]
    assert soup.select_one(".run td").get_text() == "3 times<b>"
    assert soup.select("svg, script") == []
    assert page == render.failure(sample.facts("zh", "<b>"), reason, Link("Last good", "../a.html"))


def test_a_report_without_data_is_no_failure(sample) -> None:  # type: ignore[no-untyped-def]
    reason = ["Nobody entered the funnel in this period.", "  found:   2026-05: no visit"]
    soup = BeautifulSoup(render.failure(sample.facts("zh"), reason, empty=True), "html.parser")
    assert soup.select_one(".alert.calm h2").get_text() == "○ 本报告没有数据"
    assert soup.select_one(".alert p").get_text() == "本期没有用户进入漏斗。"
