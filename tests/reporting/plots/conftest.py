"""What the tests of all pictures share: hand-made frames, and the rules that every picture keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from math import nan
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from funnel_lib.reporting.plots import WIDTHS, Words, svg
from funnel_lib.reporting.plots.lettering import extent

Draw = Callable[[Axes, int], object]
LONG = (
    "Visited the landing page of the autumn campaign", "Added at least one product to the shopping basket",
    "Donaudampfschifffahrtsgesellschaftskapitän", "Started the checkout", "Entered address & <payment> details",
    "Order confirmed by e-mail", "Paid", "Came back within thirty days of the first delivery",
)  # fmt: skip
CHINESE = (
    "浏览了秋季促销活动的落地页", "把至少一件商品加入购物车并保存到收藏夹",
    "超长的没有空格的步骤名称用来检验换行是否正确显示", "开始结账", "填写收货地址、选择支付方式与发票抬头",
    "订单确认", "支付", "首次收货后30天内再次购买",
)  # fmt: skip


def rates(counts: list[int], names: list[str], group: str = "all") -> pd.DataFrame:
    """Return a frame like that of `rates`: ±2 points around each rate, nothing below 30 units."""
    rows = []
    for number, (count, name) in enumerate(zip(counts, names, strict=True), start=1):
        bases = {"first": counts[0], "previous": counts[number - 2]} if number > 1 else {"first": counts[0]}
        for base, n in bases.items():
            rate = count / n if n >= 30 else nan
            rows.append((group, number, name, base, count, n, rate, max(rate - 0.02, 0), min(rate + 0.02, 1)))
    frame = pd.DataFrame(
        rows, columns=["group", "step", "name", "base", "numerator", "denominator", "rate", "low", "high"]
    )
    return frame.assign(low=frame["low"].where(frame["rate"].notna()), high=frame["high"].where(frame["rate"].notna()))


def draw_on(draw: Draw, width: int) -> Axes:
    """Return the Axes of a picture drawn in a figure of its own."""
    ax = Figure(figsize=(width / 72, 4), dpi=72).add_axes((0, 0, 1, 1))
    draw(ax, width)
    return ax


def boxes(root: ET.Element) -> Iterator[tuple[str, float, float, float, float]]:
    """Yield every text with the room that its glyphs are estimated to take."""
    for text in root.iter("text"):
        style = dict(part.split(":", 1) for part in text.get("style", "").split(";") if part)
        size, words = float(style.get("font-size", "12.5px").removesuffix("px")), text.text or ""
        wide = extent(words, size, "font-weight" in style)
        shift = {"end": wide, "middle": wide / 2}.get(style.get("text-anchor", ""), 0)
        left, y = float(text.get("x", "nan")) - shift, float(text.get("y", "nan"))
        yield words, left, y - 0.74 * size, left + wide, y + 0.2 * size


def faults(picture: str, width: int) -> list[str]:
    """Return how a picture breaks the rules that all keep; empty if it does not."""
    root = ET.fromstring(picture)
    height = float(root.get("height", "nan"))
    found = [
        f"{word} in {picture[:80]}"
        for word in ("font-family", "id=", "nan", 'inf"', "<?xml", "xlink")
        if word in picture
    ]
    found += re.findall(r'"[^"]*#[0-9a-fA-F]{3,8}[^"]*"', re.sub(r'aria-label="[^"]*"', "", picture))
    if root.get("viewBox") != f"0 0 {width} {root.get('height')}" or root.get("width") != str(width):
        found.append(f"not {width} wide: {root.get('viewBox')}")
    if root.get("role") != "img" or not root.get("aria-label"):
        found.append("no text alternative")
    if len(picture.encode()) >= 25_000:
        found.append(f"{len(picture.encode())} bytes")
    sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", picture)]
    found += [f"letters of {size}" for size in sizes if size < 12.5]
    placed = list(boxes(root))
    found += [f"outside: {b}" for b in placed if b[1] < -1 or b[3] > width + 1 or b[2] < -1 or b[4] > height + 1]
    return found + [
        f"{one[0]!r} over {other[0]!r}"
        for one, other in combinations(placed, 2)
        if one[1] < other[3] - 0.5 and other[1] < one[3] - 0.5 and one[2] < other[4] - 0.5 and other[2] < one[4] - 0.5
    ]


def keeps_the_rules(draw: Draw, *frames: pd.DataFrame) -> dict[int, str]:
    """Draw a picture in all three layouts, check it, and return the SVGs; the frames must stay as they are."""
    before = [frame.copy(deep=True) for frame in frames]
    shapes = {width: svg(draw, width, None, "what it shows") for width in WIDTHS}
    for width, shape in shapes.items():
        assert faults(shape, width) == [], f"at {width}"
    for frame, copy in zip(frames, before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)
    return shapes


def said(picture: str) -> list[str]:
    """Return the texts of a picture."""
    return [text.text or "" for text in ET.fromstring(picture).iter("text")]


@pytest.fixture
def rule() -> SimpleNamespace:
    """Return the builders and checks of this file."""
    return SimpleNamespace(
        rates=rates, draw_on=draw_on, faults=faults, keeps=keeps_the_rules, said=said, long=LONG, chinese=CHINESE
    )


@pytest.fixture(params=["en", "zh"])
def words(request: pytest.FixtureRequest) -> Words:
    """Return the words of each language with long titles for the names `s1` to `s8`."""
    titles = LONG if request.param == "en" else CHINESE
    return Words(request.param, {f"s{place}": title for place, title in enumerate(titles, start=1)})
