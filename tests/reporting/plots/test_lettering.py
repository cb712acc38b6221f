from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.reporting.plots.lettering import extent, spread, wrap


def test_chinese_is_one_em_and_latin_about_half():
    assert extent("漏斗分析", 14) == 56
    assert 0.5 < extent("conversion of the last period", 10) / 290 < 0.65


def test_bold_is_wider_and_empty_has_no_width():
    assert extent("Paid", 14, True) == pytest.approx(1.1 * extent("Paid", 14))
    assert extent("") == 0


def test_browsers_set_chinese_and_latin_apart():
    assert extent("共9天", 10) == pytest.approx(extent("共", 10) + extent("9", 10) + extent("天", 10) + 2 * 1.25)


def test_lines_break_at_spaces_or_between_chinese_characters():
    assert wrap("Ask for a quotation", 90) == ["Ask for a", "quotation"]
    assert wrap("填写收货地址", 40) == ["填写收", "货地址"]


def test_closing_punctuation_never_starts_a_line():
    assert wrap("注册用户，新客", 53) == ["注册用", "户，新客"]


def test_a_word_wider_than_the_line_is_cut():
    lines = wrap("Donaudampfschiff", 60)
    assert "".join(lines) == "Donaudampfschiff"
    assert all(extent(line) <= 60 for line in lines)


def test_what_has_no_room_ends_in_an_ellipsis():
    lines = wrap("one two three four five six", 40, lines=2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert extent(lines[1]) <= 40


@settings(deadline=None)
@given(st.text(st.sampled_from("ab lm漏斗，（）9%"), min_size=1, max_size=40), st.floats(30, 200))
def test_no_line_is_too_wide_and_nothing_is_lost(text: str, width: float):
    lines = wrap(text, width, lines=99)
    assert "".join("".join(lines).split()) == "".join(text.split()) or not text.strip()
    assert all(extent(line) <= width or len(line) == 1 for line in lines if line.strip())


def test_labels_that_fit_stay_where_they_are():
    assert spread([10, 50, 90], [10, 10, 10], 0, 100) == [10, 50, 90]


def test_labels_keep_their_order_and_share_the_shift():
    # 20 and 22 want the same place: 8 high each, so 4 above and 4 below their mean of 21.
    assert spread([22, 20], [8, 8], 0, 100) == [25, 17]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 200), st.floats(5, 40)), min_size=1, max_size=6))
def test_labels_never_overlap_and_start_inside(wanted: list[tuple[float, float]]):
    places, sizes = [place for place, _ in wanted], [size for _, size in wanted]
    centres = spread(places, sizes, 0, 200)
    order = sorted(range(len(wanted)), key=lambda index: centres[index])
    assert centres[order[0]] - sizes[order[0]] / 2 >= -1e-9
    for above, below in pairwise(order):
        assert centres[below] - centres[above] >= (sizes[above] + sizes[below]) / 2 - 1e-6
    if sum(sizes) <= 200:
        assert centres[order[-1]] + sizes[order[-1]] / 2 <= 200 + 1e-6
