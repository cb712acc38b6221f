from collections.abc import Callable

import pytest

from funnel_lib.collection.files import Export
from funnel_lib.collection.spend import read, wanted

COLUMNS = wanted(
    {"date": "day", "campaign": "name", "impressions": "shown", "clicks": "clicks", "cost": "cost", "currency": "code"},
    {"cost": (r"cost \([A-Z]{3}\)",)}, advice="Export it by day.",
)  # fmt: skip
ROW = "2026-03-01,a,5,1,2.5"
Exports = Callable[..., Export]


@pytest.mark.parametrize(
    ("header", "row", "currency"),
    [
        ("day,name,shown,clicks,cost,code", f"{ROW},CNY", "CNY"),
        ("day,name,shown,clicks,cost (EUR)", ROW, "EUR"),
        ("day,name,shown,clicks,cost (EUR),code", f"{ROW},--", "EUR"),
        ("day,name,shown,clicks,cost", ROW, "USD"),
    ],
)
def test_the_currency_is_the_rows_else_the_headers_else_the_workbooks(
    export: Exports, header: str, row: str, currency: str
):
    one = export({"system": "google_ads", "files": "*"}, {"a.csv": f"{header}\n{row}\n"})
    (batch,) = read(one.files(), one, COLUMNS, platform="radio")
    assert batch.rows[["platform", "cost", "currency"]].to_numpy().tolist() == [["radio", 2.5, currency]]


@pytest.mark.parametrize("nothing", ["", "--", " - ", "—"])
def test_what_is_left_out_is_zero(export: Exports, nothing: str):
    one = export(
        {"system": "google_ads", "files": "*"},
        {"a.csv": f"day,name,shown,clicks,cost\n2026-03-01,a,{nothing},{nothing},{nothing}\n"},
    )
    (batch,) = read(one.files(), one, COLUMNS, platform="radio")
    assert batch.rows[["impressions", "clicks", "cost"]].to_numpy().tolist() == [[0, 0, 0]]
