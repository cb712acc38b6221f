"""Is a daily rate still what it used to be? Control limits that allow for weekdays and real day-to-day variation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.movement.changepoint import each_day

Floats = npt.NDArray[np.float64]
CHART = [
    "day", "numerator", "denominator", "rate", "expected", "low", "high", "smooth", "smooth_low", "smooth_high",
    "outside", "drifting", "learnt",
]  # fmt: skip
ALERTS = [
    "metric", "kind", "direction", "opened", "last", "closed", "days", "numerator", "denominator", "rate", "expected",
    "low", "high", "held",
]  # fmt: skip
WEIGHT = 0.2
"""What the newest day weighs in the moving average."""
WIDTH = 3.2
"""Half the width of the limits, in standard deviations. Two charts are read, so that 3 would ring too often."""
FEWEST_DAYS = 28
_UNBIASED = 2 / np.sqrt(np.pi)
"""Mean absolute difference of two independent standard normal numbers (d2 = 1.128)."""


@dataclass(frozen=True)
class Chart:
    """A daily rate beside the limits within which chance keeps it.

    `frame` has one row per day: `day, numerator, denominator, rate` (NaN without units), `expected` for its weekday
    with the limits `low, high` of one day (Laney's p'), `smooth` (exponentially weighted deviation from what was
    expected, in units of the rate) with its limits; `outside`: the day alone is beyond its limits; `drifting`: the
    moving average is; `learnt`: the day belongs to the baseline, which never rings. `sigma` is the spread of the
    standardised days (1: no more than a binomial's); `memory` their autocorrelation from day to day. `reason`:
    `too_short, too_few, no_variation` or None.
    """

    frame: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CHART))
    sigma: float = np.nan
    memory: float = np.nan
    reason: str | None = None


def chart(counts: pd.DataFrame, *, learnt_until: date, rules: Rules, width: float = WIDTH) -> Chart:
    """Return a daily rate with limits learnt from the days up to `learnt_until`.

    One day: Laney's p' chart (Laney 2002), `z = (rate - expected) / sqrt(expected (1 - expected) / n)`, limits at
    `width` standard deviations of z. Slow drift: an exponentially weighted moving average of z (Roberts 1959; weight
    0.2), whose variance allows for days that resemble the day before (first-order autocorrelation a:
    `w / (2 - w) * (1 + (1 - w) a) / (1 - (1 - w) a)`). The standard deviation is the largest of the moving range's (as
    Laney), the plain one and 1, so that drift within the baseline does not narrow the limits. Expected rates are those
    of the weekday in the baseline, shrunk to the common one (empirical Bayes). Limits are wider by what estimating
    them from so few days adds: Student's t instead of the normal quantile, and the variance of the weekday's mean. Of a
    day with few units the normal curve says too little: it rings only if its binomial tail is as rare, too.

    Parameters
    ----------
    counts : `day, numerator, denominator`, as of `changepoint.daily`; missing days are days without units.
    learnt_until : last day of the baseline, at least four weeks after the first; freeze it, and move it only after a
        change that was meant.
    rules : least numbers.

    Raises
    ------
    DataError : a column is missing.
    """
    table = each_day(counts)
    k, n = (table[name].to_numpy(dtype=np.float64) for name in table)
    learnt = np.asarray(table.index <= pd.Timestamp(learnt_until))
    used = learnt & (n > 0)
    if used.sum() < FEWEST_DAYS:
        return Chart(reason="too_short")
    if n[used].sum() < rules.min_units or k[used].sum() < rules.min_events:
        return Chart(reason="too_few")
    if k[used].sum() == n[used].sum():
        return Chart(reason="no_variation")
    weekday = pd.DatetimeIndex(table.index).day_of_week.to_numpy()
    expected = _expected(k, n, weekday, used)
    error = np.sqrt(expected * (1 - expected) / np.where(n > 0, n, np.nan))
    rate = np.divide(k, n, out=np.full_like(k, np.nan), where=n > 0)
    z = (rate - expected) / error
    sigma, memory = _spread(z[used])
    reach = sigma * _quantile(width, int(used.sum())) * np.sqrt(1 + 7 / used.sum())
    smooth, spread = _smooth(z, memory)
    nobody, everybody, rare = _tails(k, n, expected, width)
    frame = pd.DataFrame({
        "day": table.index, "numerator": k.astype(np.int64), "denominator": n.astype(np.int64), "rate": rate,
        "expected": expected, "low": np.where(nobody, np.clip(expected - reach * error, 0, 1), error * 0),
        "high": np.where(everybody, np.clip(expected + reach * error, 0, 1), error * 0 + 1), "smooth": smooth * error,
        "smooth_low": -reach * spread * error, "smooth_high": reach * spread * error,
        "outside": ~learnt & rare & (np.abs(z) > reach), "drifting": ~learnt & (np.abs(smooth) > reach * spread),
        "learnt": learnt,
    })  # fmt: skip
    return Chart(frame[CHART], sigma, memory)


def _expected(k: Floats, n: Floats, weekday: npt.NDArray[np.int32], used: npt.NDArray[np.bool_]) -> Floats:
    """Return the rate expected on each day: its weekday's in the baseline, shrunk to the common one.

    Shrunk by what weekdays differ less than chance would have them: the variance between weekdays beyond that within.
    """
    common = k[used].sum() / n[used].sum()
    passed, seen, days = (
        np.bincount(weekday[used], weights=of, minlength=7) for of in (k[used], n[used], np.ones(used.sum()))
    )
    own = np.divide(passed, seen, out=np.full(7, common), where=seen > 0)
    gaps = (k - n * own[weekday])[used]
    # What one day adds to the error of its weekday's mean: real variation from week to week included. Never less than
    # chance alone: a weekday on which nobody passed yet would otherwise be sure that nobody ever does.
    within = np.bincount(weekday[used], weights=gaps**2, minlength=7)
    free = np.where(days > 1, days / np.maximum(days - 1, 1), 1)
    spread = np.maximum(within * free, seen * common * (1 - common))
    error = np.divide(spread, seen**2, out=np.full(7, np.inf), where=seen > 0)
    met = seen > 0
    between = max(float(np.var(own[met], ddof=1) - error[met].mean()) if met.sum() > 1 else 0.0, 0.0)
    trust = np.divide(between, between + error, out=np.zeros(7), where=between + error > 0)
    found: Floats = np.clip(common + trust * (own - common), 1e-9, 1 - 1e-9)
    return found[weekday]


def _tails(
    k: Floats, n: Floats, expected: Floats, width: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return whether nobody passing, everybody passing, and what was seen are as rare as beyond `width` each day."""
    from scipy.special import bdtr, bdtrc
    from scipy.stats import norm

    tail, units, nobody = float(norm.sf(width)), n.astype(np.int64), np.zeros_like(k)
    seen = np.minimum(bdtr(k, units, expected), np.where(k > 0, bdtrc(k - 1, units, expected), 1.0))
    return bdtr(nobody, units, expected) < tail, expected**n < tail, seen < tail


def _spread(z: Floats) -> tuple[float, float]:
    """Return the standard deviation of standardised days, and their autocorrelation from one to the next."""
    z = z - z.mean()
    ranged = float(np.abs(np.diff(z)).mean() / _UNBIASED)
    plain = float(np.sqrt((z**2).sum() / max(len(z) - 7, 1)))
    memory = float((z[1:] * z[:-1]).sum() / (z**2).sum()) if (z**2).sum() > 0 else 0.0
    return max(ranged, plain, 1.0), float(np.clip(memory, 0, 0.9))


def _quantile(width: float, days: int) -> float:
    """Return Student's t for the chance that a normal number lies beyond `width`."""
    from scipy.stats import norm, t

    return float(t.isf(norm.sf(width), max(days - 7, 2)))


def _smooth(z: Floats, memory: float) -> tuple[Floats, Floats]:
    """Return the moving average of standardised days and its standard deviation, for days of variance 1."""
    average, value = np.empty_like(z), 0.0
    for day, seen in enumerate(np.nan_to_num(z)):
        value += WEIGHT * (seen - value)
        average[day] = value
    kept = 1 - WEIGHT
    final = WEIGHT / (2 - WEIGHT) * (1 + kept * memory) / (1 - kept * memory)
    begun = 1 - kept ** (2 * np.arange(1, len(z) + 1))
    return average, np.sqrt(final * begun)


def alerts(charts: Mapping[str, Chart], *, faulty: Collection[date] = (), quiet: int = 3) -> pd.DataFrame:
    """Return when metrics were not what they used to be: one alert for days that belong together.

    Days of one metric and direction make one alert while no more than `quiet` days lie between them; it is closed on
    the last day of the first so long calm, open (NaT) where there was none yet. An alert that rang only on days whose
    data failed is `held`: the data have to be mended first, and what they say is no business alert.

    Parameters
    ----------
    charts : by the metric's name; those that could not be judged are left out.
    faulty : days whose data failed.

    Returns
    -------
    Frame `metric, kind` (day: beyond the limits of one day; drift: the moving average only)`, direction` (up, down)`,
    opened, last, closed` (days)`, days` (that rang)`, numerator, denominator, rate, expected, low, high` (of those days
    together: being counted because they rang, they lie further off than the days between)`, held`; newest first.
    """
    failed = pd.DatetimeIndex(sorted(pd.to_datetime(list(faulty))))
    rows = []
    for metric, made in charts.items():
        frame = made.frame
        if made.reason is not None:
            continue
        ringing = frame["outside"].astype(bool) | frame["drifting"].astype(bool)
        upward = np.where(frame["outside"].astype(bool), frame["rate"] > frame["expected"], frame["smooth"] > 0)
        for up in (True, False):
            rang = frame[ringing & (upward == up)]
            apart = rang["day"].diff().dt.days.gt(quiet + 1).cumsum()
            rows += [_alert(metric, days, frame, up=up, quiet=quiet, failed=failed) for _, days in rang.groupby(apart)]
    found = pd.DataFrame(rows, columns=ALERTS)
    order = np.lexsort((found["metric"], -pd.DatetimeIndex(found["opened"]).asi8))
    return found.iloc[order].reset_index(drop=True)


def _alert(
    metric: str, rang: pd.DataFrame, frame: pd.DataFrame, *, up: bool, quiet: int, failed: pd.DatetimeIndex
) -> dict[str, object]:
    last, calm = rang["day"].iloc[-1], pd.Timedelta(days=quiet)
    closed = last + calm if frame["day"].iloc[-1] >= last + calm else pd.NaT
    seen = rang["denominator"].sum()
    share = rang["denominator"] / seen if seen else rang["denominator"]
    return {
        "metric": metric, "kind": "day" if rang["outside"].any() else "drift", "direction": "up" if up else "down",
        "opened": rang["day"].iloc[0], "last": last, "closed": closed, "days": len(rang),
        "numerator": int(rang["numerator"].sum()), "denominator": int(seen),
        "rate": rang["numerator"].sum() / seen if seen else np.nan,
        **{name: float((rang[name] * share).sum()) for name in ("expected", "low", "high")},
        "held": bool(rang["day"].isin(failed).all()),
    }  # fmt: skip
