"""`funnel count` without its shell: counts worked out by hand, in three forms."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.rates import rates, wilson
from funnel_lib.errors import ConfigError, DataError
from funnel_lib.reporting.asking import Asked
from funnel_lib.reporting.counting import Counted, Question, aligned, count, length, plain, write
from funnel_lib.settings import Rules

STEPS = ["Visit=page_view", "Cart=add_to_cart", "Buy=purchase,order"]
# u: all the way on the 3rd; v: as far as the cart; w: enters by ads, and later by mail, where it buys within a day;
# x: only buys, never enters; y: enters on the 20th, its week is not over on the 21st.
ROWS = """\
u,page_view,2026-05-01T10:00:00Z,organic,
u,add_to_cart,2026-05-02T10:00:00Z,,
u,order,2026-05-03T10:00:00Z,,15
v,page_view,2026-05-01T10:00:00Z,organic,
v,add_to_cart,2026-05-02T10:00:00Z,,
v,purchase,2026-05-09T10:00:00Z,,30
w,page_view,2026-05-01T10:00:00Z,ads,
w,page_view,2026-05-10T10:00:00Z,mail,
w,add_to_cart,2026-05-10T11:00:00Z,,
w,purchase,2026-05-10T12:00:00Z,,5
x,purchase,2026-05-10T12:00:00Z,,5
y,page_view,2026-05-20T10:00:00Z,,
z,other,2026-05-21T10:00:00Z,,
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "log.csv").write_text("user_id,event,ts,channel,amount\n" + ROWS)
    return str(tmp_path / "log.csv")


def asked(**more: Any) -> Asked:
    return Asked(**({"step": STEPS, "window": "7d"} | more))


def counted(file: str, *, by: tuple[str, ...] = (), touch: str = "entry", allow: bool = False, **more: Any) -> Counted:
    return count([file], Question(asked(**more), by, touch, allow_unmatched=allow))


def units(steps: list[dict[str, Any]]) -> list[int]:
    return [step["count"] for step in steps]


def test_the_json_of_a_small_log(file: str):
    found = json.loads(write(counted(file, by=("channel",)), "json"))
    low, high = wilson(2, 4)
    previous_low, previous_high = wilson(2, 3)
    assert found["unit"] == "user_id"
    assert found["steps"] == [
        {"step": "Visit", "count": 4, "rate_of_previous": 1.0, "rate_of_first": 1.0, "low": 1.0, "high": 1.0,
         "previous_low": 1.0, "previous_high": 1.0},
        {"step": "Cart", "count": 3, "rate_of_previous": 0.75, "rate_of_first": 0.75, "low": wilson(3, 4)[0],
         "high": wilson(3, 4)[1], "previous_low": wilson(3, 4)[0], "previous_high": wilson(3, 4)[1]},
        {"step": "Buy", "count": 2, "rate_of_previous": 2 / 3, "rate_of_first": 0.5, "low": low, "high": high,
         "previous_low": previous_low, "previous_high": previous_high},
    ]  # fmt: skip
    # The journey of w that counts is that of the 10th; y has no channel.
    assert {group: units(told["steps"]) for group, told in found["groups"].items()} == {
        "organic": [2, 2, 1], "mail": [1, 1, 1], "unknown": [1, 0, 0]
    }  # fmt: skip
    assert list(found["groups"]) == ["organic", "mail", "unknown"]
    assert (found["window"], found["order"], found["counting"], found["preset"]) == (
        "7d", "ordered", "units", "reference"
    )  # fmt: skip
    assert found["as_of"] == "2026-05-21T10:00:00+00:00"
    assert found["mature"]["entered_until"] == "2026-05-14T10:00:00+00:00"
    assert units(found["mature"]["steps"]) == [3, 3, 2]
    assert found["set_aside"]["no_time"] == found["set_aside"]["no_unit"] == 0


def test_groups_by_the_first_touch_and_by_a_step(file: str):
    first = plain(counted(file, by=("channel",), touch="first"))["groups"]
    assert {group: units(told["steps"]) for group, told in first.items()} == {
        "organic": [2, 2, 1], "ads": [1, 1, 1], "unknown": [1, 0, 0]
    }  # fmt: skip
    for touch in ("Buy", "3"):
        at_buying = plain(counted(file, by=("amount",), touch=touch))["groups"]
        assert set(at_buying) == {"unknown", "15.0", "5.0"}
    with pytest.raises(ConfigError, match="no such event") as error:
        counted(file, by=("channel",), touch="frist")
    assert "did you mean first?" in str(error.value)
    with pytest.raises(ConfigError, match="no such step"):
        counted(file, by=("channel",), touch="4")


def test_several_columns_and_only_the_largest_groups(file: str):
    found = counted(file, by=("channel", "amount"))
    groups = plain(found)["groups"]
    assert list(groups) == ["organic · unknown", "mail · unknown", "unknown · unknown"]
    few = plain(found, top=1)["groups"]
    assert {group: units(told["steps"]) for group, told in few.items()} == {
        "organic · unknown": [2, 2, 1], "other": [2, 1, 1]
    }  # fmt: skip


def test_everything_that_is_counted_is_what_journeys_count(tmp_path: Path):
    rng = np.random.default_rng(3)
    n = 4000
    log = pd.DataFrame(
        {
            "user_id": rng.integers(0, 400, n),
            "event": rng.choice(["page_view", "add_to_cart", "purchase", "order"], n),
            "ts": pd.Timestamp("2026-05-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 2_000_000, n), unit="s"),
            "channel": rng.choice(["a", "b", "c"], n),
        }
    )
    log.to_parquet(tmp_path / "log.parquet")
    for more in ({}, {"open": True}, {"optional": ["Cart"]}, {"counting": "entries"}, {"window": "none"}):
        found = counted(str(tmp_path / "log.parquet"), by=("channel",), **more)
        whole = journeys(log, found.funnel, by=["channel"])
        for by in (None, "channel"):
            table = rates(whole, by, rules=Rules(min_units=1, min_events=0), mature_only=False)
            wanted = table[table["base"] == "first"]
            steps = found.tally.passages(by).merge(wanted, on=["group", "step"])
            assert steps["units"].tolist() == steps["numerator"].tolist()
        told = plain(found)
        of_all = table_of(whole, "first")
        assert [step["rate_of_first"] for step in told["steps"]] == of_all["rate"].tolist()
        assert [step["low"] for step in told["steps"]] == of_all["low"].tolist()
        assert [step["high"] for step in told["steps"]] == of_all["high"].tolist()
        previous = table_of(whole, "previous")
        assert [step["rate_of_previous"] for step in told["steps"][1:]] == previous["rate"].tolist()
        assert [step["previous_low"] for step in told["steps"][1:]] == previous["low"].tolist()
        assert sum(units(group["steps"])[0] for group in told["groups"].values()) == units(told["steps"])[0]


def table_of(found: Any, base: str) -> pd.DataFrame:
    table = rates(found, rules=Rules(min_units=1, min_events=0), mature_only=False)
    return table[table["base"] == base]


def test_an_open_funnel_has_no_rate_before_its_first_step(file: str):
    # x enters at the third step, so five enter in all; v buys on the 9th, later than a week after its visit, but
    # within a week of its cart.
    steps = plain(counted(file, open=True))["steps"]
    assert units(steps) == [4, 3, 4]
    assert steps[0]["rate_of_previous"] is None
    assert steps[0]["rate_of_first"] == pytest.approx(4 / 5)
    assert steps[2]["rate_of_previous"] == pytest.approx(1)  # all three with a cart bought after it


def test_nobody_has_no_rate(file: str):
    steps = plain(counted(file, since="2026-06-01"))["steps"]
    assert units(steps) == [0, 0, 0]
    assert {value for step in steps for name, value in step.items() if name not in ("step", "count")} == {None}


def test_the_period_is_that_of_entries(file: str):
    found = counted(file, since="2026-05-02", until="2026-05-10", zone="Asia/Shanghai")
    assert units(plain(found)["steps"]) == [1, 1, 1]  # w, on the 10th
    assert plain(found)["period"] == "2026-05-02..2026-05-10"
    assert units(plain(counted(file, as_of="2026-05-02T12:00:00Z"))["steps"]) == [3, 2, 0]


def test_the_csv(file: str):
    rows = list(csv.DictReader(io.StringIO(write(counted(file, by=("channel",)), "csv"))))
    assert [(row["group"], row["step"], row["count"]) for row in rows[:4]] == [
        ("all", "Visit", "4"), ("all", "Cart", "3"), ("all", "Buy", "2"), ("organic", "Visit", "2")
    ]  # fmt: skip
    assert len(rows) == 3 * 4
    assert float(rows[2]["low"]) == wilson(2, 4)[0]
    assert rows[-1]["rate_of_previous"] == ""  # of the unknown channel nobody had a cart


def test_a_spreadsheet_takes_nothing_for_a_formula(tmp_path: Path):
    (tmp_path / "log.csv").write_text("user_id,event,ts,channel\na,=1+1,2026-05-01,=HYPERLINK()\n")
    question = Question(Asked(step=["=A==1+1"[1:]]), ("channel",))
    rows = list(csv.reader(io.StringIO(write(count([str(tmp_path / "log.csv")], question), "csv"))))
    assert rows[2][0] == "'=HYPERLINK()"


def test_the_table(file: str):
    text = write(counted(file, by=("channel",)), "table")
    lines = text.split("\n")
    assert lines[0].split() == ["channel", "step", "count", "of", "previous", "of", "first"]
    assert lines[1].split() == ["all", "Visit", "4", "100.0%", "100.0%"]
    assert lines[3].split() == ["Buy", "2", "66.7%", "(20.8–93.9)", "50.0%", "(15.0–85.0)"]
    assert lines[4].startswith("organic  Visit")
    assert "user_id · ordered · window 7d · reference · as of 2026-05-21 10:00 UTC" in text
    assert "Window over for 3: 2 of them, 66.7% (20.8–93.9), reached Buy." in text
    assert "set aside" not in text


def test_no_window_is_over_yet(file: str):
    assert "Nobody's window is over yet." in write(counted(file, window="90d"), "table")
    assert "indow over" not in write(counted(file, window="none"), "table")
    assert "Window over for 3: 3 of them, 100.0%, reached Visit." in write(counted(file, step=STEPS[:1]), "table")
    # Open: u, v and w, and x, too, whose purchase of the 10th is older than a week. All four bought at some time.
    assert "Window over for 4: 4 of them, 100.0% (51.0–100.0), reached Buy." in write(counted(file, open=True), "table")


def test_a_table_shows_the_twenty_largest_groups(tmp_path: Path):
    rows = [f"u{n},A,2026-05-01,c{n:02d}" for n in range(30)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,event,ts,channel", *rows]))
    found = count([str(tmp_path / "log.csv")], Question(Asked(step=["A"]), ("channel",)))
    lines = write(found, "table").split("\n")
    assert [line.split()[0] for line in lines[1:23]] == ["all", *(f"c{n:02d}" for n in range(20)), "other"]
    assert lines[22].split()[2] == "10"
    assert len(plain(found)["groups"]) == 30


def test_rows_set_aside_are_named(tmp_path: Path):
    rows = ["a,A,2026-05-01", ",A,2026-05-01", "b,A,soon"]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,event,ts", *rows]))
    text = write(count([str(tmp_path / "log.csv")], Question(Asked(step=["A"]))), "table")
    assert "Rows set aside: 1 no_unit, 1 no_time." in text


def test_columns_are_aligned_also_with_chinese():
    assert aligned([("渠道", "", "n"), ("a", "", "10")], right=(2,)) == ["渠道   n", "a     10"]


def test_a_step_that_matches_nothing_is_refused_with_the_nearest_event(file: str):
    steps = ["Visit=page_view", "Buy=purchse"]
    with pytest.raises(ConfigError, match="step 'Buy' matches no event") as error:
        counted(file, step=steps)
    assert error.value.found == "purchse"
    assert "add_to_cart, order, other, page_view, purchase" in str(error.value.allowed)
    assert "did you mean purchase?" in str(error.value.allowed)
    found = counted(file, step=steps, allow=True)
    assert units(plain(found)["steps"]) == [4, 0]
    assert plain(found)["unmatched"] == {"Buy": "purchase"}
    assert found.remarks == ("The step Buy matches no event (did you mean purchase?); it counts zero.",)


def test_a_condition_that_nothing_meets_is_named(file: str):
    with pytest.raises(ConfigError, match="matches no event") as error:
        counted(file, where=["Buy:amount>=1000"])
    assert error.value.found == "purchase or order where amount ge 1000"


def test_conditions_and_exclusions(file: str):
    assert units(plain(counted(file, where=["Buy:amount>10"]))["steps"]) == [4, 3, 1]
    found = counted(file, exclude=["othr"])
    assert found.remarks == ("No event is called othr (did you mean other?); it excludes nothing.",)
    assert plain(found)["remarks"] == list(found.remarks)
    assert counted(file, exclude=["other:Visit-Cart"]).remarks == ()


@pytest.mark.parametrize("text", ["user_id,event,ts\n", "user_id,event,ts\na,page_view,soon\n"])
def test_no_events_at_all(text: str, tmp_path: Path):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(DataError, match="no events"):
        counted(str(tmp_path / "log.csv"))
    assert units(plain(counted(str(tmp_path / "log.csv"), allow=True))["steps"]) == [0, 0, 0]


def test_a_column_that_is_not_there(file: str):
    for more in ({"unit": "user"}, {"ts": "time"}, {"hold": ["cart"]}, {"where": ["Buy:price>1"]}):
        with pytest.raises(DataError, match="no column"):
            counted(file, **more)
    with pytest.raises(DataError, match="no column"):
        counted(file, by=("chanel",))


def test_a_form_that_is_not_there(file: str):
    with pytest.raises(ConfigError, match="no such format") as error:
        write(counted(file), "jsn")
    assert "did you mean json?" in str(error.value)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=14), "14d"), (timedelta(hours=36), "36h"), (timedelta(minutes=90), "90min"),
        (timedelta(seconds=61), "61s"), (timedelta(0), "0d"), (timedelta(microseconds=1500), "0.001500s"),
    ],
)  # fmt: skip
def test_lengths(duration: timedelta, text: str):
    assert length(duration) == text
