"""Zoho CRM: leads, contacts, deals and the history of stages, as module exports, bulk CSV or rows of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import deals, layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.zoho import API
from funnel_lib.collection.unpacking import each

_PREFIX = "zcrm_"
"""Stands before ids in exports of a module, and not in those of the interface."""


def _plain_ids(rows: pd.DataFrame) -> pd.DataFrame:
    ids = [name for name in ("record_id", "user_id") if name in rows]
    return rows.assign(**{name: rows[name].str.strip().str.removeprefix(_PREFIX) for name in ids})


def _person(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    return _plain_ids(rows)


def _deal(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    return deals.with_closing(deals.with_status(_plain_ids(rows), export))


def _stay(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    """Let each stay last until the next one: a row tells when its stage was entered, and the stage after it."""
    plain = _plain_ids(rows)
    return plain.assign(left_at=deals.next_of_record(plain, export))


_PEOPLE = Layout(
    "users",
    {
        "user_id": ("Record Id", "Lead Id", "Contact Id", "Id"),
        "first_seen": ("Created Time",),
        "email": ("Email",),
        "phone": ("Phone",),
        "mobile": ("Mobile",),
        "first_name": ("First Name",),
        "last_name": ("Last Name",),
        "full_name": ("Full Name", "Lead Name", "Contact Name"),
        "lead_status": ("Lead Status",),
        "lead_source": ("Lead Source",),
        "company": ("Company", "Account Name", "Account_Name.name"),
        "industry": ("Industry",),
        "city": ("City", "Mailing City"),
        "country": ("Country", "Mailing Country"),
        "owner": ("Lead Owner", "Contact Owner", "Owner", "Owner.name"),
    },
    ["user_id", "email"],
    shape=_person,
)
_DEALS = Layout(
    "deals",
    {
        "record_id": ("Record Id", "Id"),
        "user_id": ("Contact Name.id", "Contact Name Id", "Contact Id", "Contact_Name.id"),
        "account": ("Account Name", "Account_Name.name"),
        "owner": ("Deal Owner", "Owner", "Owner.name"),
        "amount": ("Amount",),
        "currency": ("Currency",),
        "created": ("Created Time",),
        "closing": ("Closing Date",),
        "stage": ("Stage",),
        "stage_since_at": ("Stage Modified Time",),
        "pipeline": ("Pipeline",),
        "deal_type": ("Type",),
        "lead_source": ("Lead Source",),
        "loss_reason": ("Reason For Loss", "Reason_For_Loss__s", "Loss Reason"),
    },
    ["record_id", "stage", "closing"],
    shape=_deal,
    derive=deals.stays,
)
_STAYS = Layout(
    "stage_history",
    {
        "record_id": ("Potential_Name.id", "Potential Name", "Deal Name.id", "Deal Id", "Parent Id"),
        "stage": ("Stage", "Deal Stage"),
        "entered_at": ("Modified Time",),
    },
    ["record_id", "stage", "entered_at"],
    shape=_stay,
)
_LAYOUTS = (deals.STAYS, _STAYS, _DEALS, _PEOPLE)
_ADVICE = "Export leads or contacts with Record Id and Email, deals with Record Id, Stage and Closing Date."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read leads and contacts into `users`, deals into `deals`, histories of stages into `stage_history`.

    Ids are those of the interface, without ``zcrm_``. A bulk export is a zip archive; all of its files are read.

    Raises
    ------
    DataError : a file is damaged, or is none of these exports.
    """
    return each(paths, export, _file)


SYSTEM = Offer(
    name="zoho",
    title="Zoho CRM",
    reads=read,
    fills=("deals", "users", "stage_history"),
    files="Leads, contacts, deals and the stage history of deals: module exports (CSV) or bulk CSV, also as zip.",
    confirmed="Fields and times of the interface by its public specification; the meaning of the history of stages by "
    "public code. The header texts of module exports, and the prefix of their ids, are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
