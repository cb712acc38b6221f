"""What can go wrong, said so that the reader knows what to do next.

Every error that a user can cause is a `FunnelError`; its message holds what happened, where, what was
found, what is allowed and what to do. The exit codes are those of the command `funnel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FunnelError(Exception):
    """Base of all errors shown to users.

    Parameters
    ----------
    what : one sentence saying what happened.
    where : file, and inside it the key path, row or column.
    found : the value that was found.
    allowed : what would have been accepted.
    do : the next action.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: object = None, found: object = None, allowed: object = None, do: str | None = None
    ) -> None:
        self.what, self.where, self.found, self.allowed, self.do = what, where, found, allowed, do
        super().__init__(what)

    def __str__(self) -> str:
        """Return the message, one line for each part that is known."""
        parts = [("where", self.where), ("found", self.found), ("allowed", self.allowed), ("do", self.do)]
        return "\n".join([self.what, *(f"  {name + ':':<9}{value}" for name, value in parts if value is not None)])

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way from a worker process (keyword arguments would be lost otherwise)."""
        return (_rebuild, (type(self), self.what, self.where, self.found, self.allowed, self.do))


class ConfigError(FunnelError):
    """The workbook, or an argument, asks for something that cannot be."""


class DataError(FunnelError):
    """The data is missing, unreadable or not good enough to publish."""

    exit_code = 2


class NothingToDo(FunnelError):  # noqa: N818 - reads as the outcome that it is
    """The command had nothing to do."""

    exit_code = 3


def _rebuild(
    kind: type[FunnelError], what: str, where: object, found: object, allowed: object, do: str | None
) -> FunnelError:
    return kind(what, where=where, found=found, allowed=allowed, do=do)


def nearest(name: object, names: Iterable[str]) -> str | None:
    """Return the name among `names` that `name` was probably meant to be, or None.

    >>> nearest("timezon", ["timezone", "title"])
    'timezone'
    """
    close = get_close_matches(str(name), list(names), n=1, cutoff=0.6)
    return close[0] if close else None


def choices(names: Iterable[str], found: object = None) -> str:
    """Return the allowed names as one line, the nearest to `found` pointed out.

    >>> choices(["month", "week"], "weak")
    'month, week (did you mean week?)'
    """
    listed = list(names)
    guess = nearest(found, listed) if found is not None else None
    return ", ".join(listed) + (f" (did you mean {guess}?)" if guess else "")
