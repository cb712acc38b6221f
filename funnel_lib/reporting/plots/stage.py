"""The sheet on which every picture is laid out: CSS pixels from the top left corner.

A picture is one Axes whose units are pixels, for its text, and inside it panels: Axes in the units of the
data, for bars, points and lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from funnel_lib.reporting.plots.lettering import LABEL, SMALL, extent, wrap
from funnel_lib.reporting.plots.paper import TOKENS, VECTOR

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Align = Literal["left", "center", "right"]
Box = tuple[float, float, float, float]
Verdict = Literal["above", "below", "within"]
MARKS: dict[Verdict, tuple[str, str, str]] = {
    "above": ("▲", "c3", "good"), "below": ("▼", "c2", "bad"), "within": ("●", "grey", "ink2"),
}  # fmt: skip
"""Sign, colour of marks and colour of words for an interval above, below or across its reference."""
MIN_WHISKER = 6
"""An interval of fewer pixels is not drawn: it would look like a blot."""
NOTEBOOK_WIDTH, _NOTEBOOK_DPI = 700, 100
_NARROW = 560  # below this width labels stand above the bars
_CHINESE = (
    "Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei", "SimHei",
)  # fmt: skip
_NAN = float("nan")


def records(frame: pd.DataFrame) -> list[Any]:
    """Return the rows of a frame, with their cells as attributes."""
    names = [str(name) for name in frame.columns]
    return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in frame.itertuples(index=False, name=None)]


@dataclass(frozen=True)
class Cell:
    """A piece of text with its look."""

    text: str
    color: str = "ink2"
    bold: bool = False
    size: float = SMALL

    @property
    def width(self) -> float:
        """The estimated width in CSS pixels."""
        return extent(self.text, self.size, self.bold)


class Stage:
    """A sheet of `width` pixels; `close` says how high it became.

    Without `ax` a figure is made, which a notebook shows; an Axes that is alone in its figure is resized to
    the picture; a figure with others becomes higher where its place is too low for the picture.
    """

    def __init__(self, ax: Axes | None, width: int | None) -> None:
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(dpi=_NOTEBOOK_DPI, facecolor=TOKENS["bg"]).add_axes((0, 0, 1, 1))
            width = width or NOTEBOOK_WIDTH
        self.ax = ax
        self.raster = _sheet(ax).get_label() != VECTOR
        self.width = width or round(ax.get_window_extent().width * 72 / _sheet(ax).dpi)
        ax.axis("off")
        ax.set_xlim(0, self.width)

    @property
    def wide(self) -> bool:
        """Whether labels have room beside the bars."""
        return self.width >= _NARROW

    def close(self, height: float) -> Axes:
        """Set the picture's height and return its Axes."""
        sheet = _sheet(self.ax)
        if sheet.axes == [self.ax]:
            sheet.set_size_inches(self.width / 72, height / 72)
            self.ax.set_position((0, 0, 1, 1))
        else:
            room = self.ax.get_window_extent().height * 72 / sheet.dpi
            across, down = sheet.get_size_inches()
            sheet.set_size_inches(across, down * max(1.0, height / room))
            height = max(height, room)
        self.ax.set_ylim(height, 0)
        return self.ax

    def nothing(self, text: str) -> Axes:
        """Say in words that there is nothing to draw."""
        return self.close(self.lines(0, 20, wrap(text, self.width, LABEL), size=LABEL) + 12)

    def write(
        self, x: float, y: float, text: str, *, color: str = "ink2", size: float = SMALL, bold: bool = False,
        align: Align = "left", halo: bool = False,
    ) -> None:  # fmt: skip
        """Write one line with its baseline at `y`; `halo` keeps it readable across marks."""
        from matplotlib.patheffects import withStroke

        if not text:
            return
        self.ax.text(
            x, y, text, color=TOKENS[color], size=size, ha=align, va="baseline", parse_math=False, zorder=10,
            fontproperties=_font(bold, self.raster and any(char > "\u2e7f" for char in text)),
            path_effects=[withStroke(linewidth=4, foreground=TOKENS["bg"])] if halo else None,
        )  # fmt: skip

    def cell(self, x: float, y: float, cell: Cell, *, align: Align = "left", halo: bool = False) -> None:
        """Write a cell with its baseline at `y`."""
        look = {"color": cell.color, "size": cell.size, "bold": cell.bold}
        self.write(x, y, cell.text, align=align, halo=halo, **look)  # type: ignore[arg-type]

    def lines(self, x: float, y: float, texts: Sequence[str], **look: Any) -> float:
        """Write lines below each other, the first baseline at `y`; return the last baseline."""
        pitch = round(1.28 * float(look.get("size", SMALL)))
        for place, text in enumerate(texts):
            self.write(x, y + place * pitch, text, **look)
        return y + max(len(texts) - 1, 0) * pitch

    def scale(self, places: Sequence[float], texts: Sequence[str], y: float) -> None:
        """Write the labels of an axis, centred, within the sheet: every one, or every second, third …."""
        halves = [extent(text) / 2 for text in texts]
        centres = [min(max(x, half), self.width - half) for x, half in zip(places, halves, strict=True)]
        zero = next((place for place, text in enumerate(texts) if text in ("0", "0%")), 0)
        for every in range(1, len(texts) + 1):
            shown = range(zero % every, len(texts), every)
            if all(centres[b] - centres[a] >= halves[a] + halves[b] + 8 for a, b in pairwise(shown)):
                break
        for place in shown:
            self.write(centres[place], y, texts[place], align="center")

    def rule(
        self, xs: Sequence[float], ys: Sequence[float], *, color: str = "grid", thick: float = 1,
        above: bool = False,
    ) -> None:  # fmt: skip
        """Draw a line in pixels, behind the panels or above them."""
        self.ax.add_artist(_line(xs, ys, color=color, thick=thick, zorder=8 if above else 1))

    def panel(self, box: Box, xlim: tuple[float, float], ylim: tuple[float, float] | None = None) -> Panel:
        """Return a panel at (left, top, width, height); without `ylim` its y are pixels from its top."""
        return Panel(self, box, xlim, ylim or (box[3], 0))


class Panel:
    """A part of the sheet in units of the data."""

    def __init__(self, stage: Stage, box: Box, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
        from matplotlib.transforms import Bbox

        self.stage = stage
        self.left, self.top, self.width, self.height = box
        self.xlim, self.ylim = xlim, ylim
        self.ax = stage.ax.inset_axes((0, 0, 1, 1))
        self.ax.axis("off")
        corners = [(box[0], box[1] + box[3]), (box[0] + box[2], box[1])]

        def locate(_ax: object, _renderer: object) -> Bbox:
            # Asked for when drawing: only then is the sheet's height known.
            to_figure = _sheet(stage.ax).transFigure.inverted()
            return Bbox(to_figure.transform(stage.ax.transData.transform(corners)))

        self.ax.set_axes_locator(locate)
        self.hold()

    def hold(self) -> None:
        """Set the limits (again, where a plotting function has changed them)."""
        self.ax.set_xlim(*self.xlim)
        self.ax.set_ylim(*self.ylim)

    def x(self, value: float) -> float:
        """Return the place of a value on the sheet, in pixels."""
        low, high = self.xlim
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        """Return the place of a value on the sheet, in pixels from the top."""
        bottom, top = self.ylim
        return self.top + (top - value) / (top - bottom) * self.height

    def line(
        self, xs: Sequence[float], ys: Sequence[float], *, color: str, thick: float = 2,
        dashes: tuple[float, ...] = (), above: bool = False,
    ) -> None:  # fmt: skip
        """Draw a line in the panel's units; NaN breaks it."""
        line = _line(xs, ys, color=color, thick=thick, dashes=dashes, zorder=4 if above else 2)
        self.ax.add_line(line)

    def area(self, xs: Sequence[float], ys: Sequence[float], *, color: str, alpha: float = 1) -> None:
        """Fill an outline in the panel's units."""
        from matplotlib.patches import Polygon

        corners = list(zip(xs, ys, strict=True))
        self.ax.add_artist(Polygon(corners, facecolor=TOKENS[color], alpha=alpha, linewidth=0, zorder=1))

    def dots(
        self, xs: Sequence[float], ys: Sequence[float], *, color: str, size: float = 9, shape: str = "o",
        filled: bool = True, edge: str = "",
    ) -> None:  # fmt: skip
        """Draw marks of `size` pixels; open ones show the page, those with an `edge` stand out from it."""
        self.ax.plot(
            xs, ys, linestyle="", marker=shape, markersize=size, zorder=5, clip_on=False,
            markerfacecolor=TOKENS[color if filled else "bg"], markeredgecolor=TOKENS[edge or color],
            markeredgewidth=1.8 if edge or not filled else 0, scalex=False, scaley=False,
        )  # fmt: skip

    def whisker(self, low: float, high: float, y: float, *, color: str, cap: float = 5, halo: bool = False) -> None:
        """Draw a horizontal interval with caps of ±`cap` units of y, unless it is too narrow to be seen."""
        if not self.x(high) - self.x(low) >= MIN_WHISKER:
            return
        xs = [low, high, _NAN, low, low, _NAN, high, high]
        ys = [y, y, _NAN, y - cap, y + cap, _NAN, y - cap, y + cap]
        if halo:
            self.line(xs, ys, color="bg", thick=5, above=True)
        self.line(xs, ys, color=color, thick=2, above=True)


def _sheet(ax: Axes) -> Any:
    return ax.get_figure(root=True)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values from `low` or below to `high` or above."""
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [round(float(value), 10) for value in values]


def _line(
    xs: Sequence[float], ys: Sequence[float], *, color: str, thick: float, zorder: float,
    dashes: tuple[float, ...] = (),
) -> Any:  # fmt: skip
    from matplotlib.lines import Line2D

    return Line2D(
        xs, ys, color=TOKENS[color], linewidth=thick, zorder=zorder, clip_on=False,
        solid_capstyle="butt", dash_capstyle="butt",
        linestyle=(0, tuple(dash / thick for dash in dashes)) if dashes else "-",
    )  # fmt: skip


@cache
def _font(bold: bool, chinese: bool) -> Any:
    """Return the font; a notebook's image needs one with Chinese characters, which may lack a bold face."""
    from matplotlib.font_manager import FontProperties, fontManager

    weight = "bold" if bold else "normal"
    if not chinese:
        return FontProperties(weight=weight)
    faces = {(entry.name, entry.weight in ("bold", 700)) for entry in fontManager.ttflist}
    installed = {name for name, _ in faces}
    name = next((name for name in _CHINESE if name in installed), None)
    if name is None:
        return FontProperties(weight=weight)
    return FontProperties(family=["DejaVu Sans", name], weight=weight if (name, True) in faces else "normal")
