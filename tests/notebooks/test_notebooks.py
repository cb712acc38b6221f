"""The notebooks' form: thin, parameterised once, nothing typed in that data could contradict."""

import ast
from pathlib import Path

import nbformat
import pytest

from funnel_lib.reporting.plan import NOTEBOOKS, PARAMETERS

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=BOOKS, ids=lambda book: book.stem)
def book(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def code(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_there_is_one_notebook_for_each_report():
    assert {book.name for book in BOOKS} == set(NOTEBOOKS.values())


def test_it_opens_with_title_question_and_how_to_run(book: nbformat.NotebookNode):
    first = book.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert all(
        word in first.source for word in ("**Question.**", "**Data and grain.**", "**Run it.**", "**Decision.**")
    )


def test_one_cell_holds_the_parameters_as_commented_literals(book: nbformat.NotebookNode):
    tagged = [cell for cell in code(book) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0] is code(book)[0]
    names = []
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.Assign)
        assert isinstance(statement.value, ast.Constant)
        names.append(statement.targets[0].id)
    assert sorted(names) == sorted(PARAMETERS)
    assert all("# " in line for line in tagged[0].source.splitlines())


def test_it_defines_nothing_and_decides_nothing(book: nbformat.NotebookNode):
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.Try, ast.For, ast.While, ast.If, ast.Lambda)
    found = [type(node).__name__ for cell in code(book) for node in ast.walk(ast.parse(cell.source))
             if isinstance(node, forbidden)]  # fmt: skip
    assert found == []


def test_its_cells_are_short(book: nbformat.NotebookNode):
    assert max(len(cell.source.splitlines()) for cell in code(book)) <= 15


def test_no_number_is_typed_into_its_text(book: nbformat.NotebookNode):
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert not any(char.isdigit() for char in text)


def test_it_is_kept_without_outputs(book: nbformat.NotebookNode):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(book))
