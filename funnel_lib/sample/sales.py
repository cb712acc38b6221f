"""The exports of those who sell and ask: opportunities, leads and deals, telephone calls, a question on the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

import numpy as np

from funnel_lib.sample import plan
from funnel_lib.sample.exports import sheets
from funnel_lib.sample.ga4 import user_id
from funnel_lib.sample.people import People
from funnel_lib.sample.plan import Draws, Ints

CALL_COLUMNS = (
    "通话编号", "客户编号", "主叫号码", "被叫号码", "呼叫方向", "开始时间", "通话时长(秒)", "通话状态", "坐席",
)  # fmt: skip
DEAL_COLUMNS = (
    "商机编号", "商机名称", "客户名称", "线索编号", "负责人", "商机金额", "币种", "创建时间", "预计成交日期",
    "销售阶段", "阶段变更时间", "输单原因",
)  # fmt: skip
ASKED_COLUMNS = (
    "Number", "User", "Date Submitted", "Country", "Source URL", "Device", "Browser", "OS", "User attribute: user_id",
    plan.MISSING,
)  # fmt: skip
LEAD_COLUMNS = (
    "Record Id", "Created Time", "First Name", "Last Name", "Email", "Company", "Lead Source", "Lead Status", "City",
    "Lead Owner",
)  # fmt: skip
SCHOOL_COLUMNS = (
    "Record Id", "Deal Name", "Account Name", "Contact Id", "Deal Owner", "Amount", "Currency", "Created Time",
    "Closing Date", "Stage", "Stage Modified Time", "Reason For Loss",
)  # fmt: skip
STAGES = ("初步沟通", "方案报价", "赢单", "输单")
LOST = ("价格", "时间不合适", "选择了别家", "联系不上")
_OFFICE = "000 0000 0000"


@dataclass
class Sales:
    """Opportunities and answers gathered over the chunks, for files that are written as a whole."""

    deals: list[tuple[object, ...]] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    doubled: int = 0


def followed_up(people: People) -> Ints:
    """Return the places of people whom a consultant calls: working ones who took the trial lesson."""
    return np.flatnonzero(people.visitor & ~people.student & people.reached("trial"))


def calls(file: TextIO, draws: Draws, people: People, *, head: bool) -> dict[str, int]:
    """Append a chunk's calls to a list of a telephone system, and return how many rows there are of each kind.

    While the system was down no call was recorded. Some rows stand there twice, some lack their time.
    """
    writer = csv.writer(file, lineterminator="\n")
    if head:
        writer.writerow(CALL_COLUMNS)
    chosen = followed_up(people)
    answered, length, who = draws.share(len(chosen)), draws.below(len(chosen), 600), draws.below(len(chosen), 8)
    counted = dict.fromkeys(("rows", "duplicates", "no_time", "connected", "missed"), 0)
    for place, i in enumerate(chosen.tolist()):
        at = int(people.times[i, 1]) + 2 * 3600
        if at >= plan.END or plan.second(plan.CALLS_DOWN) <= at < plan.second(plan.CALLS_UP):
            continue
        number, spoken = int(people.number[i]), bool(answered[place] < plan.CALL_ANSWERED)
        timeless = number % plan.CALL_TIMELESS == 0
        row = [
            f"C{number:08d}", user_id(number), _OFFICE, f"000 **** {number % 10_000:04d}", "呼出",
            "" if timeless else f"{plan.local(at):%Y-%m-%d %H:%M:%S}", 30 + int(length[place]) if spoken else 0,
            "已接听" if spoken else "未接", f"顾问{1 + int(who[place]):02d}",
        ]  # fmt: skip
        twice = number % plan.CALL_TWICE == 0 and not timeless
        writer.writerows([row] * (1 + twice))
        counted["rows"] += 1 + twice
        counted["duplicates"] += twice
        counted["no_time"] += timeless
        counted["connected" if spoken else "missed"] += not timeless
    return counted


def gather(sales: Sales, draws: Draws, people: People) -> None:
    """Add a chunk's opportunities, and its answers to the question on the price page."""
    chosen = followed_up(people)
    who, why, late = draws.below(len(chosen), 8), draws.below(len(chosen), len(LOST)), draws.below(len(chosen), 20)
    for place, i in enumerate(chosen.tolist()):
        if len(sales.deals) >= plan.DEALS_MOST:
            break
        number, times = int(people.number[i]), people.times[i].tolist()
        begun = times[1] + 3600
        stage, since = _stage(begun, times[2], times[3], 21 + int(late[place]))
        row = (
            f"SJ{number:08d}", f"课程咨询 {number}", f"客户{number:08d}", user_id(number),
            f"顾问{1 + int(who[place]):02d}", int(people.price[i]) / 100, "CNY",
            plan.local(begun), plan.local(begun).date() + timedelta(days=30), STAGES[stage], plan.local(since),
            LOST[why[place]] if stage == 3 else None,
        )  # fmt: skip
        sales.deals.append(row)
        if number % plan.DEAL_TWICE == 0:
            sales.deals.append(row)
            sales.doubled += 1
    _ask(sales, draws, people)


def _stage(begun: int, ordered: int, paid: int, patience: int) -> tuple[int, int]:
    """Return the stage of an opportunity at the end of the data, and since when: lost after so many days of nothing.

    Who paid before the opportunity was entered is won from its beginning.
    """
    if paid < plan.END:
        return 2, max(begun, paid)
    reached, since = (1, max(begun, ordered)) if ordered < plan.END else (0, begun)
    lost = since + patience * plan.DAY
    return (3, lost) if lost < plan.END else (reached, since)


def _ask(sales: Sales, draws: Draws, people: People) -> None:
    """Add the answers of people who registered and did not pay, a day after their last step."""
    last = np.where(people.times < plan.END, people.times, -1).max(axis=1)
    unpaid = people.visitor & people.reached("register") & ~people.reached("payment")
    asked = unpaid & (draws.share(len(people)) < plan.ASKED_SHARE) & (last + plan.DAY < plan.END)
    said = draws.below(len(people), len(plan.MISSING_ANSWERS))
    for i in np.flatnonzero(asked).tolist():
        if len(sales.asked) >= plan.SURVEY_MOST:
            return
        number, at = int(people.number[i]), plan.local(int(last[i]) + plan.DAY)
        sales.asked.append((
            len(sales.asked) + 1, f"hj{number:08x}", f"{at:%Y-%m-%d %H:%M:%S}", "China", "https://courses.example/price",
            plan.DEVICES[people.device[i]], "Browser", "OS", user_id(number), plan.MISSING_ANSWERS[said[i]],
        ))  # fmt: skip


def opportunities(path: Path, sales: Sales) -> int:
    """Write the list of opportunities as Excel: a title above the header, and a row of totals; return its rows."""
    total: list[object] = [None] * len(DEAL_COLUMNS)
    total[0], total[5] = "合计", sum(float(str(row[5])) for row in sales.deals)
    title = [("商机列表",), ("导出时间：2026-07-01 09:00",)]
    sheets(path, {"商机": [*title, DEAL_COLUMNS, *sales.deals, tuple(total)]})
    return len(sales.deals) + 1


def asked(path: Path, sales: Sales) -> int:
    """Write the responses of the page's question; return how many there are."""
    _csv(path, ASKED_COLUMNS, sales.asked)
    return len(sales.asked)


def schools(folder: Path, seed: int) -> dict[str, int]:
    """Write leads and deals of schools that buy for their students, with the deals' stages; return the rows of each.

    The addresses of several schools' offices begin alike (`info@`): they belong to nobody.
    """
    draws = Draws(seed, 4, 0)
    n = plan.SCHOOLS
    day, status, worth, owner = draws.below(n, 178), draws.below(n, 3), draws.below(n, 40), draws.below(n, 3)
    leads, deals, history = [], [], []
    for i in range(n):
        made = plan.local(int(day[i]) * plan.DAY + 36_000)
        mail = "info@school.example" if i % 4 == 0 else f"head{i}@school.example"
        names = (f"Head {i}", f"School {i}")
        who = f"Owner {1 + int(owner[i])}"
        leads.append((
            f"zcrm_{7_000_000 + i}", _iso(made), "Head", names[0], mail, names[1], "Partner",
            ("Contacted", "Qualified", "Junk Lead")[status[i]], "Shanghai", who,
        ))  # fmt: skip
        if status[i] != 1:
            continue
        deal = f"zcrm_{9_000_000 + i}"
        steps = ["Qualification", "Proposal/Price Quote", ("Closed Won", "Closed Lost")[worth[i] % 2]][: 1 + i % 3]
        moved = [made + timedelta(days=3 + 9 * place) for place in range(len(steps))]
        moved = [at for at in moved if at < plan.local(plan.END)] or [made]
        steps = steps[: len(moved)]
        history += [(deal, step, _iso(at), who) for step, at in zip(steps, moved, strict=True)]
        deals.append((
            deal, f"Courses for {names[1]}", names[1], f"zcrm_{7_000_000 + i}", who, 20_000 + 1_000 * int(worth[i]),
            "CNY", _iso(made), f"{moved[-1]:%Y-%m-%d}", steps[-1], _iso(moved[-1]),
            "Budget" if steps[-1] == "Closed Lost" else "",
        ))  # fmt: skip
    _csv(folder / "Leads_2026_H1.csv", LEAD_COLUMNS, leads)
    _csv(folder / "Deals_2026_H1.csv", SCHOOL_COLUMNS, deals)
    _csv(folder / "Deals_Stage_History_2026_H1.csv", ("Deal Id", "Stage", "Modified Time", "Modified By"), history)
    return {"leads": len(leads), "deals": len(deals), "stages": len(history)}


def _iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}+08:00"


def _csv(path: Path, head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")
