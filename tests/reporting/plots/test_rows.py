from matplotlib.figure import Figure

from funnel_lib.reporting.plots.rows import Look, Row, grid
from funnel_lib.reporting.plots.stage import Cell, Stage

ROWS = [Row("First", (Cell("50%"), Cell("40–60%")), "n = 9"), Row("Second", quiet="too few")]


def laid_out(width: int, look: Look):
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), width)
    return stage, grid(stage, ROWS, [0.0, 0.5, 1.0], lambda mark: f"{mark:.0%}", look)


def places(stage: Stage) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in stage.ax.texts}


def test_titles_stand_beside_the_marks_where_there_is_room():
    stage, drawn = laid_out(700, Look(True))
    where = places(stage)
    assert where["First"][0] == 0
    assert abs(where["First"][1] - drawn.places[0]) < 20
    assert where["50%"][0] in (700, drawn.panel.x(0.5))
    assert drawn.strips == [(22, drawn.bottom)]
    assert drawn.panel.left > 50
    assert drawn.panel.left + drawn.panel.width < 700 - 40


def test_titles_stand_above_the_marks_on_a_phone():
    stage, drawn = laid_out(328, Look(False))
    where = places(stage)
    assert where["First"][1] < drawn.strips[0][0] < drawn.places[0] < drawn.strips[0][1] < where["Second"][1]
    assert drawn.panel.width > 280


def test_words_in_place_of_marks_stand_in_the_row():
    stage, drawn = laid_out(700, Look(True))
    assert abs(places(stage)["too few"][1] - drawn.places[1]) < 6


def test_panels_with_the_same_room_for_words_have_the_same_scale():
    look = Look(True, words=80)
    stage = Stage(Figure().add_axes((0, 0, 1, 1)), 700)
    scales = [
        grid(stage, [Row("Same", (Cell(text),))], [0.0, 1.0], str, look, part=(10, 0, 328)).panel
        for text in ("1%", "100.0% ▲")
    ]
    assert scales[0].width == scales[1].width
    assert scales[0].left == scales[1].left > 10


def test_a_line_crosses_every_strip():
    stage, drawn = laid_out(328, Look(False))
    before = len(stage.ax.lines)
    drawn.lines([0.5])
    (line,) = stage.ax.lines[before:]
    ends = [float(y) for y in line.get_ydata() if y == y]
    assert ends == [end for strip in drawn.strips for end in strip]
    assert {float(x) for x in line.get_xdata() if x == x} == {drawn.panel.x(0.5)}
