"""Four businesses that the project did not invent: the conversion notebook answers its questions, in both languages."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import funnel_lib as fl
from funnel_lib.collection.store import Store
from funnel_lib.reporting.blocks import Block

WORKBOOKS = Path(__file__).parent.parent / "workbooks"
FOLDERS = {
    "sellers": "olist_funnel", "shop": "simple_shop", "marketplace": "taobao_userbehavior", "crm": "crm_maven",
    "orders": "simple_shop",
}  # fmt: skip
PERIODS = {"sellers": "2018-Q1", "shop": "2020-02", "marketplace": "2017-12-02..2017-12-02", "crm": "2017-Q2"}
HEADER = "user,item,category,behaviour,time\n"
NAMES = {
    "Wilson", "Newcombe", "Laney", "Kaplan", "Meier", "Aalen", "Johansen", "Holm", "Mixpanel", "PostHog", "Amplitude",
    "Google", "Analytics", "HubSpot", "Plus", "Basic", "Advanced", "Special", "America", "Paulo", "Asia", "Shanghai",
}  # fmt: skip
"""What stays as it is in Chinese: names of methods, systems, places and of this data's products."""
Page = dict[str, Block]

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def collected(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that collects a data set once and gives its workbook file."""
    made: dict[str, Path] = {}

    def collect(name: str) -> Path:
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            file = root / "params" / f"{name}.yml"
            file.parent.mkdir()
            shutil.copy(WORKBOOKS / file.name, file)
            shutil.copytree(real_data / FOLDERS[name], root / "data" / "raw" / name, copy_function=shutil.copyfile)
            if name == "marketplace":
                export = next((root / "data" / "raw" / name).glob("*.csv"))
                export.write_text(HEADER + export.read_text())  # this export has no header of its own
            fl.collect(fl.load(file))
            made[name] = file
        return made[name]

    return collect


def first_lines(page: Page) -> dict[str, str]:
    return {name: block.text.splitlines()[0] for name, block in page.items()}


@pytest.mark.parametrize("name", sorted(PERIODS))
def test_the_summary_answers_every_question_in_both_languages(collected, page: Callable[..., Page], name: str):
    english, chinese = (page(collected(name), period=PERIODS[name], language=language) for language in ("en", "zh"))
    lines = english["summary"].text.splitlines()
    assert 3 <= len(lines) <= 6
    told = dict(line.split(": ", 1) for line in lines[1:])
    assert re.search(r"\d\d\.\d\d% (reached|have reached) .*\(95% interval ", lines[0])
    assert re.search(r"leave before .*: \d+\.\d% \(.* to .*\)", told["What to look at first"])
    assert "what it is worth cannot be computed, because the workbook does not say" in told["What to look at first"]
    assert re.search(
        r"The overall rate (moved by|did not move clearly:) [+−].* \(.* to .*\)", told["Against the period before"]
    )
    assert "How long it takes" in told
    assert "For whom" in told
    # The same numbers in Chinese, and no English but names.
    assert chinese["summary"].metrics == english["summary"].metrics
    titles = {"sellers", "shop", "marketplace", "crm", "deals", "events", "users", "quarantine", "main", "catalog"}
    for block in chinese.values():
        left = set(re.findall(r"[A-Za-z]{4,}", re.sub(r"[0-9a-f]{12,16}", "", block.text))) - NAMES - titles
        assert not left, (block.id, left)


def test_won_deals_by_origin(collected, page: Callable[..., Page]):
    found = page(collected("sellers"), period="all")
    lines = first_lines(found)
    # Of 842 won deals one was won before its first contact.
    assert (found["kpis"].metrics["count.lead"], found["kpis"].metrics["count.won"]) == (8000, 841)
    assert found["summary"].metrics["summary.rate"] == pytest.approx(841 / 8000)
    assert int(found["timing"].metrics["timing.median"]) == 14
    # Recent leads counted for as long as they were followed: slower than those seen so far.
    assert found["timing"].metrics["timing.half"] > found["timing"].metrics["timing.median"]
    assert lines["since"].startswith("Won deal: from 3.8% to 13.0% since 3 January 2018")
    assert lines["outcomes"].endswith("because the deals do not say when they were created")
    assert "Highest: unknown" not in found["origin-steps"].text
    quarter = page(collected("sellers"), period="2018-Q1")
    # No day of a weekday without any deal yet counts as impossible: the limits are never at zero.
    assert "0.0000%" not in quarter["monitoring"].text
    # Of 333 deals won in these days one was won before its first contact; two leads are older than half a year.
    assert quarter["views"].metrics["views.took"] == 332
    # A list of won deals alone has no share of won ones.
    assert "only won deals were collected" in quarter["board"].tables["missing_kpis"]
    # Deals are recorded from December on; the leads of the quarter before came from October on.
    assert "Before 5 December 2017 nobody reached Won deal, though " in quarter["moved"].text
    timing = quarter["timing"].metrics
    assert timing["timing.finally.expected"] <= timing["timing.rate.rate"]  # by an earlier day, and said so
    assert "were followed for less than 304 days" in quarter["timing"].text


def test_an_online_shop(collected, page: Callable[..., Page]):
    found = page(collected("shop"), period="all")
    took = found["views"].tables["views"].splitlines()[1:]
    assert [int(row.split(",")[5]) for row in took if row] == [3611, 1924, 1356, 958, 653]
    assert first_lines(found)["funnel"].startswith("Most people leave before Cart: ")
    # In all 653 paid within a week of some visit to the catalogue, 524 of them within a week of their first.
    assert found["timing"].metrics["timing.again.n"] == 653 - 524
    # People pay within about a minute: said in seconds, not as “1 minutes”.
    assert "within 69 seconds (61 to 76)" in first_lines(found)["timing"]
    month = page(collected("shop"), period="2020-02")
    assert "10 more people got there after starting again" in month["timing"].text  # 44 at once, 54 in all
    lead = month["summary"].text
    assert "Of the 402 people who have had their full 7 days, 13.43% reached Paid" in lead
    assert "Saw the main page: ahead at Paid" in lead
    assert "clearly behind the others" not in lead


def test_what_the_orders_of_a_shop_are_worth(collected, page: Callable[..., Page]):
    found = page(collected("orders"), period="all")
    rows = {row[0]: row for row in csv.reader(found["value"].tables["value"].splitlines())}
    # 706 transactions of 751.77 on average, as their publisher's log has them.
    assert float(rows["Order value, mean"][1]) == pytest.approx(751.7677053824362)
    assert rows["Order value, mean"][4] == "706 orders of the period"
    steps = {row[0]: row for row in csv.reader(found["losses"].tables["bottlenecks"].splitlines())}
    # 1,624 of 3,038 put something into the cart, 549 paid: at 60 % these were (0.6 × 3,038 − 1,624) × 549 / 1,624 more.
    gained = (0.6 * 3038 - 1624) * 549 / 1624
    header = steps["Step"]
    assert float(steps["Cart"][header.index("More at the end")]) == pytest.approx(gained)
    each = float(steps["Paid"][header.index("Worth of one who took it")])
    assert float(steps["Cart"][header.index("Worth")]) == pytest.approx(gained * each)
    assert re.search(
        r"Cart is clearly below its bar; there it would bring \$[\d.]+k \(.* to .*\) more", found["summary"].text
    )
    assert "cannot be computed, because no costs are known" in found["returns"].text


def test_a_marketplace_in_beijing_time(collected, page: Callable[..., Page]):
    file = collected("marketplace")
    tally = Store(fl.load(file).processed).tally().set_index(["outcome", "rule"])["rows"]
    assert tally["read", ""] == 84_476
    assert tally["quarantined", "ancient"] == 35  # before 25 November in Beijing
    found = page(file, period="2017-11-25..2017-12-03")
    took = [row.split(",") for row in found["views"].tables["views"].splitlines()[1:] if row]
    # 813 viewed, 559 bought; bought without keeping it first is no loss.
    assert (int(took[0][5]), int(took[-1][5])) == (813, 559)
    assert first_lines(found)["funnel"].startswith("Most people leave before Bought: ")
    day = page(file, period=PERIODS["marketplace"])
    assert "within noise of 25 November" in day["kpis"].text  # Saturday beside Saturday
    # 140 bought on that day and 779 viewed something; to keep it may be skipped.
    row = day["views"].tables["views"].splitlines()[3].split(",")
    assert (int(row[5]), float(row[6])) == (140, pytest.approx(140 / 779))
    # On the first day of the data nobody can have kept anything before.
    assert "the data holds 0 days" in day["favourites-mix"].text


def test_a_sales_pipeline(collected, page: Callable[..., Page]):
    found = page(collected("crm"), period="all")
    assert (found["kpis"].metrics["count.opportunity"], found["kpis"].metrics["count.won"]) == (8800, 4238)
    # Of the closed ones alone 63.15 % are won, fewer of those with a date of creation that are open.
    assert found["outcomes"].metrics["outcomes.closed"] == pytest.approx(0.6315, abs=0.005)
    assert found["outcomes"].metrics["outcomes.share"] < 0.55
    # Stages have no dates of their own: nothing is counted as if nobody had been won in these days.
    assert first_lines(found)["views"] == "The activity view cannot be computed, because this source has no times"
    quarter = page(collected("crm"), period="2017-Q2")
    assert "500 people have no date of entry, and so belong to no period." in quarter["funnel"].html
