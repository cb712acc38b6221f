"""Optimizely: the events export (Parquet), decisions as exposures and conversions as events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.values import numbers

HOLDBACK = "holdback"
"""The variant of visitors who were held back from an experiment on purpose."""


def _decision(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    if "held" not in rows:
        return rows
    held = rows["held"].str.strip().str.lower() == "true"
    return rows.drop(columns="held").assign(variant=rows["variant"].mask(held, HOLDBACK))


def _conversion(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    """Give conversions their amount: the export counts revenue in hundredths."""
    if "cents" not in rows:
        return rows
    units = (numbers(rows["cents"]) / 100).map(repr, na_action="ignore").astype("str")
    rest = rows.drop(columns="cents")
    own = rows["amount"] if "amount" in rows else pd.Series(None, index=rows.index, dtype="str")
    return rest.assign(amount=own.fillna(units).fillna(rows["cents"]))  # what is no number is found out later


_DECISIONS = Layout(
    "exposures",
    {
        "unit_id": ("visitor_id",),
        "experiment": ("experiment_id",),
        "variant": ("variation_id",),
        "ts": ("timestamp",),
        "held": ("is_holdback",),
    },
    ["unit_id", "experiment", "variant", "ts"],
    shape=_decision,
)
_CONVERSIONS = Layout(
    "events",
    {
        "event_id": ("uuid",),
        "user_id": ("visitor_id",),
        "event": ("event_name", "entity_id"),
        "ts": ("timestamp",),
        "session_id": ("session_id",),
        "cents": ("revenue",),
        "value": ("value",),
        "quantity": ("quantity",),
        "tags": ("tags",),
        "user_agent": ("user_agent",),
    },
    ["user_id", "event", "ts"],
    shape=_conversion,
)
_LAYOUTS = (_DECISIONS, _CONVERSIONS)
_ADVICE = "Copy the files of type=decisions and type=events out of the export."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read decisions into `exposures` and conversions into `events`, both by the visitor's id.

    A visitor who is held back has the variant `HOLDBACK`. Revenue is in hundredths of the currency; where it is
    not, the workbook says `aliases: {amount: [revenue]}`.

    Raises
    ------
    DataError : a file is damaged, or is none of these exports.
    """
    return layouts.read(paths, export, _LAYOUTS, advice=_ADVICE)


SYSTEM = Offer(
    name="optimizely",
    title="Optimizely Experimentation",
    reads=read,
    fills=("exposures", "events"),
    files="The events export: Parquet files of type=decisions and type=events.",
    confirmed="Columns, folders and times (milliseconds, UTC) by the vendor's reference. That revenue counts "
    "hundredths is not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
)
