import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import deals
from funnel_lib.collection.files import Export

Exports = Callable[..., Export]
SOURCE = {"system": "hubspot", "files": "*"}


def texts(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def listed(series: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in series]


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        ("Closed Won", "won"), ("closedwon", "won"), ("赢单", "won"), ("Lost to competitor", "lost"),
        ("输单关闭", "lost"), ("Negotiation", "open"), ("Wonderland tour", "open"), ("", None), (None, None),
    ],
)  # fmt: skip
def test_the_name_of_a_stage_tells_how_a_deal_stands(export: Exports, stage: str | None, status: str | None):
    assert listed(deals.status(texts(stage), export(SOURCE))) == [status]


def test_the_workbook_and_the_export_itself_come_before_the_name(export: Exports):
    made = export({**SOURCE, "values": {"status": {"Signed": "won"}}})
    rows = pd.DataFrame({"status": texts(None, "lost", None), "stage": texts("Signed", "Signed", "Demo")})
    assert deals.with_status(rows, made)["status"].tolist() == ["won", "lost", "open"]
    assert listed(deals.with_status(pd.DataFrame({"record_id": texts("1")}), made)["status"]) == [None]


def test_one_date_of_closing_is_expected_while_a_deal_is_open():
    rows = pd.DataFrame({"status": texts("open", "won", "lost"), "closing": texts("a", "b", "c")})
    found = deals.with_closing(rows)
    assert listed(found["expected_close"]) == ["a", None, None]
    assert listed(found["closed"]) == [None, "b", "c"]


def test_a_decided_deal_was_closed_when_it_came_to_its_last_stage():
    rows = pd.DataFrame({
        "status": texts("open", "won", "lost"), "closing": texts("a", "b", "c"),
        "stage_since_at": texts("x", "y", None),
    })  # fmt: skip
    found = deals.with_closing(rows)
    assert listed(found["expected_close"]) == ["a", None, None]
    assert listed(found["closed"]) == [None, "y", "c"]


def test_a_deal_that_was_written_down_after_the_decision_keeps_its_date_of_closing():
    rows = pd.DataFrame({
        "status": texts("won", "won", "lost"), "closing": texts("2026-03-09", "2026-03-09", "2026-03-09"),
        "created": texts("2026-03-02 10:00", "2026-03-02 10:00", None),
        "stage_since_at": texts("2026-03-02 09:59", "2026-03-02 10:00", "2026-03-01 08:00"),
    })  # fmt: skip
    assert listed(deals.with_closing(rows)["closed"]) == ["2026-03-09", "2026-03-02 10:00", "2026-03-01 08:00"]


def test_of_several_ids_the_first_counts():
    assert listed(deals.first_of_several(texts("5; 6", "7", None))) == ["5", "7", None]


def test_stays_come_from_the_history_else_from_the_current_stage(export: Exports):
    history = [["Demo", "2026-03-02", None], ["New", "2026-03-01", "2026-03-02 08:00"], ["Odd", "soon", None]]
    since = pd.to_datetime(["2026-03-05", "2026-03-06", None], utc=True).astype("datetime64[us, UTC]")
    frame = pd.DataFrame({
        "record_id": texts("1", "2", "3"), "stage": texts("Demo", "New", "New"), "stage_since_at": since,
        "_history": texts(json.dumps(history), None, None),
    })  # fmt: skip
    found = deals.stays(frame, export(SOURCE))["stage_history"]
    # What cannot be read is left out; of the third deal nothing is known.
    assert [[str(v) for v in row] for row in found.to_numpy().tolist()] == [
        ["1", "New", "2026-03-01 00:00:00+00:00", "2026-03-02 08:00:00+00:00"],
        ["1", "Demo", "2026-03-02 00:00:00+00:00", "NaT"],
        ["2", "New", "2026-03-06 00:00:00+00:00", "NaT"],
    ]
    assert deals.stays(frame[["record_id"]], export(SOURCE)) == {}


def test_a_change_lasts_until_the_next_of_its_record(export: Exports):
    rows = pd.DataFrame({
        "record_id": texts("1", "2", "1", "1"), "entered_at": texts("2026-03-05", "2026-03-01", "2026-03-02", "?"),
    })  # fmt: skip
    assert listed(deals.next_of_record(rows, export(SOURCE))) == [None, None, "2026-03-05", None]
