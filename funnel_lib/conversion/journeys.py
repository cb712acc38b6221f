"""Journeys: how far each unit went, and when. One row per unit, from events of any size and origin."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray

from funnel_lib.conversion.engine.arrow import array, numbers
from funnel_lib.conversion.engine.opening import open_source
from funnel_lib.conversion.engine.plan import FOREVER, MISSING, MOST_BITS, Plan, Touch
from funnel_lib.conversion.engine.source import Source, accepts, meant, microseconds
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, choices
from funnel_lib.periods import Period

_Made = TypeVar("_Made")
UNKNOWN, OTHER, ALL = "unknown", "other", "all"
OWN = (
    "unit", "session", "entry", "depth", "mature_depth", "first_depth", "first_entry", "last_entry", "matured",
    "reached", "mature_reached", "passed", "mature_passed",
)  # fmt: skip
_DENSE = 4
"""Units that are numbers and fill one in so many places of their range, or more, need not be compared."""
BETWEEN = " · "
"""Stands between the values of a group that is made of several columns."""


class UnmatchedStep(UserWarning):
    """A step of the funnel matches no event of the data."""


@dataclass(frozen=True)
class Journeys:
    """How far each unit went.

    `frame` has one row per unit that entered (per attempt where entries are counted: `entry` numbers them; per
    session where those are: `session`), in order of `unit`:

    - `depth` (int8): steps reached by its best chain, counted from 1; `t_1` to `t_K` (UTC, NaT where not
      reached, skipped or not known): that chain's times.
    - `mature_depth` (int8): the same, but only of chains whose window had closed at `as_of`; 0 where the
      unit had none. Rates over units with `mature_depth >= 1` select by entry, never by outcome, so they are
      not biased by the recency of an entry.
    - `first_entry`, `last_entry` (UTC): first and last time in the period at which a chain could start.
      `first_depth` (int8): steps reached by the attempt of `first_entry`: the same time for every unit, whenever
      it came.
    - `matured` (bool): fully converted, or the windows of all its entries have closed.
    - only for funnels with optional steps, or open ones: `reached`, `mature_reached` (int64, bit k-1: step k was
      taken) and `passed`, `mature_passed` (it was taken after the required step before it).
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

    def counts(
        self, by: str | Sequence[str] | None = None, mature_only: bool = False, *, top: int | None = None
    ) -> pd.DataFrame:
        """Return how many units reached each step.

        Parameters
        ----------
        by : column of `frame` to group by, or several at once; a missing value is the group `unknown`. None: one
            group, `all`.
        mature_only : count `mature_depth` instead of `depth`.
        top : the largest groups to tell apart; the rest together are `other`.

        Returns
        -------
        Frame `group, step` (from 1)`, name, units`; groups from the largest to the smallest, then by name. The
        groups add up to the total.

        Raises
        ------
        ConfigError : there is no such column.
        """
        names, reached, _, _ = self._tallied(by, mature_only, top)
        return self._by_step(names, units=reached)

    def passages(
        self, by: str | Sequence[str] | None = None, mature_only: bool = False, *, top: int | None = None
    ) -> pd.DataFrame:
        """Return how many units went on to each step from the one before.

        Returns
        -------
        Frame `group, step, name, units, previous, came, passed, entered`: `previous` is the number of the required
        step before (0 for the first), `came` how many reached that one, `passed` how many of them went on to this
        step, `entered` how many units the group has. In a funnel without optional steps that all enter at the first
        step, `passed` is `units`.
        """
        names, reached, passed, entered = self._tallied(by, mature_only, top)
        before = previous_steps(self.funnel)
        came = np.where(before > 0, reached[:, before - 1], 0)
        return self._by_step(
            names, units=reached, previous=np.tile(before, (len(names), 1)), came=came, passed=passed,
            entered=np.repeat(entered[:, None], len(before), axis=1),
        )  # fmt: skip

    def _tallied(
        self, by: str | Sequence[str] | None, mature_only: bool, top: int | None
    ) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the groups, their units at each step, those that went on to it, and the units of each group."""

        def made() -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
            names, codes = self.groups(by, top=top)
            reached, passed = tally_steps(self.funnel, self.frame, codes, len(names), mature_only=mature_only)
            depth = self.frame["mature_depth" if mature_only else "depth"].to_numpy()
            entered = reached[:, 0] if self.funnel.simple else np.bincount(codes[depth > 0], minlength=len(names))
            return names, reached, passed, entered

        return self.once(("tally", by if by is None or isinstance(by, str) else tuple(by), mature_only, top), made)

    def _by_step(self, names: Sequence[str], **columns: npt.NDArray[Any]) -> pd.DataFrame:
        size = len(self.funnel.steps)
        return pd.DataFrame(
            {
                "group": np.repeat(np.array(names, dtype=object), size),
                "step": np.tile(np.arange(1, size + 1), len(names)),
                "name": self.funnel.names * len(names),
                **{name: values.ravel() for name, values in columns.items()},
            }
        ).astype({"group": "str", "name": "str"})

    def groups(
        self, by: str | Sequence[str] | None, *, top: int | None = None
    ) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Return the groups of one or several columns (largest first, then by name) and each unit's place among them.

        Raises
        ------
        ConfigError : there is no such column.
        """
        asked = [by] if isinstance(by, str) else list(by or [])
        if not asked:
            return [ALL], np.zeros(len(self.frame), dtype=np.int64)
        for name in asked:
            self._check(name)
        names, found = self._named(asked[0])
        codes: npt.NDArray[np.integer[Any]] = found
        for name in asked[1:]:
            more, others = self._named(name)
            pairs, codes = np.unique(codes.astype(np.int64) * len(more) + others, return_inverse=True)
            names = [f"{names[pair // len(more)]}{BETWEEN}{more[pair % len(more)]}" for pair in pairs]
        return ranked_groups(names, codes, top)

    def _check(self, by: str) -> None:
        if by not in self.frame:
            allowed = [name for name in map(str, self.frame) if name not in OWN and not _is_time(name)]
            raise ConfigError(
                f"The journeys have no column {by!r} to group by.", found=by,
                allowed=choices(allowed, by) or "none: the journeys were made without by",
                do="Ask for the column when making the journeys, or define the segment in the workbook.",
            )  # fmt: skip

    def _named(self, by: str) -> tuple[list[str], npt.NDArray[np.unsignedinteger[Any]]]:
        """Return the texts of a column's values and each unit's place among them."""

        def made() -> tuple[list[str], npt.NDArray[np.unsignedinteger[Any]]]:
            codes, values = _factorized(self.frame[by])
            texts = [str(value) for value in values]
            names = sorted({*texts, UNKNOWN} if (codes < 0).any() else set(texts))
            place = {name: index for index, name in enumerate(names)}
            smallest = np.min_scalar_type(len(names))  # they are kept
            places = np.array([*(place[text] for text in texts), place.get(UNKNOWN, 0)], dtype=smallest)
            return names, places[codes]

        return self.once(("groups", by), made)

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """Return what `make` gives, made once for each key: every table of a report needs the same few.

        Parameters
        ----------
        key : all that it depends on beside the journeys themselves.
        make : what it gives must not be changed by anybody.
        """
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]
        return made

    @cached_property
    def _made(self) -> dict[Hashable, Any]:
        return {}

    @property
    def closed_until(self) -> datetime | None:
        """The last entry whose window had closed at `as_of`; None where nothing can be said about that."""
        if not self.window_closed or self.as_of is None or self.funnel.window is None:
            return None
        return self.as_of - self.funnel.window

    def moments(self, column: str) -> npt.NDArray[np.int64]:
        """Return a column of times as microseconds since 1970, UTC; a missing one is the smallest integer."""
        times = pd.DatetimeIndex(self.frame[column])
        return np.asarray((times if times.unit == "us" else times.as_unit("us")).asi8)

    def select(self, mask: npt.NDArray[np.bool_] | pd.Series[bool]) -> Journeys:
        """Return the journeys of the units for which `mask` is true."""
        return replace(self, frame=self.frame[np.asarray(mask, dtype=bool)].reset_index(drop=True))


def journeys(
    events: Any,
    funnel: Funnel,
    *,
    by: Sequence[str] = (),
    touch: Touch = "entry",
    period: Period | None = None,
    as_of: datetime | None = None,
    memory: str | int | None = None,
) -> Journeys:
    """Return how far each unit of `events` went through `funnel`.

    In the default semantics a chain is k distinct events that match steps 1..k at non-decreasing times (events of
    one instant count as in order), the last no later than the window after the first. A unit's journey is its
    deepest chain; among those the one completed first; among those the one that entered last; then the earliest
    steps between. `Funnel` and `presets` say what else there is.

    Parameters
    ----------
    events : DataFrame, Arrow table, DuckDB relation, Ibis table, Spark DataFrame, or the path, paths or glob of
        Parquet, CSV or JSON-lines files. Columns: the funnel's unit (any type; never merged by a hash), `event`,
        `ts` (a time without zone is UTC), and what `where`, `by`, `hold_constant` and sessions name (columns, then
        properties).
    by : columns to bring along from one event; of several at one instant, the smallest value.
    touch : that event: `entry`, the start of the journey that counts; `first` or `last`, the unit's first or last
        entry in the period; or k, its event of step k. For comparing rates between groups use `first`: it does not
        depend on what came after.
    period : only events inside it may start a chain; later steps may lie after its end.
    as_of : what is known: later events are not looked at. Default: the newest event.
    memory : how much memory reading may take, such as `2GB`; what does not fit is spilled to temporary files.

    Raises
    ------
    DataError : the events cannot be read, or lack a column.
    ConfigError : `by` names a column of the journeys' own, `touch` no step, or the funnel has more than 62 steps
        and exclusions.

    Warns
    -----
    UnmatchedStep : a step matches no event of the whole data; it counts zero.
    """
    reading = read(events, funnel, by=by, touch=touch, period=period, as_of=as_of, memory=memory)
    found = pa.concat_tables(reading.parts())
    if found.num_rows and not _ascending(found):
        found = _sorted(found)
    set_aside = reading.source.facts.set_aside  # before looking for absent steps, which may read the whole data
    absent = reading.absent()
    for name, guess in absent.items():
        hint = f" (did you mean the event {guess}?)" if guess else ""
        message = f"The step {name!r} matches no event of the data{hint}; it counts zero."
        warnings.warn(message, UnmatchedStep, stacklevel=2)
    frame = found.to_pandas(split_blocks=True, self_destruct=True)
    return Journeys(funnel, frame, period, reading.known, funnel.window is not None, set_aside, absent)


@dataclass(frozen=True)
class Reading:
    """Events about to be turned into journeys: `parts` yields those of whole units, `absent` is known afterwards."""

    source: Source
    plan: Plan
    period: Period | None
    known: datetime | None
    everything: bool

    def parts(self) -> Iterator[pa.Table]:
        """Yield the journeys part by part; at least one part, which may be empty."""
        return self.source.journeys(self.plan, *self.span)

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment that can matter; None where all rows do."""
        return _span(self.plan.funnel, self.period, self.known, self.everything)

    def absent(self) -> dict[str, str | None]:
        """Return the steps that match nothing in the whole data, each with the event name nearest to theirs."""
        steps, matched = self.plan.funnel.steps, self.source.facts.matched
        empty = [place for place in range(len(steps)) if matched[place] == 0]
        if not empty or self.known is None:
            return {}
        names = self.source.names
        if any(accepts(steps[place], names) for place in empty) and not (self.everything and self.period is None):
            for _ in self.source.journeys(self.plan, None, None):
                pass
            matched = self.source.facts.matched
        never = [steps[place] for place in empty if matched[place] == 0]
        return {step.name: None if accepts(step, names) else meant(step, names) for step in never}


def read(
    events: Any,
    funnel: Funnel,
    *,
    by: Sequence[str] = (),
    touch: Touch = "entry",
    period: Period | None = None,
    as_of: datetime | None = None,
    memory: str | int | None = None,
) -> Reading:
    """Open `events` for reading; arguments and errors are those of `journeys`."""
    refuse_own(by)
    plan = Plan(funnel, tuple(by), touch)
    if plan.bits > MOST_BITS:
        raise ConfigError(
            "This funnel has too many steps and exclusions to be counted.", where="steps", found=plan.bits,
            allowed=f"1 to {MOST_BITS}", do="Leave out steps, or analyse parts of the funnel.",
        )  # fmt: skip
    if isinstance(touch, int) and not 1 <= touch <= len(funnel.steps):
        raise ConfigError(
            "There is no such step to take the columns from.", where="touch", found=touch,
            allowed=f"entry, first, last, or 1 to {len(funnel.steps)}", do="Count steps from 1.",
        )  # fmt: skip
    source = open_source(events, funnel, by, memory=memory)
    known = source.newest if as_of is None else _aware(as_of)
    window, mature_until = funnel.window_us, FOREVER
    if window is not None and known is not None:
        # An entry cut down to the resolution can still meet rows that much later.
        mature_until = microseconds(known) - window - _slack(funnel) // timedelta(microseconds=1) + 1
    plan = replace(
        plan,
        entry_from=MISSING if period is None else microseconds(period.start),
        entry_until=FOREVER if period is None else microseconds(period.end),
        mature_until=mature_until,
    )
    return Reading(source, plan, period, known, as_of is None)


def _span(
    funnel: Funnel, period: Period | None, as_of: datetime | None, everything: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last moment that can matter; None where all rows do."""
    last = None if everything else as_of
    if period is None:
        return None, last
    if funnel.window is None or as_of is None:
        return period.start, last
    return period.start, min(period.end.astimezone(UTC) + funnel.window + _slack(funnel), as_of)


def _slack(funnel: Funnel) -> timedelta:
    """Return how much later than its cut-down time a row may be."""
    resolution = funnel.matching.resolution
    return max(resolution - timedelta(microseconds=1), timedelta(0)) if resolution else timedelta(0)


def previous_steps(funnel: Funnel) -> npt.NDArray[np.int64]:
    """Return, for each step, the number of the required step before it; 0 for the first."""
    found, last = [], 0
    for place, step in enumerate(funnel.steps):
        found.append(last)
        last = last if step.optional else place + 1
    return np.array(found)


def tally_steps(
    funnel: Funnel,
    frame: Mapping[str, Any] | pd.DataFrame,
    codes: npt.NDArray[np.int64],
    groups: int,
    *,
    mature_only: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many units of each group took each step, and how many after the required step before it."""
    size, mature = len(funnel.steps), "mature_" if mature_only else ""
    if funnel.simple:
        depth = np.asarray(frame[f"{mature}depth"])
        cells = codes * (size + 1) + depth if groups > 1 else depth
        exactly = np.bincount(cells, minlength=groups * (size + 1))
        reached = exactly.reshape(groups, size + 1)[:, :0:-1].cumsum(axis=1)[:, ::-1]
        return reached, reached
    reached, passed = (
        np.stack([np.bincount(codes[took >> step & 1 == 1], minlength=groups) for step in range(size)], axis=1)
        for took in (np.asarray(frame[f"{mature}reached"]), np.asarray(frame[f"{mature}passed"]))
    )
    return reached, np.column_stack([reached[:, 0], passed[:, 1:]])


def _factorized(column: pd.Series[Any]) -> tuple[npt.NDArray[np.integer[Any]], Sequence[Any]]:
    """Return each value's place among those that occur, -1 where it is missing, and these: `pd.factorize`, sooner."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = pd.factorize(column)
        return codes, list(values)
    places = column.cat.codes.to_numpy()
    found = np.flatnonzero(np.bincount(places[places >= 0], minlength=len(column.cat.categories)))
    rank = np.full(len(column.cat.categories) + 1, -1, dtype=places.dtype)
    rank[found] = np.arange(len(found))
    return rank[places], list(column.cat.categories[found])


def ranked_groups(
    names: Sequence[str], codes: npt.NDArray[np.integer[Any]], top: int | None
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the groups from the largest to the smallest (those beyond `top` as one, the last), and the new codes."""
    sizes = np.bincount(codes, minlength=len(names))
    order = sorted(range(len(names)), key=lambda place: (-sizes[place], names[place]))
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    found = [names[place] for place in order]
    if top is not None and len(found) > top:
        return [*found[:top], OTHER], np.minimum(rank, top)[codes]
    return found, rank[codes]


def _ascending(found: pa.Table) -> bool:
    """Return whether the units stand in order already: they do within a part."""
    return bool(found.column("unit").num_chunks <= 1)


def _sorted(found: pa.Table) -> pa.Table:
    """Return the journeys in the order of their units, then of their sessions or entries."""
    names = [name for name in ("unit", "session", "entry") if name in found.column_names]
    units = found["unit"]
    if names == ["unit"] and pa.types.is_signed_integer(units.type):
        places = numbers(units.cast(pa.int64()))
        low, span = int(places.min()), int(places.max()) - int(places.min()) + 1
        if span <= _DENSE * len(places):  # counting through takes a fifth of the time that sorting does
            order = np.full(span, -1, dtype=np.int64)
            order[places - low] = np.arange(len(places))
            return found.take(array(order[order >= 0]))
    return found.sort_by([(name, "ascending") for name in names])


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
