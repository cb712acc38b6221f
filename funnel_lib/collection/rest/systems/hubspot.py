"""HubSpot: deals with the history of their stages, contacts, pipelines, calls and answers to feedback surveys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funnel_lib.collection.rest.api import Api, Stream
from funnel_lib.collection.rest.auth import BEARER, Auth
from funnel_lib.collection.rest.calls import Ask, Request, Row
from funnel_lib.collection.rest.paging import Cursor

_PROPERTIES = {
    "deals": "dealname,dealstage,pipeline,amount,deal_currency_code,closedate,createdate,hs_lastmodifieddate,"
    "hs_object_id,hubspot_owner_id,closed_lost_reason,hs_is_closed_won,hs_is_closed,hs_analytics_source",
    "contacts": "email,phone,lifecyclestage,hs_lead_status,hs_analytics_source,country,createdate,lastmodifieddate",
    "calls": "hs_timestamp,hs_call_duration,hs_call_direction,hs_call_disposition,hs_call_from_number,"
    "hs_call_to_number",
    "feedback_submissions": "hs_value,hs_response_group,hs_content,hs_submission_timestamp,hs_survey_name",
}
_PAGES = Cursor("paging.next.after", "after")


def _listed(name: str) -> Callable[[Ask], Request]:
    def request(ask: Ask) -> Request:
        params: dict[str, Any] = {"limit": 100, "properties": ask.option(f"{name}_properties", _PROPERTIES[name])}
        if name == "deals":  # a page with histories holds at most 50 rows
            params |= {"limit": 50, "propertiesWithHistory": "dealstage", "associations": "contacts,companies"}
        return Request(f"crm/v3/objects/{name}", params=params)

    return request


def _stages(rows: list[Row], _answer: Any, _ask: Ask) -> list[Row]:
    return [
        {"pipeline": row["id"], "pipeline_label": row.get("label"), **stage}
        for row in rows
        for stage in row.get("stages", ())
    ]


def _labelled(rows: list[Row], _answer: Any, ask: Ask) -> list[Row]:
    """Put the label of each stage beside its id, which says nothing to people."""
    labels = {stage.get("id"): stage.get("label") for stage in ask.lookups.get("stages", ())}
    for row in rows:
        properties = row.get("properties", {})
        properties["dealstage_label"] = labels.get(properties.get("dealstage"))
        for entry in (row.get("propertiesWithHistory") or {}).get("dealstage") or ():
            entry["label"] = labels.get(entry.get("value"))
    return rows


API = Api(
    system="hubspot",
    server="https://api.hubapi.com",
    auth=Auth(needs=("token",), place=BEARER),
    streams=(
        Stream("stages", lambda _ask: Request("crm/v3/pipelines/deals"), select="results", shape=_stages, aside=True),
        Stream("deals", _listed("deals"), select="results", paging=_PAGES, shape=_labelled, uses=("stages",)),
        Stream("contacts", _listed("contacts"), select="results", paging=_PAGES),
        Stream("calls", _listed("calls"), select="results", paging=_PAGES, default=False),
        Stream("feedback_submissions", _listed("feedback_submissions"), select="results", paging=_PAGES, default=False),
    ),
    pause=0.1,
    options={f"{name}_properties": "names of properties, divided by commas" for name in _PROPERTIES},
    title="CRM API v3",
    sure="Objects, histories and pipelines: vendor's specification. Lists have no filter by time, so every fetch "
    "reads them whole.",
)  # fmt: skip
