"""The kinds of numbers that reports show, each with its interval; `kind.format(language)` writes it.

Fractions inside, percent only on display.

>>> Rate(0.44, 0.43, 0.45).format("en"), Money(497_000, "CNY").format("zh")
('44.0% (43.0 to 45.0)', '49.7万元')
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from babel.numbers import get_currency_precision

from funnel_lib.notation import Language
from funnel_lib.reporting.values import (
    NOTHING,
    WORDS,
    Estimate,
    Number,
    Value,
    currency_sign,
    decimal,
    missing,
    percent,
    percent_digits,
    scale,
)


@dataclass(frozen=True)
class Rate(Estimate):
    """A fraction written in percent; more digits where it would round to 0% or 100%."""

    value: float
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    digits: int = 1
    level: float = 0.95
    say_level: bool = False

    def write(self, number: float, language: Language) -> str:
        """Return the number in percent."""
        return percent(number, language, percent_digits(self.value, self.digits))

    def range(self, language: Language, *, span: bool = False) -> str:
        """Return the interval; in English the sign stands with the value, and in a cell at the end."""
        text = super().range(language, span=span)
        if language == "zh" or not text:
            return text
        return text.replace("%", "") + ("%" if span else "")


@dataclass(frozen=True)
class Share(Value):
    """A fraction without interval (a target, a part of a whole), written in percent."""

    value: float
    digits: int = 0

    def short(self, language: Language) -> str:
        """Return the share in percent."""
        if missing(self.value):
            return NOTHING
        return percent(self.value, language, percent_digits(self.value, self.digits))

    def numbers(self) -> dict[str, Number]:
        """Return the share as a fraction."""
        return {"": None if missing(self.value) else self.value}


@dataclass(frozen=True)
class Points(Estimate):
    """A difference of two fractions in percentage points; unsigned where the sentence says the direction.

    A `score` is one of a hundred points, such as promoters less detractors.

    One digit more where all of it is below a point and a part would be written as zero.
    """

    value: float
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    signed: bool = True
    digits: int = 1
    unit: Literal["points", "pp", "score", ""] = "points"
    level: float = 0.95
    say_level: bool = False

    def write(self, number: float, language: Language) -> str:
        """Return the number of points, without unit."""
        ends = [abs(end) * 100 for end in (self.value, *(super().ends() or ())) if end]
        small = bool(ends) and max(ends) < 1 and round(min(ends), self.digits) == 0
        return decimal(number * 100, language, self.digits + small, signed=self.signed)

    def short(self, language: Language) -> str:
        """Return the difference with its unit."""
        if missing(self.value):
            return NOTHING
        number = self.value if self.signed else abs(self.value)
        return self.write(number, language) + (WORDS[language][self.unit] if self.unit else "")

    def ends(self) -> tuple[float, float] | None:
        """Return both ends; for an unsigned negative difference turned round, as it is written."""
        ends = super().ends()
        return (-ends[1], -ends[0]) if ends and not self.signed and self.value < 0 else ends

    def numbers(self) -> dict[str, Number]:
        """Return the difference as a fraction, with its sign whatever is written."""
        found = super().numbers()
        return found if "low" not in found else found | {"low": self.low, "high": self.high}


def plain_points(value: float, low: float, high: float) -> Points:
    """Return a difference for a column whose heading says the unit."""
    return Points(value, low, high, unit="")


@dataclass(frozen=True)
class Count(Estimate):
    """A number of people, events or rows, in full or compact (12.4k, 1.2万)."""

    value: float
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    signed: bool = False
    compact: bool = False
    level: float = 0.95
    say_level: bool = False

    def write(self, number: float, language: Language) -> str:
        """Return the whole number."""
        if not self.compact or abs(self.value) < 10_000:
            return decimal(number, language, 0, signed=self.signed)
        size, unit, digits = scale(self.value, language)
        return decimal(number / size, language, digits, signed=self.signed) + unit


@dataclass(frozen=True)
class Ratio(Estimate):
    """A plain number, such as value per cost."""

    value: float
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    signed: bool = False
    digits: int = 1
    level: float = 0.95
    say_level: bool = False

    def write(self, number: float, language: Language) -> str:
        """Return the number."""
        return decimal(number, language, self.digits, signed=self.signed)


@dataclass(frozen=True)
class Money(Estimate):
    """An amount in one currency: ¥412, ¥497k, ¥2.50 M; in Chinese 412元, 49.7万元, 250万元."""

    value: float
    currency: str
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    signed: bool = False
    digits: int | None = None
    level: float = 0.95
    say_level: bool = False

    def write(self, number: float, language: Language) -> str:
        """Return the amount with its currency, in the scale of the value."""
        largest = max(abs(n) for n in (self.value, *(self.ends() or ())) if not missing(n))
        size, unit, digits = scale(self.value if not missing(self.value) else largest, language)
        if size == 1:
            digits = 0 if largest >= 100 or largest == 0 else get_currency_precision(self.currency)
        digits = digits if self.digits is None else self.digits
        plain = decimal(abs(number) / size, language, digits)
        sign = "−" if number < 0 else "+" if self.signed and number > 0 else ""
        if language == "zh":
            return sign + plain + unit + currency_sign(self.currency, "zh")
        return sign + currency_sign(self.currency, "en") + plain + (f" {unit}" if unit in ("M", "B") else unit)


@dataclass(frozen=True)
class Days(Estimate):
    """A length of time given in days; below that in hours, minutes or seconds: the unit that says most."""

    value: float
    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    signed: bool = False
    digits: int | None = None
    level: float = 0.95
    say_level: bool = False

    def _unit(self) -> tuple[float, str]:
        size = abs(self.value)
        if size >= 1 or not size:
            return 1, "days"
        if size * 24 >= 1:
            return 24, "hours"
        # Below two minutes, whole minutes would be too coarse.
        return (1440, "minutes") if size * 1440 >= 2 else (86_400, "seconds")

    def write(self, number: float, language: Language) -> str:
        """Return the number of the unit that fits the value."""
        times, unit = self._unit()
        exact = math.isclose(self.value * times, round(self.value * times), abs_tol=1e-6)
        ends = self.ends()
        whole = unit in ("minutes", "seconds") or (exact and (ends is None or ends[0] == ends[1]))
        digits = (0 if whole else 1) if self.digits is None else self.digits
        return decimal(number * times, language, digits, signed=self.signed)

    def short(self, language: Language) -> str:
        """Return the length with its unit."""
        if missing(self.value):
            return NOTHING
        number, unit = self.write(self.value, language), self._unit()[1]
        return number + WORDS[language][unit.removesuffix("s") if number.lstrip("+−") == "1" else unit]


@dataclass(frozen=True)
class PValue(Value):
    """The probability of a result at least as extreme by chance alone."""

    value: float

    def short(self, language: Language) -> str:
        """Return it with two significant digits, never as zero."""
        if missing(self.value):
            return NOTHING
        if self.value < 0.001:
            return "p < 0.001"
        return f"p = {decimal(self.value, language, 3 if self.value < 0.1 else 2)}"

    def numbers(self) -> dict[str, Number]:
        """Return the probability."""
        return {"": None if missing(self.value) else self.value}
