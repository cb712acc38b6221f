from collections.abc import Callable

import pytest

from funnel_lib.collection.files import Export
from funnel_lib.collection.spend import layouts, read

COLUMNS = {
    "date": ["day"], "campaign": ["name"], "impressions": ["shown"], "clicks": ["clicks"], "cost": ["cost"],
    "currency": ["code"],
}  # fmt: skip
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
    (batch,) = read(
        one.files(), one, layouts(COLUMNS, micros=["millionths"]), platform="radio", advice="Export it by day."
    )
    assert batch.rows[["platform", "cost", "currency"]].to_numpy().tolist() == [["radio", 2.5, currency]]


@pytest.mark.parametrize("nothing", ["", "--", " - ", "—"])
def test_what_is_left_out_is_zero(export: Exports, nothing: str):
    one = export(
        {"system": "google_ads", "files": "*"},
        {"a.csv": f"day,name,shown,clicks,cost\n2026-03-01,a,{nothing},{nothing},{nothing}\n"},
    )
    (batch,) = read(
        one.files(), one, layouts(COLUMNS, micros=["millionths"]), platform="radio", advice="Export it by day."
    )
    assert batch.rows[["impressions", "clicks", "cost"]].to_numpy().tolist() == [[0, 0, 0]]


def test_millionths_become_units(export: Exports):
    rows = "day,name,shown,clicks,millionths\n2026-03-01,a,5,1,2500000\n2026-03-01,b,5,1,--\n2026-03-01,c,5,1,many\n"
    one = export({"system": "google_ads", "files": "*"}, {"a.csv": rows})
    (batch,) = read(one.files(), one, layouts(COLUMNS, micros=["millionths"]), platform="radio", advice="Export it.")
    assert batch.rows[["campaign", "cost"]].to_numpy().tolist() == [["a", 2.5], ["b", 0.0]]
    assert batch.rejected["rule"].tolist() == ["unreadable_number"]
