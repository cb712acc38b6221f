"""What lay near a day: holidays of China and the West, shopping days, and the workbook's own dates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import pandas as pd

from funnel_lib.config import Policy, Release, Workbook
from funnel_lib.errors import ConfigError, choices

CALENDAR = ["date", "name_en", "name_zh", "kind"]
NEAR = ["day", "date", "distance", *CALENDAR[1:]]
_KINDS = {"public": "public", "unofficial": "observance"}


def calendar(country: str | Sequence[str], years: Iterable[int]) -> pd.DataFrame:
    """Return the public holidays of countries, China's working weekends, and the shopping days of China and the West.

    Holidays, also those of the lunar calendar, come from the library `holidays`; shopping days are computed. A name
    that the library has no Chinese for is given in English.

    Parameters
    ----------
    country : ISO 3166 code, such as CN, US or DE, or several.

    Returns
    -------
    Frame `date` (midnight, without zone)`, name_en, name_zh, kind` (public, observance, workday, shopping), by date.

    Raises
    ------
    ConfigError : a country is not known.
    """
    import holidays

    chosen, codes = sorted(set(years)), [country] if isinstance(country, str) else list(country)
    rows = [row for year in chosen for row in _shopping(year)]
    for code in codes:
        try:
            local = holidays.country_holidays(code, years=chosen)
        except NotImplementedError as error:
            known = choices(sorted(holidays.list_supported_countries()), code)
            raise ConfigError("There is no calendar of this country.", found=code, allowed=known) from error
        for category in sorted(set(_KINDS) & set(local.supported_categories)):
            english, chinese = (
                holidays.country_holidays(code, years=chosen, categories=category, language=language)
                if language in local.supported_languages
                else None
                for language in ("en_US", "zh_CN")
            )
            if english is None:
                english = holidays.country_holidays(code, years=chosen, categories=category)
            for day, name in english.items():
                rows.append((day, name, _in_chinese(name) if chinese is None else chinese[day], _KINDS[category]))
        worked = sorted(day for day in getattr(local, "weekend_workdays", ()) if day.year in chosen)
        rows += [(day, "Working weekend", "调休上班", "workday") for day in worked]
    return _calendar(rows)


def own_days(workbook: Workbook, spend: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the workbook's own dates, as `calendar` does: releases, policies, and campaigns' first and last cost.

    `spend` is the canonical table (`date, campaign, cost`). Kinds: release, policy, campaign_start, campaign_end.
    """
    rows: list[tuple[date, str, str, str]] = []
    for change in workbook.case_study.changes if workbook.case_study else ():
        if isinstance(change, Release | Policy):
            english, chinese = (change.title.get(language) or change.name for language in ("en", "zh"))
            rows.append((change.since, english, chinese, change.kind))
    if spend is not None:
        paid = spend[spend["cost"] > 0].groupby("campaign")["date"].agg(["min", "max"])
        for name, first, last in paid.itertuples():
            rows += [(first, name, name, "campaign_start"), (last, name, name, "campaign_end")]
    return _calendar(rows)


def near(found: pd.DataFrame, days: pd.DataFrame, *, within: int = 3) -> pd.DataFrame:
    """Return what lay near each change: `day, date, distance` (days; negative: before it)`, name_en, name_zh, kind`.

    Near are dates from `within` days before `day_low` to as many after `day_high`, the nearest first. That something
    lay near does not say that it was the cause.
    """
    paired = found[["day", "day_low", "day_high"]].merge(days, how="cross")
    reach = pd.Timedelta(days=within)
    kept = paired[(paired["date"] >= paired["day_low"] - reach) & (paired["date"] <= paired["day_high"] + reach)]
    table = kept.assign(distance=(kept["date"] - kept["day"]).dt.days, far=(kept["date"] - kept["day"]).abs())
    return table.sort_values(["day", "far", "date", "name_en"])[["day", "date", "distance", *CALENDAR[1:]]].reset_index(
        drop=True
    )


def _calendar(rows: Sequence[tuple[date, str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=CALENDAR).drop_duplicates()
    table = table.astype({"date": "datetime64[us]", **dict.fromkeys(CALENDAR[1:], "str")})
    return table.sort_values(CALENDAR, ignore_index=True)


def _shopping(year: int) -> list[tuple[date, str, str, str]]:
    first = date(year, 11, 1)
    friday = first + timedelta(days=(3 - first.weekday()) % 7 + 22)  # the day after the fourth Thursday
    days = {
        date(year, 3, 8): ("3.8 Women's Day sale", "3.8 节"), date(year, 6, 18): ("618", "618"),
        date(year, 11, 11): ("Double 11", "双十一"), date(year, 12, 12): ("Double 12", "双十二"),
        friday: ("Black Friday", "黑色星期五"), friday + timedelta(days=3): ("Cyber Monday", "网络星期一"),
    }  # fmt: skip
    return [(day, *names, "shopping") for day, names in days.items()]


_CHINESE = {
    "New Year's Day": "元旦", "Good Friday": "耶稣受难日", "Easter Sunday": "复活节", "Easter Monday": "复活节星期一",
    "Labor Day": "劳动节", "Valentine's Day": "情人节", "Mother's Day": "母亲节", "Father's Day": "父亲节",
    "Halloween": "万圣夜", "Thanksgiving Day": "感恩节", "Christmas Eve": "平安夜", "Christmas Day": "圣诞节",
    "Boxing Day": "节礼日", "New Year's Eve": "新年前夜", "Independence Day": "独立日",
}  # fmt: skip


def _in_chinese(name: str) -> str:
    plain = name.removesuffix(" (observed)")
    return _CHINESE.get(plain, plain) + ("（补休）" if plain != name else "")
