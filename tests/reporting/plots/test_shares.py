from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import Words, shares


def credited(**rules: list[float]) -> pd.DataFrame:
    rows = [
        (model, f"s{place}", share, share * 0.8, share * 1.2)
        for model, given in rules.items()
        for place, share in enumerate(given, start=1)
    ]
    return pd.DataFrame(rows, columns=["model", "channel", "share", "low", "high"])


def test_channels_stand_by_their_largest_share_with_a_mark_for_each_rule(rule: SimpleNamespace):
    frame = credited(first=[0.2, 0.8], last=[0.6, 0.4], linear=[0.4, 0.6], markov=[0.5, 0.5])
    ax = rule.draw_on(lambda ax, width: shares(frame, ax=ax, width=width), 700)
    (plot,) = ax.child_axes
    marks = [(line.get_marker(), float(line.get_xdata()[0])) for line in plot.lines if line.get_marker() != "None"]
    assert marks[:4] == [("o", 0.6), ("s", 0.4), ("D", 0.5), (">", 0.8)]  # s2 first; the common ones below the others
    assert {mark for mark, _ in marks} == {"o", "s", "D", ">"}
    assert [text for text in (t.get_text() for t in ax.texts) if text in ("s1", "s2")] == ["s2", "s1"]


def test_the_extreme_rules_are_named(rule: SimpleNamespace):
    frame = credited(first=[0.2, 0.8], last=[0.6, 0.4])
    named = Words("en", {"first": "First touch", "last": "Last touch"})
    told = rule.said(rule.keeps(lambda ax, width: shares(frame, named, ax=ax, width=width), frame)[328])
    assert {"20.0–60.0%", "First touch … Last touch", "Last touch … First touch"} <= set(told)


@pytest.mark.parametrize("channels", [1, 8])
def test_any_number_of_channels_keeps_clear(channels: int, words: Words, rule: SimpleNamespace):
    given = [1 / channels] * channels
    frame = credited(first=given, last=given, linear=given, position=given, decay=given, markov=given, shapley=given)
    rule.keeps(lambda ax, width: shares(frame, words, ax=ax, width=width), frame)


def test_without_shares_it_says_so(rule: SimpleNamespace):
    few = credited(first=[nan])
    assert rule.said(rule.keeps(lambda ax, width: shares(few, ax=ax, width=width))[328]) == ["too few"]
    assert rule.said(rule.keeps(lambda ax, width: shares(few[:0], ax=ax, width=width))[328]) == ["No data to show"]
