"""What people met at a step and whether they went on: contents, fairly timed, and the routes to the next step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.spells import DAY_US, NOT_KNOWN, moment, reached
from funnel_lib.conversion.durations.survival import half_of_conversions
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.keeping.contents import FRICTION, contents
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.rates import TOO_FEW, adjust, contrast, wilson
from funnel_lib.conversion.reasons.spans import Met, first_met, kinds, persons_of, spans, ways
from funnel_lib.errors import ConfigError

Ints = npt.NDArray[np.int64]
TOUCHPOINTS = [
    "content", "reach", "reach_share", "passed", "lost", "rate", "low", "high", "rest_rate", "difference", "diff_low",
    "diff_high", "p", "p_adjusted", "clear", "median_wait_days", "friction", "reason",
]  # fmt: skip
ROUTES = ["route", "units", "passed", "rate", "share", "share_low", "share_high"]
NOTHING, MOST_STOPS = "(nothing)", 4


@dataclass(frozen=True)
class Landmark:
    """The moment after a step at which people are divided: by what they had met until then, and judged by what follows.

    `units` stood at the step and had not gone on by then (`days` after it); `early` had gone on before, and are left
    out: they had no time to meet anything.
    """

    days: float
    units: int
    early: int
    reason: str = ""


def touchpoints(
    log: EventLog, journeys: Journeys, step: int, *, rules: Rules, after: timedelta | None = None
) -> tuple[pd.DataFrame, Landmark]:
    """Compare, at a step, who had met a content with who had not: how many of either went on.

    Whoever goes on late has had more time to meet anything; counting what was met at any time would make every content
    look useful. So people are divided at one landmark after the step by what they had met since their entry, and only
    what comes later is compared (Anderson, Cain and Gelber 1983). It describes who met what, not what that caused.

    Parameters
    ----------
    log : of the canonical events. Of each row it is told what it is about: the path of its page where it tells one,
        else its event's name (see `contents`). Events of later steps are left out.
    journeys : units of whole closed windows, as in `rates`.
    step : where people stand, counted from 1; not the last.
    rules : level, least numbers and correction for the number of contents.
    after : the landmark; by default the time in which half of those go on who ever do.

    Returns
    -------
    Frame with the columns `TOUCHPOINTS`, the largest reach first, and the `Landmark`: `reach` met the content, of whom
    `passed` went on and `lost` did not; `rest_rate` is of those who had not met it; difference with Newcombe's
    interval; `median_wait_days` from meeting it first to going on; `friction` marks errors and rage clicks. `reason`
    is `too_few`. An empty frame where the landmark's own `reason` says why.

    Raises
    ------
    ConfigError : there is no such step.
    """
    _check(journeys, step)
    days = _landmark(journeys, step, rules, after)
    if math.isnan(days):
        return pd.DataFrame(columns=TOUCHPOINTS), Landmark(days, 0, 0, TOO_FEW)
    stood = _stood(log, journeys, step)
    stood["cut"] = stood["begun"] + round(days * DAY_US)
    here = stood[(stood["next"] > stood["cut"]) & (stood["cut"] < stood["until"])]
    early = int((stood["next"] <= stood["cut"]).sum())
    if len(here) < rules.min_units:
        return pd.DataFrame(columns=TOUCHPOINTS), Landmark(days, len(here), early, TOO_FEW)
    about, times = contents(log), log.at
    names = about.distinct()[:-1]
    found = spans(log, *(here[name].to_numpy() for name in ("person", "before", "cut")))
    met = first_met(log, found, about.codes, len(names), _own(journeys))
    counted = _counted(met, here, times[met.row], names)
    return _judged(counted, len(here), int(here["passed"].sum()), rules), Landmark(days, len(here), early)


def _counted(met: Met, here: pd.DataFrame, at: npt.NDArray[np.integer[Any]], names: pd.Series[Any]) -> pd.DataFrame:
    """Return of each content who had met it, who of them went on, and how long after meeting it first."""
    passed = here["passed"].to_numpy()[met.span]
    wait = (here["next"].to_numpy()[met.span] - at) / DAY_US
    reach = np.bincount(met.thing, minlength=len(names))
    went = np.bincount(met.thing[passed], minlength=len(names))
    medians = pd.Series(wait[passed]).groupby(met.thing[passed]).median().reindex(range(len(names)))
    columns = {"reach": reach, "passed": went, "median_wait_days": medians}
    found = pd.DataFrame({"content": names.astype("str"), **columns})
    return found[reach > 0].sort_values(["reach", "content"], ascending=[False, True], ignore_index=True)


def _judged(met: pd.DataFrame, units: int, passed: int, rules: Rules) -> pd.DataFrame:
    """Return the contents with the rates of who met them and who did not, compared."""
    k, n = (met[name].to_numpy(dtype=np.int64) for name in ("passed", "reach"))
    rest_k, rest_n = passed - k, units - n
    tested = (np.minimum(n, rest_n) >= rules.min_units) & (k + rest_k >= rules.min_events)
    found = contrast(k, n, rest_k, rest_n, rules.level, tested)
    low, high = wilson(k, n, rules.level)
    adjusted = adjust(found["p"].to_numpy(), rules.correction)
    return met.assign(
        reach_share=n / units, lost=n - k, rate=np.where(tested, k / np.maximum(n, 1), np.nan),
        low=np.where(tested, low, np.nan), high=np.where(tested, high, np.nan),
        rest_rate=np.where(tested, rest_k / np.maximum(rest_n, 1), np.nan), difference=found["difference"],
        diff_low=found["low"], diff_high=found["high"], p=found["p"], p_adjusted=adjusted,
        clear=adjusted < 1 - rules.level, friction=met["content"].isin(FRICTION),
        reason=pd.Series(np.where(tested, "", TOO_FEW), dtype="str"),
    )[TOUCHPOINTS]  # fmt: skip


def routes(log: EventLog, journeys: Journeys, step: int, *, top: int = 8, level: float = 0.95) -> pd.DataFrame:
    """Return the ways that people took from a step: up to four contents, until the next step or the end of the window.

    Parameters
    ----------
    log, journeys, step : as in `touchpoints`; contents that follow themselves count once.
    top : so many ways, the most frequent first.
    level : of the intervals.

    Returns
    -------
    Frame `route` (contents joined by ` → `; `(nothing)` where there were none)`, units, passed` (of them went on)`,
    rate, share, share_low, share_high` (of all at the step; Wilson).

    Raises
    ------
    ConfigError : there is no such step.
    """
    _check(journeys, step)
    here = _stood(log, journeys, step)
    if here.empty:
        return pd.DataFrame(columns=ROUTES)
    about, until = contents(log), np.minimum(here["next"].to_numpy() - 1, here["until"].to_numpy())
    texts = about.distinct().tolist()
    found = spans(log, here["person"].to_numpy(), here["begun"].to_numpy(), until)
    stops = ways(log, found, about.codes, _own(journeys), most=MOST_STOPS)
    kind, first = kinds([*(stops + 1).T], len(here))
    names = [[texts[stop] for stop in way if stop >= 0] for way in stops[first].tolist()]
    table = pd.DataFrame({
        "route": pd.Series([" → ".join(way) or NOTHING for way in names], dtype="str"), "units": np.bincount(kind),
        "passed": np.bincount(kind[here["passed"].to_numpy()], minlength=len(first)),
    })  # fmt: skip
    table = table.sort_values(["units", "route"], ascending=[False, True], ignore_index=True).head(top)
    low, high = wilson(table["units"], np.full(len(table), len(here)), level)
    return table.assign(
        rate=table["passed"] / table["units"], share=table["units"] / len(here), share_low=low, share_high=high
    )


def _check(journeys: Journeys, step: int) -> None:
    last = len(journeys.funnel.steps) - 1
    if not 1 <= step <= last:
        raise ConfigError(
            "Nobody goes on from this step.", where="step", found=step, allowed=f"1 to {last}", do="Count from 1."
        )


def _landmark(journeys: Journeys, step: int, rules: Rules, after: timedelta | None) -> float:
    """Return the days after a step at which people are divided; NaN where that cannot be told."""
    if after is not None:
        return after / timedelta(days=1)
    return float(half_of_conversions(journeys, start=step, end=_following(journeys, step), rules=rules)["half"].iloc[0])


def _following(journeys: Journeys, step: int) -> int:
    """Return the next required step."""
    before = previous_steps(journeys.funnel)
    return next(place + 1 for place in range(step, len(before)) if before[place] == step)


def _stood(log: EventLog, journeys: Journeys, step: int) -> pd.DataFrame:
    """Return who stood at a step with a closed window.

    Columns `person` (in the log)`, before` (the microsecond before the first entry)`, begun` (at the step; the first:
    first entry)`, next` (never: the largest)`, until` (end of the window)`, passed`; all times in microseconds since
    1970.
    """
    entered = journeys.moments("first_entry")
    kept = (journeys.frame["mature_depth"].to_numpy() >= step) & (entered != NOT_KNOWN)
    kept &= journeys.moments(f"t_{step}") != NOT_KNOWN
    at, entry, after = (reached(journeys, place)[kept] for place in (step, 1, _following(journeys, step)))
    never = np.iinfo(np.int64).max
    known = never if journeys.as_of is None else moment(journeys.as_of)
    window = journeys.funnel.window_us
    until = np.full(len(at), known) if window is None else np.minimum(entry + window, known)
    following = np.where(after == NOT_KNOWN, never, after)
    return pd.DataFrame({
        "person": persons_of(log, journeys)[kept], "before": entry - 1, "begun": at, "next": following, "until": until,
        "passed": following <= until,
    })  # fmt: skip


def _own(journeys: Journeys) -> set[str]:
    """Return the events of later steps; a page view that opens the funnel is what people look at later, too."""
    steps = journeys.funnel.steps
    return {event for step in steps for event in step.events} - set(steps[0].events)
