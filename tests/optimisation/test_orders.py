"""What an order brings: the first one of each buyer, in the workbook's money."""

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from funnel_lib.config import Workbook, parse
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.worth.orders import Orders
from funnel_lib.errors import ConfigError
from funnel_lib.optimisation.orders import deal_value, first_orders, order_value

AT = pd.to_datetime(["2026-01-05", "2026-01-05", "2026-01-05", "2026-01-05"], utc=True).as_unit("us")
PEOPLE = pd.DataFrame({"unit": ["a", "b", "c", "d"], "entered": AT, "converted": [True, True, True, False]})


def book(**value: object) -> Workbook:
    return parse(
        {
            "name": "a", "title": "A", "currency": "CNY", "value": value, "rules": {"min_units": 2, "min_events": 2},
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
        ("c", "purchase", "2026-01-05", -60.0, "CNY"),  # a refund under the same name
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


def test_first_orders_of_a_log_are_the_same(events: Path):
    log = EventLog.made(events, "user_id")
    again = PEOPLE.iloc[[3, 0]].assign(entered=AT[:2] - pd.Timedelta(days=2))  # a entered before its 999, too
    for people in (PEOPLE, pd.concat([PEOPLE, again]), PEOPLE.assign(unit=["a", "x", "y", "z"])):
        found, expected = (first_orders(one, people, event="purchase") for one in (log, events))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert order_value(PEOPLE, book(event="purchase"), log) == order_value(PEOPLE, book(event="purchase"), events)
    pd.read_parquet(events).drop(columns=["amount"]).to_parquet(events)
    assert first_orders(EventLog.made(events, "user_id"), PEOPLE, event="purchase").empty


def test_the_value_is_the_mean_over_buyers_in_the_workbooks_money(events: Path):
    found = order_value(PEOPLE, book(event="purchase", margin=0.25), events)
    # a 100 and b 300; c paid in another currency, d did not convert
    assert (found.mean, found.orders, found.other_currency, found.source) == (200, 2, 1, "event")
    high = t.interval(0.95, 1, loc=200, scale=np.std([100, 300], ddof=1) / math.sqrt(2))[1]
    assert (found.low, found.high) == pytest.approx((0, high))  # two amounts lean to no side; none is negative
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


def test_an_order_dated_by_its_day_counts_as_far_back_as_the_funnels_grace(events: Path):
    exact = book(event="purchase")
    funnel = replace(exact.funnel, matching=replace(exact.funnel.matching, grace=timedelta(days=1)))
    loose = exact.model_copy(update={"funnel": funnel})
    assert order_value(PEOPLE, exact, events).mean == pytest.approx((100 + 300) / 2)
    assert order_value(PEOPLE, loose, events).mean == pytest.approx((999 + 300) / 2)  # a's of the day before


def test_what_a_conversion_is_worth_by_its_first_won_deal():
    closed = pd.to_datetime(["2026-01-01", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09"], utc=True)
    # a's deal of 999 was won before the entry and its second one does not count; d did not convert; x is nobody.
    frame = pd.DataFrame({"user_id": ["a", "a", "b", "a", "x"], "ts": closed, "amount": [999.0, 100, 300, 7, 5]})
    found = deal_value(PEOPLE, book(deals=True, margin=0.5), Orders(frame.sort_values("ts", ignore_index=True)))
    assert (found.mean, found.orders, found.worth.value) == (200, 2, 100)
    assert found.low < 200 < found.high
    none = deal_value(PEOPLE, book(deals=True), Orders(frame[:0], set_aside={"other_currency": 3}))
    assert (none.orders, none.reason, none.other_currency) == (0, "other_currency", 3)
    assert math.isnan(none.mean)


def test_deals_and_another_worth_are_refused():
    with pytest.raises(ConfigError, match="leave out event and amount"):
        book(deals=True, amount=3)
