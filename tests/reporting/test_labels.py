from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from funnel_lib.periods import period, whole
from funnel_lib.reporting.estimates import Count, Rate
from funnel_lib.reporting.labels import Day, Name, Names, PeriodName, Span, tidy
from funnel_lib.reporting.values import Value

UTC, MAY = ZoneInfo("UTC"), date(2026, 5, 1)

WRITTEN = [
    (Day(date(2026, 5, 24)), "2026-05-24", "2026-05-24"),
    (Day(date(2026, 5, 24), "day"), "24 May", "5月24日"),
    (Day(date(2026, 5, 24), "full"), "24 May 2026", "2026年5月24日"),
    (Day(MAY, "month"), "May", "5月"),
    (Day(MAY, "year"), "May 2026", "2026年5月"),
    (Span(MAY, date(2026, 5, 31)), "1–31 May", "5月1—31日"),
    (Span(MAY, date(2026, 5, 31), year=True), "1–31 May 2026", "2026年5月1—31日"),
    (Span(date(2026, 3, 27), date(2026, 4, 26)), "27 March – 26 April", "3月27日—4月26日"),
    (
        Span(date(2025, 12, 27), date(2026, 1, 26)),
        "27 December 2025 – 26 January 2026",
        "2025年12月27日—2026年1月26日",
    ),
    (Span(MAY, MAY), "1 May", "5月1日"),
    (PeriodName(period("2026-05", UTC)), "May 2026", "2026年5月"),
    (PeriodName(period("2026-05", UTC), year=False), "May", "5月"),
    (PeriodName(period("2026-Q2", UTC)), "Q2 2026", "2026年第2季度"),
    (PeriodName(period("2026-W21", UTC)), "week 21, 2026", "2026年第21周"),
    (PeriodName(period("2026-05-01..2026-05-15", UTC)), "1–15 May 2026", "2026年5月1—15日"),
    (PeriodName(whole(MAY, date(2026, 6, 30), UTC)), "1 May – 30 June 2026", "2026年5月1日—6月30日"),
    (Names(["a", "b", "c"]), "a, b and c", "a、b和c"),
    (Names(["a"]), "a", "a"),
    (Name("A\tB"), "A B", "A B"),
]


@pytest.mark.parametrize(("value", "english", "chinese"), WRITTEN)
def test_words_are_written_in_both_languages(value: Value, english: str, chinese: str) -> None:
    assert value.format("en") == english
    assert value.format("zh") == chinese


def test_names_from_data_cannot_turn_the_line_or_hide() -> None:
    # right-to-left override, zero-width space, a null byte and line breaks
    assert tidy("safe\u202egnp.exe\u200b\x00\r\n x") == "safegnp.exe x"


def test_days_are_not_broken_across_lines() -> None:
    assert Day(date(2026, 5, 24)).html("en") == '<span class="nw">2026-05-24</span>'
    two = Span(date(2026, 3, 27), date(2026, 4, 26)).html("en")
    assert two == '<span class="nw">27 March</span> – <span class="nw">26 April</span>'
    assert PeriodName(period("2026-05-01..2026-05-15", UTC)).html("zh") == '<span class="nw">2026年5月1—15日</span>'


def test_html_of_names_is_escaped() -> None:
    assert Name("<b>").html("en") == "&lt;b&gt;"
    assert Names(["<b>", "c"]).html("en") == "&lt;b&gt; and c"


def test_numbers_of_a_list_are_counted() -> None:
    listed = Names([Count(3), "x", Rate(0.5, 0.4, 0.6)])
    assert listed.numbers() == {"1": 3, "3": 0.5, "3.low": 0.4, "3.high": 0.6, "3.level": 0.95}
