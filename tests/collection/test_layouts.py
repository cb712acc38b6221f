from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout, aliases, check_aliases, spelling
from funnel_lib.errors import ConfigError, DataError

Exports = Callable[..., Export]
SOURCE = {"system": "ga4", "files": "*"}
PEOPLE = Layout("users", {"user_id": ["Person ID", "pid"], "city": ["Town", "city"], "email": ["Kontakt"]}, ["user_id"])
DEALS = Layout(
    "deals", {"record_id": ["Deal ID", "id"], "user_id": ["Person ID", "pid"], "status": ["State"], "amount": ["Sum"]},
    ["record_id", "status"],
)  # fmt: skip


def read(export: Exports, data: str | bytes, *known: Layout, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = layouts.read(made.files(), made, known or (DEALS, PEOPLE), advice="Export it with all columns.")
    return batch


@pytest.mark.parametrize("text", ["Deal Name", "deal_name", "DEAL-NAME", "DealName", "Deal  name", "Deal Name (EUR)"])
def test_small_differences_of_a_header_do_not_matter(text: str):
    assert spelling("Deal Name").fullmatch(text)


@pytest.mark.parametrize("text", ["Deal Names", "Deal", "A deal name", "Deal Name (gross)"])
def test_another_header_is_another_header(text: str):
    assert not spelling("Deal Name").fullmatch(text)


def test_the_header_tells_the_table(export: Exports):
    assert read(export, "Town,Person ID\nBonn,p1\n").table == "users"
    batch = read(export, "Sum (EUR);state;deal_id;Person ID\n12,5;won;d1;p1\n")
    assert batch.table == "deals"
    assert batch.rows[["record_id", "user_id", "status", "amount"]].to_numpy().tolist() == [["d1", "p1", "won", 12.5]]


def test_json_objects_tell_it_by_their_members_whatever_their_alias(export: Exports):
    data = '{"pid": "p1", "city": "Bonn"}\n{"Person ID": "p2"}\n{broken\n'
    batch = read(export, data, name="a.jsonl")
    assert batch.table == "users"
    assert batch.rows["user_id"].tolist() == ["p1", "p2"]
    assert batch.rejected["rule"].tolist() == ["broken_json"]


def test_a_file_of_no_layout_is_refused_with_what_it_lacks(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'Deal ID'") as error:
        read(export, "State,Person,Sum\nwon,p1,1\n")
    assert error.value.found == "State, Sum, Person"
    assert error.value.allowed == "'Deal ID' may be called id"
    assert "aliases" in str(error.value.do)


def test_the_workbook_adds_header_texts_and_attributes(export: Exports):
    added = {"user_id": ["Kundennummer"], "users.plan": ["Tarif"]}
    batch = read(export, "Kundennummer,Tarif,Kontakt\np1,gold,a@b.example\n", aliases=added)
    assert batch.rows[["user_id", "plan"]].to_numpy().tolist() == [["p1", "gold"]]
    assert "a@b.example" not in batch.rows.to_csv()  # an alias of personal data is personal


@pytest.mark.parametrize(
    ("added", "allowed"),
    [
        ({"usr_id": ["x"]}, "did you mean user_id?"),
        ({"people.user_id": ["x"]}, "deals, users"),
        ({"plan": ["x"]}, "user_id"),
    ],
)
def test_an_alias_for_nothing_is_refused(export: Exports, added: dict[str, list[str]], allowed: str):
    made = export({**SOURCE, "aliases": added})
    with pytest.raises(ConfigError) as error:
        check_aliases(made, aliases([DEALS, PEOPLE]))
    assert error.value.where == "sources.s.aliases"
    assert allowed in str(error.value.allowed)


def test_what_follows_from_rows_and_further_columns_are_handed_on(export: Exports):
    def shape(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
        return rows.rename(columns={"+Extra": "extra"})

    layout = Layout(
        "users", {"user_id": ["id"]}, ["user_id"], further=True, shape=shape,
        derive=lambda kept, _: {"exposures": kept[["user_id", "extra"]]},
    )  # fmt: skip
    batch = read(export, "id,Extra\np1,a\n,b\n", layout)
    assert batch.rows["extra"].tolist() == ["a"]
    assert batch.derived["exposures"].to_numpy().tolist() == [["p1", "a"]]
    assert batch.rejected["rule"].tolist() == ["missing_value"]


def test_alias_tables_of_one_table_are_put_together():
    second = Layout("users", {"user_id": ["pid", "Lead ID"]}, ["user_id"])
    assert aliases([PEOPLE, second])["users"]["user_id"] == ["Person ID", "pid", "Lead ID"]
