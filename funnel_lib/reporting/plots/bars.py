"""How something is spread: upright bars of one width on an axis of days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from funnel_lib.reporting.plots.curves import days_axis
from funnel_lib.reporting.plots.stage import Panel, Stage, records, ticks
from funnel_lib.reporting.plots.timeline import area
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_GAP = 1.0  # pixels between bars
_BELOW = 44  # room for the axis of days


def histogram(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw how the time to convert is spread: the share that converts in each stretch of days.

    Parameters
    ----------
    frame
        Columns `from_days`, `to_days`, `share`, of one group; bins without a share are left empty.
    words
        Language.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the bars, in days and shares.

    """
    stage, known = Stage(ax, width), frame[frame["share"].notna()]
    if not len(known):
        return stage.nothing(words.too_few() if len(frame) else words.nothing())
    marks = [mark for mark in ticks(0, max(float(known["share"].max()), 1e-4), 4) if mark >= 0]
    panel = area(stage, 10, (0, float(frame["to_days"].max())), marks, words.plain, [])
    for row in records(known):
        _bar(panel, row.from_days, row.to_days, row.share)
    days_axis(panel, words)
    return stage.close(panel.top + panel.height + _BELOW)


def _bar(panel: Panel, start: float, end: float, share: float) -> None:
    gap = _GAP * (panel.xlim[1] - panel.xlim[0]) / panel.width
    left, right = start + gap / 2, max(end - gap / 2, start + gap)
    panel.area([left, right, right, left], [0, 0, share, share], color="c1")
