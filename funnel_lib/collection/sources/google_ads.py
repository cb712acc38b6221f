"""Google Ads: the CSV of a campaign report, segmented by day (title and date range above the header)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import spend
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export

_COLUMNS = spend.wanted(
    {
        "date": "Day", "campaign": "Campaign", "impressions": "Impr.", "clicks": "Clicks", "cost": "Cost",
        "currency": "Currency code",
    },
    {
        "date": ("date", "日期", "天", "tag"),
        "campaign": ("campaign name", "广告系列", "广告系列名称", "kampagne"),
        "impressions": ("impressions", "展示次数", "impr"),
        "clicks": ("点击次数", "klicks"),
        "cost": ("费用", "花费", "kosten"),
        "currency": ("currency", "货币代码", "货币", "币种", "währungscode"),
    },
    advice="Segment the report by day (Segment > Time > Day) and download it with its campaigns and their cost.",
)  # fmt: skip


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read campaign reports into the table `spend`, platform ``google_ads``; see `spend.read`.

    Raises
    ------
    DataError : a file is damaged or lacks a column, above all the day.
    """
    return spend.read(paths, export, _COLUMNS, platform="google_ads")
