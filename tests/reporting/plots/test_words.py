from datetime import date

import pytest

from funnel_lib.reporting.plots.words import ENGLISH, Words

ZH = Words("zh", {"signup": "注册"})


def test_titles_replace_names_and_stay_on_one_line():
    words = Words(titles={"signup": "Sign\nup\u202e"})
    assert words.title("signup") == "Sign up"
    assert words.title("other") == "other"
    assert words.titled({"other": "Others"}).title("other") == "Others"
    assert words.title("other") == "other"


@pytest.mark.parametrize(
    ("rate", "told"),
    [(0.26, "26.0%"), (0, "0.0%"), (1, "100.0%"), (0.0004, "0.04%"), (9e-8, "<0.01%"), (float("nan"), "–")],
)
def test_shares_never_read_as_zero_where_they_are_not(rate: float, told: str):
    assert ENGLISH.percent(rate) == told


@pytest.mark.parametrize(
    ("rate", "told"), [(0.25, "25%"), (0.07, "7%"), (0.29, "29%"), (0.025, "2.5%"), (0, "0%"), (0.0005, "0.05%")]
)
def test_round_shares_have_no_needless_decimals(rate: float, told: str):
    assert ENGLISH.plain(rate) == told


def test_intervals_are_written_as_the_language_wants():
    assert ENGLISH.span(0.26, 0.25, 0.27) == "25.0–27.0%"
    assert ZH.span(0.26, 0.25, 0.27) == "25.0%～27.0%"
    assert ENGLISH.with_span(0.26, 0.25, 0.27) == "26.0% (25.0–27.0%)"
    assert ZH.with_span(0.26, 0.25, 0.27) == "26.0%（25.0%～27.0%）"
    assert ENGLISH.between("¥1", "¥2") == "(¥1 to ¥2)"


def test_differences_have_a_sign_and_a_real_minus():
    assert ENGLISH.points(0.031) == "+3.1 pp"
    assert ENGLISH.points(-0.08) == "−8.0 pp"
    assert ENGLISH.points(0.0004) == "+0.04 pp"
    assert ENGLISH.bounds(-0.02, -0.03, -0.01) == "(−3.0 to −1.0)"
    assert [ENGLISH.pointed(mark) for mark in (-0.025, 0.0, 0.02)] == ["−2.5", "0", "+2"]


def test_days_are_short():
    assert ENGLISH.date(date(2026, 5, 4)) == "4 May"
    assert ZH.date(date(2026, 5, 4)) == "5月4日"


def test_verdicts_have_a_sign_words_and_a_size():
    assert ENGLISH.verdict("above", 0.01) == "▲ 1.0 pp above"
    assert ENGLISH.verdict("below", -0.08) == "▼ 8.0 pp below"
    assert ENGLISH.verdict("within", 0.001) == "● within noise"


def test_phrases_hold_their_numbers():
    assert ENGLISH.lost(28278, 0.74) == "↓ 28,278 (74.0%) left here"
    assert ENGLISH.rate_of_previous(0.26, 0.25, 0.27) == "26.0% of previous (25.0–27.0%)"
    assert ENGLISH.of_all(0.26) == "26.0% of all"
    assert ENGLISH.target(0.25) == "target 25%"
    assert ENGLISH.too_few() == "too few"
    assert ENGLISH.too_few(3) == "too few (3)"
    assert ENGLISH.missing(0, 31) == "every day has data"
    assert ENGLISH.missing(4, 31) == "▼ days without data: 4 of 31"
    assert ENGLISH.more(5) == "+ 5 more in the table"
    assert ENGLISH.units(3500) == "n = 3,500"
