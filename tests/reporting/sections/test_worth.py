"""The sections on drivers, value, returns, balance and key figures, on the demo and where data lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.collection.store import Store
from funnel_lib.config import parse
from funnel_lib.conversion.worth.customers import CustomerValue
from funnel_lib.reporting.blocks import Block
from funnel_lib.reporting.sections import balance, drivers, kpis, returns, value
from funnel_lib.reporting.wording import Say
from funnel_lib.scorecard import Board


def opened(demo: Path, **asked: str) -> fl.Scope:
    return fl.Scope.open(demo / "params" / "education.yml", **{"period": "2026-05"} | asked)


@pytest.fixture(scope="module")
def people(demo: Path) -> fl.Journeys:
    return fl.cohort(opened(demo))


@pytest.fixture(scope="module")
def worth(demo: Path, people: fl.Journeys) -> CustomerValue:
    found = value.measure(opened(demo), people)
    assert found is not None
    return found


def every(scope: fl.Scope, people: fl.Journeys, worth: CustomerValue | None) -> list[Block]:
    blocks = [
        drivers.driving(scope, people), value.figures(scope, worth), value.over_time(scope, worth),
        returns.channels(scope, worth), balance.balanced(scope, people, "channel"), kpis.board(scope, people),
    ]  # fmt: skip
    return [block for block in blocks if block is not None]


def heading(block: Block) -> str:
    return block.text.split("\n")[0]


def test_the_demo_is_told_in_both_languages_with_the_same_numbers(
    demo: Path, people: fl.Journeys, worth: CustomerValue
):
    told = {name: every(opened(demo, language=name), people, worth) for name in ("en", "zh")}
    for english, chinese in zip(told["en"], told["zh"], strict=True):
        assert english.metrics == chinese.metrics
        assert "cannot be computed" not in heading(english)
        assert not any(word in chinese.text for word in (" the ", " of ", " is "))
    heads = [heading(block) for block in told["en"]]
    assert heads[0].startswith("Paid social: 3.2 points")
    assert heads[1].startswith("A new customer costs ¥97 (¥87 to ¥108) and has brought ¥488")
    assert "nothing more in 150 days" in heads[2]
    assert heads[3].startswith("Each of the 2 channels with costs brings back more than it costs")
    assert heads[4].startswith("Per person who enters, Organic search is worth")
    assert "Paid social ¥" in heads[4]
    assert "compared with April, 6 clearly got worse" in heads[5]


def test_the_same_report_says_the_same_again(demo: Path, people: fl.Journeys, worth: CustomerValue):
    scope = opened(demo)
    assert value.figures(scope, value.measure(scope, people)).html == value.figures(scope, worth).html
    assert drivers.driving(scope, people).html == drivers.driving(scope, people).html


def test_orders_that_do_not_count_are_told_by_their_reasons(demo: Path, worth: CustomerValue):
    """Orders later than what is known are no fault, and are not told."""
    scope, orders = opened(demo), worth.orders
    for aside, said in (({"no_user": 2, "no_time": 1, "later": 9}, "3 orders name no customer or no time"),
                        ({"negative": 4, "later": 9}, "4 orders are not counted: another currency")):  # fmt: skip
        text = value.figures(scope, replace(worth, orders=replace(orders, set_aside=aside))).text
        assert said in text
        assert text.count("not counted") == 1
    assert (
        "not counted" not in value.figures(scope, replace(worth, orders=replace(orders, set_aside={"later": 9}))).text
    )


def test_what_a_segment_cannot_have_is_said(demo: Path):
    scope = opened(demo, segment="audience=student")
    students = fl.cohort(scope)
    found = value.measure(scope, students)
    assert heading(value.figures(scope, found)).endswith("what one costs is not known")
    assert heading(returns.channels(scope, found)) == (
        "The return of channels cannot be computed, because costs are not known by segment"
    )
    board = kpis.board(scope, students)
    assert "compared with April" in heading(board)  # with the students of that month
    assert "costs are not known by segment" in board.html
    assert "Reach (impressions)" in board.tables["missing_kpis"]
    assert "Reach (impressions)" not in board.tables["kpis"]


def test_a_source_without_events_or_amounts_says_so(demo: Path, people: fl.Journeys, worth: CustomerValue):
    scope = opened(demo)
    assert heading(value.figures(scope, None)).endswith("because this source tells no single events")
    assert value.over_time(scope, None) is None  # said once
    assert returns.channels(scope, None) is None
    bare = replace(scope, workbook=scope.workbook.model_copy(update={"value": type(scope.workbook.value)()}))
    assert balance.balanced(bare, people, "channel") is None
    said = value.figures(bare, value.measure(bare, people)).text
    assert "because the workbook does not say what a conversion is worth" in said
    assert "conversion against value" in said
    undivided = replace(scope, workbook=scope.workbook.model_copy(update={"segments": {}}))
    assert heading(balance.balanced(undivided, people, "plan")).endswith("because there is only one group")
    # A split that the workbook does not have gives way to its first one.
    assert balance.balanced(scope, people, "plan").text == balance.balanced(scope, people, "audience").text
    assert heading(value.figures(bare, value.measure(bare, people))).startswith("What customers are worth cannot")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_snapshot_has_drivers_and_nothing_else(tmp_path: Path, language: str):
    book = parse({
        "name": "leads", "title": "Leads", "sources": {"crm": {"system": "ga4", "files": "*"}},
        "funnel": {"snapshot": "users", "steps": [{"name": "lead"}, {"name": "won", "column": "won"}]},
        "segments": {"origin": {"by": "origin"}},
    })  # fmt: skip
    users = pd.DataFrame({"user_id": [f"u{number}" for number in range(400)], "origin": ["web", "fair"] * 200})
    users["won"] = ["yes" if number % 4 == 1 or number % 16 == 0 else "no" for number in range(400)]
    users.to_parquet(tmp_path / "users.parquet")
    (tmp_path / "facts.json").write_text('{"tables": {}, "first_day": null, "last_day": null}')
    period = book.period("all", date(1970, 1, 1), date(1970, 1, 1))
    scope = fl.Scope(book, Store(tmp_path), period, "all", language, None)  # type: ignore[arg-type]
    leads = fl.cohort(scope)
    blocks = every(scope, leads, value.measure(scope, leads))
    if language == "en":
        heads = [heading(block) for block in blocks]
        assert heads[0].startswith("web: 37.5 points")  # 25 of 200 against 100 of 200
        assert all("cannot be computed, because" in head for head in heads[1:])
    else:
        assert all("无法" in heading(block) for block in blocks[1:])


def test_groups_that_trade_rate_for_value_are_named(demo: Path):
    scope, say = opened(demo), Say("en")
    frame = pd.DataFrame({
        "group": ["email", "direct"], "kind": ["high_rate_low_value", ""], "per_person": [1.0, 2.0],
        "per_person_low": [0.5, 1.5], "per_person_high": [1.2, 2.5],
    })  # fmt: skip
    said = balance.balance_finding(say, scope, frame, "channel")
    assert said.text == "E-mail: more convert than elsewhere, but each brings less"
    turned = balance.balance_finding(say, scope, frame.assign(kind=["", "low_rate_high_value"]), "channel")
    assert turned.text == "Direct: fewer convert than elsewhere, but each brings more"
    plain = balance.balance_finding(say, scope, frame.assign(kind="", per_person_high=[1.6, 2.5]), "channel")
    assert "none is clearly worth more" in plain.text


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [(0.1, 0.5, "Paid search brings back more"), (-0.5, -0.1, "Paid search does not bring back its cost"),
     (-0.1, 0.5, "It is not clear whether Paid search")],
)  # fmt: skip
def test_returns_are_called_by_their_intervals(demo: Path, low: float, high: float, start: str):
    rows = pd.DataFrame({"channel": ["paid_search"], "roi": [(low + high) / 2], "roi_low": [low], "roi_high": [high]})
    assert returns.returns_finding(Say("en"), opened(demo), rows).text.startswith(start)


@pytest.mark.parametrize(
    ("changed", "start"),
    [
        (
            {"days": np.nan, "high": np.inf, "last_day": 150.0, "reason": "not_reached"},
            "In 150 days a customer has not",
        ),
        (
            {"days": 60.0, "low": 30.0, "high": 90.0},
            "A customer has brought what it costs within 60 days (30 to 90) of the first order",
        ),
        ({"days": 0.0, "low": 0.0, "high": 30.0}, "Most likely the first order already brings what a customer costs;"),
        (
            {"days": 60.0, "low": 30.0, "high": np.inf},
            "A customer has most likely brought what it costs within 60 days",
        ),
    ],
)
def test_when_a_customer_has_paid_back(demo: Path, worth: CustomerValue, changed: dict[str, Any], start: str):
    found = replace(worth, payback=replace(worth.payback, **changed))
    assert value.payback_finding(Say("en"), opened(demo), found).text.startswith(start)


def test_a_finding_that_only_one_half_shows_is_no_headline(demo: Path, people: fl.Journeys):
    scope = opened(demo)
    table, names, _ = drivers.driver_table(scope, people)
    found = drivers.drivers(table, names, rules=scope.workbook.rules, rng=np.random.default_rng(1))
    shaky = replace(found, table=found.table.assign(stable=False))
    assert drivers.driving_finding(Say("en"), scope, shaky).text.startswith("No attribute and no earlier event")


def test_figures_that_this_data_cannot_give_are_listed_also_where_it_gives_none(month):
    may = month("2026-05")
    only = {"title": "Downloads", "formula": {"events": {"event": "download"}}, "source": "web analytics"}
    asked = Board.model_validate({"model": "none", "stages": {"interest": {"title": "Interest", "kpis": {"d": only}}}})
    scope = replace(may.scope, workbook=may.scope.workbook.model_copy(update={"kpis": asked}))
    shown = kpis.board(scope, may.people)
    assert "cannot be computed, because nothing that they count is in this data" in shown.text
    row = shown.tables["missing_kpis"].splitlines()[1]
    assert row == "Downloads,its events are not in this data,web analytics"
