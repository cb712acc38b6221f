"""A report made again from its manifest, and what two reports differ in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.runs import run
from funnel_lib.reporting.upkeep import rerunning
from funnel_lib.reporting.upkeep.comparing import Move
from funnel_lib.reporting.upkeep.rerunning import difference, manifest_of, reports_in, rerun, rerun_all, told

MAY, APRIL = (f"reports/shop/2026-0{month}/all/conversion.en.html" for month in (5, 4))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_is_reproduced_without_touching_anything(shop: Path) -> None:
    before = files(shop)
    found = rerun(shop / MAY)
    assert (found.moves, found.causes, found.same_page, found.reason) == ((), {}, True, None)
    assert not found.unexplained
    assert files(shop) == before


def test_what_moved_is_named_with_its_cause(shop: Path) -> None:
    metrics = shop / "reports/shop/2026-05/all/conversion.en.metrics.json"
    metrics.write_text(json.dumps({"came.n": 9, "gone": 1}))
    found = rerun(shop / MAY)
    # Ten days of May; nothing but the published numbers differs, so nothing explains it.
    assert found.moves == (Move("came.n", 9, 10), Move("gone", 1, None))
    assert found.unexplained
    workbook = shop / "params" / "shop.yml"
    workbook.write_text(workbook.read_text().replace("window: 1d", "window: 2d"))
    found = rerun(shop / MAY)
    assert found.causes == {"definition": ["config_sha256"]}
    assert not found.unexplained
    assert found.plain()["moves"][0] == {"number": "came.n", "old": 9, "new": 10}


def test_a_report_that_cannot_be_made_again_says_why(shop: Path) -> None:
    notebook = shop / "notebooks" / "03_conversion_analysis.ipynb"
    notebook.write_text(notebook.read_text().replace("came = int(", "came = 1 / 0 + int("))
    found = rerun(shop / MAY)
    assert found.reason == "ZeroDivisionError: division by zero"
    assert found.causes == {"code": ["code.notebook_sha256"]}
    assert found.unexplained


def test_a_report_as_of_another_time_is_made_as_of_that_time(shop: Path) -> None:
    one = {"report": "conversion", "period": "2026-05", "segment": "all", "language": "en"}
    run(shop / "params/shop.yml", **one, as_of=datetime(2026, 5, 5, tzinfo=UTC))  # type: ignore[arg-type]
    assert json.loads((shop / MAY.replace("html", "metrics.json")).read_text())["came.n"] == 4
    found = rerun(shop / MAY)
    assert (found.moves, found.causes, found.same_page) == ((), {}, True)


def test_all_reports_of_a_folder_are_made_again_together(shop: Path) -> None:
    folder, told_of = shop / "reports", []
    paths = reports_in(folder)
    assert [path.relative_to(shop).as_posix() for path in paths] == [
        one.replace(".html", ".manifest.json") for one in (APRIL, MAY)
    ]
    (shop / MAY.replace("html", "metrics.json")).write_text(json.dumps({"came.n": 9}))
    found = rerun_all(paths, progress=lambda what, share: told_of.append((what.split(" · ")[1], share)))
    assert [(one.old, one.reproduced) for one in found] == [
        ("2026-04/all/conversion.en.html", True), ("2026-05/all/conversion.en.html", False),
    ]  # fmt: skip
    assert [share for _, share in told_of] == [0.5, 1.0]
    assert {what for what, _ in told_of} == {"2026-04", "2026-05"}
    summary = told(found)
    assert {**summary, "differences": 0} == {"reports": 2, "reproduced": 1, "same_pages": 2, "differences": 0}
    assert [one["moves"] for one in summary["differences"]] == [[{"number": "came.n", "old": 9, "new": 10}]]
    with pytest.raises(ConfigError, match="not a published report"):
        reports_in(shop / "data")


def test_what_was_printed_afterwards_is_not_missed_on_the_page(shop: Path) -> None:
    (shop / MAY).with_suffix(".pdf").write_bytes(b"%PDF")
    assert rerun(shop / MAY).same_page is True


def test_two_reports_differ_by_period(shop: Path) -> None:
    found = difference(shop / APRIL, shop / MAY)
    assert found.moves == (Move("came.n", 30, 10),)
    assert list(found.causes) == ["definition"]
    assert {"period.name", "period.from", "period.to"} <= set(found.causes["definition"])
    assert found.same_page is False
    same = difference(shop / MAY, shop / MAY)
    assert (same.moves, same.causes, same.same_page) == ((), {}, True)


def test_a_report_is_named_by_any_of_its_files(shop: Path) -> None:
    folder = shop / "reports/shop/2026-05/all"
    manifest = folder / "conversion.en.manifest.json"
    for name in ("conversion.en.html", "conversion.en.metrics.json", "conversion.en.people.csv", manifest.name):
        assert manifest_of(folder / name) == manifest
    assert manifest_of(folder) == manifest
    (folder / "collection.en.manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a published report"):
        manifest_of(folder)


@pytest.mark.parametrize("name", ["absent.en.html", "", "conversion.en.html"])
def test_what_is_no_report_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "conversion.en.manifest.json").write_text("{")
    with pytest.raises(ConfigError, match="not a published report"):
        rerun(tmp_path / name)


def test_a_report_away_from_its_workbook_needs_its_name(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away"
    (shop / "reports/shop/2026-05/all").rename(away)
    with pytest.raises(ConfigError, match="workbook of this report") as error:
        rerun(away)
    assert "--workbook" in str(error.value)
    asked: list[int] = []

    def made(*_: object, **__: object) -> None:
        asked.append(1)
        raise InterruptedError

    monkeypatch.setattr(rerunning.execute, "make_all", made)
    with pytest.raises(InterruptedError):
        rerun(away, workbook=shop / "params/shop.yml")
    assert asked
