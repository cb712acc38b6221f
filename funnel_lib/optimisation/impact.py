"""What a change did where nobody was randomised.

The ladder of evidence: a randomised trial, a comparison with a group that the change did not touch, and last
a mere before and after.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conversion.rates import newcombe
from funnel_lib.optimisation.experiments import NAN, Arm, read_arm, significance

Floats = npt.NDArray[np.float64]
_RATE = ["units", "converted", "rate", "low", "high", "reason"]


@dataclass(frozen=True)
class DidResult:
    """By how much more the treated group changed than the others did (absolute, 0.02 = 2 percentage points).

    `cells` holds `group` (treated, control), `after`, `units, converted, rate, low, high, reason`.
    """

    estimate: float
    low: float
    high: float
    p: float
    clear: bool
    level: float
    cells: pd.DataFrame
    method: str = "lpm_hc1"
    reason: str | None = None


@dataclass(frozen=True)
class BeforeAfter:
    """A difference over time: weaker evidence, as all that changed with time is in it.

    `after_dip` tells that the time before was clearly worse than the time before that, so that a rise was to
    be expected anyway (regression to the mean); None where it is not known.
    """

    before: Arm
    after: Arm
    difference: float
    low: float
    high: float
    p: float
    clear: bool
    level: float
    after_dip: bool | None
    method: str = "newcombe"
    reason: str | None = None


def difference_in_differences(
    frame: pd.DataFrame, treated: str, *, level: float = 0.95, min_units: int = 30, min_events: int = 5
) -> DidResult:
    """Return the difference in differences of a share between the treated group and the others.

    A linear probability model, converted ~ group x after, by least squares with heteroscedasticity-robust
    standard errors (HC1); with two groups and two times it equals the difference of the four cells' rates.
    Assumes that without the change both groups would have moved alike; a placebo date can speak against that.

    Parameters
    ----------
    frame : one row per unit: `group`, `after` (bool), `converted` (bool).
    treated : the group that met the change; all other rows are its control.
    level : of the interval.
    min_units, min_events : a cell with fewer units, conversions or non-conversions is too small.

    Returns
    -------
    DidResult; with reason ``too_few`` where a cell is too small.
    """
    from statsmodels.regression.linear_model import OLS

    group = (frame["group"] == treated).to_numpy().astype(np.float64)
    after, converted = (frame[name].to_numpy().astype(np.float64) for name in ("after", "converted"))
    cells = _cells(group, after, converted, level, min_units, min_events)
    left = cells["units"] - cells["converted"]
    if cells["reason"].notna().any() or (left < min_events).any():
        return DidResult(NAN, NAN, NAN, NAN, clear=False, level=level, cells=cells, reason="too_few")
    design = np.column_stack([np.ones(len(frame)), group, after, group * after])
    fit = OLS(converted, design).fit(cov_type="HC1")
    low, high = (float(limit) for limit in fit.conf_int(1 - level)[3])
    p = float(fit.pvalues[3])
    return DidResult(float(fit.params[3]), low, high, p, clear=p < 1 - level, level=level, cells=cells)


def placebo(
    frame: pd.DataFrame,
    treated: str,
    *,
    at: datetime,
    until: datetime,
    level: float = 0.95,
    min_units: int = 30,
    min_events: int = 5,
) -> DidResult:
    """Return the difference in differences at a false date, from the time before the true one only.

    A clear result says that the groups did not move alike even without the change.

    Parameters
    ----------
    frame : one row per unit: `group`, `entered` (UTC), `converted` (bool).
    at : the false date.
    until : units that entered from here on are left out (they may have met the change).
    """
    early = frame[frame["entered"] < until]
    dated = early.assign(after=early["entered"] >= at)
    return difference_in_differences(dated, treated, level=level, min_units=min_units, min_events=min_events)


def pretrend(
    frame: pd.DataFrame,
    *,
    until: datetime,
    zone: ZoneInfo,
    level: float = 0.95,
    min_units: int = 30,
    min_events: int = 5,
) -> pd.DataFrame:
    """Return each group's rate in each week before a change, to see whether they moved alike.

    Parameters
    ----------
    frame : one row per unit: `group`, `entered` (UTC), `converted` (bool).
    until : units that entered from here on are left out.
    zone : weeks start on Mondays of this zone.

    Returns
    -------
    Frame `group, week` (date of its Monday), `units, converted, rate, low, high, reason`.
    """
    early = frame[frame["entered"] < until]
    day = early["entered"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    week = (day - pd.to_timedelta(day.dt.day_of_week, unit="D")).dt.date
    counts = early["converted"].astype("int64").groupby([early["group"], week.rename("week")]).agg(["sum", "count"])
    rows = []
    for (group, monday), (converted, units) in zip(counts.index, counts.to_numpy(), strict=True):
        arm = read_arm(str(group), int(converted), int(units), level=level, min_units=min_units, min_events=min_events)
        rows.append((group, monday, arm.units, arm.converted, arm.rate, arm.low, arm.high, arm.reason))
    return pd.DataFrame(rows, columns=["group", "week", *_RATE])


def before_after(
    before: tuple[int, int],
    after: tuple[int, int],
    *,
    earlier: tuple[int, int] | None = None,
    level: float = 0.95,
    min_units: int = 30,
    min_events: int = 5,
) -> BeforeAfter:
    """Return the difference of a rate between two times (Newcombe), labelled as the weaker evidence it is.

    Parameters
    ----------
    before, after : (units that converted, units), of equal age.
    earlier : the same for the time before `before`; tells whether the change followed a dip.
    level, min_units, min_events : as in `read_trial`.

    Returns
    -------
    BeforeAfter; `reason` is ``too_few`` where the difference is withheld.
    """
    one, two = (
        read_arm(name, *counts, level=level, min_units=min_units, min_events=min_events)
        for name, counts in (("before", before), ("after", after))
    )
    dip = None
    if earlier is not None and min(earlier[1], one.units) >= min_units:
        dip = newcombe(one.converted, one.units, *earlier, level).high < 0
    reason = one.reason or two.reason
    if reason is not None:
        return BeforeAfter(one, two, NAN, NAN, NAN, NAN, clear=False, level=level, after_dip=dip, reason=reason)
    found = newcombe(two.converted, two.units, one.converted, one.units, level)
    p, _ = significance(before, after)
    clear = p < 1 - level and (found.low > 0 or found.high < 0)
    return BeforeAfter(one, two, found.estimate, found.low, found.high, p, clear=clear, level=level, after_dip=dip)


def _cells(
    group: Floats,
    after: Floats,
    converted: Floats,
    level: float,
    min_units: int,
    min_events: int,
) -> pd.DataFrame:
    rows = []
    for name, late in (("treated", False), ("treated", True), ("control", False), ("control", True)):
        inside = (group == (name == "treated")) & (after == late)
        arm = read_arm(
            name, int(converted[inside].sum()), int(inside.sum()), level=level, min_units=min_units,
            min_events=min_events,
        )  # fmt: skip
        rows.append((name, late, arm.units, arm.converted, arm.rate, arm.low, arm.high, arm.reason))
    return pd.DataFrame(rows, columns=["group", "after", *_RATE])
