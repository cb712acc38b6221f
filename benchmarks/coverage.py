"""Do the statistics keep their promises? Simulations with a known truth."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom

from benchmarks.tables import markdown
from funnel_lib.config import Rules
from funnel_lib.conversion.durations.survival import by_day
from funnel_lib.conversion.durations.timing import quantile_interval
from funnel_lib.conversion.journeys import Journeys, journeys
from funnel_lib.conversion.movement.incidents import incidents
from funnel_lib.conversion.rates import compare, differences, rates, wilson
from funnel_lib.definition import Funnel, Step

LEVEL = 0.95
AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window=timedelta(days=14))
DAY_US = 86_400_000_000
Rng = np.random.Generator
TEXT = """# Statistics: are the promises kept?

Written by `python -m benchmarks coverage`: simulations with a known truth, {draws:,} draws per row unless said
otherwise, seed fixed. All intervals promise 95 %.

## One rate: Wilson

Share of intervals that hold the true rate. *Shown* is the share of samples that a report shows as a rate at all (at
least 30 units and 5 events), *shown: covered* the coverage among those. Where few samples are shown, those are the
lucky ones, and their rates are too high: a rate that is shown for one small segment of many deserves doubt. *Wald* is
the textbook interval, for comparison.

{wilson}
## A difference of two rates: Newcombe

{newcombe}
## A median: order statistics

Coverage cannot fall below 95 % for any continuous distribution; *exact* is its value for the ranks used.

{median}
## Many groups: how often does pure noise look like a finding?

Groups with the same rate are compared with all others (`compare`); the share of {trials:,} reports with at least one
"clear" group, without a correction, with Holm's and with that of Benjamini and Hochberg. Both promise at most 5 %
where there is nothing to find, for exact p-values; the z test is an approximation.

{noise}
## Weeks of pure noise

`incidents` over weeks with the same rate: the share of {trials:,} reports in which any week stands out.

{weeks}"""
RECENT = """## Recent entries are not blamed

`python -m benchmarks recent`. Of people who enter evenly over 60 days, 30 % convert at last; those who do take 5 days
on average (exponential, cut at the window of 14 days). The data ends on day 60. Counting everybody blames those who
have had no time yet; *bias* is the rate less the true one, and *followed* counts each for as long as it was followed
(`by_day`, on day 14). Of those who entered in the last 14 days nobody was followed for 14 days: their rate on day 7.

{recent}"""


def report(draws: int) -> str:
    """Simulate everything; return the text of docs/statistics.md."""
    trials = max(200, draws // 20)
    return TEXT.format(
        draws=draws, trials=trials,
        wilson=markdown(_wilson(draws, np.random.default_rng(1))),
        newcombe=markdown(_newcombe(draws, np.random.default_rng(2))),
        median=markdown(_median(draws // 4, np.random.default_rng(3))),
        noise=markdown(_noise(trials, np.random.default_rng(4))),
        weeks=markdown(_weeks(trials, np.random.default_rng(5))),
    )  # fmt: skip


def recent() -> str:
    """Simulate recent entries; return a section of docs/statistics.md."""
    return RECENT.format(recent=markdown(_recent(np.random.default_rng(6))))


def _wilson(draws: int, rng: Rng) -> pd.DataFrame:
    rules, rows = Rules(), []
    for n in (30, 100, 300, 1000, 10_000):
        for p in (0.005, 0.02, 0.1, 0.3, 0.5):
            k = rng.binomial(n, p, draws)
            low, high = wilson(k, np.full(draws, n), LEVEL)
            held, shown = (low <= p) & (p <= high), (n >= rules.min_units) & (k >= rules.min_events)
            rate = k / n
            wald = np.abs(rate - p) <= 1.959964 * np.sqrt(rate * (1 - rate) / n)
            rows.append({
                "units": n, "true rate": p, "covered": held.mean(), "Wald covered": wald.mean(), "shown": shown.mean(),
                "shown: covered": held[shown].mean() if shown.any() else np.nan,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _newcombe(draws: int, rng: Rng) -> pd.DataFrame:
    rows = []
    for n1, n2 in ((50, 50), (200, 200), (100, 2000), (5000, 5000)):
        for p1, p2 in ((0.05, 0.05), (0.1, 0.05), (0.3, 0.3), (0.5, 0.4)):
            k1, k2 = rng.binomial(n1, p1, draws), rng.binomial(n2, p2, draws)
            _, low, high = differences(k1, np.full(draws, n1), k2, np.full(draws, n2), LEVEL)
            held = (low <= p1 - p2) & (p1 - p2 <= high)
            rows.append({"units 1": n1, "units 2": n2, "rate 1": p1, "rate 2": p2, "covered": held.mean()})
    return pd.DataFrame(rows)


def _median(draws: int, rng: Rng) -> pd.DataFrame:
    shapes = {
        "exponential": (partial(rng.exponential, 1.0), float(np.log(2))),
        "lognormal, sigma 1.5": (partial(rng.lognormal, 0.0, 1.5), 1.0),
        "uniform": (partial(rng.uniform, 0.0, 1.0), 0.5),
    }
    rows = []
    for n in (6, 10, 30, 100, 1000):
        low_rank, high_rank = (int(rank) for rank in quantile_interval(np.arange(1, n + 1), 0.5, LEVEL))
        exact = binom.cdf(high_rank - 1, n, 0.5) - binom.cdf(low_rank - 1, n, 0.5)
        found: dict[str, object] = {"conversions": n, "ranks": f"{low_rank} and {high_rank}", "exact": float(exact)}
        for name, (draw, truth) in shapes.items():
            ordered = np.sort(draw(size=(draws, n)), axis=1)
            held = (ordered[:, low_rank - 1] <= truth) & (truth <= ordered[:, high_rank - 1])
            found[name] = float(held.mean())
        rows.append(found)
    return pd.DataFrame(rows)


def _noise(trials: int, rng: Rng) -> pd.DataFrame:
    rows = []
    for groups, size, rate in ((3, 300, 0.2), (8, 300, 0.2), (8, 2000, 0.02), (20, 100, 0.3)):
        names = np.repeat([f"g{number:02d}" for number in range(groups)], size)
        clear = {"none": 0, "holm": 0, "bh": 0}
        for _ in range(trials):
            found = _units(1 + (rng.random(groups * size) < rate), group=names)
            for method in ("holm", "bh"):
                table = compare(found, "group", step=2, rules=Rules(correction=method))
                clear[method] += bool(table["clear"].any())
            clear["none"] += bool((table["p"] < 1 - LEVEL).any())
        shares = {f"false alarms, {method}": count / trials for method, count in clear.items()}
        rows.append({"groups": groups, "units each": size, "rate": rate, **shares})
    return pd.DataFrame(rows)


def _weeks(trials: int, rng: Rng) -> pd.DataFrame:
    rows = []
    for weeks, size, rate in ((8, 200, 0.3), (26, 500, 0.05)):
        first = np.repeat(np.arange(weeks) * 7 * DAY_US, size)
        entered = pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(first, unit="us")
        false = 0
        for _ in range(trials):
            found = _units(1 + (rng.random(weeks * size) < rate), first_entry=entered)
            false += bool(incidents(found, rules=Rules())["clear"].any())
        rows.append({"weeks": weeks, "units each": size, "rate": rate, "false alarms": false / trials})
    return pd.DataFrame(rows)


def _recent(rng: Rng) -> pd.DataFrame:
    units = 40_000
    entered = rng.random(units) * 60
    wait = rng.exponential(5, units)
    while (late := wait > 14).any():
        wait[late] = rng.exponential(5, int(late.sum()))
    will = rng.random(units) < 0.3
    rows = pd.DataFrame({"user_id": np.tile(np.arange(units), 2), "event": np.repeat(["A", "B"], units)})
    rows["day"] = np.concatenate([entered, np.where(will, entered + wait, np.inf)])
    rows = rows[rows["day"] <= 60]
    rows["ts"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(rows["day"], unit="D").dt.round("us")
    end = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=60)
    found = journeys(rows, AB, as_of=end)
    recent = found.select(found.frame["first_entry"] >= end - pd.Timedelta(days=14))
    shown = {
        "mature entries only (the default)": rates(found, rules=Rules()),
        "everybody, mature or not": rates(found, rules=Rules(), mature_only=False),
        "everybody who entered in the last 14 days": rates(recent, rules=Rules(), mature_only=False),
    }
    rows = [
        (name, int(row["denominator"]), 0.3, row["rate"], row["low"], row["high"])
        for name, row in ((name, table[table["step"] == 2].iloc[0]) for name, table in shown.items())
    ]
    for name, made, day in (("everybody, followed", found, 14), ("the last 14 days, followed", recent, 7)):
        row = by_day(made, rules=Rules()).iloc[day]
        true = 0.3 * (1 - np.exp(-day / 5)) / (1 - np.exp(-14 / 5))
        rows.append((f"{name}: by day {day}", len(made.frame), true, row["rate"], row["low"], row["high"]))
    table = pd.DataFrame(rows, columns=["counted", "units", "true rate", "rate", "low", "high"])
    return table.assign(bias=table["rate"] - table["true rate"])


def _units(depth: npt.NDArray[np.int64], **columns: object) -> Journeys:
    """Return journeys of the given depths, all of them mature."""
    frame = pd.DataFrame({"depth": depth.astype(np.int8), **columns})
    frame["mature_depth"] = frame["first_depth"] = frame["depth"]
    return Journeys(AB, frame, None, None)


__all__ = ["recent", "report"]
