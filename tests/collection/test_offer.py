from collections.abc import Callable
from typing import Any

import pytest

from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import OFFERS
from funnel_lib.errors import ConfigError
from funnel_lib.schema import TABLES
from funnel_lib.settings import MAPPED, SYSTEMS

Exports = Callable[..., Export]
USERS = {"system": "table", "files": "*", "table": "users", "columns": {"user_id": "id"}}


def test_every_module_of_a_system_is_found_and_none_is_named_elsewhere():
    assert tuple(OFFERS) == SYSTEMS
    assert {"ga4", "google_ads", "meta_ads", "table"} <= set(SYSTEMS)


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_offer_says_what_people_need(name: str):
    offer = OFFERS[name]
    assert offer.name == name
    assert offer.title
    assert offer.fills
    assert set(offer.fills) <= set(TABLES)
    assert set(offer.aliases) <= set(offer.fills)
    assert offer.files.endswith(".")
    assert offer.confirmed.endswith(".")


def test_the_tables_of_a_mapped_source_are_what_it_maps(export: Exports):
    assert OFFERS["table"].tables(export(USERS).source) == ("users",)
    assert OFFERS["table"].fills == MAPPED
    assert OFFERS["ga4"].tables(export({"system": "ga4", "files": "*"}).source) == OFFERS["ga4"].fills


@pytest.mark.parametrize(
    ("source", "what", "allowed"),
    [
        ({"system": "table", "files": "*"}, "needs table and columns", "events, users, deals"),
        ({"system": "table", "files": "*", "table": "users"}, "needs table and columns", "canonical name"),
        ({"system": "ga4", "files": "*", "columns": {"a": "b"}}, "knows its tables", "aliases"),
        ({"system": "meta_ads", "files": "*", "table": "spend"}, "knows its tables", "aliases"),
    ],
)
def test_a_mapping_stands_where_it_is_needed_and_nowhere_else(
    export: Exports, source: dict[str, Any], what: str, allowed: str
):
    made = export(source)
    with pytest.raises(ConfigError, match=what) as error:
        OFFERS[source["system"]].require(made)
    assert error.value.where == "sources.s"
    assert allowed in str(error.value.allowed)


def test_a_right_mapping_passes(export: Exports):
    OFFERS["table"].require(export(USERS))
    OFFERS["ga4"].require(export({"system": "ga4", "files": "*"}))
