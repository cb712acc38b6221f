"""Google Ads: the CSV of a campaign report, segmented by day (title and date range above the header)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import layouts, spend
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.google_ads import API

_LAYOUTS = spend.layouts(
    {
        "date": ("Day", "Date", "日期", "天", "Tag", "segments.date"),
        "campaign": ("Campaign", "Campaign name", "广告系列", "广告系列名称", "Kampagne", "campaign.name"),
        "impressions": ("Impr.", "Impressions", "展示次数", "Impr", "metrics.impressions"),
        "clicks": ("Clicks", "点击次数", "Klicks", "metrics.clicks"),
        "cost": ("Cost", "费用", "花费", "Kosten"),
        "currency": ("Currency code", "Currency", "货币代码", "货币", "币种", "Währungscode", "customer.currencyCode"),
    },
    micros=("metrics.costMicros", "metrics.cost_micros"),
)
_ADVICE = "Segment the report by day (Segment > Time > Day) and download it with its campaigns and their cost."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read campaign reports into the table `spend`, platform ``google_ads``; see `spend.read`.

    Raises
    ------
    DataError : a file is damaged or lacks a column, above all the day.
    """
    return spend.read(paths, export, _LAYOUTS, platform="google_ads", advice=_ADVICE)


SYSTEM = Offer(
    name="google_ads",
    title="Google Ads",
    reads=read,
    fills=("spend",),
    files="A campaign report segmented by day, as CSV or “Excel .csv”, in English, Chinese or German.",
    confirmed="Title, date range, header, totals and dashes as six public parsers read them; the fields of the "
    "interface from its reference. The header texts in Chinese and German are not all confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
