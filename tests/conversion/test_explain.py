"""Why a unit counts: hand-made logs under every option, and agreement with the journeys of random ones."""

import warnings
from datetime import UTC
from zoneinfo import ZoneInfo

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from funnel_lib import periods
from funnel_lib.conversion.explain import explain
from funnel_lib.conversion.journeys import UnmatchedStep, journeys
from funnel_lib.definition import Exclusion, Funnel, Step
from funnel_lib.errors import ConfigError
from tests.conversion.engine.strategies import questions

STEPS = [Step(name, event=name) for name in "ABC"]
ABC = Funnel(steps=STEPS, window="7d")


def day(number, hour=12):
    return pd.Timestamp(2026, 5, 1, tz=UTC) + pd.Timedelta(days=number - 1, hours=hour)


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and day of May 2026 (noon)."""
    rows = [(word.split(":")[0], word.split(":")[1][0], day(int(word.split(":")[1][1:]))) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


# z makes the 30th the newest day.
LOG = log("u:A1 u:B2 u:A3 u:X4 u:B5 u:C12 z:A30")


def outcomes(found):
    return list(zip(found.attempts["depth"], found.attempts["ended"], found.attempts["why_not"], strict=True))


def test_the_log_says_what_each_row_is_and_was_taken_for():
    found = explain(LOG, ABC, "u")
    assert (found.depth, found.counted, found.reason) == (2, 1, "")
    assert found.events["ts"].tolist() == [day(number) for number in (1, 2, 3, 4, 5, 12)]
    assert found.events["event"].tolist() == ["A", "B", "A", "X", "B", "C"]
    assert found.events["steps"].tolist() == ["A", "B", "A", "", "B", "C"]
    assert found.events["served"].tolist() == ["A", "B", "", "", "", ""]
    assert set(found.events["log"]) == {""}


def test_every_attempt_is_told():
    # A1 B2 stands first; A3 B5 is as deep but later. C on the 12th comes 4 days after the first one's window (8th),
    # 2 after the second one's (10th).
    attempts = explain(LOG, ABC, "u").attempts
    assert attempts["attempt"].tolist() == [1, 2]
    assert attempts["entry"].tolist() == [day(1), day(3)]
    assert attempts["t_2"].tolist() == [day(2), day(5)]
    assert attempts[["event_1", "event_2"]].to_numpy().tolist() == [["A", "B"], ["A", "B"]]
    assert attempts[["t_3", "event_3", "excluded_by"]].isna().all(axis=None)
    assert attempts["until"].tolist() == attempts["ended_at"].tolist() == [day(8), day(10)]
    assert attempts["ended"].tolist() == ["timed_out", "timed_out"]
    assert attempts["next_step"].tolist() == ["C", "C"]
    assert attempts["next_at"].tolist() == [day(12), day(12)]
    assert attempts["chosen"].tolist() == [True, False]
    assert attempts["why_not"].tolist() == ["", "completed_later"]


def test_frames_have_their_types():
    for text in ("u:A1 u:B2", "u:X1"):
        found = explain(log(text), ABC, "u")
        types = found.attempts.dtypes.astype(str)
        assert list(found.attempts) == [
            "log", "attempt", "entry", "depth", "t_1", "event_1", "t_2", "event_2", "t_3", "event_3", "until", "ended",
            "ended_at", "excluded_by", "next_step", "next_at", "chosen", "why_not",
        ]  # fmt: skip
        assert {types[name] for name in ("entry", "t_1", "t_3", "until", "ended_at", "next_at")} == {
            "datetime64[us, UTC]"
        }
        assert (types["depth"], types["chosen"], types["event_3"]) == ("int8", "bool", "str")
        assert list(found.events) == ["log", "ts", "event", "steps", "exclusions", "served"]


def test_a_conversion_and_what_went_before():
    found = explain(log("u:A1 u:A2 u:B3 u:C4"), ABC, "u")
    assert outcomes(found) == [(3, "converted", "entered_earlier"), (3, "converted", "")]
    assert found.events["served"].tolist() == ["", "A", "B", "C"]
    assert found.attempts["next_step"].isna().all()


def test_an_attempt_that_may_still_go_on():
    found = explain(log("u:A1 u:B2"), ABC, "u")
    assert outcomes(found) == [(2, "waiting", "")]
    assert found.attempts["ended_at"].isna().all()
    assert found.attempts["until"].tolist() == [day(8)]


def test_an_exclusion_spoils_or_cuts():
    rows = log("u:A1 u:B2 u:X3 u:C4 z:A30")
    spoilt = explain(rows, Funnel(steps=STEPS, window="7d", exclusions=[Exclusion("X")]), "u")
    assert (spoilt.depth, spoilt.counted, spoilt.reason) == (0, 0, "spoilt")
    assert outcomes(spoilt) == [(3, "excluded", "spoilt")]
    assert spoilt.attempts["excluded_by"].tolist() == ["X"]
    assert spoilt.attempts["ended_at"].tolist() == [day(3)]
    assert spoilt.events["exclusions"].tolist() == ["", "", "X", ""]
    assert spoilt.events["served"].tolist() == ["", "", "", ""]
    cut = explain(rows, Funnel(steps=STEPS, window="7d", exclusions=[Exclusion("X")], policy="drop_off"), "u")
    assert (cut.depth, cut.counted) == (2, 1)
    assert cut.events["served"].tolist() == ["A", "B", "", ""]
    assert cut.attempts[["next_step", "next_at"]].to_numpy().tolist() == [["C", day(4)]]


def test_a_shallow_attempt_does_not_rescue_a_unit_whose_deeper_one_is_spoilt():
    rows = log("u:A1 u:B2 u:X3 u:A20 z:A30")
    found = explain(rows, Funnel(steps=STEPS, window="7d", exclusions=[Exclusion("X")]), "u")
    assert outcomes(found) == [(2, "excluded", "spoilt"), (1, "timed_out", "less_deep")]
    assert found.reason == "spoilt"


def test_a_clean_attempt_of_the_same_depth_rescues_it():
    rows = log("u:A1 u:X2 u:B3 u:A9 u:B10 z:A30")
    found = explain(rows, Funnel(steps=STEPS, window="7d", exclusions=[Exclusion("X")]), "u")
    assert outcomes(found) == [(2, "excluded", "spoilt"), (2, "timed_out", "")]


def test_strict_order_is_broken_by_the_next_row():
    found = explain(log("u:A1 u:B2 u:X3 u:C4"), Funnel(steps=STEPS, order="strict"), "u")
    assert outcomes(found) == [(2, "broken", "")]
    assert found.attempts["ended_at"].tolist() == [day(3)]
    assert found.attempts["next_at"].tolist() == [day(4)]


def test_any_order_with_the_number_of_steps():
    # From B on the 1st: B, then A (2 steps). The times are those of the first and the second step taken.
    funnel = Funnel(steps=STEPS, order="any", window="7d", matching={"any_of": "most_steps"})
    found = explain(log("u:B1 u:B2 u:A3 z:A30"), funnel, "u")
    chosen = found.attempts[found.attempts["chosen"]]
    assert chosen[["t_1", "event_1", "t_2", "event_2"]].to_numpy().tolist() == [[day(2), "B", day(3), "A"]]
    assert found.events["served"].tolist() == ["", "B", "A"]
    assert chosen["next_step"].tolist() == ["C"]


def test_an_open_funnel_has_an_attempt_for_each_step_entered_with():
    found = explain(log("u:B1 u:C2 u:A3"), Funnel(steps=STEPS, window="7d", open=True), "u")
    # From B: B1 C2 (depth 3); from C: C2 (depth 3), which enters at a later step; from A: depth 1.
    assert outcomes(found) == [(3, "converted", ""), (3, "converted", "later_step"), (1, "waiting", "less_deep")]
    assert found.events["served"].tolist() == ["B", "C", ""]


def test_a_skipped_step_has_no_row():
    funnel = Funnel(steps=[STEPS[0], Step("B", event="B", optional=True), STEPS[2]], window="7d")
    found = explain(log("u:A1 u:C2 u:B3"), funnel, "u")
    assert found.depth == 3
    assert found.attempts[["t_2", "event_2"]].isna().all(axis=None)
    assert found.events["served"].tolist() == ["A", "C", ""]


def test_entries_are_each_counted():
    # A1 times out on the 8th; A3 lies within it and starts nothing; A9 B10 converts.
    funnel = Funnel(steps=STEPS[:2], window="7d", counting="entries")
    found = explain(log("u:A1 u:A3 u:A9 u:B10 z:A30"), funnel, "u")
    assert found.counted == 2
    assert found.attempts["entry"].tolist() == [day(1), day(9)]
    assert found.attempts["chosen"].tolist() == [True, True]
    assert found.depth == 2


def test_each_held_value_is_a_log_of_its_own():
    funnel = Funnel(steps=STEPS[:2], window="7d", hold_constant=["plan"])
    rows = log("u:A1 u:A2 u:B3 u:B4 u:A5 z:A30", plan=["x", "y", "y", "x", None, "x"])
    found = explain(rows, funnel, "u")
    # Both logs convert: y on the 3rd, x on the 4th. The A without a plan belongs to none.
    assert found.attempts["log"].tolist() == ["x", "y"]
    assert outcomes(found) == [(2, "converted", "other_log"), (2, "converted", "")]
    assert found.events["log"].tolist()[:4] == ["x", "y", "y", "x"]
    assert found.events["log"].isna().tolist() == [False] * 4 + [True]
    assert found.events["plan"].tolist()[:4] == ["x", "y", "y", "x"]


def test_sessions_are_told_apart_by_pauses():
    funnel = Funnel(steps=STEPS[:2], counting="sessions", session_gap="30min")
    rows = pd.DataFrame({"user_id": "u", "event": list("ABAX"), "ts": [day(1), day(1, 12.25), day(2), day(2, 12.1)]})
    found = explain(rows, funnel, "u")
    assert found.counted == 2
    assert found.attempts[["log", "depth", "chosen"]].to_numpy().tolist() == [["1", 2, True], ["2", 1, True]]
    assert found.events["log"].tolist() == ["1", "1", "2", "2"]


def test_only_the_first_entry_makes_an_attempt_where_the_funnel_says_so():
    found = explain(log("u:A1 u:A9 u:B10 z:A30"), Funnel(steps=STEPS, preset="mixpanel"), "u")
    assert found.attempts["entry"].tolist() == [day(1)]
    assert found.depth == 1


# Why a unit does not count


def test_no_event_of_the_unit():
    found = explain(LOG, ABC, "nobody")
    assert (found.reason, len(found.events), len(found.attempts)) == ("no_events", 0, 0)
    assert explain(LOG, ABC, "z", as_of=day(29)).reason == "no_events"  # not known yet


def test_no_entry():
    assert explain(log("u:B1 u:X2 z:A3"), ABC, "u").reason == "no_entry"


def test_no_entry_in_the_period():
    june = periods.period("2026-06", ZoneInfo("Asia/Shanghai"))
    found = explain(LOG, ABC, "u", period=june)
    assert found.reason == "no_entry_in_period"
    assert found.events["log"].isna().all()  # they lie before it


def test_no_held_value():
    funnel = Funnel(steps=STEPS, hold_constant=["plan"])
    assert explain(log("u:A1 u:B2", plan=[None, "x"]), funnel, "u").reason == "no_log"


def test_no_first_step_in_the_time_of_the_entry_that_counts():
    # In any order B on the 1st is an entry, here the only one to count; A on the 9th is out of its reach.
    funnel = Funnel(steps=STEPS, order="any", window="2d", matching={"attempts": "first"})
    rows = log("u:B1 u:A9 z:A30")
    assert explain(rows, funnel, "u").reason == "no_first_step"
    assert explain(rows, Funnel(steps=STEPS, order="any", window="2d"), "u").depth == 1  # from A itself


def test_the_entry_with_a_held_value_lies_outside_the_period():
    may = periods.period("2026-05", ZoneInfo("UTC"))
    rows = log("u:A1 u:A40", plan=[None, "x"])
    found = explain(rows, Funnel(steps=STEPS, hold_constant=["plan"]), "u", period=may)
    assert found.reason == "no_log"


def test_a_snapshot_has_no_events():
    funnel = Funnel(steps=[Step("Lead"), Step("Won", column="won")], snapshot="users")
    with pytest.raises(ConfigError, match="snapshot"):
        explain(LOG, funnel, "u")


# Where the events come from


@pytest.mark.parametrize("kind", ["arrow", "parquet", "csv", "jsonl.gz"])
def test_every_kind_of_source_gives_the_same(kind, tmp_path):
    rows = LOG.assign(properties=['{"n": 1}'] * 6 + [None])
    funnel = Funnel(steps=[Step("A", event="A", where={"n": 1}), *STEPS[1:]], window="7d")
    file = tmp_path / f"log.{kind}"
    if kind == "arrow":
        events = pa.Table.from_pandas(rows, preserve_index=False)
    elif kind == "parquet":
        events = rows.to_parquet(file, index=False) or file
    elif kind == "csv":
        events = rows.to_csv(file, index=False) or file
    else:
        events = rows.to_json(file, orient="records", lines=True, date_format="iso") or file
    found, expected = explain(events, funnel, "u"), explain(rows, funnel, "u")
    assert expected.depth == 2
    pd.testing.assert_frame_equal(found.events, expected.events)
    pd.testing.assert_frame_equal(found.attempts, expected.attempts)


def test_a_database_gives_the_same():
    connection = ibis.duckdb.connect()
    connection.con.register("given", pa.Table.from_pandas(LOG, preserve_index=False))
    connection.con.execute("CREATE TABLE events AS FROM given")
    found, expected = explain(connection.table("events"), ABC, "u"), explain(LOG, ABC, "u")
    pd.testing.assert_frame_equal(found.events, expected.events)
    pd.testing.assert_frame_equal(found.attempts, expected.attempts)


def test_a_number_is_told_by_its_text():
    rows = LOG.assign(user_id=[17] * 6 + [18])
    assert explain(rows, ABC, 17).depth == explain(rows, ABC, "17").depth == 2
    assert explain(rows, ABC, "o'hara").reason == "no_events"


def test_inputs_stay_as_they_are():
    rows = LOG.copy()
    explain(rows, ABC, "u")
    pd.testing.assert_frame_equal(rows, LOG)


# Against the journeys, over all options


@pytest.mark.parametrize("examples", [12, pytest.param(250, marks=pytest.mark.slow)])
def test_explanations_agree_with_the_journeys(examples):
    run = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    run(given(questions(units=4))(agree))()


def agree(asked):
    period, as_of = asked.arguments["period"], asked.arguments["as_of"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnmatchedStep)
        frame = journeys(asked.events, asked.funnel, period=period, as_of=as_of).frame
    for unit in ("u0", "u1"):
        found = explain(asked.events, asked.funnel, unit, period=period, as_of=as_of)
        counted = frame[frame["unit"] == unit]
        assert found.counted == len(counted)
        assert found.depth == counted["depth"].max() if len(counted) else found.reason
        assert told(found, found.attempts[found.attempts["chosen"]]) == told(found, counted)
        taken_rows_fit(found)


def told(found, frame):
    """Depth and times of each journey, in any sequence."""
    names = ["depth", *(f"t_{step + 1}" for step in range(len(found.funnel.steps)))]
    return sorted(map(str, frame[names].itertuples(index=False, name=None)))


def taken_rows_fit(found):
    """Each time has an event of the log at that time, and each row was taken for a step that it matches."""
    resolution = found.funnel.matching.resolution
    at = found.events["ts"] if resolution is None else found.events["ts"].dt.floor(resolution)
    known = set(zip(at, found.events["event"], strict=True))
    for row in found.attempts.to_dict("records"):
        for step in range(1, len(found.funnel.steps) + 1):
            assert pd.isna(row[f"t_{step}"]) == pd.isna(row[f"event_{step}"])
            assert pd.isna(row[f"t_{step}"]) or (row[f"t_{step}"], row[f"event_{step}"]) in known
    for row in found.events.to_dict("records"):
        served = [name for name in row["served"].split(", ") if name]
        assert set(served) <= set(row["steps"].split(", "))
        if found.funnel.matching.distinct and found.funnel.counting == "units":
            assert len(served) <= 1
    taken = sum(len(served.split(", ")) for served in found.events["served"] if served)
    chosen = found.attempts[found.attempts["chosen"]]
    if found.funnel.counting != "entries" and not found.funnel.open:
        assert taken == chosen[[f"t_{step + 1}" for step in range(len(found.funnel.steps))]].notna().sum(axis=None)
