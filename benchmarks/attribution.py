"""Why a rate moved, since when, and who gets the credit: do these promises hold, and how fast are they?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.tables import markdown
from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.conversion.movement.changepoint import changes
from funnel_lib.conversion.movement.decomposition import by_step, decompose, explain_change, redrawn, split
from funnel_lib.conversion.reasons.attribution import MODELS, attribute
from funnel_lib.conversion.reasons.paths import Paths, paths
from funnel_lib.definition import Funnel, Step

AB = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window=timedelta(days=14))
Rng = np.random.Generator
Floats = npt.NDArray[np.float64]
TEXT = """## Why a rate moved: mix and rate

Two periods of so many units each, drawn anew {often:,} times: how often the 95 % interval holds the true part (of the
whole, and of the groups that nine in ten such samples show).

{parts}
Two periods of {units:,} units each, drawn anew {few:,} times: how often a part is called clear, after adjustment,
and how often a reversal is warned of.

{clear}
How often `explain_change` calls any of four dimensions clear where nothing at all changed, and where every group's odds
fell alike (no dimension explains that).

{explained}
## Who gets the credit

Paths of a known Markov chain, drawn {many:,} times: share of 95 % intervals that hold the true share of removal
effects, and of last touch.

{credit}
From {touches:,} touches and {conversions:,} conversions with text ids:

{speed}"""


CHANGES = """## Since when: change points

`python -m benchmarks changepoints`: share of series in which a change is found, of {series:,} each (some
four minutes); where there is one, also the share of intervals that hold the true day, and the true difference (where
the rate has no other movement), and the median distance from the day. *Drift* is the standard deviation of a daily
noise (logit), *memory* its autocorrelation; a *step* of logits lasts to the end, or for *spell* days.

The day's interval is conservative where a change is not small (Hansen 2000, theorem 3), and holds whole days.

{days}"""


def report(trials: int = 400) -> str:
    """Simulate everything; return a section of docs/statistics.md."""
    units, touches, conversions = 6000, 4_000_000, 300_000
    return TEXT.format(
        units=units, often=10 * trials, many=5 * trials, few=trials // 2, touches=touches, conversions=conversions,
        parts=markdown(parts(10 * trials, np.random.default_rng(11))),
        clear=markdown(clear(trials // 2, np.random.default_rng(16), units)),
        explained=markdown(explained(trials // 2, np.random.default_rng(12), units)),
        credit=markdown(credit(5 * trials, np.random.default_rng(14))),
        speed=markdown(speed(touches, conversions, np.random.default_rng(15))),
    )  # fmt: skip


def change_points(series: int = 200) -> str:
    """Simulate the search for change points; return a section of docs/statistics.md."""
    return CHANGES.format(series=series, days=markdown(days(series)))


PERIODS: Mapping[str, tuple[list[float], list[float], list[float], list[float]]] = {
    "nothing changed": ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1]),
    "only the mix": ([0.5, 0.3, 0.2], [0.3, 0.3, 0.4], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1]),
    "only one rate": ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.3, 0.2, 0.1], [0.25, 0.2, 0.1]),
    "rare events": ([0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.02, 0.01, 0.005], [0.015, 0.01, 0.005]),
    "all fell, total rose": ([0.8, 0.2], [0.5, 0.5], [0.02, 0.10], [0.018, 0.09]),
    "a new group": ([0.7, 0.3, 0.0], [0.5, 0.3, 0.2], [0.3, 0.2, 0.0], [0.3, 0.2, 0.1]),
}


def parts(draws: int, rng: Rng) -> pd.DataFrame:
    """Coverage of the mix and rate parts: the counts are drawn, not the units, and split as `decompose` does."""
    rows = []
    for units in (1000, 6000):
        for name, given in PERIODS.items():
            w0, w1, r0, r1 = (np.array(part) for part in given)
            truth = _truth(w0, w1, r0, r1)
            held = []
            for _ in range(draws):
                (k0, n0), (k1, n1) = (_counts(w, r, units, rng) for w, r in ((w0, r0), (w1, r1)))
                lone = (n0 == 0) | (n1 == 0)
                found = split(*redrawn(k0, n0, rng, 500), *redrawn(k1, n1, rng, 500), lone)[:2]  # without turnover
                few = ((n0 > 0) & (n0 < 30)) | ((n1 > 0) & (n1 < 30)) | (k0 + k1 < 5) | lone
                whole, groups = (_inside(found.sum(axis=2), truth.sum(axis=1)), _inside(found, truth))
                held.append([*whole, *np.where(few, np.nan, groups).T.ravel()])
            told = pd.DataFrame(held)
            mix, rate, *by_group = told.mean().where(told.notna().mean() >= 0.9)
            groups_mix, groups_rate = pd.DataFrame(np.reshape(by_group, (-1, 2))).mean()
            rows.append({
                "units": units, "truth": name, "mix held": mix, "rate held": rate, "groups: mix held": groups_mix,
                "groups: rate held": groups_rate,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _counts(shares: Floats, rates: Floats, units: int, rng: Rng) -> tuple[Floats, Floats]:
    """Return passed and all units of each group."""
    passed, left = rng.multinomial(units, np.concatenate([shares * rates, shares * (1 - rates)])).reshape(2, -1) * 1.0
    return passed, passed + left


def _inside(drawn: Floats, truth: Floats) -> Floats:
    """Return whether the draws' percentiles (second axis) hold the truth, as 0 and 1."""
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    return ((low <= truth) & (truth <= high)).astype(float)


def clear(trials: int, rng: Rng, units: int = 6000) -> pd.DataFrame:
    """How often parts of the whole are called clear, and reversals warned of."""
    rows = []
    for name, (w0, w1, r0, r1) in PERIODS.items():
        called = np.zeros(4)
        for _ in range(trials):
            before, now = (_units(w, r, units, rng) for w, r in ((w0, r0), (w1, r1)))
            found = decompose(now, before, "group", step=2, rules=Rules(), rng=rng, draws=500)
            called += [found.mix.clear, found.rate.clear, found.turnover.clear, found.reversal_clear]
        columns = ("mix clear", "rate clear", "turnover clear", "reversal warned")
        rows.append({"truth": name, **dict(zip(columns, called / trials, strict=True))})
    return pd.DataFrame(rows)


def explained(trials: int, rng: Rng, units: int = 6000) -> pd.DataFrame:
    """False alarms of explain_change and by_step over four dimensions without meaning."""
    rows = []
    for name, after in (("nothing changed", 0.2), ("all odds fell alike", 0.15)):
        found, steps = np.zeros(3), 0
        for _ in range(trials):
            sides = [_noise(rate, units, rng) for rate in (0.2, after)]
            table = explain_change(sides[1], sides[0], ["d2", "d4", "d8", "d16"], step=2, rules=Rules(), rng=rng)
            found += [table["clear"].any(), table["spread_clear"].any(), (table["clear"] | table["spread_clear"]).any()]
            steps += bool(by_step(sides[1], sides[0], rules=Rules(), rng=rng, draws=500)["clear"].any())
        shares = dict(zip(("mix clear", "spread clear", "either"), found / trials, strict=True))
        rows.append({"truth": name, **shares, "by_step clear": steps / trials})
    return pd.DataFrame(rows)


SERIES: list[dict[str, float]] = [
    {"days": 28}, {"days": 60}, {"days": 120, "weekend": 0.5}, {"days": 60, "units": 10, "rate": 0.05},
    {"days": 60, "drift": 0.2}, {"days": 120, "drift": 0.2, "weekend": 0.5},
    {"days": 60, "drift": 0.2, "memory": 0.3}, {"days": 120, "drift": 0.2, "memory": 0.3},
    {"days": 60, "drift": 0.2, "memory": 0.6}, {"days": 120, "drift": 0.2, "memory": 0.6},
    {"days": 60, "step": -0.2}, {"days": 60, "step": -0.4}, {"days": 120, "step": -0.2, "weekend": 0.5},
    {"days": 60, "step": -0.4, "drift": 0.2}, {"days": 120, "step": -0.4, "drift": 0.2, "memory": 0.3},
    {"days": 120, "step": -0.4, "spell": 7}, {"days": 120, "step": -0.4, "spell": 30},
]  # fmt: skip


def days(trials: int) -> pd.DataFrame:
    """False alarms, power and intervals of the change points; each row with a seed of its own."""
    rows = []
    for place, told in enumerate(SERIES):
        rng = np.random.default_rng([13, place])
        one = {
            "days": 60,
            "units": 300,
            "rate": 0.3,
            "weekend": 0.0,
            "drift": 0.0,
            "memory": 0.0,
            "step": 0.0,
            "spell": 0.0,
            **told,
        }
        found, more, held, far, apart = 0, 0, [], [], []
        for _ in range(trials):
            table, day = _series(one, rng)
            frame = changes(table, rules=Rules(), rng=rng, draws=199).frame
            found, more = found + (len(frame) > 0), more + (len(frame) > 1)
            if one["step"] and len(frame):
                nearest = frame.iloc[(frame["day"] - day).abs().argsort().iloc[0]]
                held.append(nearest["day_low"] <= day <= nearest["day_high"])
                far.append(abs((nearest["day"] - day).days))
                whole = 1 / (1 + np.exp(-np.log(one["rate"] / (1 - one["rate"])) - one["step"])) - one["rate"]
                if not one["weekend"] and not one["spell"] and not one["drift"]:  # else it is a mixture of days
                    apart.append(nearest["low"] <= whole <= nearest["high"])
        rows.append({
            **one, "found": found / trials, "more than one": more / trials,
            "day held": np.mean(held) if held else np.nan, "difference held": np.mean(apart) if apart else np.nan,
            "days off": float(np.median(far)) if far else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows).astype({"days": int, "units": int, "spell": int})


def credit(trials: int, rng: Rng) -> pd.DataFrame:
    """Coverage of the shares' intervals, for paths of a known chain."""
    chain = np.array([
        [0.30, 0.15, 0.05, 0.10, 0.40], [0.10, 0.30, 0.10, 0.05, 0.45], [0.15, 0.10, 0.20, 0.25, 0.30],
        [0.50, 0.30, 0.20, 0.00, 0.00],
    ])  # fmt: skip
    true = _chain_truth(chain)
    rows = []
    for number in (300, 1000, 10_000):
        held: dict[str, list[float]] = {"markov": [], "last": []}
        for _ in range(trials):
            found = attribute(_walk(chain, number, rng), models=["markov", "last"], rules=Rules(), rng=rng, draws=500)
            for model, inside in held.items():
                part = found[found["model"] == model].sort_values("channel")
                inside.append(float(((part["low"] <= true[model]) & (true[model] <= part["high"])).mean()))
        rows.append({"paths": number, **{f"{model}: held": float(np.mean(inside)) for model, inside in held.items()}})
    return pd.DataFrame(rows)


def speed(touches: int, conversions: int, rng: Rng) -> pd.DataFrame:
    """CPU seconds from touches to credits; text ids, twelve channels, 120 days."""
    people, start = touches // 6, pd.Timestamp("2026-01-01", tz="UTC").as_unit("us")
    names = np.array([f"channel {place:02d}" for place in range(12)])
    frames = []
    for size in (touches, conversions):
        moments = start + pd.to_timedelta(rng.integers(0, 120 * 86_400_000, size), unit="ms")
        ids = pd.Series(rng.integers(0, people, size)).astype("str")
        frames.append(pd.DataFrame({"user_id": "user-" + ids, "ts": moments}))
    seen = frames[0].assign(channel=pd.Series(names[rng.integers(0, 12, touches)], dtype="str"))
    bought = frames[1].assign(value=rng.exponential(100, conversions))
    spent: dict[str, float] = {}
    begun = time.process_time()
    found = paths(seen, bought, lookback=timedelta(days=30))
    spent["paths"] = time.process_time() - begun
    for model in MODELS:
        begun = time.process_time()
        attribute(found, models=[model], rules=Rules(), rng=rng)
        spent[model] = time.process_time() - begun
    begun = time.process_time()
    attribute(found, rules=Rules(), rng=rng)
    spent["all models"] = time.process_time() - begun
    return pd.DataFrame({"what": list(spent), "paths": len(found.conversions), "CPU s": list(spent.values())})


def _truth(w0: Floats, w1: Floats, r0: Floats, r1: Floats) -> Floats:
    """The true parts (mix, rate) of each group."""
    middle, both = (w0 @ r0 + w1 @ r1) / 2, (w0 > 0) & (w1 > 0)
    return np.stack([both * (w1 - w0) * ((r0 + r1) / 2 - middle), both * (w0 + w1) / 2 * (r1 - r0)])


def _units(shares: list[float], rates: list[float], units: int, rng: Rng) -> Journeys:
    group = rng.choice(len(shares), units, p=shares)
    passed = rng.random(units) < np.array(rates)[group]
    return _journeys(passed, group=np.array([f"g{place}" for place in range(len(shares))])[group])


def _noise(rate: float, units: int, rng: Rng) -> Journeys:
    """Four columns without meaning, and one that matters (so that rates differ between groups)."""
    matters = rng.integers(0, 2, units)
    columns = {f"d{size}": rng.integers(0, size, units).astype(str) for size in (2, 8, 16)}
    odds = rate / (1 - rate) * np.where(matters, 0.5, 1.5)
    d4 = (matters + 2 * rng.integers(0, 2, units)).astype(str)
    return _journeys(rng.random(units) < odds / (1 + odds), d4=d4, **columns)


def _journeys(passed: npt.NDArray[np.bool_], **columns: object) -> Journeys:
    frame = pd.DataFrame({"depth": (1 + passed).astype(np.int8), **columns})
    frame["mature_depth"] = frame["first_depth"] = frame["depth"]
    return Journeys(AB, frame, None, None)


def _series(one: Mapping[str, float], rng: Rng) -> tuple[pd.DataFrame, pd.Timestamp]:
    """A daily rate: weekends, drift with memory, and a step (or spell) at three fifths of the days."""
    size, at = int(one["days"]), int(one["days"] * 0.6)
    day = pd.date_range("2026-01-01", periods=size, unit="us")
    weekend = day.day_of_week.to_numpy() >= 5
    drift, memory = rng.normal(size=size), one["memory"]
    for place in range(1, size):
        drift[place] = memory * drift[place - 1] + np.sqrt(1 - memory**2) * drift[place]
    logit = np.log(one["rate"] / (1 - one["rate"])) + one["weekend"] * weekend + one["drift"] * drift
    logit[at : at + int(one["spell"]) if one["spell"] else size] += one["step"]
    units = rng.poisson(one["units"] * np.where(weekend, 0.6, 1.0))
    passed = rng.binomial(units, 1 / (1 + np.exp(-logit)))
    return pd.DataFrame({"day": day, "numerator": passed, "denominator": units}), day[at]


def _walk(chain: Floats, number: int, rng: Rng) -> Paths:
    """Paths of a chain: rows are the channels, then the start; columns the channels, conversion, null."""
    channels = len(chain) - 1
    reach = chain.cumsum(axis=1)
    state, walking = np.full(number, channels), np.arange(number)
    owners, steps = [], []
    won = np.zeros(number)
    for _ in range(60):
        state = (rng.random(len(walking))[:, None] > reach[state]).sum(axis=1)
        won[walking[state == channels]] = 1
        inside = state < channels
        walking, state = walking[inside], state[inside]
        owners.append(walking)
        steps.append(state)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    bounds = np.append(0, np.bincount(owner, minlength=number).cumsum())
    return Paths(tuple("abc"), np.concatenate(steps)[order], bounds, won, won, 1 - won)


def _chain_truth(chain: Floats) -> dict[str, Floats]:
    channels = len(chain) - 1
    inverse = np.linalg.inv(np.eye(channels) - chain[:channels, :channels])
    visits, last = chain[channels, :channels] @ inverse, chain[:channels, channels]
    effect = visits / np.diagonal(inverse) * (inverse @ last)
    return {"markov": effect / effect.sum(), "last": visits * last / (visits * last).sum()}


__all__ = ["change_points", "clear", "credit", "days", "explained", "parts", "report", "speed"]
