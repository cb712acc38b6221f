"""The page about interfaces says what the modules say, and its examples can be used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from funnel_lib.collection.files import Export
from funnel_lib.collection.rest.fetch import interface
from funnel_lib.collection.rest.listing import listing
from funnel_lib.collection.rest.systems import INTERFACES
from funnel_lib.collection.sources import OFFERS
from funnel_lib.config import parse
from tests.collection.rest.server import FUNNEL

PAGE = Path(__file__).parents[3].joinpath("docs", "collect-from-apis.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]
SOURCES = [example["sources"] for example in EXAMPLES if "sources" in example]


def test_the_list_is_that_of_the_modules():
    assert PAGE.endswith(listing(INTERFACES.values()))


@pytest.mark.parametrize("sources", SOURCES)
def test_the_examples_are_sources_that_can_be_fetched(sources: dict[str, Any]):
    book = parse({"name": "shop", "title": "Shop", "funnel": FUNNEL, "sources": sources})
    for name, source in book.sources.items():
        export = Export(name, source, book)
        api = interface(export)
        OFFERS[source.system].require(export)
        assert source.api is not None
        assert set(source.api.options) <= set(api.options)


def test_the_credentials_of_the_example_are_those_that_are_needed():
    shown = next(example for example in EXAMPLES if "sources" not in example)
    assert set(shown["crm"]) == set(INTERFACES["hubspot"].auth.needs)
    assert set(shown["ads"]) == set(INTERFACES["google_ads"].auth.needs)


def test_every_interface_belongs_to_a_source():
    offered = {one.title for offer in OFFERS.values() if offer.api for one in getattr(offer.api, "apis", (offer.api,))}
    assert offered == {api.title for api in INTERFACES.values()}
    same = [name for name in OFFERS if name in INTERFACES]
    assert [name for name in same if OFFERS[name].api is INTERFACES[name]] == same
