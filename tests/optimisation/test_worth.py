"""Effects become orders and money, and add up, with all their uncertainty."""

import math

import numpy as np
import pytest

from funnel_lib.optimisation.worth import Estimate, effect, product, total

NAN = float("nan")


def test_a_product_worked_out_by_hand():
    # 2 (1..3) x 10 (8..11): below it is sqrt((10 x 1)^2 + (2 x 2)^2) = sqrt(116),
    # above it sqrt((10 x 1)^2 + (2 x 1)^2) = sqrt(104)
    found = product([Estimate(2, 1, 3), Estimate(10, 8, 11)])
    assert found.value == 20
    assert found.low == pytest.approx(20 - math.sqrt(116))
    assert found.high == pytest.approx(20 + math.sqrt(104))


def test_the_sides_of_a_factor_change_places_where_the_other_is_negative():
    # -2 (-3..-1) x 10 (8..11): the product falls where 10 rises to 11
    found = product([Estimate(-2, -3, -1), Estimate(10, 8, 11)])
    assert found.value == -20
    assert found.low == pytest.approx(-20 - math.sqrt(104))
    assert found.high == pytest.approx(-20 + math.sqrt(116))


def test_a_factor_of_zero_leaves_only_its_own_uncertainty():
    found = product([Estimate(0, -1, 1), Estimate(10, 8, 11)])
    assert (found.value, found.low, found.high) == pytest.approx((0, -10, 10))


def test_a_certain_factor_only_scales_and_one_factor_is_itself():
    assert product([Estimate(2, 1, 4), Estimate(5, 5, 5)]) == Estimate(10, 5, 20)
    assert product([Estimate(2, 1, 4)]) == Estimate(2, 1, 4)


def test_a_missing_factor_leaves_nothing():
    found = product([Estimate(NAN, NAN, NAN), Estimate(5, 5, 5)])
    assert all(math.isnan(number) for number in (found.value, found.low, found.high))


def test_an_effect_in_orders_and_money_worked_out_by_hand():
    # 0.05 (0.02..0.08) of 1,000 units = 50 (20..80) orders; x 300 (290..310):
    # below sqrt((300 x 30)^2 + (50 x 10)^2), the same above
    found = effect("a", "trial", "randomised", Estimate(0.05, 0.02, 0.08), units=1000, worth=Estimate(300, 290, 310))
    assert (found.orders, found.orders_low, found.orders_high) == pytest.approx((50, 20, 80))
    half = math.hypot(300 * 30, 50 * 10)
    assert (found.money, found.money_low, found.money_high) == pytest.approx((15_000, 15_000 - half, 15_000 + half))
    assert (found.estimate, found.units_affected, found.reason) == (0.05, 1000, None)


def test_those_that_a_change_adds_go_on_to_order_at_a_rate():
    found = effect(
        "a",
        "release",
        "before_after",
        Estimate(0.05, 0.02, 0.08),
        units=1000,
        onward=Estimate(0.1, 0.08, 0.12),
    )
    assert found.orders == pytest.approx(5)
    half = math.hypot(1000 * 0.1 * 0.03, 1000 * 0.05 * 0.02)
    assert (found.orders_low, found.orders_high) == pytest.approx((5 - half, 5 + half))
    assert math.isnan(found.money)


def known(name: str, evidence: str, orders: float, half: float):
    return effect(
        name,
        "x",
        evidence,
        Estimate(orders, orders - half, orders + half),
        units=1,
        worth=Estimate(10, 10, 10),
    )


def test_totals_add_estimates_and_combine_half_widths():
    effects = [
        known("a", "randomised", 30, 3),
        known("b", "comparison", 20, 4),
        known("c", "before_after", 10, 12),
    ]
    found = total(effects)
    # strong: 30 + 20, half-width sqrt(9 + 16) = 5; with the weaker one 60, half-width sqrt(25 + 144) = 13
    assert found.strong.names == ("a", "b")
    assert found.strong.orders == Estimate(50, 45, 55)
    assert found.strong.money == Estimate(500, 450, 550)
    assert found.everything.names == ("a", "b", "c")
    assert found.everything.orders == Estimate(60, 47, 73)


def test_what_is_not_known_is_left_out_and_named():
    lost = effect("b", "trial", "randomised", Estimate(NAN, NAN, NAN), units=9, reason="too_few")
    found = total([known("a", "randomised", 30, 3), lost])
    assert (found.strong.names, found.strong.left_out, found.strong.reason) == (("a",), ("b",), None)
    assert found.strong.orders == Estimate(30, 27, 33)
    nothing = total([lost])
    assert nothing.strong.reason == "no_effect_known"
    assert math.isnan(nothing.strong.orders.value)
    assert total([known("c", "before_after", 1, 1)]).strong.reason == "no_effect_known"


def test_money_that_is_not_known_for_one_effect_is_not_known_for_the_sum():
    free = effect("b", "trial", "randomised", Estimate(5, 4, 6), units=1)
    found = total([known("a", "randomised", 30, 3), free])
    assert found.strong.orders.value == 35
    assert math.isnan(found.strong.money.value)


def test_intervals_of_products_and_sums_mostly_hold_the_truth():
    rng, runs, z = np.random.default_rng(11), 1000, 1.959964
    effects, price = (0.05, 0.08), 300.0
    sizes, spread, price_spread = (1000, 2000), (0.015, 0.02), 15.0
    holds = 0
    for _ in range(runs):
        seen = []
        for size, truth, noise in zip(sizes, effects, spread, strict=True):
            found, worth = rng.normal(truth, noise), rng.normal(price, price_spread)
            rate = Estimate(found, found - z * noise, found + z * noise)
            money = Estimate(worth, worth - z * price_spread, worth + z * price_spread)
            seen.append(effect("a", "x", "randomised", rate, units=size, worth=money))
        money = total(seen).strong.money
        holds += money.low <= sum(e * n * price for e, n in zip(effects, sizes, strict=True)) <= money.high
    assert abs(holds / runs - 0.95) < 3 * math.sqrt(0.05 * 0.95 / runs)
