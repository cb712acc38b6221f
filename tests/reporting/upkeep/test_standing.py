"""How reports stand, which are due, and from when on newer data no longer touches them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import funnel_lib
from funnel_lib import config
from funnel_lib.reporting import manifest
from funnel_lib.reporting.plan import Job, plan
from funnel_lib.reporting.publish import Desk
from funnel_lib.reporting.upkeep.standing import standings, told, unprinted


def desk(shop: Path, start: datetime = datetime(2026, 7, 1, tzinfo=UTC)) -> Desk:
    return Desk.open(config.load(shop / "params" / "shop.yml"), as_of=None, start=start)


def jobs(found: Desk) -> list[Job]:
    return plan(found.workbook, found.facts, segment="all", language="en")


def test_a_report_is_due_once_its_period_has_ended_and_it_would_change(shop: Path) -> None:
    page = shop / "reports/shop/2026-05/all/conversion.en.html"
    page.unlink()
    for start, due in ((datetime(2026, 5, 31, 23, tzinfo=UTC), False), (datetime(2026, 6, 1, tzinfo=UTC), True)):
        april, may = standings(desk(shop, start), jobs(desk(shop)))
        assert (april.state, april.due, april.pending) == ("current", False, False)
        assert (may.state, may.due, may.pending) == ("missing", due, True)


def test_a_report_over_the_whole_data_is_due_whenever_it_would_change(shop: Path) -> None:
    open_desk = desk(shop, datetime(2026, 5, 1, tzinfo=UTC))
    whole = plan(open_desk.workbook, open_desk.facts, period="all", segment="all", language="en")
    assert [(one.job.period, one.due) for one in standings(open_desk, whole)] == [("all", True)]


def test_states_are_counted_for_programs(shop: Path) -> None:
    found = told("shop", standings(desk(shop), jobs(desk(shop))))
    assert found["counts"] == {"current": 1, "provisional": 1}
    assert found["reports"][1] == {
        "report": "conversion", "period": "2026-05", "segment": "all", "language": "en",
        "path": "2026-05/all/conversion.en.html", "state": "provisional", "due": False, "why": [], "reason": None,
        "restated": [],
    }  # fmt: skip


def test_a_current_report_is_printed_later_where_that_can_be_done(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "browser"
    browser.touch(mode=0o755)
    monkeypatch.setenv("FUNNEL_CHROMIUM", str(browser))
    printing = replace(desk(shop), paper=True)
    _, may = jobs(printing)
    assert (unprinted(printing, may), unprinted(desk(shop), may)) == (True, False)
    place = shop / "reports/shop/2026-05/all/conversion.en.manifest.json"
    record = manifest.read(place) or {}
    manifest.write({**record, "outputs": [*record["outputs"], {"path": "conversion.en.pdf"}]}, place)
    assert not unprinted(printing, may)
    manifest.write(record, place)
    browser.unlink()
    assert not unprinted(printing, may)  # it would be made again in vain, every night


def add(shop: Path, *days: str) -> None:
    """Collect one more visit on each of these days."""
    export = shop / "data/raw/shop/events.csv"
    export.write_text(export.read_text() + "".join(f"new{day},visit,{day}T09:00:00Z\n" for day in days))
    funnel_lib.collect(funnel_lib.load(shop / "params" / "shop.yml"))


def test_a_settled_report_looks_no_further_and_late_rows_reopen_it(shop: Path) -> None:
    workbook = shop / "params" / "shop.yml"
    workbook.write_text(workbook.read_text().replace("{latest: 2}", "{latest: 2, settle: 0}"))

    def keys() -> list[str]:
        found = desk(shop)
        return [found.described(job)["cache_key"] for job in jobs(found)[:1]]

    add(shop)
    april = jobs(desk(shop))[0]
    made = desk(shop).described(april)
    # The windows of April close on 2026-05-02 at midnight; the data goes on until 05-10.
    assert made["params"]["as_of"] == made["slice"]["before"] == "2026-05-02T00:00:00+00:00"
    assert not made["provisional"]
    before = keys()
    add(shop, "2026-05-08")
    assert keys() == before
    add(shop, "2026-04-08")
    assert keys() != before
    asked = replace(desk(shop), as_of=datetime(2026, 5, 9, tzinfo=UTC)).described(april)
    assert asked["slice"]["before"] is None
    assert asked["params"]["as_of"] == "2026-05-09T00:00:00+00:00"


def test_reports_over_the_whole_data_are_never_settled(shop: Path) -> None:
    workbook = shop / "params" / "shop.yml"
    workbook.write_text(workbook.read_text().replace("{latest: 2}", "{latest: 2, settle: 0}"))
    found = desk(shop)
    whole = replace(jobs(found)[0], report="collection")
    assert found.described(whole)["slice"]["before"] is None
