import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd

from funnel_lib.collection.collect import collect
from funnel_lib.collection.comparing import arrived_late
from funnel_lib.collection.quality import changes, checks
from funnel_lib.config import Workbook

Book = Callable[..., Workbook]
LOG = {
    "system": "table", "table": "events", "files": "log*",
    "columns": {"user_id": "id", "event": "what", "ts": "at", "amount": "sum"},
}  # fmt: skip


def per_day(*rows: tuple[str, str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["source", "day", "rows"])
    return frame.astype({"source": "str", "day": "datetime64[us]", "rows": "int64"})


def test_rows_for_days_long_gone_have_come_late():
    before = per_day(("web", "2026-03-01", 10), ("web", "2026-03-09", 10), ("crm", "2026-03-01", 5))
    now = per_day(
        ("web", "2026-03-01", 12), ("web", "2026-03-05", 3), ("web", "2026-03-06", 4), ("web", "2026-03-09", 30),
        ("web", "2026-03-10", 50), ("crm", "2026-03-01", 4), ("new", "2026-01-01", 99),
    )  # fmt: skip
    # March 6 lies three days behind the newest day: not yet late. The crm lost a row; `new` was not there before.
    rows, late = arrived_late(before, now, after=timedelta(days=3))
    assert rows == 2 + 3 + 4 + 20 + 50
    assert late.assign(day=late["day"].dt.day).to_numpy().tolist() == [["web", 1, 2], ["web", 5, 3]]
    assert arrived_late(before, before, after=timedelta(days=3))[0] == 0
    assert arrived_late(before[:0], now, after=timedelta(days=3))[0] == 0


def log(day: int, *, head: str = "id,what,at,sum", cell: str = "{}") -> str:
    rows = (f"u{i},buy,2026-03-{day:02} 10:00:{i:02}," + cell.format(i) for i in range(12))
    return "\n".join([head, *rows]) + "\n"


def found(workbook: Workbook, name: str, *, anew: bool = False) -> list[Any]:
    row = checks(collect(workbook, anew=anew), workbook).set_index("check").loc[name]
    return [round(float(row["found"]), 4), row["places"]]


def test_new_files_are_held_against_those_of_the_last_collection(book: Book):
    workbook = book({"web": LOG}, {"log01.csv": log(1), "log02.csv": log(2)})
    assert found(workbook, "schema_drift") == [0, ""]
    book({"web": LOG}, {"log03.csv": log(3)})
    assert found(workbook, "schema_drift") == [0, ""]
    book({"web": LOG}, {"log04.csv": log(4, head="id,what,at,sum,plan", cell="{},x")})
    told = [1, "web: events: plan new in log04.csv"]
    assert found(workbook, "schema_drift") == told
    assert found(workbook, "schema_drift", anew=True) == told  # the same files are no new collection
    # One file lost the column again; it is held against the file that is most like it.
    book({"web": LOG}, {"log05.csv": log(5)})
    assert found(workbook, "schema_drift") == [0, ""]


def test_a_column_that_became_text_or_another_is_named(book: Book):
    aliased = {**LOG, "columns": {"user_id": "id", "event": "what", "ts": "at"}}
    workbook = book({"web": aliased}, {"log01.csv": log(1)})
    collect(workbook)
    book({"web": aliased}, {"log02.csv": log(2, cell="about {}")})
    assert found(workbook, "schema_drift") == [
        1, "web: events: sum is now of another kind (number → text) in log02.csv",
    ]  # fmt: skip


def test_a_column_that_looks_renamed_is_named_with_both_names(book: Book):
    aliased = {**LOG, "columns": {"user_id": "id", "event": "what", "ts": "at"}}
    workbook = book({"web": aliased}, {"log01.csv": log(1)})
    collect(workbook)
    book({"web": aliased}, {"log03.csv": log(3, head="id,what,at,sums")})
    assert changes(collect(workbook).facts())[["column", "change", "to"]].to_numpy().tolist() == [
        ["sum", "renamed", "sums"]
    ]


def test_members_of_json_that_are_in_few_rows_are_no_columns(book: Book):
    def rows(day: int, extra: str = "") -> str:
        told = [
            {"id": f"u{i}", "what": "buy", "at": f"2026-03-{day:02}", "sum": i} | ({extra: 1} if extra else {})
            | ({"rare": 1} if i == day else {})
            for i in range(12)
        ]  # fmt: skip
        lines = [json.dumps(row) for row in told]
        return "\n".join(lines) + "\n"

    workbook = book({"web": LOG}, {"log01.jsonl": rows(1)})
    collect(workbook)
    book({"web": LOG}, {"log02.jsonl": rows(2)})
    assert found(workbook, "schema_drift") == [0, ""]
    book({"web": LOG}, {"log03.jsonl": rows(3, "plan")})
    assert found(workbook, "schema_drift") == [1, "web: events: plan new in log03.jsonl"]


def test_rows_that_are_loaded_late_are_a_share_of_what_came_in(book: Book):
    workbook = book({"web": LOG}, {"log01.csv": log(1), "log09.csv": log(9)})
    assert found(workbook, "late_arrivals_share") == [0, ""]
    rows = [line for day in (3, 10) for line in log(day).splitlines()[1:]][:15]  # twelve of March 3, three of March 10
    book({"web": LOG}, {"log10.csv": "id,what,at,sum\n" + "\n".join(rows) + "\n"})
    assert found(workbook, "late_arrivals_share") == [0.8, "web 2026-03-03 12"]
    assert found(workbook, "late_arrivals_share", anew=True) == [0.8, "web 2026-03-03 12"]
