"""Whatever a workbook file says that cannot be is refused, with the key path and what is allowed."""

import copy
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from funnel_lib import config
from funnel_lib.config import Release, Trial, load, parse, schema, start_of
from funnel_lib.errors import ConfigError, DataError

EDUCATION = Path(__file__).parents[1] / "params" / "education.yml"
BOOK: dict[str, Any] = {
    "name": "shop",
    "title": "Shop",
    "timezone": "Asia/Shanghai",
    "sources": {
        "web": {"system": "ga4", "files": "*.jsonl"},
        "crm": {
            "system": "table",
            "table": "users",
            "files": "crm.csv",
            "columns": {"user_id": "ID", "age": "Age"},
        },
    },
    "funnel": {
        "window": "14d",
        "steps": [
            {"name": "visit", "event": "page_view"},
            {"name": "register", "event": "sign_up"},
            {"name": "payment", "event": "purchase", "where": {"amount": {"gt": 0}}},
        ],
    },
    "segments": {
        "audience": {
            "groups": {
                "student": {
                    "where": {"job": "student"},
                    "did": [{"event": "search", "count": {"ge": 2}, "within": "1d"}],
                },
                "working": {"where": {"job": ["employed", "self_employed"]}},
            }
        },
        "device": {"by": "device"},
    },
    "periods": {"every": "month", "from": date(2026, 1, 1), "to": date(2026, 6, 30), "custom": ["2026-W10"]},
    "reports": {
        "conversion": {"segments": ["audience=student", "device=mobile"]},
        "case_study": {"over": "all"},
    },
    "targets": {"register": 0.3},
    "value": {"event": "purchase", "margin": 0.6},
    "costs": [{"per_month": 100, "channel": "email"}],
    "case_study": {
        "title": "Students",
        "split": "audience",
        "group": "student",
        "steps": ["register", "payment"],
        "changes": [
            {
                "kind": "release",
                "name": "form",
                "title": "Form",
                "since": date(2026, 2, 9),
                "steps": ["visit", "register"],
            },
            {
                "kind": "policy",
                "name": "price",
                "title": "Price",
                "since": date(2026, 3, 16),
                "placebo": date(2026, 2, 16),
                "groups": ["student", "working"],
            },
            {
                "kind": "trial",
                "name": "free",
                "title": "Free",
                "experiment": "e",
                "control": "c",
                "treatment": "t",
            },
        ],
    },
}
GONE = object()


def changed(*changes: tuple[str, object]) -> dict[str, Any]:
    """Return BOOK with the values at the dotted paths replaced, or taken out."""
    book = copy.deepcopy(BOOK)
    for path, value in changes:
        *way, last = (int(key) if key.isdigit() else key for key in path.split("."))
        place: Any = book
        for key in way:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return book


def refusal(*changes: tuple[str, object]) -> str:
    with pytest.raises(ConfigError) as error:
        parse(changed(*changes), where="shop.yml")
    return str(error.value)


def test_the_book_of_these_tests_and_the_demo_are_accepted():
    assert parse(BOOK).name == "shop"
    demo = load(EDUCATION)
    assert demo.file == EDUCATION
    assert demo.funnel.names[0] == "visit"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("timezon", "timezone"),
        ("sources.web.sytem", "system"),
        ("cleaning.bot", "bots"),
        ("funnel.windw", "window"),
        ("funnel.steps.1.evnt", "event"),
        ("segments.device.titel", "title"),
        ("segments.audience.groups.student.wher", "where"),
        ("segments.audience.groups.student.did.0.withn", "within"),
        ("periods.form", "from"),
        ("reports.conversion.segment", "segments"),
        ("rules.min_unit", "min_units"),
        ("value.evnt", "event"),
        ("costs.0.chanel", "channel"),
        ("case_study.splt", "split"),
        ("case_study.changes.0.sinse", "since"),
        ("case_study.changes.1.placeboo", "placebo"),
        ("case_study.changes.2.expected_shar", "expected_share"),
    ],
)
def test_an_unknown_key_is_refused_at_every_level_and_the_nearest_named(path: str, meant: str):
    message = refusal((path, 1))
    assert "unknown key" in message
    assert f"where:   shop.yml: {path}\n" in message
    assert f"found:   {path.rsplit('.', 1)[-1]}\n" in message
    assert f"(did you mean {meant}?)" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", 5),
        ("title", 5),
        ("timezone", 8),
        ("languages", "en"),
        ("sources", []),
        ("sources.web", "ga4"),
        ("sources.web.files", ["a"]),
        ("sources.crm.columns", ["a"]),
        ("sources.crm.missing", "--"),
        ("cleaning", []),
        ("cleaning.earliest", "yesterday"),
        ("cleaning.late_after", 3),
        ("cleaning.test_accounts", "x"),
        ("funnel", []),
        ("funnel.window", 14),
        ("funnel.steps", "visit"),
        ("funnel.steps.0", "visit"),
        ("funnel.steps.0.name", 5),
        ("funnel.steps.0.event", 5),
        ("funnel.steps.0.where", "device"),
        ("segments", []),
        ("segments.device", "device"),
        ("segments.device.top", "many"),
        ("segments.audience.groups", ["student"]),
        ("segments.audience.groups.student.did", {"event": "search"}),
        ("periods", "month"),
        ("periods.from", "January"),
        ("periods.custom", "2026-05"),
        ("reports", ["conversion"]),
        ("reports.conversion", None),
        ("reports.conversion.segments", "audience=student"),
        ("rules.min_units", "many"),
        ("rules.mature_only", "perhaps"),
        ("targets", [0.3]),
        ("targets.register", "high"),
        ("value", 5),
        ("value.amount", "much"),
        ("costs", {"per_month": 1}),
        ("costs.0", 100),
        ("case_study", []),
        ("case_study.steps", "register"),
        ("case_study.within", 14),
        ("case_study.changes", {"a": 1}),
        ("case_study.changes.0", "form"),
        ("case_study.changes.0.since", "soon"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_at_its_key(path: str, value: object):
    message = refusal((path, value))
    assert re.search(rf"where:   shop\.yml: {re.escape(path)}(\.kind)?\n", message)
    assert "allowed:" in message
    assert "(nothing)" in message if value is None else "found:" in message


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("name", "../shop", "should match pattern"),
        ("timezone", "Asia/Shangai", "did you mean Asia/Shanghai"),
        ("sources.crm.timezone", "Shanghai", "did you mean Asia/Shanghai"),
        ("currency", "yuan", "should match pattern"),
        ("languages", [], "at least 1 item"),
        ("languages", ["en", "cn"], "allowed: en, zh"),
        ("title", {"fr": "Magasin"}, "allowed: en, zh"),
        ("title", {}, "at least 1 item"),
        ("sources", {}, "at least 1 item"),
        ("sources.web.files", "", "at least 1 character"),
        ("sources.crm.delimiter", ";;", "at most 1 character"),
        ("sources.crm.system", "tabel", "did you mean table"),
        ("sources.crm.table", "user", "did you mean users"),
        ("sources.crm.table", "quarantine", "events, users, deals, stage_history, spend, surveys, exposures"),
        ("cleaning.worst_share", 20, "less than or equal to 1"),
        ("cleaning.test_accounts", {"email": {"containz": "x"}}, "did you mean contains"),
        ("funnel.window", "-1d", "cannot be negative"),
        ("funnel.window", "99999999999d", "at most 36500d"),
        ("funnel.counting", "entries", "reports speak of people"),
        ("funnel.order", "anyhow", "allowed: ordered, strict, any"),
        ("funnel.snapshot", "user", "did you mean users"),
        ("funnel.steps", [], "at least 1 item"),
        ("funnel.steps.0.name", "", "at least 1 character"),
        ("funnel.steps.0.event", [], "at least 1 item"),
        ("funnel.steps.0.where", {"device": {"equal": "mobile"}}, "unknown operator"),
        ("funnel.steps.0.where", {"device": {}}, "needs an operator"),
        ("funnel.steps.0.where", {"device": None}, "is_null: true means no value"),
        ("funnel.steps.0.where", {"amount": {"gt": [1, 2]}}, "gt: a number, or a time"),
        ("segments.device.top", 0, "greater than or equal to 1"),
        ("segments.audience.groups.student", {"title": "S"}, "a group needs where or did"),
        ("segments.audience.groups.student.did.0.count", {"many": 1}, "unknown operator"),
        ("segments.audience.groups.student.did.0.within", "7", "not a duration"),
        ("periods.every", "monthly", "did you mean month"),
        ("periods.latest", 0, "greater than or equal to 1"),
        ("reports.conversion.over", "everything", "allowed: periods, all"),
        ("reports.conversion.segments.0", "student", "should match pattern"),
        ("rules.min_units", 0, "greater than or equal to 1"),
        ("rules.level", 95, "less than 1"),
        ("rules.correction", "bonferroni", "allowed: holm, bh"),
        ("targets.register", 35, "less than or equal to 1"),
        ("value.margin", 60, "less than or equal to 1"),
        ("value.amount", -1, "greater than or equal to 0"),
        ("costs.0.per_month", -3, "greater than or equal to 0"),
        ("case_study.steps", ["register", "visit", "payment"], "at most 2 items"),
        ("case_study.changes.0.weeks", 0, "greater than or equal to 1"),
        ("case_study.changes.2.expected_share", 50, "less than 1"),
        ("case_study.changes.0.kind", "releas", "did you mean release"),
    ],
)
def test_an_impossible_value_is_refused_at_its_key(path: str, value: object, reason: str):
    message = refusal((path, value))
    assert f"where:   shop.yml: {path}" in message
    assert reason in message


@pytest.mark.parametrize(
    ("path", "value", "where", "reason"),
    [
        ("segments.device.groups", {"a": {"where": {"b": 1}}}, "segments.device", "by or groups, not both"),
        ("segments.device.by", GONE, "segments.device", "by or groups, not both"),
        ("segments.audience.groups.other", {"where": {"b": 1}}, "segments.audience", "exists in every split"),
        ("funnel.steps.1.name", "visit", "funnel.steps", "two steps share a name"),
        ("funnel.steps.1.column", "won", "funnel", "belong to a snapshot"),
        ("funnel.snapshot", "users", "funnel", "needs a column"),
        ("periods.to", date(2025, 1, 1), "periods", "to lies before from"),
        ("periods.custom", ["2026-5"], "periods.custom", "cannot be read"),
        ("case_study.changes.1.name", "form", "case_study.changes", "two changes share a name"),
        (
            "case_study.changes.1.placebo",
            date(2026, 4, 1),
            "case_study.changes.1",
            "false date before the true one",
        ),
        (
            "case_study.changes.1.groups",
            ["student", "student"],
            "case_study.changes.1",
            "two groups are the same",
        ),
        ("case_study.changes.2.treatment", "c", "case_study.changes.2", "two arms are the same"),
    ],
)
def test_values_that_cannot_go_together_are_refused_where_they_meet(path: str, value: object, where: str, reason: str):
    message = refusal((path, value))
    assert f"where:   shop.yml: {where}\n" in message
    assert reason in message


@pytest.mark.parametrize(
    ("path", "value", "where", "allowed"),
    [
        ("targets", {"regster": 0.3}, "targets.regster", "register, payment (did you mean register?)"),
        ("benchmarks", {"steps": {"regster": "x"}}, "benchmarks.steps.regster", "(did you mean register?)"),
        ("targets", {"visit": 0.3}, "targets.visit", "register, payment"),
        (
            "reports.conversion.segments",
            ["audiense=student"],
            "reports.conversion.segments.0",
            "did you mean audience?",
        ),
        (
            "reports.conversion.segments",
            ["audience=studnt"],
            "reports.conversion.segments.0",
            "did you mean student?",
        ),
        ("reports.sales", {}, "reports.sales", "collection, segmentation, conversion, case_study"),
        ("case_study", GONE, "reports.case_study", "collection, segmentation, conversion"),
        ("case_study.split", "audienc", "case_study.split", "did you mean audience?"),
        ("case_study.group", "studnt", "case_study.group", "did you mean student?"),
        ("case_study.steps", ["register", "paymnt"], "case_study.steps.1", "did you mean payment?"),
        ("case_study.steps", ["register", "visit"], "case_study.steps.1", "payment"),
        ("case_study.steps", ["payment", "payment"], "case_study.steps.1", "nothing (none is defined)"),
        (
            "case_study.changes.0.steps",
            ["visit", "regster"],
            "case_study.changes.0.steps.1",
            "did you mean register?",
        ),
        ("case_study.changes.0.steps", ["register", "visit"], "case_study.changes.0.steps.1", "payment"),
        (
            "case_study.changes.1.groups",
            ["student", "workin"],
            "case_study.changes.1.groups.1",
            "did you mean working?",
        ),
    ],
)
def test_a_name_that_nothing_bears_is_refused_and_the_nearest_named(path: str, value: object, where: str, allowed: str):
    message = refusal((path, value))
    assert f"where:   shop.yml: {where}\n" in message
    assert allowed in message


@pytest.mark.parametrize(
    "path",
    [
        "name",
        "title",
        "sources",
        "funnel",
        "sources.web.system",
        "sources.web.files",
        "funnel.steps",
        "funnel.steps.0.name",
        "costs.0.per_month",
        "case_study.title",
        "case_study.steps",
        "case_study.changes.0.since",
        "case_study.changes.2.experiment",
    ],
)
def test_what_is_needed_and_missing_is_named(path: str):
    message = refusal((path, GONE))
    assert "field required" in message
    assert f"where:   shop.yml: {path}\n  found:   (nothing)" in message


def test_a_change_without_a_kind_is_told_the_kinds():
    message = refusal(("case_study.changes.0.kind", GONE))
    assert "shop.yml: case_study.changes.0.kind" in message
    assert "trial, policy, release" in message


def test_all_faults_are_listed_at_once():
    message = refusal(
        ("timezon", 1),
        ("curency", 1),
        ("currency", "yuan"),
        ("rules.level", 3),
        ("rules.min_unit", 3),
        ("funnel.steps.0.evnt", 1),
        ("sources.crm.colums", 1),
        ("case_study.changes.0.since", GONE),
    )
    places = [
        "timezon",
        "curency",
        "currency",
        "rules.level",
        "rules.min_unit",
        "funnel.steps.0.evnt",
        "sources.crm.colums",
    ]
    for place in [*places, "case_study.changes.0.since"]:
        assert f"shop.yml: {place}" in message
    assert message.count("also:") == 7


def test_all_dangling_names_are_listed_at_once():
    message = refusal(("targets", {"a": 0.1, "b": 0.2}), ("case_study.steps", ["x", "y"]), ("case_study.group", "z"))
    for place in ("targets.a", "targets.b", "case_study.steps.0", "case_study.steps.1", "case_study.group"):
        assert f"shop.yml: {place}" in message


def test_key_paths_hold_names_that_look_like_kinds_of_value():
    steps = [{"name": "visit", "event": "a"}, {"name": "trial", "event": "b"}]
    message = refusal(
        ("funnel.steps", steps), ("targets", {"trial": 35}), ("segments.string.groups", {"a": {"wher": 1}})
    )
    assert "shop.yml: targets.trial" in message
    assert "shop.yml: segments.string.groups.a.wher" in message


def test_a_place_that_allows_several_kinds_of_value_is_listed_once():
    message = refusal(("funnel.steps.0.event", 5))
    assert "also:" not in message
    assert "valid string; or" in message


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_a_workbook_that_is_no_mapping_is_refused(data: object):
    with pytest.raises(ConfigError, match=r"\(top level\)"):
        parse(data)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a: [1", "expected ',' or ']'"),
        (b"a: b: c", "mapping values are not allowed"),
        (b"\ttitle: x", "cannot start any token"),
        (b"a: \xff\xfe", "can't decode"),
        (b"name: a\ntitle: b\nname: c\n", "line 3"),
        (b"name: a\ntitle: b\nname: c\n", "'name' is written twice"),
        (b"a: {b: 1, b: 2}\n", "'b' is written twice"),
        (b"!!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, text: bytes, reason: str):
    (tmp_path / "bad.yml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"not readable YAML") as error:
        load(tmp_path / "bad.yml")
    assert reason in str(error.value)
    assert str(tmp_path / "bad.yml") in str(error.value)


def test_an_empty_file_is_refused(tmp_path: Path):
    (tmp_path / "empty.yml").write_text("# nothing but a comment\n")
    with pytest.raises(ConfigError, match=r"\(top level\)"):
        load(tmp_path / "empty.yml")


def test_a_file_that_is_not_there_names_the_nearest(tmp_path: Path):
    (tmp_path / "education.yml").write_text("")
    with pytest.raises(DataError, match=r"no such workbook file[\s\S]*such as .*education\.yml"):
        load(tmp_path / "eduction.yml")
    with pytest.raises(DataError, match="no such workbook file"):
        load(tmp_path / "no" / "such.yml")
    with pytest.raises(DataError, match="no such workbook file"):
        load(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path):
    (tmp_path / "book.yml").write_bytes(b"\xef\xbb\xbf" + EDUCATION.read_bytes())
    assert load(tmp_path / "book.yml").name == "education"


def test_folders_hang_on_the_folder_above_the_file(tmp_path: Path):
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "e.yml").write_bytes(EDUCATION.read_bytes())
    book = load(tmp_path / "params" / "e.yml")
    root = tmp_path.resolve()
    assert (book.root, book.raw) == (root, root / "data" / "raw" / "education")
    assert book.processed == root / "data" / "processed" / "education"
    assert book.reports_folder == root / "reports" / "education"
    assert parse(BOOK).root == Path.cwd()
    assert parse(BOOK).file is None


def test_defaults_are_those_of_the_documentation():
    book = parse({"name": "a", "title": "A", "sources": BOOK["sources"], "funnel": {"steps": [{"name": "visit"}]}})
    assert (book.timezone, book.currency, book.languages) == ("UTC", "USD", ["en"])
    assert list(book.reports) == ["collection", "segmentation", "conversion"]
    assert (book.rules.min_units, book.rules.min_events, book.rules.level) == (30, 5, 0.95)
    assert book.cleaning.late_after == timedelta(days=3)
    assert book.case_study is None
    assert config.Did().count == {"ge": 1}


def test_a_workbook_and_its_sections_cannot_be_changed():
    book = parse(BOOK)
    with pytest.raises(ValidationError, match="frozen"):
        book.name = "other"
    with pytest.raises(ValidationError, match="frozen"):
        book.rules.min_units = 1


def test_parsing_leaves_the_mapping_alone_and_reads_the_changes_by_kind():
    before = copy.deepcopy(BOOK)
    case = parse(BOOK).case_study
    assert before == BOOK
    assert case is not None
    assert isinstance(case.changes[0], Release)
    assert isinstance(case.changes[2], Trial)
    assert case.within == timedelta(days=14)


def test_periods_are_those_of_the_workbook_cut_to_the_data():
    book = parse(BOOK)
    names = [p.name for p in book.reporting_periods(date(2026, 2, 10), date(2026, 12, 31))]
    assert names == ["2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-W10"]
    assert book.reporting_periods(date(2027, 1, 1), date(2027, 2, 1)) == []
    whole = book.period("all", date(2026, 2, 10), date(2026, 12, 31))
    assert (whole.first_day, whole.last_day) == (date(2026, 1, 1), date(2026, 6, 30))
    assert book.period("2026-05", date(2026, 2, 10), date(2026, 12, 31)).name == "2026-05"
    over_all = parse(changed(("periods", {"every": "all"})))
    assert [p.name for p in over_all.reporting_periods(date(2026, 2, 10), date(2026, 3, 31))] == ["all"]


def test_a_day_starts_at_midnight_of_the_zone():
    assert start_of(date(2026, 5, 1), ZoneInfo("Asia/Shanghai")).isoformat() == "2026-05-01T00:00:00+08:00"
    assert parse(BOOK).zone == ZoneInfo("Asia/Shanghai")


def test_the_json_schema_describes_the_keys_and_refuses_others():
    found = schema()
    assert found["$schema"].startswith("https://json-schema.org/")
    assert set(found["properties"]) == set(BOOK) | {
        "benchmarks",
        "channels",
        "cleaning",
        "currency",
        "holidays",
        "identity",
        "kpis",
        "languages",
        "notify",
        "quality",
        "question",
        "rates",
        "rules",
    }
    assert found["additionalProperties"] is False
    assert found["$defs"]["Periods"]["properties"]["from"]
