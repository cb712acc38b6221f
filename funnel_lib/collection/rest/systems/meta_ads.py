"""Meta Ads: costs by day and campaign, as a report that is ordered first."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from funnel_lib.collection.rest.api import Api, Job, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth
from funnel_lib.collection.rest.calls import Ask, Request
from funnel_lib.collection.rest.paging import Cursor

_FIELDS = (
    "campaign_id,campaign_name,account_currency,date_start,date_stop,reach,impressions,clicks,spend,actions,"
    "action_values"
)
_NAMES = {"adset": "adset_id,adset_name", "ad": "adset_id,adset_name,ad_id,ad_name"}


def _order(ask: Ask) -> Request:
    level = ask.option("level", "campaign")
    fields = ",".join(filter(None, [_FIELDS, _NAMES.get(level)]))
    days = json.dumps({"since": ask.first.isoformat(), "until": ask.last.isoformat()})
    params = {"level": level, "time_increment": 1, "fields": fields, "time_range": days}
    return Request(f"{_version(ask)}/act_{ask.option('account')}/insights", "POST", params=params)


def _version(ask: Ask) -> str:
    return ask.option("version", "v25.0")


def _ready(answer: Any) -> bool | str:
    state = str(answer.get("async_status"))
    if state in ("Job Failed", "Job Skipped"):
        return state
    return state == "Job Completed" and int(answer.get("async_percent_completion", 0)) == 100


API = Api(
    system="meta_ads",
    server="https://graph.facebook.com",
    # In a header, not in the address: addresses get into the logs of proxies.
    auth=Auth(needs=("token",), place=BEARER),
    streams=(
        Stream(
            "insights", _order, every="month", overlap=timedelta(days=28), select="data",
            paging=Cursor("paging.cursors.after", "after", while_path="paging.next"),
            job=Job(
                look=lambda ask, order: Request(f"{_version(ask)}/{order['report_run_id']}"),
                ready=_ready,
                fetch=lambda ask, order: Request(
                    f"{_version(ask)}/{order['report_run_id']}/insights", params={"limit": 500}
                ),
            ),
        ),
    ),
    options={
        "account": "number of the ad account, without act_", "level": "campaign, adset or ad",
        "version": "of the interface, such as v25.0",
    },
    title="Graph API, insights",
    sure="Fields and paging: dlt's source; that the token may go in a header, and the names of the report's states: "
    "not confirmed. Attribution may change numbers for 28 days.",
)  # fmt: skip
