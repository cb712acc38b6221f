from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.collection.store import Store
from funnel_lib.conversion.worth.orders import NO_ORDERS, NO_VALUE, checked, first_orders, orders
from funnel_lib.errors import DataError

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
            ("b", "visit", "02", "email"), ("c", "buy", "01", None)]  # fmt: skip
    log = pd.DataFrame([(u, e, f"2026-01-{d}", 10.0, c) for u, e, d, c in rows],
                       columns=["user_id", "event", "ts", "amount", "channel"])  # fmt: skip
    log["ts"] = pd.to_datetime(log["ts"], utc=True).dt.as_unit("us")
    (tmp_path / "facts.json").write_text('{"tables": {}}')
    log.to_parquet(tmp_path / "events.parquet")
    book = scope.workbook.model_copy(update={"value": type(scope.workbook.value)(event="buy")})
    found = orders(fl.Scope(book, Store(tmp_path), scope.period, "all", "en", scope.as_of)).frame
    # a: e-mail before the 2nd, direct before the 4th, its own on the 5th; b and c were never seen before they bought.
    assert found[found["user_id"] == "a"]["channel"].tolist() == ["email", "direct", "phone"]
    assert found[found["user_id"] != "a"]["channel"].isna().all()
    assert len(found) == 5
