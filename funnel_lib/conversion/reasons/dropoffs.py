"""Where those went who stopped: what they did next, which earlier step they went back to, and who they are.

Who stopped is told as in mature rates: by chains whose window has closed (without a window: all units that have come no
further so far). Whether a unit came back later, or entered anew, makes no difference.
"""

from __future__ import annotations

import csv
import hmac
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from funnel_lib.config import Rules
from funnel_lib.conversion.engine.grouping import Grouped
from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.opening import open_source
from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.conversion.engine.source import microseconds
from funnel_lib.conversion.journeys import OWN, Journeys, UnmatchedStep
from funnel_lib.conversion.journeys import journeys as made
from funnel_lib.conversion.rates import with_rates
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError
from funnel_lib.notation import guarded, in_microseconds
from funnel_lib.periods import Period
from funnel_lib.schema import EVENT

Ints = npt.NDArray[np.int64]
NOTHING, OTHER, LEFT = "(nothing)", "(other)", "(left)"
KEY = "FUNNEL_KEY"
# What a spreadsheet takes for the beginning of a formula, also in its full-width form.
_NOT_BY = (*OWN, "session", "entry", "reached", "mature_reached", "passed", "mature_passed")
_FOREVER, _MISSING = 2**63 - 1, -(2**63)
_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000_000
_RULES = Rules()


@dataclass(frozen=True)
class Dropped:
    """Who stopped: `unit` (a pseudonym), `last_step`, `last_time` (UTC), `days_since`, and what was brought along."""

    frame: pd.DataFrame

    def to_csv(self, path: str | Path) -> Path:
        """Write the list for spreadsheets (UTF-8 with a mark, so that Excel reads Chinese) and return its path.

        A text that a spreadsheet would take for a formula gets an apostrophe in front; missing values are empty.
        """
        target = Path(path)
        with target.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow([guarded(str(name)) for name in self.frame])
            writer.writerows(zip(*(_texts(self.frame[name]) for name in self.frame), strict=True))
        return target


def after_drop(events: Any, journeys: Journeys, step: int, *, top: int = 10, rules: Rules = _RULES) -> pd.DataFrame:
    """Return the first thing that units did after they stopped at a step.

    Looked up strictly after the last step and up to the end of the window of the same attempt: the time in which
    they could still have gone on, the same for all (without a window: up to `as_of`). Every row of the log counts,
    whether the funnel knows its event or not; of several at one instant the first by name.

    Parameters
    ----------
    events : what the journeys were made from.
    journeys : see `Journeys`; with an `as_of`, nothing later is looked at.
    step : the step at which they stopped, counted from 1; not the last.
    top : so many events have a row of their own.
    rules : level and least numbers.

    Returns
    -------
    Frame `event, units, denominator, share, low, high, level, median_wait_days, reason`: the events by units (most
    first, then by name), `(other)` if there are more, `(nothing)` last; the units add up to the denominator.
    Wilson intervals; with too few units the shares and medians are NaN, `reason` is `too_few`.

    Raises
    ------
    ConfigError : there is no such step, `top` is negative, or the journeys come from a snapshot.
    DataError : the events cannot be read.
    """
    if top < 0:
        raise ConfigError("The number of rows cannot be negative.", where="top", found=top, allowed="0 or more")
    stopped = _stopped(events, journeys, step, 1)
    everything = Funnel(steps=[Step("any")], unit=journeys.funnel.unit)
    found = _first_after(events, everything, stopped, f'"extra {EVENT}"', _resolution(journeys), extra=(EVENT,))
    frame = found.assign(label=found["what"].astype("str").where(found["what"].notna(), NOTHING))
    sizes = frame["label"].where(frame["what"].notna()).value_counts()
    order = sorted(sizes.index, key=lambda name: (-sizes[name], name))
    shown = set(order[:top])
    rest = frame["what"].notna() & ~frame["label"].isin(shown)
    frame.loc[rest, "label"] = OTHER
    labels = [*order[:top], *([OTHER] if rest.any() else []), NOTHING]
    return _shares(frame, pd.DataFrame({"event": pd.Series(labels, dtype="str")}), labels, rules)


def back_to(events: Any, journeys: Journeys, step: int, *, rules: Rules = _RULES) -> pd.DataFrame:
    """Return to which earlier step units went back after they stopped at a step.

    The first event of an earlier step, in the same time as in `after_drop`; of several steps at one instant the
    furthest. Whoever did no earlier step is `(left)`, also if it repeated the one at which it stopped.

    Parameters
    ----------
    events, journeys, rules : as in `after_drop`.
    step : the step at which they stopped, counted from 1; from the second to the last but one.

    Returns
    -------
    Frame `step, name, units, denominator, share, low, high, level, median_wait_days, reason`: the earlier steps in
    order, then `(left)` with step 0; the units add up to the denominator.

    Raises
    ------
    ConfigError, DataError : as in `after_drop`.
    """
    stopped = _stopped(events, journeys, step, 2)
    earlier = Funnel(steps=journeys.funnel.steps[: step - 1], unit=journeys.funnel.unit)
    furthest = " ".join(f"WHEN (mask & {1 << place}) <> 0 THEN {-place - 1}" for place in reversed(range(step - 1)))
    found = _first_after(events, earlier, stopped, f"CASE {furthest} END", _resolution(journeys))
    labels = [*range(1, step), 0]
    frame = found.assign(label=found["what"].fillna(0).astype("int64").abs())
    names = pd.Series([*journeys.funnel.names[: step - 1], LEFT], dtype="str")
    return _shares(frame, pd.DataFrame({"step": labels, "name": names}), labels, rules)


def dropped(journeys: Journeys, step: int, *, secret: str | bytes | None = None) -> Dropped:
    """Return who stopped at a step and has come no further since, under pseudonyms.

    Whose journey may still go on (its window has not closed) is not in the list.
    The pseudonym is the HMAC-SHA256 of the unit (as text) in hexadecimal digits, so the same key always gives the
    same one, and only who holds the key can find the person.

    Parameters
    ----------
    journeys : see `Journeys`; every column that was brought along is in the list. Bring along nothing that names
        a person.
    step : the step at which they stopped, counted from 1; not the last.
    secret : the key; by default that in the environment variable FUNNEL_KEY.

    Returns
    -------
    `Dropped`, ordered by `last_time` (newest first), then by pseudonym. `days_since` counts up to `as_of`; both
    are missing where the source has no times.

    Raises
    ------
    ConfigError : there is no key, or no such step.
    """
    key = secret if secret is not None else os.environ.get(KEY, "")
    key = key.encode() if isinstance(key, str) else key
    if not key:
        raise ConfigError(
            "A list of people needs a key for their pseudonyms.", where=f"secret, or the variable {KEY}",
            found="nothing", allowed="any text that is kept secret", do=f"Set {KEY}; keep it: it makes lists agree.",
        )  # fmt: skip
    _check_step(journeys, step, 1)
    ended = (journeys.frame["depth"] == step).to_numpy(dtype=bool)
    stopped = journeys.select(ended & _closed(journeys))
    frame, last = stopped.frame, np.max([stopped.moments(f"t_{number + 1}") for number in range(step)], axis=0)
    times = pd.Series(pd.array(last, dtype="datetime64[us, UTC]"))
    since = (pd.Timestamp(journeys.as_of) - times).dt.total_seconds() / 86400 if journeys.as_of else np.nan
    listed = pd.DataFrame(
        {
            "unit": pd.Series(
                [hmac.digest(key, str(unit).encode(), "sha256").hex() for unit in frame["unit"]], dtype="str"
            ),
            "last_step": pd.Series(journeys.funnel.names[step - 1], index=range(len(frame)), dtype="str"),
            "last_time": times,
            "days_since": since,
        }
    )
    for name in frame:
        if name not in _NOT_BY and not str(name).removeprefix("t_").isdigit():
            listed[name] = frame[name].to_numpy()
    ordered = listed.sort_values(["last_time", "unit"], ascending=[False, True], na_position="last")
    return Dropped(ordered.reset_index(drop=True))


def _texts(column: pd.Series[Any]) -> list[str]:
    plain = column.astype("str").where(column.notna(), "")
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    return list(plain) if is_number else [guarded(text) for text in plain]


def _check_step(journeys: Journeys, step: int, least: int) -> None:
    last = len(journeys.funnel.steps) - 1
    if not least <= step <= last:
        raise ConfigError(
            "Nobody can stop at this step.", where="step", found=step,
            allowed=f"{least} to {last}" if last >= least else "none: the funnel has too few steps",
            do="Count steps from 1; who is at the last one has not stopped.",
        )  # fmt: skip


def _entered(journeys: Journeys) -> Ints:
    """Return when each journey began."""
    times = np.array([journeys.moments(f"t_{number + 1}") for number in range(len(journeys.funnel.steps))])
    in_order = journeys.funnel.order != "any" and not journeys.funnel.open  # elsewhere a later step may have been first
    known = np.where(times == _MISSING, _FOREVER, times)
    return np.asarray(known[0] if in_order else known.min(axis=0))


def _closed(journeys: Journeys) -> npt.NDArray[np.bool_]:
    """Return whether the window of each journey has closed; everywhere where nothing can be said about that."""
    if journeys.closed_until is None:
        return np.ones(len(journeys.frame), dtype=bool)
    return np.asarray(_entered(journeys) <= microseconds(journeys.closed_until))


def _stopped(events: Any, journeys: Journeys, step: int, least: int) -> pa.Table:
    """Return `place, unit, last_us, until_us` of those who stopped; their further events lie in (last, until]."""
    funnel = journeys.funnel
    _check_step(journeys, step, least)
    if funnel.snapshot:
        raise ConfigError(
            "A snapshot does not tell what came after.", found=f"snapshot: {funnel.snapshot}",
            allowed="journeys of events", do="Use the raw events, where there are any.",
        )  # fmt: skip
    found = journeys.select((journeys.frame["mature_depth"] == step).to_numpy(dtype=bool))
    if not _closed(found).all() or (found.frame["depth"] != step).any():
        found = _when_closed(events, found)
    times = np.array([found.moments(f"t_{number}") for number in range(1, step + 1)])
    newest = _FOREVER if found.as_of is None else microseconds(found.as_of)
    until = np.full(times.shape[1], newest)
    if funnel.window_us is not None:
        until = np.minimum(_entered(found) + funnel.window_us, newest)
    units = pa.Table.from_pandas(found.frame[["unit"]], preserve_index=False)["unit"]
    return pa.table({"place": np.arange(len(until)), "unit": units, "last_us": times.max(axis=0), "until_us": until})


def _when_closed(events: Any, found: Journeys) -> Journeys:
    """Return the journeys of the same units by the entries whose window has closed: later ones have replaced them."""
    begin = found.period.start if found.period else found.frame["first_entry"].min()
    end = cast(datetime, found.closed_until) + _MICRO
    closed = Period("closed", "custom", begin, min(end, found.period.end) if found.period else end)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)  # said when the journeys were made
        again = made(events, found.funnel, period=closed, as_of=found.as_of)
    keys = [name for name in ("unit", "session", "entry") if name in found.frame]
    return replace(again, frame=found.frame[keys].merge(again.frame, on=keys))


def _resolution(journeys: Journeys) -> int:
    return in_microseconds(journeys.funnel.matching.resolution) or 1


def _first_after(
    events: Any, wanted: Funnel, stopped: pa.Table, what: str, resolution: int, *, extra: Sequence[str] = ()
) -> pd.DataFrame:
    """Return for each who stopped the first event that matches `wanted`: `what` (an SQL value), `days` since."""
    at = f"(at_us // {resolution} * {resolution})"
    found = [pd.DataFrame({"place": [], "what": [], "days": []})]
    with duckdb.connect() as connection:
        for rows in _gathered(_rows(events, wanted, stopped, extra)) if len(stopped) else ():
            connection.register("seen", rows)
            connection.register("stopped", stopped.set_column(1, "unit", stopped["unit"].cast(rows["unit"].type)))
            query = (
                f"SELECT place, min({{'at_us': {at}, 'what': {what}}}) AS first, any_value(last_us) AS last_us "  # noqa: S608
                f"FROM stopped JOIN seen USING (unit) WHERE {at} > last_us AND {at} <= until_us AND {what} IS NOT NULL "
                "GROUP BY place"
            )
            told = "place, first.what AS what, (first.at_us - last_us) / 86400000000 AS days"
            found.append(connection.sql(query).project(told).to_df())
    return pd.concat(found[len(found) > 1 :]).set_index("place").reindex(range(len(stopped)))


def _rows(events: Any, wanted: Funnel, stopped: pa.Table, extra: Sequence[str]) -> Iterator[pa.Table]:
    """Yield `unit, at_us, mask, extra NAME` of the rows that match a step, those of a unit together."""
    since, last = _EPOCH + _MICRO * pc.min(stopped["last_us"]).as_py(), pc.max(stopped["until_us"]).as_py()
    until = None if last == _FOREVER else _EPOCH + _MICRO * last
    if type(events).__module__.split(".")[0] not in ("ibis", "pyspark"):
        plan = Plan(wanted, tuple(extra))
        yield from LocalSource(events, wanted, extra).each(lambda part: _ungrouped(part, extra), plan, since, until)
        return
    alone = [
        Funnel(steps=[Step(step.name, step.event, step.where)], unit=wanted.unit, counting="entries")
        for step in wanted.steps
    ]
    parts = []
    for place, funnel in enumerate(alone):  # each instant is an attempt of a funnel of this step alone
        for part in open_source(events, funnel, extra).journeys(Plan(funnel, tuple(extra)), since, until):
            mask = pa.array(np.full(part.num_rows, 1 << place))
            columns = {"unit": part["unit"], "at_us": part["t_1"].cast(pa.int64()), "mask": mask}
            parts.append(pa.table(columns | {f"extra {name}": part[name] for name in extra}))
    yield pa.concat_tables(parts)


def _ungrouped(part: Grouped, extra: Sequence[str]) -> pa.Table:
    log = np.repeat(np.arange(len(part.units)), np.diff(part.bounds))
    columns = {"unit": part.units.take(pa.array(log)), "at_us": part.at, "mask": part.masks.astype(np.int64)}
    for name, codes, values in zip(extra, part.codes, part.values, strict=True):
        columns[f"extra {name}"] = values.take(pa.array(codes, mask=codes < 0))
    return pa.table(columns)


def _gathered(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the parts, several together."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= _ROWS_AT_ONCE:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _shares(found: pd.DataFrame, rows: pd.DataFrame, labels: list[Any], rules: Rules) -> pd.DataFrame:
    """Return `rows` (one per label) with how many have the label, their share and the median of their `days`."""
    grouped = found.groupby("label")["days"]
    counts = {"numerator": grouped.size().reindex(labels, fill_value=0).to_numpy(), "denominator": len(found)}
    judged = with_rates(rows.join(pd.DataFrame(counts)), rules)
    medians = grouped.median().reindex(labels).to_numpy(dtype=float)
    judged["median_wait_days"] = np.where(judged["reason"] == "", medians, np.nan)
    judged = judged.rename(columns={"numerator": "units", "rate": "share"})
    return judged[[*rows, "units", "denominator", "share", "low", "high", "level", "median_wait_days", "reason"]]
