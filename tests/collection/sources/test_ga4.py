import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import lines
from funnel_lib.collection.batch import FILE, LINE, RAW, Batch
from funnel_lib.collection.sources import ga4
from funnel_lib.errors import DataError

SOURCE = {"system": "ga4", "files": "*"}
Make = Callable[..., Any]


@pytest.fixture
def read(export: Make, jsonl: Make) -> Make:
    def made(*rows: object, name: str = "events.jsonl", data: bytes | None = None, **more: Any) -> Batch:
        one = export(SOURCE, {name: jsonl(*rows) if data is None else data}, **more)
        (batch,) = ga4.read(one.files(), one)
        return batch

    return made


def aside(batch: Batch) -> list[list[Any]]:
    return sorted(batch.rejected[[LINE, "rule"]].to_numpy().tolist())


def test_a_row_becomes_an_event(read: Make, hit: Make):
    row = hit("p", 1.5, "purchase", user_id="U1", params={"page_location": "https://x.example/?a=\"b\"",
    "currency": "CNY", "n": 3,
              "share": 0.5, "nothing": None}, ecommerce={"purchase_revenue": 99.5, "transaction_id": "T1"})  # fmt: skip
    event = read(row).rows.iloc[0]
    assert event["ts"].isoformat() == "2026-03-01T00:00:01.500000+00:00"
    assert event[["user_id", "event", "source", "session_id", "amount", "currency", "channel", "device"]].tolist() == [
        "p", "purchase", "s", "p.1", 99.5, "CNY", "organic_search", "mobile",
    ]  # fmt: skip
    assert pd.isna(event["campaign"])
    assert json.loads(event["properties"]) == {
        "page_location": 'https://x.example/?a="b"',
        "n": 3,
        "share": 0.5,
        "nothing": None,
    }


def test_numbers_may_be_texts_or_numbers(read: Make, hit: Make):
    as_text, as_number = hit("p", 1), hit("p", 1)
    as_number["event_timestamp"] = int(as_number["event_timestamp"])
    as_number["event_params"] = [{"key": "ga_session_id", "value": {"int_value": 1}}]
    rows = read(as_text, as_number).rows
    assert rows["event_id"].nunique() == rows["ts"].nunique() == rows["session_id"].nunique() == 1


def test_texts_that_only_look_like_numbers_stay_texts(read: Make, hit: Make):
    row = hit(params={"zip": "01234"})
    row["event_params"].append({"key": "odd", "value": {"int_value": "0x1F"}})
    assert json.loads(read(row).rows["properties"].iloc[0]) == {"zip": "01234", "odd": "0x1F"}


@pytest.mark.parametrize(
    "field", ["event_timestamp", "event_name", "batch_page_id", "batch_ordering_id", "batch_event_index"]
)
def test_rows_that_differ_in_one_part_of_the_key_are_two_events(read: Make, hit: Make, field: str):
    one, two = hit("p", 1), hit("p", 1)
    two[field] = "1772323209000000" if field == "event_timestamp" else "9"
    assert read(one, two).rows["event_id"].nunique() == 2


def test_the_value_parameter_stands_in_for_the_revenue(read: Make, hit: Make):
    assert read(hit(params={"value": 12.5})).rows["amount"].tolist() == [12.5]
    assert read(hit(params={"value": 12})).rows["amount"].tolist() == [12]


def test_campaigns_keep_their_name(read: Make, hit: Make):
    row = hit(traffic_source={"name": "Spring", "medium": "cpc", "source": "google"})
    assert read(row).rows[["campaign", "channel"]].to_numpy().tolist() == [["Spring", "paid_search"]]


def test_a_broken_line_stops_nothing(read: Make, hit: Make):
    good = json.dumps(hit("p", 1)).encode()
    lines = [
        good,
        good[:100],
        b"[1, 2]",
        b"",
        b"null",
        b"\xff\xfe",
        b"   ",
        b'{"event_name": "x"}',
        b"{}" * 2,
        good + b"\r",
    ]
    batch = read(data=b"\n".join(lines))
    assert batch.rows[LINE].tolist() == [1, 10]
    assert aside(batch) == [
        [2, "broken_json"], [3, "broken_json"], [5, "broken_json"], [6, "bad_encoding"], [8, "missing_value"], [9,
        "broken_json"],
    ]  # fmt: skip
    assert batch.read == {"events.jsonl": 8}


def test_every_fault_names_its_line_and_rule(read: Make, hit: Make):
    rows = [
        hit(event_timestamp="not a time"), hit(event_timestamp="-5"), hit(event_timestamp=None), hit(name=""),
        hit(person=""),
        hit(person=None), hit(params={"value": "much"}), hit(event_timestamp="946684799000000"),
        hit(event_timestamp="4102444800000000"),
        hit(device={"web_info": {"browser": "HeadlessChrome"}}), hit(device={"user_agent": "Googlebot/2.1"}),
    ]  # fmt: skip
    batch = read(*rows)
    assert batch.rows.empty
    assert [rule for _, rule in aside(batch)] == [
        "unreadable_time", "unreadable_time", "missing_value", "missing_value", "missing_value", "missing_value",
        "unreadable_number", "ancient", "future", "bot", "bot",
    ]  # fmt: skip
    assert (
        batch.rejected.sort_values(LINE)["reason"].iloc[0]
        == "event_timestamp is not a time in microseconds: not a time"
    )
    assert batch.rejected[RAW].str.len().max() <= 500


def test_unexpected_kinds_of_fields_are_no_reason_to_fail(read: Make, hit: Make):
    row = hit(device="phone", traffic_source=[1], event_params=5, user_properties={"a": 1}, ecommerce=None)
    event = read(row).rows.iloc[0]
    assert pd.isna(event["device"])
    assert pd.isna(event["channel"])


def test_a_person_without_a_browser_id_is_known_by_the_login(read: Make, hit: Make):
    batch = read(hit(person=None, user_id="U1"))
    assert batch.rows["user_id"].tolist() == ["U1"]
    assert batch.derived["identities"].empty
    assert read(hit(person=None, user_id="U1"), hit(person=None, user_id="U2")).rows["event_id"].is_unique


def test_logins_link_browsers_to_people(read: Make, hit: Make):
    batch = read(hit("p", 5, user_id="U1"), hit("p", 3, user_id="U1"), hit("q", 9, user_id="U1"), hit("r", 1))
    links = batch.derived["identities"]
    assert links[["user_id", "value", "kind", "source"]].to_numpy().tolist() == [
        ["U1", "p", "anonymous", "s"], ["U1", "q", "anonymous", "s"]
    ]  # fmt: skip
    assert links["first_seen"].dt.second.tolist() == [3, 9]


def test_the_newest_user_property_is_the_attribute(read: Make, hit: Make):
    rows = [
        hit("p", 5, props={"occupation": "employed", "level": 3}), hit("p", 1, props={"occupation": "student"}),
        hit("q", 9),
        hit("r", 9, props={"email": "a@b.example", "user_id": "x", "_line": "y", "signup_date": "2026-02-01"}),
    ]  # fmt: skip
    users = read(*rows).derived["users"].set_index("user_id")
    assert sorted(users) == ["_file", "_test", "level", "occupation", "signup_date"]
    assert users.loc["p", ["occupation", "level"]].tolist() == ["employed", "3"]
    assert users["signup_date"].dtype == "datetime64[us, UTC]"


def test_test_accounts_can_be_told_by_a_user_property(read: Make, hit: Make):
    rows = hit("p", props={"staff": "yes"}), hit("q", props={"staff": "no"})
    users = read(*rows, cleaning={"test_accounts": {"staff": "yes"}}).derived["users"]
    assert users.set_index("user_id")["_test"].to_dict() == {"p": True, "q": False}


def test_impressions_tell_who_saw_which_variant_first_when(read: Make, hit: Make):
    rows = [
        hit("p", at, "experience_impression", params={"exp_variant_string": text})
        for at, text in (
            (5, "OPT-free-trial-lesson-free"),
            (2, "OPT-free-trial-lesson-free"),
            (1, "OPT-price"),
            (1, "x"),
        )
    ]
    seen = read(*rows).derived["exposures"]
    assert seen[["unit_id", "experiment", "variant"]].to_numpy().tolist() == [["p", "free-trial-lesson", "free"]]
    assert seen["ts"].dt.second.tolist() == [2]


def test_late_rows_are_kept_and_remarked(read: Make, hit: Make):
    # The file is that of March 5 (UTC): 4 days after March 1 is late, exactly 3 days is not.
    rows = hit("p", 0), hit("p", 86_400), hit("p", 86_399)
    batch = read(*rows, name="events_20260305.jsonl")
    assert len(batch.rows) == 3
    assert batch.remarks == {("events_20260305.jsonl", "late"): 2}


@pytest.mark.parametrize("name", ["events_20260301.jsonl", "events_intraday_20260301.jsonl", "all.jsonl"])
def test_events_beyond_the_day_of_their_export_are_set_aside(read: Make, hit: Make, name: str):
    rows = hit("p", 86_400), hit("p", 2 * 86_400 - 1), hit("p", 2 * 86_400), hit("p", 300 * 86_400)
    assert aside(read(*rows, name=name)) == [[3, "future"], [4, "future"]]  # all.jsonl: by event_date


def test_the_day_of_the_export_is_one_of_the_sources_zone(read: Make, hit: Make):
    # March 3 begins in Shanghai at March 2, 16:00 UTC.
    rows = hit("p", 86_400 + 57_599), hit("p", 86_400 + 57_600)
    assert aside(read(*rows, timezone="Asia/Shanghai")) == [[2, "future"]]


def test_many_small_files_are_read_together(export: Make, jsonl: Make, hit: Make):
    files = {f"events_2026030{d}.jsonl.gz": jsonl(hit("p", 86_400 * (d - 1)), "{", packed=True) for d in (1, 2, 3)}
    made = export(SOURCE, files)
    (batch,) = ga4.read(made.files(), made)
    assert batch.read == dict.fromkeys(files, 2)
    assert batch.rows[[FILE, LINE]].to_numpy().tolist() == [[name, 1] for name in files]
    assert batch.rejected[[FILE, LINE]].to_numpy().tolist() == [[name, 2] for name in files]


def test_a_large_file_comes_in_several_batches(export: Make, jsonl: Make, hit: Make, monkeypatch: pytest.MonkeyPatch):
    made = export(SOURCE, {"a.jsonl": jsonl(*(hit("p", at) for at in range(40))), "b.jsonl": jsonl(hit("p", 50))})
    monkeypatch.setattr(ga4, "BATCH_BYTES", 4000)
    monkeypatch.setattr(lines, "_BLOCK", 777)
    batches = list(ga4.read(made.files(), made))
    assert len(batches) > 3
    assert sum(batch.read.get("a.jsonl", 0) for batch in batches) == 40
    found = pd.concat([batch.rows for batch in batches])
    assert found[found[FILE] == "a.jsonl"][LINE].tolist() == list(range(1, 41))


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf\n"])
def test_a_file_without_rows_has_none(export: Make, data: bytes):
    made = export(SOURCE, {"a.jsonl": data + b"\n"})
    (batch,) = ga4.read(made.files(), made)
    assert (batch.read, len(batch.rows)) == ({"a.jsonl": 0}, 0)


def test_a_byte_order_mark_is_no_fault(read: Make, hit: Make):
    assert len(read(data=b"\xef\xbb\xbf" + json.dumps(hit()).encode()).rows) == 1


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"PAR1", "Parquet file cannot be read"), (b"PK\x03\x04", "no JSON lines"), (b'[{"a":1}]', "JSON array")],
)
def test_other_formats_are_refused(read: Make, data: bytes, what: str):
    with pytest.raises(DataError, match=what):
        read(data=data, name="events.json")


def test_a_packed_file_that_ends_too_early_gives_the_rows_before(export: Make, jsonl: Make, hit: Make):
    made = export(SOURCE, {"a.jsonl.gz": jsonl(*(hit("p", at) for at in range(99)), packed=True)[:-20]})
    (batch,) = ga4.read(made.files(), made)
    assert batch.rows[LINE].tolist() == list(range(1, len(batch.rows) + 1))
    assert 50 < len(batch.rows) <= 99
    assert aside(batch) == [[len(batch.rows) + 1, "cut_off"]]
    assert batch.read == {"a.jsonl.gz": len(batch.rows) + 1}


def test_a_line_of_many_megabytes_costs_itself_only(read: Make, hit: Make):
    good = json.dumps(hit("p", 1)).encode()
    batch = read(data=b"\n".join([good, b'{"a":"' + b"x" * (9 << 20) + b'"}', good]))
    assert batch.rows[LINE].tolist() == [1, 3]
    assert aside(batch) == [[2, "too_long"]]
