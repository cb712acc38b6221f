from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import TOKENS, Words, bridge


def moved(parts: list[float], names: list[str], clear: list[bool]) -> pd.DataFrame:
    rows = [("before", "start", 0.06, nan, nan, False)]
    for name, part, sure in zip(names, parts, clear, strict=True):
        rows.append((name, "part", part, part - 0.004, part + 0.004, sure))
    rows += [("now", "end", 0.06 + sum(parts), nan, nan, False)]
    return pd.DataFrame(rows, columns=["label", "kind", "value", "low", "high", "clear"])


def test_each_part_begins_where_the_one_before_ended(rule: SimpleNamespace):
    frame = moved([0.01, -0.02], ["s1", "s5"], [True, True])
    ax = rule.draw_on(lambda ax, width: bridge(frame, ax=ax, width=width), 700)
    (plot,) = ax.child_axes
    bars = [sorted(set(patch.get_xy()[:, 0].round(9))) for patch in plot.patches]
    assert bars == [[0.06, 0.07], [0.05, 0.07]]
    dots = [float(line.get_xdata()[0]) for line in plot.lines if line.get_marker() == "o"]
    assert dots == pytest.approx([0.06, 0.05])


def test_what_is_not_clear_is_an_outline_in_grey(rule: SimpleNamespace):
    frame = moved([0.003], ["s1"], [False])
    ax = rule.draw_on(lambda ax, width: bridge(frame, ax=ax, width=width), 700)
    (plot,) = ax.child_axes
    assert not plot.patches
    assert TOKENS["grey"] in [line.get_color() for line in plot.lines]
    assert "● +0.3 pp" in rule.said(rule.keeps(lambda ax, width: bridge(frame, ax=ax, width=width), frame)[328])


@pytest.mark.parametrize("count", [1, 8])
def test_long_names_and_many_parts_keep_clear(count: int, words: Words, rule: SimpleNamespace):
    names, clear = [f"s{place + 1}" for place in range(count)], [place % 2 == 0 for place in range(count)]
    frame = moved([0.002] * count, names, clear)
    rule.keeps(lambda ax, width: bridge(frame, words, ax=ax, width=width), frame)


@pytest.mark.parametrize("rate", [0.0, 0.06, 1.0])
def test_where_nothing_moved_there_is_still_a_scale(rate: float, rule: SimpleNamespace):
    frame = moved([0.0, 0.0], ["s1", "s2"], [False, False])
    frame.loc[frame["kind"] != "part", "value"] = rate
    said = rule.said(rule.keeps(lambda ax, width: bridge(frame, ax=ax, width=width), frame)[700])
    assert not {"-1%", "101%"} & set(said)


def test_without_a_change_it_says_so(rule: SimpleNamespace):
    few = moved([nan], ["s1"], [False])
    assert rule.said(rule.keeps(lambda ax, width: bridge(few, ax=ax, width=width))[328]) == ["too few"]
    assert rule.said(rule.keeps(lambda ax, width: bridge(few[:0], ax=ax, width=width))[328]) == ["No data to show"]
