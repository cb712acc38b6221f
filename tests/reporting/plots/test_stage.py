import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from funnel_lib.reporting.plots.stage import NOTEBOOK_WIDTH, Cell, Stage, records, ticks


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_without_axes_a_notebook_gets_a_figure_of_its_own():
    stage = Stage(None, None)
    ax = stage.close(250)
    assert ax.figure.number in plt.get_fignums()
    assert tuple(ax.figure.get_size_inches() * 72) == pytest.approx((NOTEBOOK_WIDTH, 250))
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, NOTEBOOK_WIDTH), (250, 0))


def test_an_axes_that_is_alone_gets_the_size_of_the_picture():
    sheet, ax = plt.subplots(figsize=(5, 5))
    assert Stage(ax, 328).close(100) is ax
    assert tuple(sheet.get_size_inches() * 72) == pytest.approx((328, 100))
    assert ax.get_position().bounds == (0, 0, 1, 1)


def test_a_figure_with_others_grows_until_the_picture_has_room():
    sheet, (first, second) = plt.subplots(2, 1, figsize=(6, 2), dpi=100)
    across = sheet.get_size_inches()[0]
    stage = Stage(first, None)
    assert stage.width == pytest.approx(first.get_position().width * 6 * 72, abs=1)
    stage.close(300)
    assert first.get_window_extent().height * 72 / 100 == pytest.approx(300)
    assert sheet.get_size_inches()[0] == across
    high = sheet.get_size_inches()[1]
    Stage(second, None).close(50)  # fits: nothing changes, and pixels stay square
    assert sheet.get_size_inches()[1] == high
    assert second.get_ylim()[0] == pytest.approx(300)


def test_panels_lie_where_they_were_put():
    sheet = Figure(figsize=(2, 2), dpi=72)
    stage = Stage(sheet.add_axes((0, 0, 1, 1)), 144)
    panel = stage.panel((40, 30, 80, 50), (0, 2), (0, 10))
    stage.close(100)
    sheet.draw_without_rendering()
    box = panel.ax.get_window_extent()
    assert (box.x0, box.x1, 100 - box.y1, 100 - box.y0) == pytest.approx((40, 120, 30, 80))
    assert (panel.x(1), panel.y(0), panel.y(10)) == (80, 80, 30)


def test_a_panel_without_limits_counts_pixels_from_its_top():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 100)
    panel = stage.panel((0, 20, 100, 60), (0, 1))
    assert (panel.y(0), panel.y(60)) == (20, 80)


def test_a_whisker_too_narrow_to_be_seen_is_not_drawn():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 100)
    panel = stage.panel((0, 0, 100, 60), (0, 1))
    panel.whisker(0.5, 0.55, 30, color="c1")
    panel.whisker(float("nan"), float("nan"), 30, color="c1")
    assert not panel.ax.lines
    panel.whisker(0.5, 0.56, 30, color="c1")
    assert panel.ax.lines[0].get_xdata()[:2] == [0.5, 0.56]


def test_the_labels_of_a_scale_are_thinned_evenly_around_zero():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 200)
    stage.scale([0, 40, 80, 120, 160, 200], ["−20.0", "−10.0", "0", "+10.0", "+20.0", "+30.0"], 10)
    assert [text.get_text() for text in stage.ax.texts] == ["−20.0", "0", "+20.0"]


def test_ticks_are_round_and_hold_the_values():
    assert ticks(0, 0.071, 4) == [0, 0.02, 0.04, 0.06, 0.08]
    found = ticks(-0.032, 0.046, 4)
    assert found[0] <= -0.032
    assert found[-1] >= 0.046
    assert 0 in found


def test_cells_know_their_width_and_rows_their_names():
    assert Cell("漏斗", size=20).width == 40
    assert [(row.group, row.rate) for row in records(pd.DataFrame({"group": ["a"], "rate": [0.5]}))] == [("a", 0.5)]


def test_bold_latin_text_stays_bold_in_a_notebook_beside_signs():
    stage = Stage(None, 100)
    stage.write(0, 10, "▲ 5.5%", bold=True)
    assert stage.ax.texts[0].get_fontproperties().get_weight() == "bold"
