from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import Words, levels


def series(days: int = 28, cut: int = 14) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return daily counts and the two levels that they have: 30 of 100, then 45 of 100."""
    span = pd.date_range("2026-05-01", periods=days, unit="us")
    passed = [30 if place < cut else 45 for place in range(days)]
    daily = pd.DataFrame({"day": span, "numerator": passed, "denominator": 100})
    found = pd.DataFrame({
        "start": [span[0], span[cut]], "end": [span[cut - 1], span[-1]], "rate": [0.30, 0.45], "low": [0.28, 0.43],
        "high": [0.32, 0.47],
    })  # fmt: skip
    return daily, found


def test_days_are_points_and_levels_are_lines(rule: SimpleNamespace):
    daily, found = series()
    ax = rule.draw_on(lambda ax, width: levels(daily, found, ax=ax, width=width), 700)
    plot = ax.child_axes[0]
    points = next(line for line in plot.lines if line.get_marker() == "o")
    assert list(points.get_ydata()) == [0.30] * 14 + [0.45] * 14
    thick = [list(line.get_ydata()) for line in plot.lines if line.get_linewidth() == 2.5]
    assert thick == [[0.30, 0.30], [0.45, 0.45]]
    assert plot.get_ylim()[0] == 0


def test_days_of_the_calendar_are_numbered_and_kept_apart(words: Words, rule: SimpleNamespace):
    daily, found = series()
    dates = pd.to_datetime(["2026-05-01", "2026-05-02", "2026-05-15", "2026-07-01"]).as_unit("us")
    days = pd.DataFrame({"date": dates, "number": [1, 2, 3, 4]})
    drawn = rule.keeps(lambda ax, width: levels(daily, found, words, days=days, ax=ax, width=width), daily, days)
    for shape in drawn.values():
        told = rule.said(shape)
        assert {"1", "2", "3"} <= set(told)
        assert "4" not in told  # outside the picture


@pytest.mark.parametrize("days", [14, 182])
def test_short_and_long_series(days: int, words: Words, rule: SimpleNamespace):
    daily, found = series(days, 7)
    rule.keeps(lambda ax, width: levels(daily, found, words, ax=ax, width=width), daily, found)


def test_days_without_people_have_no_point_and_nothing_is_said_in_words(rule: SimpleNamespace):
    daily, found = series()
    daily.loc[3, ["numerator", "denominator"]] = 0
    ax = rule.draw_on(lambda ax, width: levels(daily, found, ax=ax, width=width), 700)
    assert len(next(line for line in ax.child_axes[0].lines if line.get_marker() == "o").get_ydata()) == 27
    said = rule.said(rule.keeps(lambda ax, width: levels(daily, found[:0], ax=ax, width=width))[328])
    assert said == ["too few"]
    nothing = rule.keeps(lambda ax, width: levels(daily[:0], found[:0], ax=ax, width=width))
    assert rule.said(nothing[328]) == ["No data to show"]
