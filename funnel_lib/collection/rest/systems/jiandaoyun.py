"""简道云 Jiandaoyun: the rows of a form, under the titles that people see instead of the widgets' numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from funnel_lib.collection.rest.api import Api, Stages, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Follow

_SIZE = 100
_FORM = "api/v5/app/entry"


def _widgets(ask: Ask) -> Request:
    body = {"app_id": ask.option("app"), "entry_id": ask.option("form")}
    return Request(f"{_FORM}/widget/list", "POST", json=body)


def _rows(ask: Ask) -> Request:
    body = {"app_id": ask.option("app"), "entry_id": ask.option("form"), "data_id": "", "limit": _SIZE}
    return Request(f"{_FORM}/data/list", "POST", json=body)


def _form(_rows: list[Row], answer: Any, _ask: Ask) -> list[Row]:
    """Make one row of all widgets, so that the form's rows are fetched once, with all titles at hand."""
    return [{"id": "form", "titles": {one["name"]: one["label"] for one in answer.get("widgets", ())}}]


def _titled(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    """Put each value under its widget's title; two widgets of one title keep their own names."""
    titles: Mapping[str, str] = ask.parent["titles"]
    often = [*titles.values()]
    names = {widget: title for widget, title in titles.items() if often.count(title) == 1}
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


def _after(_answer: Any, rows: Sequence[Row], _sent: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Go on after the last row; a page that is not full is the last one."""
    return {"data_id": rows[-1]["_id"]} if len(rows) == _SIZE else None


API = Api(
    system="jiandaoyun",
    server="https://api.jiandaoyun.com",
    auth=Auth(needs=("token",), place=BEARER),
    streams=(
        Stream("form", _widgets, shape=_form, aside=True),
        Stream(
            "rows", _rows, select="data", paging=Follow(_after, in_body=True), of="form", shape=_titled, key="_id",
            stages=Stages("_id", "销售阶段", created="createTime"),
        ),
    ),
    pause=0.05,
    options={
        "app": "app_id of the application", "form": "entry_id of the form", "stage": "title of the stage's field",
        "stage_label": "title of another field with the stage",
    },
    title="Open API v5",
    sure="Rows and their order: vendor's pages; titles of widgets: a client; no stage history, so it follows from "
    "the fetches.",
)  # fmt: skip
