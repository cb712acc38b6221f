"""The people of a case: who entered a part of the funnel, and whether they came to its end in time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypedDict

import pandas as pd

from funnel_lib.collection.scope import Scope
from funnel_lib.config import Rules
from funnel_lib.conversion.cohort import cohort
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError


@dataclass(frozen=True)
class People:
    """Units that entered a part of the funnel.

    `frame` has one row per unit: `unit`, `entered` (its first entry, UTC), `converted` (from that entry it
    reached the last step within the window), `closed` (that window has closed), and one column per split.
    Shares of `converted` are of equal age where `closed`.
    """

    journeys: Journeys
    frame: pd.DataFrame

    @property
    def closed(self) -> pd.DataFrame:
        """The units whose window has closed."""
        return self.frame[self.frame["closed"]]


def part(funnel: Funnel, steps: tuple[str, str], within: timedelta) -> Funnel:
    """Return the funnel from one step to a later one, with those between, and a window of its own.

    Raises
    ------
    ConfigError : the funnel reads a snapshot, which has no times.
    """
    if funnel.snapshot is not None:
        raise ConfigError(
            "A case study needs events with times.", where="funnel.snapshot", found=funnel.snapshot,
            allowed="a funnel of events", do="Leave the report case_study out of this workbook.",
        )  # fmt: skip
    first, last = (funnel.names.index(name) for name in steps)
    return replace(funnel, steps=funnel.steps[first : last + 1], window=within)


def enter(scope: Scope, steps: tuple[str, str], within: timedelta) -> People:
    """Return everybody who entered the part of the funnel between `steps` in the scope's period.

    Each unit counts once, by the chains that start at its first entry: the same time for every unit.

    Raises
    ------
    ConfigError : the funnel reads a snapshot, or a step matches no event at all.
    DataError : nobody entered.
    """
    funnel = part(scope.funnel, steps, within)
    workbook = scope.workbook.model_copy(update={"funnel": funnel})
    found = cohort(replace(scope, workbook=workbook, segment="all"))
    frame, last = found.frame, len(funnel.steps)
    entered = frame["first_entry"]
    table = pd.DataFrame(
        {
            "unit": frame["unit"],
            "entered": entered,
            "converted": frame["first_depth"] == last,
            "closed": True if found.as_of is None else entered + within <= found.as_of,
        }
    )
    return People(found, table.join(frame[list(workbook.segments)]))


def count(rows: pd.DataFrame) -> tuple[int, int]:
    """Return (units that converted, units)."""
    return int(rows["converted"].sum()), len(rows)


class Limits(TypedDict):
    """The workbook's rules, as the statistics take them."""

    level: float
    min_units: int
    min_events: int


def limits(rules: Rules) -> Limits:
    """Return the rules as keyword arguments."""
    return {"level": rules.level, "min_units": rules.min_units, "min_events": rules.min_events}
