"""Rates held against a bar: a target, one's own past, or what others published."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from funnel_lib.reporting.plots.lettering import LABEL
from funnel_lib.reporting.plots.rows import Grid, Look, Row, grid
from funnel_lib.reporting.plots.stage import MARKS, Cell, Stage, Verdict, records, ticks
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_VERDICTS: dict[str, Verdict] = {"above": "above", "below": "below", "near": "within"}
_HALF, _TICK = 7, 12  # half the height of a bar and of its tick, in pixels


def bullets(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw rates with their intervals, each against its own bar (a thick tick, or a light stretch for a range).

    Parameters
    ----------
    frame
        Columns `label`, `rate`, `low`, `high`, `bar`, `bar_high` (NaN: no range), `light` (`above`, `near`, `below` or
        `grey`: cannot be judged) and `note` (what the bar is); a missing rate is said in words.
    words
        Language, and the titles of labels and notes.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the bars, in shares.

    """
    stage, rows = Stage(ax, width), records(frame)
    if not frame["rate"].notna().any():
        return stage.nothing(words.too_few() if rows else words.nothing())
    reach = max(float(frame[["high", "bar", "bar_high"]].max().max()), 0.01)
    marks = [mark for mark in ticks(0, reach, 4 if stage.wide else 3) if 0 <= mark <= 1]
    drawn = grid(stage, [_row(row, words) for row in rows], marks, words.plain, Look(stage.wide, pitch=46))
    for row, y in zip(rows, drawn.places, strict=True):
        _against(drawn, row, y)
    return stage.close(drawn.bottom + 2)


def _against(drawn: Grid, row: Any, y: float) -> None:
    """Draw one rate as a bar from zero, its interval, and what it is held against."""
    panel = drawn.panel
    if not math.isnan(row.bar_high):
        xs = [row.bar, row.bar_high, row.bar_high, row.bar]
        panel.area(xs, [y - _TICK, y - _TICK, y + _TICK, y + _TICK], color="line")
    if not math.isnan(row.rate):
        panel.area([0, row.rate, row.rate, 0], [y - _HALF, y - _HALF, y + _HALF, y + _HALF], color="c1")
        panel.whisker(row.low, row.high, y, color="ink", halo=True)
    if not math.isnan(row.bar):
        panel.line([row.bar, row.bar], [y - _TICK, y + _TICK], color="ink", thick=4, above=True)


def _row(row: Any, words: Words) -> Row:
    """Return the words of one row: the rate with its light, and its interval."""
    title, note = words.title(row.label), words.title(row.note)
    if math.isnan(row.rate):
        return Row(title, note=note, quiet=words.too_few())
    sign, _, ink = MARKS[_VERDICTS[row.light]] if row.light in _VERDICTS else ("○", "grey", "ink2")
    rate = Cell(f"{sign} {words.percent(row.rate)}", ink, True, LABEL)
    return Row(title, (rate, Cell(words.span(row.rate, row.low, row.high))), note)
