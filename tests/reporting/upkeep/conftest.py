"""The shop with its reports of 2026-04 and 2026-05 made once, and copies of it for single tests."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

from funnel_lib.reporting.runs import run

_SHOP = runpy.run_path(str(Path(__file__).parents[1] / "shop.py"))
collected, notebook = _SHOP["collected"], _SHOP["notebook"]
# How many people visited in the period, as far as the report looks.
COUNTED = """
from funnel_lib.collection.scope import Scope
from funnel_lib.reporting.blocks import summary
from funnel_lib.reporting.wording import Say

scope = Scope.open(workbook, period=period, segment=segment, language=language, as_of=as_of)
events = scope.store.read("events")
seen = events[(events["event"] == "visit") & (events["ts"] <= scope.as_of)]
came = int(((seen["ts"] >= scope.period.start) & (seen["ts"] < scope.period.end)).sum())
summary(Say(language)("{n} people came in {period}.", key="came", n=came, period=period), [])
"""


@pytest.fixture(scope="module")
def published(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's root folder, with the conversion reports of both months for everybody, in English."""
    root = tmp_path_factory.mktemp("published") / "shop"
    shutil.copytree(collected, root)
    _SHOP["write_notebook"](root / "notebooks" / "03_conversion_analysis.ipynb", COUNTED)
    result = run(root / "params" / "shop.yml", language="en", segment="all")
    assert result.exit_code == 0
    return root


@pytest.fixture
def shop(published: Path, tmp_path: Path) -> Path:
    """A copy of the shop with its reports."""
    root = tmp_path / "shop"
    shutil.copytree(published, root)
    return root
