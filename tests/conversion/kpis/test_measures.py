"""Each formula on a handful of events whose answer can be worked out."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.scope import Scope
from funnel_lib.collection.store import Store
from funnel_lib.config import parse
from funnel_lib.conversion.kpis.figures import Measured
from funnel_lib.conversion.kpis.measures import measured
from funnel_lib.conversion.kpis.reading import Reading
from funnel_lib.scorecard import Formula

BOOK = {
    "name": "shop", "title": "Shop", "currency": "CNY", "sources": {"web": {"system": "ga4", "files": "*"}},
    "funnel": {"steps": [{"name": "visit", "event": "visit"}, {"name": "buy", "event": "buy"}]},
    "rules": {"min_units": 2, "min_events": 1},
}  # fmt: skip
# May. a: order on the 1st, pays an hour later; b: order on the 2nd, pays 5 days later; c: order on the 30th, pays on
# 1 June; d: order on the 31st; e pays without an order. The data ends on 2 June.
EVENTS = [
    ("a", "order", "2026-05-01T10:00", None, "card"), ("a", "buy", "2026-05-01T11:00", 100.0, None),
    ("b", "order", "2026-05-02T10:00", None, "card"), ("b", "buy", "2026-05-07T10:00", 300.0, None),
    ("c", "order", "2026-05-30T10:00", None, "cash"), ("c", "buy", "2026-06-01T10:00", 50.0, None),
    ("d", "order", "2026-05-31T10:00", None, "cash"), ("e", "buy", "2026-05-20T10:00", 200.0, None),
    ("a", "buy", "2026-05-20T10:00", 60.0, None),
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Reading:
    """Return the events above, spend of two days and a few answers and deals."""
    log = pd.DataFrame(EVENTS, columns=["user_id", "event", "ts", "amount", "method"])
    log["ts"] = pd.to_datetime(log["ts"], utc=True, format="ISO8601").dt.as_unit("us")
    log["properties"] = [None if m is None else f'{{"method":"{m}"}}' for m in log.pop("method")]
    spend = pd.DataFrame({
        "date": pd.to_datetime(["2026-04-30", "2026-05-01", "2026-05-31", "2026-05-31"]),
        "impressions": [9, 500, 500, 7], "clicks": [9, 30, 10, 7], "cost": [9.0, 60.0, 20.0, 7.0],
        "currency": ["CNY", "CNY", "CNY", "USD"],
    })  # fmt: skip
    surveys = pd.DataFrame({
        "user_id": list("abcde"), "question": ["NPS"] * 4 + ["other"], "score": [10.0, 9, 8, 2, 10],
        "ts": pd.to_datetime(["2026-05-03"] * 5, utc=True),
    })  # fmt: skip
    deals = pd.DataFrame({
        "record_id": list("1234"), "status": ["won", "lost", "open", "won"],
        "created": pd.to_datetime(["2026-05-03"] * 3 + ["2026-06-01"], utc=True),
    })  # fmt: skip
    for name, frame in {"events": log, "spend": spend, "surveys": surveys, "deals": deals}.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "facts.json").write_text('{"tables": {}}')
    book = parse(BOOK)
    period = book.period("2026-05", datetime(2026, 5, 1).date(), datetime(2026, 6, 2).date())  # noqa: DTZ001
    return Reading(Scope(book, Store(tmp_path), period, "all", "en", datetime(2026, 6, 2, tzinfo=UTC)))


def told(data: Reading, formula: dict[str, Any], by: str | None = None) -> list[Measured]:
    return measured(data, Formula.model_validate(formula), by=by)


def one(data: Reading, formula: dict[str, Any]) -> Measured:
    (found,) = told(data, formula)
    return found


def test_people_and_events_are_counted(data: Reading):
    assert one(data, {"people": {"event": "buy"}}).value == 3  # a, b, e; c pays in June
    assert one(data, {"events": {"event": "buy"}}).value == 4
    assert one(data, {"people": {"event": "buy", "where": {"amount": {"ge": 200}}}}).value == 2
    assert one(data, {"people": {}}).value == 5
    assert {row.group: row.value for row in told(data, {"people": {"event": "order"}}, "method")} == {
        "card": 2,
        "cash": 2,
    }


def test_a_share_is_of_those_whose_time_is_over(data: Reading):
    # Within 2 days: a does; b takes 5; c takes exactly 2; d's time is not over on 2 June at midnight.
    found = one(data, {"share": {"of": {"event": "buy"}, "among": {"event": "order"}, "within": "2d"}})
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)
    assert found.low < found.value < found.high
    long = one(data, {"share": {"of": {"event": "buy"}, "among": {"event": "order"}, "within": "7d"}})
    assert (long.value, long.n) == (1, 2)
    never = one(data, {"share": {"of": {"event": "buy"}, "among": {"event": "order"}, "within": "60d"}})
    assert never.reason == "open"


def test_the_same_event_again_is_a_later_one(data: Reading):
    found = one(data, {"share": {"of": {"event": "buy"}, "among": {"event": "buy"}, "within": "30d"}})
    assert found.reason == "too_few"  # only a's time is over
    soon = one(data, {"share": {"of": {"event": "buy"}, "among": {"event": "buy"}, "within": "10d"}})
    assert (soon.value, soon.n) == (0, 3)


def test_money_for_impressions_clicks_and_people(data: Reading):
    assert one(data, {"spend": "cost"}).value == 80
    assert one(data, {"spend": "impressions"}).value == 1000
    assert one(data, {"click_rate": True}).value == 0.04
    assert one(data, {"cost_per": "click"}).value == 2
    found = one(data, {"cost_per": {"event": "buy"}})
    assert found.value == pytest.approx(80 / 3)
    assert found.low < found.value < found.high


def test_amounts_days_scores_and_deals(data: Reading):
    assert one(data, {"amount": {"event": "buy", "measure": "sum"}}).value == 660
    assert one(data, {"amount": {"event": "buy"}}).value == 165
    assert one(data, {"amount": {"event": "order"}}).reason == "no_amount"
    # Of those whose 10 days are over: a waits an hour, b 5 days; the median lies between.
    days = one(data, {"days": {"start": {"event": "order"}, "end": {"event": "buy"}, "within": "10d"}})
    assert days.value == pytest.approx((1 / 24 + 5) / 2)
    assert one(data, {"score": {"question": "NPS"}}).value == 0.25  # two promoters, one detractor, of four
    assert one(data, {"score": {"question": ["x", "NPS"], "measure": "mean", "scale": [0, 10]}}).value == 7.25
    assert one(data, {"deals": {"of": {"status": "won"}, "among": {"status": ["won", "lost"]}}}).value == 0.5


def test_deals_decided_in_the_period_count_once_slow_ones_can_be_among_them(data: Reading):
    formula = {"deals": {"of": {"status": "won"}, "among": {"status": ["won", "lost"]}, "by": "closed"}}
    days = pd.to_datetime(["2026-03-01", "2026-05-02", "2026-05-20", "2026-05-21"], utc=True)
    closed = pd.to_datetime(["2026-05-01", "2026-05-03", None, "2026-06-01"], utc=True)
    deals = pd.DataFrame({"status": ["won", "lost", "open", "won"], "created": days, "closed": closed})
    path = data.scope.store.path("deals")
    deals.to_parquet(path)  # type: ignore[arg-type]
    found = one(data, formula)  # the first two were decided in May; deals take 61, 1 and 11 days and reach back 61
    assert (found.value, found.n) == (0.5, 2)
    deals[1:].to_parquet(path)  # type: ignore[arg-type]
    assert one(Reading(data.scope), formula).reason == "deals_too_recent"


def test_a_list_of_won_deals_alone_tells_no_share_of_won_ones(data: Reading):
    created = pd.to_datetime(["2026-05-03", "2026-05-04", "2026-05-05"], utc=True)
    path = data.scope.store.path("deals")
    pd.DataFrame({"status": ["won"] * 3, "created": created}).to_parquet(path)  # type: ignore[arg-type]
    found = one(Reading(data.scope), {"deals": {"of": {"status": "won"}}})
    assert (math.isnan(found.value), found.reason) == (True, "only_won")


def test_the_worth_of_deals_closed_in_the_period(data: Reading):
    closed = pd.to_datetime(["2026-05-03", "2026-05-20", "2026-05-21", "2026-05-22", "2026-06-02"], utc=True)
    deals = pd.DataFrame({
        "status": ["won", "won", "lost", "won", "won"], "closed": closed, "amount": [100.0, 300, 5, 7, 9],
        "currency": ["CNY", None, "CNY", "USD", "CNY"], "user_id": list("abcde"),
    })  # fmt: skip
    path = data.scope.store.path("deals")
    deals.to_parquet(path)  # type: ignore[arg-type]
    # Won in May and in the workbook's currency: 100 and 300.
    assert one(data, {"deal_value": {"measure": "sum"}}).value == 400
    assert one(data, {"deal_value": {}}).value == 200
    assert one(data, {"deal_value": {"among": {"status": "lost"}, "measure": "sum"}}).value == 5
    assert one(Reading(data.scope, pd.Series(list("a"))), {"deal_value": {"measure": "sum"}}).value == 100
    assert one(data, {"deal_value": {"among": {"status": "open"}}}).reason == "nobody_there"
    deals.drop(columns="amount").to_parquet(path)  # type: ignore[arg-type]
    assert one(Reading(data.scope), {"deal_value": {}}).reason == "no_amount"
    path.unlink()  # type: ignore[attr-defined]
    assert one(Reading(data.scope), {"deal_value": {}}).reason == "no_deals"


def test_the_dates_of_the_crm(data: Reading):
    lead = pd.to_datetime(["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-30", "2026-04-01"], utc=True)
    sales = pd.to_datetime(["2026-05-04", "2026-05-20", None, "2026-05-31", "2026-05-05"], utc=True)
    people = pd.DataFrame({"user_id": list("abcde"), "lead_date": lead, "sql_date": sales, "city": list("xxyyy")})
    path = data.scope.store.path("users")
    people.to_parquet(path)  # type: ignore[arg-type]
    fresh = Reading(replace(data.scope))  # whoever read the people before has kept them
    assert one(fresh, {"reached": {"of": "sql_date"}}).value == 4  # in May: a, b, d, e
    # Leads of May whose 7 days are over: a (after 3 days), b (too late), c (never); d is still open.
    found = one(fresh, {"reached": {"of": "sql_date", "among": "lead_date", "within": "7d"}})
    assert (found.value, found.n) == (pytest.approx(1 / 3), 3)
    by_city = told(fresh, {"reached": {"of": "sql_date", "among": "lead_date", "within": "7d"}}, "city")
    assert [(row.group, row.n, row.reason) for row in by_city] == [("x", 2, ""), ("y", 1, "too_few")]
    assert by_city[0].value == 0.5
    assert one(fresh, {"reached": {"of": "won_date"}}).reason == "no_date_column"
    assert one(fresh, {"reached": {"of": "city"}}).reason == "no_date_column"
    assert one(Reading(fresh.scope, pd.Series(list("a"))), {"reached": {"of": "sql_date"}}).value == 1


def test_the_mean_of_a_number_that_events_carry(data: Reading):
    # In May 100, 300, 60 and 200 were paid: a mean of 165.
    found = one(data, {"average": {"event": "buy", "of": "amount", "divide": 10}})
    assert (found.value, found.n) == (16.5, 4)
    assert one(data, {"average": {"event": "buy", "of": "seconds"}}).reason == "no_such_column"
    assert one(data, {"average": {"event": "read", "of": "seconds"}}).reason == "not_in_data"


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ({"people": {"event": "webinar"}}, "not_in_data"),
        ({"share": {"of": {"event": "webinar"}, "among": {"event": "order"}}}, "not_in_data"),
        ({"days": {"start": {"event": "order"}, "end": {"event": "webinar"}}}, "not_in_data"),
        ({"cost_per": {"event": "webinar"}}, "not_in_data"),
        ({"cost_per": {"event": "buy", "where": {"amount": {"gt": 999}}}}, "nobody_there"),
        ({"score": {"question": "CSAT"}}, "not_asked"),
    ],
)
def test_what_is_missing_has_a_reason_and_no_number(data: Reading, formula: dict[str, Any], reason: str):
    found = one(data, formula)
    assert found.reason == reason
    assert math.isnan(found.value)


def test_a_column_that_no_event_has(data: Reading):
    (found,) = told(data, {"people": {"event": "order"}}, "device")
    assert found.reason == "no_such_column"


def test_tables_that_were_not_collected(data: Reading):
    for name in ("spend", "surveys", "deals"):
        data.scope.store.path(name).unlink()  # type: ignore[arg-type]
    assert one(data, {"spend": "cost"}).reason == "no_spend"
    assert one(data, {"score": {"question": "NPS"}}).reason == "not_asked"
    assert one(data, {"deals": {"of": {"status": "won"}}}).reason == "no_deals"


def test_a_segment_counts_its_people_alone_and_has_no_costs(data: Reading):
    some = Reading(data.scope, pd.Series(list("ab")))
    assert one(some, {"people": {"event": "buy"}}).value == 2
    assert one(some, {"spend": "cost"}).reason == "not_by_segment"
    assert one(some, {"score": {"question": "NPS"}}).value == 1
