"""`funnel fetch`: what needs no interface; fetching itself is tested in tests/integration/test_rest.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel_lib import cli
from funnel_lib.cli import fetching
from funnel_lib.collection.rest.fetch import Fetched, Outcome
from funnel_lib.errors import ConfigError, DataError
from tests.collection.rest.server import FUNNEL

WORKBOOK = f"""
name: shop
title: Shop
funnel: {FUNNEL}
sources:
  crm: {{system: hubspot, files: "crm/**/*.jsonl.gz", api: {{since: 2026-01-01}}}}
  people: {{system: table, table: users, columns: {{user_id: id}}, files: people.csv}}
"""
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def funnel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run `funnel fetch` on the workbook; returns its exit code and what it wrote on both streams."""
    file = tmp_path / "params" / "shop.yml"
    file.parent.mkdir()
    file.write_text(WORKBOOK, encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["funnel", "fetch", str(file), *arguments])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        written = capsys.readouterr()
        return int(ending.value.code or 0), written.out, written.err

    return command


def outcome(monkeypatch: pytest.MonkeyPatch, found: Outcome) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def fetch(*_: object, **more: Any) -> Outcome:
        asked.append(more)
        return found

    monkeypatch.setattr(fetching.fetching, "fetch", fetch)
    return asked


def test_what_came_is_said_and_what_no_source_reads(funnel: Command, monkeypatch: pytest.MonkeyPatch):
    file = Path("data/raw/shop/crm/api/deals/a.jsonl.gz")
    found = Outcome((Fetched("crm", "deals", 1234, (file,)), Fetched("crm", "contacts", 0, ())), unread=(file,))
    asked = outcome(monkeypatch, found)
    code, said, hinted = funnel("--source", "crm", "--since", "2026-03-01")
    assert code == 0
    assert "crm, deals: 1,234 fetched, 1 file written" in said
    assert "crm, contacts: 0 fetched, 0 files written" in said
    assert "Next: funnel collect" in said
    assert f"No source reads {file}" in hinted
    assert (asked[0]["source"], str(asked[0]["since"])) == ("crm", "2026-03-01")


def test_nothing_new_is_nothing_to_do(funnel: Command, monkeypatch: pytest.MonkeyPatch):
    outcome(monkeypatch, Outcome((Fetched("crm", "deals", 0, ()),)))
    code, _, told = funnel()
    assert (code, "Nothing new" in told) == (3, True)


def test_every_source_that_failed_is_told_and_the_last_sets_the_code(funnel: Command, monkeypatch: pytest.MonkeyPatch):
    outcome(monkeypatch, Outcome((), (ConfigError("No credentials."), DataError("Not answering."))))
    code, _, told = funnel()
    assert code == 2
    assert "No credentials." in told
    assert "Not answering." in told


def test_a_day_that_is_none_and_a_source_without_api_are_refused(funnel: Command):
    code, _, told = funnel("--since", "01.03.2026")
    assert (code, "This is no day" in told) == (1, True)
    code, _, told = funnel("--source", "people")
    assert (code, "no such source with api" in told) == (1, True)


def test_missing_credentials_are_named(funnel: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FUNNEL_CRM_TOKEN", raising=False)
    code, _, told = funnel()
    assert (code, "FUNNEL_CRM_TOKEN" in told) == (1, True)
