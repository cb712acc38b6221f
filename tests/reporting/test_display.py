"""Results in a notebook: tables of the house, with what a frame leaves out said."""

from __future__ import annotations

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell

from funnel_lib.conversion.journeys import journeys as counted
from funnel_lib.definition import Funnel, Step
from funnel_lib.reporting import display

RATES = pd.DataFrame(
    {"group": ["a<b>", "b"], "denominator": [40, 3], "rate": [0.25, float("nan")], "low": [0.2, float("nan")],
     "high": [0.31, float("nan")], "reason": ["", "too_few"]}
)  # fmt: skip
EVENTS = pd.DataFrame(
    {"user_id": ["u", "u", "v"], "event": ["A", "B", "A"],
     "ts": pd.to_datetime(["2026-05-01", "2026-05-02", "2026-05-03"], utc=True)}
)  # fmt: skip


def cells(html: str) -> list[list[str]]:
    soup = BeautifulSoup(html, "html.parser")
    return [[cell.get_text(" ") for cell in row.select("th, td")] for row in soup.select("tr")]


@pytest.fixture
def shell() -> InteractiveShell:
    """A notebook's shell of its own; frames are shown by pandas until the extension is loaded."""
    return InteractiveShell()


def html(shell: InteractiveShell, result: object) -> str:
    data, _ = shell.display_formatter.format(result, include={"text/html"})
    return str(data["text/html"])


def test_an_estimate_stands_with_its_interval_and_nothing_is_markup() -> None:
    shown = display.frame(RATES, caption="By group")
    assert cells(shown._repr_html_()) == [
        ["group", "denominator", "rate", "reason"], ["a<b>", "40", "25.0% 20.0–31.0%", ""], ["b", "3", "–", "too_few"],
    ]  # fmt: skip
    assert "By group · 2 rows" in shown.html
    assert BeautifulSoup(shown.html, "html.parser").select("b") == []


def test_long_frames_say_what_they_leave_out() -> None:
    long = pd.DataFrame({"n": range(100)}, index=pd.Index(range(100), name="day"))
    shown = display.frame(long, rows=5)
    assert cells(shown.html)[:2] == [["day", "n"], ["0", "0"]]
    assert len(cells(shown.html)) == 6
    assert "100 rows; the first 5 are shown" in shown.html
    assert "共100行，显示前5行" in display.frame(long, rows=5, language="zh").html


@pytest.mark.parametrize("empty", [pd.DataFrame(), pd.DataFrame({"a": []})])
def test_nothing_is_a_table_too(empty: pd.DataFrame) -> None:
    assert "0 rows" in display.frame(empty).html


def test_journeys_say_how_far_people_went() -> None:
    found = counted(EVENTS, Funnel([Step("came", "A"), Step("bought", "B")], window="7d"))
    assert cells(display.journeys(found).html)[1:] == [["1", "came", "2"], ["2", "bought", "1"]]


def test_the_extension_can_be_loaded_and_unloaded(shell: InteractiveShell) -> None:
    display.load_ipython_extension(shell)
    assert 'class="funnel"' in html(shell, RATES)
    display.unload_ipython_extension(shell)
    assert 'class="funnel"' not in html(shell, RATES)


def test_the_frame_is_left_as_it_is() -> None:
    before = RATES.copy()
    display.frame(RATES)
    pd.testing.assert_frame_equal(RATES, before)
