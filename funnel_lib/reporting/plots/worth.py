"""What customers bring: margin by age against what they cost, and conversion beside value."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from funnel_lib.reporting.plots.curves import days_axis
from funnel_lib.reporting.plots.lettering import LABEL
from funnel_lib.reporting.plots.rows import Look, Row, grid
from funnel_lib.reporting.plots.stage import MARKS, Cell, Stage, Verdict, records, ticks
from funnel_lib.reporting.plots.timeline import End, area, band, close
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Spell = Callable[[float], str]
_PITCH = 66  # room for a title of three lines: rows of both halves are equally high
_GAP = 28


def margins(
    frame: pd.DataFrame, words: Words = ENGLISH, *, spell: Spell, cost: float = math.nan, cost_title: str = "",
    axis: str = "", width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw the margin per customer by days since the first order, against what a customer cost.

    Parameters
    ----------
    frame
        Columns `day`, `margin`, `low`, `high`; rows without a margin are left out.
    words
        Language.
    spell
        Writes an amount of money.
    cost, cost_title
        What a customer cost, as a dashed line, and its label; without it there is none.
    axis
        What the days are counted from, where it is not the first order.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the curve, in days and money.

    """
    stage, known = Stage(ax, width), frame[frame["margin"].notna()].sort_values("day")
    if not len(known):
        return stage.nothing(words.too_few() if len(frame) else words.nothing())
    priced = not math.isnan(cost)
    last: Any = records(known)[-1]
    ends = [End(last.margin, [Cell(spell(last.margin), "ink", True, LABEL)])]
    if priced:
        ends.append(End(cost, [Cell(cost_title, "bad", True), Cell(spell(cost), "bad")]))
    top = max(float(known["high"].max()), cost if priced else 0.0, 1e-6)
    marks = [mark for mark in ticks(0, top, 4) if mark >= 0]
    panel = area(stage, 10, (0, max(float(last.day), 1.0)), marks, spell, ends)
    days, values = known["day"].tolist(), known["margin"].tolist()
    band(panel, days, known["low"].tolist(), known["high"].tolist(), "c1")
    panel.line(days, values, color="c1", thick=2.5)
    panel.dots(days, values, color="c1", size=7)
    if priced:
        panel.line(panel.xlim, [cost, cost], color="c2", dashes=(7, 3))
    days_axis(panel, words, axis or words.days_as_customer())
    return close(panel, ends, 44)


def balance(
    frame: pd.DataFrame, words: Words = ENGLISH, *, spell: Spell, headings: tuple[str, str], width: int | None = None,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw each group's conversion rate beside what a conversion of it brings.

    Parameters
    ----------
    frame
        Columns `group`, `rate`, `low`, `high`, `rate_side`, `value`, `value_low`, `value_high`, `value_side`; a side is
        `above`, `below` or `within` the others. What is missing is said in words.
    words
        Language, and the titles of the groups.
    spell
        Writes an amount of money.
    headings
        What stands above the two halves.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its first child Axes holds the rates, its second the values.

    """
    stage, rows = Stage(ax, width), records(frame)
    if not rows:
        return stage.nothing(words.nothing())
    if not frame[["rate", "value"]].notna().any().any():
        return stage.nothing(words.too_few())
    half = (stage.width - _GAP) / 2
    left = (0.0, 0.0, half * 1.2) if stage.wide else (0.0, 0.0, float(stage.width))
    first = _half(
        stage, rows, ("rate", "low", "high", "rate_side"), words, words.percent, words.plain, headings[0], left
    )
    part = (half * 1.2 + _GAP, 0.0, half * 0.8) if stage.wide else (0.0, first + 24, float(stage.width))
    names = ("value", "value_low", "value_high", "value_side")
    second = _half(stage, rows, names, words, spell, spell, headings[1], part, titled=not stage.wide)
    return stage.close(max(first, second) + 2)


def _half(
    stage: Stage, rows: Sequence[Any], names: tuple[str, str, str, str], words: Words, spell: Spell, mark: Spell,
    heading: str, part: tuple[float, float, float], *, titled: bool = True,
) -> float:  # fmt: skip
    """Draw one measure of all groups; return its bottom."""
    value, low, high, side = names
    lines = [_line(row, value, side, words, spell, titled) for row in rows]
    tops = [getattr(row, high) for row in rows if not math.isnan(getattr(row, high))]
    marks = [at for at in ticks(0, max([*tops, 1e-6]), 3 if stage.wide else 2) if at >= 0]
    look = Look(stage.wide, pitch=_PITCH, share=0.34)
    stage.write(part[0], part[1] + 14, heading, color="ink", bold=True)
    drawn = grid(stage, lines, marks, mark, look, part=(part[0], part[1] + 22, part[2]))
    for row, y in zip(rows, drawn.places, strict=True):
        if not math.isnan(getattr(row, value)):
            color = MARKS[_side(row, side)][1]
            drawn.panel.whisker(getattr(row, low), getattr(row, high), y, color=color)
            drawn.panel.dots([getattr(row, value)], [y], color=color, size=9)
    return drawn.bottom


def _side(row: Any, name: str) -> Verdict:
    found: Verdict = getattr(row, name)
    return found


def _line(row: Any, value: str, side: str, words: Words, spell: Spell, titled: bool) -> Row:
    title, number = words.title(row.group) if titled else "", getattr(row, value)
    if math.isnan(number):
        return Row(title, quiet=words.too_few())
    sign, _, color = MARKS[_side(row, side)]
    return Row(title, (Cell(f"{sign} {spell(number)}", color, True),))
