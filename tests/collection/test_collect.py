import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel_lib import schema
from funnel_lib.collection.batch import balance
from funnel_lib.collection.collect import collect
from funnel_lib.collection.files import Export
from funnel_lib.collection.quality import checks
from funnel_lib.collection.sources import OFFERS
from funnel_lib.collection.store import Store
from funnel_lib.config import load
from funnel_lib.errors import ConfigError, DataError, FunnelError

Make = Callable[..., Any]
WEB = {"system": "ga4", "files": "web/*"}
CRM = {
    "system": "table", "table": "users", "files": "crm/*.csv",
    "columns": {"user_id": "id", "first_seen": "created", "city": "city", "email": "mail"},
}  # fmt: skip
LOG = {
    "system": "table",
    "table": "events",
    "files": "log/*",
    "columns": {"user_id": "id", "event": "what", "ts": "at"},
}
NPS = {
    "system": "table", "table": "surveys", "files": "nps.csv",
    "columns": {"response_id": "r", "user_id": "id", "ts": "at", "question": "q", "score": "score"},
}  # fmt: skip
TESTS = {"test_accounts": {"email": {"contains": "@test.example"}}}


def fates(store: Store, source: str) -> dict[str, int]:
    tally = store.tally()
    balance(tally)
    rows = tally[tally["source"] == source].groupby(["outcome", "rule"])["rows"].sum()
    return {f"{outcome} {rule}".strip(): int(count) for (outcome, rule), count in rows.items()}


def bytes_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_people_come_together_over_browsers_logins_and_sources(book: Make, hit: Make, jsonl: Make):
    rows = [
        hit("b1", 10, params={"exp_variant_string": "OPT-x-a"}, name="experience_impression"), hit("b1", 20,
        "sign_up", user_id="U1"),
        hit("b2", 30, user_id="U1", props={"city": "Bonn", "plan": "free"}), hit("b3", 40),
    ]  # fmt: skip
    crm = "id,created,city,mail\nU1,2026-03-02,Köln,a@b.example\nU2,2026-03-03,,c@d.example\n"
    nps = "r,id,at,q,score\nr1,b2,2026-03-04,nps,9\n"
    workbook = book(
        {"web": WEB, "crm": CRM, "nps": NPS}, {"web/a.jsonl": jsonl(*rows), "crm/a.csv": crm, "nps.csv": nps}
    )
    store = collect(workbook)
    assert store.read("events")["user_id"].tolist() == ["U1", "U1", "U1", "b3"]
    assert store.read("exposures")["unit_id"].tolist() == ["U1"]
    assert store.read("surveys")["user_id"].tolist() == ["U1"]
    users = store.read("users").set_index("user_id")
    assert users["city"].tolist()[0] == "Köln"  # the later source wins where two differ
    assert users["plan"].tolist()[0] == "free"
    assert users.index.tolist() == ["U1", "U2", "b3"]
    assert users["first_seen"].dt.strftime("%d %S").tolist() == ["01 10", "03 00", "01 40"]
    ids = store.read("identities").query("kind == 'anonymous'")
    assert ids[["user_id", "kind", "value"]].to_numpy().tolist() == [
        ["U1", "anonymous", "b1"],
        ["U1", "anonymous", "b2"],
    ]
    assert store.facts()["people"] == {"registered": 1, "with_record": 1, "oversize": 0}
    assert fates(store, "crm") == {"read": 2, "kept": 2}


def test_duplicates_over_files_are_merged_into_the_first(book: Make, hit: Make, jsonl: Make):
    files = {
        "web/events_20260301.jsonl": jsonl(hit("p", 1), hit("p", 2)),
        "web/events_20260302.jsonl": jsonl(hit("p", 2), hit("p", 2)),
    }
    store = collect(book({"web": WEB}, files))
    assert len(store.read("events")) == 2
    tally = store.tally().set_index(["file", "outcome"])["rows"]
    assert tally["web/events_20260301.jsonl", "kept"] == 2
    assert tally["web/events_20260302.jsonl", "merged"] == 2


def test_all_that_a_test_account_did_is_set_aside(book: Make, hit: Make, jsonl: Make):
    rows = (
        hit("b1", 1),
        hit("b1", 2, user_id="U1"),
        hit("b2", 3),
        hit("b1", 4, "experience_impression", params={"exp_variant_string": "O-x-a"}),
    )
    crm = "id,created,city,mail\nU1,2026-03-02,,qa@test.example\nU2,2026-03-02,,a@b.example\n"
    nps = "r,id,at,q,score\nr1,U1,2026-03-04,nps,9\n"
    files = {"web/a.jsonl": jsonl(*rows), "crm/a.csv": crm, "nps.csv": nps}
    store = collect(book({"web": WEB, "crm": CRM, "nps": NPS}, files, cleaning=TESTS))
    assert store.read("events")["user_id"].tolist() == ["b2"]
    assert store.read("users")["user_id"].tolist() == ["U2", "b2"]
    assert store.read("surveys").empty
    assert store.read("exposures").empty
    assert store.read("identities")[["user_id", "kind"]].to_numpy().tolist() == [["U2", "email_hash"]]
    assert fates(store, "web") == {"read": 4, "kept": 1, "quarantined test_account": 3}
    assert fates(store, "crm") == {"read": 2, "kept": 1, "quarantined test_account": 1}
    assert fates(store, "nps") == {"read": 1, "quarantined test_account": 1}


def test_no_personal_data_is_stored(book: Make, hit: Make, jsonl: Make):
    crm = "id,created,city,mail,First Name,Phone\nU1,soon,x,secret@b.example,Secretname,+86 138 0013 8000\n" + "".join(
        f"U{i},2026-03-02,x,secret{i}@b.example,Secretname,13800138000\n" for i in range(2, 20)
    )
    web = jsonl(
        hit("p", 1, props={"email": "secret@b.example"}, params={"email": "secret@b.example"}),
        '{"note": "secret@b.example',
    )
    store = collect(
        book({"web": WEB, "crm": CRM}, {"crm/a.csv": crm, "web/a.jsonl": web}, cleaning={"worst_share": 0.5})
    )
    assert len(store.read("quarantine")) == 2
    for path in store.folder.iterdir():
        text = path.read_bytes() if path.suffix != ".parquet" else pd.read_parquet(path).to_csv().encode()
        assert not any(word in text for word in (b"secret", b"Secretname", b"13800138000", b"138 0013"))


def test_a_second_row_about_a_person_is_merged(book: Make):
    crm = "id,created,city,mail\nU1,2026-03-02,Bonn,a\nU1,2026-03-01,,a\nU1,2026-03-02,Bonn,a\nU2,2026-03-02,,\n"
    store = collect(book({"crm": CRM}, {"crm/a.csv": crm, "crm/b.csv": "id,created,city,mail\nU1,,Köln,\n"}))
    users = store.read("users").set_index("user_id")
    assert users.loc["U1", "city"] == "Köln"
    assert users.loc["U1", "first_seen"].day == 1
    assert fates(store, "crm") == {"read": 5, "kept": 2, "merged duplicate_row": 1, "merged same_user": 2}


def test_two_records_of_one_person_are_merged(book: Make, hit: Make, jsonl: Make):
    crm = "id,created,city,mail\nU1,2026-03-02,,\nU2,2026-03-03,Bonn,\n"
    rows = hit("b1", 1, user_id="U1"), hit("b1", 2, user_id="U2")
    store = collect(book({"web": WEB, "crm": CRM}, {"crm/a.csv": crm, "web/a.jsonl": jsonl(*rows)}))
    assert fates(store, "crm") == {"read": 2, "kept": 1, "merged same_person": 1}
    assert store.read("users")[["user_id", "city"]].to_numpy().tolist() == [["U1", "Bonn"]]
    assert store.read("identities")[["kind", "value"]].to_numpy().tolist() == [["anonymous", "b1"], ["login", "U2"]]


def test_times_must_not_lie_before_an_attribute_of_their_person(book: Make):
    crm = "id,created,city,mail\n" + "".join(f"U{i},2026-03-05,,\n" for i in range(1, 7))
    log = "id,what,at\n" + "".join(f"U{i},buy,2026-03-0{i} 10:00\n" for i in range(1, 7))
    source = {**LOG, "not_before": {"ts": "first_seen"}}
    store = collect(
        book({"crm": CRM, "log": source}, {"crm/a.csv": crm, "log/a.csv": log}, cleaning={"worst_share": 1})
    )
    assert fates(store, "log") == {"read": 6, "kept": 2, "quarantined not_before": 4}
    assert store.read("quarantine")["reason"].unique().tolist() == ["ts lies before first_seen."]


def test_times_more_than_a_year_after_all_others_are_the_future(book: Make):
    days = "".join(f"u{i},buy,2026-03-0{1 + i % 9}\n" for i in range(30))
    crm = "id,created,city,mail\n" + "".join(f"u{i},2026-03-01,,\n" for i in range(30)) + "u99,2031-01-01,,\n"
    store = collect(
        book({"log": LOG, "crm": CRM}, {"log/a.csv": f"id,what,at\n{days}u1,buy,2027-03-11\n", "crm/a.csv": crm})
    )
    assert fates(store, "log") == {"read": 31, "kept": 30, "quarantined future": 1}
    assert fates(store, "crm") == {"read": 31, "kept": 30, "quarantined future": 1}
    assert store.facts()["last_day"] == "2026-03-09"


def test_deals_are_as_their_newest_row_says(book: Make):
    columns = {"record_id": "id", "status": "status", "created": "at", "amount": "sum", "product": "product"}
    source = {"system": "table", "table": "deals", "files": "d*.csv", "columns": columns}
    one, two = (
        "id,status,at,sum,product\nd1,open,2026-03-01,5,A\nd2,open,2026-03-01,,B\n",
        "id,status,at,sum,product\nd1,won,2026-03-01,6,A\n",
    )
    store = collect(book({"crm": source}, {"d1.csv": one, "d2.csv": two}))
    deals = store.read("deals")
    assert deals[["record_id", "status", "amount", "product"]].to_numpy().tolist()[0] == ["d1", "won", 6.0, "A"]
    assert fates(store, "crm") == {"read": 3, "kept": 2, "merged same_record": 1}


def test_costs_of_a_day_are_added_up_within_a_file_and_contradicted_by_another(book: Make):
    head = "Day,Campaign,Impr.,Clicks,Cost\n"
    files = {
        "a.csv": f"{head}2026-03-01,A,10,1,2.5\n2026-03-01,A,5,2,1\n2026-03-02,A,1,1,1\n",
        "b.csv": f"{head}2026-03-02,A,1,1,1\n2026-03-01,A,99,9,9\n"
        + "".join(f"2026-04-0{i},A,1,1,1\n" for i in range(1, 9)),
    }
    store = collect(book({"ads": {"system": "google_ads", "files": "*.csv"}}, files))
    spend = store.read("spend").head(2)
    assert spend[["impressions", "clicks", "cost"]].to_numpy().tolist() == [[15, 3, 3.5], [1, 1, 1.0]]
    # The same row again is a duplicate; other numbers for a day that another file has told are nobody's to choose.
    assert fates(store, "ads") == {
        "read": 13, "kept": 10, "merged added_up": 1, "merged duplicate_row": 1, "quarantined duplicate_key": 1
    }  # fmt: skip


def test_an_answer_that_contradicts_an_earlier_one_is_set_aside(book: Make):
    nps = "r,id,at,q,score\nr1,u1,2026-03-04,nps,9\nr1,u1,2026-03-04,nps,3\nr1,u1,2026-03-04,why,\n"
    nps += "r2,,2026-03-04,nps,9\nr3,,2026-03-04,nps,\n"
    store = collect(book({"nps": NPS}, {"nps.csv": nps}))
    assert fates(store, "nps") == {"read": 5, "kept": 4, "quarantined duplicate_key": 1}


def test_stage_history_and_exposures_of_any_table(book: Make):
    history = {
        "system": "table",
        "table": "stage_history",
        "files": "h.csv",
        "columns": {"record_id": "id", "stage": "s", "entered_at": "at"},
    }
    seen = {
        "system": "table",
        "table": "exposures",
        "files": "e.csv",
        "columns": {"unit_id": "id", "experiment": "x", "variant": "v", "ts": "at"},
    }
    files = {
        "h.csv": "id,s,at\nd1,demo,2026-03-02\nd1,call,2026-03-01\n",
        "e.csv": "id,x,v,at\nu1,x,a,2026-03-02\nu1,x,a,2026-03-01\nu1,x,b,2026-03-03\n",
    }
    store = collect(book({"h": history, "e": seen}, files))
    assert store.read("stage_history")["stage"].tolist() == ["call", "demo"]
    assert store.read("exposures")[["variant"]].assign(
        day=store.read("exposures")["ts"].dt.day
    ).to_numpy().tolist() == [["a", 1], ["b", 3]]
    assert fates(store, "e") == {"read": 3, "kept": 2, "merged same_exposure": 1}


def test_every_table_has_its_canonical_form(book: Make, hit: Make, jsonl: Make):
    files = {
        "web/a.jsonl": jsonl(hit("b", 1, user_id="U1")),
        "crm/a.csv": "id,created,city,mail\nU1,,x,\n",
        "nps.csv": "r,id,at,q,score\nr,U1,2026-03-01,q,\n",
    }
    store = collect(book({"web": WEB, "crm": CRM, "nps": NPS}, files))
    for name in store.facts()["tables"]:
        frame = store.read(name)
        pd.testing.assert_frame_equal(schema.check(name, frame), frame)
        assert set(schema.table(name).columns) <= set(frame)
    assert store.facts()["tables"].keys() == {"events", "identities", "links", "quarantine", "surveys", "users"}


def test_the_same_exports_give_the_same_bytes(book: Make, hit: Make, jsonl: Make):
    rows = [hit(f"p{i % 7}", i, user_id=f"U{i % 3}" if i % 2 else None, props={"n": i % 5}) for i in range(300)]
    crm = "id,created,city,mail\n" + "".join(f"U{i},2026-03-02,x,u{i}@b.example\n" for i in range(3))
    workbook = book(
        {"web": WEB, "crm": CRM}, {"web/a.jsonl": jsonl(*rows), "web/b.jsonl": jsonl(*rows[::-1]), "crm/a.csv": crm}
    )
    first = bytes_of(collect(workbook).folder)
    assert bytes_of(collect(workbook, anew=True).folder) == first
    assert {"events.parquet", "users.parquet", "links.parquet", "facts.json", "tally.parquet"} <= set(first)


def read_files(book: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect, and return the names of the files that were read for it."""
    read: list[str] = []
    for name in ("ga4", "table"):
        offer = OFFERS[name]

        def spied(paths: Any, export: Export, reads: Any = offer.reads) -> Any:
            read.extend(export.relative(path) for path in paths)
            return reads(paths, export)

        monkeypatch.setitem(OFFERS, name, replace(offer, reads=spied))
    collect(book)
    monkeypatch.undo()
    return read


def test_only_new_and_changed_files_are_read_and_the_tables_are_the_same(
    book: Make, hit: Make, jsonl: Make, monkeypatch: pytest.MonkeyPatch
):
    def day(number: int, **more: Any) -> bytes:
        rows = [
            hit(f"p{(i + number) % 7}", number * 86_400 + i, user_id=f"U{i % 3}" if i % 2 else None, **more,
                props={"n": i * number % 5}, event_date=f"2026030{number + 1}")
            for i in range(60)
        ]  # fmt: skip
        return jsonl(*rows)

    crm = {"crm/a.csv": "id,created,city,mail\nU0,2026-03-02,Bonn,a@b.example\n"}
    files = {f"web/events_2026030{number + 1}.jsonl": day(number) for number in range(4)}
    late = "web/events_20260303.jsonl"
    sources = {"web": WEB, "crm": CRM}
    workbook = book(sources, {**crm, **{name: data for name, data in files.items() if name != late}})
    assert read_files(workbook, monkeypatch) == [*sorted({*files} - {late}), "crm/a.csv"]
    assert read_files(workbook, monkeypatch) == []
    # Data that comes late goes where it belongs, as if it had been there from the first.
    book(sources, {late: files[late]})
    assert read_files(workbook, monkeypatch) == [late]
    step_by_step = {name: digest for name, digest in bytes_of(workbook.processed).items() if name != "facts.json"}
    at_once = bytes_of(collect(workbook, anew=True).folder)
    assert {name: digest for name, digest in at_once.items() if name != "facts.json"} == step_by_step
    # A file that changed is read again, with those that were read in one go with it; the rest is not.
    book(sources, {"crm/a.csv": "id,created,city,mail\nU0,2026-03-02,Ulm,a@b.example\n"})
    assert read_files(workbook, monkeypatch) == ["crm/a.csv"]
    assert "Ulm" in set(Store(workbook.processed).read("users")["city"])


def test_another_key_or_rule_reads_everything_again(book: Make, monkeypatch: pytest.MonkeyPatch):
    files = {"crm/a.csv": "id,created,city,mail\nU0,2026-03-02,Bonn,a@b.example\n"}
    workbook = book({"crm": CRM}, files)
    read_files(workbook, monkeypatch)
    demo = Store(workbook.processed).read("identities")["value"].tolist()
    monkeypatch.setenv("FUNNEL_KEY", "our own")
    collect(workbook)
    store = Store(workbook.processed)
    assert store.read("identities")["value"].tolist() != demo
    assert (store.facts()["key"], store.facts()["hashed"]) == ("own", True)
    stricter = book({"crm": CRM}, {}, identity={"roles": ["a"]})
    assert collect(stricter).read("identities").empty


def test_tables_that_were_removed_are_made_again(book: Make):
    workbook = book({"crm": CRM}, {"crm/a.csv": "id,created,city,mail\nU0,2026-03-02,Bonn,\n"})
    store = collect(workbook)
    store.path("users").unlink()
    assert len(collect(workbook).read("users")) == 1


def test_amounts_are_converted_at_the_workbook_s_rates(book: Make):
    priced = {**LOG, "columns": {**LOG["columns"], "amount": "sum", "currency": "cur"}}
    deals = {"system": "table", "table": "deals", "files": "d.csv",
             "columns": {"record_id": "i", "status": "s", "amount": "sum", "currency": "cur"}}  # fmt: skip
    files = {
        "log/a.csv": "id,what,at,sum,cur\n"
        + "".join(f"u{i},buy,2026-03-01,10,{name}\n" for i, name in enumerate(["USD", "CNY", "EUR"])),
        "d.csv": "i,s,sum,cur\n1,won,10,USD\n2,won,,USD\n3,won,5,\n",
    }
    store = collect(book({"log": priced, "crm": deals}, files, currency="CNY", rates={"USD": 7.2}))
    events = store.read("events").sort_values("user_id")
    assert events[["amount", "currency"]].to_numpy().tolist() == [[72.0, "CNY"], [10.0, "CNY"], [10.0, "EUR"]]
    assert store.read("deals")["amount"].fillna(-1).tolist() == [72.0, -1, 5.0]
    assert store.read("deals")["currency"].fillna("").tolist() == ["CNY", "CNY", ""]


def test_nearly_equal_events_are_merged_where_the_workbook_says_so(book: Make):
    hits = [("u1", "buy", 0), ("u1", "buy", 1), ("u1", "view", 1), ("u2", "buy", 1), ("u1", "buy", 9)]
    rows = "".join(f"{who},{what},2026-03-01 10:00:0{at}\n" for who, what, at in hits)
    files = {"log/a.csv": f"id,what,at\n{rows}"}
    assert fates(collect(book({"log": LOG}, files)), "log") == {"read": 5, "kept": 5}
    store = collect(book({"log": LOG}, files, cleaning={"near_duplicates": "2s"}))
    assert fates(store, "log") == {"read": 5, "kept": 4, "merged near_duplicate": 1}


def test_the_facts_tell_channels_refusals_overlap_and_drift(book: Make):
    log = {**LOG, "columns": {**LOG["columns"], "utm_source": "s", "utm_medium": "m"}}
    visits = "id,what,at,s,m\n" + "".join(f"U{i},visit,2026-03-01,odd,thing\n" for i in range(4))
    crm = "id,created,city,mail\n" + "".join(f"U{i},2026-03-02,,shared@b.example\n" for i in range(1, 6))
    workbook = book({"log": log, "crm": CRM}, {"log/a.csv": visits, "crm/a.csv": crm})
    facts = collect(workbook).facts()
    assert facts["channels"]["unclassified"] == [{"source": "log", "from": "odd", "medium": "thing", "rows": 4}]
    assert facts["refused"] == [{"kind": "email_hash", "rule": "shared", "values": 1, "links": 5}]
    assert facts["people"]["oversize"] == 1
    assert {(row["source"], row["other"]): row["people"] for row in facts["overlap"]} == {
        ("log", "log"): 4, ("crm", "crm"): 5, ("log", "crm"): 3, ("crm", "log"): 3
    }  # fmt: skip
    assert facts["drift"] == []
    fewer = {**CRM, "columns": {"user_id": "id", "first_seen": "created", "email": "mail"}}
    changed = book({"log": log, "crm": fewer}, {})
    lost = [{"place": "crm: users", "column": "city", "change": "lost"}]
    assert collect(changed).facts()["drift"] == lost
    assert collect(changed, anew=True).facts()["drift"] == lost  # the same files are no new collection


def test_the_facts_say_what_was_read(book: Make):
    workbook = book({"log": LOG}, {"log/a.csv": "id,what,at\nu1,buy,2026-03-01 23:30\n"}, timezone="Asia/Shanghai")
    facts = collect(workbook).facts()
    assert facts["inputs"] == [{
        "source": "log", "file": "log/a.csv", "bytes": 35, "rows": 1,
        "sha256": hashlib.sha256(b"id,what,at\nu1,buy,2026-03-01 23:30\n").hexdigest(),
    }]  # fmt: skip
    assert (facts["first_day"], facts["last_day"], facts["newest"]) == (
        "2026-03-01",
        "2026-03-01",
        {"log": "2026-03-01"},
    )
    assert facts["data_through"] == "2026-03-01T15:30:00+00:00"
    assert workbook.file is not None
    assert facts["workbook_sha256"] == hashlib.sha256(workbook.file.read_bytes()).hexdigest()
    assert facts["tables"]["events"]["rows"] == 1


def test_a_snapshot_without_times_has_no_days(book: Make):
    source = {**CRM, "columns": {"user_id": "id", "paid": "paid"}}
    funnel = {"snapshot": "users", "steps": [{"name": "lead"}, {"name": "paid", "column": "paid"}]}
    facts = collect(book({"crm": source}, {"crm/a.csv": "id,paid\nu1,1\n"}, funnel=funnel)).facts()
    assert [facts["first_day"], facts["last_day"], facts["data_through"], facts["newest"]] == [None, None, None, {}]


def test_a_file_with_too_many_faults_is_not_published(book: Make):
    good = "id,what,at\nu1,buy,2026-03-01\n"
    workbook = book({"log": LOG}, {"log/a.csv": good})
    before = bytes_of(collect(workbook).folder)
    (workbook.raw / "log" / "b.csv").write_text(
        "id,what,at\n" + "u1,buy,01/02/2026\n" * 3 + "u1,buy,2026-03-01\n" + "u1,,2026-03-01\n" * 2
    )
    with pytest.raises(DataError, match="5 of 6 rows of a file cannot be used") as error:
        collect(workbook)
    assert error.value.where == workbook.raw / "log" / "b.csv"
    assert (
        error.value.found
        == "most often unreadable_time, as in line 2: ts is not a time that can be read without guessing: "
        "01/02/2026 (day or month first?)"
    )
    assert error.value.allowed == "at most 20% (cleaning.worst_share)"
    store = Store(workbook.processed)
    assert len(store.read("quarantine")) == 5  # the reasons are there, and nothing else has changed
    assert {**bytes_of(store.folder), "quarantine.parquet": ""} == {**before, "quarantine.parquet": ""}


def test_a_fault_in_a_tiny_file_is_judged_with_the_rest_of_its_source(book: Make):
    good, bad = "id,what,at\n" + "u1,buy,2026-03-01\n" * 9, "id,what,at\nu1,,2026-03-01\n"
    assert (
        fates(collect(book({"log": LOG}, {"log/a.csv": good, "log/b.csv": bad})), "log")["quarantined missing_value"]
        == 1
    )
    with pytest.raises(DataError, match="1 of 1 rows of a file cannot be used") as error:
        collect(book({"log": LOG}, {"log/a.csv": bad}))
    assert str(error.value.where).endswith("log/a.csv")


def test_bots_tests_and_empty_rows_are_no_fault_of_a_file(book: Make):
    source = {**LOG, "columns": {**LOG["columns"], "browser": "browser"}}
    rows = "u1,buy,2026-03-01,Googlebot\n" * 9 + ",,,\n" * 9 + "u1,buy,2026-03-01,x\n"
    store = collect(book({"log": source}, {"log/a.csv": "id,what,at,browser\n" + rows}))
    assert fates(store, "log") == {"read": 19, "kept": 1, "quarantined bot": 9, "quarantined blank_row": 9}


def test_nothing_is_left_behind_by_a_collection_that_fails(book: Make):
    workbook = book({"log": LOG}, {"log/a.csv": "id,what\nu1,buy\n"})
    with pytest.raises(DataError, match="lacks the column 'at'"):
        collect(workbook)
    assert not [path for path in workbook.processed.parent.iterdir() if path.name not in (".shop.lock", ".shop-read")]


def test_web_analytics_may_tell_test_accounts_but_never_by_personal_data(book: Make, hit: Make, jsonl: Make):
    files = {"web/a.jsonl": jsonl(hit("p", 1, props={"staff": "yes"}), *(hit("q", at) for at in range(2, 9)))}
    store = collect(book({"web": WEB}, files, cleaning={"test_accounts": {"staff": "yes"}}))
    assert fates(store, "web") == {"read": 8, "kept": 7, "quarantined test_account": 1}
    with pytest.raises(ConfigError, match="Test accounts cannot be told"):
        collect(book({"web": WEB}, files, cleaning=TESTS))


def test_test_accounts_that_nobody_can_tell_are_refused(book: Make):
    source = {**CRM, "columns": {"user_id": "id", "e_mail": "mail"}}
    with pytest.raises(ConfigError, match="Test accounts cannot be told") as error:
        collect(book({"crm": source}, {"crm/a.csv": "id,mail\nu,m\n"}, cleaning=TESTS))
    assert error.value.allowed == "e_mail, user_id (did you mean e_mail?)"


def test_sources_that_are_all_optional_may_all_be_absent(book: Make):
    store = collect(book({"log": {**LOG, "optional": True}}, {}))
    assert store.tally().empty
    assert store.read("events").empty
    assert store.facts()["inputs"] == []


def test_progress_tells_what_is_done_and_how_far(book: Make):
    told: list[tuple[str, float]] = []
    workbook = book({"log": LOG}, {f"log/{i}.csv": f"id,what,at\nu{i},buy,2026-03-01\n" for i in range(3)})
    collect(workbook, lambda what, share: told.append((what, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (told[0], told[-1]) == (("Reading log", 0.0), ("Collected", 1.0))


def test_files_may_be_links(book: Make, tmp_path: Path):
    workbook = book({"log": LOG}, {})
    (tmp_path / "elsewhere.csv").write_text("id,what,at\nu1,buy,2026-03-01\n")
    (workbook.raw / "log").mkdir()
    os.symlink(tmp_path / "elsewhere.csv", workbook.raw / "log" / "a.csv")
    assert fates(collect(workbook), "log") == {"read": 1, "kept": 1}


def test_the_demo_is_collected_as_it_was_planted(demo: Path):
    truth = json.loads((demo / "data" / "truth" / "education.json").read_text(encoding="utf-8"))
    dirt, files = truth["dirt"], truth["files"]
    store = Store(demo / "data" / "processed" / "education")
    broken = dirt["broken_rows"]
    assert fates(store, "web") == {
        "read": files["web"]["rows"], "kept": sum(truth["web_rows"].values()),
        "merged duplicate_event": dirt["duplicate_rows"],
        "quarantined bot": dirt["bots"]["web_rows"], "quarantined test_account": dirt["test_accounts"]["web_rows"],
        "quarantined broken_json": broken["truncated"], "quarantined unreadable_time": broken["bad_time"],
        "quarantined missing_value": broken["no_event"],
    }  # fmt: skip
    contacts = dirt["test_accounts"]["contacts"]
    crm = files["crm"]["rows"]
    assert fates(store, "crm") == {"read": crm, "kept": crm - contacts, "quarantined test_account": contacts}
    nps, wrong = files["nps"]["rows"], dirt["survey"]["impossible_scores"]
    assert fates(store, "nps") == {"read": nps, "kept": nps - wrong, "quarantined score_range": wrong}
    for source, totals in (("google_ads", {"merged total_row": 1}), ("meta_ads", {})):
        rows = files[source]["rows"]
        assert fates(store, source) == {"read": rows + sum(totals.values()), "kept": rows, **totals}
        spend = store.read("spend").query("platform == @source")
        assert round(spend["cost"].sum() * 100) == files[source]["cost_fen"]
        assert spend[["impressions", "clicks"]].sum().tolist() == [
            files[source]["impressions"],
            files[source]["clicks"],
        ]
    sales, twice = files["fxiaoke"]["rows"], dirt["fxiaoke"]
    assert fates(store, "sales") == {
        "read": sales, "kept": sales - twice["duplicates"] - twice["totals"],
        "merged duplicate_row": twice["duplicates"], "merged total_row": twice["totals"],
    }  # fmt: skip
    calls, spoilt = files["calls"], dirt["calls"]
    spoken = {"call_connected": calls["connected"], "call_missed": calls["missed"]}
    assert fates(store, "calls") == {
        "read": calls["rows"], "kept": sum(spoken.values()), "merged duplicate_event": spoilt["duplicates"],
        "quarantined missing_value": spoilt["no_time"],
    }  # fmt: skip
    found = checks(store, load(demo / "params" / "education.yml")).set_index("check").loc["days_without_data"]
    assert found["found"] == spoilt["days_down"]
    assert found["places"] == "calls 2026-03-02, calls 2026-03-03"
    assert found["waived"]  # with the reason that the workbook gives
    schools, asked = sum(files["zoho"].values()), files["hotjar"]["rows"]
    assert fates(store, "schools") == {"read": schools, "kept": schools}
    assert fates(store, "price_page") == {"read": asked, "kept": asked}
    events, people = store.read("events"), truth["people"]["all"]
    assert events["event"].value_counts().to_dict() == truth["web_rows"] | spoken
    assert events.loc[events["event"] == "purchase", "user_id"].nunique() == people["payment"]
    assert events["user_id"].nunique() == people["visit"]
    assert len(store.read("users")) == people["visit"] + files["zoho"]["leads"]
    twofold = store.read("identities").query("kind == 'anonymous'").groupby("user_id").size()
    assert (twofold == 2).sum() == dirt["two_ids"]["people"]
    late = [remark["rows"] for remark in store.facts()["remarks"]]
    assert sum(late) == dirt["late_rows"]
    assert store.facts()["people"] == {
        "registered": people["register"],
        "with_record": people["register"],
        "oversize": 0,
    }
    scores = store.read("surveys").query("question == 'How likely are you to recommend us?'")["score"]
    assert scores.isna().sum() == dirt["survey"]["blank_scores"]


# Any bytes at all: an error that teaches, or counts that add up - never a traceback, never a lost row. A batch
# whose rows do not add up cannot be made (see `Batch`), so reading is proof enough; some are collected as well.

FUZZ = settings(
    max_examples=300 if "CI" in os.environ else 60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
GOOD = b"id,what,at\nu1,buy,2026-03-01\n"
PIECES = st.sampled_from(
    ["u1", "buy", "2026-03-01", "2026-03-01T10:00:00Z", "", " ", '"', '""', '"a,b"', "\n", "\r\n", "\r", ",", ";",
    "\t", "\x00", "上海", "1e400",
     "9999-12-31", "0001-01-01", "\ufeff", "\u2028", "x" * 600]
)  # fmt: skip
CSV = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=60).map(lambda parts: ",".join(parts).encode()))


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Export]:
    root = tmp_path_factory.mktemp("fuzz")
    (root / "params").mkdir()
    made: dict[str, Export] = {}
    for name, source in {"table": {**LOG, "files": "a"}, "ga4": {**WEB, "files": "a"}}.items():
        content = {
            "name": name,
            "title": name,
            "funnel": {"steps": [{"name": "a", "event": "b"}]},
            "sources": {"s": source},
        }
        (root / "params" / f"{name}.yml").write_text(json.dumps({**content, "cleaning": {"worst_share": 1}}))
        workbook = load(root / "params" / f"{name}.yml")
        workbook.raw.mkdir(parents=True)
        made[name] = Export("s", workbook.sources["s"], workbook)
    return made


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_any(export: Export, data: bytes) -> int | None:
    """Read `data`; return how many rows it was found to have, None where the file was refused."""
    (export.workbook.raw / "a").write_bytes(data)
    try:
        return sum(sum(batch.read.values()) for batch in OFFERS[export.source.system].reads(export.files(), export))
    except FunnelError:
        return None


@FUZZ
@given(CSV)
def test_any_bytes_as_a_csv(exports: dict[str, Export], data: bytes):
    read_any(exports["table"], data)


@FUZZ
@given(CSV.filter(lambda data: b"\x00" not in data))
def test_any_rows_below_a_good_header(exports: dict[str, Export], data: bytes):
    read = read_any(exports["table"], GOOD + data)
    if read is not None:
        # Every line with more than space in it is a row, or belongs to one within quotation marks.
        text = (GOOD + data).decode("utf-8" if is_utf8(data) else "gb18030", "replace")
        lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
        assert read == len(lines) - 1 or (b'"' in data and 1 <= read < len(lines))


@settings(FUZZ, max_examples=20)
@given(CSV)
def test_any_rows_collected(exports: dict[str, Export], data: bytes):
    workbook = exports["table"].workbook
    (workbook.raw / "a").write_bytes(GOOD + data)
    try:
        store = collect(workbook)
    except FunnelError:
        return
    tally = store.tally().groupby("outcome")["rows"].sum()
    assert tally.get("kept", 0) == len(store.read("events"))
    assert tally.get("quarantined", 0) == len(store.read("quarantine"))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["key", "value", "string_value", "a"]), inner, max_size=3),
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "what", "at", "event_timestamp", "event_name", "user_pseudo_id", "user_id", "event_params",
    "user_properties", "device", "event_date",
     "traffic_source", "ecommerce"]
)  # fmt: skip
LINES = st.one_of(
    st.dictionaries(FIELDS, JSON, max_size=8).map(lambda row: json.dumps(row).encode()), st.binary(max_size=60)
)


@settings(FUZZ, max_examples=100 if "CI" in os.environ else 40)
@given(st.lists(LINES, max_size=20))
def test_any_lines_as_json_of_a_table(exports: dict[str, Export], lines: list[bytes]):
    good = b'{"id": "u1", "what": "buy", "at": "2026-03-01"}'
    rows = [line for line in b"\n".join([good, *lines]).split(b"\n") if line.decode("utf-8", "surrogateescape").strip()]
    assert read_any(exports["table"], b"\n".join([good, *lines])) == len(rows)


@settings(FUZZ, max_examples=40)
@given(st.lists(LINES, min_size=1, max_size=40))
def test_any_lines_as_an_export_of_ga4(exports: dict[str, Export], lines: list[bytes]):
    data = b"{}\n" + b"\n".join(lines)
    assert read_any(exports["ga4"], data) == len([line for line in data.split(b"\n") if line.strip()])
