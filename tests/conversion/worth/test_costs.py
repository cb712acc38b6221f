from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.config import Cost
from funnel_lib.conversion.worth.costs import costs, together

SPEND = pd.DataFrame({
    "date": pd.to_datetime(["2026-02-01", "2026-02-01", "2026-02-03", "2026-02-03", "2026-02-03"]),
    "campaign": ["spring", "spring", "other", "foreign", "fault"],
    "cost": [10.0, 5.0, 7.0, 100.0, -1.0],
    "currency": ["CNY", "CNY", "CNY", "USD", "CNY"],
})  # fmt: skip


def test_costs_by_day_and_channel_with_the_monthly_ones_spread_evenly():
    monthly = [Cost(per_month=280), Cost(per_month=28, channel="social")]  # February 2026: 10 and 1 a day
    found = together(SPEND, monthly, {"spring": "social"}, currency="CNY", days=(date(2026, 2, 1), date(2026, 2, 2)))
    rows = {(row.date.day, row.channel, row.kind): row.cost for row in found.frame.itertuples()}
    assert rows == pytest.approx({
        (1, "social", "advertising"): 15, (3, "unassigned", "advertising"): 7, (1, "unassigned", "other"): 10,
        (2, "unassigned", "other"): 10, (1, "social", "other"): 1, (2, "social", "other"): 1,
    })  # fmt: skip
    assert found.set_aside == {"other_currency": 1, "negative": 1}
    assert found.covers(date(2026, 2, 1), date(2026, 2, 3))
    assert not found.covers(date(2026, 1, 31), date(2026, 2, 3))
    assert found.between(date(2026, 2, 2), date(2026, 2, 2))["cost"].sum() == 11


def test_a_months_cost_is_the_same_in_every_month():
    found = together(None, [Cost(per_month=300)], {}, currency="CNY", days=(date(2026, 1, 1), date(2026, 3, 31)))
    assert found.frame.groupby(found.frame["date"].dt.month)["cost"].sum().tolist() == pytest.approx([300] * 3)
    assert found.covers(date(2020, 1, 1), date(2020, 1, 2))  # there is no advertising to be missed


def test_nothing_costs_nothing():
    found = together(None, [], {}, currency="CNY")
    assert found.frame.empty
    assert (found.first, found.last) == (None, None)


def test_the_demo_costs_go_to_the_channels_of_its_campaigns(demo: Path):
    found = costs(fl.Scope.open(demo / "params" / "education.yml"))
    by = found.frame.groupby("channel")["cost"].sum()
    assert set(by[by > 0].index) == {"paid_search", "paid_social"}
    assert (found.first, found.last) == (date(2026, 1, 1), date(2026, 6, 30))


def test_the_channels_of_campaigns_are_counted_once(demo: Path, monkeypatch: pytest.MonkeyPatch):
    scope = fl.Scope.open(demo / "params" / "education.yml")
    first = costs(scope).frame
    monkeypatch.setattr("funnel_lib.conversion.worth.costs.campaigns", lambda _: pytest.fail("counted again"))
    pd.testing.assert_frame_equal(costs(scope).frame, first)
