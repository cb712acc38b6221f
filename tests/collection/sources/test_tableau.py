import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel_lib.collection.batch import Batch
from funnel_lib.collection.files import Export
from funnel_lib.collection.sources import OFFERS, tableau
from funnel_lib.errors import ConfigError, DataError

COLUMNS = {"date": "Day", "campaign": "Campaign", "impressions": "Shown", "clicks": "Clicks", "cost": "Cost"}
SOURCE = {"system": "tableau", "table": "spend", "files": "*", "columns": COLUMNS,
          "constants": {"platform": "radio"}}  # fmt: skip
ROWS = [["Day", "Campaign", "Shown", "Clicks", "Cost"], ["2026-03-01", "A", "1,000", "7", "12.5"]]
Exports = Callable[..., Export]


def read(export: Exports, data: bytes, name: str = "a.csv", **source: Any) -> Batch:
    made = export({**SOURCE, **source}, {name: data})
    (batch,) = tableau.read(made.files(), made)
    return batch


def test_a_crosstab_in_utf16_with_tabs(export: Exports):
    batch = read(export, "".join("\t".join(row) + "\n" for row in ROWS).encode("utf-16"))
    assert batch.rows[["campaign", "impressions", "cost"]].to_numpy().tolist() == [["A", 1000.0, 12.5]]


def test_the_workbook_has_to_say_the_columns(export: Exports):
    OFFERS["tableau"].require(export(SOURCE))
    with pytest.raises(ConfigError, match="needs clicks"):
        OFFERS["tableau"].require(export({**SOURCE, "columns": {k: v for k, v in COLUMNS.items() if k != "clicks"}}))


def test_an_extract_without_the_library_names_the_extra(export: Exports, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pantab", None)
    with pytest.raises(ConfigError, match="not installed") as error:
        read(export, b"Hyper\x08\x00\x00", name="a.hyper")
    assert error.value.allowed == "the extra tableau"


@pytest.fixture
def hyper(tmp_path: Path) -> Callable[..., bytes]:
    import pantab  # the tests that use this are slow ones, which have every extra

    def make(*names: str) -> bytes:
        frame = pd.DataFrame({"Day": pd.to_datetime(["2026-03-01"]), "Campaign": ["A"], "Shown": [5], "Clicks": [1],
                              "Cost": [2.5]})  # fmt: skip
        file = tmp_path / "made.hyper"
        pantab.frames_to_hyper(dict.fromkeys(names, frame), file)
        return file.read_bytes()

    return make


@pytest.mark.slow
def test_an_extract_is_read_like_a_table(export: Exports, hyper: Callable[..., bytes]):
    batch = read(export, hyper("Extract"), name="a.hyper")
    assert batch.rows[["campaign", "impressions", "cost"]].to_numpy().tolist() == [["A", 5.0, 2.5]]
    assert batch.read == {"a.hyper": 1}


@pytest.mark.slow
def test_of_several_tables_one_is_named(export: Exports, hyper: Callable[..., bytes]):
    data = hyper("First", "Second")
    assert len(read(export, data, name="a.hyper", sheet="Second").rows) == 1
    with pytest.raises(DataError, match="exactly one table") as error:
        read(export, data, name="a.hyper")
    assert error.value.allowed == "public.First, public.Second"


@pytest.mark.slow
def test_a_damaged_extract_is_refused(export: Exports, hyper: Callable[..., bytes]):
    with pytest.raises(DataError, match="extract cannot be read"):
        read(export, hyper("Extract")[:2000], name="a.hyper")
