"""A daily rate and the days since when it is another one, with what lay near them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from funnel_lib.reporting.plots.lettering import spread
from funnel_lib.reporting.plots.stage import Cell, Panel, Stage, records, ticks
from funnel_lib.reporting.plots.timeline import End, area, band, calendar, close, dates_axis
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_APART = 18.0  # least pixels between two numbers


def levels(
    daily: pd.DataFrame, found: pd.DataFrame, words: Words = ENGLISH, *, days: pd.DataFrame | None = None,
    width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw a rate day by day, its levels with their intervals, and the days between which they change.

    Parameters
    ----------
    daily
        Columns `day`, `numerator`, `denominator`; days without units have no point.
    found
        The levels: `start`, `end` (both included), `rate`, `low`, `high`, oldest first.
    words
        Language.
    days
        `date`, `number`: days of the calendar to mark with a number, which a list beside the picture explains.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds points and levels, in day numbers and shares.

    """
    stage, seen = Stage(ax, width), daily[daily["denominator"] > 0]
    if not len(seen) or not len(found):
        return stage.nothing(words.too_few() if len(daily) else words.nothing())
    rates = seen["numerator"] / seen["denominator"]
    marks = [mark for mark in ticks(0, max(float(rates.max()), float(found["high"].max()), 1e-4), 4) if 0 <= mark <= 1]
    last = records(found)[-1]
    ends = [
        End(last.rate, [Cell(words.percent(last.rate), "c1", True), Cell(words.span(last.rate, last.low, last.high))])
    ]
    dates = pd.to_datetime(seen["day"])
    xs = [float(day.toordinal()) for day in dates]
    panel = area(stage, 26 if days is not None else 10, (xs[0] - 0.5, xs[-1] + 0.5), marks, words.plain, ends)
    dates_axis(panel, calendar(xs), words)
    if days is not None:
        _marked(panel, days)
    panel.dots(xs, list(rates), color="grey", size=4)
    for row in records(found):
        across = [row.start.toordinal() - 0.5, row.end.toordinal() + 0.5]
        band(panel, across, [row.low] * 2, [row.high] * 2, "c1")
        panel.line(across, [row.rate] * 2, color="c1", thick=2.5, above=True)
    return close(panel, ends, 26)


def _marked(panel: Panel, days: pd.DataFrame) -> None:
    """Draw a dashed line at each day of the calendar, with its number above the plot."""
    inside = [row for row in records(days) if panel.xlim[0] <= row.date.toordinal() <= panel.xlim[1]]
    places = [panel.x(row.date.toordinal()) for row in inside]
    right = panel.left + panel.width
    for row, x, at in zip(
        inside, places, spread(places, [_APART] * len(places), panel.left - 8, right + 8), strict=True
    ):
        day = float(row.date.toordinal())
        panel.line([day, day], list(panel.ylim), color="axis", thick=1, dashes=(2, 3))
        panel.stage.rule([at, x], [panel.top - 8, panel.top - 1], color="axis")
        panel.stage.write(at, panel.top - 12, str(row.number), color="ink", bold=True, align="center")
