from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import Words, control


def watched(days: int = 40) -> pd.DataFrame:
    """Days at 30 % with limits of 20 and 40 %; one beyond them, one by the moving average only."""
    frame = pd.DataFrame({
        "day": pd.date_range("2026-05-01", periods=days, unit="us"), "denominator": 100, "rate": 0.30,
        "expected": 0.30, "low": 0.20, "high": 0.40, "outside": False, "drifting": False,
    })  # fmt: skip
    frame.loc[days - 4, ["rate", "outside"]] = [0.15, True]
    frame.loc[days - 2, ["rate", "drifting"]] = [0.22, True]
    return frame


def test_days_that_rang_stand_out(rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: control(watched(), ax=ax, width=width), 700)
    marks = [line for line in ax.child_axes[0].lines if line.get_marker() == "o"]
    assert sorted(len(line.get_ydata()) for line in marks) == [1, 1, 38]
    assert {round(float(line.get_ydata()[0]), 2) for line in marks} == {0.15, 0.22, 0.30}


def test_a_line_marks_the_first_day_that_is_judged(rule: SimpleNamespace):
    shown = watched().assign(learnt=[True] * 30 + [False] * 10)
    plain, marked = (
        rule.draw_on(lambda ax, width, days=days: control(days, ax=ax, width=width), 700) for days in (watched(), shown)
    )
    assert len(marked.lines) == len(plain.lines) + 1


@pytest.mark.parametrize("days", [29, 182])
def test_short_and_long_series(days: int, words: Words, rule: SimpleNamespace):
    shown = watched(days)
    rule.keeps(lambda ax, width: control(shown, words, ax=ax, width=width), shown)


def test_nothing_is_said_in_words(rule: SimpleNamespace):
    assert rule.said(rule.keeps(lambda ax, width: control(watched()[:0], ax=ax, width=width))[328]) == [
        "No data to show"
    ]
    nobody = watched().assign(denominator=0)
    assert rule.said(rule.keeps(lambda ax, width: control(nobody, ax=ax, width=width))[328]) == ["too few"]
