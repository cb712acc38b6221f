"""What sections, cards and heads are made of. Texts are sentences, values or plain strings (escaped)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar, Literal
from xml.etree.ElementTree import ParseError, fromstring

from markupsafe import Markup, escape

from funnel_lib.errors import ConfigError
from funnel_lib.notation import Language
from funnel_lib.reporting.tables import Table
from funnel_lib.reporting.wording import Number, Sentence, Text, Value, merged

Direction = Literal["", "good", "bad", "noise"]
# The widths that pictures are drawn in: a wide page, a narrow page or paper, a phone.
WIDTHS = (1052, 700, 328)
# Stands before the ids in a picture until a block puts its own id and a number there: two pictures on one
# page may use the same ids for different things.
OWN = "\ue000"
TAG = r"""<(?:[^<>"']|"[^"]*"|'[^']*')*>"""
REFERENCES = re.compile(r'(?<=\sid=")(?=[^"]+")|(?<=url\(#)(?=[^)]+\))|(?<=href="#)(?=[^"]+")')
LOADED = re.compile(r"url\(\s*[\"']?[^#\"'\s]", re.IGNORECASE)
SHAPES = (
    "circle", "clipPath", "defs", "desc", "ellipse", "g", "line", "linearGradient", "marker", "mask", "path",
    "pattern", "polygon", "polyline", "radialGradient", "rect", "stop", "svg", "symbol", "text", "textPath",
    "title", "tspan", "use",
)  # fmt: skip


@dataclass(frozen=True)
class Link:
    """A link to another page of the reports; `lang` where that page is in another language."""

    text: Text
    href: str
    rel: Literal["", "prev", "next"] = ""
    lang: Language | None = None


@dataclass(frozen=True)
class Download:
    """A file beside the report: title, its name on paper, what is in it; a `single` table is listed further down."""

    title: Text
    href: str
    note: Text = ""
    single: bool = False

    @property
    def file(self) -> str:
        """The file's name, for paper."""
        return self.href.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Fact:
    """A fact of the head: a term, its value, a remark that may link, and whether it says “not final”."""

    term: Text
    value: Text
    small: Text = ""
    href: str = ""
    provisional: bool = False


@dataclass(frozen=True)
class Grade:
    """The quality of the data: the letter A, B, C or `fail`, words, and the reason."""

    letter: str
    words: Text
    small: Text = ""
    href: str = "#run"


@dataclass(frozen=True)
class Card:
    """A key figure.

    Parameters
    ----------
    value, range : the number, and its interval or what is expected in the end.
    change, direction, rising : the change in words, whether it is good, bad or within noise, and whether it
        went up (the arrow says where it went, the colour what that means).
    note : last year, or what the number is.
    target, target_direction : how it stands against a target.
    spark : a small picture (SVG).
    hero : shown large; for the one number that the report is about.

    """

    label: Text
    value: Text
    range: Text = ""
    change: Text = ""
    direction: Direction = ""
    rising: bool | None = None
    note: Text = ""
    target: Text = ""
    target_direction: Direction = ""
    spark: str | None = None
    hero: bool = False
    kind: ClassVar[str] = "card"

    @property
    def symbol(self) -> str:
        """The mark before the change."""
        return arrow(self.direction, self.rising)

    @property
    def target_symbol(self) -> str:
        """The mark before the target."""
        return arrow(self.target_direction)

    @property
    def picture(self) -> Markup | None:
        """The checked spark line."""
        return None if self.spark is None else picture(self.spark)


@dataclass(frozen=True)
class Figure:
    """A picture in the widths that it was drawn for (CSS pixels), with the table of its numbers.

    Parameters
    ----------
    svgs : width to SVG; of 1052, 700 and 328, or one width only.
    alt : the finding with its numbers, for readers who do not see the picture.
    table : the numbers of the picture; a panel of small multiples may leave it to all panels together.
    title, value, note : head of the picture as a panel of small multiples.

    """

    svgs: Mapping[int, str]
    alt: Text
    caption: Text = ""
    table: Table | None = None
    title: Text = ""
    value: Text = ""
    note: Text = ""
    kind: ClassVar[str] = "figure"

    def __post_init__(self) -> None:
        if not self.svgs or (len(self.svgs) > 1 and not {700, 328} <= set(self.svgs) <= set(WIDTHS)):
            allowed = "700 and 328, perhaps 1052; or one width"
            raise ConfigError("A figure lacks a width.", found=sorted(self.svgs), allowed=allowed)

    @property
    def wide(self) -> bool:
        """Whether it takes the page's whole width."""
        return max(self.svgs) > 700

    @property
    def pictures(self) -> list[tuple[int, Markup]]:
        """The checked pictures, widest first."""
        widths = sorted(self.svgs, reverse=True)
        return [(width, picture(self.svgs[width], str(self.alt))) for width in widths]


@dataclass(frozen=True)
class SoWhat:
    """What follows from the picture before it: finding, interval, caution."""

    title: Text
    sentences: Sequence[Text]
    kind: ClassVar[str] = "so_what"


@dataclass(frozen=True)
class TooFew:
    """Stands in place of a panel, card or figure with too few units: what was counted and what is needed."""

    title: Text
    sentence: Text
    kind: ClassVar[str] = "too_few"


@dataclass(frozen=True)
class Panels:
    """Small multiples on one scale, sorted; the table holds the numbers of all of them."""

    items: Sequence[Figure | TooFew]
    caption: Text = ""
    table: Table | None = None
    kind: ClassVar[str] = "panels"


@dataclass(frozen=True)
class KeyEntry:
    """A mark and its meaning; the mark is a sign such as ▲, or `ramp`, `open`, `line`."""

    text: Text
    mark: str = ""
    tone: Direction = ""


@dataclass(frozen=True)
class Key:
    """The meaning of the marks in the picture that follows."""

    items: Sequence[KeyEntry]
    kind: ClassVar[str] = "key"


@dataclass(frozen=True)
class Loss:
    """An entry of a ranked list: title, detail, amount (words or a picture), what to check, by whom."""

    title: Text
    detail: Text = ""
    value: Text = ""
    svg: str | None = None
    check: Text = ""
    owner: bool = True
    rank: str = ""

    @property
    def picture(self) -> Markup | None:
        """The checked picture, described by the value."""
        return None if self.svg is None else picture(self.svg, str(self.value))


@dataclass(frozen=True)
class Ranked:
    """A ranked list, the most valuable first; entries without a rank are numbered."""

    items: Sequence[Loss]
    caption: Text = ""
    table: Table | None = None
    kind: ClassVar[str] = "ranked"


Part = Figure | Table | SoWhat | Panels | TooFew | Key | Ranked | Text


def arrow(direction: Direction, rising: bool | None = None) -> str:
    """Return ▲, ▼ or ●; a good change points up unless it is said to fall."""
    if direction in ("", "noise"):
        return "●" if direction else ""
    return "▲" if (direction == "good" if rising is None else rising) else "▼"


def picture(svg: str, alt: str = "") -> Markup:
    """Return an SVG for inlining: described, with ids that a block makes its own, shapes and text only.

    Raises
    ------
    ConfigError : it is not an SVG, or holds scripts, handlers, links or anything that loads.

    """
    text = re.sub(r"^.*?(?=<svg[\s>])", "", svg, count=1, flags=re.DOTALL).strip()
    _check(text)
    first, *rest = re.split(f"({TAG})", text)[1:]
    if alt:
        bare = re.sub(r'\s(?:role|aria-label)=("[^"]*"|\'[^\']*\')', "", first)
        first = f'{bare.removesuffix(">")} role="img" aria-label="{escape(alt)}">'
    own = [first, *(re.sub(REFERENCES, OWN, piece) if piece.startswith("<") else piece for piece in rest)]
    return Markup("".join(own))  # noqa: S704 - checked above


def numbered(html: str, name: str) -> str:
    """Return HTML in which every picture's ids begin with `name` and the picture's number."""
    before, *pictures = str(html).split("<svg")
    return before + "".join(f"<svg{p.replace(OWN, f'{name}-{n}-')}" for n, p in enumerate(pictures, start=1))


def sentences(thing: object) -> list[Sentence]:
    """Return all sentences in a part or in nested lists of parts, in order."""
    found: list[Sentence] = []
    for leaf in _leaves(thing):
        texts = [leaf.caption, *(column.title for column in leaf.columns)] if isinstance(leaf, Table) else [leaf]
        found += [text for text in texts if isinstance(text, Sentence)]
    return found


def tables(thing: object) -> list[Table]:
    """Return all tables in a part or in nested lists of parts, in order."""
    return [leaf for leaf in _leaves(thing) if isinstance(leaf, Table)]


def numbers(thing: object) -> dict[str, Number]:
    """Return the numbers of all sentences in a part or list of parts."""
    return merged(*(sentence.metrics for sentence in sentences(thing)))


def language_of(*things: object) -> Language:
    """Return the language of the first sentence among the things; English where there is none."""
    return next((sentence.language for thing in things for sentence in sentences(thing)), "en")


def _leaves(thing: object) -> Iterator[Sentence | Table]:
    if isinstance(thing, Sentence | Table):
        yield thing
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from _leaves(item)
    elif is_dataclass(thing) and not isinstance(thing, Value | type):
        for one in fields(thing):
            yield from _leaves(getattr(thing, one.name))


def _check(svg: str) -> None:
    try:
        elements = list(fromstring(svg).iter())  # noqa: S314 - drawn by this package; expat limits entities
    except ParseError as error:
        raise ConfigError(
            "A picture is not an SVG.", found=str(error), allowed="one well-formed svg element"
        ) from error
    for element in elements:
        tag = element.tag.rsplit("}", 1)[-1]
        names = {name.rsplit("}", 1)[-1].lower(): value.strip() for name, value in element.attrib.items()}
        names.pop("aria-label", None)  # may say anything
        acts = tag not in SHAPES or any(name.startswith("on") for name in names)
        loads = not names.get("href", "#").startswith("#") or any(LOADED.search(v) for v in names.values())
        if acts or loads:
            raise ConfigError("A picture acts or loads something.", found=tag, allowed=", ".join(SHAPES))
