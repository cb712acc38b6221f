import json
from collections.abc import Callable

import pandas as pd
import pytest

from funnel_lib.collection import objects
from funnel_lib.collection.batch import INTERNAL, LINE, ROW
from funnel_lib.collection.files import Export
from funnel_lib.collection.pages import Page, Wanted

NAMES = {"user": "user.id", "when": "at", "more": "props", "amount": "sum", "city": "a.b"}
WANTED = Wanted(NAMES, optional=frozenset(NAMES), totals=True)
LINES = [
    '{"user": {"id": 12345678901234567890123}, "at": 1, "props": {"x": [1, null]}, "sum": 2.5, "a.b": "Köln"}',
    '{"user": {"id": "u"}, "at": true, "sum": 12.50, "a": {"b": "Bonn"}}',
    '{"sum": 1234567890.12345678901234, "at": "x"}',
    '{"at": "x", "props": {"n": NaN}}',
    "{}", '{"at": ""}', '{"at": " "}', '{"user": {"id": "Total"}, "sum": 3}', '{"user": {"id": "Total x"}}',
    "[1]", "{", '{"at": "\\ud800"}', '{"at": "\0"}', "", '{"user": 5, "at": null, "sum": 1e3}',
]  # fmt: skip


def read(export: Callable[..., Export], encoding: str | None = None, data: bytes | None = None) -> Page:
    source = {"system": "table", "files": "*", "table": "events"} | ({"encoding": encoding} if encoding else {})
    columns = {"user_id": "user", "event": "at", "ts": "at"}
    made = export({**source, "columns": columns}, {"a.jsonl": data or "\n".join(LINES).encode()})
    (page,) = objects.pages(made.files()[0], made, WANTED)
    return page


def test_columns_find_what_rows_find(export: Callable[..., Export]) -> None:
    one, other = read(export), read(export, "gb18030", "\n".join(LINES).encode("gb18030"))
    assert one.read == other.read == 14
    told = [name for name in one.rows if name not in (*INTERNAL, "more")]
    pd.testing.assert_frame_equal(one.rows[[*told, LINE]], other.rows[[*told, LINE]])
    known = [[None if pd.isna(text) else json.loads(text) for text in page.rows["more"]] for page in (one, other)]
    assert known[0] == known[1]
    assert one.aside[[LINE, "rule"]].to_numpy().tolist() == other.aside[[LINE, "rule"]].to_numpy().tolist()
    assert (one.merged, one.columns.keys()) == (other.merged, other.columns.keys())


def test_numbers_stay_as_they_are_written(export: Callable[..., Export]) -> None:
    rows = read(export).rows.set_index(LINE)
    assert rows.loc[1, "user"] == "12345678901234567890123"
    assert rows.loc[[1, 2, 3], "amount"].tolist() == ["2.5", "12.50", "1234567890.12345678901234"]
    assert rows.loc[[1, 2], "city"].tolist() == ["Köln", "Bonn"]


@pytest.mark.parametrize("text", ['{"at": "x"}\n{"at": "y"}\n'])
def test_rows_are_told_apart_by_their_text(export: Callable[..., Export], text: str) -> None:
    assert read(export, data=(text + text).encode()).rows[ROW].nunique() == 2
