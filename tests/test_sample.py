"""The demo's exports: formats, the planted truth counted again by a naive reader, determinism."""

import csv
import gzip
import json
import math
import re
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel_lib import config
from funnel_lib.errors import ConfigError
from funnel_lib.sample import Truth, log, plan, sales, write_demo, write_events

ROOT = Path(__file__).parents[1]
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_US = 86_400_000_000
STEPS = {"sign_up": "register", "trial_lesson": "trial", "begin_checkout": "order", "purchase": "payment"}
GROUPS = {"student": "student", "employed": "working", "self_employed": "working", "not_working": "other"}


@cache
def ts(day: str) -> int:
    """Return the first instant of a day in Shanghai, in µs since 1970."""
    return int(datetime.fromisoformat(day).replace(tzinfo=SHANGHAI).timestamp()) * 1_000_000


FILES = [f"events_{date(2026, 1, 1) + timedelta(days=n):%Y%m%d}.jsonl.gz" for n in range(181)]
DAYS = {name: day for day, name in enumerate(FILES)}


def web_lines(folder: Path):
    for file in sorted((folder / "ga4").iterdir()):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield file.name, line


def sound_rows(folder: Path, every: int = 1):
    """Yield the readable rows of every so many days."""
    for file in sorted((folder / "ga4").iterdir())[::every]:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue
                if "event_name" in row and row["event_timestamp"].isdigit():
                    yield row


def params(row: dict) -> dict:
    return {p["key"]: next(iter(p["value"].values())) for p in row["event_params"]}


def key(row: dict) -> tuple:
    names = (
        "user_pseudo_id",
        "event_timestamp",
        "event_name",
        "batch_page_id",
        "batch_ordering_id",
        "batch_event_index",
    )
    return tuple(row[name] for name in names)


def digest(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def contacts(folder: Path) -> list[dict[str, str]]:
    with (folder / "crm" / "contacts.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def answers(folder: Path) -> list[dict[str, object]]:
    sheet = openpyxl.load_workbook(folder / "survey" / "nps.xlsx")["Responses"]
    head, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


class Row(NamedTuple):
    """What the naive reader keeps of one row."""

    file: str
    device: str
    user: str | None
    at: int
    event: str
    source: str
    occupation: str | None
    category: str
    price: float
    variant: str | None

    @classmethod
    def of(cls, file: str, row: dict) -> "Row":
        assert file == f"events_{row['event_date']}.jsonl.gz"
        source, told = row["traffic_source"], row["user_properties"]
        return cls(
            file, row["user_pseudo_id"], row.get("user_id"), int(row["event_timestamp"]), row["event_name"],
            f"{source['source']}/{source['medium']}", told[0]["value"]["string_value"] if told else None,
            row["device"]["category"], row.get("ecommerce", {}).get("purchase_revenue", 0.0),
            params(row).get("exp_variant_string"),
        )  # fmt: skip


class Person:
    """What the naive reader knows of one person: times in µs by step, the first row, the last device."""

    def __init__(self) -> None:
        self.views: list[int] = []
        self.times: dict[str, int] = {}
        self.occupation: str | None = None
        self.variant: str | None = None
        self.price = 0.0
        self.order_device = ""
        self.first: tuple[int, str] = (2**62, "")

    def add(self, row: Row) -> None:
        self.first = min(self.first, (row.at, row.source))
        self.occupation = self.occupation or row.occupation
        self.variant = self.variant or row.variant
        self.price = self.price or row.price
        if row.event == "page_view":
            self.views.append(row.at)
        elif row.event in STEPS:
            assert STEPS[row.event] not in self.times
            self.times[STEPS[row.event]] = row.at
        if row.event == "begin_checkout":
            self.order_device = row.category

    @property
    def group(self) -> str:
        return GROUPS.get(self.occupation or "", "unknown")

    def in_window(self, step: str) -> bool:
        if step not in self.times:
            return False
        entry = max(at for at in self.views if at <= self.times["register"])
        return self.times[step] - entry <= 14 * DAY_US


class Recount:
    """Reads the exports without any knowledge of how they were made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dirt, self.events = folder, Counter(), Counter()
        self.lines = 0
        self.tests = {c["Website User ID"] for c in contacts(folder) if c["Email"].endswith("@test.example")}
        rows: dict[tuple, Row] = {}
        devices = defaultdict(set)
        for name, line in web_lines(folder):
            self.lines += 1
            row = self._sound(line)
            if row is None:
                continue
            if row["device"]["web_info"]["browser"] in ("HeadlessChrome", "Googlebot"):
                self.dirt["bot_rows"] += 1
                continue
            self.dirt["duplicates"] += key(row) in rows
            rows[key(row)] = Row.of(name, row)
            if "user_id" in row:
                devices[row["user_id"]].add(row["user_pseudo_id"])
        owner = {device: user for user, those in devices.items() for device in those}
        self.two_ids = sum(len(those) > 1 for those in devices.values())
        self.people: dict[str, Person] = defaultdict(Person)
        for found in rows.values():
            self._count(found, owner.get(found.device, found.device))

    def _sound(self, line: str) -> dict | None:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            self.dirt["truncated"] += 1
            return None
        if "event_name" not in row:
            self.dirt["no_event"] += 1
            return None
        if not row["event_timestamp"].isdigit():
            self.dirt["bad_time"] += 1
            return None
        return row

    def _count(self, row: Row, person: str) -> None:
        if person in self.tests:
            self.dirt["test_rows"] += 1
            return
        delay = DAYS[row.file] - (row.at - ts("2026-01-01")) // DAY_US
        assert delay == 0 or delay >= 4
        self.dirt["late"] += delay > 0
        self.events[row.event] += 1
        self.people[person].add(row)

    def pair(self, base, step: str, *, in_window: bool = False) -> dict[str, int]:
        chosen = [p for p in self.people.values() if base(p)]
        return {
            "n": len(chosen),
            "k": sum(p.in_window(step) if in_window else step in p.times for p in chosen),
        }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    root = tmp_path_factory.mktemp("sample")
    truth = write_demo(root / "raw" / "education", truth_file=root / "truth" / "education.json")
    return root / "raw" / "education", truth


@pytest.fixture(scope="module")
def some_rows(demo) -> list[dict]:
    return list(sound_rows(demo[0], every=8))


@pytest.fixture(scope="module")
def recount(demo) -> Recount:
    return Recount(demo[0])


# ---- formats ----


def test_web_files_one_per_day_of_the_half_year(demo):
    assert sorted(p.name for p in (demo[0] / "ga4").iterdir()) == FILES
    assert FILES[-1] == "events_20260630.jsonl.gz"


def test_web_rows_have_the_fields_of_the_bigquery_export(some_rows):
    rows = {row["event_name"]: row for row in some_rows}
    assert set(rows) == {
        "session_start", "page_view", "scroll", "login", "sign_up", "experience_impression", "trial_lesson",
        "begin_checkout", "purchase",
    }  # fmt: skip
    row = rows["purchase"]
    assert set(row) == {
        "event_date", "event_timestamp", "event_name", "event_params", "user_pseudo_id", "user_properties",
        "user_first_touch_timestamp", "device", "geo", "traffic_source", "stream_id", "platform", "user_id",
        "ecommerce", "batch_page_id", "batch_ordering_id", "batch_event_index",
    }  # fmt: skip
    assert set(row["device"]) == {"category", "operating_system", "language", "web_info"}
    assert set(row["device"]["web_info"]) == {"browser", "hostname"}
    assert set(row["geo"]) == {"country", "region", "city"}
    assert set(row["traffic_source"]) == {"name", "medium", "source"}
    assert set(row["ecommerce"]) == {"transaction_id", "purchase_revenue"}
    values = {p["key"]: p["value"] for p in row["event_params"]}
    assert values["value"] == {"double_value": row["ecommerce"]["purchase_revenue"]}
    assert values["currency"] == {"string_value": "CNY"}
    assert set(values) == {
        "ga_session_id", "ga_session_number", "page_location", "value", "currency", "transaction_id",
    }  # fmt: skip
    for whole in (row["event_timestamp"], row["batch_page_id"], values["ga_session_id"]["int_value"]):
        assert isinstance(whole, str)
        assert whole.isdigit()
    shown = params(rows["experience_impression"])["exp_variant_string"]
    assert shown in ("OPT-free_trial_lesson-control", "OPT-free_trial_lesson-free")


def test_only_rows_after_registration_or_login_carry_the_user_id(some_rows):
    named, unnamed = Counter(), Counter()
    for row in some_rows:
        (named if "user_id" in row else unnamed)[row["event_name"]] += 1
    signed = {"sign_up", "login", "trial_lesson", "begin_checkout", "purchase", "experience_impression"}
    assert not signed & set(unnamed)
    assert unnamed["page_view"] > named["page_view"] > 0
    assert not named["scroll"]


def test_the_user_id_of_a_session_begins_with_sign_up_or_login(some_rows):
    sessions = defaultdict(list)
    for row in some_rows:
        sessions[row["user_pseudo_id"], params(row)["ga_session_id"]].append(row)
    firsts = Counter()
    for rows in sessions.values():
        rows.sort(key=lambda row: int(row["batch_ordering_id"]))
        named = [row["event_name"] for row in rows if "user_id" in row]
        # Of a session over midnight only a part may be at hand.
        if named and rows[0]["event_name"] == "session_start":
            firsts[named[0]] += 1
    assert set(firsts) == {"sign_up", "login"}


def test_campaign_of_a_click_is_on_the_first_visit_only(some_rows):
    seen = Counter()
    for row in some_rows:
        if found := row.get("collected_traffic_source"):
            assert {"manual_source", "manual_medium", "manual_campaign_name"} <= set(found)
            assert ("gclid" in found) == (found["manual_medium"] == "cpc")
            assert found["manual_source"] == row["traffic_source"]["source"]
            assert params(row)["ga_session_number"] == "1"
            seen[found["manual_source"], found["manual_medium"]] += 1
    assert set(seen) == {
        ("google", "organic"), ("baidu", "organic"), ("google", "cpc"), ("meta", "paid_social"),
        ("campus.example", "referral"), ("newsletter", "email"),
    }  # fmt: skip


def test_gzip_members_hold_no_time_and_no_name(demo):
    for file in (demo[0] / "ga4").iterdir():
        assert file.read_bytes()[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def test_contacts_have_the_labels_of_a_hubspot_export(demo):
    rows = contacts(demo[0])
    assert list(rows[0]) == [
        "Record ID", "First Name", "Last Name", "Email", "Phone Number", "Create Date", "Lifecycle Stage",
        "Original Source", "Occupation", "City", "Age", "Website User ID",
    ]  # fmt: skip
    assert {row["Occupation"] for row in rows} == {
        "Student",
        "Employed",
        "Self-employed",
        "Not working",
        "--",
    }
    assert all(row["Email"].endswith(".example") and row["Phone Number"].startswith("+86 000") for row in rows)
    assert len({row["Website User ID"] for row in rows}) == len({row["Record ID"] for row in rows}) == len(rows)
    created = [datetime.strptime(row["Create Date"], "%Y-%m-%d %H:%M") for row in rows]  # noqa: DTZ007
    assert min(created) >= datetime(2026, 1, 1)  # noqa: DTZ001
    assert max(created) < datetime(2026, 7, 1)  # noqa: DTZ001


def test_google_ads_report(demo):
    text = (demo[0] / "google_ads" / "campaigns_2026.csv").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "Campaign report"
    assert lines[1] == '"January 1, 2026 - June 30, 2026"'
    assert lines[2] == "Day,Campaign,Currency code,Impr.,Clicks,CTR,Avg. CPC,Cost,Conversions"
    rows = list(csv.DictReader(lines[2:]))
    *days, total = rows
    assert total["Day"] == "Total: Account"
    assert total["Campaign"] == "--"
    for column, truth in (("Impr.", "impressions"), ("Clicks", "clicks")):
        figures = [int(row[column].replace(",", "")) for row in days]
        assert sum(figures) == int(total[column].replace(",", "")) == demo[1].files["google_ads"][truth]
    fen = sum(round(float(row["Cost"].replace(",", "")) * 100) for row in days)
    assert fen == demo[1].files["google_ads"]["cost_fen"]
    assert len(days) == demo[1].files["google_ads"]["rows"] == 181 * 3
    assert {row["Avg. CPC"] for row in days if row["Clicks"] == "0"} == {"--"}
    assert '"1,' in text


def test_meta_ads_export(demo):
    raw = (demo[0] / "meta_ads" / "campaigns_2026.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(raw.decode("utf-8-sig").splitlines()))
    assert list(rows[0]) == [
        "Reporting starts", "Reporting ends", "Campaign name", "Day", "Results", "Reach", "Impressions",
        "Link clicks", "Amount spent (CNY)",
    ]  # fmt: skip
    assert len(rows) == demo[1].files["meta_ads"]["rows"] == 181 * 2
    assert sum(int(row["Link clicks"]) for row in rows) == demo[1].files["meta_ads"]["clicks"]
    spent = sum(round(float(row["Amount spent (CNY)"]) * 100) for row in rows)
    assert spent == demo[1].files["meta_ads"]["cost_fen"]


def test_paid_clicks_cover_the_visits_of_each_campaign(demo, recount):
    visits = sum(p.first[1] == "google/cpc" for p in recount.people.values())
    assert visits <= demo[1].files["google_ads"]["clicks"] <= visits * 1.4
    visits = sum(p.first[1] == "meta/paid_social" for p in recount.people.values())
    assert visits <= demo[1].files["meta_ads"]["clicks"] <= visits * 1.4


def test_survey_sheet(demo):
    truth, rows = demo[1], answers(demo[0])
    assert list(rows[0]) == ["Response ID", "User ID", "Submitted at", "Question", "Score", "Answer"]
    assert len(rows) == truth.files["nps"]["rows"]
    assert {row["Question"] for row in rows} == {
        "How likely are you to recommend us?", "What held you back from buying?",
    }  # fmt: skip
    assert len({(row["Response ID"], row["Question"]) for row in rows}) == len(rows)
    scores = [row["Score"] for row in rows if row["Question"].startswith("How")]
    assert scores.count(None) == truth.dirt["survey"]["blank_scores"] > 0
    assert scores.count(11) == truth.dirt["survey"]["impossible_scores"] == 1
    assert {score for score in scores if score not in (None, 11)} <= set(range(11))
    assert {row["Answer"] for row in rows if row["Question"].startswith("What")} == set(plan.ANSWERS)
    assert {row["Score"] for row in rows if row["Question"].startswith("What")} == {None}
    assert isinstance(rows[0]["Submitted at"], datetime)
    known = {row["Website User ID"] for row in contacts(demo[0])}
    assert {row["User ID"] for row in rows} <= known


def test_opportunities_are_of_working_people_who_took_the_trial(demo, recount):
    rows = [
        *openpyxl.load_workbook(demo[0] / "fxiaoke" / "商机_2026H1.xlsx", read_only=True)["商机"].iter_rows(
            values_only=True
        )
    ]
    assert rows[0][0] == "商机列表"  # a title above the header, as lists are exported
    assert rows[2] == sales.DEAL_COLUMNS
    deals, total = rows[3:-1], rows[-1]
    assert total[0] == "合计"
    assert total[5] == pytest.approx(sum(row[5] for row in deals))
    assert len(deals) + 1 == demo[1].files["fxiaoke"]["rows"]
    assert len(deals) - len({row[0] for row in deals}) == demo[1].dirt["fxiaoke"]["duplicates"] > 0
    paid = {row[3] for row in deals if row[9] == "赢单"}
    assert paid
    assert all("payment" in recount.people[user].times for user in paid)
    assert all("trial" in recount.people[row[3]].times for row in deals)


def test_calls_stop_while_the_system_is_down_and_some_stand_there_twice(demo):
    with (demo[0] / "calls" / "calls_2026.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    truth, dirt = demo[1].files["calls"], demo[1].dirt["calls"]
    assert len(rows) == truth["rows"] == truth["connected"] + truth["missed"] + dirt["duplicates"] + dirt["no_time"]
    assert len(rows) - len({row["通话编号"] for row in rows}) == dirt["duplicates"] > 0
    assert sum(not row["开始时间"] for row in rows) == dirt["no_time"] > 0
    days = {row["开始时间"][:10] for row in rows}
    assert not days & {"2026-03-02", "2026-03-03"}
    assert {"2026-03-01", "2026-03-04"} <= days
    assert dirt["days_down"] == 2
    assert not any(re.search(r"[1-9]", row["被叫号码"].split("****")[0]) for row in rows)  # nobody's number


def test_schools_have_leads_deals_and_their_stages(demo):
    rows = {}
    for name in ("Leads", "Deals", "Deals_Stage_History"):
        with (demo[0] / "zoho" / f"{name}_2026_H1.csv").open(encoding="utf-8", newline="") as file:
            rows[name] = list(csv.DictReader(file))
    assert [len(found) for found in rows.values()] == list(demo[1].files["zoho"].values())
    assert {row["Deal Id"] for row in rows["Deals_Stage_History"]} == {row["Record Id"] for row in rows["Deals"]}
    assert {row["Contact Id"] for row in rows["Deals"]} <= {row["Record Id"] for row in rows["Leads"]}
    assert all(row["Stage Modified Time"] < "2026-07-01" for row in rows["Deals"])


def test_the_question_on_the_price_page_is_asked_of_those_who_have_not_paid(demo, recount):
    with (demo[0] / "hotjar" / "price_page.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == demo[1].files["hotjar"]["rows"] > 100
    people = [recount.people[row["User attribute: user_id"]] for row in rows]
    assert all("register" in person.times and "payment" not in person.times for person in people)
    assert {row[plan.MISSING] for row in rows} == set(plan.MISSING_ANSWERS)


def test_the_workbook_of_the_demo_can_read_every_export(demo):
    workbook = config.load(ROOT / "params" / "education.yml")
    assert (workbook.timezone, workbook.currency) == ("Asia/Shanghai", "CNY")
    for name, source in workbook.sources.items():
        assert sorted(demo[0].glob(source.files)), name
    assert set(workbook.sources["crm"].columns.values()) <= set(contacts(demo[0])[0])
    assert set(workbook.sources["nps"].columns.values()) == set(answers(demo[0])[0])
    told = set(workbook.sources["crm"].values["occupation"]) | set(workbook.sources["crm"].missing)
    assert {row["Occupation"] for row in contacts(demo[0])} <= told
    assert [step.event for step in workbook.funnel.steps] == ["page_view", *STEPS]
    assert workbook.funnel.window == timedelta(days=demo[1].people["window_days"])
    assert (workbook.periods.first, workbook.periods.last) == (plan.FIRST_DAY, plan.LAST_DAY)


def test_the_workbook_of_the_demo_asks_for_what_was_planted(demo):
    case = config.load(ROOT / "params" / "education.yml").case_study
    assert case is not None
    assert case.survey in {row["Question"] for row in answers(demo[0])}
    release, policy, trial = case.changes
    assert str(release.since) == demo[1].changes["simple_sign_up"]["since"]
    assert str(policy.since) == demo[1].changes["student_price"]["since"]
    assert trial.experiment == demo[1].changes["free_trial"]["experiment"]
    assert {trial.control, trial.treatment} == set(plan.VARIANTS)


# ---- the truth, counted again ----


def test_rows_of_every_file(demo, recount):
    truth = demo[1]
    assert recount.lines == truth.files["web"]["rows"]
    assert truth.files["web"]["files"] == 181
    assert len(contacts(demo[0])) == truth.files["crm"]["rows"]
    assert dict(recount.events) == truth.web_rows


def test_every_line_is_read_once(demo):
    # sound rows + duplicates + broken + bots + test accounts = lines
    truth = demo[1]
    parts = [
        sum(truth.web_rows.values()), truth.dirt["duplicate_rows"], sum(truth.dirt["broken_rows"].values()),
        truth.dirt["bots"]["web_rows"], truth.dirt["test_accounts"]["web_rows"],
    ]  # fmt: skip
    assert sum(parts) == truth.files["web"]["rows"]
    assert min(parts) > 0


def test_dirt(demo, recount):
    dirt = demo[1].dirt
    assert dirt["duplicate_rows"] == recount.dirt["duplicates"]
    assert dirt["late_rows"] == recount.dirt["late"]
    assert dirt["broken_rows"] == {name: recount.dirt[name] for name in ("truncated", "bad_time", "no_event")}
    assert dirt["bots"]["web_rows"] == recount.dirt["bot_rows"]
    assert dirt["test_accounts"]["web_rows"] == recount.dirt["test_rows"]
    assert dirt["test_accounts"]["people"] == dirt["test_accounts"]["contacts"] == len(recount.tests)
    assert dirt["two_ids"]["people"] == recount.two_ids


def test_people(demo, recount):
    people = demo[1].people
    for group in ("all", "student", "working", "other", "unknown"):
        chosen = [p for p in recount.people.values() if group in ("all", p.group)]
        assert people[group]["visit"] == len(chosen)
        for step in STEPS.values():
            assert people[group][step] == sum(step in p.times for p in chosen)
            assert people[group]["in_window"][step] == sum(p.in_window(step) for p in chosen)
    assert people["all"]["visit"] == demo[1].users == 30_000
    assert people["revenue_fen"] == round(sum(p.price for p in recount.people.values()) * 100)


def test_contacts_are_the_registered_people(demo, recount):
    known = {row["Website User ID"]: row for row in contacts(demo[0])}
    registered = {user: p for user, p in recount.people.items() if "register" in p.times}
    assert set(registered) == set(known) - recount.tests
    for user, person in registered.items():
        at = datetime.fromtimestamp(person.times["register"] // 1_000_000, SHANGHAI)
        assert known[user]["Create Date"] == f"{at:%Y-%m-%d %H:%M}"
        told = (person.occupation or "--").replace("_", " ").replace("self ", "self-").capitalize()
        assert known[user]["Occupation"] == told


def test_rates_before_any_change(demo, recount):
    before = {
        "register": (lambda p: p.first[0], ts("2026-02-09")),
        "trial": (lambda p: p.times.get("register"), ts("2026-04-13")),
        "order": (lambda p: p.times.get("trial"), ts("2026-03-16")),
        "payment": (lambda p: p.times.get("order"), ts("2026-05-18")),
    }
    for step, (entry, end) in before.items():
        for group in ("student", "working", "other"):

            def base(p: Person, group=group, entry=entry, end=end) -> bool:
                return p.group == group and (entry(p) or end) < end

            counted = recount.pair(base, step)
            assert demo[1].rates["counts"][step][group] == counted
            rate = demo[1].rates["planted"]["student" if group == "student" else "other"][step]
            spread = math.sqrt(rate * (1 - rate) / counted["n"])
            # 0.015: who comes later in the funnel came less often from paid social, which lowers rates.
            assert abs(counted["k"] / counted["n"] - rate) < 3.5 * spread + 0.015


def test_changes(demo, recount):
    changes, closed = demo[1].changes, ts("2026-06-17")
    release, policy = ts("2026-02-09"), ts("2026-03-16")
    spans = {"before": (release - 28 * DAY_US, release), "after": (release, release + 28 * DAY_US)}
    for name, (first, end) in spans.items():
        counted = recount.pair(lambda p, a=first, b=end: a <= p.first[0] < b, "register")
        assert changes["simple_sign_up"]["register"][name] == counted
    for group in ("student", "working"):
        for name, (first, end) in {"before": (0, policy), "after": (policy, closed)}.items():

            def at(step: str, group=group, first=first, end=end):
                return lambda p: p.group == group and first <= p.times.get(step, -1) < end

            assert changes["student_price"]["order"][group][name] == recount.pair(at("trial"), "order")
            counted = recount.pair(at("register"), "payment", in_window=True)
            assert changes["student_price"]["paid_in_window"][group][name] == counted
    for variant in ("control", "free"):
        shown = f"OPT-free_trial_lesson-{variant}"
        trial = recount.pair(lambda p, s=shown: p.variant == s, "trial")
        paid = recount.pair(lambda p, s=shown: p.variant == s, "payment", in_window=True)
        assert changes["free_trial"]["trial"][variant] == trial
        assert changes["free_trial"]["paid_in_window"][variant] == paid


def test_incident(demo, recount):
    first, end = ts("2026-05-18"), ts("2026-05-25")
    fault = demo[1].incidents["mobile_payment_fault"]
    for name, low, high in (("during", first, end), ("before", 0, first)):

        def base(p: Person, low=low, high=high) -> bool:
            return p.order_device == "mobile" and low <= p.times["order"] < high

        assert fault[name] == recount.pair(base, "payment")


def test_mix(demo, recount):
    sources = {c.name: f"{c.source}/{c.medium}" for c in plan.CHANNELS}
    since, mix = ts("2026-05-01"), demo[1].mix
    for name, source in sources.items():
        found = [p.first[0] < since for p in recount.people.values() if p.first[1] == source]
        assert mix["visits"]["before"][name] == sum(found)
        assert mix["visits"]["after"][name] == len(found) - sum(found)
    share = {
        when: mix["visits"][when]["paid_social"] / sum(mix["visits"][when].values()) for when in ("before", "after")
    }
    assert share["before"] == pytest.approx(0.18, abs=0.01)
    assert share["after"] == pytest.approx(0.32, abs=0.02)


def test_experiment_is_among_students_who_registered_in_its_weeks(recount):
    first, end = ts("2026-04-13"), ts("2026-06-08")
    for person in recount.people.values():
        meant = person.group == "student" and first <= person.times.get("register", -1) < end
        assert (person.variant is not None) == meant


def test_reasons_named_by_students_and_by_others(demo, recount):
    named: dict[str, Counter] = defaultdict(Counter)
    for row in answers(demo[0]):
        if row["Question"].startswith("What"):
            named[recount.people[row["User ID"]].group][row["Answer"]] += 1
    assert demo[1].rates["held_back"] == {group: dict(counts) for group, counts in named.items()}
    share = {g: (named[g]["price"] + named[g]["trust"]) / named[g].total() for g in ("student", "working")}
    assert share["student"] > share["working"] + 0.2


def test_students_pay_the_lower_price_from_its_day_on(recount):
    prices = {"before": set(), "after": set(), "others": set()}
    for p in recount.people.values():
        if p.price and p.group == "student":
            prices["before" if p.times["order"] < ts("2026-03-16") else "after"].add(p.price)
        elif p.price and p.group != "unknown":
            prices["others"].add(p.price)
    assert prices["before"] == prices["others"] == {299, 599, 999, 1299, 1999}
    assert prices["after"] == {239.2, 479.2, 799.2, 1039.2, 1599.2}


def test_time_to_pay_is_some_days_and_seldom_beyond_the_window(recount):
    waits = sorted(p.times["payment"] - p.times["register"] for p in recount.people.values() if "payment" in p.times)
    assert 1.5 * DAY_US < waits[len(waits) // 2] < 4 * DAY_US
    late = sum(wait > 14 * DAY_US for wait in waits) / len(waits)
    assert 0.01 < late < 0.06


# ---- can the planted effects be found? ----


def difference(after: dict[str, int], before: dict[str, int]) -> tuple[float, float]:
    """Return the difference of two rates and its variance."""
    p, q = after["k"] / after["n"], before["k"] / before["n"]
    return p - q, p * (1 - p) / after["n"] + q * (1 - q) / before["n"]


def test_release_raises_registration(demo):
    counts = demo[1].changes["simple_sign_up"]["register"]
    effect, variance = difference(counts["after"], counts["before"])
    assert effect / math.sqrt(variance) > 4
    assert abs(effect - 0.07) < 3 * math.sqrt(variance)


def test_policy_can_be_found_by_difference_in_differences(demo):
    counts = demo[1].changes["student_price"]
    students, noise = difference(counts["order"]["student"]["after"], counts["order"]["student"]["before"])
    working, more = difference(counts["order"]["working"]["after"], counts["order"]["working"]["before"])
    # The free trial lesson takes a little of the effect: -0.03 for half of the students of eight weeks.
    assert abs(students - working - 0.22) < 3 * math.sqrt(noise + more) + 0.01
    students, noise = difference(*(counts["paid_in_window"]["student"][when] for when in ("after", "before")))
    working, more = difference(*(counts["paid_in_window"]["working"][when] for when in ("after", "before")))
    assert (students - working) / math.sqrt(noise + more) > 3.5


def test_trial_can_be_found(demo):
    counts = demo[1].changes["free_trial"]
    effect, variance = difference(counts["trial"]["free"], counts["trial"]["control"])
    assert abs(effect - 0.25) < 3 * math.sqrt(variance)
    effect, variance = difference(counts["paid_in_window"]["free"], counts["paid_in_window"]["control"])
    assert effect / math.sqrt(variance) > 3.5
    arms = [counts["trial"][variant]["n"] for variant in ("control", "free")]
    assert abs(arms[0] - arms[1]) < 3.3 * math.sqrt(sum(arms))


def test_fault_can_be_found(demo):
    fault = demo[1].incidents["mobile_payment_fault"]
    effect, variance = difference(fault["during"], fault["before"])
    assert effect / math.sqrt(variance) < -4
    rate, n = fault["during"]["k"] / fault["during"]["n"], fault["during"]["n"]
    assert abs(rate - 0.35) < 3 * math.sqrt(0.35 * 0.65 / n)


# ---- determinism, chunks, safety ----


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    truths = [
        write_demo(tmp_path / name, users=400, seed=seed, truth_file=tmp_path / f"{name}.json")
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    first, same, other = (digest(tmp_path / name) for name in "abc")
    assert first == same
    assert truths[0] == truths[1] != truths[2]
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert set(first) == set(other)
    assert not [name for name in first if first[name] == other[name]]


def test_truth_file_holds_the_truth(demo):
    written = json.loads((demo[0].parents[1] / "truth" / "education.json").read_text(encoding="utf-8"))
    assert Truth(**written) == demo[1]
    assert not list(demo[0].rglob("*.json"))


def test_chunks_append_to_the_day_files(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "CHUNK", 150)
    truth = write_demo(tmp_path / "raw", users=400)  # chunks of 150, 150 and 100 visitors
    again = Recount(tmp_path / "raw")
    assert len(list((tmp_path / "raw" / "ga4").iterdir())) == 181
    assert again.lines == truth.files["web"]["rows"]
    assert dict(again.events) == {name: n for name, n in truth.web_rows.items() if n}
    assert len(again.people) == truth.people["all"]["visit"] == 400
    assert len(contacts(tmp_path / "raw")) == truth.files["crm"]["rows"]
    assert truth.dirt["bots"]["people"] == 9  # at least 3 in each chunk


def test_an_interrupted_run_leaves_the_former_exports(tmp_path):
    write_demo(tmp_path / "raw", users=100, seed=1)
    (tmp_path / "raw" / "mine.csv").write_text("x")
    former = digest(tmp_path / "raw")

    def stop(_what: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path / "raw", users=100, seed=2, progress=stop)
    assert digest(tmp_path / "raw") == former
    write_demo(tmp_path / "raw", users=100, seed=1)
    assert digest(tmp_path / "raw") == former
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_progress_rises_to_one(tmp_path):
    shares = []
    write_demo(tmp_path / "raw", users=100, progress=lambda _what, share: shares.append(share))
    assert shares[-1] == 1
    assert all(a <= b for a, b in pairwise(shares))


def test_truth_among_the_exports_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must not lie among the exports"):
        write_demo(tmp_path / "raw", users=100, truth_file=tmp_path / "raw" / "truth.json")
    assert not (tmp_path / "raw").exists()


def test_too_few_users_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="100 or more"):
        write_demo(tmp_path / "raw", users=99)


# ---- chance ----


def test_draws_depend_on_seed_and_key_only():
    assert plan.Draws(1, 2, 3).share(5).tolist() == plan.Draws(1, 2, 3).share(5).tolist()
    assert plan.Draws(1, 2, 3).share(5).tolist() != plan.Draws(1, 2, 4).share(5).tolist()


def test_pick_follows_the_weights():
    found = Counter(plan.Draws(1, 0).pick(10_000, (1, 0, 3)).tolist())
    assert set(found) == {0, 2}
    assert found[2] == pytest.approx(7500, abs=150)  # 3.5 standard errors of 43


@pytest.mark.parametrize("kind", plan.DELAYS)
def test_delay_stays_within_its_table_and_keeps_its_median(kind):
    knots = [60 * minutes for minutes in plan.DELAYS[kind]]
    found = sorted(plan.Draws(1, 0).delay(10_001, kind).tolist())
    assert knots[0] <= found[0]
    assert found[-1] <= knots[-1]
    half = len(knots) // 2
    assert knots[half - 1] <= found[5000] <= knots[half + 1]


# ---- logs for benchmarks ----


def test_events_are_exactly_as_many_as_asked_in_bounded_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "USERS_PER_PART", 50)  # 500 rows a part
    paths = write_events(tmp_path, events=1234, seed=1)
    assert [p.name for p in paths] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [pq.read_metadata(p).num_rows for p in paths] == [500, 500, 234]


def test_events_have_canonical_columns(tmp_path):
    (path,) = write_events(tmp_path, events=1000, seed=1)
    table = pq.read_table(path)
    assert table.schema.names == ["user_id", "event", "ts", "channel"]
    assert table.schema.types == [pa.int64(), pa.string(), pa.timestamp("us", "UTC"), pa.string()]
    assert set(table["event"].to_pylist()) == set(log.NAMES)
    assert all(column.null_count == 0 for column in table.columns)
    assert set(table["user_id"].to_pylist()) == set(range(100))


def test_events_with_text_ids_are_the_same_events(tmp_path):
    (number,) = write_events(tmp_path / "number", events=500, seed=1)
    (text,) = write_events(tmp_path / "text", events=500, seed=1, ids="text")
    ids = pq.read_table(number)["user_id"].to_pylist()
    assert pq.read_table(text)["user_id"].to_pylist() == [f"u{n}" for n in ids]
    assert pq.read_table(text).drop_columns("user_id") == pq.read_table(number).drop_columns("user_id")


def test_events_are_in_order_of_time_and_their_steps_too(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "USERS_PER_PART", 200)
    for path in write_events(tmp_path, events=5000, seed=3):
        rows = pq.read_table(path).to_pylist()
        assert all(a["ts"] <= b["ts"] for a, b in pairwise(rows))
        reached = defaultdict(list)
        for row in rows:
            if row["event"] in STEPS:
                reached[row["user_id"]].append(row["event"])
        assert all(steps == list(STEPS)[: len(steps)] for steps in reached.values())
        assert max(map(len, reached.values())) == 4


def test_people_come_back_in_later_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "USERS_PER_PART", 100)
    first, *_, last = write_events(tmp_path, events=5000, seed=3)
    assert max(pq.read_table(first)["user_id"].to_pylist()) == 99
    assert min(pq.read_table(last)["user_id"].to_pylist()) < 100


def test_events_are_the_same_for_the_same_seed(tmp_path):
    paths = [write_events(tmp_path / name, events=2000, seed=seed)[0] for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    first, same, other = (path.read_bytes() for path in paths)
    assert first == same != other


@pytest.mark.parametrize("wrong", [{"events": 0}, {"events": 10, "ids": "uuid"}])
def test_events_that_cannot_be_written_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match="cannot be written"):
        write_events(tmp_path, seed=1, **wrong)


def test_events_tell_their_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "USERS_PER_PART", 50)
    shares = []
    write_events(tmp_path, events=1000, seed=1, progress=lambda _what, share: shares.append(share))
    assert shares == [0.5, 1.0]
