import datetime as dt
import math
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.collection.values import cell_text, days, is_time_name, mask, masked, numbers, times

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def read(text: str | None, zone: ZoneInfo = SHANGHAI, **more: str) -> str | None:
    found = times(pd.Series([text], dtype="str"), zone, **more).iloc[0]
    return None if pd.isna(found) else found.isoformat()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-05", "2026-03-04T16:00:00+00:00"),  # a day is local midnight
        ("2026-03-05 14:05", "2026-03-05T06:05:00+00:00"),
        ("2026-03-05T14:05:06.123456", "2026-03-05T06:05:06.123456+00:00"),
        ("2026-03-05T14:05:06.123456789", "2026-03-05T06:05:06.123456+00:00"),
        ("2026-03-05T14:05:06Z", "2026-03-05T14:05:06+00:00"),
        ("2026-03-05 14:05:06 UTC", "2026-03-05T14:05:06+00:00"),
        ("2026-03-05 14:05+02:00", "2026-03-05T12:05:00+00:00"),
        ("2026-03-05T14:05:06+0800", "2026-03-05T06:05:06+00:00"),
        ("2026/3/5", "2026-03-04T16:00:00+00:00"),
        ("2026/3/5 9:05", "2026-03-05T01:05:00+00:00"),
        ("2026.03.05 2:05 PM", "2026-03-05T06:05:00+00:00"),
        ("2026-03-05 12:00 AM", "2026-03-04T16:00:00+00:00"),
        ("2026年3月5日 14:05", "2026-03-05T06:05:00+00:00"),
        ("２０２６-03-05", "2026-03-04T16:00:00+00:00"),
        ("20260305", "2026-03-04T16:00:00+00:00"),
        ("20260305140506", "2026-03-05T06:05:06+00:00"),
        ("Mar 5, 2026", "2026-03-04T16:00:00+00:00"),
        ("5 March 2026 14:05", "2026-03-05T06:05:00+00:00"),
        ("05-Mar-2026", "2026-03-04T16:00:00+00:00"),
        ("31-08-2023", "2023-08-30T16:00:00+00:00"),  # only one of them can be the month
        ("08/31/2023 2:05 PM", "2023-08-31T06:05:00+00:00"),
        ("05.05.2026 00:00", "2026-05-04T16:00:00+00:00"),
        ("1772690706", "2026-03-05T06:05:06+00:00"),
        ("1772690706123", "2026-03-05T06:05:06.123000+00:00"),
        ("1772690706123456", "2026-03-05T06:05:06.123456+00:00"),
        ("1772690706.5", "2026-03-05T06:05:06.500000+00:00"),
    ],
)
def test_a_time_that_reads_in_one_way_is_read(text: str, utc: str):
    assert read(text) == utc


@pytest.mark.parametrize(
    "text",
    ["03/04/2026", "13/13/2026", "31/02/2026", "5/5/26", "2026-02-30",
     "2026-13-01", "2026-03-05 25:00", "2026-03-05 13:00 PM", "2026", "soon",
     "12", "2026-03", "0000-01-01", "99999999999999", "5 Foo 2026", "-1772690706", "2026-03-05 99:99", None],
)  # fmt: skip
def test_what_must_be_guessed_is_not_read(text: str | None):
    assert read(text) is None


def test_a_format_reads_what_is_ambiguous_and_does_not_hinder_the_rest():
    assert read("31-08-2023", date_format="%d-%m-%Y") == "2023-08-30T16:00:00+00:00"
    assert read("2023-08-31", date_format="%d-%m-%Y") == "2023-08-30T16:00:00+00:00"
    assert read("31/08/2023 10:00 +0000", date_format="%d/%m/%Y %H:%M %z") == "2023-08-31T10:00:00+00:00"


def test_clock_changes_are_read_the_same_way_always():
    # 2026-03-29: 02:00 to 03:00 does not exist in Berlin; 2026-10-25: 02:00 to 03:00 occurs twice.
    assert read("2026-03-29 02:30", BERLIN) == "2026-03-29T01:00:00+00:00"
    assert read("2026-10-25 02:30", BERLIN) == "2026-10-25T00:30:00+00:00"


def test_mixed_texts_keep_their_rows():
    text = pd.Series(["2026-03-05", "x", None, "2026/3/5", "2026-03-05T00:00:00Z"], index=[9, 7, 5, 3, 1], dtype="str")
    found = times(text, SHANGHAI)
    assert found.index.tolist() == [9, 7, 5, 3, 1]
    assert found.isna().tolist() == [False, True, True, False, False]
    assert found.dtype == "datetime64[us, UTC]"
    assert days(found.dropna(), SHANGHAI).dt.day.tolist() == [5, 5, 5]


@settings(deadline=None)
@given(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1)))  # noqa: DTZ001 - local times
def test_iso_texts_come_back_as_python_reads_them(moment: dt.datetime):
    expected = moment.replace(tzinfo=SHANGHAI).astimezone(dt.UTC)
    assert times(pd.Series([moment.isoformat()], dtype="str"), SHANGHAI).iloc[0].to_pydatetime() == expected


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=5))
def test_no_text_breaks_the_readers(texts: list[str]):
    column = pd.Series([text.encode("utf-8", "ignore").decode() for text in texts], dtype="str")
    assert len(times(column, SHANGHAI)) == len(numbers(column)) == len(texts)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12), ("-1.5", -1.5), ("+3", 3), (".5", 0.5), ("1.5E+05", 150000), ("1,234", 1234), ("1,234,567.89",
        1234567.89),
        ("1.234,56", 1234.56), ("12,5", 12.5), ("¥1,299.00", 1299), ("￥１，２９９", 1299), ("$ 5", 5), ("5 €", 5),
        ("(1,200)", -1200),
        ("3%", 0.03), ("1.2万", 12000), ("3亿", 3e8), ("1 234", 1234), ("−4", -4),
    ],
)  # fmt: skip
def test_a_number_is_read(text: str, number: float):
    assert numbers(pd.Series([text], dtype="str")).iloc[0] == pytest.approx(number)


@pytest.mark.parametrize(
    "text", ["abc", "1,23,4", "12,3456", "inf", "nan", "1e999", "0x10", "--", "1.2.3", "万", "", None]
)
def test_what_is_no_number_is_missing(text: str | None):
    assert math.isnan(numbers(pd.Series([text], dtype="str")).iloc[0])


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_back_as_python_writes_them(value: float):
    assert numbers(pd.Series([repr(value)], dtype="str")).iloc[0] == value


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12))
def test_thousands_separators_do_not_matter(value: int):
    assert numbers(pd.Series([f"{value:,}"], dtype="str")).iloc[0] == value


def test_addresses_and_telephone_numbers_are_masked():
    assert mask("a@b.example,13800138000,2026-03-05") == "[e-mail],[phone],2026-03-05"
    assert mask('{"event_timestamp":"1772690706123456"}') == '{"event_timestamp":"1772690706123456"}'
    assert mask("+1 (555) 010-9999") == "[phone]"
    assert mask("0571-8888 9999", strict=True) == "[phone]"
    assert masked(pd.Series(["call 13800138000", "ok", None], dtype="str")).tolist()[:2] == ["call [phone]", "ok"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("x", "x"), ("", None), (None, None), (3.0, "3"), (0.1, "0.1"), (float("nan"), None), (7, "7"), (True, "true"),
        (np.bool_(False), "false"),
        (dt.datetime(2026, 3, 5, 14, 5), "2026-03-05T14:05:00"),  # noqa: DTZ001 - as spreadsheets hold them
        (dt.date(2026, 3, 5),
        "2026-03-05"),
        (1.2345678901234568e17, "1.2345678901234568e+17"), (b"ab", "ab"), ({"a": 1}, '{"a": 1}'),
    ],
)  # fmt: skip
def test_typed_cells_become_the_texts_of_a_csv(cell: object, text: str | None):
    assert cell_text(cell) == text


def test_names_tell_which_attributes_are_times():
    assert [name for name in ("won_at", "birth_date", "at", "date", "format", "_at") if is_time_name(name)] == [
        "won_at",
        "birth_date",
    ]
