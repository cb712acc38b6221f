from __future__ import annotations

import re
import subprocess
import sys
import warnings
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from funnel_lib.reporting.markup import FOLDER
from funnel_lib.reporting.plots import SERIES, TOKENS, WIDTHS, figure, svg
from funnel_lib.reporting.plots.stage import Stage


def one_of_each(ax: Axes, width: int) -> Axes:
    stage = Stage(ax, width)
    panel = stage.panel((10, 10, 100, 50), (0, 1))
    panel.line([0, 0.5, 1], [10, float("nan"), 20], color="c1", dashes=(4, 2))
    panel.line([0, 0.5, 1], [10, 30, 20], color="c2")
    panel.dots([0.25], [10], color="c3", filled=False)
    panel.dots([0.75], [10], color="c4", shape="D")
    panel.area([0, 1, 1], [0, 0, 9], color="c5", alpha=0.15)
    stage.write(5, 90, "5 < 6 & 7", align="left")
    stage.write(60, 90, "漏斗", align="center", bold=True, size=14)
    stage.write(width, 90, "costs $5 to $9", align="right", halo=True)
    return stage.close(100)


def test_one_unit_is_one_css_pixel():
    picture = ET.fromstring(svg(one_of_each, 328, None, "x"))
    assert (picture.get("viewBox"), picture.get("width"), picture.get("height")) == ("0 0 328 100", "328", "100")
    places = {text.text: (text.get("x"), text.get("y")) for text in picture.iter("text")}
    assert places == {"5 < 6 & 7": ("5", "90"), "漏斗": ("60", "90"), "costs $5 to $9": ("328", "90")}


def test_text_stays_text_in_the_font_of_the_page():
    assert 'style="font-size:12.5px;fill:var(--ink2)">' in svg(one_of_each, 328, None, "x")
    texts = {text.text: text.get("style") for text in ET.fromstring(svg(one_of_each, 328, None, "x")).iter("text")}
    assert texts["5 < 6 & 7"] is None  # what the whole picture has: 12.5 px in ink2
    assert texts["漏斗"] == "font-size:14px;font-weight:650;text-anchor:middle"
    assert texts["costs $5 to $9"] == "text-anchor:end;paint-order:stroke;stroke:var(--bg);stroke-width:4px"


def test_marks_have_the_places_and_colours_they_were_given():
    root = ET.fromstring(svg(one_of_each, 328, None, "x"))
    paths = {path.get("stroke"): path for path in root.iter("path") if path.get("stroke") is not None}
    # x 0, 0.5, 1 are 10, 60, 110; y are pixels from the panel's top at 10.
    assert paths["var(--c2)"].get("d") == "M10 20l50 20l50 -10"
    assert paths["var(--c1)"].get("stroke-dasharray") == "4 2"
    area = next(path for path in root.iter("path") if path.get("fill") == "var(--c5)")
    assert (area.get("fill-opacity"), area.get("stroke")) == ("0.15", None)
    circle = next(root.iter("circle"))
    assert (circle.get("cx"), circle.get("cy"), circle.get("r")) == ("35", "20", "4.5")
    assert (circle.get("fill"), circle.get("stroke")) == ("var(--bg)", "var(--c3)")
    diamond = next(path for path in root.iter("path") if path.get("fill") == "var(--c4)")
    assert diamond.get("stroke") is None
    assert diamond.get("d", "").startswith("M85 ")  # its lowest corner, below 0.75


def test_the_text_alternative_is_escaped():
    picture = svg(one_of_each, 328, None, 'a "b" <c> & d')
    assert ET.fromstring(picture).get("aria-label") == 'a "b" <c> & d'


def test_the_same_picture_has_the_same_bytes_under_any_theme():
    import seaborn as sns

    plain = svg(one_of_each, 328, None, "x")
    with sns.plotting_context("poster"), sns.axes_style("darkgrid"), plt.rc_context({"text.usetex": True}):
        assert svg(one_of_each, 328, None, "x") == plain


def test_a_height_can_be_asked_for():
    assert 'height="150"' in svg(one_of_each, 328, 150, "x")[:120]


def test_figure_draws_every_width():
    shapes = figure(one_of_each, alt="x")
    assert tuple(shapes) == WIDTHS
    assert all(f'width="{width}"' in shape for width, shape in shapes.items())


def test_pictures_of_others_can_be_drawn_too():
    def draw(ax: Axes, width: int) -> None:
        ax.add_patch(
            Rectangle((0.25, 0.25), 0.5, 0.5, facecolor="#0072B2", edgecolor="#123456", transform=ax.transAxes)
        )
        curve = Path([(0, 0), (0.5, 1), (1, 0)], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        ax.add_patch(PathPatch(curve, facecolor="none", transform=ax.transAxes))
        ax.text(0.5, 0.5, "up", rotation=90, transform=ax.transAxes)
        ax.set_axis_off()

    picture = svg(draw, 100, 100, "x")
    assert '<path d="M25 75h50v-50h-50z" fill="var(--c1)" stroke="#123456"' in picture
    assert "M0 100q50 -100 100 0" in picture
    assert "rotate(-90" in picture


def test_drawing_chinese_needs_no_font_and_warns_of_none(caplog: pytest.LogCaptureFixture):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg(one_of_each, 700, None, "x")
    assert not caplog.records


def test_no_figure_stays_open():
    before = plt.get_fignums()
    svg(one_of_each, 328, None, "x")
    assert plt.get_fignums() == before


def test_every_token_has_a_colour_of_its_own():
    assert len(set(TOKENS.values())) == len(TOKENS)
    assert set(SERIES) <= set(TOKENS)


def test_importing_the_pictures_imports_no_plotting_library():
    code = "import sys, funnel_lib.reporting.plots; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "seaborn", "scipy"} & set(done.stdout.split())


def test_the_check_of_all_pictures_finds_faults(rule: SimpleNamespace):
    def draw(ax: Axes, width: int) -> None:
        stage = Stage(ax, width)
        stage.write(10, 20, "one over")
        stage.write(20, 24, "the other", size=11)
        stage.write(width - 10, 50, "outside")
        stage.close(60)

    found = " ".join(rule.faults(svg(draw, 328, None, "x"), 328))
    assert "'one over' over 'the other'" in found
    assert "letters of 11" in found
    assert "outside: ('outside'" in found


def test_the_page_has_every_token_with_the_same_colour():
    sheet = (FOLDER / "tokens.css").read_text(encoding="utf-8").split("@media")[0]
    page = dict(re.findall(r"--(\w+): (#[0-9a-f]+);", sheet)) | {"bg": "#ffffff"}
    assert {name: page.get(name) for name in TOKENS} == TOKENS
