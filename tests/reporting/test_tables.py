from __future__ import annotations

import csv
import io
from datetime import date
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel_lib.errors import ConfigError
from funnel_lib.reporting.markup import fragment
from funnel_lib.reporting.tables import Cell, Column, Table
from funnel_lib.reporting.wording import Count, Money, Points, Rate, Say, Share

say = Say("en")
RATES = pd.DataFrame(
    {
        "group": ["a", "b"],
        "n": [300, 12],
        "rate": [0.25, np.nan],
        "low": [0.2, np.nan],
        "high": [0.31, np.nan],
    }
)
COLUMNS = [
    Column("group", "Group"),
    Column("n", "People"),
    Column("rate", "Rate", Rate, "low", "high", sorted="descending"),
]


def shown(table: Table) -> list[list[tuple[str, str]]]:
    return [[(str(cell.text), cell.range) for cell in row.cells] for row in table.rows("en")]


def parsed(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.csv("en"))))


def test_numbers_are_written_by_their_column() -> None:
    assert shown(Table(RATES, COLUMNS, "Rates")) == [
        [("a", ""), ("300", ""), ("25.0%", "20.0–31.0%")],
        [("b", ""), ("12", ""), ("–", "")],
    ]


def test_cells_may_be_values_already() -> None:
    frame = pd.DataFrame(
        {
            "what": [say("Cost"), "Gain", "Day"],
            "value": [Money(412, "CNY", 393, 433), Points(0.004, -0.001, 0.009, unit="pp"), date(2026, 5, 1)],
            "share": [Share(0.5), None, 2.5],
        }
    )
    table = Table(frame, [Column("what", "What"), Column("value", "Value"), Column("share", "Share")], "Mixed")
    assert shown(table) == [
        [("Cost", ""), ("¥412", "¥393–¥433"), ("50%", "")],
        [("Gain", ""), ("+0.4 pp", "−0.1 to +0.9"), ("–", "")],
        [("Day", ""), ("2026-05-01", ""), ("2.5", "")],
    ]
    assert parsed(table) == [
        ["What", "Value", "Value (low)", "Value (high)", "Share"],
        ["Cost", "412", "393", "433", "0.5"],
        ["Gain", "0.004", "-0.001", "0.009", ""],
        ["Day", "2026-05-01", "", "", "2.5"],
    ]


def test_days_do_not_break() -> None:
    days = pd.DataFrame({"day": [date(2026, 5, 18)], "n": [3]})
    made = Table(days, [Column("day", "Day"), Column("n", "People")], "Days")
    ((day, people),) = (row.cells for row in made.rows("en"))
    assert (day.text, day.whole, people.whole) == ("2026-05-18", True, False)


def test_csv_has_full_precision_and_empty_cells_for_missing_numbers() -> None:
    frame = RATES.assign(rate=[1 / 3, np.nan])
    assert parsed(Table(frame, COLUMNS, "Rates")) == [
        ["Group", "People", "Rate", "Rate (low)", "Rate (high)"],
        ["a", "300", repr(1 / 3), "0.2", "0.31"],
        ["b", "12", "", "", ""],
    ]


def test_csv_keeps_two_columns_of_one_title_apart() -> None:
    table = Table(RATES, [Column("n", "N"), Column("rate", "N")], "x")
    assert parsed(table)[0] == ["N", "N [rate]"]


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1+1", "-2+3+cmd|' /C calc'!A0"]
)
def test_csv_holds_no_formulas(evil: str) -> None:
    frame = pd.DataFrame({"name": [evil], "sentence": [say("{x}", x=1)], "cell": [Cell(evil)], "n": [-3]})
    columns = [Column("name", evil), Column("sentence", "S"), Column("cell", "C"), Column("n", "N")]
    head, row = parsed(Table(frame, columns, "x"))
    assert head[0] == "'" + evil
    assert row == ["'" + evil, "1", "'" + evil, "-3"]  # numbers stay numbers


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_csv_can_be_read_back(names: list[str]) -> None:
    table = Table(pd.DataFrame({"name": pd.Series(names, dtype=object)}), [Column("name", "Name")], "x")
    with io.StringIO(table.csv("en"), newline="") as text:
        assert [row[0] if row else "" for row in csv.reader(text)][1:] == [
            "'" + name if name[:1] and name[:1] in "=+-@\t\r\n＝＋－＠" else name for name in names
        ]


def test_rows_with_too_few_units_and_the_total() -> None:
    few = lambda row: say("too few ({n})", n=row["n"]) if row["n"] < 30 else None  # noqa: E731
    rows = Table(RATES, COLUMNS, "Rates", few=few, total=True).rows("en")
    assert [row.kind for row in rows] == ["", "tot"]
    rows = Table(RATES, COLUMNS, "Rates", few=few).rows("en")
    assert [row.kind for row in rows] == ["", "few"]
    assert [(str(cell.text), cell.wide) for cell in rows[1].cells] == [
        ("b", 1),
        ("12", 1),
        ("too few (12)", 1),
    ]


def test_a_heat_map_shades_by_value_and_marks_what_is_not_final() -> None:
    frame = pd.DataFrame({"w": ["x", "y"], "a": [0.0, 0.6], "b": [1.2, np.nan], "open": [False, True]})
    columns = [Column("w", "W"), Column("a", "A", shade=True, open="open"), Column("b", "B", shade=True)]
    table = Table(frame, columns, "Heat", look="heat")
    # six steps from 0 to 1.2: 0 is the first, 1.2 the last; the open cell has a hatch in place of its colour
    assert [[(cell.level, cell.tone) for cell in row.cells] for row in table.rows("en")] == [
        [(0, ""), (1, ""), (6, "")],
        [(0, ""), (0, "open"), (0, "nil")],
    ]
    flat = Table(frame.assign(a=0.5, b=0.5), [columns[0], Column("b", "B", shade=True)], "Heat")
    assert [row.cells[1].level for row in flat.rows("en")] == [1, 1]


def test_html_is_a_real_table() -> None:
    frame = RATES.assign(group=["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
    few = lambda row: "too few" if row["n"] < 30 else None  # noqa: E731
    columns = [*COLUMNS[:2], Column("high", "High", partial(Share, digits=1)), COLUMNS[2]]
    html = fragment("en", "table", Table(frame, columns, say("By {g}", g="<b>"), few=few, look="seg"))
    assert html.count('<th scope="col"') == 4
    assert html.count("<th scope=row>") == 2
    assert '<caption class="sr">By &lt;b&gt;</caption>' in html
    assert 'aria-label="By &lt;b&gt;"' in html
    assert 'aria-sort="descending"' in html
    assert '<td class="l" colspan="2">too few</td>' in html
    assert '25.0%<span class="ci">20.0–31.0%</span>' in html
    assert "<script" not in html
    assert "<img" not in html


def test_marks_are_words_too_and_links_are_relative() -> None:
    frame = pd.DataFrame({"a": [Cell("A", href="javascript:alert(1)")], "b": [Cell("+0.4", symbol="▲", tone="good")]})
    html = fragment("en", "table", Table(frame, [Column("a", "A"), Column("b", "B")], "x"))
    assert '<a href="./javascript:alert(1)">A</a>' in html
    assert '<span class="good"><span aria-hidden="true">▲</span> +0.4</span>' in html


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="lacks a column") as caught:
        Table(RATES, [Column("rat", "Rate")], "x", name="rates")
    assert "did you mean rate?" in str(caught.value)


def test_the_frame_is_left_as_it_was() -> None:
    before = RATES.copy()
    table = Table(RATES, COLUMNS, "x")
    table.rows("zh"), table.csv("zh")
    pd.testing.assert_frame_equal(RATES, before)


def test_counts_of_numpy_are_counts() -> None:
    frame = pd.DataFrame({"a": ["x"], "n": np.array([12_402], dtype="int32")})
    assert shown(Table(frame, [Column("a", "A"), Column("n", "N")], "x"))[0][1] == (
        Count(12_402).format("en"),
        "",
    )
