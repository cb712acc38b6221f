from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import tally
from funnel_lib.collection.quality import by_day, by_rule, checks, coverage, event_reach, grade
from funnel_lib.collection.store import Store
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError

SOURCE = {"system": "table", "table": "events", "files": "*", "columns": {"user_id": "i", "event": "e", "ts": "t"}}
FACTS: dict[str, Any] = {
    "remarks": [], "newest": {"a": "2026-03-10", "b": "2026-03-03"}, "people": {"registered": 10, "with_record": 9,
    "oversize": 0}
}  # fmt: skip
CLEAN = {"read": 1000, "kept": 1000}
Make = Callable[..., Store]


@pytest.fixture
def workbook(book: Callable[..., Workbook]) -> Workbook:
    return book({"a": SOURCE, "b": SOURCE}, {}, currency="CNY")


@pytest.fixture
def store(tmp_path: Path) -> Make:
    def make(
        rows: dict[str, int] = CLEAN,
        tables: dict[Any, pd.DataFrame] | None = None,
        days: pd.DataFrame | None = None,
        **facts: Any,
    ) -> Store:
        made = Store(tmp_path / "processed")
        entries = [("a", "f", "events", *[*fate.split(), ""][:2], count) for fate, count in rows.items()]
        made.write(tables or {}, tally(entries), {**FACTS, **facts}, days)
        return made

    return make


def found(store: Store, workbook: Workbook, name: str) -> tuple[Any, ...]:
    rows = checks(store, workbook).set_index("check")
    return tuple(rows.loc[name, ["found", "allowed", "passed", "severity"]])


def test_clean_data_passes_everything(store: Make, workbook: Workbook):
    result = checks(store(), workbook)
    assert result["passed"].all()
    assert grade(result) == "A"
    assert result["check"].is_unique


@pytest.mark.parametrize(
    ("rows", "check", "share", "severity", "mark"),
    [
        ({"read": 1000, "kept": 970, "quarantined broken_json": 30}, "quarantined_share", 0.03, "minor", "B"),
        ({"read": 1000, "kept": 900, "quarantined broken_json": 100}, "quarantined_share", 0.1, "major", "C"),
        (
            {"read": 1000, "kept": 950, "merged duplicate_event": 30, "merged duplicate_row": 20},
            "duplicates_share",
            0.05,
            "minor",
            "B",
        ),
        (
            {"read": 1000, "kept": 850, "quarantined bot": 100, "quarantined test_account": 50},
            "test_and_bot_share",
            0.15,
            "minor",
            "B",
        ),
        ({"read": 1000, "kept": 998, "quarantined future": 2}, "future_rows", 2, "minor", "B"),
        ({"read": 1000, "quarantined bot": 1000}, "rows_kept", 0, "fatal", "fail"),
    ],
)
def test_shares_of_the_tally(
    store: Make, workbook: Workbook, rows: dict[str, int], check: str, share: float, severity: str, mark: str
):
    made = store(rows)
    value, _, passed, how = found(made, workbook, check)
    assert (value, passed, how) == (pytest.approx(share), False, severity)
    assert grade(checks(made, workbook)) == mark or severity == "fatal"


def test_bots_and_merged_rows_are_not_quarantined_by_fault(store: Make, workbook: Workbook):
    rows = {"read": 1000, "kept": 500, "merged same_user": 400, "quarantined bot": 50, "quarantined blank_row": 50}
    assert found(store(rows), workbook, "quarantined_share")[0] == 0
    assert found(store(rows), workbook, "duplicates_share")[0] == 0


def test_late_rows_are_a_share_of_all(store: Make, workbook: Workbook):
    late = [{"source": "a", "file": f, "rule": "late", "rows": 10} for f in ("f", "g")]
    assert found(store(remarks=late), workbook, "late_share")[:3] == (0.02, 0.01, False)


def test_rows_that_look_alike_are_counted_and_named(store: Make, workbook: Workbook):
    told = [{"source": "a", "file": f, "rule": "near_duplicate", "rows": n} for f, n in (("f", 5), ("g", 10))]
    rows = checks(store(remarks=told), workbook).set_index("check")
    assert rows.loc["near_duplicates_share", ["found", "severity", "places"]].tolist() == [0.015, "minor", "g 10, f 5"]
    deals = pd.DataFrame({
        "record_id": ["1", "2"], "user_id": "u", "created": pd.to_datetime(["2026-03-01T10:00Z", "2026-03-01T11:00Z"]),
    })  # fmt: skip
    rows = checks(store(tables={"deals": deals}), workbook).set_index("check")
    assert rows.loc["similar_deals_share", ["found", "severity", "places"]].tolist() == [0.5, "major", "1 and 2"]


@pytest.mark.parametrize(
    ("joined", "passed", "severity"), [(9, True, "minor"), (6, False, "minor"), (4, False, "major")]
)
def test_registered_people_should_have_a_record(
    store: Make, workbook: Workbook, joined: int, passed: bool, severity: str
):
    people = {"registered": 10, "with_record": joined, "oversize": 0}
    assert found(store(people=people), workbook, "join_rate") == (joined / 10, 0.9, passed, severity)


def test_without_logins_or_records_nothing_can_be_joined(store: Make, workbook: Workbook):
    people = {"registered": None, "with_record": None, "oversize": 2}
    made = store(people=people)
    assert "join_rate" not in set(checks(made, workbook)["check"])
    assert found(made, workbook, "oversize_identities")[:3] == (2, 0, False)


def test_a_source_more_than_a_week_behind_has_gone_quiet(store: Make, workbook: Workbook):
    newest = {"a": "2026-03-10", "b": "2026-03-02", "c": "2026-03-03"}
    assert found(store(newest=newest), workbook, "sources_gone_quiet")[:3] == (1, 0, False)
    assert found(store(newest={}), workbook, "sources_gone_quiet")[2]


def days(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["source", "day", "rows"]).astype(
        {"source": "str", "day": "datetime64[us]", "rows": "int64"}
    )


def test_a_day_without_rows_counts_where_its_weekday_is_busy(store: Make, workbook: Workbook):
    # Five weeks of Mondays to Fridays with 50 rows: an empty Wednesday is a gap, weekends are not.
    working = [
        day.isoformat()[:10] for day in pd.date_range("2026-03-02", periods=35) if day.weekday() < 5 and day.day != 11
    ]
    full = days(*(("a", day, 50) for day in working))
    assert found(store(days=full), workbook, "days_without_data")[:3] == (1, 0, False)
    few = days(*(("a", day, 5) for day in working))
    assert found(store(days=few), workbook, "days_without_data")[2]


def test_coverage_fills_the_days_between_with_zero(store: Make, workbook: Workbook):
    made = store(days=days(("a", "2026-03-01", 3), ("a", "2026-03-03", 1), ("b", "2026-03-02", 2)))
    assert coverage(made, workbook).assign(day=lambda f: f["day"].dt.day).to_numpy().tolist() == [
        ["a", 1, 3], ["a", 2, 0], ["a", 3, 1], ["b", 2, 2], ["b", 3, 0]
    ]  # fmt: skip
    assert coverage(store(), workbook).empty


def test_amounts_of_another_currency_must_not_be_added_up(store: Make, workbook: Workbook):
    spend = pd.DataFrame({"date": pd.to_datetime(["2026-03-01"] * 4), "platform": "x", "campaign": list("abcd"),
    "impressions": 1,
                          "clicks": 1, "cost": 1.0, "currency": ["CNY", "CNY", "CNY", "USD"]})  # fmt: skip
    assert found(store(tables={"spend": spend}), workbook, "other_currency_share") == (0.25, 0, False, "major")


def test_grades_follow_the_worst_fault():
    def frame(*faults: tuple[bool, str]) -> pd.DataFrame:
        return pd.DataFrame(faults, columns=["passed", "severity"])

    assert grade(frame((True, "fatal"), (True, "minor"))) == "A"
    assert grade(frame((False, "minor"), (True, "fatal"))) == "B"
    assert grade(frame((False, "minor"), (False, "major"))) == "C"
    assert grade(frame((False, "minor"), (False, "fatal"))) == "fail"


def test_reach_counts_rows_and_people(store: Make, workbook: Workbook):
    times = pd.to_datetime(["2026-03-01T10:00Z", "2026-03-02T10:00Z", "2026-03-03T10:00Z"]).astype(
        "datetime64[us, UTC]"
    )
    events = pd.DataFrame({"event_id": list("123"), "user_id": ["u", "u", "v"], "event": ["view", "view", "buy"],
    "ts": times, "source": "a",
                           "amount": 1.0, "currency": "CNY"})  # fmt: skip
    reach = event_reach(store(tables={"events": events}))
    assert reach[["event", "rows", "people"]].to_numpy().tolist() == [["view", 2, 1], ["buy", 1, 1]]
    assert reach["last_ts"].dt.day.tolist() == [2, 3]
    assert event_reach(store()).empty


def test_a_waived_fault_stays_visible_but_does_not_count(store: Make, book: Callable[..., Workbook]):
    why = "The office was closed over the holidays."
    workbook = book({"a": SOURCE, "b": SOURCE}, {}, quality={"waive": {"sources_gone_quiet": why}})
    made = store(newest={"a": "2026-03-10", "b": "2026-03-01"})
    row = checks(made, workbook).set_index("check").loc["sources_gone_quiet"]
    assert (row["passed"], row["places"], row["waived"]) == (False, "b", why)
    assert grade(checks(made, workbook)) == "A"
    assert grade(checks(made, book({"a": SOURCE, "b": SOURCE}, {}))) == "B"


def test_limits_of_the_workbook_replace_the_usual_ones(store: Make, book: Callable[..., Workbook]):
    rows = {"read": 1000, "kept": 970, "quarantined broken_json": 30}
    limits = {"quarantined_share": {"allowed": 0.03}, "rows_kept": {"allowed": 2000, "minor": 900, "major": 800}}
    workbook = book({"a": SOURCE, "b": SOURCE}, {}, quality={"limits": limits})
    assert found(store(rows), workbook, "quarantined_share") == (0.03, 0.03, True, "minor")
    assert found(store(rows), workbook, "rows_kept") == (970, 2000, False, "minor")  # 900 to 2000 is a minor fault
    strict = book(
        {"a": SOURCE, "b": SOURCE}, {}, quality={"limits": {"quarantined_share": {"minor": 0.02, "major": 0.025}}}
    )
    assert found(store(rows), strict, "quarantined_share")[3] == "fatal"
    assert grade(checks(store(rows), strict)) == "fail"


@pytest.mark.parametrize("part", [{"waive": {"late_shares": "a written reason"}}, {"limits": {"late_shares": {}}}])
def test_a_check_that_there_is_not_cannot_be_waived(store: Make, book: Callable[..., Workbook], part: dict[str, Any]):
    with pytest.raises(ConfigError, match="no such check") as error:
        checks(store(), book({"a": SOURCE, "b": SOURCE}, {}, quality=part))
    assert "did you mean late_share?" in str(error.value)


def test_what_the_checks_over_time_find_is_named(store: Make, workbook: Workbook):
    counts = [90] * 49
    counts[23] = 5
    full = days(
        *(("a", f"{day:%Y-%m-%d}", n) for day, n in zip(pd.date_range("2026-03-02", periods=49), counts, strict=True))
    )
    made = store(days=full, drift=[{"place": "a: events", "column": "plan", "change": "lost"}])
    rows = checks(made, workbook).set_index("check")
    assert rows.loc["volume_breaks", ["found", "places"]].tolist() == [1, "a 2026-03-25"]
    assert rows.loc["schema_drift", ["found", "places"]].tolist() == [1, "a: events: plan lost"]
    assert rows.loc[["emptied_columns", "changed_events", "unit_breaks"], "passed"].all()


def test_rows_without_a_channel_and_cut_files_lower_the_grade(store: Make, workbook: Workbook):
    events = pd.DataFrame({"event": ["e"] * 4, "amount": [-5.0, -5.0, 5.0, 5.0], "currency": "CNY"})
    events.loc[0, "event"] = "refund_paid"
    told = {"version": "1", "own_rules": 0, "unclassified_rows": 1,
            "unclassified": [{"source": "a", "from": "odd", "medium": "", "rows": 1}]}  # fmt: skip
    made = store({"read": 9, "kept": 8, "quarantined cut_off": 1}, {"events": events}, channels=told)
    rows = checks(made, workbook).set_index("check")
    assert rows.loc["unclassified_share", ["found", "severity", "places"]].tolist() == [0.25, "minor", "odd / ? 1"]
    assert rows.loc["cut_off_files", ["found", "severity", "places"]].tolist() == [1, "major", "f"]
    assert rows.loc["negative_amounts_share", ["found", "severity"]].tolist() == [0.25, "major"]
    assert grade(checks(made, workbook)) == "C"


def aside(*rows: tuple[str, int, str, str | None]) -> pd.DataFrame:
    """Rows set aside of the source `a`: file, line, rule, time."""
    frame = pd.DataFrame(rows, columns=["file", "line", "rule", "ts"]).assign(source="a", reason="x", raw="")
    return frame.assign(ts=pd.to_datetime(frame["ts"], utc=True).astype("datetime64[us, UTC]"))


def test_quality_by_rule(store: Make):
    made = store({"read": 20, "kept": 17, "quarantined bot": 2, "quarantined future": 1}, {"quarantine": aside(
        ("f1", 4, "bot", None), ("f1", 9, "future", None), ("f2", 2, "bot", None),
    )})  # fmt: skip
    rules = by_rule(made)
    assert rules[["rule", "rows", "file", "line"]].to_numpy().tolist() == [["bot", 2, "f1", 4], ["future", 1, "f1", 9]]
    assert rules["share"].tolist() == [2 / 20, 1 / 20]
    assert by_rule(store()).empty


def test_quality_by_the_day_of_the_rows(store: Make, book: Callable[..., Workbook]):
    workbook = book({"a": SOURCE}, {}, timezone="Asia/Shanghai")
    found_days = by_day(store(days=days(("a", "2026-03-02", 8), ("a", "2026-03-04", 3)), tables={"quarantine": aside(
        ("all.csv", 4, "bot", "2026-03-01T17:00Z"),  # March 2 in Shanghai
        ("all.csv", 5, "bot", "2026-03-02T15:00Z"), ("all.csv", 6, "missing_value", "2026-03-02T10:00Z"),
        ("events_20260303.csv", 2, "broken_json", None),  # only its file tells
        ("events_20260302.csv", 9, "future", "2031-01-01T10:00Z"),  # its own time is not believed
        ("all.csv", 7, "broken_json", None),  # nothing tells
    )}), workbook)  # fmt: skip
    assert found_days.assign(day=found_days["day"].dt.day, rule=found_days["rule"].fillna("")).to_numpy().tolist() == [
        ["a", 2, 12, 4, "bot"], ["a", 3, 1, 1, "broken_json"], ["a", 4, 3, 0, ""],
    ]  # fmt: skip
    assert by_day(store(), workbook).empty


def test_changes_of_columns_are_named_in_words(store: Make, workbook: Workbook):
    change = {"place": "a: events", "file": "b.csv"}
    made = store(
        headings={"a: events": []}, drift=[{"place": "a: events", "column": "told twice", "change": "lost"}],
        changes=[{**change, "column": "Mail", "change": "renamed", "to": "E-mail"},
                 {**change, "column": "sum", "change": "kind", "to": "number → text"}],
    )  # fmt: skip
    row = checks(made, workbook).set_index("check").loc["schema_drift"]
    assert row["found"] == 2
    assert row["places"] == (
        "a: events: Mail looks renamed to E-mail in b.csv, "
        "a: events: sum is now of another kind (number → text) in b.csv"
    )
