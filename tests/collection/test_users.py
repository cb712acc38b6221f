from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import users
from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.clean import TEST
from funnel_lib.collection.parts import write
from funnel_lib.collection.stage import Stage
from funnel_lib.collection.who import Resolved
from funnel_lib.config import Workbook

SOURCE = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id", "first_seen": "at"}}


def people(file: str, *rows: dict[str, Any]) -> pd.DataFrame:
    """Rows of one file, one per line; `first_seen` as a day of March."""
    frame = pd.DataFrame(rows)
    texts = [name for name in frame if name != "first_seen"]
    frame[texts] = frame[texts].astype("str")
    if "first_seen" in frame:
        days = pd.to_datetime("2026-03-" + frame["first_seen"].astype("str").str.zfill(2), utc=True)
        frame["first_seen"] = days.astype("datetime64[us, UTC]")
    lines = range(2, len(rows) + 2)
    keys = [hash(tuple(row.items())) % 2**60 for row in rows]
    return frame.assign(**{FILE: file, LINE: lines, RAW: "x", ROW: keys, TEST: False})


@pytest.fixture
def made(tmp_path: Path, book: Callable[..., Workbook]) -> Callable[..., tuple[pd.DataFrame, Stage]]:
    number = count()

    def make(
        *parts: tuple[str, pd.DataFrame],
        ids: dict[str, str] | None = None,
        tests: frozenset[str] = frozenset(),
        derived: pd.DataFrame | None = None,
        **source: Any,
    ) -> tuple[pd.DataFrame, Stage]:
        workbook = book({"crm": {**SOURCE, **source}, "shop": SOURCE}, {})
        stage = Stage(tmp_path)
        for name, part in parts:
            file = part[FILE].iloc[0]
            more = {} if derived is None else {"users": derived}
            batch = Batch("users", part, rejected(), {file: len(part)}, derived=more)
            stage.take(name, write(batch, tmp_path / f"b{next(number)}"))
        known = pd.DataFrame({"value": [*(ids or {})], "user_id": [*(ids or {}).values()], "kind": "login"})
        known.astype("str").to_parquet(tmp_path / "ids.parquet")
        target = tmp_path / "it's.parquet"
        anybody = users.write(stage, Resolved(workbook, tmp_path / "ids.parquet", tests), target)
        assert anybody == (len(pd.read_parquet(target)) > 0)
        return pd.read_parquet(target), stage

    return make


def fates(stage: Stage) -> list[list[Any]]:
    return stage.tally()[["file", "outcome", "rule", "rows"]].to_numpy().tolist()


def test_attributes_fill_up_and_the_later_row_wins(made: Callable[..., Any]):
    one = people(
        "a", {"user_id": "U1", "first_seen": 2, "city": "Bonn", "plan": "free"}, {"user_id": "U2", "first_seen": 5}
    )
    two = people("b", {"user_id": "U1", "first_seen": 1, "city": None, "plan": "paid"})
    found, stage = made(("crm", one), ("shop", two))
    assert found.drop(columns="first_seen").fillna("").to_numpy().tolist() == [["U1", "Bonn", "paid"], ["U2", "", ""]]
    assert found["first_seen"].dt.day.tolist() == [1, 5]
    assert found["first_seen"].dtype == "datetime64[us, UTC]"
    assert fates(stage) == [["a", "kept", "", 2], ["a", "read", "", 2], ["b", "kept", "", 1], ["b", "read", "", 1]]


def test_names_of_attributes_may_be_anything(made: Callable[..., Any]):
    row = {"user_id": "U1", "rule": "r", "person": "p", "own": "o", 'a "b"': "q", "城市": "上海"}
    found, _ = made(("crm", people("a", row)), tests=frozenset(["nobody"]))
    assert found.drop(columns="first_seen").iloc[0].to_dict() == row
    _, stage = made(("crm", people("a", row)), tests=frozenset(["U1"]))
    assert stage.quarantine()["rule"].tolist() == ["test_account"]


def test_further_rows_about_a_person_are_merged(made: Callable[..., Any]):
    same = {"user_id": "U1", "first_seen": 2}
    rows = people("a", same, same, {"user_id": "U1", "first_seen": 3}, {"user_id": "U9", "first_seen": 4})
    found, stage = made(("crm", rows), ids={"U9": "U1"})
    assert found["user_id"].tolist() == ["U1"]
    assert fates(stage) == [
        ["a", "kept", "", 1], ["a", "merged", "duplicate_row", 1], ["a", "merged", "same_person", 1],
        ["a", "merged", "same_user", 1], ["a", "read", "", 4],
    ]  # fmt: skip


def test_rows_that_only_follow_from_others_are_not_counted(made: Callable[..., Any]):
    derived = pd.DataFrame({"user_id": ["U1", "b7"], "plan": ["paid", "free"], TEST: False}).astype({"plan": "str"})
    found, stage = made(("crm", people("a", {"user_id": "U1", "first_seen": 2})), derived=derived)
    assert found[["user_id", "plan"]].to_numpy().tolist() == [["U1", "paid"], ["b7", "free"]]
    assert fates(stage) == [["a", "kept", "", 1], ["a", "read", "", 1]]
    assert stage.coverage()["rows"].tolist() == [1]


def test_times_before_an_attribute_of_the_person_are_set_aside(made: Callable[..., Any]):
    rows = people("a", {"user_id": "U1", "first_seen": 2}, {"user_id": "U2", "first_seen": 9})
    rows["left_at"] = pd.to_datetime(["2026-03-03"] * 2, utc=True).astype("datetime64[us, UTC]")
    found, stage = made(("crm", rows), not_before={"left_at": "first_seen"})
    assert found["user_id"].tolist() == ["U1"]
    assert stage.quarantine()[["line", "rule", "reason"]].to_numpy().tolist() == [
        [3, "not_before", "left_at lies before first_seen."]
    ]


def test_nobody_is_no_table(made: Callable[..., Any], tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        made()
    assert not users.complete(Stage(tmp_path), None, None, tmp_path / "users.parquet")


def test_everybody_with_events_is_a_user(tmp_path: Path):
    def times(*days: int | None) -> pd.Series:
        return pd.to_datetime(pd.Series([d and f"2026-03-{d:02}" for d in days]), utc=True).astype(
            "datetime64[us, UTC]"
        )

    known = pd.DataFrame(
        {"user_id": ["u0", "u1", "u3"], "first_seen": times(None, 4, 1), "city": ["Bonn", "Köln", None]}
    )
    events = pd.DataFrame({"user_id": ["u1", "u1", "u2", "u3"], "ts": times(3, 5, 3, 3)})
    known.astype({"city": "str"}).to_parquet(tmp_path / "known.parquet")
    events.to_parquet(tmp_path / "events.parquet")
    target = tmp_path / "users.parquet"
    assert users.complete(Stage(tmp_path), tmp_path / "known.parquet", tmp_path / "events.parquet", target)
    both = pd.read_parquet(target)
    assert both["user_id"].tolist() == ["u0", "u1", "u2", "u3"]
    assert both["first_seen"].dt.day.fillna(0).tolist() == [0, 3, 3, 1]
    assert both["city"].fillna("").tolist() == ["Bonn", "Köln", "", ""]
    assert users.complete(Stage(tmp_path), None, tmp_path / "events.parquet", target)
    assert list(pd.read_parquet(target)) == ["user_id", "first_seen"]
