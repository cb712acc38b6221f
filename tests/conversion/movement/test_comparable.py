"""A period is compared with as many days of the same weekdays, at equal age, or not at all."""

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import yaml

import funnel_lib as fl
from funnel_lib.conversion.movement.comparable import comparable, history, year_before


def scope(demo: Path, period: str, **options: str) -> fl.Scope:
    return fl.Scope.open(demo / "params" / "education.yml", period=period, **options)


def weekdays(first: date, last: date) -> list[int]:
    return sorted((first + timedelta(days=day)).weekday() for day in range((last - first).days + 1))


def test_a_month_has_as_many_days_of_each_weekday_before_it(demo: Path):
    may = scope(demo, "2026-05")
    found = comparable(may)
    assert found is not None
    # 31 days need five weeks: 1 May less 35 days is 27 March, 31 May less 35 days is 26 April.
    assert (found.period.first_day, found.period.last_day) == (date(2026, 3, 27), date(2026, 4, 26))
    assert weekdays(found.period.first_day, found.period.last_day) == weekdays(date(2026, 5, 1), date(2026, 5, 31))
    entered = found.frame["first_entry"]
    assert found.period.start <= entered.min()
    assert entered.max() < found.period.end


def test_a_week_is_compared_with_the_one_before(demo: Path):
    found = comparable(scope(demo, "2026-W20"))
    assert (found.period.first_day, found.period.last_day) == (date(2026, 5, 4), date(2026, 5, 10))


def test_a_segment_is_compared_with_itself(demo: Path):
    found = comparable(scope(demo, "2026-05", segment="audience=student"))
    assert set(found.frame["audience"]) == {"student"}


def test_nothing_is_compared_where_the_data_does_not_reach_back(demo: Path):
    assert comparable(scope(demo, "2026-01")) is None
    assert comparable(scope(demo, "all")) is None
    assert year_before(scope(demo, "2026-05")) is None


def shop(folder: Path, window: str | None, **asked: str) -> fl.Scope:
    """One visitor a day from 2025-01-01 on, for 500 days; everybody buys 40 days later."""
    days = pd.date_range("2025-01-01 12:00", periods=500, tz="UTC")
    rows = [(f"u{n}", event, (at + timedelta(days=wait)).isoformat()) for n, at in enumerate(days)
            for event, wait in (("visit", 0), ("buy", 40))]  # fmt: skip
    if asked:  # the visitor of 17 March, who bought on 26 April, comes back
        rows.append(("u440", "visit", "2026-04-28T12:00:00+00:00"))
    (folder / "data" / "raw" / "shop").mkdir(parents=True)
    pd.DataFrame(rows, columns=["user", "event", "time"]).to_csv(folder / "data/raw/shop/e.csv", index=False)
    book = {
        "name": "shop", "title": "Shop", "timezone": "UTC",
        "sources": {"e": {"system": "table", "table": "events", "files": "e.csv",
                          "columns": {"user_id": "user", "event": "event", "ts": "time"}}},
        "funnel": {"window": window, "steps": [{"name": "visit", "event": "visit"}, {"name": "buy", "event": "buy"}]},
        "segments": {"shopper": {"groups": {"returning": {"did": [{"event": "buy"}]}}}},
    }  # fmt: skip
    (folder / "params").mkdir()
    (folder / "params" / "shop.yml").write_text(yaml.safe_dump(book))
    book = fl.load(folder / "params" / "shop.yml")
    fl.collect(book)
    return fl.Scope.open(book, period="2026-04", as_of="2026-05-15T00:00:00+00:00", **asked)


def test_without_a_time_limit_both_had_the_same_time(tmp_path: Path):
    april = shop(tmp_path, None)
    now, before = fl.cohort(april), comparable(april)
    # By 15 May those of 1 to 4 April have bought (40 days), by 10 April those of 25 to 28 February: four each.
    assert (now.frame["depth"] == 2).sum() == (before.frame["depth"] == 2).sum() == 4
    assert len(now.frame) == len(before.frame) == 30


def test_a_year_before_has_the_same_weekdays(tmp_path: Path):
    april = shop(tmp_path, "60d")
    found = year_before(april)
    assert found.period.first_day == date(2026, 4, 1) - timedelta(days=364)
    assert found.period.first_day.weekday() == date(2026, 4, 1).weekday()
    assert found.as_of == april.as_of  # a window makes both equally old


def test_history_reaches_back_to_a_monday_or_the_first_day_of_the_data(demo: Path):
    may = scope(demo, "2026-05")
    whole = history(may)
    assert whole.period.first_day == date(2026, 1, 1)  # the demo's first day: 26 weeks would reach further
    assert whole.period.last_day == date(2026, 5, 31)
    short = history(may, weeks=8)
    assert short.period.first_day == date(2026, 4, 6)  # a Monday; the week of 31 May is the eighth
    # Those of May who had not been here before entered in May according to both.
    entered = whole.frame["first_entry"]
    new = entered[entered >= may.period.start]
    assert len(new) > 100
    assert new.isin(fl.cohort(may).frame["first_entry"]).all()


def test_the_earlier_have_splits_but_no_names(demo: Path):
    for found in (comparable(scope(demo, "2026-05")), history(scope(demo, "2026-05"))):
        assert {"unit", "age", "region"}.isdisjoint(found.frame)
        assert found.counts("audience")["units"].sum() == found.counts()["units"].sum()


def test_history_is_never_shorter_than_the_period(demo: Path):
    quarter = scope(demo, "2026-Q2")
    assert history(quarter, weeks=2).period.first_day == date(2026, 4, 1)
    everything = scope(demo, "all")
    assert history(everything).period == fl.cohort(everything).period


def test_who_came_back_has_a_history_at_least_in_the_period(tmp_path: Path):
    """In half a year nobody had bought before their first visit; in April one had before the first one of April."""
    back = shop(tmp_path, "7d", segment="shopper=returning")
    assert fl.cohort(back).frame["unit"].tolist() == ["u440"]
    assert history(back).frame["first_entry"].dt.date.tolist() == [date(2026, 4, 28)]
    assert comparable(back) is None
