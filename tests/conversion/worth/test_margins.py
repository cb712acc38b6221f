from __future__ import annotations

import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.margins import MarginCurve, margin_curve, payback, value_to_cost
from funnel_lib.errors import ConfigError

RULES = Rules(min_units=2)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def orders(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "ts", "amount"])
    return frame.assign(ts=pd.to_datetime(frame["ts"], utc=True))


FOUR = orders(
    ("a", "2026-01-01", 100), ("a", "2026-01-15", 50), ("a", "2026-02-20", 30),
    ("b", "2026-01-01", 100), ("c", "2026-02-15", 200), ("c", "2026-03-01", 40), ("d", "2026-02-15", 0),
)  # fmt: skip
KNOWN = datetime(2026, 3, 5, tzinfo=UTC)


def test_everybody_counts_for_as_long_as_they_were_followed():
    # Day 0: (100 + 100 + 200 + 0) / 4 = 100. To day 30 only a and b have been followed (c and d for 18 days): a brought
    # 50, so 25 more. To day 60: 30 of a, 15 more. Half of it is margin. The 40 of c lie in a stretch that is not over.
    found = margin_curve(FOUR, margin=0.5, as_of=KNOWN, rules=RULES, rng=rng())
    assert found.table["day"].tolist() == [0, 30, 60]
    assert found.table["customers"].tolist() == [4, 2, 2]
    assert found.table["margin"].tolist() == [50, 62.5, 70]
    assert (found.table["low"] <= found.table["margin"]).all()
    assert found.at(59).value == 62.5
    assert found.last_day == 60


def test_it_never_falls_and_does_not_depend_on_the_order_of_rows():
    chance = np.random.default_rng(0)
    many = pd.DataFrame({
        "user_id": chance.integers(0, 80, 400).astype(str),
        "ts": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(chance.random(400) * 200, unit="D"),
        "amount": chance.exponential(50, 400),
    })  # fmt: skip
    known = datetime(2026, 7, 30, tzinfo=UTC)
    found = margin_curve(many, margin=1, as_of=known, rules=RULES, rng=rng()).table["margin"]
    again = margin_curve(many.sample(frac=1, random_state=1), margin=1, as_of=known, rules=RULES, rng=rng())
    assert found.is_monotonic_increasing
    assert again.table["margin"].tolist() == pytest.approx(found.tolist())


def test_too_few_none_and_nonsense():
    assert margin_curve(FOUR, margin=1, as_of=KNOWN, rules=Rules(), rng=rng()).reason == "too_few"
    none = margin_curve(FOUR[:0], margin=1, as_of=KNOWN, rules=RULES, rng=rng())
    assert none.table["reason"].tolist() == ["no_orders"]
    assert math.isnan(none.last_day)
    assert math.isnan(none.at(90).value)
    with pytest.raises(ConfigError, match="share"):
        margin_curve(FOUR, margin=1.2, as_of=KNOWN, rules=RULES, rng=rng())


def cost(value: float, customers: int = 1000, reason: str = "") -> Any:
    return SimpleNamespace(value=value, cost=value * customers, customers=customers, reason=reason, level=0.95)


def curve(*margins: float) -> MarginCurve:
    days = np.arange(len(margins)) * 30
    table = pd.DataFrame({"day": days, "margin": margins, "low": margins, "high": margins, "reason": ""})
    return MarginCurve(table, np.tile(np.asarray(margins, dtype=float), (500, 1)))


@pytest.mark.parametrize(("price", "days"), [(10, 0), (29, 30), (31, 60)])
def test_a_customer_has_paid_back_when_its_margin_reaches_its_cost(price: float, days: float):
    found = payback(curve(20, 30, 40), cost(price), rng=rng())
    assert (found.days, found.reason) == (days, "")
    assert found.low <= days <= found.high


def test_what_was_not_reached_is_not_known():
    found = payback(curve(20, 30), cost(100), rng=rng())
    assert math.isnan(found.days)
    assert (found.high, found.last_day, found.reason) == (math.inf, 30, "not_reached")
    assert payback(curve(20), cost(1, reason="no_costs"), rng=rng()).reason == "no_costs"


def test_value_by_cost_holds_the_doubt_of_both():
    found, reason = value_to_cost(curve(20, 30), cost(10, customers=400), rng=rng())
    # The curve is certain here: only the 400 customers vary, by 1.96 / sqrt(400) = 9.8 % of 3.
    assert found.value == pytest.approx(3)
    assert (found.low, found.high) == pytest.approx((3 - 0.294, 3 + 0.294), abs=0.05)
    assert reason == ""
    assert value_to_cost(curve(20), cost(math.nan, reason="no_customers"), rng=rng())[1] == "no_customers"
