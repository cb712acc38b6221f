"""How long each unit took from one step to another, or has been under way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.conversion.durations.lifetable import Bools, Ints, LifeTable
from funnel_lib.conversion.journeys import Journeys
from funnel_lib.errors import ConfigError

By = str | Sequence[str] | None
DAY_US = 86_400_000_000
NOT_KNOWN = int(np.iinfo(np.int64).min)
_QUARTER_HOUR_US = 900_000_000
_FEW = 1000
"""Moments that are looked at first: exact times are told from dates by the first of them."""
ALL_BUT = 0.999
"""A day of which more than this is known is known in full."""


@dataclass(frozen=True)
class Clock:
    """In what lengths are counted: microseconds, or whole days of the zone in whose midnights the times lie."""

    dates: tzinfo | None

    @classmethod
    def of(cls, begun: Ints, ended: Ints, zone: tzinfo) -> Clock:
        """Return days where all starts, or all ends, are midnights (UTC or in `zone`), so that they are dates."""
        for moments in (begun, ended):
            if len(moments) == 0 or any((part % _QUARTER_HOUR_US).any() for part in (moments[:_FEW], moments)):
                continue
            for candidate in (UTC, zone):
                if not (_wall(moments, candidate) % DAY_US).any():
                    return cls(candidate)
        return cls(None)

    @property
    def tick(self) -> int:
        """Microseconds of what is counted."""
        return 1 if self.dates is None else DAY_US

    def ticks(self, moments: npt.ArrayLike) -> Ints:
        """Return the days, or microseconds, since 1970."""
        given = np.asarray(moments, dtype=np.int64)
        return given if self.dates is None else _wall(given, self.dates) // DAY_US

    def last_day(self, known: int) -> float:
        """Return the share of the last day that had passed at `known`; at a midnight nobody knows: one half.

        Of exact times it is 1: the question does not arise.
        """
        if self.dates is None or known == NOT_KNOWN:
            return 1.0
        return float(_wall(np.array(known), self.dates)) % DAY_US / DAY_US or 0.5


def _wall(moments: Ints, zone: tzinfo) -> Ints:
    """Return what a clock on the wall showed at each moment, as if it were UTC."""
    if zone is UTC:
        return moments
    aware = pd.DatetimeIndex(pd.array(np.atleast_1d(moments), dtype="datetime64[us, UTC]")).tz_convert(zone)
    return np.asarray(aware.tz_localize(None).as_unit("us").asi8).reshape(moments.shape)


@dataclass(frozen=True)
class Spells:
    """How long units took from one step to another, or have not taken yet.

    Lengths are counted in ticks: microseconds, or whole days where the data holds dates only.

    - `names`: the groups; `codes`: each unit's place among them.
    - `length`: ticks until the end came (`ended`), else until the data ends.
    - `followed`: ticks from the unit's start until the data ends, whatever it did; `known`: that end, in ticks
      since 1970.
    - `clock`: what a tick is. `last_day`: the share of the data's last day that is in the data (1 where
      times are exact, so that the question does not arise).
    - `horizon`: ticks of the funnel's window; None: unbounded.
    - `set_aside`, `untimed`: per group, the units with an end before their start, and those that got there
      at an unknown time.
    """

    names: list[str]
    codes: Ints
    length: Ints
    ended: Bools
    followed: Ints
    known: int
    clock: Clock
    last_day: float
    horizon: int | None
    set_aside: Ints
    untimed: Ints

    @property
    def tick(self) -> int:
        """Microseconds of a tick."""
        return self.clock.tick

    @property
    def method(self) -> str:
        """How rates are told from the spells: by exact times, or by days with the life table's correction."""
        return "kaplan_meier" if self.tick == 1 else "life_table"

    @property
    def fully(self) -> Ints:
        """The ticks for which units were followed without gap: a last day that is known in part does not count."""
        return self.followed - self.gap if self.gap else self.followed

    @property
    def gap(self) -> int:
        """1 where the last tick is known in part only, else 0."""
        return int(self.last_day < ALL_BUT)

    @property
    def ticks_per_day(self) -> int:
        """The number of ticks in a day."""
        return DAY_US // self.tick

    def groups(self) -> Iterator[Group]:
        """Yield the groups in order of `names`."""
        for place, (name, part) in enumerate(zip(self.names, self._parts, strict=True)):
            yield Group(name, self, *part, place)

    @cached_property
    def _parts(self) -> list[tuple[Ints, Bools, Ints]]:
        """The lengths, ends and times followed of each group."""
        whole = self.length, self.ended, self.followed
        if len(self.names) == 1:
            return [whole]
        places = self.codes.astype(np.min_scalar_type(len(self.names)))
        order = np.argsort(places, kind="stable")
        ends = np.bincount(self.codes, minlength=len(self.names)).cumsum()
        parts = np.split(order, ends)[: len(self.names)]
        return [(whole[0][rows], whole[1][rows], whole[2][rows]) for rows in parts]

    @cached_property
    def tables(self) -> dict[tuple[int, int], LifeTable]:
        """The life tables that were asked for, by the place and the size of their group."""
        return {}


@dataclass(frozen=True)
class Group:
    """The spells of one group; see `Spells`."""

    name: str
    spells: Spells
    length: Ints
    ended: Bools
    followed: Ints
    place: int

    @property
    def fully(self) -> Ints:
        """The ticks for which units were followed without gap: a last day that is known in part does not count."""
        return self.followed - self.spells.gap if self.spells.gap else self.followed

    @property
    def set_aside(self) -> int:
        """Units left out because their end lies before their start."""
        return int(self.spells.set_aside[self.place])

    @property
    def untimed(self) -> bool:
        """Whether some unit got there, but nobody knows when."""
        return bool(self.spells.untimed[self.place])

    @property
    def table(self) -> LifeTable:
        """The group's life table."""
        key = self.place, len(self.length)  # all groups together stand at the first one's place
        if key not in self.spells.tables:
            self.spells.tables[key] = LifeTable.of(self.length, self.ended, self.spells.last_day)
        return self.spells.tables[key]

    def observed_until(self, units: int) -> int:
        """Return the ticks for which `enough` units were followed, at most the window; -1: never."""
        last = followed_by(self.followed, enough(units, len(self.followed)))
        return last if self.spells.horizon is None else min(last, self.spells.horizon)


def enough(units: int, total: int) -> int:
    """Return how many of `total` units have to be followed for as long as something is told about.

    At least `units`, and `units / 10` times the root of the total (3 √n by the usual rules). The more units there
    are, the narrower is the interval; if then only a few were followed to the end, and nothing happened to
    them, it stays narrow where nothing was there to be seen.
    """
    return max(units, math.ceil(units / 10 * math.sqrt(total)))


def followed_by(followed: Ints, units: int) -> int:
    """Return the longest time for which so many units were followed; -1: there are fewer."""
    return int(np.partition(followed, -units)[-units]) if 0 < units <= len(followed) else -1


def spells(
    journeys: Journeys,
    by: By,
    *,
    start: int = 1,
    end: int | None = None,
    whole_days: bool | None = None,
    keep: bool = True,
) -> Spells:
    """Return how long each unit took from one step to another, or has been under way.

    A unit's clock starts at its first entry into the funnel (a later step: when its best chain got there).
    All units have the same time then: an end later than one window after the start does not count. Nothing
    is selected by what came after.

    Parameters
    ----------
    journeys : see `Journeys`.
    by : column to group by, or several; None: one group, `all`.
    start, end : the two steps, counted from 1; `end` is the last step unless given.
    whole_days : whether the times are days only; None: they are where each start, or each end, is a midnight
        (UTC or in the period's time zone).
    keep : whether to keep them for whoever asks again; they take 25 bytes a unit and more.

    Raises
    ------
    ConfigError : there is no such column, or the steps are not two of the funnel in order.
    """
    last = _last(journeys, start, end)
    if not keep:
        return _counted(journeys, by, start, last, whole_days)
    key = ("spells", by if by is None or isinstance(by, str) else tuple(by), start, last, whole_days)
    return journeys.once(key, lambda: _counted(journeys, by, start, last, whole_days))


def _counted(journeys: Journeys, by: By, start: int, last: int, whole_days: bool | None) -> Spells:
    """Return the spells between two steps; see `spells`."""
    names, codes = journeys.groups(by)
    begun, ended = reached(journeys, start), reached(journeys, last)
    depth = journeys.frame["depth"].to_numpy()
    simple = journeys.funnel.simple
    inside = depth >= start if simple else begun != NOT_KNOWN
    arrived = depth >= last if simple else ended != NOT_KNOWN
    known = NOT_KNOWN if journeys.as_of is None else moment(journeys.as_of)
    untimed = inside & ((begun == NOT_KNOWN) | (arrived & (ended == NOT_KNOWN)) | (known == NOT_KNOWN))
    kept, arrived = inside & ~untimed, arrived & (ended <= known)
    everybody = bool(kept.all())
    clock = _clock(begun if everybody else begun[kept], ended[kept & arrived], zone_of(journeys), whole_days)
    last_day, now = clock.last_day(known), int(clock.ticks(known))
    begun, ended = clock.ticks(begun), clock.ticks(np.where(arrived, ended, known))
    wrong = kept & (ended < begun)  # or begun after the end of the data
    counted = [np.bincount(codes[part], minlength=len(names)) for part in (wrong, untimed)]
    if not everybody or wrong.any():
        rows = kept & ~wrong
        codes, begun, ended, arrived = codes[rows], begun[rows], ended[rows], arrived[rows]
    window = journeys.funnel.window_us
    horizon = None if window is None else window // clock.tick
    length, followed = ended - begun, now - begun
    if horizon is not None:
        late = arrived & (length > horizon)
        if late.any():
            arrived, length = arrived & ~late, np.where(late, followed, length)
    return Spells(names, codes, length, arrived, followed, now, clock, last_day, horizon, counted[0], counted[1])


def _clock(begun: Ints, ended: Ints, zone: tzinfo, whole_days: bool | None) -> Clock:
    return Clock.of(begun, ended, zone) if whole_days is None else Clock(zone if whole_days else None)


def zone_of(journeys: Journeys) -> tzinfo:
    """Return the business time zone: that of the period, else UTC."""
    return UTC if journeys.period is None else journeys.period.start.tzinfo or UTC


def reached(journeys: Journeys, step: int) -> Ints:
    """Return when each unit got to a step, in microseconds since 1970: step 1 is its first entry.

    Where steps may come out of sequence, a step is reached once all before it are.
    """
    funnel = journeys.funnel
    if step == 1 and not funnel.open:
        return journeys.moments("first_entry")
    if funnel.order == "any" or funnel.matching.grace:
        together = np.stack([journeys.moments(f"t_{number}") for number in range(1, step + 1)])
        return np.where(together[-1] == NOT_KNOWN, NOT_KNOWN, together.max(axis=0))
    return journeys.moments(f"t_{step}")


def moment(at: datetime) -> int:
    """Return a moment as microseconds since 1970; without a zone it is UTC."""
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _last(journeys: Journeys, start: int, end: int | None) -> int:
    size = len(journeys.funnel.steps)
    last = size if end is None else end
    if not 1 <= start < last <= size:
        raise ConfigError(
            "The time between these steps cannot be told.", where="start, end", found=f"{start}, {last}",
            allowed=f"two steps from 1 to {size}, the later one second",
        )  # fmt: skip
    return last
