from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import keys
from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.files import Export
from funnel_lib.collection.shelf import File, Group, Shelf, recipe

SOURCE = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}


def batch(*files: str) -> Batch:
    rows = pd.DataFrame({FILE: list(files), LINE: 2, RAW: "raw", ROW: 0, "user_id": list(files)})
    return Batch("users", rows, rejected(), dict.fromkeys(files, 1))


def fill(shelf: Shelf, files: list[File], *batches: Batch, how: str = "r") -> list[Group]:
    return shelf.fill(how, files, batches, lambda _batch: None)


def found(folder: Path, *files: File, how: str = "r") -> list[tuple[str, ...]]:
    return sorted(tuple(name for name, _ in group.files) for group in Shelf(folder).find(how, files))


def test_what_was_read_is_found_while_nothing_has_changed(tmp_path: Path):
    one, two, three = ("a", "1"), ("b", "2"), ("c", "3")
    made = fill(Shelf(tmp_path), [one, two, three], batch("a"), batch("b", "c"))
    assert [group.files for group in made] == [(one,), (two, three)]
    assert pd.read_parquet(made[1].batches[0].parts[0].path)["user_id"].tolist() == ["b", "c"]
    assert found(tmp_path, one, two, three) == [("a",), ("b", "c")]
    assert found(tmp_path, one, two, ("c", "other")) == [("a",)]  # b was read together with c
    assert found(tmp_path, one, two) == [("a",)]
    assert found(tmp_path, one, two, three, how="another") == []


def test_batches_of_one_file_and_members_of_one_archive_stay_together(tmp_path: Path):
    files = [("a.zip", "1"), ("b", "2")]
    (first, second) = fill(Shelf(tmp_path), files, batch("a.zip/1"), batch("b"), batch("a.zip/2"), batch("b"))
    assert (first.files, len(first.batches)) == ((("a.zip", "1"),), 2)
    assert (second.files, len(second.batches)) == ((("b", "2"),), 2)


def test_files_without_rows_belong_to_all_that_was_read_beside_them(tmp_path: Path):
    files = [("hits", "1"), ("lookup", "2")]
    (group,) = fill(Shelf(tmp_path), files, batch("hits"))
    assert group.beside == (("lookup", "2"),)
    assert found(tmp_path, *files) == [("hits",)]
    assert found(tmp_path, ("hits", "1"), ("lookup", "other")) == []


def test_what_comes_from_no_file_is_not_kept(tmp_path: Path):
    shelf = Shelf(tmp_path)
    (group,) = fill(shelf, [], batch("a query"))
    assert group.files == ()
    assert group.batches[0].parts[0].path.is_file()
    shelf.sweep()
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_is_read_again(tmp_path: Path):
    (group,) = fill(Shelf(tmp_path), [("a", "1")], batch("a"))
    part = group.batches[0].parts[0].path
    part.write_bytes(part.read_bytes()[:-9])
    assert found(tmp_path, ("a", "1")) == []
    (group.batches[0].folder.parent / "group.json").write_text("{")
    assert found(tmp_path, ("a", "1")) == []


def test_what_is_no_longer_used_is_swept_away(tmp_path: Path):
    fill(Shelf(tmp_path), [("a", "1"), ("b", "2")], batch("a"), batch("b"))
    shelf = Shelf(tmp_path)
    shelf.find("r", [("a", "1")])
    shelf.sweep()
    assert found(tmp_path, ("a", "1"), ("b", "2")) == [("a",)]


def test_no_text_of_a_kept_row_stays(tmp_path: Path):
    aside = rejected([("a", 9, "blank_row", "from a@b.example", "call 13800138000")])
    kept = batch("a")
    made = Batch("users", kept.rows, aside, {"a": 2})
    (group,) = fill(Shelf(tmp_path), [("a", "1")], made)
    assert RAW not in pd.read_parquet(group.batches[0].parts[0].path)
    assert group.batches[0].aside()[["reason", RAW]].to_numpy().tolist() == [["from [e-mail]", "call [phone]"]]


def test_the_recipe_is_all_that_reading_depends_on(export: Callable[..., Export], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(keys.SECRET, raising=False)

    def told(**more: Any) -> str:
        return recipe(export({**SOURCE, **more.pop("source", {})}, **more))

    base = told()
    assert told() == base
    assert told(title="Another") == base  # a title changes no row
    changed = [
        told(source={"missing": ["-"]}), told(timezone="Asia/Shanghai"), told(cleaning={"late_after": "1d"}),
        told(channels=[{"channel": "x", "source": ["y"]}]), told(identity={"country": "CN"}),
    ]  # fmt: skip
    monkeypatch.setenv(keys.SECRET, "own")
    assert len({base, *changed, told()}) == 7
