"""Meta Ads (Facebook, Instagram): the CSV or Excel of a report broken down by day.

The header of the cost holds its currency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import layouts, spend
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.meta_ads import API

_LAYOUTS = spend.layouts(
    {
        "date": ("Day", "Date", "日期", "天", "单日", "date_start"),
        "campaign": ("Campaign name", "Campaign", "广告系列名称", "推广活动名称", "campaign_name"),
        "impressions": ("Impressions", "展示次数"),
        "clicks": ("Link clicks", "Clicks (all)", "Clicks", "链接点击量", "点击量（全部）", "inline_link_clicks"),
        "cost": ("Amount spent", "花费金额", "已花费金额", "spend"),
        "currency": ("Currency", "货币", "account_currency"),
    },
)
_ADVICE = "Break the report down by time > day; export campaign name, impressions, link clicks and amount spent."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read daily reports into the table `spend`, platform ``meta_ads``; see `spend.read`.

    Raises
    ------
    DataError : a file is damaged or lacks a column, above all the day.
    """
    return spend.read(paths, export, _LAYOUTS, platform="meta_ads", advice=_ADVICE)


SYSTEM = Offer(
    name="meta_ads",
    title="Meta Ads (Facebook, Instagram)",
    reads=read,
    fills=("spend",),
    files="A report broken down by day, as CSV or Excel.",
    confirmed="Header texts, with the currency in that of the cost, as eight public parsers read them, and the fields "
    "of the interface. The Chinese header texts are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
