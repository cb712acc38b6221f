from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from funnel_lib.config import parse
from funnel_lib.errors import ConfigError
from funnel_lib.scorecard import Board, Formula

BOOK = {
    "name": "shop", "title": "Shop", "sources": {"web": {"system": "ga4", "files": "*"}},
    "funnel": {"steps": [{"name": "visit", "event": "a"}, {"name": "buy", "event": "b"}]},
}  # fmt: skip


def test_a_formula_has_one_verb():
    found = Formula.model_validate({"share": {"of": {"event": "a"}, "among": {"event": "b"}, "within": "2d"}})
    assert found.verb == "share"
    assert found.share is not None
    assert found.share.within == timedelta(days=2)
    for wrong in ({}, {"people": {"event": "a"}, "events": {"event": "a"}}):
        with pytest.raises(ValidationError, match="exactly one verb"):
            Formula.model_validate(wrong)


def test_a_workbook_has_a_board_by_default_and_may_have_its_own():
    assert parse(BOOK).kpis == Board()
    own = {"stages": {"buy": {"kpis": {"n": {"title": "N", "formula": {"people": {"event": "b"}}, "good": "lower"}}}}}
    book = parse(BOOK | {"kpis": {"model": "none", **own}})
    assert book.kpis.stages["buy"].kpis["n"].good == "lower"


@pytest.mark.parametrize(
    ("kpis", "told"),
    [
        ({"model": "clasic"}, "classic"),
        ({"stages": {"a": {"kpis": {"n": {"title": "N", "formula": {"sum": 1}}}}}}, "sum"),
        ({"stages": {"a": {"kpis": {"n": {"title": "N", "formula": {"people": {"event": "b"}}, "good": "up"}}}}}, "up"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(kpis: dict[str, object], told: str):
    with pytest.raises(ConfigError) as refused:
        parse(BOOK | {"kpis": kpis})
    assert "kpis" in str(refused.value)
    assert told in str(refused.value)


def test_what_the_guide_shows_is_a_workbook():
    guide = (Path(__file__).parents[1] / "docs" / "customer-value.md").read_text(encoding="utf-8")
    shown: dict[str, object] = {}
    for text in re.findall(r"```yaml\n(.*?)```", guide, flags=re.S):
        shown |= yaml.safe_load(text)
    book = parse(BOOK | shown)
    assert (book.value.margin, len(book.costs)) == (0.6, 2)
    formula = book.kpis.stages["decision"].kpis["call_to_order"].formula
    assert formula.verb == "share"
    verbs = re.findall(r"^\| `(\w+):", guide, flags=re.M)
    assert sorted(verbs) == sorted(Formula.model_fields)
