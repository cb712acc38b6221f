"""Real exports against figures that are known for them."""

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel_lib.collection.collect import collect
from funnel_lib.collection.quality import checks, event_reach, grade
from funnel_lib.collection.scope import Scope
from funnel_lib.config import Workbook, load

WORKBOOKS = Path(__file__).parents[1] / "workbooks"
FOLDERS = {"olist": "olist_funnel", "simple_shop": "simple_shop", "x_education": "x_education_leads"}
pytestmark = pytest.mark.real


@pytest.fixture
def real(tmp_path: Path, real_data: Path) -> Callable[[str], Workbook]:
    def make(name: str) -> Workbook:
        (tmp_path / "params").mkdir()
        shutil.copy(WORKBOOKS / f"{name}.yml", tmp_path / "params")
        (tmp_path / "data" / "raw").mkdir(parents=True)
        os.symlink(real_data / FOLDERS[name.removesuffix("_damaged")], tmp_path / "data" / "raw" / name)
        return load(tmp_path / "params" / f"{name}.yml")

    return make


def test_leads_and_their_deals(real: Callable[[str], Workbook]):
    workbook = real("olist")
    store = collect(workbook)
    fates = store.tally().set_index(["source", "outcome", "rule"])["rows"].to_dict()
    assert fates == {
        ("leads", "read", ""): 8000, ("leads", "kept", ""): 8000,
        ("deals", "read", ""): 842, ("deals", "kept", ""): 841, ("deals", "quarantined", "not_before"): 1,
    }  # fmt: skip
    users = store.read("users")
    assert len(users) == 8000
    assert users["won_at"].notna().sum() == 841
    assert users["origin"].isna().sum() == 60
    assert users["origin"].value_counts().head(3).to_dict() == {
        "organic_search": 2296,
        "paid_search": 1586,
        "social": 1350,
    }
    aside = store.read("quarantine").iloc[0]
    assert aside[["file", "line", "reason"]].tolist() == [
        "olist_closed_deals_dataset.csv",
        669,
        "won_at lies before first_seen.",
    ]
    facts = store.facts()
    assert (facts["first_day"], facts["last_day"], facts["data_through"][:10]) == (
        "2017-06-14",
        "2018-05-31",
        "2018-11-14",
    )
    assert Scope.open(workbook).period.name == "2018-Q2"


def test_an_event_log(real: Callable[[str], Workbook]):
    workbook = real("simple_shop")
    store = collect(workbook)
    assert len(store.read("events")) == 32_283
    assert len(store.read("users")) == 3_751
    people = event_reach(store).set_index("event")["people"]
    expected = {
        "catalog": 3_611,
        "main": 2_385,
        "cart": 1_924,
        "delivery_choice": 1_356,
        "payment_choice": 958,
        "payment_done": 653,
    }
    assert people[list(expected)].to_dict() == expected
    assert event_reach(store).set_index("event").loc["payment_done", "rows"] == 706
    assert store.read("events")["ts"].min().isoformat() == "2019-11-01T17:59:13.273932+00:00"
    assert grade(checks(store, workbook)) in ("A", "B")


def test_leads_with_placeholders(real: Callable[[str], Workbook]):
    store = collect(real("x_education"))
    users = store.read("users")
    assert len(users) == 9_240
    assert (users["converted"] == "1").sum() == 3_561
    assert users["source_name"].value_counts()["Google"] == 2_868 + 5
    assert users["source_name"].isna().sum() == 36
    assert not users.isin(["Select"]).to_numpy().any()
    assert users["occupation"].value_counts()[["Unemployed", "Working Professional"]].tolist() == [5_600, 706]
    assert users["occupation"].isna().sum() == 2_690
    assert store.facts()["first_day"] is None


def test_a_damaged_file_names_the_rows_that_are_lost(real: Callable[[str], Workbook]):
    workbook = real("x_education_damaged")
    store = collect(workbook)
    with (workbook.raw / "damaged_copy_338_blank_rows.csv").open(encoding="utf-8", newline="") as file:
        broken = [line for line, cells in enumerate(csv.reader(file), 1) if len(cells) != 37]
    aside = store.read("quarantine")
    assert len(aside) == 338
    assert aside["line"].tolist() == broken
    assert aside["rule"].unique().tolist() == ["wrong_fields"]
    assert len(store.read("users")) == 9_240 - 338
    assert (store.read("users")["converted"] == "1").sum() == 3_394
