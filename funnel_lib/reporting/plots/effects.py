"""Differences: what a change did, how the mix of groups moved."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from funnel_lib.reporting.plots.lettering import LABEL
from funnel_lib.reporting.plots.rows import Look, Row, grid
from funnel_lib.reporting.plots.stage import MARKS, Cell, Stage, records, ticks
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Better = Literal["higher", "lower", "neither"]
Sign = tuple[str, str, str]  # sign, colour of the mark, colour of the words


def differences(
    frame: pd.DataFrame, words: Words = ENGLISH, *, spell: Callable[[float], str] | None = None,
    better: Better = "higher", width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw estimates of differences with their intervals around zero.

    Parameters
    ----------
    frame
        Columns `label`, `estimate`, `low`, `high`, `clear`, and optionally `kind` (said below the label);
        fractions, shown in percentage points. Those that are not clear are grey and dashed; a missing
        estimate is said in words.
    words
        Language, and the titles of labels and kinds.
    spell
        Writes a value with its sign and unit, for differences that are no shares (money, days).
    better
        Whether more is good: decides the colours of clear differences.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the intervals, in the units of the frame.

    """
    stage = Stage(ax, width)
    if not len(frame):
        return stage.nothing(words.nothing())
    rows = records(frame)
    signs = [_sign(row.estimate, row.clear, better) for row in rows]
    lines = [_row(row, sign, words, spell) for row, sign in zip(rows, signs, strict=True)]
    ends = [0.0, *frame["low"].dropna(), *frame["high"].dropna()]
    known = min(ends) < max(ends)
    marks = ticks(min(ends), max(ends), 4 if stage.wide else 2) if known else [-0.01, 0.0, 0.01]
    drawn = grid(stage, lines, marks, spell or words.pointed, Look(stage.wide, pitch=46))
    drawn.lines([0.0])
    for row, y, (_, color, _ink) in zip(rows, drawn.places, signs, strict=True):
        if math.isnan(row.estimate):
            continue
        if row.clear:
            drawn.panel.whisker(row.low, row.high, y, color=color)
        else:
            drawn.panel.line([row.low, row.high], [y, y], color=color, dashes=(5, 3))
        drawn.panel.dots([row.estimate], [y], color=color, size=10)
    return stage.close(drawn.bottom + 2)


def _sign(difference: float, clear: object, better: Better) -> Sign:
    """Return the look of a difference: its sign tells the direction, its colour good or bad."""
    if not clear or math.isnan(difference):
        return MARKS["within"]
    up = difference > 0
    sign = MARKS["above" if up else "below"][0]
    if better == "neither":
        return sign, "c1", "ink"
    _, color, ink = MARKS["above" if up == (better == "higher") else "below"]
    return sign, color, ink


def _row(row: Any, sign: Sign, words: Words, spell: Callable[[float], str] | None) -> Row:
    """Return the words of one difference: what it is, its size, its interval."""
    kind = getattr(row, "kind", None)
    note = words.title(kind) if isinstance(kind, str) else ""
    if math.isnan(row.estimate):
        return Row(words.title(row.label), note=note, quiet=words.too_few())
    if spell is None:
        value, bounds = words.points(row.estimate, row.low, row.high), words.bounds(row.estimate, row.low, row.high)
    else:
        value, bounds = spell(row.estimate), words.between(spell(row.low), spell(row.high))
    return Row(words.title(row.label), (Cell(f"{sign[0]} {value}", sign[2], True, LABEL), Cell(bounds)), note)


def mix(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw each group's share before (open) and now (full), with the interval of the difference at now.

    Parameters
    ----------
    frame
        Columns `group`, `share_before`, `share_now`, `difference`, `low`, `high` (of the difference),
        `clear`; drawn in its order.
    words
        Language, and the titles of the groups.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the shares.

    """
    stage = Stage(ax, width)
    rows = records(frame[frame["share_now"].notna() & frame["share_before"].notna()])
    if not rows:
        return stage.nothing(words.nothing())
    signs = [_sign(row.difference, row.clear, "neither") for row in rows]
    lines = [_moved(row, sign, words) for row, sign in zip(rows, signs, strict=True)]
    ends = [end for row in rows for end in (row.share_before, row.share_now, row.share_before + row.high)]
    reach = min(max([0.01, *(end for end in ends if not math.isnan(end))]), 1.0)
    marks = [mark for mark in ticks(0, reach, 4 if stage.wide else 3) if 0 <= mark <= 1]
    drawn = grid(stage, lines, marks, words.plain, Look(stage.wide, pitch=46))
    for row, y, (_, color, _ink) in zip(rows, drawn.places, signs, strict=True):
        drawn.panel.line([row.share_before, row.share_now], [y, y], color=color, thick=3)
        low, high = max(row.share_before + row.low, 0.0), min(row.share_before + row.high, 1.0)
        drawn.panel.whisker(low, high, y, color=color, cap=6)
        drawn.panel.dots([row.share_before], [y], color=color, size=8, filled=False)
        drawn.panel.dots([row.share_now], [y], color=color, size=10)
    return stage.close(drawn.bottom + 2)


def _moved(row: Any, sign: Sign, words: Words) -> Row:
    """Return the words of one group: both shares, the difference and its interval."""
    shares = Cell(f"{words.percent(row.share_before)} → {words.percent(row.share_now)}", "ink", True)
    change = f"{sign[0]} {words.points(row.difference, row.low, row.high)}"
    if not math.isnan(row.low):
        change += f" {words.bounds(row.difference, row.low, row.high)}"
    return Row(words.title(row.group), (shares, Cell(change, sign[2])))
