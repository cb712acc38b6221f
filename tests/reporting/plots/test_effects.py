from __future__ import annotations

from math import nan
from types import SimpleNamespace

import pandas as pd
import pytest

from funnel_lib.reporting.plots import TOKENS, Words, differences, mix


@pytest.fixture
def effects() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("s1", 0.031, 0.016, 0.046, True, "trial"),
            ("s2", 0.014, -0.001, 0.028, False, "policy"),
            ("s3", -0.021, -0.032, -0.011, True, "release"),
            ("s4", nan, nan, nan, False, None),
        ],
        columns=["label", "estimate", "low", "high", "clear", "kind"],
    )


def test_effects_are_told_with_sign_size_interval_and_kind(effects: pd.DataFrame, rule: SimpleNamespace):
    words = Words(titles={"trial": "randomised trial"})
    for shape in rule.keeps(lambda ax, width: differences(effects, words, ax=ax, width=width), effects).values():
        told = rule.said(shape)
        assert {"▲ +3.1 pp", "● +1.4 pp", "▼ −2.1 pp", "randomised trial", "too few"} <= set(told)
        assert "(−0.1 to +2.8)" in told


def test_noise_is_grey_and_dashed(effects: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: differences(effects, ax=ax, width=width), 700)
    lines = ax.child_axes[0].lines
    dots = [line for line in lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == [0.031, 0.014, -0.021]
    assert [line.get_markerfacecolor() for line in dots] == [TOKENS["c3"], TOKENS["grey"], TOKENS["c2"]]
    dashed = [line for line in lines if line.is_dashed()]
    assert [(line.get_color(), list(line.get_xdata())) for line in dashed] == [(TOKENS["grey"], [-0.001, 0.028])]
    low, high = ax.child_axes[0].get_xlim()
    assert low <= -0.032
    assert high >= 0.046


@pytest.mark.parametrize(
    ("better", "colors"), [("higher", ["c3", "c2"]), ("lower", ["c2", "c3"]), ("neither", ["c1", "c1"])]
)
def test_the_colour_says_whether_it_is_good(
    better: str, colors: list[str], effects: pd.DataFrame, rule: SimpleNamespace
):
    clear = effects[effects["clear"]]
    ax = rule.draw_on(lambda ax, width: differences(clear, better=better, ax=ax, width=width), 700)
    dots = [line for line in ax.child_axes[0].lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() for line in dots] == [TOKENS[color] for color in colors]
    assert [text.get_text()[0] for text in ax.texts if text.get_text()[0] in "▲▼●"] == ["▲", "▼"]


def test_money_is_written_as_asked(effects: pd.DataFrame, rule: SimpleNamespace):
    money = effects.assign(**{name: effects[name] * 1e6 for name in ("estimate", "low", "high")})

    def spell(value: float) -> str:
        return f"{'−' if value < 0 else '+'}¥{abs(value):,.0f}"

    shapes = rule.keeps(lambda ax, width: differences(money, spell=spell, ax=ax, width=width), money)
    assert {"▲ +¥31,000", "(+¥16,000 to +¥46,000)"} <= set(rule.said(shapes[700]))


@pytest.mark.parametrize("scale", [1e-4, 20])
def test_effects_of_any_size_with_long_titles(scale: float, effects: pd.DataFrame, words: Words, rule: SimpleNamespace):
    frame = effects.assign(**{name: effects[name] * scale for name in ("estimate", "low", "high")}, kind="s5")
    rule.keeps(lambda ax, width: differences(frame, words, ax=ax, width=width), frame)


def test_no_effect_and_none_that_is_known(effects: pd.DataFrame, rule: SimpleNamespace):
    assert rule.said(rule.keeps(lambda ax, width: differences(effects[:0], ax=ax, width=width))[328]) == [
        "No data to show"
    ]
    unknown = effects[3:].drop(columns="kind")
    assert "too few" in rule.said(rule.keeps(lambda ax, width: differences(unknown, ax=ax, width=width))[328])


@pytest.fixture
def shares() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("s1", 0.33, 0.30, -0.03, -0.038, -0.022, True),
            ("s2", 0.24, 0.28, 0.04, 0.031, 0.049, True),
            ("s5", 0.43, 0.42, -0.01, -0.02, 0.001, False),
            ("s7", 0.0, 0.0, 0.0, nan, nan, False),
        ],
        columns=["group", "share_before", "share_now", "difference", "low", "high", "clear"],
    )


def test_shares_before_are_open_and_now_full(shares: pd.DataFrame, rule: SimpleNamespace):
    ax = rule.draw_on(lambda ax, width: mix(shares, ax=ax, width=width), 700)
    dots = [line for line in ax.child_axes[0].lines if line.get_marker() == "o"]
    opened = [line.get_markerfacecolor() == TOKENS["bg"] for line in dots]
    assert opened == [True, False] * 4
    assert [float(line.get_xdata()[0]) for line in dots] == [0.33, 0.30, 0.24, 0.28, 0.43, 0.42, 0, 0]
    # The whisker at now is the interval of the difference: 0.33 - 0.038 to 0.33 - 0.022.
    whisker = next(line for line in ax.child_axes[0].lines if len(line.get_xdata()) == 8)
    assert list(whisker.get_xdata())[:2] == pytest.approx([0.292, 0.308])


def test_shifts_are_told_without_good_or_bad(shares: pd.DataFrame, rule: SimpleNamespace):
    shapes = rule.keeps(lambda ax, width: mix(shares, ax=ax, width=width), shares)
    for shape in shapes.values():
        assert {"33.0% → 30.0%", "▼ −3.0 pp (−3.8 to −2.2)", "● 0.0 pp"} <= set(rule.said(shape))
        assert "var(--good)" not in shape
        assert "var(--bad)" not in shape


@pytest.mark.parametrize("number", [1, 12])
def test_any_number_of_shares_with_long_titles(number: int, shares: pd.DataFrame, words: Words, rule: SimpleNamespace):
    frame = pd.concat([shares] * 3, ignore_index=True).head(number)
    frame["group"] = [f"s{place % 8 + 1}" for place in range(number)]
    rule.keeps(lambda ax, width: mix(frame, words, ax=ax, width=width), frame)


def test_shares_of_one_group_only_and_of_none(shares: pd.DataFrame, rule: SimpleNamespace):
    whole = shares[:1].assign(share_before=1.0, share_now=1.0, difference=0.0, low=-0.01, high=0.01, clear=False)
    ax = rule.draw_on(lambda ax, width: mix(whole, ax=ax, width=width), 700)
    assert ax.child_axes[0].get_xlim() == (0, 1)
    assert rule.said(rule.keeps(lambda ax, width: mix(shares[:0], ax=ax, width=width))[328]) == ["No data to show"]
