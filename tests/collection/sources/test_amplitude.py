import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import amplitude
from funnel_lib.errors import DataError

SOURCE = {"system": "amplitude", "files": "*"}
Exports = Callable[..., Export]


def event(insert: str, at: str = "2026-03-01 07:00:00.000000", **more: Any) -> dict[str, Any]:
    row = {"$insert_id": insert, "amplitude_id": 900100200300, "user_id": None, "device_id": "d1", "session_id": 17723,
           "event_type": "page", "event_time": at, "server_upload_time": "2026-03-01 09:00:00.1", "platform": "Web",
           "event_properties": {}, "user_properties": {}, "country": "Germany"}  # fmt: skip
    return {**row, **more}


def packed(**members: list[object]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, rows in members.items():
            text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
            archive.writestr(f"12345/{name}.json.gz", gzip.compress(text.encode()))
    return held.getvalue()


def read(export: Exports, data: bytes, name: str = "export.zip", **source: Any) -> list[Batch]:
    made = export({**SOURCE, **source}, {name: data})
    return list(amplitude.read(made.files(), made))


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_an_export_of_two_hours(export: Exports):
    bought = event(
        "e2", "2026-03-01 08:00:00.250000", user_id="u7", event_type="buy", session_id=-1,
        event_properties={"revenue": 12.5, "items": 3, "email": "a@b.example"},
        user_properties={"plan": "pro", "utm_source": "google", "utm_medium": "cpc", "email": "a@b.example"},
    )  # fmt: skip
    first, second = read(export, packed(h7=[event("e1"), "{broken"], h8=[bought]))
    assert first.read == {"export.zip/12345/h7.json.gz": 2}
    assert first.rejected[[LINE, "rule"]].to_numpy().tolist() == [[2, "broken_json"]]
    names = ("event_id", "user_id", "event", "ts", "session_id", "amount", "channel")
    assert shown(pd.concat([first.rows, second.rows]), *names) == [
        ["e1", "900100200300", "page", "2026-03-01 07:00:00+00:00", "900100200300.17723", None, None],
        ["e2", "900100200300", "buy", "2026-03-01 08:00:00.250000+00:00", None, "12.5", "paid_search"],
    ]
    assert json.loads(second.rows["properties"].iloc[0])["items"] == 3  # a number stays one
    kept = [second.rows.drop(columns="_raw"), *second.derived.values()]
    assert "a@b" not in pd.concat(kept).to_csv()
    assert shown(second.derived["users"], "user_id", "plan") == [["900100200300", "pro"]]
    assert shown(second.derived["identities"], "user_id", "value", "kind", "first_seen") == [
        ["u7", "900100200300", "anonymous", "2026-03-01 08:00:00.250000+00:00"]
    ]


def test_the_newest_properties_count(export: Exports):
    rows = [
        event("e1", "2026-03-01 09:00:00", user_properties={"plan": "pro", "born_at": "1990-01-01"}),
        event("e2", "2026-03-01 08:00:00", user_properties={"plan": "free", "city": "Bonn"}),
    ]
    (batch,) = read(export, packed(h=rows))
    assert shown(batch.derived["users"], "user_id", "plan") == [["900100200300", "pro"]]


def test_single_members_plain_or_gzipped(export: Exports):
    line = json.dumps(event("e1", amplitude_id=None, device_id=None, user_id="u7")).encode()
    for name, data in (("a.json.gz", gzip.compress(line)), ("b.json", line)):
        (batch,) = read(export, data, name=name, files=name)
        assert shown(batch.rows, "user_id", "event") == [["u7", "page"]]


def test_a_member_that_is_cut_off_gives_the_rows_before(export: Exports):
    lines = "".join(json.dumps(event(f"e{i}", note="x" * 50 + str(i * 7919))) + "\n" for i in range(4000)).encode()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("1/a.json.gz", gzip.compress(lines)[:30_000])
    batches = read(export, held.getvalue())
    rules = pd.concat([batch.rejected for batch in batches])["rule"].tolist()
    assert rules[-1] == "cut_off"
    assert 0 < sum(len(batch.rows) for batch in batches) < 4000


@pytest.mark.parametrize("name", ["../a.json", "/a.json", "C:\\a.json"])
def test_a_member_that_leads_out_is_refused(export: Exports, name: str):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, json.dumps(event("e1")))
    with pytest.raises(DataError, match="leads out"):
        read(export, held.getvalue())


def test_an_archive_without_events_and_a_file_of_something_else_are_refused(export: Exports):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(DataError, match="none of the files"):
        read(export, held.getvalue())
    with pytest.raises(DataError, match="lacks the column"):
        read(export, b'{"a": 1}\n', name="a.json", files="a.json")
