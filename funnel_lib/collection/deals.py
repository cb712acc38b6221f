"""What the exports of sales systems have in common: how a deal stands, and the stages it went through."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.values import times

STAGE, STAGE_SINCE, HISTORY = "stage", "stage_since_at", "_history"
"""Attributes of deals: the current stage, since when, and (until the tables are made) all known stays as JSON."""
STAYS = Layout(
    "stage_history",
    {"record_id": ["record_id"], "stage": ["stage"], "entered_at": ["entered_at"], "left_at": ["left_at"]},
    ["record_id", "stage", "entered_at"],
)
"""A stage history in canonical columns, as the comparison of snapshots writes it."""
_ANY_ZONE = ZoneInfo("UTC")
"""For texts that are only held against each other."""
Stay = Sequence[str | None]
"""A stage, when it was entered, and when left (missing: not known, or still there), as texts."""
_COLUMNS = ["record_id", "stage", "entered_at", "left_at"]
_WON = re.compile(r"(?i)\bwon\b|closed ?won|赢单|成交|已签约")
_LOST = re.compile(r"(?i)\blost\b|closed ?lost|输单|丢单|无效|作废")


def with_status(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Return the rows with a `status`: the export's own where it has one, otherwise out of the stage's name.

    A stage is won or lost where its name says so in English or Chinese, or where the workbook's
    `values: {status: {STAGE: won}}` says so; every other stage is open.

    Parameters
    ----------
    rows : text columns, `status` or `stage` among them.
    """
    told = rows["status"] if "status" in rows else pd.Series(None, index=rows.index, dtype="str")
    if STAGE not in rows:
        return rows.assign(status=told)
    return rows.assign(status=told.fillna(status(rows[STAGE], export)))


def status(stage: pd.Series[Any], export: Export) -> pd.Series[Any]:
    """Return ``open``, ``won`` or ``lost`` for each stage; missing where the stage is."""
    mapping = export.source.values.get("status", {})  # noqa: PD011 - a workbook's section, no frame
    known = {name: mapping.get(name.strip()) or _standing(name.strip()) for name in stage.dropna().unique()}
    return stage.map(known).astype("str")


def _standing(name: str) -> str | None:
    if not name:
        return None
    return "won" if _WON.search(name) else "lost" if _LOST.search(name) else "open"


def with_closing(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the date of closing (`closing`) as `expected_close` of open deals, `closed` of others.

    A decided deal was closed when it came to its last stage, where the export says when that was: the date of closing
    is what somebody once expected, and few change it when the decision falls. A deal that was written down only after
    the decision keeps the date of closing.
    """
    if "closing" not in rows:
        return rows
    open_ = rows["status"] == "open"
    since = rows[STAGE_SINCE].str.strip().replace("", None) if STAGE_SINCE in rows else rows["closing"]
    if STAGE_SINCE in rows and "created" in rows:
        late = times(since.astype("str"), _ANY_ZONE) < times(rows["created"].astype("str"), _ANY_ZONE)
        since = since.mask(late)
    decided = since.fillna(rows["closing"])
    return rows.drop(columns="closing").assign(expected_close=rows["closing"].where(open_), closed=decided.mask(open_))


def first_of_several(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return the first of the ids that stand in each cell, divided by commas or semicolons."""
    return text.str.split(r"[;,]", n=1, regex=True).str[0].str.strip().astype("str")


def as_history(stays: Sequence[Sequence[Stay]]) -> list[str | None]:
    """Return the stays of each deal as a cell of the column HISTORY."""
    return [json.dumps([list(stay) for stay in each], ensure_ascii=False) if each else None for each in stays]


def stays(deals: pd.DataFrame, export: Export) -> Mapping[str, pd.DataFrame]:
    """Return the table `stage_history` that a list of deals proves: what HISTORY holds, else the current stay.

    Where the list only holds the current stage and since when, earlier stays are not known and none is made up.
    A stay whose beginning cannot be read is left out; a stay without an end lasts until the next one.

    Parameters
    ----------
    deals : canonical deals, perhaps with STAGE, STAGE_SINCE and HISTORY.
    """
    known = _from_history(deals, export)
    current = {"record_id": "record_id", STAGE: "stage", STAGE_SINCE: "entered_at"}
    if not set(current) <= set(deals):
        return {"stage_history": known} if len(known) else {}
    rest = deals[~deals["record_id"].isin(known["record_id"])]
    now = rest[list(current)].dropna().rename(columns=current).assign(left_at=pd.Series(dtype=known["left_at"].dtype))
    both = [part for part in (known, now) if len(part)]
    return {"stage_history": pd.concat(both, ignore_index=True)} if both else {}


def _from_history(deals: pd.DataFrame, export: Export) -> pd.DataFrame:
    cells = deals.loc[deals[HISTORY].notna(), ["record_id", HISTORY]] if HISTORY in deals else pd.DataFrame()
    found = [(record, *stay) for record, cell in cells.itertuples(index=False, name=None) for stay in json.loads(cell)]
    frame = pd.DataFrame(found, columns=_COLUMNS).astype("str")
    frame = frame.assign(
        entered_at=times(frame["entered_at"], export.zone), left_at=times(frame["left_at"], export.zone)
    )
    return until_next(frame[frame["entered_at"].notna() & frame["stage"].notna()])


def until_next(stays: pd.DataFrame) -> pd.DataFrame:
    """Return the stays by record and time, those without an end ended by the next stay of their record."""
    ordered = stays.sort_values(["record_id", "entered_at"], kind="stable", ignore_index=True)
    following = ordered.groupby("record_id")["entered_at"].shift(-1)
    return ordered.assign(left_at=ordered["left_at"].fillna(following))


def next_of_record(rows: pd.DataFrame, export: Export) -> pd.Series[Any]:
    """Return for each change of a stage the text of the time at which the same record changed next.

    Parameters
    ----------
    rows : texts `record_id` and `entered_at`.
    """
    at = times(rows["entered_at"], export.zone, date_format=export.source.date_format)
    order = pd.DataFrame({"record_id": rows["record_id"], "at": at, "text": rows["entered_at"]})
    ordered = order.dropna(subset=["at"]).sort_values("at", kind="stable")
    return ordered.groupby("record_id")["text"].shift(-1).reindex(rows.index).astype("str")
