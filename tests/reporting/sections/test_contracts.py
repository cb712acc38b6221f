"""The sections on contracts and on what a segment's channel brings back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import funnel_lib as fl
from funnel_lib.ledger import Contract
from funnel_lib.reporting.sections import contracts, returns, value

CONTRACT = {"table": "users", "start": "subscribed", "end": "ended", "per_month": "price"}


def holding(scope: fl.Scope, folder: Path, **changes: object) -> fl.Scope:
    """Return the scope over a copy of its people of whom 400 have contracts: a quarter ends in each month."""
    users, draws = scope.users.copy(), np.random.default_rng(1)
    start = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(draws.uniform(0, 150, len(users)), unit="D")
    users["subscribed"] = pd.Series(start, index=users.index).where(np.arange(len(users)) < 400)
    lasted = pd.to_timedelta(30.4 * draws.geometric(0.25, len(users)), unit="D")
    ended = users["subscribed"] + lasted
    users["ended"] = ended.where(ended <= pd.Timestamp(scope.as_of))
    users["price"] = 100.0
    users = users.assign(**{name: value for name, value in changes.items() if name in users})
    store = type(scope.store)(folder)
    (folder / "facts.json").write_text((scope.store.folder / "facts.json").read_text())
    users.to_parquet(folder / "users.parquet")
    worth = scope.workbook.value.model_copy(update={"contract": Contract.model_validate(CONTRACT)})
    return replace(scope, store=store, workbook=scope.workbook.model_copy(update={"value": worth}))


def test_a_workbook_without_contracts_shows_no_section(month: Callable[..., SimpleNamespace]):
    may = month()
    assert contracts.figures(may.scope, may.people, None) is None


def test_what_a_contract_brings_is_told_in_both_languages(month: Callable[..., SimpleNamespace], tmp_path: Path):
    may = month()
    scope, worth = holding(may.scope, tmp_path), value.measure(may.scope, may.people)
    told = {name: contracts.figures(replace(scope, language=name), may.people, worth) for name in ("en", "zh")}
    english, chinese = told["en"], told["zh"]
    assert english is not None
    assert chinese is not None
    assert english.metrics == chinese.metrics
    assert english.text.startswith("A contract brings ¥")
    assert not any(word in chinese.text for word in (" the ", " of ", " is "))
    # About 75 % go on in each month: three quarters of 100 x 0.6 are added each time.
    assert ",400 contracts" in english.tables["contracts"]
    months = english.metrics["contracts.months"]
    assert english.metrics["contracts.kept"] == pytest.approx(0.75**months, abs=0.12)
    assert english.metrics["contracts.margin"] == pytest.approx(60 * (1 - 0.75**months) / 0.25, rel=0.1)
    assert "cost of a customer" in english.tables["contracts"]
    assert len(english.tables["contract_months"].splitlines()) == 1 + months


def test_a_segment_has_its_own_contracts_and_no_costs(month: Callable[..., SimpleNamespace], tmp_path: Path):
    may = month()
    scope = replace(holding(may.scope, tmp_path), segment="audience=student")
    people = replace(may.people, frame=may.people.frame[may.people.frame["unit"].isin(scope.users["user_id"][:300])])
    found = contracts.figures(scope, people, value.measure(may.scope, may.people))
    assert found is not None
    assert ",400 contracts" not in found.tables["contracts"]
    assert "cost of a customer" not in found.tables["contracts"]


def test_columns_that_are_not_there_are_said(month: Callable[..., SimpleNamespace], tmp_path: Path):
    may = month()
    found = contracts.figures(holding(may.scope, tmp_path, ended="never"), may.people, None)
    assert found is not None
    assert "lacks the times or prices that value.contract names" in found.text


def test_a_segment_by_channel_says_what_its_channel_brings_back(month: Callable[..., SimpleNamespace]):
    found = month(segment="channel=paid_search")
    block = returns.channels(found.scope, value.measure(found.scope, found.people))
    assert "what its channel costs" in block.text or "more than its channel costs" in block.text
    assert "Paid search" in block.text
    assert "come on top" in block.text
    free = month(segment="channel=direct")
    assert "no costs are known" in returns.channels(free.scope, value.measure(free.scope, free.people)).text
    students = month(segment="audience=student")
    told = returns.channels(students.scope, value.measure(students.scope, students.people)).text
    assert "costs are not known by segment" in told
