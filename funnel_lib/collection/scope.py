"""What a report is about: a workbook's data in one period, for one group of people, in one language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

import duckdb
import pandas as pd

from funnel_lib import config
from funnel_lib.collection import quality
from funnel_lib.collection.channels import TITLES as CHANNEL_TITLES
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.definition import Funnel
from funnel_lib.errors import ConfigError, DataError, choices
from funnel_lib.notation import Language, text
from funnel_lib.periods import Period
from funnel_lib.schema import CHANNEL, USER_ID

_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_COMMON: dict[str, dict[Language, str]] = {
    "all": {"en": "Everyone", "zh": "全部"},
    "other": {"en": "Other", "zh": "其他"},
    "unknown": {"en": "Unknown", "zh": "未知"},
}
_NO_DAY = date(1970, 1, 1)
"""The day of a period over data that has no times."""
_MOST_VALUES = 1000


@dataclass(frozen=True)
class Scope:
    """One slice of the collected data; made by `Scope.open`.

    Parameters
    ----------
    workbook : the business.
    store : its collected tables.
    period : only people who enter the funnel in it.
    segment : ``all``, or ``split=group``.
    language : of titles.
    as_of : the instant (UTC) from which the data is looked at; None where the data has no times.
    """

    workbook: Workbook
    store: Store
    period: Period
    segment: str
    language: Language
    as_of: datetime | None

    @classmethod
    def open(
        cls, workbook: str | Path | Workbook, *, period: str = "latest", segment: str = "all", language: str = "en",
        as_of: datetime | str | None = None,
    ) -> Scope:  # fmt: skip
        """Open a slice of a workbook's collected data.

        Parameters
        ----------
        workbook : the workbook, or its file.
        period : ``2026-05``, ``2026-W21``, ``2026-Q2``, ``2026-05-01..2026-05-15``, ``all``, or ``latest``: the newest
            reporting period with data.
        segment : ``all`` or ``split=group``.
        language : ``en`` or ``zh``.
        as_of : an aware time, or ISO text (local time of the business where it names no zone); the time of the
            newest row when None.

        Raises
        ------
        ConfigError : an argument cannot be; says what is allowed.
        DataError : nothing was collected, or the period has no data.
        """
        book = workbook if isinstance(workbook, Workbook) else config.load(workbook)
        if language not in _LANGUAGES:
            raise _wrong("language", language, choices(_LANGUAGES, language))
        store = Store(book.processed)
        facts = store.facts()
        through = facts["data_through"]
        moment = _instant(as_of, book) or (datetime.fromisoformat(through).astimezone(UTC) if through else None)
        days = (
            (date.fromisoformat(facts["first_day"]), date.fromisoformat(facts["last_day"]))
            if facts["first_day"]
            else None
        )
        scope = cls(book, store, _period(book, period, days), segment, language, moment)
        scope._check_segment()
        return scope

    @property
    def funnel(self) -> Funnel:
        """The workbook's funnel."""
        return self.workbook.funnel

    @property
    def events(self) -> Path:
        """The Parquet file of the events; it does not exist where the workbook's sources have none."""
        return self.store.path("events")

    @cached_property
    def users(self) -> pd.DataFrame:
        """All people with their attributes (the whole table, not only the segment)."""
        return self.store.read("users")

    @cached_property
    def checks(self) -> pd.DataFrame:
        """What was checked of the whole data and found (see `quality.checks`)."""
        return quality.checks(self.store, self.workbook)

    @property
    def split_group(self) -> tuple[str, str] | None:
        """Split and group of the segment; None for everybody."""
        split, _, group = self.segment.partition("=")
        return (split, group) if group else None

    @property
    def previous(self) -> Scope | None:
        """The same slice of the previous period, where the data goes back to its first day; else None."""
        first = self.store.facts()["first_day"]
        if self.period.kind == "all" or first is None:
            return None
        before = self.period.previous
        return replace(self, period=before) if date.fromisoformat(first) <= before.first_day else None

    @property
    def provisional(self) -> bool:
        """Whether the numbers may still change: somebody who entered in the period may still convert, or enter."""
        if self.as_of is None:
            return False
        if self.funnel.window is None:
            return self.as_of.astimezone(self.workbook.zone).date() < self.period.last_day
        return self.period.end + self.funnel.window > self.as_of

    def step_title(self, name: str) -> str:
        """Return what readers call the step `name`."""
        step = next((step for step in self.funnel.steps if step.name == name), None)
        return text(step.title, self.language, name) if step is not None else name

    def split_title(self, split: str) -> str:
        """Return what readers call the split `split`."""
        found = self.workbook.segments.get(split)
        return text(found.title, self.language, split) if found is not None else split

    def group_title(self, split: str | None, group: str) -> str:
        """Return what readers call the group `group` of `split`; also of `all`, `other` and `unknown`."""
        found = self.workbook.segments.get(split or "")
        named = found.groups.get(group) if found is not None else None
        title = (named.title if named is not None else None) or (found.titles.get(group) if found is not None else None)
        if title is None and found is not None and found.by == CHANNEL:
            title = CHANNEL_TITLES.get(group)
        return text(title or _COMMON.get(group), self.language, group)

    def group_titles(self, split: str) -> dict[str, str]:
        """Return what readers call the groups of `split` whose names are known; see `group_title`."""
        found = self.workbook.segments[split]
        usual = CHANNEL_TITLES if found.by == CHANNEL else ()
        return {name: self.group_title(split, name) for name in (*usual, *found.groups, *found.titles, *_COMMON)}

    def channel_titles(self) -> dict[str, str]:
        """Return what readers call channels: as the split by channel names them, else by their usual names."""
        split = next((name for name, one in self.workbook.segments.items() if one.by == CHANNEL), None)
        if split is not None:
            return {name: title for name, title in self.group_titles(split).items() if name not in _COMMON}
        return {name: text(title, self.language, name) for name, title in CHANNEL_TITLES.items()}

    def _check_segment(self) -> None:
        if self.segment == "all":
            return
        split, _, group = self.segment.partition("=")
        splits = self.workbook.segments
        if split not in splits or not group:
            known = [
                "all",
                *(f"{name}={title}" for name, s in splits.items() for title in [*s.groups, *s.titles]),
            ]
            raise _wrong("segment", self.segment, f"{choices(known, self.segment)}; in general split=group")
        by = splits[split].by
        groups = [*splits[split].groups] if by is None else self._values(by)
        if groups is not None and group not in (groups := [*groups, *splits[split].titles, "other", "unknown"]):
            raise _wrong(
                "segment",
                self.segment,
                choices((f"{split}={name}" for name in dict.fromkeys(groups)), self.segment),
            )

    def _values(self, column: str) -> list[str] | None:
        """Return the values of a column of users or events; None where they cannot be listed (a property)."""
        for name in ("users", "events", "deals"):
            path = self.store.path(name)
            if not path.is_file():
                continue
            with duckdb.connect() as connection:
                table = connection.read_parquet(str(path))
                if column in table.columns and column != USER_ID:
                    values = table.aggregate(f'"{column}"::VARCHAR AS value, count(*) AS rows').order(
                        "rows DESC, value"
                    )
                    return [str(row[0]) for row in values.limit(_MOST_VALUES).fetchall() if row[0] is not None]
        return None


def _wrong(name: str, found: object, allowed: str) -> ConfigError:
    return ConfigError(f"There is no such {name}.", where=name, found=found, allowed=allowed, do=f"Correct the {name}.")


def _instant(as_of: datetime | str | None, workbook: Workbook) -> datetime | None:
    if as_of is None:
        return None
    try:
        moment = datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    except ValueError as error:
        raise _wrong("as_of", as_of, "a time such as 2026-06-30T18:00:00+08:00, or nothing") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=workbook.zone)).astimezone(UTC)


def _period(workbook: Workbook, name: str, days: tuple[date, date] | None) -> Period:
    if days is None:
        if name not in ("latest", "all"):
            raise _wrong("period", name, "all: this data has no times")
        return workbook.period("all", _NO_DAY, _NO_DAY)
    if name == "latest":
        known = [p for p in workbook.reporting_periods(*days) if p.first_day <= days[1] and p.last_day >= days[0]]
        if not known:
            raise _without_data("latest", days)
        return max(known, key=lambda period: (period.end, period.start))
    found = workbook.period(name, *days)
    if found.last_day < days[0] or found.first_day > days[1]:
        raise _without_data(name, days)
    return found


def _without_data(name: str, days: tuple[date, date]) -> DataError:
    return DataError(
        "There is no data in this period.", where="period", found=name,
        allowed=f"periods within {days[0]} to {days[1]}",
        do="Name a period within these days, correct the workbook's periods, or collect newer exports.",
    )  # fmt: skip
