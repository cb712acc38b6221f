"""Do the intervals that no other simulation covers keep their promise? One table: kind, case, coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.tables import markdown
from funnel_lib.config import Rules
from funnel_lib.conversion.durations.returning import repurchase
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.decomposition import by_step
from funnel_lib.conversion.rates import newcombe, wilson
from funnel_lib.conversion.sensitivity import paired_difference
from funnel_lib.conversion.worth.acquisition import Acquisition
from funnel_lib.conversion.worth.bottlenecks import Worth, bottlenecks
from funnel_lib.conversion.worth.contracts import MONTH_DAYS, worth_of
from funnel_lib.conversion.worth.intervals import poisson_interval, ratio_interval
from funnel_lib.conversion.worth.margins import MarginCurve, margin_curve, payback, value_to_cost
from funnel_lib.conversion.worth.opinions import net_promoters
from funnel_lib.conversion.worth.returns import returns
from funnel_lib.definition import Funnel, Step
from funnel_lib.optimisation.impact import difference_in_differences
from funnel_lib.optimisation.releases import standardise
from funnel_lib.optimisation.worth import Estimate, product

ABCD = Funnel(steps=[Step(name, event=name) for name in "ABCD"], window=timedelta(days=14))
RULES, LEVEL = Rules(), 0.95
CONTRACT = ("margin so far", "share that runs", "churn", "price", "expected margin")
START, AS_OF = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 6, 30, tzinfo=UTC)
Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Draw = Callable[[Rng], bool | None]
"""One sample: whether its interval holds the truth; None where there is no interval to be shown."""

TEXT = """## Further kinds of intervals

Written by `python -m benchmarks intervals`; {trials:,} samples per row, {some:,} where orders or contracts are made up,
{few:,} where the interval itself needs draws. *Shown* is the share of samples with an interval, *covered* the share of
these that hold the truth.

{table}"""


def report(trials: int = 1000) -> str:
    """Simulate everything; return a section of docs/statistics.md."""
    some, few = max(trials // 4, 20), max(trials // 5, 20)
    kinds = {**dict.fromkeys(QUICK, trials), **dict.fromkeys(ORDERS, some), **dict.fromkeys(SLOW, few)}
    table = pd.concat([simulated(kind, size) for kind, size in kinds.items()])
    return TEXT.format(trials=trials, some=some, few=few, table=markdown(table))


def simulated(kind: str, trials: int) -> pd.DataFrame:
    """Return coverage of all cases of one kind; each with a seed of its own."""
    cases = {**QUICK, **ORDERS, **SLOW}[kind]()
    rows = [
        {"kind": kind, "case": case, **_covered(draw, trials, np.random.default_rng([41, place, *kind.encode()]))}
        for place, (case, draw) in enumerate(cases)
    ]
    return pd.DataFrame(rows)


def _covered(draw: Draw, trials: int, rng: Rng) -> dict[str, float]:
    held = [draw(rng) for _ in range(trials)]
    shown = [inside for inside in held if inside is not None]
    return {"shown": len(shown) / trials, "covered": float(np.mean(shown)) if shown else np.nan}


def _paired(units: int, gained: float, lost: float, rng: Rng) -> bool:
    more, less, _ = rng.multinomial(units, [gained, lost, 1 - gained - lost])
    _, low, high = paired_difference(more, less, units, LEVEL)
    return bool(low <= gained - lost <= high)


def _did(units: int, base: float, effect: float, rng: Rng) -> bool | None:
    parts = []
    for group, after, rate in (("a", False, base), ("a", True, base + 0.02 + effect), ("b", False, base + 0.1),
                               ("b", True, base + 0.12)):  # fmt: skip
        parts.append(pd.DataFrame({"group": group, "after": after, "converted": rng.random(units) < rate}))
    found = difference_in_differences(pd.concat(parts), "a", level=LEVEL)
    return None if found.reason else bool(found.low <= effect <= found.high)


def _standardised(units: int, rng: Rng) -> bool:
    groups, before, after = np.array(list("xyz")), np.array([0.1, 0.3, 0.5]), np.array([0.15, 0.32, 0.48])
    sides, codes = [], []
    for rates, shares in ((before, [0.5, 0.3, 0.2]), (after, [0.3, 0.4, 0.3])):
        code = rng.choice(3, units, p=shares)
        sides.append(pd.DataFrame({"group": groups[code], "converted": rng.random(units) < rates[code]}))
        codes.append(code)
    weights = np.bincount(np.concatenate(codes), minlength=3) / (2 * units)
    found = standardise(*sides, "group", level=LEVEL)
    return bool(found.low <= weights @ (after - before) <= found.high)


def _orders(units: int, base: float, effect: float, rng: Rng) -> bool:
    one, two = rng.binomial(units, [base, base + effect])
    found = newcombe(int(two), units, int(one), units, LEVEL)
    onward = rng.binomial(2 * units, 0.4)
    spread = 5.0
    worth = 100 + spread * rng.standard_normal()
    told = product([
        Estimate(found.estimate, found.low, found.high), Estimate(units, units, units),
        Estimate(onward / (2 * units), *(float(end) for end in wilson(onward, 2 * units, LEVEL))),
        Estimate(worth, worth - 1.96 * spread, worth + 1.96 * spread),
    ])  # fmt: skip
    return bool(told.low <= effect * units * 0.4 * 100 <= told.high)


def _again(customers: int, share: float, rng: Rng) -> bool | None:
    first = rng.random(customers) * 120
    wait = np.where(rng.random(customers) < share, rng.exponential(30, customers), np.inf)
    at, user = np.append(first, first + wait), np.tile(np.arange(customers), 2)
    orders = pd.DataFrame({"user_id": user, "day": at})[at < 120]
    moments = pd.Timestamp(START) + pd.to_timedelta(orders["day"], unit="D").dt.round("us")
    found = repurchase(orders.assign(ts=moments), within_days=60, as_of=START + timedelta(days=120), rules=RULES)
    row = found.iloc[1]
    truth = share * (1 - np.exp(-2))
    return None if row["reason"] else bool(row["low"] <= truth <= row["high"])


def _people(counts: Floats) -> Journeys:
    """Return journeys of which so many reached each step."""
    exactly = np.append(counts[:-1] - counts[1:], counts[-1]).astype(int)
    frame = pd.DataFrame({"depth": np.repeat(np.arange(1, 5, dtype=np.int8), exactly)})
    return Journeys(ABCD, frame.assign(mature_depth=frame["depth"], first_depth=frame["depth"]), None, None)


def _reached(units: int, rates: tuple[float, ...], rng: Rng) -> Floats:
    counts = [units]
    for rate in rates:
        counts.append(int(rng.binomial(counts[-1], rate)))
    return np.array(counts, dtype=np.float64)


def _step_parts(units: int, before: tuple[float, ...], now: tuple[float, ...], rng: Rng) -> bool | None:
    """Whether the part of a step, chosen at random, holds the truth: that of the logarithmic mean."""
    old, new = _reached(units, before, rng), _reached(units, now, rng)
    found = by_step(_people(new), _people(old), rules=RULES, rng=rng, draws=500)
    whole0, whole1 = np.prod(before), np.prod(now)
    scale = (whole1 - whole0) / np.log(whole1 / whole0) if whole1 != whole0 else whole0
    place = int(rng.integers(0, 3))
    row = found.iloc[place]
    if row["reason"]:
        return None
    return bool(row["low"] <= scale * np.log(now[place] / before[place]) <= row["high"])


def _bottleneck(units: int, bar: float, column: str, rng: Rng) -> bool | None:
    rates = (0.5, 0.3, 0.6)
    counts = _reached(units, rates, rng)
    held = pd.DataFrame({
        "step": [3], "name": ["C"], "light": ["below"], "origin": ["target"], "bar": [bar], "low": np.nan,
        "high": np.nan, "rate": [counts[2] / max(counts[1], 1)], "denominator": [counts[1]], "reason": [""],
    })  # fmt: skip
    worth = 100 + 5 * rng.standard_normal()
    row = bottlenecks(
        _people(counts), held, worth=Worth(worth, worth - 9.8, worth + 9.8), rules=RULES, rng=rng, draws=500
    ).iloc[0]
    truth = (bar - 0.3) * units * 0.5 * 0.6 * (100 if column == "money" else 1)
    return None if row["reason"] else bool(row[f"{column}_low"] <= truth <= row[f"{column}_high"])


def _per_person(units: int, share: float, sigma: float, rng: Rng) -> bool | None:
    bought = rng.random(units) < share
    if bought.sum() < RULES.min_events:
        return None
    brought = np.where(bought, np.exp(rng.normal(0, sigma, units)), 0.0)
    found = ratio_interval(brought, level=LEVEL)
    return bool(found.low <= share * np.exp(sigma**2 / 2) <= found.high)


def _mean(units: int, sigma: float, rng: Rng) -> bool:
    found = ratio_interval(np.exp(rng.normal(0, sigma, units)), level=LEVEL)
    return bool(found.low <= np.exp(sigma**2 / 2) <= found.high)


def _means_apart(units: int, more: int, sigma: float, rng: Rng) -> bool:
    """The change of a mean from period to period, from the intervals of both (as the board of figures does)."""
    one, two = (ratio_interval(np.exp(rng.normal(0, sigma, size)), level=LEVEL) for size in (units, more))
    down, up = np.hypot(two.value - two.low, one.high - one.value), np.hypot(two.high - two.value, one.value - one.low)
    return bool(-up <= two.value - one.value <= down)  # both means are the same: the interval holds 0


def _score(answers: int, promoters: float, detractors: float, rng: Rng) -> bool:
    given = rng.choice([10, 8, 3], answers, p=[promoters, 1 - promoters - detractors, detractors])
    found = net_promoters(given, rules=RULES)
    return bool(found.low <= promoters - detractors <= found.high)


def _returned(expected: int, others: int, sigma: float, rng: Rng) -> bool | None:
    """What came back for a channel's cost of 1, of orders that all channels together have so many more of."""
    count = int(rng.poisson(expected))
    amounts = np.exp(rng.normal(0, sigma, count + int(rng.poisson(others))))
    credit = pd.DataFrame({"model": ["last"], "channel": ["a"], "conversions": [float(count)],
                           "value": [amounts[:count].sum()]})  # fmt: skip
    row = returns(credit, {"a": 1.0}, margin=1, amounts=amounts, rules=RULES).iloc[0]
    return None if row["reason"] else bool(row["roas_low"] <= expected * np.exp(sigma**2 / 2) <= row["roas_high"])


def _contract(customers: int, churn: float, shape: float, what: str, rng: Rng) -> bool | None:
    """Contracts begun over two years, of which a share ends at the end of each month; prices of 50 in the mean."""
    ago, lasted = rng.uniform(0, 24, customers), rng.geometric(churn, customers).astype(np.float64)
    start = pd.Series(pd.Timestamp(AS_OF) - pd.to_timedelta(ago * MONTH_DAYS, unit="D"))
    end = (start + pd.to_timedelta(lasted * MONTH_DAYS, unit="D")).where(lasted < ago)
    rows = pd.DataFrame({"start": start, "end": end, "price": rng.gamma(shape, 50 / shape, customers)})
    found = worth_of(rows, margin=0.8, as_of=AS_OF, rules=RULES)
    if found.reason:
        return None
    months = len(found.table)
    known = found.forecast.months if what == "expected margin" else months
    margin, kept = 40 * (1 - (1 - churn) ** known) / churn, (1 - churn) ** months
    last = found.table.iloc[-1]
    told = {
        "margin so far": (*found.curve.at(found.curve.last_day)[1:], margin), "churn": (*found.churn[1:], churn),
        "share that runs": (last["low"], last["high"], kept), "price": (*found.price[1:], 50),
        "expected margin": (found.forecast.low, found.forecast.high, margin),
    }  # fmt: skip
    low, high, truth = told[what]
    return bool(low <= truth <= high)


def _ordered(customers: int, sigma: float, rng: Rng) -> MarginCurve:
    """Return the curve of customers whose margin is 20 at once and 1 / 6 each day after the first, over a year."""
    first, again = rng.random(customers) * 365, rng.poisson(3, customers)
    user = np.concatenate([np.arange(customers), np.repeat(np.arange(customers), again)])
    at = np.concatenate([first, np.repeat(first, again) + 1 + rng.random(int(again.sum())) * 360])
    amount = 20 * np.exp(rng.normal(-(sigma**2) / 2, sigma, len(user)))
    orders = pd.DataFrame({"user_id": user, "ts": pd.Timestamp(START) + pd.to_timedelta(at, unit="D"),
                           "amount": amount})[at < 365]  # fmt: skip
    return margin_curve(orders, margin=1, as_of=START + timedelta(days=365), rules=RULES)


def _by_age(customers: int, sigma: float, rng: Rng) -> bool:
    found = _ordered(customers, sigma, rng)
    brought = found.at(found.last_day)
    return bool(brought.low <= 20 + max(found.last_day - 1, 0) / 6 <= brought.high)


def _ratio(customers: int, won: int, sigma: float, what: str, rng: Rng) -> bool | None:
    """Margin by cost and pay-back, for such customers, bought for 42 each."""
    curve = _ordered(customers, sigma, rng)
    seen, paid = int(rng.poisson(won)), 42.0 * won
    if seen < RULES.min_events:
        return None
    low, high = (paid / end for end in reversed(poisson_interval(seen, LEVEL)))
    day = pd.Timestamp(START)
    cost = Acquisition(seen, paid, paid, 0.0, paid / max(seen, 1), low, high, LEVEL, 0, day, day)
    if what == "ratio":
        found, reason = value_to_cost(curve, cost)
        truth = (20 + 60 * (curve.last_day - 1) / 360) / 42
        return None if reason else bool(found.low <= truth <= found.high)
    back = payback(curve, cost)
    return None if np.isnan(back.low) else bool(back.low <= 150 <= back.high)  # 20 + 60 * 132 / 360 = 42: day 133


Cases = Callable[[], Iterator[tuple[str, Draw]]]


def _cases(draw: Callable[..., bool | None], text: str, *given: tuple[object, ...]) -> Cases:
    def made() -> Iterator[tuple[str, Draw]]:
        for values in given:
            yield text.format(*values), partial(draw, *values)

    return made


QUICK: dict[str, Cases] = {
    "difference of two definitions (paired)": _cases(
        _paired, "{0:,} units, {1:.0%} gained, {2:.0%} lost", (30, 0.1, 0.05), (300, 0.02, 0.02), (3000, 0.1, 0.05)
    ),
    "difference in differences": _cases(
        _did, "{0:,} units a cell, rate {1:.0%}, effect {2:.0%}", (100, 0.1, 0.05), (100, 0.3, 0.0), (1000, 0.1, 0.05)
    ),
    "difference at an equal mix": _cases(_standardised, "{0:,} units a side, three groups", (100,), (1000,)),
    "money of an effect (product)": _cases(
        _orders, "{0:,} units a side, rate {1:.0%}, effect {2:.0%}", (500, 0.1, 0.05), (500, 0.3, 0.0),
        (5000, 0.1, 0.01),
    ),
    "repurchase within 60 days": _cases(
        _again, "{0:,} customers of 120 days, {1:.0%} come back", (100, 0.3), (500, 0.1), (500, 0.5)
    ),
    "mean of amounts": _cases(
        _mean, "{0:,} amounts, sigma {1}", (30, 0.5), (100, 0.5), (30, 1.0), (100, 1.0), (1000, 1.0), (50, 1.5),
        (300, 1.5), (2000, 1.5),
    ),
    "margin per person": _cases(
        _per_person, "{0:,} people, {1:.0%} buy, sigma {2}", (100, 0.3, 0.5), (100, 0.3, 1.0), (300, 0.1, 1.0),
        (1000, 0.1, 1.0), (1000, 0.1, 1.5), (1000, 0.02, 0.5), (1000, 0.02, 1.0), (2000, 0.02, 1.5),
        (10_000, 0.03, 1.0),
    ),
    "change of a mean": _cases(
        _means_apart, "{0:,} and {1:,} in the periods, sigma {2}", (50, 50, 0.5), (50, 50, 1.0), (50, 500, 1.0),
        (300, 300, 1.0), (300, 300, 1.5), (2000, 2000, 1.5),
    ),
    "net promoter score": _cases(
        _score, "{0:,} answers, {1:.0%} for, {2:.0%} against", (30, 0.5, 0.2), (30, 0.8, 0.05), (30, 0.9, 0.02),
        (50, 0.1, 0.6), (100, 0.5, 0.2), (100, 0.95, 0.05), (500, 0.5, 0.2),
    ),
    "return on a cost (ROAS)": _cases(
        _returned, "{0:,} orders, {1:,} by other channels, sigma {2}", (10, 500, 0.5), (10, 50, 1.0), (20, 0, 1.0),
        (50, 500, 0.5), (50, 0, 1.0), (50, 100, 1.5), (300, 500, 0.5), (300, 500, 1.0), (300, 0, 1.5),
    ),
}  # fmt: skip
ORDERS: dict[str, Cases] = {
    "margin by age": _cases(
        _by_age, "{0:,} customers, sigma {1}", (40, 0.5), (100, 0.8), (100, 1.2), (1000, 0.8), (1000, 1.5)
    ),
    "margin by cost (LTV:CAC)": _cases(
        _ratio, "{0:,} customers, {1} bought, sigma {2}", (100, 20, 1.2, "ratio"), (200, 20, 0.8, "ratio"),
        (1000, 20, 0.8, "ratio"), (1000, 200, 0.8, "ratio"), (1000, 200, 1.5, "ratio"),
    ),
    "pay-back": _cases(
        _ratio, "{0:,} customers, {1} bought, sigma {2}", (200, 20, 0.8, "days"), (1000, 200, 0.8, "days")
    ),
    "what contracts bring": _cases(
        _contract, "{0:,} contracts, {1:.0%} end in a month: {3}",
        *((*size, what) for size in ((60, 0.08, 4.0), (120, 0.02, 1.0), (2000, 0.1, 0.5)) for what in CONTRACT),
    ),
}  # fmt: skip
SLOW: dict[str, Cases] = {
    "part of a step in a change": _cases(
        _step_parts, "{0:,} units a period, rates {1} to {2}", (1000, (0.5, 0.3, 0.6), (0.5, 0.25, 0.6)),
        (1000, (0.5, 0.3, 0.6), (0.5, 0.3, 0.6)), (10_000, (0.3, 0.1, 0.5), (0.32, 0.09, 0.5)),
    ),
    "gain at a bar": _cases(
        _bottleneck, "{0:,} units, rate 30%, bar {1:.0%}, {2}", (300, 0.5, "conversions"), (300, 0.33, "conversions"),
        (3000, 0.33, "conversions"), (3000, 0.5, "money"),
    ),
}  # fmt: skip

__all__ = ["report"]
