"""Groups against each other: step rates in panels, a ranked measure, answers of two groups."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots.lettering import LABEL, SMALL, extent, wrap
from funnel_lib.reporting.plots.rows import Grid, Look, Part, Row, grid
from funnel_lib.reporting.plots.stage import MARKS, Cell, Stage, Verdict, records, ticks
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST_PANELS = 12
"""Small multiples beyond this number belong into a table."""
_HEAD, _GAP, _BETWEEN = 46, 30, 36  # a panel's heading; room between panels, down and across


def panel(
    rates: pd.DataFrame, total: pd.DataFrame, comparisons: pd.DataFrame | None = None,
    words: Words = ENGLISH, *, limit: float = 1.0, width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw one group's step rates with intervals, each against the line of the total.

    Parameters
    ----------
    rates
        The group's rows of `rates`: `step`, `name`, `base`, `numerator`, `rate`, `low`, `high`; those with
        base previous are drawn, and a missing rate is said in words.
    total
        The same columns, for all units.
    comparisons
        The group's rows of `compare`, with their `step`, `difference` and `clear`; they give the marks ▲ ▼ ●.
        Without them there are no marks.
    words
        Language, and the titles of the steps.
    limit
        The right end of the scale, the same for all panels that are to be compared.
    width, ax
        See `funnel`.

    """
    stage = Stage(ax, width)
    rows = _transitions(rates)
    if not rows["rate"].notna().any():
        return stage.nothing(words.too_few() if len(rows) else words.nothing())
    bottom = _panel(stage, (0, 0, stage.width), rows, _transitions(total), comparisons, words, limit)
    return stage.close(bottom + 2)


def small_multiples(
    rates: pd.DataFrame, total: pd.DataFrame, comparisons: pd.DataFrame | None = None,
    words: Words = ENGLISH, *, limit: float = 1.0, width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw a panel for each group, in the order of the frame, all on one scale; see `panel`.

    Parameters
    ----------
    rates, comparisons
        As for `panel`, of all groups, with the column `group`; 12 groups at most are drawn, and the number of
        the others is said.
    total, words, limit, width, ax
        As for `panel`.

    """
    stage = Stage(ax, width)
    groups = list(rates["group"].unique())
    if not groups:
        return stage.nothing(words.nothing())
    columns = 3 if stage.width > 800 else 2 if stage.wide else 1
    across = (stage.width - _BETWEEN * (columns - 1)) / columns
    y, shown, reference = 0.0, groups[:MOST_PANELS], _transitions(total)
    for start in range(0, len(shown), columns):
        bottom = y + _HEAD + 20
        for place, group in enumerate(shown[start : start + columns]):
            own, left = rates[rates["group"] == group], place * (across + _BETWEEN)
            against = None if comparisons is None else comparisons[comparisons["group"] == group]
            if _heading(stage, (left, y, across), group, own, words):
                part, rows = (left, y + _HEAD, across), _transitions(own)
                bottom = max(bottom, _panel(stage, part, rows, reference, against, words, limit))
        y = bottom + _GAP
    if len(groups) > len(shown):
        stage.write(0, y - 8, words.more(len(groups) - len(shown)))
        y += 20
    return stage.close(y - _GAP + 4)


def _transitions(rates: pd.DataFrame) -> pd.DataFrame:
    return rates[rates["base"] == "previous"].sort_values("step")


def _heading(stage: Stage, part: Part, group: object, rates: pd.DataFrame, words: Words) -> bool:
    """Write the group's name, size and rate from first to last step; return whether any rate is known."""
    left, top, width = part
    stage.rule([left, left + width], [top + 0.5] * 2, color="line")
    first = records(rates[rates["base"] == "first"].sort_values("step"))
    rate = Cell("", "ink", True, LABEL)
    if len(first) > 1 and not math.isnan(first[-1].rate):
        whole = first[-1]
        rate = Cell(words.percent(whole.rate), "ink", True, LABEL)
        stage.cell(left + width, top + 19, rate, align="right")
        span = words.span(whole.rate, whole.low, whole.high)
        stage.write(left + width, top + 36, span, align="right")
    title = wrap(words.title(group), width - rate.width - 10, LABEL, bold=True, lines=1)
    stage.write(left, top + 19, title[0], color="ink", size=LABEL, bold=True)
    if first:
        stage.write(left, top + 36, words.units(first[0].denominator))
    known = bool(_transitions(rates)["rate"].notna().any())
    stage.write(left, top + 60, "" if known else words.too_few())
    return known


def _panel(
    stage: Stage, part: Part, rows: pd.DataFrame, total: pd.DataFrame, comparisons: pd.DataFrame | None,
    words: Words, limit: float,
) -> float:  # fmt: skip
    """Draw one panel and return its bottom."""
    verdicts = _verdicts(comparisons)
    lines = [_line(row, verdicts.get(row.step), words) for row in records(rows)]
    look = Look(True, pitch=25, share=0.36, size=SMALL, words=extent("100.0% ▲", SMALL, True))
    drawn = grid(stage, lines, [0.0, limit / 2, limit], words.plain, look, part=part)
    reference = {row.step: float(row.rate) for row in records(total)}
    known = [(row, y) for row, y in zip(records(rows), drawn.places, strict=True) if not math.isnan(row.rate)]
    xs = [x for row, _ in known for x in (reference.get(row.step, math.nan),) * 3]
    ys = [end for _, y in known for end in (y - 8, y + 8, math.nan)]
    drawn.panel.line(xs, ys, color="ink", thick=2)
    for row, y in known:
        color = MARKS[verdicts[row.step]][1] if row.step in verdicts else "c1"
        _interval(drawn, row, y, color, size=7, cap=4)
    return drawn.bottom


def _line(row: Any, verdict: Verdict | None, words: Words) -> Row:
    """Return a step's title, and its rate with the mark of the comparison."""
    if math.isnan(row.rate):
        return Row(words.title(row.name), quiet=words.too_few(row.numerator))
    sign, _, color = MARKS[verdict or "within"]
    clear = verdict in ("above", "below")
    text = words.percent(row.rate) + (f" {sign}" if verdict else "")
    return Row(words.title(row.name), (Cell(text, color if clear else "ink2", clear),))


def _verdicts(comparisons: pd.DataFrame | None) -> dict[int, Verdict]:
    """Return by step whether the group is clearly above or below the others."""
    if comparisons is None:
        return {}
    known = records(comparisons[comparisons["difference"].notna()])
    return {row.step: _verdict(row.clear, row.difference > 0) for row in known}


def _verdict(clear: object, above: bool) -> Verdict:
    return "within" if not clear else "above" if above else "below"


def _interval(drawn: Grid, row: Any, y: float, color: str, *, size: float, cap: float = 5, shape: str = "o") -> None:
    if not math.isnan(row.rate):
        drawn.panel.whisker(row.low, row.high, y, color=color, cap=cap)
        drawn.panel.dots([row.rate], [y], color=color, size=size, shape=shape)


def ranked(
    frame: pd.DataFrame, words: Words = ENGLISH, *, total: float = math.nan, width: int | None = None,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw one rate per group with its interval, highest first, against the line of the total.

    Parameters
    ----------
    frame
        Columns `group`, `rate`, `low`, `high`, `n`, `clear`, `direction` (above or below the others; read
        only where `clear`); a missing rate is said in words, at the end.
    words
        Language, and the titles of the groups.
    total
        The rate of all units; without it there is no line.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the intervals, highest rate first.

    """
    stage = Stage(ax, width)
    if not len(frame):
        return stage.nothing(words.nothing())
    rows = records(frame.sort_values("rate", ascending=False, kind="stable", na_position="last"))
    verdicts = [_verdict(row.clear, row.direction == "above") for row in rows]
    lines = [_ranked_row(row, verdict, words) for row, verdict in zip(rows, verdicts, strict=True)]
    top = max([0.0, *frame["high"].dropna(), *([] if math.isnan(total) else [total])]) or 1.0
    marks = [mark for mark in ticks(0, top, 4 if stage.wide else 3) if mark >= 0]
    head = 0 if math.isnan(total) else 20
    drawn = grid(stage, lines, marks, words.plain, Look(stage.wide, pitch=46), part=(0, head, stage.width))
    if head:
        drawn.lines([total])
        label = Cell(words.all(total), "ink", True)
        centre = min(max(drawn.panel.x(total), label.width / 2), stage.width - label.width / 2)
        stage.cell(centre, 14, label, align="center")
    for row, y, verdict in zip(rows, drawn.places, verdicts, strict=True):
        _interval(drawn, row, y, MARKS[verdict][1], size=9)
    return stage.close(drawn.bottom + 2)


def _ranked_row(row: Any, verdict: Verdict, words: Words) -> Row:
    """Return a group's title and size, and its rate with its mark."""
    title, note = words.title(row.group), words.units(row.n)
    if math.isnan(row.rate):
        return Row(title, note=note, quiet=words.too_few())
    sign, _, color = MARKS[verdict]
    rate = Cell(f"{sign} {words.percent(row.rate)}", color, True, LABEL)
    return Row(title, (rate, Cell(words.span(row.rate, row.low, row.high))), note)


def answers(frame: pd.DataFrame, words: Words = ENGLISH, *, width: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw how often each answer was given by one or two groups, with intervals.

    Parameters
    ----------
    frame
        Columns `answer`, `group`, `rate`, `low`, `high`, one row per answer and group, answers in the order
        in which they are to be read; a missing rate is said in words.
    words
        Language, and the titles of answers and groups.
    width, ax
        See `funnel`.

    Raises
    ------
    ConfigError : more than two groups.

    """
    groups = list(frame["group"].unique())
    if len(groups) > 2:
        raise ConfigError(
            "The picture of answers compares two groups at most.", found=", ".join(map(str, groups)),
            allowed="one or two groups", do="Choose the rows of two groups.",
        )  # fmt: skip
    stage = Stage(ax, width)
    if not frame["rate"].notna().any():
        return stage.nothing(words.too_few() if len(frame) else words.nothing())
    looks = list(zip(groups, (("●", "c1", "o", 9), ("◆", "c2", "D", 7)), strict=False))
    found = {(row.answer, row.group): row for row in records(frame)}
    given = list(frame["answer"].unique())
    lines = [
        Row(
            words.title(answer),
            tuple(_answer(found.get((answer, group)), look, words) for group, look in looks),
        )
        for answer in given
    ]
    header = [Cell(f"{sign} {words.title(group)}", color, True) for group, (sign, color, *_) in looks]
    top = max(frame["high"].max(), 0.01)
    marks = [mark for mark in ticks(0, top, 4 if stage.wide else 2) if 0 <= mark <= 1]
    look = Look(stage.wide, inline=True, pitch=18 + 17 * len(groups), share=0.36)
    drawn = grid(stage, lines, marks, words.plain, look, header=header if len(groups) > 1 else ())
    for answer, y in zip(given, drawn.places, strict=True):
        for place, (group, (_, color, shape, size)) in enumerate(looks):
            if row := found.get((answer, group)):
                at = y + 17 * (place - (len(groups) - 1) / 2)
                _interval(drawn, row, at, color, size=size, shape=shape)
    return stage.close(drawn.bottom + 2)


def _answer(row: Any, look: tuple[str, str, str, int], words: Words) -> Cell:
    """Return a group's share in words, behind its sign, so that it is told apart without colour."""
    few = row is None or math.isnan(row.rate)
    rate = words.too_few() if few else words.with_span(row.rate, row.low, row.high)
    return Cell(f"{look[0]} {rate}", look[1])
