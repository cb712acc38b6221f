"""What came after the last step: hand-made logs, a brute-force definition, and lists that can be handed on."""

import csv
import hmac
from bisect import bisect_left
from datetime import UTC
from statistics import median

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.rates import wilson
from funnel_lib.conversion.reasons.dropoffs import after_drop, back_to, dropped
from funnel_lib.conversion.snapshots import snapshot_journeys
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

ABC = Funnel(steps=[Step(name, event=name) for name in "ABC"], window="7d")
ANY_SIZE = Rules(min_units=1, min_events=0)


def day(number, hour=12):
    return pd.Timestamp(2026, 5, 1, tz=UTC) + pd.Timedelta(days=number - 1, hours=hour)


def log(text, **columns):
    """Read `u:A1 u:B2`: unit, event and day of May 2026 (noon)."""
    rows = [(word.split(":")[0], word.split(":")[1][0], day(int(word.split(":")[1][1:]))) for word in text.split()]
    return pd.DataFrame(rows, columns=["user_id", "event", "ts"]).assign(**columns)


# With a window of 7 days, all but `open` have stopped at B or come through (z only makes the 30th the newest day):
# u went back to A a day later; v did X two days later, then A; w did A only on the 9th, after its window; y did X at
# the very instant of B, which is not after it, and again a day later; x came through; open may still come through.
LOG = log(
    "u:A1 u:B2 u:A3 v:A1 v:B2 v:X4 v:A5 w:A1 w:B2 w:A9 y:A1 y:B2 y:X2 y:X3 x:A1 x:B1 x:C2 open:A28 open:B29 z:A30"
)


def test_what_they_did_next():
    found = after_drop(LOG, journeys(LOG, ABC), 2, rules=ANY_SIZE)
    # u, v, w and y stopped at B: two did X (after 2 days and after 1), one A (after 1), one nothing in time.
    assert found["event"].tolist() == ["X", "A", "(nothing)"]
    assert found["units"].tolist() == [2, 1, 1]
    assert found["denominator"].tolist() == [4, 4, 4]
    assert found["share"].tolist() == [0.5, 0.25, 0.25]
    assert found["median_wait_days"].tolist()[:2] == [1.5, 1.0]
    assert np.isnan(found["median_wait_days"].iloc[2])
    assert (found["low"].iloc[0], found["high"].iloc[0]) == wilson(2, 4)


def test_the_rest_is_summed_up():
    found = after_drop(LOG, journeys(LOG, ABC), 2, top=1, rules=ANY_SIZE)
    assert dict(zip(found["event"], found["units"], strict=True)) == {"X": 2, "(other)": 1, "(nothing)": 1}
    none = after_drop(LOG, journeys(LOG, ABC), 2, top=0, rules=ANY_SIZE)
    assert dict(zip(none["event"], none["units"], strict=True)) == {"(other)": 3, "(nothing)": 1}
    assert none["median_wait_days"].iloc[0] == 1.0  # of 2, 1 and 1


def test_where_they_went_back_to():
    found = back_to(LOG, journeys(LOG, ABC), 2, rules=ANY_SIZE)
    # u (after 1 day) and v (after 3; X is no step) came back to A; w too late; y never.
    assert found["step"].tolist() == [1, 0]
    assert found["name"].tolist() == ["A", "(left)"]
    assert found["units"].tolist() == [2, 2]
    assert found["median_wait_days"].iloc[0] == 2.0


def test_of_several_steps_at_one_instant_the_furthest_counts():
    four = Funnel(steps=[Step(name, event=name) for name in "ABCD"], window="7d")
    rows = log("u:A1 u:B2 u:C3 u:A4 u:B4 z:A30")
    found = back_to(rows, journeys(rows, four), 3, rules=ANY_SIZE)
    assert dict(zip(found["name"], found["units"], strict=True)) == {"A": 0, "B": 1, "(left)": 0}


def test_conditions_decide_what_an_earlier_step_is():
    funnel = Funnel(steps=[Step("A", event="A", where={"plan": "pro"}), *ABC.steps[1:]], window="7d")
    rows = log("u:A1 u:B2 u:A3 u:A5 z:A30", plan=["pro", None, "free", "pro", "pro"])
    found = back_to(rows, journeys(rows, funnel), 2, rules=ANY_SIZE)
    assert found["units"].tolist() == [1, 0]
    assert found["median_wait_days"].iloc[0] == 3.0  # the A of the 3rd is another plan's


def test_who_came_back_lately_still_stopped():
    # u and v stopped at B; their windows closed on the 8th. u entered anew on the 9th and even came through on the
    # 10th, v entered anew: both are counted, by what they did until the 8th. w's window has not closed on the 10th.
    rows = log("u:A1 u:B2 u:X3 u:A9 u:B9 u:C10 v:A1 v:B2 v:A9 v:B9 w:A8 w:B9 z:X10")
    found = journeys(rows, ABC)
    assert found.frame.set_index("unit")["mature_depth"].to_dict() == {"u": 2, "v": 2, "w": 0}
    after = after_drop(rows, found, 2, rules=ANY_SIZE)
    assert dict(zip(after["event"], after["units"], strict=True)) == {"X": 1, "(nothing)": 1}
    assert back_to(rows, found, 2, rules=ANY_SIZE)["units"].tolist() == [0, 2]
    # On the list are those who have come no further since and cannot any more by this journey: v (its best is that
    # of the 1st, completed first).
    one = hmac.new(b"k", b"v", "sha256").hexdigest()
    assert dropped(found, 2, secret="k").frame["unit"].tolist() == [one]


def test_sessions_and_entries_are_looked_up_each():
    entries = Funnel(steps=ABC.steps, window="7d", counting="entries")
    rows = log("u:A1 u:B2 u:X3 u:A9 u:B10 u:Y11 z:A30")
    found = after_drop(rows, journeys(rows, entries), 2, rules=ANY_SIZE)
    assert dict(zip(found["event"], found["units"], strict=True)) == {"X": 1, "Y": 1, "(nothing)": 0}
    sessions = Funnel(steps=ABC.steps, window="7d", counting="sessions")
    found = after_drop(
        rows.assign(session_id=list("pppqqqz")), journeys(rows.assign(session_id=list("pppqqqz")), sessions), 2
    )
    assert dict(zip(found["event"], found["units"], strict=True)) == {"X": 1, "Y": 1, "(nothing)": 0}


def test_the_time_is_that_of_the_attempt_in_any_order_and_open_funnels():
    # In any order B on the 1st opens the window of 7 days: X on the 8th is in it, on the 9th not.
    any_order = Funnel(steps=ABC.steps, window="7d", order="any")
    rows = log("u:B1 u:A3 u:X8 v:B1 v:A3 v:X9 z:A30")
    found = after_drop(rows, journeys(rows, any_order), 2, rules=ANY_SIZE)
    assert dict(zip(found["event"], found["units"], strict=True)) == {"X": 1, "(nothing)": 1}
    opened = Funnel(steps=ABC.steps, window="7d", open=True)
    rows = log("u:B1 u:X8 v:B1 v:X9 z:A30")
    found = after_drop(rows, journeys(rows, opened), 2, rules=ANY_SIZE)
    assert dict(zip(found["event"], found["units"], strict=True)) == {"X": 1, "(nothing)": 1}


def test_times_are_cut_as_the_funnel_cuts_them():
    funnel = Funnel(steps=ABC.steps, window="7d", matching={"resolution": "1d"})
    rows = log("u:A1 u:B2 u:X2 u:Y3 z:A30")
    rows.loc[2, "ts"] += pd.Timedelta(hours=3)  # X on the day of B is not after it
    found = after_drop(rows, journeys(rows, funnel), 2, rules=ANY_SIZE)
    assert found["event"].tolist() == ["Y", "(nothing)"]


def test_few_units_are_shown_as_too_few():
    found = after_drop(LOG, journeys(LOG, ABC), 2)
    assert found["units"].sum() == 4
    assert found["share"].isna().all()
    assert found["median_wait_days"].isna().all()
    assert set(found["reason"]) == {"too_few"}


def test_nobody_stopped():
    rows = log("x:A1 x:B1 x:C2")
    found = after_drop(rows, journeys(rows, ABC), 1, rules=ANY_SIZE)
    assert (found["event"].tolist(), found["units"].tolist()) == (["(nothing)"], [0])
    assert back_to(rows, journeys(rows, ABC), 2, rules=ANY_SIZE)["units"].tolist() == [0, 0]
    assert dropped(journeys(rows, ABC), 1, secret="k").frame.empty


def test_without_a_window_everything_known_counts():
    funnel = Funnel(steps=ABC.steps)
    rows = log("u:A1 u:B2 u:X30")
    assert after_drop(rows, journeys(rows, funnel), 2, rules=ANY_SIZE)["units"].tolist() == [1, 0]
    early = journeys(rows, funnel, as_of=day(29))
    assert after_drop(rows, early, 2, rules=ANY_SIZE)["units"].tolist() == [1]  # X is not known yet


@pytest.mark.parametrize("kind", ["arrow", "parquet", "csv", "jsonl.gz"])
def test_every_kind_of_source_gives_the_same(kind, tmp_path):
    file = tmp_path / f"log.{kind}"
    if kind == "arrow":
        events = pa.Table.from_pandas(LOG, preserve_index=False)
    elif kind == "parquet":
        events = LOG.to_parquet(file, index=False) or file
    elif kind == "csv":
        events = LOG.to_csv(file, index=False) or file
    else:
        events = LOG.to_json(file, orient="records", lines=True, date_format="iso") or file
    wanted = journeys(LOG, ABC)
    pd.testing.assert_frame_equal(after_drop(events, wanted, 2), after_drop(LOG, wanted, 2))
    pd.testing.assert_frame_equal(back_to(events, wanted, 2), back_to(LOG, wanted, 2))


def test_the_log_in_numbers_gives_the_same(tmp_path):
    wanted, events = journeys(LOG, ABC), numbered(LOG, tmp_path)
    pd.testing.assert_frame_equal(after_drop(events, wanted, 2), after_drop(LOG, wanted, 2))
    pd.testing.assert_frame_equal(back_to(events, wanted, 2), back_to(LOG, wanted, 2))


def numbered(rows, folder):
    """Return the log of some rows in numbers."""
    times = rows["ts"].astype("datetime64[us, UTC]")
    rows.assign(ts=times).to_parquet(folder / "events.parquet", index=False)
    return EventLog.made(folder / "events.parquet", "user_id")


def test_a_database_gives_the_same():
    wanted, events = journeys(LOG, ABC), in_a_database(LOG)
    pd.testing.assert_frame_equal(after_drop(events, wanted, 2), after_drop(LOG, wanted, 2))
    pd.testing.assert_frame_equal(back_to(events, wanted, 2), back_to(LOG, wanted, 2))


def in_a_database(rows):
    connection = ibis.duckdb.connect()
    connection.con.register("given", pa.Table.from_pandas(rows, preserve_index=False))
    connection.con.execute("CREATE TABLE events AS FROM given")
    return connection.table("events")


def test_units_may_be_numbers():
    rows = LOG.assign(user_id=pd.factorize(LOG["user_id"])[0])
    found = after_drop(rows, journeys(rows, ABC), 2, rules=ANY_SIZE)
    assert dict(zip(found["event"], found["units"], strict=True)) == {"X": 2, "A": 1, "(nothing)": 1}


def test_inputs_stay_as_they_are():
    rows, found = LOG.copy(), journeys(LOG, ABC)
    before = found.frame.copy()
    after_drop(rows, found, 2)
    back_to(rows, found, 2)
    dropped(found, 2, secret="k")
    pd.testing.assert_frame_equal(rows, LOG)
    pd.testing.assert_frame_equal(found.frame, before)


FUNNEL = Funnel(steps=ABC.steps, window="3d")
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcdefghijklmnop"), st.sampled_from("ABCXY"), st.integers(1, 9), st.sampled_from([0, 12])
    ),
    min_size=1, max_size=120,
)  # fmt: skip


@given(ROWS, st.integers(1, 2), st.integers(0, 3), st.sampled_from([7, 9, 10, 14]))
@settings(max_examples=40, deadline=None)
def test_the_same_as_a_search_by_hand(rows, step, top, end):
    frame = pd.DataFrame([(u, e, day(d, h)) for u, e, d, h in rows], columns=["user_id", "event", "ts"])
    frame.loc[len(frame)] = ["end", "A", day(end)]
    found = journeys(frame, FUNNEL)
    firsts, backs = by_hand(frame, found, step)
    after = after_drop(frame, found, step, top=top, rules=ANY_SIZE)
    assert after["units"].sum() == len(firsts)
    names = sorted({name for name, _ in firsts.values() if name}, key=lambda n: (-tally(firsts, [n]), n))
    assert after["event"].tolist() == [*names[:top], *(["(other)"] if names[top:] else []), "(nothing)"]
    expected = [*([n] for n in names[:top]), *([names[top:]] if names[top:] else []), [None]]
    assert after["units"].tolist() == [tally(firsts, group) for group in expected]
    assert after["median_wait_days"].tolist()[:-1] == pytest.approx([wait(firsts, group) for group in expected[:-1]])
    if step == 2:
        assert back_to(frame, found, step, rules=ANY_SIZE)["units"].tolist() == [
            tally(backs, [1]),
            tally(backs, [None]),
        ]


def by_hand(frame, found, step):
    """Per unit that stopped: (first event, days) and (step gone back to, days); None where there is none."""
    firsts, backs, names = {}, {}, found.funnel.names
    for unit, rows in frame.sort_values("ts").groupby("user_id"):
        entry, *later = deepest(rows, names, found.closed_until, found.funnel.window) or [None]
        if len(later) + 1 != step or entry is None:
            continue
        last = [entry, *later][-1]
        rest = rows[(rows["ts"] > last) & (rows["ts"] <= min(entry + found.funnel.window, found.as_of))]
        for kept, made in ((rest, firsts), (rest[rest["event"] == names[0]], backs)):
            first = min(zip(kept["ts"], kept["event"], strict=True), default=None)
            named = None if first is None else first[1] if made is firsts else 1
            made[unit] = (named, None if first is None else (first[0] - last) / pd.Timedelta(days=1))
    return firsts, backs


def deepest(rows, names, closed_until, window):
    """The times of the best chain from an entry whose window has closed: each next step as early as it can be."""
    times = {name: rows.loc[rows["event"] == name, "ts"].tolist() for name in names}
    chains = []
    for entry in times[names[0]]:
        chain = [entry]
        for name in names[1:]:
            place = bisect_left(times[name], chain[-1])
            if place == len(times[name]) or times[name][place] > entry + window:
                break
            chain.append(times[name][place])
        if entry <= closed_until:
            chains.append(chain)
    return min(chains, key=lambda chain: (-len(chain), chain[-1], -chain[0].value), default=None)


def tally(found, names):
    return sum(name in names for name, _ in found.values())


def wait(found, names):
    return median(days for name, days in found.values() if name in names)


@pytest.mark.real
def test_real_events_the_same_as_by_hand(real_data):
    file = real_data / "taobao_userbehavior" / "UserBehavior_first84476.csv"
    rows = pd.read_csv(file, names=["user_id", "item", "category", "event", "seconds"])
    rows["ts"] = pd.to_datetime(rows["seconds"], unit="s", utc=True)
    found = journeys(rows, Funnel(steps=[Step(name, event=name) for name in ("pv", "cart", "buy")], window="1d"))
    firsts, backs = by_hand(rows, found, 2)
    after = after_drop(rows, found, 2, rules=ANY_SIZE)
    assert len(firsts) > 50
    expected = {name or "(nothing)": tally(firsts, [name]) for name, _ in firsts.values()}
    assert {name: units for name, units in zip(after["event"], after["units"], strict=True) if units} == expected
    assert back_to(rows, found, 2, rules=ANY_SIZE)["units"].tolist() == [tally(backs, [1]), tally(backs, [None])]


# Who stopped


def test_the_list_of_who_stopped():
    rows = LOG.assign(channel=["ads" if unit == "u" else "=1+1" for unit in LOG["user_id"]])
    found = dropped(journeys(rows, ABC, by=["channel"]), 2, secret="key").frame
    assert list(found) == ["unit", "last_step", "last_time", "days_since", "channel"]
    assert set(found["last_step"]) == {"B"}
    assert found["last_time"].tolist() == [day(2)] * 4
    assert found["days_since"].tolist() == [28.0] * 4  # newest: the 30th
    one = hmac.new(b"key", b"u", "sha256").hexdigest()
    assert found.set_index("unit")["channel"].to_dict()[one] == "ads"
    assert not {"u", "v", "w", "y"} & set(found["unit"])


def test_the_newest_come_first():
    rows = log("u:A1 v:A3 w:A2 z:A30")
    found = dropped(journeys(rows, ABC), 1, secret="key").frame
    assert found["last_time"].tolist() == [day(3), day(2), day(1)]


def test_pseudonyms_are_stable_and_differ_by_key(monkeypatch):
    found = journeys(LOG, ABC)
    one, other = dropped(found, 2, secret="key").frame, dropped(found, 2, secret=b"other").frame
    assert not set(one["unit"]) & set(other["unit"])
    monkeypatch.setenv("FUNNEL_KEY", "key")
    pd.testing.assert_frame_equal(dropped(found, 2).frame, one)
    monkeypatch.setenv("FUNNEL_KEY", "")
    with pytest.raises(ConfigError, match="FUNNEL_KEY"):
        dropped(found, 2)
    monkeypatch.delenv("FUNNEL_KEY")
    with pytest.raises(ConfigError, match="key"):
        dropped(found, 2)


def test_the_file_opens_in_a_spreadsheet_and_runs_nothing(tmp_path):
    rows = log("u:A1 z:A30", **{"=channel": ["=HYPERLINK(1)", "a"], "城市": ["上海", "a"], "net": [-1.5, 0.0]})
    made = dropped(journeys(rows, ABC, by=["=channel", "城市", "net"]), 1, secret="key")
    path = made.to_csv(tmp_path / "list.csv")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, row = csv.reader(file)
    assert head == ["unit", "last_step", "last_time", "days_since", "'=channel", "城市", "net"]
    assert row[1:] == ["A", "2026-05-01 12:00:00+00:00", "29.0", "'=HYPERLINK(1)", "上海", "-1.5"]


def test_missing_values_are_empty(tmp_path):
    rows = log("u:A1 v:A2 z:A30", channel=["ads", None, "ads"])
    path = dropped(journeys(rows, ABC, by=["channel"]), 1, secret="k").to_csv(tmp_path / "list.csv")
    # v (on the 2nd, without a channel) is newer than u
    assert [row.split(",")[-1] for row in path.read_text("utf-8-sig").splitlines()[1:]] == ["", "ads"]


# What cannot be


def test_steps_that_nobody_can_stop_at():
    found = journeys(LOG, ABC)
    for step in (0, 3, 4):
        with pytest.raises(ConfigError, match="1 to 2"):
            after_drop(LOG, found, step)
        with pytest.raises(ConfigError, match="1 to 2"):
            dropped(found, step, secret="k")
    with pytest.raises(ConfigError, match="2 to 2"):
        back_to(LOG, found, 1)
    with pytest.raises(ConfigError, match="negative"):
        after_drop(LOG, found, 1, top=-1)
    alone = journeys(LOG, Funnel(steps=ABC.steps[:1]))
    with pytest.raises(ConfigError, match="too few steps"):
        dropped(alone, 1, secret="k")


def test_a_snapshot_tells_who_but_not_what_came_after():
    funnel = Funnel(steps=[Step("Lead"), Step("Won", column="won")], snapshot="users")
    found = snapshot_journeys(pd.DataFrame({"user_id": ["u"], "won": ["no"]}), funnel)
    with pytest.raises(ConfigError, match="snapshot"):
        after_drop(LOG, found, 1)
    listed = dropped(found, 1, secret="k").frame
    assert len(listed) == 1
    assert listed[["last_time", "days_since"]].isna().all(axis=None)
