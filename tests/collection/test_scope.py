from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection import quality
from funnel_lib.collection.collect import collect
from funnel_lib.collection.scope import Scope
from funnel_lib.config import Workbook
from funnel_lib.errors import ConfigError, DataError

LOG = {
    "system": "table", "table": "events", "files": "log.csv",
    "columns": {"user_id": "id", "event": "what", "ts": "at", "channel": "channel"},
}  # fmt: skip
PEOPLE = {"system": "table", "table": "users", "files": "people.csv", "columns": {"user_id": "id", "city": "city"}}
FILES = {
    # 2026-01-15 to 2026-03-10; Shanghai's March 10, 20:00
    "log.csv": "id,what,at,channel\nu1,visit,2026-01-15 10:00,email\nu2,visit,2026-02-15 10:00,paid_search\n"
    "u1,buy,2026-03-10 20:00,\n",
    "people.csv": "id,city\nu1,Bonn\nu2,Köln\n",
}
FUNNEL: dict[str, Any] = {
    "window": "14d",
    "steps": [
        {"name": "visit", "event": "visit", "title": {"en": "Visit", "zh": "访问"}},
        {"name": "buy", "event": "buy"},
    ],
}
SEGMENTS = {
    "city": {"by": "city", "titles": {"Bonn": {"en": "Bonn", "zh": "波恩"}}},
    "channel": {"by": "channel", "title": {"en": "Channel", "zh": "渠道"}},
    "size": {"groups": {"large": {"title": {"en": "Large", "zh": "大"}, "where": {"size": {"ge": 9}}}}},
    "plan": {"by": "plan"},
}


@pytest.fixture
def workbook(book: Callable[..., Workbook]) -> Workbook:
    return made(book)


def made(book: Callable[..., Workbook], **more: Any) -> Workbook:
    content = {"timezone": "Asia/Shanghai", "funnel": FUNNEL, "segments": SEGMENTS, **more}
    workbook = book({"log": LOG, "people": PEOPLE}, FILES, **content)
    collect(workbook)
    return workbook


def test_the_latest_period_with_data_is_open(workbook: Workbook):
    scope = Scope.open(workbook)
    assert scope.period.name == "2026-03"
    assert scope.as_of == datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert scope.provisional
    assert scope.users["user_id"].tolist() == ["u1", "u2"]
    assert scope.events.is_file()
    assert (scope.funnel, scope.segment, scope.split_group, scope.language) == (workbook.funnel, "all", None, "en")


def test_the_data_is_checked_once(workbook: Workbook):
    scope = Scope.open(workbook)
    pd.testing.assert_frame_equal(scope.checks, quality.checks(scope.store, workbook))
    assert scope.checks is scope.checks


def test_a_workbook_can_be_named_by_its_file(workbook: Workbook):
    assert Scope.open(str(workbook.file), period="all").period.name == "all"


def test_latest_heeds_the_periods_of_the_workbook(book: Callable[..., Workbook]):
    assert Scope.open(made(book, periods={"to": "2026-02-10"})).period.name == "2026-02"
    assert Scope.open(made(book, periods={"every": "all"})).period.first_day.isoformat() == "2026-01-15"


def test_previous_needs_data_from_its_first_day_on(workbook: Workbook):
    march = Scope.open(workbook, period="2026-03", segment="city=Bonn", language="zh")
    february = march.previous
    assert february is not None
    assert (february.period.name, february.segment, february.language) == ("2026-02", "city=Bonn", "zh")
    assert february.previous is None  # January's data begins on the 15th
    assert Scope.open(workbook, period="all").previous is None


def test_a_period_is_provisional_until_its_last_window_has_closed(workbook: Workbook):
    # February's last window closes on March 15, 00:00 in Shanghai, that is March 14, 16:00 UTC.
    closing = datetime(2026, 3, 14, 16, tzinfo=UTC)
    assert Scope.open(workbook, period="2026-02").provisional
    assert Scope.open(workbook, period="2026-02", as_of=closing - timedelta(seconds=1)).provisional
    assert not Scope.open(workbook, period="2026-02", as_of=closing).provisional


def test_without_a_window_a_period_is_final_with_its_last_day(book: Callable[..., Workbook]):
    workbook = made(book, funnel={**FUNNEL, "window": None})
    assert Scope.open(workbook, period="2026-03").provisional
    assert not Scope.open(workbook, period="2026-02").provisional
    assert not Scope.open(workbook, period="2026-03-01..2026-03-10").provisional


@pytest.mark.parametrize(
    "as_of",
    [
        "2026-03-05T08:00:00+08:00",
        "2026-03-05T08:00",
        "2026-03-05T00:00:00Z",
        datetime(2026, 3, 5, 8, tzinfo=timezone(timedelta(hours=8))),
    ],
)
def test_as_of_may_be_text_or_time(workbook: Workbook, as_of: datetime | str):
    assert Scope.open(workbook, as_of=as_of).as_of == datetime(2026, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("argument", "found", "allowed"),
    [
        ("language", "fr", "en, zh"),
        ("as_of", "yesterday", "a time such as 2026-06-30T18:00:00+08:00, or nothing"),
        ("segment", "citty=Bonn", "city=Bonn"),
        ("segment", "city=Bon", "city=Bonn, city=Köln, city=other, city=unknown (did you mean city=Bonn?)"),
        ("segment", "channel=paid_serch", "did you mean channel=paid_search?"),
        ("segment", "size=big", "size=large, size=other, size=unknown"),
        ("segment", "city", "in general split=group"),
        ("period", "2026-13", "2026-05 (month)"),
    ],
)
def test_every_argument_is_checked(workbook: Workbook, argument: str, found: str, allowed: str):
    with pytest.raises(ConfigError) as error:
        Scope.open(workbook, **{argument: found})  # type: ignore[arg-type]
    assert error.value.found == found
    assert allowed in str(error.value.allowed)


@pytest.mark.parametrize(
    "segment", ["city=Bonn", "city=other", "channel=email", "size=large", "size=unknown", "plan=any"]
)
def test_segments_that_can_be(workbook: Workbook, segment: str):
    assert Scope.open(workbook, segment=segment).split_group == tuple(segment.split("="))


@pytest.mark.parametrize("period", ["2025-12", "2026-05", "2020-01-01..2020-02-01"])
def test_a_period_without_data_is_refused(workbook: Workbook, period: str):
    with pytest.raises(DataError, match="no data in this period") as error:
        Scope.open(workbook, period=period)
    assert error.value.allowed == "periods within 2026-01-15 to 2026-03-10"


def test_periods_of_the_workbook_without_data_are_refused(book: Callable[..., Workbook]):
    with pytest.raises(DataError, match="no data in this period"):
        Scope.open(made(book, periods={"from": "2027-01-01"}))


def test_nothing_collected_is_said(book: Callable[..., Workbook]):
    with pytest.raises(DataError, match="Nothing was collected yet"):
        Scope.open(book({"log": LOG}, {}))


def test_data_without_times_has_one_period(book: Callable[..., Workbook]):
    funnel = {"snapshot": "users", "steps": [{"name": "lead"}, {"name": "paid", "column": "paid"}]}
    source = {**PEOPLE, "columns": {"user_id": "id", "paid": "paid"}}
    workbook = book({"people": source}, {"people.csv": "id,paid\nu1,1\n"}, funnel=funnel)
    collect(workbook)
    scope = Scope.open(workbook)
    assert (scope.period.kind, scope.as_of, scope.provisional, scope.previous) == ("all", None, False, None)
    with pytest.raises(ConfigError, match="no such period") as error:
        Scope.open(workbook, period="2026-03")
    assert error.value.allowed == "all: this data has no times"


def test_titles_are_those_of_the_language(workbook: Workbook):
    scope = Scope.open(workbook, language="zh")
    assert [scope.step_title(name) for name in ("visit", "buy", "nothing")] == ["访问", "buy", "nothing"]
    assert [scope.split_title(name) for name in ("channel", "city", "nothing")] == ["渠道", "city", "nothing"]
    # Channels that the workbook does not name have their usual names, in no other split.
    assert [scope.group_title("channel", name) for name in ("paid_social", "mine")] == ["付费社媒", "mine"]
    assert scope.group_title("city", "paid_social") == "paid_social"
    assert scope.channel_titles()["livestream"] == scope.group_titles("channel")["livestream"] == "直播"
    groups = [
        ("city", "Bonn"),
        ("city", "Köln"),
        ("size", "large"),
        ("size", "unknown"),
        ("city", "other"),
        (None, "all"),
    ]
    assert [scope.group_title(*group) for group in groups] == ["波恩", "Köln", "大", "未知", "其他", "全部"]
