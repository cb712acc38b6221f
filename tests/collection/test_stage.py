from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.files import Export
from funnel_lib.collection.stage import DERIVED, ORIGIN, SEQ, Stage
from funnel_lib.errors import DataError

SOURCE = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}


def rows(file: str, *lines: int, **more: Any) -> pd.DataFrame:
    origin = {FILE: [file] * len(lines), LINE: list(lines), RAW: [f"u{line}" for line in lines], ROW: list(lines)}
    return pd.DataFrame({"user_id": [f"u{line}" for line in lines], **origin, **more})


@pytest.fixture
def stage(tmp_path: Path, export: Callable[..., Export]) -> Stage:
    made = Stage(tmp_path)
    aside = rejected([("a", 4, "blank_row", "The row is empty.", "call 13800138000")])
    derived = {"identities": pd.DataFrame({"user_id": ["u2"], "value": ["b"]})}
    made.add(
        export(SOURCE),
        Batch("users", rows("a", 3, 2), aside, {"a": 4}, {("a", "total_row"): 1}, derived, {("a", "late"): 1}),
    )
    made.add(export(SOURCE), Batch("users", rows("b", 2), rejected(), {"b": 1}, remarks={("b", "late"): 2}))
    made.add(export(SOURCE), Batch("users", rows("a", 9), rejected(), {"a": 1}, remarks={("a", "late"): 4}))
    return made


def test_rows_come_back_in_the_order_of_their_files_and_lines(stage: Stage):
    found = stage.read("users")
    assert found[[SEQ, LINE]].to_numpy().tolist() == [[0, 2], [0, 3], [0, 9], [1, 2]]
    assert found[ORIGIN].unique().tolist() == ["s"]
    assert not found[DERIVED].any()
    assert stage.read("identities")[DERIVED].all()
    assert stage.read("deals").empty


def test_every_row_must_find_its_fate(stage: Stage):
    with pytest.raises(DataError, match="do not add up"):
        stage.tally()
    found = stage.read("users")
    stage.keep(found[SEQ].iloc[[0, 3]].value_counts())
    stage.merge(found.iloc[[1]].assign(rule="same_user"))
    stage.set_aside(found.iloc[[2]].assign(rule="test_account"))
    fates = stage.tally().set_index(["file", "outcome", "rule"])["rows"].to_dict()
    assert fates == {
        ("a", "read", ""): 5, ("a", "kept", ""): 1, ("a", "merged", "same_user"): 1, ("a", "merged", "total_row"): 1,
        ("a", "quarantined", "blank_row"): 1, ("a", "quarantined", "test_account"): 1, ("b", "read", ""): 1, ("b",
        "kept", ""): 1,
    }  # fmt: skip


def test_the_quarantine_holds_reason_and_masked_text(stage: Stage):
    stage.set_aside(stage.read("users").iloc[[2]].assign(rule="test_account"))
    found = stage.quarantine()
    assert found[["file", "line", "rule", "reason", "raw"]].to_numpy().tolist() == [
        ["a", 4, "blank_row", "The row is empty.", "call [phone]"],
        ["a", 9, "test_account", "The row belongs to a test account.", "u9"],
    ]


def test_remarks_add_up(stage: Stage):
    assert stage.remarks == {("s", "a", "late"): 5, ("s", "b", "late"): 2}


def test_an_empty_stage_has_empty_results(tmp_path: Path):
    empty = Stage(tmp_path)
    assert empty.quarantine().empty
    assert empty.tally().empty
    assert empty.coverage().dtypes.astype(str).tolist() == ["str", "datetime64[us]", "int64"]
