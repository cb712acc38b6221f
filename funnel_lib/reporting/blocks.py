"""The blocks that a report is made of: each is HTML, plain text and the numbers that it states.

The last line of a notebook cell is a block; JupyterLab shows it, and `render` puts the blocks of a notebook
into one page. Labels follow the language of the first sentence given; plain strings are escaped.

>>> from funnel_lib.reporting.wording import Count, Say
>>> say = Say("en")
>>> block = summary(say("{n} people came.", key="came", n=Count(12)), [])
>>> block.metrics
{'came.n': 12}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from markupsafe import Markup

from funnel_lib.errors import ConfigError
from funnel_lib.notation import Language
from funnel_lib.reporting.markup import LANGUAGES, fragment, style_sheet
from funnel_lib.reporting.parts import (
    Card,
    Download,
    Fact,
    Figure,
    Grade,
    Key,
    KeyEntry,
    Link,
    Loss,
    Panels,
    Part,
    Ranked,
    SoWhat,
    TooFew,
    language_of,
    numbered,
    numbers,
    sentences,
    tables,
)
from funnel_lib.reporting.tables import Cell, Column, Table
from funnel_lib.reporting.wording import Number, Say, Text, plain

__all__ = [
    "MIME", "Block", "Card", "Cell", "Column", "Download", "Fact", "Figure", "Grade", "Key", "KeyEntry",
    "Link", "Loss", "Panels", "Ranked", "SoWhat", "Table", "TooFew", "alert", "definitions", "downloads",
    "header", "kpis", "method", "run_facts", "section", "style", "summary",
]  # fmt: skip

MIME = "application/vnd.funnel+json"
Kind = Literal["header", "summary", "kpis", "section", "definitions", "method", "run", "alert", "downloads", "style"]
AlertKind = Literal["failed", "warning", "provisional", "too_few", "noise", "withheld"]
SYMBOLS: Mapping[AlertKind, str] = {
    "failed": "✕", "warning": "▼", "provisional": "◐", "too_few": "○", "noise": "●", "withheld": "○",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A piece of a report; `metrics` are the numbers of its sentences, `tables` its tables as CSV by name."""

    kind: Kind
    id: str
    label: str
    html: str
    text: str
    metrics: Mapping[str, Number] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:  # noqa: ARG002
        plain_part = {"kind": self.kind, "id": self.id, "label": self.label}
        data = {"metrics": dict(self.metrics), "tables": dict(self.tables)}
        return {"text/html": self.html, "text/plain": self.text, MIME: plain_part | data}


def style() -> Block:
    """Return the style of the blocks for JupyterLab; a report has its own."""
    sheets = style_sheet("tokens.css"), style_sheet("report.css"), style_sheet("notebook.css")
    sheet = Markup("<style>{}\n.funnel {{\n{}\n{}\n}}</style>").format(*sheets)
    return Block("style", "style", "", str(sheet), "")


def header(
    kicker: Text,
    title: Text,
    facts: Sequence[Fact],
    *,
    grade: Grade | None = None,
    provisional: Text | None = None,
) -> Block:
    """Open a report: which one, how fresh, how good, whether it is final.

    `provisional` says how much can still change and until when; without it, no status is added to `facts`.
    The block's label is what every printed page has to say: that the report is not final, or of a poor grade.
    """
    language = language_of(kicker, title, facts, grade)
    say = Say(language)
    if provisional is not None:
        facts = [*facts, Fact(say("Status"), say("Provisional"), provisional, provisional=True)]
    marks = [say.text("Provisional")] if any(fact.provisional for fact in facts) else []
    if grade is not None and grade.letter in ("C", "fail"):
        marks.append(plain(grade.words, language))
    text = f"{plain(kicker, language)}: {plain(title, language)}"
    return _block("header", "header", " · ".join(marks), text, (kicker, title, facts, grade), language)


def summary(lead: Text, points: Sequence[tuple[Text, Text]]) -> Block:
    """Say the result in a few sentences: the lead, and points with their labels."""
    language = language_of(lead, points)
    say = Say(language)
    label = say("Summary")
    text = "\n".join([plain(lead, language), *(f"{plain(a, language)}: {plain(b, language)}" for a, b in points)])
    return _block("summary", "summary", label.text, text, (label, lead, points), language)


def kpis(cards: Sequence[Card | TooFew], note: Text = "") -> Block:
    """Show the key figures; `note` says what they are compared with."""
    language = language_of(cards, note)
    say = Say(language)
    label = say("Key figures")
    lines = [_card_line(card, language) for card in cards]
    return _block("kpis", "kpis", label.text, "\n".join(lines), (label, cards, note), language)


def section(id: str, *, kicker: Text, finding: Text, sub: Text = "", parts: Sequence[Part] = ()) -> Block:  # noqa: A002
    """Show one finding: `kicker` names the topic, `finding` is the heading, `sub` says what was measured.

    A `SoWhat` stands beside the picture or table before it, unless that takes the whole width.

    Raises
    ------
    ConfigError : the id is not made of small letters, digits and hyphens.

    """
    if not id.replace("-", "").isalnum() or not id.isascii() or id != id.lower():
        raise ConfigError("This is not an id for a section.", found=id, allowed="small letters, digits and hyphens")
    language = language_of(kicker, finding, sub, parts)
    lines = [plain(finding, language), *(str(sentence) for sentence in sentences(list(parts)))]
    values = (id, kicker, finding, sub, _rows(parts))
    made = _block("section", id, plain(kicker, language), "\n".join(lines), values, language)
    return replace(made, tables={t.name: t.csv(language) for t in tables(list(parts)) if t.name})


def definitions(terms: Sequence[tuple[Text, Text]]) -> Block:
    """Say what the words mean, each measure once."""
    language = language_of(terms)
    say = Say(language)
    head = (
        say("Definitions"),
        say("What the words mean"),
        say("Each measure once: formula, window, unit, exclusions"),
    )
    text = "\n".join(f"{plain(term, language)}: {plain(meaning, language)}" for term, meaning in terms)
    return _block("definitions", "definitions", head[0].text, text, (*head, terms), language)


def method(notes: Sequence[tuple[Text, Sequence[Text]]]) -> Block:
    """Say how the numbers were made, in notes that open."""
    language = language_of(notes)
    say = Say(language)
    head = (
        say("Method"),
        say("How the numbers were made"),
        say("Open a line to read it; in print all are open"),
    )
    text = "\n".join(f"{plain(a, language)}: " + " ".join(plain(b, language) for b in bs) for a, bs in notes)
    return _block("method", "method", head[0].text, text, (*head, notes), language)


def run_facts(facts: Sequence[tuple[Text, Text]], *, caption: Text = "", language: Language | None = None) -> Block:
    """List what the report was made from, for whoever wants to check it or make it again."""
    language = language or language_of(facts, caption)
    say = Say(language)
    head = say("Run"), say("What this report was made from"), say("All that is needed to make it again")
    text = "\n".join(f"{plain(name, language)}: {plain(value, language)}" for name, value in facts)
    return _block("run", "run", head[0].text, text, (*head, caption or say("Run facts"), facts), language)


def alert(kind: AlertKind, title: Text, sentences: Sequence[Text], *, link: Link | None = None) -> Block:
    """Say what must be known before reading on; `failed` and `warning` have a thick border."""
    language = language_of(title, sentences)
    text = "\n".join(plain(line, language) for line in (title, *sentences))
    values = ("bad" if kind in ("failed", "warning") else "calm", SYMBOLS[kind], title, sentences, link)
    return _block("alert", f"alert-{kind}", "", text, values, language)


def downloads(files: Sequence[Download], *, language: Language | None = None) -> Block:
    """Offer the files beside the report."""
    language = language or language_of(files)
    say = Say(language)
    head = say("Downloads"), say("Take the numbers with you")
    text = "\n".join(f"{plain(file.title, language)}: {file.file}" for file in files)
    return _block("downloads", "downloads", head[0].text, text, (*head, files), language)


def _block(kind: Kind, id_: str, label: str, text: str, values: Sequence[object], language: Language) -> Block:
    """Write a block with the macro of its kind."""
    inner = fragment(language, kind, *values)
    html = Markup('<div class="funnel" lang="{}">{}</div>').format(LANGUAGES[language][0], inner)
    return Block(kind, id_, label, numbered(str(html), id_), text, numbers(list(values)))


def _rows(parts: Sequence[Part]) -> list[tuple[Part, SoWhat | None]]:
    """Pair each picture or table with the conclusion that follows it, where both fit side by side."""
    rows: list[tuple[Part, SoWhat | None]] = []
    for part in parts:
        narrow = rows and rows[-1][1] is None and isinstance(rows[-1][0], Figure | Table)
        if isinstance(part, SoWhat) and narrow and not getattr(rows[-1][0], "wide", False):
            rows[-1] = rows[-1][0], part
        else:
            rows.append((part, None))
    return rows


def _card_line(card: Card | TooFew, language: Language) -> str:
    if isinstance(card, TooFew):
        return f"{plain(card.title, language)}: {plain(card.sentence, language)}"
    rest = [plain(text, language) for text in (card.value, card.range, card.change, card.note, card.target) if text]
    return f"{plain(card.label, language)}: {'; '.join(rest)}"
