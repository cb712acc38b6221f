"""Small exports of five businesses in the formats of their systems; chance comes from a fixed seed.

`write(name, raw)` writes what `params/<name>.yml` names into the folder `raw`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl

FIRST = datetime(2026, 3, 1)  # noqa: DTZ001 - local time of each business
DAYS = 122
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
Rows = Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Person:
    """Somebody who came: when they took each step (fewer times than steps where they stopped), and a few numbers."""

    number: int
    times: tuple[datetime, ...]
    kind: int
    amount: float

    @property
    def id(self) -> str:
        return f"P{self.number:05d}"

    def at(self, step: int) -> str:
        """When a step was taken, as most exports write it; empty where it was not."""
        return f"{self.times[step]:%Y-%m-%d %H:%M:%S}" if len(self.times) > step else ""


def people(passing: Sequence[float], hours: float, *, count: int = 900, amount: float = 80, seed: int = 1,
           first: datetime = FIRST, days: int = DAYS) -> list[Person]:  # fmt: skip
    """Return people of whom the shares `passing` go on to each next step, after `hours` in the mean."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        kind = int(rng.integers(0, 4))
        times = [first + timedelta(days=float(rng.random() * days))]
        for share in passing:
            if rng.random() > share * (1.15 - 0.1 * kind):
                break
            times.append(times[-1] + timedelta(hours=0.01 + float(rng.exponential(hours))))
        end = first + timedelta(days=days)
        seen = tuple(time for time in times if time < end)
        found.append(Person(number, seen, kind, round(amount * float(rng.lognormal(0, 0.4)), 2)))
    return found


def table(path: Path, header: Sequence[str], rows: Rows, *, before: str = "", encoding: str = "utf-8") -> None:
    """Write a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    _put(path, (before + text.getvalue()).encode(encoding))


def sheet(path: Path, header: Sequence[str], rows: Rows) -> None:
    """Write a spreadsheet of one sheet."""
    book, held = openpyxl.Workbook(), io.BytesIO()
    page = book.active
    assert page is not None
    for row in [header, *rows]:
        page.append(list(row))
    book.save(held)
    _put(path, held.getvalue())


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _days(first: datetime = FIRST, days: int = DAYS) -> list[date]:
    return [(first + timedelta(days=day)).date() for day in range(days)]


def google_ads(raw: Path, currency: str = "USD") -> None:
    """Write a campaign report segmented by day."""
    rows = [[day, "spring_search", currency, "1,200", 40, "3.33%", "0.50", "20.00", "1.00"] for day in _days()]
    header = ("Day", "Campaign", "Currency code", "Impr.", "Clicks", "CTR", "Avg. CPC", "Cost", "Conversions")
    table(raw / "google_ads" / "report.csv", header, rows, before='Campaign report\n"March 1, 2026 - June 30, 2026"\n')


# --- the shop ---------------------------------------------------------------------------------------------------------
_CAME = (("google", "cpc", "spring_search"), ("facebook", "paid_social", "spring_social"), ("google", "organic", ""),
         ("(direct)", "(none)", ""))  # fmt: skip
_WEB = ("page_view", "view_item", "add_to_cart", "begin_checkout")


def ecommerce(raw: Path) -> None:
    """Write GA4, both ad platforms, the shop's paid orders and a survey; some buy twice."""
    shoppers = people((0.7, 0.5, 0.7, 0.9), 0.3, seed=1)
    bought = [person for person in shoppers if len(person.times) > 4]
    back = [replace(p, times=tuple(at + timedelta(days=9) for at in p.times)) for p in bought if p.number % 2 == 0]
    back = [person for person in back if person.times[-1] < FIRST + timedelta(days=DAYS)]
    rows = [row for person in [*shoppers, *back] for row in _ga4(person)]
    text = "".join(json.dumps(row) + "\n" for row in sorted(rows, key=lambda row: int(row["event_timestamp"])))
    _put(raw / "ga4" / "events_2026.jsonl.gz", gzip.compress(text.encode()))
    google_ads(raw)
    meta = [[day, day, "spring_social", day, 5, 900, 1000, 30, "25.50"] for day in _days()]
    header = ("Reporting starts", "Reporting ends", "Campaign name", "Day", "Results", "Reach", "Impressions",
              "Link clicks", "Amount spent (USD)")  # fmt: skip
    table(raw / "meta_ads" / "report.csv", header, meta, encoding="utf-8-sig")
    orders = [[f"O{p.number}", p.id, p.at(4), p.amount, "USD", ""] for p in bought]
    orders += [[f"O{p.number}b", p.id, p.at(4), p.amount, "USD", "BACK"] for p in back]
    header = ("Order ID", "Customer ID", "Paid at", "Total", "Currency", "Discount Code")
    table(raw / "orders" / "orders.csv", header, orders)
    survey(raw / "survey" / "nps.csv", [(p.id, p.at(4), 10 - p.number % 5) for p in bought])


def survey(path: Path, answers: Iterable[tuple[str, str, int]]) -> None:
    """Write one score per row."""
    rows = [[f"r{place}", *answer] for place, answer in enumerate(answers)]
    table(path, ("Response ID", "Customer ID", "Submitted at", "Score"), rows)


def _ga4(person: Person) -> list[dict[str, Any]]:
    source, medium, campaign = _CAME[person.kind]
    found = []
    for name, local in zip(_WEB, person.times, strict=False):
        at = local + timedelta(hours=4)  # New York in summer, as UTC; in winter the clock is an hour off
        params = [{"key": "ga_session_id", "value": {"int_value": "1"}}]
        if name == "view_item":
            params.append({"key": "engagement_time_msec", "value": {"int_value": str(4000 + 100 * person.kind)}})
        row: dict[str, Any] = {
            "event_date": f"{at:%Y%m%d}", "event_timestamp": str((at - EPOCH) // timedelta(microseconds=1)),
            "event_name": name, "user_pseudo_id": f"9{person.number}.1", "event_params": params,
            "device": {"category": ("mobile", "desktop")[person.number % 3 == 0]},
            "traffic_source": {"name": "(direct)", "medium": "(none)", "source": "(direct)"},
            "collected_traffic_source": {"manual_source": source, "manual_medium": medium,
                                         "manual_campaign_name": campaign},
        }  # fmt: skip
        found.append(row if name != "begin_checkout" else {**row, "user_id": person.id})
    return found


# --- software by subscription -----------------------------------------------------------------------------------------
_USE = ("sign_up", "trial_start", "project_created")


def saas(raw: Path) -> None:
    """Write Amplitude's zip, HubSpot contacts and deals, the billing's subscriptions and invoices, and a survey."""
    users = people((0.8, 0.7, 0.6), 40, seed=2, amount=60)
    lines = "".join(json.dumps(row) + "\n" for person in users for row in _amplitude(person))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("12345/12345_2026-06-30_0#0.json.gz", gzip.compress(lines.encode()))
    _put(raw / "amplitude" / "export.zip", held.getvalue())
    google_ads(raw)
    header = ("Record ID", "Product user ID", "Email", "Create Date", "Lifecycle Stage", "Industry", "Company size")
    table(raw / "hubspot" / "contacts.csv", header, [
        [7000 + p.number, p.id, f"{p.id}@mail.example", p.at(0)[:16], "Lead", ("Retail", "Logistics")[p.kind % 2],
         10 * (1 + p.number % 9)] for p in users])  # fmt: skip
    header = ("Record ID", "Deal Name", "Deal Stage", "Amount", "Close Date", "Create Date")
    stands = ("Closed won", "Closed lost", "Demo")
    table(raw / "hubspot" / "deals.csv", header, [
        [8000 + p.number, "Team plan", stands[p.number % 3], 12 * p.amount, p.at(2)[:16], p.at(1)[:16]]
        for p in users if len(p.times) > 2])  # fmt: skip
    paid = [p for p in users if len(p.times) > 3]
    subscribed = [(p, _ended(p)) for p in paid]
    table(raw / "billing" / "subscriptions.csv", ("Customer ID", "Start Date", "Ended At", "Monthly Price", "Plan"), [
        [p.id, p.at(3), "" if ended is None else f"{ended:%Y-%m-%d %H:%M:%S}", p.amount, "team"]
        for p, ended in subscribed])  # fmt: skip
    end, invoices = FIRST + timedelta(days=DAYS), []
    for p, ended in subscribed:
        months = [p.times[3] + timedelta(days=30 * month) for month in range(5)]
        invoices += [[f"I{p.number}-{place}", p.id, f"{at:%Y-%m-%d %H:%M:%S}", p.amount, "USD"]
                     for place, at in enumerate(months) if at < (ended or end)]  # fmt: skip
    table(
        raw / "billing" / "invoices.csv", ("Invoice ID", "Customer ID", "Paid At", "Amount Paid", "Currency"), invoices
    )
    survey(raw / "survey" / "nps.csv", [(p.id, p.at(3), 10 - p.number % 4) for p in paid])


def _ended(person: Person) -> datetime | None:
    ended = person.times[3] + timedelta(days=20 + 15 * (person.number % 7))
    return ended if person.number % 3 and ended < FIRST + timedelta(days=DAYS) else None


def _amplitude(person: Person) -> list[dict[str, Any]]:
    source, medium, campaign = _CAME[person.kind]
    told = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign} if medium != "(none)" else {}
    steps = [*zip(_USE, person.times, strict=False)]
    if person.number % 3 == 0 and len(person.times) > 1:
        steps.append(("invite_sent", person.times[0] + timedelta(hours=1)))
    return [
        {"$insert_id": f"{person.number}-{name}", "amplitude_id": 10_000 + person.number, "user_id": person.id,
         "device_id": f"d{person.number}", "session_id": 1, "event_type": name,
         "event_time": f"{at:%Y-%m-%d %H:%M:%S}.000000",
         "platform": "Web", "event_properties": {}, "user_properties": told, "country": "Germany"}
        for name, at in steps
    ]  # fmt: skip


# --- sales to companies -----------------------------------------------------------------------------------------------
def b2b(raw: Path) -> None:
    """Write HubSpot contacts with their dates and deals, LinkedIn Ads, calls and a survey; the year 2025 and on."""
    first, days = datetime(2025, 1, 1), 545  # noqa: DTZ001
    leads = people((0.6, 0.6, 0.5), 300, seed=3, amount=12_000, first=first, days=days)
    header = ("Record ID", "Email", "Phone Number", "Create Date", "Original Source", "Industry", "Number of Employees",
              "Became a Lead Date", "Became a Marketing Qualified Lead Date", "Became a Sales Qualified Lead Date",
              "Became a Customer Date")  # fmt: skip
    sources = ("Paid Social", "Organic Search", "Direct Traffic", "Referrals")
    table(raw / "hubspot" / "contacts.csv", header, [
        [5000 + p.number, f"u{p.number}@firm{p.number}.example", _phone(p), p.at(0)[:16], sources[p.kind],
         ("Retail", "Chemicals", "Logistics")[p.number % 3], 20 * (1 + p.number % 30),
         *(p.at(step)[:16] for step in range(4))]
        for p in leads])  # fmt: skip
    qualified = [p for p in leads if len(p.times) > 2]
    deals = [[9000 + p.number, f"Deal {p.number}", _standing(p), p.amount, "EUR",
              (p.at(3) or f"{p.times[2] + timedelta(days=20):%Y-%m-%d %H:%M}")[:16], p.at(2)[:16], 5000 + p.number]
             for p in qualified]  # fmt: skip
    table(raw / "hubspot" / "deals.csv", ("Record ID", "Deal Name", "Deal Stage", "Amount", "Currency", "Close Date",
                                          "Create Date", "Associated Contact IDs"), deals)  # fmt: skip
    rows = [[f"{day:%m/%d/%Y}", "Acme", "EUR", "decision_makers", "60.00", "2,000", 25] for day in _days(first, days)]
    table(raw / "linkedin_ads" / "report.csv", ("Start Date (in UTC)", "Account Name", "Currency", "Campaign Name",
          "Total Spent", "Impressions", "Clicks"), rows,
          before="Campaign Performance Report (in UTC)\nReport Start: 1/1/2025\nReport End: 6/29/2026\n\n")  # fmt: skip
    calls = [[f"C{p.number}", "+49 30 5550100", _phone(p), "outbound", "completed",
              f"{p.times[1] - timedelta(hours=2):%Y-%m-%d %H:%M:%S}", 95]
             for p in leads if len(p.times) > 1]  # fmt: skip
    table(
        raw / "calls" / "calls.csv", ("Call ID", "From", "To", "Direction", "Status", "Start Time", "Duration"), calls
    )
    won = [p for p in leads if len(p.times) > 3]
    survey(raw / "survey" / "nps.csv", [(str(5000 + p.number), p.at(3), 10 - p.number % 6) for p in won])


def _standing(person: Person) -> str:
    return "Closed won" if len(person.times) > 3 else ("Closed lost", "Demo")[person.number % 2]


def _phone(person: Person) -> str:
    return f"+49 30 90{person.number:05d}"


# --- the retailer -----------------------------------------------------------------------------------------------------
def retail(raw: Path) -> None:
    """Write the livestream's members, advertising, Kingdee's orders and receipts, members and 问卷星."""
    viewers = people((0.6, 0.5, 0.95), 1, seed=4, amount=180)
    acts = [[p.id, name, p.times[step], f"L{p.times[step]:%m%d}", "主播甲"] for p in viewers
            for step, name in enumerate(("进入直播间", "商品点击")) if len(p.times) > step]  # fmt: skip
    sheet(raw / "douyin" / "live.xlsx", ("会员编号", "行为", "时间", "直播场次", "主播"), acts)
    table(raw / "qianchuan" / "report.csv", ("日期", "计划名称", "展示次数", "点击次数", "消耗"),
          [[day, "直播间推广", 5000, 150, 320.5] for day in _days()], encoding="gb18030")  # fmt: skip
    bought = [p for p in viewers if len(p.times) > 2]
    header = ("单据编号", "单据日期", "客户编码", "客户", "单据类型", "商品名称", "数量", "价税合计", "单据状态")
    sheet(raw / "kingdee" / "orders.xlsx", header, [
        [f"XSDD-{p.number}", f"{p.times[2]:%Y-%m-%d}", p.id, "会员", "销售订单", "礼盒", 1, p.amount, "已审核"]
        for p in bought])  # fmt: skip
    sheet(raw / "kingdee" / "receipts.xlsx", header, [
        [f"SKD-{p.number}", f"{p.times[3]:%Y-%m-%d}", p.id, "会员", "收款单", "", 1, p.amount, "已审核"]
        for p in bought if len(p.times) > 3])  # fmt: skip
    sheet(raw / "members" / "members.xlsx", ("会员编号", "注册时间", "会员等级", "城市", "年龄"), [
        [p.id, p.times[0] - timedelta(days=p.number % 90), ("普通", "银卡", "金卡")[p.number % 3], "杭州",
         20 + p.number % 30]
        for p in viewers])  # fmt: skip
    paid = [p for p in bought if len(p.times) > 3]
    header = ("序号", "提交答卷时间", "用户ID", "您有多大可能向朋友推荐我们？", "您对本次购物是否满意？")
    sheet(raw / "survey" / "wjx.xlsx", header, [
        [place, p.times[3] + timedelta(days=1), p.id, 10 - place % 4, 5 - place % 3] for place, p in enumerate(paid)
        if p.times[3] < FIRST + timedelta(days=DAYS - 2)])  # fmt: skip


# --- the maker of machines --------------------------------------------------------------------------------------------
_STAGES = ("Qualification", "Needs Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won")


def manufacturing(raw: Path) -> None:
    """Write Zoho's deals with the history of their stages, fairs and a survey; from 2024 on."""
    first, days = datetime(2024, 7, 1), 730  # noqa: DTZ001
    deals = people((0.85, 0.8, 0.75, 0.7), 600, seed=5, amount=90_000, first=first, days=days, count=700)
    stays = []
    for p in deals:
        names = [*_STAGES[: len(p.times)]]
        stays += [[f"S{p.number}-{step}", p.id, name, f"{p.times[step]:%Y-%m-%dT%H:%M:%S}+08:00", p.amount, "USD"]
                  for step, name in enumerate(names)]  # fmt: skip
    table(
        raw / "zoho" / "Stage_History.csv",
        ("Id", "Potential_Name", "Stage", "Modified_Time", "Amount", "Currency"),
        stays,
    )
    header = ("Id", "Deal_Name", "Stage", "Amount", "Currency", "Closing_Date", "Created_Time", "Lead_Source")
    table(raw / "zoho" / "Deals.csv", header, [
        [p.id, f"Line {p.number}", _stands(p), p.amount, "USD", f"{p.times[-1]:%Y-%m-%d}",
         f"{p.times[0]:%Y-%m-%dT%H:%M:%S}+08:00", ("Trade Show", "Web", "Distributor", "Cold Call")[p.kind]]
        for p in deals])  # fmt: skip
    header, sellers = ("Id", "Created_Time", "Lead_Source", "Product_Line", "Distributor"), ("Nord GmbH", "Asia Ltd")
    table(raw / "zoho" / "Opportunities.csv", header, [
        [p.id, f"{p.times[0]:%Y-%m-%dT%H:%M:%S}+08:00", ("Trade Show", "Web", "Distributor", "Cold Call")[p.kind],
         ("Presses", "Ovens")[p.number // 2 % 2], sellers[p.number % 4 // 2] if p.number % 2 else "--"]
        for p in deals])  # fmt: skip
    months = [day for day in _days(first, days) if day.day == 1]
    table(raw / "marketing" / "fairs.csv", ("Day", "Activity", "Visitors", "Contacts", "Cost"),
          [[day, "fair", 300, 40, 8000] for day in months])  # fmt: skip
    signed = [p for p in deals if len(p.times) > 4]
    table(raw / "survey" / "delivery.csv", ("Response", "Date", "Question", "Score"),
          [[f"r{p.number}", p.at(4), "How satisfied are you?", 5 - p.number % 3] for p in signed])  # fmt: skip


def _stands(person: Person) -> str:
    """Return the stage a deal is in now: every fourth of those that went no further was lost."""
    return "Closed Lost" if len(person.times) < 5 and person.number % 4 == 0 else _STAGES[len(person.times) - 1]


WRITERS: dict[str, Callable[[Path], None]] = {
    "ecommerce": ecommerce, "saas": saas, "b2b": b2b, "retail": retail, "manufacturing": manufacturing,
}  # fmt: skip


def write(name: str, raw: Path) -> None:
    """Write the exports of one business."""
    WRITERS[name](raw)
