"""Draw a picture as a small SVG that belongs to the page it stands in.

The SVG holds no font, no identifier and no colour of its own: text stays text and takes the page's font,
every colour is one of the page's CSS variables (so a dark page gets a dark picture), and one unit is one CSS
pixel. Equal pictures have equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from funnel_lib.reporting.plots.lettering import SMALL, extent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import GraphicsContextBase
    from matplotlib.path import Path
    from matplotlib.text import Text
    from matplotlib.transforms import Transform

WIDTHS = (1052, 700, 328)
"""The page's three layouts in CSS pixels: desk, tablet and print, phone."""

TOKENS = {
    "bg": "#ffffff", "ink": "#1b1f24", "ink2": "#48505a", "ink3": "#626a74", "line": "#d9dde2",
    "grid": "#e4e8ec", "axis": "#868e98", "c1": "#0072b2", "c2": "#c75000", "c3": "#00805c", "c4": "#a8477f",
    "c5": "#9a6400", "c6": "#2c86bf", "grey": "#7a828c", "track": "#eef1f4", "good": "#00704f",
    "bad": "#ad4300",
}  # fmt: skip
"""The colours by the name of their CSS variable: pictures are drawn in the light ones."""

SERIES = ("c1", "c2", "c3", "c4")
"""The colours of up to four series; all dark enough for text."""

VECTOR = "vector"
"""The label of figures whose text is drawn by the reader's browser, so that no font is needed here."""

Draw = Callable[["Axes", int], object]
_VARIABLES = {value: f"var(--{name})" for name, value in TOKENS.items()}
_MOVE, _LINE, _CURVE3, _CLOSE = 1, 2, 3, 79  # codes of matplotlib.path.Path; the fourth, 4, is a cubic curve
_INK = "var(--ink2)"
_ANCHORS = {"center": ["text-anchor:middle"], "right": ["text-anchor:end"]}
_HALO = "paint-order:stroke;stroke:var(--bg);stroke-width:4px"


def svg(draw: Draw, width: int, height: int | None, alt: str) -> str:
    """Return what `draw(ax, width)` draws as an SVG element of `width` CSS pixels.

    Parameters
    ----------
    draw
        Draws into the Axes that it gets; the pictures of this package set the height that they need.
    width, height
        CSS pixels; without a height the picture is as high as it needs to be.
    alt
        What the picture shows, with its numbers, for readers who do not see it.

    Returns
    -------
    An `<svg role="img">` element without xml prolog, for inlining; other colours than tokens stay.

    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context("default"):  # the bytes do not depend on the theme of whoever draws
        picture = Figure(figsize=(width / 72, (height or width) / 72), dpi=72, frameon=False)
        picture.set_label(VECTOR)
        draw(picture.add_axes((0, 0, 1, 1)), width)
        across, down = (round(inches * 72) for inches in picture.get_size_inches())
        # matplotlib would turn text with an effect into outlines; `draw_text` writes the halo as CSS instead.
        parts = [part for ax in picture.axes for part in (ax, *ax.child_axes)]
        for text in [text for part in parts for text in part.texts if text.get_path_effects()]:
            text.set_path_effects([])
            text.set_gid("halo")
        pen = _pen()(across, down)
        picture.draw(pen)
    down = height or down
    look = f'stroke-linejoin="round" style="font-size:{SMALL}px;fill:{_INK}"'  # most texts need no more
    size = f'viewBox="0 0 {across} {down}" width="{across}" height="{down}"'
    return f'<svg {size} role="img" aria-label={quoteattr(alt)} {look}>{"".join(pen.parts)}</svg>'


def figure(draw: Draw, *, alt: str, widths: Sequence[int] = WIDTHS) -> dict[int, str]:
    """Return the picture once for each width, as SVG; the page shows the one that fits.

    Parameters
    ----------
    draw
        Called as `draw(ax, width)`, such as ``lambda ax, width: funnel(frame, words, ax=ax, width=width)``.
    alt
        What the picture shows, with its numbers.
    widths
        CSS pixels.

    """
    return {width: svg(draw, width, None, alt) for width in widths}


class _Pen:
    """The drawing half of a matplotlib renderer: writes SVG elements to `parts`."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.parts: list[str] = []

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def get_text_width_height_descent(
        self, s: str, prop: Any, ismath: object  # noqa: ARG002 - the caller gives it by name
    ) -> tuple[float, float, float]:  # fmt: skip
        size = prop.get_size_in_points()
        return extent(s, size), size, 0.25 * size

    def draw_path(self, gc: GraphicsContextBase, path: Path, transform: Transform, face: Any = None) -> None:
        data = _outline(path.iter_segments(transform, simplify=False), self.height)
        if data:
            self.parts.append(f'<path d="{data}"{_paint(gc, face)}/>')

    def draw_markers(
        self, gc: GraphicsContextBase, marker: Path, shape: Transform, path: Path, to: Transform,
        face: Any = None,
    ) -> None:  # fmt: skip
        """Write the marker at every vertex, round ones as circles."""
        from matplotlib.path import Path as Paths
        from matplotlib.transforms import Affine2D

        places = [tuple(point[-2:]) for point, _ in path.iter_segments(to, simplify=False)]
        if marker is Paths.unit_circle():
            radius = _number(abs(shape.transform((1, 0))[0] - shape.transform((0, 0))[0]))
            spots = [(_number(x), _number(self.height - y)) for x, y in places]
            marks = [f'<circle cx="{x}" cy="{y}" r="{radius}"/>' for x, y in spots]
        else:
            moved = [shape + Affine2D().translate(x, y) for x, y in places]
            data = [_outline(marker.iter_segments(place, simplify=False), self.height) for place in moved]
            marks = [f'<path d="{"".join(data)}"/>'] if data else []
        if len(marks) == 1:
            self.parts.append(marks[0].replace("/>", f"{_paint(gc, face)}/>"))
        elif marks:
            self.parts.append(f"<g{_paint(gc, face)}>{''.join(marks)}</g>")

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: Any, angle: float,
        ismath: object = False, mtext: Text | None = None,  # noqa: ARG002 - the caller gives it by name
    ) -> None:  # fmt: skip
        """Write the text at its anchor, not where its estimated width would make it start."""
        look = [f"font-size:{_number(size)}px"] if (size := prop.get_size_in_points()) != SMALL else []
        look += [f"fill:{colour}"] if (colour := _variable(gc.get_rgb())) != _INK else []
        look += ["font-weight:650"] if prop.get_weight() in ("bold", 700) else []
        turn = f' transform="rotate({_number(-angle)} {_number(x)} {_number(y)})"' if angle else ""
        if mtext is not None and not angle:
            x = float(mtext.get_transform().transform(mtext.get_unitless_position())[0])
            look += _ANCHORS.get(mtext.get_horizontalalignment(), [])
            look += [_HALO] if mtext.get_gid() == "halo" else []
        style = f' style="{";".join(look)}"' if look else ""
        self.parts.append(f'<text x="{_number(x)}" y="{_number(y)}"{turn}{style}>{escape(s)}</text>')


@cache
def _pen() -> Any:
    from matplotlib.backend_bases import RendererBase

    return type("Pen", (_Pen, RendererBase), {})


def _number(value: float) -> str:
    """Return a coordinate with one decimal at most: a tenth of a pixel cannot be seen."""
    short = f"{value:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def _variable(colour: Sequence[float]) -> str:
    exact = "#" + "".join(f"{round(part * 255):02x}" for part in colour[:3])
    return _VARIABLES.get(exact, exact)


def _paint(gc: GraphicsContextBase, face: Sequence[float] | None) -> str:
    """Return the attributes for fill and stroke."""
    parts = [' fill="none"' if face is None else f' fill="{_variable(face)}"']
    if face is not None and len(face) > 3 and face[3] < 1:
        parts.append(f' fill-opacity="{face[3]:.2g}"')
    edge, thick = gc.get_rgb(), gc.get_linewidth()
    if thick > 0 and (len(edge) < 4 or edge[3] > 0):
        parts.append(f' stroke="{_variable(edge)}"')
        parts.append("" if thick == 1 else f' stroke-width="{_number(thick)}"')
        if len(edge) > 3 and edge[3] < 1:
            parts.append(f' stroke-opacity="{edge[3]:.2g}"')
        dashes: Any = gc.get_dashes()[1]
        if dashes:
            parts.append(f' stroke-dasharray="{" ".join(_number(length) for length in dashes)}"')
        if (cap := gc.get_capstyle()) != "butt":
            parts.append(f' stroke-linecap="{"square" if cap == "projecting" else cap}"')
    return "".join(parts)


def _outline(segments: Iterable[tuple[Any, Any]], height: float) -> str:
    """Return SVG path data: steps between rounded places, so that rounding does not add up; y downwards."""
    parts: list[str] = []
    at, start = (0.0, 0.0), (0.0, 0.0)
    for points, code in segments:
        if code == _CLOSE:
            parts.append("z")
            at = start
            continue
        pairs = [
            (round(float(x), 1), round(height - float(y), 1)) for x, y in zip(points[::2], points[1::2], strict=True)
        ]
        if code == _MOVE:
            start = pairs[0]
            parts.append(f"M{_number(start[0])} {_number(start[1])}")
        elif code == _LINE:
            parts.append(_step(pairs[0][0] - at[0], pairs[0][1] - at[1]))
        else:
            steps = " ".join(f"{_number(x - at[0])} {_number(y - at[1])}" for x, y in pairs)
            parts.append(f"{'q' if code == _CURVE3 else 'c'}{steps}")
        at = pairs[-1]
    return "".join(parts)


def _step(across: float, down: float) -> str:
    x, y = _number(across), _number(down)
    if y == "0":
        return "" if x == "0" else f"h{x}"
    return f"v{y}" if x == "0" else f"l{x} {y}"
