"""Surveys of any tool (SurveyMonkey, Typeform, 问卷星, Google Forms, own ones): scores, or a column per question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import layouts, surveys
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer

_DESCRIBED = {
    "response_id": (
        "Response ID", "Respondent ID", "Submission ID", "#", "序号", "答卷编号", "properties.hs_object_id",
    ),
    "user_id": ("User ID", "Customer ID", "Custom Data 1", "用户ID", "客户编号", "utm_user"),
    "email": ("Email", "Email Address", "E-mail", "邮箱"),
    "ts": (
        "Submitted at", "Submit Date (UTC)", "Date Submitted", "End Date", "Timestamp", "Completed at", "Date",
        "提交时间", "提交答卷时间", "properties.hs_submission_timestamp",
    ),
}  # fmt: skip
_SCORED = Layout(
    "surveys",
    {
        **_DESCRIBED,
        "question": ("Question", "Survey", "Survey name", "问题", "properties.hs_survey_name"),
        "score": ("Score", "NPS", "NPS Score", "Rating", "评分", "推荐分", "properties.hs_value"),
        "comment": ("Comment", "Feedback", "Reason", "Verbatim", "评论", "原因", "properties.hs_content"),
    },
    ["ts", "score"],
)
_WIDE = Layout(
    "surveys",
    {
        **_DESCRIBED,
        "_collector": ("Collector ID",),
        "_began": ("Start Date", "Start Date (UTC)", "Date Created", "Started at"),
        "_changed": ("Date Modified", "Stage Date (UTC)"),
        "_address": ("IP Address", "来自IP", "IP"),
        "_network": ("Network ID",),
        "_first": ("First Name",),
        "_last": ("Last Name",),
        "_tags": ("Tags",),
        "_kind": ("Response Type", "Ending"),
        "_took": ("所用时间", "Duration", "Time taken"),
        "_origin": ("来源", "来源详情", "Source"),
        "_total": ("总分",),
    },
    ["ts"],
    further=True,
)
_LAYOUTS = (_SCORED, _WIDE)
_ADVICE = "Export all responses, one per row, with the time of submission."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read responses into the table `surveys`: a score per row, or a row per answer; see `surveys.read`.

    A person known by an e-mail address only gets an id made of its keyed hash; see `clean.batch`.

    Raises
    ------
    DataError : a file is damaged or lacks the time of submission.
    """
    return surveys.read(paths, export, _LAYOUTS, advice=_ADVICE)


SYSTEM = Offer(
    name="nps",
    title="Surveys of any tool",
    reads=read,
    fills=("surveys",),
    files="Responses as CSV, Excel or JSON lines: a score per row, or one column per question (also below two rows of "
    "headers).",
    confirmed="There is no common format: the header texts of the tools are not confirmed; every column that is not "
    "known counts as a question. Scores are those of NPS, 0 to 10.",
    aliases=layouts.aliases(_LAYOUTS),
)
