from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from funnel_lib.collection.rest.api import Stages
from funnel_lib.collection.rest.landing import Landing
from funnel_lib.collection.rest.stages import instant, write_history
from tests.collection.rest.server import read

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
STAGES = Stages("id", "stage.id", label="stage.name", changed="changed", created="created")


def fetched(folder: Path, day: int, *rows: dict[str, Any]) -> Landing:
    landing = Landing(folder / "api" / "deals", NOON + timedelta(days=day))
    landing.write([list(rows)])
    landing.keep_changes("id")
    return landing


@pytest.mark.parametrize(
    "value", [1_793_491_200_000, "1793491200000", "2026-11-01T00:00:00Z", "2026-11-01T08:00:00+08:00"]
)
def test_times_are_read_as_interfaces_write_them(value: object):
    assert instant(value) == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", "soon", "2026-11-01T08:00:00", "9" * 30, {}, True])
def test_what_is_no_time_is_none(value: object):
    assert instant(value) is None


def test_labels_count_before_ids_and_every_fetch_is_compared(tmp_path: Path):
    fetched(tmp_path, 0, {"id": 1, "stage": {"id": 7, "name": "线索"}}, {"id": 2, "stage": {"id": 8}}, {"id": 3})
    landing = fetched(tmp_path, 1, {"id": 1, "stage": {"id": 9, "name": "赢单"}, "changed": "2026-11-22T20:00:00Z"})
    target = write_history(landing, STAGES, {}, tmp_path)
    assert target == tmp_path / "stages" / "stage_history.jsonl.gz"
    assert target is not None
    assert [(row["record_id"], row["stage"], row["entered_at"], row["known"]) for row in read(target)] == [
        ("1", "线索", "2026-11-22T12:00:00+00:00", "first_sight"), ("1", "赢单", "2026-11-22T20:00:00+00:00", "told"),
        ("2", "8", "2026-11-22T12:00:00+00:00", "first_sight"),
    ]  # fmt: skip
    before = target.read_bytes()
    write_history(landing, STAGES, {}, tmp_path)
    assert target.read_bytes() == before


def test_the_workbook_names_another_column(tmp_path: Path):
    landing = fetched(tmp_path, 0, {"id": 1, "阶段": "A", "stage": {"name": "B"}})
    target = write_history(landing, STAGES, {"stage": "阶段", "stage_label": "none"}, tmp_path)
    assert target is not None
    assert [row["stage"] for row in read(target)] == ["A"]


def test_rows_without_stages_give_no_file(tmp_path: Path):
    assert write_history(fetched(tmp_path, 0, {"id": 1}), STAGES, {}, tmp_path) is None
    assert not (tmp_path / "stages").exists()
