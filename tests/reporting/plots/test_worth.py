from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import TOKENS, Words, balance, margins
from funnel_lib.reporting.wording import Money


def yuan(amount: float) -> str:
    return Money(amount, "CNY").format("en")


def curve(*values: float) -> pd.DataFrame:
    frame = pd.DataFrame({"day": [30 * place for place in range(len(values))], "margin": values})
    return frame.assign(low=frame["margin"] * 0.9, high=frame["margin"] * 1.1)


def groups(*rows: tuple[str, float, str, float, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["group", "rate", "rate_side", "value", "value_side"])
    return frame.assign(
        low=frame["rate"] * 0.8, high=frame["rate"] * 1.2, value_low=frame["value"] * 0.8,
        value_high=frame["value"] * 1.2,
    )  # fmt: skip


def test_the_margin_is_a_line_with_a_band_and_the_cost_a_dashed_one(rule: SimpleNamespace):
    frame = curve(100, 150, 180)
    ax = rule.draw_on(
        lambda ax, width: margins(frame, spell=yuan, cost=120, cost_title="cost", ax=ax, width=width), 700
    )
    plot = ax.child_axes[0]
    lines = {line.get_color(): list(line.get_ydata()) for line in plot.lines if len(line.get_ydata()) in (2, 3)}
    assert lines[TOKENS["c2"]] == [120, 120]
    assert [100, 150, 180] in [list(line.get_ydata()) for line in plot.lines]
    assert plot.get_ylim()[0] == 0
    assert plot.get_xlim() == (0, 60)
    told = rule.said(
        rule.keeps(
            lambda ax, width: margins(frame, spell=yuan, cost=120, cost_title="cost", ax=ax, width=width), frame
        )[700]
    )
    assert {"¥180", "cost", "¥120", "Days since the first order"} <= set(told)


@pytest.mark.parametrize("values", [(5.0,), (0.0, 0.0), (1e6, 2e6), (100.0, 100.5)])
@pytest.mark.parametrize("cost", [nan, 100.2, 5e6])
def test_any_size_keeps_the_rules(values: tuple[float, ...], cost: float, words: Words, rule: SimpleNamespace):
    frame = curve(*values)
    rule.keeps(
        lambda ax, width: margins(frame, words, spell=yuan, cost=cost, cost_title="获客成本", ax=ax, width=width), frame
    )


def test_an_unknown_margin_is_said(rule: SimpleNamespace):
    frame = curve(nan)
    assert rule.said(rule.keeps(lambda ax, width: margins(frame, spell=yuan, ax=ax, width=width))[328]) == ["too few"]


def test_rate_and_value_of_a_group_stand_on_one_line(rule: SimpleNamespace):
    frame = groups(("a", 0.1, "above", 20, "below"), ("b", 0.05, "within", 90, "above"))
    ax = rule.draw_on(lambda ax, width: balance(frame, spell=yuan, headings=("Rate", "Value"), ax=ax, width=width), 700)
    left, right = ax.child_axes
    middles = [[line.get_ydata()[0] for line in half.lines if line.get_marker() == "o"] for half in (left, right)]
    assert middles[0] == middles[1]
    colors = [[line.get_markerfacecolor() for line in half.lines if line.get_marker() == "o"] for half in (left, right)]
    assert colors == [[TOKENS["c3"], TOKENS["grey"]], [TOKENS["c2"], TOKENS["c3"]]]
    told = rule.said(
        rule.keeps(lambda ax, width: balance(frame, spell=yuan, headings=("Rate", "Value"), ax=ax, width=width))[700]
    )
    assert {"a", "b", "▲ 10.0%", "● 5.0%", "▼ ¥20.00", "▲ ¥90.00", "Rate", "Value"} <= set(told)


def test_long_names_and_missing_numbers_keep_the_rules(words: Words, rule: SimpleNamespace):
    rows = [(f"s{place}", 0.02 * place, "within", 1e5 * place, "within") for place in range(1, 8)]
    frame = groups(*rows, ("s8", nan, "within", nan, "within"))
    headings = ("Share that reaches Payment", "Margin of those who do")
    shapes = rule.keeps(
        lambda ax, width: balance(frame, words, spell=yuan, headings=headings, ax=ax, width=width), frame
    )
    assert words.too_few() in rule.said(shapes[700])


def test_nothing_to_draw_is_said(rule: SimpleNamespace):
    frame = groups(("a", nan, "within", nan, "within"))
    draw = lambda ax, width: balance(frame, spell=yuan, headings=("a", "b"), ax=ax, width=width)  # noqa: E731
    assert rule.said(rule.keeps(draw)[700]) == ["too few"]
    empty = lambda ax, width: balance(frame[:0], spell=yuan, headings=("a", "b"), ax=ax, width=width)  # noqa: E731
    assert rule.said(rule.keeps(empty)[700]) == ["No data to show"]
