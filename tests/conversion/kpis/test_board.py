from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.conversion.kpis.board import COLUMNS, board, coverage
from funnel_lib.scorecard import Board


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture(scope="module")
def may(demo: Path) -> pd.DataFrame:
    return board(fl.Scope.open(demo / "params" / "education.yml", period="2026-05"), rng=rng())


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
    assert board(replace(scope, workbook=bare), rng=rng()).empty
