"""The same conversions shared out by several rules: how far they disagree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from funnel_lib.reporting.plots.lettering import LABEL
from funnel_lib.reporting.plots.rows import Look, Row, grid
from funnel_lib.reporting.plots.stage import Cell, Stage, records, ticks
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SHAPES = {"first": (">", "c3", 9), "last": ("s", "c2", 8), "markov": ("D", "c1", 8)}
"""The rules with a mark of their own: shape, colour and size; all others are open circles."""
_OTHERS = ("o", "grey", 7)


def shares(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw each channel's share of the conversions by every rule, on one line; channels by their largest share.

    Parameters
    ----------
    frame
        Columns `model`, `channel`, `share`, `low`, `high`; rows without a share are left out. First and last touch
        and the removal effect have marks of their own (`SHAPES`), and the removal effect its interval.
    words
        Language, and the titles of the channels and rules.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the marks, in shares.

    """
    stage, known = Stage(ax, width), frame[frame["share"].notna()]
    if not len(known):
        return stage.nothing(words.too_few() if len(frame) else words.nothing())
    order = list(known.groupby("channel")["share"].max().sort_values(ascending=False, kind="stable").index)
    found = [records(known[known["channel"] == channel].sort_values("share", kind="stable")) for channel in order]
    reach = max(float(known[["share", "high"]].max().max()), 0.01)
    marks = [mark for mark in ticks(0, reach, 4 if stage.wide else 3) if 0 <= mark <= 1]
    lines = [_row(str(channel), rows, words) for channel, rows in zip(order, found, strict=True)]
    drawn = grid(stage, lines, marks, words.plain, Look(stage.wide, pitch=46))
    for rows, y in zip(found, drawn.places, strict=True):
        drawn.panel.line([rows[0].share, rows[-1].share], [y, y], color="line", thick=5)
        for row in sorted(rows, key=lambda row: row.model in SHAPES):
            shape, color, size = SHAPES.get(row.model, _OTHERS)
            if row.model == "markov" and not math.isnan(row.low):
                drawn.panel.whisker(row.low, row.high, y, color=color, cap=4)
            drawn.panel.dots([row.share], [y], color=color, size=size, shape=shape, filled=row.model in SHAPES)
    return stage.close(drawn.bottom + 2)


def _row(channel: str, rows: list[Any], words: Words) -> Row:
    """Return the words of one channel: between which shares the rules put it, and which rules those are."""
    low, high = rows[0], rows[-1]
    if words.percent(low.share) == words.percent(high.share):
        one = Cell(words.percent(high.share), "ink", True, LABEL)
        return Row(words.title(channel), (one, Cell(words.every_rule())))
    span = Cell(words.span((low.share + high.share) / 2, low.share, high.share), "ink", True, LABEL)
    return Row(words.title(channel), (span, Cell(words.between_rules(words.title(low.model), words.title(high.model)))))
