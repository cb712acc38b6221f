from __future__ import annotations

import pytest

from funnel_lib.reporting.values import WORDS, currency_sign, decimal, missing, percent_digits, unbroken


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()


@pytest.mark.parametrize(
    ("number", "digits", "signed", "text"),
    [
        (1234.5, 1, False, "1,234.5"),
        (-0.4, 1, False, "−0.4"),  # a real minus
        (-0.04, 1, False, "0.0"),  # no minus before nothing
        (-0.04, 1, True, "−0.0"),  # but the sign of a difference is known
        (0.04, 2, True, "+0.04"),
        (0, 1, True, "0.0"),
    ],
)
def test_decimal(number: float, digits: int, signed: bool, text: str) -> None:
    assert decimal(number, "en", digits, signed=signed) == text


def test_percent_digits_grow_only_where_needed() -> None:
    assert [percent_digits(fraction, 1) for fraction in (0, 0.0004, 0.5, 0.9996, 1)] == [1, 2, 1, 2, 1]


def test_missing_numbers() -> None:
    assert [missing(n) for n in (None, float("nan"), float("inf"), 0, 1.5)] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_currencies_stand_before_english_and_after_chinese_amounts() -> None:
    assert [currency_sign(c, "en") for c in ("CNY", "USD", "EUR", "CHF")] == ["¥", "$", "€", "CHF "]
    assert [currency_sign(c, "zh") for c in ("CNY", "USD", "EUR")] == ["元", "美元", "欧元"]


def test_only_texts_that_could_break_are_kept_together() -> None:
    assert unbroken("12,402") == "12,402"
    assert unbroken("3 <b>") == '<span class="nw">3 &lt;b&gt;</span>'
