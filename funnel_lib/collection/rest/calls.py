"""What is asked of an interface: a slice of a stream, and the call for it. Nothing here needs dlt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from funnel_lib.errors import ConfigError, choices

Row = dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """What is asked for.

    Parameters
    ----------
    options : the system's parameters that the workbook gives, such as an account's number.
    first, last : the days of the slice, both included; of a whole stream the days since the workbook's `since`.
    since : rows changed at or after this instant (UTC); None asks for all.
    parent : the row whose rows are asked for, of a stream that belongs to another.
    lookups : the rows of streams that only explain others.
    """

    options: Mapping[str, str]
    first: date
    last: date
    since: datetime | None = None
    parent: Mapping[str, Any] = field(default_factory=dict)
    lookups: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    def option(self, name: str, default: str | None = None) -> str:
        """Return an option of the workbook.

        Raises
        ------
        ConfigError : it is not given and has no default.
        """
        value = self.options.get(name, default)
        if value is None:
            raise ConfigError(
                f"The interface needs the option {name!r}.", where="api.options", found=choices(self.options) or "none",
                allowed=f"{name}: VALUE", do="Add it to the source's api.options in the workbook.",
            )  # fmt: skip
        return value

    def listed(self, name: str, default: str) -> list[str]:
        """Return an option that holds several names, divided by commas."""
        return [part.strip() for part in self.option(name, default).split(",") if part.strip()]

    @property
    def since_ms(self) -> int:
        """`since` in milliseconds since 1970, UTC; zero asks for all."""
        return round(self.since.timestamp() * 1000) if self.since else 0


@dataclass(frozen=True)
class Request:
    """One call. `path` is relative to the server; `form` is sent form-encoded, `json` as JSON."""

    path: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def member(row: Mapping[str, Any], name: str) -> Any:
    """Return ``row[name]``; a dotted name looks into objects within objects; None where there is nothing."""
    if name in row:
        return row[name]
    found: Any = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
