"""Rules on single rows that a workbook can set: internal traffic, unknown events, wrong clocks, impossible orders."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from funnel_lib.collection.batch import Sieve
from funnel_lib.collection.files import Export
from funnel_lib.conditions import meets
from funnel_lib.schema import EVENT, PROPERTIES, TS

RECEIVED = "received_at"
"""A column of events: when the system took them in, by its own clock."""


def events(sieve: Sieve, export: Export, received: pd.Series[Any] | None = None) -> None:
    """Set aside events of the business's own people, of unknown names, and those that lie after their arrival.

    Parameters
    ----------
    received : when the system took each row in (UTC), where it tells.
    """
    rows, cleaning = sieve.rows, export.workbook.cleaning
    if cleaning.internal:
        plain = rows if PROPERTIES in rows else rows.assign(**{PROPERTIES: pd.Series(None, rows.index, dtype="str")})
        sieve.reject(meets(plain, cleaning.internal), "internal")
    if cleaning.known_events:
        known = rows[EVENT].str.fullmatch("|".join(map(_spelled, cleaning.known_events))).fillna(value=True)
        sieve.reject(~known.astype(bool), "unknown_event", "The event is none of cleaning.known_events", rows[EVENT])
    if received is not None:
        ahead = rows[TS] - received > cleaning.clock_skew
        sieve.reject(ahead.fillna(value=False), "clock_skew", "The event lies after its arrival", rows[TS])


def late(rows: pd.DataFrame, received: pd.Series[Any], export: Export) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which events came in more than `Cleaning.late_after` after they happened."""
    return np.asarray(received - rows[TS] > export.workbook.cleaning.late_after, dtype=bool)


def _spelled(name: str) -> str:
    return re.escape(name.removesuffix("*")) + (".*" if name.endswith("*") else "")
