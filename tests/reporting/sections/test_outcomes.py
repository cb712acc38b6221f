"""Open deals count for as long as they were followed; of the closed ones alone, what comes fast looks too frequent."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import funnel_lib as fl
from funnel_lib.reporting.sections import outcomes


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 deals, two a day: 40 % are won after 60 days, 60 % lost after 10; the data ends 20 days after the last."""
    root, rng = tmp_path_factory.mktemp("sales"), np.random.default_rng(5)
    created = pd.date_range("2026-01-01 09:30", periods=600, freq="12h", tz="UTC")
    won = rng.random(600) < 0.4
    closed = created + pd.to_timedelta(np.where(won, 60, 10), unit="D")
    ends = created.max() + pd.Timedelta(days=20)
    known = closed <= ends
    frame = pd.DataFrame({
        "id": [f"d{place}" for place in range(600)], "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "closed": [day.strftime("%Y-%m-%dT%H:%M:%SZ") if done else "" for day, done in zip(closed, known, strict=True)],
        "status": np.where(known, np.where(won, "won", "lost"), "open"), "amount": 100, "currency": "USD",
        "user": [f"u{place}" for place in range(600)], "stage": np.where(won & known, "won", "lead"),
    })  # fmt: skip
    for folder in ("params", "data/raw/sales"):
        (root / folder).mkdir(parents=True)
    frame.to_csv(root / "data/raw/sales/deals.csv", index=False)
    visits = pd.DataFrame({"user": frame["user"], "event": "lead", "time": frame["created"]})
    bought = pd.DataFrame({"user": frame["user"], "event": "won", "time": frame["closed"]})[(won & known)]
    pd.concat([visits, bought, visits.tail(1).assign(time=ends.strftime("%Y-%m-%dT%H:%M:%SZ"))]).to_csv(
        root / "data/raw/sales/log.csv", index=False
    )
    book = {
        "name": "sales", "title": "Sales", "periods": {"every": "all"},
        "sources": {
            "log": {"system": "table", "table": "events", "files": "log.csv",
                    "columns": {"user_id": "user", "event": "event", "ts": "time"}},
            "deals": {"system": "table", "table": "deals", "files": "deals.csv",
                      "columns": {"record_id": "id", "user_id": "user", "amount": "amount", "currency": "currency",
                                  "created": "created", "closed": "closed", "status": "status"}},
        },
        "funnel": {"steps": [{"name": "lead", "event": "lead"}, {"name": "won", "event": "won"}]},
    }  # fmt: skip
    (root / "params" / "sales.yml").write_text(yaml.safe_dump(book))
    (root / "params" / "log.yml").write_text(yaml.safe_dump({
        **book, "name": "log", "sources": {"log": book["sources"]["log"]}
    }))  # fmt: skip
    (root / "data/raw/log").mkdir()
    (root / "data/raw/log/log.csv").write_bytes((root / "data/raw/sales/log.csv").read_bytes())
    for name in ("sales", "log"):
        fl.collect(fl.load(root / "params" / f"{name}.yml"))
    return root / "params" / "sales.yml"


def test_winning_is_told_from_all_deals(sales: Path):
    shown = outcomes.deals(fl.Scope.open(sales, period="all"))
    assert shown.metrics["outcomes.share.low"] < 0.4 < shown.metrics["outcomes.share.high"]
    assert shown.metrics["outcomes.closed"] < 0.4  # losses come fast: of the closed ones fewer are won
    assert "Of the closed ones alone" in shown.text
    assert "outcomes" in shown.tables


def test_without_deals_there_is_no_section(sales: Path):
    assert outcomes.deals(fl.Scope.open(sales.with_name("log.yml"), period="all")) is None


def test_what_the_list_of_deals_leaves_out_is_no_outcome(sales: Path, monkeypatch: pytest.MonkeyPatch):
    scope = fl.Scope.open(sales, period="all")
    every = scope.store.read("deals")
    undated, won = (
        every.assign(created=every["created"].mask(every["created"].notna())),
        every[every["status"] == "won"],
    )
    for table, reason in (
        (undated, "the deals do not say when they were created"),
        (won, "only won deals were collected, and none that are lost or open"),
    ):
        monkeypatch.setattr(type(scope.store), "read", lambda _self, _name, rows=table: rows)
        assert outcomes.deals(scope).text == f"The outcome of deals cannot be computed, because {reason}"
