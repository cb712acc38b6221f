"""What changes are worth: effects on rates as orders and money, and their sum, with all uncertainty kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Evidence = Literal["randomised", "comparison", "before_after"]
STRONG: tuple[Evidence, ...] = ("randomised", "comparison")
NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(NAN, NAN, NAN)


@dataclass(frozen=True)
class Effect:
    """What one change did to a rate, and what that is worth in orders and money.

    `orders` = effect on the rate x units that met the change (x the rate at which those go on to order);
    `money` = orders x mean amount of an order x margin. `reason` names why a number is missing.
    """

    name: str
    kind: str
    evidence: Evidence
    estimate: float
    low: float
    high: float
    units_affected: int
    orders: float
    orders_low: float
    orders_high: float
    money: float
    money_low: float
    money_high: float
    reason: str | None = None


@dataclass(frozen=True)
class Sum:
    """Effects added up: their names, and those left out as they are not known."""

    names: tuple[str, ...]
    left_out: tuple[str, ...]
    orders: Estimate
    money: Estimate
    reason: str | None = None


@dataclass(frozen=True)
class Total:
    """What the changes did together: by strong evidence only, and with the weaker evidence added."""

    strong: Sum
    everything: Sum


def product(factors: Sequence[Estimate]) -> Estimate:
    """Return the product of independent estimates with the interval of the delta method.

    For f = x1 x2 ... the half-width on each side is the root of the sum of (df/dxi x half-width of xi)^2,
    with the half-width of xi on the side that moves f that way. It neglects products of half-widths.
    """
    value = math.prod(factor.value for factor in factors)
    below = above = 0.0
    for place, factor in enumerate(factors):
        slope = math.prod(other.value for at, other in enumerate(factors) if at != place)
        sides = (slope * (factor.low - factor.value), slope * (factor.high - factor.value))
        below += min(sides) ** 2
        above += max(sides) ** 2
    if any(math.isnan(side) for factor in factors for side in (factor.low, factor.high)):
        return Estimate(NAN, NAN, NAN)
    return Estimate(value, value - math.sqrt(below), value + math.sqrt(above))


def effect(
    name: str,
    kind: str,
    evidence: Evidence,
    found: Estimate,
    *,
    units: int,
    onward: Estimate | None = None,
    worth: Estimate | None = None,
    reason: str | None = None,
) -> Effect:
    """Return what a change of a rate means in orders and money, with the uncertainty of all factors.

    Parameters
    ----------
    name, kind, evidence : of the change.
    found : absolute difference of the rate.
    units : how many met the change.
    onward : rate at which those that the change adds go on to order, where the rate is not that of orders.
    worth : money that one order brings.
    reason : why a number is missing.
    """
    factors = [found, Estimate(units, units, units), *([onward] if onward else [])]
    orders = product(factors)
    money = product([*factors, worth]) if worth else Estimate(NAN, NAN, NAN)
    return Effect(
        name, kind, evidence, found.value, found.low, found.high, units,
        orders.value, orders.low, orders.high, money.value, money.low, money.high, reason,
    )  # fmt: skip


def less(found: Effect, given: Estimate) -> Effect:
    """Return the effect with `given`, what it gave away on orders that would have come anyway, deducted from its money.

    More orders due to the change mean fewer that would have come anyway, so both err to the same side: the
    half-widths are added up, which is rather too wide than too narrow.
    """
    low = found.money - found.money_low + given.high - given.value
    high = found.money_high - found.money + given.value - given.low
    money = found.money - given.value
    return replace(found, money=money, money_low=money - low, money_high=money + high)


def total(effects: Iterable[Effect]) -> Total:
    """Return the sum of effects, by strong evidence (randomised, comparison) and with the weaker one added.

    Estimates add up; half-widths combine on each side as the root of the sum of squares (MOVER, Zou and
    Donner 2008), which assumes independent estimates. An effect that is not known is left out and named.
    """
    listed = list(effects)
    return Total(_sum([e for e in listed if e.evidence in STRONG]), _sum(listed))


def _sum(effects: Sequence[Effect]) -> Sum:
    known = [e for e in effects if not math.isnan(e.orders)]
    left_out = tuple(e.name for e in effects if math.isnan(e.orders))
    orders = _add([Estimate(e.orders, e.orders_low, e.orders_high) for e in known])
    money = _add([Estimate(e.money, e.money_low, e.money_high) for e in known])
    return Sum(tuple(e.name for e in known), left_out, orders, money, None if known else "no_effect_known")


def _add(parts: Sequence[Estimate]) -> Estimate:
    if not parts:
        return Estimate(NAN, NAN, NAN)
    value = sum(part.value for part in parts)
    below = math.sqrt(sum((part.value - part.low) ** 2 for part in parts))
    above = math.sqrt(sum((part.high - part.value) ** 2 for part in parts))
    return Estimate(value, value - below, value + above)
