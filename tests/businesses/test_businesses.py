"""Every workbook that the project ships as a starting point is valid, collects its exports and makes its reports."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import funnel_lib as fl
from funnel_lib.config import load
from funnel_lib.conversion.kpis.catalogue import stages

ROOT = Path(__file__).parents[2]
NAMES = ("ecommerce", "saas", "b2b", "retail", "manufacturing")
# A period whose people have all had their full time, by the windows of 7 to 270 days.
PERIODS = {"ecommerce": "2026-05", "saas": "2026-05", "b2b": "2025-Q4", "retail": "2026-05", "manufacturing": "2025-Q3"}


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimpleNamespace]:
    """Return a function that writes a business's exports and collects them, once: `book, store`."""
    made: dict[str, SimpleNamespace] = {}
    write = runpy.run_path(str(Path(__file__).with_name("exports.py")))["write"]

    def collected(name: str) -> SimpleNamespace:
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
            (root / "params").mkdir()
            shutil.copy(ROOT / "params" / f"{name}.yml", root / "params")
            write(name, root / "data" / "raw" / name)
            book = load(root / "params" / f"{name}.yml")
            made[name] = SimpleNamespace(book=book, store=fl.collect(book))
        return made[name]

    return collected


def test_these_are_all_that_the_project_ships():
    assert {file.stem for file in (ROOT / "params").glob("*.yml")} == {"education", *NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is_in_both_languages_and_who_answers_for_each_figure(name: str):
    book = load(ROOT / "params" / f"{name}.yml")
    assert book.name == name
    titles = [book.title, book.question, *(step.title for step in book.funnel.steps),
              *(split.title for split in book.segments.values()), *(cost.title for cost in book.costs)]  # fmt: skip
    assert all(set(title or {}) == {"en", "zh"} for title in titles)
    for stage in stages(book.kpis).values():
        assert set(stage.title or {}) == {"en", "zh"}
        assert all(set(kpi.title) == {"en", "zh"} and kpi.owner for kpi in stage.kpis.values())
    assert book.targets
    assert book.value.margin < 1
    assert {"collection", "segmentation", "conversion"} <= set(book.reports)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_its_exports_are_read_whole_and_are_good_enough(name: str, business: Callable[[str], SimpleNamespace]):
    made = business(name)
    tally = made.store.tally().groupby(["source", "outcome"])["rows"].sum().unstack(fill_value=0)
    assert set(tally.index) == set(made.book.sources)  # every source that the workbook names has rows
    assert (tally["kept"] == tally["read"]).all()
    scope = fl.Scope.open(made.book, period=PERIODS[name])
    people = fl.cohort(scope)
    reached = people.counts().set_index("name")["units"]
    assert (reached >= 5).all(), reached
    steps = fl.rates(people, rules=made.book.rules)
    assert steps["rate"].notna().all(), steps
    for split in made.book.segments:
        groups = set(fl.rates(people, by=split, rules=made.book.rules)["group"]) - {"unknown"}
        assert len(groups) > 1, (split, groups)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_its_reports_are_made_in_both_languages(name: str, business: Callable[[str], SimpleNamespace]):
    book = business(name).book
    result = fl.run(book, period=PERIODS[name], workers=1)
    assert result.exit_code == 0, result.plain()
    folder = book.reports_folder / PERIODS[name] / "all"
    for report in ("collection", "segmentation", "conversion"):
        told = [json.loads((folder / f"{report}.{language}.metrics.json").read_text()) for language in ("en", "zh")]
        assert told[0] == told[1]
        pages = [(folder / f"{report}.{language}.html").read_text() for language in ("en", "zh")]
        assert all("Traceback" not in page for page in pages)
    assert told[0]["kpis.known"] >= 8
