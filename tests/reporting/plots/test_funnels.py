from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots import Words, funnel

NAMES = [f"s{number}" for number in range(1, 9)]
TARGETS = {"s2": 0.25, "s3": 0.52, "s4": 0.42, "s5": 0.84}


@pytest.fixture
def rates(rule: SimpleNamespace) -> pd.DataFrame:
    # Of 1,000, 260 go on (26%), of them 120 (46.2%), of them 50 (41.7%), of them 20 (40%).
    return rule.rates([1000, 260, 120, 50, 20], NAMES[:5])


def test_bars_are_as_wide_as_the_shares_of_the_first_step(rates: pd.DataFrame, rule: SimpleNamespace):
    for width in (1052, 328):
        ax = rule.draw_on(lambda ax, width: funnel(rates, ax=ax, width=width), width)
        bars = ax.child_axes[0].patches
        assert [bar.get_width() for bar in bars] == pytest.approx([1, 0.26, 0.12, 0.05, 0.02])
        assert ax.child_axes[0].get_xlim() == (0, 1)


def test_ticks_stand_where_bars_would_end_at_target(rates: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: funnel(rates, targets={"s2": 0.25, "s3": 0.52}, ax=ax, width=width), 700)
    upright = [
        line.get_xdata()
        for line in ax.child_axes[0].lines
        if line.get_color() == "#1b1f24" and len(line.get_xdata()) == 2
    ]
    # 25% of 1,000; 52% of the 260 who were there.
    assert sorted({float(xs[0]) for xs in upright}) == pytest.approx([0.1352, 0.25])


def test_counts_rates_losses_and_verdicts_are_told(rates: pd.DataFrame, rule: SimpleNamespace):
    shapes = rule.keeps(lambda ax, width: funnel(rates, targets=TARGETS, ax=ax, width=width), rates)
    for width, shape in shapes.items():
        told = " | ".join(rule.said(shape))
        assert "↓ 740 (74.0%) left here" in told
        assert "26.0% of all" in told
        assert "● within noise" in told  # 26% ± 2 against 25%
        assert "▼ 5.8 pp below" in told  # 46.2% ± 2 against 52%
        assert "target 52%" in told
        assert ("26.0% of previous (24.0–28.0%)" in told) == (width == 328)
        assert "s5" in told


def test_gaps_are_drawn_around_the_target(rates: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: funnel(rates, targets={"s3": 0.52}, ax=ax, width=width), 1052)
    dots = [line for line in ax.child_axes[1].lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == pytest.approx([120 / 260 - 0.52])


def test_without_targets_the_shares_themselves_are_drawn(rates: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: funnel(rates, ax=ax, width=width), 1052)
    dots = [line for line in ax.child_axes[1].lines if line.get_marker() == "o"]
    assert ax.child_axes[1].get_xlim() == (0, 1)
    assert [float(line.get_xdata()[0]) for line in dots] == pytest.approx([0.26, 120 / 260, 50 / 120, 0.4])


def test_whiskers_are_drawn_only_where_they_can_be_seen(rule: SimpleNamespace):
    rates = rule.rates([1000, 500], NAMES[:2])
    narrow = rates.assign(low=rates["rate"] - 1e-3, high=rates["rate"] + 1e-3)
    for frame, seen in ((rates, True), (narrow, False)):
        ax = rule.draw_on(lambda ax, width, frame=frame: funnel(frame, ax=ax, width=width), 1052)
        assert bool(ax.child_axes[0].lines) == seen


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
@pytest.mark.parametrize("targets", [{}, {"s2": 0.9, "s3": 0.3, "s5": 0.65, "s7": 0.999}])
def test_any_number_of_steps_with_long_titles(
    steps: int, targets: dict[str, float], words: Words, rule: SimpleNamespace
):
    rates = rule.rates([50_000, 45_000, 33_000, 32_000, 16_000, 9_000, 8_990, 5][:steps], NAMES[:steps])
    rule.keeps(lambda ax, width: funnel(rates, words, targets=targets, ax=ax, width=width), rates)


@pytest.mark.parametrize(
    "counts",
    [
        [123_456_789, 98_765_432, 43_720_000, 9],
        [41_200, 41_199, 41_199, 41_199],
        [31, 1, 0, 0],
        [29, 20, 3, 1],
        [7, 7, 7, 7],
    ],
)
def test_huge_tiny_and_missing_numbers(counts: list[int], words: Words, rule: SimpleNamespace):
    rates = rule.rates(counts, NAMES[:4])
    rule.keeps(lambda ax, width: funnel(rates, words, targets=TARGETS, ax=ax, width=width), rates)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 2_000_000), min_size=2, max_size=6),
    st.lists(st.text(st.sampled_from("abcMW xyz漏斗分析，9%"), min_size=1, max_size=40), min_size=6, max_size=6),
    st.dictionaries(st.sampled_from(NAMES[1:6]), st.floats(0.01, 0.99)),
)
def test_no_label_ever_lies_over_another(
    rule: SimpleNamespace, counts: list[int], titles: list[str], targets: dict[str, float]
):
    rates = rule.rates(sorted(counts, reverse=True), NAMES[: len(counts)])
    words = Words(titles=dict(zip(NAMES, titles, strict=False)))
    rule.keeps(lambda ax, width: funnel(rates, words, targets=targets, ax=ax, width=width), rates)


def test_too_few_is_said_and_no_rate_drawn(rule: SimpleNamespace):
    rates = rule.rates([400, 29, 10], NAMES[:3])  # 29 units are too few for the third step's rate
    for shape in rule.keeps(lambda ax, width: funnel(rates, ax=ax, width=width), rates).values():
        assert "too few" in rule.said(shape)
    ax = rule.draw_on(lambda ax, width: funnel(rates, ax=ax, width=width), 1052)
    assert len([line for line in ax.child_axes[1].lines if line.get_marker() == "o"]) == 1


@pytest.mark.parametrize("counts", [[], [0, 0, 0]])
def test_nothing_is_said_in_words(counts: list[int], rule: SimpleNamespace):
    rates = rule.rates(counts, NAMES[: len(counts)])
    for shape in rule.keeps(lambda ax, width: funnel(rates, ax=ax, width=width), rates).values():
        assert rule.said(shape) == ["No data to show"]


def test_several_groups_are_refused(rule: SimpleNamespace):
    both = pd.concat([rule.rates([100, 50], ["a", "b"], "x"), rule.rates([100, 50], ["a", "b"], "y")])
    with pytest.raises(ConfigError, match="one group at a time"):
        funnel(both)


def test_a_notebook_shows_the_picture(rates: pd.DataFrame):
    ax = funnel(rates)
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)
