from pathlib import Path

import pandas as pd
import pytest

from funnel_lib.collection import parts
from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.headings import Headings


@pytest.fixture
def batch() -> Batch:
    rows = pd.DataFrame({FILE: ["a", "b"], LINE: [2, 2], RAW: "x", ROW: 7, "user_id": ["u1", "u2"]})
    derived = {"identities": pd.DataFrame({"user_id": ["u1"], "value": ["v"]}), "exposures": pd.DataFrame()}
    aside = rejected([("a", 3, "blank_row", "call 13800138000", "x")])
    pairs = {("a", "total_row"): 1}, {("b", "late"): 2}, {("odd", "odd"): 3}
    columns: dict[str, Headings] = {"a": {"id": "text", "x": ""}}
    return Batch("users", rows, aside, {"a": 3, "b": 1}, pairs[0], derived, pairs[1], pairs[2], columns)


def test_what_was_written_is_read_back(batch: Batch, tmp_path: Path):
    written = parts.write(batch, tmp_path / "one")
    again = parts.read(tmp_path / "one")
    assert again == written
    assert (again.table, again.read, again.merged) == ("users", batch.read, batch.merged)
    assert (again.remarks, again.unclassified) == (batch.remarks, batch.unclassified)
    assert {file: list(told.items()) for file, told in again.columns.items()} == {"a": [("id", "text"), ("x", "")]}
    assert [(part.table, part.derived) for part in again.parts] == [("users", False), ("identities", True)]
    assert again.aside()["reason"].tolist() == ["call [phone]"]
    assert parts.whole(tmp_path / "one")


def test_rows_that_follow_belong_to_the_last_file_unless_they_say_so(batch: Batch, tmp_path: Path):
    written = parts.write(batch, tmp_path / "one")
    assert pd.read_parquet(written.parts[1].path)[[FILE, LINE]].to_numpy().tolist() == [["b", 0]]


def test_a_batch_that_is_not_whole_is_told(batch: Batch, tmp_path: Path):
    assert not parts.whole(tmp_path)
    written = parts.write(batch, tmp_path / "one")
    written.parts[0].path.unlink()
    assert not parts.whole(tmp_path / "one")
