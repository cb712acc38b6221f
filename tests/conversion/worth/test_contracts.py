"""Contracts: worked out by hand, against the product-limit estimator, and by simulation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from funnel_lib.config import Rules
from funnel_lib.conversion.worth.contracts import MONTH_DAYS, worth_of
from funnel_lib.conversion.worth.lifetime import contract_value

AS_OF = datetime(2026, 6, 30, tzinfo=UTC)
FEW = Rules(min_units=2, min_events=1)


def running(*rows: tuple[float, float | None, float]) -> pd.DataFrame:
    """Return contracts: started so many months ago, ended after so many (None: runs), the price of a month."""
    month = timedelta(days=MONTH_DAYS)
    starts = [AS_OF - ago * month for ago, _, _ in rows]
    ends = [None if lasted is None else start + lasted * month
            for start, (_, lasted, _) in zip(starts, rows, strict=True)]  # fmt: skip
    return pd.DataFrame({
        "start": pd.to_datetime(starts, utc=True), "end": pd.to_datetime(ends, utc=True),
        "price": [price for *_, price in rows],
    })  # fmt: skip


def test_four_contracts_by_hand():
    rows = running((3.5, 0.5, 10.0), (3.5, None, 10.0), (3.5, 1.5, 20.0), (1.5, None, 20.0))
    before = rows.copy()
    found = worth_of(rows, margin=0.5, as_of=AS_OF, rules=FEW)
    pd.testing.assert_frame_equal(rows, before)
    # Month 1: all four can be followed to its end, one ends. Month 2: three run, the last was followed for 1.5 months
    # only; of the other two one ends. Month 3: one contract is left to follow, which is too few.
    assert found.table[["month", "customers", "left"]].to_numpy().tolist() == [[1, 4, 1], [2, 2, 1]]
    assert found.table["kept"].tolist() == pytest.approx([3 / 4, 3 / 8])
    # 15 are paid at the start in the mean; after a month by three quarters, (10 + 20 + 20) / 3 each; half is margin.
    assert found.curve.table["margin"].tolist() == pytest.approx([7.5, 7.5 + 0.5 * 0.75 * 50 / 3])
    assert (found.running, found.ended, found.price.value) == (2, 2, 15.0)
    assert found.churn.value == pytest.approx(2 / 6)
    # Three years at this rate: 7.5 for each month, the first whole: 7.5 x (1 - (2 / 3)^36) / (1 / 3).
    assert found.forecast.value == pytest.approx(7.5 * 3 * (1 - (2 / 3) ** 36))
    known = contract_value(7.5, left=2, customer_months=6, months=36, rules=FEW)
    assert found.forecast.low < known.low < known.value < known.high < found.forecast.high  # the price may differ too


def test_rows_that_cannot_be_contracts_are_counted():
    rows = running(
        (5, None, 10.0), (5, 2, 10.0), (5, -1, 10.0), (-1, None, 10.0), (5, None, float("nan")), (5, None, 1)
    )
    rows.loc[5, "start"] = pd.NaT
    found = worth_of(rows, margin=1, as_of=AS_OF, rules=FEW)
    assert found.set_aside == {"no_start": 1, "later": 1, "ends_before_start": 1, "no_price": 1}
    assert found.running + found.ended == 2


def test_an_end_that_lies_ahead_still_runs():
    rows = running((5, 9, 10.0), (5, 2, 10.0), (5, None, 10.0))
    assert worth_of(rows, margin=1, as_of=AS_OF, rules=FEW).running == 2


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([], "no_contracts"), ([(5, None, 10.0)], "too_few"), ([(5, None, 10.0)] * 9, "too_few"),
     ([(0.5, None, 10.0)] * 9, "too_few")],
)  # fmt: skip
def test_what_cannot_be_told_has_a_reason(rows: list[tuple[float, float | None, float]], reason: str):
    # Nobody left, or nobody could leave yet: nothing says how long contracts last.
    found = worth_of(running(*rows), margin=1, as_of=AS_OF, rules=FEW)
    assert (found.reason, found.curve.reason, found.forecast.reason) == (reason, reason, reason)
    assert np.isnan(found.churn.value)
    assert found.table.empty


def test_the_shares_are_those_of_the_product_limit_estimator():
    draws = np.random.default_rng(2)
    followed, lasted = draws.integers(1, 20, 400), np.ceil(draws.exponential(8, 400))
    gone = lasted <= followed
    rows = running(*((float(f), float(m) if out else None, 10.0)
                     for f, m, out in zip(followed, lasted, gone, strict=True)))  # fmt: skip
    found = worth_of(rows, margin=1, as_of=AS_OF, rules=Rules(min_units=30, min_events=5))
    known = SurvfuncRight(np.where(gone, lasted, followed), gone.astype(int))
    expected = pd.Series(known.surv_prob, index=known.surv_times.astype(int))
    for month, kept in zip(found.table["month"], found.table["kept"], strict=True):
        assert kept == pytest.approx(expected[:month].iloc[-1])  # the share by the last departure up to this month


def test_the_interval_holds_the_margin_of_half_a_year_as_often_as_it_says():
    # 8 % end in each month; prices do not depend on it: half a year brings 0.8 x 50 x sum(0.92^k), k to 5.
    truth, held, worlds, draws = 0.8 * 50 * (1 - 0.92**6) / 0.08, 0, 150, np.random.default_rng(3)
    for _ in range(worlds):
        followed, lasted = draws.uniform(0, 24, 120), draws.geometric(0.08, 120)
        prices = draws.gamma(4, 12.5, 120)
        rows = running(*((float(f), float(m) if m < f else None, float(p))
                         for f, m, p in zip(followed, lasted, prices, strict=True)))  # fmt: skip
        curve = worth_of(rows, margin=0.8, as_of=AS_OF, rules=Rules()).curve.table
        held += bool(curve["low"].iloc[5] <= truth <= curve["high"].iloc[5])
    assert 0.90 <= held / worlds <= 0.99, held / worlds
