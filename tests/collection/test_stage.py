from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import FILE, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.parts import write
from funnel_lib.collection.stage import DERIVED, ORIGIN, POS, SEQ, Stage, quoted, text
from funnel_lib.errors import DataError


def rows(file: str, *lines: int, **more: Any) -> pd.DataFrame:
    origin = {FILE: [file] * len(lines), LINE: list(lines), RAW: [f"u{line}" for line in lines], ROW: list(lines)}
    return pd.DataFrame({"user_id": [f"u{line}" for line in lines], **origin, **more})


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made, number = Stage(tmp_path), count()

    def add(batch: Batch) -> None:
        made.take("s", write(batch, tmp_path / str(next(number))))

    aside = rejected([("a", 4, "blank_row", "The row is empty.", "call 13800138000")])
    derived = {"identities": pd.DataFrame({"user_id": ["u2"], "value": ["b"]})}
    unknown = {("x", "y"): 2}
    add(Batch("users", rows("a", 3, 2), aside, {"a": 4}, {("a", "total_row"): 1}, derived, {("a", "late"): 1}, unknown))
    add(Batch("users", rows("b", 2), rejected(), {"b": 1}, remarks={("b", "late"): 2}, unclassified=unknown))
    add(Batch("users", rows("a", 9), rejected(), {"a": 1}, remarks={("a", "late"): 4}))
    return made


def test_rows_come_back_in_the_order_of_their_files_and_lines(stage: Stage):
    found = stage.read("users")
    assert [(stage.files[seq][1], line) for seq, line in found[[SEQ, LINE]].to_numpy()] == [
        ("a", 2), ("a", 3), ("a", 9), ("b", 2)
    ]  # fmt: skip
    assert found[POS].is_unique
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
        ["a", 9, "test_account", "The row belongs to a test account.", "user_id: u9"],
    ]


def test_remarks_add_up(stage: Stage):
    assert stage.remarks == {("s", "a", "late"): 5, ("s", "b", "late"): 2}
    assert stage.unclassified == {("s", "x", "y"): 4}


def test_the_order_of_files_is_fixed_before_they_are_taken(tmp_path: Path):
    stage = Stage(tmp_path)
    stage.expect("s", ["a.zip", "b"])
    for number, file in enumerate(["b", "a.zip/2", "a.zip/1"]):  # members stay as they come in their archive
        stage.take("s", write(Batch("users", rows(file, 2), rejected(), {file: 1}), tmp_path / str(number)))
    assert [stage.files[seq][1] for seq in stage.read("users")[SEQ]] == ["a.zip/2", "a.zip/1", "b"]


def test_names_and_texts_are_quoted_for_sql():
    assert (quoted('a"b'), text("it's")) == ('"a""b"', "'it''s'")


def test_an_empty_stage_has_empty_results(tmp_path: Path):
    empty = Stage(tmp_path)
    assert empty.quarantine().empty
    assert empty.tally().empty
    assert empty.coverage().dtypes.astype(str).tolist() == ["str", "datetime64[us]", "int64"]
