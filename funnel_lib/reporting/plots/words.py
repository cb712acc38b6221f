"""The words and numbers that pictures show, in the reader's language.

>>> words = Words(titles={"signup": "Sign up"})
>>> words.title("signup"), words.percent(0.2604), words.span(0.26, 0.2561, 0.264), words.points(-0.08)
('Sign up', '26.0%', '25.6–26.4%', '−8.0 pp')
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from babel.dates import format_date

from funnel_lib.notation import Language
from funnel_lib.reporting.estimates import Count, Points, Rate, Share
from funnel_lib.reporting.labels import tidy
from funnel_lib.reporting.plots.stage import Verdict
from funnel_lib.reporting.values import LOCALES, WORDS
from funnel_lib.reporting.wording import Say

_DAYS: Mapping[Language, str] = {"en": "d MMM", "zh": "M月d日"}


@dataclass(frozen=True)
class Words:
    """What a picture says.

    Parameters
    ----------
    language
        Of the picture's own words and numbers.
    titles
        What readers call steps, groups, sources, answers and kinds; a name without a title stands as it is.

    """

    language: Language = "en"
    titles: Mapping[str, str] = field(default_factory=dict)

    @property
    def say(self) -> Say:
        """Says the picture's phrases in its language."""
        return Say(self.language)

    def titled(self, titles: Mapping[str, str]) -> Words:
        """Return the same words with these titles added."""
        return replace(self, titles={**self.titles, **titles})

    def title(self, name: object) -> str:
        """Return what readers call `name`, on one line."""
        return tidy(self.titles.get(str(name), str(name)))

    def count(self, number: float) -> str:
        """Return a count with its thousands separated."""
        return Count(number).format(self.language)

    def percent(self, rate: float) -> str:
        """Return a share in percent with one decimal, more where it would read 0% or 100%."""
        if 0 < rate < 0.00005:
            return f"<{Rate(0.0001, digits=2).format(self.language)}"
        return Rate(rate).format(self.language)

    def plain(self, rate: float) -> str:
        """Return a round share, of a target or an axis, without needless decimals."""
        digits = next((digits for digits in range(4) if math.isclose(round(rate, digits + 2), rate)), 4)
        return Share(rate, digits).format(self.language)

    def span(self, rate: float, low: float, high: float) -> str:
        """Return the interval of a share."""
        return Rate(rate, low, high).format(self.language, "span")

    def with_span(self, rate: float, low: float, high: float) -> str:
        """Return a share followed by its interval in brackets."""
        span, forms = self.span(rate, low, high), WORDS[self.language]
        if not span:
            return self.percent(rate)
        return forms["full"].format(value=self.percent(rate), ci=forms["ci"].format(range=span))

    def between(self, low: str, high: str) -> str:
        """Return an interval of values that are written already, in brackets."""
        forms = WORDS[self.language]
        return forms["ci"].format(range=forms["mixed"].format(low=low, high=high))

    def points(
        self, difference: float, low: float | None = None, high: float | None = None, *, unit: bool = True
    ) -> str:
        """Return a difference of shares in percentage points, signed, with the digits of its interval."""
        return Points(difference, low, high, unit="pp" if unit else "").format(self.language, "value")

    def pointed(self, difference: float) -> str:
        """Return a difference for an axis: points without unit and without needless decimals."""
        return self.points(difference, unit=False).removesuffix(".0")

    def bounds(self, difference: float, low: float, high: float) -> str:
        """Return the interval of a difference in brackets."""
        return Points(difference, low, high, unit="pp").format(self.language, "ci")

    def date(self, day: date) -> str:
        """Return day and month, short."""
        return str(format_date(day, format=_DAYS[self.language], locale=LOCALES[self.language]))

    def nothing(self) -> str:
        """Say that there is no data."""
        return self.say.text("No data to show")

    def too_few(self, number: float | None = None) -> str:
        """Say that there were too few for a rate, and how many."""
        if number is None:
            return self.say.text("too few")
        return self.say.text("too few ({count})", count=Count(number))

    def units(self, number: float) -> str:
        """Say how many units a rate is about."""
        return self.say.text("n = {count}", count=Count(number))

    def remaining(self) -> str:
        """Head the bars of a funnel."""
        return self.say.text("Still in the funnel")

    def of_previous(self) -> str:
        """Head the rates of a funnel."""
        return self.say.text("Of previous step")

    def rate_of_previous(self, rate: float, low: float, high: float) -> str:
        """Say a step's rate with its base."""
        return self.say.text("{rate:value} of previous ({rate:span})", rate=Rate(rate, low, high))

    def of_all(self, share: float) -> str:
        """Say which share of the first step reached a step."""
        return self.say.text("{share} of all", share=self.percent(share))

    def lost(self, number: int, share: float) -> str:
        """Say how many left after a step."""
        return self.say.text("↓ {count} ({share}) left here", count=Count(number), share=self.percent(share))

    def gap(self) -> str:
        """Head the gaps to the targets."""
        return self.say.text("Gap to target, pp")

    def target(self, rate: float) -> str:
        """Say a target."""
        return self.say.text("target {rate}", rate=self.plain(rate))

    def verdict(self, verdict: Verdict, gap: float) -> str:
        """Say on which side of its target a rate lies, and how far."""
        if verdict == "within":
            return self.say.text("● within noise")
        points = Points(gap, signed=False, unit="pp")
        return self.say.text("▲ {gap} above" if verdict == "above" else "▼ {gap} below", gap=points)

    def all(self, rate: float) -> str:
        """Name the line of all units."""
        return self.say.text("all {rate}", rate=Rate(rate))

    def more(self, number: int) -> str:
        """Say how many groups are not drawn."""
        return self.say.text("+ {count} more in the table", count=Count(number))

    def starts_at(self, value: float) -> str:
        """Say that a scale does not start at zero."""
        return self.say.text("Scale starts at {value}", value=self.plain(value))

    def open_marks(self) -> str:
        """Explain open marks."""
        return self.say.text("○ not final")

    def crosses(self) -> str:
        """Explain the crosses on the axis."""
        return self.say.text("× too few")

    def every_rule(self) -> str:
        """Say that all rules agree."""
        return self.say.text("by every rule")

    def days(self) -> str:
        """Name the axis of days."""
        return self.say.text("Days since the first step")

    def hours(self) -> str:
        """Name the axis of hours since entry."""
        return self.say.text("Hours since the first step")

    def minutes(self) -> str:
        """Name the axis of minutes since entry."""
        return self.say.text("Minutes since the first step")

    def days_as_customer(self) -> str:
        """Name the axis of days since the first order."""
        return self.say.text("Days since the first order")

    def between_rules(self, low: str, high: str) -> str:
        """Say which rule gives the least and which the most."""
        return self.say.text("{low} … {high}", low=low, high=high)

    def busiest(self, rows: float) -> str:
        """Say the rows of the busiest day."""
        return self.say.text("up to {count} a day", count=Count(rows))

    def missing(self, gaps: int, days: int) -> str:
        """Say how many days have no data."""
        if not gaps:
            return self.say.text("every day has data")
        return self.say.text("▼ days without data: {gaps} of {days}", gaps=gaps, days=days)


ENGLISH = Words()
"""For exploring: names as they stand in the data."""
