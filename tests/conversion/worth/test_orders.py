from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.collection.store import Store
from funnel_lib.conversion.worth.orders import NO_ORDERS, NO_VALUE, checked, first_orders, orders
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import DataError
from funnel_lib.ledger import Value

ROWS = pd.DataFrame({
    "user_id": ["b", "a", "a", None, "c", "d", "e", "f", "g"],
    "ts": pd.to_datetime([
        "2026-01-02", "2026-01-01", "2026-01-03", "2026-01-01", None, "2026-02-01", "2026-01-01", "2026-01-01",
        "2026-01-01",
    ]),
    "amount": [20.0, 10.0, 30.0, 1.0, 1.0, 1.0, 1.0, None, -5.0],
    "currency": ["CNY", None, "CNY", "CNY", "CNY", "CNY", "USD", "CNY", "CNY"],
})  # fmt: skip
KNOWN = datetime(2026, 1, 31, tzinfo=UTC)


def test_each_row_is_used_or_counted():
    before = ROWS.copy(deep=True)
    found = checked(ROWS, currency="CNY", as_of=KNOWN)
    assert found.frame["user_id"].tolist() == ["a", "b", "a"]  # by time
    assert found.frame["amount"].tolist() == [10, 20, 30]
    assert found.set_aside == {
        "no_user": 1, "no_time": 1, "later": 1, "other_currency": 1, "no_amount": 1, "negative": 1,
    }  # fmt: skip
    assert len(found.frame) + sum(found.set_aside.values()) == len(ROWS)
    pd.testing.assert_frame_equal(ROWS, before)


def test_a_fixed_amount_needs_no_column_and_no_currency():
    found = checked(ROWS[["user_id", "ts"]], currency="CNY", as_of=KNOWN, amount=99.0)
    assert found.frame["amount"].tolist() == [99] * 6
    assert found.reason == ""


def test_no_order_is_said():
    assert checked(ROWS[:0], currency="CNY").reason == NO_ORDERS
    assert checked(ROWS, currency="EUR").set_aside["other_currency"] == 6
    with pytest.raises(DataError, match="lack a column"):
        checked(ROWS[["user_id", "ts"]], currency="CNY")


def test_the_first_order_of_each_customer():
    found = first_orders(checked(ROWS, currency="CNY", as_of=KNOWN).frame)
    assert dict(zip(found["user_id"], found["amount"], strict=True)) == {"a": 10, "b": 20}


def test_the_demo_orders_are_its_purchases(demo: Path):
    scope = fl.Scope.open(demo / "params" / "education.yml")
    found = orders(scope)
    assert (len(found.frame), found.reason, dict(found.set_aside)) == (1878, "", {})
    assert round(found.frame["amount"].sum() * 100) == 152822280


@pytest.mark.parametrize(
    ("value", "count", "reason"), [({}, 0, NO_VALUE), ({"amount": 5}, 1878, ""), ({"event": "gift"}, 0, NO_ORDERS)]
)
def test_what_an_order_is_says_the_workbook(demo: Path, value: dict[str, object], count: int, reason: str):
    scope = fl.Scope.open(demo / "params" / "education.yml")
    book = scope.workbook.model_copy(update={"value": type(scope.workbook.value)(**value)})
    found = orders(fl.Scope(book, scope.store, scope.period, "all", "en", scope.as_of))
    assert (len(found.frame), found.reason) == (count, reason)


def test_an_order_without_a_channel_has_that_of_the_last_touch_before_it(demo: Path, tmp_path: Path):
    scope = fl.Scope.open(demo / "params" / "education.yml")
    rows = [("a", "visit", "01", "email"), ("a", "visit", "03", "direct"), ("a", "buy", "02", None),
            ("a", "buy", "04", None), ("a", "buy", "05", "phone"), ("b", "buy", "01", None),
            ("b", "visit", "02", "email"), ("c", "buy", "01", None), ("d", "buy", "06", None),
            ("d", "visit", "06", "social")]  # fmt: skip
    log = pd.DataFrame([(u, e, f"2026-01-{d}", 10.0, c) for u, e, d, c in rows],
                       columns=["user_id", "event", "ts", "amount", "channel"])  # fmt: skip
    log["ts"] = pd.to_datetime(log["ts"], utc=True).dt.as_unit("us")
    (tmp_path / "facts.json").write_text('{"tables": {}}')
    log.to_parquet(tmp_path / "events.parquet")
    book = scope.workbook.model_copy(update={"value": type(scope.workbook.value)(event="buy")})
    found = orders(fl.Scope(book, Store(tmp_path), scope.period, "all", "en", scope.as_of))
    # a: e-mail before the 2nd, direct before the 4th, its own on the 5th; b and c were never seen before they bought,
    # d at the same instant.
    mine = found.places(pd.Series(["z", "a", "a"])) == 1
    assert found.frame["channel"][mine].tolist() == ["email", "direct", "phone"]
    assert found.frame["channel"][~mine].fillna("").tolist() == ["", "", "social"]


def test_rows_that_are_not_in_the_log_are_counted_too(demo: Path, tmp_path: Path):
    rows = [
        ("a", "buy", "01", 5.0, "CNY"), (None, "buy", "02", 5.0, "CNY"), ("b", "buy", None, 5.0, "CNY"),
        (None, "visit", "02", None, None), ("b", "buy", "03", 5.0, "USD"), ("b", "buy", "03", None, None),
    ]  # fmt: skip
    log = pd.DataFrame([(u, e, f"2026-01-{d}" if d else None, m, c) for u, e, d, m, c in rows],
                       columns=["user_id", "event", "ts", "amount", "currency"])  # fmt: skip
    log["ts"] = pd.to_datetime(log["ts"], utc=True).dt.as_unit("us")
    (tmp_path / "facts.json").write_text('{"tables": {}}')
    log.to_parquet(tmp_path / "events.parquet")
    scope = fl.Scope.open(demo / "params" / "education.yml")
    book = scope.workbook.model_copy(update={"value": type(scope.workbook.value)(event="buy")})
    found = orders(fl.Scope(book, Store(tmp_path), scope.period, "all", "en", scope.as_of))
    assert found.frame[["user_id", "amount"]].to_numpy().tolist() == [[0, 5.0]]
    assert found.frame["channel"].isna().all()
    assert found.set_aside == {"no_user": 1, "no_time": 1, "other_currency": 1, "no_amount": 1}


def test_customers_of_a_frame_are_found_by_name():
    found = checked(ROWS, currency="CNY", as_of=KNOWN)  # of a, b and a
    assert found.places(pd.Series(["b", "x", "a"])).tolist() == [2, 0, 2]


def test_who_came_to_the_last_step_of_a_snapshot_is_an_order_of_that_day():
    days = pd.date_range("2026-05-01", periods=4, freq="D", tz="UTC")
    people = pd.DataFrame({"user_id": ["a", "b", "c", "d"], "lead": days, "won": [days[2], pd.NaT, days[1], days[3]]})
    steps = [Step("lead", column="lead"), Step("won", column="won")]
    scope = SimpleNamespace(
        workbook=SimpleNamespace(value=Value(amount=100), currency="EUR"), as_of=days[2],
        funnel=Funnel(steps, snapshot="users", entered="lead"), store=SimpleNamespace(read=lambda table: people),
    )  # fmt: skip
    found = orders(scope)
    assert found.frame[["user_id", "amount"]].to_numpy().tolist() == [["c", 100], ["a", 100]]  # d was won later
    assert found.set_aside == {"later": 1}
    assert found.places(pd.Series(["a", "b", "c"])).tolist() == [2, 0]
    scope.store.read = lambda table: people.assign(won=[True, False, True, True])  # when, nobody knows
    assert orders(scope).reason == NO_ORDERS


def test_won_deals_are_orders_of_the_day_they_were_closed():
    days = pd.date_range("2026-05-01", periods=4, freq="D", tz="UTC")
    deals = pd.DataFrame({
        "record_id": ["1", "2", "3", "4"], "user_id": ["a", "a", None, "b"], "status": ["won", "lost", "won", "won"],
        "closed": [days[1], days[0], days[2], days[0]], "amount": [10.0, 20, 30, 40],
        "currency": ["EUR", "EUR", "EUR", "USD"],
    })  # fmt: skip
    leads = Funnel([Step("lead", column="lead")], snapshot="users")
    scope = SimpleNamespace(
        workbook=SimpleNamespace(value=Value(deals=True), currency="EUR"), as_of=days[3], funnel=leads,
        store=SimpleNamespace(read=lambda table: deals),
    )  # fmt: skip
    found = orders(scope)
    assert found.frame[["user_id", "amount"]].to_numpy().tolist() == [["a", 10]]
    assert found.set_aside == {"no_user": 1, "other_currency": 1}
    # Where the deals themselves go through the funnel, each is its own.
    scope.funnel = Funnel([Step("lead", column="lead")], snapshot="deals", unit="record_id")
    assert orders(scope).frame["user_id"].tolist() == ["1", "3"]
    scope.store.read = lambda table: deals.drop(columns="amount")
    assert orders(scope).set_aside == {"other_currency": 1, "no_amount": 2}
    scope.store.read = lambda table: deals.drop(columns="closed")
    assert orders(scope).reason == NO_ORDERS
