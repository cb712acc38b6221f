"""Journeys from every kind of source: hand-made logs, periods, conditions, and what is set aside."""

import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib import periods
from funnel_lib.conversion.engine import compiling
from funnel_lib.conversion.journeys import Journeys, UnmatchedStep, journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError, DataError

SHANGHAI = ZoneInfo("Asia/Shanghai")
ABC = Funnel(steps=[Step(name, event=name) for name in "ABC"], window="7d")


ONLY_A = Funnel(steps=[Step("A", event="A")])


def day(number, hour=0):
    return pd.Timestamp(2026, 5, 1, tz=UTC) + pd.Timedelta(days=number - 1, hours=hour)


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and day of May 2026 (noon)."""
    rows = [(word.split(":")[0], word.split(":")[1][0], day(int(word.split(":")[1][1:]), 12)) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


# u goes all the way; v stops at B; w never enters (its B has no A before); x enters on the 9th and stops.
LOG = log("u:A1 v:A1 u:B2 v:B3 u:C4 w:B5 x:A9")


def counted(found):
    return found.counts()["units"].tolist()


def test_counts_and_times_of_a_small_log():
    found = journeys(LOG, ABC)
    assert counted(found) == [3, 2, 1]
    frame = found.frame.set_index("unit")
    assert list(frame.index) == ["u", "v", "x"]
    assert frame.loc["u", ["t_1", "t_2", "t_3"]].tolist() == [day(1, 12), day(2, 12), day(4, 12)]
    assert frame.loc["v", "t_3"] is pd.NaT
    assert found.as_of == day(9, 12)
    # The windows of u and v closed on the 8th; that of x is open until the 16th.
    assert frame["mature_depth"].to_dict() == {"u": 3, "v": 2, "x": 0}
    assert frame["matured"].to_dict() == {"u": True, "v": True, "x": False}
    assert found.closed_until == day(2, 12)
    assert found.set_aside == {"no_unit": 0, "no_time": 0, "impossible_time": 0}


def test_frame_has_its_types():
    types = journeys(LOG, ABC).frame.dtypes.astype(str)
    assert types["depth"] == types["mature_depth"] == types["first_depth"] == "int8"
    assert types["t_1"] == types["t_3"] == types["first_entry"] == "datetime64[us, UTC]"
    assert types["matured"] == "bool"
    assert types["unit"] == "str"


@pytest.mark.parametrize(
    "kind", ["frame", "arrow", "relation", "parquet", "glob", "csv", "csv.gz", "jsonl", "jsonl.gz"]
)
def test_every_kind_of_source_gives_the_same(kind, tmp_path):
    table = pa.Table.from_pandas(LOG.assign(extra=1), preserve_index=False)
    file = tmp_path / f"log.{kind}"
    if kind == "frame":
        events = LOG
    elif kind == "arrow":
        events = table
    elif kind == "relation":
        connection = duckdb.connect()
        events = connection.from_arrow(table)
    elif kind in ("parquet", "glob"):
        duckdb.from_arrow(table).write_parquet(str(tmp_path / "log.parquet"))
        events = tmp_path / ("*.parquet" if kind == "glob" else "log.parquet")
    elif kind.startswith("csv"):
        LOG.to_csv(file, index=False)
        events = str(file)
    else:
        LOG.to_json(file, orient="records", lines=True, date_format="iso")
        events = file
    pd.testing.assert_frame_equal(journeys(events, ABC).frame, journeys(LOG, ABC).frame)


def test_a_relation_is_read_without_leaving_traces():
    connection = duckdb.connect()
    relation = connection.from_arrow(pa.Table.from_pandas(LOG, preserve_index=False))
    before = connection.sql("SELECT current_setting('TimeZone') AS zone").to_arrow_table()
    journeys(relation, ABC, by=["event"])
    assert connection.sql("SELECT * FROM duckdb_views() WHERE NOT internal").to_arrow_table().num_rows == 0
    assert connection.sql("SELECT current_setting('TimeZone') AS zone").to_arrow_table() == before


def test_the_given_events_are_not_changed():
    events = LOG.copy()
    journeys(events, ABC, by=["event"])
    pd.testing.assert_frame_equal(events, LOG)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(len(LOG))))
def test_the_sequence_of_rows_makes_no_difference(order):
    shuffled = journeys(LOG.iloc[order], ABC, by=["event"])
    pd.testing.assert_frame_equal(shuffled.frame, journeys(LOG, ABC, by=["event"]).frame)


def test_large_inputs_take_the_compiled_road_to_the_same_result(monkeypatch):
    rng = np.random.default_rng(3)
    n = 4000
    events = pd.DataFrame(
        {
            "user_id": rng.integers(-50, 600, n),
            "event": rng.choice(list("ABCX"), n),
            "ts": pd.Timestamp(2026, 5, 1, tz=UTC) + pd.to_timedelta(rng.integers(0, 40, n), unit="D"),
        }
    )
    monkeypatch.setattr(compiling, "COMPILE_ABOVE", 10**9)
    monkeypatch.setattr(compiling, "_loaded", set())
    plain = journeys(events, ABC).frame
    monkeypatch.setattr(compiling, "COMPILE_ABOVE", 0)
    pd.testing.assert_frame_equal(journeys(events, ABC).frame, plain)
    text = events.assign(user_id=events["user_id"].astype("str"))
    both = journeys(text, ABC).frame.assign(unit=lambda frame: frame["unit"].astype("int64"))
    pd.testing.assert_frame_equal(both.sort_values("unit", ignore_index=True), plain)


def test_units_are_never_merged():
    events = log("7:A1 07:A2 007:A3")
    assert journeys(events, ONLY_A).frame["unit"].tolist() == ["007", "07", "7"]


def test_units_in_csv_stay_text(tmp_path):
    log("7:A1 07:A2").to_csv(tmp_path / "log.csv", index=False)
    assert journeys(tmp_path / "log.csv", ONLY_A).frame["unit"].tolist() == ["07", "7"]


@pytest.mark.parametrize("kind", ["naive", "zoned", "text", "text with zone", "dates"])
def test_a_time_without_zone_is_utc(kind):
    times = {
        "naive": LOG["ts"].dt.tz_localize(None),
        "zoned": LOG["ts"].dt.tz_convert(SHANGHAI),
        "text": LOG["ts"].dt.strftime("%Y-%m-%d %H:%M:%S"),
        "text with zone": LOG["ts"].dt.tz_convert(SHANGHAI).map(lambda moment: moment.isoformat()),
        "dates": LOG["ts"].dt.date,
    }
    found = journeys(LOG.assign(ts=times[kind]), ABC)
    expected = day(1) if kind == "dates" else day(1, 12)
    assert found.frame["t_1"].iloc[0] == expected
    assert counted(found) == [3, 2, 1]


def test_rows_without_unit_or_time_are_set_aside_and_counted():
    events = pd.DataFrame(
        {
            "user_id": ["u", None, "", "u", "u", None],
            "event": ["A", "A", "A", "B", "B", "other"],
            "ts": ["2026-05-01", "2026-05-01", "2026-05-01", "yesterday", None, "2026-05-01"],
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = journeys(events, Funnel(steps=[Step("a", event="A")], window="7d"))
    # The row of the event "other" matches no step: it is not counted.
    assert found.set_aside == {"no_unit": 2, "no_time": 0, "impossible_time": 0}
    found = journeys(events, Funnel(steps=[Step("a", event="A"), Step("b", event=["B", "A"])]))
    assert found.set_aside == {"no_unit": 2, "no_time": 2, "impossible_time": 0}
    assert counted(found) == [1, 0]


MAY = periods.period("2026-05", SHANGHAI)


def test_only_entries_in_the_period_start_a_chain():
    # Midnight of May 1 in Shanghai is 16:00 UTC of April 30.
    begin = pd.Timestamp("2026-04-30T16:00", tz=UTC)
    rows = [
        ("early", "A", begin - pd.Timedelta(microseconds=1)),
        ("early", "B", begin),
        ("first", "A", begin),
        ("first", "B", begin),
        ("last", "A", pd.Timestamp(MAY.end) - pd.Timedelta(microseconds=1)),
        ("last", "B", pd.Timestamp(MAY.end) + pd.Timedelta(days=6)),  # after the end, within the window
        ("next", "A", pd.Timestamp(MAY.end)),
        ("late", "A", begin),
        ("late", "B", begin + pd.Timedelta(days=7, microseconds=1)),
    ]
    events = pd.DataFrame(rows, columns=["user_id", "event", "ts"])
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="7d")
    found = journeys(events, funnel, period=MAY)
    assert dict(zip(found.frame["unit"], found.frame["depth"], strict=True)) == {
        "first": 2,
        "last": 2,
        "late": 1,
    }


def test_later_events_than_as_of_are_not_known():
    found = journeys(LOG, ABC, as_of=datetime(2026, 5, 3, 12, tzinfo=UTC))
    assert counted(found) == [2, 2, 0]
    assert found.frame["mature_depth"].tolist() == [0, 0]
    naive = journeys(LOG, ABC, as_of=datetime(2026, 5, 3, 12))  # noqa: DTZ001 - a time without zone is UTC
    pd.testing.assert_frame_equal(naive.frame, found.frame)


def test_a_window_that_closes_at_as_of_has_closed():
    events = log("u:A1 v:A2 z:B8")
    # u: May 1 noon + 7 days = May 8 noon = as_of.
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="7d")
    assert journeys(events, funnel).frame["mature_depth"].tolist() == [1, 0]


def test_without_a_window_nothing_is_said_about_closed_windows():
    funnel = Funnel(steps=ABC.steps)
    found = journeys(LOG, funnel)
    assert not found.window_closed
    assert found.closed_until is None
    assert (found.frame["mature_depth"] == found.frame["depth"]).all()
    assert found.frame["matured"].tolist() == [True, False, False]


def test_conditions_look_in_columns_then_in_properties():
    events = log("u:A1 u:B2 v:A1 v:B2 w:A1 w:B2", amount=[0, 5, 0, 50, 0, np.nan]).assign(
        properties=['{"plan": "pro"}', "{}", '{"plan": "pro"}', "{}", '{"plan": "basic"}', "{}"]
    )
    steps = [Step("a", event="A", where={"plan": "pro"}), Step("b", event="B", where={"amount": {"ge": 10}})]
    found = journeys(events, Funnel(steps=steps))
    assert found.frame["unit"].tolist() == ["u", "v"]
    assert found.frame["depth"].tolist() == [1, 2]


def test_an_event_may_match_two_steps_but_serves_one():
    steps = [Step("any", event=None), Step("buy", event=["B", "C"])]
    # u: B1 alone cannot be both; v: B1 is the first, C2 the second.
    found = journeys(log("u:B1 v:B1 v:C2"), Funnel(steps=steps))
    assert found.frame["depth"].tolist() == [1, 2]


def test_by_brings_values_of_the_entry():
    # u enters on the 1st (ads) without effect, and on the 10th (mail), which converts.
    events = log("u:A1 u:A10 u:B11 v:A2").assign(channel=["ads", "mail", "none", None])
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="7d")
    entry = journeys(events, funnel, by=["channel"]).frame
    first = journeys(events, funnel, by=["channel"], touch="first").frame
    assert entry["channel"].iloc[0] == "mail"
    assert first["channel"].iloc[0] == "ads"
    assert entry["channel"].isna().tolist() == [False, True]


def test_by_takes_the_smallest_of_one_instant_and_reads_properties():
    events = log("u:A1 u:A1").assign(channel=["b", "a"], properties=['{"plan": "x"}', "not json"])
    found = journeys(events, Funnel(steps=[Step("A", event="A")]), by=["channel", "plan"]).frame
    assert found.loc[0, ["channel", "plan"]].tolist() == ["a", "x"]


def test_first_touch_does_not_depend_on_the_outcome_but_entry_does():
    """Nobody prefers a channel here: who converts is chance. Only the first touch shows that."""
    rng = np.random.default_rng(11)
    n = 20_000
    unit = np.repeat(np.arange(n), 2)
    events = pd.DataFrame({"user_id": unit, "event": "A", "ts": day(1)})
    events["ts"] += pd.to_timedelta(np.tile([0, 10], n), unit="D")
    events["channel"] = np.where(np.tile([0, 1], n) == 0, "search", "mail")  # first search, later mail
    bought = np.flatnonzero(rng.random(n) < 0.2)
    more = pd.DataFrame({"user_id": bought, "event": "B", "ts": day(12), "channel": None})
    both = pd.concat([events, more])
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B")], window="14d")
    first = journeys(both, funnel, by=["channel"], touch="first").counts("channel")
    assert set(first["group"]) == {"search"}
    entry = journeys(both, funnel, by=["channel"]).counts("channel").set_index(["group", "step"])["units"]
    assert entry["mail", 2] == entry["mail", 1] == len(bought)  # 100 % for mail, 0 % for search


def test_counts_by_group_add_up_and_name_the_unknown():
    events = log("u:A1 v:A1 w:A1 u:B2").assign(channel=["x", None, "x", "x"])
    found = journeys(events, Funnel(steps=[Step("A", event="A"), Step("B", event="B")]), by=["channel"])
    counts = found.counts("channel")
    assert list(counts.itertuples(index=False, name=None)) == [
        ("x", 1, "A", 2),
        ("x", 2, "B", 1),
        ("unknown", 1, "A", 1),
        ("unknown", 2, "B", 0),
    ]


def test_select_keeps_the_chosen_units():
    found = journeys(LOG, ABC)
    chosen = found.select(found.frame["depth"] >= 2)
    assert chosen.frame["unit"].tolist() == ["u", "v"]
    assert len(found.frame) == 3
    assert isinstance(chosen, Journeys)


def test_an_empty_log_counts_zero_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = journeys(LOG.iloc[:0], ABC)
    assert counted(found) == [0, 0, 0]
    assert found.as_of is None


def test_a_step_that_matches_nothing_warns_and_counts_zero():
    funnel = Funnel(steps=[Step("visit", event="page_view"), Step("buy", event="purchas")])
    events = pd.DataFrame({"user_id": ["u", "u"], "event": ["page_view", "purchase"], "ts": [day(1), day(2)]})
    with pytest.warns(UnmatchedStep, match=r"'buy' matches no event.*did you mean the event purchase"):
        found = journeys(events, funnel)
    assert counted(found) == [1, 0]
    assert found.absent == {"buy": "purchase"}


def test_a_condition_that_nothing_meets_warns_too():
    funnel = Funnel(steps=[Step("A", event="A"), Step("B", event="B", where={"amount": {"gt": 100}})])
    with pytest.warns(UnmatchedStep, match="'B' matches no event"):
        found = journeys(log("u:A1 u:B2", amount=1.0), funnel, period=MAY)
    assert found.absent == {"B": None}


def test_a_step_without_events_in_the_period_only_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = journeys(LOG, ABC, period=periods.period("2026-05-09..2026-05-10", SHANGHAI))
    assert counted(found) == [1, 0, 0]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (LOG.rename(columns={"user_id": "userid"}), "no column 'user_id'"),
        (LOG.rename(columns={"event": "events"}), "no column 'event'"),
        (LOG.assign(ts=1), "not times"),
        (LOG.assign(event=["A", 1, None, 2.5, "B", (), "A"]), "several kinds"),
        (Path("nowhere/*.parquet"), "cannot be read"),
        (Path("events.xlsx"), "format of this file is not known"),
    ],
)
def test_unusable_events_are_refused_with_a_reason(events, message):
    with pytest.raises(DataError, match=message):
        journeys(events, ABC)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ""])
def test_a_misspelt_column_is_answered_with_the_nearest_one(tmp_path, suffix):
    events = LOG.assign(gadget="phone")
    path = tmp_path / f"log{suffix}"
    if suffix:
        events.to_csv(path, index=False) if suffix == ".csv" else events.to_parquet(path)
    with pytest.raises(DataError, match="did you mean gadget"):
        journeys(path if suffix else events, ABC, by=["gadgt"])


def test_as_many_steps_as_fit_in_a_mask():
    steps = [Step(f"s{number}", event=None if number else "A") for number in range(63)]
    events = pd.DataFrame({"user_id": "u", "event": "A", "ts": pd.date_range(day(1), periods=62)})
    assert journeys(events, Funnel(steps=steps[:62])).frame["depth"].tolist() == [62]
    with pytest.raises(ConfigError, match="too many steps"):
        journeys(events, Funnel(steps=steps))


def test_text_times_of_a_relation_are_refused():
    relation = duckdb.connect().sql("SELECT 'u' AS user_id, 'A' AS event, '2026-05-01' AS ts")
    with pytest.raises(DataError, match="times of this relation are text"):
        journeys(relation, ABC)


def test_unknown_columns_to_group_by_are_refused():
    found = journeys(LOG.assign(device="m"), ABC, by=["device"])
    with pytest.raises(ConfigError, match="no column 'devices'") as error:
        found.counts("devices")
    assert "did you mean device?" in str(error.value.allowed)
    with pytest.raises(ConfigError, match="cannot be brought along"):
        journeys(LOG.assign(depth=1), ABC, by=["depth"])


@pytest.mark.parametrize("zone", [SHANGHAI, ZoneInfo("Europe/Berlin")])
def test_whole_periods_keep_entries_inside_only(zone):
    whole = periods.whole(date(2026, 5, 2), date(2026, 5, 9), zone)
    assert journeys(LOG, ABC, period=whole).frame["unit"].tolist() == ["x"]


@pytest.mark.real
def test_real_shop_log_against_a_naive_loop(real_data):
    """Catalog, cart, payment_done within three days, counted by a loop over each user's events."""
    events = pd.read_csv(real_data / "simple_shop" / "simple-onlineshop.csv").rename(columns={"timestamp": "ts"})
    events["ts"] = pd.to_datetime(events["ts"])
    names, window = ["catalog", "cart", "payment_done"], timedelta(days=3)
    deepest = []
    for _, rows in events.sort_values("ts").groupby("user_id"):
        pairs = list(zip(rows["event"], rows["ts"], strict=True))
        best = 0
        for start, (name, entered) in enumerate(pairs):
            if name != names[0]:
                continue
            reached = 1
            for later, moment in pairs[start + 1 :]:
                if reached < 3 and later == names[reached] and moment - entered <= window:
                    reached += 1
            best = max(best, reached)
        deepest.append(best)
    expected = [sum(depth >= step for depth in deepest) for step in (1, 2, 3)]
    found = journeys(events, Funnel(steps=[Step(name, event=name) for name in names], window="3d"))
    assert counted(found) == expected
    assert expected[0] == 3611  # users with a catalog event
    unbounded = journeys(events, Funnel(steps=[Step("paid", event="payment_done")]))
    assert counted(unbounded) == [653]


def test_categories_are_groups_like_texts_and_those_of_nobody_are_not():
    found = journeys(LOG, ABC)
    texts = pd.Series(["mail", "ads", None], dtype="str")  # u, v, x
    kinds = pd.Categorical(texts, categories=["post", "mail", "ads"])
    both = Journeys(found.funnel, found.frame.assign(text=texts, kind=kinds), None, found.as_of)
    for by in ("text", "kind"):
        names, codes = both.groups(by)
        assert names == ["ads", "mail", "unknown"]
        assert codes.tolist() == [1, 0, 2]
    assert both.counts("kind").equals(both.counts("text"))


def test_what_follows_from_journeys_is_made_once_and_anew_for_others():
    found, calls = journeys(LOG, ABC), []
    for _ in range(2):
        assert found.once("key", lambda: calls.append(1) or len(found.frame)) == 3
        assert found.once("other", lambda: 7) == 7
    assert calls == [1]
    chosen = found.select(found.frame["unit"] == "u")
    assert chosen.counts()["units"].tolist() == [1, 1, 1]
    assert found.counts()["units"].tolist() == [3, 2, 1]
