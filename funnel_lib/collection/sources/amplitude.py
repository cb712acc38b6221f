"""Amplitude: the export of raw events, a zip of gzipped JSON lines (or its members).

A row becomes an event; from the same rows follow the people's attributes (their newest user properties) and the
links between Amplitude's own id of a person, the devices and the login.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection import layouts, members
from funnel_lib.collection.batch import FILE, Batch
from funnel_lib.collection.clean import people
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.amplitude import API
from funnel_lib.collection.unpacking import each
from funnel_lib.collection.values import PERSONAL, is_time_name, times
from funnel_lib.collection.visitors import links, under_visitor
from funnel_lib.schema import FIRST_SEEN, SESSION_ID, TS, USER_ID

_NO_SESSION = "-1"
_ENDINGS = (".json", ".json.gz", ".jsonl", ".jsonl.gz")


def _event(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    """Put events under Amplitude's id of the person, else the device, else the login; drop what names a person."""
    nobody = pd.Series(None, index=rows.index, dtype="str")
    login, device = rows.get("login", nobody), rows.get("device_id", nobody)
    found = under_visitor(rows, login, rows.get("amplitude_id", nobody).fillna(device))
    found = found.drop(columns=[n for n in ("login", "device_id", "amplitude_id", "attributes") if n in rows])
    if SESSION_ID in rows:
        session = rows[SESSION_ID].mask(rows[SESSION_ID].str.strip() == _NO_SESSION)
        found[SESSION_ID] = found[USER_ID] + "." + session
    if "properties" in rows:
        found["properties"] = members.without(rows["properties"], PERSONAL)
    return found.assign(_attributes=rows.get("attributes", nobody))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _derived(kept: pd.DataFrame, export: Export) -> Mapping[str, pd.DataFrame]:
    return {"users": _users(kept, export), "identities": links(kept, export)}


def _users(kept: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Return one row per person with their newest properties; who changed last comes last."""
    told = kept[kept["_attributes"].notna()].sort_values(TS, kind="stable").drop_duplicates(USER_ID, keep="last")
    codes, texts = pd.factorize(told["_attributes"])  # many people share theirs
    known = [{n: _text(v) for n, v in _object(text).items() if _is_attribute(n, v)} for text in texts]
    attributes = pd.DataFrame(known, index=range(len(texts))).astype("str").take(codes)
    users = told[[USER_ID, FILE]].astype("str").reset_index(drop=True).join(attributes.reset_index(drop=True))
    for name in [str(name) for name in users if is_time_name(str(name))]:
        users[name] = times(users[name], export.zone)
    return people(users, export.workbook.cleaning)


def _is_attribute(name: str, value: object) -> bool:
    reserved = (USER_ID, FIRST_SEEN)
    return (
        value not in (None, "") and name not in reserved and name[:1] not in ("", "_") and name.lower() not in PERSONAL
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_EVENTS = Layout(
    "events",
    {
        "event_id": ("$insert_id", "uuid"),
        "login": ("user_id",),
        "amplitude_id": ("amplitude_id",),
        "device_id": ("device_id",),
        "event": ("event_type",),
        "ts": ("event_time",),
        "session_id": ("session_id",),
        "amount": ("event_properties.$revenue", "event_properties.revenue"),
        "currency": ("event_properties.$currency", "event_properties.currency"),
        "campaign": ("user_properties.utm_campaign", "user_properties.initial_utm_campaign"),
        "utm_source": ("user_properties.utm_source", "user_properties.initial_utm_source"),
        "utm_medium": ("user_properties.utm_medium", "user_properties.initial_utm_medium"),
        "referrer": ("user_properties.referrer", "user_properties.initial_referrer"),
        "gclid": ("user_properties.gclid", "user_properties.initial_gclid"),
        "device": ("platform",),
        "country": ("country",),
        "city": ("city",),
        "properties": ("event_properties",),
        "attributes": ("user_properties",),
    },
    ["event", "ts"],
    shape=_event,
    derive=_derived,
)
_ADVICE = "Download the raw events with the Export API, or by Export data of the project."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, [_EVENTS], advice=_ADVICE)


def _is_events(name: str) -> bool:
    return name.lower().endswith(_ENDINGS)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read events by the time at which they happened (`event_time`, UTC), each once by its `$insert_id`.

    Raises
    ------
    DataError : a file is damaged, or holds no events of Amplitude.
    """
    return each(paths, export, _file, _is_events)


SYSTEM = Offer(
    name="amplitude",
    title="Amplitude",
    reads=read,
    fills=("events", "users", "identities"),
    files="The export of raw events: the zip as it comes, or its gzipped JSON lines.",
    confirmed="The export, its fields and time zone by the vendor's reference; names of the files in the zip by public "
    "code. How times are written, and the names of properties for revenue and campaigns, are not confirmed.",
    aliases=layouts.aliases([_EVENTS]),
    api=API,
)
