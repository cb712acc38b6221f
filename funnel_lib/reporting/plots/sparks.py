"""The small lines of key figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from funnel_lib.reporting.plots.paper import svg
from funnel_lib.reporting.plots.stage import Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 160, 34


def sparkline(
    values: Sequence[float], final: Sequence[bool], *, width: int | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a small line without scale; its last point is open, and reached by a dashed line, if not final.

    Parameters
    ----------
    values
        One per period, oldest first; NaN interrupts the line.
    final
        Whether each value is final.
    width, ax
        See `funnel`.

    """
    stage = Stage(ax, width or (WIDTH if ax is None else None))
    known = [place for place, value in enumerate(values) if not math.isnan(value)]
    if not known:
        return stage.close(HEIGHT)
    low, high = min(values[place] for place in known), max(values[place] for place in known)
    middle, half = (low + high) / 2, (high - low) / 2 or 1.0
    box = (6, 6, stage.width - 12, HEIGHT - 12)
    panel = stage.panel(box, (0, max(len(values) - 1, 1)), (middle - half, middle + half))
    loose = next((place for place in range(len(values)) if not final[place]), len(values))
    panel.line(range(loose), values[:loose], color="grey", thick=1.5)
    start = max(loose - 1, 0)
    panel.line(range(start, len(values)), values[start:], color="c1", dashes=(3, 2))
    last = known[-1]
    panel.dots([last], [values[last]], color="c1", size=7, filled=bool(final[last]))
    return stage.close(HEIGHT)


def spark(values: Sequence[float], final: Sequence[bool], *, alt: str) -> str:
    """Return `sparkline` as SVG, for a card; `alt` says what it shows."""
    return svg(lambda ax, width: sparkline(values, final, ax=ax, width=width), WIDTH, None, alt)
