from collections.abc import Callable
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import nps

SOURCE = {"system": "nps", "files": "*", "timezone": "Asia/Shanghai"}
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = nps.read(made.files(), made)
    return batch


def shown(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    return [[None if pd.isna(v) else str(v) for v in row] for row in frame[list(names)].to_numpy().tolist()]


def test_a_score_and_its_comment_are_one_answer(export: Exports):
    rows = (
        "Response ID,Customer ID,Score,Comment,Submitted at\nr1,u1,9,good,2026-03-01 08:00\nr2,u2,,,2026-03-01 08:00\n"
    )
    batch = read(export, rows + "r3,u3,12,,2026-03-01 08:00\n")
    assert shown(batch.rows, "response_id", "user_id", "ts", "question", "score", "comment") == [
        ["r1", "u1", "2026-03-01 00:00:00+00:00", "nps", "9.0", "good"],
        ["r2", "u2", "2026-03-01 00:00:00+00:00", "nps", None, None],  # asked, and not answered
    ]
    assert batch.rejected["rule"].tolist() == ["score_range"]


def test_two_rows_of_headers_name_the_choices_of_a_question(export: Exports):
    rows = [
        "Respondent ID,Collector ID,Start Date,End Date,IP Address,How likely are you?,What do you use?,,"
        "Anything else?",
        ",,,,,Response,Phone,Tablet,Open-Ended Response",
        "118,9,03/01/2026 07:59:00,03/13/2026 08:00:00,10.0.0.1,10,Phone,Tablet,no",
        "119,9,03/01/2026 08:59:00,03/13/2026 09:00:00,10.0.0.2,7,,Tablet,",
    ]
    batch = read(export, "\n".join(rows), missing=[])
    assert shown(batch.rows, "response_id", "question", "score", "comment") == [
        ["118", "How likely are you?", "10.0", None],
        ["118", "What do you use?: Phone", None, "Phone"],
        ["118", "What do you use?: Tablet", None, "Tablet"],
        ["118", "Anything else?", None, "no"],
        ["119", "How likely are you?", "7.0", None],
        ["119", "What do you use?: Tablet", None, "Tablet"],
    ]
    assert batch.rejected[[LINE, "rule"]].to_numpy().tolist() == [[2, "repeated_header"]]
    assert "10.0.0.1" not in batch.rows.drop(columns="_raw").to_csv()


def test_answers_that_name_a_person_are_not_kept(export: Exports):
    rows = "Response ID,Submitted at,Your full name?,Which e-mail address is best?,Why?\n"
    rows += "1,2026-03-01,Ada Li,a@b.example,x\n"
    batch = read(export, rows)
    assert batch.rows["comment"].tolist() == ["[private]", "[private]", "x"]
    assert "Ada" not in batch.rows.to_csv()


def test_a_chinese_questionnaire_and_responses_without_an_id(export: Exports):
    rows = "提交答卷时间,所用时间,来自IP,1、您的推荐意愿,2、原因\n2026/3/1 8:00:00,30秒,10.0.0.1,10,价格合适\n"
    batch = read(export, rows.encode("gb18030"))
    assert shown(batch.rows, "ts", "question", "score", "comment") == [
        ["2026-03-01 00:00:00+00:00", "1、您的推荐意愿", "10.0", None],
        ["2026-03-01 00:00:00+00:00", "2、原因", None, "价格合适"],
    ]
    first, second = batch.rows["response_id"]
    assert first == second
    assert first.startswith("s-")
