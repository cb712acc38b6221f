from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.balance import balance
from funnel_lib.conversion.worth.orders import Orders
from funnel_lib.definition import Funnel, Matching, Step

START = pd.Timestamp("2026-01-01", tz="UTC")
FUNNEL = Funnel(steps=[Step("visit", event="a"), Step("buy", event="b")], window=timedelta(days=7))
RULES = Rules(min_units=5, min_events=2)


def people(*groups: tuple[str, int, int, float]) -> tuple[Journeys, pd.DataFrame]:
    """Return journeys and orders: of each group its name, units, converters, and the mean amount of their orders."""
    rows, orders, chance = [], [], np.random.default_rng(1)
    for name, units, bought, amount in groups:
        for one in range(units):
            depth = 2 if one < bought else 1
            rows.append((f"{name}{one}", depth, depth, depth, START, name))
            if depth == 2:
                orders.append((f"{name}{one}", START + timedelta(days=1), amount * (0.9 + 0.2 * chance.random())))
    columns = ["unit", "depth", "mature_depth", "first_depth", "first_entry", "group"]
    frame = pd.DataFrame(rows, columns=columns)
    made = Journeys(FUNNEL, frame, None, datetime(2026, 3, 1, tzinfo=UTC), window_closed=True)
    return made, pd.DataFrame(orders, columns=["user_id", "ts", "amount"])


def test_high_rate_with_low_value_and_the_reverse_are_named():
    made, orders = people(("cheap", 300, 150, 10), ("dear", 300, 30, 200), ("plain", 600, 160, 40))
    found = balance(made, "group", Orders(orders), margin=0.5, within=timedelta(days=30), rules=RULES)
    rows = found.set_index("group")
    assert rows["kind"].to_dict() == {"plain": "", "cheap": "high_rate_low_value", "dear": "low_rate_high_value"}
    assert rows.loc["cheap", "rate"] == 0.5
    assert rows.loc["cheap", "value"] == pytest.approx(5, rel=0.02)
    assert rows.loc["dear", "per_person"] == pytest.approx(rows.loc["dear", "value"] * 0.1)  # value x rate
    assert ((rows["value_low"] < rows["value"]) & (rows["value"] < rows["value_high"])).all()


def test_nobody_whose_time_is_over_is_an_empty_answer():
    made, orders = people(("a", 60, 30, 100), ("b", 60, 30, 100))
    early = replace(made, as_of=datetime(2026, 1, 2, tzinfo=UTC))
    found = balance(early, "group", Orders(orders), margin=0.5, within=timedelta(days=30), rules=RULES)
    assert found["value"].isna().all()
    assert (found["entered"] == 0).all()


def test_orders_before_the_entry_or_after_the_time_do_not_count():
    made, orders = people(("a", 60, 30, 100), ("b", 60, 30, 100))
    late = orders.assign(ts=START + timedelta(days=8), amount=1e6)
    early = orders.assign(ts=START - timedelta(days=1), amount=1e6)
    with_more = pd.concat([orders, late, early])
    args = {"margin": 1.0, "within": timedelta(days=7), "rules": RULES}
    one = balance(made, "group", Orders(orders), **args)
    two = balance(made, "group", Orders(with_more), **args)
    pd.testing.assert_frame_equal(one, two)
    assert set(one["kind"]) == {""}


def test_only_units_whose_time_is_over_count():
    made, orders = people(("a", 60, 30, 100), ("b", 60, 30, 100))
    frame = made.frame.assign(first_entry=[START + timedelta(days=50)] * 60 + [START] * 60)
    found = balance(
        replace(made, frame=frame), "group", Orders(orders), margin=1, within=timedelta(days=30), rules=RULES
    )
    assert found["group"].tolist() == ["b"]


def test_few_converters_have_no_value():
    made, orders = people(("a", 60, 1, 100), ("b", 60, 30, 100))
    rows = balance(made, "group", Orders(orders), margin=1, within=timedelta(days=9), rules=RULES).set_index("group")
    assert rows.loc["a", "reason"] == "too_few"
    assert rows.loc["a", ["rate", "value", "per_person"]].isna().all()
    assert rows.loc["b", "value"] == pytest.approx(100, rel=0.05)


def test_no_orders_are_worth_nothing_and_not_clear():
    made, orders = people(("a", 60, 30, 100), ("b", 60, 20, 100))
    rows = balance(made, "group", Orders(orders[:0]), margin=1, within=timedelta(days=9), rules=RULES)
    assert (rows["value"] == 0).all()
    assert not rows["value_clear"].any()


def test_orders_of_which_only_the_day_is_known_count_as_the_funnel_counts_them():
    made, orders = people(("a", 60, 30, 100), ("b", 60, 30, 100))
    dated = orders.assign(ts=START - timedelta(hours=14))  # at 0:00 of a day on which people entered at 14:00
    loose = replace(made, funnel=replace(FUNNEL, matching=Matching(grace=timedelta(days=1))))
    args = {"margin": 1.0, "within": timedelta(days=7), "rules": RULES}
    assert balance(made, "group", Orders(dated), **args)["value"].tolist() == [0, 0]
    known = balance(loose, "group", Orders(dated), **args)
    assert known["value"].to_numpy() == pytest.approx([100, 100], rel=0.05)
