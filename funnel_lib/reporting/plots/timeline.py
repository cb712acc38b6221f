"""What pictures over time share: the plot between its scale and the labels of its series, bands, ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots.lettering import extent, spread, wrap
from funnel_lib.reporting.plots.paper import SERIES
from funnel_lib.reporting.plots.stage import Cell, Panel, Stage
from funnel_lib.reporting.plots.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class End:
    """Where a series ends, and the label that stands there."""

    value: float
    cells: list[Cell]


def at_most_four(groups: Sequence[object]) -> None:
    """Refuse more groups than can be told apart.

    Raises
    ------
    ConfigError : there are more than four.

    """
    if len(groups) > len(SERIES):
        raise ConfigError(
            "More than four lines cannot be told apart.", found=f"{len(groups)} groups",
            allowed="one to four groups", do="Choose groups, or draw ranked or small_multiples.",
        )  # fmt: skip


def named(stage: Stage, title: str, place: int, size: float) -> list[Cell]:
    """Return a series' name in its colour, broken to the room right of the plot."""
    lines = wrap(title, 150 if stage.wide else 76, size, bold=True)
    return [Cell(line, SERIES[place], True, size) for line in lines]


def area(
    stage: Stage, top: float, xlim: tuple[float, float], marks: Sequence[float],
    spell: Callable[[float], str], ends: Sequence[End],
) -> Panel:  # fmt: skip
    """Return the plot between the labels of its scale on the left and those of its series on the right."""
    left = max(extent(spell(mark)) for mark in marks) + 8
    right = max((cell.width for end in ends for cell in end.cells), default=0) + 14
    box = (left, top, stage.width - left - right, 214 if stage.wide else 190)
    panel = stage.panel(box, xlim, (marks[0], marks[-1]))
    for mark in marks:
        y = panel.y(mark)
        stage.rule([left, left + box[2]], [y, y], color="axis" if mark == marks[0] else "grid")
        stage.write(left - 8, y + 4.5, spell(mark), align="right")
    return panel


def close(panel: Panel, ends: Sequence[End], below: float) -> Axes:
    """Write the labels of the series beside their ends, clear of each other, and close the picture."""
    stage, bottom = panel.stage, panel.top + panel.height
    wanted = [bottom if math.isnan(end.value) else panel.y(end.value) for end in ends]
    sizes = [16.0 * len(end.cells) + 4 for end in ends]
    left, reach = panel.left + panel.width + 10, bottom + below
    for end, place, centre, size in zip(
        ends, wanted, spread(wanted, sizes, panel.top - 10, bottom + 8), sizes, strict=True
    ):
        for line, cell in enumerate(end.cells):
            stage.cell(left, centre - size / 2 + 14 + 16 * line, cell)
        if not math.isnan(end.value) and abs(centre - place) > 8:
            stage.rule([left - 9, left - 2], [place, centre], color="axis")
        reach = max(reach, centre + size / 2 + 2)
    return stage.close(reach)


def band(panel: Panel, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], color: str) -> None:
    """Draw an interval as a light area with an edge that can be seen; unknown stretches stay empty."""
    start = 0
    for stop in range(len(xs) + 1):
        if stop < len(xs) and not math.isnan(lows[stop]):
            continue
        there, below, above = list(xs[start:stop]), list(lows[start:stop]), list(highs[start:stop])
        start = stop + 1
        if len(there) > 1:
            panel.area(there + there[::-1], below + above[::-1], color=color, alpha=0.15)
            panel.line(there, below, color=color, thick=1)
            panel.line(there, above, color=color, thick=1)


def calendar(xs: Sequence[float]) -> list[tuple[float, date]]:
    """Return every day from the first day number to the last, also those between that have no point."""
    return [(float(day), date.fromordinal(day)) for day in range(int(xs[0]), int(xs[-1]) + 1)]


def dates_axis(panel: Panel, days: Sequence[tuple[float, date]], words: Words) -> None:
    """Write as many dates below the plot as have room, evenly."""
    bottom = panel.top + panel.height
    room = max(extent(words.date(day)) for _, day in days) + 16
    shown = days[:: max(1, math.ceil(room * len(days) / panel.width))]
    for x, _ in shown:
        panel.stage.rule([panel.x(x)] * 2, [bottom, bottom + 5], color="axis")
    panel.stage.scale([panel.x(x) for x, _ in shown], [words.date(day) for _, day in shown], bottom + 20)
