"""Do the intervals of money, drivers and opinions keep their promises? Simulations with a known truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from scipy.stats import norm

from benchmarks.tables import markdown
from funnel_lib.config import Rules
from funnel_lib.conversion.reasons.drivers import drivers
from funnel_lib.conversion.worth.basket import CAP, basket
from funnel_lib.conversion.worth.buying import expected_new
from funnel_lib.conversion.worth.intervals import poisson_interval
from funnel_lib.conversion.worth.lifetime import lifetime

Rng = np.random.Generator
RULES, LEVEL = Rules(), 0.95
START = datetime(2025, 1, 1, tzinfo=UTC)
TEXT = """## What customers are worth: do the intervals hold?

Written by `python -m benchmarks value`; {trials:,} samples per row, ten times as many for counts, seed fixed. All
intervals promise 95 %; *covered* is the share of samples whose interval holds the true value. The other intervals of
money stand under “Further kinds of intervals”.

### The value of an order

Lognormal amounts (*sigma* is the spread of their logarithm; 1 is usual for shops, 1.5 is extreme), customers with one
to five orders (*evenly*), or a few with very many (*geometric*), whose amounts are alike. *Plain* is Student's interval
of all orders, which takes them as independent.

{basket}
### The cost of a customer, and of a lead (exact Poisson)

{counts}"""
FORECASTS = """## The forecast of a new customer's margin (BG/NBD and Gamma-Gamma)

`python -m benchmarks lifetime`: {trials:,} samples of customers made by the model itself, fitted on a year, forecast
for a new customer's first. *Shown* is the share that passed the hold-out test; what is expected truly is exact.

{forecast}"""
DRIVERS = """## Drivers: the average marginal effect

`python -m benchmarks drivers`, {trials:,} samples. Two attributes matter, one does not; *false* is the share of samples
in which that one is called clear, after Holm's correction. *Stable* is the share of true effects that both halves agree
on, *stable if false* that of false findings.

{drivers}"""


def report(trials: int = 1000) -> str:
    """Simulate everything; return a part of docs/statistics.md."""
    return TEXT.format(
        trials=trials,
        basket=markdown(_basket(trials)),
        counts=markdown(_counts(trials * 10, np.random.default_rng(2))),
    )  # fmt: skip


def forecasts(trials: int = 150) -> str:
    """Simulate the forecast of a new customer's margin; return a section of docs/statistics.md."""
    return FORECASTS.format(trials=trials, forecast=markdown(_forecast(trials)))


def effects(trials: int = 200) -> str:
    """Simulate the drivers; return a section of docs/statistics.md."""
    return DRIVERS.format(trials=trials, drivers=markdown(_drivers(trials, np.random.default_rng(6))))


def _basket(trials: int, only: slice = slice(None)) -> pd.DataFrame:
    cases = [(customers, "evenly", sigma) for customers in (30, 50, 200, 1500) for sigma in (0.5, 1.0, 1.5)]
    cases += [(customers, "geometric", 1.0) for customers in (30, 50, 200)]
    rows = []
    for place in range(len(cases))[only]:
        rng, (customers, how, sigma) = np.random.default_rng([1, place]), cases[place]
        part = np.sqrt(0.5) * sigma
        cap = float(np.exp(sigma * norm.ppf(CAP)))
        inside = float(np.exp(sigma**2 / 2) * norm.cdf(norm.ppf(CAP) - sigma))
        truth = {"mean": float(np.exp(sigma**2 / 2)), "median": 1.0, "winsorised": inside + cap * (1 - CAP)}
        held, plain = dict.fromkeys(truth, 0), 0
        for _ in range(trials):
            lots = rng.integers(1, 6, customers) if how == "evenly" else rng.geometric(0.3, customers)
            user = np.repeat(np.arange(customers), lots)
            amount = np.exp(rng.normal(0, part, customers)[user] + rng.normal(0, part, len(user)))
            found = basket(pd.DataFrame({"user_id": user, "amount": amount}), rules=RULES).set_index("measure")
            for name, true in truth.items():
                held[name] += bool(found["low"][name] <= true <= found["high"][name])
            error = amount.std(ddof=1) / np.sqrt(len(amount))
            plain += bool(abs(amount.mean() - truth["mean"]) <= 1.96 * error)
        rows.append({
            "customers": customers, "orders": how, "sigma": sigma,
            **{f"{name}: covered": count / trials for name, count in held.items()},
            "mean, plain: covered": plain / trials,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _counts(trials: int, rng: Rng) -> pd.DataFrame:
    rows = []
    for expected in (5, 20, 100):
        seen = rng.poisson(expected, trials)
        limits = {count: poisson_interval(count, LEVEL) for count in np.unique(seen)}
        held = np.mean([limits[count][0] <= expected <= limits[count][1] for count in seen])
        rows.append({"customers": expected, "covered": float(held)})
    return pd.DataFrame(rows)


def _forecast(trials: int) -> pd.DataFrame:
    rows = []
    for customers, seed in ((300, 6), (1500, 5)):
        rng, held, shown, values = np.random.default_rng(seed), 0, 0, []
        true = 30 + 30 * float(expected_new([(0.8, 40 / 7, 1, 3)], 365 / 7)[0])  # the mean amount is 15 x 6 / (4 - 1)
        for _ in range(trials):
            orders = _made(customers, 365, rng)
            found = lifetime(
                orders, margin=1, horizon_days=365, as_of=START + timedelta(days=365), rules=RULES, rng=rng
            )
            shown += not found.reason
            held += bool(not found.reason and found.low <= true <= found.high)
            values.append(found.value)
        rows.append({
            "customers": customers, "true margin": true, "mean": np.nanmean(values), "shown": shown / trials,
            "covered": held / max(shown, 1),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _made(customers: int, days: float, rng: Rng, *, start: float = 60.0) -> pd.DataFrame:
    """Return orders by the models: rates gamma(0.8, 40 days), leaving beta(1, 3), mean amounts inverse gamma."""
    at = rng.random(customers) * start
    rate, leave = rng.gamma(0.8, 1 / 40, customers), rng.beta(1, 3, customers)
    scale = rng.gamma(4, 1 / 15, customers)
    user, parts = np.arange(customers), []
    while len(user):
        parts.append(pd.DataFrame({"user_id": user, "day": at[user], "amount": rng.gamma(6, 1 / scale[user])}))
        user = user[rng.random(len(user)) >= leave[user]] if len(parts) > 1 else user
        at[user] += rng.exponential(1 / np.maximum(rate[user], 1e-9))
        user = user[at[user] <= days]
    made = pd.concat(parts, ignore_index=True)
    return made.assign(ts=pd.Timestamp(START) + pd.to_timedelta(made["day"], unit="D"))


def _drivers(trials: int, rng: Rng) -> pd.DataFrame:
    rows = []
    for n in (2000, 10_000):
        held = odds = false = stable = seen = both = 0
        for _ in range(trials):
            plan, city, noise = rng.random(n) < 0.4, rng.integers(0, 3, n), rng.integers(0, 3, n)
            logit = -2.5 + 0.5 * plan + 0.4 * (city == 2)
            p = 1 / (1 + np.exp(-logit))
            with_it, without = (1 / (1 + np.exp(-(logit + 0.5 * (one - plan)))) for one in (1, 0))
            people = pd.DataFrame({"plan": plan, "city": city, "noise": noise, "converted": rng.random(n) < p})
            table = drivers(people, ["plan", "city", "noise"], rules=RULES, rng=rng).table
            row = table[table["attribute"] == "plan"].iloc[0]
            sign = 1 if row["value"] == "true" else -1
            held += bool(row["low"] <= sign * float((with_it - without).mean()) <= row["high"])
            odds += bool(row["odds_low"] <= np.exp(sign * 0.5) <= row["odds_high"])
            stable += bool(row["stable"])
            wrong = table[(table["attribute"] == "noise") & table["clear"]]
            false += bool(len(wrong))
            seen, both = seen + len(wrong), both + int(wrong["stable"].sum())
        rows.append({
            "units": n, "covered": held / trials, "odds: covered": odds / trials, "false": false / trials,
            "stable": stable / trials, "stable if false": both / seen if seen else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


if __name__ == "__main__":
    import sys

    print(report(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))


__all__ = ["report"]
