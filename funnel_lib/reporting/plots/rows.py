"""Rows of a chart: a title, marks on a common scale, and the numbers in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from funnel_lib.reporting.plots.lettering import LABEL, SMALL, extent, wrap
from funnel_lib.reporting.plots.stage import Cell, Panel, Stage

Part = tuple[float, float, float]  # left, top and width on the sheet
Strips = tuple[list[float], list[tuple[float, float]], float]
_NAN = float("nan")
_LINE = 17  # from one line of cells to the next


@dataclass(frozen=True)
class Row:
    """One row: its title with a note below, words right of its marks, or `quiet` words instead of marks."""

    title: str
    cells: tuple[Cell, ...] = ()
    note: str = ""
    quiet: str = ""


@dataclass(frozen=True)
class Look:
    """How rows are laid out.

    `beside`: titles left of the marks, else above them; `inline`: each cell on the line of its own mark;
    `pitch`: least height of a row; `share`: the widest that titles beside the marks may be, of the width.
    `words`: the least width kept for cells, so that panels of one series have equal scales.
    """

    beside: bool
    inline: bool = False
    pitch: float = 34
    share: float = 0.28
    size: float = LABEL
    words: float = 0


@dataclass(frozen=True)
class Grid:
    """Rows with their places: `places` are the middles of the marks, `strips` what grid lines cover."""

    panel: Panel
    places: list[float]
    strips: list[tuple[float, float]]
    bottom: float

    def lines(self, values: Sequence[float], *, color: str = "ink", thick: float = 1.5) -> None:
        """Draw a line across all rows at each value."""
        parts = [(self.panel.x(value), top, bottom) for value in values for top, bottom in self.strips]
        xs = [x for place, _, _ in parts for x in (place, place, _NAN)]
        ys = [y for _, top, bottom in parts for y in (top, bottom, _NAN)]
        self.panel.stage.rule(xs, ys, color=color, thick=thick)


def grid(
    stage: Stage, rows: Sequence[Row], marks: Sequence[float], spell: Callable[[float], str], look: Look, *,
    part: Part | None = None, header: Sequence[Cell] = (),
) -> Grid:  # fmt: skip
    """Lay out rows on the scale of `marks` (its grid lines, the outer ones its ends), all but their marks.

    `spell` writes the labels of the scale; `part` is the place on the sheet, all of it where none is given;
    `header` stands above the cells of the rows.
    """
    left, top, width = part or (0, 0, stage.width)
    words = max([look.words, *(cell.width for row in rows for cell in row.cells), *(c.width for c in header)])
    words += 14 if words else 0
    names = _names(rows, look, width) if look.beside else 0
    edge = extent(spell(marks[-1])) / 2  # half a label may stand beyond the scale's end
    before = names or extent(spell(marks[0])) / 2
    after = max(words, edge) if look.beside or look.inline else edge
    head = top + max(_LINE * len(header), 16)
    for place, cell in enumerate(header):
        line = head - 4 - _LINE * (len(header) - 1 - place)
        stage.cell(left + width, line, cell, align="right")
    if look.beside:
        places, strips, bottom = _beside(stage, rows, look, (left, head + 6, width), names)
    else:
        places, strips, bottom = _above(stage, rows, look, (left, head + 6, width), words)
    panel = stage.panel((left + before, 0, width - before - after, bottom), (marks[0], marks[-1]))
    drawn = Grid(panel, places, strips, bottom)
    drawn.lines([mark for mark in marks if mark], color="grid", thick=1)
    drawn.lines([mark for mark in marks if not mark], color="axis", thick=1)
    stage.scale([panel.x(mark) for mark in marks], [spell(mark) for mark in marks], head - 4)
    for row, y in zip(rows, places, strict=True):
        stage.write(panel.left + 4, y + 4.5, row.quiet, halo=True)
    return drawn


def _names(rows: Sequence[Row], look: Look, width: float) -> float:
    """Return the width of the titles, with room after them."""
    widest = look.share * width
    texts = [(row.title, look.size) for row in rows] + [(row.note, SMALL) for row in rows]
    return min(max(extent(*text) for text in texts), widest) + 14


def _beside(stage: Stage, rows: Sequence[Row], look: Look, part: Part, names: float) -> Strips:
    """Write titles on the left and cells on the right; return places, strips and the bottom."""
    left, y, width = part
    top, room = y, names - 14 + 0.5
    places: list[float] = []
    for row in rows:
        title = wrap(row.title, room, look.size)
        note = wrap(row.note, room, lines=2) if row.note else []
        told = (look.size + 4) * len(title) + 16 * len(note)
        height = max(look.pitch, told + 8, _LINE * len(row.cells) + 8)
        middle = y + height / 2
        start = middle - (told - look.size - 4) / 2 + 0.36 * look.size
        below = stage.lines(left, start, title, color="ink", size=look.size)
        stage.lines(left, below + 16, note)
        _column(stage, row.cells, left + width, middle)
        places.append(middle)
        y += height
    return places, [(top, y)], y


def _above(stage: Stage, rows: Sequence[Row], look: Look, part: Part, words: float) -> Strips:
    """Write titles above the marks, cells at the end of their lines or (inline) beside the marks."""
    left, y, width = part
    places, strips = [], []
    for row in rows:
        cells = () if look.inline else row.cells
        room = width - (words if cells else 0)
        lines = [Cell(text, "ink", size=look.size) for text in wrap(row.title, room, look.size)]
        lines += [Cell(text) for text in (wrap(row.note, room, lines=2) if row.note else [])]
        for place, cell in enumerate(lines):
            stage.cell(left, y + 14 + _LINE * place, cell)
        for place, cell in enumerate(cells):
            stage.cell(left + width, y + 14 + _LINE * place, cell, align="right")
        y += _LINE * max(len(lines), len(cells)) + 3
        height = max(22, _LINE * len(row.cells)) if look.inline else 22
        if look.inline:
            _column(stage, row.cells, left + width, y + height / 2)
        places.append(y + height / 2)
        strips.append((y, y + height))
        y += height + 10
    return places, strips, y - 6


def _column(stage: Stage, cells: Sequence[Cell], right: float, middle: float) -> None:
    """Write cells below each other, around `middle`."""
    for place, cell in enumerate(cells):
        stage.cell(right, middle + 4.5 + _LINE * (place - (len(cells) - 1) / 2), cell, align="right")
