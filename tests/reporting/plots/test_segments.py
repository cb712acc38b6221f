from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots import TOKENS, Words, answers, panel, ranked, small_multiples

NAMES = ["s1", "s2", "s3", "s4"]


@pytest.fixture
def total(rule: SimpleNamespace) -> pd.DataFrame:
    return rule.rates([10_000, 4_000, 2_000, 1_000], NAMES)


def compared(group: str, *rows: tuple[int, float, bool]) -> pd.DataFrame:
    return pd.DataFrame([(group, *row) for row in rows], columns=["group", "step", "difference", "clear"])


def test_a_panel_shows_rates_marks_and_the_total(total: pd.DataFrame, rule: SimpleNamespace):
    own = rule.rates([1_000, 500, 200, 100], NAMES, "a")  # 50%, 40%, 50% against 40%, 50%, 50%
    marks = compared("a", (2, 0.1, True), (3, -0.1, True), (4, 0.0, False))
    shapes = rule.keeps(lambda ax, width: panel(own, total, marks, ax=ax, width=width), own, total, marks)
    assert {"50.0% ▲", "40.0% ▼", "50.0% ●"} <= set(rule.said(shapes[328]))
    ax = rule.draw_on(lambda ax, width: panel(own, total, marks, ax=ax, width=width), 328)
    dots = [line for line in ax.child_axes[0].lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == pytest.approx([0.5, 0.4, 0.5])
    assert [line.get_markerfacecolor() for line in dots] == [TOKENS["c3"], TOKENS["c2"], TOKENS["grey"]]
    upright = [line for line in ax.child_axes[0].lines if line.get_color() == TOKENS["ink"]]
    assert [float(x) for x in upright[0].get_xdata()[::3]] == pytest.approx([0.4, 0.5, 0.5])


def test_without_comparisons_there_are_no_marks(total: pd.DataFrame, rule: SimpleNamespace):
    own = rule.rates([1_000, 500, 200, 100], NAMES, "a")
    for shape in rule.keeps(lambda ax, width: panel(own, total, ax=ax, width=width), own).values():
        assert not set("▲▼●") & set("".join(rule.said(shape)))


def test_panels_of_one_series_have_the_same_scale(total: pd.DataFrame, rule: SimpleNamespace):
    marks = compared("a", (2, 0.1, True), (3, 0.1, True), (4, 0.1, True))
    widths = []
    for counts in ([1_000, 1_000, 1_000, 1_000], [1_000, 50, 2, 1]):
        own = rule.rates(counts, NAMES, "a")
        ax = rule.draw_on(lambda ax, width, own=own: panel(own, total, marks, ax=ax, width=width), 328)
        ax.figure.draw_without_rendering()
        widths.append(ax.child_axes[0].get_window_extent().bounds)
    assert widths[0] == widths[1]


def test_a_rate_that_is_missing_is_said_with_its_count(total: pd.DataFrame, rule: SimpleNamespace, words: Words):
    own = rule.rates([100, 29, 7, 0], NAMES, "a")
    shapes = rule.keeps(lambda ax, width: panel(own, total, words=words, ax=ax, width=width), own)
    assert any("7" in text and "29.0%" not in text for text in rule.said(shapes[328]))
    assert "29.0%" in rule.said(shapes[328])


def test_a_panel_without_any_rate_says_so(total: pd.DataFrame, rule: SimpleNamespace):
    few = rule.rates([20, 10, 5, 1], NAMES, "a")
    assert rule.said(rule.keeps(lambda ax, width: panel(few, total, ax=ax, width=width))[328]) == ["too few"]
    none = few[:0]
    assert rule.said(rule.keeps(lambda ax, width: panel(none, total, ax=ax, width=width))[328]) == ["No data to show"]


@pytest.mark.parametrize("groups", [1, 12, 14])
def test_small_multiples_of_any_number(groups: int, total: pd.DataFrame, words: Words, rule: SimpleNamespace):
    names = [f"s{place % 8 + 1}" if place < 8 else f"group {place}" for place in range(groups)]
    rates = pd.concat([rule.rates([900 + place, 400, 20 * place, 9], NAMES, name) for place, name in enumerate(names)])
    marks = pd.concat([compared(name, (2, 0.1, True), (3, -0.1, True)) for name in names])

    def draw(ax, width):
        return small_multiples(rates, total, marks, words, limit=0.6, ax=ax, width=width)

    if groups <= 12:
        rule.keeps(draw, rates, total, marks)
    ax = rule.draw_on(draw, 1052)
    assert len(ax.child_axes) == min(groups, 12)
    assert {child.get_xlim() for child in ax.child_axes} == {(0, 0.6)}
    more = [text.get_text() for text in ax.texts if text.get_text() == words.more(2)]
    assert len(more) == (groups > 12)


def test_small_multiples_say_which_groups_are_too_small(total: pd.DataFrame, rule: SimpleNamespace):
    rates = pd.concat([rule.rates([900, 400, 50, 9], NAMES, "big"), rule.rates([20, 10, 5, 1], NAMES, "small")])
    told = rule.said(rule.keeps(lambda ax, width: small_multiples(rates, total, ax=ax, width=width))[1052])
    assert "too few" in told
    assert "n = 20" in told
    assert len(rule.draw_on(lambda ax, width: small_multiples(rates, total, ax=ax, width=width), 700).child_axes) == 1
    empty = rates[:0]
    assert rule.said(rule.keeps(lambda ax, width: small_multiples(empty, total, ax=ax, width=width))[328]) == [
        "No data to show"
    ]


@pytest.fixture
def groups() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("s1", 0.02, 0.01, 0.03, 9_000, True, "below"),
            ("s2", nan, nan, nan, 24, False, "within"),
            ("s3", 0.06, 0.05, 0.07, 3_500, True, "above"),
            ("s5", 0.04, 0.02, 0.06, 700, False, "above"),
        ],
        columns=["group", "rate", "low", "high", "n", "clear", "direction"],
    )


def test_groups_are_ranked_with_marks_and_those_too_small_last(groups: pd.DataFrame, rule: SimpleNamespace):
    shapes = rule.keeps(lambda ax, width: ranked(groups, total=0.038, ax=ax, width=width), groups)
    told = rule.said(shapes[700])
    assert [text for text in told if text.startswith(("▲", "▼", "●"))] == ["▲ 6.0%", "● 4.0%", "▼ 2.0%"]
    assert [text for text in told if text in ("s1", "s2", "s3", "s5")] == ["s3", "s5", "s1", "s2"]
    assert "all 3.8%" in told
    assert "too few" in told
    assert "n = 24" in told


def test_ranked_rates_have_their_places(groups: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: ranked(groups, ax=ax, width=width), 700)
    dots = [line for line in ax.child_axes[0].lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == [0.06, 0.04, 0.02]
    assert ax.child_axes[0].get_xlim()[0] == 0
    assert not [text for text in ax.texts if text.get_text().startswith("all")]


@pytest.mark.parametrize("number", [1, 12])
def test_any_number_of_ranked_groups_with_long_titles(
    number: int, groups: pd.DataFrame, words: Words, rule: SimpleNamespace
):
    frame = pd.concat([groups] * 3, ignore_index=True).head(number)
    frame["group"] = [f"s{place % 8 + 1}" for place in range(number)]
    rule.keeps(lambda ax, width: ranked(frame, words, total=0.0799, ax=ax, width=width), frame)


@pytest.mark.parametrize("scale", [1e-6, 1 / 0.07])
def test_ranked_rates_of_any_size(scale: float, groups: pd.DataFrame, rule: SimpleNamespace):
    frame = groups.assign(rate=groups["rate"] * scale, low=groups["low"] * scale, high=groups["high"] * scale)
    rule.keeps(lambda ax, width: ranked(frame, total=0.038 * scale, ax=ax, width=width), frame)


def test_no_groups_or_only_small_ones(groups: pd.DataFrame, rule: SimpleNamespace):
    assert rule.said(rule.keeps(lambda ax, width: ranked(groups[:0], ax=ax, width=width))[328]) == ["No data to show"]
    few = groups[groups["rate"].isna()]
    assert "too few" in rule.said(rule.keeps(lambda ax, width: ranked(few, ax=ax, width=width))[328])


@pytest.fixture
def survey() -> pd.DataFrame:
    rows = [
        ("s1", "yes", 0.38),
        ("s1", "no", 0.22),
        ("s2", "yes", 0.27),
        ("s2", "no", 0.31),
        ("s3", "yes", 0.14),
        ("s3", "no", nan),
    ]
    frame = pd.DataFrame(rows, columns=["answer", "group", "rate"])
    return frame.assign(low=frame["rate"] - 0.04, high=frame["rate"] + 0.05)


def test_answers_of_two_groups_are_told_apart_by_shape(survey: pd.DataFrame, rule: SimpleNamespace):
    shapes = rule.keeps(lambda ax, width: answers(survey, ax=ax, width=width), survey)
    for shape in shapes.values():
        assert {"● yes", "◆ no", "● 38.0% (34.0–43.0%)", "◆ 22.0% (18.0–27.0%)", "◆ too few"} <= set(rule.said(shape))
    ax = rule.draw_on(lambda ax, width: answers(survey, ax=ax, width=width), 700)
    marks = [
        (line.get_marker(), float(line.get_xdata()[0])) for line in ax.child_axes[0].lines if line.get_marker() in "oD"
    ]
    assert marks == [("o", 0.38), ("D", 0.22), ("o", 0.27), ("D", 0.31), ("o", 0.14)]


def test_answers_with_long_titles(survey: pd.DataFrame, words: Words, rule: SimpleNamespace):
    named = words.titled({"yes": words.title("s4"), "no": words.title("s6")})
    rule.keeps(lambda ax, width: answers(survey, named, ax=ax, width=width), survey)


def test_answers_of_one_group_need_no_heading(survey: pd.DataFrame, rule: SimpleNamespace):
    one = survey[survey["group"] == "yes"]
    assert "● yes" not in rule.said(rule.keeps(lambda ax, width: answers(one, ax=ax, width=width), one)[700])


def test_answers_of_three_groups_are_refused_and_none_said(survey: pd.DataFrame, rule: SimpleNamespace):
    three = pd.concat([survey, survey[:1].assign(group="third")])
    with pytest.raises(ConfigError, match="two groups at most"):
        answers(three)
    unknown = survey.assign(rate=nan)
    assert rule.said(rule.keeps(lambda ax, width: answers(unknown, ax=ax, width=width))[328]) == ["too few"]
