"""Meta Ads (Facebook, Instagram): the CSV or Excel of a report broken down by day.

The header of the cost holds its currency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import spend
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export

_COLUMNS = spend.wanted(
    {
        "date": "Day", "campaign": "Campaign name", "impressions": "Impressions", "clicks": "Link clicks",
        "cost": "Amount spent",
    },
    {
        "date": ("date", "日期", "天", "单日"),
        "campaign": ("campaign", "广告系列名称", "推广活动名称"),
        "impressions": ("展示次数",),
        "clicks": ("clicks \\(all\\)", "clicks", "链接点击量", "点击量（全部）"),
        "cost": ("amount spent \\([a-z]{3}\\)", "(已)?花费金额 ?[(（][a-z]{3}[)）]"),
    },
    advice="Break the report down by time > day; export campaign name, impressions, link clicks and amount spent.",
)  # fmt: skip  # fmt: skip


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read daily reports into the table `spend`, platform ``meta_ads``; see `spend.read`.

    Raises
    ------
    DataError : a file is damaged or lacks a column, above all the day.
    """
    return spend.read(paths, export, _COLUMNS, platform="meta_ads")
