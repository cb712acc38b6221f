"""What every feeder offers, whatever it reads from: journeys of whole units, part by part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pyarrow as pa

from funnel_lib.conversion.engine.plan import Plan
from funnel_lib.definition import Step
from funnel_lib.errors import nearest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    """What was met on the way: rows set aside, by reason, and how many rows matched each step."""

    set_aside: dict[str, int] = field(default_factory=dict)
    matched: list[int] = field(default_factory=list)


class Source(Protocol):
    """Events ready to be read for one funnel.

    `newest` is the newest time of any event, None where there is none; `names` are all event names, sorted.
    """

    @property
    def newest(self) -> datetime | None: ...  # noqa: D102

    @property
    def names(self) -> list[str]: ...  # noqa: D102

    @property
    def facts(self) -> Facts:
        """What was met while reading; complete when `journeys` has come to its end."""

    def journeys(self, plan: Plan, since: datetime | None, until: datetime | None) -> Iterator[pa.Table]:
        """Yield the journeys of whole units, as `follow` describes them, from the rows of a span of time.

        `since` and `until` (both included) only say which rows can matter.
        """


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970, UTC; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def accepts(step: Step, names: Collection[str]) -> bool:
    """Return whether any of the event names in the data can be this step."""
    return not step.events or any(name in names for name in step.events)


def meant(step: Step, names: Sequence[str]) -> str | None:
    """Return the event name nearest to one of the step's, None where none is near."""
    return next((near for name in step.events if (near := nearest(name, names))), None)
