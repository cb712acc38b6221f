from pathlib import Path

import pandas as pd

from funnel_lib.collection.trends import DAILY, changed_events, daily, drift, emptied, unit_breaks, volume_breaks

MONDAY = pd.Timestamp("2026-03-02")


def per_day(rows: list[int], source: str = "web") -> pd.DataFrame:
    days = pd.date_range(MONDAY, periods=len(rows), unit="us")
    return pd.DataFrame({"source": source, "day": days, "rows": rows})


def measured(*rows: tuple[int, str, str, float]) -> pd.DataFrame:
    """Measures of the source `web`: days after the first Monday, measure, name, value."""
    made = [("web", MONDAY + pd.Timedelta(days=day), measure, name, value) for day, measure, name, value in rows]
    return pd.DataFrame(made, columns=list(DAILY)).astype(DAILY)


def test_a_day_with_a_third_of_its_usual_rows_breaks_the_volume():
    # Seven weeks of 90 a day and 9 on Sundays: the fourth Wednesday has 29 (less than 30), the fifth Friday 271.
    rows = [9 if day % 7 == 6 else 90 for day in range(49)]
    rows[23], rows[32] = 29, 271
    found = volume_breaks(per_day(rows))
    assert found[["rows", "usual"]].to_numpy().tolist() == [[29, 90], [271, 90]]
    assert found["day"].dt.day_name().tolist() == ["Wednesday", "Friday"]
    rows[23], rows[32] = 30, 270
    assert volume_breaks(per_day(rows)).empty


def test_small_sources_short_histories_and_the_ends_are_left_out():
    assert volume_breaks(per_day([20] * 24 + [1] + [20] * 24)).empty  # 20 a day prove nothing
    assert volume_breaks(per_day([90] * 10 + [1] + [90] * 10)).empty  # fewer than four of this weekday
    assert volume_breaks(per_day([1] + [90] * 47 + [1])).empty  # perhaps parts of days
    assert volume_breaks(per_day([90] * 24 + [0] + [90] * 24)).empty  # days without rows are another check
    assert volume_breaks(per_day([])).empty


def test_a_column_that_empties_from_one_week_to_the_next():
    def weeks(*shares: float, total: float = 1000) -> pd.DataFrame:
        empty = [(7 * i, "empty", "channel", total * share) for i, share in enumerate(shares)]
        return measured(*((7 * i, "rows", "", total) for i in range(len(shares))), *empty)

    found = emptied(weeks(0.1, 0.12, 0.4, 0.4))
    assert found[["name", "before", "after"]].to_numpy().tolist() == [["channel", 0.12, 0.4]]
    assert found["day"].tolist() == [MONDAY + pd.Timedelta(days=14)]
    assert emptied(weeks(0.4, 0.1, 0.25)).empty  # filling up is no fault, and 15 points are few
    assert emptied(weeks(0.1, 0.9, total=200)).empty
    assert emptied(weeks()).empty


def test_events_that_come_and_go():
    old = [(day, "event", "visit", 50.0) for day in range(40)]
    gone = [(day, "event", "trial", 50.0) for day in range(30)]  # the last week begins on day 33
    rare = [(3, "event", "rare", 5.0)]
    young = [(38, "event", "quiz", 30.0), (39, "event", "few", 29.0)]
    found = changed_events(measured(*old, *gone, *rare, *young))
    assert found[["name", "change"]].to_numpy().tolist() == [["quiz", "new"], ["trial", "vanished"]]
    ended = [(day, "event", "trial", 50.0) for day in range(26)]  # not even in the week before: no news
    assert changed_events(measured(*old, *ended)).empty
    assert changed_events(measured(*old[:20], *gone[:5])).empty  # less than four weeks of data
    assert changed_events(measured()).empty


def test_amounts_whose_unit_changes():
    def weeks(*medians: float, amounts: int = 10) -> pd.DataFrame:
        rows = [
            (7 * i, m, "purchase", v) for i, x in enumerate(medians) for m, v in (("median", x), ("amounts", amounts))
        ]
        return measured(*rows)

    found = unit_breaks(weeks(299, 310, 29900, 30100, 305))
    assert found[["before", "after"]].to_numpy().tolist() == [[310, 29900], [30100, 305]]
    assert unit_breaks(weeks(299, 5900)).empty  # less than twenty times
    assert unit_breaks(weeks(299, 29900, amounts=9)).empty
    assert unit_breaks(weeks(0, 29900)).empty
    assert unit_breaks(measured()).empty


def test_columns_that_came_and_went():
    before, now = {"crm: users": ["age", "city"]}, {"crm: users": ["city", "plan"], "web: events": ["ts"]}
    assert drift(before, now) == [
        {"place": "crm: users", "column": "plan", "change": "new"},
        {"place": "crm: users", "column": "age", "change": "lost"},
    ]
    assert drift(None, now) == []
    assert drift(now, now) == []


def test_what_is_measured_of_the_events(tmp_path: Path):
    # March 1, 17:00 UTC is Monday, March 2 in Shanghai.
    times = pd.to_datetime(["2026-03-01T15:00Z", "2026-03-01T17:00Z", "2026-03-02T17:00Z", "2026-03-03T17:00Z"])
    events = pd.DataFrame({
        "event": ["visit", "visit", "buy", "buy"], "ts": times.astype("datetime64[us, UTC]"), "source": "web",
        "amount": [None, None, 10.0, 30.0], "session_id": ["s", None, "s", "s"], "channel": "direct", "campaign": "c",
        "device": "d",
    })  # fmt: skip
    events.to_parquet(tmp_path / "events.parquet")
    found = daily(tmp_path / "events.parquet", "Asia/Shanghai")
    assert found.dtypes.astype(str).to_dict() == DAILY
    rows = {(row.measure, row.name, row.day.strftime("%m-%d")): row.value for row in found.itertuples(index=False)}
    assert rows["event", "visit", "03-01"] == rows["event", "visit", "03-02"] == rows["event", "buy", "03-03"] == 1
    assert (rows["rows", "", "02-23"], rows["rows", "", "03-02"]) == (1, 3)
    assert (rows["empty", "session_id", "03-02"], rows["empty", "device", "03-02"]) == (1, 0)
    assert (rows["amounts", "buy", "03-02"], rows["median", "buy", "03-02"]) == (2, 20)
