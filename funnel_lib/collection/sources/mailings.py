"""E-mail marketing (Mailchimp, Mandrill, HubSpot, any tool): what each recipient did with a mailing, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.mailchimp import API
from funnel_lib.collection.unpacking import each

_COLUMNS = {
    "user_id": (
        "Subscriber ID", "Contact ID", "Member ID", "Unique Email ID", "email_id", "Recipient ID", "User ID", "用户ID",
    ),
    "email": ("Email Address", "Email", "Recipient", "E-mail", "邮箱", "收件人"),
    "event": ("Event", "Action", "Status", "Activity", "Event type", "type", "事件", "状态"),
    "ts": ("Timestamp", "Event time", "Date", "Time", "created", "occurred_at", "时间"),
    "campaign": ("Campaign", "Campaign title", "Campaign name", "Subject", "emailCampaignId", "Campaign ID",
                 "邮件主题"),
    "url": ("URL", "Link", "链接"),
    "opens": ("Opens",),
    "clicks": ("Clicks",),
    "bounce": ("Bounce Detail", "Bounce type", "response"),
    "user_agent": ("User agent",),
}  # fmt: skip
_EVENTS = {
    "sent": "sent", "send": "sent", "processed": "sent", "delivered": "delivered", "open": "open", "opened": "open",
    "opens": "open", "click": "click", "clicked": "click", "clicks": "click", "bounce": "bounce", "bounced": "bounce",
    "hard bounce": "bounce", "soft bounce": "bounce", "hard-bounced": "bounce", "soft-bounced": "bounce",
    "unsubscribe": "unsubscribe", "unsubscribed": "unsubscribe", "unsub": "unsubscribe", "spam": "complaint",
    "complaint": "complaint", "spamreport": "complaint", "发送": "sent", "送达": "delivered", "打开": "open",
    "点击": "click", "退信": "bounce", "退订": "unsubscribe",
}  # fmt: skip


def _activity(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    """Name what was done in one way for all tools, apart from the events of other systems."""
    done = rows["event"].str.strip().str.lower()
    known = {text: f"email_{_EVENTS.get(text, text.replace(' ', '_'))}" for text in done.dropna().unique() if text}
    channel = pd.Series(["email"] * len(rows), index=rows.index, dtype="str")
    return rows.assign(event=done.map(known).astype("str"), channel=channel)


_LAYOUTS = tuple(
    Layout("events", _COLUMNS, ["event", "ts", person], shape=_activity) for person in ("user_id", "email")
)
_ADVICE = "Export the activity of recipients: one row for each mail sent, opened or clicked, with its time."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


def _is_activity(name: str) -> bool:
    return name.lower().endswith((".csv", ".json", ".jsonl", ".ndjson", ".tsv"))


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read activities into `events`: ``email_sent``, ``email_open``, ``email_click`` and so on, channel ``email``.

    A recipient known by an address only gets an id made of its keyed hash; see `clean.batch`. Opens that mail
    programs make on their own are opens here.

    Raises
    ------
    DataError : a file is damaged or lacks what was done, when, or by whom.
    """
    return each(paths, export, _file, _is_activity)


SYSTEM = Offer(
    name="mailings",
    title="E-mail marketing (Mailchimp and any tool)",
    reads=read,
    fills=("events",),
    files="The activity of recipients as CSV, Excel or JSON lines, also as zip: one row for each mail sent, opened "
    "or clicked.",
    confirmed="The activity export of Mandrill by its reference; reports and activities of Mailchimp's interface in "
    "part. All other header texts and names of events are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
