"""Telephone calls (Twilio, RingCentral, FreeSWITCH, DIDWW and any list), a row for each call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.api import Several
from funnel_lib.collection.rest.systems import ringcentral, twilio
from funnel_lib.collection.unpacking import each
from funnel_lib.collection.values import numbers

_COLUMNS = {
    "call_id": ("Call SID", "sid", "Call ID", "id", "uuid", "sessionId", "通话ID", "通话编号", "录音编号"),
    "caller": (
        "From", "from", "from.phoneNumber", "caller_id_number", "Source Number", "caller_no", "主叫号码", "主叫",
    ),
    "callee": (
        "To", "to", "to.phoneNumber", "destination", "Destination", "Destination Number", "callee_no", "被叫号码",
        "被叫",
    ),
    "direction": ("Direction", "direction", "呼叫方向", "呼叫类型", "通话类型"),
    "ts": (
        "Start Time", "start_time", "startTime", "start", "Date/Time Start (UTC)", "call_begin", "Call Start Time",
        "开始时间", "呼叫时间", "通话时间",
    ),
    "outcome": ("Status", "status", "result", "hangup_cause", "Call Result", "通话状态", "接听状态", "呼叫结果"),
    "talk": ("billsec", "Duration", "duration", "Call Duration", "通话时长", "通话时长(秒)", "通话时长（秒）"),
    "agent": ("Agent", "agent_id", "Extension", "坐席", "客服"),
    "campaign": ("Campaign", "Tracking Source", "活动"),
    "user_id": ("Customer ID", "Contact ID", "User ID", "客户编号", "用户ID"),
}  # fmt: skip
_OUTGOING = re.compile(r"(?i)out|呼出|去电|外呼|拨出")
_INCOMING = re.compile(r"(?i)in\b|inbound|incoming|呼入|来电|拨入")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2})(?:\.\d+)?")
_SPOKEN = re.compile(r"(?:(\d+)小?时)?(?:(\d+)分钟?)?(?:(\d+)秒)?")
_UNANSWERED = re.compile(r"(?i)no.?answer|busy|fail|cancel|miss|reject|voicemail|未接|无人|忙|拒|失败|取消|空号|关机")


def _call(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    """Name the call by whether anybody spoke, and give it the number of the customer, who is on the other side."""
    filled = {name: rows[name].str.strip().mask(rows[name].str.strip() == "") for name in _COLUMNS if name in rows}
    empty = pd.Series(None, index=rows.index, dtype="str")
    way = filled.get("direction", empty)
    outgoing = way.str.contains(_OUTGOING).fillna(value=False).astype(bool)
    incoming = (way.isna() | way.str.contains(_INCOMING).fillna(value=False)).astype(bool) & ~outgoing
    phone = filled.get("caller", empty).where(incoming, filled.get("callee", empty).where(outgoing))
    seconds = filled.get("talk", empty).map(_seconds, na_action="ignore").astype("float64")
    missed = filled.get("outcome", empty).str.contains(_UNANSWERED).fillna(value=False).astype(bool)
    spoken = (seconds > 0) & ~missed
    event = pd.Series(["call_missed"] * len(rows), index=rows.index, dtype="str").mask(spoken, "call_connected")
    known = {
        "event": event, "phone": phone, "direction": way.mask(outgoing, "outbound").mask(incoming, "inbound"),
        "talk_seconds": seconds.map(lambda value: f"{value:g}", na_action="ignore").astype("str"),
        "channel": pd.Series(["phone"] * len(rows), index=rows.index, dtype="str"),
    }  # fmt: skip
    if "call_id" in rows:
        known["event_id"] = filled["call_id"]
    return rows.drop(columns=[name for name in ("call_id", "caller", "callee", "talk") if name in rows]).assign(**known)


def _seconds(text: str) -> float:
    """Return how long a call took: seconds, ``1:02:03``, ``2:03`` or 1分3秒; missing where it is none of these."""
    if match := _CLOCK.fullmatch(text):
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
    if (match := _SPOKEN.fullmatch(text)) and match[0]:
        hours, minutes, rest = (int(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + rest
    return float(numbers(pd.Series([text], dtype="str")).iloc[0])


_LAYOUTS = tuple(
    Layout("events", _COLUMNS, ["ts", *needs], shape=_call) for needs in (["caller", "talk"], ["callee", "talk"])
)
_ADVICE = "Export the calls with their start, both numbers, the direction and the seconds that were talked."


def _file(path: Path, export: Export) -> Iterator[Batch]:
    return layouts.read([path], export, _LAYOUTS, advice=_ADVICE)


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read calls into `events`: ``call_connected`` where somebody spoke, else ``call_missed``; channel ``phone``.

    The person is who called, or was called: known by the keyed hash of the number (see `clean.batch`), or by an id
    of the list's own. Without a direction, calls are taken as incoming. Numbers themselves are not kept.

    Raises
    ------
    DataError : a file is damaged, or lacks start, number or duration.
    """
    return each(paths, export, _file)


SYSTEM = Offer(
    name="calls",
    title="Telephone calls (Twilio, RingCentral and any list)",
    reads=read,
    fills=("events",),
    files="The list of calls as CSV, Excel or JSON lines, with a header: start, both numbers, direction, duration.",
    confirmed="Fields of Twilio's and RingCentral's interfaces, FreeSWITCH's and DIDWW's lists by their references; "
    "how Twilio writes times, the headers of downloads and the Chinese texts are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=Several((twilio.API, ringcentral.API)),
)
