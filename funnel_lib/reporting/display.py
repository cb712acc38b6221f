"""Results as tables of the house in JupyterLab: ``%load_ext funnel_lib.reporting.display``.

Frames of rates show the interval below each rate; long frames show their first rows and say how many there are;
journeys show how far people went. Blocks of reports get their style.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from funnel_lib.conversion.journeys import Journeys
from funnel_lib.notation import Language
from funnel_lib.reporting import blocks
from funnel_lib.reporting.estimates import Points, Rate
from funnel_lib.reporting.markup import LANGUAGES, fragment
from funnel_lib.reporting.tables import Column, Show, Table
from funnel_lib.reporting.wording import Say, Sentence

ROWS, COLUMNS = 30, 14
# What a frame's estimate is, by the name of its column; `low` and `high` are its interval.
ESTIMATES: dict[str, Show] = {"rate": Rate, "difference": Points}


@dataclass(frozen=True)
class Shown:
    """A result as HTML; JupyterLab shows it."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def frame(data: pd.DataFrame, *, caption: str = "", language: Language = "en", rows: int = ROWS) -> Shown:
    """Return a frame as a table of the house: its first `rows` rows, an estimate with its interval in one cell."""
    say, named = Say(language), data.index.name is not None or data.index.nlevels > 1
    flat = (data.reset_index() if named else data).rename(columns=str)
    flat = flat.loc[:, ~flat.columns.duplicated()].iloc[:, :COLUMNS]
    left_out = max(len(flat) - rows, 0)
    note = say("{n} rows; the first {shown} are shown", n=len(flat), shown=rows) if left_out else _rows(say, len(flat))
    table = Table(flat.head(rows), _columns(flat), f"{caption} · {note}" if caption else note, look="seg")
    inner = fragment(language, "table", table)
    return Shown(str(Markup('<div class="funnel" lang="{}">{}</div>').format(LANGUAGES[language][0], inner)))


def journeys(found: Journeys, *, language: Language = "en") -> Shown:
    """Return how far the units of journeys went, step by step."""
    say, counts = Say(language), found.counts()
    caption = say("{n} went through the funnel", n=len(found.frame))
    table = counts[[name for name in ("step", "name", "units") if name in counts]]
    return frame(table, caption=caption.text, language=language)


def load_ipython_extension(ipython: Any) -> None:
    """Show frames and journeys as tables of the house in this notebook, and give the blocks their style."""
    html = ipython.display_formatter.formatters["text/html"]
    html.for_type(pd.DataFrame, lambda data: frame(data).html)
    html.for_type(Journeys, lambda found: journeys(found).html)
    ipython.display_pub.publish(blocks.style()._repr_mimebundle_())


def unload_ipython_extension(ipython: Any) -> None:
    """Show frames and journeys as before."""
    html = ipython.display_formatter.formatters["text/html"]
    for kind in (pd.DataFrame, Journeys):
        html.pop(kind, None)


def _rows(say: Say, n: int) -> Sentence:
    return say.plural(n, "{n} row", "{n} rows")


def _columns(data: pd.DataFrame) -> list[Column]:
    """Return how each column is shown; the ends of an interval stand with their estimate."""
    estimate = next((name for name in ESTIMATES if name in data), None)
    whole = estimate is not None and {"low", "high"} <= set(data.columns)
    found = []
    for name in map(str, data.columns):
        if whole and name in ("low", "high"):
            continue
        if whole and name == estimate:
            found.append(Column(name, name, ESTIMATES[name], low="low", high="high"))
        else:
            found.append(Column(name, name, left=data[name].dtype.kind not in "iuf"))
    return found
