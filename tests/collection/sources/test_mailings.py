import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import mailings
from funnel_lib.errors import DataError

SOURCE = {"system": "mailings", "files": "*"}
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = mailings.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_what_recipients_did_has_names_of_its_own(export: Exports):
    rows = [
        "Subscriber ID,Campaign,Event,Timestamp,URL",
        "s1,Spring,Sent,2026-03-01 08:00,", "s1,Spring,opened,2026-03-01 09:00,",
        "s1,Spring,Click,2026-03-01 09:01,https://x.example/a", "s2,Spring,Hard bounce,2026-03-01 08:00,",
        "s2,Spring,List join,2026-03-01 08:00,",
    ]  # fmt: skip
    batch = read(export, "\n".join(rows))
    assert shown(batch.rows, "user_id", "event", "campaign", "channel", "properties") == [
        ["s1", "email_sent", "Spring", "email", None],
        ["s1", "email_open", "Spring", "email", None],
        ["s1", "email_click", "Spring", "email", '{"url": "https://x.example/a"}'],
        ["s2", "email_bounce", "Spring", "email", None],
        ["s2", "email_list_join", "Spring", "email", None],
    ]
    assert batch.rows["ts"].iloc[0].isoformat() == "2026-03-01T08:00:00+00:00"


def test_a_recipient_known_by_an_address_only_has_an_id_all_the_same(export: Exports):
    held = io.BytesIO()
    rows = "Date,Email Address,Sender,Subject,Status,Tags,Opens,Clicks,Bounce Detail\n"
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(
            "activity.csv", rows + "2026-03-01 08:00:00,ada@mail.example,us@x.example,Hi,delivered,,2,1,\n"
        )
    batch = read(export, held.getvalue(), name="activity.zip")
    assert batch.read == {"activity.zip/activity.csv": 1}
    assert len(batch.rows) == 1
    assert "ada@" not in batch.rows.to_csv()
    assert batch.rows["user_id"].notna().all()
    assert json.loads(batch.rows["properties"].iloc[0])["opens"] == "2"


def test_rows_of_the_interface(export: Exports):
    row = {"campaign_id": "c1", "campaign_title": "Spring", "email_id": "0cc175b9", "email_address": "ada@mail.example",
           "action": "click", "timestamp": "2026-03-01T09:01:00+00:00", "url": "https://x.example"}  # fmt: skip
    batch = read(export, json.dumps(row), name="a.jsonl")
    assert shown(batch.rows, "user_id", "event", "campaign") == [["0cc175b9", "email_click", "Spring"]]


def test_a_list_of_subscribers_is_no_activity(export: Exports):
    with pytest.raises(DataError, match="lacks the column") as error:
        read(export, "Email Address,First Name\na@b.example,A\n")
    assert "one row for each mail" in str(error.value.do)
