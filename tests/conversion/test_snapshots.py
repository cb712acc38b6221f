"""Journeys from exports that hold one row per unit."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib import periods
from funnel_lib.conversion.journeys import UnmatchedStep
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError

FLAGS = Funnel(
    steps=[Step("lead"), Step("called", column="called"), Step("won", column="won")], snapshot="users", unit="id"
)
STAGES = Funnel(
    steps=[Step("lead"), Step("demo", stage=["Demo", "Trial"]), Step("won", stage=["Won"])],
    snapshot="deals", unit="id", furthest="stage",
)  # fmt: skip
DATES = Funnel(
    steps=[Step("lead"), Step("called", column="called"), Step("won", column="won")],
    snapshot="users", unit="id", entered="created", window="10d",
)  # fmt: skip


def test_yes_and_no_in_any_spelling():
    rows = pd.DataFrame(
        {
            "id": range(8),
            "called": ["yes", "TRUE", "1", " Y ", "no", "False", "0", None],
            "won": [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, np.nan, 0.0],
        }
    )
    found = snapshot_journeys(rows, FLAGS)
    assert found.frame["depth"].tolist() == [3, 2, 3, 2, 1, 1, 1, 1]
    assert found.counts()["units"].tolist() == [8, 4, 2]
    assert found.frame[["t_1", "t_2", "t_3"]].isna().all(axis=None)
    assert not found.window_closed
    assert found.frame["mature_depth"].tolist() == found.frame["depth"].tolist()
    assert found.as_of is None


@pytest.mark.parametrize("values", [[True, False], pd.array([True, None], "boolean"), pd.array([1, None], "Int64")])
def test_yes_and_no_of_any_type(values):
    rows = pd.DataFrame({"id": [1, 2], "called": values, "won": "no"})
    assert snapshot_journeys(rows, FLAGS).frame["depth"].tolist() == [2, 1]


def test_a_later_step_implies_the_earlier_ones_and_is_counted():
    rows = pd.DataFrame({"id": [1, 2, 3], "called": ["no", "yes", "no"], "won": ["yes", "yes", "no"]})
    found = snapshot_journeys(rows, FLAGS)
    assert found.frame["depth"].tolist() == [3, 3, 1]
    assert found.implied == 1


def test_stages_include_the_earlier_ones():
    rows = pd.DataFrame({"id": list("abcde"), "stage": ["Trial", "Won", "New", None, "Demo"]})
    found = snapshot_journeys(rows, STAGES)
    assert dict(zip(found.frame["unit"], found.frame["depth"], strict=True)) == {"a": 2, "b": 3, "c": 1, "d": 1, "e": 2}
    assert found.implied == 0


def test_stages_that_do_not_occur_are_reported():
    rows = pd.DataFrame({"id": [1, 2], "stage": ["Demo", "won"]})
    with pytest.warns(UnmatchedStep, match="'won' matches no row.*did you mean the stage won"):
        found = snapshot_journeys(rows, STAGES)
    assert found.absent == {"won": "won"}
    assert found.counts()["units"].tolist() == [2, 1, 0]


def test_a_first_step_with_a_column_is_not_every_row():
    funnel = Funnel(steps=[Step("lead", column="lead"), Step("won", column="won")], snapshot="users", unit="id")
    rows = pd.DataFrame({"id": [1, 2, 3], "lead": ["yes", "no", "no"], "won": ["no", "yes", "no"]})
    found = snapshot_journeys(rows, funnel)
    assert found.frame["unit"].tolist() == [1, 2]
    assert found.frame["depth"].tolist() == [1, 2]


def dated(*rows):
    return pd.DataFrame(rows, columns=["id", "created", "called", "won"])


def test_times_within_the_window_count():
    rows = dated(
        ("a", "2026-05-01", "2026-05-02", "2026-05-11"),  # won at the end of the window, inclusive
        ("b", "2026-05-01", "2026-05-02", "2026-05-12"),  # won too late
        ("c", "2026-05-20", None, None),
        ("d", "2026-05-25", "2026-05-25", None),
    )
    found = snapshot_journeys(rows, DATES, as_of=datetime(2026, 5, 30, tzinfo=UTC))
    frame = found.frame.set_index("unit")
    assert found.window_closed
    assert frame["depth"].to_dict() == {"a": 3, "b": 2, "c": 1, "d": 2}
    assert frame["mature_depth"].to_dict() == {"a": 3, "b": 2, "c": 1, "d": 0}
    assert frame["matured"].to_dict() == {"a": True, "b": True, "c": True, "d": False}
    assert frame.loc["a", "t_3"] == pd.Timestamp("2026-05-11", tz=UTC)
    assert frame.loc["b", "t_3"] is pd.NaT
    assert (frame["first_entry"] == frame["t_1"]).all()


def test_what_came_after_as_of_is_not_known():
    rows = dated(("a", "2026-05-01", "2026-05-03", None), ("b", "2026-05-04", None, None))
    found = snapshot_journeys(rows, DATES, as_of=datetime(2026, 5, 2, tzinfo=UTC))
    assert found.frame[["unit", "depth"]].to_numpy().tolist() == [["a", 1]]
    assert snapshot_journeys(rows, DATES).as_of == datetime(2026, 5, 4, tzinfo=UTC)


def test_rows_out_of_order_are_set_aside():
    rows = dated(
        ("a", "2026-05-05", "2026-05-04", None),  # called the day before the lead
        ("b", "2026-05-05", "2026-05-07", "2026-05-06"),  # won before called
        ("c", "2026-05-05", None, "2026-05-06"),
        (None, "2026-05-05", None, None),
    )
    found = snapshot_journeys(rows, DATES)
    assert found.set_aside == {"no_unit": 1, "no_entry": 0, "out_of_order": 2}
    assert found.frame["unit"].tolist() == ["c"]
    assert found.implied == 1


def test_a_date_on_the_day_of_entry_is_not_before_it():
    zone = ZoneInfo("Asia/Shanghai")
    rows = dated(("a", "2026-05-05T10:00+08:00", "2026-05-05T00:00+08:00", None))
    found = snapshot_journeys(rows, DATES, period=periods.period("2026-05", zone))
    assert found.set_aside["out_of_order"] == 0
    assert found.frame.loc[0, "t_2"] == found.frame.loc[0, "t_1"]
    assert found.frame.loc[0, "depth"] == 2
    # A time of day, in contrast, is meant.
    exact = dated(("a", "2026-05-05T10:00+08:00", "2026-05-05T09:00+08:00", None))
    assert snapshot_journeys(exact, DATES).set_aside["out_of_order"] == 1


def test_a_period_keeps_those_who_entered_in_it():
    zone = ZoneInfo("UTC")
    rows = dated(("a", "2026-04-30", None, None), ("b", "2026-05-01", None, None), ("c", None, None, None))
    may = snapshot_journeys(rows, DATES, period=periods.period("2026-05", zone))
    assert may.frame["unit"].tolist() == ["b"]
    assert may.set_aside["no_entry"] == 1
    whole = periods.whole(datetime(2026, 4, 30).date(), datetime(2026, 5, 1).date(), zone)  # noqa: DTZ001
    found = snapshot_journeys(rows, DATES, period=whole)
    assert found.frame["unit"].tolist() == ["a", "b", "c"]
    assert found.set_aside["no_entry"] == 0


def test_a_period_without_times_of_entry_is_refused():
    rows = pd.DataFrame({"id": [1], "called": ["yes"], "won": ["no"]})
    with pytest.raises(ConfigError, match="does not say when its units entered"):
        snapshot_journeys(rows, FLAGS, period=periods.period("2026-05", ZoneInfo("UTC")))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"id": [1, 1], "called": "no", "won": "no"}, "one row per unit"),
        ({"id": [1, 2], "called": "no"}, "no column 'won'"),
        ({"id": [1, 2], "called": ["yes", "perhaps"], "won": "no"}, "neither yes/no nor times"),
        ({"id": [1, 2], "called": [1, 2], "won": "no"}, "neither yes/no nor times"),
    ],
)
def test_unusable_snapshots_are_refused_with_a_reason(rows, message):
    with pytest.raises(DataError, match=message):
        snapshot_journeys(pd.DataFrame(rows), FLAGS)


def test_columns_are_brought_along_and_the_rows_are_not_changed():
    rows = pd.DataFrame({"id": [2, 1], "called": ["yes", "no"], "won": "no", "region": ["north", "south"]})
    before = rows.copy()
    found = snapshot_journeys(rows, FLAGS, by=["region"])
    assert found.frame[["unit", "region"]].to_numpy().tolist() == [[1, "south"], [2, "north"]]
    pd.testing.assert_frame_equal(rows, before)
    with pytest.raises(ConfigError, match="cannot be brought along"):
        snapshot_journeys(rows.assign(depth=1), FLAGS, by=["depth"])


def test_an_empty_snapshot():
    found = snapshot_journeys(pd.DataFrame({"id": [], "created": [], "called": [], "won": []}), DATES)
    assert found.counts()["units"].tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(["yes", "no"])] * 2), min_size=1, max_size=12), st.randoms())
def test_the_sequence_of_rows_makes_no_difference(flags, shuffler):
    rows = pd.DataFrame(flags, columns=["called", "won"]).assign(id=range(len(flags)))
    order = list(range(len(rows)))
    shuffler.shuffle(order)
    one, other = snapshot_journeys(rows, FLAGS), snapshot_journeys(rows.iloc[order], FLAGS)
    pd.testing.assert_frame_equal(one.frame, other.frame)
    units = one.counts()["units"]
    assert units.is_monotonic_decreasing
    assert units[0] == len(rows)


@pytest.mark.real
def test_real_leads_convert_as_published(real_data):
    """9,240 leads of an education company, 3,561 converted; 706 working professionals, 91.6 % of them."""
    rows = pd.read_csv(real_data / "x_education_leads" / "Leads.csv")
    steps = [Step("lead"), Step("converted", column="Converted")]
    funnel = Funnel(steps=steps, snapshot="users", unit="Prospect ID")
    found = snapshot_journeys(rows, funnel, by=["What is your current occupation"])
    assert found.counts()["units"].tolist() == [9240, 3561]
    counts = found.counts("What is your current occupation").set_index(["group", "step"])["units"]
    assert counts["Working Professional", 1] == 706
    assert counts["Working Professional", 2] / 706 == pytest.approx(0.916, abs=5e-4)
