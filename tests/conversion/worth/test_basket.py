from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.basket import basket

RULES = Rules(min_units=3)


def test_mean_median_and_the_mean_without_the_power_of_one():
    # 4 customers, 5 orders: 10 20 30 40 900. Mean 200, median 30. The 99th percentile is 40 + 0.96 * 860 = 865.6,
    # so the winsorised mean is (10 + 20 + 30 + 40 + 865.6) / 5 = 193.12.
    orders = pd.DataFrame({"user_id": list("aabcd"), "amount": [10.0, 20, 30, 40, 900]})
    found = basket(orders, rules=RULES).set_index("measure")
    assert found["value"].to_dict() == pytest.approx({"mean": 200, "median": 30, "winsorised": 193.12})
    assert found["orders"].tolist() == [5, 5, 5]
    assert found["customers"].tolist() == [4, 4, 4]
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()


def test_the_median_of_single_orders_is_that_of_order_statistics():
    amounts = np.random.default_rng(1).lognormal(3, 1, 500)
    orders = pd.DataFrame({"user_id": np.arange(500), "amount": amounts})
    found = basket(orders, rules=RULES).set_index("measure").loc["median"]
    ranked = np.sort(amounts)
    assert ranked[226] <= found["low"] <= ranked[230]  # rank 250 - 1.96 * sqrt(500) / 2 = 228.1
    assert ranked[269] <= found["high"] <= ranked[273]


def test_orders_of_one_customer_are_not_independent():
    amounts = np.random.default_rng(1).lognormal(3, 1, 100)
    once = pd.DataFrame({"user_id": np.arange(100), "amount": amounts})
    often = pd.concat([once] * 9, ignore_index=True)  # the same customers again and again tell nothing new
    widths = [
        (table["high"] - table["low"]).to_numpy() for table in (basket(orders, rules=RULES) for orders in (once, often))
    ]
    assert widths[1][:2] == pytest.approx(widths[0][:2], rel=0.15)
    assert widths[1][2] == pytest.approx(widths[0][2], rel=0.6)  # here one amount says where the 99th percentile lies


def test_too_few_and_none():
    orders = pd.DataFrame({"user_id": ["a", "b"], "amount": [1.0, 2.0]})
    assert set(basket(orders, rules=RULES)["reason"]) == {"too_few"}
    none = basket(orders[:0], rules=RULES)
    assert set(none["reason"]) == {"no_orders"}
    assert none["value"].isna().all()


def test_the_winsorised_mean_knows_that_its_percentile_is_an_estimate():
    # 300 draws of 400 customers with one lognormal order (sigma 1.5); cut at their true 99th percentile the mean is
    # exp(1.125) x Phi(2.326 - 1.5) + 0.01 x exp(1.5 x 2.326). Taken as given, the percentile would hold 90 % only.
    draws, held, cap = np.random.default_rng(5), 0, 2.3263
    truth = math.exp(1.125) * norm.cdf(cap - 1.5) + 0.01 * math.exp(1.5 * cap)
    for _ in range(300):
        orders = pd.DataFrame({"user_id": np.arange(400), "amount": draws.lognormal(0, 1.5, 400)})
        found = basket(orders, rules=RULES).set_index("measure").loc["winsorised"]
        held += found["low"] <= truth <= found["high"]
    assert found["value"] == pytest.approx(np.minimum(orders["amount"], orders["amount"].quantile(0.99)).mean())
    assert held / 300 >= 0.92
