"""Published numbers that a later run has moved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import funnel_lib
from funnel_lib.reporting.runs import run, status
from funnel_lib.reporting.upkeep.restating import MOST, Published, restated, section
from funnel_lib.reporting.upkeep.verifying import verify

NOW = {"cache_key": "new", "slice": {"tables": {"events": "b"}}, "data_through": "2026-06-20T00:00:00+00:00"}


def published(metrics: dict[str, Any], **manifest: Any) -> Published:
    made = {"cache_key": "old", "slice": {"tables": {"events": "a"}}, "provisional": False, "restates": []}
    return Published(made | manifest, metrics)


def test_a_number_that_moves_more_than_the_tolerance_is_listed_with_its_cause() -> None:
    found = restated(published({"n": 1000, "m": 1000, "x": None}), NOW, {"n": 1002, "m": 1000.5, "x": None},
                     tolerance=0.001)  # fmt: skip
    assert found == [
        {"number": "n", "old": 1000, "new": 1002, "why": ["data"], "data_through": NOW["data_through"]}
    ]  # fmt: skip


def test_what_was_listed_stays_listed() -> None:
    before = [{"number": "n", "old": 1, "new": 2, "why": ["code"], "data_through": None}]
    now = {"n": 3}
    assert restated(published({"n": 2}, restates=before), NOW, now, tolerance=0)[:1] == before
    assert len(restated(published({"n": 2}, restates=before), NOW, now, tolerance=0)) == 2
    assert restated(published({"n": 2}, restates=before, cache_key="new"), NOW, now, tolerance=0) == before
    many = [before[0]] * MOST
    assert [one["new"] for one in restated(published({"n": 2}, restates=many), NOW, now, tolerance=0)][-2:] == [2, 3]
    assert len(restated(published({"n": 2}, restates=many), NOW, now, tolerance=0)) == MOST


def test_the_count_of_restatements_is_no_restatement() -> None:
    assert restated(published({"restated.n": 1, "n": 1}), NOW, {"n": 1}, tolerance=0) == []


def test_provisional_numbers_may_move_and_a_first_report_restates_nothing() -> None:
    assert restated(published({"n": 1}, provisional=True), NOW, {"n": 2}, tolerance=0) == []
    assert restated(None, NOW, {"n": 2}, tolerance=0) == []


@pytest.mark.parametrize(
    ("language", "finding", "cause"),
    [("en", "1 published number has moved since", "the data"), ("zh", "有1个已发布的数字发生了变动", "数据变化")],
)  # fmt: skip
def test_readers_see_old_and_new(language: Any, finding: str, cause: str) -> None:
    block = section(restated(published({"rate": 0.25}), NOW, {"rate": 0.2}, tolerance=0), language)
    assert block.text.startswith(finding)
    for text in ("rate", "0.25", "0.2", cause, "2026-06-20"):
        assert text in block.html
    assert block.metrics == {"restated.n": 1}
    assert "restated" in block.tables


def test_late_rows_restate_a_final_report_and_not_a_provisional_one(shop: Path) -> None:
    workbook, export = shop / "params" / "shop.yml", shop / "data/raw/shop/events.csv"
    late = [f"late{n},visit,2026-0{month}-02T09:00:00Z" for n in range(3) for month in (4, 5)]
    export.write_text(export.read_text() + "\n".join(late) + "\n")
    funnel_lib.collect(funnel_lib.load(workbook))
    stale = status(workbook, language="en", segment="all")
    assert [(one.state, one.due, one.why) for one in stale] == [("stale", True, ("data",))] * 2
    result = run(workbook, language="en", segment="all", due=True)
    assert [(made.status, made.restates) for made in result.reports] == [("ok", 1), ("ok", 0)]
    # 30 and 10 people came; three late ones each. April was final, May is not.
    moved = {"number": "came.n", "old": 30, "new": 33, "why": ["data"], "data_through": "2026-05-10T13:00:00+00:00"}
    april, may = status(workbook, language="en", segment="all")
    assert (list(april.restated), list(may.restated)) == ([moved], [])
    assert april.plain()["restated"] == [moved]
    folder = shop / "reports/shop/2026-04/all"
    assert json.loads((folder / "conversion.en.manifest.json").read_text())["restates"] == [moved]
    page = (folder / "conversion.en.html").read_text()
    assert "1 published number has moved since" in page
    assert "restated" not in (shop / "reports/shop/2026-05/all/conversion.en.html").read_text()
    assert (folder / "conversion.en.restated.csv").is_file()
    run(workbook, language="en", segment="all", period="2026-04", force=True)
    assert (folder / "conversion.en.html").read_text().split("<footer>")[0] == page.split("<footer>")[0]
    assert verify(shop / "reports/shop").faults == ()
