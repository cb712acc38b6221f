"""HubSpot: contacts and deals as exported from their lists, the history of deal stages, and rows of its interface.

A deal's stages come from its columns “Date entered …” (one per stage), from the history of its property
`dealstage`, or from the export of that history; where all are missing, from the current stage and its date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import deals, layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.deals import HISTORY, Stay
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.pages import FURTHER
from funnel_lib.collection.rest.systems.hubspot import API

_STAGE_PROPERTY = r"(?i)\s*deal ?stage\s*"
_FIRST_ID = r'"id":\s*"?([^",}]+)'
_BOUND = re.compile(
    r"\+?(?:date |hs_v2_date_|hs_date_)(entered|exited)[ _]\"?(?P<stage>.+?)\"?(?: \([^()]*\))?\"?", re.I
)


def _named(label: str, name: str, *more: str) -> tuple[str, ...]:
    """Return a property's label in exports, its own name, and its place in a row of the interface."""
    return label, name, f"properties.{name}", *more


def _deal(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Give deals their status, their closing date and their stays in stages."""
    bounds = {name: match for name in map(str, rows) if (match := _BOUND.fullmatch(name))}
    stays = _entered(rows, bounds)
    if "changes" in rows:
        stays = [_changes(cell) or known for cell, known in zip(rows["changes"], stays, strict=True)]
    further = [name for name in map(str, rows) if name.startswith(FURTHER)]
    rest = rows.drop(columns=[*further, *({"changes", "contacts", "won", "lost"} & set(rows))])
    for column, meaning in (("won", "won"), ("lost", "lost")):
        if column in rows:
            told = rest["status"] if "status" in rest else pd.Series(None, index=rows.index, dtype="str")
            rest["status"] = told.mask(rows[column].str.strip().str.lower().isin(["true", "yes"]), meaning)
    if "user_id" in rest:
        rest["user_id"] = deals.first_of_several(rest["user_id"])
    elif "contacts" in rows:
        rest["user_id"] = rows["contacts"].str.extract(_FIRST_ID, expand=False).astype("str")
    rest[HISTORY] = pd.Series(deals.as_history(stays), index=rows.index, dtype="str")
    return deals.with_closing(deals.with_status(rest, export))


def _entered(rows: pd.DataFrame, bounds: dict[str, re.Match[str]]) -> list[list[Stay]]:
    """Return the stays that the columns “Date entered …” and “Date exited …” tell, for each row."""
    found: list[dict[str, list[str | None]]] = [{} for _ in range(len(rows))]
    for name, match in bounds.items():
        place = 0 if match[1].lower() == "entered" else 1
        for stays, cell in zip(found, rows[name], strict=True):
            if not pd.isna(cell) and cell.strip():
                stays.setdefault(match["stage"], [None, None])[place] = cell
    return [[(stage, *times) for stage, times in stays.items() if times[0]] for stays in found]


def _changes(cell: object) -> list[Stay]:
    """Return the stays that a property's history tells: the interface's list of values and times."""
    try:
        changes = json.loads(cell) if isinstance(cell, str) else []
    except ValueError:
        return []
    if not isinstance(changes, list):
        return []
    told = [change for change in changes if isinstance(change, dict)]
    pairs = [(change.get("label") or change.get("value"), change.get("timestamp")) for change in told]
    return [(str(value), str(at), None) for value, at in pairs if value and at]


def _change(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Let each stay last until the next one; changes of other properties have no stage."""
    found = rows.assign(left_at=deals.next_of_record(rows, export))
    if "property" not in rows:
        return found
    other = ~rows["property"].str.fullmatch(_STAGE_PROPERTY).fillna(value=True)
    return found.assign(stage=rows["stage"].mask(other)).drop(columns="property")


_PEOPLE = Layout(
    "users",
    {
        "user_id": ("Record ID", "Contact ID", "hs_object_id", "id"),
        "first_seen": _named("Create Date", "createdate", "createdAt"),
        "email": _named("Email", "email"),
        "phone": _named("Phone Number", "phone"),
        "mobile": _named("Mobile Phone Number", "mobilephone"),
        "first_name": _named("First Name", "firstname"),
        "last_name": _named("Last Name", "lastname"),
        "lifecycle_stage": _named("Lifecycle Stage", "lifecyclestage"),
        "lead_status": _named("Lead Status", "hs_lead_status"),
        "original_source": _named("Original Source", "hs_analytics_source", "Original Traffic Source"),
        "owner": _named("Contact owner", "hubspot_owner_id"),
        "company": _named("Company Name", "company", "Primary Associated Company", "Associated Company"),
        "city": _named("City", "city"),
        "country": _named("Country/Region", "country"),
        "became_lead_date": _named("Became a Lead Date", "hs_lifecyclestage_lead_date"),
        "became_mql_date": _named(
            "Became a Marketing Qualified Lead Date", "hs_lifecyclestage_marketingqualifiedlead_date"
        ),
        "became_sql_date": _named("Became a Sales Qualified Lead Date", "hs_lifecyclestage_salesqualifiedlead_date"),
        "became_opportunity_date": _named("Became an Opportunity Date", "hs_lifecyclestage_opportunity_date"),
        "became_customer_date": _named("Became a Customer Date", "hs_lifecyclestage_customer_date"),
    },
    ["user_id", "email"],
)
_DEALS = Layout(
    "deals",
    {
        "record_id": ("Record ID", "Deal ID", "hs_object_id", "id"),
        "user_id": ("Associated Contact IDs", "Associated Contact ID"),
        "contacts": ("associations.contacts.results",),
        "account": ("Associated Company", "Primary Company", "Company name"),
        "owner": _named("Deal owner", "hubspot_owner_id"),
        "amount": _named("Amount", "amount"),
        "currency": _named("Currency", "deal_currency_code"),
        "created": _named("Create Date", "createdate", "createdAt"),
        "closing": _named("Close Date", "closedate"),
        "stage": ("Deal Stage", "properties.dealstage_label", "dealstage", "properties.dealstage"),
        "stage_since_at": _named("Date entered current stage", "hs_v2_date_entered_current_stage"),
        "pipeline": _named("Pipeline", "pipeline"),
        "won": _named("Is Closed Won", "hs_is_closed_won", "Is closed won?"),
        "lost": _named("Is Closed Lost", "hs_is_closed_lost", "Is closed lost?"),
        "loss_reason": _named("Closed Lost Reason", "closed_lost_reason"),
        "original_source": _named("Original Source Type", "hs_analytics_source", "Original Traffic Source"),
        "changes": ("propertiesWithHistory.dealstage",),
    },
    ["record_id", "stage"],
    further=True,
    shape=_deal,
    derive=deals.stays,
)
_CHANGES = Layout(
    "stage_history",
    {
        "record_id": ("Record ID", "Object ID", "Deal ID"),
        "property": ("Property", "Property name"),
        "stage": ("Value", "Property value", "New value", "Deal Stage"),
        "entered_at": ("Change date", "Timestamp", "Changed at", "Date changed"),
    },
    ["record_id", "stage", "entered_at"],
    shape=_change,
)
_LAYOUTS = (deals.STAYS, _CHANGES, _DEALS, _PEOPLE)
_ADVICE = "Export contacts with Record ID and Email, deals with Record ID and Deal Stage, with “all properties”."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read contacts into `users`, deals into `deals` and `stage_history`, the history of stages into the latter.

    The workbook's `values: {status: {STAGE: won}}` tells what a stage means whose name does not.

    Raises
    ------
    DataError : a file is damaged, or is none of these exports.
    """
    return layouts.read(paths, export, _LAYOUTS, advice=_ADVICE)


SYSTEM = Offer(
    name="hubspot",
    title="HubSpot",
    reads=read,
    fills=("deals", "users", "stage_history"),
    files="Contacts, deals and the history of the property Deal Stage, as CSV or Excel.",
    confirmed="Names of the properties and of the interface's rows by the public specification. The header texts of "
    "exports, which are the properties' labels, and the export of histories are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
