from collections.abc import Callable

import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import meta_ads
from funnel_lib.errors import DataError

SOURCE = {"system": "meta_ads", "files": "*"}
NAMES = "Reporting starts,Reporting ends,Campaign name,Day,Results,Reach,Impressions,Link clicks,Amount spent (CNY)\n"
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, name: str = "a.csv") -> Batch:
    made = export(SOURCE, {name: data})
    (batch,) = meta_ads.read(made.files(), made)
    return batch


def test_the_currency_stands_in_the_header_and_blanks_are_zero(export: Exports):
    rows = (
        "2026-03-01,2026-03-01,Video,2026-03-01,4,90,100,7,123.45\n2026-03-02,2026-03-02,Video,2026-03-02,,80,90,,0\n"
    )
    batch = read(export, ("\ufeff" + NAMES + rows).encode())
    assert batch.rows[["platform", "campaign", "impressions", "clicks", "cost", "currency"]].to_numpy().tolist() == [
        ["meta_ads", "Video", 100.0, 7.0, 123.45, "CNY"],
        ["meta_ads", "Video", 90.0, 0.0, 0.0, "CNY"],
    ]


def test_the_line_of_totals_above_the_rows_is_merged(export: Exports):
    rows = "2026-03-01,2026-03-31,,,9,90,190,7,123.45\n2026-03-01,2026-03-01,Video,2026-03-01,4,90,100,7,123.45\n"
    batch = read(export, NAMES + rows)
    assert batch.merged == {("a.csv", "total_row"): 1}
    assert batch.rows[LINE].tolist() == [3]


def test_all_clicks_stand_in_where_link_clicks_are_missing(export: Exports):
    batch = read(export, "Day,Campaign name,Impressions,Clicks (all),Amount spent (USD)\n2026-03-01,A,1,2,3\n")
    assert batch.rows[["clicks", "currency"]].to_numpy().tolist() == [[2.0, "USD"]]


def test_excel_exports_are_read_too(export: Exports, xlsx: Callable[..., bytes]):
    batch = read(
        export,
        xlsx([["日期", "广告系列名称", "展示次数", "链接点击量", "花费金额 (CNY)"], ["2026-03-01", "视频", 5, 1, 2.5]]),
        "a.xlsx",
    )
    assert batch.rows[["campaign", "cost", "currency"]].to_numpy().tolist() == [["视频", 2.5, "CNY"]]


def test_a_report_without_days_says_how_to_get_them(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'Day'") as error:
        read(export, NAMES.replace("Day,", "") + "2026-03-01,2026-03-31,Video,4,90,100,7,123.45\n")
    assert "Break the report down by time" in str(error.value.do)
