from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import Words, bullets

COLUMNS = ["label", "rate", "low", "high", "bar", "bar_high", "light", "note"]


@pytest.fixture
def held() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("s1", 0.36, 0.35, 0.37, 0.35, nan, "near", "target"),
            ("s2", 0.46, 0.44, 0.48, 0.50, nan, "below", "target"),
            ("s3", 0.55, 0.52, 0.58, 0.40, 0.50, "above", "median of the past"),
            ("s4", 0.80, 0.75, 0.84, nan, nan, "grey", "no bar"),
            ("s6", nan, nan, nan, 0.5, nan, "grey", "target"),
        ],
        columns=COLUMNS,
    )


def test_the_sign_tells_the_side_of_the_bar(held: pd.DataFrame, rule: SimpleNamespace):
    told = rule.said(rule.keeps(lambda ax, width: bullets(held, ax=ax, width=width), held)[700])
    assert {"● 36.0%", "▼ 46.0%", "▲ 55.0%", "○ 80.0%", "too few"} <= set(told)


def test_bars_begin_at_zero_and_the_tick_stands_at_the_bar(held: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: bullets(held, ax=ax, width=width), 700)
    (plot,) = ax.child_axes
    spans = [(patch.get_xy()[:, 0].min(), patch.get_xy()[:, 0].max()) for patch in plot.patches]
    assert spans == [(0, 0.36), (0, 0.46), (0.40, 0.50), (0, 0.55), (0, 0.80)]  # the third is the range
    ticks = [line.get_xdata()[0] for line in plot.lines if line.get_linewidth() == 4]
    assert ticks == [0.35, 0.50, 0.40, 0.5]


def test_long_names_keep_clear(held: pd.DataFrame, words: Words, rule: SimpleNamespace):
    rule.keeps(lambda ax, width: bullets(held, words, ax=ax, width=width), held)


def test_without_a_rate_it_says_so(held: pd.DataFrame, rule: SimpleNamespace):
    assert rule.said(rule.keeps(lambda ax, width: bullets(held[4:], ax=ax, width=width))[328]) == ["too few"]
    assert rule.said(rule.keeps(lambda ax, width: bullets(held[:0], ax=ax, width=width))[328]) == ["No data to show"]
