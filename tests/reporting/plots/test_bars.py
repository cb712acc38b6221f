from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import TOKENS, Words, histogram


def spread(shares: list[float], wide: float = 1.0) -> pd.DataFrame:
    edges = [place * wide for place in range(len(shares) + 1)]
    return pd.DataFrame({"from_days": edges[:-1], "to_days": edges[1:], "share": shares})


def test_each_bin_is_a_bar_from_zero_to_its_share(rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: histogram(spread([0.02, 0.01]), ax=ax, width=width), 700)
    (plot,) = ax.child_axes
    heights = [patch.get_xy()[:, 1].max() for patch in plot.patches]
    lefts = [patch.get_xy()[:, 0].min() for patch in plot.patches]
    assert heights == [0.02, 0.01]
    assert all(patch.get_xy()[:, 1].min() == 0 for patch in plot.patches)
    assert 0 < lefts[0] < 0.01  # half a pixel of gap
    assert 1 < lefts[1] < 1.01
    assert plot.get_xlim() == (0, 2)
    assert plot.patches[0].get_facecolor()[:3] == pytest.approx(tuple(
        int(TOKENS["c1"][place : place + 2], 16) / 255 for place in (1, 3, 5)))  # fmt: skip


@pytest.mark.parametrize("wide", [1 / 24, 1.0, 7.0])
@pytest.mark.parametrize("bins", [1, 21])
def test_any_number_and_width_of_bins(wide: float, bins: int, words: Words, rule: SimpleNamespace):
    frame = spread([0.03 / (place + 1) for place in range(bins)], wide)
    rule.keeps(lambda ax, width: histogram(frame, words, ax=ax, width=width), frame)


def test_unknown_bins_stay_empty_and_nothing_is_said_in_words(rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: histogram(spread([0.02, nan]), ax=ax, width=width), 700)
    assert len(ax.child_axes[0].patches) == 1
    few = spread([nan, nan])
    assert rule.said(rule.keeps(lambda ax, width: histogram(few, ax=ax, width=width))[328]) == ["too few"]
    assert rule.said(rule.keeps(lambda ax, width: histogram(few[:0], ax=ax, width=width))[328]) == ["No data to show"]


@pytest.mark.parametrize(
    ("wide", "named"),
    [
        (7.0, "Days since the first step"),
        (1 / 4, "Hours since the first step"),
        (1 / 288, "Minutes since the first step"),
    ],
)
def test_short_times_have_an_axis_of_their_own_unit(wide: float, named: str, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: histogram(spread([0.02, 0.01, 0.01], wide), ax=ax, width=width), 700)
    texts = [text.get_text() for text in ax.texts]
    assert named in texts
    assert sum(text.isdigit() for text in texts) >= 3  # numbers below the axis
