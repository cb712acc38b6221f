from collections.abc import Callable

import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import google_ads
from funnel_lib.errors import DataError

SOURCE = {"system": "google_ads", "files": "*.csv"}
HEAD = 'Campaign report\n"March 1, 2026 - March 31, 2026"\n'
NAMES = "Day,Campaign,Currency code,Impr.,Clicks,CTR,Avg. CPC,Cost,Conversions\n"
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes) -> Batch:
    made = export(SOURCE, {"a.csv": data})
    (batch,) = google_ads.read(made.files(), made)
    return batch


def test_title_thousands_dashes_and_totals(export: Exports):
    rows = '2026-03-01,Brand,CNY,"12,345",67,0.54%,1.10,"1,073.70",5.00\n2026-03-02,Brand,CNY,10,0,0.00%,--,--,--\n'
    total = 'Total: Account,--,CNY,"12,355",67,0.54%,1.10,"1,073.70",5.00\n'
    batch = read(export, HEAD + NAMES + rows + total)
    assert batch.rows[["platform", "campaign", "impressions", "clicks", "cost", "currency"]].to_numpy().tolist() == [
        ["google_ads", "Brand", 12345.0, 67.0, 1073.7, "CNY"],
        ["google_ads", "Brand", 10.0, 0.0, 0.0, "CNY"],
    ]
    assert batch.rows["date"].dt.strftime("%Y-%m-%d").tolist() == ["2026-03-01", "2026-03-02"]
    assert batch.rows[LINE].tolist() == [4, 5]
    assert batch.read == {"a.csv": 3}
    assert batch.merged == {("a.csv", "total_row"): 1}


@pytest.mark.parametrize(
    "total",
    [
        "--,Total: Campaigns,CNY,1,1,1%,1,1,1\n",
        "Total,,,,,,,,\n",
        "Total: Account\n",
        '"总计",,,1,1,,,1,\n',
        ",,,5,5,,,5,\n",
    ],
)
def test_totals_of_every_shape_count_as_merged(export: Exports, total: str):
    batch = read(export, HEAD + NAMES + "2026-03-01,Brand,CNY,1,1,1%,1,1,1\n" + total)
    assert batch.merged == {("a.csv", "total_row"): 1}
    assert len(batch.rows) == 1


def test_a_campaign_called_total_is_a_campaign(export: Exports):
    batch = read(export, NAMES + "2026-03-01,Total fitness,CNY,1,1,1%,1,1,1\n")
    assert batch.rows["campaign"].tolist() == ["Total fitness"]


def test_utf16_with_tabs_and_chinese_headers(export: Exports):
    data = "广告系列报告\n天\t广告系列\t展示次数\t点击次数\t费用\n2026年3月1日\t品牌\t1\t2\t3.5\n"
    batch = read(export, data.encode("utf-16"))
    assert batch.rows[["campaign", "cost", "currency"]].to_numpy().tolist() == [["品牌", 3.5, "USD"]]  # the workbook's


def test_a_report_without_days_says_how_to_get_them(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'Day'") as error:
        read(export, HEAD + "Campaign,Impr.,Clicks,Cost\nBrand,1,1,1\n")
    assert "Segment the report by day" in str(error.value.do)


def test_faults_are_set_aside_with_their_line(export: Exports):
    rows = "2026-03-01,,CNY,1,1,,,1,\n2026-03-01,A,CNY,many,1,,,1,\n,B,CNY,1,1,,,1,\n03/04/2026,C,CNY,1,1,,,1,\n"
    batch = read(export, NAMES + rows)
    assert sorted(batch.rejected[[LINE, "rule"]].to_numpy().tolist()) == [
        [2, "missing_value"], [3, "unreadable_number"], [4, "missing_value"], [5, "unreadable_time"],
    ]  # fmt: skip
