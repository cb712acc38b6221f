from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.lifetime import contract_value, hold_out, lifetime
from funnel_lib.errors import ConfigError

RULES = Rules()
START = datetime(2025, 1, 1, tzinfo=UTC)


def rng() -> np.random.Generator:
    return np.random.default_rng(17)


def shop(customers: int, days: int, *, stop: int | None = None, seed: int = 1) -> pd.DataFrame:
    """Return the orders of a made-up shop: rates gamma(1, 30 days), leaving beta(1, 4), mean amount 50."""
    chance, rows = np.random.default_rng(seed), []
    for one in range(customers):
        at, rate, mean = chance.random() * 60, chance.gamma(1.0, 1 / 30), 150 / chance.gamma(4.0, 1.0)
        leave = chance.beta(1.0, 4.0)
        while at < (days if stop is None else stop):
            rows.append((str(one), START + timedelta(days=at), chance.gamma(5.0, mean / 5)))
            if chance.random() < leave:
                break
            at += chance.exponential(1 / max(rate, 1e-6))
    return pd.DataFrame(rows, columns=["user_id", "ts", "amount"])


def test_what_a_new_customer_brings_is_what_such_customers_brought():
    orders, end = shop(800, 360), START + timedelta(days=360)
    found = lifetime(orders, margin=0.5, horizon_days=240, as_of=end, rules=RULES, rng=rng())
    assert found.reason == ""
    assert found.held_out.passed
    assert abs(found.held_out.error) < 0.2
    assert (
        found.held_out.table["customers"].sum()
        == orders[orders["ts"] <= end - timedelta(days=120)]["user_id"].nunique()
    )
    more = shop(6000, 360, seed=2)
    first = more.groupby("user_id")["ts"].transform("min")
    truth = 0.5 * more.loc[more["ts"] <= first + timedelta(days=240), "amount"].sum() / more["user_id"].nunique()
    assert found.low < truth < found.high
    assert found.first < found.value


def test_a_model_that_cannot_foretell_its_past_says_nothing_of_the_future():
    orders = shop(800, 360, stop=250)  # nobody orders in the last third
    found = lifetime(orders, margin=0.5, as_of=START + timedelta(days=360), rules=RULES, rng=rng())
    assert found.reason == "failed_on_held_out"
    assert math.isnan(found.value)
    assert found.held_out.error > 0.2


def test_single_orders_short_data_and_none():
    orders, end = shop(800, 360), START + timedelta(days=360)
    once = orders.drop_duplicates("user_id")
    assert lifetime(once, margin=1, as_of=end, rules=RULES, rng=rng()).reason == "no_repeat_orders"
    assert lifetime(orders[:0], margin=1, as_of=end, rules=RULES, rng=rng()).reason == "no_orders"
    assert hold_out(orders, as_of=START + timedelta(days=12), rules=RULES).reason == "too_short"
    far = lifetime(orders, margin=1, horizon_days=5000, as_of=end, rules=RULES, rng=rng())
    assert far.reason == "too_short"
    with pytest.raises(ConfigError, match="horizon"):
        lifetime(orders, margin=1, horizon_days=0, as_of=end, rules=RULES, rng=rng())


@pytest.mark.real
def test_a_published_hold_out(real_data: Path):
    columns = ["master", "user_id", "date", "count", "amount"]
    kinds = {"user_id": "str", "date": "str"}
    path = real_data / "cdnow" / "CDNOW_sample.txt"
    rows = pd.read_csv(path, sep=r"\s+", header=None, names=columns, dtype=kinds)
    rows["ts"] = pd.to_datetime(rows["date"], format="%Y%m%d", utc=True)
    found = hold_out(rows, as_of=datetime(1998, 6, 30, tzinfo=UTC), rules=RULES)
    assert found.passed
    assert abs(found.error) < 0.1


def test_a_contract_is_a_sum_over_its_months():
    # 40 of 1,000 customer-months end: 4 %. Over 3 months: 10 (1 + 0.96 + 0.9216) = 28.816.
    found = contract_value(10, left=40, customer_months=1000, months=3, rules=RULES)
    assert found.value == pytest.approx(28.816)
    assert found.low < found.value < found.high
    long = contract_value(10, left=40, customer_months=1000, months=600, rules=RULES)
    assert long.value == pytest.approx(250)  # margin by churn, where nothing ends it
    less = contract_value(10, left=40, customer_months=1000, months=3, yearly_discount=0.1, rules=RULES)
    assert less.value == pytest.approx(10 * (1 + 0.96 / 1.1 ** (1 / 12) + 0.9216 / 1.1 ** (1 / 6)))


def test_few_departures_give_no_value():
    assert contract_value(10, left=2, customer_months=1000, rules=RULES).reason == "too_few"
    with pytest.raises(ConfigError, match="contract"):
        contract_value(10, left=20, customer_months=10, rules=RULES)
