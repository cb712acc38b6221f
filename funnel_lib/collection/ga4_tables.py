"""Google Analytics 4 beyond JSON lines: its BigQuery export as Parquet, and tables of its explorations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from funnel_lib.collection import layouts
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.layouts import Layout
from funnel_lib.errors import DataError

_ROWS = 4096
_NEEDED = ("event_name", "event_timestamp", "user_pseudo_id")
_HOURS = r"^\s*([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})?\s*$"
_ADVICE = (
    "A report counts people, and never says who did what. In an exploration, take a dimension that names the person "
    "(Effective user ID), Event name, and Date + hour as rows; or export the table to BigQuery."
)


def objects(path: Path) -> Iterator[list[bytes]]:
    """Yield the rows of the BigQuery export as Parquet, some thousand at a time, each as a JSON object.

    Raises
    ------
    DataError : the file is damaged, or lacks the columns of the export.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            there = connection.read_parquet(str(path)).columns
            lacking = [name for name in _NEEDED if name not in there]
            if lacking:
                raise DataError(
                    f"The file lacks the column{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking))}.", where=path,
                    found=", ".join(there[:30]), allowed="the columns of the BigQuery export",
                    do="Export the table of events itself, not a query on it.",
                )  # fmt: skip
            query = "SELECT to_json(event)::VARCHAR AS text FROM read_parquet(?) AS event"
            for part in connection.sql(query, params=[str(path)]).to_arrow_reader(_ROWS):
                yield part.column(0).cast(pa.binary()).to_pylist()
        except duckdb.Error as error:
            raise DataError(
                "The Parquet file cannot be read.", where=path, found=str(error).splitlines()[0],
                allowed="a whole Parquet file", do="Export it again.",
            ) from error  # fmt: skip


def _row(rows: pd.DataFrame, _: Export) -> pd.DataFrame:
    """Write hours and minutes (``2026030109``), which could be seconds since 1970, as times."""
    parts = rows["ts"].str.extract(_HOURS).astype("str")
    told = parts[0] + "-" + parts[1] + "-" + parts[2] + " " + parts[3] + ":" + parts[4].fillna("00")
    return rows.assign(ts=told.fillna(rows["ts"]))


EXPLORED = Layout(
    "events",
    {
        "user_id": (
            "Effective user ID", "User ID", "Client ID", "App-instance ID", "User pseudo ID", "有效用户 ID", "用户 ID",
            "应用实例 ID",
        ),
        "event": ("Event name", "事件名称"),
        "ts": (
            "Date + hour and minute (YYYYMMDDHHMM)", "Date hour and minute", "Date + hour (YYYYMMDDHH)", "Date + hour",
            "Date", "日期 + 小时 (YYYYMMDDHH)", "日期", "dateHourMinute", "dateHour",
        ),
        "count": ("Event count", "事件数"),
        "amount": ("Purchase revenue", "Total revenue", "Event value", "总收入"),
        "device": ("Device category", "设备类别"),
        "campaign": ("Session campaign", "Campaign"),
        "utm_source": ("Session source",),
        "utm_medium": ("Session medium",),
        "country": ("Country", "国家/地区"),
        "city": ("City", "城市"),
    },
    ["user_id", "event", "ts"],
    shape=_row,
)  # fmt: skip


def read(path: Path, export: Export) -> Iterator[Batch]:
    """Read a table of an exploration, a row for each person, event and hour, into `events`.

    An event that happened several times within its hour is one event here, with the property `count`.

    Raises
    ------
    DataError : the file is damaged, or is a report that does not name people.
    """
    return layouts.read([path], export, [EXPLORED], advice=_ADVICE)


__all__ = ["EXPLORED", "objects", "read"]
