"""Pixel tracking: the web server's log of a tracking pixel (Apache, nginx), or a collector's JSON lines.

A hit is a request such as ``GET /px.gif?e=purchase&aid=A1&uid=U1&v=99.5&cur=CNY&utm_source=baidu``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import FILE, LINE, ROW, Batch
from funnel_lib.collection.clean import batch
from funnel_lib.collection.encodings import encoding_of
from funnel_lib.collection.files import Export
from funnel_lib.collection.grid import PAGE_ROWS
from funnel_lib.collection.keys import ANONYMOUS, LOGIN
from funnel_lib.collection.layouts import Layout, Shaping
from funnel_lib.collection.lines import Line, lines
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.pages import Cells, Page, Record, Shape, Wanted
from funnel_lib.collection.reading import is_json_lines
from funnel_lib.errors import DataError
from funnel_lib.schema import EVENT_ID, FIRST_SEEN, SOURCE, TS, USER_ID

_PARAMETERS: Mapping[str, Sequence[str]] = {
    "event": ("e", "event", "event_name", "ev", "en"),
    "anonymous": ("aid", "anonymous_id", "cid", "client_id", "visitor_id"),
    "login": ("uid", "user_id", "customer_id"),
    "session_id": ("sid", "session_id"),
    "amount": ("v", "value", "amount", "revenue", "custom_data.value"),
    "currency": ("cur", "currency", "custom_data.currency"),
    "utm_source": ("utm_source",), "utm_medium": ("utm_medium",), "utm_campaign": ("utm_campaign",),
    "gclid": ("gclid",), "fbclid": ("fbclid",), "msclkid": ("msclkid",), "bd_vid": ("bd_vid",),
    "email": ("email", "em"), "phone": ("phone", "ph"),
    "page": ("url", "dl", "page", "event_source_url"),
    "experiment_variant": ("variant",),
}  # fmt: skip
_OF_THE_LOG = ("ts", "referrer", "user_agent", "ip address")
_MEMBERS: Mapping[str, Sequence[str]] = {
    **_PARAMETERS, "event_id": ("event_id", "id", "insert_id"), "ts": ("ts", "event_time", "timestamp", "time"),
    "referrer": ("referrer", "referer"), "user_agent": ("user_agent", "ua", "user_data.client_user_agent"),
}  # fmt: skip
_HIT = re.compile(
    r'(?P<ip>\S+) \S+ [^\["]*\[(?P<at>[^\]]{20,40})\] "(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/[0-9.]+)?" '
    r'(?P<status>[0-9]{3}) \S+(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?.*'
)
_STAMP = re.compile(r"([0-9]{2})/([A-Za-z]{3})/([0-9]{4}):([0-9:]{8}) ([+-][0-9]{4})")
_ADVICE = "Export the log in the combined format, or JSON lines with the event, the time and the browser's id."
_NOTHING = ("", "-")


def _person(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    """Name the person by the browser's id, by the login where there is none; keep both beside it."""
    empty = pd.Series(None, index=rows.index, dtype="str")
    anonymous, login = (rows.get(name, empty).str.strip().replace("", None) for name in ("anonymous", "login"))
    known = {"_anonymous": anonymous, "_login": login, USER_ID: anonymous.fillna(login)}
    if EVENT_ID in rows:  # not all events of a collector need to have one
        known[EVENT_ID] = rows[EVENT_ID].fillna(rows[ROW].map("{:016x}".format).astype("str"))
    return rows.drop(columns=[name for name in ("anonymous", "login") if name in rows]).assign(**known)


_LAYOUTS = tuple(Layout("events", _MEMBERS, ["event", "ts", who], shape=_person) for who in ("anonymous", "login"))


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read hits into `events`, and which login goes with which browser into `identities`.

    The time is the server's. A request without an event, or that the server refused, is set aside as
    ``other_request``; addresses of visitors are not kept. Parameters are decoded once. The person is the browser's id,
    or the login where there is none, until both are linked.

    Raises
    ------
    DataError : a file is damaged, in an unknown encoding, or holds neither a log nor JSON lines of events.
    """
    for path in paths:
        if is_json_lines(path, export.source.encoding):
            for layout, page in layouts.fitted([path], export, _LAYOUTS, advice=_ADVICE):
                yield _batch(page, layout.shape or _person, export)
        else:
            for page in _log(path, export):
                yield _batch(page, _person, export)


def _batch(page: Page, shape: Shaping, export: Export) -> Batch:
    rows = shape(page.rows, export)
    both = rows.set_index(LINE)[["_anonymous", "_login"]]
    made = batch(replace(page, rows=rows.drop(columns=["_anonymous", "_login"])), "events", export)
    known = both.loc[made.rows[LINE]].reset_index(drop=True)
    links = [_links(made.rows, known, export)]
    if "identities" in made.derived:
        found = made.derived["identities"]
        browsers = found[USER_ID].isin(known["_anonymous"].dropna())
        links.append(found.assign(holder=found["holder"].mask(browsers & (found["holder"] == LOGIN), ANONYMOUS)))
    there = [part for part in links if len(part)]
    return replace(made, derived={**made.derived, "identities": pd.concat(there, ignore_index=True)}) if there else made


def _links(rows: pd.DataFrame, known: pd.DataFrame, export: Export) -> pd.DataFrame:
    frame = pd.DataFrame({
        USER_ID: known["_login"], "value": known["_anonymous"], FILE: rows[FILE], FIRST_SEEN: rows[TS],
    }).dropna()  # fmt: skip
    first = frame.groupby([FILE, USER_ID, "value"])[FIRST_SEEN].min().reset_index()
    return first.assign(kind=ANONYMOUS, holder=LOGIN, **{SOURCE: export.name})


def _log(path: Path, export: Export) -> Iterator[Page]:
    known = layouts.extended(_PARAMETERS, "events", export)
    names = [*known, *_OF_THE_LOG]
    shape = Shape.of(names, Wanted({name: name for name in names}), export.relative(path), " ")
    encoding = encoding_of(path, export.source.encoding)
    rows = (line for line in lines(path, encoding, universal=False) if line[2] or line[1].strip())
    part = list(islice(rows, PAGE_ROWS))
    found = [_record(line, known) for line in part]
    if found and all(record.rule == "no_log_line" for record in found):
        raise DataError(
            "The file holds neither a log of a web server nor JSON lines.", where=path, found=found[0].text[:80],
            allowed='IP - - [22/Nov/2026:02:20:45 +0000] "GET /px.gif?e=... HTTP/1.1" 200 43 "referrer" "browser"',
            do=_ADVICE,
        )  # fmt: skip
    while True:
        page = shape.page(found)
        yield replace(page, rows=page.rows.drop(columns="ip address"))
        if not (part := list(islice(rows, PAGE_ROWS))):
            return
        found = [_record(line, known) for line in part]


def _record(line: Line, known: Mapping[str, Sequence[str]]) -> Record:
    """Return the values of a hit in the order of `known` and _OF_THE_LOG."""
    number, text, rule = line
    text = text.strip()
    address, _, rest = text.partition(" ")
    shown = f"[private] {rest}" if rest else text
    if rule:
        return Record(number, None, shown, rule)
    hit = _HIT.fullmatch(text)
    stamp = _STAMP.fullmatch(hit["at"]) if hit else None
    if hit is None or stamp is None:
        return Record(number, None, shown, "no_log_line")
    try:
        values = dict(parse_qsl(urlsplit(hit["target"]).query))
    except ValueError:
        return Record(number, None, shown, "no_log_line")
    cells: Cells = [next((values[name] for name in texts if name in values), None) for texts in known.values()]
    if not cells[0] or not hit["status"].startswith(("2", "3")) or hit["method"] not in ("GET", "POST"):
        return Record(number, None, shown, "other_request")
    if any(cell and ("\x00" in cell) for cell in cells):
        return Record(number, None, shown, "null_bytes")
    day, month, year, clock, zone = stamp.groups()
    told = [None if cell in _NOTHING else cell for cell in (hit["referrer"], hit["agent"])]
    return Record(number, [*cells, f"{day} {month} {year} {clock} {zone}", *told, address], text)


SYSTEM = Offer(
    name="pixel",
    title="Pixel tracking (web server's log, JSON lines)",
    reads=read,
    fills=("events", "identities"),
    files="The log of the server that gives out the pixel, in the combined format of Apache and nginx, also gzip; or "
    "the JSON lines of a collector.",
    confirmed="The combined format by the servers' manuals. The parameters have no standard: they are the usual ones, "
    "and those of the Measurement Protocol and the Conversions API in part.",
    aliases=layouts.aliases(_LAYOUTS),
)
