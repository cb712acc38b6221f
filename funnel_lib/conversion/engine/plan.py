"""What must be known to turn rows into journeys: the same for every feeder, small enough to be sent to a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from funnel_lib.definition import Funnel

MISSING = -(2**63)
FOREVER = 2**63 - 1
MOST_BITS = 62
Touch: TypeAlias = Literal["entry", "first", "last"] | int


@dataclass(frozen=True)
class Plan:
    """A funnel, the range of its entries and the columns to bring along.

    Parameters
    ----------
    funnel : what is counted.
    by : columns (or properties) to bring along from one event of each journey.
    touch : that event: the `entry` of the attempt that counts, the unit's `first` or `last` entry, or step k
        (counted from 1) of the attempt that counts.
    entry_from, entry_until : half open range of times at which a chain may start; microseconds since 1970, UTC.
    mature_until : entries before it have a closed window.
    """

    funnel: Funnel
    by: tuple[str, ...] = ()
    touch: Touch = "entry"
    entry_from: int = MISSING
    entry_until: int = FOREVER
    mature_until: int = FOREVER

    @property
    def whole_logs(self) -> bool:
        """Whether rows that match neither a step nor an exclusion are needed too."""
        return self.funnel.order == "strict" or self.funnel.session_gap is not None

    @property
    def bits(self) -> int:
        """The number of bits in a row's mask: one per step, then one per exclusion."""
        return len(self.funnel.steps) + len(self.funnel.exclusions)
