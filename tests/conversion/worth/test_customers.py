from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.collection.store import Store
from funnel_lib.config import Rules, Split
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.worth.customers import (
    CustomerValue,
    came_by_others,
    channels_of,
    customer_value,
    lead_time,
)
from funnel_lib.conversion.worth.orders import Orders
from tests.conversion.keeping.test_arranging import write


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def opened(demo: Path, **asked: str) -> fl.Scope:
    return fl.Scope.open(demo / "params" / "education.yml", **{"period": "2026-05"} | asked)


@pytest.fixture(scope="module")
def may(demo: Path) -> CustomerValue:
    scope = opened(demo)
    found = customer_value(scope, fl.cohort(scope), rng=rng())
    assert found is not None
    return found


def test_the_figures_of_the_demo_belong_together(may: CustomerValue):
    price = may.acquisition
    assert price.reason == ""
    assert price.customers == int(may.basket["orders"].iloc[0])  # in the demo, everybody orders once
    assert price.value == pytest.approx(price.cost / price.customers)
    assert may.ratio.value == pytest.approx(may.curve.at(may.curve.last_day).value / price.value)
    assert may.curve.table["margin"].iloc[0] == pytest.approx(0.6 * may.orders.frame["amount"].mean())
    assert (may.payback.days, may.payback.reason) == (0, "")
    assert may.channels.set_index("channel").loc["all", "customers"] == price.customers
    assert may.referred.answers == price.customers


def test_nobody_orders_twice_in_the_demo_and_that_is_said(may: CustomerValue):
    assert may.lifetime.reason == "no_repeat_orders"
    assert may.again["rate"].isna().all()


def test_returns_are_of_the_channels_that_cost_money(may: CustomerValue):
    known = may.returns[may.returns["reason"] == ""]
    assert set(known["channel"]) == {"paid_search", "paid_social"}
    assert set(known["model"]) == {"first", "last", "linear", "markov"}
    assert may.returns.groupby("model")["cost"].sum().to_numpy() == pytest.approx([may.acquisition.cost] * 4)


def test_a_segment_has_customers_but_no_costs(demo: Path):
    scope = opened(demo, segment="audience=student")
    people = fl.cohort(scope)
    found = customer_value(scope, people, rng=rng())
    assert found is not None
    assert found.acquisition.reason == "not_by_segment"
    assert math.isnan(found.ratio.value)
    assert found.ratio_reason == "not_by_segment"
    assert found.returns.empty
    assert (found.orders.places(people.frame["unit"]) >= 0).all()


def test_a_segment_by_channel_has_the_costs_of_its_channel(demo: Path, may: CustomerValue):
    scope = opened(demo, segment="channel=paid_search")
    found = customer_value(scope, fl.cohort(scope), rng=rng())
    assert found is not None
    # All spend of May on paid search, by the customers among its own people; nothing of the other channel.
    spent = may.costs.between(found.acquisition.first.date(), found.acquisition.last.date())
    own = spent[spent["channel"] == "paid_search"]["cost"].sum()
    assert 0 < own < spent["cost"].sum()
    assert found.acquisition.cost == pytest.approx(own)
    assert found.acquisition.value == pytest.approx(own / found.acquisition.customers)
    (back,) = found.returns.to_dict("records")
    sold = found.orders.frame
    sold = sold[(sold["ts"] >= scope.period.start) & (sold["ts"] < scope.period.end)]
    assert (back["model"], back["channel"], back["conversions"]) == ("segment", "paid_search", len(sold))
    assert back["roi"] == pytest.approx(0.6 * sold["amount"].sum() / own - 1)
    free = opened(demo, segment="channel=direct")
    nothing = customer_value(free, fl.cohort(free), rng=rng())
    assert nothing is not None
    assert nothing.acquisition.reason == "no_costs"


@pytest.mark.parametrize(
    ("groups", "segment", "channels"),
    [
        ({"paid": {"where": {"channel": ["paid_search", "paid_social"]}}}, "paid", {"paid_search", "paid_social"}),
        ({"paid": {"where": {"channel": "paid_search"}}}, "paid", {"paid_search"}),
        ({"paid": {"where": {"channel": "paid_search"}}}, "other", None),
        ({"paid": {"where": {"channel": {"ne": "paid_search"}}}}, "paid", None),
        ({"paid": {"where": {"channel": "paid_search", "city": "x"}}}, "paid", None),
        ({"paid": {"where": {"channel": "paid_search"}, "did": [{"event": "login"}]}}, "paid", None),
        ({"men": {"where": {"sex": "m"}}, "paid": {"where": {"channel": "paid_search"}}}, "paid", None),
    ],
)
def test_which_segments_are_channels(demo: Path, groups: dict[str, object], segment: str, channels: set[str] | None):
    scope = opened(demo)
    book = scope.workbook.model_copy(update={"segments": {"own": Split.model_validate({"groups": groups})}})
    assert channels_of(replace(scope, workbook=book, segment=f"own={segment}")) == channels
    assert channels_of(scope) is None


def test_without_a_value_or_events_there_is_nothing_to_tell(demo: Path, tmp_path: Path):
    scope = opened(demo)
    people = fl.cohort(scope)
    bare = replace(scope, workbook=scope.workbook.model_copy(update={"value": type(scope.workbook.value)()}))
    found = customer_value(bare, people, rng=rng())
    assert found is not None
    assert found.reason == "no_value"
    assert found.curve.reason == "no_orders"
    empty = replace(scope, store=type(scope.store)(tmp_path))
    assert customer_value(empty, people, rng=rng()) is None
    assert customer_value(replace(scope, as_of=None), people, rng=rng()) is None


def test_costs_are_as_old_as_the_usual_way_to_an_order(demo: Path):
    scope = opened(demo)
    lag = lead_time(scope, fl.cohort(scope))
    assert timedelta(days=1) < lag < timedelta(days=5)


def test_who_was_referred_is_told_by_the_people_where_a_source_names_it(tmp_path: Path):
    scope = SimpleNamespace(store=Store(tmp_path), workbook=SimpleNamespace(rules=Rules(min_units=4)))
    # Of four new customers u0 and u3 were referred, whatever their channel; u9 was, but is no customer.
    frame = pd.DataFrame({"user_id": ["u0", "u1", "u2", "u3"], "channel": ["direct", "referral", None, "referral"]})
    firsts = Orders(frame)
    people = pd.DataFrame({"user_id": ["u0", "u1", "u2", "u3", "u9"], "referred_by": ["u9", None, None, "x", "y"]})
    people.drop(columns="referred_by").to_parquet(tmp_path / "users.parquet")
    assert came_by_others(scope, firsts).answers == 3  # by the channels that are known: too few
    people.to_parquet(tmp_path / "users.parquet")
    found = came_by_others(scope, firsts)
    assert (found.value, found.answers, found.set_aside) == (0.5, 4, 0)


def test_customers_of_a_log_are_places_in_it_and_their_referrers_are_found_all_the_same(tmp_path: Path):
    scope = SimpleNamespace(store=Store(tmp_path), workbook=SimpleNamespace(rules=Rules(min_units=2)))
    log = EventLog.made(write(tmp_path / "events.parquet", [(f"u{n}", "buy", n) for n in range(4)]), "user_id")
    people = pd.DataFrame({"user_id": ["u0", "u1", "u2", "u3"], "referred_by": ["u9", None, None, "x"]})
    people.to_parquet(tmp_path / "users.parquet")
    found = came_by_others(scope, Orders(pd.DataFrame({"user_id": [0, 1, 3]}), log=log))
    assert found.value == 2 / 3
