from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from funnel_lib.reporting.estimates import Count, Days, Money, Points, PValue, Rate, Ratio, Share
from funnel_lib.reporting.values import Value

NAN = float("nan")

WRITTEN = [
    # value, English, Chinese
    (
        Rate(0.038, 0.0361, 0.0399, digits=2, say_level=True),
        "3.80% (95% interval 3.61 to 3.99)",
        "3.80%（95%区间3.61%～3.99%）",
    ),
    (Rate(0.44, 0.43, 0.45), "44.0% (43.0 to 45.0)", "44.0%（43.0%～45.0%）"),
    (Rate(0.44), "44.0%", "44.0%"),
    (Rate(0.00004), "0.004%", "0.004%"),  # never written as 0.0%
    (Rate(0.9999), "99.99%", "99.99%"),  # nor as 100.0%
    (Rate(0.0), "0.0%", "0.0%"),
    (Rate(NAN, NAN, NAN), "–", "–"),
    (Share(0.21), "21%", "21%"),
    (Share(0.996), "99.6%", "99.6%"),
    (Share(1.0), "100%", "100%"),
    (Points(0.0031, 0.0016, 0.0046, digits=2), "+0.31 points (0.16 to 0.46)", "+0.31个百分点（0.16～0.46）"),
    (Points(0.001, -0.003, 0.015, unit="pp"), "+0.1 pp (−0.3 to +1.5)", "+0.1个百分点（−0.3至+1.5）"),
    (Points(-0.0014, -0.0024, -0.0003), "−0.14 points (−0.24 to −0.03)", "−0.14个百分点（−0.24至−0.03）"),
    (Points(0.0, 0.0, 0.0), "0.0 points", "0.0个百分点"),  # an interval without width says nothing
    (Money(8400, "EUR", 8400, 8400), "€8,400", "8,400欧元"),
    (Rate(0.3125, 0.25, 0.4), "31.3% (25.0 to 40.0)", "31.3%（25.0%～40.0%）"),
    (Rate(0.3125 + 1e-15, 0.25, 0.4), "31.3% (25.0 to 40.0)", "31.3%（25.0%～40.0%）"),  # computed in another order
    # 0.4 points less: the sentence says the direction, so the interval is turned round as well
    (Points(-0.004, -0.007, -0.001, signed=False), "0.4 points (0.1 to 0.7)", "0.4个百分点（0.1～0.7）"),
    (Count(12_402), "12,402", "12,402"),
    (Count(12_402, compact=True), "12.4k", "1.2万"),
    (Count(240_000_000, compact=True), "240 M", "2.40亿"),
    (Count(1848.2, 1806, 1892), "1,848 (1,806 to 1,892)", "1,848（1,806～1,892）"),
    (Money(497_000, "CNY", 436_000, 557_000), "¥497k (¥436k to ¥557k)", "49.7万元（43.6万元～55.7万元）"),
    (Money(2_500_000, "CNY"), "¥2.50 M", "250万元"),
    (Money(120_000_000, "CNY"), "¥120 M", "1.20亿元"),
    (Money(999_700, "CNY"), "¥1.00 M", "100万元"),  # not ¥1,000k
    (Money(9_999, "CNY"), "¥9,999", "9,999元"),
    (Money(412, "USD", 393, 433), "$412 ($393 to $433)", "412美元（393美元～433美元）"),
    (Money(-9, "CNY", -38, 20, signed=True, digits=0), "−¥9 (−¥38 to +¥20)", "−9元（−38元至+20元）"),
    (Money(9.5, "EUR"), "€9.50", "9.50欧元"),
    (Money(95, "JPY"), "¥95", "95日元"),  # yen have no decimals
    (Money(12_345, "CHF"), "CHF 12.3k", "1.2万瑞士法郎"),
    (Money(0, "CNY"), "¥0", "0元"),
    (Money(NAN, "CNY"), "–", "–"),
    (Days(14), "14 days", "14天"),
    (Days(1), "1 day", "1天"),
    (Days(1.7, 1.5, 2.0), "1.7 days (1.5 to 2.0)", "1.7天（1.5～2.0）"),
    (Days(0.2), "4.8 hours", "4.8小时"),  # 0.2 x 24
    (Days(0.004), "6 minutes", "6分钟"),  # 0.004 x 1440 = 5.76
    (Days(0), "0 days", "0天"),
    (Days(0.38, -0.68, 1.37, signed=True), "+9.1 hours (−16.3 to +32.9)", "+9.1小时（−16.3至+32.9）"),
    (Days(1, signed=True), "+1 day", "+1天"),
    (Days(1 / 24), "1 hour", "1小时"),
    (Days(0.5, 0.25, 0.75), "12.0 hours (6.0 to 18.0)", "12.0小时（6.0～18.0）"),
    (Days(76 / 86_400), "76 seconds", "76秒"),  # whole minutes would say 1
    (Days(1 / 86_400), "1 second", "1秒"),
    (Days(2 / 1440), "2 minutes", "2分钟"),
    (Ratio(3.4, 3.0, 3.9), "3.4 (3.0 to 3.9)", "3.4（3.0～3.9）"),
    (PValue(0.0123), "p = 0.012", "p = 0.012"),
    (PValue(0.23), "p = 0.23", "p = 0.23"),
    (PValue(0.00001), "p < 0.001", "p < 0.001"),
    (PValue(NAN), "–", "–"),
]


@pytest.mark.parametrize(("value", "english", "chinese"), WRITTEN)
def test_values_are_written_in_both_languages(value: Value, english: str, chinese: str) -> None:
    assert value.format("en") == english
    assert value.format("zh") == chinese


def test_parts_of_a_value() -> None:
    rate = Rate(0.38, 0.36, 0.4)
    assert [rate.format("en", form) for form in ("value", "ci", "range", "span")] == [
        "38.0%", "(36.0 to 40.0)", "36.0 to 40.0", "36.0–40.0%",
    ]  # fmt: skip
    assert rate.format("zh", "span") == "36.0%～40.0%"
    assert [Rate(0.38).format("en", form) for form in ("ci", "range", "span")] == ["", "", ""]


def test_html_marks_the_interval_and_keeps_it_on_one_line() -> None:
    assert Rate(0.38, 0.36, 0.4).html("en") == (
        '<b class="v">38.0%</b> <span class="ci">(<span class="nw">36.0 to 40.0</span>)</span>'
    )
    assert Rate(0.38, 0.36, 0.4).html("en", "value") == "38.0%"
    assert PValue(0.0001).html("en") == '<span class="nw">p &lt; 0.001</span>'


def test_numbers_are_fractions_with_their_sign_whatever_is_written() -> None:
    assert Rate(0.38, 0.36, 0.4, level=0.9).numbers() == {"": 0.38, "low": 0.36, "high": 0.4, "level": 0.9}
    assert Points(-0.004, -0.007, -0.001, signed=False).numbers() == {
        "": -0.004,
        "low": -0.007,
        "high": -0.001,
        "level": 0.95,
    }
    assert Rate(NAN).numbers() == {"": None}
    assert Days(0.2).numbers() == {"": 0.2}
    assert Rate(0.38, NAN, NAN).format("en") == "38.0%"


def test_numpy_numbers_are_written_alike() -> None:
    assert Count(np.int64(12_402)).format("en") == "12,402"
    assert Rate(np.float64(0.38)).format("en") == "38.0%"


@given(st.floats(min_value=0, max_value=1))
def test_a_share_is_only_written_as_none_or_all_if_it_is(fraction: float) -> None:
    text = Share(fraction).format("en")
    if 1e-6 < fraction < 1 - 1e-6:  # four digits are the most that is written
        assert float(text.removesuffix("%")) not in (0.0, 100.0)
    assert abs(float(text.removesuffix("%")) / 100 - fraction) <= 0.005 + 1e-12


@given(st.floats(min_value=-1e12, max_value=1e12))
@example(15_152.0)
def test_money_is_written_to_three_digits_in_both_languages(amount: float) -> None:
    scales = {"k": 1e3, " M": 1e6, " B": 1e9, "万": 1e4, "亿": 1e8}
    for language, sign in (("en", "¥"), ("zh", "元")):
        text = Money(amount, "CNY").format(language).replace(sign, "").replace(",", "").replace("−", "-")
        size = next((size for unit, size in scales.items() if text.endswith(unit)), 1)
        number = float(text.rstrip("kMB万亿 ")) * size
        rounded = 0.05 if text.endswith("万") else 0.01  # 1.2万 has one decimal, as is usual
        assert math.isclose(number, amount, rel_tol=rounded, abs_tol=0.006)


@given(st.sampled_from([w[0] for w in WRITTEN]))
def test_numbers_fit_into_json(value: Value) -> None:
    json.dumps(value.numbers(), allow_nan=False)
