"""Old reports go, the last good one never does, and no link leads nowhere afterwards."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.runs import prune
from funnel_lib.reporting.upkeep.pruning import Rule, old
from funnel_lib.reporting.upkeep.verifying import verify

TODAY = date(2026, 7, 10)


def record(month: int, status: str = "ok", segment: str = "all", language: str = "en") -> dict[str, Any]:
    period = {"name": f"2026-{month:02d}", "from": f"2026-{month:02d}-01", "to": f"2026-{month + 1:02d}-01"}
    params = {"segment": segment, "language": language}
    return {"report": "conversion", "period": period, "params": params, "status": status}


def months(records: list[Any], rule: Rule) -> list[int]:
    return [int(found["period"]["name"][-2:]) for found in old(records, rule, TODAY)]


def test_which_reports_are_old() -> None:
    records = [record(month) for month in (6, 4, 5, 3)]
    assert months(records, Rule(keep=2)) == [3, 4]
    # April ended 71 days before, May 40.
    assert months(records, Rule(age=timedelta(days=60))) == [3, 4]
    assert months(records, Rule(age=timedelta(days=71))) == [3]
    assert months(records, Rule(keep=3, age=timedelta(days=10))) == [3]
    assert months(records, Rule(keep=1, age=timedelta(days=200))) == []
    assert months(records, Rule(keep=9)) == []


def test_the_last_good_report_of_each_kind_stays() -> None:
    records = [record(3), record(4), record(5, "failed"), record(6, "no data")]
    assert months(records, Rule(keep=1)) == [3, 5]
    assert months(records, Rule(age=timedelta(days=1))) == [3, 5, 6]
    kinds = [record(3), record(3, segment="a=b"), record(4, language="zh")]
    assert months(kinds, Rule(keep=1)) == []
    whole = {**record(3), "period": {"name": "all", "from": "2026-01-01", "to": "2026-03-01"}}
    assert months([whole, record(4), {**record(3), "period": {"name": "all"}}], Rule(age=timedelta(0))) == []


def test_a_rule_must_say_something() -> None:
    with pytest.raises(ConfigError, match="Nothing says"):
        Rule()


def test_what_is_old_goes_with_all_links_to_it(shop: Path) -> None:
    workbook, reports = shop / "params" / "shop.yml", shop / "reports" / "shop"
    may = reports / "2026-05/all/conversion.en.html"
    before = json.loads(may.with_name("conversion.en.manifest.json").read_text())
    assert "2026-04/all/conversion.en.html" in may.read_text()
    assert [job.period for job in prune(workbook, Rule(keep=1), dry_run=True)] == ["2026-04"]
    assert (reports / "2026-04").is_dir()
    assert [job.period for job in prune(workbook, Rule(keep=1))] == ["2026-04"]
    assert not (reports / "2026-04").exists()
    links = re.findall(r'href="([^"#]+)"', may.read_text())
    assert links
    assert [link for link in links if not (may.parent / link).is_file()] == []
    assert "2026-04" not in (reports / "index.html").read_text()
    assert "10 people came in 2026-05." in may.read_text()
    after = json.loads(may.with_name("conversion.en.manifest.json").read_text())
    assert {name for name in before if before[name] != after.get(name)} == {"outputs"}
    assert verify(reports).faults == ()
    assert prune(workbook, Rule(keep=1)) == []
