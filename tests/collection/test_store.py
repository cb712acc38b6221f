import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from funnel_lib import schema
from funnel_lib.collection import store as module
from funnel_lib.collection.batch import tally
from funnel_lib.collection.store import Store, save
from funnel_lib.errors import DataError

TALLY = tally([("s", "f", "users", "read", "", 2), ("s", "f", "users", "kept", "", 2)])


def users(*ids: str) -> pd.DataFrame:
    return pd.DataFrame({"user_id": list(ids), "city": "x"}).astype("str")


def test_what_was_written_is_read_back(tmp_path: Path):
    store = Store(tmp_path / "shop")
    store.write({"users": users("a", "b")}, TALLY, {"first_day": None})
    assert store.read("users")["user_id"].tolist() == ["a", "b"]
    assert list(store.read("users", ["city"])) == ["city"]
    pd.testing.assert_frame_equal(store.tally(), TALLY)
    told = store.facts()["tables"]["users"]
    assert told == {"rows": 2, "sha256": hashlib.sha256(store.path("users").read_bytes()).hexdigest()}
    assert store.coverage().empty


def test_a_table_that_was_not_collected_is_empty_and_canonical(tmp_path: Path):
    store = Store(tmp_path / "shop")
    store.write({}, TALLY, {})
    pd.testing.assert_frame_equal(store.read("deals"), schema.empty("deals"))
    assert list(store.read("events", ["ts", "event"])) == ["ts", "event"]


@pytest.mark.parametrize("look", [Store.tally, Store.facts, Store.coverage, lambda store: store.read("users")])
def test_before_the_first_collection_the_way_is_shown(tmp_path: Path, look: object):
    with pytest.raises(DataError, match="Nothing was collected yet") as error:
        look(Store(tmp_path / "shop"))  # type: ignore[operator]
    assert error.value.do == "Collect first: funnel collect WORKBOOK"


def test_a_new_collection_replaces_all_of_the_old_one(tmp_path: Path):
    store = Store(tmp_path / "shop")
    store.write({"users": users("a"), "deals": schema.empty("deals")}, TALLY, {})
    (store.folder / "journeys.parquet").write_bytes(b"made from the old tables")
    store.write({"users": users("b")}, TALLY, {})
    assert store.read("users")["user_id"].tolist() == ["b"]
    assert not store.path("deals").exists()
    assert not (store.folder / "journeys.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_write_that_fails_leaves_the_old_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path / "shop")
    store.write({"users": users("a")}, TALLY, {})

    def fail(source: object, target: object) -> None:
        if Path(str(target)) == store.folder and Path(str(source)).name != "tables":
            raise OSError("disk full")
        Path(str(source)).rename(str(target))

    monkeypatch.setattr(module.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        store.write({"users": users("b")}, TALLY, {})
    assert store.read("users")["user_id"].tolist() == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_finished_file_is_taken_as_it_is(tmp_path: Path):
    save(users("z"), tmp_path / "made.parquet")
    data = (tmp_path / "made.parquet").read_bytes()
    store = Store(tmp_path / "shop")
    store.write({"users": tmp_path / "made.parquet"}, TALLY, {})
    assert store.path("users").read_bytes() == data
    assert not (tmp_path / "made.parquet").exists()


def test_the_quarantine_alone_can_be_written(tmp_path: Path):
    store = Store(tmp_path / "shop")
    path = store.write_quarantine(schema.empty("quarantine"))
    assert pd.read_parquet(path).empty
    with pytest.raises(DataError, match="Nothing was collected"):
        store.facts()


def test_facts_are_sorted_text_that_people_can_read(tmp_path: Path):
    store = Store(tmp_path / "shop")
    store.write({}, TALLY, {"b": "中", "a": 1})
    assert (store.folder / "facts.json").read_text(encoding="utf-8") == '{\n "a": 1,\n "b": "中",\n "tables": {}\n}\n'
    assert json.loads((store.folder / "facts.json").read_text(encoding="utf-8"))["a"] == 1


def test_work_in_progress_is_for_one_at_a_time_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(tmp_path / "shop")
    (tmp_path / ".shop-making-killed").mkdir()
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    with store.workshop() as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".shop.lock", folder.name])
        with pytest.raises(DataError, match="Another collection"), Store(tmp_path / "shop").workshop():
            pass
    assert [path.name for path in tmp_path.iterdir() if path.name != ".shop.lock"] == []
