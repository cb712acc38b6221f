from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import TOKENS, Words, coverage

FIRST = date(2026, 4, 1)


def days(source: str, rows: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {"source": source, "day": [FIRST + timedelta(days=place) for place in range(len(rows))], "rows": rows}
    )


def test_days_without_data_are_marked_and_counted(rule: SimpleNamespace):
    # The second source has no row on the 2nd and 3rd (one is missing, one is zero) and starts on the 1st.
    second = days("b", [5, 9, 0, 7]).drop(index=1)
    frame = pd.concat([days("a", [10, 20, 30, 40]), second])
    shapes = rule.keeps(lambda ax, width: coverage(frame, ax=ax, width=width), frame)
    for shape in shapes.values():
        assert {"every day has data", "▼ days without data: 2 of 4", "up to 40 a day", "up to 7 a day"} <= set(
            rule.said(shape)
        )
    ax = rule.draw_on(lambda ax, width: coverage(frame, ax=ax, width=width), 1052)
    gaps = [line for line in ax.lines if line.get_color() == TOKENS["c2"]]
    assert len(gaps) == 1
    plot = ax.child_axes[1]
    assert plot.get_xlim() == (0, 4)
    left, right = gaps[0].get_xdata()
    assert right - left == pytest.approx(2 * (1052 - left) / 3, rel=0.01)  # days 1 and 2 of 4


def test_bars_are_as_high_as_the_rows_each_source_on_its_own_scale(rule: SimpleNamespace):
    frame = pd.concat([days("a", [1000, 2000, 4000]), days("b", [1, 2, 3])])
    ax = rule.draw_on(lambda ax, width: coverage(frame, ax=ax, width=width), 1052)
    for plot, rows in zip(ax.child_axes, ([1000, 2000, 4000], [1, 2, 3]), strict=True):
        corners = plot.patches[0].get_xy()
        assert [corners[1 + 2 * place][1] for place in range(3)] == rows
        assert plot.get_ylim() == (0, max(rows))


def test_many_days_become_the_means_of_several(rule: SimpleNamespace):
    frame = pd.concat([days(name, [100 + day % 7 for day in range(800)]) for name in ("a", "b", "c", "d", "e", "f")])
    rule.keeps(lambda ax, width: coverage(frame, ax=ax, width=width), frame)
    ax = rule.draw_on(lambda ax, width: coverage(frame, ax=ax, width=width), 328)
    # 328 pixels hold bars of three pixels for eight days each.
    assert len(ax.child_axes[0].patches[0].get_xy()) <= 2 * 109 + 3


def test_long_titles(words: Words, rule: SimpleNamespace):
    frame = pd.concat([days(name, [3, 0, 12_345_678]) for name in ("s1", "s2", "s3", "s5")])
    rule.keeps(lambda ax, width: coverage(frame, words, ax=ax, width=width), frame)


def test_one_day_several_exports_of_a_day_and_none(rule: SimpleNamespace):
    one = days("a", [7])
    rule.keeps(lambda ax, width: coverage(one, ax=ax, width=width), one)
    twice = pd.concat([one, one])
    assert "up to 14 a day" in rule.said(rule.keeps(lambda ax, width: coverage(twice, ax=ax, width=width))[700])
    assert rule.said(rule.keeps(lambda ax, width: coverage(one[:0], ax=ax, width=width))[328]) == ["No data to show"]
    undated = one.assign(day=pd.NaT)
    assert rule.said(rule.keeps(lambda ax, width: coverage(undated, ax=ax, width=width))[328]) == ["No data to show"]
