"""The web rows as day files of the Google Analytics 4 BigQuery export (JSON lines, gzip)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np

from funnel_lib.sample import plan
from funnel_lib.sample.people import BOT, CITIES, People
from funnel_lib.sample.web import BAD_TIME, NO_EVENT, PAGES, TRUNCATED, Rows

SITE = "www.courses.example"
# Operating system and browsers by device.
_MACHINES = {
    "mobile": (("Android", "Chrome"), ("iOS", "Safari"), ("Android", "Android Webview")),
    "desktop": (("Windows", "Chrome"), ("Windows", "Edge"), ("Macintosh", "Safari")),
    "tablet": (("iOS", "Safari"), ("Android", "Chrome"), ("iOS", "Safari")),
}
_BOTS = ("HeadlessChrome", "Googlebot")


def user_id(number: int) -> str:
    """Return the id that the web site gives a registered person; the CRM knows it too."""
    return f"U{100_000 + number}"


def name(day: int) -> str:
    """Return the name of the file of a day, counted from the first."""
    return f"events_{plan.FIRST_DAY + timedelta(days=day):%Y%m%d}.jsonl.gz"


def write(folder: Path, people: People, rows: Rows, *, first: bool, progress: Callable[[float], None]) -> None:
    """Write the rows into one file per day below `folder`, or, after the first chunk, append to these files.

    The text of one day at a time is in memory. An appended chunk is a gzip member of its own.
    """
    common = [_common(people, rows, device) for device in (0, 1)]
    edges = np.searchsorted(rows["day"], np.arange(plan.DAYS + 1))
    for day in range(plan.DAYS):
        part = rows[edges[day] : edges[day + 1]]
        if len(part) or first:
            with (folder / name(day)).open("wb" if first else "ab") as file:
                file.write(compressed(_text(part, people, common, day).encode()))
        progress((day + 1) / plan.DAYS)


def compressed(data: bytes) -> bytes:
    """Return one gzip member without a time, a name or an operating system in its header."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = squeeze.compress(data) + squeeze.flush()
    tail = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + body + tail


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _common(people: People, rows: Rows, slot: int) -> dict[int, str]:
    """Return for each person who used this device slot what all rows of it share, as JSON without braces."""
    used = rows[rows["slot"] == slot]
    touch = np.full(len(people), np.iinfo(np.int64).max)
    np.minimum.at(touch, used["person"], used["ts"])
    devices = people.device if slot == 0 else people.last_device
    return {
        person: _device(people, person, slot, plan.DEVICES[devices[person]], int(touch[person]))
        for person in np.unique(used["person"]).tolist()
    }


def _device(people: People, person: int, slot: int, device: str, touch: int) -> str:
    """Return the fields as JSON, the outer braces left out."""
    number = int(people.number[person])
    system, browser = _MACHINES[device][number % 3]
    if people.kind[person] == BOT:
        browser = _BOTS[number % 2]
    channel = plan.CHANNELS[people.channel[person] if slot == 0 else plan.DIRECT]
    campaign = channel.campaigns[people.campaign[person] if slot == 0 else 0]
    city = CITIES[people.city[person]]
    told = plan.OCCUPATIONS[people.occupation[person]] if people.told[person] else None
    value = {"string_value": told, "set_timestamp_micros": str(touch)}
    fields = {
        # An odd factor permutes the numbers below 2**31, so that no two devices share an id.
        "user_pseudo_id": f"{(2 * number + slot) * 1_580_030_173 % 2**31}.{touch // 1_000_000}",
        "user_properties": [{"key": "occupation", "value": value}] if told else [],
        "user_first_touch_timestamp": str(touch),
        "device": {
            "category": device, "operating_system": system, "language": "zh-cn",
            "web_info": {"browser": browser, "hostname": SITE},
        },
        "geo": {"country": "China", "region": city.region, "city": city.name},
        "traffic_source": {"name": campaign, "medium": channel.medium, "source": channel.source},
        "stream_id": "5550001", "platform": "WEB",
    }  # fmt: skip
    return _plain(fields)[1:-1]


def _text(rows: Rows, people: People, common: list[dict[int, str]], day: int) -> str:
    date = f"{plan.FIRST_DAY + timedelta(days=day):%Y%m%d}"
    names = ("person", "slot", "ts", "event", "page", "known", "session", "number", "place", "fault")
    arrays = [people.number, people.channel, people.campaign, people.variant, people.price]
    attributes = [array[rows["person"]].tolist() for array in arrays]
    lines = []
    for row, traits in zip(
        zip(*(rows[n].tolist() for n in names), strict=True), zip(*attributes, strict=True), strict=True
    ):
        person, slot, ts, event, page, known, session, number, place, fault = row
        user, channel, campaign, variant, price = traits
        stamp = "not a time" if fault == BAD_TIME else ts
        title = "" if fault == NO_EVENT else f'"event_name":"{plan.EVENTS[event]}",'
        first_session = number == 1 and slot == 0 and event <= plan.VIEW
        line = (
            f'{{"event_date":"{date}","event_timestamp":"{stamp}",{title}"event_params":['
            f'{{"key":"ga_session_id","value":{{"int_value":"{session}"}}}},'
            f'{{"key":"ga_session_number","value":{{"int_value":"{number}"}}}},'
            f'{{"key":"page_location","value":{{"string_value":"https://{SITE}{PAGES[page]}"}}}}'
            f"{_extra(event, user, variant, price)}],{common[slot][person]},"
            f"{_user(user) if known else ''}{_collected(channel, campaign, user) if first_session else ''}"
            f"{_purchase(user, price) if event == plan.PURCHASE else ''}"
            f'"batch_page_id":"{session}000","batch_ordering_id":"{place}","batch_event_index":"1"}}\n'
        )
        lines.append(line[: len(line) // 2] + "\n" if fault == TRUNCATED else line)
    return "".join(lines)


def _user(number: int) -> str:
    return f'"user_id":"{user_id(number)}",'


def _purchase(number: int, price: int) -> str:
    return f'"ecommerce":{{"transaction_id":"T{number:08d}","purchase_revenue":{price / 100}}},'


def _param(key: str, kind: str, value: object) -> str:
    return f',{{"key":"{key}","value":{{"{kind}_value":{value}}}}}'


_METHOD = _param("method", "string", '"phone"')
_SCROLLED = _param("percent_scrolled", "int", '"90"')
_SHOWN = [_param("exp_variant_string", "string", f'"OPT-{plan.EXPERIMENT}-{name}"') for name in plan.VARIANTS]


def _extra(event: int, number: int, variant: int, price: int) -> str:
    """Return the parameters that only this kind of event has; amounts are in CNY, `price` in fen."""
    if event in (plan.ORDER, plan.PURCHASE):
        money = _param("value", "double", price / 100) + _param("currency", "string", '"CNY"')
        paid = _param("transaction_id", "string", f'"T{number:08d}"') if event == plan.PURCHASE else ""
        return money + paid
    if event == plan.IMPRESSION:
        return _SHOWN[variant]
    if event == plan.SCROLL:
        return _SCROLLED
    return _METHOD if event in (plan.LOGIN, plan.SIGN_UP) else ""


def _collected(channel: int, campaign: int, number: int) -> str:
    click = f',"gclid":"EAIaIQob{number:09d}"' if channel == plan.CPC else ""
    return _COLLECTED[channel][campaign] and f"{_COLLECTED[channel][campaign]}{click}}},"


def _manual(channel: plan.Channel, campaign: str) -> str:
    """Return what the link of a visit carries, the closing brace left out; nothing for a direct visit."""
    if channel.medium == "(none)":
        return ""
    found = {
        "manual_source": channel.source,
        "manual_medium": channel.medium,
        "manual_campaign_name": campaign,
    }
    return f'"collected_traffic_source":{_plain(found)[:-1]}'


_COLLECTED = [[_manual(channel, campaign) for campaign in channel.campaigns] for channel in plan.CHANNELS]
