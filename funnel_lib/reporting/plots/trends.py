"""A rate week by week."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from funnel_lib.reporting.plots.lettering import LABEL, SMALL, extent, wrap
from funnel_lib.reporting.plots.paper import SERIES
from funnel_lib.reporting.plots.stage import MARKS, Box, Cell, Panel, Stage, records, ticks
from funnel_lib.reporting.plots.timeline import End, area, at_most_four, band, close, dates_axis, named
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHAPES = ("o", "s", "D", "P")  # triangles are kept for what is unusual
_LABELLED = 3  # unusual points beyond these are marked but not named
_COVERED = 2  # points that a label may cover
_CROWDED = 9  # pixels between points below which intervals become a band


class _Week(NamedTuple):
    x: float  # day number
    day: date
    rate: float
    low: float
    high: float
    final: bool

    @property
    def known(self) -> bool:
        """Whether there were enough for a rate."""
        return not math.isnan(self.rate)


def trend(
    frame: pd.DataFrame, words: Words = ENGLISH, *, flagged: pd.DataFrame | None = None,
    width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw a rate over time with its intervals, for one to four groups.

    Parameters
    ----------
    frame
        Columns `group`, `start` (first day of the week or month), `rate`, `low`, `high`, `final`. Points that
        are not final are open and their lines dashed; where there were too few, the line is interrupted.
    words
        Language, and the titles of the groups.
    flagged
        Unusual points of the same step: `group`, `start`, `difference` and `clear`, most significant first;
        those that are clear get ▲ or ▼, the first three also a label.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the lines, in day numbers and shares.

    Raises
    ------
    ConfigError : more than four groups.

    """
    series, stage = _weeks(frame), Stage(ax, width)
    weeks = [week for line in series.values() for week in line if week.known]
    if not weeks:
        return stage.nothing(words.too_few() if len(frame) else words.nothing())
    low, high = min(week.low for week in weeks), max(week.high for week in weeks)
    marks = ticks(0 if low < 0.5 * high else low, max(high, 1e-4), 5 if stage.wide else 4)
    days = sorted({week.x: week.day for line in series.values() for week in line}.items())
    half = (days[1][0] - days[0][0]) / 2 if len(days) > 1 else 1.0
    ends = [
        _end(stage, group, line, words, place if len(series) > 1 else None)
        for place, (group, line) in enumerate(series.items())
    ]
    notes = wrap(_notes(series, marks[0], words), stage.width, lines=2)
    panel = area(stage, 8 + 16 * len(notes), (days[0][0] - half, days[-1][0] + half), marks, words.plain, ends)
    dates_axis(panel, days, words)
    edge = max(panel.left + panel.width, max(extent(note) for note in notes))
    stage.lines(edge, 12, notes, align="right")
    crowded = panel.width / len(days) < _CROWDED
    apart = 0.0 if crowded else 4 * (panel.xlim[1] - panel.xlim[0]) / panel.width
    for place, (group, line) in enumerate(series.items()):
        shift = apart * (place - (len(series) - 1) / 2)
        series[group] = [week._replace(x=week.x + shift) for week in line]
        _draw(panel, series[group], SERIES[place], _SHAPES[place], crowded)
    _flag(panel, series, flagged, words)
    return close(panel, ends, 26)


def _weeks(frame: pd.DataFrame) -> dict[object, list[_Week]]:
    """Return the points of each group in order of time."""
    at_most_four(list(frame["group"].unique()))
    found: dict[object, list[_Week]] = {group: [] for group in frame["group"].unique()}
    for day, row in zip(pd.to_datetime(frame["start"]).dt.date, records(frame), strict=True):
        week = _Week(day.toordinal(), day, float(row.rate), float(row.low), float(row.high), bool(row.final))
        found[row.group].append(week)
    return {group: sorted(line) for group, line in found.items()}


def _end(stage: Stage, group: object, line: Sequence[_Week], words: Words, place: int | None) -> End:
    """Return the last rate of a series with its label: the name where there are several, and the rate."""
    rate = next((week.rate for week in reversed(line) if week.known), math.nan)
    text = words.too_few() if math.isnan(rate) else words.percent(rate)
    if place is None:
        return End(rate, [Cell(text, "ink", True, LABEL)])
    return End(rate, [*named(stage, words.title(group), place, SMALL), Cell(text)])


def _notes(series: Mapping[object, Sequence[_Week]], start: float, words: Words) -> str:
    """Say what the marks mean, where they occur, and where the scale starts if not at zero."""
    weeks = [week for line in series.values() for week in line]
    notes = [words.starts_at(start)] if start else []
    notes += [words.open_marks()] if any(week.known and not week.final for week in weeks) else []
    notes += [words.crosses()] if any(not week.known for week in weeks) else []
    return " · ".join(notes)


def _draw(panel: Panel, line: Sequence[_Week], color: str, shape: str, crowded: bool) -> None:
    """Draw one series: intervals, line (dashed where not final), points (open where not final)."""
    xs, nan = [week.x for week in line], math.nan
    if crowded:
        band(panel, xs, [week.low for week in line], [week.high for week in line], color)
    else:
        whiskers = [(x, y) for x, week in zip(xs, line, strict=True) for y in (week.low, week.high, nan)]
        panel.line([x for x, _ in whiskers], [y for _, y in whiskers], color=color, thick=1.5)
    after = [*(not week.final for week in line[1:]), False]
    panel.line(xs, [week.rate if week.final else nan for week in line], color=color, thick=1.5)
    loose = [week.rate if not week.final or late else nan for week, late in zip(line, after, strict=True)]
    panel.line(xs, loose, color=color, thick=1.5, dashes=(4, 3))
    size = (5.0 if crowded else 7.0) + (2 if shape == "P" else 0)
    for final in (True, False):
        chosen = [(x, w.rate) for x, w in zip(xs, line, strict=True) if w.known and w.final == final]
        if chosen:
            panel.dots(*zip(*chosen, strict=True), color=color, size=size, shape=shape, filled=final)
    few = [x for x, week in zip(xs, line, strict=True) if not week.known]
    if few:
        panel.dots(few, [panel.ylim[0]] * len(few), color="grey", size=7, shape="x", filled=False)


def _flag(panel: Panel, series: Mapping[object, Sequence[_Week]], flagged: pd.DataFrame | None, words: Words) -> None:
    """Mark the unusual points, and name the first of them where their labels hide nothing."""
    if flagged is None or not len(flagged):
        return
    points = {(group, week.day): week for group, line in series.items() for week in line if week.known}
    drawn = [(panel.x(w.x) - 6, panel.y(w.high), panel.x(w.x) + 6, panel.y(w.low)) for w in points.values()]
    labels: list[Box] = []
    for day, row in zip(pd.to_datetime(flagged["start"]).dt.date, records(flagged), strict=True):
        week = points.get((row.group, day))
        if week is None or not row.clear:
            continue
        up = row.difference > 0
        sign, color, ink = MARKS["above" if up else "below"]
        if len(series) > 1:  # among several series the colour says which one, the shape says where it went
            color = ink = SERIES[list(series).index(row.group)]
        panel.dots([week.x], [week.rate], color=color, size=13, shape="^" if up else "v", edge="bg")
        cell = Cell(f"{sign} {words.date(day)} {words.percent(week.rate)}", ink, True)
        at = (panel.x(week.x), panel.y(week.rate))
        if len(labels) < _LABELLED and (box := _room(panel, cell.width, at, drawn, labels)):
            panel.stage.cell(box[0] + 2, box[3] - 5, cell, halo=True)
            labels.append(box)


def _room(
    panel: Panel, wide: float, at: tuple[float, float], drawn: Sequence[Box], labels: Sequence[Box]
) -> Box | None:
    """Return the box (left, top, right, bottom) near a point that covers no label and the fewest points."""
    found: list[tuple[int, int, Box]] = []
    aside = wide / 2 + 12
    for far in range(4):
        tries = ((0, 14 + 12 * far), (aside + 8 * far, -8), (-aside - 8 * far, -8), (0, -30 - 12 * far))
        for across, down in tries:
            last = panel.left + panel.width - wide - 4
            left, top = min(max(at[0] + across - wide / 2 - 2, panel.left), last), at[1] + down
            box = (left, top, left + wide + 4, top + 17)
            inside = panel.top - 6 <= top and box[3] < panel.top + panel.height
            if inside and not any(_overlap(box, other) for other in labels):
                found.append((sum(_overlap(box, other) for other in drawn), len(found), box))
    best = min(found, default=None)
    return best[2] if best and best[0] <= _COVERED else None


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
