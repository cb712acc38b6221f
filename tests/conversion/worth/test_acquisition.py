from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Cost, Rules
from funnel_lib.conversion.worth.acquisition import acquisition, by_channel
from funnel_lib.conversion.worth.costs import Costs, together
from funnel_lib.periods import period

MAY, RULES = period("2026-05", ZoneInfo("UTC")), Rules()


def spent(*rows: tuple[str, str, float]) -> Costs:
    spend = pd.DataFrame(rows, columns=["date", "campaign", "cost"]).assign(currency="CNY")
    return together(spend, [], {"s": "social"}, currency="CNY")


def won(count: int, day: str = "2026-05-10", channel: str = "social") -> pd.DataFrame:
    times = pd.to_datetime([day] * count, utc=True)
    return pd.DataFrame({"user_id": np.arange(count).astype(str), "ts": times, "channel": channel})


def test_the_published_example():
    # 10,000 for 50 customers: 200 each, 95 % interval 152 to 269 (exact Poisson).
    found = acquisition(won(50), spent(("2026-05-01", "s", 4_000), ("2026-05-31", "s", 6_000)), MAY, rules=RULES)
    assert (found.customers, found.cost, found.value) == (50, 10_000, 200)
    assert (round(found.low), round(found.high)) == (152, 269)


def test_costs_are_those_of_the_time_when_customers_were_won_and_all_of_them():
    # Ten days earlier: 21 April to 21 May. Of the spend, 100 + 200; of 300 a month, 10 days of April (100) and
    # 21 of May (203.2).
    spend = pd.DataFrame({
        "date": ["2026-04-01", "2026-04-21", "2026-05-21", "2026-05-22"], "campaign": "s",
        "cost": [1.0, 100.0, 200.0, 400.0], "currency": "CNY",
    })  # fmt: skip
    known = together(
        spend, [Cost(per_month=300)], {"s": "social"}, currency="CNY", days=(date(2026, 4, 1), date(2026, 5, 31))
    )
    found = acquisition(won(10), known, MAY, lag=timedelta(days=9.6), rules=RULES)
    assert (found.lag_days, str(found.first.date()), str(found.last.date())) == (10, "2026-04-21", "2026-05-21")
    assert (found.advertising, found.other) == pytest.approx((300, 100 + 300 * 21 / 31))
    assert found.value == pytest.approx((found.advertising + found.other) / 10)


@pytest.mark.parametrize(
    ("customers", "days", "reason"),
    [
        (0, ("2026-05-01", "2026-05-31"), "no_customers"),
        (4, ("2026-05-01", "2026-05-31"), "too_few"),
        (50, ("2026-05-02", "2026-05-31"), "cost_not_covered"),
    ],
)
def test_what_cannot_be_told_has_a_reason(customers: int, days: tuple[str, str], reason: str):
    found = acquisition(won(customers), spent(*((day, "s", 10.0) for day in days)), MAY, rules=RULES)
    assert found.reason == reason
    assert np.isnan([found.value, found.low, found.high]).all()
    assert acquisition(won(50), together(None, [], {}, currency="CNY"), MAY, rules=RULES).reason == "no_costs"


def test_each_channel_pays_for_itself_and_the_whole_for_all():
    known = spent(("2026-05-01", "s", 500), ("2026-05-31", "nobody", 600))
    firsts = pd.concat([won(10), won(30, channel="email")])
    found = by_channel(firsts, known, MAY, rules=RULES).set_index("channel")
    assert found.index.tolist() == ["unassigned", "social", "email", "all"]
    assert found["customers"].tolist() == [0, 10, 30, 40]
    assert found.loc["social", "value"] == 50
    assert found.loc["all", "value"] == 27.5
    assert found["reason"].to_dict() == {"unassigned": "no_customers", "social": "", "email": "no_costs", "all": ""}


def test_customers_of_another_month_do_not_count():
    found = acquisition(won(50, "2026-06-01"), spent(("2026-05-01", "s", 1), ("2026-05-31", "s", 1)), MAY, rules=RULES)
    assert (found.customers, found.reason) == (0, "no_customers")
