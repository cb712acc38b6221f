from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots import TOKENS, Words, curve


def reached(rates: list[float], group: str = "all") -> pd.DataFrame:
    frame = pd.DataFrame({"group": group, "day": range(len(rates)), "rate": rates})
    return frame.assign(low=frame["rate"] * 0.9, high=frame["rate"] * 1.1)


def test_curves_are_steps_with_bands(rule: SimpleNamespace):
    frame = pd.concat([reached([0, 0.1, 0.2], "a"), reached([0, 0.05, 0.08], "b")])
    ax = rule.draw_on(lambda ax, width: curve(frame, ax=ax, width=width), 700)
    plot = ax.child_axes[0]
    lines = [line for line in plot.lines if line.get_drawstyle() == "steps-post"]
    assert [list(line.get_ydata()) for line in lines] == [[0, 0.1, 0.2], [0, 0.05, 0.08]]
    assert [line.get_color() for line in lines] == [TOKENS["c1"], TOKENS["c2"]]
    assert [line.is_dashed() for line in lines] == [False, True]
    corners = [tuple(corner) for corner in plot.patches[0].get_xy().round(6).tolist()]
    # Each step holds its value until the next day: 0 to day 1, 0.09 to day 2.
    assert corners[:5] == [(0, 0), (1, 0), (1, 0.09), (2, 0.09), (2, 0.18)]
    assert plot.patches[0].get_alpha() == 0.15
    assert plot.get_ylim()[0] == 0
    assert plot.get_xlim() == (0, 2)


def test_ends_are_named_with_rate_and_interval(rule: SimpleNamespace):
    frame = pd.concat([reached([0, 0.1, 0.2], "a"), reached([0, 0.05, 0.08], "b")])
    for shape in rule.keeps(lambda ax, width: curve(frame, ax=ax, width=width), frame).values():
        assert {"a", "20.0%", "18.0–22.0%", "b", "8.0%", "7.2–8.8%", "Days since the first step"} <= set(
            rule.said(shape)
        )


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("last", [0.0003, 0.9])
def test_close_ends_and_long_names_keep_clear(groups: int, last: float, words: Words, rule: SimpleNamespace):
    names = ["s1", "s2", "s3", "s5"][:groups]
    frame = pd.concat([reached([0, last / 2, last * (1 + place / 1000)], name) for place, name in enumerate(names)])
    rule.keeps(lambda ax, width: curve(frame, words, ax=ax, width=width), frame)


@pytest.mark.parametrize("days", [1, 121])
def test_any_number_of_days(days: int, rule: SimpleNamespace):
    frame = reached([0.3 * (day + 1) / days for day in range(days)])
    rule.keeps(lambda ax, width: curve(frame, ax=ax, width=width), frame)


def test_groups_without_rates_are_left_out_and_none_said(rule: SimpleNamespace):
    frame = pd.concat([reached([0, 0.1], "a"), reached([nan, nan], "b")])
    told = rule.said(rule.keeps(lambda ax, width: curve(frame, ax=ax, width=width), frame)[700])
    assert "10.0%" in told
    assert "b" not in told
    few = reached([nan, nan])
    assert rule.said(rule.keeps(lambda ax, width: curve(few, ax=ax, width=width))[328]) == ["too few"]
    assert rule.said(rule.keeps(lambda ax, width: curve(few[:0], ax=ax, width=width))[328]) == ["No data to show"]


def test_five_groups_are_refused():
    with pytest.raises(ConfigError, match="told apart"):
        curve(pd.concat([reached([0, 0.1], name) for name in "abcde"]))
