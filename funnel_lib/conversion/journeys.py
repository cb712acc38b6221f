"""Journeys: how far each unit went, and when. One row per unit, from events of any size and origin."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.extensions import ExtensionArray

from funnel_lib.conversion import kernel
from funnel_lib.conversion.feeder import Events, Feeder, Rows, accepts, feed, microseconds
from funnel_lib.conversion.grouping import group
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, choices, nearest
from funnel_lib.periods import Period

UNKNOWN, ALL = "unknown", "all"
OWN = ("unit", "depth", "mature_depth", "first_depth", "first_entry", "last_entry", "matured")


class UnmatchedStep(UserWarning):
    """A step of the funnel matches no event of the data."""


@dataclass(frozen=True)
class Journeys:
    """How far each unit went.

    `frame` has one row per unit that entered, in order of `unit`:

    - `depth` (int8): steps reached by its best chain, counted from 1; `t_1` to `t_K` (UTC, NaT where not
      reached or not known): that chain's times.
    - `mature_depth` (int8): the same, but only of chains whose window had closed at `as_of`; 0 where the
      unit had none. Rates over units with `mature_depth >= 1` select by entry, never by outcome, so they are
      not biased by the recency of an entry.
    - `first_entry`, `last_entry` (UTC): first and last event of step 1 in the period. `first_depth` (int8):
      steps reached by chains that start at `first_entry`: the same time for every unit, whenever it came.
    - `matured` (bool): fully converted, or the windows of all its entries have closed.
    - one column per `by`, missing where the event has no value.

    `window_closed` is False where nothing can be said about closed windows (no window, or no times);
    `mature_depth` then equals `depth`. `set_aside` counts the rows that could not be used, by reason.
    `absent` names the steps that match nothing in the whole data, each with the event that was perhaps meant.
    `implied` counts the units of a snapshot with an earlier step that is not recorded as reached.
    """

    funnel: Funnel
    frame: pd.DataFrame
    period: Period | None
    as_of: datetime | None
    window_closed: bool = False
    set_aside: Mapping[str, int] = field(default_factory=dict)
    absent: Mapping[str, str | None] = field(default_factory=dict)
    implied: int = 0

    def counts(self, by: str | None = None, mature_only: bool = False) -> pd.DataFrame:
        """Return how many units reached each step.

        Parameters
        ----------
        by : column of `frame` to group by; a missing value is the group `unknown`. None: one group, `all`.
        mature_only : count `mature_depth` instead of `depth`.

        Returns
        -------
        Frame `group, step` (from 1)`, name, units`; groups from the largest to the smallest, then by name.
        The groups add up to the total.

        Raises
        ------
        ConfigError : there is no such column.
        """
        depth = self.frame["mature_depth" if mature_only else "depth"].to_numpy()
        names, codes = self.groups(by)
        size = len(self.funnel.steps)
        exactly = np.bincount(codes * (size + 1) + depth, minlength=len(names) * (size + 1))
        reached = exactly.reshape(len(names), size + 1)[:, :0:-1].cumsum(axis=1)[:, ::-1]
        return pd.DataFrame(
            {
                "group": np.repeat(np.array(names, dtype=object), size),
                "step": np.tile(np.arange(1, size + 1), len(names)),
                "name": self.funnel.names * len(names),
                "units": reached.ravel(),
            }
        ).astype({"group": "str", "name": "str"})

    def groups(self, by: str | None) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Return the groups of column `by` (largest first, then by name) and each unit's place among them.

        Raises
        ------
        ConfigError : there is no such column.
        """
        if by is None:
            return [ALL], np.zeros(len(self.frame), dtype=np.int64)
        if by not in self.frame:
            allowed = [name for name in map(str, self.frame) if name not in OWN and not _is_time(name)]
            raise ConfigError(
                f"The journeys have no column {by!r} to group by.", found=by,
                allowed=choices(allowed, by) or "none: the journeys were made without by",
                do="Ask for the column when making the journeys, or define the segment in the workbook.",
            )  # fmt: skip
        codes, values = pd.factorize(self.frame[by])
        texts = [str(value) for value in values]
        names = sorted({*texts, UNKNOWN} if (codes < 0).any() else set(texts))
        place = {name: index for index, name in enumerate(names)}
        merged = np.array([*(place[text] for text in texts), place.get(UNKNOWN, 0)], dtype=np.int64)[codes]
        order = np.argsort(-np.bincount(merged, minlength=len(names)), kind="stable")
        rank = np.empty(len(names), dtype=np.int64)
        rank[order] = np.arange(len(names))
        return [names[index] for index in order], rank[merged]

    @property
    def closed_until(self) -> datetime | None:
        """The last entry whose window had closed at `as_of`; None where nothing can be said about that."""
        if not self.window_closed or self.as_of is None or self.funnel.window is None:
            return None
        return self.as_of - self.funnel.window

    def moments(self, column: str) -> npt.NDArray[np.int64]:
        """Return a column of times as microseconds since 1970, UTC; a missing one is the smallest integer."""
        return np.asarray(pd.DatetimeIndex(self.frame[column]).as_unit("us").asi8)

    def select(self, mask: npt.NDArray[np.bool_] | pd.Series[bool]) -> Journeys:
        """Return the journeys of the units for which `mask` is true."""
        return replace(self, frame=self.frame[np.asarray(mask, dtype=bool)].reset_index(drop=True))


def journeys(
    events: Events,
    funnel: Funnel,
    *,
    by: Sequence[str] = (),
    touch: Literal["entry", "first"] = "entry",
    period: Period | None = None,
    as_of: datetime | None = None,
) -> Journeys:
    """Return how far each unit of `events` went through `funnel`.

    A chain is k distinct events that match steps 1..k at non-decreasing times (events of one instant count as
    in order), the last no later than the window after the first. A unit's journey is its deepest chain; among
    those the one completed first; among those the one that entered last; then the earliest steps between.

    Parameters
    ----------
    events : DataFrame, Arrow table, DuckDB relation, or the path (or glob) of Parquet, CSV or JSONL files.
        Columns: the funnel's unit (any type; never merged by a hash), `event`, `ts` (a time without zone is
        UTC), and what `where` and `by` name (columns, then properties).
    by : columns to bring along from an entry event; of several at one instant, the smallest value.
    touch : from which event `by` is taken: `entry`, the start of the journey that counts, or `first`, the
        unit's first entry in the period. For comparing rates between groups use `first`: it does not depend
        on what came after.
    period : only events of step 1 inside it may start a chain; later steps may lie after its end.
    as_of : what is known: later events are not looked at. Default: the newest event.

    Raises
    ------
    DataError : the events cannot be read, or lack a column.
    ConfigError : `by` names a column of the journeys' own, or the funnel has more than 62 steps.

    Warns
    -----
    UnmatchedStep : a step matches no event of the whole data; it counts zero.
    """
    refuse_own(by)
    if len(funnel.steps) > kernel.MOST_STEPS:
        raise ConfigError(
            "This funnel has too many steps to be counted.", where="steps", found=len(funnel.steps),
            allowed=f"1 to {kernel.MOST_STEPS}", do="Leave out steps, or analyse parts of the funnel.",
        )  # fmt: skip
    feeder = feed(events, funnel, by)
    known = feeder.newest if as_of is None else _aware(as_of)
    rows = feeder.read(*_span(funnel, period, as_of=known, all_known=as_of is None))
    frame = _frame(rows, funnel, period, known)
    for name, values in _at_entry(rows, frame, "t_1" if touch == "entry" else "first_entry", by).items():
        frame[name] = values
    absent = _absent(feeder, rows, whole=period is None and as_of is None)
    for name, guess in absent.items():
        hint = f" (did you mean the event {guess}?)" if guess else ""
        message = f"The step {name!r} matches no event of the data{hint}; it counts zero."
        warnings.warn(message, UnmatchedStep, stacklevel=2)
    closed = funnel.window is not None
    return Journeys(funnel, frame, period, known, closed, rows.set_aside, absent)


def _span(
    funnel: Funnel, period: Period | None, *, as_of: datetime | None, all_known: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last moment that can matter; None where all rows do."""
    last = None if all_known else as_of
    if period is None:
        return None, last
    if funnel.window is None or as_of is None:
        return period.start, last
    return period.start, min(period.end.astimezone(UTC) + funnel.window, as_of)


def _frame(rows: Rows, funnel: Funnel, period: Period | None, as_of: datetime | None) -> pd.DataFrame:
    """Run the kernel and return its result as a frame, units that entered only."""
    window, mature_until = funnel.window_us, kernel.FOREVER
    if window is not None and as_of is not None:
        mature_until = microseconds(as_of) - window + 1
    settings = kernel.Settings(
        len(funnel.steps),
        -1 if window is None else window,
        kernel.MISSING if period is None else microseconds(period.start),
        kernel.FOREVER if period is None else microseconds(period.end),
        mature_until,
    )
    grouped = group(rows.table)
    found = kernel.measure(grouped.bounds, grouped.at, grouped.masks, settings)
    entered = found.depth > 0
    kept = slice(None) if entered.all() else entered  # a slice costs no copy
    matured = found.depth == settings.size
    if window is not None:
        matured |= found.last_entry < mature_until
    columns = {
        "unit": grouped.units.filter(pa.array(entered)).to_pandas().reset_index(drop=True),
        "depth": found.depth[kept],
        "mature_depth": found.mature_depth[kept],
        "first_depth": found.first_depth[kept],
        **{f"t_{k + 1}": as_times(found.times[k, kept]) for k in range(settings.size)},
        "first_entry": as_times(found.first_entry[kept]),
        "last_entry": as_times(found.last_entry[kept]),
        "matured": matured[kept],
    }
    return pd.DataFrame(columns, copy=False)


def _at_entry(rows: Rows, frame: pd.DataFrame, moment: str, by: Sequence[str]) -> dict[str, Any]:
    """Return the values of `by` at each unit's event of step 1 at the time `moment`."""
    if not by:
        return {}
    first = pc.equal(pc.bit_wise_and(rows.table["mask"], pa.scalar(1, rows.table["mask"].type)), 1)
    seen = rows.table.select(["unit", "at_us", *(f"extra {name}" for name in by)]).filter(first)
    seen = seen.rename_columns(["unit", "at_us", *(f"v{place}" for place in range(len(by)))])
    entries = pa.table(
        {
            "place": np.arange(len(frame)),
            "unit": pa.Table.from_pandas(frame[["unit"]], preserve_index=False)["unit"].cast(seen["unit"].type),
            "at_us": frame[moment].astype("int64").to_numpy(),
        }
    )
    smallest = ", ".join(f"min(v{place}) AS v{place}" for place in range(len(by)))
    with duckdb.connect() as connection:
        connection.register("seen", seen)
        connection.register("entries", entries)
        joined = connection.sql("FROM entries JOIN seen USING (unit, at_us)")
        found = joined.aggregate(f"place, {smallest}", "place").order("place").to_arrow_table()
    return {name: found[f"v{place}"].to_pandas() for place, name in enumerate(by)}


def _absent(feeder: Feeder, rows: Rows, *, whole: bool) -> dict[str, str | None]:
    """Return the steps that match nothing in the whole data, each with the event name nearest to theirs."""
    steps = feeder.funnel.steps
    empty = [place for place in range(len(steps)) if rows.matched(place + 1) == 0]
    if not empty or feeder.newest is None:
        return {}
    if any(accepts(steps[place], feeder.names) for place in empty) and not whole:
        rows = feeder.read()
    never = [steps[place] for place in empty if rows.matched(place + 1) == 0]
    return {step.name: None if accepts(step, feeder.names) else _meant(step, feeder.names) for step in never}


def _meant(step: Step, names: Sequence[str]) -> str | None:
    return next((near for name in step.events if (near := nearest(name, names))), None)


def refuse_own(by: Sequence[str]) -> None:
    """Refuse columns to bring along that are called like one of the journeys' own.

    Raises
    ------
    ConfigError : there is one.
    """
    taken = next((name for name in by if name in OWN or _is_time(name)), None)
    if taken is not None:
        raise ConfigError(
            "A column of the journeys' own cannot be brought along.", where="by", found=taken,
            allowed="other names", do="Rename the column.",
        )  # fmt: skip


def as_times(moments: npt.NDArray[np.int64]) -> ExtensionArray:
    """Return microseconds since 1970 as times (UTC); the kernel's mark for a missing one is pandas' own."""
    return pd.array(moments, dtype="datetime64[us, UTC]", copy=False)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_time(name: str) -> bool:
    return name.startswith("t_") and name[2:].isdigit()
