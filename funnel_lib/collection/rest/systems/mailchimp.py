"""Mailchimp: reports of campaigns, and what each recipient did."""

from __future__ import annotations

from typing import Any

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import Auth, basic
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Offset


def _reports(ask: Ask) -> Request:
    return Request("3.0/reports", params={"since_send_time": f"{ask.first}T00:00:00Z"})


def _activity(ask: Ask) -> Request:
    return Request(f"3.0/reports/{ask.parent['id']}/email-activity")


def _actions(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    """Return one row for each thing that a recipient did."""
    mail = {"campaign_id": ask.parent["id"], "campaign_title": ask.parent.get("campaign_title")}
    return [
        {**mail, "email_id": row.get("email_id"), "email_address": row.get("email_address"), **one}
        for row in rows
        for one in row.get("activity", ())
    ]


_PAGES = Offset(500, limit_param="count", total="total_items")

API = Api(
    system="mailchimp",
    server="https://us1.api.mailchimp.com",
    auth=Auth(needs=("api_key",), place=basic("any", "{api_key}")),
    streams=(
        Stream("reports", _reports, select="reports", paging=_PAGES, aside=True),
        Stream(
            "activity", _activity, select="emails", paging=_PAGES,
            of="reports", shape=_actions, key="campaign_id",
        ),
    ),
    pause=0.1,
    title="Marketing API 3.0, reports",
    sure="Reports and their numbers: vendor's reference; form of the activities: not confirmed. The server holds the "
    "key's data centre: https://DC.api.mailchimp.com.",
)  # fmt: skip
