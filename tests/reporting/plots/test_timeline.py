from math import nan

import pytest
from matplotlib.figure import Figure

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.plots.stage import Cell, Stage
from funnel_lib.reporting.plots.timeline import End, area, at_most_four, band, close, named


def test_the_plot_lies_between_its_scale_and_the_labels_of_its_ends():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 700)
    ends = [End(0.5, [Cell("50%", size=20)])]
    panel = area(stage, 10, (0, 9), [0.0, 0.5, 1.0], lambda mark: f"{mark:.0%}", ends)
    assert panel.left > Cell("100%").width
    assert panel.left + panel.width < 700 - ends[0].cells[0].width
    assert {text.get_text() for text in stage.ax.texts} == {"0%", "50%", "100%"}


def test_labels_of_close_ends_are_moved_apart_and_joined_to_their_ends():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 700)
    ends = [End(0.50, [Cell("a"), Cell("50%")]), End(0.52, [Cell("b"), Cell("52%")]), End(nan, [Cell("c")])]
    panel = area(stage, 10, (0, 9), [0.0, 1.0], str, ends)
    rules = len(stage.ax.lines)
    close(panel, ends, 20)
    where = {text.get_text(): text.get_position()[1] for text in stage.ax.texts}
    assert where["52%"] + 16 <= where["a"]  # the higher value stands above, clear of the other
    assert where["c"] > panel.y(0.1)
    assert len(stage.ax.lines) == rules + 2


def test_bands_leave_out_what_is_unknown():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 700)
    panel = stage.panel((0, 0, 100, 100), (0, 5), (0, 1))
    band(panel, [0, 1, 2, 3, 4], [0.1, 0.2, nan, 0.1, 0.2], [0.3, 0.4, nan, 0.3, 0.4], "c1")
    assert [patch.get_xy()[:, 0].max() for patch in panel.ax.patches] == [1, 4]
    assert len(panel.ax.lines) == 4


def test_names_have_the_colour_of_their_series():
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 700)
    assert [cell.color for cell in named(stage, "A name that needs more than a single line", 1, 14)] == [
        "c2",
        "c2",
        "c2",
    ]


def test_four_series_are_enough():
    at_most_four(["a", "b", "c", "d"])
    with pytest.raises(ConfigError, match="5 groups"):
        at_most_four(["a", "b", "c", "d", "e"])
