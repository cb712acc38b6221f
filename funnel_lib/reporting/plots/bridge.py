"""From one rate to another: what each part added or took away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from funnel_lib.reporting.plots.lettering import LABEL
from funnel_lib.reporting.plots.rows import Grid, Look, Row, grid
from funnel_lib.reporting.plots.stage import MARKS, Cell, Stage, records, ticks
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Kind = Literal["start", "part", "end"]
_HALF = 8  # half the height of a bar, in pixels
_LEAST = 1e-6
"""A change smaller than this leaves nothing to divide a scale by."""


def bridge(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw how the parts of a change lead from the rate before to the rate now.

    Parts that are clear are filled (green up, vermilion down), all others dashed outlines; each begins where the one
    before ended. The scale does not start at zero, so the two rates are marks, not bars.

    Parameters
    ----------
    frame
        Columns `label`, `kind` (`start`, `part` or `end`), `value` (the rate, or the part), `low`, `high` (NaN: none)
        and `clear`; in the order in which they are to be read.
    words
        Language, and the titles of the labels.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the bars, in shares.

    """
    stage, rows = Stage(ax, width), records(frame)
    if not rows or frame["value"].isna().any():
        return stage.nothing(words.too_few() if rows else words.nothing())
    stops = _stops(rows)
    marks = ticks(*_ends(stops), 4 if stage.wide else 3)
    drawn = grid(stage, [_row(row, words) for row in rows], marks, words.plain, Look(stage.wide, pitch=40))
    for row, (begin, end), y in zip(rows, stops, drawn.places, strict=True):
        if row.kind == "part":
            _bar(drawn, row, begin, end, y)
        else:
            drawn.panel.dots([end], [y], color="c1", size=11)
    for (_, end), above, below in zip(stops, drawn.places, drawn.places[1:], strict=False):
        drawn.panel.line([end, end], [above, below], color="axis", thick=1, dashes=(2, 2))
    return stage.close(drawn.bottom + 2)


def _stops(rows: list[Any]) -> list[tuple[float, float]]:
    """Return where each row begins and ends on the scale."""
    at, found = 0.0, []
    for row in rows:
        begin, at = (at, at + row.value) if row.kind == "part" else (row.value, row.value)
        found.append((begin, at))
    return found


def _ends(stops: list[tuple[float, float]]) -> tuple[float, float]:
    """Return between which rates the scale lies; where nothing moved at all, a point to either side."""
    places = [place for pair in stops for place in pair]
    low, high = min(places), max(places)
    return (low, high) if high - low > _LEAST else (max(0.0, low - 0.01), min(1.0, high + 0.01))


def _bar(drawn: Grid, row: Any, begin: float, end: float, y: float) -> None:
    color = MARKS["above" if row.value > 0 else "below"][1] if row.clear else "grey"
    xs, ys = [begin, end, end, begin, begin], [y - _HALF, y - _HALF, y + _HALF, y + _HALF, y - _HALF]
    if row.clear:
        drawn.panel.area(xs[:4], ys[:4], color=color)
    else:
        drawn.panel.line(xs, ys, color=color, thick=1.5, dashes=(4, 3))


def _row(row: Any, words: Words) -> Row:
    """Return the words of one row: the rate, or the part with its interval."""
    title = words.title(row.label)
    if row.kind != "part":
        return Row(title, (Cell(words.percent(row.value), "ink", True, LABEL),))
    sign, _, ink = MARKS["within" if not row.clear else "above" if row.value > 0 else "below"]
    bounds = words.bounds(row.value, row.low, row.high) if row.low == row.low else ""
    return Row(title, (Cell(f"{sign} {words.points(row.value, row.low, row.high)}", ink, True, LABEL), Cell(bounds)))
