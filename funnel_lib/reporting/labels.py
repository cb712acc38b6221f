"""Words that a sentence takes from the data or the calendar: names, lists, days and periods, by language."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from babel.dates import format_date
from babel.lists import format_list
from markupsafe import Markup, escape

from funnel_lib.notation import Language
from funnel_lib.periods import Period
from funnel_lib.reporting.values import LOCALES, Form, Number, Value, unbroken

Style = Literal["iso", "day", "full", "month", "year"]
PATTERNS: Mapping[Language, Mapping[str, str]] = {
    "en": {"day": "d MMMM", "full": "d MMMM y", "month": "MMMM", "year": "MMMM y"},
    "zh": {"day": "M月d日", "full": "y年M月d日", "month": "M月", "year": "y年M月"},
}
PERIODS: Mapping[Language, Mapping[str, str]] = {
    "en": {"quarter": "Q{n} {year}", "week": "week {n}, {year}"},
    "zh": {"quarter": "{year}年第{n}季度", "week": "{year}年第{n}周"},
}


@dataclass(frozen=True)
class Name(Value):
    """A name from the data or the workbook, without control and direction marks."""

    text: str

    def short(self, language: Language) -> str:  # noqa: ARG002 - a name is the same in all
        """Return the name on one line."""
        return tidy(self.text)

    def html(self, language: Language, form: Form = "full") -> Markup:  # noqa: ARG002 - has one form
        """Return the name, escaped; it may break across lines."""
        return escape(self.short(language))


@dataclass(frozen=True)
class Names(Value):
    """Several names or values in a row: ``a, b and c``, in Chinese ``a、b和c``."""

    items: Sequence[str | Value]

    def short(self, language: Language) -> str:
        """Return the list."""
        texts = [item.format(language) if isinstance(item, Value) else tidy(item) for item in self.items]
        return format_list(texts, locale=LOCALES[language])

    def html(self, language: Language, form: Form = "full") -> Markup:  # noqa: ARG002 - has one form
        """Return the list, escaped; it may break across lines."""
        return escape(self.short(language))

    def numbers(self) -> dict[str, Number]:
        """Return the numbers of the items, counted from 1."""
        found: dict[str, Number] = {}
        for index, item in enumerate(self.items, start=1):
            parts = item.numbers() if isinstance(item, Value) else {}
            found |= {f"{index}.{part}".rstrip("."): number for part, number in parts.items()}
        return found


@dataclass(frozen=True)
class Day(Value):
    """A calendar day: ISO, ``24 May`` (`day`), ``24 May 2026`` (`full`) or ``May`` (`month`)."""

    day: date
    style: Style = "iso"

    def short(self, language: Language) -> str:
        """Return the day in its style."""
        if self.style == "iso":
            return self.day.isoformat()
        return format_date(self.day, format=PATTERNS[language][self.style], locale=LOCALES[language])

    def html(self, language: Language, form: Form = "full") -> Markup:  # noqa: ARG002 - has one form
        """Return the day, which does not break."""
        return unbroken(self.short(language))


@dataclass(frozen=True)
class Span(Value):
    """The days from `first` to `last`: ``1–31 May``, ``27 April – 26 May``, in Chinese ``5月1—31日``."""

    first: date
    last: date
    year: bool = False

    def short(self, language: Language) -> str:
        """Return the span; the years are named where they differ or where `year` asks for them."""
        return (" – " if language == "en" else "—").join(self._parts(language))

    def html(self, language: Language, form: Form = "full") -> Markup:  # noqa: ARG002 - has one form
        """Return the span, which may break between its two days, but not within one month."""
        dash = escape(" – " if language == "en" else "—")
        return dash.join(unbroken(part) for part in self._parts(language))

    def _parts(self, language: Language) -> list[str]:
        """Return what must not be broken: one text within a month, else the two days."""
        first, last, both = self.first, self.last, self.first.year != self.last.year
        with_year: Style = "full" if self.year or both else "day"
        if first == last:
            return [Day(first, with_year).short(language)]
        if language == "zh":
            days = [Day(first, with_year).short("zh"), Day(last, "full" if both else "day").short("zh")]
            same = f"{days[0].removesuffix('日')}—{last.day}日"
        else:
            days = [Day(first, "full" if both else "day").short("en"), Day(last, with_year).short("en")]
            same = f"{first.day}–{days[1]}"
        return [same] if not both and first.month == last.month else days


@dataclass(frozen=True)
class PeriodName(Value):
    """A reporting period as one says it: ``May 2026``, ``week 21, 2026``, ``Q2 2026`` or its days."""

    period: Period
    year: bool = True

    def short(self, language: Language) -> str:
        """Return the period's name."""
        first, patterns = self.period.first_day, PERIODS[language]
        if self.period.kind == "month":
            return Day(first, "year" if self.year else "month").short(language)
        if self.period.kind == "quarter":
            return patterns["quarter"].format(n=(first.month + 2) // 3, year=first.year)
        if self.period.kind == "week":
            year, week, _ = first.isocalendar()
            return patterns["week"].format(n=week, year=year)
        return Span(first, self.period.last_day, self.year).short(language)

    def html(self, language: Language, form: Form = "full") -> Markup:  # noqa: ARG002 - has one form
        """Return the name, which may only break between two days."""
        if self.period.kind in ("custom", "all"):
            return Span(self.period.first_day, self.period.last_day, self.year).html(language)
        return unbroken(self.short(language))


def tidy(text: str) -> str:
    """Return a name on one line, without control characters or marks that turn the writing direction."""
    kept = (c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    return " ".join("".join(" " if c.isspace() else c for c in kept).split())
