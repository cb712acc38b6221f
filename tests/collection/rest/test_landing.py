from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from funnel_lib.collection.rest.landing import Landing, lines, locked, newest, slices
from funnel_lib.errors import DataError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def landing(folder: Path, hours: float = 0, suffix: str = ".jsonl.gz") -> Landing:
    return Landing(folder, NOON + timedelta(hours=hours), suffix)


def ids(*paths: Path | None) -> list[Any]:
    return [json.loads(line)["id"] for path in paths if path for line in lines(path)]


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def put(to: Landing, *rows: Any) -> int:
    return to.write([[{"id": row} if not isinstance(row, dict) else row for row in rows]])


def test_the_same_rows_give_the_same_bytes(tmp_path: Path):
    found = []
    for name in ("a", "b"):
        to = landing(tmp_path / name)
        put(to, 1, {"id": 2, "name": "王"})
        kept = to.keep_whole(2)
        assert kept is not None
        found.append(kept.read_bytes())
    assert found[0] == found[1]
    assert gzip.decompress(found[0]).decode() == '{"id":1}\n{"id":2,"name":"王"}\n'


def test_half_a_character_survives(tmp_path: Path):
    to = landing(tmp_path)
    put(to, {"id": "\ud83d"})
    assert ids(to.keep_whole(1)) == ["\ud83d"]


def test_all_rows_replace_those_of_the_last_time_which_stay_unchanged(tmp_path: Path):
    first = landing(tmp_path)
    put(first, 1)
    old = first.keep_whole(1)
    assert old is not None
    before = old.read_bytes()
    second = landing(tmp_path, 1)
    put(second, 2, 3)
    kept = second.keep_whole(2)
    assert second.files() == [kept]
    assert ids(kept) == [2, 3]
    assert (tmp_path / ".past" / old.name).read_bytes() == before
    assert [seen for seen, _ in second.versions()] == [NOON, NOON + timedelta(hours=1)]


def test_where_nothing_comes_any_more_no_file_counts(tmp_path: Path):
    first = landing(tmp_path)
    put(first, 1)
    first.keep_whole(1)
    second = landing(tmp_path, 1)
    put(second)
    assert second.keep_whole(0) is None
    assert second.files() == []
    assert len(second.versions()) == 1


def test_of_each_row_only_the_newest_version_counts(tmp_path: Path):
    # First 1 and 2, then 2 changed (twice on two pages) and 3 new.
    first = landing(tmp_path)
    put(first, {"id": 1, "v": "a"}, {"id": 2, "v": "a"})
    first.keep_changes("id")
    second = landing(tmp_path, 1)
    put(second, {"id": 2, "v": "b"}, {"id": 3, "v": "b"}, {"id": 2, "v": "c"})
    kept = second.keep_changes("id")
    assert second.files() == [kept]
    assert [json.loads(line) for line in lines(kept)] == [
        {"id": 1, "v": "a"}, {"id": 3, "v": "b"}, {"id": 2, "v": "c"},
    ]  # fmt: skip
    assert second.since() == NOON + timedelta(hours=1)
    assert [ids(path) for _, path in second.versions()] == [[1, 2], [2, 3, 2]]


def test_the_rows_of_a_parent_are_replaced_together(tmp_path: Path):
    # Deal a had two stages, deal b one; then a has three, and b was asked about and has none any more.
    first = landing(tmp_path)
    put(first, {"id": 1, "deal": "a"}, {"id": 2, "deal": "a"}, {"id": 3, "deal": "b"}, {"id": 4, "deal": "c"})
    first.keep_changes("deal", {"a", "b", "c"})
    second = landing(tmp_path, 1)
    put(second, {"id": 5, "deal": "a"}, {"id": 6, "deal": "a"}, {"id": 7, "deal": "a"})
    assert ids(second.keep_changes("deal", {"a", "b"})) == [4, 5, 6, 7]


def test_newest_looks_into_objects(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(gzip.compress(b'{"k":{"id":1},"v":1}\n'))
    second.write_bytes(gzip.compress(b'{"k":{"id":1},"v":2}\n'))
    assert list(newest([first, second], "k.id")) == [b'{"k":{"id":1},"v":2}\n']


def test_slices_are_days_or_whole_months():
    assert slices("day", date(2026, 2, 27), date(2026, 3, 1)) == [
        (date(2026, 2, 27),) * 2, (date(2026, 2, 28),) * 2, (date(2026, 3, 1),) * 2,
    ]  # fmt: skip
    assert slices("month", date(2025, 12, 31), date(2026, 1, 1)) == [
        (date(2025, 12, 1), date(2025, 12, 31)), (date(2026, 1, 1), date(2026, 1, 31)),
    ]  # fmt: skip
    assert slices("day", date(2026, 3, 2), date(2026, 3, 1)) == []


def due(to: Landing, first: str, last: str, every: str = "day") -> list[str]:
    days = date.fromisoformat(first), date.fromisoformat(last)
    return [f"{a:%d}-{b:%d}" for a, b in to.due(every, *days, overlap=DAY, zone=SHANGHAI)]


def test_a_day_is_fetched_until_its_late_rows_have_come(tmp_path: Path):
    # In Shanghai the 20th ends at 16:00 UTC; a day later, at 16:00 UTC of the 21st, its late rows have come.
    early = Landing(tmp_path, datetime(2026, 11, 21, 15, 59, tzinfo=UTC))
    put(early, 1)
    early.keep_slice((date(2026, 11, 20), date(2026, 11, 20)), 1)
    assert due(early, "2026-11-19", "2026-11-20") == ["19-19", "20-20"]
    late = Landing(tmp_path, datetime(2026, 11, 21, 16, 0, tzinfo=UTC))
    put(late, 2)
    kept = late.keep_slice((date(2026, 11, 20), date(2026, 11, 20)), 1)
    assert due(late, "2026-11-19", "2026-11-20") == ["19-19"]
    assert late.files() == [kept]
    assert len(list((tmp_path / ".past").iterdir())) == 1


def test_a_day_without_rows_is_remembered_out_of_sight(tmp_path: Path):
    to = landing(tmp_path)
    put(to)
    assert to.keep_slice((date(2026, 11, 1), date(2026, 11, 1)), 0) is None
    assert to.files() == []
    assert due(to, "2026-11-01", "2026-11-02") == ["02-02"]
    again = landing(tmp_path, 1)
    put(again, 1)
    again.keep_slice((date(2026, 11, 1), date(2026, 11, 1)), 1)
    assert len(again.files()) == 1
    assert not list((tmp_path / ".empty").iterdir())


def test_a_month_grows_with_its_days(tmp_path: Path):
    to = landing(tmp_path)
    assert due(to, "2026-11-05", "2026-11-20", "month") == ["01-20"]
    put(to, 1)
    to.keep_slice((date(2026, 11, 1), date(2026, 11, 20)), 1)
    assert due(to, "2026-11-05", "2026-11-21", "month") == ["01-21"]
    after = landing(tmp_path, 1)
    put(after, 1, 2)
    kept = after.keep_slice((date(2026, 11, 1), date(2026, 11, 21)), 2)
    assert after.files() == [kept]


def test_files_of_the_system_are_kept_by_day(tmp_path: Path):
    to = landing(tmp_path, suffix=".zip")
    to.part.write_bytes(b"PK")
    kept = to.keep_slice((date(2026, 11, 1), date(2026, 11, 1)), 1)
    assert kept is not None
    assert kept.name == "2026-11-01_2026-11-01.20261122T120000.000000Z.zip"
    assert due(to, "2026-11-01", "2026-11-01") == []


def test_a_raw_file_is_never_written_twice(tmp_path: Path):
    to = landing(tmp_path)
    put(to, 1)
    to.keep_whole(1)
    put(to, 2)
    with pytest.raises(DataError, match="would be overwritten"):
        to.keep_whole(1)
    assert ids(*to.files()) == [1]


def test_a_fetch_that_was_killed_leaves_nothing_double(tmp_path: Path):
    """Killed while writing, and between the new file's arrival and the old one's leaving."""
    first = landing(tmp_path)
    put(first, 1)
    first.keep_slice((date(2026, 11, 1), date(2026, 11, 1)), 1)
    second = landing(tmp_path, 1)
    put(second, 1, 2)
    second.part.rename(tmp_path / "2026-11-01_2026-11-01.20261122T130000.000000Z.jsonl.gz")
    put(second, 9)
    assert len(second.files()) == 2
    landing(tmp_path, 2).recover()
    assert ids(*second.files()) == [1, 2]
    assert not (tmp_path / ".part").exists()
    assert len(list((tmp_path / ".past").iterdir())) == 1


def test_recovery_leaves_a_tidy_folder_alone(tmp_path: Path):
    to = landing(tmp_path)
    for day in (1, 2):
        put(to, day)
        to.keep_slice((date(2026, 11, day), date(2026, 11, day)), 1)
    before = names(tmp_path)
    landing(tmp_path, 1).recover()
    assert names(tmp_path) == before


def test_files_of_others_are_left_alone(tmp_path: Path):
    to = landing(tmp_path)
    put(to, 1)
    kept = to.keep_whole(1)
    for name in ("notes.jsonl.gz", "2026-11-01_x.jsonl.gz", "deals.csv"):
        (tmp_path / name).write_text("mine")
    assert to.files() == [kept]
    landing(tmp_path, 1).recover()
    assert (tmp_path / "notes.jsonl.gz").read_text() == "mine"


DAMAGED = [b"\x1f\x8b cut", gzip.compress(b'{"id": 1}\n' * 99)[:-20], *map(gzip.compress, (b"[1]\n", b"{broken\n"))]


@pytest.mark.parametrize("content", [b"", *DAMAGED], ids=["empty", "cut", "cut_later", "no_object", "no_json"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path):
    first = landing(tmp_path)
    put(first, 1)
    kept = first.keep_changes("id")
    kept.write_bytes(content)
    second = landing(tmp_path, 1)
    put(second, 2)
    if content:
        with pytest.raises(DataError, match="damaged") as caught:
            second.keep_changes("id")
        assert kept.name in str(caught.value)
    else:  # an empty file is a gzip file of nothing
        assert ids(second.keep_changes("id")) == [2]


def test_rows_without_an_id_are_refused_not_lost(tmp_path: Path):
    to = landing(tmp_path)
    put(to, {"id": 1}, {"name": "b"}, {"name": "c"})
    with pytest.raises(DataError, match="has no id"):
        to.keep_changes("id")
    assert to.files() == []


def test_only_one_fetch_at_a_time(tmp_path: Path):
    with locked(tmp_path), pytest.raises(DataError, match="Another fetch"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
