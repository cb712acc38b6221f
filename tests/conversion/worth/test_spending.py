from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.buying import histories
from funnel_lib.conversion.worth.spending import SpendingModel, expected_spend, fit_spending, mean_spend

PUBLISHED = (6.25, 3.74, 15.44)
RULES = Rules()


def simulated(customers: int, seed: int) -> pd.DataFrame:
    p, q, v = PUBLISHED
    chance = np.random.default_rng(seed)
    x = chance.integers(1, 6, customers)
    scale = chance.gamma(q, 1 / v, customers)
    return pd.DataFrame({"x": x, "mean_amount": chance.gamma(p * x, 1 / (scale * x))})


@pytest.mark.real
def test_the_published_figures_of_cdnow(real_data: Path):
    columns = ["master", "user_id", "date", "count", "amount"]
    kinds = {"user_id": "str", "date": "str"}
    path = real_data / "cdnow" / "CDNOW_sample.txt"
    rows = pd.read_csv(path, sep=r"\s+", header=None, names=columns, dtype=kinds)
    rows["ts"] = pd.to_datetime(rows["date"], format="%Y%m%d", utc=True)
    table = histories(rows, as_of=pd.Timestamp("1997-09-30", tz="UTC").to_pydatetime())
    found = fit_spending(table, rules=RULES)
    assert tuple(round(value, 2) for value in (found.p, found.q, found.v)) == PUBLISHED
    assert found.customers == 946
    assert found.correlation == pytest.approx(0.1139, abs=1e-3)


def test_known_parameters_are_found_again():
    found = fit_spending(simulated(4000, 1), rules=RULES)
    spread = np.sqrt((found.moved**2).sum(axis=0))
    assert (np.abs(np.log(found.parameters[0] / np.array(PUBLISHED))) < 3 * spread).all()
    assert float(mean_spend(found.parameters)[0]) == pytest.approx(6.25 * 15.44 / 2.74, rel=0.05)


def test_a_customer_is_drawn_towards_the_mean_of_all_the_less_the_more_is_known():
    model = SpendingModel(*PUBLISHED, correlation=0.0, customers=1, moved=np.zeros((0, 3)))
    table = pd.DataFrame({"x": [0, 1, 50], "mean_amount": [math.nan, 100.0, 100.0]})
    told = expected_spend(model, table)
    # 6.25 x 15.44 / 2.74 = 35.22 for all; with one order of 100: 6.25 x 115.44 / 8.99 = 80.26.
    assert told[:2] == pytest.approx([35.2190, 80.2558], abs=1e-3)
    assert 99 < told[2] < 100


def test_who_orders_often_must_not_spend_otherwise():
    table = simulated(200, 2)
    table["mean_amount"] = table["x"] * 10.0 + np.random.default_rng(13).random(200)
    found = fit_spending(table, rules=RULES)
    assert found.reason == "spend_depends_on_frequency"
    assert found.correlation > 0.9


@pytest.mark.parametrize(("x", "reason"), [([0] * 40, "no_repeat_orders"), ([1] * 10, "too_few")])
def test_without_repeat_orders_there_is_no_model(x: list[int], reason: str):
    table = pd.DataFrame({"x": x, "mean_amount": 5.0})
    assert fit_spending(table, rules=RULES).reason == reason


def test_amounts_that_are_all_the_same_do_not_fit():
    assert fit_spending(pd.DataFrame({"x": [2] * 40, "mean_amount": 9.99}), rules=RULES).reason
