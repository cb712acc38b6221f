"""Which days each source covers, and how well."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from funnel_lib.reporting.plots.lettering import LABEL, extent, wrap
from funnel_lib.reporting.plots.stage import Box, Panel, Stage
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR, _ROW = 3, 34  # the narrowest bar, and the height of a source's bars


def coverage(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the rows per day of each source, each on its own scale, with the days that have none.

    Parameters
    ----------
    frame
        Columns `source`, `day`, `rows`. Of the days between the first and the last of all sources, those that
        a source lacks, or has with no rows, count as days without data. Where days are narrower than three
        pixels, a bar is the mean of several.
    words
        Language, and the titles of the sources.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; it has one child Axes per source, in days since the first day and rows.

    """
    stage, dated = Stage(ax, width), frame[frame["day"].notna()]
    if not len(dated):
        return stage.nothing(words.nothing())
    days = pd.to_datetime(dated["day"]).dt.date
    first, span = min(days), (max(days) - min(days)).days + 1
    sources = list(frame["source"].unique())
    names = min(max(extent(words.title(source), LABEL) for source in sources), 0.2 * stage.width) + 16
    left, y = names if stage.wide else 0.0, 4.0
    for source in sources:
        own = (dated["source"] == source).to_numpy()
        rows = dated.loc[own, "rows"].to_numpy(float)
        counts = pd.Series(rows, index=days[own].to_list()).groupby(level=0).sum().to_dict()
        values = [float(counts.get(first + timedelta(days=place), 0)) for place in range(span)]
        y = _told(stage, words.title(source), values, y, names, words)
        panel = _source(stage, values, (left, y, stage.width - left, _ROW))
        y += _ROW + 18
    _days(panel, first, span, y + 6, words)
    return stage.close(y + 12)


def _told(stage: Stage, title: str, values: Sequence[float], y: float, names: float, words: Words) -> float:
    """Write a source's name and what its days are like; return the top of its bars."""
    gaps = sum(not value for value in values)
    most, told, color = (
        words.busiest(max(values)),
        words.missing(gaps, len(values)),
        "bad" if gaps else "ink2",
    )
    if stage.wide:
        lines = wrap(title, names - 15, LABEL, lines=2)
        stage.lines(0, y + 42 - 9 * (len(lines) - 1), lines, color="ink", size=LABEL)
        stage.write(names, y + 12, told, color=color)
        stage.write(stage.width, y + 12, most, align="right")
        return y + 20
    y = stage.lines(0, y + 13, wrap(title, stage.width, LABEL, lines=2), color="ink", size=LABEL) + 17
    stage.write(0, y, told, color=color)
    fits = extent(told) + extent(most) + 12 <= stage.width
    y += 0 if fits else 16
    stage.write(stage.width, y, most, align="right")
    return y + 6


def _source(stage: Stage, values: Sequence[float], box: Box) -> Panel:
    """Draw one source's days as one outline of bars, and a mark below the days without data."""
    panel = stage.panel(box, (0, len(values)), (0, max(*values, 1)))
    per = max(1, math.ceil(_BAR * len(values) / panel.width))
    bars = [values[place : place + per] for place in range(0, len(values), per)]
    heights = [sum(bar) / len(bar) for bar in bars for _ in range(2)]
    ends = [min((place + side) * per, len(values)) for place in range(len(bars)) for side in (0, 1)]
    panel.area([0, *ends, len(values)], [0, *heights, 0], color="c1")
    bottom = box[1] + box[3]
    stage.rule([box[0], box[0] + box[2]], [bottom, bottom], color="axis")
    for start, end in _gaps(values):
        middle, half = panel.x((start + end) / 2), max(panel.x(end) - panel.x(start), 3) / 2
        stage.rule([middle - half, middle + half], [bottom + 5] * 2, color="c2", thick=5, above=True)
    return panel


def _gaps(values: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of days without rows."""
    start = None
    for place, value in enumerate([*values, 1.0]):
        if not value and start is None:
            start = place
        elif value and start is not None:
            yield start, place
            start = None


def _days(panel: Panel, first: date, span: int, y: float, words: Words) -> None:
    """Write dates below the last source, evenly."""
    room = extent(words.date(date(2000, 12, 28))) + 20
    places = range(0, span, max(1, math.ceil(span * room / panel.width)))
    days = [words.date(first + timedelta(days=place)) for place in places]
    panel.stage.scale([panel.x(place + 0.5) for place in places], days, y)
