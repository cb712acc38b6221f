"""The exports beside the web: CRM contacts, daily costs of two ad platforms, survey responses."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

import numpy as np

from funnel_lib.sample import plan
from funnel_lib.sample.ga4 import user_id
from funnel_lib.sample.people import CITIES, TEST, People
from funnel_lib.sample.plan import Draws, Ints

CONTACT_COLUMNS = (
    "Record ID", "First Name", "Last Name", "Email", "Phone Number", "Create Date", "Lifecycle Stage",
    "Original Source", "Occupation", "City", "Age", "Website User ID",
)  # fmt: skip
SURVEY_COLUMNS = ("Response ID", "User ID", "Submitted at", "Question", "Score", "Answer")
GOOGLE_COLUMNS = (
    "Day", "Campaign", "Currency code", "Impr.", "Clicks", "CTR", "Avg. CPC", "Cost", "Conversions",
)  # fmt: skip
META_COLUMNS = (
    "Reporting starts", "Reporting ends", "Campaign name", "Day", "Results", "Reach", "Impressions",
    "Link clicks", "Amount spent (CNY)",
)  # fmt: skip
# Spelt out, because the names of months depend on the locale.
DATE_RANGE = "January 1, 2026 - June 30, 2026"
PAUSED = "Display - Paused"

# Made-up syllables, so that no name belongs to anybody.
_FIRST = (
    "Avo", "Belu", "Cemi", "Doru", "Elka", "Fimo", "Galu", "Hevi", "Ilko", "Juma", "Kelo", "Lumi", "Mavo",
)  # fmt: skip
_LAST = (
    "Arbel", "Brovin", "Cantor", "Drevo", "Elbrik", "Fandor", "Grello", "Hovak", "Imbro", "Jorvik", "Kestal",
)  # fmt: skip
_OCCUPATION = ("Student", "Employed", "Self-employed", "Not working")
_LIFECYCLE = ("Lead", "Marketing Qualified Lead", "Opportunity", "Customer")
SurveyRow = tuple[str, str, datetime, str, int | None, str | None]


def contacts(file: TextIO, people: People, *, head: bool) -> None:
    """Append one row per registered person to a HubSpot contacts export (every field quoted, local times)."""
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    if head:
        writer.writerow(CONTACT_COLUMNS)
    stage = np.stack([people.reached(step) for step in plan.STEPS], axis=1).sum(axis=1) - 1
    for i in np.flatnonzero(people.reached("register")).tolist():
        number = int(people.number[i])
        mail = f"qa{number}@test.example" if people.kind[i] == TEST else f"u{number}@mail.example"
        writer.writerow(
            (
                40_000_000 + number, _FIRST[number % 13], _LAST[number % 11], mail, f"+86 000 {number:08d}",
                f"{plan.local(int(people.times[i, 0])):%Y-%m-%d %H:%M}", _LIFECYCLE[stage[i]],
                plan.CHANNELS[people.channel[i]].label,
                _OCCUPATION[people.occupation[i]] if people.told[i] else "--",
                CITIES[people.city[i]].name, int(people.age[i]), user_id(number),
            )
        )  # fmt: skip


@dataclass
class Spend:
    """Visits and payments per day and paid campaign, gathered over the chunks; the costs follow from them."""

    visits: Ints = field(default_factory=lambda: np.zeros((plan.DAYS, len(plan.PAID)), dtype=np.int64))
    paid: Ints = field(default_factory=lambda: np.zeros((plan.DAYS, len(plan.PAID)), dtype=np.int64))

    def add(self, people: People) -> None:
        """Count the visitors of a chunk by the day of their first visit."""
        for column, (channel, campaign, _) in enumerate(plan.PAID):
            came = people.visitor & (people.channel == channel) & (people.campaign == campaign)
            day = people.arrived // plan.DAY
            self.visits[:, column] += np.bincount(day[came], minlength=plan.DAYS)
            self.paid[:, column] += np.bincount(day[came & people.reached("payment")], minlength=plan.DAYS)

    def days(self, seed: int) -> Iterator[AdDay]:
        """Yield the campaigns of both platforms day by day, in whole fen."""
        draws = Draws(seed, 3, 0)
        for day in range(plan.DAYS):
            spread, price = draws.below(len(plan.PAID), 30), draws.below(len(plan.PAID), 120)
            for column, (channel, _, campaign) in enumerate(plan.PAID):
                clicks = int(self.visits[day, column]) * (110 + int(spread[column])) // 100
                shown = clicks * (75 + int(spread[column])) + 120 + int(price[column])
                cost = clicks * ((1180 if channel == plan.CPC else 860) + 3 * int(price[column]))
                yield AdDay(day, channel, campaign, shown, clicks, cost, int(self.paid[day, column]))
            yield AdDay(day, plan.CPC, PAUSED, 20 + int(price[0]) // 4, 0, 0, 0)


@dataclass(frozen=True)
class AdDay:
    """One campaign's day: the cost in fen."""

    day: int
    channel: int
    campaign: str
    shown: int
    clicks: int
    cost: int
    results: int

    @property
    def date(self) -> str:
        """The day in ISO form."""
        return (plan.FIRST_DAY + timedelta(days=self.day)).isoformat()


def google_ads(path: Path, days: list[AdDay]) -> None:
    """Write a Google Ads report by day: title, range, header, rows, total; `--` where there is no value."""
    sums = (sum(getattr(day, name) for day in days) for name in ("shown", "clicks", "cost", "results"))
    total = AdDay(0, plan.CPC, "", *sums)
    text = io.StringIO()
    text.write(f'Campaign report\n"{DATE_RANGE}"\n')
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(GOOGLE_COLUMNS)
    writer.writerows([d.date, d.campaign, "CNY", *_figures(d)] for d in days)
    writer.writerow(["Total: Account", "--", "CNY", *_figures(total)])
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def _figures(day: AdDay) -> list[str]:
    share = f"{day.clicks * 10_000 // day.shown / 100:.2f}%"
    each = f"{day.cost // day.clicks / 100:.2f}" if day.clicks else "--"
    return [f"{day.shown:,}", f"{day.clicks:,}", share, each, f"{day.cost / 100:,.2f}", f"{day.results:,}.00"]


def meta_ads(path: Path, days: list[AdDay]) -> None:
    """Write a Meta Ads export by day: UTF-8 with a byte order mark, the currency in the header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(META_COLUMNS)
    writer.writerows(_meta_row(day) for day in days)
    path.write_text(text.getvalue(), encoding="utf-8-sig", newline="\n")


def _meta_row(day: AdDay) -> list[object]:
    spent = f"{day.cost // 100}.{day.cost % 100:02d}"
    seen = [day.shown * 8 // 10, day.shown, day.clicks]
    return [day.date, day.date, day.campaign, day.date, day.results or "", *seen, spent]


def responses(draws: Draws, people: People) -> list[SurveyRow]:
    """Return a chunk's answers: everybody asked rates; those who have not paid say what held them back."""
    n = len(people)
    submitted = people.times[:, 0] + draws.delay(n, "survey")
    known = people.visitor & people.reached("register")
    asked = known & (draws.share(n) < plan.SURVEY_SHARE) & (submitted < plan.END)
    paid = people.times[:, 3] < np.minimum(submitted, plan.END)
    paying, waiting = (draws.pick(n, weights) for weights in plan.SCORE_WEIGHTS.values())
    learning, others = (draws.pick(n, weights) for weights in plan.ANSWER_WEIGHTS.values())
    score, answer = np.where(paid, paying, waiting), np.where(people.student, learning, others)
    blank = draws.share(n) < plan.BLANK_SHARE
    made: list[SurveyRow] = []
    for i in np.flatnonzero(asked).tolist():
        number, at = int(people.number[i]), plan.local(int(submitted[i]))
        head = (f"R{number:08d}", user_id(number), at)
        made.append((*head, plan.RECOMMEND, None if blank[i] else int(score[i]), None))
        if not paid[i]:
            made.append((*head, plan.HELD_BACK, None, plan.ANSWERS[answer[i]]))
    return made


def survey(path: Path, made: list[SurveyRow]) -> None:
    """Write the sheet `Responses`."""
    sheets(path, {"Responses": [SURVEY_COLUMNS, *made]})


def sheets(path: Path, tables: Mapping[str, Iterable[Sequence[object]]]) -> None:
    """Write rows to the sheets of an Excel file; fixed times and properties make its bytes depend on them only."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for name, rows in tables.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    raw = io.BytesIO()
    book.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for member in sorted(source.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            content = source.read(member)
            if member == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2026-07-01T00:00:00Z", content)
            info = zipfile.ZipInfo(member, (2026, 7, 1, 0, 0, 0))
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 0
            target.writestr(info, content)
