from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.clean import batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Wanted
from funnel_lib.collection.reading import pages

EVENTS = {
    "system": "table", "table": "events", "files": "a.csv",
    "columns": {"user_id": "id", "event": "what", "ts": "at", "received_at": "received", "host": "host"},
}  # fmt: skip
CSV = """id,what,at,received,host
u1,visit,2026-03-02 10:00,2026-03-02 10:01,shop.example
u1,visit,2026-03-02 12:00,2026-03-02 10:01,shop.example
u1,visit,2026-03-01 10:00,2026-03-09 10:00,shop.example
u2,visit,2026-03-02 10:00,,intranet.example
u2,lead_open,2026-03-02 10:00,,
u2,vsit,2026-03-02 10:00,,shop.example
"""
HEAD = "i,s,a,b\n"
Exports = Callable[..., Export]


def read(export: Export) -> Any:
    (path,) = export.files()
    (page,) = pages(path, export, Wanted(export.source.columns))
    return batch(page, str(export.source.table), export)


def rules(found: Any) -> dict[int, str]:
    return dict(zip(found.rejected["_line"], found.rejected["rule"], strict=True))


def test_an_event_after_its_arrival_has_a_wrong_clock_and_one_long_before_came_late(export: Exports):
    found = read(export(EVENTS, {"a.csv": CSV}))
    assert rules(found) == {3: "clock_skew"}
    assert found.remarks == {("a.csv", "late"): 1}
    assert rules(read(export(EVENTS, {"a.csv": CSV}, cleaning={"clock_skew": "2h"}))) == {}


def test_the_business_s_own_people_are_told_by_any_property(export: Exports):
    found = read(export(EVENTS, {"a.csv": CSV}, cleaning={"internal": {"host": {"contains": "intranet"}}}))
    assert rules(found) == {3: "clock_skew", 5: "internal"}


def test_events_that_the_workbook_does_not_know_are_set_aside(export: Exports):
    found = read(export(EVENTS, {"a.csv": CSV}, cleaning={"known_events": ["visit", "lead_*"]}))
    assert rules(found) == {3: "clock_skew", 7: "unknown_event"}
    assert found.rejected["reason"].tolist()[1].endswith(": vsit")


@pytest.mark.parametrize(
    ("name", "columns", "csv"),
    [
        ("deals", {"record_id": "i", "status": "s", "created": "a", "closed": "b"},
         HEAD + "1,won,2026-03-02,2026-03-01\n"),
        ("stage_history", {"record_id": "i", "stage": "s", "entered_at": "a", "left_at": "b"},
         HEAD + "1,demo,2026-03-02,2026-03-01\n"),
    ],
)  # fmt: skip
def test_nothing_ends_before_it_begins(export: Exports, name: str, columns: dict[str, str], csv: str):
    source = {"system": "table", "table": name, "files": "a.csv", "columns": columns}
    assert set(rules(read(export(source, {"a.csv": csv + "2,won,2026-03-02,2026-03-02\n"}))).values()) == {"not_before"}


def test_where_a_visit_came_from_gives_its_channel(export: Exports):
    columns = {**EVENTS["columns"], "utm_source": "s", "utm_medium": "m", "referrer": "r"}  # type: ignore[dict-item]
    csv = "id,what,at,s,m,r\nu,visit,2026-03-02,weibo,cpc,\nu,visit,2026-03-02,,,https://www.baidu.com/\n"
    csv += "u,visit,2026-03-02,,,\nu,visit,2026-03-02,odd,odd,\n"
    del columns["received_at"], columns["host"]
    found = read(export({**EVENTS, "columns": columns}, {"a.csv": csv}))
    assert found.rows["channel"].fillna("").tolist() == ["paid_social", "organic_search", "", "unclassified"]
    assert found.unclassified == {("odd", "odd"): 1}
    told = read(export({**EVENTS, "columns": columns, "constants": {"channel": "offline"}}, {"a.csv": csv}))
    assert told.rows["channel"].unique().tolist() == ["offline"]
    assert isinstance(found.rows, pd.DataFrame)
