from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.reporting.markup import FOLDER, clauses, css_string, fragment, relative, style_sheet
from funnel_lib.reporting.wording import Rate, Say


@pytest.mark.parametrize(
    ("href", "safe"),
    [
        ("../2026-04/report.html", "../2026-04/report.html"),
        ("#run", "#run"),
        ("a.html#x:y", "a.html#x:y"),
        ("javascript:alert(1)", "./javascript:alert(1)"),
        ("JaVaScRiPt:alert(1)", "./JaVaScRiPt:alert(1)"),
        ("https://host/x", "./https://host/x"),
        ("//host/x", ".//host/x"),
        ("/etc/x", "./etc/x"),
        ("java\nscript:alert(1)", "./java%0ascript:alert(1)"),
        (" javascript:alert(1)", "./%20javascript:alert(1)"),
        ("\\\\host\\x", ".\\\\host\\x"),
        ("\t//host/x", "%09//host/x"),
        ("/\t/host/x", "./%09/host/x"),
    ],
)
def test_links_stay_below_the_reports(href: str, safe: str) -> None:
    assert relative(href) == safe


@given(st.text(max_size=30))
def test_no_text_ends_a_css_string(text: str) -> None:
    written = str(css_string(text))
    assert re.fullmatch(r'"([^"\\<>\n\r\f]|\\[0-9a-f]+ )*"', written)
    assert re.sub(r"\\([0-9a-f]+) ", lambda m: chr(int(m[1], 16)), written[1:-1]) == text


def test_chinese_headings_break_at_commas() -> None:
    whole = clauses("四步中有三步低于目标，差距最大的是试听课", "zh")
    assert whole == '<span class="cl">四步中有三步低于目标，</span><span class="cl">差距最大的是试听课</span>'
    assert clauses("a，<b>", "zh") == '<span class="cl">a，</span><span class="cl">&lt;b&gt;</span>'
    assert clauses("One, two", "en") == "One, two"
    assert clauses(Rate(0.5), "en") == "50.0%"
    bold = Say("zh")("**一，二**，三")  # the bold mark would be torn apart
    assert clauses(bold, "zh") == "<b>一，二</b>，三"


def test_style_sheets_load_nothing_and_hold_no_comment() -> None:
    for file in FOLDER.glob("*.css"):
        text = style_sheet(file.name)
        assert "/*" not in text
        assert not re.search(r"@import|url\(|expression|</", text)
        assert text.count("{") == text.count("}")


def test_labels_follow_the_language() -> None:
    assert "Contents" in fragment("en", "contents", [("a", "A")])
    assert "目录" in fragment("zh", "contents", [("a", "A")])
