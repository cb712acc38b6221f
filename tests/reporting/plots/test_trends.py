from __future__ import annotations

from datetime import date, timedelta
from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots import TOKENS, Words, trend

MONDAY = date(2026, 4, 6)


def weeks(rates: list[float], group: str = "all", final: int | None = None) -> pd.DataFrame:
    """Return weekly rates ±2 points, the first `final` of them final."""
    rows = [
        (
            group,
            MONDAY + timedelta(weeks=place),
            rate,
            max(rate - 0.02, 0),
            min(rate + 0.02, 1),
            final is None or place < final,
        )
        for place, rate in enumerate(rates)
    ]
    frame = pd.DataFrame(rows, columns=["group", "start", "rate", "low", "high", "final"])
    return frame.assign(low=frame["low"].where(frame["rate"].notna()), high=frame["high"].where(frame["rate"].notna()))


def flag(week: int, difference: float, group: str = "all", clear: bool = True) -> pd.DataFrame:
    row = {"group": group, "start": MONDAY + timedelta(weeks=week), "difference": difference, "clear": clear}
    return pd.DataFrame([row])


def marks(ax, shape: str) -> list[tuple[float, bool]]:
    """Return (rate, open) of the points of a shape."""
    found = [line for line in ax.child_axes[0].lines if line.get_marker() == shape]
    return [(float(y), line.get_markerfacecolor() == TOKENS["bg"]) for line in found for y in line.get_ydata()]


def test_points_that_are_not_final_are_open_and_dashed(rule: SimpleNamespace):
    frame = weeks([0.26, 0.27, 0.25, 0.24], final=2)
    ax = rule.draw_on(lambda ax, width: trend(frame, ax=ax, width=width), 700)
    assert marks(ax, "o") == [(0.26, False), (0.27, False), (0.25, True), (0.24, True)]
    dashed = next(line for line in ax.child_axes[0].lines if line.is_dashed())
    # From the last final point on.
    assert [None if value != value else float(value) for value in dashed.get_ydata()] == [None, 0.27, 0.25, 0.24]
    assert "○ not final" in " ".join(
        rule.said(rule.keeps(lambda ax, width: trend(frame, ax=ax, width=width), frame)[700])
    )


def test_intervals_are_whiskers_or_where_crowded_a_band(rule: SimpleNamespace):
    frame = weeks([0.26] * 60)
    wide = rule.draw_on(lambda ax, width: trend(frame, ax=ax, width=width), 1052)
    narrow = rule.draw_on(lambda ax, width: trend(frame, ax=ax, width=width), 328)
    assert not wide.child_axes[0].patches
    assert wide.child_axes[0].lines[0].get_ydata()[:2] == pytest.approx([0.24, 0.28])
    band = narrow.child_axes[0].patches[0]
    assert band.get_alpha() == 0.15
    assert sorted(set(band.get_xy()[:, 1].round(6))) == pytest.approx([0.24, 0.28])
    rule.keeps(lambda ax, width: trend(frame, ax=ax, width=width), frame)


def test_the_scale_says_where_it_starts_if_not_at_zero(rule: SimpleNamespace):
    high, low = weeks([0.26, 0.27, 0.25]), weeks([0.06, 0.01, 0.05])
    assert "Scale starts at 22%" in rule.said(rule.keeps(lambda ax, width: trend(high, ax=ax, width=width))[700])
    ax = rule.draw_on(lambda ax, width: trend(low, ax=ax, width=width), 700)
    assert ax.child_axes[0].get_ylim()[0] == 0
    assert not [text for text in ax.texts if "starts" in text.get_text()]


def test_too_few_interrupts_the_line_and_is_marked(rule: SimpleNamespace):
    frame = weeks([0.26, nan, 0.25])
    told = rule.said(rule.keeps(lambda ax, width: trend(frame, ax=ax, width=width), frame)[328])
    assert "× too few" in " ".join(told)
    ax = rule.draw_on(lambda ax, width: trend(frame, ax=ax, width=width), 700)
    assert len(marks(ax, "x")) == 1
    assert [rate for rate, _ in marks(ax, "o")] == [0.26, 0.25]


def test_unusual_weeks_get_a_mark_and_a_label(rule: SimpleNamespace):
    frame = weeks([0.26, 0.27, 0.19, 0.26, 0.33, 0.26])
    found = pd.concat([flag(2, -0.07), flag(4, 0.06), flag(5, -0.01, clear=False), flag(3, -0.1, group="other")])
    for shape in rule.keeps(lambda ax, width: trend(frame, flagged=found, ax=ax, width=width), frame, found).values():
        told = rule.said(shape)
        assert [text for text in told if text[0] in "▲▼"] == ["▼ 20 Apr 19.0%", "▲ 4 May 33.0%"]
    ax = rule.draw_on(lambda ax, width: trend(frame, flagged=found, ax=ax, width=width), 700)
    assert (marks(ax, "v"), marks(ax, "^")) == ([(0.19, False)], [(0.33, False)])


def test_among_several_series_a_mark_has_the_colour_of_its_own(rule: SimpleNamespace):
    frame = pd.concat([weeks([0.26, 0.1, 0.26], "a"), weeks([0.5, 0.6, 0.5], "b")])
    found = pd.concat([flag(1, -0.16, "a"), flag(1, 0.1, "b")])
    ax = rule.draw_on(lambda ax, width: trend(frame, flagged=found, ax=ax, width=width), 700)
    colors = {line.get_marker(): line.get_markerfacecolor() for line in ax.child_axes[0].lines}
    assert (colors["v"], colors["^"]) == (TOKENS["c1"], TOKENS["c2"])


def test_only_the_first_unusual_weeks_are_named(rule: SimpleNamespace):
    frame = weeks([0.26, 0.1, 0.26, 0.1, 0.26, 0.1, 0.26, 0.1, 0.26])
    found = pd.concat([flag(week, -0.16) for week in (1, 3, 5, 7)])
    ax = rule.draw_on(lambda ax, width: trend(frame, flagged=found, ax=ax, width=width), 1052)
    assert len(marks(ax, "v")) == 4
    assert [text.get_text()[:8] for text in ax.texts if text.get_text()[0] == "▼"] == [
        "▼ 13 Apr",
        "▼ 27 Apr",
        "▼ 11 May",
    ]


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("base", [0.0004, 0.26, 0.97])
def test_groups_have_their_names_at_the_ends_of_their_lines(
    groups: int, base: float, words: Words, rule: SimpleNamespace
):
    names = ["s1", "s2", "s3", "s5"][:groups]
    frame = pd.concat(
        [
            weeks([base, base * 1.01, nan, base, base * (1 + place / 100)], name, final=4)
            for place, name in enumerate(names)
        ]
    )
    found = pd.concat([flag(4, -0.1, name) for name in names])
    rule.keeps(lambda ax, width: trend(frame, words, flagged=found, ax=ax, width=width), frame, found)


def test_series_are_told_apart_by_shape_and_name(rule: SimpleNamespace):
    frame = pd.concat([weeks([0.1, 0.2], name) for name in "abcd"])
    shape = rule.keeps(lambda ax, width: trend(frame, ax=ax, width=width), frame)[700]
    assert {"a", "b", "c", "d"} <= set(rule.said(shape))
    ax = rule.draw_on(lambda ax, width: trend(frame, ax=ax, width=width), 700)
    shapes = [line.get_marker() for line in ax.child_axes[0].lines if line.get_marker() not in ("None", None, "")]
    assert sorted(set(shapes)) == ["D", "P", "o", "s"]


def test_one_week_is_enough_and_five_groups_are_too_many(rule: SimpleNamespace):
    one = weeks([0.26])
    rule.keeps(lambda ax, width: trend(one, ax=ax, width=width), one)
    with pytest.raises(ConfigError, match="told apart"):
        trend(pd.concat([weeks([0.1], name) for name in "abcde"]))


def test_no_rate_is_said_in_words(rule: SimpleNamespace):
    few = weeks([nan, nan])
    assert rule.said(rule.keeps(lambda ax, width: trend(few, ax=ax, width=width))[328]) == ["too few"]
    assert rule.said(rule.keeps(lambda ax, width: trend(few[:0], ax=ax, width=width))[328]) == ["No data to show"]


def test_a_group_without_any_rate_is_named(rule: SimpleNamespace):
    frame = pd.concat([weeks([0.2, 0.3], "a"), weeks([nan, nan], "b")])
    told = rule.said(rule.keeps(lambda ax, width: trend(frame, ax=ax, width=width), frame)[328])
    assert "b" in told
    assert "too few" in told


def test_times_of_any_kind_are_days(rule: SimpleNamespace):
    frame = weeks([0.26, 0.27, 0.25])
    stamps = frame.assign(start=pd.to_datetime(frame["start"]))
    shapes = [rule.keeps(lambda ax, width, one=one: trend(one, ax=ax, width=width))[700] for one in (frame, stamps)]
    assert shapes[0] == shapes[1]
