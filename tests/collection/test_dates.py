from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection import grid, reading
from funnel_lib.collection.dates import UNTOLD, orders, told
from funnel_lib.collection.pages import Page, Record, Shape, Wanted

WANTED = Wanted({"ts": "at"}, times=frozenset(["ts"]))
DAY, MONTH, EITHER = "13/02/2026 10:00", "02/13/2026", "03/04/2026"


def page(*texts: str | None) -> Page:
    shape = Shape.of(["at", "x"], WANTED, "a.csv", ",")
    return shape.page([Record(i, [text, "x"], "") for i, text in enumerate(texts)])


def read(*texts: str | None, date_format: str | None = None) -> list[Any]:
    made = page(*texts)
    found = told(made, orders([made], ["ts"]), date_format).rows["ts"]
    return [None if pd.isna(text) else text for text in found]


def test_the_other_dates_of_a_column_tell_what_comes_first():
    assert read(DAY, EITHER, "3.4.2026 09:30") == [DAY, "2026-04-03", "2026-04-03 09:30"]
    assert read(EITHER, None, MONTH) == ["2026-03-04", None, MONTH]


def test_dates_that_nothing_tells_stay_unread():
    assert read(EITHER, "2026-03-04", "x") == [EITHER + UNTOLD, "2026-03-04", "x"]


def test_where_the_format_changes_midway_no_two_way_date_is_read():
    assert read(DAY, EITHER, MONTH, "05/05/2026") == [DAY, EITHER + UNTOLD, MONTH, "05/05/2026"]


@pytest.mark.parametrize(
    ("date_format", "texts", "refused"),
    [
        ("%d/%m/%Y", [DAY, EITHER], False), ("%d/%m/%Y", [EITHER], False), ("%d/%m/%Y", [EITHER, MONTH], True),
        ("%m/%d/%Y", [EITHER, MONTH], False), ("%m/%d/%Y", [DAY, EITHER], True), ("excel", [DAY, EITHER], False),
    ],
)  # fmt: skip
def test_a_format_of_the_workbook_holds_unless_the_file_contradicts_it(
    date_format: str, texts: list[str], refused: bool
):
    found = read(*texts, date_format=date_format)
    assert (EITHER + UNTOLD in found) == refused
    assert (EITHER in found) != refused


def test_evidence_of_all_pages_counts():
    assert orders([page(EITHER), page(DAY), page(MONTH)], ["ts", "absent"]) == {
        "ts": (True, True), "absent": (False, False),
    }  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.lists(st.dates(), min_size=1, max_size=20), st.sampled_from(["%d/%m/%Y", "%m-%d-%Y"]))
def test_what_is_read_is_what_was_written(days: list[Any], form: str):
    texts = [day.strftime(form).rjust(10, "0") for day in days]
    for day, found in zip(days, read(*texts), strict=True):
        assert found == day.isoformat() or found.endswith(UNTOLD) or found == day.strftime(form).rjust(10, "0")


def test_a_file_tells_its_dates_over_several_pages(export: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid, "PAGE_ROWS", 2)
    source = {"system": "table", "table": "users", "files": "*", "columns": {"user_id": "at"}}
    for last, expected in ((DAY, ["2026-04-03"] * 3), (EITHER, [EITHER + UNTOLD] * 4)):
        made = export(source, {"a.csv": "\n".join(["at", EITHER, EITHER, EITHER, last])})
        found = [text for part in reading.pages(made.workbook.raw / "a.csv", made, WANTED) for text in part.rows["ts"]]
        assert found[:3] == expected[:3]
