"""What the exports of survey tools have in common: a row per response, a column per question.

Every answer becomes a row of `surveys`. Columns that are not known to describe the response are its questions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from funnel_lib.collection.batch import FILE, INTERNAL, LINE, RAW, ROW, Batch, rejected
from funnel_lib.collection.clean import batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout, fitted
from funnel_lib.collection.pages import FURTHER, Page, is_private
from funnel_lib.collection.values import numbers

ANSWERS = "_answers"
"""The column of a layout that holds all answers as JSON, as interfaces give them."""
NPS = "nps"
"""The question of scores whose export does not name it."""
_SCORES = 0.8
"""From this share of scores on a column asks for a score, and other answers in it are faults."""
_CONTINUED = re.compile(r" \([0-9]+\)$")
_ONLY_ANSWER = frozenset(["", "response", "open-ended response"])
_PRIVATE = "[private]"
_NOTHING = ["", "-", "--", "n/a", "N/A", "(跳过)"]


def read(paths: Sequence[Path], export: Export, layouts: Sequence[Layout], *, advice: str) -> Iterator[Batch]:
    """Read responses into the table `surveys`, one row for each answer.

    What is counted are answers: a response with three answers counts as three rows, one without any as one row,
    which is set aside (`blank_row`). A question most of whose answers are numbers from 0 to 10 asks for a score;
    all other answers are comments. What is answered to a question for a name, an address or a number is not kept.
    A file that fits a layout with `score` has one answer per row already, to the question `NPS` where it names
    none. Responses without an id get one that follows from their row.

    Raises
    ------
    DataError : a file is damaged, or fits no layout.
    """
    for layout, page in fitted(paths, export, layouts, advice=advice):
        each = answers(page, export) if "score" not in page.rows else _one_each(page, export)
        yield batch(each, layout.table, export)


def _one_each(page: Page, export: Export) -> Page:
    further = [name for name in page.rows if str(name).startswith(FURTHER)]
    rows = _with_ids(page.rows.drop(columns=further), export)
    asked = rows["question"] if "question" in rows else pd.Series(None, index=rows.index, dtype="str")
    return replace(page, rows=rows.assign(question=asked.fillna(NPS)))


def answers(page: Page, export: Export) -> Page:
    """Return the page with a row per answer (`question`, `score`, `comment`) instead of one per response."""
    names = [str(name) for name in page.rows if str(name).startswith(FURTHER)]
    rows, below, aside = _without_subheader(page.rows, names)
    rows = _with_ids(rows, export)
    described = rows[[str(name) for name in rows if name in INTERNAL or str(name)[0] not in (FURTHER, "_")]]
    found = [_column(rows[name], _question(name, below)) for name in names]
    found += [_listed(rows[ANSWERS])] if ANSWERS in rows else []
    nothing = pd.DataFrame(columns=["question", "score", "comment"], index=rows.index[:0], dtype="str")
    long = pd.concat([nothing, *found])
    each = described.join(long, how="inner").reset_index(drop=True)
    silent = described[~described.index.isin(long.index)]
    blank = silent[[FILE, LINE, RAW]].assign(rule="blank_row", reason="The response holds no answer.")
    mixed = each[ROW] ^ pd.util.hash_array(each["question"].to_numpy(dtype=object), categorize=False)
    return replace(
        page, rows=each.assign(**{ROW: mixed}), read=page.read - len(rows) + len(each) + len(silent),
        aside=rejected(pd.concat([page.aside, rejected(aside), rejected(blank)])),
    )  # fmt: skip


def _with_ids(rows: pd.DataFrame, export: Export) -> pd.DataFrame:
    own = rows["response_id"] if "response_id" in rows else pd.Series(None, index=rows.index, dtype="str")
    made = pd.Series([f"{export.name}-{value:016x}" for value in rows[ROW]], index=rows.index, dtype="str")
    return rows.assign(response_id=own.mask(own.str.strip() == "").fillna(made))


def _without_subheader(rows: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame]:
    """Return the rows behind a second row of headers, what that row says of each question, and it as a row aside.

    It is told by being the first, and by saying nothing about a response.
    """
    own = [name for name in rows if name not in (*names, *INTERNAL)]
    is_header = not rows.empty and bool(names) and not rows[own].iloc[0].fillna("").str.strip().any()
    if not is_header:
        return (
            rows,
            pd.Series([""] * len(names), index=list(names), dtype="str"),
            rows.iloc[:0].assign(rule="", reason=""),
        )
    first = rows.iloc[:1].assign(rule="repeated_header", reason="The row continues the header.")
    return rows.iloc[1:], first[list(names)].iloc[0].fillna("").astype("str"), first


def _question(name: str, below: pd.Series[Any]) -> str:
    """Return the question of a column; one of several columns of a question is told by the second header."""
    label, text = str(below[name]).strip(), name.removeprefix(FURTHER)
    return text if label.lower() in _ONLY_ANSWER else f"{_CONTINUED.sub('', text)}: {label}"


def _column(cells: pd.Series[Any], question: str) -> pd.DataFrame:
    """Return the answers of a column (`question`, and `score` or `comment`) by the index of their rows."""
    given = cells.str.strip()
    given = given[given.notna() & ~given.isin(_NOTHING)]
    if is_private(question):  # a choice called “Phone” holds its own name, and nobody's number
        given = given.where(given == question.rpartition(": ")[2], _PRIVATE)
    return _sorted(pd.DataFrame({"question": question, "given": given, "comment": None}, dtype="str"))


def _listed(cells: pd.Series[Any]) -> pd.DataFrame:
    """Return the answers of JSON lists: the question's text or number, its answer, and the comment beside it."""
    found = [(row, *answer) for row, cell in cells.dropna().items() for answer in _answers(cell)]
    frame = pd.DataFrame(found, columns=["row", "question", "given", "comment"]).set_index("row").astype("str")
    parts = [_sorted(part) for _, part in frame.groupby("question", sort=False)]
    return pd.concat(parts) if parts else _sorted(frame)


def _sorted(answered: pd.DataFrame) -> pd.DataFrame:
    """Return the answers to one question (`given`) as `score` or as `comment`."""
    is_score = numbers(answered["given"]).between(0, 10).mean() >= _SCORES
    rest = answered.drop(columns="given")
    if is_score:
        return rest.assign(score=answered["given"])
    nothing = pd.Series(None, index=answered.index, dtype="str")
    return rest.assign(score=nothing, comment=answered["given"].fillna(answered["comment"]))


def _answers(cell: str) -> list[tuple[str, str | None, str | None]]:
    try:
        listed = json.loads(cell, parse_int=str, parse_float=str)
    except ValueError:
        return []
    told = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    found = [(_text(one, "question", "question_id"), _text(one, "answer"), _text(one, "comment")) for one in told]
    return [(question or "", answer, comment) for question, answer, comment in found if answer or comment]


def _text(one: dict[str, Any], *names: str) -> str | None:
    value = next((one[name] for name in names if one.get(name) not in (None, "")), None)
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
