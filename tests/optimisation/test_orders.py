"""What an order brings: the first one of each buyer, in the workbook's money."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from funnel_lib.config import Workbook, parse
from funnel_lib.optimisation.orders import first_orders, order_value

AT = pd.to_datetime(["2026-01-05", "2026-01-05", "2026-01-05", "2026-01-05"], utc=True).as_unit("us")
PEOPLE = pd.DataFrame({"unit": ["a", "b", "c", "d"], "entered": AT, "converted": [True, True, True, False]})


def book(**value: object) -> Workbook:
    return parse(
        {
            "name": "a", "title": "A", "currency": "CNY", "value": value, "rules": {"min_events": 2},
            "sources": {"web": {"system": "ga4", "files": "*"}}, "funnel": {"steps": [{"name": "visit"}]},
        }
    )  # fmt: skip


@pytest.fixture
def events(tmp_path: Path) -> Path:
    rows = [
        ("a", "purchase", "2026-01-04", 999.0, "CNY"),  # before a entered
        ("a", "purchase", "2026-01-06", 100.0, "CNY"),
        ("a", "purchase", "2026-01-07", 500.0, "CNY"),  # a second order
        ("a", "refund", "2026-01-05", 7.0, "CNY"),
        ("b", "purchase", "2026-01-05", 300.0, None),  # at the very entry, without a currency
        ("c", "purchase", "2026-01-06", None, "CNY"),
        ("c", "purchase", "2026-01-07", 40.0, "USD"),
        ("d", "purchase", "2026-01-06", 800.0, "CNY"),  # did not convert
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "event", "ts", "amount", "currency"])
    frame["ts"] = pd.to_datetime(frame["ts"], utc=True).dt.as_unit("us")
    frame.to_parquet(tmp_path / "events.parquet")
    return tmp_path / "events.parquet"


def test_first_orders_are_those_with_an_amount_since_the_entry(events: Path):
    found = first_orders(events, PEOPLE, event="purchase")
    assert found["unit"].tolist() == ["a", "b", "c", "d"]
    assert found["amount"].tolist() == [100, 300, 40, 800]
    assert found["currency"].isna().tolist() == [False, True, False, False]


def test_the_value_is_the_mean_over_buyers_in_the_workbooks_money(events: Path):
    found = order_value(PEOPLE, book(event="purchase", margin=0.25), events)
    # a 100 and b 300; c paid in another currency, d did not convert
    assert (found.mean, found.orders, found.other_currency, found.source) == (200, 2, 1, "event")
    low, high = t.interval(0.95, 1, loc=200, scale=np.std([100, 300], ddof=1) / math.sqrt(2))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.worth.value == pytest.approx(50)
    assert found.worth.high == pytest.approx(high / 4)
    assert found.reason is None


def test_too_few_orders_have_no_mean(events: Path):
    found = order_value(PEOPLE[PEOPLE["unit"] == "a"], book(event="purchase"), events)
    assert (found.reason, found.orders) == ("too_few", 1)
    assert math.isnan(found.mean)
    assert math.isnan(found.worth.value)
    assert order_value(PEOPLE.iloc[:0], book(event="purchase"), events).reason == "too_few"


def test_events_without_amounts_have_no_orders(events: Path):
    pd.read_parquet(events).drop(columns=["amount", "currency"]).to_parquet(events)
    assert order_value(PEOPLE, book(event="purchase"), events).orders == 0


def test_events_without_a_currency_are_in_the_workbooks_money(events: Path):
    pd.read_parquet(events).drop(columns="currency").to_parquet(events)
    found = order_value(PEOPLE, book(event="purchase"), events)
    assert (found.orders, found.mean, found.other_currency) == (3, pytest.approx(440 / 3), 0)


def test_a_fixed_amount_is_certain_and_none_is_unknown(events: Path):
    fixed = order_value(PEOPLE, book(amount=80, margin=0.5), events)
    assert (fixed.mean, fixed.low, fixed.high, fixed.worth.value, fixed.source) == (80, 80, 80, 40, "fixed")
    none = order_value(PEOPLE, book(), events)
    assert (none.reason, none.source) == ("no_value", "none")
    assert math.isnan(none.worth.value)
