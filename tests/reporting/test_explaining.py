"""`funnel explain` without its shell: the table of attempts, the words, and which funnel and events are meant."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from funnel_lib.errors import ConfigError, DataError
from funnel_lib.reporting.asking import Asked
from funnel_lib.reporting.explaining import explained

_SHOP = runpy.run_path(str(Path(__file__).with_name("shop.py")))
collected, shop = _SHOP["collected"], _SHOP["shop"]
# The first attempt of a runs out on the 8th, the second comes to the end; z makes the 30th the newest day.
ROWS = ["a,A,2026-05-01T10:00,x", "a,A,2026-05-07T10:00,y", "a,B,2026-05-09T10:00,y", "z,A,2026-05-30T10:00,x"]
AB = Asked(step=["A", "B"], window="7d")


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "log.csv").write_text("\n".join(["user_id,event,ts,cart", *ROWS]))
    return str(tmp_path / "log.csv")


@pytest.fixture
def there(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shop)
    return shop


def cells(text: str) -> list[list[str]]:
    """The table as cells; columns have two spaces between."""
    table = text.split("\n\n")[0]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.split("\n")]


def test_the_table_and_the_words(file: str):
    text = explained("a", [file], AB)
    assert cells(text) == [
        ["A", "B", "ended", "at", "counts"],
        ["1", "2026-05-01 10:00:00", "-", "timed out", "2026-05-08 10:00:00", "no: less deep"],
        ["2", "2026-05-07 10:00:00", "2026-05-09 10:00:00", "converted", "2026-05-09 10:00:00", "yes"],
    ]
    assert text.split("\n\n")[1].startswith("a counts as converted")
    chinese = explained("a", [file], AB, language="zh")
    assert cells(chinese) == cells(text)
    assert "a计为已转化" in chinese


def test_a_user_without_attempts_has_no_table(file: str):
    assert explained("nobody", [file], AB).startswith("nobody does not count: the data holds no event of it.")


def test_times_are_those_of_the_zone(file: str):
    asked = Asked(step=["A", "B"], window="7d", zone="Asia/Shanghai", since="2026-05-02")
    text = explained("a", [file], asked)
    assert [row[1] for row in cells(text)[1:]] == ["2026-05-07 18:00:00"]
    assert "Asia/Shanghai" in text


def test_several_logs_and_exclusions_have_columns_of_their_own(file: str):
    held = cells(explained("a", [file], Asked(step=["A", "B"], window="7d", hold=["cart"])))
    assert held[0] == ["log", "A", "B", "ended", "at", "counts"]
    assert [row[1] for row in held[1:]] == ["x", "y"]
    spoilt = cells(explained("a", [file], Asked(step=["A", "B"], window="30d", exclude=["A"])))
    assert spoilt[1][3] == "excluded by A"
    anyhow = cells(explained("a", [file], Asked(step=["B", "A"], window="7d", order="any")))
    assert anyhow[0][0] == "entry"  # which need not be the first step


def test_the_workbook_tells_funnel_events_and_zone(there: Path):
    text = explained("u1", [], Asked())
    assert cells(text)[0] == ["visit", "buy", "ended", "at", "counts"]
    assert cells(text)[1] == [
        "1", "2026-04-02 12:00:00", "2026-04-02 13:00:00", "converted", "2026-04-02 13:00:00", "yes"
    ]  # fmt: skip
    book = there / "params/shop.yml"
    assert explained("u1", [], Asked(), workbook=book) == text
    book.write_text(book.read_text().replace("timezone: UTC", "timezone: Asia/Shanghai"))
    assert cells(explained("u1", [], Asked()))[1][1] == "2026-04-02 20:00:00"
    assert cells(explained("u1", [], Asked(step=["buy"])))[0][0] == "buy"  # its events, another funnel
    events = str(there / "data/processed/shop/events.parquet")
    assert cells(explained("u1", [events], Asked(), workbook=book)) == cells(explained("u1", [], Asked()))


@pytest.mark.parametrize(
    ("files", "more", "what"),
    [
        (["log.csv"], {}, "at least one step"),
        ([], {"window": "3d"}, "workbook defines the funnel"),
        ([], {"exclude": ["x"]}, "workbook defines the funnel"),
        ([], {"open": True}, "workbook defines the funnel"),
        ([], {"unit": "account"}, "workbook defines the funnel"),
    ],
)
def test_it_must_be_clear_which_funnel_is_meant(there: Path, files: list[str], more: dict[str, Any], what: str):
    with pytest.raises(ConfigError, match=what):
        explained("u1", files, Asked(**more))


def test_it_must_be_clear_which_workbook_is_meant(there: Path):
    shutil.copy(there / "params/shop.yml", there / "params/second.yml")
    with pytest.raises(ConfigError, match="not clear which workbook") as error:
        explained("u1", [], Asked())
    assert error.value.found == "params/second.yml, params/shop.yml"
    shutil.rmtree(there / "params")
    with pytest.raises(ConfigError, match="no workbook here"):
        explained("u1", [], Asked())


def test_nothing_collected(there: Path):
    events = there / "data/processed/shop/events.parquet"
    events.unlink()
    with pytest.raises(DataError, match="no events that could explain"):
        explained("u1", [], Asked())
    assert json.loads((there / "data/processed/shop/facts.json").read_text())
    shutil.rmtree(there / "data/processed")
    with pytest.raises(DataError) as error:
        explained("u1", [], Asked())
    assert "funnel collect" in str(error.value)


def test_another_language(file: str):
    with pytest.raises(ConfigError, match="no such language"):
        explained("a", [file], AB, language="de")
