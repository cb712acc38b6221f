"""Journeys counted once, so that any breakdown over the columns brought along is a matter of milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from funnel_lib.conversion.engine.local import LocalSource
from funnel_lib.conversion.engine.tallying import countable
from funnel_lib.conversion.journeys import OTHER, Journeys, Reading, previous_steps
from funnel_lib.definition import Funnel

UNITS = "units"
_DEPTHS = ("depth", "mature_depth")
_MASKS = ("reached", "mature_reached", "passed", "mature_passed")
_PIECES = 16


@dataclass(frozen=True)
class Tally:
    """How many journeys there are of each kind: enough for counts and rates, not for times.

    `table` has one row for each combination of the columns brought along, of `depth` and `mature_depth`, and of the
    masks of steps where the funnel is not simple; `units` says how many journeys it stands for. `counts`, `passages`
    and `groups` give what those of `Journeys` give.
    """

    funnel: Funnel
    table: pa.Table
    window_closed: bool = False

    def counts(
        self, by: str | Sequence[str] | None = None, mature_only: bool = False, *, top: int | None = None
    ) -> pd.DataFrame:
        """Return how many units reached each step, as `Journeys.counts` does.

        Raises
        ------
        ConfigError : there is no such column.
        """
        return self.passages(by, mature_only, top=top)[["group", "step", "name", "units"]]

    def passages(
        self, by: str | Sequence[str] | None = None, mature_only: bool = False, *, top: int | None = None
    ) -> pd.DataFrame:
        """Return how many units went on to each step from the one before, as `Journeys.passages` does.

        Raises
        ------
        ConfigError : there is no such column.
        """
        names, codes = self.groups(by, top=top)
        before, size = previous_steps(self.funnel), len(self.funnel.steps)
        reached, passed = self._steps(codes, len(names), mature="mature_" if mature_only else "")
        depth = self._frame["mature_depth" if mature_only else "depth"].to_numpy()
        entered = self._sum(codes, len(names), depth > 0)
        return pd.DataFrame(
            {
                "group": np.repeat(np.array(names, dtype=object), size),
                "step": np.tile(np.arange(1, size + 1), len(names)),
                "name": self.funnel.names * len(names),
                "units": reached.ravel(),
                "previous": np.tile(before, len(names)),
                "came": np.where(before > 0, reached[:, before - 1], 0).ravel(),
                "passed": passed.ravel(),
                "entered": np.repeat(entered, size),
            }
        ).astype({"group": "str", "name": "str"})

    def groups(
        self, by: str | Sequence[str] | None, *, top: int | None = None
    ) -> tuple[list[str], npt.NDArray[np.int64]]:
        """Return the groups, largest first, then by name, and each row's place among them.

        Raises
        ------
        ConfigError : there is no such column.
        """
        names, codes = Journeys(self.funnel, self._frame, None, None).groups(by)
        sizes = self._sum(codes, len(names), np.ones(len(codes), dtype=bool))
        order = sorted(range(len(names)), key=lambda place: (-sizes[place], names[place]))
        rank = np.empty(len(names), dtype=np.int64)
        rank[order] = np.arange(len(names))
        found = [names[place] for place in order]
        if top is not None and len(found) > top:
            return [*found[:top], OTHER], np.minimum(rank, top)[codes]
        return found, rank[codes]

    @cached_property
    def _frame(self) -> pd.DataFrame:
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def _steps(
        self, codes: npt.NDArray[np.int64], groups: int, *, mature: str
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return how many units of each group took each step, and how many after the required step before it."""
        steps = range(len(self.funnel.steps))
        if self.funnel.simple:
            depth = self._frame[f"{mature}depth"].to_numpy()
            reached = np.stack([self._sum(codes, groups, depth > step) for step in steps], axis=1)
            return reached, reached
        reached, passed = (
            np.stack([self._sum(codes, groups, took >> step & 1 == 1) for step in steps], axis=1)
            for took in (self._frame[f"{mature}{name}"].to_numpy() for name in ("reached", "passed"))
        )
        return reached, np.column_stack([reached[:, 0], passed[:, 1:]])

    def _sum(self, codes: npt.NDArray[np.int64], groups: int, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return how many units the chosen rows of each group stand for."""
        weights = self._frame[UNITS].to_numpy()[chosen].astype(np.float64)  # exact below 2^53
        return np.bincount(codes[chosen], weights=weights, minlength=groups).astype(np.int64)


def kinds(funnel: Funnel, by: Sequence[str]) -> list[str]:
    """Return the columns of journeys that tell their kind apart."""
    return [*by, *_DEPTHS, *(() if funnel.simple else _MASKS)]


def tallied(parts: Iterable[pa.Table], funnel: Funnel, by: Sequence[str], *, window_closed: bool) -> Tally:
    """Count journeys that come part by part; only one part is held at a time.

    Parameters
    ----------
    parts : tables of journeys, at least one; see `Journeys`.
    by : their further columns.
    """
    pieces: list[pa.Table] = []
    for part in parts:
        pieces.append(condensed(part, kinds(funnel, by)))
        if len(pieces) > _PIECES:
            pieces = [merged(pieces)]
    return Tally(funnel, merged(pieces), window_closed)


def counted(reading: Reading) -> Tally:
    """Count the journeys of a reading; where the source can count without making them, they are not made.

    Raises
    ------
    DataError : the events cannot be read.
    """
    plan, source = reading.plan, reading.source
    closed = plan.funnel.window is not None
    if isinstance(source, LocalSource) and countable(plan):
        return Tally(plan.funnel, merged([source.tally(plan, *reading.span)]), closed)
    return tallied(reading.parts(), plan.funnel, plan.by, window_closed=closed)


def condensed(journeys: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return how many journeys there are of each kind, as one part of a `Tally`'s table."""
    counted = journeys.select(list(names)).group_by(list(names)).aggregate([([], "count_all")])
    return counted.rename_columns([*names, UNITS])


def merged(pieces: Sequence[pa.Table]) -> pa.Table:
    """Return the sum of several parts, in an order that does not depend on theirs."""
    whole = pa.concat_tables(pieces)
    names = [name for name in whole.column_names if name != UNITS]
    summed = whole.group_by(names).aggregate([(UNITS, "sum")]).rename_columns([*names, UNITS])
    return summed.sort_by([(name, "ascending") for name in names]).combine_chunks()
