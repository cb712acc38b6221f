"""Cache keys and manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from funnel_lib.reporting import manifest
from funnel_lib.reporting.manifest import (
    Origin,
    cache_key,
    completed,
    describe,
    git,
    package_sha256,
    read,
    state,
    write,
)
from funnel_lib.reporting.plan import CHECKOUT, Job

ORIGIN = Origin({"events": "a"}, "config", "package", "lock", {"pandas": "3.1.1"})
FACTS = {"inputs": [{"file": "e.csv"}], "tables": {"events": {"rows": 3, "sha256": "a"}}, "data_through": None}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A report whose notebook holds one character."""
    (tmp_path / "n.ipynb").write_text("1")
    return Job("conversion", "2026-05", "all", "en", tmp_path / "n.ipynb")


def test_the_key_depends_on_everything_that_the_report_does(job: Job, tmp_path: Path) -> None:
    other = tmp_path / "other.ipynb"
    other.write_text("2")
    keys = [
        cache_key(job, ORIGIN, None),
        *(cache_key(replace(job, **change), ORIGIN, None) for change in (
            {"report": "collection"}, {"period": "2026-06"}, {"segment": "a=b"}, {"language": "zh"},
            {"notebook": other},
        )),
        *(cache_key(job, replace(ORIGIN, **change), None) for change in (
            {"tables": {"events": "b"}}, {"tables": {}}, {"config_sha256": "x"}, {"package_sha256": "x"},
            {"lock_sha256": None}, {"packages": {"pandas": "3.1.2"}},
        )),
        cache_key(job, ORIGIN, datetime(2026, 6, 1, tzinfo=UTC)),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys) == 13
    assert keys[0] == cache_key(replace(job), replace(ORIGIN), None)


def published(folder: Path, job: Job, *, key: str = "k", status: str = "ok", provisional: bool = False) -> None:
    """Publish a page of five bytes with its manifest."""
    place = folder / job.folder
    place.mkdir(parents=True, exist_ok=True)
    page = place / f"{job.stem}.html"
    page.write_text("hello")
    outcome = {"status": status, "reason": None, "headline": "", "seconds": 1.23456}
    described = describe(job, ORIGIN, FACTS, key=key, as_of=None) | {"provisional": provisional}
    made = completed(described, outcome, datetime(2026, 6, 1, tzinfo=UTC), [page])
    write(made, place / f"{job.stem}.{'manifest' if status == 'ok' else 'failed'}.json")


def test_how_a_report_stands(job: Job, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    assert state(job, reports, "k") == "missing"
    published(reports, job)
    assert state(job, reports, "k") == "current"
    assert state(job, reports, "other") == "stale"
    published(reports, job, provisional=True)
    assert state(job, reports, "k") == "provisional"
    (reports / job.path).write_text("hello!")
    assert state(job, reports, "k") == "missing"
    published(reports, job, status="failed")
    assert state(job, reports, "k") == "failed"
    published(reports, job, status="no data")
    assert state(job, reports, "k") == "no data"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/1"}', "null"])
def test_a_damaged_manifest_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    assert read(tmp_path / "m.json") is None
    assert read(tmp_path / "absent.json") is None


def test_a_manifest_names_its_files_and_their_hashes(job: Job, tmp_path: Path) -> None:
    published(tmp_path, job)
    found = json.loads((tmp_path / job.folder / "conversion.en.manifest.json").read_text())
    # sha256 of "hello"
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert found["outputs"] == [{"path": "conversion.en.html", "bytes": 5, "sha256": digest}]
    assert found["timing"] == {"start": "2026-06-01T00:00:00+00:00", "seconds": 1.235, "slowest_cells": []}
    assert found["metrics_sha256"] is None
    assert len(found["run_id"]) == 16


def test_the_hash_of_the_package_follows_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reporting").mkdir()
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "reporting" / "manifest.py"))
    found = []
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.css", "1"), ("__pycache__/a.pyc", "1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        package_sha256.cache_clear()
        found.append(package_sha256())
    package_sha256.cache_clear()
    assert len(set(found[:3])) == 3
    assert found[3] == found[2]


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "CHECKOUT", tmp_path)
    git.cache_clear()
    assert git() == {"git_commit": None, "dirty": None, "diff_sha256": None}
    (tmp_path / ".git").mkdir()  # not a repository
    git.cache_clear()
    assert git() == {"git_commit": None, "dirty": None, "diff_sha256": None}
    git.cache_clear()
    assert (CHECKOUT / "funnel_lib").is_dir()
