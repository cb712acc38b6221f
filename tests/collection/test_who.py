from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import who
from funnel_lib.collection.collect import collect
from funnel_lib.collection.stage import Stage
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook, parse
from funnel_lib.errors import DataError

BOOK = parse({
    "name": "t", "title": "t", "funnel": {"steps": [{"name": "a", "event": "b"}]},
    "sources": {"d": {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "id"}}},
})  # fmt: skip
CRM = {
    "system": "table", "table": "users", "files": "crm.csv",
    "columns": {"user_id": "id", "first_seen": "at", "email": "mail"},
}  # fmt: skip


@pytest.fixture
def store(book: Callable[..., Workbook], hit: Callable[..., Any], jsonl: Callable[..., bytes]) -> Store:
    """One person with two browsers and a record, one with an address of five, one without any link."""
    shared = "".join(f"U{i},2026-03-0{i},shared@b.example\n" for i in range(3, 8))
    files = {
        "web.jsonl": jsonl(hit("b1", 1, user_id="U1"), hit("b2", 2, user_id="U1"), hit("b9", 3)),
        "crm.csv": f"id,at,mail\nU1,2026-03-02,a@b.example\n{shared}",
    }
    return collect(book({"web": {"system": "ga4", "files": "web.jsonl"}, "crm": CRM}, files))


@pytest.mark.parametrize("name", ["U1", "b2"])
def test_a_merge_is_explained_by_its_links(store: Store, name: str):
    found = who.trace(store, name)
    assert found["person"].tolist() == ["U1"] * 3
    assert found[["kind", "source", "file", "rule"]].to_numpy().tolist() == [
        ["anonymous", "web", "web.jsonl", ""], ["anonymous", "web", "web.jsonl", ""],
        ["email_hash", "crm", "crm.csv", ""],
    ]  # fmt: skip
    assert found["value"].tolist()[:2] == ["b1", "b2"]


def test_a_link_that_joins_nobody_tells_its_rule(store: Store):
    found = who.trace(store, "U3")
    assert found[["user_id", "kind", "rule"]].to_numpy().tolist() == [["U3", "email_hash", "shared"]]
    everybody = who.trace(store, found["value"].iloc[0])
    assert everybody["user_id"].tolist() == ["U3", "U4", "U5", "U6", "U7"]


def test_who_has_no_link_and_who_is_not_there(store: Store):
    assert who.trace(store, "b9").empty
    with pytest.raises(DataError, match="Nobody has this id") as error:
        who.trace(store, "U99")
    assert error.value.found == "U99"


def test_ids_without_a_link_stand_for_themselves(tmp_path: Path):
    pd.DataFrame({"value": ["b1"], "user_id": ["U1"]}).astype("str").to_parquet(tmp_path / "ids.parquet")
    ids = pd.Series(["b1", "b2", None, "U1"], dtype="str")
    found = who.Resolved(BOOK, tmp_path / "ids.parquet", frozenset()).person(ids)
    assert [None if pd.isna(one) else one for one in found] == ["U1", "b2", None, "U1"]
    assert who.Resolved(BOOK, None, frozenset()).person(ids) is ids


def test_nothing_read_is_nobody(tmp_path: Path):
    resolved, linked, facts = who.resolve(Stage(tmp_path), BOOK)
    assert (resolved.ids, linked, resolved.tests) == (None, None, frozenset())
    assert facts == {"registered": None, "with_record": None}
    assert who.overlap(Stage(tmp_path), resolved) == []
