from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.buying import (
    BuyingModel,
    expected_new,
    expected_orders,
    fit_buying,
    histories,
)

PUBLISHED = (0.243, 4.414, 0.793, 2.426)
RULES = Rules()


def model(*parameters: float) -> BuyingModel:
    return BuyingModel(*parameters, log_likelihood=0.0, customers=1, moved=np.zeros((0, 4)))


def simulated(customers: int, weeks: float, seed: int) -> tuple[pd.DataFrame, float]:
    """Return histories of made-up customers of the published parameters, and their mean number of repeat orders."""
    r, alpha, a, b = PUBLISHED
    chance = np.random.default_rng(seed)
    rate, leave = chance.gamma(r, 1 / alpha, customers), chance.beta(a, b, customers)
    rows = []
    for one in range(customers):
        at, x, last = 0.0, 0, 0.0
        while (at := at + chance.exponential(1 / max(rate[one], 1e-12))) <= weeks:
            x, last = x + 1, at
            if chance.random() < leave[one]:
                break
        rows.append((x, last, weeks))
    table = pd.DataFrame(rows, columns=["x", "t_x", "age"])
    return table, float(table["x"].mean())


def cdnow(folder: Path) -> pd.DataFrame:
    columns = ["master", "user_id", "date", "count", "amount"]
    kinds = {"user_id": "str", "date": "str"}
    rows = pd.read_csv(folder / "cdnow" / "CDNOW_sample.txt", sep=r"\s+", header=None, names=columns, dtype=kinds)
    return rows.assign(ts=pd.to_datetime(rows["date"], format="%Y%m%d", utc=True))


def test_what_the_models_need_to_know():
    # a: days 0, 14 (two orders, 20 + 22 = 42) and 28 (10); known to day 35. b: once, on day 7. c: later than known.
    orders = pd.DataFrame({
        "user_id": ["a", "a", "a", "a", "b", "c"],
        "ts": pd.to_datetime(
            ["2026-01-01T09", "2026-01-15T08", "2026-01-15T20", "2026-01-29", "2026-01-08", "2026-03-01"], utc=True,
            format="ISO8601",
        ),
        "amount": [5.0, 20, 22, 10, 7, 1],
    })  # fmt: skip
    before = orders.copy(deep=True)
    found = histories(orders, as_of=datetime(2026, 2, 5, 12, tzinfo=UTC)).set_index("user_id")
    assert found.loc["a"].tolist() == [2, 4, 5, 26]
    assert found.loc["b"].tolist()[:3] == [0, 0, 4]
    assert math.isnan(found.loc["b", "mean_amount"])
    assert "c" not in found.index
    pd.testing.assert_frame_equal(orders, before)


@pytest.mark.real
def test_the_published_figures_of_cdnow(real_data: Path):
    table = histories(cdnow(real_data), as_of=datetime(1997, 9, 30, tzinfo=UTC))
    assert (len(table), int((table["x"] > 0).sum())) == (2357, 946)
    found = fit_buying(table, rules=RULES)
    assert tuple(round(value, 3) for value in (found.r, found.alpha, found.a, found.b)) == PUBLISHED
    assert found.log_likelihood == pytest.approx(-9582.4, abs=0.05)


def test_known_parameters_are_found_again():
    table, _ = simulated(5000, 60, 1)
    found = fit_buying(table, rules=RULES)
    spread = np.sqrt((found.moved**2).sum(axis=0))
    assert (np.abs(np.log(found.parameters[0] / np.array(PUBLISHED))) < 3 * spread).all()


def test_the_expectation_is_the_mean_of_what_comes():
    _, mean = simulated(40_000, 39, 2)
    assert float(expected_new([PUBLISHED], 39)[0]) == pytest.approx(mean, rel=0.03)


def test_a_new_customer_is_one_without_a_history():
    new = pd.DataFrame({"x": [0], "t_x": [0.0], "age": [0.0]})
    told = expected_orders(model(*PUBLISHED), new, 26)
    assert told == pytest.approx(expected_new([PUBLISHED], 26))


def test_who_ordered_lately_is_expected_to_order_more_and_time_only_adds():
    table = pd.DataFrame({"x": [4, 4, 0], "t_x": [38.0, 10.0, 0.0], "age": [39.0, 39.0, 39.0]})
    told = expected_orders(model(*PUBLISHED), table, 10)
    assert told[0] > told[1]
    assert told[0] > told[2] > 0
    assert (expected_orders(model(*PUBLISHED), table, 20) > told).all()


def test_at_a_equal_to_one_it_is_the_limit():
    near = [expected_new([(0.5, 4.0, a, 2.0)], 26)[0] for a in (0.9999, 1.0, 1.0001)]
    assert near[1] == pytest.approx(np.mean([near[0], near[2]]), rel=1e-4)


@pytest.mark.parametrize(
    ("x", "reason"), [([0] * 50, "no_repeat_orders"), ([1] * 3 + [0] * 47, "too_few"), ([2] * 10, "too_few")]
)
def test_without_repeat_orders_there_is_no_model(x: list[int], reason: str):
    table = pd.DataFrame({"x": x, "t_x": [float(value) for value in x], "age": 10.0})
    found = fit_buying(table, rules=RULES)
    assert found.reason == reason
    assert math.isnan(found.r)


def test_clockwork_does_not_fit():
    table = pd.DataFrame({"x": [5] * 60, "t_x": [10.0] * 60, "age": [11.0] * 60})  # all alike: no spread of rates
    assert fit_buying(table, rules=RULES).reason == "does_not_fit"
