from collections.abc import Callable

import pytest

from funnel_lib.collection.batch import LINE, Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import linkedin_ads
from funnel_lib.errors import DataError

SOURCE = {"system": "linkedin_ads", "files": "*"}
ABOVE = "Campaign Performance Report (in UTC)\nReport Start: 3/1/2026\nReport End: 3/2/2026\n\n"
NAMES = ["Start Date (in UTC)", "Account Name", "Currency", "Campaign Name", "Total Spent", "Impressions", "Clicks"]
Exports = Callable[..., Export]


def read(export: Exports, data: str | bytes, name: str = "a.csv") -> Batch:
    made = export({**SOURCE, "date_format": "%m/%d/%Y"}, {name: data})
    (batch,) = linkedin_ads.read(made.files(), made)
    return batch


def test_a_report_below_its_title_in_utf16_with_tabs(export: Exports):
    rows = [NAMES, ["03/01/2026", "Acme", "EUR", "Awareness", "12.34", "1,000", "7"],
            ["03/02/2026", "Acme", "EUR", "Awareness", "0.00", "0", "0"]]  # fmt: skip
    text = ABOVE + "".join("\t".join(row) + "\n" for row in rows)
    batch = read(export, text.encode("utf-16"))
    assert batch.rows[["platform", "campaign", "impressions", "clicks", "cost", "currency"]].to_numpy().tolist() == [
        ["linkedin_ads", "Awareness", 1000.0, 7.0, 12.34, "EUR"],
        ["linkedin_ads", "Awareness", 0.0, 0.0, 0.0, "EUR"],
    ]
    assert batch.rows["date"].dt.strftime("%Y-%m-%d").tolist() == ["2026-03-01", "2026-03-02"]
    assert batch.rows[LINE].tolist() == [6, 7]


def test_rows_of_the_interface(export: Exports):
    row = '{"date": "2026-03-01", "campaign": "A", "impressions": 3, "clicks": 1, "costInLocalCurrency": "2.5"}\n'
    batch = read(export, row, name="a.jsonl")
    assert batch.rows[["campaign", "cost", "currency"]].to_numpy().tolist() == [["A", 2.5, "USD"]]


def test_a_report_without_days_says_how_to_get_them(export: Exports):
    with pytest.raises(DataError, match="lacks the column 'Start Date") as error:
        read(export, "Campaign Name,Total Spent,Impressions,Clicks\nA,1,1,1\n")
    assert "Daily" in str(error.value.do)
