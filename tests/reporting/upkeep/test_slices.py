"""Which rows a report depends on: until when it takes in late ones, and what tells one part from another."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib import config
from funnel_lib.collection.store import Store, save
from funnel_lib.reporting.upkeep import slices
from funnel_lib.reporting.upkeep.slices import Slices, settled_at

MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def book(window: str | None = "1d", **periods: Any) -> config.Workbook:
    return config.parse(
        {
            "name": "x", "title": "X", "periods": periods, "timezone": "Asia/Shanghai",
            "sources": {"a": {"system": "table", "table": "events", "files": "a.csv", "columns": {
                "user_id": "u", "event": "e", "ts": "t"}}},
            "funnel": {"window": window, "steps": [{"name": "a", "event": "a"}, {"name": "b", "event": "b"}]},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("window", "periods", "name", "day"),
    [
        # May's last window closes in June; one more month is July.
        ("1d", {}, "2026-05", "2026-08-01"),
        ("14d", {}, "2026-05", "2026-08-01"),
        ("35d", {}, "2026-05", "2026-09-01"),
        ("0s", {}, "2026-05", "2026-07-01"),
        ("14d", {"settle": 0}, "2026-05", "2026-06-15"),
        ("14d", {"settle": 3}, "2026-05", "2026-09-01"),
        # Week 21 ends on 05-24; 14 days fill two more weeks exactly; one more.
        ("14d", {}, "2026-W21", "2026-06-15"),
        ("1d", {}, "2026-Q2", "2027-01-01"),
        # Ten days: the window of 14 days reaches two more stretches, then one.
        ("14d", {}, "2026-05-01..2026-05-10", "2026-06-10"),
    ],
)  # fmt: skip
def test_when_a_period_is_settled(window: str, periods: dict[str, int], name: str, day: str) -> None:
    workbook = book(window, **periods)
    settled = settled_at(workbook, workbook.period(name, date(2026, 1, 1), date(2026, 12, 31)))
    assert settled == datetime.fromisoformat(f"{day}T00:00+08:00")


def test_some_periods_are_never_settled() -> None:
    days = date(2026, 1, 1), date(2026, 12, 31)
    assert settled_at(book(), book().period("all", *days)) is None
    assert settled_at(book(None), book(None).period("2026-05", *days)) is None


def tables(folder: Path, events: list[tuple[str, str | None]], **more: pd.DataFrame) -> Slices:
    frame = pd.DataFrame(events, columns=["user_id", "ts"]).assign(
        ts=lambda f: pd.to_datetime(f["ts"], utc=True, format="ISO8601")
    )
    folder.mkdir(exist_ok=True)
    hashes = {}
    for name, content in {"events": frame, **more}.items():
        save(content, folder / f"{name}.parquet")
        hashes[name] = str(hash((folder / f"{name}.parquet").read_bytes()))
    return Slices(Store(folder), hashes, folder)


def test_a_slice_changes_with_its_rows_alone(tmp_path: Path) -> None:
    rows = [("a", "2026-04-30T23:59:59"), ("b", "2026-05-01"), ("c", None)]
    found = tables(tmp_path / "1", rows).before(MAY)
    assert found["events"].startswith("2-")  # a, and c of whom nothing is known
    assert tables(tmp_path / "2", rows[::-1]).before(MAY) == found
    assert tables(tmp_path / "3", [*rows, ("d", "2026-05-02")]).before(MAY) == found
    assert tables(tmp_path / "4", [*rows, ("d", "2026-04-02")]).before(MAY) != found
    assert tables(tmp_path / "5", [("z", rows[0][1]), *rows[1:]]).before(MAY) != found
    # A row twice is another slice, although the two hashes cancel out in one of the sums.
    assert tables(tmp_path / "6", [*rows, rows[0], rows[0]]).before(MAY) != found


def test_several_moments_in_one_pass_are_what_each_is_alone(tmp_path: Path) -> None:
    rows = [("a", "2026-04-30"), ("b", "2026-05-10"), ("c", "2026-06-10"), ("d", "2026-06-10")]
    spend = pd.DataFrame({"date": pd.to_datetime(["2026-04-30", "2026-05-01"]), "cost": [1.0, 2.0]})
    found = tables(tmp_path / "1", rows, spend=spend).all_before([JUNE, MAY])
    assert [found[cut]["events"].split("-")[0] for cut in (MAY, JUNE)] == ["1", "2"]
    assert [found[cut]["spend"].split("-")[0] for cut in (MAY, JUNE)] == ["1", "2"]
    for cut in (MAY, JUNE):
        assert tables(tmp_path / f"{cut:%m}", rows, spend=spend).before(cut) == found[cut]


def test_tables_without_times_are_taken_whole_and_what_was_set_aside_does_not_count(tmp_path: Path) -> None:
    users = pd.DataFrame({"user_id": ["a"]})
    aside = pd.DataFrame({"source": ["x"]})
    made = tables(tmp_path, [("a", "2026-05-01")], users=users, quarantine=aside)
    found = made.before(MAY)
    assert found["users"] == made.hashes["users"]
    assert "quarantine" not in found
    assert made.before(None) == made.hashes


def test_what_was_found_is_remembered_until_the_table_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tables(tmp_path, [("a", "2026-05-01")])
    found = made.before(JUNE)
    with monkeypatch.context() as patch:
        patch.setattr(slices.duckdb, "connect", lambda: 1 / 0)
        assert made.before(JUNE) == found
    other = tables(tmp_path, [("a", "2026-05-01"), ("b", "2026-05-02")])
    assert other.before(JUNE) != found
    assert not [line for line in (tmp_path / slices.MEMORY).read_text().split("\n") if made.hashes["events"] in line]


def test_nothing_need_be_writable(tmp_path: Path) -> None:
    made = tables(tmp_path, [("a", "2026-05-01")])
    (tmp_path / f"{slices.MEMORY}.partial").mkdir()  # in the way
    assert made.before(JUNE)["events"].startswith("1-")
    (tmp_path / slices.MEMORY).write_text("{")
    assert made.before(JUNE + timedelta(days=1))["events"].startswith("1-")
