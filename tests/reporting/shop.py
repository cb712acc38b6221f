"""A tiny business with tiny notebooks: enough to make reports in seconds. Tests take its fixtures by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import funnel_lib

WORKBOOK = """
name: shop
title: {en: Shop, zh: 商店}
timezone: UTC
languages: [en, zh]
sources:
  events:
    system: table
    table: events
    files: events.csv
    columns: {user_id: user, event: event, ts: time}
funnel:
  window: 1d
  steps: [{name: visit, event: visit}, {name: buy, event: buy}]
segments:
  plan: {groups: {paid: {did: [{event: buy, within: 1d}]}}}
periods: {latest: 2}
reports:
  conversion: {segments: [plan=paid]}
"""

PARAMETERS = 'workbook = "x"\nperiod = "latest"\nsegment = "all"\nlanguage = "en"\nas_of = None'
REPORT = """
from pathlib import Path

import pandas as pd

from funnel_lib.reporting.blocks import section, summary
from funnel_lib.reporting.tables import Column, Table
from funnel_lib.reporting.wording import Count, Say

say = Say(language)
people = pd.DataFrame({"who": ["a", "b"], "n": [Count(2), Count(3)]})
shown = Table(people, [Column("who", "Who"), Column("n", "People")], caption="People", name="people")
section("people", kicker="People", finding=say("{n} people came.", key="came", n=5), sub="", parts=[shown])
"""
SUMMARY = """summary(say("{n} people came in {period}.", key="lead", n=5, period=period), [])"""


def write_notebook(path: Path, *sources: str) -> Path:
    """Write a notebook whose first code cell is tagged `parameters`."""
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Title"}]
    cells += [
        {
            "cell_type": "code", "id": f"cell-{number}", "metadata": {} if number else {"tags": ["parameters"]},
            "source": source, "outputs": [], "execution_count": None,
        }
        for number, source in enumerate((PARAMETERS, *sources))
    ]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop, collected: 40 people on 40 days from 2026-04-01 visit at noon, every second buys an hour later."""
    root = tmp_path_factory.mktemp("shop")
    for folder in ("params", "notebooks", "data/raw/shop"):
        (root / folder).mkdir(parents=True)
    (root / "params" / "shop.yml").write_text(WORKBOOK, encoding="utf-8")
    days = [f"2026-{4 + number // 30:02d}-{1 + number % 30:02d}" for number in range(40)]
    rows = [f"u{number},visit,{day}T12:00:00Z" for number, day in enumerate(days)]
    rows += [f"u{number},buy,{day}T13:00:00Z" for number, day in enumerate(days) if number % 2]
    (root / "data/raw/shop/events.csv").write_text("\n".join(["user,event,time", *rows]) + "\n")
    for name in ("01_data_collection", "02_segmentation", "03_conversion_analysis"):
        write_notebook(root / "notebooks" / f"{name}.ipynb", REPORT, SUMMARY)
    funnel_lib.collect(funnel_lib.load(root / "params" / "shop.yml"))
    return root


@pytest.fixture
def shop(collected: Path, tmp_path: Path) -> Path:
    """A copy of the shop for one test: its root folder."""
    root = tmp_path / "shop"
    shutil.copytree(collected, root)
    return root


@pytest.fixture
def notebook() -> Callable[..., Path]:
    """Writes a notebook with a cell tagged `parameters` before the given ones."""
    return write_notebook
