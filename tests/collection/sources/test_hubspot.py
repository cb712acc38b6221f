import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import hubspot
from funnel_lib.errors import DataError

SOURCE = {"system": "hubspot", "files": "*", "timezone": "Europe/Berlin"}
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = hubspot.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_contacts_become_people_without_their_names(export: Exports):
    rows = [
        "Record ID,First Name,Last Name,Email,Phone Number,Lifecycle Stage,Create Date,Became a Customer Date,Notes",
        "51,Ada,Li,ada@mail.example,+49 30 901820,Customer,2026-03-01 09:30,2026-03-20 08:00,x",
        "52,,,bo@mail.example,,Lead,2026-03-02 10:00,,",
    ]
    batch = read(export, "\n".join(rows))
    assert batch.table == "users"
    assert shown(batch.rows, "user_id", "first_seen", "lifecycle_stage", "became_customer_date") == [
        ["51", "2026-03-01 08:30:00+00:00", "Customer", "2026-03-20 07:00:00+00:00"],
        ["52", "2026-03-02 09:00:00+00:00", "Lead", None],
    ]
    assert not {"email", "phone", "first_name", "last_name"} & set(batch.rows)
    assert "ada@" not in batch.rows.to_csv()


def test_deals_with_a_column_for_each_stage(export: Exports):
    rows = [
        "Record ID,Deal Name,Deal Stage,Amount,Close Date,Create Date,Associated Contact IDs,"
        '"Date entered ""Demo (Sales)""","Date exited ""Demo (Sales)""","Date entered ""Closed won (Sales)"""',
        '901,Acme,Closed won,"1,200.50",2026-03-20 12:00,2026-03-01 09:00,51;52,2026-03-05 09:00,,2026-03-20 12:00',
        "902,Beta,Demo,800,2026-05-01 00:00,2026-03-02 09:00,52,2026-03-06 09:00,,",
        "903,Gamma,Closed lost,,2026-03-09 00:00,2026-03-03 09:00,,,,",
    ]
    batch = read(export, "\n".join(rows))
    assert shown(batch.rows, "record_id", "user_id", "amount", "status", "closed", "expected_close") == [
        ["901", "51", "1200.5", "won", "2026-03-20 11:00:00+00:00", None],
        ["902", "52", "800.0", "open", None, "2026-04-30 22:00:00+00:00"],
        ["903", None, None, "lost", "2026-03-08 23:00:00+00:00", None],
    ]
    # 901 left the demo when it was won: no date of leaving is exported, the next stage tells it.
    assert shown(batch.derived["stage_history"], "record_id", "stage", "entered_at", "left_at") == [
        ["901", "Demo", "2026-03-05 08:00:00+00:00", "2026-03-20 11:00:00+00:00"],
        ["901", "Closed won", "2026-03-20 11:00:00+00:00", None],
        ["902", "Demo", "2026-03-06 08:00:00+00:00", None],
    ]
    assert not [name for name in batch.rows if name.startswith("+") or name in ("_history", "closing")]


def test_rows_of_the_interface_with_their_history(export: Exports):
    row = {
        "id": "901",
        "associations": {"contacts": {"results": [{"id": "51", "type": "deal_to_contact"}, {"id": "52"}]}},
        "properties": {"dealstage": "closedwon", "amount": "10", "createdate": "2026-03-01T09:00:00Z",
                       "closedate": "2026-03-20T12:00:00.5Z", "hs_is_closed_won": "true"},
        "propertiesWithHistory": {"dealstage": [
            {"value": "closedwon", "timestamp": "2026-03-20T12:00:00Z", "sourceType": "CRM_UI"},
            {"value": "98", "label": "Demo", "timestamp": "2026-03-05T09:00:00Z"}]},
    }  # fmt: skip
    batch = read(export, json.dumps(row), name="deals.jsonl")
    assert shown(batch.rows, "record_id", "user_id", "status", "amount", "closed") == [
        ["901", "51", "won", "10.0", "2026-03-20 12:00:00.500000+00:00"]
    ]
    assert shown(batch.derived["stage_history"], "stage", "entered_at", "left_at") == [
        ["Demo", "2026-03-05 09:00:00+00:00", "2026-03-20 12:00:00+00:00"],
        ["closedwon", "2026-03-20 12:00:00+00:00", None],
    ]


def test_an_internal_stage_is_told_by_the_workbook(export: Exports):
    rows = "Record ID,Deal Stage,Amount\n1,98712345,5\n2,98712346,5\n"
    assert read(export, rows).rows["status"].tolist() == ["open", "open"]
    told = {"status": {"98712345": "won"}}
    assert read(export, rows, values=told).rows["status"].tolist() == ["won", "open"]


def test_only_the_current_stage_is_known_without_a_history(export: Exports):
    rows = "Record ID,Deal Stage,Date entered current stage\n1,Demo,2026-03-05 09:00\n2,Demo,\n"
    stays = read(export, rows).derived["stage_history"]
    assert shown(stays, "record_id", "stage", "entered_at", "left_at") == [
        ["1", "Demo", "2026-03-05 08:00:00+00:00", None]
    ]


def test_an_export_of_the_history_of_stages(export: Exports):
    rows = [
        "Record ID,Property,Value,Change date", "1,Deal Stage,Demo,2026-03-05 09:00",
        "1,Deal Stage,Closed won,2026-03-09 09:00",
        "1,Amount,12,2026-03-06 09:00", "2,dealstage,Demo,2026-03-07 09:00",
    ]  # fmt: skip
    batch = read(export, "\n".join(rows))
    assert batch.table == "stage_history"
    assert shown(batch.rows, "record_id", "stage", "entered_at") == [
        ["1", "Demo", "2026-03-05 08:00:00+00:00"],
        ["1", "Closed won", "2026-03-09 08:00:00+00:00"],
        ["2", "Demo", "2026-03-07 08:00:00+00:00"],
    ]
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[4, "missing_value"]]


def test_another_list_is_refused_with_what_it_lacks(export: Exports):
    with pytest.raises(DataError, match="lacks the column") as error:
        read(export, "Record ID,Ticket name\n1,Broken\n")
    assert "Email" in str(error.value)
    assert "aliases" in str(error.value.do)
