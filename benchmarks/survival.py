"""Do the statistics of time keep their promises? Simulations with a known truth; all intervals promise 95 %."""

from __future__ import annotations

from datetime import timedelta
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.pages import section
from funnel_lib.config import Rules
from funnel_lib.conversion.durations.cohorts import back_test, nowcast, triangle
from funnel_lib.conversion.durations.delays import eventually
from funnel_lib.conversion.durations.lifetable import LifeTable
from funnel_lib.conversion.durations.outcomes import outcomes
from funnel_lib.conversion.durations.spells import NOT_KNOWN, Clock, Group, Spells
from funnel_lib.conversion.durations.survival import by_day, half_of, half_of_conversions, log_rank, median_of, why_not
from funnel_lib.conversion.durations.waiting import dwell
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.definition import Funnel, Step

DAY_US = 86_400_000_000
BEGIN = 20_458 * DAY_US  # Monday, 5 January 2026
WINDOW = 14.0
MEAN = 5.0
RULES = Rules()
WEEKLY = [
    (100, 0.3, 0.0, 12), (500, 0.3, 0.0, 12), (5000, 0.1, 0.0, 12), (2000, 0.3, 0.05, 12), (500, 0.3, 0.15, 12),
    (2000, 0.3, 0.15, 12), (2000, 0.3, 0.15, 26),
]  # fmt: skip
"""Units a week, their rate, how their delays drift, and weeks."""
PAST = 8
"""Of so many samples one is taken for the back test, which costs more than all else."""
Rng = np.random.Generator
Floats = npt.NDArray[np.float64]


def report(draws: int = 2000) -> str:
    """Simulate everything, each table with a seed of its own; return a section of docs/statistics.md."""
    sizes = {
        rates_by_day: 5 * draws, rates_of_dates: draws // 2, medians: 5 * draws, in_the_end: draws // 2,
        won_and_lost: draws, alarms: draws // 2, speed: 1_000_000,
    }  # fmt: skip
    said = [(call, (size, np.random.default_rng([31, place]))) for place, (call, size) in enumerate(sizes.items())]
    intro = (
        f"{5 * draws:,} samples per row of the first table and of the days until half, {draws:,} of the outcomes of "
        f"deals, {draws // 2:,} of the others: some six minutes of a processor."
    )
    return section("Time, and those who had no time yet", said, intro=intro)


def forecasts(draws: int = 400) -> str:
    """Simulate the forecasts of unfinished cohorts; return a section of docs/statistics.md."""
    intro = f"{draws:,} samples per row; of one in {PAST} of them also the back test; some three minutes."
    return section("Unfinished cohorts: what they will come to", [(ladder, (draws,))], intro=intro)


def rates_by_day(draws: int, rng: Rng) -> pd.DataFrame:
    """`by_day` at days 3 and 14, where units entered evenly over 20 or 60 days and the data ends then.

    *so far* is the share that had converted when the data ended, of all units. *log-log* is the interval that
    survival software commonly gives; it does not exist where all or none have converted (counted as a failure).
    """
    rows, ticks = [], np.array([3, int(WINDOW)]) * DAY_US
    for units, rate, span in (
        (100, 0.3, 60), (200, 0.1, 60), (200, 0.3, 20), (200, 0.7, 20), (1000, 0.02, 60), (1000, 0.1, 20),
        (1000, 0.3, 60), (1000, 0.7, 20), (5000, 0.3, 60),
    ):  # fmt: skip
        held, log_log, means, so_far = np.zeros(2), np.zeros(2), np.zeros(2), 0.0
        truth = rate * _arrived(np.array([3.0, WINDOW]))
        shown = 0
        for _ in range(draws):
            group = _group(*_drawn(units, rate, span, rng), span)
            if why_not(group, RULES) or group.observed_until(RULES.min_units) < ticks[1]:
                continue
            shown += 1
            low, high = group.table.limits(ticks, RULES.level)
            held += (low <= truth) & (truth <= high)
            log_log += _log_log(group.table, ticks, truth)
            means += group.table.share(ticks)
            so_far += group.ended.mean()
        for place, day in enumerate((3, int(WINDOW))):
            rows.append({
                "units": units, "entered over days": span, "day": day, "true rate": truth[place],
                "mean rate": means[place] / shown, "so far": so_far / shown if place else np.nan,
                "shown": shown / draws, "covered": held[place] / shown, "log-log covered": log_log[place] / shown,
            })  # fmt: skip
    return pd.DataFrame(rows)


def rates_of_dates(draws: int, rng: Rng) -> pd.DataFrame:
    """`by_day` on day 7, where all times have been cut to dates and the data ends at some hour of its last day.

    The truth is the share that converts within 7 calendar days. *life table* is the correction that is used;
    *as midnights* takes the dates for exact times.
    """
    rows = []
    for units, rate, span, hour in ((300, 0.3, 20, 12), (2000, 0.3, 10, 12), (2000, 0.3, 10, 20), (20_000, 0.1, 10, 4)):
        truth = rate * float(np.mean(_arrived(np.minimum(8 - (np.arange(1000) + 0.5) / 1000, WINDOW))))
        found: dict[str, list[tuple[float, bool]]] = {"life table": [], "as midnights": []}
        for _ in range(draws):
            made = _sample(units, rate, span + hour / 24, rng, dates=True)
            for name, whole in (("life table", True), ("as midnights", False)):
                day = by_day(made, rules=RULES, days=7, whole_days=whole).iloc[7]
                found[name].append((day["rate"], day["low"] <= truth <= day["high"]))
        shown = {f"{name}: mean": np.mean([rate for rate, _ in told]) for name, told in found.items()}
        held = {f"{name}: covered": np.mean([good for _, good in told]) for name, told in found.items()}
        rows.append({"units": units, "data ends at": f"{hour}:00", "true rate": truth, **shown, **held})
    return pd.DataFrame(rows)


def medians(draws: int, rng: Rng) -> pd.DataFrame:
    """`median_time` (of all units) and `half_of_conversions` (of those who convert), entries over 30 days."""
    of_converted = -MEAN * np.log(1 - _arrived(WINDOW, cut=False) / 2)
    rows = []
    for units, rate in ((100, 0.3), (200, 0.7), (200, 0.9), (1000, 0.1), (1000, 0.7), (5000, 0.3)):
        of_all = -MEAN * np.log(1 - _arrived(WINDOW, cut=False) / (2 * rate)) if rate > 0.5 else np.nan
        held: dict[str, list[bool]] = {"median": [], "half": []}
        short = []
        for _ in range(draws):
            group = _group(*_drawn(units, rate, 30, rng), 30)
            for name, truth, (reason, found) in (
                ("median", of_all, median_of(group, RULES)), ("half", of_converted, half_of(group, RULES)),
            ):  # fmt: skip
                if not reason and truth == truth:
                    high = np.inf if np.isnan(found["high"]) else found["high"]
                    held[name].append(bool(found["low"] <= truth * DAY_US <= high))
            short.append(float(np.median(group.length[group.ended])) / DAY_US if group.ended.any() else np.nan)
        rows.append({
            "units": units, "true rate": rate, "true median": of_all, "covered": np.mean(held["median"] or np.nan),
            "true half": of_converted, "half: covered": np.mean(held["half"] or np.nan),
            "median of those seen": np.nanmean(short),
        })  # fmt: skip
    return pd.DataFrame(rows)


def in_the_end(draws: int, rng: Rng) -> pd.DataFrame:
    """`eventually`: does the interval hold the share that these very units come to?

    All entries of 30 days; and a young group of them (entered in the last 7 days) with the delays of all.
    """
    rows = []
    for units, rate in ((200, 0.3), (1000, 0.03), (1000, 0.3), (5000, 0.1), (5000, 0.7)):
        held: dict[str, list[bool]] = {"all": [], "young": []}
        errors, widths = [], []
        for _ in range(draws):
            entered, wait = _drawn(units, rate, 30, rng)
            young = np.where(entered > 23, "young", "old")
            made = _journeys(entered, wait, 30.0, who=young)
            for group, table in (
                ("all", eventually(made, rules=RULES)),
                ("young", eventually(made, "who", rules=RULES)),
            ):
                found = table[table["group"] == group].iloc[0]
                if found["reason"] == "":
                    inside = np.ones(units, bool) if group == "all" else young == "young"
                    came = float(np.isfinite(wait[inside]).mean())
                    held[group].append(bool(found["low"] - 1e-9 <= came <= found["high"] + 1e-9))
                    errors.append(found["expected"] - came if group == "young" else 0.0)
                    widths.append(found["high"] - found["low"] if group == "young" else np.nan)
        rows.append({
            "units": units, "true rate": rate, "covered": np.mean(held["all"] or np.nan),
            "young: shown": len(held["young"]) / draws, "young: covered": np.mean(held["young"] or np.nan),
            "young: mean error": np.mean(errors), "young: mean width": np.nanmean(widths),
        })  # fmt: skip
    return pd.DataFrame(rows)


def ladder(draws: int) -> pd.DataFrame:
    """`nowcast` of unfinished weekly cohorts and `back_test` of past ones; `python -m benchmarks nowcasts`.

    *Drift* is the standard deviation of how long a week's conversions take (logarithm); *warned*: how often the report
    says that delays differ. *Ten to come*: where at least ten conversions are still expected. Below that the whole
    numbers between the limits hold more than 95 % by necessity. A dash: that is rare.
    """
    rows = []
    for place, (per_week, rate, drift, weeks) in enumerate(WEEKLY):
        rng, told, past = np.random.default_rng([32, place]), [], []
        for number in range(draws):
            entered, wait = _drawn(per_week * weeks, rate, 7.0 * weeks, rng, window=28.0, drift=drift)
            made = triangle(_journeys(entered, wait, 7.0 * weeks, window=28.0), rules=RULES)
            found = nowcast(made, rules=RULES)
            came = pd.Series(np.isfinite(wait)).groupby((entered // 7).astype(int)).mean().to_numpy()[: len(found)]
            told.append(found.assign(came=came)[(found["reason"] == "") & ~found["finished"]])
            if number % PAST == 0:
                past.append(back_test(made, rules=RULES).held)
        young = pd.concat(told)
        held = (young["low"] - 1e-9 <= young["came"]) & (young["came"] <= young["high"] + 1e-9)
        many = young["expected"] * young["entered"] - young["seen"] >= 10
        rows.append({
            "units a week": per_week, "true rate": rate, "weeks": weeks, "drift": drift, "covered": held.mean(),
            "ten to come: covered": held[many].mean() if many.sum() >= draws / 10 else np.nan,
            "mean error": (young["expected"] - young["came"]).mean(), "back test: held": np.nanmean(past),
            "warned": np.mean([one["p"].iloc[0] < 1 - RULES.level for one in told]),
        })  # fmt: skip
    return pd.DataFrame(rows)


DEALS = [
    (100, 0.2, 20.0), (100, 0.2, 60.0), (100, 0.6, 20.0), (200, 0.05, 60.0), (200, 0.2, 60.0), (200, 0.4, 20.0),
    (200, 0.6, 60.0), (1000, 0.05, 20.0), (1000, 0.4, 20.0), (1000, 0.4, 60.0), (1000, 0.6, 20.0), (5000, 0.4, 20.0),
]  # fmt: skip
"""Deals, the share that is won, and the days in which the others are lost, on average."""


def won_and_lost(draws: int, rng: Rng) -> pd.DataFrame:
    """`outcomes` on day 30 and on the last day that is known, of deals created evenly over 120 days.

    *won* of the deals are won, in 60 days on average, the rest lost, in 20 days or as late as wins. *true share*,
    *share* and the next two are those of wins by the last day. *of closed* is what a CRM shows while deals are open;
    *one less Kaplan-Meier* takes losses for deals that are merely out of sight.
    """
    rows = []
    for units, won, slow in DEALS:
        told = pd.DataFrame([_deals_told(units, won, slow, rng) for _ in range(draws)]).mean()
        rows.append({"deals": units, "won": won, "losses take days": slow, **told})
    return pd.DataFrame(rows)


def _deals_told(units: int, share: float, slow: float, rng: Rng) -> dict[str, float]:
    """Return what is said of one sample of deals."""
    created = rng.random(units) * 120
    won = rng.random(units) < share
    closes = created + np.where(won, rng.exponential(60, units), rng.exponential(slow, units))
    over = closes <= 120
    kind = pd.Series(np.where(over, np.where(won, "won", "lost"), "open"))
    end = pd.Timestamp(BEGIN + 120 * DAY_US, unit="us", tz="UTC").to_pydatetime()
    ends = pd.Series(_times(np.where(over, closes, np.nan)))
    told = outcomes(pd.Series(_times(created)), ends, kind, as_of=end, rules=RULES)
    told = told[(told["outcome"] == "won") & (told["reason"] == "")]
    if told.empty:  # nothing is said of what has never been seen
        return {}
    day, low, high = (told[name].to_numpy() for name in ("day", "low", "high"))
    truth = share * (1 - np.exp(-day / 60))
    held = (low <= truth) & (truth <= high)
    table = LifeTable.of(np.round((np.where(over, closes, 120) - created) * DAY_US).astype(np.int64), over & won)
    return {
        "true share": truth[-1], "share": told["share"].iloc[-1], "of closed": (over & won).sum() / over.sum(),
        "one less Kaplan-Meier": float(table.share(int(day[-1]) * DAY_US)), "covered": held[-1],
        "day 30: covered": held[30],
    }  # fmt: skip


def alarms(draws: int, rng: Rng) -> pd.DataFrame:
    """`log_rank` on groups that are alike: p below 5 % for all together, and any group “clear” after Holm."""
    rows = []
    for groups, size, rate in ((2, 100, 0.3), (4, 200, 0.1), (8, 300, 0.3), (8, 1000, 0.03)):
        together = single = 0
        for _ in range(draws):
            entered, wait = _drawn(groups * size, rate, 30, rng)
            names = np.array([f"g{number}" for number in range(groups)])[rng.integers(0, groups, groups * size)]
            found = log_rank(_journeys(entered, wait, 30.0, who=names), "who", rules=RULES)
            together += found.p < 0.05
            single += bool(found.table["clear"].any())
        rows.append({
            "groups": groups, "units each": size, "rate": rate, "false alarms": together / draws,
            "any group clear": single / draws,
        })  # fmt: skip
    return pd.DataFrame(rows)


def speed(units: int, rng: Rng) -> pd.DataFrame:
    """Processor seconds of the large calls on so many units with times to the microsecond."""
    from time import process_time

    made = _sample(units, 0.3, 60, rng)
    calls = {
        "by_day": lambda: by_day(made, rules=RULES), "triangle": lambda: triangle(made, rules=RULES),
        "dwell": lambda: dwell(made, rules=RULES), "eventually": lambda: eventually(made, rules=RULES),
        "half_of_conversions": lambda: half_of_conversions(made, rules=RULES),
    }  # fmt: skip
    rows = []
    for name, call in calls.items():
        begin = process_time()
        call()
        rows.append({"call": name, "units": units, "seconds": process_time() - begin})
    return pd.DataFrame(rows)


def _arrived(days: npt.ArrayLike, *, cut: bool = True) -> Floats:
    """Return the share of those who convert that has arrived by each day: exponential, cut at the window."""
    share = 1 - np.exp(-np.asarray(days, dtype=float) / MEAN)
    return share / (1 - np.exp(-WINDOW / MEAN)) if cut else share


def _drawn(
    units: int, rate: float, span: float, rng: Rng, *, window: float = WINDOW, drift: float = 0.0
) -> tuple[Floats, Floats]:
    """Return when units entered (days, evenly over `span`) and how long they take; infinity: they never convert."""
    entered = rng.random(units) * span
    mean = MEAN * np.exp(drift * rng.standard_normal(int(span // 7) + 1))[(entered // 7).astype(int)]
    wait = -mean * np.log(1 - rng.random(units) * (1 - np.exp(-window / mean)))
    return entered, np.where(rng.random(units) < rate, wait, np.inf)


def _sample(units: int, rate: float, span: float, rng: Rng, *, dates: bool = False) -> Journeys:
    return _journeys(*_drawn(units, rate, span, rng), span, dates=dates)


def _journeys(
    entered: Floats, wait: Floats, end: float, *, window: float = WINDOW, dates: bool = False, **columns: object
) -> Journeys:
    """Return the journeys as known at `end`."""
    over = entered + wait
    seen = over <= end
    first, last = _times(entered, dates=dates), _times(np.where(seen, over, np.nan), dates=dates)
    depth = np.where(seen, 2, 1).astype(np.int8)
    frame = pd.DataFrame({"unit": np.arange(len(entered)), "depth": depth, "t_1": first, "t_2": last, **columns})
    frame = frame.assign(first_entry=first, last_entry=first, mature_depth=depth, first_depth=depth)
    length = timedelta(days=window + 1 if dates else window)
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window=length)
    known = pd.Timestamp(BEGIN + round(end * DAY_US), unit="us", tz="UTC").to_pydatetime()
    return Journeys(funnel, frame, None, known, True)


def _times(days: Floats, *, dates: bool = False) -> pd.api.extensions.ExtensionArray:
    known = ~np.isnan(days)
    cut = np.floor(days) if dates else days
    moments = np.where(known, BEGIN + np.round(np.where(known, cut, 0) * DAY_US).astype(np.int64), NOT_KNOWN)
    return pd.array(moments, dtype="datetime64[us, UTC]")


def _group(entered: Floats, wait: Floats, end: float) -> Group:
    """Return one group of units, as known at `end`, without journeys: what `spells` makes of them."""
    followed = np.round((end - entered) * DAY_US).astype(np.int64)
    ended = entered + wait <= end
    horizon = round(WINDOW * DAY_US)
    waited = np.where(ended, np.round(np.where(ended, wait, 0) * DAY_US), np.minimum(followed, horizon))
    length = waited.astype(np.int64)
    nobody = np.zeros(1, dtype=np.int64)
    known = BEGIN + round(end * DAY_US)
    codes = np.zeros(len(entered), dtype=np.int64)
    made = Spells(["all"], codes, length, ended, followed, known, Clock(None), 1.0, horizon, nobody, nobody > 0)
    return next(made.groups())


def _log_log(table: LifeTable, ticks: npt.NDArray[np.int64], truth: Floats) -> npt.NDArray[np.bool_]:
    """Return whether the log-log interval of Greenwood's variance holds the truth at each time."""
    place = np.searchsorted(table.times, ticks, side="right") - 1
    left, spread = table.survival[place], table.spread[place]
    with np.errstate(divide="ignore", invalid="ignore"):
        half = NormalDist().inv_cdf(0.975) * np.sqrt(spread) / np.abs(np.log(left))
        return np.asarray((1 - left ** np.exp(-half) <= truth) & (truth <= 1 - left ** np.exp(half)) & (place >= 0))
