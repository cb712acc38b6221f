"""What the tests of collection share: workbooks with their exports in a private folder."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from funnel_lib.collection.files import Export
from funnel_lib.config import Workbook, load

FUNNEL = {"steps": [{"name": "visit", "event": "page_view"}, {"name": "buy", "event": "purchase"}]}
Book = Callable[..., Workbook]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Write a workbook and its exports (file -> text or bytes) below `tmp_path`, and load it."""

    def make(sources: Mapping[str, Any], files: Mapping[str, str | bytes], **more: Any) -> Workbook:
        content = {"name": "shop", "title": "Shop", "funnel": FUNNEL, **more, "sources": dict(sources)}
        (tmp_path / "params").mkdir(exist_ok=True)
        (tmp_path / "params" / "shop.yml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        raw = tmp_path / "data" / "raw" / "shop"
        raw.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (raw / name).parent.mkdir(parents=True, exist_ok=True)
            (raw / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return load(tmp_path / "params" / "shop.yml")

    return make


@pytest.fixture
def export(book: Book) -> Callable[..., Export]:
    """An `Export` of the one source `s` of a workbook."""

    def make(source: Mapping[str, Any], files: Mapping[str, str | bytes] | None = None, **more: Any) -> Export:
        workbook = book({"s": source}, files or {}, **more)
        return Export("s", workbook.sources["s"], workbook)

    return make


@pytest.fixture
def xlsx() -> Callable[..., bytes]:
    """The bytes of a spreadsheet with the given rows in the sheet `Data`."""

    def make(rows: list[list[Any]], sheet: str = "Data") -> bytes:
        file = openpyxl.Workbook()
        page = file.active
        assert page is not None
        page.title = sheet
        for row in rows:
            page.append(row)
        held = io.BytesIO()
        file.save(held)
        return held.getvalue()

    return make


@pytest.fixture
def hit() -> Callable[..., dict[str, Any]]:
    """A row of the GA4 export: person `p`, second `at` of 2026-03-01 (UTC), event `page_view`, with changes."""

    def make(person: str = "p", at: float = 0, name: str = "page_view", **more: Any) -> dict[str, Any]:
        params = {"ga_session_id": 1, **more.pop("params", {})}
        row = {
            "event_date": "20260301",
            "event_timestamp": str(1_772_323_200_000_000 + round(at * 1_000_000)),
            "event_name": name,
            "user_pseudo_id": person,
            "event_params": [_pair(key, value) for key, value in params.items()],
            "user_properties": [_pair(key, value) for key, value in more.pop("props", {}).items()],
            "device": {"category": "mobile", "web_info": {"browser": "Chrome"}},
            "traffic_source": {"name": "(organic)", "medium": "organic", "source": "google"},
        }
        return {**row, **more}

    return make


def _pair(key: str, value: object) -> dict[str, Any]:
    if isinstance(value, bool) or value is None:
        return {"key": key, "value": {}}
    kind = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
    return {"key": key, "value": {kind: str(value) if kind == "int_value" else value}}


@pytest.fixture
def jsonl() -> Callable[..., bytes]:
    """JSON lines of rows (texts are taken as they are), gzipped on request."""

    def make(*rows: object, packed: bool = False) -> bytes:
        data = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
        return gzip.compress(data) if packed else data

    return make
