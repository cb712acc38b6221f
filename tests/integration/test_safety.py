"""Hostile and personal data on the whole road: what is planted in the exports acts nowhere and shows nowhere.

Groups are called like scripts, handlers, links and formulas, and are large enough to be shown; e-mail addresses,
telephone numbers and names stand in columns that are used for cleaning and identity, and in rows that are set aside.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from openpyxl import load_workbook

import funnel_lib

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
EVIL = (
    "<script>alert('owned')</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(1)",
    "=HYPERLINK(\"http://evil.example\",\"x\")", "+1+cmd|' /C calc'!A0", "@SUM(1)", "]]></style><b>",
)  # fmt: skip
PERSONAL = ("jane.planted@example.org", "+8613800138000", "13800138000", "Jane Q. Planted", "planted-secret-note")
WORKBOOK = {
    "name": "hostile", "title": {"en": f"Shop {EVIL[0]}", "zh": f"商店 {EVIL[1]}"}, "languages": ["en", "zh"],
    "timezone": "UTC",
    "sources": {
        "log": {
            "system": "table", "table": "events", "files": "log.csv",
            "columns": {"user_id": "user", "event": "event", "ts": "time", "channel": "channel"},
        },
        "crm": {
            "system": "table", "table": "users", "files": "crm.csv",
            "columns": {"user_id": "user", "first_seen": "since", "plan": "plan", "email": "mail", "phone": "phone"},
        },
    },
    "funnel": {"window": "7d", "steps": [
        {"name": "visit", "event": "visit", "title": {"en": f"Visit {EVIL[1]}", "zh": f"访问 {EVIL[0]}"}},
        {"name": "buy", "event": "buy"}]},
    "segments": {"plan": {"by": "plan", "title": {"en": f"Plan {EVIL[3]}", "zh": "方案"}}},
    "targets": {"buy": 0.9},
    "periods": {"latest": 1},
    "reports": {"collection": {}, "segmentation": {}, "conversion": {}},
}  # fmt: skip


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports on hostile data, in both languages."""
    root = tmp_path_factory.mktemp("hostile")
    raw = root / "data" / "raw" / "hostile"
    for folder in (raw, root / "params"):
        folder.mkdir(parents=True)
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (root / "params" / "hostile.yml").write_text(yaml.safe_dump(WORKBOOK, allow_unicode=True), encoding="utf-8")
    log, crm = io.StringIO(), io.StringIO()
    events, people = csv.writer(log), csv.writer(crm)
    events.writerow(["user", "event", "time", "channel"])
    people.writerow(["user", "since", "plan", "mail", "phone", "name"])
    for number in range(60 * len(EVIL)):
        user, evil, day = f"u{number}", EVIL[number % len(EVIL)], 1 + number % 14
        events.writerow([user, "visit", f"2026-05-{day:02d} 10:00:00", evil])
        if number % 3 == 0:
            events.writerow([user, "buy", f"2026-05-{day:02d} 11:00:00", evil])
        people.writerow([user, f"2026-05-{day:02d}", evil, PERSONAL[0], PERSONAL[1], PERSONAL[3]])
    for text in PERSONAL:  # rows that are set aside, with what must not be shown in the place of a time
        events.writerow(["u1", "visit", text, EVIL[0]])
    events.writerow(["u1", "visit", "2026-05-30 10:00:00", PERSONAL[4]])
    (raw / "log.csv").write_text(log.getvalue(), encoding="utf-8")
    (raw / "crm.csv").write_text(crm.getvalue(), encoding="utf-8")
    file = root / "params" / "hostile.yml"
    funnel_lib.collect(funnel_lib.load(file))
    result = funnel_lib.run(file)
    assert {made.status for made in result.reports} == {"ok"}, [made.reason for made in result.reports]
    assert len(result.reports) == 6
    return result.folder


def texts(folder: Path) -> dict[str, str]:
    """The text of every published file; Excel files are unpacked."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if file.suffix == ".xlsx":
            with zipfile.ZipFile(file) as book:
                found |= {f"{name}/{part}": book.read(part).decode() for part in book.namelist()}
        elif file.suffix in (".html", ".csv", ".json", ".ipynb"):
            found[name] = file.read_text(encoding="utf-8")
    return found


def test_the_hostile_names_are_there_to_be_seen(reports: Path) -> None:
    page = BeautifulSoup(
        (next(reports.glob("2026-05/all/segmentation.en.html"))).read_text(encoding="utf-8"), "html.parser"
    )
    shown = page.get_text()
    assert [evil for evil in EVIL[:3] if evil not in shown] == []


def test_nothing_personal_is_published(reports: Path) -> None:
    leaks = [(name, secret) for name, text in texts(reports).items() for secret in PERSONAL if secret in text]
    assert leaks == []


def test_nothing_acts_in_any_page(reports: Path) -> None:
    pages = list(reports.rglob("*.html"))
    assert len(pages) == 8  # six reports and the catalogue in two languages
    for file in pages:
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        scripts = [script.string or "" for script in page.select("script")]
        assert all("The catalogue works without this" in script for script in scripts), file
        assert len(scripts) <= (1 if file.name.startswith("index") else 0), file
        assert page.select("img:not([src^='data:']), iframe, object, embed, form, base, link") == [], file
        for element in page.select("*"):
            assert not [name for name in element.attrs if name.startswith("on")], file
            for name in ("href", "src", "xlink:href"):
                assert not re.match(
                    r"\s*(javascript|vbscript|https?):|//", str(element.get(name, "")), re.IGNORECASE
                ), file


def test_no_cell_is_a_formula(reports: Path) -> None:
    for file in reports.rglob("*.csv"):
        rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
        bad = [
            cell for row in rows for cell in row if cell[:1] in ("=", "+", "@", "\t") or re.match(r"-(?![\d.])", cell)
        ]
        assert bad == [], file
    for file in reports.rglob("*.xlsx"):
        assert all(cell.data_type != "f" for sheet in load_workbook(file) for row in sheet for cell in row), file


def test_links_lead_to_files_that_are_there(reports: Path) -> None:
    for file in reports.rglob("*.html"):
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        targets = [str(link["href"]) for link in page.select("a[href]") if not str(link["href"]).startswith("#")]
        assert targets, file
        assert [target for target in targets if not (file.parent / target).is_file()] == [], file


def test_manifests_hold_no_path_of_this_machine(reports: Path) -> None:
    for file in reports.rglob("*.manifest.json"):
        text = file.read_text(encoding="utf-8")
        assert json.loads(text)["status"] == "ok"
        assert str(reports.parents[1]) not in text
