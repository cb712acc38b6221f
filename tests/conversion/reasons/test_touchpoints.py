"""What people met is compared at one landmark after a step, so that the late have no more time to meet things."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel_lib.config import Rules
from funnel_lib.conversion.journeys import Journeys, journeys
from funnel_lib.conversion.keeping.eventlog import EventLog
from funnel_lib.conversion.rates import newcombe, wilson
from funnel_lib.conversion.reasons.touchpoints import NOTHING, routes, touchpoints
from funnel_lib.definition import Funnel, Step
from funnel_lib.errors import ConfigError

RULES = Rules(min_units=2, min_events=1)
FUNNEL = Funnel(steps=[Step("a", event="A"), Step("b", event="B")], window="10d")
DAY0, AS_OF = pd.Timestamp("2026-05-01T07:13Z"), datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def log(folder: Path, *people: str, pages: dict[str, str] | None = None) -> EventLog:
    """Return a log; a person is written as `A0 X2 B5`: events with their hours after the start."""
    rows = [
        (f"u{number}", token.rstrip("0123456789"), DAY0 + HOUR * int(re.search(r"\d+$", token)[0]))
        for number, person in enumerate(people)
        for token in person.split()
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "event", "ts"])
    if pages is not None:
        frame["properties"] = [pages.get(event) for event in frame["event"]]
    frame["ts"] = frame["ts"].astype("datetime64[us, UTC]")
    frame.to_parquet(folder / "events.parquet", index=False)
    return EventLog.made(folder / "events.parquet", "user_id")


def made(events: EventLog) -> Journeys:
    return journeys(pd.read_parquet(events.events)[["user_id", "event", "ts"]], FUNNEL, as_of=AS_OF)


# Landmark at 3 hours. Met X by then: u0 (passes at 5), u1 (does not), u6 (passes). Not: u2 (passes), u3, u4 (meets X
# after the landmark). u5 had gone on before.
PEOPLE = ("A0 X1 B5", "A0 X2", "A0 B6", "A0", "A0 X9", "A0 X1 B2", "A0 X3 B4")


def test_only_those_still_there_are_compared_by_what_they_had_met(tmp_path: Path):
    events = log(tmp_path, *PEOPLE)
    table, landmark = touchpoints(events, made(events), 1, rules=RULES, after=3 * HOUR)
    assert (landmark.units, landmark.early, landmark.reason) == (6, 1, "")
    row = table.set_index("content").loc["X"]
    assert (row["reach"], row["passed"], row["lost"]) == (3, 2, 1)
    assert row["reach_share"] == pytest.approx(0.5)
    assert row["rate"] == pytest.approx(2 / 3)
    assert row["rest_rate"] == pytest.approx(1 / 3)
    assert (row["difference"], row["diff_low"], row["diff_high"]) == pytest.approx(
        (lambda d: (d.estimate, d.low, d.high))(newcombe(2, 3, 1, 3, RULES.level))
    )
    # u0 met X at 1 and passed at 5, u6 at 3 and 4: half of 4 and 1 hours.
    assert row["median_wait_days"] == pytest.approx(2.5 / 24)


def test_meeting_things_late_does_not_look_useful(tmp_path: Path):
    """Everybody meets X at random; who passes late has had more time. At a landmark X makes no difference."""
    rng, people = np.random.default_rng(3), []
    for _ in range(600):
        passes = int(rng.integers(2, 60)) if rng.random() < 0.6 else None
        meets = int(rng.integers(1, 120))
        met = meets < (passes or 200)
        people.append(f"A0 {f'X{meets} ' if met else ''}{f'B{passes}' if passes else ''}")
    events = log(tmp_path, *people)
    table, _ = touchpoints(events, made(events), 1, rules=Rules(), after=20 * HOUR)
    row = table.set_index("content").loc["X"]
    assert row["diff_low"] < 0 < row["diff_high"]
    naive = pd.Series(["X" in person for person in people]), pd.Series(["B" in person for person in people])
    assert naive[1][naive[0]].mean() - naive[1][~naive[0]].mean() < -0.3  # counting anything met misleads


def test_a_page_is_told_by_its_path_and_errors_are_marked(tmp_path: Path):
    pages = {"X": '{"page_location":"https://shop.example/price?ref=a#top"}', "Y": '{"page_path":"/case"}'}
    events = log(tmp_path, "A0 X1 Y1 B5", "A0 X1", "A0 rage_click1", pages=pages)
    table, _ = touchpoints(events, made(events), 1, rules=RULES, after=2 * HOUR)
    assert set(table["content"]) == {"/price", "/case", "rage_click", "A"}
    assert table.set_index("content")["friction"].to_dict() == {
        "/price": False, "/case": False, "rage_click": True, "A": False,
    }  # fmt: skip


def test_too_few_are_not_compared(tmp_path: Path):
    events = log(tmp_path, *PEOPLE)
    table, landmark = touchpoints(events, made(events), 1, rules=Rules(), after=3 * HOUR)
    assert table.empty
    assert landmark.reason == "too_few"
    one, _ = touchpoints(events, made(events), 1, rules=Rules(min_units=4, min_events=1), after=3 * HOUR)
    assert one["reason"].tolist() == ["too_few", "too_few"]
    assert one["rate"].isna().all()


def test_where_all_have_gone_on_before_nobody_is_left_to_compare(tmp_path: Path):
    events = log(tmp_path, "A0 B2", "A0 X1 B3", "A0 B1")
    table, landmark = touchpoints(events, made(events), 1, rules=RULES, after=3 * HOUR)
    assert (len(table), landmark.units, landmark.early, landmark.reason) == (0, 0, 3, "too_few")


def test_the_landmark_is_when_half_of_those_who_go_on_have(tmp_path: Path):
    events = log(tmp_path, *[f"A0 B{hour}" for hour in (2, 4, 6, 8)], *["A0"] * 6)
    _, landmark = touchpoints(events, made(events), 1, rules=RULES)
    assert 2 / 24 <= landmark.days <= 6 / 24


def test_ways_end_at_the_next_step(tmp_path: Path):
    events = log(tmp_path, "A0 X1 X2 Y3 B5 Z6", "A0 X1 Y2", "A0 B2 X3", "A0", "A0 X1 Y2 B3")
    found = routes(events, made(events), 1).set_index("route")
    # Repeats count once; what comes after the next step is no part of the way.
    assert found["units"].to_dict() == {"X → Y": 3, NOTHING: 2}
    assert found["passed"].to_dict() == {"X → Y": 2, NOTHING: 1}
    assert found.loc["X → Y", "share"] == pytest.approx(3 / 5)
    assert tuple(found.loc["X → Y", ["share_low", "share_high"]]) == pytest.approx(wilson(3, 5))
    assert len(routes(events, made(events), 1, top=1)) == 1


def test_nobody_goes_on_from_the_last_step(tmp_path: Path):
    events = log(tmp_path, *PEOPLE)
    with pytest.raises(ConfigError, match="goes on"):
        touchpoints(events, made(events), 2, rules=RULES)
    with pytest.raises(ConfigError, match="goes on"):
        routes(events, made(events), 0)


CELLS = st.tuples(
    st.sampled_from(["al", "bo", "cy", "di", None]), st.sampled_from(["A", "A", "B", "X", "Y", "error", None]),
    st.one_of(st.none(), st.integers(0, 12)), st.sampled_from([None, None, '{"page": "/p?x"}', '{"url": "/q"}']),
)  # fmt: skip


@settings(max_examples=20)
@given(rows=st.lists(CELLS, min_size=6, max_size=40), hours=st.integers(0, 5))
def test_the_same_as_a_search_by_hand(tmp_path_factory, rows, hours):
    frame = pd.DataFrame(
        [*rows, ("al", "A", 0, None), ("zed", "B", 0, None)], columns=["user_id", "event", "h", "properties"]
    )
    frame["ts"] = (DAY0 + pd.to_timedelta(frame.pop("h").astype(float), unit="h")).astype("datetime64[us, UTC]")
    path = tmp_path_factory.mktemp("log") / "events.parquet"
    frame.astype({"user_id": "str", "event": "str", "properties": "str"}).to_parquet(path, index=False)
    log, people = EventLog.made(path, "user_id"), journeys(path, FUNNEL, as_of=AS_OF)
    expected, units, taken = by_hand(frame.dropna(subset=["user_id", "event", "ts"]), people, HOUR * hours)
    anyhow = Rules(min_units=1, min_events=0)
    table, landmark = touchpoints(log, people, 1, rules=anyhow, after=HOUR * hours)
    assert landmark.units == units
    found = zip(table["content"], table["reach"], table["passed"], strict=True)
    assert [*found] == sorted(expected, key=lambda row: (-row[1], row[0]))
    frame = routes(log, people, 1, top=100)
    assert dict(zip(frame["route"], frame["units"], strict=True)) == dict(Counter(taken))


def by_hand(frame, people, landmark):
    """Return content, reach and passed for each content; how many stood there at the landmark; everybody's way."""
    met, units, taken = {}, 0, []
    for row in people.frame[people.frame["mature_depth"] >= 1].itertuples():
        own = frame[(frame["user_id"] == row.unit) & ~frame["event"].isin(["B"])]
        own = sorted(
            zip(own["ts"], [content(*pair) for pair in zip(own["event"], own["properties"], strict=True)], strict=True)
        )
        passed, end = pd.notna(row.t_2), row.first_entry + FUNNEL.window
        later = [name for at, name in own if row.first_entry < at <= end and not (passed and at >= row.t_2)]
        way = [name for place, name in enumerate(later) if place == 0 or later[place - 1] != name]
        taken.append(" → ".join(way[:4]) or NOTHING)
        cut = row.first_entry + landmark
        if passed and row.t_2 <= cut:
            continue
        units += 1
        for name in {name for at, name in own if row.first_entry <= at <= cut}:
            met.setdefault(name, []).append(passed)
    return [(name, len(went), sum(went)) for name, went in met.items()], units, taken


def content(event, properties):
    if event == "error" or properties is None or pd.isna(properties):
        return event
    return "/p" if "page" in properties else "/q"
