"""What a step at its bar would bring is bar less rate, times people, times onward share, times worth."""

import numpy as np
import pandas as pd
import pytest

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.worth.bottlenecks import BOTTLENECKS, Worth, bottlenecks
from funnel_lib.definition import Funnel, Step

RULES, ABOUT_100 = Rules(), Worth(100.0, 90.0, 110.0)
FUNNEL = Funnel(steps=[Step(name, event=name) for name in ("a", "b", "c")])


def people(*depths: int, funnel: Funnel = FUNNEL) -> Journeys:
    """Return journeys of so many people who got exactly so far: the first number at step 1, and so on."""
    depth = np.repeat(np.arange(1, len(depths) + 1), depths).astype(np.int8)
    frame = pd.DataFrame({"unit": np.arange(len(depth)), "depth": depth, "mature_depth": depth, "first_depth": depth})
    return Journeys(funnel, frame, None, None)


def held(*rows: tuple[int, str, int, int, float, str]) -> pd.DataFrame:
    """Return bars: step, name, numerator, denominator, bar, reason."""
    frame = pd.DataFrame(rows, columns=["step", "name", "numerator", "denominator", "bar", "reason"])
    rate = frame["numerator"] / frame["denominator"]
    return frame.assign(rate=rate, low=rate - 0.05, high=rate + 0.05, light="below", origin="target")


def found(bars: pd.DataFrame, worth: Worth = ABOUT_100, made: Journeys | None = None) -> pd.DataFrame:
    # 400 came, 200 took b, 50 took c.
    return bottlenecks(made or people(200, 150, 50), bars, worth=worth, rules=RULES, rng=np.random.default_rng(1))


BARS = held((2, "b", 200, 400, 0.6, ""), (3, "c", 50, 200, 0.3, ""))


def test_steps_are_ranked_by_money():
    table = found(BARS)
    assert table.columns.tolist() == BOTTLENECKS
    # b: (0.6 - 0.5) x 400 = 40 more, of whom 50/200 go on: 10, worth 1,000. c: (0.3 - 0.25) x 200 = 10, worth 1,000.
    assert table.set_index("name")["conversions"].to_dict() == pytest.approx({"b": 10.0, "c": 10.0})
    assert table["money"].tolist() == pytest.approx([1000.0, 1000.0])
    assert table["name"].tolist() == ["b", "c"]  # a tie goes to the earlier step
    assert table.loc[0, "onward"] == pytest.approx(0.25)
    more = found(held((2, "b", 200, 400, 0.6, ""), (3, "c", 50, 200, 0.5, "")))
    assert more["name"].tolist() == ["c", "b"]


def test_intervals_hold_the_estimate_and_widen_with_the_worth():
    table, sure = found(BARS), found(BARS, Worth(100.0, 100.0, 100.0))
    for row in table.itertuples():
        assert row.conversions_low < row.conversions < row.conversions_high
        assert row.money_low < row.money < row.money_high
    assert (table["money_high"] - table["money_low"] > sure["money_high"] - sure["money_low"]).all()
    assert sure["money_high"].tolist() == pytest.approx((sure["conversions_high"] * 100).tolist())


def test_a_step_above_its_bar_gains_nothing():
    row = found(held((2, "b", 200, 400, 0.3, ""))).iloc[0]
    assert (row["conversions"], row["money"], row["conversions_high"]) == (0.0, 0.0, 0.0)
    assert row["gap"] == pytest.approx(-0.2)


def test_the_interval_of_the_conversions_covers_the_truth():
    # Of 2,000 people 50 % take b and 40 % of those c; at a bar of 0.6, b would bring 0.1 x 2000 x 0.4 = 80.
    rng, held_it = np.random.default_rng(7), 0
    for _ in range(200):
        took = rng.binomial(2000, 0.5)
        ended = rng.binomial(took, 0.4)
        made = people(2000 - took, took - ended, ended)
        bars = held((2, "b", took, 2000, 0.6, ""))
        row = bottlenecks(made, bars, worth=Worth(1, 1, 1), rules=RULES, rng=rng, draws=400).iloc[0]
        held_it += row["conversions_low"] <= 80 <= row["conversions_high"]
    assert 0.90 <= held_it / 200 <= 0.99


def test_without_a_worth_conversions_are_told_and_money_is_not():
    table = found(BARS, Worth())
    assert table["conversions"].notna().all()
    assert table["money"].isna().all()
    assert table["reason"].tolist() == ["no_value", "no_value"]


def test_without_a_bar_or_a_rate_nothing_is_told():
    table = found(held((2, "b", 200, 400, np.nan, "no_bar"), (3, "c", 50, 200, 0.3, "stale")))
    assert table["conversions"].isna().all()
    assert table["reason"].tolist() == ["no_bar", "stale"]
    nobody = people(0, 0, 0)
    assert found(held((2, "b", 0, 400, 0.5, "too_few")), made=nobody)["conversions"].isna().all()


def test_steps_that_may_be_skipped_do_not_multiply():
    steps = [Step("a", event="a"), Step("b", event="b", optional=True), Step("c", event="c")]
    made = people(200, 150, 50, funnel=Funnel(steps=steps))
    frame = made.frame.assign(reached=1, mature_reached=1, passed=1, mature_passed=1)
    table = found(BARS, made=Journeys(made.funnel, frame, None, None))
    assert table["reason"].tolist() == ["not_nested", "not_nested"]


def test_the_bars_stay_as_they_were():
    before = BARS.copy(deep=True)
    found(BARS)
    pd.testing.assert_frame_equal(BARS, before)
