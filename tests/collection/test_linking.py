from collections.abc import Callable
from typing import Any

import pandas as pd

from funnel_lib.collection import keys, linking
from funnel_lib.collection.clean import batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Wanted
from funnel_lib.collection.reading import pages

MAIL = keys.hashed(pd.Series(["a@b.example"]), "email", country=None, roles=[]).iloc[0]
CALL = keys.hashed(pd.Series(["13800138000"]), "phone", country="CN", roles=[]).iloc[0]
USERS = {"system": "table", "table": "users", "files": "a.csv"}
Exports = Callable[..., Export]


def made(export: Export) -> Any:
    (path,) = export.files()
    (page,) = pages(path, export, Wanted(export.source.columns))
    return batch(page, str(export.source.table), export)


def told(frame: pd.DataFrame) -> list[list[str]]:
    return sorted(frame[["user_id", "value", "kind", "holder"]].to_numpy().tolist())


def test_a_record_links_its_address_its_numbers_and_its_ids_elsewhere(export: Exports):
    columns = {"user_id": "id", "first_seen": "at", "email": "mail", "phone": "tel", "mobile": "cell", "crm": "record"}
    csv = "id,at,mail,tel,cell,record,gclid\nU1,2026-03-02,A@b.example,,138 0013 8000,77,\nU2,,info@b.example,12,,,\n"
    source = {**USERS, "columns": {**columns, "gclid": "gclid"}}
    found = made(export(source, {"a.csv": csv}, identity={"country": "CN", "join": {"crm": {}}}))
    links = found.derived["identities"]
    assert told(links) == sorted([
        ["U1", MAIL, "email_hash", "login"], ["U1", CALL, "phone_hash", "login"], ["U1", "crm:77", "crm", "login"],
    ])  # fmt: skip
    assert links["first_seen"].dt.day.tolist() == [2, 2, 2]
    assert not {"email", "phone", "mobile"} & set(found.rows)
    assert found.rows["crm"].tolist()[0] == "77"


def test_a_row_without_an_id_goes_under_its_best_key(export: Exports):
    source = {
        "system": "table", "table": "events", "files": "a.csv",
        "columns": {"user_id": "id", "event": "what", "ts": "at", "email": "mail", "phone": "tel"}, "missing": ["-"],
    }  # fmt: skip
    csv = "id,what,at,mail,tel\nU1,call,2026-03-02,,\n-,call,2026-03-02,a@b.example,+8613800138000\n"
    csv += ",call,2026-03-02,,+8613800138000\n,call,2026-03-02,info@b.example,\n"
    found = made(export(source, {"a.csv": csv}))
    assert found.rows["user_id"].tolist() == ["U1", MAIL, CALL]
    assert found.rejected["rule"].tolist() == ["missing_value"]  # a mailbox of several people is nobody
    assert told(found.derived["identities"]) == [[MAIL, CALL, "phone_hash", "email_hash"]]
    assert "properties" not in found.rows or not found.rows["properties"].str.contains("example").any()


def test_names_of_ids_follow_the_workbook(export: Exports):
    source = {**USERS, "columns": {"user_id": "id"}}
    names = linking.names(export(source, {"a.csv": "id\n"}, identity={"join": {"crm": {}, "anonymous": {}}}))
    assert {"email", "phone", "mobile", "gclid", "crm"} <= names
    assert "anonymous" not in names


def test_the_same_link_on_many_rows_is_one_from_the_first(export: Exports):
    one = export({**USERS, "columns": {"user_id": "id"}}, {"a.csv": "id\n"})
    times = pd.to_datetime(["2026-03-03", "2026-03-01", "2026-03-02"], utc=True).astype("datetime64[us, UTC]")
    kept = pd.DataFrame({"user_id": ["U1", "U1", "U2"], "ts": times, "_file": "a"})
    values = pd.Series(["gclid:x", "gclid:x", "U2"], dtype="str")
    owner = pd.Series("login", index=kept.index, dtype="str")
    found = linking.links(kept, {"gclid": [values]}, owner, "ts", one)
    assert told(found) == [["U1", "gclid:x", "gclid", "login"]]  # an id is no link to itself
    assert found["first_seen"].dt.day.tolist() == [1]
    assert linking.links(kept, {}, owner, "ts", one).empty
