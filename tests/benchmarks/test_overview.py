"""The page on statistics has figures for every kind of interval that reports show, and none that breaks its promise."""

import pandas as pd
import pytest

from benchmarks.overview import KINDS, PAGE, TITLE, Kind, coverage, tables
from benchmarks.pages import DOCS

TEXT = """## One

Words.

| case | size | covered |
| --- | ---: | ---: |
| a | 10 | 0.9 |
| b | 1,000 | 0.95 |
| b | 2,000 | – |

| other |
| --- |
| x |

## Two

| covered |
| ---: |
| 0.1 |
"""


def kind(section="One", columns=("covered",), where=None):
    return Kind("", "", "", "", section, columns, where)


def test_tables_are_read_as_they_stand():
    found = tables(TEXT)
    assert [list(table) for table in found] == [["case", "size", "covered"], ["other"], ["covered"]]
    assert found[0]["size"].tolist() == ["10", "1,000", "2,000"]


def test_coverages_are_those_of_the_section_and_of_the_rows_asked_for():
    assert coverage(TEXT, kind()).tolist() == [0.9, 0.95]  # a dash is no number
    assert coverage(TEXT, kind(where=("case", "b"))).tolist() == [0.95]
    assert coverage(TEXT, kind(where=("size", 100.0))).tolist() == [0.95]
    assert coverage(TEXT, kind(section="Two")).tolist() == [0.1]
    assert coverage(TEXT, kind(columns=("held",))).empty
    assert coverage(TEXT, kind(section="Three")).empty


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_every_kind_of_interval_has_its_figures(kind):
    found = coverage((DOCS / PAGE).read_text(encoding="utf-8"), kind)
    assert len(found) > 0, f"run: python -m benchmarks {kind.command} overview"
    assert found.min() > 0.88
    assert found.le(1).all()


def test_the_overview_on_the_page_is_that_of_its_tables():
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    shown = next(table for table in tables(page.split(f"## {TITLE}")[1]) if "lowest" in table)
    assert shown["interval of"].tolist() == [kind.what for kind in KINDS]
    lowest = pd.Series([coverage(page, kind).min() for kind in KINDS])
    assert shown["lowest"].astype(float).tolist() == pytest.approx(lowest.tolist(), abs=0.001)
