"""Sentences in the reader's language, with every number they hold.

The message id is the whole English sentence; its Chinese is looked up in ``locale/zh.po``:

>>> say = Say("en")
>>> said = say("Of {n} visitors, {rate} paid.", key="paid", n=Count(200), rate=Rate(0.25, 0.195, 0.314))
>>> said.text
'Of 200 visitors, 25.0% (19.5 to 31.4) paid.'
>>> said.metrics["paid.rate.low"]
0.195

``{rate}`` is the value with its interval; ``{rate:value}``, ``{rate:ci}`` and ``{rate:range}`` are its parts;
``**…**`` is bold. ``python -m funnel_lib.reporting.wording`` brings the catalogue up to date: new sentences are
appended, without Chinese, and listed; those no longer said are taken out.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import cast

from markupsafe import Markup, escape

from funnel_lib.notation import Language
from funnel_lib.reporting import catalogue
from funnel_lib.reporting.catalogue import placeholders, translations
from funnel_lib.reporting.estimates import Count, Days, Money, Points, PValue, Rate, Ratio, Share
from funnel_lib.reporting.labels import Day, Name, Names, PeriodName, Span
from funnel_lib.reporting.values import NOTHING, Form, Number, Value

__all__ = [
    "NOTHING", "Count", "Day", "Days", "Form", "Money", "Name", "Names", "Number", "PValue", "PeriodName",
    "Points", "Rate", "Ratio", "Say", "Sentence", "Share", "Span", "Text", "Value", "merged", "plain",
]  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """A localised sentence as plain text and as HTML (data escaped), with its numbers by key."""

    text: str
    html: str
    metrics: Mapping[str, Number] = field(default_factory=dict)
    language: Language = "en"

    def __str__(self) -> str:
        """Return the plain text."""
        return self.text

    def __html__(self) -> str:
        """Return the HTML: templates do not escape it again."""
        return self.html

    def _repr_html_(self) -> str:
        return f"<p>{self.html}</p>"


Text = str | Sentence | Value


@dataclass(frozen=True)
class _Said(Value):
    """A sentence inside another; its numbers keep their keys."""

    sentence: Sentence

    def short(self, language: Language) -> str:  # noqa: ARG002 - said already
        return self.sentence.text

    def html(self, language: Language, form: Form = "full") -> Markup:  # noqa: ARG002 - said already
        return Markup(self.sentence.html)  # noqa: S704 - escaped when it was said


def plain(text: Text, language: Language) -> str:
    """Return any text as plain text; values are written in `language`."""
    return text.format(language) if isinstance(text, Value) else str(text)


class Say:
    """Says sentences in one language.

    Parameters
    ----------
    language : `en`, or `zh` from the catalogue; what the catalogue lacks is said in English.

    """

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, msgid: str, /, *, key: str = "", **values: Text | int) -> Sentence:
        """Return the sentence `msgid`, the whole English one with named placeholders, filled with `values`.

        Plain texts are taken as names, whole numbers as counts; a sentence keeps its own numbers. The values'
        numbers stand in the metrics below `key`, such as `funnel.trial`, and their placeholder's name.
        """
        translated = translations(self.language).get(msgid, (msgid,))[0]
        if placeholders(translated) != placeholders(msgid):
            translated = msgid
        return self._fill(translated, key, {name: _value(given) for name, given in values.items()})

    def plural(self, n: int, one: str, many: str, /, *, key: str = "", **values: Text | int) -> Sentence:
        """Return the sentence `one` for a single thing, `many` otherwise; `{n}` is the number of things."""
        forms = translations(self.language).get(one, ())
        translated = forms[0] if forms else one if n == 1 else many
        return self._fill(translated, key, {"n": Count(n)} | {name: _value(v) for name, v in values.items()})

    def text(self, msgid: str, /, **values: Text | int) -> str:
        """Return a label or sentence as plain text."""
        return self(msgid, key="", **values).text

    def value(self, value: Value, *, key: str = "", form: Form = "full") -> Sentence:
        """Return a value on its own (a card, a cell), its numbers below `key`."""
        numbers = _metrics(key, value)
        return Sentence(value.format(self.language, form), str(value.html(self.language, form)), numbers, self.language)

    def _fill(self, template: str, key: str, values: Mapping[str, Value]) -> Sentence:
        text, html, bold = "", Markup(), False
        for literal, name, form, _ in string.Formatter().parse(template):
            for index, piece in enumerate(literal.split("**")):
                if index:
                    bold = not bold
                    html += Markup("<b>") if bold else Markup("</b>")
                text, html = text + piece, html + escape(piece)
            if name is not None:
                chosen = cast(Form, form or "full")
                text += values[name].format(self.language, chosen)
                html += values[name].html(self.language, chosen)
        numbers: dict[str, Number] = {}
        for name, value in values.items():
            numbers |= _metrics(f"{key}.{name}".lstrip("."), value)
        return Sentence(text, str(html), numbers, self.language)


def merged(*parts: Mapping[str, Number]) -> dict[str, Number]:
    """Return all numbers together; where a key returns with another number, `.2`, `.3` … follow it."""
    found: dict[str, Number] = {}
    for part in parts:
        for key, number in part.items():
            name, count = key, 1
            while name in found and found[name] != number:
                count += 1
                name = f"{key}.{count}"
            found[name] = number
    return found


def _value(given: Text | int) -> Value:
    if isinstance(given, Value):
        return given
    if isinstance(given, Sentence):
        return _Said(given)
    return Name(given) if isinstance(given, str) else Count(given)


def _metrics(key: str, value: Value) -> dict[str, Number]:
    """Return a value's numbers below `key`, as plain numbers that JSON can hold."""
    if isinstance(value, _Said):
        return dict(value.sentence.metrics)
    found: dict[str, Number] = {}
    for part, number in value.numbers().items():
        found[f"{key}.{part}".strip(".")] = None if number is None else json_number(number)
    return found


def json_number(number: float) -> int | float:
    """Return a (perhaps NumPy) number as one that JSON can hold."""
    return int(number) if isinstance(cast(object, number), Integral) else float(number)


if __name__ == "__main__":
    sys.exit(catalogue.main())
