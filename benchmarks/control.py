"""How often do control charts ring for nothing, and how soon for something?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.pages import section
from funnel_lib.config import Rules
from funnel_lib.conversion.movement.control import chart

Rng = np.random.Generator
RULES = Rules()
RATE, MONTH = 0.05, 30


def report(trials: int = 1000) -> str:
    """Simulate everything; return a section of docs/statistics.md."""
    rng = np.random.default_rng(21)
    return section("Control charts", [(quiet, (trials, rng)), (moved, (max(trials // 4, 20), rng))])


def quiet(trials: int, rng: Rng) -> pd.DataFrame:
    """Share of months (30 days) without any change in which a chart rings: for one day, by the moving average, or both.

    A rate of 5 % with a fifth more at weekends. *Variation* is the standard deviation of the true rate from day to day,
    in points, and *memory* its autocorrelation. *Textbook* is the plain p chart with three standard errors.
    """
    rows = []
    for learnt in (28, 56, 84):
        for units, variation, memory in ((200, 0.0, 0.0), (10_000, 0.0, 0.0), (10_000, 0.4, 0.0), (10_000, 0.4, 0.6)):
            rang = np.array([_rang(learnt, units, variation / 100, memory, rng) for _ in range(trials)])
            one, average, textbook = rang.mean(axis=0)
            rows.append({
                "days learnt": learnt, "units a day": units, "variation": variation, "memory": memory,
                "one day": one, "moving average": average, "any": rang[:, :2].any(axis=1).mean(), "textbook": textbook,
            })  # fmt: skip
    return pd.DataFrame(rows)


def moved(trials: int, rng: Rng) -> pd.DataFrame:
    """Share of months in which a true change is found, and days until then (median of those found).

    56 days learnt, variation 0.4 points without memory, 10,000 units a day; the rate of 5 % falls by so many points for
    good.
    """
    rows = []
    for fall in (0.5, 1.0, 2.0):
        found = []
        for _ in range(trials):
            frame = _month(56, 10_000, 0.004, 0.0, rng, fall=fall / 100)
            days = np.flatnonzero((frame["outside"] | frame["drifting"]).to_numpy()[56:])
            found.append(days[0] + 1 if len(days) else np.nan)
        seen = np.array(found)
        rows.append({
            "fall, points": fall, "found": float(np.isfinite(seen).mean()),
            "days": float(np.nanmedian(seen)) if np.isfinite(seen).any() else np.nan,
        })  # fmt: skip
    return pd.DataFrame(rows)


def _rang(learnt: int, units: int, variation: float, memory: float, rng: Rng) -> tuple[bool, bool, bool]:
    frame = _month(learnt, units, variation, memory, rng)
    before = frame[frame["learnt"]]
    common = before["numerator"].sum() / before["denominator"].sum()
    after = frame[~frame["learnt"]]
    error = np.sqrt(common * (1 - common) / after["denominator"])
    textbook = ((after["rate"] - common).abs() > 3 * error).any()
    return bool(frame["outside"].any()), bool(frame["drifting"].any()), bool(textbook)


def _month(learnt: int, units: int, variation: float, memory: float, rng: Rng, *, fall: float = 0.0) -> pd.DataFrame:
    days = learnt + MONTH
    real = rng.normal(size=days)
    for day in range(1, days):
        real[day] = memory * real[day - 1] + np.sqrt(1 - memory**2) * real[day]
    rate = RATE * np.where(np.arange(days) % 7 >= 5, 1.2, 1.0) + variation * real
    rate[learnt:] -= fall
    came = rng.poisson(units, days)
    span = pd.date_range("2026-01-05", periods=days)
    passed = rng.binomial(came, np.clip(rate, 0.001, 0.999))
    counts = pd.DataFrame({"day": span, "numerator": passed, "denominator": came})
    return chart(counts, learnt_until=span[learnt - 1].date(), rules=RULES).frame
