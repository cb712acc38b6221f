"""A daily rate inside its control limits, and the days that left them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from funnel_lib.reporting.plots.stage import Cell, Stage, records, ticks
from funnel_lib.reporting.plots.timeline import End, area, band, calendar, close, dates_axis
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def control(
    days: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw a rate day by day inside its limits; days that rang stand out, open ones by the moving average only.

    Parameters
    ----------
    days
        Columns `day`, `denominator`, `rate`, `expected`, `low`, `high`, `outside`, `drifting`, oldest first; days
        without units have no point. Where `learnt` ends, a line marks the first day that is judged.
    words
        Language.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds points and limits, in day numbers and shares.

    """
    stage, seen = Stage(ax, width), days[days["denominator"] > 0]
    if not len(seen):
        return stage.nothing(words.nothing() if not len(days) else words.too_few())
    most = max(float(seen["rate"].max()), float(seen["high"].max()), 1e-4)
    marks = [mark for mark in ticks(0, most, 4) if 0 <= mark <= 1]
    last = records(seen)[-1]
    ends = [
        End(
            last.expected,
            [Cell(words.percent(last.expected), "c1", True), Cell(words.span(last.expected, last.low, last.high))],
        )
    ]
    dates = [day.date() for day in pd.to_datetime(seen["day"])]
    xs = [float(day.toordinal()) for day in dates]
    panel = area(stage, 10, (xs[0] - 0.5, xs[-1] + 0.5), marks, words.plain, ends)
    dates_axis(panel, calendar(xs), words)
    judged = [x for x, learnt in zip(xs, seen.get("learnt", [False] * len(xs)), strict=True) if not learnt]
    if judged and judged[0] > xs[0]:
        stage.rule([panel.x(judged[0] - 0.5)] * 2, [panel.top, panel.top + panel.height], color="ink2", thick=1.5)
    band(panel, xs, list(seen["low"]), list(seen["high"]), "c1")
    panel.line(xs, list(seen["expected"]), color="c1", thick=1.5)
    rang = (seen["outside"] | seen["drifting"]).to_numpy(dtype=bool)
    alone = seen["outside"].to_numpy(dtype=bool)
    kinds = ((~rang, "grey", 4.0, True), (rang & ~alone, "bad", 6.0, False), (alone, "bad", 7.0, True))
    for chosen, color, size, filled in kinds:
        places = chosen.nonzero()[0]
        if len(places):
            rates = seen["rate"].to_numpy()[places]
            panel.dots([xs[place] for place in places], list(rates), color=color, size=size, filled=filled)
    return close(panel, ends, 26)
