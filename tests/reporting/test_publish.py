"""The desk: what it hands out, and what it leaves behind."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from funnel_lib import config
from funnel_lib.reporting.execute import Order, Outcome
from funnel_lib.reporting.plan import plan
from funnel_lib.reporting.publish import Desk

_SHOP = runpy.run_path(str(Path(__file__).with_name("shop.py")))
collected, shop = _SHOP["collected"], _SHOP["shop"]
START = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def desk(shop: Path) -> Desk:
    """The shop's desk, its data graded B."""
    found = Desk.open(config.load(shop / "params" / "shop.yml"), as_of=None, start=START)
    found = replace(found, grade="B")
    found.folder.mkdir(parents=True)
    return found


def finish(order: Order, *names: str) -> Outcome:
    for name in names:
        (order.folder / f"{order.job.stem}.{name}").write_text(name)
    return Outcome("ok", 1.0, None, "All is well.", tuple(f"{order.job.stem}.{name}" for name in names))


def test_orders_know_everything_and_leave_nothing(desk: Desk) -> None:
    with desk.making(plan(desk.workbook, desk.facts, language="en")) as orders:
        assert [order.workbook for order in orders] == ["params/shop.yml"] * 4
        assert len({order.folder for order in orders} | {order.private for order in orders}) == 8
        assert all(order.folder.is_dir() and order.private.is_dir() for order in orders)
        assert orders[0].manifest["quality"] == {"grade": "B", "checks": []}
        # The data ends on 2026-05-10; the window is one day.
        assert [order.manifest["provisional"] for order in orders] == [False, False, True, True]
    assert not any(order.folder.exists() or order.private.exists() for order in orders)
    assert list(desk.folder.iterdir()) == []


def test_files_that_a_report_no_longer_has_are_removed(desk: Desk) -> None:
    jobs = plan(desk.workbook, desk.facts, period="2026-05", segment="all", language="en")
    for names in (("html", "metrics.json", "old.csv"), ("html", "metrics.json", "new.csv")):
        with desk.making(jobs) as [order]:
            desk.publish(order, finish(order, *names))
            target = desk.folder / jobs[0].folder
        if "old.csv" in names:  # printed afterwards, of the report that is then replaced
            (target / "conversion.en.pdf").touch()
            (target / "conversion.en.summary.png").touch()
    found = sorted(path.name for path in (desk.folder / jobs[0].folder).iterdir())
    assert found == [f"conversion.en.{name}" for name in ("html", "manifest.json", "metrics.json", "new.csv")]


def test_the_newest_good_report_of_its_kind_is_linked(desk: Desk) -> None:
    april, may = (
        plan(desk.workbook, desk.facts, period=p, segment="all", language="en") for p in ("2026-04", "2026-05")
    )
    with desk.making(april) as [order]:
        desk.publish(order, finish(order, "html", "metrics.json"))
    with desk.making(may) as [order]:
        desk.publish(order, Outcome("failed", 1.0, "The file of May is missing."))
    page = (desk.folder / may[0].path).read_text()
    assert "The file of May is missing." in page
    assert 'href="../../2026-04/all/conversion.en.html"' in page
    desk.renew_index()
    catalogue = (desk.folder / "index.html").read_text()
    assert "The file of May is missing." in catalogue
    assert "All is well." in catalogue
    assert 'href="2026-04/all/conversion.en.html"' in catalogue


def test_a_damaged_manifest_does_not_stop_the_catalogue(desk: Desk) -> None:
    jobs = plan(desk.workbook, desk.facts, segment="all", language="en")
    with desk.making(jobs) as orders:
        for order in orders:
            desk.publish(order, finish(order, "html", "metrics.json"))
    (desk.folder / jobs[0].folder / "conversion.en.manifest.json").write_text("{")
    desk.renew_index()
    assert "2026-05/all/conversion.en.html" in (desk.folder / "index.html").read_text()
    assert [desk.state(job) for job in jobs] == ["missing", "provisional"]


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def interrupted(desk: Desk, publish: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    """Stop `publish` just before each of its moves in turn, from the same beginning; return how many there are.

    Whatever the moment, what a repair leaves is the report as it was, or the new one whole.
    """
    begun, place = desk.folder.with_name("begun"), desk.folder
    shutil.copytree(place, begun)
    publish()
    whole, old = files(place), files(begun)
    steps = 0
    while True:
        shutil.rmtree(place)
        shutil.copytree(begun, place)
        left = [steps]

        def step(function: Callable[..., object], left: list[int] = left) -> Callable[..., object]:
            def called(*arguments: object, **options: object) -> object:
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                return function(*arguments, **options)

            return called

        with monkeypatch.context() as patch:
            for name in ("replace", "rename", "unlink", "write_text"):
                patch.setattr(Path, name, step(getattr(Path, name)))
            patch.setattr(shutil, "rmtree", step(shutil.rmtree))
            try:
                publish()
            except KeyboardInterrupt:
                pass
            else:
                return steps
        desk.repair()
        assert files(place) in (whole, old), f"after {steps} steps"
        assert not list(place.glob(".[mr]*-*"))
        steps += 1


@pytest.mark.parametrize("how", ["ok", "failed", "no data"])
def test_whoever_is_interrupted_leaves_the_old_report_or_the_new_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    jobs = plan(desk.workbook, desk.facts, period="2026-05", segment="all", language="en")
    with desk.making(jobs) as [order]:
        desk.publish(order, finish(order, "html", "metrics.json", "old.csv"))

    def publish() -> None:
        with desk.making(jobs) as [order]:
            outcome = finish(order, "html", "metrics.json", "new.csv")
            (order.folder / "conversion.en.html").write_text("another")
            desk.publish(order, outcome if how == "ok" else Outcome(how, 1.0, "It broke."))

    assert interrupted(desk, publish, monkeypatch) > 5


def test_a_full_disk_still_says_that_it_is_full(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = plan(desk.workbook, desk.facts, period="2026-05", segment="all", language="en")
    with desk.making(jobs) as [order]:
        (order.folder / "half.html").write_text("x" * 100_000)
        desk.publish(order, Outcome("failed", 1.0, "OSError: No space left on device"))
    place = desk.folder / jobs[0].folder
    assert "No space left on device" in (place / "conversion.en.html").read_text()
    assert sorted(path.name for path in place.iterdir()) == ["conversion.en.failed.json", "conversion.en.html"]


def test_the_manifest_comes_last(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: moved.append(Path(to).name) or replace(self, to))
    with desk.making(plan(desk.workbook, desk.facts, period="2026-05", segment="all", language="en")) as [order]:
        desk.publish(order, finish(order, "html", "metrics.json"))
    assert moved[-1] == "conversion.en.manifest.json"
    assert json.loads((desk.folder / order.job.folder / moved[-1]).read_text())["headline"] == "All is well."
