"""Adobe Analytics: data feeds, daily or hourly, in one archive or several files, with their lookups and manifests.

A hit becomes one event, called after the most that happened in it; all of its success events stand in the property
`events`, for steps such as `where: {events: {contains: Newsletter sign-up}}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import FILE, LINE, RAW, REASONS, Batch, rejected
from funnel_lib.collection.datafeed import Lookups, encoding, feeds, is_hits, records
from funnel_lib.collection.files import Export
from funnel_lib.collection.grid import PAGE_ROWS
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.pages import Page, Shape
from funnel_lib.collection.rest.systems.adobe import API
from funnel_lib.collection.unpacking import each
from funnel_lib.collection.values import numbers
from funnel_lib.collection.visitors import links, under_visitor
from funnel_lib.schema import USER_ID

_COMMERCE = {
    "1": "purchase", "11": "checkout", "12": "cart_add", "10": "cart_open", "13": "cart_remove", "14": "cart_view",
    "2": "product_view",
}  # fmt: skip
"""The success events that every report suite has, what weighs most first."""
_KINDS = {"0": "page_view", "100": "link", "101": "download", "102": "exit_link"}
_OUT_OF_REPORTS = ("5", "7", "8", "9")
_INSIDE = "1"
_LIST = re.compile(r"(?:\^.|[^,^])+")
_CARET = re.compile(r"\^(.)")
_USED = (
    "visitor_high", "visitor_low", "ecid", "login", "hit_high", "hit_low", "visit", "visit_start", "kind", "listed",
    "products", "again", "referrer_kind", "excluded", "hit_source",
)  # fmt: skip


def _text(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    return rows[name] if name in rows else pd.Series(None, index=rows.index, dtype="str")


def _hit(rows: pd.DataFrame, _: Export, *, events: Mapping[str, str]) -> pd.DataFrame:
    """Make hits events: who, in which visit, what, and for how much."""
    listed = _text(rows, "listed").fillna("")
    again = _text(rows, "again").fillna("0").str.strip() == "1"
    numbers_ = {text: _numbers(text) for text in listed.unique()}
    told = {text: ", ".join(events.get(one, f"event {one}") for one in found) for text, found in numbers_.items()}
    happened = [_named(numbers_[text], repeated) for text, repeated in zip(listed, again, strict=True)]
    kind = (
        _text(rows, "kind").fillna("").str.strip().map(lambda code: _KINDS.get(code, f"hit_{code}" if code else None))
    )
    event = pd.Series(happened, index=rows.index, dtype="str").fillna(kind.astype("str"))
    visitor = _text(rows, "visitor_high") + "-" + _text(rows, "visitor_low")
    found = under_visitor(rows, _text(rows, "login"), visitor.fillna(_text(rows, "ecid")))
    inside = _text(rows, "referrer_kind").fillna("").str.strip() == _INSIDE
    arrival = {name: found[name].mask(inside) for name in ("referrer", "landing_page") if name in found}
    return found.drop(columns=[name for name in _USED if name in found]).assign(
        event=event, event_id=_text(rows, "hit_high") + "-" + _text(rows, "hit_low"),
        session_id=found[USER_ID] + "." + _text(rows, "visit") + "." + _text(rows, "visit_start"),
        amount=_amounts(_text(rows, "products"), event == "purchase"), events=listed.map(told).mask(listed == ""),
        **arrival,
    )  # fmt: skip


def _numbers(listed: str) -> list[str]:
    """Return the numbers of the success events, without those that only say that a variable was set."""
    found = [part.partition("=")[0].strip() for part in _LIST.findall(listed)]
    return [one for one in dict.fromkeys(found) if one and not (one.isdigit() and 100 <= int(one) < 200)]


def _named(found: Sequence[str], repeated: bool) -> str | None:
    return next((name for one, name in _COMMERCE.items() if one in found and not (repeated and one == "1")), None)


def _amounts(products: pd.Series[Any], bought: pd.Series[Any]) -> pd.Series[Any]:
    known = {text: _price(text) for text in products[bought].dropna().unique()}
    return products.where(bought).map(known).astype("str")


def _price(products: str) -> str | None:
    """Return the sum of the prices of “category;product;quantity;price;events;variables”, one for each product."""
    cells = [re.findall(r"(?:\^.|[^;^])*(?:;|$)", product) for product in _LIST.findall(products)]
    prices = [_CARET.sub(r"\1", parts[3]).rstrip(";") for parts in cells if len(parts) > 3]
    told = pd.Series([price for price in prices if price.strip()], dtype="str")
    if told.empty:
        return None
    values = numbers(told)
    return repr(float(values.sum())) if values.notna().all() else f"prices {', '.join(told)}"


_HITS = Layout(
    "events",
    {
        "ts": ("hit_time_gmt", "post_cust_hit_time_gmt"),
        "visitor_high": ("post_visid_high", "visid_high"),
        "visitor_low": ("post_visid_low", "visid_low"),
        "ecid": ("mcvisid",),
        "login": ("post_cust_visid", "cust_visid"),
        "hit_high": ("hitid_high",),
        "hit_low": ("hitid_low",),
        "visit": ("visit_num",),
        "visit_start": ("visit_start_time_gmt",),
        "kind": ("post_page_event", "page_event"),
        "listed": ("post_event_list", "event_list"),
        "products": ("post_product_list", "product_list"),
        "again": ("duplicate_purchase",),
        "currency": ("post_currency", "currency"),
        "campaign": ("post_campaign", "campaign"),
        "landing_page": ("post_page_url", "page_url"),
        "referrer": ("post_referrer", "referrer"),
        "referrer_kind": ("ref_type",),
        "page": ("post_pagename", "pagename"),
        "section": ("post_channel",),
        "country": ("geo_country",),
        "user_agent": ("user_agent",),
        "excluded": ("exclude_hit",),
        "hit_source": ("hit_source",),
    },
    ["ts", "kind", "listed", "hit_high", "hit_low"],
    derive=lambda kept, export: {"identities": links(kept, export)},
)
_ADVICE = "Add the column to the data feed, or its name there to the source's aliases."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read the hits of all feeds into `events`; logins become links to the visitors.

    Hits that Adobe leaves out of its reports are set aside (`excluded_hit`). A hit is named after its weightiest
    commerce event, else after its kind (``page_view``, ``link`` …). The amount of a purchase is the sum of its
    products' prices; a repeated purchase is none.

    Raises
    ------
    DataError : a file is damaged or differs from its manifest, or no lookup names the columns.
    """
    for path, known in feeds(paths, export):
        yield from each([path], export, partial(_file, known=known), is_hits)


def _file(path: Path, export: Export, *, known: Lookups) -> Iterator[Batch]:
    wanted = layouts.wanted(_HITS, export, advice=_ADVICE)
    wanted.require(known.columns, path)
    shape = Shape.of(known.columns, wanted, export.relative(path), "\t")
    layout = replace(_HITS, shape=partial(_hit, events=known.events))
    rows = records(path, encoding(path, export.source.encoding))
    while True:
        part = list(islice(rows, PAGE_ROWS))
        yield layouts.finished(_reported(shape.page(part)), layout, export)
        if len(part) < PAGE_ROWS:
            return


def _reported(page: Page) -> Page:
    """Return the page with the hits that Adobe leaves out of its reports set aside."""
    out = _text(page.rows, "excluded").fillna("0").str.strip().ne("0")
    out |= _text(page.rows, "hit_source").str.strip().isin(_OUT_OF_REPORTS)
    aside = page.rows.loc[out, [FILE, LINE, RAW]].assign(rule="excluded_hit", reason=REASONS["excluded_hit"])
    both = rejected(pd.concat([page.aside, rejected(aside)]))
    return replace(page, rows=page.rows[~out].reset_index(drop=True), aside=both)


SYSTEM = Offer(
    name="adobe",
    title="Adobe Analytics",
    reads=read,
    fills=("events", "identities"),
    files="Data feeds with their lookup files and manifests: zip or tar.gz as they come, or unpacked.",
    confirmed="Files, columns, escapes, hits to leave out and the form of products by the vendor's reference. That "
    "feeds of several alphabets are UTF-8 is not confirmed, so both encodings are read.",
    aliases=layouts.aliases([_HITS]),
    together=True,
    api=API,
)
