from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import funnel_lib as fl
from funnel_lib.conversion.worth.crediting import SHOWN, credited, in_period
from funnel_lib.conversion.worth.orders import orders


@pytest.fixture
def may(demo: Path) -> fl.Scope:
    return fl.Scope.open(demo / "params" / "education.yml", period="2026-05")


def test_every_rule_gives_away_all_orders_of_the_period_and_all_their_money(may: fl.Scope):
    found = orders(may)
    now = in_period(found.frame, may.period)
    table = credited(may, found, rng=np.random.default_rng(1))
    sums = table.groupby("model")[["conversions", "value"]].sum()
    assert set(sums.index) == set(SHOWN)
    assert sums["conversions"].to_numpy() == pytest.approx([len(now)] * len(SHOWN))
    assert sums["value"].to_numpy() == pytest.approx([now["amount"].sum()] * len(SHOWN))
    assert 0 < len(now) < len(found.frame)
