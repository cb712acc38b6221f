"""The rules on the way in: text to canonical columns, and which rows are set aside for which reason.

Every rule is named in `batch.REASONS`. A row breaks at most one: the first that finds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd

from funnel_lib.collection import channels, linking, members, screening
from funnel_lib.collection.batch import INTERNAL, ROW, Batch, Sieve, rejected
from funnel_lib.collection.files import Export
from funnel_lib.collection.keys import CLICKS
from funnel_lib.collection.pages import Page
from funnel_lib.collection.values import PERSONAL, days, is_time_name, masked, numbers, times
from funnel_lib.conditions import meets
from funnel_lib.config import Cleaning, Source, start_of
from funnel_lib.schema import CHANNEL, EVENT_ID, FIRST_SEEN, PROPERTIES, SOURCE, TABLES, TS, USER_ID, Kind, table

TEST = "_test"
"""Marks people of `Cleaning.test_accounts`, judged before personal data is dropped."""
AGENTS = ("browser", "user_agent")
TRAITS: Mapping[str, str] = {
    "utm_source": "source", "utm_medium": "medium", "utm_campaign": "campaign", "referrer": "referrer",
    "landing_page": "landing", **{name: name for name in CLICKS},
}  # fmt: skip
"""Columns of events that tell where a visit came from, and what the rules of channels call each."""
MAIN_TIME: Mapping[str, str] = {
    "events": TS, "users": FIRST_SEEN, "deals": "created", "stage_history": "entered_at", "spend": "date",
    "surveys": TS, "exposures": TS,
}  # fmt: skip
"""The column that says when a row happened (deals, for instance, also have times that lie ahead)."""
_AFTER_ALL = pd.Timestamp(datetime(2100, 1, 1, tzinfo=UTC))
_IDS = frozenset([USER_ID, EVENT_ID, "record_id", "response_id", "unit_id"])
_ROUNDED = r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{2}"
_STATUSES = ("open", "won", "lost")
_ORDERS: Mapping[str, Mapping[str, str]] = {"deals": {"closed": "created"}, "stage_history": {"left_at": "entered_at"}}
"""Times that cannot lie before another, whatever the source."""
Mask = npt.NDArray[np.bool_]


def batch(page: Page, table_name: str, export: Export) -> Batch:
    """Turn a page of text cells (columns with canonical names) into a checked batch of `table_name`.

    Addresses, numbers, click ids and ids of other systems (`linking.names`) become links between ids; a row without
    a `user_id` goes under the best of them. Events without a channel get it from their `TRAITS`.
    """
    keys = linking.keys(page.rows, export)
    rows, owner = linking.owned(page.rows, table_name, keys, export)
    traits = (
        _traits(rows, export.source)
        if table_name == "events" and CHANNEL not in {*rows, *export.source.constants}
        else None
    )
    if traits is not None:
        rows = rows.assign(**{CHANNEL: channels.classify(traits, channels.known(tuple(export.workbook.channels)))})
    sieve = canonical(rows, table_name, export)
    agents = tuple(rows[name] for name in AGENTS if name in rows and table_name == "events")
    received = _received(rows, export) if table_name == "events" else None
    screen(sieve, table_name, export, agents=agents, received=received)
    stays = sieve.open
    kept, aside = sieve.split()
    held = {kind: [ids[stays].reset_index(drop=True) for ids in columns] for kind, columns in keys.items()}
    found = linking.links(kept, held, owner[stays], MAIN_TIME.get(table_name), export)
    kept = people(kept, export.workbook.cleaning) if table_name == "users" else _public(kept, table_name, export)
    return Batch(
        table_name, kept, rejected(pd.concat([page.aside, aside])), {page.file: page.read}, page.merged,
        {"identities": found} if len(found) else {}, _late(sieve, received, page.file, export),
        unclassified={} if traits is None else channels.unclassified(traits[stays], rows.loc[stays, CHANNEL]),
        columns={page.file: page.columns} if page.columns else {},
    )  # fmt: skip


def _received(rows: pd.DataFrame, export: Export) -> pd.Series[Any] | None:
    """Return when the system took each event in; None where it does not tell."""
    if screening.RECEIVED not in rows:
        return None
    text = tidy(rows[screening.RECEIVED].astype("str"), export.source, screening.RECEIVED)
    return times(text, export.zone, date_format=export.source.date_format)


def _late(sieve: Sieve, received: pd.Series[Any] | None, file: str, export: Export) -> dict[tuple[str, str], int]:
    found = 0 if received is None else int((screening.late(sieve.rows, received, export) & sieve.open).sum())
    return {(file, "late"): found} if found else {}


def _public(kept: pd.DataFrame, table_name: str, export: Export) -> pd.DataFrame:
    """Return the rows without what must not be kept, or has no place in the table."""
    spec = table(table_name)
    other = set() if spec.open else linking.names(export) - {*spec.columns}
    shown = kept.drop(columns=[name for name in kept if name in PERSONAL or name in other])
    return shown.assign(comment=masked(shown["comment"])) if "comment" in shown else shown


def _traits(rows: pd.DataFrame, source: Source) -> pd.DataFrame | None:
    """Return what the rows tell of where a visit came from; None where they have no column for it."""
    found = {
        name: tidy(rows[column].astype("str"), source, column) for column, name in TRAITS.items() if column in rows
    }
    return pd.DataFrame(found) if found else None


def canonical(rows: pd.DataFrame, table_name: str, export: Export) -> Sieve:
    """Convert text columns to the kinds of the canonical table; rows with an unreadable value are set aside.

    Columns that the table does not know become text attributes, times where their name ends in ``_at`` or
    ``_date``; in `events` they become members of `properties`. The source's constants are added.
    """
    source = export.source
    names = [name for name in rows if name not in INTERNAL]
    texts = {str(name): tidy(rows[name], source, str(name)) for name in names}
    columns: dict[str, pd.Series[Any]] = {}
    unreadable: list[tuple[Mask, str, str, pd.Series[Any]]] = []
    for name, text in texts.items():
        kind = kind_of(table_name, name)
        columns[name] = convert(text, kind, export)
        lost = (text.notna() & columns[name].isna()).to_numpy(dtype=bool)
        thing = "number" if kind in ("number", "count") else "time"
        unreadable.append(
            (lost, f"unreadable_{thing}", f"{name} is not a {thing} that can be read without guessing", text)
        )
    for name, value in source.constants.items():
        constant = pd.Series([str(value)] * len(rows), index=rows.index, dtype="str")
        columns[name] = convert(constant, kind_of(table_name, name), export)
    if table_name == "events":
        columns = _event_columns(columns, rows, export)
    sieve = Sieve(pd.DataFrame({**columns, **{name: rows[name] for name in INTERNAL}}))
    for lost, rule, reason, text in unreadable:
        sieve.reject(lost, rule, reason, text)
    return sieve


def tidy(text: pd.Series[Any], source: Source, name: str) -> pd.Series[Any]:
    """Trim a text column, turn what means “no value” into missing, rewrite values as the source says."""
    trimmed = text.str.strip()
    trimmed = trimmed.mask(trimmed.isin(["", *(word.strip() for word in source.missing)]))
    mapping = source.values.get(name)  # noqa: PD011 - a workbook's section, no frame
    return (
        trimmed
        if mapping is None
        else trimmed.map(lambda value: mapping.get(value, value), na_action="ignore").astype("str")
    )


def kind_of(table_name: str, name: str) -> Kind:
    """Return the kind of a column; attributes are texts, or times where the name says so."""
    column = table(table_name).columns.get(name)
    if column is not None:
        return column.kind
    return "time" if table_name != "events" and is_time_name(name) else "text"


def convert(text: pd.Series[Any], kind: Kind, export: Export) -> pd.Series[Any]:
    """Read a text column as `kind`; missing where it is missing or unreadable (counts stay float64)."""
    if kind == "text":
        return text
    if kind in ("number", "count"):
        found = numbers(text)
        return found.where((found % 1 == 0) & (found.abs() < 2**53)) if kind == "count" else found
    read = times(text, export.zone, date_format=export.source.date_format)
    return days(read, export.zone) if kind == "date" else read


def screen(
    sieve: Sieve, table_name: str, export: Export, *, agents: tuple[pd.Series[Any], ...] = (),
    received: pd.Series[Any] | None = None,
) -> None:  # fmt: skip
    """Apply the rules on single rows: missing values, ids, status, score, time limits and order, bots.

    Parameters
    ----------
    sieve : rows with canonical columns; broken ones are set aside.
    agents : browsers or user agents, one text per row, looked through for the words of `Cleaning.bots`.
    received : when the system took each event in, where it tells.
    """
    rows, cleaning = sieve.rows, export.workbook.cleaning
    for name, column in table(table_name).columns.items():
        if name in rows and name != SOURCE and column.required and not column.nullable:  # the workbook's, if empty
            sieve.reject(rows[name].isna(), "missing_value", f"The column {name} is empty.")
        if name in rows and name in _IDS:
            texts = rows[name].astype("str")
            sieve.reject(
                texts.str.fullmatch(_ROUNDED).fillna(value=False),
                "rounded_id",
                f"{name} was rounded by a spreadsheet",
                texts,
            )
    if table_name == "deals":
        sieve.reject(
            ~rows["status"].isin(_STATUSES),
            "unknown_status",
            "The status is none of open, won, lost",
            rows["status"],
        )
    if table_name == "surveys" and "score" in rows:
        sieve.reject(
            ~rows["score"].between(0, 10) & rows["score"].notna(),
            "score_range",
            "The score lies outside 0 to 10",
            rows["score"],
        )
    _time_limits(sieve, table_name, export)
    for later, earlier in {**export.source.not_before, **_ORDERS.get(table_name, {})}.items():
        if later in rows and earlier in rows:
            mask = before(rows[later], rows[earlier], export.zone)
            sieve.reject(mask, "not_before", f"{later} lies before {earlier}", rows[later])
    words = "|".join(re.escape(word) for word in cleaning.bots)
    for agent in agents if words else ():
        found = agent.str.contains(words, case=False, regex=True).fillna(value=False)
        sieve.reject(found, "bot", "The browser is that of a machine", agent)
    if table_name == "events":
        screening.events(sieve, export, received)


def before(later: pd.Series[Any], earlier: pd.Series[Any], zone: ZoneInfo) -> Mask:
    """Tell where `later` lies before `earlier`; a midnight of `zone` stands for its whole day.

    Sources often give one of the two times as a day only: that day is not earlier than an hour of it.
    """
    whole_day = later.dt.tz_convert(zone).dt.normalize() == later.dt.tz_convert(zone)
    end = later.where(~whole_day, later + pd.Timedelta(days=1) - pd.Timedelta(microseconds=1))
    return cast(Mask, (end < earlier).to_numpy(dtype=bool))


def people(users: pd.DataFrame, cleaning: Cleaning) -> pd.DataFrame:
    """Mark test accounts (column `TEST`), then drop the columns that identify a person.

    Accounts are judged where the rows have all columns that the conditions name; elsewhere nobody is marked.
    """
    where = cleaning.test_accounts
    judged = bool(where) and all(name in users for name in where)
    marks = meets(users, where) if judged else np.zeros(len(users), dtype=bool)
    return users.drop(columns=[name for name in users if name in PERSONAL]).assign(**{TEST: marks})


def _time_limits(sieve: Sieve, table_name: str, export: Export) -> None:
    first = pd.Timestamp(start_of(export.workbook.cleaning.earliest, export.zone))
    for name in [str(name) for name in sieve.rows if str(name) != "expected_close"]:
        known = table(table_name).columns.get(name)
        kind = kind_of(table_name, name)
        if kind not in ("time", "date") or name in INTERNAL:
            continue
        values = sieve.rows[name]
        instants = values.dt.tz_localize("UTC") if kind == "date" else values
        # Attributes may well be older than the business: dates of birth are.
        if known is not None:
            limit = first.tz_localize(None).tz_localize("UTC") if kind == "date" else first
            sieve.reject(instants < limit, "ancient", f"{name} lies before {export.workbook.cleaning.earliest}", values)
        sieve.reject(instants >= _AFTER_ALL, "future", f"{name} is a placeholder", values)


def _event_columns(columns: dict[str, pd.Series[Any]], rows: pd.DataFrame, export: Export) -> dict[str, pd.Series[Any]]:
    """Add what every event has, and gather columns that the table does not know in `properties`.

    Columns called `_…` are the reader's own and stay as they are.
    """
    known = TABLES["events"].columns
    extra = [name for name in columns if name not in known and name not in PERSONAL and name[0] != "_"]
    events = {name: column for name, column in columns.items() if name in known or name[0] == "_"}
    events[SOURCE] = pd.Series([export.name] * len(rows), index=rows.index, dtype="str")
    if EVENT_ID not in events:
        ids = [f"{export.name}-{value:016x}" for value in rows[ROW].tolist()]
        events[EVENT_ID] = pd.Series(ids, index=rows.index, dtype="str")
    if extra:
        own = columns.get(PROPERTIES, pd.Series(None, index=rows.index, dtype="str"))
        events[PROPERTIES] = members.merged(own, {name: columns[name] for name in extra})
    return events
