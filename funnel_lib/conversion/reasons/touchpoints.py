"""What people met at a step and whether they went on: contents, fairly timed, and the routes to the next step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from funnel_lib.config import Rules
from funnel_lib.conversion.durations.spells import DAY_US, NOT_KNOWN, moment, reached
from funnel_lib.conversion.durations.survival import half_of_conversions
from funnel_lib.conversion.journeys import Journeys, previous_steps
from funnel_lib.conversion.rates import TOO_FEW, adjust, contrast, wilson
from funnel_lib.errors import ConfigError
from funnel_lib.schema import EVENT, PROPERTIES, TS

Ints = npt.NDArray[np.int64]
PAGE_KEYS = ("page_path", "page_location", "page", "url")
FRICTION = ("rage_click", "dead_click", "exception", "app_exception", "error", "form_error", "payment_error")
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
    events: Path, journeys: Journeys, step: int, *, rules: Rules, after: timedelta | None = None
) -> tuple[pd.DataFrame, Landmark]:
    """Compare, at a step, who had met a content with who had not: how many of either went on.

    Whoever goes on late has had more time to meet anything; counting what was met at any time would make every content
    look useful. So people are divided at one landmark after the step by what they had met since their entry, and only
    what comes later is compared (Anderson, Cain and Gelber 1983). It describes who met what, not what that caused.

    Parameters
    ----------
    events : the canonical events (Parquet). A content is the path of the page where an event tells one (properties
        `page_path`, `page_location`, `page` or `url`), else the event's name. Events of later steps are left out.
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
    stood = _stood(journeys, step)
    cut = stood["begun"] + round(days * DAY_US)
    here = stood[(stood["next"] > cut) & (cut < stood["until"])].assign(cut=cut)
    early = int((stood["next"] <= cut).sum())
    if len(here) < rules.min_units:
        return pd.DataFrame(columns=TOUCHPOINTS), Landmark(days, len(here), early, TOO_FEW)
    with _log(events, journeys, here) as connection:
        met = connection.sql(
            "SELECT content, count(*) AS reach, count(*) FILTER (passed) AS passed, "
            "median((next - first_met) / 86400000000.0) FILTER (passed) AS median_wait_days "
            "FROM (SELECT content, unit, min(us) AS first_met, any_value(next) AS next, any_value(passed) AS passed "
            "FROM met WHERE us <= cut GROUP BY content, unit) GROUP BY content ORDER BY reach DESC, content"
        ).to_df()
    return _judged(met, len(here), int(here["passed"].sum()), rules), Landmark(days, len(here), early)


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


def routes(events: Path, journeys: Journeys, step: int, *, top: int = 8, level: float = 0.95) -> pd.DataFrame:
    """Return the ways that people took from a step: up to four contents, until the next step or the end of the window.

    Parameters
    ----------
    events, journeys, step : as in `touchpoints`; contents that follow themselves count once.
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
    stood = _stood(journeys, step)
    here = stood.assign(cut=np.minimum(stood["next"] - 1, stood["until"]))
    if here.empty:
        return pd.DataFrame(columns=ROUTES)
    with _log(events, journeys, here, since="begun") as connection:
        table: pd.DataFrame = connection.sql(_WAYS).to_df()
    table = table.head(top).assign(rate=lambda t: t["passed"] / t["units"], share=lambda t: t["units"] / len(here))
    low, high = wilson(table["units"], np.full(len(table), len(here)), level)
    return table.assign(share_low=low, share_high=high)


_WAYS = f"""
WITH one AS (
    SELECT unit, us, content, lag(content) OVER (PARTITION BY unit ORDER BY us, content) AS before
    FROM met WHERE us > begun
), ways AS (
    SELECT unit, array_to_string(list(content ORDER BY us, content)[1:{MOST_STOPS}], ' → ') AS route
    FROM one WHERE content IS DISTINCT FROM before GROUP BY unit
)
SELECT coalesce(route, '{NOTHING}') AS route, count(*) AS units, count(*) FILTER (passed) AS passed
FROM stood LEFT JOIN ways USING (unit) GROUP BY 1 ORDER BY units DESC, route
"""  # noqa: S608


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


def _stood(journeys: Journeys, step: int) -> pd.DataFrame:
    """Return who stood at a step with a closed window.

    Columns `unit, since` (first entry)`, begun` (at the step; the first: first entry)`, next` (never: the largest)`,
    until` (end of the window)`, passed`; all times in microseconds since 1970.
    """
    depth, timed = journeys.frame["mature_depth"], journeys.frame[f"t_{step}"].notna()
    whole = journeys.select((depth >= step) & timed & journeys.frame["first_entry"].notna())
    at, entry, after = (reached(whole, place) for place in (step, 1, _following(journeys, step)))
    never = np.iinfo(np.int64).max
    known = never if journeys.as_of is None else moment(journeys.as_of)
    window = journeys.funnel.window_us
    until = np.full(len(at), known) if window is None else np.minimum(entry + window, known)
    following = np.where(after == NOT_KNOWN, never, after)
    return pd.DataFrame({
        "unit": whole.frame["unit"].astype("str"), "since": entry, "begun": at, "next": following, "until": until,
        "passed": following <= until,
    })  # fmt: skip


@contextmanager
def _log(
    events: Path, journeys: Journeys, here: pd.DataFrame, *, since: str = "since"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with `stood` (the people) and `met` (what they met from `since` on until the cut)."""
    own = sorted({event for step in journeys.funnel.steps for event in step.events} - _shared(journeys))
    with duckdb.connect() as connection:
        connection.register("given", here)
        connection.execute("CREATE TEMP TABLE stood AS SELECT * FROM given")
        connection.read_parquet(str(events)).create_view("log")
        connection.execute(
            f'CREATE TEMP TABLE met AS SELECT stood.*, epoch_us("{TS}") AS us, {_content(events)} AS content '  # noqa: S608
            f'FROM log JOIN stood ON CAST("{journeys.funnel.unit}" AS VARCHAR) = stood.unit '
            f'WHERE epoch_us("{TS}") BETWEEN stood.{since} AND stood.cut AND NOT list_contains(?, "{EVENT}")',
            [own],
        )
        yield connection


def _shared(journeys: Journeys) -> set[str]:
    """Return the events of the first step: a page view opens the funnel and is what people look at later, too."""
    return set(journeys.funnel.steps[0].events)


def _content(events: Path) -> str:
    """Return the SQL of what a row is about: the path of its page, else its event."""
    if PROPERTIES not in pq.read_schema(events).names:
        return f'"{EVENT}"'
    pages = ", ".join(f"json_extract_string(\"{PROPERTIES}\", '$.{key}')" for key in PAGE_KEYS)
    path = f"regexp_replace(regexp_replace(coalesce({pages}), '^[a-z]+://[^/]*', ''), '[?#].*$', '')"
    friction = ", ".join(f"'{name}'" for name in FRICTION)
    return f'CASE WHEN "{EVENT}" IN ({friction}) THEN "{EVENT}" ELSE coalesce(nullif({path}, \'\'), "{EVENT}") END'
