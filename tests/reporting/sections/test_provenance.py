from pathlib import Path

import pytest
import yaml

import funnel_lib as fl
from funnel_lib.collection.batch import REASONS
from funnel_lib.reporting.sections import collection, provenance
from funnel_lib.reporting.wording import Say

LOG = {
    "system": "table", "table": "events", "files": "log_*.csv",
    "columns": {"user_id": "id", "event": "what", "ts": "at", "utm_source": "s", "utm_medium": "m"},
}  # fmt: skip
CRM = {"system": "table", "table": "users", "files": "crm.csv", "columns": {"user_id": "id", "first_seen": "at"}}
STEPS = {"steps": [{"name": "visit", "event": "visit"}, {"name": "buy", "event": "buy"}]}


def scope(root: Path, log: str, **more: object) -> fl.Scope:
    """Four visitors of whom two have a record, after one day's log; collected."""
    (root / "params").mkdir()
    raw = root / "data" / "raw" / "shop"
    raw.mkdir(parents=True)
    content = {"name": "shop", "title": "Shop", "funnel": STEPS, "sources": {"log": LOG, "crm": CRM}, **more}
    (root / "params" / "shop.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (raw / "log_20260301.csv").write_text("id,what,at,s,m\n" + log, encoding="utf-8")
    (raw / "crm.csv").write_text("id,at\nu1,2026-03-01\nu2,2026-03-01\n", encoding="utf-8")
    workbook = fl.load(root / "params" / "shop.yml")
    fl.collect(workbook)
    return fl.Scope.open(workbook, period="2026-03")


@pytest.fixture
def dirty(tmp_path: Path) -> fl.Scope:
    rows = "".join(f"u{i},visit,2026-03-01,odd,thing\n" for i in range(1, 5)) + "u1,,2026-03-01,,\n"
    limits = {"limits": {"unclassified_share": {"allowed": 0.5}}, "waive": {"unclassified_share": "Tags start in May."}}
    return scope(tmp_path, rows, cleaning={"worst_share": 0.5}, quality=limits)


def test_what_does_not_fit_is_shown_with_its_remedy(dirty: fl.Scope):
    # Both people of the CRM are among the four visitors.
    assert "100.0% of the people in crm are also in log" in provenance.joined(dirty).html
    origins = provenance.origins(dirty).html
    assert "4 events (100.0%)" in origins
    assert "thing" in origins
    # One of five rows has no event.
    assert "20.0% of the rows of log were set aside" in provenance.worst_days(dirty).html
    mending = provenance.mending(dirty).html
    assert "missing_value" in mending
    assert "correct the column" in mending.lower()


def test_each_pair_of_sources_keeps_its_own_numbers(dirty: fl.Scope, monkeypatch: pytest.MonkeyPatch):
    people = {("log", "log"): 4, ("log", "crm"): 1, ("log", "ads"): 3, ("crm", "crm"): 2, ("ads", "ads"): 3}
    overlap = [{"source": one, "other": other, "people": n} for (one, other), n in people.items()]
    monkeypatch.setattr(type(dirty.store), "facts", lambda _: {"overlap": overlap})
    monkeypatch.setattr(provenance, "source_titles", lambda _: {name: name for name in ("log", "crm", "ads")})
    rows = provenance.joined(dirty).tables["joined"].splitlines()[1:]
    assert [row.split(",")[:5] for row in rows if row] == [
        ["log", "4", "ads", "3", "0.75"], ["log", "4", "crm", "1", "0.25"],
    ]  # fmt: skip


def test_a_waived_check_shows_its_reason(dirty: fl.Scope):
    shown = collection.quality(dirty).html
    assert "waived" in shown
    assert "Tags start in May." in shown


def test_columns_that_changed_since_the_last_collection_are_listed(dirty: fl.Scope):
    assert "How the exports have changed" not in collection.quality(dirty).html
    raw = dirty.workbook.raw
    (raw / "log_20260302.csv").write_text("id,what,at,s,medium,plan\nu1,visit,2026-03-02,,,\n", encoding="utf-8")
    log = {**LOG, "aliases": {}, "columns": {**LOG["columns"]}}
    log["columns"].pop("utm_medium")
    content = yaml.safe_load(dirty.workbook.file.read_text(encoding="utf-8"))
    content["sources"]["log"] = log
    dirty.workbook.file.write_text(yaml.safe_dump(content), encoding="utf-8")
    workbook = fl.load(dirty.workbook.file)
    fl.collect(workbook)
    for language, words in (("en", ("column is gone", "new column")), ("zh", ("列已消失", "新增列"))):
        shown = collection.quality(fl.Scope.open(workbook, period="2026-03", language=language)).html
        assert all(word in shown for word in words)
        assert "log: events" in shown
        assert "log_20260302.csv" in shown


def test_clean_data_says_so(tmp_path: Path):
    clean = scope(tmp_path, "u8,visit,2026-03-01,google,cpc\nu9,visit,2026-03-01,,\n")
    assert "No two sources know the same people" in provenance.joined(clean).html
    assert "Every event with a known origin has a channel" in provenance.origins(clean).html
    assert "No day stands out" in provenance.worst_days(clean).html
    assert "There is nothing to mend" in provenance.mending(clean).html


def test_remedies_are_for_rules_that_there_are():
    english, chinese = provenance.remedies(Say("en")), provenance.remedies(Say("zh"))
    assert set(english) == set(chinese) <= set(REASONS)
    assert not [rule for rule in english if english[rule].text == chinese[rule].text]
