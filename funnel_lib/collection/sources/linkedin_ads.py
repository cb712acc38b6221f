"""LinkedIn Ads: the CSV of a campaign performance report by day (report lines above the header)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from funnel_lib.collection import layouts, spend
from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.offer import Offer
from funnel_lib.collection.rest.systems.linkedin_ads import API

_LAYOUTS = spend.layouts(
    {
        "date": ("Start Date (in UTC)", "Start Date", "Date", "Day", "开始日期", "date"),
        "campaign": ("Campaign Name", "Campaign", "广告名称", "campaign_name", "campaign", "campaign_id"),
        "impressions": ("Impressions", "展示量", "展示次数"),
        "clicks": ("Clicks", "点击量", "点击次数"),
        "cost": ("Total Spent", "Amount Spent", "Total Spend", "总花费", "costInLocalCurrency"),
        "currency": ("Currency", "Account Currency", "货币"),
    },
)
_ADVICE = "Export the campaign performance report with the time breakdown Daily."


def read(paths: Sequence[Path], export: Export) -> Iterator[Batch]:
    """Read daily reports into the table `spend`, platform ``linkedin_ads``; see `spend.read`.

    Raises
    ------
    DataError : a file is damaged or lacks a column, above all the day.
    """
    return spend.read(paths, export, _LAYOUTS, platform="linkedin_ads", advice=_ADVICE)


SYSTEM = Offer(
    name="linkedin_ads",
    title="LinkedIn Ads",
    reads=read,
    fills=("spend",),
    files="The campaign performance report by day, as CSV (UTF-8, or UTF-16 with tabs).",
    confirmed="Lines above the header and the English header texts as public parsers read them, and the fields of the "
    "interface. UTF-16 with tabs and all other texts are not confirmed.",
    aliases=layouts.aliases(_LAYOUTS),
    api=API,
)
