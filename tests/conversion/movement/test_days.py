"""Calendars: dates against published ones, and the workbook's own days."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from funnel_lib.config import load
from funnel_lib.conversion.movement.days import CALENDAR, NEAR, calendar, near, own_days
from funnel_lib.errors import ConfigError

ROOT = Path(__file__).parents[3]


def named(table, name):
    return table.loc[table["name_en"] == name, "date"].dt.strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(
    ("name", "dates"),
    [
        # As published by the State Council (lunar new year, Qingming, dragon boat, mid-autumn).
        ("Mid-Autumn Festival", ["2024-09-17", "2025-10-06", "2026-09-25"]),
        ("Dragon Boat Festival", ["2024-06-10", "2025-05-31", "2026-06-19"]),
        ("Tomb-Sweeping Day", ["2024-04-04", "2025-04-04", "2026-04-05"]),
        ("Black Friday", ["2024-11-29", "2025-11-28", "2026-11-27"]),
        ("Cyber Monday", ["2024-12-02", "2025-12-01", "2026-11-30"]),
        ("618", ["2024-06-18", "2025-06-18", "2026-06-18"]),
        ("Double 11", ["2024-11-11", "2025-11-11", "2026-11-11"]),
    ],
)
def test_known_dates(name: str, dates: list[str]):
    assert named(calendar("CN", range(2024, 2027)), name) == dates


def test_chinese_new_year_and_working_weekends():
    table = calendar("CN", [2026])
    assert list(table.columns) == CALENDAR
    spring = table[table["name_zh"] == "春节"]
    assert spring["date"].min() == pd.Timestamp("2026-02-17")  # the first day of the lunar year
    worked = table[table["kind"] == "workday"]["date"].dt.strftime("%m-%d").tolist()
    assert worked == ["01-04", "02-14", "02-28", "05-09", "09-20", "10-10"]
    assert (table["date"].dt.year == 2026).all()
    assert table["date"].is_monotonic_increasing


def test_western_holidays_with_chinese_names():
    table = calendar(["US", "DE"], [2026]).set_index("name_en")
    assert table.loc["Thanksgiving Day", ["name_zh", "kind"]].tolist() == ["感恩节", "public"]
    assert table.loc["Easter Monday", "date"] == pd.Timestamp("2026-04-06")
    assert table.loc["Valentine's Day", "kind"] == "observance"
    assert table.loc["Independence Day (observed)", "name_zh"] == "独立日（补休）"
    assert table.loc["German Unity Day", "name_zh"] == "German Unity Day"  # no Chinese name is known
    assert len(table.loc[["Christmas Day"]]) == 1  # both countries, once


def test_an_unknown_country_is_refused():
    with pytest.raises(ConfigError, match="no calendar") as raised:
        calendar("XX", [2026])
    assert "CN" in str(raised.value)


def test_the_workbooks_own_days():
    workbook = load(ROOT / "params" / "education.yml")
    spend = pd.DataFrame({
        "date": pd.to_datetime(["2026-03-01", "2026-03-05", "2026-03-09"]), "campaign": "spring",
        "cost": [5.0, 7.0, 0.0],
    })  # fmt: skip
    found = own_days(workbook, spend)
    assert found[["name_en", "kind"]].to_numpy().tolist() == [
        ["Simpler sign-up form", "release"], ["spring", "campaign_start"], ["spring", "campaign_end"],
        ["Student discount", "policy"],
    ]  # fmt: skip
    assert found["date"].dt.date.tolist() == [date(2026, 2, 9), date(2026, 3, 1), date(2026, 3, 5), date(2026, 3, 16)]
    assert found.loc[0, "name_zh"] == "简化注册表单"
    assert own_days(workbook.model_copy(update={"case_study": None})).empty


def test_what_lay_near_a_change_comes_with_its_distance():
    changes = pd.DataFrame({
        "day": pd.to_datetime(["2026-02-10"]), "day_low": pd.to_datetime(["2026-02-10"]),
        "day_high": pd.to_datetime(["2026-02-12"]),
    })  # fmt: skip
    days = pd.DataFrame({
        "date": pd.to_datetime(["2026-02-06", "2026-02-07", "2026-02-09", "2026-02-15", "2026-02-16"]),
        "name_en": list("abcde"), "name_zh": list("abcde"), "kind": "release",
    })  # fmt: skip
    found = near(changes, days)
    assert list(found.columns) == NEAR
    assert found[["name_en", "distance"]].to_numpy().tolist() == [["c", -1], ["b", -3], ["d", 5]]
    assert near(changes, days, within=0).empty
    assert near(changes.iloc[:0], days).empty
