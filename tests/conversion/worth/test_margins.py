from __future__ import annotations

import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.intervals import poisson_interval, ratio_interval
from funnel_lib.conversion.worth.margins import MarginCurve, margin_curve, payback, value_to_cost
from funnel_lib.errors import ConfigError

RULES = Rules(min_units=2)


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
    found = margin_curve(FOUR, margin=0.5, as_of=KNOWN, rules=RULES)
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
    found = margin_curve(many, margin=1, as_of=known, rules=RULES).table["margin"]
    again = margin_curve(many.sample(frac=1, random_state=1), margin=1, as_of=known, rules=RULES)
    assert found.is_monotonic_increasing
    assert again.table["margin"].tolist() == pytest.approx(found.tolist())


def test_too_few_none_and_nonsense():
    assert margin_curve(FOUR, margin=1, as_of=KNOWN, rules=Rules()).reason == "too_few"
    none = margin_curve(FOUR[:0], margin=1, as_of=KNOWN, rules=RULES)
    assert none.table["reason"].tolist() == ["no_orders"]
    assert math.isnan(none.last_day)
    assert math.isnan(none.at(90).value)
    with pytest.raises(ConfigError, match="share"):
        margin_curve(FOUR, margin=1.2, as_of=KNOWN, rules=RULES)


def cost(value: float, customers: int = 1000, reason: str = "") -> Any:
    fewest, most = poisson_interval(customers, 0.95)
    ends = {"low": value * customers / most, "high": value * customers / fewest}
    return SimpleNamespace(value=value, customers=customers, reason=reason, level=0.95, **ends)


def curve(*margins: float) -> MarginCurve:
    days = np.arange(len(margins)) * 30
    return MarginCurve(pd.DataFrame({"day": days, "margin": margins, "low": margins, "high": margins, "reason": ""}))


@pytest.mark.parametrize(("price", "days"), [(10, 0), (29, 30), (31, 60)])
def test_a_customer_has_paid_back_when_its_margin_reaches_its_cost(price: float, days: float):
    found = payback(curve(20, 30, 40), cost(price))
    assert (found.days, found.reason) == (days, "")
    assert found.low <= days <= found.high


def test_what_was_not_reached_is_not_known():
    found = payback(curve(20, 30), cost(100))
    assert math.isnan(found.days)
    assert (found.high, found.last_day, found.reason) == (math.inf, 30, "not_reached")
    assert payback(curve(20), cost(1, reason="no_costs")).reason == "no_costs"


def test_where_all_are_followed_it_is_the_interval_of_the_mean_of_what_they_brought():
    amounts = np.random.default_rng(3).lognormal(3, 1, (60, 2))
    rows = [(f"c{one}", day, amount) for one, two in enumerate(amounts)
            for day, amount in zip(("2026-01-01", "2026-01-20"), two, strict=True)]  # fmt: skip
    found = margin_curve(orders(*rows), margin=1, as_of=KNOWN, rules=Rules()).at(30)
    assert tuple(found) == pytest.approx(tuple(ratio_interval(amounts.sum(axis=1), level=0.95)))


def test_pay_back_may_come_as_early_and_as_late_as_the_ratio_allows():
    # A cost of 25 from 16 customers lies between 15.4 and 43.7 (16 are 9.1 to 26 as likely as not): a certain curve
    # of 10, 20, 30, 40 and 50 passes these at day 30 and at day 120.
    found = payback(curve(10, 20, 30, 40, 50), cost(25, customers=16))
    assert (found.days, found.low, found.high) == (60, 30, 120)


def test_value_by_cost_holds_the_doubt_of_both():
    found, reason = value_to_cost(curve(20, 30), cost(10, customers=400))
    # The curve is certain here: only the 400 customers vary, by 1.96 / sqrt(400) = 9.8 % of 3.
    assert found.value == pytest.approx(3)
    assert (found.low, found.high) == pytest.approx((3 - 0.294, 3 + 0.294), abs=0.05)
    assert reason == ""
    assert value_to_cost(curve(20), cost(math.nan, reason="no_customers"))[1] == "no_customers"
