"""Text cells to values: times, numbers, and what must not be kept (e-mail addresses, telephone numbers).

Nothing is guessed: a text that can be read in two ways (``03/04/2026``) is not read at all.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import unicodedata
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

PERSONAL = frozenset(
    [
        "email",
        "phone",
        "mobile",
        "first_name",
        "last_name",
        "full_name",
        "name",
        "surname",
        "address",
        "id_card",
        "caller",
        "callee",
    ]
)
"""Names of user attributes that identify a person: rules may look at them, tables never hold them."""

_TIME_NAME = re.compile(r".+_(at|date)")
_FIRST = pd.Timestamp("1000-01-01", tz="UTC")
_CLOCK = r"(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?\s*([AaPp][Mm])?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?"
_STRICT_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_ZONED_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})"
)
_YEAR_FIRST = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?" + _CLOCK)
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4}),?" + _CLOCK)
_DAY_FIRST = re.compile(r"(\d{1,2})[\s-]([A-Za-z]{3,9})\.?[\s,-]+(\d{4}),?" + _CLOCK)
_DAY_OR_MONTH_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}),?" + _CLOCK)
_WEEKDAY = re.compile(r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,\s+")
_EPOCH = re.compile(r"(\d{10})(\d{3}|\d{6})?(?:\.(\d{1,6})\d*)?")
_MONTHS = dict(
    zip(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], range(1, 13), strict=True)
)
_PLAIN_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_GROUPED_BY_DOTS = re.compile(r"\d{1,3}(?:\.\d{3})+,\d*")
_DECIMAL_COMMA = re.compile(r"\d+,\d{1,2}")
_EMAIL = re.compile(r"[^\s,;\"'<>=&?]*@[^\s,;\"'<>&]*")
_PHONE = re.compile(r"(?<![\d.])(?:\+\d{1,3}[ -]?)?1[3-9]\d{9}(?!\d)|\+\d{1,3}[ (-]*\d[\d ()-]{6,}\d")
_ANY_PHONE = re.compile(r"(?<![\w.])\+?\d[\d ()-]{5,}\d(?![\w.])")
_SCALES = {"千": 1e3, "万": 1e4, "亿": 1e8, "%": 0.01, "‰": 0.001}
_CODES = "人民币|RMB|CNY|USD|EUR|GBP|HKD"
_MONEY = re.compile(rf"[\s¥￥$€£_'’]|^([+-]?)({_CODES}|US|HK)|(元整?|{_CODES})$")
_WIDE = {
    wide: wide - 0xFEE0 for first, last in ("09", "AZ", "az") for wide in range(ord(first) + 0xFEE0, ord(last) + 0xFEE1)
}
_EXCEL_EPOCHS = {"excel": dt.datetime(1899, 12, 30), "excel1904": dt.datetime(1904, 1, 1)}  # noqa: DTZ001 - local times


def is_time_name(name: str) -> bool:
    """Tell whether an attribute called `name` holds times: ``…_at`` and ``…_date`` do.

    >>> is_time_name("won_at"), is_time_name("format")
    (True, False)
    """
    return _TIME_NAME.fullmatch(name) is not None


def times(text: pd.Series[Any], zone: ZoneInfo, *, date_format: str | None = None) -> pd.Series[Any]:
    """Read texts as instants, UTC with microseconds; NaT where missing or unreadable.

    Read are: ISO 8601, year first with ``-``, ``/``, ``.`` or 年月日, ``YYYYMMDD``, days with an English
    month's name, day and month as numbers where only one of them can be the month (``31/08/2023``), Unix seconds,
    milliseconds or microseconds, and `date_format` where one is given: a pattern of strptime, or ``excel`` (the
    days since 1900 that a spreadsheet shows without a format) or ``excel1904``.
    A text without an offset is local time of `zone`; a day without a time is that zone's midnight. A local
    time that occurs twice (clocks set back) is taken as the first, one that does not exist as the next.

    Parameters
    ----------
    text : texts, missing allowed.
    zone : zone of the texts that name none.
    """
    naive = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    instant = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us, UTC]")
    if date_format in _EXCEL_EPOCHS:
        naive = _from_serial(text, date_format)
    elif date_format is not None:
        read = pd.to_datetime(text, format=date_format, errors="coerce", utc="%z" in date_format)
        if "%z" in date_format:
            instant = read.astype(instant.dtype)
        else:
            naive = read.astype(naive.dtype)
    open_ = text.notna() & naive.isna() & instant.isna()
    iso = text.where(open_).astype("str")
    rare = open_ & ~iso.str.fullmatch(_STRICT_ISO) & ~iso.str.fullmatch(_ZONED_ISO)
    if rare.any():
        iso[rare] = iso[rare].map({value: _iso(value) for value in iso[rare].unique()})
    zoned = iso.str.fullmatch(_ZONED_ISO).fillna(value=False)
    plain = iso.str.fullmatch(_STRICT_ISO).fillna(value=False)
    if plain.any():
        naive[plain] = pd.to_datetime(iso[plain], format="ISO8601", errors="coerce").astype(naive.dtype)
    if zoned.any():
        instant[zoned] = pd.to_datetime(iso[zoned], format="ISO8601", errors="coerce", utc=True).astype(instant.dtype)
    found = instant.fillna(_localised(naive, zone))
    return found.where(found >= _FIRST)  # Python itself knows no year 0


def days(instants: pd.Series[Any], zone: ZoneInfo) -> pd.Series[Any]:
    """Return the calendar day of each instant in `zone`, as a naive midnight."""
    found: pd.Series[Any] = instants.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    return found.astype("datetime64[us]")


def numbers(text: pd.Series[Any]) -> pd.Series[Any]:
    """Read texts as float64; NaN where missing or unreadable.

    Read are: ``1,234.5``, ``1.234,5``, ``12,5``, currency signs and codes, ``元``, ``(3)`` and ``3-`` as −3,
    full-width digits, a trailing ``%`` (3% is 0.03) or ``‰``, ``万`` and ``亿``. A comma before exactly three digits
    separates thousands. Infinity is not a number.
    """
    found = pd.Series(np.nan, index=text.index, dtype="float64")
    known = text.notna()
    stripped = text[known].astype("str")
    plain = stripped.str.fullmatch(_PLAIN_NUMBER)
    found[plain[plain].index] = stripped[plain].astype("float64")
    rare = stripped[~plain]
    if len(rare):
        found[rare.index] = rare.map({value: _number(value) for value in rare.unique()}).astype("float64")
    return found.where(np.isfinite(found))


def mask(text: str, *, strict: bool = False) -> str:
    """Replace e-mail addresses and telephone numbers; with `strict`, every group of seven or more digits too.

    >>> mask("write to a.b@c.example or +86 138 0013 8000")
    'write to [e-mail] or [phone]'
    """
    known = _EMAIL.sub("[e-mail]", text) if "@" in text else text
    return (_ANY_PHONE if strict else _PHONE).sub("[phone]", known)


def halfwidth(text: str) -> str:
    """Write full-width letters and digits in their usual width; everything else stays.

    >>> halfwidth("Ｕ１０２，中文")
    'U102，中文'
    """
    return text.translate(_WIDE)


def masked(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return the texts with `mask` applied to each."""
    return text.map(mask, na_action="ignore").astype("str")


def cell_text(value: object) -> str | None:
    """Write a typed cell (Excel, Parquet, JSON) as the text that a CSV would hold; None for no value.

    Whole numbers lose the ``.0`` that spreadsheets give them, so ids stay ids.
    """
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float):
        if np.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return repr(value.total_seconds()).removesuffix(".0")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _from_serial(text: pd.Series[Any], epoch: str) -> pd.Series[Any]:
    """Read the days since a spreadsheet's epoch, to the nearest millisecond; before March 1900 they are not sure."""
    serial = numbers(text)
    millis = (serial.where(serial.between(61, 2_958_465)) * 86_400_000).round()
    days_since = pd.to_timedelta(millis, unit="ms")
    return (pd.Timestamp(_EXCEL_EPOCHS[epoch]) + days_since).astype("datetime64[us]")


def _localised(naive: pd.Series[Any], zone: ZoneInfo) -> pd.Series[Any]:
    first = np.ones(len(naive), dtype=bool)
    local = naive.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    found: pd.Series[Any] = local.dt.tz_convert("UTC")
    return found.astype("datetime64[us, UTC]")


def _iso(text: str) -> str | None:
    """Write a time that can be read in one way only as ISO 8601."""
    text = _WEEKDAY.sub("", unicodedata.normalize("NFKC", text).strip())
    if match := _YEAR_FIRST.fullmatch(text):
        return _stamp(match[1], match[2], match[3], match.groups()[3:])
    if match := _DIGITS.fullmatch(text):
        return _stamp(match[1], match[2], match[3], (match[4], match[5], match[6], None, None))
    for pattern, month, day in ((_MONTH_FIRST, 1, 2), (_DAY_FIRST, 2, 1)):
        match = pattern.fullmatch(text)
        if match and match[month].lower()[:3] in _MONTHS:
            return _stamp(match[3], str(_MONTHS[match[month].lower()[:3]]), match[day], match.groups()[3:])
    if match := _DAY_OR_MONTH_FIRST.fullmatch(text):
        first, second = int(match[1]), int(match[3])
        if min(first, second) > 12 or (max(first, second) <= 12 and first != second):
            return None
        return _stamp(match[4], str(min(first, second)), str(max(first, second)), match.groups()[4:])
    if match := _EPOCH.fullmatch(text):
        micros = int(match[1]) * 1_000_000 + int(((match[2] or "") + (match[3] or "")).ljust(6, "0")[:6])
        return (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=micros)).isoformat(" ") + "Z"  # noqa: DTZ001
    return None


def _stamp(year: str, month: str, day: str, clock: tuple[str | None, ...]) -> str:
    hour, minute, second, half, offset = clock
    date = f"{year}-{month:>02}-{day:>02}"
    if hour is None:
        return date + (f" 00:00{_offset(offset)}" if offset else "")
    hours = int(hour)
    if half is not None:
        if not 1 <= hours <= 12:
            return f"{date} 99:99"
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    seconds, _, fraction = (second or "00").replace(",", ".").partition(".")
    return f"{date} {hours:02}:{minute}:{seconds}{'.' + fraction[:6] if fraction else ''}{_offset(offset)}"


def _offset(offset: str | None) -> str:
    return "Z" if offset == "UTC" else offset or ""


def _number(text: str) -> float:
    text = _MONEY.sub(r"\1", unicodedata.normalize("NFKC", text).replace("−", "-"))
    if text.startswith("(") and text.endswith(")"):
        text = "-" + text[1:-1]
    elif text.endswith("-"):
        text = "-" + text[:-1]
    scale = 1.0
    if text and text[-1] in _SCALES:
        scale, text = _SCALES[text[-1]], text[:-1]
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "")
    elif _GROUPED_BY_DOTS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif _DECIMAL_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    return sign * scale * float(digits) if re.fullmatch(_PLAIN_NUMBER, digits, re.ASCII) else np.nan
