import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import hotjar
from funnel_lib.errors import DataError

SOURCE = {"system": "hotjar", "files": "*"}
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = hotjar.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_every_answer_becomes_a_row_and_every_blank_is_none(export: Exports):
    rows = [
        "Number,User,Date Submitted,Country,Source URL,Device,How likely?,Why?",
        '1,ab12,2026-03-01 10:00,DE,https://x.example/a,desktop,9,"Quick, write to a@b.example"',
        "2,cd34,2026-03-01 11:00,DE,https://x.example/b,phone,0,",
        "3,ef56,2026-03-01 12:00,DE,https://x.example/b,phone,-,",
    ]
    batch = read(export, "\n".join(rows))
    assert shown(batch.rows, "response_id", "user_id", "question", "score", "comment") == [
        ["1", "ab12", "How likely?", "9.0", None],
        ["1", "ab12", "Why?", None, "Quick, write to [e-mail]"],
        ["2", "cd34", "How likely?", "0.0", None],
    ]
    assert batch.read == {"a.csv": 4}  # three answers, and a response without any
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[4, "blank_row"]]
    assert batch.rows["_row"].nunique() == 3  # two answers of one line are no duplicates


def test_the_sites_own_id_comes_before_the_visitors(export: Exports):
    rows = "Number,User ID,Hotjar User ID,Date Submitted,Q\n1,u7,ab12,2026-03-01 10:00,yes\n"
    batch = read(export, rows)
    assert shown(batch.rows, "user_id", "question") == [["u7", "Q"]]


def test_an_answer_that_is_no_score_among_scores_is_a_fault(export: Exports):
    rows = ["Number,Date Submitted,NPS", *(f"{i},2026-03-01 10:00,{i}" for i in range(1, 10)), "10,2026-03-01 10:00,11"]
    batch = read(export, "\n".join(rows))
    assert len(batch.rows) == 9
    assert batch.rejected["rule"].tolist() == ["score_range"]


def test_responses_of_the_interface(export: Exports):
    row = {"id": "r1", "created_time": "2026-03-01T10:00:00Z", "hotjar_user_id": "ab12", "device": "mobile",
           "answers": [{"question_id": "q1", "answer": 8, "comment": "fine"}, {"question_id": "q2", "answer": "price"},
                       {"question_id": "q3", "answer": None}]}  # fmt: skip
    batch = read(export, json.dumps(row) + '\n{"id": "r2", "created_time": "2026-03-02T10:00:00Z"}\n', name="a.jsonl")
    assert shown(batch.rows, "response_id", "question", "score", "comment") == [
        ["r1", "q1", "8.0", "fine"],
        ["r1", "q2", None, "price"],
    ]
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[2, "blank_row"]]


def test_a_table_of_something_else_is_refused(export: Exports):
    with pytest.raises(DataError, match="lacks the column"):
        read(export, "Name,Clicks\na,1\n")
