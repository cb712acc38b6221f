"""How many converted by which day since the first step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from funnel_lib.reporting.plots.lettering import LABEL, SMALL
from funnel_lib.reporting.plots.paper import SERIES, TOKENS
from funnel_lib.reporting.plots.stage import Cell, Panel, Stage, ticks
from funnel_lib.reporting.plots.timeline import End, area, at_most_four, band, close, named
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_THICK = 2.5
_FEWEST = 2
"""Days or hours that an axis needs to be one of days or hours."""
_DASHES: tuple[tuple[float, ...], ...] = ((), (7, 3), (3, 2), (9, 3, 3, 3))  # in pixels, by series


def curve(
    frame: pd.DataFrame, words: Words = ENGLISH, *, axis: str = "", width: int | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the cumulative share that converted by day since the first step, for one to four groups.

    Parameters
    ----------
    frame
        Columns `group`, `day` (days since the first step), `rate`, `low`, `high`.
    words
        Language, and the titles of the groups.
    axis
        What the days are counted from; the first step unless given.
    width, ax
        See `funnel`.

    Returns
    -------
    The Axes; its child Axes holds the curves with their bands, in days and shares.

    Raises
    ------
    ConfigError : more than four groups.

    """
    import seaborn as sns

    stage, known = Stage(ax, width), frame[frame["rate"].notna()].sort_values("day", kind="stable")
    groups = [group for group in frame["group"].unique() if (known["group"] == group).any()]
    at_most_four(groups)
    if not groups:
        return stage.nothing(words.too_few() if len(frame) else words.nothing())
    lines = [known[known["group"] == group] for group in groups]
    ends = [_end(stage, rows, words, place if len(groups) > 1 else None) for place, rows in enumerate(lines)]
    marks = [mark for mark in ticks(0, max(known["high"].max(), 1e-4), 5 if stage.wide else 4) if mark >= 0]
    panel = area(stage, 10, (0, max(float(known["day"].max()), 1.0)), marks, words.plain, ends)
    for rows, color in zip(lines, SERIES, strict=False):
        lows, highs = (_treads(rows[name].tolist()) for name in ("low", "high"))
        band(panel, _stairs(rows["day"].tolist()), lows, highs, color)
    colors = [TOKENS[color] for color in SERIES[: len(groups)]]
    dashes = [tuple(part / _THICK for part in dash) for dash in _DASHES[: len(groups)]]
    sns.lineplot(
        data=known, x="day", y="rate", hue="group", hue_order=groups, palette=colors, style="group",
        style_order=groups, dashes=dashes, linewidth=_THICK, drawstyle="steps-post", estimator=None,
        errorbar=None, legend=False, solid_capstyle="butt", ax=panel.ax,
    )  # fmt: skip
    panel.hold()
    days_axis(panel, words, axis)
    return close(panel, ends, 44)


def _end(stage: Stage, rows: pd.DataFrame, words: Words, place: int | None) -> End:
    """Return what a group reached, with its label: the name where there are several, rate and interval."""
    last: Any = rows.iloc[-1]
    name = [] if place is None else named(stage, words.title(last["group"]), place, LABEL)
    rate = Cell(words.percent(last["rate"]), "ink", True, SMALL if name else LABEL)
    span = Cell(words.span(last["rate"], last["low"], last["high"]))
    return End(float(last["rate"]), [*name, rate, span])


def days_axis(panel: Panel, words: Words, title: str = "") -> None:
    """Write the axis of a plot over days, in hours or minutes where it is short; `title` says days since when."""
    stage, bottom, last = panel.stage, panel.top + panel.height, panel.xlim[1]
    per_day, named = (1, title or words.days())
    if not title and last < _FEWEST:
        per_day, named = (24, words.hours()) if last * 24 >= _FEWEST else (1440, words.minutes())
    end = last * per_day
    units = [unit for unit in ticks(0, end, 7 if stage.wide else 4) if 0 <= unit <= end and unit == int(unit)]
    places = [panel.x(unit / per_day) for unit in units]
    for place in places:
        stage.rule([place] * 2, [bottom, bottom + 5], color="axis")
    stage.scale(places, [f"{unit:.0f}" for unit in units], bottom + 20)
    stage.write(panel.left + panel.width / 2, bottom + 38, named, align="center")


def _stairs(days: Sequence[float]) -> list[float]:
    return [day for pair in pairwise(days) for day in pair] + [days[-1]]


def _treads(values: Sequence[float]) -> list[float]:
    return [value for value in values[:-1] for _ in range(2)] + [values[-1]]
