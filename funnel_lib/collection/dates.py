"""Dates such as ``03/04/2026``, of which only the others of their file can tell whether the day comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from funnel_lib.collection.pages import Page

_EITHER = r"^\s*(?P<first>[0-9]{1,2})[-/.](?P<second>[0-9]{1,2})[-/.](?P<year>[0-9]{4})(?P<rest>(?:[^0-9].*)?)$"
UNTOLD = " (day or month first?)"
"""Follows a date that cannot be read, so that nothing reads it and everybody sees why."""
Order = tuple[bool, bool]
"""Whether a column holds dates that can only begin with the day, and dates that can only begin with the month."""


def is_untold(page: Page, names: Iterable[str]) -> bool:
    """Tell whether a column of times holds a date that can be read in two ways."""
    return any(_parts(page.rows[name])["either"].any() for name in names if name in page.rows)


def orders(pages: Iterable[Page], names: Iterable[str]) -> dict[str, Order]:
    """Return for each column of times what its unambiguous dates say about the order of day and month."""
    listed = list(names)
    found = dict.fromkeys(listed, (False, False))
    for page in pages:
        for name in (name for name in listed if name in page.rows):
            parts = _parts(page.rows[name])
            found[name] = (found[name][0] or bool(parts["day"].any()), found[name][1] or bool(parts["month"].any()))
    return found


def told(page: Page, known: Mapping[str, Order], date_format: str | None) -> Page:
    """Return the page with its two-way dates written year first, as far as their column says how to read them.

    A column says so where all its unambiguous dates, and the source's `date_format`, have one order. Where some
    begin with the day and others with the month - the format changed midway - no two-way date is read.
    """
    columns = {name: _told(page.rows[name], order, date_format) for name, order in known.items() if name in page.rows}
    return replace(page, rows=page.rows.assign(**columns))


def _told(text: pd.Series[Any], order: Order, date_format: str | None) -> pd.Series[Any]:
    parts = _parts(text)
    day, month = order
    if date_format is not None and "%d" in date_format:
        declared = date_format.index("%d") < (date_format + "%m").index("%m")
        if not (month if declared else day):
            return text  # the format reads them
        day = month = True
    elif date_format is not None:
        return text
    if not parts["either"].any():
        return text
    if day == month:
        return text.where(~parts["either"], text + UNTOLD)
    first, second = parts["first"].str.zfill(2), parts["second"].str.zfill(2)
    written = parts["year"] + "-" + (second + "-" + first if day else first + "-" + second) + parts["rest"]
    return text.where(~parts["either"], written)


def _parts(text: pd.Series[Any]) -> pd.DataFrame:
    """Return the parts of each date, and whether it can begin with both (`either`), or only with `day` or `month`."""
    parts = text.astype("str").str.extract(_EITHER)
    first, second = (pd.to_numeric(parts[name]).fillna(0) for name in ("first", "second"))
    dated = first.between(1, 31) & second.between(1, 31)
    return parts.assign(
        day=dated & (first > 12) & (second <= 12), month=dated & (second > 12) & (first <= 12),
        either=dated & (first <= 12) & (second <= 12) & (first != second),
    )  # fmt: skip
