"""The conversion notebook as its readers see it: every cell run in order in this process, its blocks collected."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import IPython.display
import nbformat
import pytest

from funnel_lib.reporting.blocks import Block

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_conversion_analysis.ipynb"
Page = dict[str, Block]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Page]:
    """Return a function that runs the notebook with parameters and gives its blocks by their ids."""

    def run(workbook: Path, **parameters: str) -> Page:
        shown: list[Block] = []
        monkeypatch.setattr(IPython.display, "display", shown.append)
        names: dict[str, Any] = {}
        for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
            if cell.cell_type != "code":
                continue
            _run(cell.source, names, shown)
            if "parameters" in cell.metadata.get("tags", []):
                names |= {"workbook": str(workbook), **parameters}
        assert all(isinstance(block, Block) for block in shown)
        return {block.id: block for block in shown}

    return run


def _run(source: str, names: dict[str, Any], shown: list[Block]) -> None:
    """Run a cell; the value of its last line is shown, as a notebook does."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        if value is not None:
            shown.append(value)
