from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.conversion.kpis.board import COLUMNS, board, coverage
from funnel_lib.scorecard import Board


@pytest.fixture(scope="module")
def may(demo: Path) -> pd.DataFrame:
    return board(fl.Scope.open(demo / "params" / "education.yml", period="2026-05"))


def test_the_demo_board_agrees_with_its_funnel_and_finds_its_fault(demo: Path, may: pd.DataFrame):
    scope = fl.Scope.open(demo / "params" / "education.yml", period="2026-05")
    counts = fl.cohort(scope).counts().set_index("name")["units"]
    rows = may.set_index(["kpi", "group"])
    assert rows.loc[("visitors", ""), "value"] == counts["visit"]
    assert list(may) == COLUMNS
    worse = may.loc[may["better"] == False, ["kpi", "group"]].to_numpy().tolist()  # noqa: E712
    assert ["payment_by_device", "mobile"] in worse
    assert ["payment_by_device", "desktop"] not in worse
    deals = scope.store.read("deals")
    assert 0.2 < rows.loc[("contract_rate", ""), "value"] < 0.6
    assert rows.loc[("contract_rate", ""), "n"] < len(deals[deals["status"] != "open"])
    assert rows.loc[("satisfaction", ""), "reason"] == "not_asked"


def test_what_is_known_has_no_reason_and_the_other_way_round(may: pd.DataFrame):
    assert ((may["reason"] == "") == may["value"].notna()).all()
    known, total = coverage(may)
    assert 0 < known < total == may.groupby(["stage", "kpi"]).ngroups
    rated = may[may["unit"].isin(["share", "points", "money", "days"]) & may["low"].notna()]
    assert ((rated["low"] <= rated["value"]) & (rated["value"] <= rated["high"])).all()


def test_a_difference_combines_both_intervals(may: pd.DataFrame):
    row = may.set_index(["kpi", "group"]).loc[("payment_success", "")]
    assert row["difference"] == pytest.approx(row["value"] - row["before"])
    assert row["diff_low"] < row["difference"] < row["diff_high"] < 0
    assert row["clear"]
    totals = may[may["kpi"].isin(["visitors", "reach"])]
    assert totals["diff_low"].isna().all()
    assert not totals["clear"].any()


def test_a_board_without_figures_is_empty(demo: Path):
    scope = fl.Scope.open(demo / "params" / "education.yml", period="2026-05")
    bare = scope.workbook.model_copy(update={"kpis": Board(model="none")})
    assert board(replace(scope, workbook=bare)).empty


def test_a_segment_is_compared_with_who_belonged_to_it_in_the_period_before(demo: Path):
    scope = fl.Scope.open(demo / "params" / "education.yml", period="2026-05", segment="device=mobile")
    assert scope.previous is not None
    now, before = (board(one, people=fl.cohort(one)) for one in (scope, scope.previous))
    both = now.merge(before[["stage", "kpi", "group", "value"]], on=["stage", "kpi", "group"], suffixes=("", "_then"))
    assert len(both) > 0.8 * len(now)
    pd.testing.assert_series_equal(both["before"], both["value_then"], check_names=False)
    rows = now.set_index(["kpi", "group"])
    known = rows.loc[("payment_success", "")]
    assert known["diff_low"] < known["difference"] < known["diff_high"]
    spend = rows.loc[("ad_spend", "")]
    assert spend["reason"] == "not_by_segment"
    assert np.isnan(spend["before"])


def test_a_segment_nobody_belonged_to_before_has_no_change(demo: Path):
    scope = fl.Scope.open(demo / "params" / "education.yml", period="2026-05", segment="device=mobile")
    assert scope.previous is not None
    first = replace(scope, period=scope.workbook.period("2026-01", *[scope.previous.period.first_day] * 2))
    found = board(first, people=fl.cohort(first))
    assert first.previous is None
    assert found["before"].isna().all()
    assert found["value"].notna().any()


def test_a_segment_of_a_channel_has_the_spend_of_its_campaigns(demo: Path, may: pd.DataFrame):
    cost = []
    for channel in ("paid_search", "paid_social"):  # all channels with campaigns that cost something
        scope = fl.Scope.open(demo / "params" / "education.yml", period="2026-05", segment=f"channel={channel}")
        cost.append(board(scope, people=fl.cohort(scope)).set_index("kpi").loc["ad_spend", "value"])
    assert sum(cost) == pytest.approx(may.set_index("kpi").loc["ad_spend", "value"])
    assert min(cost) > 0
