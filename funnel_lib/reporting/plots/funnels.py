"""The funnel: how many are left at each step, and how far each step is from its target."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots.lettering import LABEL, extent, wrap
from funnel_lib.reporting.plots.paper import TOKENS
from funnel_lib.reporting.plots.stage import (
    MARKS,
    MIN_WHISKER,
    Box,
    Cell,
    Panel,
    Stage,
    Verdict,
    records,
    ticks,
)
from funnel_lib.reporting.plots.words import ENGLISH, Words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_PITCH = 64  # from one step to the next, where titles stand beside the bars
_NAN = float("nan")


@dataclass(frozen=True)
class _Step:
    number: int
    title: str
    count: int
    share: float  # of the first step
    around: tuple[float, float]  # its interval
    aim: float  # the share of the first step at which the target would be met
    rate: float  # of the previous step
    low: float
    high: float
    target: float
    came: int  # units at the required step before
    passed: int  # of them, those who went on
    optional: bool

    @property
    def verdict(self) -> Verdict | None:
        """Where the whole interval lies, seen from the target."""
        if math.isnan(self.target) or math.isnan(self.low):
            return None
        return "above" if self.low > self.target else "below" if self.high < self.target else "within"


def funnel(
    rates: pd.DataFrame, words: Words = ENGLISH, *, targets: Mapping[str, float] | None = None,
    optional: Collection[str] = (), width: int | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw how many units reached each step, how many left, and the rates against their targets.

    Parameters
    ----------
    rates
        Columns `group` (one group only), `step`, `name`, `base` (previous, first), `numerator`, `denominator`,
        `rate`, `low`, `high`; rates are missing where there were too few.
    words
        Language, and the titles of the steps.
    targets
        Step name to the wanted share of the previous step; drawn as a tick on the bar and as a gap in
        percentage points beside it. Without targets the shares themselves are drawn beside the bars.
    optional
        Names of the steps that may be skipped: nobody is lost before them.
    width
        CSS pixels; 328 is the layout of a phone. Without it, the width of `ax`, or of a notebook.
    ax
        Where to draw; without it, a new figure.

    Returns
    -------
    The Axes; its first child Axes holds the bars, in shares of the first step.

    Raises
    ------
    ConfigError : the frame holds several groups.

    """
    groups = list(rates["group"].unique()) if "group" in rates else []
    if len(groups) > 1:
        raise ConfigError(
            "The funnel picture shows one group at a time.", found=", ".join(map(str, groups)),
            allowed="one group", do="Choose the rows of one group, or draw small_multiples.",
        )  # fmt: skip
    steps = _steps(rates, words, targets or {}, optional)
    stage = Stage(ax, width)
    if not steps or not steps[0].count:
        return stage.nothing(words.nothing())
    return _beside(stage, steps, words) if stage.wide else _below(stage, steps, words)


def _steps(
    rates: pd.DataFrame, words: Words, targets: Mapping[str, float], optional: Collection[str]
) -> list[_Step]:  # fmt: skip
    previous = {row.step: row for row in records(rates[rates["base"] == "previous"])}
    found: list[_Step] = []
    for row in records(rates[rates["base"] == "first"].sort_values("step")):
        count, of_previous = int(row.numerator), previous.get(row.step)
        entered = int(row.denominator)
        came, passed = (int(of_previous.denominator), int(of_previous.numerator)) if of_previous else (count, count)
        target = float(targets.get(str(row.name), _NAN)) if found else _NAN
        found.append(
            _Step(
                number=len(found) + 1, title=words.title(row.name), count=count,
                share=count / max(entered, 1), target=target, aim=target * came / max(entered, 1),
                around=(float(row.low), float(row.high)) if found else (_NAN, _NAN),
                rate=float(of_previous.rate) if of_previous else _NAN,
                low=float(of_previous.low) if of_previous else _NAN,
                high=float(of_previous.high) if of_previous else _NAN,
                came=came, passed=passed, optional=str(row.name) in optional,
            )
        )  # fmt: skip
    return found


def _beside(stage: Stage, steps: Sequence[_Step], words: Words) -> Axes:
    """Draw titles left of the bars; right of them the rates in words, then their gaps as a picture."""
    right, desk = stage.width, stage.width > 800
    start = 36 + min(max(extent(step.title, LABEL, True) for step in steps), 0.18 * right)
    told = start + (0.5 if desk else 0.42) * (right - start)
    cells = {step.number: _rate_cells(step, words) for step in steps}
    gaps = any(not math.isnan(step.target) for step in steps)
    verdicts = {step.number: _verdict(step, words) for step in steps} if gaps else {}
    header = wrap(words.of_previous(), 0.13 * right, bold=True, lines=2) if len(steps) > 1 else []
    column = _widest([Cell(line, bold=True) for line in header], *cells.values())
    left = told + column + 24
    title = wrap(words.gap(), right - left, bold=True, lines=2) if gaps else []
    top = 16.0 * max(len(header), len(title), 1)
    for x, lines in ((start, [words.remaining()]), (told, header), (left, title)):
        stage.lines(x, top - 2 - 16 * (len(lines) - 1), lines, color="ink", bold=True)
    places = [top + 44 + _PITCH * place for place in range(len(steps))]
    bars = _bars(stage, steps, (start, 0, (0.42 if desk else 0.36) * (right - start), places[-1] + 24), places, 28)
    aside = _widest(*verdicts.values()) + 16
    if len(steps) > 1:
        scale = _scale(stage, steps, (left, top, right - aside - left, places[-1] + 20 - top), words, gaps)
    for step, y in zip(steps, places, strict=True):
        _title(stage, step, y, start)
        _count(stage, step, bars, y, told - 14, words)
        if step.number < len(steps):
            long, short = _lost(steps[step.number], words)
            stage.write(start + 9, y + 35, long if start + 9 + extent(long) <= told - 14 else short)
        if step.number > 1:
            _mark(scale, step, y, gaps)
        for place, cell in enumerate(cells[step.number]):
            stage.cell(told, y - 1 + 17 * place, cell)
        for place, cell in enumerate(verdicts.get(step.number, [])):
            stage.cell(right, y - 1 + 17 * place, cell, align="right")
    return stage.close(places[-1] + 26)


def _widest(*columns: Sequence[Cell]) -> float:
    return max((cell.width for column in columns for cell in column), default=0)


def _title(stage: Stage, step: _Step, y: float, start: float) -> None:
    lines = wrap(step.title, start - 34, LABEL, bold=True)
    top = y + 5 - 9 * (len(lines) - 1)
    stage.write(0, top, str(step.number), size=LABEL)
    stage.lines(18, top, lines, color="ink", size=LABEL, bold=True)


def _below(stage: Stage, steps: Sequence[_Step], words: Words) -> Axes:
    """Draw for a phone: per step its name and count, the bar under them, then the rates in words."""
    right, y = stage.width, 0.0
    places, marks = [], []
    verdicts = {step.number: _verdict(step, words) for step in steps}
    for step in steps:
        count = Cell(words.count(step.count), "ink", True, LABEL)
        stage.cell(right, y + 14, count, align="right")
        title = wrap(f"{step.number} {step.title}", right - count.width - 12, LABEL, bold=True)
        y = stage.lines(0, y + 14, title, color="ink", size=LABEL, bold=True) + 14
        places.append(y)
        y += 9
        if step.number > 1:
            y = _pair(stage, y, *_facts(step, words))
        if row := verdicts[step.number]:
            y = _pair(stage, y + 1, *row)
            marks.append((step, y - 4))
        if step.number < len(steps):
            y = stage.lines(0, y + 16, wrap(_lost(steps[step.number], words)[0], right, lines=2))
        y += 20
    for place in places:
        stage.rule([0, right], [place, place], color="track", thick=14)
    _bars(stage, steps, (0, 0, right, y), places, 14)
    first, second = (_widest(*(row[n : n + 1] for row in verdicts.values())) for n in (0, 1))
    if right - first - second >= 70 and marks:
        box = (first + 10, 0, right - first - second - 20, y)
        scale = _scale(stage, steps, box, words, gaps=True, plain=True)
        for step, place in marks:
            if step.verdict:
                ends = [place - 7, place + 7]
                stage.rule([scale.x(0)] * 2, ends, color="ink", thick=2, above=True)
                _mark(scale, step, place, gaps=True)
    return stage.close(y - 12)


def _facts(step: _Step, words: Words) -> tuple[Cell, Cell]:
    """Return a step's shares of the previous and of the first step."""
    few = math.isnan(step.rate)
    told = words.too_few() if few else words.rate_of_previous(step.rate, step.low, step.high)
    return Cell(told, "ink"), Cell(words.of_all(step.share))


def _pair(stage: Stage, y: float, first: Cell, second: Cell | None = None) -> float:
    """Write two cells on one line, or below each other where they do not fit; return the last baseline."""
    stage.cell(0, y + 16, first)
    if second is None:
        return y + 16
    fits = first.width + second.width + 10 <= stage.width
    stage.cell(stage.width, y + (16 if fits else 32), second, align="right")
    return y + (16 if fits else 32)


def _bars(stage: Stage, steps: Sequence[_Step], box: Box, places: Sequence[float], thick: float) -> Panel:
    """Draw the bars in shares of the first step, with ticks where they would end at target, and whiskers."""
    import seaborn as sns

    panel = stage.panel(box, (0, 1))
    apart = min((low - high for high, low in pairwise(places)), default=1.0)
    sns.barplot(
        x=[step.share for step in steps], y=places, orient="h", native_scale=True, width=thick / apart,
        color=TOKENS["c1"], saturation=1, linewidth=0, errorbar=None, ax=panel.ax,
    )  # fmt: skip
    panel.hold()
    reach = thick / 2 + 5
    for step, place in zip(steps, places, strict=True):
        panel.whisker(*step.around, place, color="ink", halo=True)
        if not math.isnan(step.aim):
            ends = [place - reach, place + reach]
            panel.line([step.aim] * 2, ends, color="bg", thick=5, above=True)
            panel.line([step.aim] * 2, ends, color="ink", thick=2.5, above=True)
    if stage.wide:
        stage.rule([box[0]] * 2, [places[0] - reach - 5, places[-1] + reach + 5], color="axis")
    return panel


def _count(stage: Stage, step: _Step, bars: Panel, y: float, limit: float, words: Words) -> None:
    """Write count and share beyond the bar's end, or inside it: the fullest text that has room."""
    count = Cell(words.count(step.count), "ink", True, LABEL)
    short = Cell(words.percent(step.share) if step.number > 1 else words.plain(1))
    long = Cell(words.of_all(step.share)) if step.number > 1 else short
    for note, stacked in ((long, False), (long, True), (short, False), (short, True), (Cell(""), True)):
        need = max(count.width, note.width) if stacked else count.width + 8 + note.width
        two = stacked and bool(note.text)
        for x, inside in _slots(step, bars, limit, need):
            if inside and two:
                continue
            colors = ("bg", "bg") if inside else ("ink", "ink2")
            stage.write(x, y - 2 if two else y + 5, count.text, color=colors[0], bold=True, size=LABEL)
            x += 0 if two else count.width + 8
            stage.write(x, y + (14 if two else 5), note.text, color=colors[1])
            return
    stage.cell(limit, y + 5, count, align="right", halo=True)


def _slots(step: _Step, bars: Panel, limit: float, need: float) -> Iterator[tuple[float, bool]]:
    """Yield the places clear of the marks that have `need` pixels, and whether they lie inside the bar."""
    low, high = (bars.x(end) for end in step.around)
    marked = [] if math.isnan(step.aim) else [bars.x(step.aim)]
    end = inner = bars.x(step.share)
    if high - low >= MIN_WHISKER:
        end, inner = max(end, high), low
    for start, stop, inside in ((end, limit, False), (bars.left + 3, inner, True)):
        edges = [start, *(x for x in marked if start - 9 < x < stop), stop]
        for left, right in pairwise(edges):
            if right - (0 if right == limit else 9) - left - 9 >= need:
                yield left + 9, inside


def _lost(after: _Step, words: Words) -> tuple[str, str]:
    """Return how many left before the step, at length and in short; nothing where it may be skipped."""
    if after.optional:
        return "", ""
    gone = after.came - after.passed
    return words.lost(gone, gone / after.came if after.came else _NAN), f"↓ {words.count(gone)}"


def _rate_cells(step: _Step, words: Words) -> list[Cell]:
    if step.number == 1:
        return []
    if math.isnan(step.rate):
        return [Cell(words.too_few())]
    rate = Cell(words.percent(step.rate), "ink", True, LABEL)
    return [rate, Cell(words.span(step.rate, step.low, step.high))]


def _verdict(step: _Step, words: Words) -> list[Cell]:
    """Return the finding in words and marks, and the target."""
    if math.isnan(step.target):
        return []
    target = Cell(words.target(step.target))
    if step.verdict is None:
        return [target]
    told = words.verdict(step.verdict, step.rate - step.target)
    return [Cell(told, MARKS[step.verdict][2], True), target]


def _scale(stage: Stage, steps: Sequence[_Step], box: Box, words: Words, gaps: bool, *, plain: bool = False) -> Panel:
    """Return a panel with its grid: gaps in points around zero, or rates from 0 to 100%; `plain` has none."""
    marks = [0.0, 0.5, 1.0]
    if gaps:
        ends = [end - step.target for step in steps if step.verdict for end in (step.low, step.high)]
        many = 4 if box[2] > 150 else 2
        marks = ticks(min(0, *ends), max(0, *ends), many) if ends else [-0.05, 0.0, 0.05]
    panel = stage.panel((box[0], 0, box[2], box[1] + box[3]), (marks[0], marks[-1]))
    if plain:
        return panel
    for mark in marks:
        color, thick = ("grid", 1.0) if mark else ("ink", 1.5) if gaps else ("axis", 1.0)
        stage.rule([panel.x(mark)] * 2, [box[1] + 23, box[1] + box[3]], color=color, thick=thick)
    spell = words.pointed if gaps else words.plain
    stage.scale([panel.x(mark) for mark in marks], [spell(mark) for mark in marks], box[1] + 17)
    return panel


def _mark(panel: Panel, step: _Step, y: float, gaps: bool) -> None:
    """Draw a step's rate with its interval, from its target where there is one."""
    if math.isnan(step.low) or (gaps and step.verdict is None):
        return
    zero = step.target if gaps else 0.0
    color = MARKS[step.verdict][1] if gaps and step.verdict else "c1"
    panel.stage.rule([panel.left, panel.left + panel.width], [y, y])
    panel.whisker(step.low - zero, step.high - zero, y, color=color)
    panel.dots([step.rate - zero], [y], color=color)
