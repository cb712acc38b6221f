"""What every value in a sentence, card or cell has in common, and how numbers are written by language.

Every value names its own numbers, so that whatever is shown can also be found in the metrics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from babel.numbers import format_decimal, get_currency_name, get_currency_symbol
from markupsafe import Markup, escape

from funnel_lib.notation import Language

Form = Literal["full", "value", "ci", "range", "span"]
Number = float | int | None
NOTHING = "–"
_LARGE = 1e15
"""From here on a float holds no digits after the point."""

# British English: 24 May; a, b and c.
LOCALES: Mapping[Language, str] = {"en": "en_GB", "zh": "zh_Hans_CN"}
WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "full": "{value} {ci}", "ci": "({range})", "level": "({level} interval {range})",
        "to": "{low} to {high}", "span": "{low}–{high}", "mixed": "{low} to {high}", "points": " points",
        "pp": " pp", "score": " points", "day": " day", "days": " days", "hour": " hour", "hours": " hours",
        "minute": " minute", "minutes": " minutes", "second": " second", "seconds": " seconds",
    },
    "zh": {
        "full": "{value}{ci}", "ci": "（{range}）", "level": "（{level}区间{range}）",
        "to": "{low}～{high}", "span": "{low}～{high}", "mixed": "{low}至{high}", "points": "个百分点",
        "pp": "个百分点", "score": "分", "day": "天", "days": "天", "hour": "小时", "hours": "小时", "minute": "分钟",
        "minutes": "分钟", "second": "秒", "seconds": "秒",
    },
}  # fmt: skip


# Amounts are written in a unit from the number on that would otherwise round to more digits than fit.
SCALES: Mapping[Language, Sequence[tuple[float, float, str]]] = {
    "en": [(999.5e6, 1e9, " B"), (999.5e3, 1e6, " M"), (9_999.5, 1e3, "k")],
    "zh": [(99.995e6, 1e8, "亿"), (9_999.5, 1e4, "万")],
}


class Value:
    """Anything that can stand in a sentence; subclasses say how it is written."""

    def short(self, language: Language) -> str:
        """Return the value alone, without interval."""
        raise NotImplementedError

    def range(self, language: Language, *, span: bool = False) -> str:  # noqa: ARG002 - for subclasses
        """Return the interval without brackets, empty if there is none; `span` is the form for cells."""
        return ""

    def bracket(self, language: Language) -> str:
        """Return the interval in the language's brackets, empty where there is none."""
        inner = self.range(language)
        return WORDS[language]["ci"].format(range=inner) if inner else ""

    def numbers(self) -> dict[str, Number]:
        """Return the numbers behind the text: ``""`` for the value itself, then `low`, `high`, `level`."""
        return {}

    def format(self, language: Language, form: Form = "full") -> str:
        """Return the plain text: value and interval, or one of them (`value`, `ci`, `range`, `span`)."""
        if form in ("range", "span"):
            return self.range(language, span=form == "span")
        value, bracket = self.short(language), self.bracket(language)
        if form == "full" and bracket:
            return WORDS[language]["full"].format(value=value, ci=bracket)
        return bracket if form == "ci" else value

    def html(self, language: Language, form: Form = "full") -> Markup:
        """Return the same as escaped HTML: the interval has the class `ci`, and neither part is broken."""
        inner = self.range(language, span=form == "span")
        if form in ("range", "span"):
            return unbroken(inner)
        value = unbroken(self.short(language))
        if form == "value" or not inner:
            return value if form != "ci" else Markup("")
        before, _, after = self.bracket(language).partition(inner)
        bracket = Markup('<span class="ci">{}{}{}</span>').format(before, unbroken(inner), after)
        if form == "ci":
            return bracket
        shown = Markup('<b class="v">{}</b>').format(value)
        return Markup(WORDS[language]["full"]).format(value=shown, ci=bracket)  # noqa: S704 - no data in it


class Estimate(Value):
    """A number with an interval; a missing one (NaN or None) is written as a dash."""

    value: float
    low: float | None
    high: float | None
    level: float
    say_level: bool
    signed: bool = False

    def write(self, number: float, language: Language) -> str:
        """Return one number of this kind as it stands in an interval."""
        raise NotImplementedError

    def short(self, language: Language) -> str:
        """Return the value alone, without interval."""
        return NOTHING if missing(self.value) else self.write(self.value, language)

    def ends(self) -> tuple[float, float] | None:
        """Return both ends of the interval, None where there is none."""
        if self.low is None or self.high is None or missing(self.low) or missing(self.high):
            return None
        return self.low, self.high

    def range(self, language: Language, *, span: bool = False) -> str:
        """Return the interval without brackets, empty if there is none or it has no width; `span` is for cells."""
        ends = self.ends()
        if ends is None or math.isclose(*ends, rel_tol=1e-9):
            return ""
        join = "mixed" if ends[0] < 0 else "span" if span else "to"
        low, high = (self.write(end, language) for end in ends)
        if ends[0] >= 0:
            low, high = low.removeprefix("+"), high.removeprefix("+")
        return WORDS[language][join].format(low=low, high=high)

    def bracket(self, language: Language) -> str:
        """Return the interval in brackets, with its level where `say_level` asks for it."""
        inner = self.range(language)
        if not inner or not self.say_level:
            return super().bracket(language)
        return WORDS[language]["level"].format(level=percent(self.level, language, 0), range=inner)

    def numbers(self) -> dict[str, Number]:
        """Return the value, and the interval with its level where there is one."""
        found: dict[str, Number] = {"": None if missing(self.value) else self.value}
        if ends := self.ends():
            found |= {"low": ends[0], "high": ends[1], "level": self.level}
        return found


def missing(number: float | None) -> bool:
    """Return whether there is no finite number."""
    return number is None or not math.isfinite(number)


def decimal(number: float, language: Language, digits: int, *, signed: bool = False) -> str:
    """Write a number with grouping, a real minus, and a plus where it is signed and not zero."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    text = format_decimal(abs(rounded(number, digits)), format=pattern, locale=LOCALES[language])
    if number < 0 and (signed or any(digit in text for digit in "123456789")):
        return "−" + text
    return "+" + text if signed and number > 0 else text


def rounded(number: float, digits: int) -> Decimal:
    """Round half away from zero; what differs in the last bit only, such as 31.25 and 31.2500000000001, is one."""
    exact = Decimal(repr(round(float(number), 9)))
    return exact if abs(number) >= _LARGE else exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def percent(fraction: float, language: Language, digits: int) -> str:
    """Write a fraction in percent."""
    return decimal(fraction * 100, language, digits) + "%"


def percent_digits(fraction: float, digits: int) -> int:
    """Return as many digits as keep a fraction that is neither 0 nor 1 from being written as 0% or 100%."""
    while digits < 4 and 0 < fraction < 1 and rounded(fraction * 100, digits) in (0, 100):
        digits += 1
    return digits


def scale(number: float, language: Language) -> tuple[float, str, int]:
    """Return the unit that a number is written in: its size, its sign, and the digits (three significant)."""
    for least, size, unit in SCALES[language]:
        scaled = abs(number) / size
        if abs(number) >= least:
            fewer = unit in ("k", "万") or scaled >= 9.995
            return size, unit, 0 if scaled >= 99.95 else 1 if fewer else 2
    return 1, "", 0


def currency_sign(currency: str, language: Language) -> str:
    """Return what stands before an English amount or after a Chinese one."""
    if currency == "CNY":
        return "¥" if language == "en" else "元"
    if language == "zh":
        return str(get_currency_name(currency, locale="zh_Hans_CN"))
    sign = str(get_currency_symbol(currency, locale="en"))
    return sign + " " if sign.isalpha() else sign


def unbroken(text: str) -> Markup:
    """Return a short text that must not be broken across lines; plain numbers never are."""
    if re.fullmatch(r"[\d.,%+−¥€$£]*", text):
        return escape(text)
    return Markup('<span class="nw">{}</span>').format(text)
