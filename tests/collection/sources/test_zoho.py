import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import zoho
from funnel_lib.errors import DataError

SOURCE = {"system": "zoho", "files": "*", "timezone": "Asia/Kolkata"}
Exports = Callable[..., Export]
DEALS = [
    "Record Id,Deal Name,Stage,Amount,Closing Date,Created Time,Stage Modified Time,Contact Name.id,Reason For Loss",
    'zcrm_401,Acme,Closed Won,"1,000",2026-03-20,2026-03-01 10:00,2026-03-20 10:00,zcrm_7,',
    "zcrm_402,Beta,Negotiation,500,2026-06-30,2026-03-02 10:00,2026-03-10 10:00,,",
    "zcrm_403,Gamma,Closed Lost,500,2026-03-11,2026-03-02 10:00,,zcrm_8,Too expensive",
]


def read(export: Exports, data: str | bytes, name: str = "a.csv", **source: Any) -> list[Batch]:
    made = export({**SOURCE, **source}, {name: data})
    return list(zoho.read(made.files(), made))


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def packed(**files: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return held.getvalue()


def test_deals_lose_the_prefix_of_their_ids(export: Exports):
    (batch,) = read(export, "\n".join(DEALS))
    assert shown(batch.rows, "record_id", "user_id", "amount", "status", "closed", "expected_close", "loss_reason") == [
        ["401", "7", "1000.0", "won", "2026-03-20 04:30:00+00:00", None, None],
        ["402", None, "500.0", "open", None, "2026-06-29 18:30:00+00:00", None],
        ["403", "8", "500.0", "lost", "2026-03-10 18:30:00+00:00", None, "Too expensive"],
    ]
    # The list proves where each deal is now and since when, nothing of the stages before.
    assert shown(batch.derived["stage_history"], "record_id", "stage", "entered_at", "left_at") == [
        ["401", "Closed Won", "2026-03-20 04:30:00+00:00", None],
        ["402", "Negotiation", "2026-03-10 04:30:00+00:00", None],
    ]


def test_a_bulk_export_is_a_zip_of_tables_with_the_names_of_the_interface(export: Exports):
    stays = [
        "Id,Potential_Name,Stage,Modified_Time,Moved_To__s",
        "1,401,Qualification,2026-03-01T10:00:00+05:30,Closed Won",
        "2,401,Closed Won,2026-03-20T10:00:00+05:30,",
    ]
    people = "Id,Email,Created_Time,Lead_Status\n7,a@mail.example,2026-02-01T10:00:00+05:30,Contacted\n"
    first, second = read(export, packed(Leads__csv=people, DealHistory__csv="\n".join(stays)), name="bulk.zip")
    assert (first.table, first.read) == ("stage_history", {"bulk.zip/DealHistory.csv": 2})
    assert shown(first.rows, "record_id", "stage", "entered_at", "left_at") == [
        ["401", "Qualification", "2026-03-01 04:30:00+00:00", "2026-03-20 04:30:00+00:00"],
        ["401", "Closed Won", "2026-03-20 04:30:00+00:00", None],
    ]
    assert (second.table, second.read) == ("users", {"bulk.zip/Leads.csv": 1})
    assert shown(second.rows, "user_id", "first_seen", "lead_status") == [
        ["7", "2026-02-01 04:30:00+00:00", "Contacted"]
    ]


def test_rows_of_the_interface(export: Exports):
    row = {"id": "401", "Deal_Name": "Acme", "Stage": "Closed Won", "Amount": 1000, "Closing_Date": "2026-03-20",
           "Created_Time": "2026-03-01T10:00:00+05:30", "Contact_Name": {"id": "7", "name": "A"},
           "Account_Name": {"id": "3", "name": "Acme Ltd"}, "Owner": {"name": "O", "id": "1"}}  # fmt: skip
    (batch,) = read(export, json.dumps(row), name="deals.jsonl")
    assert shown(batch.rows, "record_id", "user_id", "account", "owner", "amount", "status") == [
        ["401", "7", "Acme Ltd", "O", "1000.0", "won"]
    ]


def test_faults_in_a_member_name_the_archive_and_the_member(export: Exports):
    (batch,) = read(export, packed(Deals__csv="\n".join([*DEALS[:2], "zcrm_9"])), name="bulk.zip")
    assert batch.rejected[["_file", LINE, "rule"]].to_numpy().tolist() == [["bulk.zip/Deals.csv", 3, "wrong_fields"]]
    with pytest.raises(DataError, match="lacks the column") as error:
        read(export, packed(Tasks__csv="Id,Subject\n1,x\n"), name="bulk.zip")
    assert str(error.value.where).endswith("bulk.zip/Tasks.csv")
